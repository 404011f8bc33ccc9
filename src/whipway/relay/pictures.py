"""The pictures of one session on their way to tags: which can be decoded, when, and behind which header.

Access units come from one source at a time (`AccessUnit.is_cut` tells of another). Each is given its time of
decoding and of showing; those that nobody could decode are refused. A sequence header goes out once, and
again only when its bytes change, whoever made them: two sources may well have the same. Between key frames
nothing of one source helps to decode or to order the pictures of another.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from whipway.failures import DropReason, ParseError
from whipway.media import flv
from whipway.media.decode_times import DecodeTimes
from whipway.media.nal import NalType, nal_type
from whipway.media.parameter_sets import ParameterSets, SequenceParameterSet
from whipway.media.picture_order import PictureOrder
from whipway.media.presentation_times import PresentationTimes
from whipway.media.unit import AccessUnit


class Placement(NamedTuple):
    """Where a picture goes, on the media timeline."""

    decode_us: int
    shown_us: int
    header: bytes | None
    """The FLV body of a sequence header that goes ahead of it, if there is a new one."""


class Pictures:
    """One stream of pictures. `drops` counts what was left out of units that passed."""

    def __init__(self, drops: Counter[DropReason], parameter_sets: Sequence[bytes] = ()) -> None:
        """`parameter_sets` are hints from the offer: the ones in the stream count."""
        self.needs_keyframe = True
        """No picture passes before the next key frame."""
        self._drops = drops
        self._configuration: bytes | None = None
        """That of the header which went out last."""
        self._parameter_sets = ParameterSets()
        with suppress(ParseError):
            self._parameter_sets.update(parameter_sets)
        self._picture_order = PictureOrder()
        self._presentation_times = PresentationTimes()
        self._decode_times = DecodeTimes()

    @property
    def sps(self) -> SequenceParameterSet | None:
        """What the source says of its pictures, once known."""
        return self._parameter_sets.sps

    @property
    def reordered(self) -> bool:
        """True while pictures come in another order than they are shown in: there are B-frames."""
        return self._decode_times.reordered

    @property
    def header(self) -> bytes | None:
        """The FLV body of the sequence header that went out last."""
        return None if self._configuration is None else flv.avc_sequence_header(self._configuration)

    def place(self, unit: AccessUnit) -> Placement:
        """Take the next picture in decoding order.

        ParseError for one that cannot be decoded; it is to be left out, and none passes before a key frame.
        """
        if unit.is_cut:
            self._forget_source()
        try:
            return self._place(unit)
        except ParseError:
            self.needs_keyframe = True  # What follows refers to the picture that is left out.
            raise

    def pause(self) -> None:
        """There were none for a while. The next one is a key frame, shown behind all that came before."""
        self.needs_keyframe = True
        self._decode_times = DecodeTimes()
        if self.sps is not None:
            self._decode_times.configure(self.sps)

    def _place(self, unit: AccessUnit) -> Placement:
        changed = self._take_parameter_sets(unit)
        configuration = self._parameter_sets.configuration()
        if configuration is None or (self.needs_keyframe and not (unit.keyframe or unit.is_entry)):
            # Nobody can decode a picture without parameter sets, or start between key frames.
            raise ParseError(DropReason.H264_AWAITING_IDR)
        self.needs_keyframe = False
        is_new = configuration != self._configuration
        self._configuration = configuration
        if changed or is_new:
            assert self.sps is not None  # The configuration was made of it.
            self._presentation_times.configure(self.sps)
            self._decode_times.configure(self.sps)
        shown_us = self._shown_us(unit)
        decode_us = self._decode_times.place(shown_us, unit.keyframe)
        return Placement(decode_us, shown_us, self.header if is_new else None)

    def _forget_source(self) -> None:
        self.needs_keyframe = True
        self._parameter_sets = ParameterSets()
        self._picture_order = PictureOrder()
        self._presentation_times = PresentationTimes()
        self._decode_times = DecodeTimes()

    def _take_parameter_sets(self, unit: AccessUnit) -> bool:
        """Whether the decoder configuration changed. ParseError for a key frame whose sets cannot be read."""
        try:
            return self._parameter_sets.update(unit.nals)
        except ParseError as error:
            if unit.keyframe:
                raise
            # It goes on with the sets there are; those that nobody can read go no further.
            self._drops[error.reason] += 1
            unit.nals = [nal for nal in unit.nals if nal_type(nal) not in (NalType.SPS, NalType.PPS)]
            return False

    def _shown_us(self, unit: AccessUnit) -> int:
        """The time of showing: the unit's, unless it can be told that this is its decoding time."""
        assert self.sps is not None  # There is a configuration.
        if self.sps.max_num_reorder_frames == 0:
            return unit.time_us
        number = self._picture_order.number(unit.nals, self._parameter_sets)
        return self._presentation_times.place(unit.time_us, number, unit.keyframe)
