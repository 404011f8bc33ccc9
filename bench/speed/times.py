"""When what was sent: a table in shared memory, written by the publishers and read by the sink.

A row for each stream, a column for each of its last pictures, and a few of its own for the start. Times are
those of CLOCK_MONOTONIC, which all processes of a machine share. A cell is eight aligned bytes, so that no
reader sees half of one.
"""

import mmap
from pathlib import Path
from typing import Final, Self

COLUMNS: Final = 4096
"""Pictures until a cell is written again: over two minutes."""
STREAMS: Final = 512
_POSTED: Final = COLUMNS
_ROW: Final = COLUMNS + 8
_CELL_BYTES: Final = 8


class Times:
    """The table behind a file, best one in /dev/shm. Streams from STREAMS on share rows."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600, exist_ok=True)
        with path.open("r+b") as file:
            file.truncate(STREAMS * _ROW * _CELL_BYTES)
            self._map = mmap.mmap(file.fileno(), 0)
        self._cells = memoryview(self._map).cast("d")

    def note_picture(self, stream: int, number: int, at: float) -> None:
        """The last packet of a picture was sent."""
        self._cells[stream % STREAMS * _ROW + number % COLUMNS] = at

    def picture(self, stream: int, number: int) -> float:
        """When; 0.0: not known."""
        return self._cells[stream % STREAMS * _ROW + number % COLUMNS]

    def note_post(self, stream: int, at: float) -> None:
        """The POST of a stream began."""
        self._cells[stream % STREAMS * _ROW + _POSTED] = at

    def post(self, stream: int) -> float:
        """When; 0.0: not known."""
        return self._cells[stream % STREAMS * _ROW + _POSTED]

    def close(self) -> None:
        """The file stays."""
        self._cells.release()
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
