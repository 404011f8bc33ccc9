"""RFC 9725, section 4.4: what of WebRTC is used. The table is docs/rfc/9725.md."""

import re

import pytest
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient, picture
from tests.web.live_client import live
from tests.web.served import OFFER, OFFERS, Served, assert_problem, serving

from whipway.config import InputSettings, Settings

pytestmark = pytest.mark.anyio

TWO = WhipClient().offer
"""Audio and video, bundled, actpass."""


def values(sdp: str, attribute: str) -> list[str]:
    return re.findall(rf"^a={attribute}(?::(.*?))?\r?$", sdp, re.M)


def add(offer: str, line: str) -> str:
    """The offer with one more attribute in each media description."""
    return offer.replace("a=rtcp-mux\r\n", f"a=rtcp-mux\r\na={line}\r\n")


# Bundle


async def test_s4_4_1_answer_bundles_and_multiplexes(served: Served) -> None:
    answer = (await served.post(content=add(TWO, "rtcp-mux-only"))).text
    assert values(answer, "group") == ["BUNDLE audio video"]
    assert len(values(answer, "rtcp-mux")) == len(values(answer, "rtcp-mux-only")) == 2
    # One transport: the same credentials and certificate, wherever they are said.
    for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"):
        assert len({*values(answer, name)}) == 1


async def test_s4_4_1_audio_and_video_come_over_one_transport(served: Served) -> None:
    async with live(served) as client:
        client.machine.send_picture(picture(0, keyframe=True), 0.0)
        await client.sends_media()
        tracks = client.session.receiver.tracks
        await until(lambda: all(track.packets for track in tracks))
        assert len(tracks) == 2
        assert client.session.transport.remote_address == client.udp._socket.getsockname()


async def test_s4_4_1_offer_without_rtcp_mux_only_is_taken(served: Served) -> None:
    assert "rtcp-mux-only" not in OFFER
    answer = await served.post(content=OFFER)
    assert answer.status_code == 201
    assert len(values(answer.text, "rtcp-mux")) == len(values(answer.text, "rtcp-mux-only")) == 2


@pytest.mark.parametrize("line", ["a=group:BUNDLE audio video\r\n", "a=rtcp-mux\r\n"])
async def test_s4_4_1_offer_with_several_transports_is_422(served: Served, line: str) -> None:
    assert_problem(await served.post(content=TWO.replace(line, "")), 422, "unsupported_offer")
    assert served.is_empty


# One MediaStream


@pytest.mark.parametrize("kinds", [("audio",), ("video",), ("audio", "video"), ("video", "audio")])
async def test_s4_4_2_one_track_of_each_kind_is_taken(served: Served, kinds: tuple[str, ...]) -> None:
    response = await served.post(content=WhipClient(kinds=kinds).offer)
    assert response.status_code == 201
    assert tuple(re.findall(r"^m=(\w+)", response.text, re.M)) == kinds


@pytest.mark.parametrize("kind", ["audio", "video"])
async def test_s4_4_2_two_tracks_of_a_kind_are_422(kind: str) -> None:
    head, audio, video = re.split(r"(?m)^(?=m=)", TWO)
    again = (audio if kind == "audio" else video).replace(f"a=mid:{kind}", "a=mid:more")
    offer = head.replace("audio video", "audio video more") + audio + video + again
    async with serving(Settings(inputs=InputSettings(max_video=1))) as served:
        assert_problem(await served.post(content=offer), 422, "unsupported_offer")
        assert served.is_empty


async def test_s4_4_2_several_videos_are_an_extension(served: Served) -> None:
    kinds = ("audio", "video", "video2", "video3", "video4")
    response = await served.post(content=WhipClient(kinds=kinds).offer)
    assert response.status_code == 201
    assert re.findall(r"^m=(\w+) 9 ", response.text, re.M) == ["audio", *["video"] * 4]
    assert any("urn:whipway:inputs" in link for link in response.headers.get_list("link"))
    more = WhipClient(kinds=(*kinds, "video5")).offer
    refused = await served.post("stream_name=two&stream_url=rtmp://127.0.0.1/live", more)
    assert_problem(refused, 422, "unsupported_offer")


