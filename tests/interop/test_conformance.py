"""tools/whip_conformance.py measures this server, one that breaks each rule in turn, and others.

Only what starts the real server is an interop test; the rest is Python on both sides.
"""

import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tests.peers.certificates import write_certificate
from tests.peers.whip_server import FAULTS, TOKEN, VARIANTS, Answer, WhipServer, whip_server
from tools import whip_conformance
from tools.server import RunningServer

SCRIPT = Path(whip_conformance.__file__)
DOCUMENT = Path(__file__).parents[2] / "docs" / "rfc" / "9725.md"
ORIGIN = "https://a.example"
NOTHING_TO_TEST = {18, 39, 53}
"""Both kinds of PATCH are supported; no redirects; not HTTPS on loopback."""
NEEDS_TOKEN = {45, 46, 47}
UNLIMITED = {"limits__posts_per_minute": "0"}
"""The script waits where it is told to, which takes its time."""
ICE_SERVERS = [
    {"urls": ["stun:stun.example"]},
    {"urls": ["turn:turn.example"], "username": "u", "credential": "p"},
]
TIMEOUT = 60.0


def rows_of(fault: str) -> list[int]:
    """The rows that a fault breaks."""
    return [int(row) for row in fault.partition(":")[0].split()]


def examine(
    whip: WhipServer, *, origin: str = ORIGIN, context: ssl.SSLContext | None = None
) -> dict[str, list[int]]:
    """Rows by verdict. The server is left without sessions."""
    server = whip_conformance.Server(whip.url, TOKEN, origin, 5.0, context)
    assert whip_conformance.obstacle(server) == ""
    results = [whip_conformance.run(server, each) for each in whip_conformance.TABLE]
    assert not whip.sessions or whip.has("10: DELETE does nothing")
    return {name: [each.row for each in results if each.verdict == name] for name in ("PASS", "FAIL", "SKIP")}


