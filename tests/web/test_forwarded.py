"""What proxies say reaches the routes, the limits and the log; what others say does not."""

import pytest
import structlog
from tests.web.served import BASE, ENDPOINT, HOST, OFFER, QUERY, SDP, Served, serving

from whipway.config import Settings

pytestmark = pytest.mark.anyio

PROXY = "10.1.2.3"
CLIENT = "198.51.100.7"
FORWARDED = {"Forwarded": f'for={CLIENT};proto=http;host="live.example:81"'}
X_FORWARDED = {
    "X-Forwarded-For": CLIENT,
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "live.example:81",
}


def behind(kind: str = "x-forwarded") -> Settings:
    http = {"trusted_proxies": ["10.0.0.0/8"], "forwarded_headers": kind}
    return Settings.model_validate({"http": http, "limits": {"deletes_per_minute": 1}})


BEHIND = behind()


async def publish(served: Served, address: str, headers: dict[str, str]) -> tuple[str, object]:
    """The base of the session's URL, and the client in the log."""
    with structlog.testing.capture_logs() as logs:
        async with served.client(address=address) as client:
            response = await client.post(f"{ENDPOINT}?{QUERY}", content=OFFER, headers=SDP | headers)
            assert response.status_code == 201, response.text
            location = response.headers["location"]
            await client.delete(location[location.index(ENDPOINT) :], headers=headers)
    clients = {log["client"] for log in logs if log["event"] == "request"}
    assert len(clients) == 1
    return location.partition(ENDPOINT)[0], clients.pop()


@pytest.mark.parametrize(("kind", "headers"), [("forwarded", FORWARDED), ("x-forwarded", X_FORWARDED)])
async def test_behind_a_proxy(kind: str, headers: dict[str, str]) -> None:
    async with serving(behind(kind)) as served:
        assert await publish(served, PROXY, headers) == ("http://live.example:81", CLIENT)


@pytest.mark.parametrize(("kind", "headers"), [("forwarded", X_FORWARDED), ("x-forwarded", FORWARDED)])
async def test_what_the_proxy_does_not_write_its_client_wrote(kind: str, headers: dict[str, str]) -> None:
    async with serving(behind(kind)) as served:
        assert await publish(served, PROXY, headers) == (BASE, PROXY)


@pytest.mark.parametrize("headers", [FORWARDED, X_FORWARDED])
@pytest.mark.parametrize("address", [HOST, CLIENT])
async def test_others_are_not_believed(address: str, headers: dict[str, str]) -> None:
    async with serving(BEHIND) as served:
        assert await publish(served, address, headers) == (BASE, address)


async def test_nobody_is_believed_by_default(served: Served) -> None:
    assert await publish(served, HOST, FORWARDED) == (BASE, HOST)


async def test_the_page_behind_a_proxy_is_from_here() -> None:
    http = {"trusted_proxies": ["10.0.0.0/8"], "cors_origins": ["https://page.example"]}
    async with (
        serving(Settings.model_validate({"http": http})) as served,
        served.client(address=PROXY) as client,
    ):
        headers = SDP | X_FORWARDED | {"Origin": "http://live.example:81"}
        assert (await client.post(f"{ENDPOINT}?{QUERY}", content=OFFER, headers=headers)).status_code == 201
        headers["Origin"] = BASE
        assert (await client.post(f"{ENDPOINT}?{QUERY}", content=OFFER, headers=headers)).status_code == 403


async def test_clients_of_a_proxy_are_told_apart() -> None:
    async with serving(BEHIND) as served, served.client(address=PROXY) as client:

        async def delete(address: str) -> int:
            response = await client.delete(f"{ENDPOINT}/x", headers={"X-Forwarded-For": address})
            return response.status_code

        assert [await delete(address) for address in (CLIENT, CLIENT, "198.51.100.8")] == [404, 429, 404]
        # What the client wrote before the proxy did changes nothing.
        assert await delete(f"192.0.2.1, {CLIENT}") == 429
