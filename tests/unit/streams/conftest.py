from itertools import count

import pytest
from tests.unit.streams.played_worker import EGRESS, Worker

from whipway.streams.sessions import SessionDirectory


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def directory(worker: Worker) -> SessionDirectory:
    """A directory with room for two sessions."""
    numbers = count(1)
    return SessionDirectory(worker, lambda: f"id-{next(numbers)}", max_sessions=2, egress=EGRESS)
