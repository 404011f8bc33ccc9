"""`whipway keys`, run right here on a database of its own."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import Result
from tests.peers.databases import database_url, databases
from tests.unit.streams.access.key_parts import START
from typer.testing import CliRunner

from whipway.cli import key_commands
from whipway.cli.options import EXIT_BAD_CONFIGURATION, EXIT_FAILED
from whipway.streams.access.keys import KeyRing, looks_like_key
from whipway.streams.records import KeyRecord, Role, StreamRecord, StreamState, utc_now
from whipway.streams.store.database import Database
from whipway.streams.store.key_rows import KeyStore
from whipway.streams.store.stream_rows import StreamStore

T = TypeVar("T")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHIPWAY_DATABASE__URL", raising=False)


@pytest.fixture(params=databases())
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with nothing in it."""
    place = database_url(request.param)
    with asyncio.Runner() as runner:
        yield runner.run(place.__aenter__())
        runner.run(place.__aexit__(None, None, None))


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A database that is not there yet, for what is the same on each kind."""
    return f"sqlite:///{tmp_path}/whipway.db"


def run(url: str, *args: str) -> Result:
    """Run a command of `whipway keys` to its end."""
    command, *rest = args
    return CliRunner().invoke(key_commands.keys, [command, "--set", f"database.url={url}", *rest])


def inside(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something to the database, as a server would."""

    async def done() -> T:
        database = await Database.open(url)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(done())


def created(result: Result) -> tuple[str, str]:
    """The key and its id, as they were printed."""
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert first.startswith("Key: ") and second.startswith("Id:  ")
    return first[5:], second[5:]


def listed(url: str) -> list[dict[str, Any]]:
    result = run(url, "list", "--json")
    assert result.exit_code == 0, result.output
    document: list[dict[str, Any]] = json.loads(result.stdout)
    return document


def refusal(result: Result, status: int = EXIT_FAILED) -> str:
    """The one line that says why not."""
    assert (result.exit_code, result.stdout) == (status, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("whipway: ")
    return line.removeprefix("whipway: ")


def test_a_key_from_its_making_to_its_end(url: str) -> None:
    key, id = created(run(url, "create", "--role", "user", "--name", "Ada", "--expires", "12h"))
    assert looks_like_key(key)

    async def find(database: Database) -> KeyRecord | None:
        return await KeyRing(KeyStore(database)).find(key)

    record = inside(url, find)
    assert record is not None
    assert (record.id, record.name, record.role) == (id, "Ada", Role.USER)
    assert record.expires_at is not None
    assert record.expires_at - record.created_at == timedelta(hours=12)

    (document,) = listed(url)
    assert (document["id"], document["role"], document["revoked_at"]) == (id, "user", None)
    assert key not in json.dumps(document)
    assert run(url, "revoke", id).exit_code == 0
    assert inside(url, find) is None
    assert listed(url)[0]["revoked_at"] is not None
    assert "revoked before" in refusal(run(url, "revoke", id))


def test_a_publishers_key(url: str) -> None:
    stream = StreamRecord("0" * 36, "one", StreamState.CREATED, (), True, START, START)
    inside(url, lambda database: StreamStore(database).add(stream))
    created(run(url, "create", "--role", "publisher", "--stream", "one"))
    (document,) = listed(url)
    assert (document["stream_id"], document["name"]) == (stream.id, "publisher")
    assert "'two'" in refusal(run(url, "create", "--role", "publisher", "--stream", "two"))


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2_592_000), ("12h", 43_200), ("90m", 5400)])
def test_lifetimes(file: str, text: str, seconds: int) -> None:
    created(run(file, "create", "--role", "admin", "--expires", text))

    async def lifetime(database: Database) -> float:
        (key,) = await KeyStore(database).list()
        assert key.expires_at is not None
        return (key.expires_at - key.created_at).total_seconds()

    assert inside(file, lifetime) == seconds


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["--role", "user", "--expires", "soon"], EXIT_BAD_CONFIGURATION, "--expires: a number"),
        (["--role", "user", "--expires", "1.5h"], EXIT_BAD_CONFIGURATION, "--expires: a number"),
        (["--role", "user", "--expires", "0m"], EXIT_FAILED, "expires_in: more than 0"),
        (["--role", "user", "--expires", "999999d"], EXIT_FAILED, "at most 3660 days"),
        (["--role", "user", "--name", "a\nb"], EXIT_FAILED, "name: "),
        (["--role", "publisher"], EXIT_BAD_CONFIGURATION, "--stream: "),
        (["--role", "user", "--stream", "one"], EXIT_BAD_CONFIGURATION, "--stream: "),
    ],
)
def test_what_is_refused(file: str, args: list[str], status: int, words: str) -> None:
    assert words in refusal(run(file, "create", *args), status)
    assert listed(file) == []


