"""Every operation that wants a token, asked for without the right one, as the server itself lists them."""

from typing import Any

import pytest
from tests.web.served import ENDPOINT, OFFER, QUERY, SDP, Served, serving

from whipway.config import Settings
from whipway.streams.access.admission import make_admission
from whipway.streams.access.tokens import make_token
from whipway.web.paths import V1_PATH

pytestmark = pytest.mark.anyio

OWN, OWN_HASH = make_token(lambda size: b"1" * size)
OTHER, OTHER_HASH = make_token(lambda size: b"2" * size)
TOKENS = [{"hash": OWN_HASH, "streams": ["one"]}, {"hash": OTHER_HASH, "streams": ["two"]}]
SESSION = f"{ENDPOINT}/{{session_id}}"
PUBLIC = {
    ("get", ENDPOINT),
    ("get", f"{ENDPOINT}/status.json"),
    ("post", "/v1/sign-in"),
    ("post", "/v1/sign-out"),
}
"""Open to everybody."""
PARTS = dict.fromkeys(("stream_id", "session_id", "key_id", "webhook_id", "sink_id"), "1") | {"mid": "video"}
"""Of the paths of operations: it is asked who wants to know before it is looked for what they name."""


async def operations(served: Served) -> set[tuple[str, str]]:
    paths: dict[str, Any] = (await served.http.get("/openapi.json")).json()["paths"]
    every = {(method, path) for path, methods in paths.items() for method in methods}
    assert every > PUBLIC, every
    return every - PUBLIC


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


async def facts(served: Served, session: str) -> tuple[object, ...]:
    """What somebody without a right to it might have changed, as its owner sees it."""
    response = await served.http.get(f"{session}/status", headers=bearer(OWN))
    assert response.status_code == 200
    status = response.json()
    return (
        status["state"],
        status["input"],
        status["quality"]["asked"],
        [one["id"] for one in status["sinks"]],
    )


@pytest.mark.parametrize(("token", "status"), [("", 401), ("wrong", 401), (OTHER, 403)])
async def test_they_see_and_change_nothing(token: str, status: int) -> None:
    settings = Settings.model_validate({"auth": {"tokens": TOKENS}})
    async with serving(settings, admission=make_admission(settings.auth)) as served:
        session = await served.session("one", **bearer(OWN))
        before = await facts(served, session)
        answers, expected = set(), set()
        for method, path in await operations(served):
            url = path.replace(SESSION, session).format_map(PARTS)
            query = QUERY if method == "post" and path.endswith((ENDPOINT, "/sink")) else ""
            # To the API below /v1 a publisher's token says nothing of who has it.
            expected.add((method, path, 401 if path.startswith(V1_PATH) else status))
            offer = {"content": OFFER} if path == ENDPOINT else {}
            headers = bearer(token) | (SDP if offer else {})
            answer = await served.http.request(method, f"{url}?{query}", headers=headers, **offer)
            answers.add((method, path, answer.status_code))
        assert answers == expected
        assert await facts(served, session) == before
