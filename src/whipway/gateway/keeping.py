"""Everything that goes by the database: streams, keys, webhooks, and who follows what is published."""

import asyncio
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from whipway.config import Settings
from whipway.gateway.start_error import StartError
from whipway.streams.access.key_tokens import KeyTokens
from whipway.streams.access.keys import KeyRing
from whipway.streams.access.sign_ins import SignIns
from whipway.streams.events import EventLog
from whipway.streams.organisation import CurrentOrganisation, open_organisation
from whipway.streams.publications import Publications
from whipway.streams.store.database import Database, DatabaseError
from whipway.streams.store.key_rows import KeyStore, SignInStore
from whipway.streams.store.organisation_rows import OrganisationStore
from whipway.streams.store.stream_rows import StreamStore
from whipway.streams.store.webhook_rows import WebhookStore
from whipway.streams.stream_names import make_name
from whipway.streams.webhooks.http_client import make_http_client
from whipway.streams.webhooks.publish_hooks import PublishHooks
from whipway.streams.webhooks.webhooks import Webhooks


@dataclass(slots=True)
class Keeping:
    """What there is before anything can be published. Made by `open_keeping`, ended by `close`."""

    database: Database
    organisation: CurrentOrganisation
    streams: StreamStore
    keys: KeyRing
    sign_ins: SignIns
    events: EventLog
    publications: Publications
    hooks: PublishHooks
    webhooks: Webhooks
    clients: tuple[httpx.AsyncClient, ...]
    following: asyncio.Task[None]

    @property
    def tokens(self) -> KeyTokens:
        """Keys as bearer tokens of publishers."""
        return KeyTokens(self.keys, self.streams)

    @property
    def new_name(self) -> Callable[[], str]:
        """Makes names for streams."""
        prefix = self.organisation.current.hash
        return lambda: make_name(prefix, secrets.token_bytes)

    async def close(self) -> None:
        """Tell what is still to be told, and give everything back. Everybody who publishes has gone."""
        await self.hooks.close()
        await self.webhooks.close()
        self.following.cancel()
        await asyncio.wait([self.following])
        for client in self.clients:
            await client.aclose()
        await self.database.close()


async def open_keeping(settings: Settings) -> Keeping:
    """Open the database, which makes what is missing in it. Raises StartError."""
    try:
        database = await Database.open(settings.database.url.get_secret_value())
    except DatabaseError as error:
        raise StartError(f"database.url: {error}") from None
    try:
        return await _open_on(database)
    except BaseException:
        await database.close()
        raise


async def _open_on(database: Database) -> Keeping:
    organisation = await open_organisation(OrganisationStore(database))
    keys = KeyRing(KeyStore(database))
    events, publications = EventLog(), Publications()
    # One for what publishers wait for, one for what may wait.
    asking, telling = make_http_client(), make_http_client()
    hooks = PublishHooks(asking, lambda: organisation.current.webhook)
    hooks.listen(publications)
    return Keeping(
        database=database,
        organisation=organisation,
        streams=StreamStore(database),
        keys=keys,
        sign_ins=SignIns(SignInStore(database), keys),
        events=events,
        publications=publications,
        hooks=hooks,
        webhooks=Webhooks(WebhookStore(database), events, telling),
        clients=(asking, telling),
        following=asyncio.create_task(organisation.follow(), name="organisation"),
    )


def node_name(settings: Settings) -> str:
    """What this gateway is called among those that share a database."""
    return settings.streams.node or socket.gethostname()
