"""What a session looks like from outside, as plain data for the API and for logs."""

from typing import Any

from whipway.protocol.ice import TCP_ADDRESS_PARTS
from whipway.session.inputs import AUTO_LAYER
from whipway.session.session import Session
from whipway.session.track import Track, VideoTrack
from whipway.session.video_input import track_state
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
        "video": media_state(session, "video", now),
        "audio": media_state(session, "audio", now),
        **_describe_inputs(session, now),
        "warnings": [{"code": code.value, "detail": detail} for code, detail in warnings],
        "tracks": [_describe_track(session, track) for track in session.receiver.tracks],
        "drops": {reason.value: count for reason, count in sorted(session.drops().items())},
    }


def media_state(session: Session, kind: str, now: float) -> str:
    """Whether picture or sound is "live", "muted", not there yet ("waiting"), or was not offered ("none")."""
    tracks = [track for track in session.receiver.tracks if track.description.kind == kind]
    on_air = session.inputs.on_air if kind == "video" else next(iter(tracks), None)
    return "none" if on_air is None else track_state(on_air, now, session.inputs.video_silence)


def _describe_ice(session: Session) -> dict[str, Any]:
    address = session.transport.remote_address
    path = None if address is None else "tcp" if len(address) == TCP_ADDRESS_PARTS else "udp"
    return {
        "generation": session.ice.generation,
        "candidates": session.ice.candidates,
        "candidates_discarded": session.ice.candidates_discarded,
        "path": path,
    }


def _describe_inputs(session: Session, now: float) -> dict[str, Any]:
    inputs, report = session.inputs, session.report
    on_air, wanted = inputs.on_air, inputs.wanted
    return {
        "input": {
            "on_air": on_air.description.mid if on_air else None,
            "wanted": wanted.description.mid if wanted else None,
            "layer": inputs.layer or AUTO_LAYER,
            "layer_on_air": on_air.description.rid if on_air else None,
        },
        "inputs": inputs.describe(now, report.bitrate, report.fps),
    }


def _describe_track(session: Session, track: Track) -> dict[str, Any]:
    description = {
        "mid": track.description.mid,
        "rid": track.description.rid,
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
