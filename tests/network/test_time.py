"""Times over a network: the skew between sound and picture, from RTP timestamps to RTMP tags.

Frames are few, so that minutes go by in a moment. In every test both RTP timestamps wrap within
the first 20 s.
"""

from collections.abc import Callable, Iterable
from itertools import pairwise
from random import Random

import pytest
from tests.network.virtual import Network, Path, Show, is_media, make_network
from tests.peers.whip_client import WALLCLOCK, WhipClient, picture, sound

from whipway.media.transcoder import Transcoder
from whipway.media.unit import AccessUnit, AudioFrame
from whipway.protocol.rtcp.packets import SenderReport, seconds_to_ntp
from whipway.protocol.rtp.packet import serialize_packet
from whipway.relay.muxer import AUDIO_WAIT_US, Muxer
from whipway.relay.tags import AudioCodec, AudioFormat, Tag, TagKind

LIPS_US = 40_000
"""What nobody sees."""
JITTER = Path(jitter=0.04)

Report = Callable[[WhipClient, float], object]


def no_report(client: WhipClient, at: float) -> None:
    """A sender without RTCP."""


def connect(path: Path | None = None, *, audio_ppm: float = 0.0, video_ppm: float = 0.0) -> Network:
    """A network on which the handshake is through, and a client whose clocks are so much too fast."""
    client = WhipClient()
    client.sources["audio"].clock_rate *= 1 + audio_ppm / 1e6  # type: ignore[assignment]
    client.sources["video"].clock_rate *= 1 + video_ppm / 1e6  # type: ignore[assignment]
    network = make_network(client, up=path)
    network.run(0.5)
    return network


def play(network: Network, moments: Iterable[float], report: Report = WhipClient.send_reports) -> None:
    """At each of these moments capture and send a picture and a sound, and a report after it."""
    for at in moments:
        network.run_until(at)
        network.client.send("audio", sound(1), at)
        network.client.send_picture(picture(1, keyframe=True, size=100), at)
        report(network.client, at)
    network.run(0.5)


def seconds(start: float, stop: float, step: float = 0.5) -> list[float]:
    return [start + step * index for index in range(round((stop - start) / step))]


def skews(network: Network) -> list[int]:
    """How much later than the sound each picture is; both were captured at once."""
    return [
        seen.time_us - heard.time_us for seen, heard in zip(network.pictures, network.sounds, strict=True)
    ]


def worst(network: Network, after: int = 0) -> int:
    return max(map(abs, skews(network)[after:]))


def jumps(network: Network) -> list[int]:
    return [track.clock.jumps for track in network.session.receiver.tracks]


class TestDrift:
    @pytest.mark.parametrize("drift", [(100.0, -100.0), (-200.0, -200.0)], ids=str)
    @pytest.mark.parametrize("report", [WhipClient.send_reports, no_report])
    def test_a_quarter_of_an_hour(self, drift: tuple[float, float], report: Report) -> None:
        """By then 180 ms would be missing."""
        network = connect(JITTER, audio_ppm=drift[0], video_ppm=drift[1])
        play(network, seconds(1.0, 900.0, 2.0), report)
        assert worst(network) < LIPS_US
        assert worst(network, after=60) < (LIPS_US if report is no_report else 1000)
        assert jumps(network) == [0, 0]
        # Sound is never moved, only read off its clock.
        times = [frame.time_us for frame in network.sounds]
        step = 2 * (1_000_000 + drift[0])
        assert all(abs(later - earlier - step) <= 24 for earlier, later in pairwise(times))


def wrong(kind: str, chance: Random, client: WhipClient, at: float) -> None:
    """One report of each track, with something wrong."""
    stamps = {name: source.timestamp(at) for name, source in client.sources.items()}
    for name, source in client.sources.items():
        ntp, stamp = seconds_to_ntp(WALLCLOCK + at), stamps[name]
        match kind:
            case "NTP zero":
                ntp = 0
            case "NTP at random":
                ntp = chance.getrandbits(64)
            case "NTP backwards":
                ntp = seconds_to_ntp(WALLCLOCK - at)
            case "RTP timestamp at random":
                stamp = chance.getrandbits(32)
            case "swapped":
                stamp = stamps["video" if name == "audio" else "audio"]
            case "one of ten":
                ntp += chance.randrange(1 << 32) if chance.random() < 0.1 else 0
        client.send_rtcp(SenderReport(source.ssrc, ntp, stamp, 1, 1).serialize())


class TestReports:
    @pytest.mark.parametrize(
        "kind",
        ["NTP zero", "NTP at random", "NTP backwards", "RTP timestamp at random", "swapped", "one of ten"],
    )
    def test_nonsense_is_not_followed(self, kind: str) -> None:
        chance = Random(2)
        network = connect()
        play(network, seconds(1.0, 120.0), lambda client, at: wrong(kind, chance, client, at))
        assert worst(network) < LIPS_US
        assert jumps(network) == [0, 0]
        steps = [later.time_us - earlier.time_us for earlier, later in pairwise(network.pictures)]
        # 20 ms a second at most.
        assert all(abs(step - 500_000) <= 10_100 for step in steps)


