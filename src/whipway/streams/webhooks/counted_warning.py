"""A warning about something that may happen often: written at most so often, with how often it happened."""

import time
from collections.abc import Callable

import structlog

WARNING_INTERVAL = 10.0
"""Seconds between two lines."""


class CountedWarning:
    """The first time is written at once, what follows is summed up by a later one."""

    def __init__(self, logger: str, event: str, now: Callable[[], float] = time.monotonic) -> None:
        self._log = structlog.get_logger(logger)
        self._event = event
        self._now = now
        self._count = 0
        self._written_at: float | None = None

    def add(self, number: int = 1, **details: object) -> None:
        """It has happened, so many times. `details` are written of the last time alone."""
        self._count += number
        now = self._now()
        if self._written_at is None or now - self._written_at >= WARNING_INTERVAL:
            self._log.warning(self._event, count=self._count, **details)
            self._count, self._written_at = 0, now
