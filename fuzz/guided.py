"""Drives one target by coverage: `python -m fuzz.guided TARGET FOLDER [libFuzzer options]`, a process of its
own.

atheris instruments the project's modules and hands over to libFuzzer, which never returns. The seeds are
written to FOLDER, where libFuzzer keeps what it finds.
"""

import hashlib
import sys
from pathlib import Path

import atheris

from fuzz.targets import Target, load_target


def main(name: str, folder: str, *options: str) -> None:
    """Run until an option ends it or an invariant breaks."""
    with atheris.instrument_imports(include=["whipway"]):
        target = load_target(name)
    _write_seeds(target, Path(folder))

    def run(data: bytes) -> None:
        target.run(data)

    atheris.Setup([sys.argv[0], folder, *options], run)
    atheris.Fuzz()


def _write_seeds(target: Target, folder: Path) -> None:
    for seed in target.seeds():
        (folder / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)


if __name__ == "__main__":
    main(*sys.argv[1:])
