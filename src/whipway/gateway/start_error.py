"""Why a server cannot start."""


class StartError(Exception):
    """The server cannot start. The message is one line and names the configuration key."""
