"""What a session looks like from outside, as plain data for the API and for logs."""

from typing import Any

from whipway.protocol.ice import TCP_ADDRESS_PARTS
from whipway.session.session import Session
from whipway.session.track import Track, VideoTrack
from whipway.session.warnings import find_warnings


def describe_session(session: Session, now: float, *, has_b_frames: bool = False) -> dict[str, Any]:
    """State, reason of the end, tracks, what was dropped why, and what a person could mend.

    Holds no secrets and no addresses. `has_b_frames` as for `find_warnings`.
    """
    warnings = find_warnings(session, now, has_b_frames=has_b_frames)
    ended = session.ended
    round_trip = session.receiver.round_trip
    return {
        "state": session.state.value,
        "reason": ended.reason.value if ended else None,
        "detail": ended.detail if ended else None,
        "round_trip_ms": round(round_trip.seconds * 1000, 1) if round_trip.is_measured else None,
        "ice": _describe_ice(session),
        "warnings": [{"code": code.value, "detail": detail} for code, detail in warnings],
        "tracks": [_describe_track(session, track) for track in session.receiver.tracks],
        "drops": {reason.value: count for reason, count in sorted(session.drops().items())},
    }


def _describe_ice(session: Session) -> dict[str, Any]:
    address = session.transport.remote_address
    path = None if address is None else "tcp" if len(address) == TCP_ADDRESS_PARTS else "udp"
    return {
        "generation": session.ice.generation,
        "candidates": session.ice.candidates,
        "candidates_discarded": session.ice.candidates_discarded,
        "path": path,
    }


def _describe_track(session: Session, track: Track) -> dict[str, Any]:
    description = {
        "mid": track.description.mid,
        "kind": track.description.kind,
        "ssrc": track.ssrc,
        "packets": track.packets,
        "bytes": track.bytes,
        "lost": track.lost,
        "repaired": track.repaired,
        "waiting": track.waiting,
        "loss": round(track.loss, 4),
        "frames": track.units,
    }
    if isinstance(track, VideoTrack):
        description["keyframes"] = track.keyframes
        description["keyframe_interval"] = round(track.keyframe_interval, 2)
        description["keyframe_requests"] = session.feedback.requests[track].count
    return description
