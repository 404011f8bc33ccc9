"""CORS (the Fetch standard, section 3.2) on answers of every kind."""

from collections.abc import AsyncIterator

import pytest
import structlog
from fastapi import Response
from fastapi.responses import StreamingResponse
from tests.web.served import BASE, ENDPOINT, SDP, TARGET, Served, assert_problem, serving

from whipway.config import Settings

pytestmark = pytest.mark.anyio

PAGE = "https://page.example"
OTHER = "https://other.example:8443"
SESSION = f"{ENDPOINT}/{'A' * 32}"
EXPOSED = {"location", "link", "etag", "accept-post", "accept-patch", "retry-after", "www-authenticate"}
CORS = "access-control-"


def listed(*origins: str) -> Settings:
    return Settings.model_validate({"http": {"cors_origins": list(origins)}})


def words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(",")}


def cors_headers(headers: object) -> list[str]:
    return [name for name in headers if name.startswith(CORS)]  # type: ignore[attr-defined]


async def preflight(served: Served, path: str, method: str, **headers: str) -> dict[str, str]:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": method}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await served.http.options(path, headers=asked | more)
    assert (response.status_code, response.content) == (200, b"")
    return dict(response.headers)


# Preflights


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (ENDPOINT, "POST"),
        (SESSION, "PATCH"),
        (SESSION, "DELETE"),
        (f"{SESSION}/input", "PUT"),
        (f"{SESSION}/quality", "PUT"),
    ],
)
async def test_a_preflight(served: Served, path: str, method: str) -> None:
    found = await preflight(
        served, path, method, Access_Control_Request_Headers="authorization,content-type,if-match"
    )
    assert found[f"{CORS}allow-origin"] == "*"
    assert method in found[f"{CORS}allow-methods"].split(", ")
    assert found[f"{CORS}allow-methods"] == found["allow"]
    assert words(found[f"{CORS}allow-headers"]) == {
        *("authorization", "content-type", "if-match", "last-event-id"),
        *("x-bintu-apikey", "x-bintu-token", "x-bintu-playerkey"),
    }
    assert int(found[f"{CORS}max-age"]) > 0
    assert f"{CORS}allow-credentials" not in found
    assert f"{CORS}allow-private-network" not in found
    assert "vary" not in found


@pytest.mark.parametrize(
    ("origins", "allowed"), [([PAGE], "true"), (["*", PAGE], "true"), (["*"], None), (["*", OTHER], None)]
)
async def test_a_preflight_into_a_private_network(origins: list[str], allowed: str | None) -> None:
    async with serving(listed(*origins)) as served:
        found = await preflight(served, ENDPOINT, "POST", Access_Control_Request_Private_Network="true")
        assert found[f"{CORS}allow-origin"] == ("*" if "*" in origins else PAGE)
        assert found.get(f"{CORS}allow-private-network") == allowed
        for others in ({"Access_Control_Request_Private_Network": "false"}, {"Origin": "*"}):
            asked = {"Access_Control_Request_Private_Network": "true"} | others
            found = await preflight(served, ENDPOINT, "POST", **asked)
            assert f"{CORS}allow-private-network" not in found


async def test_a_preflight_from_elsewhere() -> None:
    async with serving(listed(OTHER)) as served:
        found = await preflight(served, ENDPOINT, "POST", Access_Control_Request_Private_Network="true")
        assert cors_headers(found) == []
        assert found["allow"] and found["vary"] == "Origin"


async def test_a_preflight_from_a_listed_origin() -> None:
    async with serving(listed(OTHER, PAGE)) as served:
        found = await preflight(served, ENDPOINT, "POST")
        assert found[f"{CORS}allow-origin"] == PAGE
        assert found["vary"] == "Origin"


async def test_options_that_is_no_preflight(served: Served) -> None:
    response = await served.http.options(ENDPOINT, headers={"Origin": PAGE})
    assert response.headers[f"{CORS}allow-origin"] == "*"
    assert words(response.headers[f"{CORS}expose-headers"]) == EXPOSED
    assert f"{CORS}allow-methods" not in response.headers


# Answers


