"""Records for what is published under names that nobody had created."""

from collections.abc import AsyncIterator

import pytest
import structlog
from tests.peers.databases import databases, open_database
from tests.unit.streams.stream_stage import Stage, attempt

from whipway.streams import adoption
from whipway.streams.store.database import Database
from whipway.streams.store.stream_rows import NameTaken

pytestmark = pytest.mark.anyio


@pytest.fixture(params=databases())
async def stored(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """On each kind of database."""
    async with open_database(request.param) as database:
        stage = Stage(database)
        yield stage
        await stage.streams.close()


async def test_what_is_published_here_gets_a_record(stored: Stage) -> None:
    stored.origin.go_live("cam", "live/team")
    await stored.go_live("page")
    await stored.settle()
    for name in ("team/cam", "page"):
        record = await stored.streams.find(name)
        assert record is not None and (record.state, record.is_assigned) == ("live", False)
        assert record.created_at == record.live_at
        assert stored.publications.streams.brief(name) == {"id": record.id, "name": name}
        assert [what for what, whose in stored.told if whose == name] == ["created", "live"]


async def test_what_goes_elsewhere_gets_none(stage: Stage) -> None:
    publication = await stage.go_live("a-key-of-somebody", "rtmp://elsewhere/live")
    await stage.settle()
    assert await stage.record("a-key-of-somebody") is None
    assert publication.session_id is not None
    await stage.sessions.end(publication.session_id, "deleted")
    await stage.settle()
    assert stage.told == []


async def test_a_name_that_cannot_be_kept_gets_none(stage: Stage) -> None:
    stage.origin.go_live("x" * 513)
    await stage.settle()
    assert stage.told == []
    await stage.streams.admit(attempt("x" * 513))


async def test_there_is_an_end_to_such_records(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "MAX_ADOPTED", 2)
    with structlog.testing.capture_logs() as logs:
        for number in range(4):
            stage.origin.go_live(f"cam-{number}")
            await stage.settle()
    assert [await stage.state(f"cam-{number}") for number in range(4)] == ["live", "live", None, None]
    assert len(logs) == 1
    assert len(stage.publications.all()) == 4


async def test_it_counts_what_earlier_runs_and_other_gateways_made(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "MAX_ADOPTED", 1)
    for name, node in (("first", "this"), ("second", "that")):
        stage = Stage(database, node=node)
        stage.origin.go_live(name)
        await stage.settle()
        await stage.streams.close()
    assert (await stage.state("first"), await stage.state("second")) == ("live", None)
    record = await stage.record("first")
    assert record is not None
    await stage.streams.delete(record.id)
    # Now there is room again.
    stage = Stage(database)
    stage.origin.go_live("second")
    await stage.settle()
    assert await stage.state("second") == "live"
    await stage.streams.close()


async def test_another_gateway_may_have_made_the_record(stage: Stage) -> None:
    stage.store.after["add"] = [NameTaken("cam")]
    stage.origin.go_live("cam")
    await stage.settle()
    assert await stage.state("cam") == "live"
