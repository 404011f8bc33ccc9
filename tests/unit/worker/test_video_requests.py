"""Control of what is on air, on real sockets: a client of two inputs, an RTMP server, a player."""

import base64

import pytest
from tests.peers import h264
from tests.peers.udp_client import UdpClient
from tests.peers.waiting import until
from tests.peers.whip_client import WhipClient
from tests.unit.relay.tagging import sets_of, without_sets
from tests.unit.worker.serving import Served

from whipway.media import flv
from whipway.protocol.rtcp.feedback import PictureLossIndication
from whipway.session.session import Timeouts
from whipway.worker.messages import (
    GetKeyframe,
    InputSelected,
    KeyframePicture,
    KeyframeRequested,
    QualitySet,
    RequestKeyframe,
    SelectInput,
    SessionCreated,
    SetQuality,
    UnknownInput,
    UnknownLayer,
    UnknownSession,
)
from whipway.worker.rules import SessionRules

pytestmark = pytest.mark.anyio

TWO_INPUTS = ("audio", "video", "video2")


@pytest.fixture(scope="module")
def small() -> list[list[bytes]]:
    return h264.encode(160, 96, 8, x264_params="keyint=60")


@pytest.fixture(scope="module")
def large() -> list[list[bytes]]:
    return h264.encode(320, 192, 8, x264_params="keyint=60")


async def two_inputs(served: Served, **target: str) -> UdpClient:
    client = await served.client("one", WhipClient(kinds=TWO_INPUTS, remb=True), **target)
    await client.connected()
    await until(lambda: "live/one" in served.origin.streams)
    return client


def show(client: UdpClient, pictures: list[list[bytes]], start: float, mid: str = "video") -> None:
    for number, nals in enumerate(pictures):
        client.machine.send_picture(nals, start + number / 30, mid)
    client.flush()


def inputs(served: Served) -> dict[str, dict[str, object]]:
    return {one["mid"]: one for one in served.describe()["inputs"]}  # type: ignore[attr-defined]


def keyframe_requests(client: UdpClient, mid: str) -> int:
    ssrc = client.machine.sources[mid].ssrc
    packets = [packet for _, packet in client.machine.received]
    return sum(isinstance(one, PictureLossIndication) and one.media_ssrc == ssrc for one in packets)


async def test_another_input_is_put_on_air(served: Served, small, large) -> None:
    client = await two_inputs(served)
    player = await served.player()
    show(client, small, 0.0)
    show(client, large, 0.0, "video2")
    await until(lambda: inputs(served)["video2"]["size"] == [320, 192])
    assert (inputs(served)["video"]["on_air"], inputs(served)["video2"]["on_air"]) == (True, False)
    assert served.worker.handle(SelectInput("one", "video2")) == InputSelected("one")
    assert served.describe()["input"] == {
        "on_air": "video",
        "wanted": "video2",
        "layer": "auto",
        "layer_on_air": None,
    }
    await until(lambda: keyframe_requests(client, "video2"))
    show(client, small[1:3], 0.3)  # On air until the other is there.
    show(client, large, 0.4, "video2")
    show(client, small[3:], 0.5)  # Not any more.
    pictures = small + small[1:3] + large
    last = flv.avc_frame(pictures[-1], keyframe=False)
    await until(lambda: last in player.bodies)
    video = [body for body in player.bodies if body[:1] in b"\x17\x27"]
    headers = [body for body in video if flv.read_video(body).part is flv.Part.HEADER]
    assert len(headers) == 2 and headers[0] != headers[1]
    assert [body for body in video if body not in headers] == [
        flv.avc_frame(nals, keyframe=index in (0, len(small) + 2)) for index, nals in enumerate(pictures)
    ]
    assert served.describe()["input"]["on_air"] == "video2"  # type: ignore[index]
    assert served.sinks()["1"]["reconnects"] == 0


async def test_the_first_input_begins_with_the_parameter_sets_of_its_own_offer(
    served: Served, small, large
) -> None:
    """Not with those of another input, which are in no packet either."""
    machine = WhipClient(kinds=TWO_INPUTS)
    sections = machine.offer.split("profile-level-id=42e01f")
    offered = [b",".join(map(base64.b64encode, sets_of(nals[0]))).decode() for nals in (small, large)]
    hints = [f"profile-level-id=42e01f;sprop-parameter-sets={sets}" for sets in offered]
    created = served.create("one", "".join((sections[0], hints[0], sections[1], hints[1], sections[2])))
    assert isinstance(created, SessionCreated)
    client = UdpClient.start(machine, created.answer)
    served.clients.append(client)
    await client.connected()
    for mid, pictures, size in (("video", small, [160, 96]), ("video2", large, [320, 192])):
        assert served.worker.handle(SelectInput("one", mid)) == InputSelected("one")
        show(client, [without_sets(nals) for nals in pictures], 0.0, mid)
        await until(lambda size=size: [*(served.describe()["size"] or ())] == size)


