"""Which stream a name is of, as far as somebody has looked lately: for whoever cannot wait for a database."""

from collections import OrderedDict
from typing import Any

from whipway.streams.records import StreamRecord, StreamState

MAX_KEPT = 10_000


class StreamIds:
    """Ids of streams by name; those not asked for or noted for longest are forgotten."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, str] = OrderedDict()

    def note(self, record: StreamRecord) -> None:
        """Somebody has read, made or changed this one."""
        if record.state is StreamState.DELETED:
            self.forget(record.name)
            return
        self._ids[record.name] = record.id
        self._ids.move_to_end(record.name)
        if len(self._ids) > MAX_KEPT:
            self._ids.popitem(last=False)

    def forget(self, name: str) -> None:
        """There is no such stream any more."""
        self._ids.pop(name, None)

    def brief(self, name: str) -> dict[str, Any] | None:
        """A stream as events name it, {"id", "name"}; None: nobody knows of one."""
        id = self._ids.get(name)
        if id is None:
            return None
        self._ids.move_to_end(name)
        return {"id": id, "name": name}
