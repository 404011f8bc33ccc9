"""This server's own API: streams, sessions, keys and webhooks as JSON, below `/v1`."""
