"""What decides about a stream whoever publishes it: its record, and the organisation's webhook.

Where a stream is one more sink of something that is published already, they decide if it leads to the
embedded origin. Elsewhere names are others' business, except those that have a record here.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.streams.access.rights import PublishAttempt
from whipway.streams.stream_names import record_name


class Records(Protocol):
    """`StreamDirectory`."""

    async def admit(self, attempt: PublishAttempt) -> None:
        """Raises NotAllowed."""
        ...

    async def is_taken(self, name: str) -> bool:
        """Whether a record has, or had, this name."""
        ...


class PublishRules:
    """Asks both. `ask_hook` is the webhook's question, which raises NotAllowed."""

    def __init__(
        self, ask_hook: Callable[[PublishAttempt], Awaitable[None]], is_here: Callable[[str], bool]
    ) -> None:
        """`is_here`: whether an RTMP URL leads to the embedded origin."""
        self._ask_hook = ask_hook
        self._is_here = is_here
        self.records: Records | None = None
        """Known once all is put together: the origin, which asks, is one of its parts."""

    async def admit(self, attempt: PublishAttempt) -> None:
        """Whether a stream may be published. Raises NotAllowed."""
        assert self.records is not None
        await self.records.admit(attempt)
        await self._ask_hook(attempt)

    async def admit_sink(self, attempt: PublishAttempt) -> None:
        """Whether something that is published may go there as well. Raises NotAllowed."""
        await self.check_sink(attempt)
        if self._is_here(attempt.stream_url):
            await self._ask_hook(attempt)

    async def check_sink(self, attempt: PublishAttempt) -> None:
        """The same as far as records tell: nothing is published yet. Raises NotAllowed."""
        assert self.records is not None
        name = record_name(parse_rtmp_url(attempt.stream_url).app, attempt.stream_name)
        if self._is_here(attempt.stream_url) or await self.records.is_taken(name):
            await self.records.admit(attempt)
