"""What a person at the encoder or on its network can mend, told from the facts of a session.

Nothing here changes what the session does. Each warning stands as long as its cause does.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from whipway.session.session import Session
from whipway.session.track import Track, VideoTrack

MAX_KEYFRAME_INTERVAL = 4.0
"""Seconds. Whoever tunes in waits for a key frame, and segments of HLS and DASH begin with one."""
MAX_QUIET = 5.0
"""Seconds without audio that was announced."""
MAX_REPORT_AGE = 10.0
"""Seconds without a sender report: twice the interval of RFC 3550, 6.2."""
MAX_LOSS = 0.05
"""Where repair begins to show as delay."""
MAX_UNANSWERED = 3
"""Requests for a key frame in a row, the first and the last some 3 s apart."""
B_FRAMES = "The encoder sends B-frames, which cost delay and trouble some players; turn them off"


class WarningCode(StrEnum):
    """What a warning is about. The value is the word of the API."""

    KEYFRAME_INTERVAL = "keyframe_interval"
    B_FRAMES = "b_frames"
    NO_AUDIO = "no_audio"
    PROFILE_DIFFERS = "profile_differs"
    NO_SENDER_REPORT = "no_sender_report"
    LOSS = "loss"
    REQUESTS_IGNORED = "keyframe_requests_ignored"


class SessionWarning(NamedTuple):
    """One warning; `detail` is a sentence for a person."""

    code: WarningCode
    detail: str


def find_warnings(session: Session, now: float, *, has_b_frames: bool = False) -> list[SessionWarning]:
    """The warnings of a session at this moment; none before it is connected.

    `has_b_frames` is for who puts the pictures in order to say.
    """
    since = session.connected_at
    if since is None:
        return []
    return [
        *_of_network(session),
        *([SessionWarning(WarningCode.B_FRAMES, B_FRAMES)] if has_b_frames else []),
        *(
            warning
            for track in session.receiver.tracks
            for warning in (
                *_of_any(track, since, now),
                *(_of_video(session, track, since, now) if isinstance(track, VideoTrack) else ()),
            )
        ),
    ]


def _of_network(session: Session) -> Iterator[SessionWarning]:
    loss = max((track.loss for track in session.receiver.tracks), default=0.0)
    if loss > MAX_LOSS:
        yield SessionWarning(WarningCode.LOSS, f"The network loses {loss:.0%} of the packets")


def _of_any(track: Track, since: float, now: float) -> Iterator[SessionWarning]:
    kind = track.description.kind
    if kind == "audio" and (quiet := now - max(since, track.heard_at)) > MAX_QUIET:
        yield SessionWarning(WarningCode.NO_AUDIO, f"No audio came for {quiet:.0f} s, though it was offered")
    if track.packets and now - max(since, track.reported_at) > MAX_REPORT_AGE:
        detail = f"The encoder sends no reports for its {kind}: it may drift from the other track"
        yield SessionWarning(WarningCode.NO_SENDER_REPORT, detail)


def _of_video(session: Session, track: VideoTrack, since: float, now: float) -> Iterator[SessionWarning]:
    interval = max(track.keyframe_interval, now - max(since, track.keyframe_at))
    if interval > MAX_KEYFRAME_INTERVAL:
        detail = f"Key frames are {interval:.1f} s apart; set the encoder's key-frame interval to 2 s"
        yield SessionWarning(WarningCode.KEYFRAME_INTERVAL, detail)
    announced = track.description.profile_level_id
    if announced and track.profile_idc is not None and int(announced[:2], 16) != track.profile_idc:
        detail = f"H.264 profile {track.profile_idc} is sent, but {int(announced[:2], 16)} was offered"
        yield SessionWarning(WarningCode.PROFILE_DIFFERS, detail)
    if session.feedback.requests[track].unanswered >= MAX_UNANSWERED:
        detail = "The encoder ignores requests for key frames: after a loss the picture stays away for long"
        yield SessionWarning(WarningCode.REQUESTS_IGNORED, detail)
