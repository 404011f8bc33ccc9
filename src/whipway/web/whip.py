"""The WHIP endpoint (RFC 9725) at `/p/webrtc`, and the session URLs below it.

Here is the order in which a request is judged, and what the answer carries. What the parts of a request
must look like is decided in `publish_query`, `bodies` and `entity_tags`, who may send it in `auth`. HEAD and
OPTIONS are answered around the routes (`methods`, `options`). `openapi` describes the operations.
"""

from functools import partial
from typing import Any, NoReturn

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import StringConvertor, register_url_convertor  # codespell:ignore convertors

from whipway import __version__
from whipway.config import Settings
from whipway.streams.admission import PublishAttempt, unix_time
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
from whipway.web.paths import ENDPOINT_PATH
from whipway.web.problems import Problem, ProblemKind
from whipway.web.publish_query import parse_publish_query, raw_query
from whipway.web.urls import base_url, redirect_url
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


class _SessionId(StringConvertor):
    """What may stand in a path for a session; `status.json` may not."""

    regex = "[A-Za-z0-9_-]+"


register_url_convertor("session", _SessionId())


def make_whip_router(
    directory: SessionDirectory, settings: Settings, default_stream_url: str | None, guard: Guard
) -> APIRouter:
    """The routes of the WHIP endpoint over a session directory."""
    router = APIRouter(prefix=ENDPOINT_PATH, tags=["WHIP"], redirect_slashes=False)
    whip = _Whip(directory, settings, guard)
    session = "/{session_id:session}"

    @router.get("/status.json", **openapi.SERVER_STATUS)
    async def server_status() -> dict[str, Any]:
        return {
            "server_version": __version__,
            "default_stream_url": default_stream_url,
            "sessions": directory.live_count,
            "drops": await directory.worker_drops(),
        }

    described = partial(openapi.described, needs_token=guard.needs_token)
    router.post("", response_class=Response, status_code=201, **described(openapi.PUBLISH))(whip.publish)
    # RFC 9725, section 4.1: GET "MUST return a 2XX" response without content, on both kinds of URL.
    router.get("", response_class=Response, status_code=204, **openapi.ENDPOINT)(whip.endpoint)
    router.get(session, response_class=Response, status_code=204, **described(openapi.SESSION))(whip.session)
    router.patch(session, response_class=Response, **described(openapi.UPDATE_ICE))(whip.update_ice)
    router.delete(session, response_class=Response, **described(openapi.DELETE))(whip.delete)
    status = described(openapi.SESSION_STATUS)
    router.get(f"{session}/status", response_class=JSONResponse, **status)(whip.status)
    return router


class _Whip:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(self, directory: SessionDirectory, settings: Settings, guard: Guard) -> None:
        self._directory = directory
        self._guard = guard
        self._ice_servers = settings.ice.servers
        self._public_url = str(settings.http.public_url) if settings.http.public_url else None
        self._redirect_url = str(settings.http.redirect_url) if settings.http.redirect_url else None

    async def publish(self, request: Request) -> Response:
        """The query says what to publish and where to; the answer says where the session is."""
        query = parse_publish_query(raw_query(request))
        principal = await self._guard.authenticate(request)
        check_body_headers(request, OFFER)
        offer = await read_text(request, OFFER)
        client = request.client.host if request.client else ""
        bearer = self._guard.bearer(request)
        name, url = query.stream_name, query.stream_url
        try:
            # Before a callback hears of it. Whether the offer is good and the stream free is known later.
            await self._directory.check(stream_name=name, stream_url=url, client=client)
            await self._guard.authorize(principal, PublishAttempt(name, url, client, bearer))
            created = await self._directory.create(
                offer=offer,
                stream_name=name,
                stream_url=url,
                audio_bitrate=query.audio_bitrate,
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
        await self._require_live(request)
        return Response(status_code=204)

    async def update_ice(self, request: Request) -> Response:
        """A fragment with the current ICE credentials brings candidates; one with others restarts ICE."""
        session_id = await self._require_live(request)
        check_body_headers(request, FRAGMENT)
        if_match = parse_if_match(request.headers.getlist("if-match"))
        fragment = await read_text(request, FRAGMENT)
        try:
            updated = await self._directory.update_ice(session_id, fragment, if_match)
        except IceRefused as refusal:
            raise Problem(_UPDATE_REFUSALS[refusal.kind], refusal.detail) from None
        except (SessionNotFound, SessionOver) as error:
            _raise_gone(error)
        return self._updated(session_id, updated)

    async def delete(self, request: Request) -> Response:
        """End the session, whatever entity tags the request names (RFC 9725, section 4.3.1)."""
        session_id = await self._require_known(request)
        try:
            await self._directory.end(session_id, "deleted")
        except (SessionNotFound, SessionOver) as error:
            _raise_gone(error)
        # Section 3 shows 200, and OBS takes any other status for a failure.
        return Response(status_code=200)

    async def status(self, request: Request) -> JSONResponse:
        """The same figures as the dashboard shows; an ended session keeps its last ones for a while."""
        session_id = await self._require_known(request)
        try:
            return JSONResponse(dict(await self._directory.describe(session_id)))
        except SessionNotFound as error:
            _raise_gone(error)

    async def _require_known(self, request: Request) -> str:
        """The session that a request names and may touch. Raises Problem (401, 403, 404)."""
        session_id: str = request.path_params["session_id"]
        if self._directory.access(session_id) is None:
            raise _unknown()
        await self._guard.check_session(request, session_id)
        return session_id

    async def _require_live(self, request: Request) -> str:
        """The same, if the session goes on. Raises Problem (410) too."""
        session_id = await self._require_known(request)
        try:
            self._directory.require_live(session_id)
        except (SessionNotFound, SessionOver) as error:
            _raise_gone(error)
        return session_id

    def _created(self, request: Request, created: SessionCreated) -> Response:
        base = base_url(request, self._public_url)
        headers = {
            "Location": f"{base}{ENDPOINT_PATH}/{created.session_id}",
            # RFC 9725, section 4.3.1: the 201 brings the tag of the first ICE session.
            "ETag": serialize_etag(created.etag),
            **NO_STORE,
        }
        response = Response(created.answer, 201, headers, media_type=SDP_TYPE)
        self._add_ice_servers(response, created.session_id)
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


def _redirection(other: str, request: Request) -> Response:
    # RFC 9725, section 4.5: 307, so that the offer is sent again; 301 and 302 would make a GET of it. Of the
    # bearer token nothing is said: the client decides whether the other server gets it.
    location = redirect_url(other, ENDPOINT_PATH, raw_query(request))
    return Response(status_code=307, headers={"Location": location, **NO_STORE})


def _raise_gone(error: SessionNotFound | SessionOver) -> NoReturn:
    if isinstance(error, SessionOver):
        raise _over(error.ended.detail or error.ended.reason) from None
    raise _unknown() from None


def _unknown() -> Problem:
    return Problem(ProblemKind.SESSION_UNKNOWN, "It never existed, or ended long ago")


def _over(reason: str) -> Problem:
    return Problem(ProblemKind.SESSION_OVER, f"It ended before: {reason}")
