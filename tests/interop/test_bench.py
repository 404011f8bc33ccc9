"""The bench itself: a small run of all its programs, and whether its sink would notice what it looks for.

No figure that depends on the machine is looked at: only that every picture came, whole and in order, and that
the tables and the JSON have what they are to have.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from bench.speed import __main__ as program
from bench.speed import course
from bench.speed.bars import FEW, MANY, judge
from bench.speed.checking import FLV_HEAD_BYTES, Checker
from bench.speed.clocks import first_start
from bench.speed.course import Course
from bench.speed.marks import MARK_BYTES, UUID, Mark, read_mark, write_mark
from bench.speed.material import GROUP, PICTURE_INTERVAL, PICTURES, SOUNDS, Material, load_material
from bench.speed.protector import TRANSPORT_ID, Protector, make_opener
from bench.speed.results import Results
from bench.speed.sender import MIN_GROUP, RESEND_PACKETS, Sender
from bench.speed.steps import BareStep, MemoryGrowth, Plan, Step, Window
from tests.peers.x264 import decode

from whipway.media import flv
from whipway.media.avc_stream import read_avc_nals
from whipway.protocol.rtcp.feedback import PictureLossIndication
from whipway.protocol.rtcp.transport import GenericNack
from whipway.protocol.rtmp.messages import Message, MessageType
from whipway.protocol.rtp.packet import header_extension, parse_packet
from whipway.protocol.srtp import SrtpSession

pytestmark = pytest.mark.interop

SMALL = Course(
    counts={"video": (2,), "aac": (1,), "opus": (1,)},
    climbs=(),
    seconds=0.5,
    warm_up=0.5,
    bare_seconds=0.3,
    bare_warm_up=0.2,
    climb_seconds=0.5,
    starts=2,
    connect_sessions=5,
)
MEMBERS = {"began", "quick", "machine", "bare", "steps", "capacity", "starts", "broken", "bars"}
BARS = 6


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a small run of the bench wrote, and printed under "text"."""
    path = tmp_path_factory.mktemp("bench") / "new" / "speed.json"
    with pytest.MonkeyPatch.context() as patch, pytest.MonkeyPatch.context() as silenced:
        lines: list[str] = []
        patch.setattr(program, "QUICK", SMALL)
        # What a busy machine disturbs is not measured again: no figure counts here.
        patch.setattr(course, "ATTEMPTS", 1)
        silenced.setattr(program, "print", lambda *words: lines.append(" ".join(words)), raising=False)
        assert program.main(["--quick", "--json", str(path)]) == 0
    document: dict[str, Any] = json.loads(path.read_text())
    return document | {"text": "\n".join(lines), "path": path}


@pytest.fixture(scope="module")
def material() -> Material:
    return load_material()


def test_every_picture_comes_whole_and_in_order(run: dict[str, Any]) -> None:
    for step in run["steps"]:
        sink = step["sink"]
        assert step["lost"] == 0, step
        assert step["publish"]["pictures"] == sink["pictures"] > 20 * step["streams"]
        assert sink["streams"] == step["publish"]["connected"] == step["streams"]
        faults = ("missing", "repeated", "damaged", "strangers", "not_rising", "sounds_not_rising")
        assert [sink[name] for name in faults] == [0] * len(faults), step
        assert sink["timed"] > 0


def test_sound_comes_as_it_was_asked_for(run: dict[str, Any]) -> None:
    formats = {step["mode"]: step["sink"]["formats"] for step in run["steps"]}
    assert formats == {"video": [], "aac": ["aac"], "opus": ["opus"]}
    assert all(step["sink"]["sounds"] > 20 for step in run["steps"] if step["mode"] != "video")


def test_the_bare_loop_gets_the_same_packets(run: dict[str, Any]) -> None:
    assert [(each["streams"], each["audio"]) for each in run["bare"]] == [(1, True), (2, False)]
    assert all(each["packets"] > 100 and each["cpu"] > 0 for each in run["bare"])
    assert all(step["times_bare"] > 0 for step in run["steps"])


def test_the_json_has_its_members(run: dict[str, Any]) -> None:
    assert run.keys() >= MEMBERS
    assert len(run["bars"]) == BARS
    assert run["broken"] == []
    assert {each["mode"] for each in run["capacity"]} == {"video", "aac", "opus"}
    assert run["starts"]["starts"] == 2
    assert run["starts"]["first_picture_max_ms"] > 0
    assert run["starts"]["connects_per_second"]["1"] > 0
    for step in run["steps"]:
        assert step["window"]["workers"] > 0
        assert step["memory_kib"]["empty"]["private"] > 0
        assert step["publish"]["failures"] == []


