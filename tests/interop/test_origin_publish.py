"""ffmpeg, new and old, publishes into the origin by RTMP; others play it by RTMP and by HTTP-FLV.

What is published is a file that was encoded before, in one group of pictures: whoever comes late still gets
all of it. Each packet's hash and times have to come out as they went in.
"""

import hashlib
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

import pytest
from tests.interop.nginx import answering
from tests.interop.processes import Program, running, wait_for_clients, wait_until
from tools.server import RunningServer

pytestmark = pytest.mark.interop

SECONDS = 2
START_TIMEOUT = 10.0
END_TIMEOUT = 15.0
MAX_SOUND_BEFORE = 5
"""Packets of sound that an encoder may put before its first picture."""
TOKEN = "a token of some characters+/="
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "1000", "-pix_fmt", "yuv420p"]
HEVC = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=1000"]
AV1 = ["-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "1000"]
AAC = ["-c:a", "aac"]
OPUS = ["-c:a", "libopus", "-ar", "48000"]


class Packet(NamedTuple):
    """What of a packet must not change; times in milliseconds."""

    dts: int
    pts: int
    sha256: str


def packets(report: Path) -> tuple[list[Packet], list[Packet]]:
    """The packets of video and audio, and the decoder configuration before them.

    From the report of ffmpeg's framehash muxer.
    """
    found: tuple[list[Packet], list[Packet]] = ([], [])
    for line in report.read_text().splitlines():
        if line.startswith("#extradata "):
            index, _size, digest = line.removeprefix("#extradata ").split(",")
            found[int(index)].append(Packet(-1, -1, digest.strip()))
        elif not line.startswith("#"):
            index, dts, pts, _duration, _size, digest = line.split(",")[:6]
            found[int(index)].append(Packet(int(dts), int(pts), digest.strip()))
    return found


def hashing(program: str, source: str, report: Path) -> list[str]:
    """The command that reports every packet of a source: stream 0 is its video, 1 its audio."""
    reading = [program, "-nostdin", "-v", "error", "-copyts", "-i", source]
    return [*reading, "-map", "0:v", "-map", "0:a", "-c", "copy", "-f", "framehash", "-y", str(report)]


def encode(program: str, codecs: list[str], folder: Path) -> Path:
    """Some seconds of moving picture and sound."""
    clip = folder / "clip.flv"
    picture = f"testsrc2=size=320x180:rate=25:duration={SECONDS}"
    sound = f"sine=frequency=440:duration={SECONDS}"
    sources = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    write = [program, "-nostdin", "-v", "error", "-y"]
    subprocess.run([*write, *sources, *codecs, "-f", "flv", str(clip)], check=True)
    # Copied once, as for publishing: what ffmpeg leaves out then is gone already.
    copied = folder / "copied.flv"
    subprocess.run([*write, "-i", str(clip), "-c", "copy", "-f", "flv", str(copied)], check=True)
    return copied


def publishing(program: str, clip: Path, url: str) -> list[str]:
    """The command that publishes a file as fast as it plays."""
    return [program, "-nostdin", "-v", "error", "-re", "-i", str(clip), "-c", "copy", "-f", "flv", url]


def is_live(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        assert error.code == 404
        return False


@contextmanager
def on_air(program: str, clip: Path, server: RunningServer, folder: Path, name: str) -> Iterator[Program]:
    """Publish a file; in the block the stream is there."""
    command = publishing(program, clip, f"{server.stream_url}/{name}")
    url = f"{server.http_url}/live/{name.partition('?')[0]}.flv"
    with running(command, folder / "publisher.log") as publisher:
        wait_until(lambda: is_live(url) or publisher.process.poll() is not None, START_TIMEOUT, "a stream")
        yield publisher


def check_whole(got: list[Packet], expected: list[Packet], missing: int) -> None:
    """The decoder configuration and all packets, but for a few of the first ones."""
    assert got[0] == expected[0]
    assert got[1:] == expected[len(expected) - len(got) + 1 :]
    assert len(expected) - len(got) <= missing


def check_passes_unchanged(
    publisher: str, player: str, codecs: list[str], server: RunningServer, folder: Path
) -> None:
    clip = encode(publisher, codecs, folder)
    sent = folder / "sent.txt"
    subprocess.run(hashing(player, str(clip), sent), check=True)
    early, late = folder / "rtmp.txt", folder / "http.txt"
    by_rtmp = hashing(player, f"{server.stream_url}/one", early)
    by_http = hashing(player, f"{server.http_url}/live/one.flv", late)
    with running(by_rtmp, folder / "rtmp.log") as first:
        wait_for_clients(server.rtmp_port, 1)
        with on_air(publisher, clip, server, folder, "one") as source:
            with running(by_http, folder / "http.log") as second:
                assert source.wait(SECONDS + END_TIMEOUT) == 0, source.output
                for each in (first, second):
                    each.wait(END_TIMEOUT)
    expected = packets(sent)
    assert len(expected[0]) == 1 + SECONDS * 25
    assert len(expected[1]) > SECONDS * 40
    assert packets(early) == expected, first.output
    video, audio = packets(late)
    assert video == expected[0], second.output
    # A late player begins with the first picture, which some sound may go before.
    check_whole(audio, expected[1], MAX_SOUND_BEFORE)


@pytest.mark.parametrize("publisher", ["debian_ffmpeg", "whip_ffmpeg"])
@pytest.mark.parametrize("player", ["debian_ffmpeg", "whip_ffmpeg"])
def test_h264_and_aac_pass_unchanged(
    request: pytest.FixtureRequest, server: RunningServer, tmp_path: Path, publisher: str, player: str
) -> None:
    programs = [request.getfixturevalue(each) for each in (publisher, player)]
    check_passes_unchanged(*programs, [*H264, *AAC], server, tmp_path)


@pytest.mark.parametrize("codecs", [HEVC + AAC, AV1 + OPUS, H264 + OPUS], ids=["hevc", "av1", "opus"])
def test_enhanced_rtmp_passes_unchanged(
    server: RunningServer, whip_ffmpeg: str, tmp_path: Path, codecs: list[str]
) -> None:
    check_passes_unchanged(whip_ffmpeg, whip_ffmpeg, codecs, server, tmp_path)


@pytest.mark.parametrize("edition", ["debian_ffmpeg", "whip_ffmpeg"])
def test_a_publisher_needs_a_token_of_its_stream(
    request: pytest.FixtureRequest, tmp_path: Path, edition: str
) -> None:
    program: str = request.getfixturevalue(edition)
    clip = encode(program, [*H264, *AAC], tmp_path)
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    tokens = json.dumps([{"hash": f"sha256:{digest}", "streams": ["one"]}])
    good = f"token={quote(TOKEN, safe='')}"
    with RunningServer(auth__tokens=tokens) as server:
        for name in ("one", "one?token=other", f"two?{good}"):
            refused = publishing(program, clip, f"{server.stream_url}/{name}")
            with running(refused, tmp_path / "refused.log") as publisher:
                assert publisher.wait(END_TIMEOUT) != 0
                assert "oken" in publisher.output  # What is wrong with it.
        with on_air(program, clip, server, tmp_path, f"one?{good}") as publisher:
            assert publisher.wait(SECONDS + END_TIMEOUT) == 0, publisher.output
        server.wait_for_log("publish ended")
        # Behind the application it is as good.
        behind = f"{server.stream_url}?{good}/one"
        with running(publishing(program, clip, behind), tmp_path / "behind.log") as publisher:
            assert publisher.wait(SECONDS + END_TIMEOUT) == 0, publisher.output
        log = json.dumps(server.log)
    assert [entry["stream"] for entry in server.log if entry["event"] == "publish started"] == [
        "live/one"
    ] * 2
    assert [entry["event"] for entry in server.log].count("publisher refused") == 3
    assert TOKEN not in log and good not in log


@pytest.mark.parametrize("edition", ["debian_ffmpeg", "whip_ffmpeg"])
def test_the_callback_is_asked_with_the_arguments_unchanged(
    request: pytest.FixtureRequest, tmp_path: Path, edition: str
) -> None:
    program: str = request.getfixturevalue(edition)
    clip = encode(program, [*H264, *AAC], tmp_path)
    arguments = "passcode=ab+c%2F1&tenant=%C3%A4%26&empty="
    with answering(403) as callback, RunningServer(auth__callback=callback.url) as server:
        name = f"one?{arguments}"
        with running(
            publishing(program, clip, f"{server.stream_url}/{name}"), tmp_path / "no.log"
        ) as publisher:
            assert publisher.wait(END_TIMEOUT) != 0
            assert "status 403" in publisher.output
        callback.status = 200
        with on_air(program, clip, server, tmp_path, name) as publisher:
            assert publisher.wait(SECONDS + END_TIMEOUT) == 0, publisher.output
        stream_url = server.stream_url
    for body in callback.bodies:
        form = dict(parse_qsl(body, keep_blank_values=True))
        form.pop("clientid")
        assert form == {
            "call": "publish",
            "name": "one",
            "app": "live",
            "addr": "127.0.0.1",
            "tcurl": stream_url,
            "type": "live",
            **dict(parse_qsl(arguments, keep_blank_values=True)),
        }
    assert len(callback.bodies) == 2
