"""What is compiled is what pyproject.toml says, and only where it was asked for: `make test-compiled`."""

import os
import tomllib
from importlib import import_module
from pathlib import Path

from whipway.compiled import SUFFIX, compiled_modules

ROOT = Path(__file__).parents[2]
TABLE: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["whipway"][
    "compiled"
]
LISTED = sorted(f"{package}.{name}" for package, names in TABLE.items() for name in names)


def test_the_table_is_of_modules_that_exist() -> None:
    assert LISTED
    assert [name for name in LISTED if not (ROOT / "src" / f"{name.replace('.', '/')}.py").is_file()] == []
    assert len(set(LISTED)) == len(LISTED)


def test_these_modules_are_compiled_and_no_others() -> None:
    wanted = LISTED if os.environ.get("BUILD_COMPILED") == "1" else []
    assert compiled_modules() == wanted
    # Not only there beside the sources, but what is imported.
    files = {name: import_module(name).__file__ or "" for name in LISTED}
    assert [name for name, path in files.items() if path.endswith(SUFFIX)] == wanted
