"""Who wants to know what is published at the origin: told of its begin, of its first frame, and of its end.

Calls come from the event loop in the middle of other work: who is called must be quick, and may not wait.
"""

from typing import Protocol

from whipway.origin.live import LiveStream


class Publishing:
    """One publisher at work, from the answer that lets it in until it lets go of the name."""

    def __init__(
        self, app: str, name: str, query: str, *, client: str, is_own: bool, stream: LiveStream
    ) -> None:
        self.app = app
        self.name = name
        self.query = query
        """As it was sent; may hold secrets."""
        self.client = client
        """Its IP address as text; "" if nobody knows."""
        self.is_own = is_own
        """A sink of this server."""
        self._stream = stream

    @property
    def bytes_in(self) -> int:
        """Of media."""
        return self._stream.bytes_in

    @property
    def bytes_out(self) -> int:
        """Of media, to all players."""
        return self._stream.bytes_out


class Observer(Protocol):
    """Whoever wants to know."""

    def publish_began(self, publishing: Publishing) -> None:
        """It was let in."""
        ...

    def first_frame(self, publishing: Publishing) -> None:
        """A picture or sound of it is there to be played."""
        ...

    def publish_over(self, publishing: Publishing) -> None:
        """It has gone, or was sent away. Comes once for each that began."""
        ...


class NobodyWatches:
    """Takes no notice."""

    def publish_began(self, publishing: Publishing) -> None:
        """Nothing."""

    def first_frame(self, publishing: Publishing) -> None:
        """Nothing."""

    def publish_over(self, publishing: Publishing) -> None:
        """Nothing."""
