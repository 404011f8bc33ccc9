#!/usr/bin/env python3
"""Check a WHIP server against RFC 9725, as far as a client can see its rules from outside.

Python 3.11 is all it needs, so this one file may be copied anywhere. It sends offers of H.264 and Opus, never
any media, and deletes each session it made. The rows are those of `docs/rfc/9725.md`: each is a method of
`Checks`, whose docstring says section, level and rule. A rule about what a server need not support and does
not is skipped. Exit status: 0 when no MUST fails, 1 when one does, 2 when the server cannot be reached.
"""

import argparse
import contextlib
import http.client
import inspect
import json
import os
import re
import secrets
import signal
import ssl
import sys
import time
from collections import Counter
from email.message import Message
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
MAX_BODY_BYTES = 1 << 20
MAX_WAIT = 5
"""Seconds that a server may ask to be left alone before a request is sent once more."""
MIN_SECRET = 16
"""Characters that differ between session URLs: fewer could be guessed."""
CODECS = {
    "audio": ["rtpmap:96 opus/48000/2"],
    "video": ["rtpmap:96 H264/90000", "fmtp:96 packetization-mode=1;profile-level-id=42e01f"],
    "unknown": ["rtpmap:96 X-UNKNOWN/90000"],
}
LAYERS = ["rid:hi send", "rid:lo send", "simulcast:send hi;lo"]
HOST = "1 1 udp 2130706431 192.0.2.1 61764 typ host"
ODD_HOSTS = ("2 1 udp 2130706430 0f2c.local 5000 typ host", "3 1 sctp 2130706429 192.0.2.1 5000 typ host")
OTHER_TAG = '"no-such-tag"'
ORIGIN = "https://page.example"
LINK = re.compile(r'<([^>]+)>((?:\s*;\s*[\w*-]+(?:=(?:"[^"]*"|[^\s",;]+))?)*)\s*(?:,\s*|$)')
PARAMETER = re.compile(r';\s*([\w*-]+)=(?:"([^"]*)"|([^\s",;]+))')
COLOURS = {"PASS": "\033[32m", "FAIL": "\033[31m", "SKIP": "\033[33m"}


class Fail(Exception):
    """The rule is broken; the message says what was seen."""


class Skip(Exception):
    """Nothing can be said about the rule; the message says why."""


def yes(condition: object, seen: object) -> str:
    """What was seen, if it is as it should be."""
    if not condition:
        raise Fail(str(seen))
    return str(seen)


