import pytest
from tests.peers.http_server import http_server

from whipway.streams.webhooks.http_client import make_http_client

pytestmark = pytest.mark.anyio


async def test_nothing_of_one_answer_reaches_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with http_server() as server, make_http_client() as client:
        server.status = 302
        server.headers = {"Set-Cookie": "a=b", "Location": server.url + "/elsewhere"}
        for _ in range(2):
            assert (await client.post(server.url)).status_code == 302
    assert len(server.requests) == 2
    assert all("cookie" not in request.headers for request in server.requests)
