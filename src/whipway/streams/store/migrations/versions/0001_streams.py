"""The first tables: organisation, streams with tags and changes, keys, sign-ins, webhooks, deliveries.

Times are milliseconds since 1970. There is no way back: an older version is started on a copy that is as old.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    _make_organisation()
    _make_streams()
    _make_stream_tags()
    _make_state_changes()
    _make_keys()
    _make_sign_ins()
    _make_webhooks()
    _make_deliveries()


def _make_organisation() -> None:
    op.create_table(
        "organisation",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("hash", sa.String(16), nullable=False),
        sa.Column("webhook", sa.String(2048)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organisation"),
    )


def _make_streams() -> None:
    op.create_table(
        "streams",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(512), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("is_assigned", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("live_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("locked_at", sa.BigInteger),
        sa.Column("deleted_at", sa.BigInteger),
        sa.Column("reason", sa.String(64)),
        sa.Column("push_url", sa.String(2048)),
        sa.Column("node", sa.String(256)),
        sa.PrimaryKeyConstraint("id", name="pk_streams"),
        sa.UniqueConstraint("name", name="uq_streams_name"),
    )
    op.create_index("ix_streams_state_created_at", "streams", ["state", "created_at"])
    op.create_index("ix_streams_created_at", "streams", ["created_at"])


def _make_stream_tags() -> None:
    op.create_table(
        "stream_tags",
        sa.Column("stream_id", sa.String(36), nullable=False),
        sa.Column("tag", sa.String(128), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("stream_id", "tag", name="pk_stream_tags"),
        _goes_with("stream_tags", "stream_id", "streams"),
    )
    op.create_index("ix_stream_tags_tag", "stream_tags", ["tag"])


def _make_state_changes() -> None:
    op.create_table(
        "state_changes",
        sa.Column("id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("stream_id", sa.String(36), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_state_changes"),
        _goes_with("state_changes", "stream_id", "streams"),
    )
    op.create_index("ix_state_changes_stream_id", "state_changes", ["stream_id"])


def _make_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("stream_id", sa.String(36)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("digest", name="uq_keys_digest"),
        _goes_with("keys", "stream_id", "streams"),
    )


def _make_sign_ins() -> None:
    op.create_table(
        "sign_ins",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sign_ins"),
        _goes_with("sign_ins", "key_id", "keys"),
    )


def _make_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("secret", sa.String(128), nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )


def _make_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("webhook_id", sa.String(32), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.String(256)),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        _goes_with("deliveries", "webhook_id", "webhooks"),
    )
    op.create_index("ix_deliveries_webhook_id", "deliveries", ["webhook_id"])
    op.create_index("ix_deliveries_next_at", "deliveries", ["next_at"])


def _goes_with(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    """A row is deleted with the one it belongs to."""
    name = f"fk_{table}_{column}_{other}"
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete="CASCADE")
