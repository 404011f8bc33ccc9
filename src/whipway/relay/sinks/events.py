"""What a sink has to tell: to its driver about connections, to its session about all else."""

from dataclasses import dataclass
from typing import TypeAlias

from whipway.relay.sinks.standing import SinkChanged


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """Connect, and tell by `connected` or `connection_failed`. There is no other connection now."""


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Write what `data_to_send` has, then close the connection. Nothing more is to be told about it."""


@dataclass(frozen=True, slots=True)
class FormatChanged:
    """The sink wants other sound: see `Sink.format`."""


@dataclass(frozen=True, slots=True)
class KeyframeWanted:
    """There is no picture before the next key frame, and the server waits."""


@dataclass(frozen=True, slots=True)
class PicturesDropped:
    """The server takes too little: more pictures were left out, `count` of them since the sink began."""

    count: int


SinkEvent: TypeAlias = (
    OpenConnection | CloseConnection | SinkChanged | FormatChanged | KeyframeWanted | PicturesDropped
)
