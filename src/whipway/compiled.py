"""Which modules of this installation are compiled: none, unless it is of the wheel of `make wheel-compiled`.

The sources are the same, and lie beside the compiled modules. Only `whipway --version` and the tests ask.
"""

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

PACKAGE = Path(__file__).parent
SUFFIX = EXTENSION_SUFFIXES[0]
"""What mypyc's modules end with, for this very Python."""


def compiled_modules(package: Path = PACKAGE) -> list[str]:
    """Names of the modules under a package's folder that are not plain Python, in order."""
    paths = (path.relative_to(package.parent) for path in package.rglob(f"*{SUFFIX}"))
    return sorted(".".join((*path.parent.parts, path.name.removesuffix(SUFFIX))) for path in paths)


def is_compiled() -> bool:
    """Tell the compiled build from plain Python."""
    return bool(compiled_modules())
