"""What can be wrong with bytes from a peer, as values.

The lowest module of the house: every parser raises `ParseError` with one `DropReason`, whoever feeds the
parser drops those bytes and counts the reason. Counts are shown in snapshots and asserted by tests.
"""

from enum import StrEnum


class DropReason(StrEnum):
    """Why some bytes from a peer were not used. The value is the name seen in snapshots and logs."""

    # Datagrams, before decryption; over TCP they come in frames.
    TCP_FRAME_MALFORMED = "tcp_frame_malformed"
    UNKNOWN_DATAGRAM = "unknown_datagram"
    UNKNOWN_ADDRESS = "unknown_address"
    STUN_MALFORMED = "stun_malformed"
    STUN_UNKNOWN_USER = "stun_unknown_user"
    STUN_INTEGRITY = "stun_integrity"
    STUN_REPLAY = "stun_replay"
    DTLS_MALFORMED = "dtls_malformed"
    SRTP_AUTHENTICATION = "srtp_authentication"
    SRTP_REPLAY = "srtp_replay"
    SRTP_BEFORE_DTLS = "srtp_before_dtls"
    SRTP_SSRC_LIMIT = "srtp_ssrc_limit"
    # RTP and RTCP.
    RTP_MALFORMED = "rtp_malformed"
    RTP_UNKNOWN_TRACK = "rtp_unknown_track"
    RTP_DUPLICATE = "rtp_duplicate"
    RTP_LATE = "rtp_late"
    RTP_EMPTY = "rtp_empty"
    RTCP_MALFORMED = "rtcp_malformed"
    # Media.
    H264_MALFORMED = "h264_malformed"
    H264_UNSUPPORTED = "h264_unsupported"
    H264_TOO_LARGE = "h264_too_large"
    H264_INCOMPLETE = "h264_incomplete"
    H264_AWAITING_IDR = "h264_awaiting_idr"
    OPUS_MALFORMED = "opus_malformed"
    # Signalling.
    SDP_MALFORMED = "sdp_malformed"
    # RTMP.
    AMF0_MALFORMED = "amf0_malformed"
    RTMP_MALFORMED = "rtmp_malformed"
    RTMP_TOO_LARGE = "rtmp_too_large"


class ParseError(Exception):
    """Bytes from a peer are wrong: drop them and count `reason`. `detail` is for a log, never for logic."""

    def __init__(self, reason: DropReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
