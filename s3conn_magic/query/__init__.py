"""Queries on DuckDB, over the session's connections."""
