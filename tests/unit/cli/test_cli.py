import asyncio
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import structlog
from tests.peers.rtmp_client import RtmpPlayer
from tests.peers.udp_client import UdpClient
from tests.peers.whip_client import WhipClient

from whipway import __version__, cli
from whipway.cli.options import EXIT_BAD_CONFIGURATION, EXIT_FAILED
from whipway.logs import configure_logging

COMMAND = [sys.executable, "-m", "whipway"]
FREE_PORTS = [
    part
    for setting in ("http.port=0", "media.port=0", "rtmp.port=0", "database.url=sqlite://")
    for part in ("--set", setting)
]
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("WHIPWAY_")}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in os.environ.keys() - ENVIRONMENT.keys():
        monkeypatch.delenv(key)


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """The exit status of a command, run right here."""
    monkeypatch.setattr(sys, "argv", ["whipway", *args])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    code = caught.value.code
    assert isinstance(code, int)
    return code


def run_apart(*args: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    return subprocess.run(
        [*COMMAND, *args], env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False
    )


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"whipway {__version__}\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [(["--help"], ["serve", "config"]), (["serve", "--help"], ["--set", "WHIPWAY_HTTP__PORT"])],
)
def test_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: list[str], words: list[str]
) -> None:
    assert run(monkeypatch, *args) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in words)


def test_config_prints_what_is_in_force(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path
) -> None:
    file = tmp_path / "whipway.toml"
    file.write_text("[http]\nport = 1\n[media]\nport = 1\n[rtmp]\nport = 1\n")
    monkeypatch.setenv("WHIPWAY_MEDIA__PORT", "2")
    assert run(monkeypatch, "config", "-c", str(file), "-s", "rtmp.port=3") == 0
    tree = json.loads(capsys.readouterr().out)
    assert [tree[section]["port"] for section in ("http", "media", "rtmp")] == [1, 2, 3]


def test_a_token_and_the_hash_that_knows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "token", "--streams", "studio-*", "--streams", 'a "b"') == 0
    out = capsys.readouterr().out
    token = out.splitlines()[0].removeprefix("Token: ")
    entry = tomllib.loads(out.partition("\n")[2])["auth"]["tokens"][0]
    assert entry["streams"] == ["studio-*", 'a "b"']
    assert entry["hash"] == f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    assert len(token) >= 43  # 256 bits in base64


def test_every_token_is_another(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "token") == run(monkeypatch, "token") == 0
    tokens = re.findall(r"Token: (\S+)", capsys.readouterr().out)
    assert len(set(tokens)) == 2


def test_names_of_streams_may_be_written_with_commas(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "token", "--streams", "a,b-*", "--streams", "c") == 0
    assert 'streams = ["a", "b-*", "c"]' in capsys.readouterr().out


def test_a_flag_without_a_value_is_not_repeated_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "config", "--set", "auth.jwt_secret:word") == EXIT_BAD_CONFIGURATION
    assert capsys.readouterr().err == "whipway: --set auth.jwt_secret: write KEY=VALUE\n"


def test_passwords_in_urls_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = [
        "-s",
        "auth.callback=http://user:word@host/?key=word",
        "-s",
        "auth.jwks=https://user:word@host/keys",
    ]
    assert run(monkeypatch, "config", *urls) == 0
    out = capsys.readouterr().out
    assert "word" not in out
    assert json.loads(out)["auth"]["callback"] == "http://***@host/?***"


def test_a_token_for_no_stream_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "token", "--streams", "") == EXIT_BAD_CONFIGURATION
    assert capsys.readouterr().err.startswith("whipway: --streams: ")


def test_the_token_of_a_run_is_printed() -> None:
    async def first_lines() -> str:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "serve", *FREE_PORTS, "--set", "auth.enabled=on", env=ENVIRONMENT, stdout=PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(15):
            lines = [await process.stdout.readline() for _ in range(6)]
            process.terminate()
            await process.wait()
        return b"".join(lines).decode()

    assert re.search(r"^  Token     \S{43,}  \(for this run", asyncio.run(first_lines()), re.MULTILINE)


