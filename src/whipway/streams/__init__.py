"""Streams and their sessions as the outside sees them."""
