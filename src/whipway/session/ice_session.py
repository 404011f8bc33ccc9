"""The ICE session as signalling sees it: an entity tag, a peer's credentials and candidates (RFC 9725, 4.3).

A PATCH brings a fragment. With the credentials that are known it trickles candidates. With others it restarts
ICE: this side makes new ones as well, and the ICE session has a new entity tag from that moment on, although
the agent serves the old credentials until the peer makes use of the new ones. Until then the same request
gets the same answer: the first one may have been lost.

This side sends no checks, so that candidates are only counted and nothing of them is kept. That is also how a
restart replaces all of them.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from whipway.protocol.ice import IceAgent, generate_credentials
from whipway.protocol.sdp.answer import Negotiation, build_fragment
from whipway.protocol.sdp.candidates import HostCandidate, is_usable
from whipway.protocol.sdp.description import Mid
from whipway.protocol.sdp.fragment import Fragment, parse_fragment
from whipway.protocol.sdp.grammar import Candidate, malformed

ICE_OPTIONS = ("trickle", "ice2")
"""Of the answer and of every fragment: RFC 8838, and RFC 8445 instead of its predecessor."""
ANY_TAG = "*"
_TAG_RANDOM_BYTES = 12


class StaleTag(Exception):
    """The request is meant for another ICE session than the present one."""


class IceUpdate(NamedTuple):
    """What a fragment led to: nothing to tell, or a restart with its entity tag and this side's fragment."""

    etag: str = ""
    fragment: str = ""


class IceSession:
    """The ICE session of one WHIP session, in all its generations."""

    def __init__(
        self,
        agent: IceAgent,
        negotiation: Negotiation,
        hosts: Sequence[HostCandidate],
        random: Callable[[int], bytes],
    ) -> None:
        self.etag = _make_tag(random)
        """Names the present generation; plain text without quotes."""
        self.generation = 0
        """How often ICE was restarted."""
        self.candidates = 0
        """The peer's in this generation that checks may come from."""
        self.candidates_discarded = 0
        """The other ones: names, transports and media that are of no use here."""
        self._agent = agent
        self._negotiation = negotiation
        self._hosts = hosts
        self._random = random
        self._transports = {host.transport for host in hosts}
        self._mids = {track.mid for track in negotiation.tracks}
        self._remote = (negotiation.remote_ufrag, negotiation.remote_pwd)
        self._last_restart = (b"", IceUpdate())
        """The digest of the fragment that asked for it, and the answer."""

    @property
    def ufrags(self) -> tuple[str, ...]:
        """See `IceAgent.ufrags`."""
        return self._agent.ufrags

    def update(self, text: str, if_match: Collection[str]) -> IceUpdate:
        """Take a fragment; `if_match` holds entity tags without their quotes, of which `*` matches any.

        Raises ParseError for a fragment that is none or says nothing clear, StaleTag where no tag matches.
        Nothing has changed then.
        """
        fragment = parse_fragment(text)
        told = (fragment.ice_ufrag, fragment.ice_pwd)
        if (told[0] is None) != (told[1] is None):
            raise malformed("ice-ufrag and ice-pwd belong together; one of them is missing")
        if ANY_TAG not in if_match and self.etag not in if_match:
            raise StaleTag("the ICE session has another entity tag by now: ICE was restarted")
        # RFC 9725, 4.3.3: credentials that differ from the current ones are an ICE restart.
        if told[0] is None or told[1] is None or told == self._remote:
            if ANY_TAG in if_match and self._is_pending(text):
                return self._last_restart[1]
            self._count(fragment)
            return IceUpdate()
        # RFC 8445, 9: an agent that restarts ICE MUST change both.
        if told[0] == self._remote[0] or told[1] == self._remote[1]:
            raise malformed("a new ice-ufrag and a new ice-pwd restart ICE; one of them is the old one")
        self._remote = told[0], told[1]
        update = self._restart(fragment)
        self._last_restart = _digest(text), update
        return update

    def count(self, mid: Mid | None, candidates: Iterable[Candidate]) -> None:
        """Take notice of candidates for one media description."""
        for candidate in candidates:
            if mid in self._mids and is_usable(candidate, self._transports):
                self.candidates += 1
            else:
                # RFC 9725, 4.3.2: silently discarded.
                self.candidates_discarded += 1

    def _is_pending(self, text: str) -> bool:
        """Tell whether this very fragment asked for the restart that the peer has not made use of yet."""
        return len(self._agent.ufrags) > 1 and _digest(text) == self._last_restart[0]

    def _count(self, fragment: Fragment) -> None:
        for media in fragment.media:
            self.count(media.mid, media.candidates)

    def _restart(self, fragment: Fragment) -> IceUpdate:
        ufrag, pwd = generate_credentials(self._random)
        self._agent.restart(ufrag=ufrag, pwd=pwd, remote_ufrag=self._remote[0])
        self.etag = _make_tag(self._random)
        self.generation += 1
        self.candidates = self.candidates_discarded = 0
        self._count(fragment)
        answer = build_fragment(
            self._negotiation, ufrag=ufrag, pwd=pwd, candidates=self._hosts, ice_options=ICE_OPTIONS
        )
        return IceUpdate(self.etag, answer)


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()


def _make_tag(random: Callable[[int], bytes]) -> str:
    return random(_TAG_RANDOM_BYTES).hex()
