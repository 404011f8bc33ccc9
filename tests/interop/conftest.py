"""Which programs the interop tests need, where they come from, and what happens when one is missing.

With INTEROP=required in the environment a missing program is a failure, else the test is skipped.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.nginx import RTMP_MODULE
from tools.encoder import ffmpeg_path
from tools.server import RunningServer

pytest.register_assert_rewrite("tests.interop.checks")

SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin"
"""nginx is not on the path of ordinary users."""


def missing(what: str) -> None:
    """Skip or fail the test that needs it."""
    if os.environ.get("INTEROP") == "required":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def debian_program(name: str, package: str) -> str:
    """The path of a program of a Debian package."""
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        missing(f"{name} is not installed: apt install {package}")
    assert path is not None
    return path


@pytest.fixture(scope="session")
def chromium_program() -> str:
    return debian_program("chromium", "chromium")


@pytest.fixture(scope="session")
def ffprobe() -> str:
    return debian_program("ffprobe", "ffmpeg")


@pytest.fixture(scope="session")
def rtmpdump() -> str:
    return debian_program("rtmpdump", "rtmpdump")


@pytest.fixture(scope="session")
def debian_ffmpeg() -> str:
    # Not by PATH: a newer one may stand before it there.
    if not Path("/usr/bin/ffmpeg").exists():
        missing("/usr/bin/ffmpeg is not installed: apt install ffmpeg")
    return "/usr/bin/ffmpeg"


@pytest.fixture(scope="session")
def nginx_program() -> str:
    if not RTMP_MODULE.exists():
        missing(f"{RTMP_MODULE} is not installed: apt install libnginx-mod-rtmp")
    return debian_program("nginx", "nginx")


@pytest.fixture(scope="session")
def whip_ffmpeg() -> str:
    """The ffmpeg that publishes; it comes with a Python package, but not on every platform."""
    try:
        path = ffmpeg_path()
    except RuntimeError as error:
        missing(f"imageio-ffmpeg has no program for this machine: {error}")
    muxers = subprocess.run([path, "-hide_banner", "-h", "muxer=whip"], capture_output=True, check=False)
    if b"Muxer whip" not in muxers.stdout:
        missing(f"{path} has no WHIP muxer: pip install imageio-ffmpeg")
    return path


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server with default settings, but for its ports."""
    with RunningServer() as running:
        yield running
