"""What the settings say of every session of a worker."""

from dataclasses import dataclass

from whipway.relay.quality import Policy
from whipway.session.session import Timeouts


@dataclass(frozen=True, slots=True)
class SessionRules:
    """`max_video`: video sections that an offer may have. `min_video_bitrate`: as for `QualityControl`.

    `silent_audio`: as for `Muxer`.
    """

    timeouts: Timeouts = Timeouts()
    silent_audio: bool = False
    max_video: int = 1
    policy: Policy = Policy.FOLLOW_SLOWEST
    min_video_bitrate: int = 150_000
