import pytest
from hypothesis import given
from hypothesis import strategies as st

from whipway.media.sound_row import MAX_REPAIR_SAMPLES, TOLERANCE_SAMPLES, SoundRow, to_samples, to_us

START = 240_000
PACKET = 960


def begun(hole_samples: int = TOLERANCE_SAMPLES) -> SoundRow:
    """A row with one packet in it."""
    row = SoundRow(hole_samples)
    assert row.position is None
    assert row.admit(START) == 0
    assert row.advance(PACKET) == START
    return row


END = START + PACKET


@pytest.mark.parametrize(
    ("error", "missing", "position"),
    [
        (0, 0, END),
        (TOLERANCE_SAMPLES, 0, END),
        (-TOLERANCE_SAMPLES, 0, END),
        (TOLERANCE_SAMPLES + 1, TOLERANCE_SAMPLES + 1, END),
        (MAX_REPAIR_SAMPLES, MAX_REPAIR_SAMPLES, END),
        (MAX_REPAIR_SAMPLES + 1, 0, END + MAX_REPAIR_SAMPLES + 1),
        (-TOLERANCE_SAMPLES - 1, None, END),
        (-MAX_REPAIR_SAMPLES, None, END),
        (-MAX_REPAIR_SAMPLES - 1, 0, END),
    ],
)
def test_sound_that_is_not_where_the_row_ends(error: int, missing: int | None, position: int):
    row = begun()
    assert row.admit(END + error) == missing
    assert row.position == position


def test_smaller_holes_may_count():
    assert begun(480).admit(END + 480) == 0
    assert begun(480).admit(END + 481) == 481
    # Too early is another thing.
    assert begun(480).admit(END - TOLERANCE_SAMPLES) == 0


def test_a_hole_that_closed_up_counts_towards_the_next():
    row = begun()
    assert row.admit(END + 1000) == 0
    row.advance(PACKET)
    assert row.admit(END + PACKET + 1921) == 1921


def test_later_sound_counts_from_where_the_time_fell_far_behind():
    row = begun()
    assert row.admit(END - 500_000) == 0
    assert row.position == END
    row.advance(PACKET)
    assert row.admit(END - 500_000 + PACKET + 5000) == 5000


def test_silence_is_missing_up_to_a_place():
    row = SoundRow()
    assert row.missing_until(START + 100, START) == 100
    row.advance(100)
    assert row.missing_until(START + 90, 0) == 0
    assert row.missing_until(START + 100 + MAX_REPAIR_SAMPLES, 0) == MAX_REPAIR_SAMPLES
    assert row.missing_until(START + 101 + MAX_REPAIR_SAMPLES, 0) == 0
    assert row.position == START + 101 + MAX_REPAIR_SAMPLES


def test_times():
    assert to_samples(20_000) == 960
    assert to_us(1024) == 21_333
    assert to_samples(to_us(48_000 * 86_400)) == 48_000 * 86_400


@given(st.lists(st.tuples(st.booleans(), st.integers(-(10**9), 10**9)), max_size=30))
def test_a_row_never_goes_back(steps: list[tuple[bool, int]]):
    row = SoundRow()
    end: int | None = None
    for fills, place in steps:
        missing = row.missing_until(place, place) if fills else row.admit(place)
        assert missing is None or 0 <= missing <= MAX_REPAIR_SAMPLES
        assert row.position is not None
        assert end is None or row.position >= end
        row.advance((missing or 0) + 960)
        end = row.position