async def test_an_input_that_there_is_not(served: Served) -> None:
    await two_inputs(served)
    for request in (SelectInput("one", "video3"), GetKeyframe("one", "audio")):
        assert served.worker.handle(request) == UnknownInput("one", request.mid)


async def test_a_picture_of_each_input(served: Served, small, large) -> None:
    client = await two_inputs(served)
    assert served.worker.handle(GetKeyframe("one", "video2")) == KeyframePicture("one", "video2", "")
    show(client, small, 0.0)
    show(client, large, 0.0, "video2")
    await until(lambda: all(one["has_picture"] for one in inputs(served).values()))
    for mid, pictures in (("video", small), ("video2", large)):
        reply = served.worker.handle(GetKeyframe("one", mid))
        assert isinstance(reply, KeyframePicture)
        assert set(h264.annexb_split(base64.b64decode(reply.picture))) >= set(pictures[0][-1:])


async def test_quality_is_asked_for(served: Served, small) -> None:
    client = await two_inputs(served)
    show(client, small, 0.0)
    values = {"max_video_bitrate": 800_000, "layer": "auto", "policy": "off"}
    assert served.worker.handle(SetQuality("one", values)) == QualitySet("one")
    quality = served.describe()["quality"]
    assert quality["asked"] == values  # type: ignore[index]
    assert (quality["cap"], quality["limited_by"], quality["is_heard"]) == (800_000, "api", True)  # type: ignore[index]
    for change in ({"max_video_bitrate": None}, {"layer": "auto"}):
        assert served.worker.handle(SetQuality("one", change)) == QualitySet("one")
    quality = served.describe()["quality"]
    assert quality["asked"] == values | {"max_video_bitrate": None}  # type: ignore[index]
    assert (quality["cap"], quality["limited_by"]) == (None, None)  # type: ignore[index]


async def test_a_layer_that_there_is_not_changes_nothing(served: Served) -> None:
    await two_inputs(served)
    values = {"max_video_bitrate": 800_000, "layer": "h"}
    assert served.worker.handle(SetQuality("one", values)) == UnknownLayer("one", "h")
    assert served.describe()["quality"]["cap"] is None  # type: ignore[index]


async def test_a_keyframe_is_requested(served: Served, small) -> None:
    client = await two_inputs(served)
    show(client, small, 0.0)
    await until(lambda: served.sinks()["1"]["frames"] == len(small))
    before = keyframe_requests(client, "video")
    assert served.worker.handle(RequestKeyframe("one")) == KeyframeRequested("one")
    show(client, small[1:], 1.0)
    await until(lambda: keyframe_requests(client, "video") > before)


async def test_a_session_that_there_is_not(served: Served) -> None:
    requests = (
        SelectInput("no", "video"),
        SetQuality("no", {}),
        RequestKeyframe("no"),
        GetKeyframe("no", "video"),
    )
    assert {served.worker.handle(request) for request in requests} == {UnknownSession("no")}


async def test_a_picture_that_stays_away_is_filled_for_who_wants_it(served: Served, small) -> None:
    served.worker._rules = SessionRules(Timeouts(video=0.3), max_video=4)
    client = await two_inputs(served, filler="freeze")
    served.add_sink("one", "plain")
    player = await served.player()
    show(client, small, 0.0)
    await until(lambda: served.describe()["video"] == "muted")
    keyframe = flv.avc_frame(small[0], keyframe=True)
    await until(lambda: player.bodies.count(keyframe) >= 3, 10.0)
    assert served.sinks()["1"]["filler"] == "freeze"
    assert (served.sinks()["2"]["filler"], served.sinks()["2"]["frames"]) == ("none", len(small))
    show(client, small[1:], 5.0)  # It goes on with a key frame, and not before.
    show(client, small, 6.0)
    await until(lambda: served.sinks()["2"]["frames"] == 2 * len(small))
    assert served.describe()["video"] == "live"


async def test_watchers_are_told_when_the_sound_is_muted_and_comes_again(served: Served) -> None:
    served.worker._rules = SessionRules(Timeouts(video=0.3), max_video=4)
    client = await served.live()
    await until(lambda: served.describe()["audio"] == "waiting")
    for number, state in enumerate(("live", "muted", "live")):
        served.events.clear()
        if state == "live":
            client.machine.send("audio", b"\xfc\xff\xfe", float(number))
            client.flush()
        await until(lambda: "one" in served.changed())
        assert served.describe()["audio"] == state
