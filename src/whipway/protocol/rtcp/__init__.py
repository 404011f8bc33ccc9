"""RTCP (RFC 3550, RFC 4585, RFC 5104): reports and feedback as values."""
