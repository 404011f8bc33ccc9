"""A media worker in a process of its own: `python -m whipway.worker.process DESCRIPTOR`.

The descriptor is one socket of a pair, whose other one the gateway has. The first frame is the `WorkerSetup`;
every further one is a request. When the gateway closes its end, or is gone, the worker ends its sessions and
the process ends. So signals are the gateway's business: a Ctrl-C, or a service manager that stops all
processes of a service, must not end a worker before the sessions were told.
"""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator

import structlog
import uvloop

from whipway.logs import configure_logging
from whipway.worker.channel import EVENT, Channel, Frame
from whipway.worker.messages import WorkerEvent, decode_message, encode_message
from whipway.worker.setup import parse_setup
from whipway.worker.vitals import settle
from whipway.worker.worker import Worker

FAREWELL_TIME = 0.1
"""Seconds for the last words to RTMP servers to be handed to the kernel, which sends them."""

log = structlog.get_logger("worker")


async def run(control: socket.socket) -> None:
    """Serve the gateway at the other end of `control` until it closes that."""
    channel = await Channel.open(control)
    frames = channel.frames()
    try:
        first = await anext(frames, None)
        if first is not None:
            await _serve(channel, frames, first.body)
    finally:
        channel.close()


async def _serve(channel: Channel, frames: AsyncIterator[Frame], setup_data: bytes) -> None:
    setup = parse_setup(setup_data)
    configure_logging(setup.log_level, setup.log_format, worker=setup.number)

    def post(event: WorkerEvent) -> None:
        channel.send(EVENT, encode_message(event))

    worker = setup.make_worker(post)
    await worker.start()
    settle()
    async for frame in frames:
        channel.send(frame.number, _reply(worker, frame))
    worker.close()
    await asyncio.sleep(FAREWELL_TIME)


def _reply(worker: Worker, frame: Frame) -> bytes:
    try:
        return encode_message(worker.handle(decode_message(frame.body)))  # type: ignore[arg-type]
    except Exception:
        # A bug: one traceback, the request fails, the sessions of this worker never notice.
        log.exception("request failed")
        return b""


def main() -> None:
    """Entry point of the process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    uvloop.run(run(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
