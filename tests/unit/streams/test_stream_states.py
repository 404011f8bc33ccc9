"""Changes of one stream wait for each other, and for nothing else."""

import pytest
from tests.unit.streams.stream_stage import Stage

pytestmark = pytest.mark.anyio


async def test_streams_do_not_wait_for_each_other(stage: Stage) -> None:
    slow, quick = await stage.streams.create(), await stage.streams.create()
    lock = stage.streams._states.lock(slow.name)
    async with lock:
        stage.origin.go_live(slow.name)
        stage.origin.go_live(quick.name)
        await stage.streams._going_live.settled(quick.name)
        assert (await stage.state(slow.name), await stage.state(quick.name)) == ("created", "live")
    await stage.settle()
    assert await stage.state(slow.name) == "live"


async def test_locks_do_not_outlive_their_use(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.streams.lock(record.id)
    assert not stage.streams._states._locks
