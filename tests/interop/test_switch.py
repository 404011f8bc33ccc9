"""Another source on the same track, while it is live: camera, screen, camera.

Other size, other frame rate, other parameter sets; but one stream, published once.
"""

from itertools import groupby, pairwise
from pathlib import Path

import pytest
from tests.interop.chromium import chromium
from tests.interop.studio import CAMERA, MICROPHONE, SCREEN, Studio
from tests.interop.take import recorded
from tools.server import RunningServer

pytestmark = pytest.mark.interop

CAMERA_SIZE, SCREEN_SIZE = (640, 360), (1280, 720)


def test_camera_screen_camera(
    server: RunningServer, chromium_program: str, rtmpdump: str, ffprobe: str, tmp_path: Path
) -> None:
    with chromium(chromium_program) as browser, recorded(rtmpdump, server, tmp_path) as take:
        studio = Studio(browser, server)
        for name, source in (("camera", CAMERA), ("screen", SCREEN), ("microphone", MICROPHONE)):
            studio.add_source(name, source)
        studio.add_sender("sound", "microphone")
        studio.add_sender("picture", "camera")
        studio.publish()
        studio.wait_for_status("sinks", 0, "state", value="publishing")
        studio.wait_for_more("picture", 40)
        for source in ("screen", "camera"):
            studio.replace("picture", source)
            studio.wait_for_more("picture", 60)
        (sink,) = studio.status()["sinks"]
        last = studio.stop("picture")
        sent = studio.pictures("picture")
    take.check(sent, last, ffprobe)
    assert take.pictures[-1].picture == sent[-1]
    sizes = [size for size, _ in groupby(each.picture.size for each in take.shown)]
    assert sizes == [CAMERA_SIZE, SCREEN_SIZE, CAMERA_SIZE]
    # `check` has seen that each stands where it belongs.
    assert len(take.headers) == 3
    assert all(before != after for before, after in pairwise(take.headers))
    assert (sink["state"], sink["reconnects"], sink["frames_dropped"]) == ("publishing", 0, 0)
    assert sum(entry["event"] == "publish started" for entry in server.log) == 1
