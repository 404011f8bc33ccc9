from whipway.streams.session_watcher import NobodyWatches, SessionWatcher
from whipway.worker.messages import SessionChanged, SessionEnded


async def remove() -> None:
    """Is not called."""


def test_nobody_has_to_watch() -> None:
    nobody: SessionWatcher = NobodyWatches()
    nobody.session_created("id", stream_name="cam", stream_url="rtmp://host/live", client="")
    nobody.session_changed(SessionChanged("id", "live", []))
    nobody.sink_added("id", "2", stream_name="cam", stream_url="rtmp://host/live", remove=remove)
    nobody.sink_removed("id", {"id": "2"})
    nobody.session_ended(SessionEnded("id", "deleted", "", {}))
