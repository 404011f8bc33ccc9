"""What may come of a request to a media worker, beside its reply."""


class WorkerGone(Exception):
    """There is no worker that could answer."""


class WorkerSilent(Exception):
    """It does not answer in time. Whether it does what was asked nobody knows."""


class RequestFailed(Exception):
    """A bug in the worker, whose log has a traceback."""
