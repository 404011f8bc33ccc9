"""Inputs of machines: a script of steps, read off the front of the bytes a fuzzer gives.

Any bytes are a script. Numbers are big-endian; a block is a length in two bytes and as many bytes, or what
is left of them. Behind the end everything is zero.
"""


class Script:
    """A cursor over one input."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def number(self, size: int = 1) -> int:
        """A number of `size` bytes."""
        return int.from_bytes(self.take(size).ljust(size, b"\0"), "big")

    def choose(self, count: int) -> int:
        """A number below `count`."""
        return self.number() % count

    def block(self) -> bytes:
        """A byte string."""
        return self.take(self.number(2))

    def take(self, size: int) -> bytes:
        """Up to `size` bytes."""
        start = self._position
        self._position = min(start + size, len(self._data))
        return self._data[start : self._position]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))


def block(data: bytes) -> bytes:
    """`data` as `Script.block` reads it."""
    return len(data).to_bytes(2, "big") + data


def spoil(data: bytes, script: Script) -> bytes:
    """`data` with one byte changed (perhaps not) and cut (perhaps not), as the next five bytes say."""
    position, mask, end = script.number(2), script.number(), script.number(2)
    spoiled = bytearray(data)
    if spoiled:
        spoiled[position % len(spoiled)] ^= mask
    return bytes(spoiled[: end or None])
