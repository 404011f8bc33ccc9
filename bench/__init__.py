"""Measurements: each prints a table, and none of them asserts."""
