import pytest


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop of production, whose transports differ from asyncio's own in small ways."""
    return "asyncio", {"use_uvloop": True}
