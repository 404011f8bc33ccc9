#!/usr/bin/env python3
"""Check a WHIP server against RFC 9725, as far as a client can see its rules from outside.

Python 3.11 is all it needs, so this one file may be copied anywhere. It sends offers of H.264 and Opus, never
any media, and deletes each session it made. The rows are those of `docs/rfc/9725.md`: each is a method of
`Checks`, below its row, section, level and rule. Where nothing was there to be tested, a row is skipped.
Exit status: 0 when no MUST fails, 1 when one does, 2 when the server cannot be tested.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from email.message import Message
from itertools import combinations
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit

SDP, FRAGMENT, PROBLEM = "application/sdp", "application/trickle-ice-sdpfrag", "application/problem+json"
EXTENSION = "urn:ietf:params:whip:ext"
MAX_BODY_BYTES = 1 << 20
MAX_SEEN = 200
MAX_WAIT = 5
"""Seconds that a server may ask to be left alone before a request is sent once more."""
CONFLICT_WAITS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds: the session before may take a moment to end."""
MAX_TIMEOUT = 3600.0
MAX_TIMEOUTS = 3
"""Requests in a row: then the server is gone."""
MIN_SECRET = 16
"""Characters that differ between session URLs: fewer could be guessed."""
MIN_TOLD = 6
"""Characters: shorter values of the query are found in any random text."""
H264 = ["rtpmap:96 H264/90000", "fmtp:96 packetization-mode=1;profile-level-id=42e01f"]
CODECS = {
    "audio": ("audio", 111, ["rtpmap:111 opus/48000/2"]),
    "video": ("video", 96, H264),
    "unknown": ("video", 96, ["rtpmap:96 X-UNKNOWN/90000"]),
}
LAYERS = ["rid:hi send", "rid:lo send", "simulcast:send hi;lo"]
HOST = "1 1 udp 2130706431 192.0.2.1 61764 typ host"
ODD_HOSTS = ("2 1 udp 2130706430 0f2c.local 5000 typ host", "3 1 sctp 2130706429 192.0.2.1 5000 typ host")
OTHER_TAG = '"no-such-tag"'
TRANSPORT = {
    "ice-ufrag": r"\S{4,256}",
    "ice-pwd": r"\S{22,256}",
    "fingerprint": r"\S+ [\dA-Fa-f]{2}(:[\dA-Fa-f]{2})+",
    "setup": "active|passive",
}
"""What the answer has to say of its one transport."""
PAGE_HEADERS = {
    "POST": {"authorization", "content-type"},
    "PATCH": {"authorization", "content-type", "if-match"},
    "DELETE": {"authorization"},
}
"""What a page sends, beyond what any page may."""
QUOTED = r'"(?:[^"\\]|\\.)*"'
LINK = re.compile(rf'<([^>]*)>((?:\s*;\s*[^\s=;,"<>]+(?:\s*=\s*(?:{QUOTED}|[^\s",;]+))?)*)\s*(?:,\s*|$)')
PARAMETER = re.compile(rf';\s*([^\s=;,"<>]+)\s*=\s*({QUOTED}|[^\s",;]+)')
UNSEEN = {
    "need media or patience": (9, 11, 30, 56),
    "need a server under load": (40, 54),
    "ask nothing of a server": (4, 44, 49),
}
COLOURS = {"PASS": "\033[32m", "FAIL": "\033[31m", "SKIP": "\033[33m"}


class Fail(Exception):
    """The rule is broken; the message says what was seen."""


class Skip(Exception):
    """Nothing can be said about the rule; the message says why."""


class Gone(Exception):
    """The server answers no more."""


def yes(condition: object, seen: object) -> str:
    """What was seen, if it is as it should be."""
    if not condition:
        raise Fail(str(seen))
    return str(seen)


def need(condition: object, why: object) -> None:
    """Skip the row unless there is something to test."""
    if not condition:
        raise Skip(str(why))


def values(sdp: str, attribute: str) -> list[str]:
    """The values of an attribute in SDP, or in a part of it."""
    return re.findall(rf"(?m)^a={attribute}(?::(.*?))?\r?$", sdp)


def parts(sdp: str) -> list[str]:
    """The session's part of SDP, and then each media description."""
    return re.split(r"(?m)^(?=m=)", sdp)


def media(sdp: str) -> list[tuple[str, list[str], set[str]]]:
    """Kind, mid and formats of each media description."""
    lines = [(part.partition("\n")[0].split(), values(part, "mid")) for part in parts(sdp)[1:]]
    return [(words[0], mid, set(words[3:])) for words, mid in lines]


