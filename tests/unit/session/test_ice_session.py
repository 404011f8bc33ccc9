"""Fragments in, tags and fragments out; what the agent makes of them is told by the tests of `ice`."""

from itertools import count
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.network.virtual import make_network
from tests.peers.whip_client import WhipClient

from whipway.failures import DropReason, ParseError
from whipway.protocol.ice import IceAgent
from whipway.protocol.sdp.answer import negotiate
from whipway.protocol.sdp.candidates import HostCandidate
from whipway.protocol.sdp.description import parse_description
from whipway.protocol.sdp.fragment import parse_fragment
from whipway.session.ice_session import IceSession, IceUpdate, StaleTag

HOSTS = [HostCandidate("203.0.113.1", 5000), HostCandidate("203.0.113.1", 5000, "tcp")]
UDP = "1 1 udp 1 192.0.2.7 40000 typ host"
TCP = "2 1 tcp 1 192.0.2.7 9 typ host tcptype active"
MDNS = "3 1 udp 1 3e2e7e34-5a2c-4d4b-9f36-6d8e3c1b8f10.local 40000 typ host"
USELESS = "4 1 tcp 1 192.0.2.7 40000 typ host tcptype passive"
CLIENT = WhipClient()


def make_session(hosts: list[HostCandidate] = HOSTS, client: WhipClient = CLIENT) -> IceSession:
    negotiation = negotiate(parse_description(client.offer))
    agent = IceAgent(ufrag="local", pwd="a password of 24 letters", remote_ufrag=negotiation.remote_ufrag)
    return IceSession(agent, negotiation, hosts, Random(1).randbytes)


PWD = "a+password+of+24+letters"


def credentials(ufrag: str | None = "new+ufrag", pwd: str | None = PWD) -> str:
    lines = [f"a=ice-ufrag:{ufrag}\r\n"] if ufrag else []
    return "".join(lines + ([f"a=ice-pwd:{pwd}\r\n"] if pwd else []))


def refused(session: IceSession, fragment: str, *tags: str) -> str:
    """The detail of the refusal, which changes nothing."""
    before = (
        session.etag,
        session.ufrags,
        session.generation,
        session.candidates,
        session.candidates_discarded,
    )
    with pytest.raises(ParseError) as caught:
        session.update(fragment, tags or ["*"])
    assert caught.value.reason is DropReason.SDP_MALFORMED
    assert before == (
        session.etag,
        session.ufrags,
        session.generation,
        session.candidates,
        session.candidates_discarded,
    )
    return caught.value.detail


END = "a=end-of-candidates\r\n"


class TestTrickle:
    def test_candidates_are_counted(self):
        session = make_session()
        assert session.update(CLIENT.trickle(UDP, TCP, MDNS, USELESS), [session.etag]) == IceUpdate("", "")
        assert session.update(CLIENT.trickle(UDP), ["other", session.etag]) == IceUpdate()
        assert (session.candidates, session.candidates_discarded, session.generation) == (3, 2, 0)
        assert session.ufrags == ("local",)

    def test_without_a_tcp_port_tcp_is_of_no_use(self):
        session = make_session(HOSTS[:1])
        session.update(CLIENT.trickle(UDP, TCP), ["*"])
        assert (session.candidates, session.candidates_discarded) == (1, 1)

    def test_media_that_nobody_knows(self):
        session = make_session()
        session.update(CLIENT.trickle(UDP).replace("mid:audio", "mid:other"), ["*"])
        assert (session.candidates, session.candidates_discarded) == (0, 1)

    def test_without_credentials_the_present_ones_are_meant(self):
        session = make_session()
        assert (
            session.update(f"m=audio 9 RTP/AVP 0\r\na=mid:audio\r\na=candidate:{UDP}\r\n", ["*"])
            == IceUpdate()
        )
        assert session.update(END, ["*"]) == IceUpdate()
        assert (session.candidates, session.generation) == (1, 0)


