"""tools/whip_conformance.py, a program of its own, measures the server, and others that are none."""

import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tools.server import RunningServer

pytestmark = pytest.mark.interop

SCRIPT = Path(__file__).parents[2] / "tools" / "whip_conformance.py"
TABLE = Path(__file__).parents[2] / "docs" / "rfc" / "9725.md"
TOKEN = "conformance"
NEEDS_TOKEN = {45, 47}
NEEDS_HTTPS = {53}
UNLIMITED = {"limits__posts_per_minute": "0"}
"""The script waits where it is told to, which takes its time."""
TIMEOUT = 60.0


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script as somebody would who has copied it: without this project on the path."""
    command = [sys.executable, "-I", str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def results_of(finished: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads(finished.stdout)["results"]
    return results


def test_the_server_keeps_every_rule() -> None:
    with RunningServer(**UNLIMITED) as server:
        finished = check(server.whip_url("demo"), "--json")
        with urlopen(f"{server.http_url}/p/webrtc/status.json", timeout=5) as response:
            assert json.load(response)["sessions"] == 0
    results = results_of(finished)
    assert [each for each in results if each["verdict"] == "FAIL"] == []
    assert {each["row"] for each in results if each["verdict"] == "SKIP"} == NEEDS_TOKEN | NEEDS_HTTPS
    assert finished.returncode == 0


def test_the_server_keeps_the_rules_of_authentication() -> None:
    entry = {"hash": f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}", "streams": ["*"]}
    with RunningServer(auth__tokens=json.dumps([entry]), **UNLIMITED) as server:
        finished = check(server.whip_url("demo"), "--json", "--token", TOKEN)
        without = check(server.whip_url("demo"), "--json")
    results = results_of(finished)
    assert {each["row"] for each in results if each["verdict"] != "PASS"} == NEEDS_HTTPS, results
    assert finished.returncode == 0
    assert without.returncode == 1


def test_rows_are_those_of_the_table(silent_server: str) -> None:
    rows = [line.split("|")[1:4] for line in TABLE.read_text().splitlines() if line.startswith("| ")][1:]
    table = {int(number): (section.strip(), level.strip()) for number, section, level in rows}
    for each in results_of(check(silent_server, "--json")):
        section, level = table[each["row"]]
        assert each["section"] == section
        assert each["level"] in level


@pytest.fixture(scope="module")
def silent_server() -> Iterator[str]:
    """A web server that knows nothing."""
    with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno") as url:
        yield url


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Answer every request so, and hang up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/whip?name=demo"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_lines_for_people(silent_server: str) -> None:
    finished = check(silent_server)
    *lines, blank, summary = finished.stdout.splitlines()
    assert finished.returncode == 1
    assert blank == "" and " FAIL" in summary
    assert "\033" not in finished.stdout
    assert lines[0].split()[:4] == ["1", "4.1", "MUST", "FAIL"]
    # All columns begin where they do in the first line.
    assert len({line.index(line.split()[3]) for line in lines}) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 201 Created\r\nLocation: http://[::bad/\r\nLink: what\r\nETag: W/"a"\r\n\r\nv=0\r\na=',
        b"HTTP/1.1 201 Created\r\nLocation: /s/1\r\nLink: <turn:x>; rel=ice-server\r\n\r\n\xff\xfe",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: ftp://nowhere\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 301 Moved Permanently\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nRetry-After: x\r\n\r\n",
    ],
)
def test_no_server_breaks_it(answer: bytes) -> None:
    with answering(answer) as url:
        finished = check(url, "--json", "--token", "x", "--timeout", "1")
    assert finished.returncode == 1
    assert finished.stderr == ""


@pytest.mark.parametrize("answer", [b"", b"\x00\xff no HTTP\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"])
def test_who_speaks_no_http_cannot_be_reached(answer: bytes) -> None:
    with answering(answer) as url:
        finished = check(url, "--timeout", "1")
    assert finished.returncode == 2
    assert "cannot be reached" in finished.stderr and finished.stdout == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/whip", "127.0.0.1/whip", "http://[bad/whip", ""])
def test_where_nobody_listens(url: str) -> None:
    finished = check(url, "--timeout", "1")
    assert finished.returncode == 2
    assert "cannot be reached" in finished.stderr


def test_an_interrupted_run_leaves_no_session() -> None:
    with RunningServer(**UNLIMITED) as server:
        # Whatever request is under way.
        for lines in range(1, 9):
            command = [sys.executable, "-I", str(SCRIPT), server.whip_url("demo")]
            running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert running.stdout is not None
            for _ in range(lines):
                running.stdout.readline()
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=TIMEOUT)
            assert running.returncode == 130
        with urlopen(f"{server.http_url}/p/webrtc/status.json", timeout=5) as response:
            assert json.load(response)["sessions"] == 0


def test_help_shows_an_example() -> None:
    finished = check("--help")
    assert finished.returncode == 0
    assert "example:" in finished.stdout and "--token" in finished.stdout