async def test_s4_4_2_no_track_is_422(served: Served) -> None:
    assert_problem(await served.post(content=TWO.replace(" 9 UDP", " 0 UDP")), 422, "unsupported_offer")


@pytest.mark.parametrize("streams", [("one", "one"), ("one", "two")])
async def test_s4_4_2_msid_is_not_looked_at(served: Served, streams: tuple[str, str]) -> None:
    # Some senders give each track a stream of its own; what they mean is one broadcast all the same.
    head, *media = re.split(r"(?m)^(?=m=)", TWO)
    named = [f"{each}a=msid:{stream} track\r\n" for each, stream in zip(media, streams, strict=True)]
    assert (await served.post(content=head + "".join(named))).status_code == 201


# No partial success


@pytest.mark.parametrize(("codec", "other"), [("H264/90000", "VP8/90000"), ("opus/48000/2", "PCMU/8000")])
async def test_s4_4_3_offer_that_fits_in_part_is_422(served: Served, codec: str, other: str) -> None:
    problem = assert_problem(await served.post(content=TWO.replace(codec, other)), 422, "unsupported_offer")
    assert other.partition("/")[0] in problem["detail"]
    assert served.is_empty


async def test_s4_4_3_no_media_description_is_answered_as_rejected(served: Served) -> None:
    for name in ("obs", "chromium", "ffmpeg", "gstreamer"):
        response = await served.post(
            f"stream_name={name}&stream_url=rtmp://127.0.0.1/live", (OFFERS / f"{name}.sdp").read_text()
        )
        assert response.status_code == 201
        assert not re.search(r"^m=\w+ 0 ", response.text, re.M)


async def test_s4_4_3_data_channel_is_rejected_and_the_rest_taken(served: Served) -> None:
    channel = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\n"
    offer = TWO.replace("BUNDLE audio video", "BUNDLE audio video data") + channel
    response = await served.post(content=offer)
    assert response.status_code == 201
    ports = re.findall(r"^m=(\w+) (\d+) ", response.text, re.M)
    assert ports == [("audio", "9"), ("video", "9"), ("application", "0")]
    # RFC 9143, section 7.3.3: what is rejected is in no group.
    assert values(response.text, "group") == ["BUNDLE audio video"]


# DTLS roles


@pytest.mark.parametrize(
    ("offered", "answered"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")]
)
async def test_s4_4_4_server_is_dtls_server_where_it_may(served: Served, offered: str, answered: str) -> None:
    async with live(served, WhipClient(setup=offered, seed=3)) as client:
        await client.sends_media()
    response = await served.post(
        "stream_name=two&stream_url=rtmp://127.0.0.1/live", WhipClient(setup=offered).offer
    )
    assert {*values(response.text, "setup")} == {answered}


async def test_s4_4_4_setup_of_neither_role_is_422(served: Served) -> None:
    offer = TWO.replace("setup:actpass", "setup:holdconn")
    assert_problem(await served.post(content=offer), 422, "unsupported_offer")


# ICE


async def test_s4_4_5_server_is_ice_lite(served: Served) -> None:
    assert values((await served.post()).text, "ice-lite") == [""]


async def test_s4_4_5_checks_of_the_client_are_enough(served: Served) -> None:
    # The peer takes responses only: a check of the server's own would break it.
    async with live(served) as client:
        await client.sends_media()
        assert (await client.status())["state"] == "live"


async def test_s4_4_5_offer_of_a_lite_agent_is_422(served: Served) -> None:
    offer = TWO.replace("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n")
    assert_problem(await served.post(content=offer), 422, "unsupported_offer")
