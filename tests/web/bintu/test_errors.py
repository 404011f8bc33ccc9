"""How this API says no to what the parts below it refuse."""

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy.exc import OperationalError
from tests.peers.databases import database_url
from tests.web.bintu.api import ORGANISATION, STREAM, assert_refused, client
from tests.web.served import BASE, serving

from whipway.config import Settings
from whipway.web.bintu.errors import BintuRoute, Fault
from whipway.web.problems import Problem, ProblemKind, install_problem_handlers

pytestmark = pytest.mark.anyio


def raising(error: Exception) -> httpx.AsyncClient:
    """A client of an application whose one route raises this."""
    router = APIRouter(route_class=BintuRoute)

    @router.get("/")
    async def answer() -> None:
        raise error

    app = FastAPI()
    install_problem_handlers(app)
    app.include_router(router)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)


@pytest.mark.parametrize(
    "error", [OperationalError("SELECT 'secret'", {}, OSError()), OSError("x"), TimeoutError()]
)
async def test_a_database_that_does_not_answer(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    async with raising(error) as http:
        answer = await http.get("/")
    assert_refused(answer, 503, 9503, "The database does not answer")
    assert int(answer.headers["retry-after"]) > 0
    assert "secret" not in answer.text + capsys.readouterr().out


async def test_what_has_no_number_is_told_as_everywhere() -> None:
    async with raising(Problem(ProblemKind.SERVER_FULL, "There is no room")) as http:
        answer = await http.get("/")
    assert (answer.status_code, answer.json()["code"]) == (503, "server_full")


def test_numbers_and_statuses() -> None:
    assert len({fault.code for fault in Fault}) == len(Fault)
    # What is not the platform's own ends like the status.
    for fault in Fault:
        assert fault.code < 9000 or fault.code - 9000 == fault.status or fault.status == 400


async def test_a_database_that_goes_away() -> None:
    async with database_url("postgresql") as url:
        settings = Settings.model_validate({"database": {"url": url}})
        async with serving(settings) as served, await client(served) as http:
            assert (await http.get(STREAM)).status_code == 200
            assert (await http.get(ORGANISATION)).status_code == 200
            # As if it had moved: no connection is left, and there are no new ones.
            engine = served.services.database._engine
            await engine.dispose()
            real, engine.sync_engine.pool._creator = engine.sync_engine.pool._creator, _refuse
            try:
                for path in (STREAM, ORGANISATION, f"{STREAM}/x"):
                    answer = await http.get(path)
                    assert_refused(answer, 503, 9503, "The database does not answer")
            finally:
                engine.sync_engine.pool._creator = real
            assert (await http.get(STREAM)).status_code == 200


def _refuse(*_: object) -> None:
    raise ConnectionRefusedError