class TestRestart:
    def test_everything_is_new(self):
        session, client = make_session(), WhipClient()
        session.update(client.trickle(UDP, UDP, MDNS), ["*"])
        tag = session.etag
        update = session.update(client.restart(TCP, USELESS), ["*"])
        assert update.etag == session.etag != tag
        assert (session.candidates, session.candidates_discarded, session.generation) == (1, 1, 1)
        fragment = parse_fragment(update.fragment)
        assert session.ufrags == ("local", fragment.ice_ufrag)
        assert fragment.ice_pwd and fragment.ice_pwd != "a password of 24 letters"
        assert (fragment.ice_options, fragment.bundle) == (("trickle", "ice2"), ("audio", "video"))
        [media] = fragment.media
        assert (media.mid, media.end_of_candidates) == ("audio", True)
        assert [(each.address, each.port, each.transport) for each in media.candidates] == HOSTS
        assert "a=ice-lite\r\n" in update.fragment

    def test_the_next_fragment_is_compared_with_the_new_credentials(self):
        session, client = make_session(), WhipClient()
        session.update(client.restart(), ["*"])
        tag, ufrags = session.etag, session.ufrags
        client.ufrag, client.pwd = client.pending.ufrag, client.pending.pwd
        assert session.update(client.trickle(UDP), [tag]) == IceUpdate()
        assert (session.etag, session.ufrags, session.candidates) == (tag, ufrags, 1)
        # Not taken up by any check, it makes room for another one: there are never more than two.
        newer = session.update(client.restart(), [tag])
        assert newer.etag not in ("", tag)
        assert session.ufrags == ("local", parse_fragment(newer.fragment).ice_ufrag)
        # Back to where the client began is a restart as well.
        assert session.update(CLIENT.trickle(), ["*"]).etag
        assert session.generation == 3

    def test_credentials_may_stand_at_session_level_and_in_the_media(self):
        session, both = make_session(), credentials()
        assert session.update(f"{both}m=audio 9 RTP/AVP 0\r\na=mid:audio\r\n{both}", ["*"]).etag
        assert session.update(f"m=audio 9 RTP/AVP 0\r\na=mid:audio\r\n{both}", ["*"]).etag == ""

    def test_an_offer_of_one_medium_without_a_name(self):
        client = WhipClient(("video",))
        client.sources["video"].mid = ""
        offer = client.offer.replace("a=mid:\r\n", "").replace("a=group:BUNDLE video\r\n", "")
        negotiation = negotiate(parse_description(offer))
        agent = IceAgent(ufrag="local", pwd="a password of 24 letters", remote_ufrag=negotiation.remote_ufrag)
        session = IceSession(agent, negotiation, HOSTS, Random(1).randbytes)
        update = session.update(credentials(), ["*"])
        assert update.etag
        assert "a=mid" not in update.fragment and "BUNDLE" not in update.fragment

    def test_thousands_in_a_row_leave_no_trace(self):
        session, client = make_session(), WhipClient()
        tags = {session.update(client.restart(UDP), ["*"]).etag for _ in range(2000)}
        assert len(tags) == 2000
        assert len(session.ufrags) == 2
        assert session.candidates == 1


