"""Asks the operator's own server whether a stream may be published, as `on_publish` of RTMP servers does.

One POST with a form (`publish_form`): `call=publish`, `type=live`. The publisher's bearer token goes along; a
user and password in the callback's URL take its place. Status 200 allows; redirects are not followed and the
body of the answer is not read. No answer is a no: who cannot be asked has not agreed.
"""

from itertools import count

import httpx
import structlog

from whipway.streams.access.rights import NotAllowed, PublishAttempt
from whipway.streams.webhooks.publish_form import CALL_FAILURES, PublishForm, describe_attempt, post_form

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
        form = describe_attempt(attempt, next(self._numbers))
        await ask_server(self._client, self._url, form, bearer=attempt.bearer)


async def ask_server(
    client: httpx.AsyncClient,
    url: str,
    form: PublishForm,
    *,
    bearer: str | None = None,
    called: str = "authorization callback",
) -> None:
    """Ask one server about one publish. `called`: what the log calls it. Raises NotAllowed."""
    fields = form.fields("publish", type="live")
    try:
        status = await post_form(client, url, fields, timeout=CALLBACK_TIMEOUT, bearer=bearer)
    except CALL_FAILURES as error:
        log.warning(f"{called} does not answer", error=type(error).__name__)
        raise NotAllowed("The server that authorizes publishers does not answer", wants_scope=False) from None
    if status != httpx.codes.OK:
        raise NotAllowed(
            f"The server that authorizes publishers refused this stream, with status {status}",
            wants_scope=False,
        )
