"""What records say to whoever wants to publish."""

import pytest
import structlog
from tests.unit.streams.stream_stage import AWAY, HERE, Stage, attempt

from whipway.streams.access import stream_gate
from whipway.streams.access.rights import NotAllowed
from whipway.streams.store.database import Database

pytestmark = pytest.mark.anyio


async def test_admission_follows_the_record(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.streams.admit(attempt(f"{record.name}?x=1"))
    await stage.streams.lock(record.id)
    with pytest.raises(NotAllowed, match="locked") as caught:
        await stage.streams.admit(attempt(f"{record.name}?x=1", f"{HERE}/"))
    assert not caught.value.wants_scope


async def test_unknown_names_where_only_known_ones_may_be_published(database: Database) -> None:
    stage = Stage(database, require_known=True)
    record = await stage.streams.create()
    await stage.streams.admit(attempt(record.name))
    for name in ("unknown", "x" * 513):
        with pytest.raises(NotAllowed, match="no stream of this name") as caught:
            await stage.streams.admit(attempt(name))
        assert not caught.value.wants_scope
    await stage.streams.close()


async def test_whoever_publishes_is_let_in_while_the_database_is_away(stage: Stage) -> None:
    record = await stage.streams.create()
    await stage.streams.lock(record.id)
    stage.store.fails = {"find": [AWAY]}
    with structlog.testing.capture_logs() as logs:
        await stage.streams.admit(attempt(record.name))
    assert len(logs) == 1 and record.name not in str(logs)
    # It is back: now the stream turns out to be locked.
    stage.origin.go_live(record.name)
    await stage.settle()
    assert stage.origin.publishing == {}


async def test_who_cannot_be_looked_up_is_unknown(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(database, require_known=True)
    record = await stage.streams.create()
    stage.store.fails = {"find": [AWAY]}
    with pytest.raises(NotAllowed, match="try again later"):
        await stage.streams.admit(attempt(record.name))
    monkeypatch.setattr(stream_gate, "LOOK_UP_TIMEOUT", 0.01)
    stage.hold("find")
    with pytest.raises(NotAllowed, match="try again later"):
        await stage.streams.admit(attempt(record.name))
    await stage.streams.close()
