"""Parameter sets and key frames that are kept, and the size that is read of them."""

import pytest
from tests.peers import x264
from tests.unit.session.cameras import pictures, sets_of

from whipway.media.nal import NalType, nal_type
from whipway.media.parameter_sets import MAX_SET_BYTES
from whipway.media.unit import AccessUnit
from whipway.session.picture_memory import MAX_KEYFRAME_BYTES, MAX_PPS, PictureMemory

SMALL, LARGE = (64, 48), (96, 64)


def unit(*nals: bytes, keyframe: bool = True) -> AccessUnit:
    return AccessUnit(0, list(nals), keyframe)


def bare(size: tuple[int, int]) -> AccessUnit:
    """An IDR picture without its sets."""
    return unit(*(nal for nal in pictures(*size)[0] if nal_type(nal) in (NalType.SEI, NalType.IDR)))


class TestCompletion:
    def test_a_picture_with_its_sets_stays_as_it_is(self):
        memory = PictureMemory(sets_of(*LARGE))
        whole = unit(*pictures(*SMALL)[0])
        memory.take(whole)
        assert memory.complete(whole) is whole
        assert memory.last_keyframe is whole

    def test_sets_of_the_offer(self):
        memory = PictureMemory(sets_of(*SMALL))
        memory.take(bare(SMALL))
        assert memory.last_keyframe is not None
        assert memory.last_keyframe.nals[:2] == sets_of(*SMALL)
        assert x264.decode([memory.last_keyframe.nals]).errors == []

    def test_sets_of_an_earlier_picture(self):
        memory = PictureMemory(sets_of(*LARGE))
        memory.take(unit(*pictures(*SMALL)[0]))
        later = bare(SMALL)
        assert memory.complete(later).nals == [*sets_of(*SMALL), *later.nals]
        assert len(later.nals) < len(memory.complete(later).nals)

    def test_half_of_the_sets_are_brought(self):
        sps, pps = sets_of(*SMALL)
        for brought in (sps, pps):
            memory = PictureMemory([sps, pps])
            half = unit(brought, *bare(SMALL).nals)
            memory.take(half)
            assert memory.complete(half).nals == [sps, pps, *bare(SMALL).nals]

    def test_a_pps_alone_is_added(self):
        sps, pps = sets_of(*SMALL)
        memory = PictureMemory([sps, pps])
        for _ in range(2):
            memory.take(unit(b"\x68\x01", b"\x41", keyframe=False))
        assert memory.complete(bare(SMALL)).nals[:3] == [sps, pps, b"\x68\x01"]

    def test_an_sps_makes_away_with_all_older_ones(self):
        memory = PictureMemory([*sets_of(*SMALL), b"\x68\x01"])
        memory.take(unit(*pictures(*LARGE)[0]))
        assert memory.complete(bare(LARGE)).nals[:2] == sets_of(*LARGE)


class TestBounds:
    def test_pps(self):
        memory = PictureMemory(sets_of(*SMALL))
        for number in range(2 * MAX_PPS):
            memory.take(unit(b"\x68" + number.to_bytes(2, "big"), keyframe=False))
        kept = memory.complete(bare(SMALL)).nals[1:-2]
        assert len(kept) == MAX_PPS
        assert kept[-1] == b"\x68" + (2 * MAX_PPS - 1).to_bytes(2, "big")

    def test_one_large_set(self):
        memory = PictureMemory(sets_of(*SMALL))
        memory.take(unit(b"\x67" + bytes(MAX_SET_BYTES), keyframe=False))
        assert memory.complete(bare(SMALL)).nals[:2] == sets_of(*SMALL)

    def test_a_key_frame_of_a_size_that_no_picture_has(self):
        memory = PictureMemory(sets_of(*SMALL))
        first = unit(*pictures(*SMALL)[0])
        memory.take(first)
        memory.take(unit(b"\x65" + bytes(MAX_KEYFRAME_BYTES)))
        assert memory.last_keyframe is first

    def test_pictures_between_are_not_kept(self):
        memory = PictureMemory(())
        memory.take(unit(*pictures(*SMALL)[1], keyframe=False))
        assert memory.last_keyframe is None


class TestReading:
    def test_the_size_is_that_of_the_last_sps(self):
        memory = PictureMemory(())
        assert memory.size is None
        memory.take(unit(*pictures(*SMALL)[0]))
        assert memory.size == memory.size == SMALL
        memory.take(unit(*pictures(*LARGE)[0]))
        assert memory.size == LARGE

    def test_the_same_sets_again(self):
        memory = PictureMemory(sets_of(*LARGE))
        for _ in range(2):
            memory.take(unit(*pictures(*LARGE)[0]))
            assert memory.size == LARGE

    @pytest.mark.parametrize("sps", [b"\x67", b"\x67\x42", b"\x67" + bytes(20)])
    def test_an_sps_that_cannot_be_read(self, sps):
        memory = PictureMemory(())
        memory.take(unit(sps, b"\x68\x01", b"\x65\x88"))
        assert memory.size is None

    def test_the_profile(self):
        memory = PictureMemory(sets_of(*SMALL))
        # What the offer says is not what is sent.
        assert memory.profile_idc is None
        memory.take(unit(*pictures(*SMALL)[0]))
        assert memory.profile_idc == 100
        memory.take(unit(b"\x67", b"\x68\x01", b"\x65\x88"))
        assert memory.profile_idc is None
