"""The organisation's webhook: asked before each publish, and told of its course.

Three calls, all of them a form (`publish_form`) as nginx-rtmp has it:

    publish          must be answered with 200, or the stream is refused
    update_publish   each minute: `time`, seconds since the publish began, and `timestamp`, milliseconds since
                     its first frame
    publish_done     `bytes_in`, `bytes_out`

The answers to the latter two decide nothing (in nginx-rtmp, an update that is refused ends the stream). The
publisher's arguments are in all three, as `publish` had them; its bearer token is in none: unlike the
operator's callback, the URL is set by an API, and may be a third party's.

A WHIP session is one publish, however many sinks it has. What was allowed and never began is not told of.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import httpx

from whipway.protocol.rtmp.url import parse_rtmp_url
from whipway.streams.access.callback import CALLBACK_TIMEOUT, ask_server
from whipway.streams.access.rights import PublishAttempt
from whipway.streams.publications import Publication, Publications
from whipway.streams.webhooks.counted_warning import CountedWarning
from whipway.streams.webhooks.event_waiting import set_within
from whipway.streams.webhooks.publish_form import (
    CALL_FAILURES,
    FormFields,
    PublishForm,
    describe_attempt,
    post_form,
)

UPDATE_INTERVAL = 60.0
MAX_REPORTS = 20
"""Updates and ends told at a time, so that publishers who wait for an answer find a free connection."""
DONE_RETRIES = (1.0, 5.0)
"""Seconds before the second and the third try to tell of an end."""
MAX_ALLOWED = 1000
"""Publishes that were allowed and have not begun; the oldest are forgotten."""
CLOSE_TIMEOUT = 2.0


@dataclass(slots=True)
class _Course:
    """A publish that has begun."""

    publication: Publication
    form: PublishForm
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


class PublishHooks:
    """Asks and tells one URL, which may change. The client limits how many are asked at a time."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        organisation_url: Callable[[], str | None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`organisation_url` is read before each call; None: there is nobody to ask or tell."""
        self._client = client
        self._url = organisation_url
        self._now = now
        self._numbers = count(1)
        self._allowed: deque[PublishForm] = deque(maxlen=MAX_ALLOWED)
        """The latest first."""
        self._courses: dict[int, _Course] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reports = asyncio.Semaphore(MAX_REPORTS)
        self._failures = CountedWarning("webhooks", "the organisation's webhook was not told")

    def listen(self, publications: Publications) -> None:
        """Tell of these from now on, until `close`."""
        publications.on_begin.append(self.began)
        publications.on_over.append(self.over)

    async def ask(self, attempt: PublishAttempt) -> None:
        """Ask whether a stream may be published; at most two seconds. Raises NotAllowed."""
        form = describe_attempt(attempt, next(self._numbers))
        if (url := self._url()) is not None:
            await ask_server(self._client, url, form, called="the organisation's webhook")
        self._allowed.appendleft(form)

    def began(self, publication: Publication) -> None:
        """A publish has begun."""
        course = _Course(publication, self._form_of(publication))
        self._courses[publication.number] = course
        task = asyncio.create_task(self._follow(course), name="publish hooks")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def over(self, publication: Publication) -> None:
        """It has ended, and its counts are the last ones."""
        if course := self._courses.pop(publication.number, None):
            course.is_over.set()

    async def close(self) -> None:
        """Tell the end of every publish, for two seconds at most."""
        for course in self._courses.values():
            course.is_over.set()
        self._courses.clear()
        if tasks := set(self._tasks):
            _, late = await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _form_of(self, publication: Publication) -> PublishForm:
        """The form that was asked with; or one without arguments, where nothing was asked."""
        app, name = publication.app.partition("/")[0], publication.name
        for form in self._allowed:
            if (form.app, form.name, form.addr) == (app, name, publication.client):
                self._allowed.remove(form)
                return form
        tc_url = _tc_url(publication.stream_url)
        return PublishForm(name, app, publication.client, str(next(self._numbers)), tc_url)

    async def _follow(self, course: _Course) -> None:
        while not await set_within(course.is_over, UPDATE_INTERVAL):
            await self._report(self._update_of(course))
        await self._tell_end(course)

    async def _tell_end(self, course: _Course) -> None:
        publication = course.publication
        fields = course.form.fields(
            "publish_done", bytes_in=str(publication.bytes_in), bytes_out=str(publication.bytes_out)
        )
        for pause in (0.0, *DONE_RETRIES):
            await asyncio.sleep(pause)
            if await self._report(fields):
                return

    def _update_of(self, course: _Course) -> FormFields:
        publication, now = course.publication, self._now()
        live_for = 0.0 if publication.live_since is None else now - publication.live_since
        return course.form.fields(
            "update_publish",
            time=str(int(now - publication.began_at)),
            timestamp=str(int(live_for * 1000)),
        )

    async def _report(self, fields: FormFields) -> bool:
        """Tell something; whether that was heard, or there is nobody to hear it."""
        async with self._reports:
            if (url := self._url()) is None:
                return True
            try:
                status = await post_form(self._client, url, fields, timeout=CALLBACK_TIMEOUT)
            except CALL_FAILURES as error:
                self._failures.add(error=type(error).__name__)
                return False
        if not httpx.codes.is_success(status):
            self._failures.add(status=status)
            return False
        return True


def _tc_url(stream_url: str) -> str:
    """Without user and password. Nobody has checked it, where nothing was asked."""
    try:
        return parse_rtmp_url(stream_url).tc_url
    except ValueError:
        return ""
