"""coturn's TURN server on loopback: what lets a client out of a network that lets nothing else out."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.processes import Program, free_port, running, wait_for_listener

REALM = "turn.test"
RELAY_PORTS = 16
"""So many from a free one on: a client takes one for each transport and restart."""


@dataclass(frozen=True)
class Credentials:
    """What TURN server and WHIP server both know: a secret, or one pair for all clients."""

    secret: str = ""
    username: str = ""
    credential: str = ""

    def arguments(self) -> list[str]:
        """For coturn."""
        if self.secret:
            return ["--use-auth-secret", f"--static-auth-secret={self.secret}"]
        return ["--lt-cred-mech", f"--user={self.username}:{self.credential}"]

    def settings(self) -> dict[str, str]:
        """Keys of an entry in `ice.servers`."""
        if self.secret:
            return {"secret": self.secret}
        return {"username": self.username, "credential": self.credential}


class TurnServer:
    """A running coturn."""

    def __init__(self, port: int, relay_ports: range, credentials: Credentials, program: Program) -> None:
        self.port = port
        self.relay_ports = relay_ports
        self._credentials = credentials
        self._program = program

    def ice_servers(self, transport: str = "udp") -> str:
        """The setting `ice.servers`, as JSON; clients reach this server by `transport`."""
        url = f"turn:127.0.0.1:{self.port}?transport={transport}"
        return json.dumps([{"urls": [url], **self._credentials.settings()}])

    @property
    def log(self) -> str:
        """All that it has written so far."""
        return self._program.output


@contextmanager
def turn_server(program: str, folder: Path, credentials: Credentials) -> Iterator[TurnServer]:
    """Run coturn for the length of a `with` block, with its files in `folder`."""
    port, first = free_port(), _free_udp_port()
    relay_ports = range(first, min(first + RELAY_PORTS, 65_536))
    arguments = [
        program,
        "-n",  # No configuration file.
        "--listening-ip=127.0.0.1",
        f"--listening-port={port}",
        "--relay-ip=127.0.0.1",
        f"--min-port={relay_ports[0]}",
        f"--max-port={relay_ports[-1]}",
        f"--realm={REALM}",
        "--allow-loopback-peers",
        "--no-cli",
        "--no-tls",
        "--no-dtls",
        "--no-rfc5780",
        "--verbose",
        "--log-file=stdout",
        f"--userdb={folder / 'turndb'}",
        f"--pidfile={folder / 'turnserver.pid'}",
        *credentials.arguments(),
    ]
    with running(arguments, folder / "turnserver.log", folder=folder) as coturn:
        wait_for_listener(port, coturn)
        yield TurnServer(port, relay_ports, credentials, coturn)


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
