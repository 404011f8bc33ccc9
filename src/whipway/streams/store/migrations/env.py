"""What Alembic runs around the migrations: on the connection that `Database.open` has, in its transaction.

Nothing here reads a file of settings or touches the logging. A step stands alone: it does not import the
tables of today, which will be others tomorrow.
"""

from alembic import context

from whipway.streams.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
