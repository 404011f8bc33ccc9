"""RTP (RFC 3550): packets, their order, what to report of them, and when they play."""
