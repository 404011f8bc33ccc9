"""How many workers there are, and what each is told."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.peers.rtmp_client import HOST

from whipway.config import Settings, load_settings
from whipway.gateway import media_workers
from whipway.gateway.binding import bind_all
from whipway.gateway.media_workers import Media, count_workers, make_media
from whipway.gateway.parts import make_sink_tls
from whipway.pool.members import LocalMember
from whipway.pool.process_member import ProcessMember
from whipway.worker.setup import WorkerSetup, parse_setup

pytestmark = pytest.mark.anyio


def settings(**changes: str) -> Settings:
    flags = {"http.port": "0", "media.port": "0", "rtmp.port": "0"}
    return load_settings(flags=flags | {key.replace("__", "."): value for key, value in changes.items()})


@pytest.mark.parametrize(
    ("quota", "cores", "expected"),
    [
        (None, 4, 4),
        ("max 100000", 4, 4),
        ("250000 100000", 4, 2),
        ("50000 100000", 4, 1),
        ("900000 100000", 4, 4),
        ("nonsense", 3, 3),
    ],
)
def test_one_for_each_core_that_may_be_used(
    quota: str | None, cores: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpu.max"
    if quota is not None:
        file.write_text(quota + "\n")
    monkeypatch.setattr(media_workers, "CPU_QUOTA", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert count_workers(settings()) == expected
    assert count_workers(settings(workers="3")) == 3
    assert count_workers(settings(workers="0")) == 0


@asynccontextmanager
async def made(given: Settings, count: int) -> AsyncIterator[tuple[Media, list[int]]]:
    sockets = bind_all(given, count)
    try:
        media = make_media(given, sockets, make_sink_tls(given))
        yield media, [pair.port for pair in sockets.media]
        await media.workers.stop()
    finally:
        sockets.close()


async def test_without_processes_there_is_one_worker_here() -> None:
    async with made(settings(workers="0"), 1) as (media, ports):
        (member,) = media.workers.members
        assert isinstance(member, LocalMember) and member.port == ports[0]
        assert member.worker._sinks is media.sinks


async def test_what_each_process_is_told() -> None:
    given = settings(
        workers="2", media__public_addresses="203.0.113.5", media__public_port="9000", log__level="error"
    )
    async with made(given, 2) as (media, ports):
        setups: list[WorkerSetup] = []
        for member in media.workers.members:
            assert isinstance(member, ProcessMember)
            setups.append(parse_setup(member._setup.serialize()))
        assert [member.port for member in media.workers.members] == ports
        assert [setup.number for setup in setups] == [0, 1]
        assert [setup.announced for setup in setups] == [[("203.0.113.5", 9000)], [("203.0.113.5", 9001)]]
        assert len({setup.udp for setup in setups} | {setup.tcp for setup in setups}) == 4
        assert {setup.sinks.own_pass for setup in setups} == {media.own_pass}
        assert {setup.log_level for setup in setups} == {"error"}


async def test_without_tcp_and_without_an_origin() -> None:
    given = settings(workers="1", media__tcp="false", rtmp__enabled="false")
    async with made(given, 1) as (media, ports):
        (member,) = media.workers.members
        assert isinstance(member, ProcessMember)
        setup = member._setup
        assert (setup.tcp, setup.announced, setup.sinks.egress_own) == (-1, [(HOST, ports[0])], [])
