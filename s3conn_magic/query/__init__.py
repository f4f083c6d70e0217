"""Queries on an embedded engine.

ConnectionFileSystem(connection_of)     an fsspec filesystem over the session's connections
QueryScope                                 what one query read: requests, bytes, the error underneath
QueryEngine(connection_of, variable_of)      DuckDB, reading through that filesystem
"""
