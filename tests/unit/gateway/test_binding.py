"""The sockets of a server: all of them, or none."""

import contextlib
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.peers.rtmp_client import HOST

from whipway.config import Settings, load_settings
from whipway.gateway.binding import Sockets, bind_all, raise_descriptor_limit
from whipway.gateway.start_error import StartError

FREE = {"http.port": "0", "media.port": "0", "rtmp.port": "0"}


def settings(**changes: str) -> Settings:
    return load_settings(flags=FREE | {key.replace("__", "."): value for key, value in changes.items()})


@contextmanager
def bound(**changes: str) -> Iterator[Sockets]:
    sockets = bind_all(settings(**changes))
    try:
        yield sockets
    finally:
        sockets.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def test_what_a_server_has_of_itself() -> None:
    with bound() as sockets:
        assert sockets.bintu is None and sockets.bintu_port == 0
        ((udp, tcp),) = sockets.media
        assert sockets.http.type == socket.SOCK_STREAM and udp.type == socket.SOCK_DGRAM
        assert sockets.rtmp is not None and tcp is not None
        ports = (sockets.http_port, sockets.media_port, sockets.rtmp_port)
        assert len({*ports}) == 3 and all(ports)
        # One port of both kinds: it is announced as one.
        assert tcp.getsockname()[1] == sockets.media_port
        assert not any(each.getblocking() for each in (udp, tcp))


def test_what_is_not_asked_for_is_not_bound() -> None:
    with bound(rtmp__enabled="false", media__tcp="false") as sockets:
        assert (sockets.rtmp, sockets.media[0].tcp, sockets.rtmp_port) == (None, None, 0)


def free_row(length: int) -> int:
    """The first of so many ports that are free."""
    for _ in range(100):
        port = free_port()
        with contextlib.ExitStack() as probes:
            try:
                for number in range(port, port + length):
                    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                        probes.enter_context(socket.socket(socket.AF_INET, kind)).bind((HOST, number))
            except (OSError, OverflowError):
                continue
            return port
    raise AssertionError("no ports in a row")


def test_each_worker_has_the_next_port() -> None:
    port = free_row(3)
    sockets = bind_all(settings(media__port=str(port)), 3)
    try:
        assert [pair.port for pair in sockets.media] == [port, port + 1, port + 2]
        assert all(pair.tcp is not None and pair.tcp.getsockname()[1] == pair.port for pair in sockets.media)
    finally:
        sockets.close()


def test_each_worker_has_a_free_port_of_its_own() -> None:
    sockets = bind_all(settings(), 2)
    try:
        assert len({pair.port for pair in sockets.media}) == 2 and all(pair.port for pair in sockets.media)
    finally:
        sockets.close()


def test_there_is_no_port_behind_the_last_one() -> None:
    with pytest.raises(StartError, match="media.port: cannot listen on 127.0.0.1:6553[56]"):
        bind_all(settings(media__port="65535"), 2)


def test_the_listener_of_the_bintu_api() -> None:
    port = free_port()
    with bound(bintu__port=str(port)) as sockets:
        assert sockets.bintu is not None and sockets.bintu_port == port
        assert sockets.bintu.getsockname() == (HOST, port)


def test_closing_gives_everything_back_and_may_be_done_twice() -> None:
    sockets = bind_all(settings(bintu__port=str(free_port())))
    sockets.close()
    sockets.close()
    every = (sockets.http, sockets.bintu, sockets.rtmp, *sockets.media[0])
    assert all(sock is not None and sock.fileno() == -1 for sock in every)


@pytest.mark.parametrize("key", ["http.port", "bintu.port", "media.port", "rtmp.port"])
def test_one_that_is_taken_gives_back_the_others(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    class Noted(socket.socket):
        def __init__(self, *args: object, **more: object) -> None:
            super().__init__(*args, **more)  # type: ignore[arg-type]
            made.append(self)

    ports = {name: str(free_port()) for name in ("http.port", "bintu.port", "media.port", "rtmp.port")}
    kind = socket.SOCK_DGRAM if key == "media.port" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((HOST, int(ports[key])))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        with monkeypatch.context() as noting, pytest.raises(StartError) as caught:
            noting.setattr(socket, "socket", Noted)
            bind_all(load_settings(flags=ports))
    assert str(caught.value) == f"{key}: cannot listen on {HOST}:{ports[key]}: Address already in use"
    assert made and all(sock.fileno() == -1 for sock in made)


@pytest.mark.parametrize("host", ["a..b", "192.0.2.1", "nowhere.invalid"])
def test_hosts_that_are_not_here(host: str) -> None:
    with pytest.raises(StartError) as caught:
        bind_all(settings(bintu__host=host, bintu__port="9"))
    assert str(caught.value).startswith(f"bintu.port: cannot listen on {host}:9: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [ValueError, OSError, None])
def test_the_descriptor_limit(monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None) -> None:
    limits = {"now": (256, 4096)}

    def set_limit(_: int, limit: tuple[int, int]) -> None:
        if error is not None:
            raise error
        limits["now"] = limit

    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    raise_descriptor_limit()
    assert limits["now"] == ((4096, 4096) if error is None else (256, 4096))
