"""The gateway's requests about a session's video: which input is on air, its quality, its pictures."""

import base64
from typing import assert_never

from whipway.session.inputs import UnknownInput, UnknownLayer
from whipway.worker import messages
from whipway.worker.broadcast import Broadcast
from whipway.worker.messages import GetKeyframe, Reply, RequestKeyframe, SelectInput, SetQuality

VideoRequest = SelectInput | SetQuality | RequestKeyframe | GetKeyframe


def control_video(request: VideoRequest, broadcast: Broadcast, now: float) -> Reply:
    """Carry out one of them."""
    try:
        return _carry_out(request, broadcast, now)
    except UnknownInput as unknown:
        return messages.UnknownInput(request.session_id, str(unknown))
    except UnknownLayer as unknown:
        return messages.UnknownLayer(request.session_id, str(unknown))


def _carry_out(request: VideoRequest, broadcast: Broadcast, now: float) -> Reply:
    match request:
        case SelectInput(session_id, mid):
            broadcast.select_input(mid, now)
            return messages.InputSelected(session_id)
        case SetQuality(session_id, values):
            broadcast.set_quality(values)
            return messages.QualitySet(session_id)
        case RequestKeyframe(session_id):
            broadcast.request_keyframe()
            return messages.KeyframeRequested(session_id)
        case GetKeyframe(session_id, mid):
            picture = base64.b64encode(broadcast.keyframe_picture(mid, now)).decode()
            return messages.KeyframePicture(session_id, mid, picture)
        case _:
            assert_never(request)
