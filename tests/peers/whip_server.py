"""A WHIP server without media that keeps every rule a client can see, except those it is told to break.

Each fault is named "row: what is wrong", by the rows of `docs/rfc/9725.md`, and breaks these rows alone; it
stands where the rule is kept. A variant is another way to be right. One request a connection.
"""

import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import NamedTuple

TOKEN = "right"
SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
ALLOW = {"/whip": "GET, HEAD, POST, OPTIONS", "/s": "GET, HEAD, PATCH, DELETE, OPTIONS"}
CANDIDATE = "candidate:1 1 udp 2130706431 192.0.2.9 5000 typ"
TURN = '<turn:turn.example>; rel="ice-server"'
PASSWORD = '; username="u"; credential="p"; credential-type="password"'
EXTENSION = '<https://whip.example/x>; rel="urn:ietf:params:whip:ext:example"'
OWN = '</status>; rel="urn:example:status"', '<https://whip.example/about>; rel="help"'

FAULTS = (
    "1: content in GET",
    "1: no GET on sessions",
    "2: 405 without Allow",
    "3: problem documents are no JSON",
    "5: no fingerprint",
    "5 37: no setup",
    "5: other mids",
    "5: other formats",
    "5: other order of media",
    "5: short ICE password",
    "6: answer is text/plain",
    "7: any content type",
    "7: malformed SDP is 500",
    "8: sendrecv for sendrecv",
    "8: no direction",
    "10: DELETE does nothing",
    "12: no OPTIONS on sessions",
    "13: no Accept-Post",
    "14: no origin on the 201",
    "12 14: no origin on session preflights",
    "14: only Authorization allowed",
    "14: DELETE is not allowed",
    "14: Location is not exposed",
    "15: unknown session is 400",
    "16: no PATCH",
    "16: no PATCH, and none for pages",
    "17: any content type of PATCH",
    "17: malformed fragment is 500",
    "18: restart is 501",
    "19: unquoted tags",
    "20: If-Match may be missing",
    "20: another tag is 400",
    "20 24 33: any tag matches",
    "21: DELETE looks at tags",
    "22: no candidates",
    "23: no credentials before m=",
    "24: no list of tags",
    "24: weak tags match",
    "25: 200 for candidates",
    "25: ETag for candidates",
    "26: .local is 400",
    "27: restart keeps credentials",
    "28: * does not match",
    "29: no new ETag",
    "29: no candidates in the fragment",
    "31: no ice-options in the fragment",
    "32: refused restart ends the session",
    "33: old tag is good after a restart",
    "34: no rtcp-mux-only",
    "34: no group",
    "35: audio alone is refused",
    "36: what does not fit is left out",
    "37: active for active",
    "38: lite and reflexive",
    "39: redirect by 302",
    "41: TURN without password",
    "42: TURN without password in OPTIONS",
    "43: ICE servers in preflights",
    "45: wrong token is 403",
    "46: missing token is 403",
    "47: no challenge",
    "47: challenge of another scheme",
    "48: preflight needs a token",
    "50: answers that it sends layers",
    "50: sends a rid",
    "51: extension linked twice",
    "51: extension without URL",
    "52: name of its own",
    "53: sessions by plain HTTP",
    "55: counted sessions",
    "55: node and time",
    "55: named by the stream",
)
VARIANTS = (
    "direction for the whole session",
    "a DELETE can be repeated",
    '"*" is no tag',
    "no charset",
    "escapes in Link",
    "Basic comes first",
    "names are freed slowly",
    "redirect by 307",
    "no Link",
    "relations of its own",
    "a few origins",
    "full ICE",
    "no problem documents",
)


class Answer(NamedTuple):
    """A response; header fields may repeat."""

    status: int
    headers: list[tuple[str, str]]
    body: str = ""


