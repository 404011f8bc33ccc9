"""Any NAL units are parameter sets or raise ParseError; a picture size is positive, and the configuration
made of the sets can be taken apart into sets that were given, its header telling the first SPS's profile and
level."""

from contextlib import suppress

from tests.peers.whip_client import PPS, SPS

from fuzz.script import Script, block
from whipway.failures import DropReason, ParseError
from whipway.media.parameter_sets import PROFILES_WITHOUT_TAIL, ParameterSets, parse_sps

REASONS = (DropReason.H264_MALFORMED, DropReason.H264_TOO_LARGE)
HIGH_SPS = bytes.fromhex("67640028acd940780227e5c05a808080a0000003002000000781e30632c0")
"""1920x1080 at 30 frames a second, with a VUI that ends in the bitstream restriction."""
SCALING_SPS = bytes.fromhex("6764000aacb6213420000003002000000781e244dc")
"""64x64, with scaling lists."""


def target(data: bytes) -> bool:
    """A list of access units' sets: each a count and as many blocks."""
    script, sets = Script(data), ParameterSets()
    given: set[bytes] = set()
    while script:
        nals = [script.block() for _ in range(script.choose(8))]
        given.update(nals)
        before = sets.configuration()
        try:
            changed = sets.update(nals)
        except ParseError as error:
            assert error.reason in REASONS
            assert sets.configuration() == before
            changed = False
        assert changed is (sets.configuration() not in (before, None))
        _check_sps(nals)
        _check_configuration(sets, given)
    return sets.configuration() is not None


def _check_sps(nals: list[bytes]) -> None:
    for nal in nals:
        with suppress(ParseError):
            sps = parse_sps(nal)
            assert sps.width > 0 and sps.height > 0
            assert sps.frame_rate is None or 0 < sps.frame_rate <= 1000
            assert sps.max_num_reorder_frames is None or 0 <= sps.max_num_reorder_frames <= 16


def _check_configuration(sets: ParameterSets, given: set[bytes]) -> None:
    """ISO/IEC 14496-15, 5.3.3.1.2."""
    configuration = sets.configuration()
    if configuration is None:
        return
    sps = sets.sps
    assert sps is not None
    script = Script(configuration)
    assert script.take(5) == bytes((1, sps.profile_idc, sps.constraint_flags, sps.level_idc, 0xFF))
    sps_nals = [script.block() for _ in range(script.number() & 0x1F)]
    pps_nals = [script.block() for _ in range(script.number())]
    assert sps_nals and pps_nals and given.issuperset(sps_nals + pps_nals)
    assert len(script.rest()) == (0 if sps.profile_idc in PROFILES_WITHOUT_TAIL else 4)


def seeds() -> list[bytes]:
    base = b"\x02" + block(SPS) + block(PPS)
    other = b"\x02" + block(SPS) + block(b"\x68\xce\x3c\x80")
    high = b"\x02" + block(HIGH_SPS) + block(b"\x68\xeb\xe3\xcb\x22\xc0")
    scaled = b"\x02" + block(SCALING_SPS) + block(b"\x68\xea\xc3\xcb\x30\x02\xc0")
    split = b"\x01" + block(SPS) + b"\x01" + block(PPS)
    return [base, base + other, high, scaled, split, high + base]