def check(*arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script as somebody would who has copied it: without this project on the path."""
    command = [sys.executable, "-I", str(SCRIPT), *arguments]
    environment = {**os.environ, "WHIP_TOKEN": token}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def results_of(finished: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads(finished.stdout)["results"]
    return results


def test_a_right_server_breaks_no_rule() -> None:
    with whip_server() as whip:
        assert examine(whip) | {"PASS": []} == {"PASS": [], "FAIL": [], "SKIP": [18, 39, 53]}


@pytest.mark.parametrize("fault", [each for each in FAULTS if rows_of(each) != [53]])
def test_a_broken_rule_fails_and_no_other(fault: str) -> None:
    with whip_server(fault) as whip:
        assert examine(whip)["FAIL"] == rows_of(fault)


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_ways_to_be_right(variant: str) -> None:
    with whip_server(variant) as whip:
        assert examine(whip)["FAIL"] == []


def test_relations_that_are_no_extensions_are_counted_too() -> None:
    with whip_server("relations of its own", "51: extension linked twice") as whip:
        assert examine(whip)["FAIL"] == [51]
    with whip_server("no Link") as whip:
        assert {51, 52} <= {*examine(whip)["SKIP"]}


def test_every_row_can_fail_alone() -> None:
    alone = {row for fault in FAULTS for row in rows_of(fault) if len(rows_of(fault)) == 1}
    assert alone == {each.row for each in whip_conformance.TABLE}


@pytest.mark.parametrize(("faults", "verdict"), [([], "PASS"), (["53: sessions by plain HTTP"], "FAIL")])
def test_https_is_for_sessions_too(tmp_path: Path, faults: list[str], verdict: str) -> None:
    certificate = write_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.cert, certificate.key)
    with whip_server(*faults, tls=tls) as whip:
        verdicts = examine(whip, context=certificate.client_context())
    assert 53 in verdicts[verdict]
    assert verdicts["FAIL"] == [53] * (verdict == "FAIL")


def test_plain_http_is_for_one_machine_only() -> None:
    server = whip_conformance.Server("http://whip.example/", "", ORIGIN, 5.0)
    with pytest.raises(whip_conformance.Fail):
        whip_conformance.Checks(server).https()


def test_origins_that_a_server_does_not_know() -> None:
    with whip_server("a few origins") as whip:
        assert examine(whip, origin="https://b.example")["FAIL"] == [12, 14]


def test_rows_are_those_of_the_document() -> None:
    lines = [line.split("|")[1:4] for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")][1:]
    document = {int(number): (section.strip(), level.strip()) for number, section, level in lines}
    for each in whip_conformance.TABLE:
        section, level = document[each.row]
        assert each.section == section
        assert each.level in level
    unseen = [row for rows in whip_conformance.UNSEEN.values() for row in rows]
    assert sorted([*unseen, *(each.row for each in whip_conformance.TABLE)]) == sorted(document)


@pytest.mark.interop
def test_this_server_keeps_every_rule() -> None:
    with RunningServer(**UNLIMITED) as server:
        finished = check(server.whip_url("demo"), "--json")
        with urlopen(f"{server.http_url}/p/webrtc/status.json", timeout=5) as response:
            assert json.load(response)["sessions"] == 0
    results = results_of(finished)
    assert [each for each in results if each["verdict"] == "FAIL"] == []
    skipped = {each["row"] for each in results if each["verdict"] == "SKIP"}
    assert skipped == NOTHING_TO_TEST | NEEDS_TOKEN | {41, 42, 43}
    assert finished.returncode == 0


@pytest.mark.interop
def test_this_server_keeps_the_rules_of_tokens_and_ice_servers() -> None:
    entry = {"hash": f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}", "streams": ["*"]}
    settings = {"auth__tokens": json.dumps([entry]), "ice__servers": json.dumps(ICE_SERVERS), **UNLIMITED}
    with RunningServer(**settings) as server:
        finished = check(server.whip_url("demo"), "--json", "--token", TOKEN)
    results = results_of(finished)
    assert {each["row"] for each in results if each["verdict"] != "PASS"} == NOTHING_TO_TEST, results
    assert finished.returncode == 0


def test_the_token_may_come_from_the_environment() -> None:
    with whip_server() as whip:
        without, with_it = check(whip.url), check(whip.url, token=TOKEN)
    assert without.returncode == 2
    assert "wants a token: --token" in without.stderr and without.stdout == ""
    assert with_it.returncode == 0


def test_status_tells_of_broken_musts_alone() -> None:
    for fault, status in (("21: DELETE looks at tags", 1), ("13: no Accept-Post", 0)):
        with whip_server(fault) as whip:
            assert check(whip.url, "--token", TOKEN).returncode == status


Exchange = Callable[[socket.socket], None]


def answer_with(answer: bytes) -> Exchange:
    """Say this."""
    return lambda connection: connection.sendall(answer)


def drip_after(beginning: bytes) -> Exchange:
    """Say this, then a byte now and then."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(beginning)
        for _ in range(200):
            connection.sendall(b"x")
            time.sleep(0.02)

    return drip


@contextmanager
def serving(*exchanges: Exchange) -> Iterator[str]:
    """Do so with the first connections, and as with the last of them with all that follow."""
    listener = socket.create_server(("127.0.0.1", 0))
    left = list(exchanges)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(65_536)
                (left.pop(0) if len(left) > 1 else left[0])(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/whip?name=demo"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


NOT_FOUND = (
    b"HTTP/1.1 404 Not Found\r\nETag: \x1b[2J\r\nContent-Length: 30\r\n\r\nno\x1b[31m\x07\n\xe2\x80\xae "
    + b"." * 20
)


def test_lines_for_people() -> None:
    with serving(answer_with(NOT_FOUND)) as url:
        finished = check(url)
    *lines, blank, summary, unseen = finished.stdout.split("\n")[:-1]
    assert finished.returncode == 1
    assert len(lines) == len(whip_conformance.TABLE)
    assert blank == "" and " FAIL" in summary
    assert unseen.startswith("not visible from outside: ")
    assert lines[0].split()[:4] == ["1", "4.1", "MUST", "FAIL"]
    # All columns begin where they do in the first line.
    assert len({line.index(line.split()[3]) for line in lines}) == 1
    # What the server says is shown and does nothing to the terminal.
    assert r"no\x1b[31m\x07 \u202e" in finished.stdout
    assert re.fullmatch(r"[ -~\n]+", finished.stdout)


def test_what_is_seen_is_cut() -> None:
    seen = whip_conformance.printable("a\r\n\tb\u2028c" + "\x00" * 1000)
    assert seen.startswith(r"a b c\x00\x00") and seen.endswith("...")
    assert len(seen) == whip_conformance.MAX_SEEN


@contextmanager
def slow_server() -> Iterator[WhipServer]:
    """So slow that the script is not done before the test goes on."""
    with whip_server() as whip, pytest.MonkeyPatch.context() as patches:
        answer = whip.answer

        def answer_slowly(method: str, path: str, headers: dict[str, str], body: str) -> Answer:
            time.sleep(0.02)
            return answer(method, path, headers, body)

        patches.setattr(whip, "answer", answer_slowly)
        yield whip


def test_nobody_reads_to_the_end() -> None:
    command = [sys.executable, "-I", str(SCRIPT), "--token", TOKEN]
    with slow_server() as whip:
        with subprocess.Popen(
            [*command, whip.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running:
            assert running.stdout is not None and running.stderr is not None
            running.stdout.readline()
            running.stdout.close()
            errors = running.stderr.read()
        assert not whip.sessions
    assert errors == b""
    assert running.returncode == 141


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 201 Created\r\nLocation: http://[::bad/\r\nLink: what\r\nETag: W/"a"\r\n\r\nv=0\r\na=',
        b"HTTP/1.1 201 Created\r\nLocation: /s/1\r\nLink: <turn:x>; rel=ice-server\r\n\r\n\xff\xfe",
        b"HTTP/1.1 201 Created\r\nLocation: /s/1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nm=\r\nm=a",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: ftp://nowhere\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 301 Moved Permanently\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nRetry-After: x\r\n\r\n",
    ],
)
def test_no_server_breaks_it(answer: bytes) -> None:
    with serving(answer_with(answer)) as url:
        finished = check(url, "--json", "--token", "x", "--timeout", "1")
    assert finished.returncode == 1
    assert finished.stderr == ""
    assert Counter(each["verdict"] for each in results_of(finished))["FAIL"] > 10


def test_a_name_that_stays_taken() -> None:
    with serving(answer_with(b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")) as url:
        finished = check(url)
    assert finished.returncode == 2
    assert "somebody else publishes there" in finished.stderr


@pytest.mark.parametrize("answer", [b"", b"\x00\xff no HTTP\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"])
def test_who_speaks_no_http_cannot_be_reached(answer: bytes) -> None:
    with serving(answer_with(answer)) as url:
        finished = check(url, "--timeout", "1")
    assert finished.returncode == 2
    assert "cannot be reached" in finished.stderr and finished.stdout == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/whip", "127.0.0.1/whip", "http://[bad/whip", ""])
def test_where_nobody_listens(url: str) -> None:
    finished = check(url, "--timeout", "1")
    assert finished.returncode == 2
    assert "cannot be reached" in finished.stderr


@pytest.mark.parametrize(
    "beginning", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)
def test_an_answer_has_to_end(beginning: bytes) -> None:
    began = time.monotonic()
    with serving(drip_after(beginning)) as url:
        finished = check(url, "--timeout", "0.3")
    assert finished.returncode == 2
    assert "OPTIONS is not answered within 0.3 s" in finished.stderr
    assert time.monotonic() - began < 3.0


def test_a_server_that_stops_answering_is_left_alone() -> None:
    fine = answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    # OPTIONS and POST of the beginning, and GET of row 1; then POST, and twice in row 2 and 3.
    with serving(fine, fine, fine, drip_after(b"")) as url:
        finished = check(url, "--timeout", "0.2")
    assert finished.returncode == 2
    assert "3 requests in a row were not answered in time" in finished.stderr
    assert [line.split()[:4] for line in finished.stdout.split("\n")[:2]] == [
        ["1", "4.1", "MUST", "FAIL"],
        ["2", "4.1", "implied", "FAIL"],
    ]


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "1e99", "soon"])
def test_timeouts_that_make_no_sense(timeout: str) -> None:
    finished = check("http://127.0.0.1:1/", "--timeout", timeout)
    assert finished.returncode == 2
    assert "--timeout" in finished.stderr


def test_an_interrupted_run_leaves_no_session() -> None:
    with slow_server() as whip:
        # Whatever request is under way.
        for lines in range(1, 9):
            command = [sys.executable, "-I", str(SCRIPT), whip.url, "--token", TOKEN]
            running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert running.stdout is not None
            for _ in range(lines):
                running.stdout.readline()
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=TIMEOUT)
            assert running.returncode == 130
            assert not whip.sessions


def test_help_shows_an_example() -> None:
    finished = check("--help")
    assert finished.returncode == 0
    assert "example:" in finished.stdout and "--token" in finished.stdout
