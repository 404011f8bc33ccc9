"""Sessions by what they are called; what is asked of their worker is in `test_sessions`."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from whipway.streams import known_sessions
from whipway.streams.known_sessions import Access, Arrival, KnownSession, KnownSessions, LiveSession
from whipway.streams.session_publications import session_handle
from whipway.streams.sound_formats import SoundFormats
from whipway.worker.messages import SessionEnded

pytestmark = pytest.mark.anyio

ACCESS = Access("one", "rtmp://127.0.0.1/live", None)
ARRIVAL = Arrival("192.0.2.7", datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
async def known() -> KnownSessions:
    """Nobody is asked here."""
    return KnownSessions(cast(Any, None))


def add(known: KnownSessions, session_id: str) -> str:
    """A session that lives; its handle."""
    known.add(session_id, LiveSession(None, "", ACCESS, ARRIVAL, SoundFormats("aac", 128_000)))
    return session_handle(session_id)


async def test_a_session_is_found_by_its_handle(known: KnownSessions) -> None:
    handles = [add(known, session_id) for session_id in ("a", "b")]
    assert [known.by_handle(handle) for handle in handles] == ["a", "b"]
    assert known.by_handle("a") is None and known.find("c") is None
    assert known.find("a") == KnownSession("a", ACCESS, ARRIVAL)
    assert [session.session_id for session in known.list_living()] == ["a", "b"]


async def test_an_ended_session_is_found_until_it_is_forgotten(
    known: KnownSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_sessions, "MAX_REMEMBERED", 1)
    handles = [add(known, session_id) for session_id in ("a", "b")]
    assert known.remember(SessionEnded("a", "deleted", "", {}))
    assert known.find("a") == KnownSession("a", ACCESS, ARRIVAL)
    assert known.by_handle(handles[0]) == "a"
    assert [session.session_id for session in known.list_living()] == ["b"]
    assert known.remember(SessionEnded("b", "deleted", "", {}))
    assert [known.by_handle(handle) for handle in handles] == [None, "b"]
    assert not known.remember(SessionEnded("b", "deleted", "", {}))


async def test_a_session_that_is_given_up_is_not_found(known: KnownSessions) -> None:
    handle = add(known, "a")
    known.forget("a")
    known.forget("a")
    assert (known.by_handle(handle), known.find("a"), known.list_living()) == (None, None, [])
