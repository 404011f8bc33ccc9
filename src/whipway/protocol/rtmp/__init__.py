"""RTMP: both ends of one connection, from the handshake to media messages."""
