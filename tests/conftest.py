import pytest
import structlog

# The default prints the local variables of every frame: slowly, and nobody reads them.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop of production, whose transports differ from asyncio's own in small ways."""
    return "asyncio", {"use_uvloop": True}
