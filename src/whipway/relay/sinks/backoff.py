"""When to connect again after an attempt has failed, and when to leave it.

Every failure has a policy: a ladder of delays that double, or none at all where trying again cannot help.
Each ladder is climbed by itself: a name that is still taken after the network broke is asked for again soon.
Half of a delay is left to chance, or all the streams of a server that restarts would come back in one moment.
The ladders are left only after a while of success, so that a server that accepts and drops at once is not
hammered.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

MAX_CHALLENGES: Final = 3
"""In a row: one more than the schemes in use need, see `protocol.rtmp.authentication`."""


class Policy(NamedTuple):
    """How to go on after one kind of failure."""

    first: float
    """Seconds, the least that is waited at first."""
    longest: float
    """Seconds, the most that is ever waited."""


_NETWORK: Final = Policy(0.5, 15.0)
_TAKEN: Final = Policy(1.0, 5.0)
"""The name may be taken by our own last connection, which the server is about to notice as gone."""
_REFUSAL: Final = Policy(2.0, 15.0)
"""Somebody has to do something first: but nobody has to tell us when it is done."""

POLICIES: Final[dict[str, Policy | None]] = {
    "unreachable": _NETWORK,
    "connection_lost": _NETWORK,
    "timeout": _NETWORK,
    "stalled": _NETWORK,
    "too_slow": _NETWORK,
    "protocol": _NETWORK,
    "closed_by_peer": _NETWORK,
    "bad_name": _TAKEN,
    "refused": _REFUSAL,
    "closed_early": _REFUSAL,
    "tls": _REFUSAL,
    "unauthorized": None,
    "egress_refused": None,
}
"""By reason; None: it is not tried again. A reason that is not listed counts as the network's."""


class Backoff:
    """The tries of one sink. `random()` is in [0, 1); `give_up_after` in seconds, 0: never."""

    def __init__(self, random: Callable[[], float], give_up_after: float, now: float) -> None:
        self.tries = 1
        """Since all was well; the one that is going on is counted."""
        self._random = random
        self._give_up_after = give_up_after
        self._give_up_at = now + give_up_after
        self._rungs: Counter[Policy] = Counter()
        self._challenges = 0

    def next_try(self, reason: str, now: float) -> float | None:
        """When the sink is to act again after a failure; None: never.

        It connects then, unless it `gives_up` meanwhile.
        """
        self._challenges = 0
        policy = POLICIES.get(reason, _NETWORK)
        if policy is None or self.gives_up(now):
            return None
        at = now + self._delay(policy)
        return min(at, self._give_up_at) if self._give_up_after else at

    def gives_up(self, now: float) -> bool:
        """Whether there was no success for too long."""
        return bool(self._give_up_after) and now >= self._give_up_at

    def challenged(self) -> bool:
        """The server wants to know who it is. Whether to connect again at once, which is no new try."""
        self._challenges += 1
        return self._challenges <= MAX_CHALLENGES

    def published(self, now: float) -> None:
        """The server had media until now: the time after which to give up starts anew."""
        self._give_up_at = now + self._give_up_after

    def reset(self) -> None:
        """All is well, and has been for a while."""
        self.tries = 1
        self._rungs.clear()

    def _delay(self, policy: Policy) -> float:
        # The rungs stop where the longest delay is reached, or 2 ** n would outgrow every float in the end.
        longest: float = policy.first * 2 ** (self._rungs[policy] + 1)
        if longest < policy.longest:
            self._rungs[policy] += 1
        longest = min(longest, policy.longest)
        return longest / 2 * (1 + self._random())
