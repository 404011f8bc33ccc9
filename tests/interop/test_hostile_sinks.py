"""RTMP servers that stall, reset, flood and show bad certificates, beside one that does its work.

What the others do must not reach the good one: it gets every picture. And the truth is told about each.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.interop.processes import wait_until
from tests.interop.steady_publisher import RATE, SteadyPublisher, publishing
from tests.interop.threaded_rtmp import serving
from tests.peers.certificates import Authority, write_certificate
from tests.peers.hostile_rtmp import SMALL_BUFFER, FloodsPings, Refuses, ResetsInChunk, StopsReading
from tests.peers.rtmp_server import Listener, RtmpServer
from tools.server import RunningServer

pytestmark = pytest.mark.interop

STALL_TIMEOUT = 10.0
FRAME_HEAD_BYTES = 5


@contextmanager
def beside_a_good_one(server: RunningServer, other: Listener, **parameters: str) -> Iterator[SteadyPublisher]:
    """Publish to a good server and add another; at the end, the good one has every picture."""
    with serving() as good, publishing(server.whip_url("one", url_of(good))) as publisher:
        publisher.wait_for_sink("publishing")
        assert publisher.add_sink("two", url_of(other), **parameters).status == 201
        yield publisher
        sink = publisher.sink()
        sent = [body for body in publisher.sent[:-RATE] if body]
        wait_until(lambda: len(pictures_of(good)) >= len(sent), 5, "all pictures")
        assert [body for body in sent if body not in set(pictures_of(good))] == []
        assert (sink["state"], sink["frames_dropped"], sink["reconnects"]) == ("publishing", 0, 0)
        assert publisher.status()["state"] == "live"


def url_of(listener: Listener, scheme: str = "rtmp", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{listener.port}/live"


def pictures_of(listener: Listener) -> list[bytes]:
    connection = listener.protocol
    assert connection is not None
    return [body[FRAME_HEAD_BYTES:] for body in connection.payloads if body[:2] in (b"\x17\x01", b"\x27\x01")]


def test_server_that_stops_reading(server: RunningServer) -> None:
    with serving(StopsReading, receive_buffer=SMALL_BUFFER) as other:
        with beside_a_good_one(server, other) as publisher:
            publisher.wait_for_sink("publishing", 1)
            wait_until(lambda: publisher.sink(1)["since_progress"] > STALL_TIMEOUT / 2, 20, "silence")
            stuck = publisher.sink(1)
            publisher.wait_for_sink("retrying", 1)
            given_up = publisher.sink(1)
        assert len(other.connections) <= 2
    # While nobody takes anything, pictures are left out, and it is said.
    assert stuck["state"] == "publishing"
    assert 0 < stuck["queue_ms"] <= STALL_TIMEOUT * 1000
    assert stuck["frames_dropped"] > 0
    assert given_up["reason"] == "stalled"
    assert given_up["detail"]
    assert STALL_TIMEOUT <= given_up["since_progress"] < STALL_TIMEOUT + 3


def test_server_that_resets_in_the_middle_of_a_chunk(server: RunningServer) -> None:
    with serving(ResetsInChunk) as other, beside_a_good_one(server, other) as publisher:
        wait_until(lambda: len(other.connections) >= 3, 30, "three connections")
        sink = publisher.sink(1)
    assert sink["reason"] in ("connection_lost", None)
    assert sink["attempt"] >= 1


@pytest.mark.parametrize(
    ("make", "reason"), [(FloodsPings, "too_slow"), (Refuses, "bad_name")], ids=["floods", "refuses"]
)
def test_server_that_will_not(server: RunningServer, make: Callable[[], RtmpServer], reason: str) -> None:
    with serving(make, receive_buffer=SMALL_BUFFER) as other:
        with beside_a_good_one(server, other) as publisher:
            wait_until(lambda: publisher.sink(1)["reason"] == reason, 20, reason)
            sink = publisher.sink(1)
            publisher.send_for(3)
        # Nobody is hammered.
        assert len(other.connections) <= 5
    assert sink["state"] == "retrying"
    assert sink["detail"]


def test_server_that_has_ipv6_only() -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")
    with (
        RunningServer(egress__allow="::1") as server,
        serving(host="::1") as target,
        publishing(server.whip_url("one", url_of(target, host="[::1]"))) as publisher,
    ):
        publisher.wait_for_sink("publishing")
        assert publisher.sink()["stream_url"] == url_of(target, host="[::1]")


class TestTls:
    """`rtmps://`, with certificates of an authority that the server's machine trusts, and without."""

    @pytest.fixture
    def authority(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
        authority = Authority(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
        return authority

    def told(self, tls: ssl.SSLContext, **settings: str) -> tuple[str, str | None, str]:
        """State, reason and detail of a sink whose server shows a certificate."""
        with (
            RunningServer(**settings) as server,
            serving(tls=tls) as target,
            publishing(server.whip_url("one", url_of(target, "rtmps"))) as publisher,
        ):
            wait_until(lambda: publisher.sink()["state"] != "connecting", 20, "an outcome")
            sink = publisher.sink()
        return sink["state"], sink["reason"], sink["detail"]

    def test_good_certificate(self, authority: Authority) -> None:
        assert self.told(authority.issue().server_context()) == ("publishing", None, "")

    @pytest.mark.usefixtures("authority")
    def test_self_signed_certificate(self, tmp_path: Path) -> None:
        state, reason, detail = self.told(write_certificate(tmp_path).server_context())
        assert (state, reason) == ("retrying", "tls")
        assert "self-signed certificate" in detail.replace("self signed", "self-signed")

    def test_certificate_of_another_host(self, authority: Authority) -> None:
        state, reason, detail = self.told(authority.issue(hosts=["other.example"]).server_context())
        assert (state, reason) == ("retrying", "tls")
        assert "127.0.0.1" in detail

    @pytest.mark.usefixtures("authority")
    def test_insecure_on_request(self, tmp_path: Path) -> None:
        tls = write_certificate(tmp_path).server_context()
        assert self.told(tls, sink__insecure_tls="127.0.0.1") == ("publishing", None, "")
