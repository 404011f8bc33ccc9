"""Who may do what (RFC 9725, section 4.7.1; RFC 6750): over HTTP, with the real application."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
import structlog
from tests.peers.http_server import HttpServer, http_server
from tests.peers.waiting import until
from tests.web.served import BASE, ENDPOINT, OFFER, QUERY, SDP, TARGET, Served, assert_problem, serving

from whipway.config import Settings
from whipway.config.tree import AuthSettings, IceServer, IceSettings, Token
from whipway.streams.access.admission import make_admission, unix_time

pytestmark = pytest.mark.anyio

SECRET = "a shared secret of enough characters"
CHALLENGE = 'Bearer realm="whipway"'
ONE = "Bearer for-one"
ALL = "Bearer for-all"
UNKNOWN = f"{ENDPOINT}/{'A' * 32}"


def entry(authorization: str, *streams: str) -> Token:
    token = authorization.removeprefix("Bearer ").encode()
    return Token(hash="sha256:" + hashlib.sha256(token).hexdigest(), streams=list(streams))


TOKENS = [entry(ONE, "one", "studio-*"), entry(ALL, "*")]


@asynccontextmanager
async def guarded(
    settings: Settings | None = None, now: Any = unix_time, **auth: Any
) -> AsyncIterator[Served]:
    """A server with authentication, by default with the two tokens above."""
    admission = make_admission(AuthSettings(**(auth or {"tokens": TOKENS})), now=now)
    assert admission is not None
    async with serving(settings, admission=admission) as served:
        yield served
    await admission.close()


@pytest.fixture
async def tokens() -> AsyncIterator[Served]:
    async with guarded() as served:
        yield served


def assert_unauthenticated(response: httpx.Response, sent: bool) -> None:
    """RFC 9110, section 11.6.1 and RFC 6750, section 3.1: an error code only for who sent a token."""
    problem = assert_problem(response, 401, "unauthenticated")
    reason = f', error="invalid_token", error_description="{problem["detail"]}"' if sent else ""
    assert response.headers.get_list("www-authenticate") == [CHALLENGE + reason]


def assert_forbidden(response: httpx.Response) -> None:
    assert_problem(response, 403, "forbidden")
    assert response.headers.get_list("www-authenticate") == [f'{CHALLENGE}, error="insufficient_scope"']


def assert_refused_by_the_callback(response: httpx.Response) -> None:
    """No token helps, so none is asked for."""
    assert_problem(response, 403, "forbidden")
    assert "www-authenticate" not in response.headers


# Publishing


async def test_a_token_is_enough(tokens: Served) -> None:
    response = await tokens.post(Authorization=ONE)
    assert response.status_code == 201


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
async def test_the_scheme_may_be_written_in_any_case(tokens: Served, scheme: str) -> None:
    assert (await tokens.post(Authorization=f"{scheme}   for-one")).status_code == 201


async def test_nobody_publishes_without_a_token(tokens: Served) -> None:
    assert_unauthenticated(await tokens.post(), sent=False)
    assert tokens.is_empty


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer another",
        "Bearer For-One",
        "Bearer",
        "Bearer ",
        "Bearer for-one for-one",
        "Bearer for-one, Bearer for-one",
        "Bearer\tfor-one",
        b"Bearer for\xe9",
        b"Bearer \xff\xfe",
        "Bearer " + "a" * 9000,
        "Bearer a.b.c",
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_bad_tokens(tokens: Served, authorization: str | bytes) -> None:
    response = await tokens.post(Authorization=authorization)
    # Bearer and a tab: no scheme of that name.
    assert_unauthenticated(response, sent=authorization != "Bearer\tfor-one")
    assert tokens.is_empty


@pytest.mark.parametrize(
    "authorization", ["Basic Zm9yLW9uZTo=", "Digest a=b", "for-one", "", "Bearerfor-one"]
)
async def test_other_schemes(tokens: Served, authorization: str) -> None:
    assert_unauthenticated(await tokens.post(Authorization=authorization), sent=False)


async def test_one_header_is_all_that_is_taken(tokens: Served) -> None:
    headers = [*SDP.items(), ("Authorization", ONE), ("Authorization", ONE)]
    response = await tokens.http.post(f"{ENDPOINT}?{QUERY}", content=OFFER, headers=headers)
    assert_unauthenticated(response, sent=True)


async def test_a_token_in_the_query_is_none(tokens: Served) -> None:
    assert_unauthenticated(await tokens.post(QUERY + "&access_token=for-one"), sent=False)


async def test_a_token_is_for_its_streams(tokens: Served) -> None:
    assert_forbidden(await tokens.post(f"stream_name=two&stream_url={TARGET}", Authorization=ONE))
    assert_forbidden(await tokens.post(f"stream_name=two?one&stream_url={TARGET}", Authorization=ONE))
    assert tokens.is_empty
    for name, token in (("studio-7?key=x", ONE), ("two", ALL)):
        await tokens.session(name, Authorization=token)


async def test_who_is_unknown_is_told_so_before_the_body_is_read(tokens: Served) -> None:
    assert_unauthenticated(await tokens.post(content="no offer", Content_Type="text/html"), sent=False)
    # Who is known but has no right to it learns first what is wrong with the request.
    query = f"stream_name=two&stream_url={TARGET}"
    assert_problem(
        await tokens.post(query, Authorization=ONE, Content_Type="text/html"), 415, "unsupported_media_type"
    )


async def test_json_web_tokens() -> None:
    def signed(**claims: Any) -> str:
        token = jwt.encode({"exp": unix_time() + 60, "stream_name": "one"} | claims, SECRET, "HS256")
        return f"Bearer {token}"

    async with guarded(jwt_secret=SECRET) as served:
        await served.session(Authorization=signed(stream_url=TARGET))
        assert_forbidden(await served.post(Authorization=signed(stream_name="two")))
        assert_forbidden(await served.post(Authorization=signed(stream_url="rtmp://127.0.0.1/other")))
        assert_unauthenticated(await served.post(Authorization=signed(exp=1)), sent=True)
        assert_unauthenticated(await served.post(Authorization=signed(stream_name=[])), sent=True)
        assert_unauthenticated(await served.post(Authorization="Bearer for-one"), sent=True)


# Sessions


async def each_operation(served: Served, path: str, **headers: str) -> list[httpx.Response]:
    """All that can be asked of a session, its end last. HEAD is left out: it has no body to check."""
    fragment = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}
    json = {"Content-Type": "application/json"}
    more = f"stream_name=studio-9&stream_url={TARGET}"
    return [
        await served.http.get(path, headers=headers),
        await served.http.get(f"{path}/status", headers=headers),
        await served.http.get(f"{path}/sink", headers=headers),
        await served.http.get(f"{path}/sink/1", headers=headers),
        await served.http.post(f"{path}/sink?{more}", headers=headers),
        await served.http.post(f"{path}/metadata", content="{}", headers=json | headers),
        await served.http.delete(f"{path}/sink/1", headers=headers),
        await served.http.patch(path, content="a=mid:0\r\n", headers=fragment | headers),
        await served.http.delete(path, headers=headers),
    ]


async def test_a_session_is_its_makers(tokens: Served) -> None:
    path = await tokens.session(Authorization=ONE)
    for response in await each_operation(tokens, path):
        assert_unauthenticated(response, sent=False)
    for bad in ("Bearer another", "Bearer for-one for-one"):
        for response in await each_operation(tokens, path, Authorization=bad):
            assert_unauthenticated(response, sent=True)
    assert tokens.directory.live_count == 1
    statuses = [response.status_code for response in await each_operation(tokens, path, Authorization=ONE)]
    assert {401, 403} & {*statuses} == set() and statuses[-1] == 200


async def test_a_session_is_also_theirs_who_could_publish_it(tokens: Served) -> None:
    path = await tokens.session("two", Authorization=ALL)
    for response in await each_operation(tokens, path, Authorization=ONE):
        assert_forbidden(response)
    await tokens.http.delete(path, headers={"Authorization": ALL})
    path = await tokens.session("studio-7?key=x", Authorization=ALL)
    assert (await tokens.http.delete(path, headers={"Authorization": ONE})).status_code == 200


async def test_an_ended_session_keeps_its_secrets(tokens: Served) -> None:
    path = await tokens.session("two", Authorization=ALL)
    assert (await tokens.http.delete(path, headers={"Authorization": ALL})).status_code == 200
    for response in await each_operation(tokens, path):
        assert_unauthenticated(response, sent=False)
    for response in await each_operation(tokens, path, Authorization=ONE):
        assert_forbidden(response)
    codes = [response.status_code for response in await each_operation(tokens, path, Authorization=ALL)]
    assert codes == [410, 200, 200, 200, *[410] * 5]


async def test_a_session_that_is_unknown_is_nobodys(tokens: Served) -> None:
    for response in await each_operation(tokens, UNKNOWN, Authorization=ONE):
        assert_problem(response, 404, "session_unknown")


async def test_a_token_that_expires_still_ends_what_it_began() -> None:
    time = [unix_time()]
    claims = {"exp": time[0] + 60, "stream_name": "one"}
    token = f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"
    other = f"Bearer {jwt.encode(claims | {'jti': '2'}, SECRET, 'HS256')}"
    async with guarded(jwt_secret=SECRET, now=lambda: time[0]) as served:
        path = await served.session(Authorization=token)
        time[0] += 3600
        assert_unauthenticated(await served.post(Authorization=token), sent=True)
        assert_unauthenticated(await served.http.delete(path, headers={"Authorization": other}), sent=True)
        assert (await served.http.delete(path, headers={"Authorization": token})).status_code == 200


async def test_the_server_itself_is_open(tokens: Served) -> None:
    for path, status in (("/", 200), (ENDPOINT, 204), (f"{ENDPOINT}/status.json", 200)):
        assert (await tokens.http.get(path)).status_code == status


# The callback


@pytest.fixture
async def callback() -> AsyncIterator[HttpServer]:
    async with http_server() as server:
        yield server


async def test_with_a_callback_alone_it_decides(callback: HttpServer) -> None:
    async with guarded(callback=callback.url + "/auth") as served:
        await served.session("one?key=x")
        callback.status = 403
        assert_refused_by_the_callback(await served.post(Authorization="Bearer any.thing.goes"))
        assert_unauthenticated(await served.post(Authorization="Basic Zm9yLW9uZTo="), sent=False)
    first, second = callback.requests
    assert dict(first.form) | {"clientid": ""} == {
        "call": "publish",
        "name": "one",
        "app": "live",
        "addr": "127.0.0.1",
        "clientid": "",
        "tcurl": TARGET,
        "type": "live",
        "key": "x",
    }
    assert "authorization" not in first.headers
    assert second.headers["authorization"] == "Bearer any.thing.goes"


async def test_of_strangers_only_the_makers_token_or_none_counts(callback: HttpServer) -> None:
    async with guarded(callback=callback.url) as served:
        path = await served.session("one", Authorization="Bearer mine")
        for response in await each_operation(served, path):
            assert_unauthenticated(response, sent=False)
        for response in await each_operation(served, path, Authorization="Bearer yours"):
            assert_forbidden(response)
        mine = {"Authorization": "Bearer mine"}
        assert (await served.http.delete(path, headers=mine)).status_code == 200
        # Made without a token: it is theirs who know its URL, whatever their client sends along.
        for headers in ({}, {"Authorization": "Bearer yours"}):
            path = await served.session("two")
            assert (await served.http.delete(path, headers=headers)).status_code == 200
    assert len(callback.requests) == 3


async def test_token_and_callback_must_agree(callback: HttpServer) -> None:
    async with guarded(callback=callback.url, tokens=TOKENS) as served:
        assert_unauthenticated(await served.post(), sent=False)
        assert_forbidden(await served.post(f"stream_name=two&stream_url={TARGET}", Authorization=ONE))
        assert callback.requests == []
        await served.session(Authorization=ONE)
        callback.status = 404
        response = await served.post(f"stream_name=studio-1&stream_url={TARGET}", Authorization=ONE)
        assert_refused_by_the_callback(response)


async def test_a_callback_that_is_silent() -> None:
    async with http_server() as gone:
        url = gone.url
    async with guarded(callback=url) as served:
        assert_refused_by_the_callback(await served.post())


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        ("full", 503, "server_full"),
        ("draining", 503, "draining"),
        ("crowded", 429, "too_many_sessions"),
        ("egress", 403, "egress_refused"),
    ],
)
async def test_the_callback_does_not_hear_of_what_is_refused_anyway(
    callback: HttpServer, reason: str, status: int, code: str
) -> None:
    limits = {
        "session": {"max_sessions": 1 if reason == "full" else 2},
        "limits": {"sessions_per_address": 1 if reason == "crowded" else 2},
    }
    url = "rtmp://10.0.0.7/live" if reason == "egress" else TARGET
    async with guarded(Settings.model_validate(limits), callback=callback.url) as served:
        await served.session("one")
        if reason == "draining":
            served.directory.drain()
        assert_problem(await served.post(f"stream_name=two&stream_url={url}"), status, code)
        assert served.directory.live_count == 1
    assert [dict(request.form)["name"] for request in callback.requests] == ["one"]


async def test_nobody_is_asked_about_who_is_sent_on(callback: HttpServer) -> None:
    settings = Settings.model_validate({"http": {"redirect_url": "https://other.example"}})
    async with guarded(settings, callback=callback.url) as served:
        served.directory.drain()
        assert (await served.post()).status_code == 307
    assert callback.requests == []


# What is open, and what is not told


async def test_without_authentication_everything_passes(served: Served) -> None:
    for headers in ({}, {"Authorization": "Bearer anything"}, {"Authorization": "garbage"}):
        path = await served.session(**headers)
        assert served.directory.access(path.rpartition("/")[2]).credential is None  # type: ignore[union-attr]
        assert (await served.http.delete(path)).status_code == 200


TURN = IceServer(urls=["turn:turn.example"], username="user", credential="word")


@pytest.mark.parametrize(
    ("authorization", "links"),
    [(None, 0), ("Bearer another", 0), ("garbage", 0), (ONE, 1)],
)
async def test_turn_servers_are_for_those_who_are_known(authorization: str | None, links: int) -> None:
    settings = Settings(ice=IceSettings(servers=[TURN]))
    headers = {"Authorization": authorization} if authorization else {}
    async with guarded(settings) as served:
        response = await served.http.options(ENDPOINT, headers=headers)
        assert response.status_code == 200
        assert len(response.headers.get_list("link")) == links


async def test_turn_servers_are_not_for_strangers(callback: HttpServer) -> None:
    settings = Settings(ice=IceSettings(servers=[TURN]))
    async with guarded(settings, callback=callback.url) as served:
        response = await served.http.options(ENDPOINT, headers={"Authorization": "Bearer anything"})
        assert response.headers.get_list("link") == []
    async with serving(settings) as served:
        assert len((await served.http.options(ENDPOINT)).headers.get_list("link")) == 1


async def test_a_preflight_needs_no_token(tokens: Served) -> None:
    headers = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    for path in (ENDPOINT, UNKNOWN):
        assert (await tokens.http.options(path, headers=headers)).status_code == 200


async def test_logs_and_answers_hold_nothing_of_a_token(tokens: Served) -> None:
    with structlog.testing.capture_logs() as logs:
        answers = [
            await tokens.post(Authorization="Bearer TOPSECRET"),
            await tokens.post(Authorization="Bearer TOP.SEC.RET"),
            await tokens.post(f"stream_name=two?TOPSECRET&stream_url={TARGET}", Authorization=ONE),
        ]
        path = await tokens.session("one?TOPSECRET", Authorization=ONE)
        await tokens.http.delete(path, headers={"Authorization": ONE})
        await until(lambda: tokens.is_empty)
    assert logs
    told = str(logs) + "".join(f"{answer.headers} {answer.text}" for answer in answers)
    for secret in ("SECRET", "TOP.", "for-one", path.removeprefix(BASE)[-8:]):
        assert secret not in told
