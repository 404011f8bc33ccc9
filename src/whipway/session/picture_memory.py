"""What is kept of one video track's pictures: its parameter sets, and its last key frame.

A picture that goes on the air in the place of another track's must be decodable without anything before it.
Some encoders send their parameter sets once, or in the offer alone (RFC 6184, 8.1), so the last ones are
kept here, as they came. Those of one access unit belong together, so an SPS makes away with all older ones; a
PPS alone is added. Nothing of them is read but the size of the picture, and only when somebody asks.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from whipway.failures import ParseError
from whipway.media.nal import NalType, nal_type
from whipway.media.parameter_sets import MAX_PPS_ID, MAX_SET_BYTES, ParameterSets
from whipway.media.unit import AccessUnit

SETS: Final = (NalType.SPS, NalType.PPS)
MAX_KEYFRAME_BYTES: Final = 2 * 1024 * 1024
"""Of a key frame that is kept: twice what a 4K picture at a wild bit rate has. There may be 16 tracks."""
MAX_PPS: Final = MAX_PPS_ID + 1
"""One of each id."""


class PictureMemory:
    """The memory of one track. `sets`: NAL units from the offer, for the time until others come."""

    def __init__(self, sets: Sequence[bytes]) -> None:
        self.last_keyframe: AccessUnit | None = None
        """The last one that was not too large, with its parameter sets."""
        self.profile_idc: int | None = None
        """Of the last SPS that came in the stream (ITU-T H.264, 7.4.2.1.1)."""
        self._sps = _of_kind(sets, NalType.SPS)
        self._pps = _of_kind(sets, NalType.PPS)
        self._measured: list[bytes] | None = None
        """The SPSs that `_size` was read from."""
        self._size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height by the last SPS; None without one, or with one that cannot be read."""
        if self._measured is not self._sps:
            self._measured = self._sps
            self._size = _read_size(self._sps)
        return self._size

    def take(self, unit: AccessUnit) -> None:
        """Note a picture that is handed on."""
        for nal in unit.nals:
            if nal[0] & 0x1F in SETS:
                self._take_sets(unit.nals)
                break
        if unit.keyframe and sum(map(len, unit.nals)) <= MAX_KEYFRAME_BYTES:
            self.last_keyframe = self.complete(unit)

    def complete(self, unit: AccessUnit) -> AccessUnit:
        """The picture with all it needs: the unit itself if it brings its sets, else one with those kept."""
        kinds = {nal_type(nal) for nal in unit.nals}
        if kinds.issuperset(SETS):
            return unit
        others = [nal for nal in unit.nals if nal_type(nal) not in SETS]
        return replace(unit, nals=[*self._sps, *self._pps, *others])

    def _take_sets(self, nals: Sequence[bytes]) -> None:
        sps, pps = _of_kind(nals, NalType.SPS), _of_kind(nals, NalType.PPS)
        if not sps:
            self._pps = [*(nal for nal in self._pps if nal not in pps), *pps][-MAX_PPS:]
            return
        self.profile_idc = sps[-1][1] if len(sps[-1]) > 1 else None
        self._pps = pps or self._pps
        if sps != self._sps:  # What was read of the same bytes holds.
            self._sps = sps


def _of_kind(nals: Sequence[bytes], kind: int) -> list[bytes]:
    """Those of a type, as many as there are ids, without what is too large to be one."""
    return [nal for nal in nals if nal and nal_type(nal) == kind and len(nal) <= MAX_SET_BYTES][-MAX_PPS:]


def _read_size(sps: Sequence[bytes]) -> tuple[int, int] | None:
    try:
        first = ParameterSets(sps).sps
    except ParseError:
        return None
    return (first.width, first.height) if first else None
