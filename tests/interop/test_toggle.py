"""Picture and sound are switched off and on while they are live; the stream goes on.

A track that is disabled sends black or silence; one that is taken away sends nothing. In both cases the sound
in the recording has no gap, and the picture goes on with a key frame where it was away.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.interop.chromium import chromium
from tests.interop.recording import AUDIO
from tests.interop.studio import CAMERA, MICROPHONE, VIDEO_CLOCK, Studio
from tests.interop.take import VIDEO_SILENCE_MS, Shown, Take, recorded
from tools.server import RunningServer

pytestmark = pytest.mark.interop

FILLED = "filled"
"""The stream whose sink asks for a picture while there is none."""
FILLER_MS = 1_000
EARLY_MS = 500
"""How much earlier than it is due the first one may stand: it is due by the clock, which media is behind."""
TOO_OFTEN_MS = 850
"""Two of them are further apart."""
AWAY_PACKETS = 300
"""Of sound, 50 a second: for so long is the picture away."""
WAYS = ("replaced by nothing", "ended", "paused")


def take_away(studio: Studio, way: str) -> None:
    """No more pictures."""
    match way:
        case "replaced by nothing":
            studio.replace("picture", None)
        case "ended":
            studio.end_source("camera")
        case "paused":
            studio.set_encoding("picture", active=False)


def bring_back(studio: Studio, way: str) -> None:
    match way:
        case "replaced by nothing":
            studio.replace("picture", "camera")
        case "ended":
            studio.add_source("camera", CAMERA)
            studio.replace("picture", "camera")
        case "paused":
            studio.set_encoding("picture", active=True)


def open_studio(studio: Studio) -> None:
    """Publish camera and microphone, and wait until an RTMP server has it."""
    studio.add_source("camera", CAMERA)
    studio.add_source("microphone", MICROPHONE)
    studio.add_sender("sound", "microphone")
    studio.add_sender("picture", "camera")
    studio.publish()
    studio.wait_for_status("sinks", 0, "state", value="publishing")
    studio.wait_for_more("picture", 40)


def wait_for_states(studio: Studio, **states: str) -> dict[str, Any]:
    """Wait until picture and sound are in these states; return the status."""
    return studio.wait_for(lambda status: states.items() <= status.items(), f"{states}")


def test_the_picture_is_away_and_comes_back(
    server: RunningServer, chromium_program: str, rtmpdump: str, ffprobe: str, tmp_path: Path
) -> None:
    with (
        chromium(chromium_program) as browser,
        recorded(rtmpdump, server, tmp_path) as plain,
        recorded(rtmpdump, server, tmp_path, FILLED, clients=2) as filled,
    ):
        studio = Studio(browser, server)
        open_studio(studio)
        added = studio.ask(f"sink?stream_name={FILLED}&stream_url={server.stream_url}&filler=freeze", "POST")
        studio.wait_for_status("sinks", 1, "state", value="publishing")
        sinks = []
        for way in WAYS:
            take_away(studio, way)
            studio.wait_for_more("sound", AWAY_PACKETS)
            wait_for_states(studio, video="muted", audio="live")
            bring_back(studio, way)
            studio.wait_for_more("picture", 30)
            sinks.append(wait_for_states(studio, video="live", audio="live")["sinks"])
        last = studio.stop("picture")
        sent = studio.pictures("picture")
    assert added.status == 201, added.text
    for take in (plain, filled):
        take.check(sent, last, ffprobe)
        assert take.pictures[-1].picture == sent[-1]
    assert all((sink["reconnects"], sink["frames_dropped"]) == (0, 0) for each in sinks for sink in each)
    assert [sink["filler"] for sink in sinks[-1]] == ["none", "freeze"]
    assert not any(each.is_repeated for each in plain.shown)
    assert len(pauses(plain)) == len(pauses(filled)) == len(WAYS)
    assert all(after.picture.is_key for _, after in pauses(plain))
    for before, after in pauses(filled):
        check_fillers(filled, before, after)


def pauses(take: Take) -> list[tuple[Shown, Shown]]:
    """The last picture before each pause, and the first one after it."""
    return [
        (before, after)
        for before, after in pairwise(take.pictures)
        if (after.picture.time - before.picture.time) & 0xFFFFFFFF > VIDEO_SILENCE_MS * VIDEO_CLOCK
    ]


def check_fillers(take: Take, before: Shown, after: Shown) -> None:
    """The last key frame again, not before it is due, and not more often than once a second."""
    between = take.shown[take.shown.index(before) + 1 : take.shown.index(after)]
    times = [each.tag.timestamp_ms for each in between]
    first = before.tag.timestamp_ms + VIDEO_SILENCE_MS
    away = after.tag.timestamp_ms - first
    assert all(each.is_repeated for each in between)
    assert times[0] >= first - EARLY_MS
    assert all(later - earlier > TOO_OFTEN_MS for earlier, later in pairwise(times)), times
    # Half of them at least: a server that is late with one is not asked for another.
    assert len(times) >= away / FILLER_MS / 2, (times, first, away)


def test_tracks_are_disabled(
    server: RunningServer, chromium_program: str, rtmpdump: str, ffprobe: str, tmp_path: Path
) -> None:
    with chromium(chromium_program) as browser, recorded(rtmpdump, server, tmp_path) as take:
        studio = Studio(browser, server)
        open_studio(studio)
        for source, sender in (("camera", "picture"), ("microphone", "sound")):
            studio.enable(source, False)
            studio.wait_for_more(sender, 150)
            # Chromium sends black pictures and silent packets: nothing is away.
            wait_for_states(studio, video="live", audio="live")
            studio.enable(source, True)
            studio.wait_for_more(sender, 60)
        last = studio.stop("picture")
        sent = studio.pictures("picture")
    take.check(sent, last, ffprobe)
    assert take.pictures[-1].picture == sent[-1]
    assert not any(each.is_repeated for each in take.shown)
    assert len(take.runs) == 1
    assert len(take.pictures) > 150


def test_the_sound_is_away_and_comes_back(
    server: RunningServer, chromium_program: str, rtmpdump: str, ffprobe: str, tmp_path: Path
) -> None:
    with chromium(chromium_program) as browser, recorded(rtmpdump, server, tmp_path) as take:
        studio = Studio(browser, server)
        open_studio(studio)
        studio.replace("sound", None)
        studio.wait_for_more("picture", 100)
        wait_for_states(studio, video="live", audio="muted")
        studio.replace("sound", "microphone")
        studio.wait_for_more("sound", 100)
        back = wait_for_states(studio, video="live", audio="live")
        last = studio.stop("picture")
        sent = studio.pictures("picture")
    # No gap in the sound, and pictures at their times: they do not wait for it.
    take.check(sent, last, ffprobe)
    assert take.pictures[-1].picture == sent[-1]
    assert [sink["reconnects"] for sink in back["sinks"]] == [0]
    sounds = [tag for tag in take.tags if tag.kind == AUDIO and not tag.is_header]
    assert len(sounds) > 100
