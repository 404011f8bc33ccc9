"""The form by which a server is told of a publish, as `on_publish` and its siblings of nginx-rtmp have it.

Each form has `call`, `name`, `app`, `addr`, `clientid` and `tcurl`, then what the call has of its own, then
the publisher's arguments, which stand behind the `?` of its stream name. Left out: `flashver`, `swfurl` and
`pageurl`, which say nothing that a WHIP client could say as well.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import httpx

from whipway.protocol.rtmp.url import parse_rtmp_url, stream_path
from whipway.streams.access.rights import PublishAttempt

FormFields = list[tuple[str, str]]

CALL_FAILURES = (TimeoutError, httpx.HTTPError, httpx.InvalidURL)
"""What `post_form` raises where there is no answer. Never to be shown: the message may repeat the URL, and
that may hold a secret."""


@dataclass(frozen=True, slots=True)
class PublishForm:
    """What all forms about one publish share; `clientid` stays the same from its first call to its last."""

    name: str
    app: str
    addr: str
    clientid: str
    tcurl: str
    arguments: tuple[tuple[str, str], ...] = ()

    def fields(self, call: str, **own: str) -> FormFields:
        """The form of one call, with the fields that are its own. No argument overrides any of them."""
        form = {
            "call": call,
            "name": self.name,
            "app": self.app,
            "addr": self.addr,
            "clientid": self.clientid,
            "tcurl": self.tcurl,
            **own,
        }
        return [*form.items(), *((key, value) for key, value in self.arguments if _plain(key) not in form)]


def describe_attempt(attempt: PublishAttempt, number: int) -> PublishForm:
    """What the forms say of an attempt, the `number`th there was.

    As with rights, all that follows the first part of the application counts as the name: one stream has one
    form, wherever its publisher ends the one and begins the other.
    """
    url = parse_rtmp_url(attempt.stream_url)
    app, _, name = stream_path(url.app, attempt.stream_name).partition("/")
    arguments = parse_qsl(attempt.stream_name.partition("?")[2], keep_blank_values=True)
    return PublishForm(name.strip("/"), app, attempt.client, str(number), url.tc_url, tuple(arguments))


async def post_form(
    client: httpx.AsyncClient,
    url: str,
    fields: Sequence[tuple[str, str]],
    *,
    timeout: float,
    bearer: str | None = None,
) -> int:
    """Send a form and return the status of the answer, whose body is not read.

    `timeout`: seconds in all, waiting for a free connection included. Raises CALL_FAILURES.
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    async with asyncio.timeout(timeout):
        async with client.stream("POST", url, content=urlencode(fields), headers=headers) as response:
            return response.status_code


def _plain(key: str) -> str:
    """What a form's reader may make of a key: some take `name[]` or ` name` for `name`, and the last wins."""
    return key.partition("[")[0].partition("\0")[0].strip().lower()
