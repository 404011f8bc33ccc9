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

pytest.register_assert_rewrite("tests.interop.checks", "tests.interop.take")

SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin"
"""nginx is not on the path of ordinary users."""
NODE_FOLDER = Path(__file__).parent / "node"
GSTREAMER_PACKAGES = (
    "gstreamer1.0-nice gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad "
    "gstreamer1.0-plugins-ugly gir1.2-gst-plugins-bad-1.0 python3-gi"
)
GSTREAMER_CHECK = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstWebRTC
Gst.init(None)
elements = "webrtcbin nicesrc dtlssrtpenc x264enc openh264enc opusenc rtph264pay videotestsrc"
assert all(Gst.ElementFactory.find(name) for name in elements.split())
"""


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
def turn_program() -> str:
    return debian_program("turnserver", "coturn")


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


@pytest.fixture(scope="session")
def gstreamer_python() -> str:
    """The system's interpreter, which Debian's bindings of GStreamer belong to."""
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", GSTREAMER_CHECK], capture_output=True, check=False).returncode != 0:
        missing(f"GStreamer is not complete: apt install {GSTREAMER_PACKAGES}")
    return python


@pytest.fixture(scope="session")
def node_script() -> list[str]:
    """The command that runs the script of libdatachannel's bindings."""
    node = debian_program("node", "nodejs npm")
    if not (NODE_FOLDER / "node_modules" / "node-datachannel").exists():
        missing("node-datachannel is not installed: npm install --prefix tests/interop/node")
    return [node, str(NODE_FOLDER / "publisher.mjs")]


@pytest.fixture(scope="session")
def firefox_program() -> str:
    return debian_program("firefox-esr", "firefox-esr")


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """A server with default settings, but for its ports."""
    with RunningServer() as running:
        yield running