@pytest.mark.parametrize("command", ["serve", "config"])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--set", "http.prot=1"], "http.prot: there is no such key; the nearest one is http.port"),
        (["--set", "http.port=99999"], "http.port: input should be less than or equal to 65535"),
        (["--set", "http.port"], "--set http.port: write KEY=VALUE"),
        (["--config", "/nonexistent.toml"], "/nonexistent.toml: cannot be read"),
    ],
)
def test_a_bad_configuration_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    flags: list[str],
    message: str,
) -> None:
    assert run(monkeypatch, command, *flags) == EXIT_BAD_CONFIGURATION
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"whipway: {message}")
    assert err.count("\n") == 1


def test_a_bad_configuration_has_no_traceback() -> None:
    done = run_apart("serve", "--set", "http.prot=1")
    assert done.returncode == EXIT_BAD_CONFIGURATION
    assert done.stderr == "whipway: http.prot: there is no such key; the nearest one is http.port\n"
    assert done.stdout == ""


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_apart("serve", *FREE_PORTS, "--set", f"rtmp.port={port}")
    assert done.returncode == EXIT_FAILED
    assert done.stderr == f"whipway: rtmp.port: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert done.stdout == ""


class Running:
    """A server in a process of its own, and what it said about itself."""

    def __init__(self, process: Process, greeting: str) -> None:
        self.process = process
        self.greeting = greeting

    async def publish(self, http: httpx.AsyncClient, name: str) -> httpx.Response:
        url = self.said(r"WHIP URL +(\S+)$").replace("my-stream", name)
        return await http.post(url, content=WhipClient().offer, headers={"Content-Type": "application/sdp"})

    def said(self, pattern: str) -> str:
        match = re.search(pattern, self.greeting, re.M)
        assert match, self.greeting
        return match[1]

    async def stop(self, number: signal.Signals) -> tuple[str, str]:
        """Signal it; it has 3 s to say its last words."""
        self.process.send_signal(number)
        async with asyncio.timeout(30):
            out, err = await self.process.communicate()
        return out.decode(), err.decode()


