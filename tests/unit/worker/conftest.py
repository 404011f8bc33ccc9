from collections.abc import AsyncIterator

import pytest
from tests.peers import h264, opus
from tests.peers.rtmp_client import HOST
from tests.unit.worker.serving import Served

from whipway.origin.server import OriginServer
from whipway.worker.sockets import bind_tcp


@pytest.fixture(scope="session")
def pictures() -> list[list[bytes]]:
    return h264.encode(320, 180, 3)


@pytest.fixture(scope="session")
def sounds() -> list[bytes]:
    return opus.encode(12)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    origin = OriginServer()
    listener = bind_tcp(HOST, 0)
    await origin.start(listener)
    served = Served(origin, listener.getsockname()[1])
    await served.worker.start()
    yield served
    if not served.is_closed:
        served.worker.close()
    assert served.is_empty
    for client in served.clients:
        client.close()
    await origin.stop()
