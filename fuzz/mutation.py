"""Small changes to inputs, for where no coverage leads the way: each is one that has broken parsers
before."""

from collections.abc import Callable, Sequence
from random import Random

MAX_INPUT_BYTES = 4096
MAX_CHANGES = 6
MAX_BLOCK = 64

_INTERESTING = (
    *(bytes((value,)) for value in (0, 1, 3, 0x1F, 0x20, 0x7F, 0x80, 0xC0, 0xFE, 0xFF)),
    *(b"\x00\x00", b"\x00\x01", b"\x7f\xff", b"\x80\x00", b"\xff\xff", b"\x00\x00\x03", b"\xff\xff\xff"),
    *(bytes(4), bytes(8), b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"\x7f\xff\xff\xff"),
    *(b"\r\n", b" ", b":", b"=", b"-1", b"65536", b"4294967296", b"\xc3\x28"),
)
"""Ends of ranges, separators, and what is not UTF-8."""

Change = Callable[[Random, bytearray, Sequence[bytes]], None]


def mutate(random: Random, parents: Sequence[bytes]) -> bytes:
    """One of `parents` with a few changes; at most `MAX_INPUT_BYTES` long."""
    data = bytearray(random.choice(parents))
    for _ in range(random.randint(1, MAX_CHANGES)):
        random.choice(_CHANGES)(random, data, parents)
    return bytes(data[:MAX_INPUT_BYTES])


def _flip_bit(random: Random, data: bytearray, _parents: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set_byte(random: Random, data: bytearray, _parents: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] = random.getrandbits(8)


def _count(random: Random, data: bytearray, _parents: Sequence[bytes]) -> None:
    """A length, a number or a type that is a little off."""
    if data:
        size = random.choice((1, 2, 3, 4))
        at = random.randrange(len(data))
        value = int.from_bytes(data[at : at + size], "big") + random.randint(-4, 4)
        data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "big")


def _cut(random: Random, data: bytearray, _parents: Sequence[bytes]) -> None:
    del data[random.randint(0, len(data)) :]


def _remove(random: Random, data: bytearray, _parents: Sequence[bytes]) -> None:
    at = random.randint(0, len(data))
    del data[at : at + random.randint(1, MAX_BLOCK)]


def _repeat(random: Random, data: bytearray, _parents: Sequence[bytes]) -> None:
    at = random.randint(0, len(data))
    data[at:at] = data[at : at + random.randint(1, MAX_BLOCK)] * random.choice((1, 1, 2, 8))


def _insert(random: Random, data: bytearray, _parents: Sequence[bytes]) -> None:
    at = random.randint(0, len(data))
    data[at:at] = random.choice(_INTERESTING)


def _overwrite(random: Random, data: bytearray, _parents: Sequence[bytes]) -> None:
    at = random.randint(0, len(data))
    value = random.choice(_INTERESTING)
    data[at : at + len(value)] = value


def _splice(random: Random, data: bytearray, parents: Sequence[bytes]) -> None:
    """The beginning of this input and the end of another."""
    other = random.choice(parents)
    data[random.randint(0, len(data)) :] = other[random.randint(0, len(other)) :]


def _append(random: Random, data: bytearray, parents: Sequence[bytes]) -> None:
    data += random.choice(parents)


_CHANGES: tuple[Change, ...] = (
    _flip_bit,
    _set_byte,
    _count,
    _cut,
    _remove,
    _repeat,
    _insert,
    _overwrite,
    _splice,
    _append,
)
