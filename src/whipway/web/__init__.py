"""HTTP: the WHIP endpoint and the page to publish from."""
