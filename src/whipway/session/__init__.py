"""One WHIP session, sans-IO: from datagram to access unit."""