def directions(sdp: str) -> list[str]:
    """The direction of each media description; the session's counts where it has none (RFC 8866, 6.7)."""
    session, *sections = (
        re.findall(r"(?m)^a=(sendrecv|sendonly|recvonly|inactive)\r?$", each) for each in parts(sdp)
    )
    return [(each or session or ["sendrecv"])[0] for each in sections]


def differing(one: str, other: str) -> int:
    """How many characters lie between what two texts have in common at both ends."""
    start = len(os.path.commonprefix([one, other]))
    end = len(os.path.commonprefix([one[start:][::-1], other[start:][::-1]]))
    return min(len(one), len(other)) - start - end


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

    @property
    def kind(self) -> str:
        """The media type, without parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()

    def header(self, name: str) -> str:
        """All fields of this name, as one list."""
        return ", ".join(str(value) for value in self.headers.get_all(name, []))

    def names(self, name: str) -> set[str]:
        """The members of such a list, in lower case."""
        return {part.strip().lower() for part in self.header(name).split(",") if part.strip()}

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute in the body, which is SDP."""
        return values(self.text, attribute)

    def links(self, rel: str) -> list[tuple[str, str, dict[str, str]]]:
        """Relation, target and parameters of the links with a relation that begins so (RFC 8288)."""
        found, rest = [], self.header("link").strip()
        while rest:
            match = LINK.match(rest)
            if match is None:
                raise Fail(f"malformed Link: {rest}")
            pairs = ((name.lower(), text) for name, text in PARAMETER.findall(match[2]))
            told = {
                name: re.sub(r"\\(.)", r"\1", text[1:-1]) if text[0] == '"' else text for name, text in pairs
            }
            relations = told.get("rel", "").lower().split()
            found += [(each, match[1], told) for each in relations if each.startswith(rel)]
            rest = rest[match.end() :]
        return found

    def ice_servers(self) -> str:
        """The ICE servers it tells of, which are as they should be; Skip where there are none."""
        need(servers := self.links("ice-server"), "no ICE servers")
        for _, uri, told in servers:
            is_open = uri.startswith("stun") or told.keys() >= {"username", "credential"}
            yes(is_open and re.match(r"(stuns?|turns?):[^/]", uri), f"{uri} {sorted(told)}")
        return ", ".join(uri for _, uri, _ in servers)


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
            name, payload_type, codec = CODECS[kind]
            layers = self._layers if name == "video" else []
            attributes = [f"mid:{mid}", f"msid:stream track{mid}", *self._all, *codec, *layers]
            lines += [f"m={name} 9 UDP/TLS/RTP/SAVPF {payload_type}", "c=IN IP4 0.0.0.0"]
            lines += [f"a={each}" for each in attributes]
        return "".join(f"{line}\r\n" for line in lines)

    def fragment(
        self, *candidates: str, restart: bool = False, lacking: str = "-", is_session_wide: bool = False
    ) -> str:
        """The body of a PATCH: candidates, or with `restart` other credentials; `lacking` one attribute."""
        credentials = [f"a={each}" for each in (self._credentials() if restart else self._ice)]
        body = ["m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0"]
        body = [*credentials, *body] if is_session_wide else [*body, *credentials]
        ends = [*(f"a=candidate:{each}" for each in candidates or (HOST,)), "a=end-of-candidates"]
        lines = [line for line in (self._group, *body, *ends) if not line.startswith(f"a={lacking}")]
        return "".join(f"{line}\r\n" for line in lines)

    @staticmethod
    def _credentials() -> list[str]:
        ufrag, pwd = secrets.token_hex(4), secrets.token_hex(16)
        return [f"ice-ufrag:{ufrag}", f"ice-pwd:{pwd}", "ice-options:trickle ice2"]


