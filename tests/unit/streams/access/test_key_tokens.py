from collections.abc import AsyncIterator

import pytest
from tests.unit.streams.access.key_parts import KeyParts, key_parts

from whipway.streams.access.key_tokens import KeyTokens
from whipway.streams.access.rights import Principal
from whipway.streams.records import Role, StreamRecord, StreamState

pytestmark = pytest.mark.anyio


class Streams:
    """Streams by their ids, as a directory has them."""

    def __init__(self) -> None:
        self.records: dict[str, StreamRecord] = {}

    async def get(self, id: str) -> StreamRecord | None:
        return self.records.get(id)


@pytest.fixture
async def parts() -> AsyncIterator[KeyParts]:
    async with key_parts("sqlite") as parts:
        yield parts


@pytest.mark.parametrize(
    ("role", "principal"),
    [
        (Role.ADMIN, Principal(("*",))),
        (Role.USER, Principal(("*",))),
        (Role.READ_ONLY, None),
        (Role.PLAYER, None),
    ],
)
async def test_who_may_publish_everything(parts: KeyParts, role: Role, principal: Principal | None) -> None:
    secret, key = await parts.ring.create("Ada", role)
    tokens = KeyTokens(parts.ring, Streams())
    assert await tokens.find(secret) == principal
    await parts.ring.revoke(key.id)
    assert await tokens.find(secret) is None


@pytest.mark.parametrize(
    ("name", "state", "principal"),
    [
        ("one", StreamState.CREATED, Principal(("one",))),
        ("team/one", StreamState.LIVE, Principal(("team/one",))),
        # Said elsewhere: locked streams may be unlocked again.
        ("one", StreamState.LOCKED, Principal(("one",))),
        ("one", StreamState.DELETED, None),
        ("o*", StreamState.ENDED, None),
    ],
)
async def test_a_publishers_key(
    parts: KeyParts, name: str, state: StreamState, principal: Principal | None
) -> None:
    streams = Streams()
    record = await parts.stream(name, state)
    secret, _ = await parts.ring.create("OBS", Role.PUBLISHER, stream_id=record.id)
    tokens = KeyTokens(parts.ring, streams)
    assert await tokens.find(secret) is None
    streams.records[record.id] = record
    assert await tokens.find(secret) == principal