class Section(NamedTuple):
    """A media description of an offer."""

    head: list[str]
    lines: list[str]

    def first(self, attribute: str) -> str:
        return next((line.partition(":")[2] for line in self.lines if line.startswith(f"a={attribute}:")), "")

    @property
    def is_known(self) -> bool:
        return any(codec in line for codec in ("opus/48000", "H264/90000") for line in self.lines)


class Session:
    """A published stream."""

    def __init__(self, tag: str) -> None:
        self.tags = [tag]
        self.remote_ufrag = ""
        self.credentials = make_credentials()


def make_credentials() -> list[str]:
    return [f"ice-ufrag:{secrets.token_hex(4)}", f"ice-pwd:{secrets.token_hex(16)}"]


def lines_of(*attributes: str) -> str:
    return "".join(f"a={each}\r\n" for each in attributes if each)


class WhipServer:
    """What is behind the HTTP server. `quirks` holds faults and variants."""

    def __init__(self, *quirks: str) -> None:
        assert set(quirks) <= {*FAULTS, *VARIANTS}, quirks
        self.url, self.session_base = "", "/s/"
        self.quirks = quirks
        self.sessions: dict[str, Session] = {}
        self._ended: set[str] = set()
        self._posts = 0

    def has(self, *quirks: str) -> bool:
        assert set(quirks) <= {*FAULTS, *VARIANTS}, quirks
        return not set(quirks).isdisjoint(self.quirks)

    def answer(self, method: str, path: str, headers: dict[str, str], body: str) -> Answer:
        """The whole of it."""
        if method == "OPTIONS":
            answer = self._options(path, headers)
        elif (refusal := self._authenticate(headers)) is not None:
            answer = refusal
        elif path == "/whip" or path.startswith("/whip?"):
            answer = self._endpoint(method, path, headers, body)
        else:
            answer = self._session(method, path.rpartition("/")[2], headers, body)
        return answer._replace(headers=[*answer.headers, *self._cors(method, path, headers, answer)])

    def _error(self, status: int, *headers: tuple[str, str]) -> Answer:
        if self.has("no problem documents"):
            return Answer(status, [*headers, ("Content-Type", "text/plain")], "no")
        body = "no" if self.has("3: problem documents are no JSON") else json.dumps({"status": status})
        return Answer(status, [*headers, ("Content-Type", "application/problem+json")], body)

    def _authenticate(self, headers: dict[str, str]) -> Answer | None:
        sent = headers.get("authorization")
        if sent == f"Bearer {TOKEN}":
            return None
        challenge = 'Bearer realm="a, \\"b\\""'
        if self.has("Basic comes first"):
            challenge = f'Basic realm="x, y", {challenge}'
        if self.has("47: challenge of another scheme"):
            challenge = 'Basic realm="x, Bearer"'
        fault = "46: missing token is 403" if sent is None else "45: wrong token is 403"
        told = [] if self.has("47: no challenge") else [("WWW-Authenticate", challenge)]
        return self._error(403 if self.has(fault) else 401, *told)

    def _cors(
        self, method: str, path: str, headers: dict[str, str], answer: Answer
    ) -> Iterator[tuple[str, str]]:
        origin, is_session = headers.get("origin"), not path.startswith("/whip")
        is_preflight = method == "OPTIONS" and "access-control-request-method" in headers
        is_allowed = origin == "https://a.example" or not self.has("a few origins")
        fault = "12 14: no origin on session preflights" if is_session else "14: no origin on the 201"
        is_forgotten = self.has(fault) and (answer.status == 201 or is_preflight and is_session)
        if origin is not None and is_allowed and not is_forgotten:
            yield "Access-Control-Allow-Origin", origin
        if is_preflight:
            methods = "PATCH, DELETE" if is_session else "POST"
            if self.has("14: DELETE is not allowed", "16: no PATCH, and none for pages"):
                methods = methods.replace(
                    "DELETE" if self.has("14: DELETE is not allowed") else "PATCH", "PUT"
                )
            names = "" if self.has("14: only Authorization allowed") else ", Content-Type, If-Match"
            yield "Access-Control-Allow-Methods", methods
            yield "Access-Control-Allow-Headers", f"Authorization{names}"
        names = "Link, ETag" if self.has("14: Location is not exposed") else "Location, Link, ETag"
        yield "Access-Control-Expose-Headers", "Location, ETag" if self.has("no Link") else names

    def _options(self, path: str, headers: dict[str, str]) -> Answer:
        is_preflight = "access-control-request-method" in headers
        is_session = not path.startswith("/whip")
        if is_preflight and self.has("48: preflight needs a token") and "authorization" not in headers:
            return Answer(401, [])
        if is_session and self.has("12: no OPTIONS on sessions"):
            return self._error(405, ("Allow", "GET"))
        told = [("Allow", ALLOW["/s" if is_session else "/whip"])]
        if not self.has("13: no Accept-Post"):
            told.append(("Accept-Post", SDP))
        if not is_session and not self.has("no Link") and not is_preflight:
            told.append(("Link", TURN + PASSWORD * (not self.has("42: TURN without password in OPTIONS"))))
        if is_preflight and self.has("43: ICE servers in preflights"):
            told.append(("Link", TURN + PASSWORD))
        return Answer(200, told)

    def _endpoint(self, method: str, path: str, headers: dict[str, str], body: str) -> Answer:
        if method == "POST":
            return self._post(path, headers, body)
        if method in ("GET", "HEAD"):
            is_full = self.has("1: content in GET")
            return Answer(200 if is_full else 204, [], "hello" * (is_full and method == "GET"))
        return self._error(405, *[("Allow", ALLOW["/whip"])] * (not self.has("2: 405 without Allow")))

    def _post(self, path: str, headers: dict[str, str], body: str) -> Answer:
        status = 302 if self.has("39: redirect by 302") else 307
        if self.has("39: redirect by 302", "redirect by 307") and "redirected" not in path:
            return Answer(status, [("Location", "/whip?name=a-long-name&redirected=1")])
        self._posts += 1
        if self.has("names are freed slowly") and self._posts % 10 == 0:
            return self._error(409)
        kind, _, charset = headers.get("content-type", "").partition(";")
        if (kind != SDP or (charset and self.has("no charset"))) and not self.has("7: any content type"):
            return self._error(415)
        sections = self._sections(body)
        if not sections:
            return self._error(500 if self.has("7: malformed SDP is 500") else 400)
        kinds = [each.head[0] for each in sections]
        is_bad = len(set(kinds)) < len(kinds)
        is_bad |= kinds == ["audio"] and self.has("35: audio alone is refused")
        is_bad |= not all(each.is_known for each in sections) and not self.has(
            "36: what does not fit is left out"
        )
        return self._error(422) if is_bad else self._created(sections)

    @staticmethod
    def _sections(sdp: str) -> list[Section]:
        parts = re.split(r"(?m)^m=", sdp)
        lines = [part.replace("\r", "").split("\n") for part in parts[1:]]
        return [Section(each[0].split(), each[1:]) for each in lines]

    def _created(self, sections: list[Section]) -> Answer:
        name = secrets.token_hex(16)
        if self.has("55: counted sessions"):
            name = f"{'0' * 30}{self._posts}"
        if self.has("55: node and time"):
            name = f"{'0' * 20}{secrets.token_hex(4)}-4c00-a000-0123456789ab"
        if self.has("55: named by the stream"):
            name += "a-long-name"
        session = self.sessions[name] = Session(self._new_tag())
        session.remote_ufrag = sections[0].first("ice-ufrag")
        kind = "text/plain" if self.has("6: answer is text/plain") else SDP
        told = [("Content-Type", kind), ("Location", f"{self.session_base}{name}"), ("ETag", session.tags[0])]
        links = [] if self.has("no Link") else self._links()
        return Answer(201, [*told, *(("Link", each) for each in links)], self._sdp(session, sections))

    def _links(self) -> list[str]:
        password = "" if self.has("41: TURN without password") else PASSWORD
        if self.has("escapes in Link"):
            password = r'; username="a\"b, <c>;d\\"; credential="p"'
        extension = EXTENSION
        if self.has("51: extension without URL"):
            extension = extension.replace("https://whip.example/x", "")
        if self.has("52: name of its own"):
            extension = extension.replace("whip:ext:", "whip:")
        twice = [extension.replace("/x", "/y")] * self.has("51: extension linked twice")
        own = OWN * self.has("relations of its own")
        return ['<stun:stun.example>; rel="ice-server"', TURN + password, extension, *twice, *own]

    def _new_tag(self) -> str:
        return secrets.token_hex(8) if self.has("19: unquoted tags") else f'"{secrets.token_hex(8)}"'

    def _sdp(self, session: Session, sections: list[Section]) -> str:
        group = f"group:BUNDLE {' '.join(each.first('mid') for each in sections)}"
        is_lite = not self.has("full ICE")
        whole = lines_of(
            "ice-lite" * is_lite,
            "" if self.has("34: no group") else group,
            "recvonly" * self.has("direction for the whole session"),
        )
        if self.has("5: other order of media"):
            sections = sections[::-1]
        body = "".join(self._section(session, each) for each in sections)
        return f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{whole}{body}"

    def _section(self, session: Session, offer: Section) -> str:
        format_ = "100" if self.has("5: other formats") else offer.head[3]
        layers = any(line.startswith("a=rid:hi") for line in offer.lines)
        return f"m={offer.head[0]} 9 {offer.head[2]} {format_}\r\nc=IN IP4 0.0.0.0\r\n" + lines_of(
            f"mid:{offer.first('mid')}{'x' * self.has('5: other mids')}",
            self._direction(offer),
            "" if self.has("5: no fingerprint") else f"fingerprint:sha-256 {'AB:' * 31}AB",
            self._setup(offer),
            session.credentials[0],
            session.credentials[1][: 12 if self.has("5: short ICE password") else None],
            "ice-options:trickle ice2",
            "" if self.has("22: no candidates") else f"{CANDIDATE} {self._candidate_type}",
            "rtcp-mux",
            "" if self.has("34: no rtcp-mux-only") else "rtcp-mux-only",
            "simulcast:send hi;lo" * (layers and self.has("50: answers that it sends layers")),
            "rid:hi send" * (layers and self.has("50: sends a rid")),
        )

    @property
    def _candidate_type(self) -> str:
        return "srflx" if self.has("38: lite and reflexive", "full ICE") else "host"

    def _direction(self, offer: Section) -> str:
        if self.has("8: no direction", "direction for the whole session"):
            return ""
        return (
            "sendrecv" if self.has("8: sendrecv for sendrecv") and "a=sendrecv" in offer.lines else "recvonly"
        )

    def _setup(self, offer: Section) -> str:
        is_client = offer.first("setup") == "active" and self.has("37: active for active")
        return "" if self.has("5 37: no setup") else "setup:active" if is_client else "setup:passive"

    def _session(self, method: str, name: str, headers: dict[str, str], body: str) -> Answer:
        if (session := self.sessions.get(name)) is None:
            if method == "DELETE" and name in self._ended and self.has("a DELETE can be repeated"):
                return Answer(200, [])
            is_known = name in self._ended
            return self._error(410 if is_known else 400 if self.has("15: unknown session is 400") else 404)
        if method in ("GET", "HEAD") and not self.has("1: no GET on sessions"):
            return Answer(204, [])
        if method == "DELETE":
            return self._delete(name, headers)
        if method == "PATCH" and not self.has("16: no PATCH", "16: no PATCH, and none for pages"):
            return self._patch(name, session, headers, body)
        return self._error(405, ("Allow", ALLOW["/s"]))

    def _delete(self, name: str, headers: dict[str, str]) -> Answer:
        if "if-match" in headers and self.has("21: DELETE looks at tags"):
            return self._error(412)
        if not self.has("10: DELETE does nothing"):
            self._end(name)
        return Answer(200, [])

    def _end(self, name: str) -> None:
        self._ended.add(name)
        self.sessions.pop(name, None)

    def _patch(self, name: str, session: Session, headers: dict[str, str], body: str) -> Answer:
        if headers.get("content-type") != FRAGMENT and not self.has("17: any content type of PATCH"):
            return self._error(415)
        ufrags, passwords = (re.findall(rf"(?m)^a=ice-{each}:(\S+)", body) for each in ("ufrag", "pwd"))
        if not ufrags:
            return self._error(500 if self.has("17: malformed fragment is 500") else 400)
        if not passwords and self.has("32: refused restart ends the session"):
            self._end(name)
        is_restart = ufrags[0] != session.remote_ufrag
        is_early = body.find("a=ice-ufrag") < body.find("m=")
        is_bad = not passwords or (is_early and self.has("23: no credentials before m="))
        if is_bad or (".local" in body and self.has("26: .local is 400")):
            return self._error(400)
        if is_restart and self.has("18: restart is 501"):
            return self._error(501)
        if "if-match" not in headers and not self.has("20: If-Match may be missing"):
            return self._error(428)
        if not self._matches(session, headers.get("if-match", "*")):
            is_unknown = not any(tag in headers["if-match"] for tag in ("*", *session.tags))
            return self._error(400 if is_unknown and self.has("20: another tag is 400") else 412)
        if is_restart:
            session.remote_ufrag = ufrags[0]
            return self._restart(session)
        is_full = self.has("25: 200 for candidates")
        etag = [("ETag", session.tags[-1])] * self.has("25: ETag for candidates")
        return Answer(200 if is_full else 204, etag)

    def _matches(self, session: Session, if_match: str) -> bool:
        if if_match.strip('"') == "*":
            is_refused = self.has('"*" is no tag') if '"' in if_match else self.has("28: * does not match")
            return not is_refused
        if self.has("24: weak tags match"):
            if_match = if_match.removeprefix("W/")
        tags = [if_match] if self.has("24: no list of tags") else if_match.split(", ")
        good = session.tags if self.has("33: old tag is good after a restart") else session.tags[-1:]
        return self.has("20 24 33: any tag matches") or not set(tags).isdisjoint(good)

    def _restart(self, session: Session) -> Answer:
        session.tags.append(self._new_tag())
        if not self.has("27: restart keeps credentials"):
            session.credentials = make_credentials()
        fragment = lines_of("ice-lite" * (not self.has("full ICE")), "group:BUNDLE 0 1")
        fragment += "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
        options = "" if self.has("31: no ice-options in the fragment") else "ice-options:trickle ice2"
        candidate = "" if self.has("29: no candidates in the fragment") else f"{CANDIDATE} host"
        fragment += lines_of("mid:0", *session.credentials, options, candidate)
        etag = [("ETag", session.tags[-1])] * (not self.has("29: no new ETag"))
        return Answer(200, [("Content-Type", FRAGMENT), *etag], fragment)


class Handler(BaseHTTPRequestHandler):
    """Reads a request and writes what the server says to it."""

    whip: WhipServer

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.whip.answer(self.command, self.path, headers, body)
        self.send_response(answer.status)
        for name, value in [*answer.headers, ("Content-Length", str(len(answer.body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body.encode())

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def log_request(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def whip_server(*quirks: str, tls: SSLContext | None = None) -> Iterator[WhipServer]:
    """A server on loopback. With `tls` it is served by HTTPS, and by HTTP what a fault says."""
    whip = WhipServer(*quirks)
    with serving(whip, None) as plain, serving(whip, tls) as url:
        whip.url = f"{url}/whip?name=a-long-name"
        if whip.has("53: sessions by plain HTTP"):
            whip.session_base = f"{plain}/s/"
        yield whip


@contextmanager
def serving(whip: WhipServer, tls: SSLContext | None) -> Iterator[str]:
    """Its address."""
    handler = type("BoundHandler", (Handler,), {"whip": whip})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