class Server:
    """The server that is checked, and all it has answered."""

    def __init__(
        self, url: str, token: str, origin: str, timeout: float, context: ssl.SSLContext | None = None
    ) -> None:
        self.url, self.token, self.origin = url, token, origin
        self.seen: list[Reply] = []
        self._timeout, self._context = timeout, context
        self._is_stopping, self._timeouts = False, 0

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
            if self._timeouts == MAX_TIMEOUTS:
                raise Gone(f"stopped: {MAX_TIMEOUTS} requests in a row were not answered in time")
            reply = self._exchange(method, url, body, headers)
            self._timeouts = 0
            self.seen.append(reply)
            wait = reply.header("retry-after")
            if reply.status not in (429, 503) or not wait.isdecimal() or int(wait) > MAX_WAIT:
                break
            time.sleep(int(wait))
        return reply

    def _exchange(self, method: str, url: str, body: str, headers: dict[str, str]) -> Reply:
        """In a thread: what bounds each read of a socket does not bound all of them, nor the look-up."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"no HTTP URL: {url}")
        connection = http.client.HTTPConnection(parts.netloc, timeout=self._timeout)
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                parts.netloc, timeout=self._timeout, context=self._context
            )
        target = parts._replace(scheme="", netloc="", fragment="", path=parts.path or "/").geturl()
        outcome: Future[Reply] = Future()

        def talk() -> None:
            try:
                with contextlib.closing(connection):
                    connection.request(
                        method, quote(target, safe="%/:=&?~#+!$,;'@()*[]"), body.encode() or None, headers
                    )
                    response = connection.getresponse()
                    text = response.read(MAX_BODY_BYTES).decode(errors="replace")
                outcome.set_result(Reply(response.status, response.headers, text, url))
            except Exception as error:
                outcome.set_exception(error)

        threading.Thread(target=talk, daemon=True).start()
        try:
            return outcome.result(self._timeout)
        except TimeoutError:
            self._timeouts += 1
            # The thread ends by this.
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)
            raise TimeoutError(f"{method} is not answered within {self._timeout:g} s") from None


class Probe:
    """What one check works with: the server, and a session that is made when it is first asked for."""

    def __init__(self, server: Server) -> None:
        self.server, self.offer = server, Offer()
        self.authorization = f"Bearer {server.token}" if server.token else None
        self._created: Reply | None = None
        self._to_delete: list[str] = []

    def send(self, method: str, url: str = "", body: str = "", **headers: str | None) -> Reply:
        """Send to the endpoint or another URL. None leaves a header out, even the token's."""
        named = {"Authorization": self.authorization, **headers}
        fields = {name.replace("_", "-"): value for name, value in named.items() if value is not None}
        return self.server.send(method, url or self.server.url, body, fields)

    def post(self, body: str | Offer, content_type: str = SDP, **headers: str | None) -> Reply:
        """Send an offer, again while the name is taken. The session before is deleted first."""
        text = body if isinstance(body, str) else body.sdp()
        for wait in (0.0, *CONFLICT_WAITS):
            time.sleep(wait)
            self.close()
            reply = self._follow(text, Content_Type=content_type, **headers)
            if reply.status != 409:
                break
        return reply

    def _follow(self, body: str, **headers: str | None) -> Reply:
        """POST wherever redirects lead to; 301 and 302 are followed too, though row 39 forbids them."""
        url = self.server.url
        for _ in range(3):
            reply = self.send("POST", url, body, **headers)
            if reply.status not in (301, 302, 307, 308):
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
            yes(reply.status == 201 and reply.header("location"), f"POST: {reply} {reply.text}")
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

    def preflight(self, method: str, authorization: str | None = None) -> Reply:
        """Ask what a browser, without token, asks before it sends `method` from a page of another origin."""
        headers = {"Origin": self.server.origin, "Access-Control-Request-Method": method}
        headers["Access-Control-Request-Headers"] = ",".join(sorted(PAGE_HEADERS[method]))
        return self.send(
            "OPTIONS", "" if method == "POST" else self.url, Authorization=authorization, **headers
        )

    def is_open(self, reply: Reply) -> bool:
        """Whether pages of the origin may read it."""
        return reply.header("access-control-allow-origin") in ("*", self.server.origin)

    def update(self, body: str, if_match: str | None, content_type: str = FRAGMENT) -> Reply:
        """PATCH the session."""
        return self.send("PATCH", self.url, body, Content_Type=content_type, If_Match=if_match)

    def patch(self, body: str, if_match: str | None, kind: str = "", content_type: str = FRAGMENT) -> Reply:
        """The same; Skip where the server takes none of this kind."""
        reply = self.update(body, if_match, content_type)
        is_unsupported = reply.status in (405, 501) or (kind and reply.status == 422)
        need(not is_unsupported, f"{kind or 'PATCH'} is not supported: {reply}")
        return reply

    def trickle(self, *candidates: str) -> Reply:
        """Add candidates, under the tag that the session was made with."""
        return self.patch(self.offer.fragment(*candidates), self.tag, "trickle ICE")

    def restart(self) -> Reply:
        """Restart ICE; Skip where that is refused, which row 28 looks at."""
        need((reply := self._restart()).is_fine, f"ICE does not restart: {reply}")
        return reply

    def _restart(self) -> Reply:
        """With the session's tag where `*` is not understood."""
        reply = self.update(self.offer.fragment(restart=True), "*")
        return reply if reply.status != 412 else self.update(self.offer.fragment(restart=True), self.tag)

    def kinds(self) -> dict[str, Reply]:
        """What comes of each kind of PATCH."""
        return {"trickle": self.update(self.offer.fragment(), self.tag), "restart": self._restart()}

    def refused(self) -> list[Reply]:
        """POST without a token, and with one that nobody made."""
        need(self.server.token, "needs --token")
        return [self.post(self.offer, Authorization=token) for token in (None, "Bearer wrong.token")]