async def test_a_session_can_be_read_from_elsewhere(served: Served) -> None:
    response = await served.post(Origin=PAGE)
    assert response.status_code == 201
    assert response.headers[f"{CORS}allow-origin"] == "*"
    assert words(response.headers[f"{CORS}expose-headers"]) == EXPOSED
    assert f"{CORS}allow-credentials" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("DELETE", SESSION, 404),
        ("PUT", ENDPOINT, 405),
        ("POST", ENDPOINT, 400),
    ],
)
async def test_so_can_errors(served: Served, method: str, path: str, status: int) -> None:
    response = await served.http.request(method, path, headers={"Origin": PAGE})
    assert response.status_code == status
    assert response.headers[f"{CORS}allow-origin"] == "*"
    assert words(response.headers[f"{CORS}expose-headers"]) == EXPOSED


async def test_so_can_too_many_requests() -> None:
    settings = Settings.model_validate({"limits": {"posts_per_minute": 1}})
    async with serving(settings) as served:
        await served.post(Origin=PAGE)
        response = await served.post(Origin=PAGE)
        assert response.status_code == 429
        assert response.headers[f"{CORS}allow-origin"] == "*"
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_so_can_bugs(served: Served) -> None:
    async def fail() -> Response:
        raise RuntimeError("a bug")

    served.app.add_api_route("/bug", fail)
    with structlog.testing.capture_logs() as logs:
        response = await served.http.get("/bug", headers={"Origin": PAGE})
    assert (response.status_code, response.json()["code"]) == (500, "bug")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers[f"{CORS}allow-origin"] == "*"
    assert [log["event"] for log in logs] == ["request failed", "request"]
    assert logs[1]["status"] == 500


async def test_a_bug_after_the_beginning_is_the_servers(served: Served) -> None:
    """It hangs up: what was sent cannot be taken back."""

    async def begin() -> AsyncIterator[bytes]:
        yield b"x"
        raise RuntimeError("a bug")

    served.app.add_api_route("/bug", lambda: StreamingResponse(begin()))
    with pytest.raises(RuntimeError, match="a bug"):
        await served.http.get("/bug")


async def test_nothing_for_those_who_do_not_ask(served: Served) -> None:
    response = await served.http.get("/")
    assert cors_headers(response.headers) == []


async def test_listed_origins() -> None:
    async with serving(listed(PAGE, "https://Other.Example:8443")) as served:
        for origin in (PAGE, OTHER):
            response = await served.http.get("/", headers={"Origin": origin})
            assert response.headers[f"{CORS}allow-origin"] == origin
            assert response.headers["vary"] == "Origin"
        for origin in ("https://page.example:8443", "http://page.example", "null", "", "*"):
            response = await served.http.get("/", headers={"Origin": origin})
            assert response.status_code == 200
            assert cors_headers(response.headers) == []
            assert response.headers["vary"] == "Origin"


async def test_caches_learn_that_origins_matter_from_every_answer() -> None:
    async with serving(listed(PAGE)) as served:
        assert (await served.http.get("/")).headers["vary"] == "Origin"

        async def varied() -> Response:
            return Response(headers={"Vary": "Accept"})

        served.app.add_api_route("/varied", varied)
        assert words((await served.http.get("/varied")).headers["vary"]) == {"accept", "origin"}


async def test_two_origins_are_none(served: Served) -> None:
    response = await served.http.get("/", headers=[("Origin", PAGE), ("Origin", OTHER)])
    assert cors_headers(response.headers) == []


async def test_answers_to_what_is_no_request_can_be_read_too(served: Served) -> None:
    response = await served.http.get("/%0A", headers={"Origin": PAGE})
    assert_problem(response, 400, "malformed_request")
    assert response.headers[f"{CORS}allow-origin"] == "*"


# Who may change something, where origins are listed


BLIND = SDP | {"Content-Type": "text/plain"}
"""What a page may send without asking."""


