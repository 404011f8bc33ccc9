"""The compiled build, and nothing else: `make wheel-compiled`.

With BUILD_COMPILED=1 the modules listed in pyproject.toml under `tool.whipway.compiled` become C extensions,
which mypyc makes from the very same sources. Without it this file does nothing: no compiler is needed, and
all is plain Python.
"""

import os
import tomllib
from pathlib import Path

from setuptools import Extension, setup

BUILD = "build/compiled"
"""Apart from what plain builds leave."""


def compiled_modules() -> list[Extension]:
    """One shared library with the code of all of them, and one small extension for each name."""
    # Needed here alone: building plain Python takes setuptools and no more.
    from mypyc.build import mypycify

    table = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["whipway"]["compiled"]
    sources = [
        f"src/{package.replace('.', '/')}/{name}.py" for package, names in table.items() for name in names
    ]
    return mypycify(sources, group_name="whipway", target_dir=f"{BUILD}/c", debug_level="0")


if os.environ.get("BUILD_COMPILED") == "1":
    setup(ext_modules=compiled_modules(), options={"build": {"build_base": BUILD}})
else:
    setup()
