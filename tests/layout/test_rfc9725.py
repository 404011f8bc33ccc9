"""docs/rfc/9725.md and the tests it names belong together."""

import ast
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
ROWS = range(1, 57)
LEVELS = {"MUST", "SHOULD", "MAY", "implied", "ours", "note"}
MODULES = sorted((ROOT / "tests" / "web").glob("test_rfc9725_*.py"))


class Row(NamedTuple):
    """One line of the table, as it stands there."""

    number: str
    section: str
    level: str
    rule: str
    here: str
    tests: str

    @property
    def named(self) -> list[str]:
        """The tests it names in the modules of this RFC, as `module.py::test`."""
        return [test for test in self._all_named if "/" not in test]

    @property
    def elsewhere(self) -> list[str]:
        """The tests it names beside them, as `unit/cli/test_cli.py::test`."""
        return [test for test in self._all_named if "/" in test]

    @property
    def _all_named(self) -> list[str]:
        return re.findall(r"`([^`]+)`", self.tests)


def read_rows() -> list[Row]:
    lines = (ROOT / "docs" / "rfc" / "9725.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [Row(*each) for each in cells if each[0] != "#"]


def section_of(test: str) -> str:
    """The section in a test's name: the numbers behind its "s"."""
    match = re.search(r"::test_s(\d+(?:_\d+)*)_", test)
    assert match is not None, f"{test} names no section"
    return match[1].replace("_", ".")


ALL_ROWS = read_rows()


def test_every_row_is_there_once() -> None:
    assert [row.number for row in ALL_ROWS] == [str(number) for number in ROWS]


@pytest.mark.parametrize("row", ALL_ROWS, ids=lambda row: row.number)
def test_a_row_is_complete(row: Row) -> None:
    assert all(row)
    assert {word for word in re.findall(r"[A-Za-z]+", row.level)} - {"clients"} <= LEVELS
    assert row.named, "no test"
    assert {section_of(test) for test in row.named} == {row.section}


def names_of_tests(path: Path) -> set[str]:
    """The names of all tests of a module."""
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_tests_that_are_named_elsewhere_are_there() -> None:
    named = {test for row in ALL_ROWS for test in row.elsewhere}
    found = {
        f"{name}::{test}"
        for name in {test.partition("::")[0] for test in named}
        for test in names_of_tests(ROOT / "tests" / name)
    }
    assert named <= found


def test_rows_and_tests_name_each_other() -> None:
    named = Counter(test for row in ALL_ROWS for test in row.named)
    found = {f"{path.name}::{test}" for path in MODULES for test in names_of_tests(path)}
    assert set(named) == found
    assert [test for test, count in named.items() if count > 1] == []


def test_modules_hold_the_sections_they_are_named_by() -> None:
    for row in ALL_ROWS:
        for test in row.named:
            # test_rfc9725_4_5_4_6_load_….py: sections 4.5 and 4.6. 5 comes behind 4.9.
            begins = re.findall(r"\d_\d", test.removeprefix("test_rfc9725_").partition("::")[0])
            wanted = [begin.replace("_", ".") for begin in begins]
            later = row.section in ("4.9", "5") and wanted == ["4.8"]
            assert later or any(row.section.startswith(section) for section in wanted), test