Look = Callable[["Checks"], str]


class Check(NamedTuple):
    """One row. `look` returns what was seen, or raises Fail or Skip."""

    row: int
    section: str
    level: str
    rule: str
    look: Look


TABLE: list[Check] = []


def check(row: int, section: str, level: str, rule: str) -> Callable[[Look], Look]:
    """Put a method into the table."""

    def add(look: Look) -> Look:
        TABLE.append(Check(row, section, level, rule, look))
        return look

    return add


class Checks(Probe):
    """The rows."""

    @check(1, "4.1", "MUST", "GET on endpoint and session is 2xx without content")
    def get(self) -> str:
        replies = [self.send("GET"), self.send("GET", self.url)]
        return yes(all(each.is_fine and not each.text for each in replies), replies)

    @check(2, "4.1", "implied", "HEAD is as GET; PUT is 405 with Allow")
    def other_methods(self) -> str:
        get, head, put = (self.send(method) for method in ("GET", "HEAD", "PUT"))
        allow = put.header("allow")
        is_right = head.status == get.status and put.status == 405 and allow
        return yes(is_right, f"GET {get}, HEAD {head}, PUT {put}, Allow: {allow or 'none'}")

    @check(3, "4.1", "MAY", "errors that say to be problem documents are such")
    def problems(self) -> str:
        replies = [self.send("DELETE", urljoin(self.url, "no-such-session")), self.post(self.offer, "x/y")]
        told = [each for each in replies if each.status >= 400 and each.kind == PROBLEM]
        need(told, f"no problem documents: {[each.kind for each in replies]}")
        return yes(all(each.text.lstrip()[:1] == "{" and json.loads(each.text) for each in told), replies)

    @check(5, "4.2", "MUST", "the answer fits the offer: media, mids, formats, ICE, DTLS")
    def answer(self) -> str:
        offered, answered = media(self.offer.sdp()), media(self.created.text)
        yes([each[:2] for each in offered] == [each[:2] for each in answered], answered)
        formats = [(few, all_) for (*_, all_), (*_, few) in zip(offered, answered, strict=True)]
        yes(all(few and few <= all_ for few, all_ in formats), answered)
        # What is said of the bundled transport stands in the session's part or in the first section.
        told = {name: values("".join(parts(self.created.text)[:2]), name) for name in TRANSPORT}
        right = [name for name in told if told[name] and re.fullmatch(TRANSPORT[name], told[name][0])]
        return yes(len(right) == len(TRANSPORT), f"well-formed: {', '.join(right)}")

    @check(6, "4.2", "MUST", "POST is 201 with an SDP answer and Location")
    def post_is_201(self) -> str:
        return yes(
            self.created.kind == SDP and self.created.text.startswith("v=0"), f"201 {self.created.kind}"
        )

    @check(7, "4.2", "MUST", "a wrong content type and malformed SDP are 4xx")
    def malformed_post(self) -> str:
        replies = [self.post(self.offer, "application/json"), self.post("v=0\r\nnonsense\r\n")]
        charset = self.post(self.offer, f"{SDP}; charset=utf-8")
        return yes(all(each.status // 100 == 4 for each in replies), f"{replies}, with a charset {charset}")

    @check(8, "4.2", "MUST", "the answer is recvonly, to sendonly and to sendrecv")
    def direction(self) -> str:
        replies = [self.post(Offer(direction=offered)) for offered in ("sendonly", "sendrecv")]
        answers = [directions(each.text) for each in replies]
        return yes(answers == [["recvonly"] * 2] * 2, f"{replies} {answers}")

    @check(10, "4.2", "MUST", "DELETE ends the session: then GET or DELETE finds none")
    def delete(self) -> str:
        first, get, second = (self.send(method, self.url) for method in ("DELETE", "GET", "DELETE"))
        is_gone = {get.status, second.status} & {404, 410}
        cannot_say = not get.is_fine and second.status < 500  # Such as 405 to any GET.
        return yes(first.is_fine and (is_gone or cannot_say), f"{first}, then GET {get}, DELETE {second}")

    @check(12, "4.2", "MUST", "OPTIONS for CORS, on endpoint and session")
    def options(self) -> str:
        replies = [self.preflight(method, self.authorization) for method in ("POST", "DELETE")]
        origins = [each.header("access-control-allow-origin") for each in replies]
        is_right = all(each.is_fine and self.is_open(each) for each in replies)
        return yes(is_right, f"{replies}, allowed origins: {origins}")

    @check(13, "4.2", "SHOULD", "OPTIONS is 200 with Accept-Post: application/sdp")
    def accept_post(self) -> str:
        accepted = (reply := self.send("OPTIONS")).names("accept-post")
        return yes(reply.status == 200 and SDP in accepted, f"{reply}, Accept-Post: {', '.join(accepted)}")

    @check(14, "4.2", "implied", "CORS lets pages send what they need and read the response")
    def pages(self) -> str:
        methods = ["POST", "DELETE", *["PATCH"] * any(each.is_fine for each in self.kinds().values())]
        lacking = [each for method in methods for each in self._not_allowed(method)]
        reply = self.post(self.offer, Origin=self.server.origin)
        exposed = reply.names("access-control-expose-headers")
        there = [name for name in ("location", "link", "etag") if reply.header(name)]
        lacking += [f"{name} exposed" for name in there if not exposed & {name, "*"}]
        lacking += ["origin on the 201"] * (not self.is_open(reply))
        return yes(not lacking, f"lacking: {', '.join(lacking) or 'nothing'}")

    def _not_allowed(self, method: str) -> list[str]:
        """What the preflight of a method does not grant; `*` stands for all but Authorization (Fetch)."""
        reply = self.preflight(method)
        methods, headers = (reply.names(f"access-control-allow-{what}") for what in ("methods", "headers"))
        names = PAGE_HEADERS[method] - headers
        lacking = sorted(names & {"authorization"} if "*" in headers else names)
        lacking += ["method"] * (method != "POST" and not methods & {method.lower(), "*"})
        lacking += ["origin"] * (not self.is_open(reply))
        return [f"{method} {what}" for what in lacking]

    @check(15, "4.2", "ours", "an unknown session is 404, an ended one 404, 410 or 2xx again")
    def unknown_session(self) -> str:
        unknown = self.send("DELETE", urljoin(self.url, secrets.token_hex(16)))
        ended = [self.send("DELETE", self.url) for _ in "12"][1]
        is_right = unknown.status == 404 and (ended.status in (404, 410) or ended.is_fine)
        return yes(is_right, f"unknown {unknown}, ended {ended}")

    @check(16, "4.3", "SHOULD", "trickle ICE and ICE restarts are supported")
    def patches(self) -> str:
        kinds = self.kinds()
        fine = [each.is_fine for each in kinds.values()]
        need(len({*fine}) == 1, f"recommended, but optional as well (4.4.5): {kinds}")
        return yes(all(fine), kinds)

    @check(17, "4.3.1", "MUST", "PATCH of a wrong content type or malformed is 4xx")
    def malformed_patch(self) -> str:
        replies = [self.patch(self.offer.fragment(), self.tag, content_type="text/plain")]
        replies += [self.patch("nonsense\r\n", self.tag)]
        return yes(all(each.status // 100 == 4 for each in replies), replies)

    @check(18, "4.3.1", "MUST", "of trickle ICE and restarts, what alone is not supported is 422")
    def one_kind_of_patch(self) -> str:
        kinds = self.kinds()
        refused = [each.status for each in kinds.values() if not each.is_fine]
        need(len(refused) == 1, f"both or none: {kinds}")
        return yes(refused == [422], kinds)

    @check(19, "4.3.1", "MUST", "where ICE restarts, the 201 has a strong entity tag")
    def entity_tag(self) -> str:
        self.restart()
        return yes(re.fullmatch(r'"[^"\s]+"', self.tag or ""), f"ETag: {self.tag}")

    @check(20, "4.3.1", "MUST", "PATCH without If-Match is 428, with another tag 412")
    def if_match(self) -> str:
        replies = [self.patch(self.offer.fragment(), tag, "trickle ICE") for tag in (None, OTHER_TAG)]
        return yes([each.status for each in replies] == [428, 412], replies)

    @check(21, "4.3.1", "MUST", "DELETE ignores entity tags")
    def delete_with_tag(self) -> str:
        return yes((reply := self.send("DELETE", self.url, If_Match=OTHER_TAG)).is_fine, reply)

    @check(22, "4.3.2", "MUST", "the answer has the server's candidates")
    def candidates(self) -> str:
        return yes(candidates := self.created.values("candidate"), f"candidates: {len(candidates)}")

    @check(23, "4.3.2", "MUST", "fragments: credentials before m= or below it, with or without an end")
    def fragments(self) -> str:
        forms = (self.offer.fragment(is_session_wide=True), self.offer.fragment(lacking="end-of-candidates"))
        replies = [self.trickle(), *(self.patch(body, self.tag, "trickle ICE") for body in forms)]
        return yes(all(each.is_fine for each in replies), replies)

    @check(24, "4.3.2", "MUST", "trickle ICE is conditional: one tag of a list is enough, a weak one none")
    def conditional(self) -> str:
        self.trickle()
        yes(self.tag, "the 201 has no ETag")
        tags, body = (f"{OTHER_TAG}, {self.tag}", f"W/{self.tag}"), self.offer.fragment()
        listed, weak = (self.patch(body, each, "trickle ICE") for each in tags)
        return yes(listed.is_fine and not weak.is_fine, f"list {listed}, weak {weak}")

    @check(25, "4.3.2", "MUST", "trickled candidates are 204, without body and ETag")
    def trickled(self) -> str:
        etag = (reply := self.trickle()).header("etag")
        return yes(reply.status == 204 and not reply.text and not etag, f"{reply}, ETag: {etag or 'none'}")

    @check(26, "4.3.2", "MUST", "candidates of no use (.local, SCTP) are discarded silently")
    def odd_candidates(self) -> str:
        return yes((reply := self.trickle(*ODD_HOSTS, HOST)).is_fine, reply)

    @check(27, "4.3.3", "MUST", "other credentials restart ICE")
    def other_credentials(self) -> str:
        ufrags = {*self.created.values("ice-ufrag"), *self.restart().values("ice-ufrag")}
        return yes(len(ufrags) == 2, f"ice-ufrag: {', '.join(ufrags)}")

    @check(28, "4.3.3", "MUST", "a restart has If-Match: *")
    def any_tag(self) -> str:
        bodies = [(tag, self.offer.fragment(restart=True)) for tag in ("*", '"*"')]
        bare, quoted = (self.patch(body, tag, "ICE restart") for tag, body in bodies)
        return yes(bare.is_fine, f'*: {bare}, "*" as in an example of the RFC: {quoted}')

    @check(29, "4.3.3", "MUST", "a restart is 200 with credentials, candidates and a new ETag")
    def restarted(self) -> str:
        reply = self.restart()
        lacking = [name for name in ("ice-ufrag", "ice-pwd", "candidate") if not reply.values(name)]
        lacking += ["content type"] * (reply.kind != FRAGMENT)
        lacking += ["new ETag"] * (reply.header("etag") in ("", self.tag))
        return yes(reply.status == 200 and not lacking, f"{reply}, lacking {', '.join(lacking) or 'nothing'}")

    @check(31, "4.3.3", "MUST", "fragments repeat ice-options, ice-pacing and ice-lite of the answer")
    def repeated(self) -> str:
        names, replies = ("ice-options", "ice-pacing", "ice-lite"), (self.created, self.restart())
        answered, repeated = ([{*reply.values(name)} for name in names] for reply in replies)
        return yes(answered == repeated, f"in the answer {answered}, in the fragment {repeated}")

    @check(32, "4.3.3", "MUST", "a refused restart leaves the session and its ICE session")
    def refused_restart(self) -> str:
        refused = self.patch(self.offer.fragment(restart=True, lacking="ice-pwd"), "*")
        need(not refused.is_fine, f"a restart without ice-pwd is taken: {refused}")
        later = [self.send("GET", self.url), self.update(self.offer.fragment(), self.tag)]
        is_there = not {each.status for each in later} & {404, 410, 412}
        return yes(is_there, f"{refused}, then GET and PATCH: {later}")

    @check(33, "4.3.1", "implied", "after a restart, candidates of the ICE session before are 412")
    def late_candidates(self) -> str:
        self.restart()
        return yes((reply := self.trickle()).status == 412, reply)

    @check(34, "4.4.1", "MUST", "one BUNDLE group; rtcp-mux and rtcp-mux-only in each section")
    def bundle(self) -> str:
        group, sections = self.created.values("group"), parts(self.created.text)[1:]
        counts = [
            sum(bool(values(each, name)) for each in sections) for name in ("rtcp-mux", "rtcp-mux-only")
        ]
        return yes((group, counts) == (["BUNDLE 0 1"], [2, 2]), f"{group}, rtcp-mux, rtcp-mux-only: {counts}")

    @check(35, "4.4.2", "MUST", "one track is enough; two of a kind are 422 or 400 or taken")
    def tracks(self) -> str:
        offers = Offer("audio"), Offer("video"), Offer("audio", "video", "video")
        audio, video, two = replies = [self.post(each) for each in offers]
        is_right = two.status in (400, 422) or directions(two.text) == ["recvonly"] * 3
        return yes(is_right and audio.status == video.status == 201, replies)

    @check(36, "4.4.3", "SHOULD", "an offer that could be taken only in part is 422 or 400")
    def in_part(self) -> str:
        return yes((reply := self.post(Offer("audio", "unknown"))).status in (400, 422), reply)

    @check(37, "4.4.4", "SHOULD", "setup:active is answered as server, or 422 or 400")
    def dtls_role(self) -> str:
        setup = {*(reply := self.post(Offer(setup="active"))).values("setup")}
        return yes(setup == {"passive"} or reply.status in (400, 422), f"{reply} {', '.join(setup)}")

    @check(38, "4.4.5", "SHOULD", "full ICE, or ICE-lite with host candidates alone")
    def ice_lite(self) -> str:
        kind = "lite" if self.created.values("ice-lite") else "full"
        types = sorted({*re.findall(r"(?m)^a=candidate:.* typ (\S+)", self.created.text)})
        return yes(kind == "full" or types in ([], ["host"]), f"{kind}, candidates: {', '.join(types)}")

    @check(39, "4.5", "MUST", "no redirect is 301 or 302")
    def redirects(self) -> str:
        need(redirects := {each.status for each in self.server.seen if each.status // 100 == 3}, "none")
        return yes(not redirects & {301, 302}, redirects)

    @check(41, "4.6", "MAY", "ICE servers are told in well-formed links")
    def ice_servers(self) -> str:
        return self.created.ice_servers()

    @check(42, "4.6", "MAY", "OPTIONS tells of ICE servers in such links")
    def ice_servers_of_options(self) -> str:
        return self.send("OPTIONS").ice_servers()

    @check(43, "4.6", "SHOULD", "a CORS preflight is told of no ICE servers")
    def ice_servers_of_preflight(self) -> str:
        replies = self.preflight("POST"), self.created, self.send("OPTIONS")
        told, *others = (each.links("ice-server") for each in replies)
        need(told or any(others), "no ICE servers")
        return yes(not told, f"{len(told)} ICE servers")

    @check(45, "4.7", "MUST", "bearer tokens are understood")
    def bearer(self) -> str:
        _, wrong = self.refused()
        need(wrong.status != 201, "the server looks at no token")
        return yes(wrong.status == 401, f"wrong {wrong}, right {self.created}")

    @check(46, "4.7.1", "MAY", "a token may be required: a missing one is 401")
    def missing_token(self) -> str:
        missing, _ = self.refused()
        need(missing.status != 201, "no token is required")
        return yes(
            missing.status == 401, f"{missing}, session {self.send('GET', self.url, Authorization=None)}"
        )

    @check(47, "4.7", "implied", "401 says WWW-Authenticate: Bearer")
    def challenge(self) -> str:
        need(refused := [each for each in self.refused() if each.status == 401], "nothing is 401")
        challenges = [each.header("www-authenticate") for each in refused]
        bare = [re.sub(QUOTED, "", each) for each in challenges]
        has_bearer = all(re.search(r"(?i)(^|,)\s*bearer\b", each) for each in bare)
        return yes(has_bearer, "; ".join(each or "none" for each in challenges))

    @check(48, "4.7", "implied", "a CORS preflight passes without token")
    def preflight_passes(self) -> str:
        replies = [self.preflight("POST"), self.preflight("DELETE")]
        yes(all(each.status not in (401, 403) for each in replies), replies)
        need(all(each.is_fine for each in replies), f"OPTIONS is not supported, see row 12: {replies}")
        return str(replies)

    @check(50, "4.8", "MUST", "simulcast is answered by the rules, or not at all")
    def simulcast(self) -> str:
        need((reply := self.post(Offer(layers=True))).status == 201, f"simulcast is refused: {reply}")
        seen = reply.values("simulcast") + (rids := reply.values("rid"))
        is_right = all(re.fullmatch(r"(hi|lo) recv\b.*", each) for each in rids)
        is_right &= all(each.startswith("recv ") for each in reply.values("simulcast"))
        return yes(is_right, ", ".join(seen) or "one layer")

    @check(51, "4.9", "MUST", "each extension is one link of the 201 with its URL")
    def extensions(self) -> str:
        links = self.extension_links()
        counts = Counter(name for name, _ in links)
        has_urls = all(url and urljoin(self.url, url).startswith(("http://", "https://")) for _, url in links)
        return yes(len(counts) == len(links) and has_urls, dict(counts))

    @check(52, "4.9", "MUST", f"registered names of extensions begin with {EXTENSION}")
    def names_of_extensions(self) -> str:
        # Any URI may be a relation (RFC 8288, 2.1.2), and clients ignore what they do not know. What is
        # registered with IANA, or looks like it, is an extension of WHIP.
        names = [name for name, _ in self.extension_links()]
        is_right = all(name.startswith(EXTENSION) for name in names if name.startswith("urn:ietf:"))
        return yes(is_right, ", ".join(names))

    def extension_links(self) -> list[tuple[str, str]]:
        """Relation and target of all links of the 201 whose relation is a URI; Skip where there are none."""
        need(links := [each[:2] for each in self.created.links("") if ":" in each[0]], "no extensions")
        return links

    @check(53, "5", "MUST", "HTTPS, for endpoint and session")
    def https(self) -> str:
        parts = urlsplit(self.server.url)
        is_local = parts.hostname in ("localhost", "::1") or (parts.hostname or "").startswith("127.")
        need(parts.scheme == "https" or not is_local, "not needed within one machine")
        yes(parts.scheme == "https", parts.scheme)
        return yes(self.url.startswith("https:"), self.url)

    @check(55, "5", "SHOULD", "session URLs cannot be guessed")
    def secret_urls(self) -> str:
        urls = []
        for _ in "123":
            self.close()
            urls.append(self.url)
        count = max(differing(*pair) for pair in combinations(urls, 2))
        last = unquote(urls[0].rstrip("/").rpartition("/")[2])
        query = parse_qsl(urlsplit(self.server.url).query)
        told = [value for _, value in query if len(value) >= MIN_TOLD and value in last]
        return yes(count >= MIN_SECRET and not told, f"{count} characters differ, from the query: {told}")


class Result(NamedTuple):
    """What came of a row."""

    row: int
    section: str
    level: str
    rule: str
    verdict: str
    seen: str

    def __str__(self) -> str:
        """One line for a person."""
        verdict = self.verdict
        if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
            verdict = f"{COLOURS[verdict]}{verdict}\033[0m"
        return f"{self.row:>3}  {self.section:<6} {self.level:<8} {verdict}  {self.rule:<74}  {self.seen}"


def run(server: Server, each: Check) -> Result:
    """Look at one row. Whatever the server does, this raises nothing but Gone."""
    checks = Checks(server)
    try:
        verdict, seen = "PASS", each.look(checks)
    except Gone:
        raise
    except Skip as skip:
        verdict, seen = "SKIP", str(skip)
    except Exception as error:
        verdict, seen = "FAIL", str(error) if isinstance(error, Fail) else f"{type(error).__name__}: {error}"
    finally:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            checks.close()
    return Result(*each[:4], verdict, printable(seen))


def printable(text: str) -> str:
    """What a peer said, as one line of bounded length that does nothing to a terminal."""
    line = re.sub(r"[^ -~]", lambda match: match[0].encode("unicode_escape").decode(), " ".join(text.split()))
    return line if len(line) <= MAX_SEEN else f"{line[: MAX_SEEN - 3]}..."


def obstacle(server: Server) -> str:
    """Why the server cannot be tested, if so: asked before the rows, which would say it dozens of times."""
    probe = Probe(server)
    try:
        probe.send("OPTIONS")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{server.url} cannot be reached: {error}"
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        reply = probe.post(probe.offer)
        probe.close()
        if reply.status in (401, 403) and not server.token:
            return f"the server wants a token: --token ({reply} {reply.text})"
        if reply.status == 409:
            return f"somebody else publishes there ({reply} {reply.text})"
    return ""


def seconds(text: str) -> float:
    """A time that can be waited for."""
    if not 0 < (value := float(text)) <= MAX_TIMEOUT:
        raise ValueError
    return value


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Check a WHIP server against RFC 9725.",
        epilog="example: %(prog)s 'https://whip.example/live?stream_name=test' --token secret",
    )
    token, origin = os.environ.get("WHIP_TOKEN", ""), "https://example.com"
    parser.add_argument("url", help="the WHIP endpoint, with its query")
    parser.add_argument("--token", default=token, help="bearer token (default: $WHIP_TOKEN)")
    parser.add_argument("--origin", default=origin, help="of a page that may publish (default: %(default)s)")
    parser.add_argument(
        "--timeout", type=seconds, default=10.0, help="seconds for each request (default: 10)"
    )
    parser.add_argument("--insecure", action="store_true", help="take any certificate")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def main() -> int:
    """The exit status."""
    options = parse()
    context = ssl.create_default_context()
    if options.insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = Server(options.url, options.token, options.origin, options.timeout, context)
    signal.signal(signal.SIGINT, server.stop)
    results: list[Result] = []
    try:
        problem = obstacle(server)
        for each in () if problem else TABLE:
            results.append(run(server, each))
            if not options.json:
                print(results[-1], flush=True)
    except Gone as error:
        problem = str(error)
    if results:
        report(results, options.json)
    if problem:
        print(printable(problem), file=sys.stderr)
        return 2
    return int(any((each.level, each.verdict) == ("MUST", "FAIL") for each in results))


def report(results: list[Result], as_json: bool) -> None:
    """Sum up."""
    counts = Counter(each.verdict for each in results)
    if as_json:
        rows = [each._asdict() for each in results]
        print(json.dumps({"summary": counts, "results": rows, "unseen": UNSEEN}, indent=2), flush=True)
        return
    unseen = "; ".join(f"{', '.join(map(str, rows))} ({why})" for why, rows in UNSEEN.items())
    print(f"\n{', '.join(f'{counts[verdict]} {verdict}' for verdict in COLOURS)}")
    print(f"not visible from outside: {unseen}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Such as `| head`. The interpreter would complain when it flushes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
