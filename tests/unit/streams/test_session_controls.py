"""What the directory does about the inputs of its sessions and their quality."""

from typing import Any

import pytest
from tests.unit.streams.played_worker import Worker, create, follow

from whipway.streams.session_controls import SessionControls
from whipway.streams.sessions import (
    InputNotFound,
    LayerNotFound,
    SessionDirectory,
    SessionNotFound,
    SessionOver,
)
from whipway.worker.messages import (
    GetKeyframe,
    InputSelected,
    KeyframePicture,
    KeyframeRequested,
    QualitySet,
    RequestKeyframe,
    SelectInput,
    SessionDescribed,
    SetQuality,
    UnknownInput,
    UnknownLayer,
)

pytestmark = pytest.mark.anyio

QUALITY = {"max_video_bitrate": 800_000, "layer": "h"}


@pytest.fixture
def controls(directory: SessionDirectory) -> SessionControls:
    return directory.controls


async def test_an_input_is_selected_by_the_worker(
    directory: SessionDirectory, controls: SessionControls, worker: Worker
) -> None:
    session_id = await create(directory)
    worker.answers[SelectInput] = InputSelected(session_id)
    await controls.select_input(session_id, "2")
    assert worker.asked == [SelectInput(session_id, "2")]
    worker.answers[SelectInput] = UnknownInput(session_id, "9")
    with pytest.raises(InputNotFound):
        await controls.select_input(session_id, "9")


async def test_quality_is_set_by_the_worker(
    directory: SessionDirectory, controls: SessionControls, worker: Worker
) -> None:
    session_id = await create(directory)
    worker.answers[SetQuality] = QualitySet(session_id)
    await controls.set_quality(session_id, QUALITY)
    assert worker.asked == [SetQuality(session_id, QUALITY)]
    worker.answers[SetQuality] = UnknownLayer(session_id, "h")
    with pytest.raises(LayerNotFound):
        await controls.set_quality(session_id, QUALITY)


async def test_a_key_frame_is_requested_by_the_worker(
    directory: SessionDirectory, controls: SessionControls, worker: Worker
) -> None:
    session_id = await create(directory)
    worker.answers[RequestKeyframe] = KeyframeRequested(session_id)
    await controls.request_keyframe(session_id)
    assert worker.asked == [RequestKeyframe(session_id)]


async def test_a_picture_comes_from_the_worker(
    directory: SessionDirectory, controls: SessionControls, worker: Worker
) -> None:
    session_id = await create(directory)
    worker.answers[GetKeyframe] = KeyframePicture(session_id, "1", "AAAAAWc=")
    assert await controls.keyframe_picture(session_id, "1") == b"\0\0\0\1\x67"
    assert worker.asked == [GetKeyframe(session_id, "1")]
    worker.answers[GetKeyframe] = KeyframePicture(session_id, "1", "")
    assert await controls.keyframe_picture(session_id, "1") is None
    worker.answers[GetKeyframe] = UnknownInput(session_id, "9")
    with pytest.raises(InputNotFound):
        await controls.keyframe_picture(session_id, "9")


def uses(controls: SessionControls, session_id: str) -> list[Any]:
    """Each of them, not yet awaited."""
    return [
        controls.select_input(session_id, "1"),
        controls.set_quality(session_id, QUALITY),
        controls.request_keyframe(session_id),
        controls.keyframe_picture(session_id, "1"),
    ]


async def test_sessions_that_are_not_there(
    directory: SessionDirectory, controls: SessionControls, worker: Worker
) -> None:
    for use in uses(controls, "unknown"):
        with pytest.raises(SessionNotFound):
            await use
    over, lost = await create(directory), await create(directory)
    await directory.end(over, "deleted")
    worker.asked.clear()
    # And one whose end the directory has yet to hear of.
    worker.lose(lost)
    waiting = uses(controls, lost)
    await follow(directory, worker)
    for use in uses(controls, over) + waiting:
        with pytest.raises(SessionOver):
            await use
    assert worker.asked == []


async def test_what_is_answered_amiss_is_a_bug(
    directory: SessionDirectory, controls: SessionControls, worker: Worker
) -> None:
    session_id = await create(directory)
    for kind in (SelectInput, SetQuality, RequestKeyframe, GetKeyframe):
        worker.answers[kind] = SessionDescribed(session_id, {})
    for use in uses(controls, session_id):
        with pytest.raises(AssertionError):
            await use