class Reply(NamedTuple):
    """A response."""

    status: int
    headers: Message
    text: str
    url: str

    def __repr__(self) -> str:
        return str(self.status)

    @property
    def is_fine(self) -> bool:
        """Whether it is 2xx."""
        return self.status // 100 == 2

    def header(self, name: str) -> str:
        """All fields of this name, as one list."""
        return ", ".join(str(value) for value in self.headers.get_all(name, []))

    def names(self, name: str) -> set[str]:
        """The members of such a list, in lower case."""
        return {part.strip().lower() for part in self.header(name).split(",") if part.strip()}

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute in the body, which is SDP."""
        return re.findall(rf"(?m)^a={attribute}(?::(.*?))?\r?$", self.text)

    def links(self, rel: str) -> dict[str, dict[str, str]]:
        """Targets and parameters of the links whose relation begins so (RFC 8288)."""
        found, rest = {}, self.header("link").strip()
        while rest:
            match = LINK.match(rest)
            if match is None:
                raise Fail(f"malformed Link: {rest[:80]}")
            parameters = {name.lower(): a or b for name, a, b in PARAMETER.findall(match[2])}
            if parameters.get("rel", "").startswith(rel):
                found[match[1]] = parameters
            rest = rest[match.end() :]
        return found


class Offer:
    """An offer with fresh credentials, and the fingerprint of no certificate."""

    def __init__(
        self, *kinds: str, direction: str = "sendonly", setup: str = "actpass", layers: bool = False
    ):
        self._kinds = kinds or ("audio", "video")
        self._group = "a=group:BUNDLE " + " ".join(str(mid) for mid in range(len(self._kinds)))
        self._ice = self._credentials()
        fingerprint = f"fingerprint:sha-256 {secrets.token_bytes(32).hex(':').upper()}"
        self._all = [direction, f"setup:{setup}", fingerprint, "rtcp-mux", "rtcp-mux-only", *self._ice]
        self._layers = LAYERS if layers else []

    def sdp(self) -> str:
        """The body of a POST."""
        lines = ["v=0", f"o=- {secrets.randbits(62)} 1 IN IP4 127.0.0.1", "s=-", "t=0 0", self._group]
        for mid, kind in enumerate(self._kinds):
            name, layers = ("audio", []) if kind == "audio" else ("video", self._layers)
            attributes = [f"mid:{mid}", f"msid:stream track{mid}", *self._all, *CODECS[kind], *layers]
            lines += [
                f"m={name} 9 UDP/TLS/RTP/SAVPF 96",
                "c=IN IP4 0.0.0.0",
                *(f"a={each}" for each in attributes),
            ]
        return "".join(f"{line}\r\n" for line in lines)

    def fragment(self, *candidates: str, restart: bool = False) -> str:
        """The body of a PATCH: candidates, or with `restart` other credentials."""
        ice = self._credentials() if restart else self._ice
        ends = [*(f"candidate:{each}" for each in candidates or (HOST,)), "end-of-candidates"]
        lines = [
            self._group,
            "m=audio 9 UDP/TLS/RTP/SAVPF 0",
            *(f"a={each}" for each in ("mid:0", *ice, *ends)),
        ]
        return "".join(f"{line}\r\n" for line in lines)

    @staticmethod
    def _credentials() -> list[str]:
        ufrag, pwd = secrets.token_hex(4), secrets.token_hex(16)
        return [f"ice-ufrag:{ufrag}", f"ice-pwd:{pwd}", "ice-options:trickle ice2"]


class Server:
    """The server that is checked, and all it has answered."""

    def __init__(self, url: str, token: str | None, timeout: float, context: ssl.SSLContext) -> None:
        self.url, self.token, self._timeout, self._context = url, token, timeout, context
        self.seen: list[Reply] = []
        self._is_stopping = False

    def stop(self, *_: object) -> None:
        """Let the request under way come to its end, for the sake of the session it may have made.

        Then nothing but DELETE is sent. The second Ctrl-C is an ordinary one.
        """
        self._is_stopping = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def send(self, method: str, url: str, body: str, headers: dict[str, str]) -> Reply:
        """One request, on its own connection. A server that asks to wait a little gets its wish, once."""
        if self._is_stopping and method != "DELETE":
            raise KeyboardInterrupt
        for _ in range(2):
            reply = self._exchange(method, url, body, headers)
            self.seen.append(reply)
            wait = reply.header("retry-after")
            if reply.status not in (429, 503) or not wait.isdecimal() or int(wait) > MAX_WAIT:
                break
            time.sleep(int(wait))
        return reply

    def _exchange(self, method: str, url: str, body: str, headers: dict[str, str]) -> Reply:
        parts = urlsplit(url)
        target = parts._replace(scheme="", netloc="", fragment="", path=parts.path or "/").geturl()
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"no HTTP URL: {url}")
        connection = http.client.HTTPConnection(parts.netloc, timeout=self._timeout)
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                parts.netloc, timeout=self._timeout, context=self._context
            )
        deadline, content = time.monotonic() + self._timeout, b""
        with contextlib.closing(connection):
            connection.request(
                method, quote(target, safe="%/:=&?~#+!$,;'@()*[]"), body.encode() or None, headers
            )
            response = connection.getresponse()
            while len(content) < MAX_BODY_BYTES and (part := response.read1(65_536)):
                content += part
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the response to {method} does not end")
        return Reply(response.status, response.headers, content.decode(errors="replace"), url)


class Probe:
    """What one check works with: the server, and a session that is made when it is first asked for."""

    def __init__(self, server: Server) -> None:
        self.server, self.offer = server, Offer()
        self._created: Reply | None = None
        self._to_delete: list[str] = []

    def send(self, method: str, url: str = "", body: str = "", **headers: str | None) -> Reply:
        """Send to the endpoint or another URL. None leaves a header out, even the token's."""
        token = f"Bearer {self.server.token}" if self.server.token else None
        named = {"Authorization": token, **{name.replace("_", "-"): value for name, value in headers.items()}}
        fields = {name: value for name, value in named.items() if value is not None}
        return self.server.send(method, url or self.server.url, body, fields)

    def post(self, body: str | Offer, content_type: str = SDP, **headers: str | None) -> Reply:
        """Send an offer wherever 307 leads to. Its session is deleted in the end, the one before it now."""
        self.close()
        url, text = self.server.url, body if isinstance(body, str) else body.sdp()
        for _ in range(3):
            reply = self.send("POST", url, text, Content_Type=content_type, **headers)
            if reply.status not in (307, 308):
                break
            url = urljoin(url, reply.header("location"))
        if reply.status == 201 and reply.header("location"):
            self._to_delete.append(urljoin(url, reply.header("location")))
        return reply

    def close(self) -> None:
        """Delete what was made."""
        self._created = None
        while self._to_delete:
            self.send("DELETE", self._to_delete.pop())

    @property
    def created(self) -> Reply:
        """The response that made the session."""
        if self._created is None:
            reply = self.post(self.offer)
            if reply.status == 409:  # The session before may take a moment to end.
                time.sleep(0.5)
                reply = self.post(self.offer)
            yes(reply.status == 201 and reply.header("location"), f"POST: {reply} {reply.text[:100]}")
            self._created = reply
        return self._created

    @property
    def url(self) -> str:
        """The session's."""
        return urljoin(self.created.url, self.created.header("location"))

    @property
    def tag(self) -> str | None:
        """The session's ETag, quotes included."""
        return self.created.header("etag") or None

    def preflight(self, method: str, url: str = "") -> Reply:
        """Ask what a browser asks before it sends `method` from a page of another origin."""
        asked = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": "authorization"}
        return self.send("OPTIONS", url, Authorization=None, Origin=ORIGIN, **asked)

    def patch(
        self, body: str, if_match: str | None, kind: str = "PATCH", content_type: str = FRAGMENT
    ) -> Reply:
        """Send a fragment; Skip where the server takes none of this kind."""
        reply = self.send("PATCH", self.url, body, Content_Type=content_type, If_Match=if_match)
        if reply.status in (405, 501) or (reply.status == 422 and kind != "PATCH"):
            raise Skip(f"{kind} is not supported: {reply}")
        return reply

    def trickle(self, *candidates: str) -> Reply:
        """Add candidates, under the tag that the session was made with."""
        return self.patch(self.offer.fragment(*candidates), self.tag, "trickle ICE")

    def restart(self, if_match: str = "*") -> Reply:
        """Restart ICE; where that is supported, it succeeds."""
        reply = self.patch(self.offer.fragment(restart=True), if_match, "ICE restart")
        yes(reply.status == 200, f"If-Match: {if_match}: {reply}")
        return reply

    def with_wrong_token(self) -> Reply:
        """POST with a token that nobody made; Skip where there is no right one or none is wanted."""
        if not self.server.token:
            raise Skip("needs --token")
        if (reply := self.post(self.offer, Authorization="Bearer wrong.token")).status == 201:
            raise Skip("the server wants no token")
        return reply


