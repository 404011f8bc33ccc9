"""How much sound the sinks of one session may want."""

from typing import Any

import pytest

from whipway.streams.refusals import SinkNotAdded
from whipway.streams.sound_formats import MAX_FORMATS, SoundFormats

Sound = tuple[str, int]
RATES = [64_000 + number for number in range(MAX_FORMATS)]
"""As many as there may be."""


def described(count: int, **states: str) -> list[dict[str, Any]]:
    """Sinks "1", "2", …; `states` has those that are not connecting, as in `_2="failed"`."""
    return [
        {"id": f"{number}", "state": states.get(f"_{number}", "connecting")} for number in range(1, count + 1)
    ]


def of(first: Sound, *others: Sound) -> SoundFormats:
    formats = SoundFormats(*first)
    for number, sound in enumerate(others, 2):
        formats.add(f"{number}", *sound)
    return formats


def has_room(formats: SoundFormats, sinks: list[dict[str, Any]], audio: str, bitrate: int) -> bool:
    try:
        formats.require_room(sinks, audio, bitrate)
    except SinkNotAdded as refusal:
        assert refusal.kind == "full" and f"is {MAX_FORMATS}" in refusal.detail
        return False
    return True


@pytest.mark.parametrize("count", range(1, MAX_FORMATS + 1))
def test_each_bitrate_is_a_format(count: int) -> None:
    formats = of(*[("aac", rate) for rate in RATES[:count]])
    assert has_room(formats, described(count), "aac", 32_000) is (count < MAX_FORMATS)


def test_who_shares_a_format_needs_no_room() -> None:
    sounds = [("aac", rate) for rate in RATES]
    formats = of(*sounds, *sounds * 3)
    for sound in sounds:
        assert has_room(formats, described(4 * MAX_FORMATS), *sound)
    assert not has_room(formats, described(4 * MAX_FORMATS), "aac", 32_000)


def test_opus_is_one_format_at_any_bitrate() -> None:
    formats = of(("opus", 1), ("opus", 2), ("opus", 3), ("opus", 4), ("opus", 5))
    assert has_room(formats, described(5), "aac", RATES[0])
    full = of(*[("aac", rate) for rate in RATES])
    assert not has_room(full, described(MAX_FORMATS), "opus", RATES[0])


def test_who_chooses_by_itself_may_want_either() -> None:
    formats = of(("auto", RATES[0]), ("aac", RATES[1]))
    assert has_room(formats, described(2), "auto", RATES[2])
    formats.add("3", "auto", RATES[2])
    assert not has_room(formats, described(3), "auto", RATES[3])
    assert not has_room(formats, described(3), "aac", RATES[3])
    for audio in ("opus", "auto", "aac"):
        assert has_room(formats, described(3), audio, RATES[1])


def test_who_is_gone_or_has_failed_wants_nothing() -> None:
    def full() -> SoundFormats:
        return of(*[("aac", rate) for rate in RATES])

    sinks = described(MAX_FORMATS)
    assert not has_room(full(), sinks, "opus", 1)
    assert has_room(full(), sinks[1:], "opus", 1)
    assert has_room(full(), described(MAX_FORMATS, _2="failed"), "opus", 1)
    assert not has_room(full(), described(MAX_FORMATS, _2="retrying"), "opus", 1)
    # Nor is it remembered.
    formats = full()
    formats.require_room([], "opus", 1)
    assert not formats._by_sink
