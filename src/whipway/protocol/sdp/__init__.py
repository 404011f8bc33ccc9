"""The Session Description Protocol (RFC 8866) as WHIP uses it: offers in, answers out."""
