"""The whole of what is seen from outside."""

import json

import pytest
from tests.network.virtual import Show, make_network
from tests.peers.whip_client import WhipClient

from whipway.session.events import EndReason
from whipway.session.snapshot import describe_session


def test_before_the_client_came():
    session = make_network().session
    snapshot = describe_session(session, 0.0)
    assert (snapshot["state"], snapshot["reason"], snapshot["detail"]) == ("connecting", None, None)
    assert snapshot["drops"] == {}
    assert snapshot["ice"]["path"] is None
    assert [track["packets"] for track in snapshot["tracks"]] == [0, 0]


def test_a_stream_and_its_end():
    network = make_network()
    network.run(0.5)
    Show(network).play(1.0)
    network.inject(b"\xff\xff")
    network.inject(b"\x80\x66" + bytes(60))
    network.session.end(EndReason.DELETED, "by request")
    client, report = network.client, network.session.report
    assert describe_session(network.session, network.now) == {
        "state": "ended",
        "reason": "deleted",
        "detail": "by request",
        "round_trip_ms": 40.0,
        "ice": {"generation": 0, "candidates": 0, "candidates_discarded": 0, "path": "udp"},
        "video": "live",
        "audio": "live",
        "input": {"on_air": "video", "wanted": None, "layer": "auto", "layer_on_air": None},
        "inputs": network.session.inputs.describe(network.now, report.bitrate, report.fps),
        "warnings": [],
        "tracks": [
            {
                "mid": "audio",
                "rid": None,
                "kind": "audio",
                "ssrc": client.sources["audio"].ssrc,
                "packets": 50,
                "bytes": client.sources["audio"].octets,
                "lost": 0,
                "repaired": 0,
                "waiting": 0,
                "loss": 0.0,
                "frames": 50,
            },
            {
                "mid": "video",
                "rid": None,
                "kind": "video",
                "ssrc": client.sources["video"].ssrc,
                "packets": client.sources["video"].packets,
                "bytes": client.sources["video"].octets,
                "lost": 0,
                "repaired": 0,
                "waiting": 0,
                "loss": 0.0,
                "frames": 30,
                "keyframes": 1,
                "keyframe_interval": 0.0,
                "keyframe_requests": 1,
            },
        ],
        "drops": {"srtp_authentication": 1, "unknown_datagram": 1},
    }


@pytest.mark.parametrize(
    ("kinds", "states"),
    [
        (("audio",), ("none", "live")),
        (("video",), ("live", "none")),
        (("audio", "video"), ("live", "live")),
    ],
)
def test_what_comes_and_what_does_not(kinds: tuple[str, ...], states: tuple[str, str]):
    network = make_network(WhipClient(kinds=kinds))
    snapshot = describe_session(network.session, network.now)
    waiting = tuple("none" if state == "none" else "waiting" for state in states)
    assert (snapshot["video"], snapshot["audio"]) == waiting
    network.run(0.5)
    Show(network).play(1.0)
    snapshot = describe_session(network.session, network.now)
    assert (snapshot["video"], snapshot["audio"]) == states
    network.run(2.0)
    snapshot = describe_session(network.session, network.now)
    assert (snapshot["video"], snapshot["audio"]) == tuple(
        "none" if state == "none" else "muted" for state in states
    )


def test_a_restart_by_tcp():
    network = make_network()
    client = network.client
    network.session.ice.update(
        client.restart("1 1 udp 1 192.0.2.7 9 typ host", "1 1 udp 1 a.local 9 typ host"), ["*"]
    )
    network.inject(client.stun(), ("192.0.2.7", 40_000, 3))
    assert describe_session(network.session, network.now)["ice"] == {
        "generation": 1,
        "candidates": 1,
        "candidates_discarded": 1,
        "path": "tcp",
    }


def test_it_is_plain_data_without_secrets_or_addresses():
    network = make_network()
    network.run(0.5)
    text = json.dumps(describe_session(network.session, network.now))
    for secret in (network.client.pwd, network.client.ufrag, network.client.address[0]):
        assert secret not in text