def test_the_tables_name_modes_bars_and_the_file(run: dict[str, Any]) -> None:
    for words in ("bare loop", "video only", "video and AAC", "video and Opus", "Capacity", "Bars"):
        assert words in run["text"]
    assert str(run["path"]) in run["text"]


# What the sink looks for


def body(material: Material, stream: int, number: int, picture: int) -> bytes:
    """A picture as RTMP brings it."""
    source = material.pictures[picture]
    head = flv.AVC_KEY_FRAME if source.is_keyframe else flv.AVC_INTER_FRAME
    at = source.body_mark_at
    mark = write_mark(stream, number, picture)
    return bytes((head, 1, 0, 0, 0)) + source.body[:at] + mark + source.body[at + MARK_BYTES :]


def check(material: Material, *pictures: tuple[bytes, int]) -> dict[str, int]:
    """The faults in pictures with their times."""
    checker = Checker(material)
    for payload, timestamp in pictures:
        checker.take(Message(MessageType.VIDEO, 1, timestamp, payload), 1.0)
    tally = checker.tally
    names = ("pictures", "missing", "repeated", "damaged", "strangers", "not_rising", "uneven")
    return {name: getattr(tally, name) for name in names if getattr(tally, name)}


def test_the_sink_takes_what_was_sent(material: Material) -> None:
    sent = [(body(material, 3, number, number), 40 * number) for number in range(4)]
    assert check(material, *sent) == {"pictures": 4}


def test_the_sink_notices_one_other_byte(material: Material) -> None:
    for at in (0, FLV_HEAD_BYTES - 1, FLV_HEAD_BYTES + 5, FLV_HEAD_BYTES + 200, -1):
        payload = bytearray(body(material, 3, 1, 1))
        payload[at] ^= 1
        assert check(material, (bytes(payload), 40)) == {"damaged": 1}
    assert check(material, (body(material, 3, 1, 1)[:-1], 40)) == {"damaged": 1}
    assert check(material, (b"", 40)) == {"damaged": 1}


def test_the_sink_notices_what_is_missing_repeated_or_of_another_stream(material: Material) -> None:
    first, second = (body(material, 3, 0, 0), 0), (body(material, 3, 1, 1), 40)
    later, strange = (body(material, 3, 4, 4), 160), (body(material, 4, 5, 5), 200)
    assert check(material, first, later) == {"pictures": 2, "missing": 3}
    assert check(material, later) == {"pictures": 1, "missing": 4}
    assert check(material, first, second, second, first) == {"pictures": 2, "repeated": 2}
    assert check(material, first, strange) == {"pictures": 1, "strangers": 1}


def test_the_sink_notices_wrong_times(material: Material) -> None:
    first, second = body(material, 3, 0, 0), body(material, 3, 1, 1)
    assert check(material, (first, 10), (second, 10)) == {"pictures": 2, "not_rising": 1, "uneven": 1}
    assert check(material, (first, 0), (second, 45)) == {"pictures": 2, "uneven": 1}


# What is sent


def test_the_material_is_what_it_is_called(material: Material) -> None:
    assert len(material.pictures) == PICTURES and len(material.sounds) == SOUNDS
    assert [at for at, each in enumerate(material.pictures) if each.is_keyframe] == [0, GROUP]
    bitrate = sum(len(each.body) for each in material.pictures) * 8 / (PICTURES * PICTURE_INTERVAL)
    assert 1_800_000 < bitrate < 2_300_000
    assert 80_000 < sum(map(len, material.sounds)) * 8 / (SOUNDS * 0.02) < 100_000


def test_the_material_decodes_marks_and_all(material: Material) -> None:
    shown = decode(
        [read_avc_nals(body(material, 9, at, at)[FLV_HEAD_BYTES:], 4) or [] for at in range(GROUP)]
    )
    assert (shown.errors, len(shown.digests)) == ([], GROUP)


@pytest.mark.parametrize("mark", [Mark(0, 0, 0), Mark(511, 123_456, 99), Mark(16_383, (1 << 28) - 1, 16_383)])
def test_a_mark_reads_back_and_has_no_zero_byte(mark: Mark) -> None:
    data = write_mark(*mark)
    assert len(data) == MARK_BYTES and read_mark(data) == mark
    assert all(data)


