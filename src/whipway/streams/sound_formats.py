"""The formats of sound in one session, of which there is a limit: each bitrate of AAC is an encoder at work,
whether a server takes its sound or not.

The worker makes sound for whatever its sinks want; how much they may want is decided here, before it is asked
for a sink. A sink that chooses by itself counts with both of the formats that it may come to want.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from whipway.streams.refusals import SinkNotAdded
from whipway.worker.messages import FIRST_SINK

_Format = tuple[str, int]
"""The codec, and the bitrate of what is encoded here."""

_OPUS: _Format = ("opus", 0)
MAX_FORMATS = 4
"""AAC for good, poor and very poor networks, and Opus. An encoder takes some 1.5 % of a core."""


class SoundFormats:
    """What the sinks of one session may want; the first has this choice and this bitrate of AAC."""

    def __init__(self, audio: str, audio_bitrate: int) -> None:
        self._by_sink = {FIRST_SINK: _formats(audio, audio_bitrate)}

    def add(self, sink_id: str, audio: str, audio_bitrate: int) -> None:
        """Note what one more sink may want."""
        self._by_sink[sink_id] = _formats(audio, audio_bitrate)

    def require_room(self, sinks: Sequence[Mapping[str, Any]], audio: str, audio_bitrate: int) -> None:
        """Whether a sink with this sound may come to these, which are described as in a snapshot.

        Raises SinkNotAdded ("full").
        """
        # One that has failed never wants anything again.
        present = {sink["id"] for sink in sinks if sink["state"] != "failed"}
        self._by_sink = {key: formats for key, formats in self._by_sink.items() if key in present}
        wanted = _formats(audio, audio_bitrate)
        if len(wanted.union(*self._by_sink.values())) > MAX_FORMATS:
            raise SinkNotAdded(
                "full",
                f"this session has sound in as many formats as it may have, which is {MAX_FORMATS}:"
                " ask for the audio and the audio_bitrate of another of its sinks",
            )


def _formats(audio: str, audio_bitrate: int) -> set[_Format]:
    aac: _Format = ("aac", audio_bitrate)
    return {"aac": {aac}, "opus": {_OPUS}}.get(audio, {aac, _OPUS})
