"""User name and password for servers that ask for them inside RTMP: `authmod=adobe` and `authmod=llnw`.

There is no specification; encoders and servers agree on this. A server that wants to know who publishes
rejects `connect`, and says in the description of the status what it wants. The client connects anew with more
behind the name of the application, three times in all:

    app "live"                                                  code=403 need auth; authmod=adobe
    app "live?authmod=adobe&user=USER"                          ?reason=needauth&salt=…&challenge=…&opaque=…
    app "live?authmod=adobe&user=USER&challenge=…&response=…"   accepted, or ?reason=authfailed

Limelight's scheme is Digest (RFC 2617, section 3.2.2) with fixed realm, method and quality of protection;
Adobe's hashes the same things in an order of its own. Both hide the password and nothing else: RTMPS is what
protects a stream. An `Authenticator` remembers between two connections what the next one has to say.

Left out: `authmod` of other vendors (Red5 and some more).
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

MAX_DESCRIPTION_CHARACTERS: Final = 2048
"""What is read of a description; real ones have some two hundred."""
MAX_VALUE_CHARACTERS: Final = 256
"""Of one value in a challenge: it goes back to the server, inside the name of the application."""
MAX_QUESTIONS: Final = 3
"""Rejections that lead to another connect, until one is accepted. One more than needed: behind a load
balancer the server that is asked next may not be the one that knows the challenge."""
MEMORY_SECONDS: Final = 10.0
"""How long a question is worth an answer. Servers forget theirs, and take a late answer for a wrong one."""

_NONCE_BYTES: Final = 4
_PASSES_UNQUOTED: Final = "!$'()*+,:;=@/"
"""In a user name; servers take it as it stands, so only what would end the value is percent-encoded."""
_DEFAULT_INSTANCE: Final = "_definst_"
"""What Flash Media Server calls the instance of an application when none is named."""

_SCHEME: Final = re.compile(r"\bauthmod=([0-9A-Za-z_]+)")
_REASON: Final = re.compile(r"[?&]reason=(needauth|authfail\w*|nosuchuser)((?:&[!-~]*)?)")
_ASKS_FOR_USER: Final = re.compile(r"\bneed auth\b")
_VALUE: Final = re.compile(rf"[!-~]{{1,{MAX_VALUE_CHARACTERS}}}")
"""Printable, so that it may be sent back."""

_WANTED: Final = "the server wants a user name and a password"
_WRONG: Final = "the server does not accept the user name and password"
_NO_SUCH_USER: Final = "the server does not know the user name"
_NOT_UNDERSTOOD: Final = "the server asks for the password in a way that is not understood"


def is_about_authentication(description: str) -> bool:
    """Whether a rejected connect was rejected for want of the right user name and password.

    Naming a scheme is not enough: servers also quote the application, and with it what was asked for before.
    """
    description = description[:MAX_DESCRIPTION_CHARACTERS]
    if _REASON.search(description):
        return True
    return _SCHEME.search(description) is not None and _ASKS_FOR_USER.search(description) is not None


class Authenticator:
    """What is to be said about one user, over several connections to one server.

    It begins anew whenever a connection ended without a word: a fault of the network is no wrong password.
    """

    def __init__(self, user: str | None, password: str | None, random: Callable[[int], bytes]) -> None:
        """No user: every question is answered with no. `random(n)` gives n bytes."""
        self.refusal = ""
        """Why the last rejection is final; a sentence for people, without anything the server said."""
        self._user = user
        self._password = password or ""
        self._random = random
        self._scheme: str | None = None
        self._challenge: Mapping[str, str] | None = None
        self._questions = 0
        self._waits = False
        self._expires = 0.0

    def query(self, app: str, now: float) -> str:
        """What to put behind the name of `app` in a connect sent now, as arguments; empty at first."""
        if self._waits or now >= self._expires:
            self.forget()
        self._waits = True
        if self._scheme is None or self._user is None:
            return ""
        name = f"authmod={self._scheme}&user={quote(self._user, safe=_PASSES_UNQUOTED, errors='replace')}"
        if self._challenge is None:
            return name
        cnonce = self._random(_NONCE_BYTES).hex()
        return f"{name}&{_ANSWERS[self._scheme](self._user, self._password, app, self._challenge, cnonce)}"

    def take_rejection(self, description: str, now: float) -> bool:
        """Read why a connect was rejected: True when the next one may fare better, else see `refusal`.

        For descriptions that `is_about_authentication` picks out. Never raises, whatever they hold.
        """
        self.refusal = self._learn(description[:MAX_DESCRIPTION_CHARACTERS])
        self._waits = False
        self._expires = now + MEMORY_SECONDS
        if self.refusal:
            self.forget()
        return not self.refusal

    def forget(self) -> None:
        """Begin anew with the next connect, such as after the server has accepted one."""
        self._scheme = None
        self._challenge = None
        self._questions = 0
        self._waits = False

    def _learn(self, description: str) -> str:
        """The refusal; empty when there is something to say to the server."""
        if self._user is None:
            return _WANTED
        scheme = _SCHEME.search(description)
        reason = _REASON.search(description)
        if reason is not None and reason[1] != "needauth":
            return _NO_SUCH_USER if reason[1] == "nosuchuser" else _WRONG
        if scheme is None or scheme[1] not in _ANSWERS:
            return _NOT_UNDERSTOOD
        values = _read_values(reason[2]) if reason is not None else None
        return self._take_question(scheme[1], values)

    def _take_question(self, scheme: str, challenge: Mapping[str, str] | None) -> str:
        """Without a challenge the server asks for the user alone."""
        if challenge is not None and not any(needed <= challenge.keys() for needed in _NEEDED[scheme]):
            return _NOT_UNDERSTOOD
        self._questions += 1
        # Whoever was told the user and asks for the user again has no other way to say no.
        if self._questions > MAX_QUESTIONS or (challenge is None and self._scheme == scheme):
            return _WRONG
        self._scheme = scheme
        self._challenge = challenge
        return ""


def _read_values(text: str) -> dict[str, str]:
    """The arguments of a challenge; those with values that cannot be sent back are left out."""
    pairs = (part.partition("=") for part in text.split("&"))
    return {key: value for key, _, value in pairs if _VALUE.fullmatch(value)}


def _answer_adobe(user: str, password: str, app: str, challenge: Mapping[str, str], cnonce: str) -> str:
    opaque = challenge.get("opaque", "")
    secret = _base64_md5(user + challenge["salt"] + password)
    response = _base64_md5(secret + (opaque or challenge["challenge"]) + cnonce)
    answer = f"challenge={cnonce}&response={response}"
    return f"{answer}&opaque={opaque}" if opaque else answer


def _answer_llnw(user: str, password: str, app: str, challenge: Mapping[str, str], cnonce: str) -> str:
    nonce, count = challenge["nonce"], "00000001"
    path = app.partition("?")[0]
    if "/" not in path:
        path = f"{path}/{_DEFAULT_INSTANCE}"
    secret = _hex_md5(f"{user}:live:{password}")
    request = _hex_md5(f"publish:/{path}")
    response = _hex_md5(f"{secret}:{nonce}:{count}:{cnonce}:auth:{request}")
    return f"nonce={nonce}&cnonce={cnonce}&nc={count}&response={response}"


_ANSWERS: Final = {"adobe": _answer_adobe, "llnw": _answer_llnw}
_NEEDED: Final = {"adobe": ({"salt", "opaque"}, {"salt", "challenge"}), "llnw": ({"nonce"},)}
"""The values that a challenge must have, one set or the other."""


def _base64_md5(text: str) -> str:
    return b64encode(bytes.fromhex(_hex_md5(text))).decode()


def _hex_md5(text: str) -> str:
    return hashlib.md5(text.encode(errors="replace"), usedforsecurity=False).hexdigest()
