"""RTMP servers that die, drop, refuse and come back while a session goes on: what they get, what is said."""

from array import array
from itertools import pairwise
from pathlib import Path

import av
import pytest
from tests.interop.nginx import answering, nginx
from tests.interop.processes import free_port, running, wait_for_listener, wait_until
from tests.interop.recording import AUDIO, VIDEO, FlvTag, pictures, read_flv
from tests.interop.steady_publisher import RATE, check_whole, publishing, request
from tests.interop.threaded_rtmp import serving
from tests.peers.hostile_rtmp import Refuses
from tools.server import RunningServer

from whipway.protocol.rtmp.messages import Message, MessageType

pytestmark = pytest.mark.interop

MAX_SOUND_GAP_MS = 50
"""An AAC frame lasts 21.3 ms: more than two of them apart, and one is missing."""
AAC_FORMAT = 10
MIN_LOUDNESS = 0.01
"""Mean square. The tone that is sent has 0.045."""
END_TIMEOUT = 10.0
RECOVERY_SECONDS = 4.0
"""From a dropped connection to the next key frame at the server: half a second, the way there, a group."""


def sound_gap(tags: list[FlvTag]) -> int:
    """The longest time between two audio frames of a recording, in milliseconds."""
    times = [tag.timestamp_ms for tag in tags if tag.kind == AUDIO and not tag.is_header]
    return max(later - earlier for earlier, later in pairwise(times))


def check_start(tags: list[FlvTag]) -> None:
    """Both sequence headers come before anything else, and a key frame is the first picture."""
    # nginx writes a header twice where it is the first message of a stream, and leaves metadata out.
    headers = [(tag.kind, tag.body) for tag in tags if tag.is_header]
    assert sorted(kind for kind, _ in set(headers)) == [AUDIO, VIDEO]
    assert all(tag.is_header for tag in tags[: len(headers)])
    assert pictures(tags)[0].is_keyframe


def heard_in(recording: Path) -> tuple[float, float]:
    """Decodes the sound of a recording: its mean square, and how long it is in seconds."""
    samples = array("f")
    with av.open(str(recording)) as container:
        for frame in container.decode(audio=0):
            samples.frombytes(bytes(frame.planes[0])[: frame.samples * samples.itemsize])
    return sum(sample * sample for sample in samples) / len(samples), len(samples) / 48_000


def test_nginx_comes_late_is_killed_and_comes_back(
    server: RunningServer, nginx_program: str, tmp_path: Path
) -> None:
    ports = free_port(), free_port()
    stream_url = f"rtmp://127.0.0.1:{ports[0]}/live"
    with publishing(server.whip_url("program", stream_url)) as publisher:
        absent = publisher.wait_for_sink("retrying")
        with nginx(nginx_program, tmp_path / "first", ports=ports) as target:
            publisher.wait_for_sink("publishing")
            publisher.send_for(3)
            before = publisher.sink()
            target.kill()
        publisher.wait_for_sink("retrying")
        publisher.send_for(2)
        lost = publisher.sink()
        with nginx(nginx_program, tmp_path / "second", ports=ports) as target:
            publisher.wait_for_sink("publishing")
            publisher.send_for(3)
            after, state = publisher.sink(), publisher.status()["state"]
            statistics = target.statistics("program")
            second = target.recording("program")
            wait_until(lambda: second.stat().st_size, END_TIMEOUT, "a recording")
        tags = [read_flv(tmp_path / folder / "program.flv") for folder in ("first", "second")]

    assert absent["reason"] == "unreachable"
    assert "refused" in absent["detail"].lower()
    assert before["since_progress"] < 2
    assert before["bitrate"] > 0
    assert lost["state"] in ("retrying", "connecting")
    assert lost["attempt"] >= 1
    assert lost["reason"] is not None
    assert (state, after["state"], after["reason"]) == ("live", "publishing", None)
    assert after["bytes"] > before["bytes"]
    assert (statistics["meta/video/width"], statistics["meta/audio/codec"]) == ("320", "AAC")
    # nginx counts the time of each recording from zero: `test_one_timeline…` has the session's.
    for recording in tags:
        check_start(recording)
        check_whole(publisher, recording)
        assert sound_gap(recording) <= MAX_SOUND_GAP_MS


def test_one_timeline_over_all_connections(server: RunningServer) -> None:
    port = free_port()
    heard: list[list[Message]] = []
    with publishing(server.whip_url("one", f"rtmp://127.0.0.1:{port}/live")) as publisher:
        for _ in range(3):
            with serving(port=port) as target:
                publisher.wait_for_sink("publishing")
                publisher.send_for(2)
            connection = target.protocol
            assert connection is not None
            heard.append(connection.media)
        sent = list(publisher.sent)
    firsts = []
    for media in heard:
        frames = [message for message in media if message.payload[:2] in (b"\x17\x01", b"\x27\x01")]
        times = [(sent.index(frame.payload[5:]), frame.timestamp) for frame in frames]
        firsts.append(times[0][0])
        # Every picture at the time that it has in the session, however often the server went away.
        assert [at for _, at in times] == [pytest.approx(number * 1000 / RATE, abs=30) for number, _ in times]
        assert [number for number, _ in times] == list(range(times[0][0], times[0][0] + len(times)))
        kinds = [message.type_id for message in media[:3]]
        assert sorted(kinds) == [MessageType.AUDIO, MessageType.VIDEO, MessageType.DATA]
    assert firsts == sorted(set(firsts))


