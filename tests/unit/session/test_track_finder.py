"""To which track a packet belongs, by what it says of itself and what the offer said."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.session.cameras import VIDEO_PT, describe

from whipway.protocol.rtp.packet import ONE_BYTE_PROFILE, Packet
from whipway.protocol.rtp.round_trip import RoundTrip
from whipway.protocol.rtp.timeline import Timeline
from whipway.protocol.sdp.tracks import TrackDescription
from whipway.session.track import Track, make_track
from whipway.session.track_finder import TrackFinder

MID_ID, RID_ID, REPAIRED_ID = 3, 4, 5
RTX_PT = 103
IDS = {"mid_extension_id": MID_ID, "rid_extension_id": RID_ID, "repaired_rid_extension_id": REPAIRED_ID}


def video(mid: str | None, rid: str | None = None, **fields) -> TrackDescription:
    return describe(mid, rid, **{**IDS, "rtx": {RTX_PT: VIDEO_PT}, **fields})


class Session:
    """The tracks of some descriptions, and their finder."""

    def __init__(self, *descriptions: TrackDescription) -> None:
        timeline = Timeline()
        self.tracks = [make_track(each, timeline, RoundTrip()) for each in descriptions]
        self.finder = TrackFinder(self.tracks)

    def find(self, names: dict[int, str | bytes], ssrc: int = 9, payload_type: int = VIDEO_PT) -> int | None:
        """The index of the track that is found."""
        return self._index(self.finder.find(packet(names, ssrc, payload_type)))

    def find_repaired(self, names: dict[int, str | bytes], ssrc: int = 9, payload_type: int = RTX_PT):
        return self._index(self.finder.find_repaired(packet(names, ssrc, payload_type)))

    def follow(self, ssrcs: Sequence[int]) -> None:
        for track, ssrc in zip(self.tracks, ssrcs, strict=True):
            track.begin(ssrc, 0.0)

    def _index(self, track: Track | None) -> int | None:
        return None if track is None else self.tracks.index(track)


def packet(names: dict[int, str | bytes], ssrc: int, payload_type: int) -> Packet:
    block = b""
    for id, name in names.items():
        data = name.encode() if isinstance(name, str) else name
        block += bytes((id << 4 | len(data) - 1,)) + data
    return Packet(payload_type, False, 1, 0, ssrc, b"x", block, ONE_BYTE_PROFILE if block else 0)


def two_inputs() -> Session:
    return Session(video("1"), video("2"))


def one_layered() -> Session:
    """A screen, and a camera in two layers."""
    return Session(video("1"), video("2", "h"), video("2", "l"))


class TestMedia:
    def test_by_mid(self):
        session = two_inputs()
        assert session.find({MID_ID: "1"}) == 0
        assert session.find({MID_ID: "2"}) == 1

    def test_by_mid_and_rid(self):
        session = one_layered()
        assert session.find({MID_ID: "2", RID_ID: "h"}) == 1
        assert session.find({MID_ID: "2", RID_ID: "l"}) == 2
        assert session.find({RID_ID: "l", MID_ID: "2"}) == 2
        # An input without layers has no use for a RID.
        assert session.find({MID_ID: "1", RID_ID: "l"}) == 0

    @pytest.mark.parametrize(
        "names", [{}, {RID_ID: "x"}, {RID_ID: "H"}, {RID_ID: b"\xe9"}, {REPAIRED_ID: "h"}]
    )
    def test_a_layer_is_never_guessed(self, names):
        assert one_layered().find({MID_ID: "2", **names}) is None
        # Not even if there is but one.
        assert Session(video("2", "h")).find(names) is None

    def test_what_names_an_input_is_of_no_other(self):
        session = Session(video("1", payload_types=(96,)), video("2", "h"))
        assert session.find({}, payload_type=96) == 0
        assert session.find({MID_ID: "2"}, payload_type=96) is None
        assert session.find({MID_ID: "2"}) is None

    def test_by_rid_alone_where_only_one_input_has_it(self):
        assert one_layered().find({RID_ID: "l"}) == 2
        session = Session(video("1", "h"), video("2", "h"), video("2", "l"))
        assert session.find({RID_ID: "h"}) is None
        assert session.find({RID_ID: "l"}) == 2

    def test_the_name_wins_over_the_announcement(self):
        session = Session(video("1", ssrcs=(7,)), video("2", ssrcs=(8,)))
        assert session.find({MID_ID: "2"}, ssrc=7) == 1
        assert session.find({}, ssrc=7) == 0

    def test_by_announcement(self):
        session = Session(video("1", ssrcs=(5, 6, 7), repair_ssrcs={7: 5}), video("2", ssrcs=(8, 5)))
        assert [session.find({}, ssrc=ssrc) for ssrc in (5, 6, 7, 8)] == [0, 0, None, 1]

    def test_by_payload_type_if_it_is_of_one_track(self):
        session = Session(video("1"), video("2", payload_types=(96, 97)))
        assert session.find({}) == 0
        assert session.find({}, payload_type=97) == 1
        assert session.find({}, payload_type=98) is None
        assert two_inputs().find({}) is None

    @pytest.mark.parametrize("mid", ["3", "12", "\0", b"\xff\xfe", b"1" * 16, "audio"])
    def test_a_mid_that_is_none(self, mid):
        assert two_inputs().find({MID_ID: mid}) is None
        # Where there is nothing to choose, it does no harm.
        assert Session(video("1")).find({MID_ID: mid}) == 0

    def test_a_description_without_a_name(self):
        session = Session(video(None))
        assert session.find({}) == 0
        assert session.find({MID_ID: "1"}) == 0
        assert session.find_repaired({}) == 0

    def test_without_extensions(self):
        session = Session(
            video("1", mid_extension_id=None), video("2", payload_types=(96,), mid_extension_id=None)
        )
        assert session.find({MID_ID: "2"}) == 0


class TestRetransmissions:
    def test_by_the_layer_they_repair(self):
        session = one_layered()
        assert session.find_repaired({MID_ID: "2", REPAIRED_ID: "h"}) == 1
        assert session.find_repaired({MID_ID: "2", REPAIRED_ID: "l"}) == 2
        assert session.find_repaired({REPAIRED_ID: "l"}) == 2

    @pytest.mark.parametrize("names", [{}, {RID_ID: "h"}, {REPAIRED_ID: "x"}, {REPAIRED_ID: b"\xff"}])
    def test_the_layer_is_never_guessed(self, names):
        assert one_layered().find_repaired({MID_ID: "2", **names}) is None
        assert Session(video("2", "h")).find_repaired(names) is None

    def test_the_name_of_the_layer_wins_over_the_group(self):
        groups = {"repair_ssrcs": {9: 7}}
        session = Session(video("2", "h", **groups), video("2", "l", **groups))
        session.follow((7, 8))
        assert session.find_repaired({MID_ID: "2", REPAIRED_ID: "l"}) == 1
        assert session.find_repaired({MID_ID: "2"}) == 0

    def test_by_group(self):
        session = Session(video("1", repair_ssrcs={9: 7}), video("2", repair_ssrcs={10: 8}))
        session.follow((7, 8))
        assert session.find_repaired({}) == 0
        assert session.find_repaired({}, ssrc=10) == 1
        assert session.find_repaired({MID_ID: "2"}) == 0
        # Of a source that is not followed.
        session.follow((5, 6))
        assert session.find_repaired({}) is None
        assert session.find_repaired({MID_ID: "1"}) is None

    def test_by_mid(self):
        assert two_inputs().find_repaired({MID_ID: "2"}) == 1

    def test_by_payload_type_if_it_is_of_one_track(self):
        session = Session(video("1"), video("2", rtx={105: VIDEO_PT}))
        assert session.find_repaired({}) == 0
        assert session.find_repaired({}, payload_type=105) == 1
        assert session.find_repaired({}, payload_type=106) is None
        assert session.find_repaired({MID_ID: "1"}, payload_type=105) is None
        assert two_inputs().find_repaired({}) is None


@given(st.binary(max_size=40), st.sampled_from((ONE_BYTE_PROFILE, 0x1000, 0)))
def test_any_extension(block, profile):
    session = one_layered()
    for payload_type in (VIDEO_PT, RTX_PT):
        parsed = Packet(payload_type, False, 1, 0, 9, b"x", block, profile)
        for found in (session.finder.find(parsed), session.finder.find_repaired(parsed)):
            # Nothing is found that was not named.
            assert (
                found is None
                or str(found.description.mid).encode() in block
                or b"h" in block
                or b"l" in block
            )
