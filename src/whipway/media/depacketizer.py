"""H.264 access units out of RTP payloads (RFC 6184, non-interleaved mode).

Takes single NAL unit packets (5.6), STAP-A (5.7.1) and FU-A (5.8); the interleaved kinds (STAP-B, MTAP, FU-B)
are left out, as packetization-mode 2 is never answered. Payloads come in sending order; the caller says with
`gap()` when some are missing, so that a unit that leaves here has all its packets. What is broken is
discarded and counted, and from then on everything up to the next whole IDR access unit: a picture decoded
without its references is worse than none. An encoder with intra refresh or open groups of pictures may
never send another IDR; it marks recovery points instead (SEI, D.1.8). When no IDR has come for long, one of
them will do: a picture that heals within a second is better than one that stands still for good. A stream
begins with an IDR only, as players want it, and only that is a key frame.
Nothing raises: a bad packet must not swallow the good unit that ended just before it.

    push ──► FU-A middle ────────────────► fragments        (nearly every packet)
         └─► FU-A end, STAP-A, single NAL ─► NAL units ─► marker or new timestamp ─► AccessUnit
"""

from collections import Counter
from typing import Final

from whipway.failures import DropReason, ParseError
from whipway.media.nal import NalType, has_recovery_point
from whipway.media.parameter_sets import MAX_UNIT_SETS
from whipway.media.unit import AccessUnit

# RFC 6184, Table 1.
STAP_A: Final = 24
FU_A: Final = 28
FU_START: Final = 0x80
FU_END: Final = 0x40

MAX_NAL_BYTES: Final = 4 * 1024 * 1024
MAX_UNIT_BYTES: Final = 8 * 1024 * 1024
"""A 4K IDR picture at a wild bit rate has about 1 MB."""
MAX_UNIT_NALS: Final = 2048
FRAGMENT_BYTES: Final = 256
"""What a fragment counts at least: millions of one byte would cost forty times their size."""
MAX_CARRIED_BYTES: Final = 65_536
MAX_STEP: Final = 2 * 90_000
"""In RTP ticks: from one picture to the next."""
MAX_AGGREGATED: Final = 64
"""NAL units in one packet: parameter sets, SEI and a few slices."""
RECOVERY_PATIENCE: Final = 10 * 90_000
"""In RTP ticks: how long an IDR is waited for before a recovery point will do. Four requests for one are
unanswered by then, and no group of pictures in live use is longer."""

LAST_VCL_TYPE: Final = 5
FIRST_PACKET_TYPE: Final = 24
"""NAL unit types from here on name RTP packet kinds and are never NAL units inside of one."""
PARAMETER_SETS: Final = (NalType.SPS, NalType.PPS, NalType.SPS_EXTENSION)
NOTHING: Final[tuple[AccessUnit, ...]] = ()


