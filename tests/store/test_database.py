import asyncio
import logging
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from tests.peers.databases import database_url, databases
from tests.peers.postgres import PASSWORD, running_cluster

from whipway.streams.records import utc_now
from whipway.streams.store.database import Database, DatabaseError
from whipway.streams.store.tables import organisation, stream_tags

pytestmark = pytest.mark.anyio

TIMEOUT = 5.0


@pytest.fixture(params=databases())
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Of a database without tables."""
    async with database_url(request.param) as url:
        yield url


@pytest.fixture
async def pair(url: str) -> AsyncIterator[list[Database]]:
    """Two gateways, started at the same time, on one database that was empty."""
    async with AsyncExitStack() as stack:
        pair = await asyncio.gather(Database.open(url), Database.open(url))
        for database in pair:
            stack.push_async_callback(database.close)
        yield list(pair)


def row(name: str) -> dict[str, object]:
    return {"id": name, "name": name, "hash": "", "created_at": utc_now()}


async def names(database: Database) -> list[str]:
    async with database.read() as connection:
        return list(await connection.scalars(select(organisation.c.name).order_by(organisation.c.name)))


async def refusal(url: str) -> str:
    with pytest.raises(DatabaseError) as refused:
        await Database.open(url)
    assert "\n" not in str(refused.value)
    return str(refused.value)


async def test_it_says_which_kind_it_is(database: Database) -> None:
    assert database.dialect in {"sqlite", "postgresql"}
    assert await database.is_reachable()


async def test_several_gateways_may_make_the_tables_at_once(url: str) -> None:
    opened = await asyncio.gather(*[Database.open(url) for _ in range(4)])
    for database in opened:
        assert await names(database) == []
        await database.close()


async def test_what_was_kept_is_there_after_a_restart(url: str) -> None:
    database = await Database.open(url)
    async with database.begin() as connection:
        await connection.execute(insert(organisation), row("one"))
    await database.close()
    database = await Database.open(url)
    assert await names(database) == ["one"]
    await database.close()


async def test_times_come_back_in_utc_to_the_millisecond(database: Database) -> None:
    now = utc_now()
    async with database.begin() as connection:
        await connection.execute(insert(organisation), row("one") | {"created_at": now})
        kept = (await connection.execute(select(organisation.c.created_at))).scalar_one()
    assert abs((kept - now).total_seconds()) <= 0.001
    assert kept.tzinfo is now.tzinfo


async def test_an_exception_undoes_a_transaction(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.begin() as connection:
            await connection.execute(insert(organisation), row("one"))
            raise ZeroDivisionError
    assert await names(database) == []


async def test_a_row_needs_the_one_it_belongs_to(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.begin() as connection:
            await connection.execute(insert(stream_tags), {"stream_id": "none", "tag": "a", "place": 0})


async def test_writers_wait_for_each_other(pair: list[Database]) -> None:
    async def write(n: int) -> None:
        async with pair[n % 2].begin() as connection:
            await connection.execute(insert(organisation), row(str(n)))
            await asyncio.sleep(0)

    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*[write(n) for n in range(20)])
    assert len(await names(pair[0])) == 20


async def test_only_one_is_alone(pair: list[Database]) -> None:
    async def write_if_first(n: int) -> None:
        async with pair[n % 2].begin(alone=True) as connection:
            if not await connection.scalar(select(func.count()).select_from(organisation)):
                await asyncio.sleep(0.01)  # Long enough for another to look as well.
                await connection.execute(insert(organisation), row(str(n)))

    async with asyncio.timeout(TIMEOUT):
        await asyncio.gather(*[write_if_first(n) for n in range(6)])
    assert len(await names(pair[0])) == 1


async def test_readers_do_not_wait_for_a_writer(pair: list[Database]) -> None:
    async with pair[0].begin() as connection, asyncio.timeout(TIMEOUT):
        await connection.execute(insert(organisation), row("one"))
        assert await names(pair[0]) == await names(pair[1]) == []
    assert await names(pair[1]) == ["one"]


async def test_a_step_that_fails_leaves_nothing_behind(url: str) -> None:
    database = await Database.open(url)
    async with database.begin() as connection:
        # All but the last table, which gets into the way of the first step.
        for table in "alembic_version organisation stream_tags state_changes sign_ins keys streams".split():
            await connection.execute(text(f"DROP TABLE {table}"))
    await database.close()
    message = await refusal(url)
    assert "already exists" in message
    with pytest.raises(DatabaseError):  # And not for the reason that there is half of it.
        await Database.open(url)
    assert "webhooks" in message and "organisation" not in message


async def test_tables_of_a_later_version_are_refused(url: str) -> None:
    database = await Database.open(url)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    assert "9999" in await refusal(url)


async def test_what_is_in_memory_outlives_a_call_that_is_cancelled() -> None:
    database = await Database.open("sqlite://")
    async with database.begin() as connection:
        await connection.execute(text("INSERT INTO webhooks VALUES ('id', 'url', 'secret', '[]', 1)"))

    async def ask() -> None:
        async with database.read() as connection:
            while True:
                await connection.execute(text("SELECT * FROM webhooks"))

    for _ in range(3):
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.wait([asking])
    async with database.read() as connection:
        assert len((await connection.execute(text("SELECT * FROM webhooks"))).all()) == 1
    await database.close()


async def test_in_memory_one_transaction_waits_for_another() -> None:
    database = await Database.open("sqlite://")
    async with database.begin() as connection:
        await connection.execute(insert(organisation), row("one"))
        reading = asyncio.create_task(names(database))
        await asyncio.sleep(0.01)
        assert not reading.done()
    assert await reading == ["one"]
    await database.close()


async def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "whipway.db"
    database = await Database.open(f"sqlite:///{path}")
    async with database.begin() as connection:
        await connection.execute(insert(organisation), row("one"))
        assert {file.name for file in path.parent.iterdir()} > {"whipway.db"}
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await database.close()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_file_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "whipway.db"
    path.touch(0o640)
    await (await Database.open(f"sqlite:///{path}")).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_a_file_that_somebody_writes_to_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "whipway.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        opening = asyncio.create_task(Database.open(f"sqlite:///{path}"))
        await asyncio.sleep(0.05)  # It tries several times.
        assert not opening.done()
        other.rollback()
        async with asyncio.timeout(TIMEOUT):
            database = await opening
    assert await names(database) == []
    await database.close()


async def test_a_folder_in_the_way_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "whipway.db-wal").mkdir()
    url = f"sqlite:///{tmp_path / 'whipway.db'}"
    assert await refusal(url) == f"{url}: disk I/O error"


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("foreign_keys", 1), ("busy_timeout", 10_000), ("synchronous", 1)],
)
async def test_how_a_file_is_used(tmp_path: Path, pragma: str, value: object) -> None:
    database = await Database.open(f"sqlite:///{tmp_path / 'whipway.db'}")
    async with database.read() as connection:
        assert await connection.scalar(text(f"PRAGMA {pragma}")) == value
    await database.close()


@pytest.mark.parametrize(
    "url", ["", "whipway.db", "postgresql://u:s3cret@[::1", "postgresql://u:s3cret@h:x/d"]
)
async def test_what_is_no_url(url: str) -> None:
    assert await refusal(url) == "This is not the URL of a database."


async def test_other_databases_are_refused() -> None:
    assert (await refusal("mysql://u:s3cret@h/d")).startswith("mysql: use sqlite:///FILE or postgresql://")


async def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}"
    assert await refusal(url) == f"{url}: not a file that can be read and written"


async def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "whipway.db"
    path.write_bytes(b"some text " * 100)
    assert await refusal(f"sqlite:///{path}") == f"sqlite:///{path}: file is not a database"


async def test_a_password_that_is_wrong_is_not_shown() -> None:
    cluster = running_cluster()
    message = await refusal(cluster.url("postgres", "wr0ng"))
    assert message.endswith(
        f'127.0.0.1:{cluster.port}/postgres: password authentication failed for user "whipway"'
    )
    assert "wr0ng" not in message


async def test_a_server_that_is_not_there() -> None:
    url = running_cluster().url("postgres").replace(str(running_cluster().port), "1")
    message = await refusal(url)
    assert "[Errno 111]" in message and PASSWORD not in message


@pytest.mark.parametrize(
    ("parameter", "complaint"),
    [
        ("nonsense=1", "unexpected keyword argument 'nonsense'"),
        ("ssl=nonsense", "sslmode"),
        # The server of the tests speaks no TLS.
        ("sslmode=require", "rejected SSL upgrade"),
        ("ssl=require", "rejected SSL upgrade"),
    ],
)
async def test_parameters_of_the_url(parameter: str, complaint: str) -> None:
    assert complaint in await refusal(f"{running_cluster().url('postgres')}?{parameter}")


async def test_a_connection_that_was_lost_is_made_again() -> None:
    cluster = running_cluster()
    async with cluster.database() as url:
        database = await Database.open(url)
        await cluster.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'test%'"
        )
        assert await names(database) == []
        await database.close()


async def test_a_database_that_has_gone_is_not_reachable() -> None:
    async with running_cluster().database() as url:
        database = await Database.open(url)
        await running_cluster().drop(url)
        assert not await database.is_reachable()
        await database.close()


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_file_that_was_removed_is_not_reachable(tmp_path: Path, is_replaced: bool) -> None:
    path = tmp_path / "whipway.db"
    database = await Database.open(f"sqlite:///{path}")
    assert await database.is_reachable()
    path.rename(tmp_path / "elsewhere.db")
    if is_replaced:
        path.touch()
    # What is written now would be found by nobody.
    assert not await database.is_reachable()
    await database.close()


async def test_errors_do_not_repeat_what_was_to_be_written(database: Database) -> None:
    secret = "a-name-by-which-anybody-may-publish"
    with pytest.raises(SQLAlchemyError) as caught:
        async with database.begin() as connection:
            await connection.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": secret})
    assert "nowhere" in str(caught.value) and secret not in str(caught.value)


async def test_migrations_are_not_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await (await Database.open(url)).close()
    assert [record.name for record in caplog.records] == []
