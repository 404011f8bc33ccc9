"""What a person at the encoder or on its network can mend, told from the facts of a session.

Nothing here changes what the session does. Each warning stands as long as its cause does.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from whipway.session.keyframes import KeyframeHabit
from whipway.session.session import Session
from whipway.session.track import Track, VideoTrack

MAX_KEYFRAME_INTERVAL = 4.0
"""Seconds. Whoever tunes in waits for a key frame, and segments of HLS and DASH begin with one."""
INTERVAL_TOLERANCE = 0.5
"""Seconds. Key frames of 4 s do not come to the millisecond, least of all where packets are repeated."""
MAX_QUIET = 5.0
"""Seconds without anything of a track that was announced."""
MAX_REPORT_AGE = 30.0
"""Seconds without a sender report. RFC 3550, 6.2: they come every 5 s, half as long again at random; and some
are lost, with nothing to repeat them."""
MAX_LOSS = 0.05
"""Where repair begins to show as delay."""
B_FRAMES = "The encoder sends B-frames, which cost delay and trouble some players; turn them off"
REQUESTS_IGNORED = (
    "The encoder does not answer requests for key frames: after a loss the picture stays away until the next"
    " one comes by itself"
)


class WarningCode(StrEnum):
    """What a warning is about. The value is the word of the API."""

    KEYFRAME_INTERVAL = "keyframe_interval"
    B_FRAMES = "b_frames"
    NO_AUDIO = "no_audio"
    NO_VIDEO = "no_video"
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
            for track in _on_air(session)
            for warning in (
                *_of_any(track, since, now),
                *(_of_video(session, track, since, now) if isinstance(track, VideoTrack) else ()),
            )
        ),
    ]


def _on_air(session: Session) -> Iterator[Track]:
    """The tracks that somebody sees or hears: what is off air may be dark."""
    for track in session.receiver.tracks:
        if not isinstance(track, VideoTrack) or track is session.inputs.on_air:
            yield track


def _of_network(session: Session) -> Iterator[SessionWarning]:
    loss = max((track.loss for track in _on_air(session)), default=0.0)
    if loss > MAX_LOSS:
        yield SessionWarning(WarningCode.LOSS, f"The network loses {loss:.0%} of the packets")


def _of_any(track: Track, since: float, now: float) -> Iterator[SessionWarning]:
    kind = track.description.kind
    if not _is_coming(track, since, now):
        code = WarningCode.NO_AUDIO if kind == "audio" else WarningCode.NO_VIDEO
        detail = f"{kind.capitalize()} was offered, but none has come for over {MAX_QUIET:.0f} s"
        yield SessionWarning(code, detail)
    # Who sends nothing has nothing to report.
    if track.heard_at - max(since, track.reported_at) > MAX_REPORT_AGE:
        detail = f"The encoder sends no reports for its {kind}: it may drift from the other track"
        yield SessionWarning(WarningCode.NO_SENDER_REPORT, detail)


def _is_coming(track: Track, since: float, now: float) -> bool:
    return now - max(since, track.heard_at) <= MAX_QUIET


def _of_video(session: Session, track: VideoTrack, since: float, now: float) -> Iterator[SessionWarning]:
    announced = track.description.profile_level_id
    if announced and track.profile_idc is not None and int(announced[:2], 16) != track.profile_idc:
        detail = f"H.264 profile {track.profile_idc} is sent, but {int(announced[:2], 16)} was offered"
        yield SessionWarning(WarningCode.PROFILE_DIFFERS, detail)
    if _is_coming(track, since, now):
        yield from _of_keyframes(session.feedback.requests[track].habit)


def _of_keyframes(habit: KeyframeHabit) -> Iterator[SessionWarning]:
    limit = MAX_KEYFRAME_INTERVAL + INTERVAL_TOLERANCE
    if max(habit.interval, habit.age) > limit:
        far = f"{habit.interval:.1f}" if habit.interval > limit else f"over {MAX_KEYFRAME_INTERVAL:.0f}"
        detail = f"Key frames are {far} s apart; set the encoder's key-frame interval to 2 s"
        yield SessionWarning(WarningCode.KEYFRAME_INTERVAL, detail)
    if habit.ignores_requests:
        yield SessionWarning(WarningCode.REQUESTS_IGNORED, REQUESTS_IGNORED)
