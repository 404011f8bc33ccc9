"""Which sound one sink gets: what was asked for, and with `auto` what its server says that it takes."""

from enum import StrEnum
from typing import Any, Final

from whipway.relay.tags import OPUS, AudioCodec, AudioFormat

OPUS_FOUR_CC: Final = "Opus"
"""Enhanced RTMP v2, AudioFourCc."""


class AudioChoice(StrEnum):
    """The sound that was asked for; the value is the word of the API."""

    AAC = "aac"
    OPUS = "opus"
    AUTO = "auto"
    """Opus where the server says that it takes it, else AAC."""


class SoundChoice:
    """The choice of one sink. An automatic one counts on Opus until its server has said what it takes."""

    def __init__(self, choice: AudioChoice, aac_bitrate: int) -> None:
        self._choice = choice
        self._aac = AudioFormat(AudioCodec.AAC, aac_bitrate)
        self.format = self._aac if choice is AudioChoice.AAC else OPUS
        self.formats = (self._aac, OPUS)
        """Those that it may ever be."""

    def learn(self, takes_opus: bool | None) -> bool:
        """Hear what the server takes (None: it has not said yet). Whether that changes the format."""
        if self._choice is not AudioChoice.AUTO or takes_opus is None:
            return False
        before, self.format = self.format, OPUS if takes_opus else self._aac
        return self.format != before

    def describe(self) -> dict[str, Any]:
        """Plain data for the API. Opus has no bit rate of ours: it passes as it comes."""
        return {
            "choice": self._choice.value,
            "codec": self.format.codec.value,
            "bitrate": self.format.bitrate or None,
        }