class TestTheSameRestartAgain:
    """The answer to the first request was lost."""

    def test_it_gets_the_same_answer(self):
        session, client = make_session(), WhipClient()
        fragment = client.restart(UDP, MDNS)
        update = session.update(fragment, ["*"])
        ufrags = session.ufrags
        assert [session.update(fragment, tags) for tags in (["*"], ["other", "*"])] == [update, update]
        assert (session.etag, session.ufrags, session.generation) == (update.etag, ufrags, 1)
        assert (session.candidates, session.candidates_discarded) == (1, 1)

    def test_who_knows_the_tag_has_the_answer(self):
        session, client = make_session(), WhipClient()
        fragment, tag = client.restart(UDP), session.etag
        update = session.update(fragment, [tag])
        assert session.update(fragment, [update.etag]) == IceUpdate()
        assert session.candidates == 2
        with pytest.raises(StaleTag):
            session.update(fragment, [tag])

    def test_other_candidates_are_trickled(self):
        session, client = make_session(), WhipClient()
        session.update(client.restart(UDP), ["*"])
        client.ufrag, client.pwd = client.pending.ufrag, client.pending.pwd
        assert session.update(client.trickle(TCP), ["*"]) == IceUpdate()
        assert session.candidates == 2

    def test_an_earlier_one_is_another_restart(self):
        session, client = make_session(), WhipClient()
        first, second = client.restart(), client.restart()
        updates = [session.update(fragment, ["*"]) for fragment in (first, second, first)]
        assert len({update.etag for update in updates}) == session.generation == 3

    def test_once_it_was_taken_up_there_is_nothing_to_repeat(self):
        network = make_network(WhipClient())
        client, ice = network.client, network.session.ice
        fragment = client.restart(UDP)
        client.take_restart(ice.update(fragment, ["*"]).fragment, 0.0)
        network.run(0.5)
        assert len(ice.ufrags) == 1
        assert ice.update(fragment, ["*"]) == IceUpdate()
        assert (ice.generation, ice.candidates) == (1, 2)


class TestRefusals:
    def test_malformed_before_stale(self):
        session = make_session()
        assert "line 1" in refused(session, "nonsense", "stale")
        assert "one of them is missing" in refused(session, credentials(pwd=None), "stale")
        assert "one of them is missing" in refused(session, credentials(ufrag=None), "stale")

    @pytest.mark.parametrize("tags", [[], ["other"], ["", "**"]])
    def test_stale_before_what_it_is_about(self, tags):
        session, client = make_session(), WhipClient()
        for fragment in (client.trickle(UDP), client.restart(UDP), credentials(client.ufrag), END):
            with pytest.raises(StaleTag) as caught:
                session.update(fragment, tags)
            assert str(caught.value)
        assert (session.generation, session.candidates, session.ufrags) == (0, 0, ("local",))

    def test_the_tag_of_before_the_restart_is_stale_at_once(self):
        session, client = make_session(), WhipClient()
        tag = session.etag
        session.update(client.restart(), [tag])
        with pytest.raises(StaleTag):
            session.update(client.trickle(UDP), [tag])

    def test_half_a_restart(self):
        session = make_session()
        assert "restart ICE" in refused(session, credentials(ufrag=CLIENT.ufrag))
        assert "restart ICE" in refused(session, credentials(pwd=CLIENT.pwd))


def test_every_session_has_a_tag_of_its_own():
    numbers = count()
    negotiation = negotiate(parse_description(CLIENT.offer))
    agent = IceAgent(ufrag="local", pwd="a password of 24 letters", remote_ufrag="peer")
    tags = {
        IceSession(agent, negotiation, HOSTS, lambda size: next(numbers).to_bytes(size, "big")).etag
        for _ in "ab"
    }
    assert len(tags) == 2
    assert all(tag.isalnum() and len(tag) == 24 for tag in tags)


LINES = [*CLIENT.trickle(UDP, MDNS).splitlines(), *credentials().splitlines(), "a=ice-ufrag:more", "m=x", ""]


@given(st.lists(st.sampled_from(LINES)).map("\n".join) | st.text(max_size=200), st.lists(st.text(max_size=2)))
def test_any_fragment_is_taken_or_refused(fragment, tags):
    session = make_session()
    etag = session.etag
    try:
        update = session.update(fragment, [*tags, etag])
    except ParseError as error:
        assert error.reason is DropReason.SDP_MALFORMED
        assert error.detail.isprintable() and session.etag == etag
    else:
        assert (
            bool(update.etag) == bool(update.fragment) == (session.etag != etag) == (session.generation == 1)
        )
