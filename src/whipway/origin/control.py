"""What an operator may see and do at the origin, by the key of a stream (APP/NAME)."""

from typing import Any

from whipway.failures import ParseError
from whipway.media import flv
from whipway.media.avc_stream import AvcConfiguration, read_avc_configuration, read_avc_nals
from whipway.media.nal import to_byte_stream
from whipway.media.parameter_sets import parse_sps
from whipway.origin.live import LiveStream, PacketKind
from whipway.origin.table import StreamTable

_BODY_AT = len(flv.AVC_SEQUENCE_HEADER)
"""What stands in front of a configuration, and of NAL units: frame type, packet type, composition time."""


class OriginControl:
    """Looks into the table of streams, and sends publishers away."""

    def __init__(self, table: StreamTable) -> None:
        self._table = table

    def stop(self, key: str) -> bool:
        """Send the publisher of a stream away; False: nobody from outside publishes it.

        A sink of this server is its session's to end: it would come back.
        """
        return self._table.evict(key)

    def keyframe(self, key: str) -> bytes | None:
        """The last key frame as an H.264 byte stream (Annex B), parameter sets first.

        None: nobody publishes that, there is none yet, or it is another codec.
        """
        stream = self._table.streams.get(key)
        configuration = _configuration(stream) if stream else None
        if stream is None or configuration is None or stream.keyframe is None:
            return None
        nals = read_avc_nals(stream.keyframe[_BODY_AT:], configuration.length_size)
        return to_byte_stream([*configuration.sps, *configuration.pps, *nals]) if nals else None

    def figures(self, key: str) -> dict[str, Any] | None:
        """How a stream comes: counts that only grow, and the size of its pictures where that is known.

        None: nobody publishes that.
        """
        stream = self._table.streams.get(key)
        if stream is None:
            return None
        return {
            "bytes_in": stream.bytes_in,
            "bytes_out": stream.bytes_out,
            "pictures": stream.pictures,
            "players": len(stream.players),
            **_size(stream),
        }


def _configuration(stream: LiveStream) -> AvcConfiguration | None:
    header = stream.header(PacketKind.VIDEO_HEADER)
    if header is None or not header.startswith(flv.AVC_SEQUENCE_HEADER[:2]):
        return None
    return read_avc_configuration(header[_BODY_AT:])


def _size(stream: LiveStream) -> dict[str, int | None]:
    configuration = _configuration(stream)
    if configuration is None or not configuration.sps:
        return {"width": None, "height": None}
    try:
        sps = parse_sps(configuration.sps[0])
    except ParseError:
        return {"width": None, "height": None}
    return {"width": sps.width, "height": sps.height}
