"""Programs for developers: the demo, and what the tests and it share."""
