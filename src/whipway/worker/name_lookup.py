"""Looks up host names that strangers wrote, in threads of its own.

A name whose server never answers keeps a thread for half a minute, and nothing can end it. The event loop's
own threads are few and serve everybody: the operator's callback, keys of tokens. So each lookup here has a
thread to itself, which nobody waits for when the program ends, and there is a limit to them: for all, for
those that only a POST asks for, for each session, and for each domain. A place is free again when its thread
has ended, not when somebody is tired of waiting for it.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence

import structlog

LOOKUP_TIMEOUT = 5.0
"""Seconds. A name that takes longer leaves too little of the time for connecting."""
MAX_LOOKUPS = 32
"""At a time. Each costs a thread that sleeps."""
MAX_CHECKS = 16
"""Of them for those who only want to know: asking takes nothing but a POST. The rest is for sinks, each of
which has a publisher connected to it."""
MAX_LOOKUPS_OF_DOMAIN = 4
"""So that nobody takes all places by one domain whose server does not answer. Half of them are for sinks."""
MAX_LOOKUPS_OF_SESSION = 4
"""So that no session with many sinks does so by many domains. Its other sinks wait for their turn."""
MAX_REMEMBERED = 32
"""Names of one session whose addresses are kept: those of its sinks, and of some that it had."""
DOMAIN_LABELS = 2
COUNTRY_CHARACTERS = 2
SHARED_CHARACTERS = 3

log = structlog.get_logger("worker")

LookUp = Callable[[str], Sequence[str]]
Outcome = Sequence[str] | OSError
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


def look_up(host: str) -> list[str]:
    """Ask the system's resolver, which may take long. Raises OSError."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except ValueError:  # UnicodeError is one: an empty label, or one that is too long.
        raise OSError("this is no name that DNS can know") from None
    return [str(address[0]) for *_, address in found]


class NameLookup:
    """Finds addresses of names; those who ask for one name at the same time share the answer.

    Belongs to one event loop.
    """

    def __init__(self, look_up: LookUp = look_up) -> None:
        self._look_up = look_up
        self._running: dict[str, asyncio.Future[Outcome]] = {}
        self._askers: dict[str, object] = {}
        """Of the names that are looked up: for whom, unless that makes no difference."""
        self._checks: set[str] = set()
        """Names that are looked up for a check."""
        self._waiting: set[asyncio.Future[None]] = set()

    async def find(self, host: str, port: int, asker: object = None) -> Sequence[str]:
        """The addresses of a name, after waiting for a place if need be. Raises OSError.

        Those who ask as one `asker` get few places together; None stands for nobody.
        """
        del port  # Decides nothing, but is what other resolvers are asked for.
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                while host not in self._running and not self._has_place(host, asker):
                    await self._some_end()
                return await self._share(host, asker)
        except TimeoutError:
            raise OSError(f"the name was not resolved in {LOOKUP_TIMEOUT:.0f} s") from None

    async def find_for_check(self, host: str, port: int) -> Sequence[str]:
        """The same for somebody who can do without. Raises OSError, at once when there is no place."""
        if host not in self._running:
            of_domain = MAX_LOOKUPS_OF_DOMAIN // 2
            if len(self._checks) >= MAX_CHECKS or not self._has_place(host, None, of_domain):
                raise OSError("too many names are being looked up")
            self._checks.add(host)
        return await self.find(host, port)

    def _has_place(self, host: str, asker: object, of_domain: int = MAX_LOOKUPS_OF_DOMAIN) -> bool:
        domain = _domain(host)
        others = sum(_domain(other) == domain for other in self._running)
        own = sum(other is asker for other in self._askers.values())
        return len(self._running) < MAX_LOOKUPS and others < of_domain and own < MAX_LOOKUPS_OF_SESSION

    async def _some_end(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    async def _share(self, host: str, asker: object) -> Sequence[str]:
        # Shielded: who gives up does so for itself.
        outcome = await asyncio.shield(self._running.get(host) or self._begin(host, asker))
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    def _begin(self, host: str, asker: object) -> asyncio.Future[Outcome]:
        loop = asyncio.get_running_loop()
        self._running[host] = future = loop.create_future()
        if asker is not None:
            self._askers[host] = asker
        # A daemon: one that hangs is not waited for at the end of the program.
        thread = threading.Thread(target=self._work, args=(host, loop), name="name lookup", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # The system has no more of them.
            self._end(host, OSError(str(error)))
        return future

    def _work(self, host: str, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread."""
        outcome: Outcome
        try:
            outcome = self._look_up(host)
        except OSError as error:
            outcome = error
        except Exception:
            # A bug: one traceback, and this name is not found.
            log.exception("name lookup failed")
            outcome = OSError("the lookup failed")
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody asks any more.
            loop.call_soon_threadsafe(self._end, host, outcome)

    def _end(self, host: str, outcome: Outcome) -> None:
        self._checks.discard(host)
        self._askers.pop(host, None)
        self._running.pop(host).set_result(outcome)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


class RememberedNames:
    """What one session was told of names. `find` has the last good answer where there is none this time:
    a sink that lost its connection is to find its server again, however DNS is just then.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, Sequence[str]] = {}

    async def find(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a name. Raises OSError if it never had any."""
        try:
            found = await self._resolve(host, port)
        except OSError:
            if host not in self._known:
                raise
            return self._known[host]
        self._known.pop(host, None)  # The latest stand last.
        if found:
            self._known[host] = found
        if len(self._known) > MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
        return found


def _domain(host: str) -> str:
    """What one owner has, more or less. Where many share it, they share its places too."""
    labels = host.split(".")
    # As in example.co.uk and example.com.br.
    is_shared = len(labels[-1]) == COUNTRY_CHARACTERS and len(labels[-2:][0]) <= SHARED_CHARACTERS
    return ".".join(labels[-(DOMAIN_LABELS + is_shared) :])
