"""`python -m whipway` is the `whipway` command."""

from whipway.cli import main

main()