@pytest.mark.parametrize("streams", [1, 7, 25, 40, 160])
def test_streams_begin_evenly_spread(streams: int) -> None:
    starts = [first_start(stream, streams, 100.0, 107.3) for stream in range(streams)]
    assert all(107.3 <= start < 107.3 + GROUP * PICTURE_INTERVAL for start in starts)
    phases = sorted(round((start - 100.0) / PICTURE_INTERVAL * streams) % streams for start in starts)
    assert phases == list(range(streams))


# What a publisher does


KEYS = bytes(range(28)), bytes(range(1, 29))
PROFILE = "SRTP_AEAD_AES_128_GCM"
SSRC = 0x20000003


def make_sender(material: Material) -> tuple[Sender, list[bytes], SrtpSession]:
    """A sender, what it sends, and the server at the other end."""
    sent: list[bytes] = []
    opener = make_opener(PROFILE, KEYS[1])
    sender = Sender(3, material, {"video": SSRC}, Protector(PROFILE, KEYS[0]), opener, sent.append, 100.0)
    return sender, sent, SrtpSession(PROFILE, KEYS[1], KEYS[0])


def send_picture(sender: Sender) -> None:
    sender.begin_picture()
    assert sender.send_burst(1000)


def test_a_sender_numbers_its_packets_and_marks_the_last(material: Material) -> None:
    sender, sent, server = make_sender(material)
    send_picture(sender)
    send_picture(sender)
    packets = [parse_packet(server.unprotect_rtp(data)) for data in sent]
    sizes = [len(picture.payloads) for picture in material.pictures[:2]]
    assert [packet.marker for packet in packets].count(True) == 2
    assert packets[sizes[0] - 1].marker and packets[-1].marker and len(packets) == sum(sizes)
    numbers = [packet.sequence_number for packet in packets]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    wide = [int.from_bytes(header_extension(packet, TRANSPORT_ID) or b"") for packet in packets]
    assert wide == list(range(1, len(packets) + 1))
    assert packets[-1].timestamp - packets[0].timestamp == 3600


def test_a_sender_sends_the_very_same_packet_again(material: Material) -> None:
    sender, sent, server = make_sender(material)
    send_picture(sender)
    first = parse_packet(server.unprotect_rtp(sent[0])).sequence_number
    wanted = [sent[1], sent[4], sent[17]]
    sent.clear()
    nack = GenericNack(1, SSRC, (first + 1, first + 4, first + 17, first + 5000))
    sender.receive_rtcp(server.protect_rtcp(nack.serialize()), 101.0)
    assert sent == wanted
    assert (sender.counts.nacked, sender.counts.resent) == (4, 3)


def test_a_sender_does_not_bury_the_server_under_repeats(material: Material) -> None:
    sender, sent, server = make_sender(material)
    for _ in range(10):
        send_picture(sender)
    first = parse_packet(server.unprotect_rtp(sent[0])).sequence_number
    for at in (101.0, 101.4, 101.5):
        sent.clear()
        nack = GenericNack(1, SSRC, tuple(range(first, first + 100)))
        sender.receive_rtcp(server.protect_rtcp(nack.serialize()), at)
        assert len(sent) == {101.0: 100, 101.4: RESEND_PACKETS - 100, 101.5: 100}[at]


def test_a_sender_begins_a_group_when_it_is_asked_to(material: Material) -> None:
    sender, sent, server = make_sender(material)
    marks = []
    for number in range(MIN_GROUP + 4):
        sent.clear()
        send_picture(sender)
        payload = server.unprotect_rtp(sent[0])
        at = payload.index(UUID) + len(UUID)
        marks.append(read_mark(payload[at : at + MARK_BYTES]))
        if number in (2, MIN_GROUP + 1):  # The first comes too soon after a key frame.
            sender.receive_rtcp(server.protect_rtcp(PictureLossIndication(1, SSRC).serialize()), 101.0)
    assert [mark.number for mark in marks] == list(range(MIN_GROUP + 4))
    assert [mark.picture for mark in marks] == [*range(MIN_GROUP + 2), GROUP, GROUP + 1]
    assert sender.counts.key_frame_requests == 2


