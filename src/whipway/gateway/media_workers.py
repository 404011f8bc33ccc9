"""The media workers of a server: how many, and what each is told."""

import os
import secrets
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from whipway.config import Settings
from whipway.gateway.binding import MediaSockets, Sockets
from whipway.pool.members import LocalMember, Member
from whipway.pool.pool import WorkerPool
from whipway.pool.process_member import ProcessMember
from whipway.relay.quality import Policy
from whipway.session.session import Timeouts
from whipway.worker.addresses import announced_addresses
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import WorkerEvent
from whipway.worker.rules import SessionRules
from whipway.worker.setup import SinkSetup, WorkerSetup
from whipway.worker.sinks import SinkFactory
from whipway.worker.tls import TlsContexts
from whipway.worker.worker import Worker

PASS_BYTES = 24
"""Of the secret by which the origin knows the sinks of its own server."""
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of a container: so many microseconds in each period of so many."""


def count_workers(settings: Settings) -> int:
    """How many processes; 0: none, one worker runs in this one."""
    if isinstance(settings.workers, int):
        return settings.workers
    return max(1, min(len(os.sched_getaffinity(0)), _quota(CPU_QUOTA)))


class Media(NamedTuple):
    """What carries media, and what others share with it."""

    workers: WorkerPool
    egress: EgressPolicy
    sinks: SinkFactory
    """For what is sent from this process."""
    own_pass: str
    """By which the embedded origin knows the sinks of its own server."""


def make_media(settings: Settings, sockets: Sockets, tls: TlsContexts) -> Media:
    """The workers on their sockets, and the rules of sending. Nothing runs yet."""
    own = _own_addresses(sockets)
    egress = EgressPolicy(settings.egress.allow, own=own)
    sink = settings.sink
    setup = SinkSetup(
        settings.egress.allow,
        own,
        sink.insecure_tls,
        secrets.token_urlsafe(PASS_BYTES),
        sink.give_up_after,
        sink.max_per_session,
    )
    sinks = SinkFactory(
        egress,
        tls,
        own_pass=setup.own_pass,
        give_up_after=sink.give_up_after,
        max_sinks=sink.max_per_session,
    )
    workers = WorkerPool(
        _make_members(settings, sockets, setup, sinks),
        max_load=settings.session.max_worker_load,
        max_sinks=sink.max_per_session,
    )
    return Media(workers, egress, sinks, setup.own_pass)


def _make_members(settings: Settings, sockets: Sockets, setup: SinkSetup, sinks: SinkFactory) -> list[Member]:
    """One for each pair of media sockets; with `workers` 0 the one that runs here, with these `sinks`."""
    if not count_workers(settings):
        return [LocalMember(sockets.media[0].port, _local_worker(settings, sockets.media[0], sinks))]
    return [
        ProcessMember(
            WorkerSetup(
                number,
                pair.udp.fileno(),
                pair.tcp.fileno() if pair.tcp is not None else -1,
                _announced(settings, number, pair),
                _rules(settings),
                setup,
                settings.log.level,
                settings.log.format,
            ),
            [sock for sock in pair if sock is not None],
        )
        for number, pair in enumerate(sockets.media)
    ]


def _own_addresses(sockets: Sockets) -> list[tuple[str, int]]:
    """Where the embedded origin listens."""
    if sockets.rtmp is None:
        return []
    host, port = sockets.rtmp.getsockname()[:2]
    return [(address, port) for address in (host, *announced_addresses(ip_address(host), []))]


def _local_worker(
    settings: Settings, pair: MediaSockets, sinks: SinkFactory
) -> Callable[[Callable[[WorkerEvent], None]], Worker]:
    return lambda post_event: Worker(
        pair.udp,
        announced=_announced(settings, 0, pair),
        post_event=post_event,
        rules=_rules(settings),
        sinks=sinks,
        tcp_listener=pair.tcp,
    )


def _announced(settings: Settings, number: int, pair: MediaSockets) -> list[tuple[str, int]]:
    media = settings.media
    port = media.public_port + number if media.public_port else pair.port
    return [(address, port) for address in announced_addresses(media.host, media.public_addresses)]


def _rules(settings: Settings) -> SessionRules:
    limits = settings.session
    return SessionRules(
        timeouts=Timeouts(
            limits.setup_timeout, limits.silence_timeout, limits.takeover_after, limits.video_silence
        ),
        silent_audio=settings.sink.silent_audio,
        max_video=settings.inputs.max_video,
        policy=Policy(settings.quality.policy),
        min_video_bitrate=settings.quality.min_video_bitrate,
    )


def _quota(path: Path) -> int:
    """Whole cores that the control group may use; no file or "max": as many as there are."""
    try:
        quota, period = path.read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return os.cpu_count() or 1