def test_no_text_at_all(file: str) -> None:
    """Arguments are bytes, of which Python makes halves of characters where they are not UTF-8."""
    assert "no stream" in refusal(run(file, "create", "--role", "publisher", "--stream", "\udcff"))
    assert "name: " in refusal(run(file, "create", "--role", "user", "--name", "\udcff"))
    assert "no such key" in refusal(run(file, "revoke", "\udcff"))


def test_a_role_is_one_of_these(file: str) -> None:
    result = run(file, "create", "--role", "root")
    assert result.exit_code == 2 and "read-only" in result.stderr


def test_the_list_for_people(file: str) -> None:
    assert run(file, "list").stdout.split() == [*" ".join(key_commands.HEADINGS).split()]
    made = {
        name: created(run(file, "create", "--role", "user", "--name", name))[1] for name in ("a b", "Zoë")
    }
    assert run(file, "revoke", made["a b"]).exit_code == 0
    expired = KeyRecord("old", "late", Role.READ_ONLY, START, utc_now() - timedelta(hours=1), used_at=START)
    inside(file, lambda database: KeyStore(database).add(expired, "d" * 64))
    lines = run(file, "list").stdout.splitlines()
    rows = {line.split()[0]: line for line in lines}
    assert {id: row.split()[2] for id, row in rows.items()} == {
        "ID": "STATE",
        made["a b"]: "revoked",
        made["Zoë"]: "good",
        "old": "expired",
    }
    assert rows["old"].split()[1:5] == ["read-only", "expired", "2026-03-01", "12:00Z"]
    # In columns; the name, which may hold anything, is the last.
    assert {line.index(name) for line, name in zip(lines, ("NAME", "Zoë", "a b", "late"), strict=True)} == {
        lines[0].index("NAME")
    }


def test_settings_are_read_as_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "whipway.toml"
    config.write_text(f'[database]\nurl = "sqlite:///{tmp_path}/file.db"\n')
    runner = CliRunner()
    assert runner.invoke(key_commands.keys, ["list", "-c", str(config)]).exit_code == 0
    monkeypatch.setenv("WHIPWAY_DATABASE__URL", f"sqlite:///{tmp_path}/environment.db")
    assert runner.invoke(key_commands.keys, ["list", "-c", str(config)]).exit_code == 0
    assert {path.name for path in tmp_path.glob("*.db")} == {"file.db", "environment.db"}


def test_bad_settings() -> None:
    runner = CliRunner()
    result = runner.invoke(key_commands.keys, ["list", "-s", "database.url:sqlite:///secret"])
    assert refusal(result, EXIT_BAD_CONFIGURATION) == "--set database.url: write KEY=VALUE"
    result = runner.invoke(key_commands.keys, ["list", "-s", "database.urls=x"])
    assert "database.url" in refusal(result, EXIT_BAD_CONFIGURATION)


def test_no_database(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refusal(run(f"sqlite:///{tmp_path}/file/whipway.db", "list"))
    assert line.startswith("database.url: ")
    line = refusal(run("postgresql://me:s3cret@127.0.0.1:1/whipway", "list"))
    assert line.startswith("database.url: ") and "s3cret" not in line


def test_a_database_that_fails(file: str) -> None:
    async def break_it(database: Database) -> None:
        async with database.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE keys RENAME TO gone")

    inside(file, break_it)
    assert refusal(run(file, "list")) == "the database does not do what it should: OperationalError"
