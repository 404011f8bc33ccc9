"""WHIP by plain HTTP in a few threads, beside the loop that sends media."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from queue import SimpleQueue
from time import monotonic
from urllib.parse import urljoin, urlsplit

TIMEOUT = 10.0
"""Seconds for one request."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of the POST of a stream."""

    stream: int
    posted_at: float
    answer: str = ""
    session_url: str = ""
    failure: str = ""


class WhipRequests:
    """`fileno` is readable when `answers` has something."""

    def __init__(self, parallel: int, note_post: Callable[[int, float], None]) -> None:
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="whip")
        self._answers: SimpleQueue[Answered] = SimpleQueue()
        self._event = os.eventfd(0, os.EFD_NONBLOCK)
        self._note_post = note_post

    def fileno(self) -> int:
        """For epoll."""
        return self._event

    def post(self, stream: int, url: str, offer: str) -> None:
        """Ask for a session."""
        self._pool.submit(self._post, stream, url, offer)

    def answers(self) -> list[Answered]:
        """Those that came since the last call."""
        os.eventfd_read(self._event)
        answers = []
        while not self._answers.empty():
            answers.append(self._answers.get())
        return answers

    def delete_all(self, session_urls: list[str]) -> list[str]:
        """End the sessions; what went wrong with each of them that did."""
        return [failure for failure in self._pool.map(_delete, session_urls) if failure]

    def close(self) -> None:
        """Wait for requests that run."""
        self._pool.shutdown()
        os.close(self._event)

    def _post(self, stream: int, url: str, offer: str) -> None:
        posted_at = monotonic()
        self._note_post(stream, posted_at)
        try:
            status, location, body = _request("POST", url, offer.encode())
            if status == 201:
                answered = Answered(stream, posted_at, body.decode(), urljoin(url, location))
            else:
                answered = Answered(stream, posted_at, failure=f"POST: {status} {body[:200].decode()}")
        except (OSError, HTTPException) as error:
            answered = Answered(stream, posted_at, failure=f"POST: {error!r}")
        self._answers.put(answered)
        os.eventfd_write(self._event, 1)


def _delete(url: str) -> str:
    try:
        status = _request("DELETE", url)[0]
    except (OSError, HTTPException) as error:
        return f"DELETE: {error!r}"
    return "" if status == 200 else f"DELETE: {status}"


def _request(method: str, url: str, body: bytes | None = None) -> tuple[int, str, bytes]:
    """Status, Location, body."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {"Content-Type": "application/sdp"} if body is not None else {}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.getheader("Location", ""), response.read()
    finally:
        connection.close()
