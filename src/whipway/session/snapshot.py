"""What a session looks like from outside, as plain data for the API and for logs."""

from typing import Any

from whipway.session.session import Session
from whipway.session.track import Track, VideoTrack


def describe_session(session: Session) -> dict[str, Any]:
    """State, reason of the end, tracks, and what was dropped why. Holds no secrets and no addresses."""
    ended = session.ended
    return {
        "state": session.state.value,
        "reason": ended.reason.value if ended else None,
        "detail": ended.detail if ended else None,
        "tracks": [_describe_track(session, track) for track in session.receiver.tracks],
        "drops": {reason.value: count for reason, count in sorted(session.drops().items())},
    }


def _describe_track(session: Session, track: Track) -> dict[str, Any]:
    description = {
        "mid": track.description.mid,
        "kind": track.description.kind,
        "ssrc": track.ssrc,
        "packets": track.packets,
        "bytes": track.bytes,
        "lost": track.lost,
        "frames": track.units,
    }
    if isinstance(track, VideoTrack):
        description["keyframes"] = track.keyframes
        description["keyframe_requests"] = session.feedback.requests[track].count
    return description
