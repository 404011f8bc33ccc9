"""How long a page of the list of streams takes: `make bench-lists`.

Fills a database with streams of every state, starts a real server on it, and asks for pages as the dashboard
does, one at a time over one connection. A figure is the time from the request to the whole answer, in
milliseconds: the median, and the worst after the first few. Nothing is asserted. Needs PostgreSQL, unless
it is told `--kinds sqlite`.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import insert
from tests.peers.databases import database_url, databases
from tools.server import RunningServer

from whipway.streams.records import StreamState, utc_now
from whipway.streams.store.database import Database
from whipway.streams.store.tables import stream_tags, streams

SIZES = (1_000, 10_000)
BATCH = 1_000
TAGS = 40
"""Different ones; each stream has two."""
WARM_UP_REQUESTS = 3
PAGES = {
    "first page": "",
    "500 streams": "limit=500",
    "last page": "offset={last}",
    "live": "state=live",
    "of a tag": "tag=tag-7",
    "part of a name": "name=name-99",
}


def rows(size: int, began: datetime) -> Iterator[dict[str, Any]]:
    """Streams, a second apart, in turn of every state."""
    states = list(StreamState)
    for n in range(size):
        at = began + timedelta(seconds=n)
        state = states[n % len(states)]
        yield {
            "id": str(uuid4()),
            "name": f"aBcDe-Name-{n}",
            # The server ends what was live on it; this is live elsewhere.
            "state": state,
            "node": "elsewhere" if state is StreamState.LIVE else None,
            "is_assigned": True,
            "created_at": at,
            "updated_at": at,
        }


async def fill(url: str, size: int) -> None:
    database = await Database.open(url)
    made = list(rows(size, utc_now() - timedelta(seconds=size)))
    for first in range(0, size, BATCH):
        batch = list(enumerate(made))[first : first + BATCH]
        tags = [(row["id"], place, (n + place * 11) % TAGS) for n, row in batch for place in range(2)]
        async with database.begin() as connection:
            await connection.execute(insert(streams), [row for _, row in batch])
            await connection.execute(
                insert(stream_tags),
                [{"stream_id": id, "tag": f"tag-{tag}", "place": place} for id, place, tag in tags],
            )
    await database.close()


def measure(client: httpx.Client, query: str, requests: int) -> tuple[list[float], int]:
    """How long each request took, in milliseconds, and how many streams there are in all."""
    times: list[float] = []
    total = 0
    for _ in range(WARM_UP_REQUESTS + requests):
        began = time.monotonic()
        answer = client.get(f"/v1/streams?{query}")
        times.append((time.monotonic() - began) * 1000)
        total = answer.raise_for_status().json()["total"]
    return times[WARM_UP_REQUESTS:], total


def ask(url: str, kind: str, size: int, requests: int) -> None:
    """A row of the table for each page."""
    with RunningServer(database__url=url, streams__node="here") as server:
        headers = {"Authorization": f"Bearer {server.admin_key}"}
        with httpx.Client(base_url=server.http_url, headers=headers) as client:
            for name, query in PAGES.items():
                times, total = measure(client, query.format(last=size - size // 5 - 50), requests)
                print(f"{kind:<12}{size:>8}  {name:<16}{total:>8}{median(times):>10.1f}{max(times):>10.1f}")


async def run(kinds: Sequence[str], requests: int) -> None:
    print(f"{'database':<12}{'streams':>8}  {'asked for':<16}{'found':>8}{'median':>10}{'worst':>10}")
    for kind in kinds:
        for size in SIZES:
            async with database_url(kind) as url:
                await fill(url, size)
                await asyncio.to_thread(ask, url, kind, size, requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=databases(), default=databases())
    parser.add_argument("--requests", type=int, default=50)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.kinds, arguments.requests))


if __name__ == "__main__":
    main()
