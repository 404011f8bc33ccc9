import asyncio
from dataclasses import replace

import pytest
import structlog
from tests.peers.waiting import until
from tests.unit.origin.running import Judge

from whipway.origin import publishers
from whipway.origin.publishers import Answer, Doorkeeper, OwnRefusal, PublishClaim, Refusal

pytestmark = pytest.mark.anyio

CLAIM = PublishClaim("live", "one", "key=x", "192.0.2.7")


def asked(doorkeeper: Doorkeeper, answer: Answer) -> asyncio.Task[None]:
    task = doorkeeper.ask(CLAIM, answer)
    assert task is not None
    return task


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("own_pass", "word", "known"),
    [
        ("secret", "secret", True),
        ("secret", "secre", False),
        ("secret", "secret ", False),
        ("secret", "", False),
        ("", "", False),
        ("?", "\udc80", True),
        ("secret", "sécret\ud800", False),
    ],
)
def test_own_sinks_are_known_by_their_word(own_pass: str, word: str, known: bool) -> None:
    assert Doorkeeper(own_pass=own_pass).knows(word) is known


async def test_without_anybody_to_ask_it_is_open() -> None:
    assert Doorkeeper().is_open
    assert not Doorkeeper(Judge()).is_open


@pytest.mark.parametrize("refusal", [None, OwnRefusal("No", is_final=True)])
async def test_the_answer_is_passed_on(refusal: OwnRefusal | None) -> None:
    judge = Judge(refusal and refusal.detail)
    doorkeeper = Doorkeeper(judge)
    answers: list[Refusal | None] = []
    doorkeeper.ask(CLAIM, answers.append)
    await until(lambda: judge.claims)
    assert answers == []
    judge.is_open.set()
    await until(lambda: answers)
    assert (answers, judge.claims) == ([refusal], [CLAIM])


@pytest.mark.parametrize(("most", "most_of_one"), [(2, 100), (100, 2)], ids=["in all", "of one address"])
async def test_there_are_only_so_many_questions(
    monkeypatch: pytest.MonkeyPatch, most: int, most_of_one: int
) -> None:
    monkeypatch.setattr(publishers, "MAX_ASKING", most)
    monkeypatch.setattr(publishers, "MAX_ASKING_PER_ADDRESS", most_of_one)
    doorkeeper = Doorkeeper(Judge())
    answers: list[Refusal | None] = []
    neighbours = [replace(CLAIM, client=f"2001:db8::{number}") for number in range(3)]
    tasks = [doorkeeper.ask(claim, answers.append) for claim in neighbours]
    assert tasks[2] is None
    stranger = doorkeeper.ask(CLAIM, answers.append)
    assert (stranger is not None) is (most == 100)
    for task in (*tasks, stranger):
        if task is not None:
            task.cancel()
    await doorkeeper.settle()
    await asyncio.sleep(0)
    assert all(doorkeeper.ask(claim, answers.append) for claim in neighbours[:2])
    assert answers == []


async def test_no_answer_in_time_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishers, "ASK_TIMEOUT", 0.01)
    judge = Judge()
    answers: list[Refusal | None] = []
    await asked(Doorkeeper(judge), answers.append)
    # Next time it may be.
    assert answers == [OwnRefusal("Whether this may be published could not be found out in time")]
    assert judge.left == 1


async def test_a_bug_is_a_no_without_details() -> None:
    async def fail(_: PublishClaim) -> Refusal | None:
        raise ValueError("secret")

    answers: list[Refusal | None] = []
    with structlog.testing.capture_logs() as logs:
        await asked(Doorkeeper(fail), answers.append)
    assert answers == [OwnRefusal("This is a bug in the server; its log says more", is_final=True)]
    assert isinstance(logs[0]["exc_info"], ValueError)


async def test_who_is_not_waited_for_is_told_nothing() -> None:
    judge = Judge()
    answers: list[Refusal | None] = []
    task = asked(Doorkeeper(judge), answers.append)
    await until(lambda: judge.claims)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert answers == []
