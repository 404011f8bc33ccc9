import pytest

from whipway.media.aac import audio_specific_config


# ISO/IEC 14496-3, 1.6.2.1: 5 bits object type, 4 bits frequency index, 4 bits channels, 3 zero bits.
@pytest.mark.parametrize(
    ("sample_rate", "channels", "config"),
    [
        (48000, 2, "1190"),
        (48000, 1, "1188"),
        (44100, 2, "1210"),
        (44100, 1, "1208"),
        (16000, 1, "1408"),
        (96000, 6, "1030"),
        (48000, 8, "11b8"),
        (12345, 2, "1780181c90"),
    ],
)
def test_the_config_bytes(sample_rate: int, channels: int, config: str):
    assert audio_specific_config(sample_rate, channels) == bytes.fromhex(config)


@pytest.mark.parametrize("channels", [0, 7, 9])
def test_channel_counts_without_a_configuration(channels: int):
    with pytest.raises(ValueError, match=f"{channels} channels"):
        audio_specific_config(48000, channels)