@asynccontextmanager
async def serving(*flags: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "serve", *FREE_PORTS, *flags, env=ENVIRONMENT, stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            greeting = (await process.stdout.readuntil(b"Play URL")) + await process.stdout.readline()
        yield Running(process, greeting.decode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.anyio
async def test_sigterm_ends_an_idle_server() -> None:
    async with serving() as running:
        assert running.said(r"^Whipway (\S+)$") == __version__
        page, target = running.said(r"Page +(\S+)$"), running.said(r"Play URL +(\S+)/my-stream$")
        assert running.said(r"WHIP URL +(\S+)$") == (
            f"{page}p/webrtc?stream_name=my-stream&stream_url={target}"
        )
        out, err = await running.stop(signal.SIGTERM)
    assert running.process.returncode == 0
    assert out == "Stopping: ending sessions.\n"
    assert err == ""


@pytest.mark.anyio
async def test_sigint_ends_a_busy_server() -> None:
    machine = WhipClient()
    async with serving("--set", "log.format=json") as running, httpx.AsyncClient() as http:
        url = running.said(r"WHIP URL +(\S+)$").replace("my-stream", "one?key=secret")
        response = await http.post(url, content=machine.offer, headers={"Content-Type": "application/sdp"})
        assert response.status_code == 201
        client = await UdpClient.start(machine, response.text).connected()
        player = await RtmpPlayer.connect(int(running.said(r"Play URL +\S+:(\d+)/")), "one")
        await player.wait_for_status("NetStream.Play.Start")
        _, err = await running.stop(signal.SIGINT)
        await player.wait_for_status("NetStream.Play.UnpublishNotify")
    client.close()
    assert running.process.returncode == 0
    entries = [json.loads(line) for line in err.splitlines()]
    assert "session ended" in [entry["event"] for entry in entries]
    assert not [entry for entry in entries if entry["level"] in ("warning", "error")]
    assert "secret" not in err


@pytest.mark.anyio
async def test_sessions_may_go_on_for_a_while() -> None:
    async with (
        serving("--set", "session.drain_timeout=60") as running,
        httpx.AsyncClient() as http,
    ):
        session = (await running.publish(http, "one")).headers["location"]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.stdout is not None
        async with asyncio.timeout(30):
            assert b"Draining: 1 sessions" in await running.process.stdout.readline()
        refused = await running.publish(http, "two")
        assert (refused.status_code, refused.json()["code"]) == (503, "draining")
        assert 2 <= int(refused.headers["retry-after"]) <= 10
        assert (await http.get(session)).status_code == 204
        assert (await http.delete(session)).status_code == 200
        async with asyncio.timeout(30):
            await running.process.communicate()
    assert running.process.returncode == 0


@pytest.mark.anyio
async def test_who_drains_sends_publishers_on() -> None:
    flags = ["session.drain_timeout=60", "http.redirect_url=https://other.example"]
    async with serving(*(part for flag in flags for part in ("--set", flag))) as running:
        async with httpx.AsyncClient() as http:
            await running.publish(http, "one")
            running.process.send_signal(signal.SIGTERM)
            assert running.process.stdout is not None
            async with asyncio.timeout(30):
                await running.process.stdout.readline()
            sent_on = await running.publish(http, "two")
        assert sent_on.status_code == 307
        assert sent_on.headers["location"].startswith("https://other.example/p/webrtc?stream_name=two&")
        await running.stop(signal.SIGTERM)


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["a second signal", "the time is up"])
async def test_draining_ends(way: str) -> None:
    seconds = 60 if way == "a second signal" else 0.2
    async with (
        serving("--set", f"session.drain_timeout={seconds}") as running,
        httpx.AsyncClient() as http,
    ):
        await running.publish(http, "one")
        running.process.send_signal(signal.SIGINT)
        assert running.process.stdout is not None
        async with asyncio.timeout(30):
            await running.process.stdout.readline()
            if way == "a second signal":
                running.process.send_signal(signal.SIGTERM)
            out, err = await running.process.communicate()
    assert running.process.returncode == 0
    assert out == b"Stopping: ending sessions.\n"
    assert b"Traceback" not in err


@pytest.mark.anyio
async def test_sessions_end_politely_when_nobody_reads_what_is_said() -> None:
    read, write = os.pipe()
    flags = ["--set", "session.drain_timeout=0.2", "--set", "log.format=json"]
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "serve", *FREE_PORTS, *flags, env=ENVIRONMENT, stdout=write, stderr=PIPE
    )
    os.close(write)
    try:
        async with asyncio.timeout(20):
            said = b""
            while b"Play URL" not in said or not said.endswith(b"\n"):
                said += await asyncio.to_thread(os.read, read, 4096)
        os.close(read)
        async with httpx.AsyncClient() as http:
            assert (await Running(process, said.decode()).publish(http, "one")).status_code == 201
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0
    assert b"session ended" in err and b"Traceback" not in err and b"BrokenPipe" not in err


def test_a_traceback_in_the_log_shows_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    stream_key = "-".join(["very", "secret"])
    before = structlog.get_config()
    configure_logging("info", "console")
    try:
        structlog.get_logger().error("failed", exc_info=_error_with(stream_key))
    finally:
        structlog.configure(**before)
    err = capsys.readouterr().err
    assert "in _error_with" in err and "RuntimeError: a bug" in err
    assert stream_key not in err


def _error_with(stream_key: str) -> RuntimeError:
    try:
        if stream_key:
            raise RuntimeError("a bug")
    except RuntimeError as error:
        return error
    raise AssertionError
