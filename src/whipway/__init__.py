"""Whipway: live H.264 and Opus in by WHIP (RFC 9725), out by RTMP."""

__version__ = "0.1.0"
