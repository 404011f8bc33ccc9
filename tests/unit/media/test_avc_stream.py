import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers import h264

from whipway.media.avc_stream import AvcConfiguration, read_avc_configuration, read_avc_nals
from whipway.media.nal import to_avcc
from whipway.media.parameter_sets import ParameterSets


def record(
    *, version: int = 1, lengths: int = 3, sps: bytes = b"\xe1\x00\x02gs", pps: bytes = b"\x01\x00\x01h"
) -> bytes:
    return bytes((version, 0x42, 0xC0, 0x1F, 0xFC | lengths)) + sps + pps


def test_what_this_server_writes_is_read_back() -> None:
    sps, pps = (next(nal for nal in h264.encode(64, 64, 1)[0] if nal[0] & 0x1F == kind) for kind in (7, 8))
    configuration = ParameterSets([sps, pps]).configuration()
    assert configuration is not None
    assert read_avc_configuration(configuration) == AvcConfiguration(4, (sps,), (pps,))


def test_several_sets_and_what_follows_them() -> None:
    several = record(sps=b"\xe2\x00\x01a\x00\x02bb", pps=b"\x02\x00\x00\x00\x01d") + b"\xfd\xf8\xf8\x00"
    assert read_avc_configuration(several) == AvcConfiguration(4, (b"a", b"bb"), (b"", b"d"))


@pytest.mark.parametrize(("lengths", "size"), [(0, 1), (1, 2), (3, 4)])
def test_lengths_may_have_one_two_or_four_bytes(lengths: int, size: int) -> None:
    configuration = read_avc_configuration(record(lengths=lengths))
    assert configuration is not None and configuration.length_size == size


@pytest.mark.parametrize(
    "malformed",
    [
        b"",
        record()[:5],
        record(version=0),
        record(lengths=2),
        record()[:6],
        record()[:8],
        record(sps=b"\xe1\x00\x09gs"),
        record(pps=b""),
        record(pps=b"\x01"),
        record(pps=b"\x01\x00"),
        record(pps=b"\x01\x00\x02h"),
    ],
)
def test_what_is_no_configuration(malformed: bytes) -> None:
    assert read_avc_configuration(malformed) is None


def test_nal_units_behind_their_lengths() -> None:
    nals = [b"\x65abc", b"", b"\x06"]
    assert read_avc_nals(to_avcc(nals), 4) == nals
    assert read_avc_nals(b"\x01a\x02bc", 1) == [b"a", b"bc"]
    assert read_avc_nals(b"", 4) == []


@pytest.mark.parametrize("cut", [b"\x00\x00\x00\x02a", b"\x00\x00\x00", b"\x00\x00\x00\x01a\x00"])
def test_nal_units_that_are_cut_off(cut: bytes) -> None:
    assert read_avc_nals(cut, 4) is None


@given(st.binary(max_size=64), st.sampled_from([1, 2, 4]))
def test_anything_is_read_or_refused(data: bytes, length_size: int) -> None:
    configuration = read_avc_configuration(data)
    assert configuration is None or sum(map(len, configuration.sps + configuration.pps)) <= len(data)
    nals = read_avc_nals(data, length_size)
    assert nals is None or sum(len(nal) + length_size for nal in nals) == len(data)
