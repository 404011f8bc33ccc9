"""What is written to standard error, by every process of a server in the same way."""

import contextlib
import sys
from typing import TextIO, cast

import structlog


def configure_logging(level: str, style: str, *, worker: int | None = None) -> None:
    """`style`: "json" or "console". Each line of a worker's process says of which."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        # Plain: the default would print local variables, and with them stream keys and ICE passwords.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if worker is not None:
        processors.append(_WorkerNamer(worker))
    if style == "json":
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A line with its end in one write: several processes write there.
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )


class _StandardError:
    """Standard error, if anybody takes it: a full disk or a reader that left must not end what is logged."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


class _WorkerNamer:
    """Puts the number of a worker into each line."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(
        self, _logger: structlog.typing.WrappedLogger, _name: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["worker"] = self._number
        return event
