"""The AudioSpecificConfig of AAC-LC (ISO/IEC 14496-3, 1.6.2.1).

Only AAC-LC with 1024 samples a frame is written: it is what the transcoder produces and what every RTMP
service takes. HE-AAC, its signalling and program config elements are left out.
"""

from typing import Final

SAMPLES_PER_FRAME: Final = 1024

AOT_AAC_LC: Final = 2
"""audioObjectType (Table 1.17)."""

SAMPLING_FREQUENCIES: Final = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
"""samplingFrequencyIndex is the place in this list (Table 1.18)."""

EXPLICIT_FREQUENCY: Final = 0xF
"""The samplingFrequencyIndex that says: the frequency follows in 24 bits."""

CHANNEL_CONFIGURATIONS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 7}
"""channelConfiguration by number of channels (Table 1.19)."""


def audio_specific_config(sample_rate: int, channels: int) -> bytes:
    """AAC-LC at `sample_rate` Hz: 2 bytes, or 5 where the rate is not one of the listed ones.

    ValueError for a channel count that has no channelConfiguration.
    """
    if channels not in CHANNEL_CONFIGURATIONS:
        raise ValueError(f"no AAC channel configuration for {channels} channels")
    # The last three bits, GASpecificConfig (4.4.1), are zero: 1024 samples, no core coder, no extension.
    tail = CHANNEL_CONFIGURATIONS[channels] << 3
    if sample_rate in SAMPLING_FREQUENCIES:
        index = SAMPLING_FREQUENCIES.index(sample_rate)
        return (AOT_AAC_LC << 11 | index << 7 | tail).to_bytes(2, "big")
    return (AOT_AAC_LC << 35 | EXPLICIT_FREQUENCY << 31 | sample_rate << 7 | tail).to_bytes(5, "big")
