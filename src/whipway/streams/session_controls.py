"""What a session is told while it goes on: which of its inputs is on air, and in which quality it comes.

How it stands with both is in the session's snapshot, as `input`, `inputs` and `quality`.
"""

import base64
from collections.abc import Mapping
from typing import Any

from whipway.streams.known_sessions import KnownSessions
from whipway.streams.refusals import InputNotFound, LayerNotFound
from whipway.worker.messages import (
    GetKeyframe,
    InputSelected,
    KeyframePicture,
    KeyframeRequested,
    QualitySet,
    RequestKeyframe,
    SelectInput,
    SetQuality,
    UnknownInput,
    UnknownLayer,
)


class SessionControls:
    """Each of these raises SessionNotFound or SessionOver for a session that is not there."""

    def __init__(self, known: KnownSessions) -> None:
        self._known = known

    async def select_input(self, session_id: str, mid: str) -> None:
        """Put another input on air as soon as a key frame of it is there. Raises InputNotFound."""
        reply = await self._known.ask(SelectInput(session_id, mid))
        if isinstance(reply, UnknownInput):
            raise InputNotFound(mid)
        assert isinstance(reply, InputSelected)

    async def set_quality(self, session_id: str, values: Mapping[str, Any]) -> None:
        """Ask for another quality of the video; `values` as in `SetQuality`. Raises LayerNotFound."""
        reply = await self._known.ask(SetQuality(session_id, values))
        if isinstance(reply, UnknownLayer):
            raise LayerNotFound(reply.layer)
        assert isinstance(reply, QualitySet)

    async def request_keyframe(self, session_id: str) -> None:
        """Have the client asked for a key frame."""
        reply = await self._known.ask(RequestKeyframe(session_id))
        assert isinstance(reply, KeyframeRequested)

    async def keyframe_picture(self, session_id: str, mid: str) -> bytes | None:
        """The last key frame of an input in Annex B, parameter sets first; None: there is none yet.

        Raises InputNotFound.
        """
        reply = await self._known.ask(GetKeyframe(session_id, mid))
        if isinstance(reply, UnknownInput):
            raise InputNotFound(mid)
        assert isinstance(reply, KeyframePicture)
        return base64.b64decode(reply.picture) or None
