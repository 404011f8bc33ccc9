"""Which of the rules of streams are asked, and when."""

import pytest
from tests.unit.streams.stream_stage import HERE, Stage, attempt

from whipway.streams.access.rights import NotAllowed
from whipway.streams.store.database import Database

pytestmark = pytest.mark.anyio

ELSEWHERE = "rtmp://elsewhere/live"


async def test_a_publish_is_for_the_record_and_the_hook(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.rules.admit(attempt(record.name, ELSEWHERE))
    assert stage.asked_hook == [record.name]
    stage.hook_refuses = True
    with pytest.raises(NotAllowed, match="hook"):
        await stage.rules.admit(attempt(record.name))
    await stage.streams.lock(record.id)
    with pytest.raises(NotAllowed, match="locked"):
        await stage.rules.admit(attempt(record.name))
    assert stage.asked_hook == [record.name] * 2


async def test_one_more_sink_here_is_as_a_publish(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.rules.admit_sink(attempt(record.name))
    assert stage.asked_hook == [record.name]
    stage.hook_refuses = True
    with pytest.raises(NotAllowed, match="hook"):
        await stage.rules.admit_sink(attempt(record.name))
    # Nothing is published yet.
    await stage.rules.check_sink(attempt(record.name))
    assert len(stage.asked_hook) == 2


async def test_one_more_sink_elsewhere_is_others_business(database: Database) -> None:
    stage = Stage(database, require_known=True)
    stage.hook_refuses = True
    await stage.rules.admit_sink(attempt("a-key-of-somebody", ELSEWHERE))
    with pytest.raises(NotAllowed, match="no stream of this name"):
        await stage.rules.admit_sink(attempt("a-key-of-somebody", HERE))
    # Streams of this service may be sent on to another server, under their own names.
    record = await stage.streams.create()
    await stage.rules.admit_sink(attempt(record.name, ELSEWHERE))
    await stage.streams.lock(record.id)
    with pytest.raises(NotAllowed, match="locked"):
        await stage.rules.check_sink(attempt(record.name, ELSEWHERE))
    assert stage.asked_hook == []
    await stage.streams.close()
