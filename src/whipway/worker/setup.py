"""What a worker in a process of its own is told at its start, as plain data, and the worker made of it."""

import json
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from whipway.relay.quality import Policy
from whipway.session.session import Timeouts
from whipway.worker.egress import EgressPolicy
from whipway.worker.messages import WorkerEvent
from whipway.worker.rules import SessionRules
from whipway.worker.sinks import SinkFactory
from whipway.worker.tls import TlsContexts
from whipway.worker.worker import Worker


@dataclass(frozen=True, slots=True)
class SinkSetup:
    """As for `EgressPolicy`, `TlsContexts` and `SinkFactory`."""

    egress_allow: list[str]
    egress_own: list[tuple[str, int]]
    insecure_tls: list[str]
    own_pass: str
    give_up_after: float
    max_sinks: int

    def make_factory(self) -> SinkFactory:
        """ValueError: an entry of the rules cannot be read."""
        return SinkFactory(
            EgressPolicy(self.egress_allow, own=self.egress_own),
            TlsContexts(self.insecure_tls),
            own_pass=self.own_pass,
            give_up_after=self.give_up_after,
            max_sinks=self.max_sinks,
        )


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """`udp` and `tcp` are descriptors of bound sockets that the process inherits; `tcp` -1: there is none."""

    number: int
    udp: int
    tcp: int
    announced: list[tuple[str, int]]
    rules: SessionRules
    sinks: SinkSetup
    log_level: str
    log_format: str

    def serialize(self) -> bytes:
        """As JSON. It holds a secret."""
        return json.dumps(asdict(self)).encode()

    def make_worker(self, post_event: Callable[[WorkerEvent], None]) -> Worker:
        """To be called in the process that inherited the descriptors, and once."""
        return Worker(
            socket.socket(fileno=self.udp),
            announced=self.announced,
            post_event=post_event,
            rules=self.rules,
            sinks=self.sinks.make_factory(),
            tcp_listener=socket.socket(fileno=self.tcp) if self.tcp >= 0 else None,
        )


def parse_setup(data: bytes) -> WorkerSetup:
    """Read what `WorkerSetup.serialize` has written. ValueError, KeyError and TypeError mean a bug."""
    values: dict[str, Any] = json.loads(data)
    rules, sinks = values["rules"], values["sinks"]
    rules |= {"timeouts": Timeouts(*rules["timeouts"]), "policy": Policy(rules["policy"])}
    # JSON has no tuples.
    sinks["egress_own"] = [(host, port) for host, port in sinks["egress_own"]]
    values["announced"] = [(host, port) for host, port in values["announced"]]
    return WorkerSetup(**values | {"rules": SessionRules(**rules), "sinks": SinkSetup(**sinks)})
