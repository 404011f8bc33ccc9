import socket
from collections.abc import Iterator

import pytest
from tests.peers.waiting import until

from whipway.worker import tcp_progress
from whipway.worker.tcp_progress import (
    FAREWELL_TIMEOUT,
    NOT_SENT_BYTES,
    acknowledged_bytes,
    limit_farewell,
    not_sent_bytes,
    queued_bytes,
    reset_on_close,
    tune,
)

on_linux = pytest.mark.skipif(not tcp_progress.IS_KNOWN, reason="only Linux tells")
pytestmark = pytest.mark.anyio


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection; the second one's buffer is small."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        with ours, theirs:
            ours.setblocking(False)
            yield ours, theirs


def fill(sock: socket.socket) -> int:
    """Write until the kernel takes no more; the bytes that it took."""
    count = 0
    while True:
        try:
            count += sock.send(bytes(16384))
        except BlockingIOError:
            return count


@on_linux
async def test_what_the_peer_has_is_acknowledged(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    before = acknowledged_bytes(ours)
    assert before is not None
    assert queued_bytes(ours) == 0
    ours.send(bytes(1000))
    assert theirs.recv(2000) == bytes(1000)
    await until(lambda: acknowledged_bytes(ours) == before + 1000)
    assert queued_bytes(ours) == 0


@on_linux
async def test_what_a_peer_does_not_read_is_not_acknowledged(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    before = acknowledged_bytes(ours) or 0
    taken = fill(ours)
    await until(lambda: (acknowledged_bytes(ours) or 0) > before)
    acknowledged = (acknowledged_bytes(ours) or 0) - before
    assert acknowledged < taken
    assert queued_bytes(ours) == taken - acknowledged
    assert 0 < not_sent_bytes(ours) <= queued_bytes(ours)
    # It goes on when the peer does.
    theirs.settimeout(0.2)
    while acknowledged < taken:
        theirs.recv(65536)
        acknowledged = (acknowledged_bytes(ours) or 0) - before


async def test_a_tuned_socket_holds_little(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    loose = fill(ours)
    tune(ours)
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == NOT_SENT_BYTES
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            with socket.socket() as tuned:
                tune(tuned)
                tuned.connect(listener.getsockname())
                tuned.setblocking(False)
                assert fill(tuned) < min(loose, 3 * NOT_SENT_BYTES)


def test_systems_without_the_option(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "TCP_NOTSENT_LOWAT", raising=False)
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    tune(pair[0])
    limit_farewell(pair[0])
    assert pair[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="unknown to this system")
def test_only_the_farewell_is_limited(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    tune(ours)
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
    limit_farewell(ours)
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == FAREWELL_TIMEOUT == 20_000


def test_systems_that_do_not_tell(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_progress, "IS_KNOWN", False)
    ours, _ = pair
    ours.send(bytes(1000))
    assert acknowledged_bytes(ours) is None
    assert queued_bytes(ours) == 0


@on_linux
def test_a_kernel_that_tells_less(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_progress, "_INFO_BYTES", 1024)
    assert acknowledged_bytes(pair[0]) is None


def test_a_reset_comes_before_what_waits(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    fill(ours)
    reset_on_close(ours)
    ours.close()
    with pytest.raises(ConnectionResetError):
        while theirs.recv(65536):
            pass


def test_a_closed_socket(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    ours.close()
    reset_on_close(ours)
    limit_farewell(ours)
    assert acknowledged_bytes(ours) is None
    assert queued_bytes(ours) == 0


def test_a_socket_that_is_no_connection() -> None:
    with socket.socket(socket.AF_UNIX) as other:
        assert acknowledged_bytes(other) is None
