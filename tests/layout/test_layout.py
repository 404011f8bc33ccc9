"""The project's own rules, checked on its files."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from whipway.config import Settings, known_keys
from whipway.failures import DropReason
from whipway.session.events import EndReason

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "whipway"
UNIT = ROOT / "tests" / "unit"
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# Drivers (the rings with I/O) are exercised by the tests of tests/web and tests/interop, on real sockets.
MIRRORED = ("protocol", "media", "session", "relay")
MAX_MODULE_LINES = 400
MAX_TEST_LINES = 800
MAX_FUNCTION_LINES = 60
MAX_ARGUMENTS = 8


def modules(*folders: str) -> list[Path]:
    roots = [SOURCE / folder for folder in folders] or [SOURCE]
    return sorted(path for root in roots for path in root.rglob("*.py") if path.name != "__init__.py")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_machine_has_its_own_unit_test() -> None:
    sources = {
        path.relative_to(SOURCE).with_name(f"test_{path.name}").as_posix(): path
        for path in modules(*MIRRORED)
    }
    # A module of plain values alone has nothing to test.
    expected = {test for test, path in sources.items() if any(functions(path))}
    found = {
        path.relative_to(UNIT).as_posix()
        for folder in MIRRORED
        for path in (UNIT / folder).rglob("test_*.py")
    }
    assert expected - found == set()
    assert found - sources.keys() == set()


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_sizes_of_source(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_MODULE_LINES
    for function in functions(path):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= MAX_FUNCTION_LINES, f"{function.name} has {length} lines"
        names = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        count = len([name for name in names if name.arg not in ("self", "cls")])
        assert count <= MAX_ARGUMENTS, f"{function.name} has {count} arguments"


def test_sizes_of_tests() -> None:
    too_long = [path.name for path in TESTS if len(path.read_text().splitlines()) > MAX_TEST_LINES]
    assert not too_long


def test_the_session_stays_small() -> None:
    path = SOURCE / "session" / "session.py"
    assert len(path.read_text().splitlines()) < 350


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_example_config_is_complete_and_holds_the_defaults() -> None:
    text = (ROOT / "whipway.example.toml").read_text()
    values = tomllib.loads(text)
    assert Settings.model_validate(values) == Settings()
    # Keys whose default is "not set" cannot be written in TOML, so they stand there as comments.
    sections = {name: keys for name, keys in values.items() if isinstance(keys, dict)}
    written = [name for name in values if name not in sections]
    written += [f"{section}.{key}" for section, keys in sections.items() for key in keys]
    section = ""
    for line in text.splitlines():
        section = line[1:-1] if re.fullmatch(r"\[\w+\]", line) else section
        if match := re.fullmatch(r"# (\w+) =", line):
            written.append(f"{section}.{match[1]}")
    assert sorted(written) == sorted(known_keys())


def _names_in_tests(enum: str) -> set[str]:
    pattern = re.compile(rf"\b{enum}\.([A-Z0-9_]+)")
    return {name for path in TESTS for name in pattern.findall(path.read_text())}


def test_every_drop_reason_is_produced_by_some_test() -> None:
    assert {reason.name for reason in DropReason} - _names_in_tests("DropReason") == set()


def test_every_end_reason_is_produced_by_some_test() -> None:
    assert {reason.name for reason in EndReason} - _names_in_tests("EndReason") == set()


def test_no_skipped_or_unfinished_work_in_source() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert [path.name for path in modules() if marks.search(path.read_text())] == []