class Checks(Probe):
    """The rows. Each returns what was seen, or raises Fail or Skip."""

    def row_1(self) -> str:
        """4.1 MUST: GET on endpoint and session is 2xx without content"""
        replies = [self.send("GET"), self.send("GET", self.url)]
        return yes(all(each.is_fine and not each.text for each in replies), replies)

    def row_2(self) -> str:
        """4.1 implied: HEAD is as GET; PUT is 405 with Allow"""
        get, head, put = (self.send(method) for method in ("GET", "HEAD", "PUT"))
        yes(head.status == get.status, f"GET {get}, HEAD {head}")
        allow = put.header("allow")
        return yes(put.status == 405 and allow, f"HEAD {head}, PUT {put}, Allow: {allow or 'none'}")

    def row_6(self) -> str:
        """4.2 MUST: POST is 201 with an SDP answer and Location"""
        kind = self.created.header("content-type")
        return yes(kind.startswith(SDP) and self.created.text.startswith("v=0"), f"201 {kind}")

    def row_7(self) -> str:
        """4.2 MUST: a wrong content type and malformed SDP are 4xx, a charset is not"""
        replies = [self.post(self.offer, "application/json"), self.post("v=0\r\nnonsense\r\n")]
        replies += [self.post(self.offer, f"{SDP}; charset=utf-8")]
        return yes([each.status // 100 for each in replies] == [4, 4, 2], replies)

    def row_8(self) -> str:
        """4.2 MUST: the answer is recvonly, to sendonly and to sendrecv"""
        answers = [self.post(Offer(direction=offered)) for offered in ("sendonly", "sendrecv")]
        return yes(all(len(each.values("recvonly")) == 2 for each in answers), answers)

    def row_10(self) -> str:
        """4.2 MUST: DELETE ends the session, so that a second one finds none"""
        replies = [self.send("DELETE", self.url) for _ in "12"]
        return yes(replies[0].is_fine and replies[1].status // 100 == 4, replies)

    def row_12(self) -> str:
        """4.2 MUST: OPTIONS for CORS"""
        origin = (reply := self.preflight("POST")).header("access-control-allow-origin")
        return yes(reply.is_fine and origin, f"{reply}, allowed origin: {origin or 'none'}")

    def row_13(self) -> str:
        """4.2 SHOULD: OPTIONS is 200 with Accept-Post: application/sdp"""
        accepted = (reply := self.send("OPTIONS")).names("accept-post")
        return yes(reply.status == 200 and SDP in accepted, f"{reply}, Accept-Post: {', '.join(accepted)}")

    def row_14(self) -> str:
        """4.2 implied: CORS lets pages send what they need and read the response"""
        for method, url in (("POST", ""), ("PATCH", self.url), ("DELETE", self.url)):
            headers, methods = (
                self.preflight(method, url).names(f"access-control-allow-{what}")
                for what in ("headers", "methods")
            )
            yes(
                "authorization" in headers and methods & {method.lower(), "*"},
                f"{method}: {methods}, {headers}",
            )
        exposed = self.post(self.offer, Origin=ORIGIN).names("access-control-expose-headers")
        return yes(exposed >= {"location", "link", "etag"} or "*" in exposed, f"exposed: {sorted(exposed)}")

    def row_15(self) -> str:
        """4.2 ours: an unknown session is 404, an ended one 404 or 410"""
        unknown = self.send("DELETE", urljoin(self.url, secrets.token_hex(16)))
        ended = [self.send("DELETE", self.url) for _ in "12"][1]
        return yes(unknown.status == 404 and ended.status in (404, 410), [unknown, ended])

    def row_17(self) -> str:
        """4.3.1 MUST: PATCH of a wrong content type or malformed is 4xx"""
        replies = [self.patch(self.offer.fragment(), self.tag, content_type="text/plain")]
        replies += [self.patch("nonsense\r\n", self.tag)]
        return yes(all(each.status // 100 == 4 for each in replies), replies)

    def row_18(self) -> str:
        """4.3.1 MUST: of trickle ICE and restarts, what alone is not supported is 422"""
        tried = ((self.offer.fragment(), self.tag), (self.offer.fragment(restart=True), "*"))
        replies = [
            self.send("PATCH", self.url, body, Content_Type=FRAGMENT, If_Match=tag) for body, tag in tried
        ]
        refused = [each.status for each in replies if not each.is_fine]
        return yes(len(refused) != 1 or refused == [422], replies)

    def row_19(self) -> str:
        """4.3.1 MUST: where ICE restarts, the 201 has a strong entity tag"""
        self.restart()
        return yes(re.fullmatch(r'"[^"\s]+"', self.tag or ""), f"ETag: {self.tag}")

    def row_20(self) -> str:
        """4.3.1 MUST: PATCH without If-Match is 428, with another tag 412"""
        replies = [self.patch(self.offer.fragment(), tag, "trickle ICE") for tag in (None, OTHER_TAG)]
        return yes([each.status for each in replies] == [428, 412], replies)

    def row_21(self) -> str:
        """4.3.1 MUST: DELETE ignores entity tags"""
        return yes((reply := self.send("DELETE", self.url, If_Match=OTHER_TAG)).is_fine, reply)

    def row_22(self) -> str:
        """4.3.2 MUST: the answer has the server's candidates"""
        return yes(candidates := self.created.values("candidate"), f"candidates: {len(candidates)}")

    def row_25(self) -> str:
        """4.3.2 MUST: trickled candidates are 204, without body and ETag"""
        reply = self.trickle()
        return yes(reply.status == 204 and not reply.text and not reply.header("etag"), reply)

    def row_26(self) -> str:
        """4.3.2 MUST: candidates of no use (.local, SCTP) are discarded silently"""
        return yes((reply := self.trickle(*ODD_HOSTS, HOST)).is_fine, reply)

    def row_27(self) -> str:
        """4.3.3 MUST: other credentials restart ICE"""
        ufrags = {*self.created.values("ice-ufrag"), *self.restart().values("ice-ufrag")}
        return yes(len(ufrags) == 2, f"ice-ufrag: {', '.join(ufrags)}")

    def row_28(self) -> str:
        """4.3.3 MUST: a restart has If-Match: *, or "*" as in the RFC's example"""
        return str([self.restart("*"), self.restart('"*"')])

    def row_29(self) -> str:
        """4.3.3 MUST: a restart is 200 with credentials, candidates and a new ETag"""
        reply = self.restart()
        lacking = [name for name in ("ice-ufrag", "ice-pwd", "candidate") if not reply.values(name)]
        lacking += ["content type"] * (not reply.header("content-type").startswith(FRAGMENT))
        lacking += ["new ETag"] * (reply.header("etag") in ("", self.tag))
        return yes(not lacking, f"200, lacking {', '.join(lacking) or 'nothing'}")

    def row_31(self) -> str:
        """4.3.3 MUST: fragments repeat ice-options, ice-pacing and ice-lite of the answer"""
        names, replies = ("ice-options", "ice-pacing", "ice-lite"), (self.created, self.restart())
        answered, repeated = ([{*reply.values(name)} for name in names] for reply in replies)
        return yes(answered == repeated, f"in the answer {answered}, in the fragment {repeated}")

    def row_33(self) -> str:
        """4.3.1 implied: after a restart, candidates of the ICE session before are 412"""
        self.restart()
        return yes((reply := self.trickle()).status == 412, reply)

    def row_34(self) -> str:
        """4.4.1 MUST: one BUNDLE group; rtcp-mux and rtcp-mux-only in each section"""
        seen = [
            self.created.values("group"),
            *(len(self.created.values(f"rtcp-mux{end}")) for end in ("", "-only")),
        ]
        return yes(seen == [["BUNDLE 0 1"], 2, 2], f"group, rtcp-mux, rtcp-mux-only: {seen}")

    def row_35(self) -> str:
        """4.4.2 MUST: one track is enough, two of a kind are 422 or 400 or taken"""
        *one, two = [
            self.post(Offer(*kinds)) for kinds in (["audio"], ["video"], ["audio", "video", "video"])
        ]
        is_right = two.status in (400, 422) or len(two.values("recvonly")) == 3
        return yes(is_right and all(each.status == 201 for each in one), [*one, two])

    def row_36(self) -> str:
        """4.4.3 SHOULD: an offer that could be taken only in part is 422 or 400"""
        return yes((reply := self.post(Offer("audio", "unknown"))).status in (400, 422), reply)

    def row_37(self) -> str:
        """4.4.4 SHOULD: setup:active is answered as server, or 422 or 400"""
        setup = {*(reply := self.post(Offer(setup="active"))).values("setup")}
        return yes(setup == {"passive"} or reply.status in (400, 422), f"{reply} {', '.join(setup)}")

    def row_39(self) -> str:
        """4.5 MUST: no redirect is 301 or 302"""
        redirects = {each.status for each in self.server.seen if each.status // 100 == 3}
        return yes(not redirects & {301, 302}, redirects or "none")

    def row_41(self) -> str:
        """4.6 MAY: ICE servers are told in well-formed links"""
        for uri, parameters in (servers := self.created.links("ice-server")).items():
            is_open = uri.startswith("stun") or parameters.keys() >= {"username", "credential"}
            yes(is_open and re.match(r"(stuns?|turns?):[^/]", uri), f"{uri} {sorted(parameters)}")
        return ", ".join(servers) or "none"

    def row_43(self) -> str:
        """4.6 SHOULD: a CORS preflight is told of no ICE servers"""
        return yes(not (servers := self.preflight("POST").links("ice-server")), ", ".join(servers) or "none")

    def row_45(self) -> str:
        """4.7 MUST: bearer tokens are understood"""
        return yes(self.with_wrong_token().status == 401, f"wrong 401, right {self.created}")

    def row_47(self) -> str:
        """4.7 implied: 401 says WWW-Authenticate: Bearer"""
        challenge = self.with_wrong_token().header("www-authenticate")
        return yes(challenge.lower().startswith("bearer"), challenge or "nothing")

    def row_48(self) -> str:
        """4.7 implied: a CORS preflight passes without token"""
        replies = [self.preflight("POST"), self.preflight("DELETE", self.url)]
        return yes(all(each.is_fine for each in replies), replies)

    def row_50(self) -> str:
        """4.8 MUST: simulcast is answered by the rules, or not at all"""
        simulcast = (reply := self.post(Offer(layers=True))).values("simulcast")
        is_right = all(each.startswith("recv ") for each in simulcast) and not reply.values("rid:.* send")
        return yes(is_right, f"{reply} {', '.join(simulcast) or 'without simulcast'}")

    def row_51(self) -> str:
        """4.9 MUST: extensions are links of the 201, and none is required"""
        return ", ".join(self.created.links("urn:ietf:params:whip:ext")) or "none"

    def row_53(self) -> str:
        """5 MUST: HTTPS"""
        if (parts := urlsplit(self.server.url)).hostname in ("localhost", "127.0.0.1", "::1"):
            raise Skip("not needed within one machine")
        return yes(parts.scheme == "https", parts.scheme)

    def row_55(self) -> str:
        """5 SHOULD: session URLs cannot be guessed"""
        urls = [urljoin(self.server.url, self.post(Offer()).header("location")) for _ in "12"]
        count = len(urls[0]) - len(os.path.commonprefix(urls))
        last = unquote(urls[0].rstrip("/").rpartition("/")[2])
        told = [value for _, value in parse_qsl(urlsplit(self.server.url).query) if value in last]
        return yes(count >= MIN_SECRET and not told, f"{count} characters differ, from the query: {told}")


def run(server: Server, row: int) -> dict[str, object]:
    """Look at one row. Whatever the server does, this does not raise."""
    checks = Checks(server)
    look = getattr(checks, f"row_{row}")
    section, level, rule = (inspect.getdoc(look) or "").split(" ", 2)
    verdict = "FAIL"
    try:
        verdict, seen = "PASS", look()
    except Skip as skip:
        verdict, seen = "SKIP", str(skip)
    except Exception as error:
        verdict, seen = "FAIL", str(error) if isinstance(error, Fail) else f"{type(error).__name__}: {error}"
    finally:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            checks.close()
    return {
        "row": row,
        "section": section,
        "level": level[:-1],
        "rule": rule,
        "verdict": verdict,
        "seen": seen,
    }


def describe(result: dict[str, object]) -> str:
    """One line for a person."""
    verdict = f"{result['verdict']}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        verdict = f"{COLOURS[verdict]}{verdict}\033[0m"
    return "{row:>3}  {section:<6} {level:<8} {}  {rule:<74}  {seen}".format(verdict, **result)


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        description="Check a WHIP server against RFC 9725.",
        epilog="example: %(prog)s 'https://whip.example/live?stream_name=test' --token secret",
    )
    parser.add_argument("url", help="the WHIP endpoint, with its query")
    parser.add_argument("--token", help="bearer token for all requests")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for each request (default: 10)")
    parser.add_argument("--insecure", action="store_true", help="take any certificate")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    context = ssl.create_default_context()
    if options.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = Server(options.url, options.token, options.timeout, context)
    signal.signal(signal.SIGINT, server.stop)
    try:
        server.send("OPTIONS", options.url, "", {})
    except (OSError, http.client.HTTPException, ValueError) as error:
        print(f"{options.url} cannot be reached: {error}", file=sys.stderr)
        return 2
    results = []
    for name in vars(Checks):
        if name.startswith("row_"):
            results.append(run(server, int(name[4:])))
            if not options.json:
                print(describe(results[-1]), flush=True)
    counts = Counter(f"{result['verdict']}" for result in results)
    broken = any((result["level"], result["verdict"]) == ("MUST", "FAIL") for result in results)
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in COLOURS)
    print(json.dumps({"summary": counts, "results": results}, indent=2) if options.json else f"\n{summary}")
    return int(broken)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
