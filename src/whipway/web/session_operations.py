"""What can be done with a session that goes on or has ended, by whoever may: each operation once.

A publisher names its session by the session URL and is judged by `auth` (`sinks`, `inputs`, `quality`);
people and programs with an API key name it by a handle and are judged by `callers` (`v1`). Here that is
behind them. What the directory refuses is raised as Problem.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import Request, Response

from whipway.streams.sessions import (
    InputNotFound,
    LayerNotFound,
    SessionDirectory,
    SessionNotCreated,
    SessionNotFound,
    SessionOver,
    SinkNotAdded,
    SinkNotFound,
)
from whipway.web.bodies import INPUT, METADATA, QUALITY, check_body_headers, read_text
from whipway.web.control_bodies import parse_input, parse_quality
from whipway.web.metadata_body import parse_metadata
from whipway.web.problems import Problem, ProblemKind
from whipway.web.publish_query import PublishQuery
from whipway.web.session_lookup import raise_gone
from whipway.web.thumbnails import Thumbnails

JPEG_TYPE = "image/jpeg"
NO_STORE = {"Cache-Control": "no-store"}
"""It is another one in a moment, and for this client alone."""
_REFUSALS = {"busy": ProblemKind.STREAM_BUSY, "full": ProblemKind.TOO_MANY_SINKS}


@contextmanager
def refusals() -> Iterator[None]:
    """Whatever the directory refuses inside of this, as Problem."""
    try:
        yield
    except SessionNotCreated as refusal:
        raise Problem(ProblemKind.EGRESS_REFUSED, refusal.detail) from None
    except SinkNotAdded as refusal:
        raise Problem(_REFUSALS[refusal.kind], refusal.detail) from None
    except SinkNotFound:
        raise _unknown_sink() from None
    except InputNotFound:
        detail = "The offer had no video of this mid, or it was not accepted"
        raise Problem(ProblemKind.INPUT_UNKNOWN, detail) from None
    except LayerNotFound:
        detail = "The input on air does not come in a layer of this rid"
        raise Problem(ProblemKind.LAYER_UNKNOWN, detail) from None
    except (SessionNotFound, SessionOver) as error:
        raise_gone(error)


class SessionOperations:
    """The operations over a session directory. `thumbnails`: of its inputs, if others make them as well."""

    def __init__(self, directory: SessionDirectory, thumbnails: Thumbnails | None = None) -> None:
        self._directory = directory
        self._thumbnails = thumbnails or Thumbnails(directory.controls.keyframe_picture)

    async def snapshot(self, session_id: str) -> Mapping[str, Any]:
        """How a session is, or was at last."""
        with refusals():
            return await self._directory.describe(session_id)

    async def end(self, session_id: str) -> None:
        """End it."""
        with refusals():
            await self._directory.end(session_id, "deleted")

    async def sinks(self, session_id: str) -> Sequence[Mapping[str, Any]]:
        """All sinks; of an ended session, as they were at last."""
        with refusals():
            return [*await self._directory.sinks.of(session_id)]

    async def sink(self, session_id: str, sink_id: str) -> Mapping[str, Any]:
        """One of them."""
        for sink in await self.sinks(session_id):
            if sink["id"] == sink_id:
                return sink
        raise _unknown_sink()

    async def check_sink(self, session_id: str, query: PublishQuery, max_sinks: int) -> None:
        """Refuse a sink there is no room for or that may not go there. Whether it is free is known later."""
        with refusals():
            await self._directory.sinks.check(
                session_id,
                stream_url=query.stream_url,
                audio=query.audio,
                audio_bitrate=query.audio_bitrate,
                max_sinks=max_sinks,
            )

    async def add_sink(self, session_id: str, query: PublishQuery) -> Mapping[str, Any]:
        """Feed one more RTMP server. Describes the sink."""
        with refusals():
            return await self._directory.sinks.add(
                session_id,
                stream_name=query.stream_name,
                stream_url=query.stream_url,
                audio=query.audio,
                audio_bitrate=query.audio_bitrate,
                filler=query.filler,
            )

    async def remove_sink(self, session_id: str, sink_id: str) -> None:
        """End one sink; the others, and the session, go on."""
        with refusals():
            await self._directory.sinks.remove(session_id, sink_id)

    async def send_metadata(self, session_id: str, request: Request) -> None:
        """Put the RTMP data message that a body holds into every sink there is."""
        check_body_headers(request, METADATA)
        message = parse_metadata(await read_text(request, METADATA))
        with refusals():
            await self._directory.sinks.send_metadata(session_id, message.handler, message.payload)

    async def inputs(self, session_id: str) -> dict[str, Any]:
        """All inputs and which is on air; of an ended session, as they were at last."""
        return input_document(await self.snapshot(session_id))

    async def select_input(self, session_id: str, request: Request) -> dict[str, Any]:
        """Have the input on air that a body names. Until its key frame is there, it is one that is wanted."""
        check_body_headers(request, INPUT)
        mid = parse_input(await read_text(request, INPUT))
        with refusals():
            await self._directory.controls.select_input(session_id, mid)
        return await self.inputs(session_id)

    async def thumbnail(self, session_id: str, mid: str) -> Response:
        """What an input shows, on air or not: the answer with the picture."""
        with refusals():
            picture = await self._thumbnails.picture(session_id, mid)
        return picture_response(picture)

    async def quality(self, session_id: str) -> Any:
        """How the quality is; of an ended session, how it was at last."""
        return (await self.snapshot(session_id))["quality"]

    async def set_quality(self, session_id: str, request: Request) -> Any:
        """Ask for another one: all that a body says or, where a part of it cannot be, nothing."""
        check_body_headers(request, QUALITY)
        values = parse_quality(await read_text(request, QUALITY))
        with refusals():
            await self._directory.controls.set_quality(session_id, values)
        return await self.quality(session_id)

    async def request_keyframe(self, session_id: str) -> None:
        """Have the client asked for a key frame."""
        with refusals():
            await self._directory.controls.request_keyframe(session_id)


def picture_response(picture: bytes | None) -> Response:
    """The answer with a JPEG; without one there is nothing to be seen yet."""
    if picture is None:
        return Response(status_code=204, headers=NO_STORE)
    return Response(picture, headers=NO_STORE, media_type=JPEG_TYPE)


def input_document(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """What a session's snapshot says of its inputs."""
    return {**snapshot["input"], "inputs": snapshot["inputs"]}


def _unknown_sink() -> Problem:
    return Problem(ProblemKind.SINK_UNKNOWN, "It never existed, or was removed")
