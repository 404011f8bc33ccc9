"""When pictures are shown, where their timestamps may be the times of decoding instead.

RFC 6184, 5.1: the RTP timestamp "is set to the sampling timestamp of the content", the time of showing. Some
senders (OBS Studio) stamp by decoding time all the same. A picture that is shown before the one that came
just before it tells the two apart: its timestamp is lower where it is a presentation time, higher where it is
a decoding time. The picture in front of the first such one can only be guessed. Else timestamps are believed
until the proof, and presentation times are never changed.

    comes       I0  P3  b1  b2  P6  b4  b5
    stamped      0   1   2   3   4   5   6
    shown        0   3   1   2   6   4   5     timestamp + frames between its places in the two orders

So the first picture is shown at its timestamp, and the line of decoding times, which `media.decode_times`
makes anew, begins before it. This keeps sound in place: such a sender begins its line of decoding times when
the first picture was captured, so that the timestamps, taken in order of showing, are times of capture.
"""

from bisect import bisect_left
from typing import Final

from whipway.media.decode_times import DEFAULT_FRAME_US, GRAIN_US, MAX_DEPTH, MAX_FRAME_US
from whipway.media.parameter_sets import SequenceParameterSet

MAX_EVIDENCE: Final = 2
"""Where timestamps were of one kind again and again, it takes three of the other: a clock that jumps, one."""
MAX_STEPS: Final = 9
"""Over how many timestamps the duration of a frame is measured; their median passes over pauses."""


class PresentationTimes:
    """The presentation times of one stream. `configure` it before the first picture and with each new SPS.

    Corrected times rise by at least a millisecond in order of showing, unless the clock is set back or the
    order itself leaps. They are at most MAX_DEPTH frames from the timestamp, or near those of a neighbour.
    """

    __slots__ = (
        "_corrects",
        "_declared_us",
        "_evidence",
        "_last_number",
        "_last_us",
        "_may_guess",
        "_recent",
        "_steps",
    )

    def __init__(self) -> None:
        self._evidence = 0
        """How often timestamps were decoding times; below zero: presentation times."""
        self._corrects = False
        """The last picture's time of showing was corrected, so that the next one is in line with it."""
        self._may_guess = False
        self._declared_us: int | None = None
        """The duration of a frame by the SPS."""
        self._steps: list[int] = []
        """From each of the last timestamps to the next, as far as they rose."""
        self._last_us: int | None = None
        self._last_number: int | None = None
        self._recent: list[tuple[int, int]] = []
        """Number and time of showing of the pictures highest in order of showing, as many as may be ahead."""

    def configure(self, sps: SequenceParameterSet) -> None:
        """Take from the SPS whether the stream may reorder, and the frame rate."""
        self._may_guess = self._evidence == 0 and bool(sps.max_num_reorder_frames)
        self._steps.clear()
        self._declared_us = min(round(1_000_000 / sps.frame_rate), MAX_FRAME_US) if sps.frame_rate else None

    def place(self, time_us: int, number: int | None, keyframe: bool) -> int:
        """When the next picture in decoding order is shown, in microseconds like its timestamp `time_us`.

        `number` is its place in order of showing (`PictureOrder`), None when that is not known.
        """
        corrects = self._weigh(time_us, number)
        self._last_us, self._last_number = time_us, number
        if number is None:
            self._recent.clear()
            self._corrects = False
            return time_us
        if keyframe:
            # All before it are shown before it; some of them may have been lost.
            del self._recent[:-1]
        at = bisect_left(self._recent, (number,))
        ahead = self._ahead(number, at)
        if abs(ahead) > MAX_DEPTH:
            # Pictures were lost, or the count began anew.
            self._recent.clear()
            at = ahead = 0
        shown_us = self._correct(time_us, number, ahead, at) if corrects else time_us
        # Alone, a picture has no place; those that follow tell where it belonged.
        self._corrects = corrects and bool(self._recent)
        self._recent.insert(at, (number, shown_us))
        if len(self._recent) > MAX_DEPTH:
            del self._recent[0]
        return shown_us

    def _weigh(self, time_us: int, number: int | None) -> bool:
        """Whether this timestamp is to be taken for a decoding time."""
        last_us, last_number = self._last_us, self._last_number
        if last_us is None:
            return False
        step_us = time_us - last_us
        guessed = False
        if number is not None and last_number is not None:
            # A pause hides what was lost in between. A count that falls by more began anew.
            if -MAX_DEPTH <= number - last_number < 0 < abs(step_us) <= MAX_FRAME_US:
                evidence = self._evidence + (1 if step_us > 0 else -1)
                self._evidence = max(-MAX_EVIDENCE, min(evidence, MAX_EVIDENCE))
            guessed = self._may_guess and self._guess(step_us, number - last_number)
        if 0 < step_us <= MAX_FRAME_US and self._evidence >= 0:
            self._steps = [*self._steps[1 - MAX_STEPS :], step_us]
        if step_us < 0:
            self._corrects = False  # No decoding time goes back: the clock was set.
        elif step_us > MAX_FRAME_US:
            self._recent.clear()  # Many may be lost in between. The low bits of a count soon come again.
        return self._evidence > 0 or guessed

    def _guess(self, step_us: int, frames: int) -> bool:
        """Whether this is the first picture that comes early, a frame's time after the one before it.

        The next picture will tell for sure. As a presentation time the step would be that of all the frames.
        """
        self._may_guess = self._evidence == 0
        if frames < 2 or not self._may_guess or not (self._steps or self._declared_us):
            return False
        self._may_guess = False
        return 0 < 2 * step_us < 3 * self._frame_us()

    def _ahead(self, number: int, at: int) -> int:
        """By how many frames the picture comes before its turn in order of showing; below zero: behind it.

        All that is shown before `_recent` has come. So from its lowest number on, each picture takes the turn
        of the next one.
        """
        if at:
            return number - self._recent[0][0] - len(self._recent)
        if self._recent and self._recent[-1][0] - number > MAX_DEPTH:
            return number - self._recent[-1][0]  # That many were never ahead of a picture.
        return -len(self._recent)

    def _correct(self, time_us: int, number: int, ahead: int, at: int) -> int:
        """The time of showing made of a decoding time, between those of the neighbours."""
        frame_us = self._frame_us()
        shown_us = time_us + ahead * frame_us
        if not self._corrects:
            # Those before it were shown at times that are not in line with this one.
            self._recent = [(other, shown_us + (other - number) * frame_us) for other, _ in self._recent]
        # There has to be room for those in between, which may still come.
        if at < len(self._recent):
            above, above_us = self._recent[at]
            shown_us = min(shown_us, above_us - (above - number) * GRAIN_US)
        if at:
            below, below_us = self._recent[at - 1]
            shown_us = max(shown_us, below_us + (number - below) * GRAIN_US)
        return shown_us

    def _frame_us(self) -> int:
        """The (lower) median of the last steps; without any, what the SPS says."""
        if self._steps:
            return sorted(self._steps)[(len(self._steps) - 1) // 2]
        return self._declared_us or DEFAULT_FRAME_US