class H264Depacketizer:
    """One video track's payloads to access units.

    Delimiters (AUD) and filler are taken out of the units, all else stays as it came. A unit without a slice
    is never emitted; parameter sets in a unit of their own (some senders give them a marker or a timestamp)
    lead the next one.
    """

    def __init__(self) -> None:
        self.awaiting_idr = True
        """Nothing is emitted before the next whole IDR access unit: the moment to ask for one."""
        self.drops: Counter[DropReason] = Counter()
        """Access units lost, by reason."""
        self.keyframes_begun = 0
        """IDR access units of which something came, be it broken: the encoder did send them."""
        self._timestamp = -1
        self._damaged = False
        """The unit of this timestamp is lost; its other packets are skipped."""
        self._after_gap = True
        """The first packets of the running unit may be among those that were lost."""
        self._sends_parameter_sets = False
        """The last IDR access unit had an SPS, so the next one will."""
        self._sets_tell = True
        """Parameter sets come with IDR pictures only."""
        self._keyframe_noted = False
        """The unit of this timestamp is among `keyframes_begun`."""
        self._waited: int | None = None
        """RTP ticks for which an IDR has been awaited since a loss; None before the first IDR access unit."""
        self._latest = 0
        """The timestamp furthest on."""
        self._carried: dict[bytes, None] = {}
        """Parameter sets for the next unit, in order; a dictionary, so that thousands are found as fast."""
        self._clear()

    def _clear(self) -> None:
        self._nals: list[bytes] = []
        self._size = 0
        self._has_slice = False
        self._has_idr = False
        self._has_sps = False
        self._from_start = False
        """The first slice begins with macroblock 0."""
        self._fragments: list[bytes] = []
        self._room = MAX_NAL_BYTES
        """How many bytes of fragments the running NAL unit may still take."""
        self._middle = -1
        """The FU header byte of the running NAL unit's middle fragments; -1 outside of one."""

    def push(self, data: bytes, timestamp: int, marker: bool, start: int = 0) -> tuple[AccessUnit, ...]:
        """The access units that an RTP payload completes: none, one, or two.

        The payload is what `data` has from `start` on: so most of it is copied only once. `timestamp` and
        `marker` are those of the RTP header. An empty payload is padding and changes nothing.
        """
        size = len(data) - start
        if (
            not marker
            and size > 1
            and data[start + 1] == self._middle
            and data[start] & 0x1F == FU_A
            and timestamp == self._timestamp
        ):
            self._fragments.append(data[start + 2 :])
            self._room -= size if size > FRAGMENT_BYTES else FRAGMENT_BYTES
            if self._room < 0:
                self._discard(DropReason.H264_TOO_LARGE)
            return NOTHING
        if size <= 0:
            return NOTHING
        return self._push(data[start:], timestamp, marker)

    def gap(self) -> None:
        """Packets between the last payload and the next one are lost for good."""
        if self._has_slice or self._middle >= 0:
            self._discard(DropReason.H264_INCOMPLETE)
        if self._sends_parameter_sets:
            # Others of those that the next IDR access unit needs may have been lost, and it has its own.
            self._carried = {}
        self._await_idr()
        self._after_gap = True

    def _push(self, payload: bytes, timestamp: int, marker: bool) -> tuple[AccessUnit, ...]:
        finished = NOTHING
        # RFC 6184, 5.1: decoders "MAY use this bit as an early indication of the last packet of an access
        # unit but MUST NOT rely on this property". A new timestamp ends a unit as well.
        if timestamp != self._timestamp:
            finished = self._finish()
            self._pass_time(timestamp)
            self._timestamp = timestamp
            self._damaged = False
            self._keyframe_noted = False
        if not self._keyframe_noted and self._is_of_keyframe(payload):
            self._keyframe_noted = True
            self.keyframes_begun += 1
        if self._damaged:
            # What follows the gap is still of the lost unit: the next one will be seen from its start.
            self._after_gap = False
            return finished
        try:
            self._unpack(payload)
        except ParseError as error:
            self._discard(error.reason)
        return finished + self._finish() if marker else finished

    def _unpack(self, payload: bytes) -> None:
        kind = payload[0] & 0x1F
        if kind == FU_A:
            self._add_fragment(payload)
        elif self._middle >= 0:
            raise ParseError(DropReason.H264_MALFORMED, "a fragmented NAL unit without its end")
        elif kind == STAP_A:
            self._add_aggregate(payload)
        else:
            self._add(payload)

    def _add_fragment(self, payload: bytes) -> None:
        """RFC 6184, 5.8: FU indicator, FU header (S, E, R, type), a piece of the NAL unit.

        The piece "MAY have any number of octets and MAY be empty": some senders put E in a fragment of its
        own. S and E must not be set in one, but others do so with a NAL unit that just fits; it can only mean
        one thing.
        """
        if len(payload) < 2:
            raise ParseError(DropReason.H264_MALFORMED, "a fragment without its FU header")
        head = payload[1]
        kind = head & 0x1F
        if head & FU_START:
            if self._middle >= 0:
                raise ParseError(DropReason.H264_MALFORMED, "a fragmented NAL unit without its end")
            self._middle = kind
            self._fragments = [bytes((payload[0] & 0xE0 | kind,))]
            self._room = MAX_NAL_BYTES
        elif self._middle < 0:
            reason = DropReason.H264_INCOMPLETE if self._after_gap else DropReason.H264_MALFORMED
            raise ParseError(reason, "a fragmented NAL unit without its start")
        elif kind != self._middle:
            raise ParseError(DropReason.H264_MALFORMED, "fragments of different types")
        self._fragments.append(payload[2:])
        self._room -= max(len(payload), FRAGMENT_BYTES)
        if self._room < 0:
            raise ParseError(DropReason.H264_TOO_LARGE)
        if head & FU_END:
            self._middle = -1
            self._add(b"".join(self._fragments))

    def _add_aggregate(self, payload: bytes) -> None:
        """RFC 6184, 5.7.1: behind the first byte, NAL units each with its size in 2 bytes."""
        position = 1
        end = len(payload)
        room = len(self._nals) + MAX_AGGREGATED
        while position < end:
            if len(self._nals) > room:
                raise ParseError(DropReason.H264_TOO_LARGE, "too many aggregated NAL units")
            start = position + 2
            position = start + int.from_bytes(payload[position:start], "big")
            if start >= position or position > end:
                raise ParseError(DropReason.H264_MALFORMED, "an aggregated NAL unit is empty or cut")
            self._add(payload[start:position])

    def _add(self, nal: bytes) -> None:
        kind = nal[0] & 0x1F
        if kind == NalType.AUD or kind == NalType.FILLER:
            return
        if kind == 0 or kind >= FIRST_PACKET_TYPE:
            raise ParseError(DropReason.H264_UNSUPPORTED, f"NAL unit type {kind}")
        # ITU-T H.264, 7.4.1: "forbidden_zero_bit shall be equal to 0"; RFC 6184, 1.3: 1 tells of bit errors.
        if nal[0] & 0x80:
            raise ParseError(DropReason.H264_MALFORMED, "forbidden_zero_bit is set")
        self._size += len(nal)
        if self._size > MAX_UNIT_BYTES or len(self._nals) == MAX_UNIT_NALS:
            raise ParseError(DropReason.H264_TOO_LARGE)
        if kind <= LAST_VCL_TYPE:
            if not self._has_slice:
                # A slice header opens with first_mb_in_slice, ue(v) (7.3.3): a bit of 1 is macroblock 0.
                self._from_start = nal[1:2] >= b"\x80"
            self._has_slice = True
            self._has_idr = self._has_idr or kind == NalType.IDR
        elif kind == NalType.SPS:
            self._has_sps = True
        self._nals.append(nal)

    def _discard(self, reason: DropReason) -> None:
        """Gives up the unit of this timestamp and waits for an IDR."""
        self.drops[reason] += 1
        self._await_idr()
        self._damaged = True
        self._after_gap = False
        self._clear()

    def _await_idr(self) -> None:
        if not self.awaiting_idr:
            self.awaiting_idr = True
            self._waited = 0

    def _pass_time(self, timestamp: int) -> None:
        """Count the waiting. What is not a step of live pictures is a clock that was set."""
        step = timestamp - self._latest & 0xFFFFFFFF
        if self._waited is None:
            self._latest = timestamp
        elif step < 0xFFFFFFFF - MAX_STEP:  # No B-frame.
            self._latest = timestamp
            if step <= MAX_STEP:
                self._waited += step

    def _finish(self) -> tuple[AccessUnit, ...]:
        """Ends the running unit: emits it, or keeps its parameter sets for the next."""
        if self._middle >= 0:
            self._discard(DropReason.H264_MALFORMED)
        if not self._has_slice:
            if self._nals:
                self._carry()
            return NOTHING
        if self._has_sps and not self._has_idr:
            self._sets_tell = False
        if self.awaiting_idr and not self._is_fresh_start():
            self.drops[DropReason.H264_AWAITING_IDR] += 1
            self._after_gap = False
            self._carry()
            return NOTHING
        self.awaiting_idr = False
        self._after_gap = False
        return (self._take(),)

    def _is_of_keyframe(self, payload: bytes) -> bool:
        """Whether this payload tells that its access unit is an IDR one."""
        kind = _kind_of(payload)
        return kind == NalType.IDR or (self._sets_tell and kind in (NalType.SPS, NalType.PPS))

    def _is_fresh_start(self) -> bool:
        """Whether decoding can begin with the running unit: an IDR or recovery point, of which none was lost.

        Right behind a gap, its first packets may be missing. It counts as whole when its first slice is the
        picture's first, and it has the parameter sets if this sender is known to repeat them: an IDR picture
        decoded with the sets of an older resolution is garbage until the next one.
        """
        if not self._has_idr:
            return self._is_recovery()
        if not self._after_gap:
            return True
        if not self._from_start or not self._sends_parameter_sets:
            return self._from_start
        kinds = {nal[0] & 0x1F for nal in self._with_carried()}
        return NalType.SPS in kinds and NalType.PPS in kinds

    def _is_recovery(self) -> bool:
        """Whether the running unit, which is no IDR, must do: none came for long, and decoding heals here."""
        if self._waited is None or self._waited < RECOVERY_PATIENCE or not self._from_start:
            return False
        return any(map(has_recovery_point, self._nals))

    def _take(self) -> AccessUnit:
        nals = self._with_carried()
        self._carried = {}
        if self._has_idr:
            self._waited = 0
            self._sends_parameter_sets = any(nal[0] & 0x1F == NalType.SPS for nal in nals)
        unit = AccessUnit(self._timestamp, nals, self._has_idr)
        self._clear()
        return unit

    def _with_carried(self) -> list[bytes]:
        """The running unit behind the parameter sets that were carried for it.

        An SPS begins a new set of them, so that what came before it belongs to another one.
        """
        if not self._carried or self._has_sps:
            return self._nals
        own = set(filter(_is_parameter_set, self._nals))
        return [*(nal for nal in self._carried if nal not in own), *self._nals]

    def _carry(self) -> None:
        """Keeps the parameter sets of a unit that is not emitted."""
        if self._has_sps:
            self._carried = {}
        for nal in filter(_is_parameter_set, self._nals):
            self._carried.pop(nal, None)  # Repeated, it belongs behind what has come since.
            self._carried[nal] = None
        self._clear()
        if sum(map(len, self._carried)) > MAX_CARRIED_BYTES or len(self._carried) > MAX_UNIT_SETS:
            self.drops[DropReason.H264_TOO_LARGE] += 1
            self._carried = {}


def _is_parameter_set(nal: bytes) -> bool:
    return nal[0] & 0x1F in PARAMETER_SETS


def starts_stream(payload: bytes) -> bool:
    """Whether a stream is likely to begin with this payload: an SPS is in it, alone or first of several."""
    return _kind_of(payload) == NalType.SPS


def continues_keyframe(payload: bytes, *, has_sets: bool) -> bool:
    """Whether this payload is of an IDR access unit but not its beginning.

    `has_sets`: the parameter sets are known from elsewhere, so that it may begin with its first slice.
    """
    kind = _kind_of(payload)
    if kind == NalType.IDR:
        is_middle = payload[0] & 0x1F == FU_A and not payload[1] & FU_START
        return is_middle or not has_sets
    return kind == NalType.PPS


def _kind_of(payload: bytes) -> int:
    """The type of the NAL unit in a payload, the first one in an aggregate (5.7.1, 5.8); 0 if it is cut."""
    kind = payload[0] & 0x1F if payload else 0
    if kind not in (STAP_A, FU_A):
        return kind
    position = 1 if kind == FU_A else 3
    return payload[position] & 0x1F if len(payload) > position else 0
