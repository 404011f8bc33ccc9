"""How fast a peer may send messages.

What a message costs is counted by the players who get it, however small it is. So messages are limited, and
bytes are not: TCP does that. Messages that no player gets are counted by the time that it takes to read them.
Who is too fast is not cut off; it is read later, and TCP slows it down. The generic cell rate algorithm: one
number, the time at which the account is even again.
"""

MESSAGES_PER_SECOND = 1000
"""A picture at 60 a second and sound in pieces of 20 ms are 110; sound in pieces of 2.5 ms adds 400."""
BURST_MESSAGES = 2000
"""Taken at once: a group of pictures of some 15 s, which publishers send when they come back."""
MAX_PAUSE = 1.0
"""Seconds; longer debts are forgiven. Who is not read cannot be seen to leave, and seems to be silent."""
MESSAGES_PER_SECOND_OF_WORK = 10_000
"""So that one peer has the event loop read its messages for no more than a tenth of the time."""


class Pace:
    """The account of one peer."""

    def __init__(self) -> None:
        self._even_at = 0.0

    def take(self, messages: int, now: float) -> float:
        """Count messages that came; returns when the next ones should come, which may be past."""
        ahead = BURST_MESSAGES / MESSAGES_PER_SECOND
        even_at = max(self._even_at, now) + messages / MESSAGES_PER_SECOND
        self._even_at = min(even_at, now + ahead + MAX_PAUSE)
        return self._even_at - ahead
