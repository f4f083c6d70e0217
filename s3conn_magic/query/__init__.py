"""Queries on an embedded engine.

ConnectionFileSystem(connection_of)     an fsspec filesystem over the session's connections
Reading                                 what one query read: requests, bytes, the error underneath
Engine(connection_of, variable_of)      DuckDB, reading through that filesystem
"""
