"""The way from any earlier version's tables to those of `tables`, by Alembic."""
