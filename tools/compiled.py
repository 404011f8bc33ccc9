"""Builds the wheel whose hot modules are compiled, and runs the tests on it.

    python -m tools.compiled wheel              dist/whipway-….whl       (make wheel-compiled)
    python -m tools.compiled test [pytest …]    the tests, on that wheel (make test-compiled)

The tests are those of plain Python, and so are the sources. setup.py says how they are compiled, and
pyproject.toml says which. A build is kept until something under src/ changes.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
BUILD = ROOT / "build" / "compiled"
SITE = BUILD / "site"
"""The wheel, unpacked: first on the path of the tests."""
DIGEST = BUILD / "digest"
"""Of what was built last."""
LOG = BUILD / "log"
WHEELS = f"whipway-*-cp{sys.version_info.major}{sys.version_info.minor}-*.whl"
"""Plain Python's is for every Python, and called so."""
RECIPE = ("setup.py", "pyproject.toml")
NOT_INTEROP = ("-m", "not interop")
TELL = (
    "from whipway.compiled import PACKAGE, compiled_modules as found;"
    "print(f'whipway: {len(found())} compiled modules in {PACKAGE}'); assert found()"
)


def main(arguments: Sequence[str]) -> int:
    """Do what is wanted; the exit code is that of the tests."""
    verb, *rest = arguments
    if obstacle := what_is_missing():
        print(f"whipway: {obstacle}. Plain Python needs none of it: make run, make test", file=sys.stderr)
        return 1
    if not (is_current() or build()):
        return 1
    return run_tests(rest or NOT_INTEROP) if verb == "test" else 0


def what_is_missing() -> str | None:
    """Why C cannot be compiled on this machine."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        return f"no C compiler here ({compiler}); Debian has it in the package gcc"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "no Python.h here; Debian has it in the package python3-dev"
    return None


def is_current() -> bool:
    """Tell whether what was built last is of these very sources, and still there."""
    return DIGEST.is_file() and DIGEST.read_text() == digest() and any(DIST.glob(WHEELS))


def digest() -> str:
    """Of everything that the wheel is made of, and of the Python it is for."""
    paths = [path for path in (ROOT / "src").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    sources = [path for path in paths if ".egg-info" not in path.parent.name]
    total = hashlib.sha256(sys.version.encode())
    for path in sorted([*sources, *(ROOT / name for name in RECIPE)]):
        total.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return total.hexdigest()


def build() -> bool:
    """Build the wheel into dist/ and unpack it. A minute or two; what compilers say goes to the log."""
    shutil.rmtree(BUILD, ignore_errors=True)
    for old in DIST.glob(WHEELS):
        old.unlink()
    BUILD.mkdir(parents=True)
    made_of = digest()
    print("whipway: compiling, which takes a minute or two", file=sys.stderr, flush=True)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-deps")
    with LOG.open("w") as log:
        built = _pip("wheel", *quiet, "--no-build-isolation", "--wheel-dir", str(DIST), str(ROOT), log=log)
        wheels = [str(path) for path in DIST.glob(WHEELS)]
        if built != 0 or not wheels or _pip("install", *quiet, "--target", str(SITE), *wheels, log=log) != 0:
            print(f"whipway: the compiled build failed; see {LOG.relative_to(ROOT)}", file=sys.stderr)
            return False
    DIGEST.write_text(made_of)
    print(f"whipway: {Path(wheels[0]).relative_to(ROOT)}", file=sys.stderr)
    return True


def run_tests(arguments: Sequence[str]) -> int:
    """Run pytest on what was built; first of all it is told what of it is compiled."""
    environment = os.environ | {"BUILD_COMPILED": "1", "PYTHONPATH": str(SITE)}
    for command in (["-c", TELL], ["-m", "pytest", *arguments]):
        code = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment).returncode
        if code != 0:
            break
    return code


def _pip(*arguments: str, log: TextIO) -> int:
    environment = os.environ | {"BUILD_COMPILED": "1"}
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
