"""A worker in a process of its own: started, watched, and started anew should it die.

Its sockets are bound in this process and inherited by each process that takes the place of the one before, so
that a port is never lost, and what comes in between waits in the kernel.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence

import structlog

from whipway.pool.failures import RequestFailed, WorkerGone, WorkerSilent
from whipway.pool.links import ProcessLink
from whipway.pool.members import Member
from whipway.worker.channel import EVENT, Channel
from whipway.worker.messages import DescribeWorker, Reply, Request, StopWorker
from whipway.worker.setup import WorkerSetup

START_TIMEOUT = 30.0
"""Seconds for a process to read its modules and answer: a busy machine takes its time."""
HANG_TIMEOUT = 30.0
"""Seconds without a word, after which a process is ended: its sessions are lost already."""
EXIT_TIMEOUT = 3.0
"""Seconds for a process to end its sessions, and as many to end by itself."""
LONG_LIFE = 10.0
"""Seconds. Who lived so long is replaced at once, whoever dies younger after a pause."""
PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before the next try; the last one goes on."""

log = structlog.get_logger("pool")


class ProcessMember(Member):
    """Keeps one worker running from `start` to `stop`. `sockets` are those that the setup names; they are
    closed at the end.
    """

    def __init__(self, setup: WorkerSetup, sockets: Sequence[socket.socket]) -> None:
        super().__init__(setup.number, sockets[0].getsockname()[1])
        self._setup = setup
        self._sockets = sockets
        self._process: asyncio.subprocess.Process | None = None
        self._link: ProcessLink | None = None
        self._reading: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._began_at = 0.0
        self._early_deaths = 0
        self._is_stopping = False

    @property
    def process_id(self) -> int:
        return self._process.pid if self._process is not None and self._link is not None else 0

    @property
    def is_ready(self) -> bool:
        return self._link is not None and not self._link.is_over

    async def start(self) -> None:
        await self._spawn()
        self._keeping = asyncio.create_task(self._keep(), name=f"worker {self.number}")

    async def request(self, message: Request) -> Reply:
        if self._link is None:
            raise WorkerGone
        return await self._link.request(message)

    async def stop(self) -> None:
        self._is_stopping = True
        if self._link is not None and not self.is_quiet:
            with contextlib.suppress(WorkerGone, WorkerSilent, RequestFailed):
                await self._link.request(StopWorker(), EXIT_TIMEOUT)
        if self._link is not None:
            self._link.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EXIT_TIMEOUT):
                    await self._ended()
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        await self._kill()
        for sock in self._sockets:
            sock.close()

    async def _spawn(self) -> None:
        """Start a process and wait until it answers. Raises WorkerGone, and there is none then."""
        self._began_at = self._loop.time()
        try:
            channel = await self._execute()
            link = ProcessLink(channel, self._take)
            self._reading = asyncio.create_task(link.run(), name=f"messages of worker {self.number}")
            channel.send(EVENT, self._setup.serialize())
            await link.request(DescribeWorker(), START_TIMEOUT)
        except (OSError, WorkerSilent, RequestFailed) as error:
            await self._kill()
            raise WorkerGone from error
        except BaseException:
            await self._kill()
            raise
        self._heard_at = self._loop.time()
        self._link = link

    async def _execute(self) -> Channel:
        """Start the process; the channel to it. Raises OSError."""
        setup = self._setup
        # What this process finds its modules by, and not the folder that it happens to be started in.
        paths = os.pathsep.join(path for path in sys.path if path)
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as undo:
            undo.enter_context(ours)
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "whipway.worker.process", str(theirs.fileno())),
                    env=os.environ | {"PYTHONPATH": paths},
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[fd for fd in (theirs.fileno(), setup.udp, setup.tcp) if fd >= 0],
                    # A Ctrl-C is for this process, which tells the workers.
                    start_new_session=True,
                )
            channel = await Channel.open(ours)
            undo.pop_all()
        return channel

    async def _keep(self) -> None:
        while True:
            how = await self._lost()
            if self._is_stopping:
                return
            self.load.note(0.0, 0.0)
            self.take_loss(self, how)
            log.error("worker lost", worker=self.number, how=how)
            await self._replace()

    async def _lost(self) -> str:
        """Wait until the process is no more, or is of no more use. How that came."""
        ended = asyncio.create_task(self._ended())
        try:
            while not ended.done():
                looked_at = self._loop.time()
                await asyncio.wait({ended}, timeout=HANG_TIMEOUT / 10)
                if self._loop.time() - looked_at > HANG_TIMEOUT / 2:
                    self._heard_at = self._loop.time()  # This process stood still itself.
                if not ended.done() and self.quiet_for > HANG_TIMEOUT:
                    await self._kill()
                    return f"its process did not answer for {HANG_TIMEOUT:g} s"
            return _explain(ended.result())
        finally:
            ended.cancel()
            self._link = None

    async def _ended(self) -> int:
        """Wait for the end of the process, and for the last of what it said."""
        assert self._process is not None and self._reading is not None
        process, reading = self._process, self._reading
        await asyncio.wait({reading})
        if (error := reading.exception()) is not None:  # A bug, in here or over there.
            log.error("messages of a worker failed", worker=self.number, exc_info=error)
        # It has closed its end, or said what nobody understands; either way it is of no more use.
        self._link = None
        try:
            async with asyncio.timeout(EXIT_TIMEOUT):
                return await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            return await process.wait()

    async def _replace(self) -> None:
        lived = self._loop.time() - self._began_at
        self._early_deaths = 0 if lived >= LONG_LIFE else self._early_deaths + 1
        while True:
            await asyncio.sleep(PAUSES[min(self._early_deaths, len(PAUSES) - 1)])
            try:
                await self._spawn()
            except Exception:  # WorkerGone, or a bug: there is to be a worker all the same.
                self._early_deaths += 1
                log.error("worker does not start", worker=self.number)
                continue
            self.restarts += 1
            log.info("worker replaced", worker=self.number)
            return

    async def _kill(self) -> None:
        """Have no process. Idempotent."""
        process, self._process, self._link = self._process, None, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._reading is not None:
            await asyncio.wait({self._reading})


def _explain(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    # Signals for programs' own use have no names.
    names = {each.value: each.name for each in signal.Signals}
    return f"its process was ended by {names.get(-status, f'signal {-status}')}"
