"""The WHIP endpoint (RFC 9725) at `/p/webrtc`, and the session URLs below it.

Here is the order in which a request is judged, and what the answer carries. What the parts of a request
must look like is decided in `publish_query`, `bodies` and `entity_tags`, who may send it in `auth`. HEAD and
OPTIONS are answered around the routes (`methods`, `options`). `openapi` describes the operations.
"""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from whipway import __version__
from whipway.config import Settings
from whipway.pool.standing import WorkerStanding
from whipway.streams.access.admission import PublishAttempt, unix_time
from whipway.streams.sessions import (
    IceRefused,
    SessionDirectory,
    SessionNotCreated,
    SessionNotFound,
    SessionOver,
)
from whipway.web import openapi
from whipway.web.auth import Guard
from whipway.web.bodies import FRAGMENT, FRAGMENT_TYPE, OFFER, SDP_TYPE, check_body_headers, read_text
from whipway.web.entity_tags import parse_if_match, serialize_etag
from whipway.web.ice_servers import ice_server_links
from whipway.web.paths import ENDPOINT_PATH, STATUS_PATH
from whipway.web.problems import Problem, ProblemKind
from whipway.web.publish_query import client_address, parse_publish_query, raw_query
from whipway.web.session_lookup import SESSION, SessionLookup, raise_gone
from whipway.web.status_stream import EVENT_HEADERS, EVENT_STREAM, StatusStreams, has_seen_end, wants_events
from whipway.web.urls import redirect_url, resource_links, session_url
from whipway.worker.messages import IceUpdated, SessionCreated

NO_STORE = {"Cache-Control": "no-store"}
"""For answers with credentials: they are for one client."""

_CREATE_REFUSALS = {
    "malformed": ProblemKind.MALFORMED_SDP,
    "unsupported": ProblemKind.UNSUPPORTED_OFFER,
    "busy": ProblemKind.STREAM_BUSY,
    "full": ProblemKind.SERVER_FULL,
    "draining": ProblemKind.DRAINING,
    "crowded": ProblemKind.TOO_MANY_SESSIONS,
    "egress": ProblemKind.EGRESS_REFUSED,
}
_UPDATE_REFUSALS = {
    "malformed": ProblemKind.MALFORMED_FRAGMENT,
    "stale": ProblemKind.PRECONDITION_FAILED,
}


def make_whip_router(
    directory: SessionDirectory, settings: Settings, default_stream_url: str | None, guard: Guard
) -> APIRouter:
    """The routes of the WHIP endpoint over a session directory."""
    router = APIRouter(prefix=ENDPOINT_PATH, tags=["WHIP"], redirect_slashes=False)
    whip = _Whip(directory, settings, guard)

    @router.get("/status.json", **openapi.SERVER_STATUS)
    async def server_status() -> dict[str, Any]:
        return {
            "server_version": __version__,
            "default_stream_url": default_stream_url,
            "sessions": directory.live_count,
            "drops": _sum_drops(await directory.describe_workers()),
        }

    described = partial(openapi.described, needs_token=guard.needs_token)
    router.post("", response_class=Response, status_code=201, **described(openapi.PUBLISH))(whip.publish)
    # RFC 9725, section 4.1: GET "MUST return a 2XX" response without content, on both kinds of URL.
    router.get("", response_class=Response, status_code=204, **openapi.ENDPOINT)(whip.endpoint)
    router.get(SESSION, response_class=Response, status_code=204, **described(openapi.SESSION))(whip.session)
    router.patch(SESSION, response_class=Response, **described(openapi.UPDATE_ICE))(whip.update_ice)
    router.delete(SESSION, response_class=Response, **described(openapi.DELETE))(whip.delete)
    status = described(openapi.SESSION_STATUS)
    router.get(SESSION + STATUS_PATH, response_class=Response, **status)(whip.status)
    # Not left to `methods`: a stream of events has a beginning to tell, and no end to wait for.
    router.head(SESSION + STATUS_PATH, include_in_schema=False)(whip.status)
    return router


