"""The names of streams: how the service makes them, and which one a publisher means.

A name is HASH-PART, where HASH is the organisation's and PART the stream's own. Who knows the name may
publish where nothing else is asked for, so PART cannot be guessed: some 58 bits of chance.
"""

from collections.abc import Callable

from whipway.protocol.rtmp.url import stream_path
from whipway.streams.store.tables import MAX_NAME_CHARACTERS

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Letters and digits that nobody takes for each other, read aloud or typed: without 0, O, I and l."""
HASH_CHARACTERS = 5
PART_CHARACTERS = 10
_FAIR_BELOW = 256 - 256 % len(ALPHABET)
"""Bytes from here on would make some characters likelier than others."""

Random = Callable[[int], bytes]


def make_hash(random: Random) -> str:
    """What the names of one organisation begin with. `random` gives that many bytes."""
    return _characters(HASH_CHARACTERS, random)


def make_name(prefix: str, random: Random) -> str:
    """A name that nobody has, as far as chance can tell. `prefix`: the organisation's hash."""
    return f"{prefix}-{_characters(PART_CHARACTERS, random)}"


def record_name(app: str, stream_name: str) -> str:
    """The name that a record goes by, from what a publisher asks for: without arguments.

    What stands behind the first part of the application counts as part of the name, as in
    `rights.Principal.may_name`.
    """
    return stream_path(app, stream_name).partition("/")[2].strip("/")


def is_recordable(name: str) -> bool:
    """Whether a record may go by this name: every database takes it, and it fits."""
    return 0 < len(name) <= MAX_NAME_CHARACTERS and name.isprintable()


def _characters(number: int, random: Random) -> str:
    text = ""
    while len(text) < number:
        text += "".join(ALPHABET[byte % len(ALPHABET)] for byte in random(number) if byte < _FAIR_BELOW)
    return text[:number]