class TestSources:
    @pytest.mark.parametrize("ticks", [-2_000_000_000, -400_000, 400_000, 2_000_000_000])
    @pytest.mark.parametrize("report", [WhipClient.send_reports, no_report])
    def test_timestamps_that_jump(self, ticks: int, report: Report) -> None:
        network = connect()
        play(network, seconds(1.0, 60.0), report)
        for source in network.client.sources.values():
            source.start += ticks
        play(network, seconds(61.0, 120.0), report)
        assert jumps(network) == [1, 1]
        assert worst(network) < 1000
        for units in (network.pictures, network.sounds):
            times = [unit.time_us for unit in units]
            assert times == sorted(times)
            assert abs(times[-1] - 118_500_000) < 1000

    @pytest.mark.parametrize("depth", [1, 2, 3, 4])
    def test_reordered_pictures(self, depth: int) -> None:
        """B-frames, 30 a second for half a minute: a group is sent last picture first."""
        network = connect()
        order = [first + place for first in range(0, 900, depth + 1) for place in reversed(range(depth + 1))]
        for index, number in enumerate(order):
            network.run_until(1.0 + (index + depth) / 30)
            nals = picture(number, keyframe=index == 0, size=100)
            network.client.send_picture(nals, 1.0 + number / 30)
        network.run(0.5)
        seen = [unit.time_us for unit in network.pictures]
        assert len(seen) == len(order)
        # The first of all is the last one of its group. None is placed before the zero it makes.
        for number, time_us in zip(order[depth + 1 :], seen[depth + 1 :], strict=True):
            assert abs(time_us - (number - depth) * 1_000_000 / 30) <= 24
        assert seen[0] == 0
        assert jumps(network) == [0, 0]


def mux(network: Network) -> list[Tag]:
    """What the units of a network become, as they came."""
    muxer = Muxer(
        has_video=True,
        has_audio=True,
        make_transcoder=lambda bitrate: Transcoder(bitrate=bitrate, channels=1),
    )
    muxer.set_formats([AudioFormat(AudioCodec.AAC, 64_000)])
    units = [event for event in network.events if isinstance(event, AccessUnit | AudioFrame)]
    tags = [tag for unit in units for tag in muxer.push(unit)]
    tags += muxer.flush()
    assert muxer.drops == {}
    return [tag for tag in tags if not tag.header]


def of_kind(tags: list[Tag], kind: TagKind) -> list[int]:
    return [tag.timestamp_ms for tag in tags if tag.kind is kind]


class TestTags:
    """Sound in the tags is a row of 1024 samples without a gap, whatever became of its packets."""

    @pytest.mark.parametrize(
        ("pause", "payload", "loss"),
        [
            ((0.0, 10.0), sound(1), 0.0),
            ((3.0, 16.0), sound(1), 0.1),
            ((20.0, 20.0), sound(1)[:1], 0.1),
        ],
        ids=["starts after 10 s", "is away for 13 s", "is silence"],
    )
    def test_sound_is_a_row(self, pause: tuple[float, float], payload: bytes, loss: float) -> None:
        network = connect()
        chance = Random(4)
        for index, at in enumerate(seconds(0.0, 20.0, 0.02)):
            network.run_until(1.0 + at)
            if index % 5 == 0:
                network.client.send_picture(picture(index, keyframe=True, size=100), 1.0 + at)
            # Silence is a packet every 400 ms.
            due = len(payload) > 1 or index % 20 == 0
            if due and not pause[0] <= at < pause[1]:
                packet = network.client.packet("audio", payload, 1.0 + at)
                if chance.random() >= loss:
                    network.client.send_rtp(serialize_packet(packet))
        network.run(0.5)
        tags = mux(network)
        heard, seen = of_kind(tags, TagKind.AUDIO), of_kind(tags, TagKind.VIDEO)
        assert all(abs(time - number * 1024 / 48) <= 1 for number, time in enumerate(heard))
        assert seen == [100 * index for index in range(200)]
        # It ends where the packets end, or where silence takes over.
        assert -120 <= seen[-1] - heard[-1] <= AUDIO_WAIT_US / 1000


@pytest.mark.parametrize("hole", [0.15, 0.3, 0.6])
def test_a_moment_in_which_everything_is_lost_moves_nothing(hole: float) -> None:
    """Sound waits a while for what was lost: it is not late for that, and was not muted."""
    network = make_network(WhipClient(repair="rtx"), tick=0.01)
    network.run_until(1.0)
    network.up.drops = lambda data: is_media(data) and 4.0 <= network.now < 4.0 + hole
    Show(network).play(7.0)
    assert network.up.lost
    assert [track.clock.jumps for track in network.session.receiver.tracks] == [0, 0]