def test_bursts_end_with_the_picture(material: Material) -> None:
    sender, sent, _ = make_sender(material)
    sender.begin_picture()
    bursts = 1
    while not sender.send_burst(24):
        bursts += 1
    packets = len(material.pictures[0].payloads)
    assert len(sent) == packets and bursts == -(-packets // 24) > 1


# What follows from figures


def step(streams: int, workers_cpu: float, *, p99: float = 2.0, came: int = 100, late: float = 0.5) -> Step:
    """A step of one second with video only."""
    publish = {"pictures": 100, "connected": streams, "failed": 0, "late_ms": {"p99": late}}
    return Step(
        plan=Plan("video", streams, 1, 1.0, 1.0),
        window=Window(1.0, workers_cpu, workers_cpu, 0.1, 0.1, 0.0, 1.0, 0.0),
        empty=MemoryGrowth(50_000, 40_000, 30_000),
        grown=MemoryGrowth(50_000, 40_000, 30_000 + streams * 1024),
        loop_lag_ms=1.0,
        started_in=1.0,
        publish=publish,
        sink={"pictures": came, "latency_ms": {"p50": 1.0, "p99": p99, "max": p99}},
        machine_cores=2,
    )


def test_capacity_is_below_the_first_failure() -> None:
    results = Results({}, steps=[step(20, 0.2), step(40, 0.3), step(60, 0.5, came=99), step(80, 0.6)])
    capacity = results.capacity("video")
    assert capacity.carried is not None and capacity.failed is not None
    assert (capacity.carried.plan.streams, capacity.failed.plan.streams) == (40, 60)
    assert capacity.failed.failure == "1 pictures lost"
    assert step(60, 0.5, p99=21.0).failure == "p99 21 ms"


def test_a_step_that_was_repeated_counts_as_it_was_the_last_time() -> None:
    results = Results({}, steps=[step(20, 0.2, p99=30.0), step(20, 0.2)])
    assert results.capacity("video").failed is None


def test_a_climb_ends_with_the_first_number_that_fails_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    latencies = {20: [2.0], 40: [30.0, 3.0], 60: [40.0, 50.0], 80: [1.0]}
    monkeypatch.setattr(
        course, "measure", lambda plan: step(plan.streams, 0.2, p99=latencies[plan.streams].pop(0))
    )
    results = Results({})
    lines = list(course._climb(results, SMALL, "video", 1, list(latencies)))
    assert [each.plan.streams for each in results.steps] == [20, 40, 40, 60, 60]
    capacity = results.capacity("video")
    assert capacity.carried is not None and capacity.carried.plan.streams == 40
    assert len(lines) == 5 and "p99 50 ms" in lines[-1]


def test_what_cannot_be_measured_does_not_stop_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(plan: Plan) -> Step:
        if plan.streams == 20:
            raise RuntimeError("the server did not start")
        return step(plan.streams, 0.2)

    monkeypatch.setattr(course, "measure", measure)
    results = Results({})
    assert len(list(course._climb(results, SMALL, "video", 1, [20, 40]))) == 1
    assert results.broken == ["video, 20 streams, 1 worker(s): the server did not start"] * 2
    assert [each.plan.streams for each in results.steps] == [40]


def test_bars_are_met_or_not() -> None:
    bare = [BareStep(MANY, False, 0.2, 1000, 0.5)]
    good = Results({}, bare, [step(FEW, 0.05), step(MANY, 0.3)])
    verdicts = [bar.is_met for bar in judge(good)]
    assert verdicts == [True, True, None, True, True, True]
    bad = Results({}, bare, [step(FEW, 0.05), step(MANY, 0.6, p99=6.0)])
    assert [bar.is_met for bar in judge(bad)] == [False, True, None, False, False, True]
    assert [bar.is_met for bar in judge(Results({}))] == [None] * BARS


def test_bars_do_not_count_what_was_disturbed() -> None:
    bare = [BareStep(MANY, False, 0.2, 1000, 0.5)]
    disturbed = Results({}, bare, [step(FEW, 0.05), step(MANY, 0.1, late=30.0)])
    # Memory does not depend on the load, and half of the capacity is met at the few streams.
    assert [bar.is_met for bar in judge(disturbed)] == [None, True, None, None, None, None]
    late_bare = Results({}, [BareStep(MANY, False, 0.2, 1000, 9.0)], [step(MANY, 0.3)])
    assert judge(late_bare)[0].is_met is None
    assert not step(MANY, 0.1, came=99).is_sound


def test_the_folder_of_results_is_not_in_version_control() -> None:
    root = Path(__file__).parents[2]
    assert program.FOLDER.relative_to(root).parts[0] + "/" in (root / ".gitignore").read_text().split()
