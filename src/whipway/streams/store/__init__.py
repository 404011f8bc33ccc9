"""Where records are kept: SQLite or PostgreSQL, by SQLAlchemy. Nothing outside knows of tables."""