def test_dropped_publisher_comes_back_at_a_key_frame(
    server: RunningServer, nginx_program: str, tmp_path: Path
) -> None:
    with (
        nginx(nginx_program, tmp_path) as target,
        publishing(server.whip_url("program", target.stream_url)) as publisher,
    ):
        for _ in range(2):
            publisher.wait_for_sink("publishing")
            publisher.send_for(2)
            sent = len(publisher.sent)
            target.drop_publisher("program")
            publisher.wait_for_sink("retrying")
        publisher.wait_for_sink("publishing")
        publisher.send_for(2)
        tags = read_flv(target.recording("program"))
        sink, state = publisher.sink(), publisher.status()["state"]
    check_start(tags)
    assert check_whole(publisher, tags)[0] - sent < RECOVERY_SECONDS * RATE
    assert sink["reconnects"] == 2
    assert state == "live"


def test_refused_by_on_publish_and_taken_later(
    server: RunningServer, nginx_program: str, tmp_path: Path
) -> None:
    with (
        answering(403) as callback,
        nginx(nginx_program, tmp_path, callback) as target,
        publishing(server.whip_url("program%3Fkey%3Dsecret-key", target.stream_url)) as publisher,
    ):
        refused = publisher.wait_for_sink("retrying")
        publisher.send_for(5)
        asked, state = len(callback.bodies), publisher.status()["state"]
        callback.status = 200
        accepted = publisher.wait_for_sink("publishing", timeout=40)
        publisher.send_for(2)
        tags = read_flv(target.recording("program"))
    assert refused["reason"] in ("closed_early", "refused")
    assert refused["detail"]
    assert refused["next_try_in"] > 0
    # Who says no is not asked as often as who is not there.
    assert asked <= 3
    assert state == "live"
    assert accepted["reason"] is None
    assert "key=secret-key" in callback.bodies[-1]
    assert not any("secret-key" in str(entry) for entry in server.log)
    check_start(tags)
    check_whole(publisher, tags)


@pytest.mark.usefixtures("whip_ffmpeg")
def test_five_sinks_of_which_two_are_broken(
    server: RunningServer, nginx_program: str, debian_ffmpeg: str, whip_ffmpeg: str, tmp_path: Path
) -> None:
    old, new = free_port(), free_port()
    recordings = [tmp_path / "old.flv", tmp_path / "new.flv"]
    listeners = [
        [program, "-nostdin", "-v", "error", "-listen", "1", "-f", "flv"]
        + ["-i", f"rtmp://127.0.0.1:{port}/live/program", "-c", "copy", str(recording)]
        for program, port, recording in zip((debian_ffmpeg, whip_ffmpeg), (old, new), recordings, strict=True)
    ]
    with (
        nginx(nginx_program, tmp_path) as target,
        running(listeners[0], tmp_path / "old.log") as first,
        running(listeners[1], tmp_path / "new.log") as second,
        serving(Refuses) as refusing,
    ):
        wait_for_listener(old, first)
        wait_for_listener(new, second)
        with publishing(server.whip_url("program", target.stream_url)) as publisher:
            publisher.wait_for_sink("publishing")
            added = [
                publisher.add_sink("program", f"rtmp://127.0.0.1:{old}/live", audio="auto"),
                publisher.add_sink("program", f"rtmp://127.0.0.1:{new}/live", audio="opus"),
                publisher.add_sink("program", f"rtmp://127.0.0.1:{free_port()}/live"),
                publisher.add_sink("program", f"rtmp://127.0.0.1:{refusing.port}/live", audio="auto"),
            ]
            for number in (1, 2):
                publisher.wait_for_sink("publishing", number)
            for number in (3, 4):
                publisher.wait_for_sink("retrying", number)
            publisher.send_for(4)
            sinks = publisher.status()["sinks"]
            removed = request(f"{publisher.session_url}/sink/{sinks[3]['id']}", "DELETE")
            publisher.send_for(1)
            left = request(f"{publisher.session_url}/sink").json
        wait_until(lambda: not target.statistics("program"), END_TIMEOUT, "the end of the stream in nginx")
        assert first.wait(END_TIMEOUT) == 0
        assert second.wait(END_TIMEOUT) == 0
        tags = [read_flv(path) for path in (target.recording("program"), *recordings)]

    assert [answer.status for answer in added] == [201] * 4
    assert [sink["state"] for sink in sinks[:3]] == ["publishing"] * 3
    for sink, reason, words in zip(
        sinks[3:], ("unreachable", "bad_name"), ("Connection refused", "The name is taken."), strict=True
    ):
        assert (sink["state"], sink["reason"]) == ("retrying", reason)
        assert words in sink["detail"]
    # Servers that name no codecs get what every server takes.
    assert sinks[1]["audio"]["codec"] == "aac"
    assert removed.status == 200
    assert [sink["id"] for sink in left] == [sinks[each]["id"] for each in (0, 1, 2, 4)]
    assert [sink["frames_dropped"] for sink in sinks[:3]] == [0, 0, 0]
    for recording in tags:
        numbers = check_whole(publisher, recording)
        assert len(numbers) > 4 * RATE
        assert sound_gap(recording) <= MAX_SOUND_GAP_MS
    assert {tag.body[0] >> 4 for tag in tags[1] if tag.kind == AUDIO} == {AAC_FORMAT}
    assert all(tag.body[1:5] == b"Opus" for tag in tags[2] if tag.kind == AUDIO)
    for recording in (target.recording("program"), *recordings):
        loudness, seconds = heard_in(recording)
        assert loudness > MIN_LOUDNESS
        assert seconds > 4
