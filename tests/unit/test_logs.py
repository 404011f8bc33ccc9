import errno
import io
import json

import pytest
import structlog

from whipway.logs import configure_logging


@pytest.mark.parametrize("worker", [None, 3])
def test_a_line_says_which_worker_wrote_it(worker: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    configure_logging("info", "json", worker=worker)
    try:
        structlog.get_logger().debug("nothing")
        structlog.get_logger().info("something", name="one")
    finally:
        structlog.configure(**before)
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["name"], entry.get("worker")) == ("something", "one", worker)


def test_a_traceback_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    configure_logging("error", "json")
    try:
        try:
            raise RuntimeError("a bug")
        except RuntimeError:
            structlog.get_logger().exception("failed")
    finally:
        structlog.configure(**before)
    (line,) = capsys.readouterr().err.splitlines()
    assert "RuntimeError: a bug" in json.loads(line)["exception"]


def test_nobody_has_to_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    before = structlog.get_config()
    configure_logging("info", "console")
    try:
        with monkeypatch.context() as full:
            full.setattr("sys.stderr", Full())
            structlog.get_logger().info("something")
    finally:
        structlog.configure(**before)
