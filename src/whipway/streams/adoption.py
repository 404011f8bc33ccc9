"""Records for what is published here under names that nobody had created."""

from datetime import datetime

import structlog

from whipway.streams.publications import Publication
from whipway.streams.records import StreamRecord
from whipway.streams.store.stream_rows import NameTaken
from whipway.streams.stream_names import is_recordable
from whipway.streams.stream_states import StreamStates

MAX_ADOPTED = 10_000
"""Records of this kind in the database: whoever may publish at all could fill the disk with names."""

log = structlog.get_logger("streams")


class Adoption:
    """Makes such records, up to a number."""

    def __init__(self, states: StreamStates) -> None:
        self._states = states
        self._is_full = False

    async def adopt(self, publication: Publication, at: datetime) -> StreamRecord | None:
        """Make a record for a publisher who has been live since `at`; None: this one gets none.

        To be called with the lock of its name held.
        """
        # Who was told to stop would otherwise come back as a new record, after its stream was deleted.
        if not publication.is_here or publication.stop_reason or not is_recordable(publication.name):
            return None
        if not await self._has_room():
            return None
        try:
            return await self._states.add(publication.name, is_assigned=False, at=at)
        except NameTaken:  # By another gateway, just now.
            return await self._states.find(publication.name)

    async def _has_room(self) -> bool:
        """Counted anew each time: other gateways make such records as well, and people delete them."""
        count = await self._states.store.count_adopted()
        was_full, self._is_full = self._is_full, count >= MAX_ADOPTED
        if self._is_full and not was_full:
            log.warning("no more streams are recorded that nobody created", count=count)
        return not self._is_full
