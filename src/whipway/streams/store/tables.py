"""The tables, as they are now; `migrations` has the way there.

Plain tables and no mapped classes: a record is a value (`records`), and what is read together is written out
in the query that reads it.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

MAX_NAME_CHARACTERS = 512
MAX_TAG_CHARACTERS = 128
MAX_URL_CHARACTERS = 2048
UUID_CHARACTERS = 36
SHORT_ID_CHARACTERS = 32


class Moment(TypeDecorator[datetime]):
    """A time in milliseconds since 1970: SQLite keeps no time zones."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else round(value.timestamp() * 1000)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value / 1000, UTC)


# Constraints need names, so that migrations can speak of them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# One row.
organisation = Table(
    "organisation",
    metadata,
    Column("id", String(UUID_CHARACTERS), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("hash", String(16), nullable=False),
    Column("webhook", String(MAX_URL_CHARACTERS)),
    Column("created_at", Moment, nullable=False),
)

streams = Table(
    "streams",
    metadata,
    Column("id", String(UUID_CHARACTERS), primary_key=True),
    Column("name", String(MAX_NAME_CHARACTERS), nullable=False, unique=True),
    Column("state", String(8), nullable=False),
    Column("is_assigned", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("live_at", Moment),
    Column("ended_at", Moment),
    Column("locked_at", Moment),
    Column("deleted_at", Moment),
    Column("reason", String(64)),
    Column("push_url", String(MAX_URL_CHARACTERS)),
    Column("node", String(256)),  # Which gateway it is live on.
    Index("ix_streams_state_created_at", "state", "created_at"),
    Index("ix_streams_created_at", "created_at"),
)

stream_tags = Table(
    "stream_tags",
    metadata,
    Column("stream_id", ForeignKey("streams.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(MAX_TAG_CHARACTERS), primary_key=True),
    Column("place", Integer, nullable=False),  # In the order in which they were given.
    Index("ix_stream_tags_tag", "tag"),
)

# The last ones of each stream.
state_changes = Table(
    "state_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("stream_id", ForeignKey("streams.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("state", String(8), nullable=False),
    Column("at", Moment, nullable=False),
    Column("reason", String(64)),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(SHORT_ID_CHARACTERS), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256, in hex.
    Column("stream_id", ForeignKey("streams.id", ondelete="CASCADE")),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("used_at", Moment),
)

# Of the dashboard.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("key_id", ForeignKey("keys.id", ondelete="CASCADE"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(SHORT_ID_CHARACTERS), primary_key=True),
    Column("url", String(MAX_URL_CHARACTERS), nullable=False),
    Column("secret", String(128), nullable=False),
    Column("events", Text, nullable=False),  # A JSON list.
    Column("created_at", Moment, nullable=False),
)

# What is still to be sent.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(SHORT_ID_CHARACTERS), primary_key=True),
    Column("webhook_id", ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("event", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Moment, nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("last_error", String(256)),
)