@pytest.mark.parametrize(
    "origin", [PAGE, "null", "", "*", "http://whip.example", f"{BASE}:8443", f"{BASE}.evil"]
)
async def test_pages_of_others_are_refused(origin: str) -> None:
    async with serving(listed(OTHER)) as served:
        path = await served.session()
        response = await served.post(f"stream_name=two&stream_url={TARGET}", **BLIND, Origin=origin)
        assert_problem(response, 403, "origin_not_allowed")
        assert response.headers["vary"] == "Origin" and "www-authenticate" not in response.headers
        assert cors_headers(response.headers) == []
        assert_problem(await served.patch(path, "", Origin=origin), 403, "origin_not_allowed")
        response = await served.http.delete(path, headers={"Origin": origin})
        assert_problem(response, 403, "origin_not_allowed")
        assert (await served.http.get(path, headers={"Origin": origin})).status_code == 204
        assert served.directory.live_count == 1


async def test_two_origins_are_refused() -> None:
    async with serving(listed(PAGE, OTHER)) as served:
        response = await served.http.delete(SESSION, headers=[("Origin", PAGE), ("Origin", OTHER)])
        assert_problem(response, 403, "origin_not_allowed")


@pytest.mark.parametrize("origin", [PAGE, PAGE.upper(), OTHER, BASE])
async def test_listed_pages_and_those_from_here_are_not(origin: str) -> None:
    async with serving(listed(PAGE, OTHER)) as served:
        created = await served.post(**BLIND, Origin=origin)
        assert created.status_code == 201
        assert (f"{CORS}allow-origin" in created.headers) == (origin != BASE)
        path = created.headers["location"].removeprefix(BASE)
        assert (await served.http.delete(path, headers={"Origin": origin})).status_code == 200


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("live.example:443", "https://live.example"),
        ("live.example", "https://live.example:443"),
        ("LIVE.example:443", "https://live.example"),
    ],
)
async def test_a_port_that_goes_without_saying_makes_no_stranger(host: str, origin: str) -> None:
    async with serving(listed(PAGE)) as served:
        assert (await served.post(**BLIND, Host=host, Origin=origin)).status_code == 201


async def test_a_listed_port_may_go_without_saying() -> None:
    async with serving(listed(f"{PAGE}:443")) as served:
        created = await served.post(**BLIND, Origin=PAGE)
        assert (created.status_code, created.headers[f"{CORS}allow-origin"]) == (201, PAGE)


async def test_a_browser_knows_what_is_its_pages_own() -> None:
    # A proxy that does not tell the port, for instance.
    own = {"Host": "live.example", "Origin": "https://live.example:8443"}
    async with serving(listed(PAGE)) as served:
        assert (await served.post(**BLIND, **own)).status_code == 403
        created = await served.post(**BLIND, **own, Sec_Fetch_Site="same-origin")
        assert created.status_code == 201


async def test_nor_is_who_is_no_page() -> None:
    async with serving(listed(PAGE)) as served:
        assert (await served.post()).status_code == 201


@pytest.mark.parametrize("origin", ["https://public.example", BASE])
async def test_the_public_name_is_from_here(origin: str) -> None:
    http = {"cors_origins": [PAGE], "public_url": "https://Public.Example:443/whip"}
    async with serving(Settings.model_validate({"http": http})) as served:
        assert (await served.post(Origin=origin)).status_code == 201
        assert_problem(await served.post(Origin=OTHER), 403, "origin_not_allowed")


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 201), ("same-site", 403), ("cross-site", 403), ("none", 403)]
)
async def test_a_browser_knows_which_pages_are_from_here(site: str, status: int) -> None:
    """Behind a proxy that nobody told this server of, say."""
    async with serving(listed(PAGE)) as served:
        response = await served.post(Origin="https://outside.example:8443", Sec_Fetch_Site=site)
        assert response.status_code == status


@pytest.mark.parametrize(
    ("origin", "sent", "status"),
    [
        ("https://page.example:443", PAGE, 201),
        (PAGE, "https://page.example:443", 201),
        ("http://page.example:80", "http://page.example", 201),
        ("http://page.example:443", "http://page.example", 403),
        ("https://page.example:80", PAGE, 403),
        (OTHER, "https://other.example", 403),
    ],
)
async def test_a_default_port_goes_without_saying(origin: str, sent: str, status: int) -> None:
    async with serving(listed(origin)) as served:
        assert (await served.post(Origin=sent)).status_code == status


async def test_open_to_all_is_open_to_all(served: Served) -> None:
    assert (await served.post(**BLIND, Origin="null")).status_code == 201
