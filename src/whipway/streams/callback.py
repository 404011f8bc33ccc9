"""Asks the operator's own server whether a stream may be published, as `on_publish` of RTMP servers does.

One POST with a form: `call=publish`, `name`, `app`, `addr`, `clientid`, `tcurl`, `type=live`, and the
publisher's own arguments, which stand behind the `?` of its stream name. Its bearer token goes along; a user
and password in the callback's URL take its place. Status 200 allows; redirects are not followed and the body
of the answer is not read. No answer is a no: who cannot be asked has not agreed.
"""

import asyncio
from itertools import count
from urllib.parse import parse_qsl, urlencode

import httpx
import structlog

from whipway.protocol.rtmp.url import parse_rtmp_url, stream_path
from whipway.streams.rights import NotAllowed, PublishAttempt

CALLBACK_TIMEOUT = 2.0
"""Seconds in all, waiting for a free connection included; the publisher waits as long."""

log = structlog.get_logger("auth")


class PublishCallback:
    """Asks one URL, over a client that others may share. That limits how many are asked at a time."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url
        self._numbers = count(1)

    async def ask(self, attempt: PublishAttempt) -> None:
        """Ask about one attempt. Raises NotAllowed."""
        body = urlencode(callback_form(attempt, next(self._numbers)))
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if attempt.bearer is not None:
            headers["Authorization"] = f"Bearer {attempt.bearer}"
        try:
            status = await self._post(body, headers)
        except (TimeoutError, httpx.HTTPError) as error:
            # Its name only: the message may repeat the URL, and that may hold a secret.
            log.warning("authorization callback does not answer", error=type(error).__name__)
            raise NotAllowed(
                "The server that authorizes publishers does not answer", wants_scope=False
            ) from None
        if status != httpx.codes.OK:
            raise NotAllowed(
                f"The server that authorizes publishers refused this stream, with status {status}",
                wants_scope=False,
            )

    async def _post(self, body: str, headers: dict[str, str]) -> int:
        async with asyncio.timeout(CALLBACK_TIMEOUT):
            async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                return response.status_code


def callback_form(attempt: PublishAttempt, number: int) -> list[tuple[str, str]]:
    """The form that describes an attempt, the `number`th there was.

    As with rights, all that follows the first part of the application counts as the name: one stream has one
    form, wherever its publisher ends the one and begins the other.
    """
    url = parse_rtmp_url(attempt.stream_url)
    app, _, name = stream_path(url.app, attempt.stream_name).partition("/")
    arguments = attempt.stream_name.partition("?")[2]
    form = {
        "call": "publish",
        "name": name.strip("/"),
        "app": app,
        "addr": attempt.client,
        "clientid": str(number),
        "tcurl": url.tc_url,
        "type": "live",
    }
    own = parse_qsl(arguments, keep_blank_values=True)
    return [*form.items(), *((key, value) for key, value in own if _plain(key) not in form)]


def _plain(key: str) -> str:
    """What a form's reader may make of a key: some take `name[]` or ` name` for `name`, and the last wins."""
    return key.partition("[")[0].partition("\0")[0].strip().lower()