class _Whip:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, directory: SessionDirectory, settings: Settings, guard: Guard) -> None:
        self._directory = directory
        self._guard = guard
        self._lookup = SessionLookup(directory, guard)
        self._streams = StatusStreams(directory)
        self._defaults = settings.sink
        self._has_inputs = settings.inputs.max_video > 1
        self._ice_servers = settings.ice.servers
        self._public_url = str(settings.http.public_url) if settings.http.public_url else None
        self._redirect_url = str(settings.http.redirect_url) if settings.http.redirect_url else None

    async def publish(self, request: Request) -> Response:
        """The query says what to publish and where to; the answer says where the session is."""
        query = parse_publish_query(raw_query(request), self._defaults)
        principal = await self._guard.authenticate(request)
        check_body_headers(request, OFFER)
        offer = await read_text(request, OFFER)
        client = client_address(request)
        bearer = self._guard.bearer(request)
        name, url = query.stream_name, query.stream_url
        try:
            # Before a callback hears of it. Whether the offer is good and the stream free is known later.
            await self._directory.check(stream_name=name, stream_url=url, client=client)
            attempt = PublishAttempt(name, url, client, bearer)
            await self._guard.authorize(principal, attempt)
            await self._guard.admit(attempt)
            created = await self._directory.create(
                offer=offer,
                stream_name=name,
                stream_url=url,
                audio=query.audio,
                audio_bitrate=query.audio_bitrate,
                filler=query.filler,
                client=client,
                credential=self._guard.digest(request),
            )
        except SessionNotCreated as refusal:
            if not query.is_redirected and refusal.kind in ("full", "draining") and self._redirect_url:
                return _redirection(self._redirect_url, request)
            raise Problem(_CREATE_REFUSALS[refusal.kind], refusal.detail) from None
        return self._created(request, created)

    async def endpoint(self) -> Response:
        """For people and programs that look whether something is here."""
        return Response(status_code=204)

    async def session(self, request: Request) -> Response:
        """For people and programs that look whether the session is still there."""
        await self._lookup.live(request)
        return Response(status_code=204)

    async def update_ice(self, request: Request) -> Response:
        """A fragment with the current ICE credentials brings candidates; one with others restarts ICE."""
        session_id = await self._lookup.live(request)
        check_body_headers(request, FRAGMENT)
        if_match = parse_if_match(request.headers.getlist("if-match"))
        fragment = await read_text(request, FRAGMENT)
        try:
            updated = await self._directory.update_ice(session_id, fragment, if_match)
        except IceRefused as refusal:
            raise Problem(_UPDATE_REFUSALS[refusal.kind], refusal.detail) from None
        except (SessionNotFound, SessionOver) as error:
            raise_gone(error)
        return self._updated(session_id, updated)

    async def delete(self, request: Request) -> Response:
        """End the session, whatever entity tags the request names (RFC 9725, section 4.3.1)."""
        session_id = await self._lookup.known(request)
        try:
            await self._directory.end(session_id, "deleted")
        except (SessionNotFound, SessionOver) as error:
            raise_gone(error)
        # Section 3 shows 200, and OBS takes any other status for a failure.
        return Response(status_code=200)

    async def status(self, request: Request) -> Response:
        """The same figures as the dashboard shows; an ended session keeps its last ones for a while.

        Once, or whenever they change: as the client asks for.
        """
        session_id = await self._lookup.known(request)
        if not wants_events(request):
            return await self._snapshot(session_id)
        if has_seen_end(request):
            # HTML standard, section 9.2.2: an EventSource connects no more after that.
            return Response(status_code=204, headers={"Vary": "Accept"})
        if request.method == "HEAD":
            return Response(headers=EVENT_HEADERS, media_type=EVENT_STREAM)
        return self._streams.response(session_id, client_address(request))

    async def _snapshot(self, session_id: str) -> Response:
        try:
            snapshot = await self._directory.describe(session_id)
        except SessionNotFound as error:
            raise_gone(error)
        return JSONResponse(dict(snapshot), headers={"Vary": "Accept"})

    def _created(self, request: Request, created: SessionCreated) -> Response:
        location = session_url(request, self._public_url, created.session_id)
        headers = {
            "Location": location,
            # RFC 9725, section 4.3.1: the 201 brings the tag of the first ICE session.
            "ETag": serialize_etag(created.etag),
            **NO_STORE,
        }
        response = Response(created.answer, 201, headers, media_type=SDP_TYPE)
        self._add_ice_servers(response, created.session_id)
        for link in resource_links(location, has_inputs=self._has_inputs):
            response.headers.append("Link", link)
        return response

    def _updated(self, session_id: str, updated: IceUpdated) -> Response:
        if not updated.etag:
            # RFC 9725, section 4.3.2: 204 without content, and without an ETag.
            return Response(status_code=204)
        # Section 4.3.3: 200 with the new credentials and candidates, and the ETag of the new ICE session.
        headers = {"ETag": serialize_etag(updated.etag), **NO_STORE}
        response = Response(updated.fragment, 200, headers, media_type=FRAGMENT_TYPE)
        # Beyond the RFC: those that came with the 201 may have expired by now.
        self._add_ice_servers(response, session_id)
        return response

    def _add_ice_servers(self, response: Response, session_id: str) -> None:
        now = unix_time()  # TURN servers compare it with their own.
        for link in ice_server_links(self._ice_servers, now, session_id[:8]):
            response.headers.append("Link", link)


def _sum_drops(workers: Iterable[WorkerStanding]) -> dict[str, int]:
    """Of those that can be asked."""
    drops = Counter[str]()
    for worker in workers:
        drops.update(worker.described.drops if worker.described else {})
    return dict(sorted(drops.items()))


def _redirection(other: str, request: Request) -> Response:
    # RFC 9725, section 4.5: 307, so that the offer is sent again; 301 and 302 would make a GET of it. Of the
    # bearer token nothing is said: the client decides whether the other server gets it.
    location = redirect_url(other, ENDPOINT_PATH, raw_query(request))
    return Response(status_code=307, headers={"Location": location, **NO_STORE})
