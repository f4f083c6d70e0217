"""Pieces of SQL for DuckDB: quoted texts and names, and a block that is done whole."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from s3conn_magic.language.words import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

__all__ = ["identifier", "literal", "transaction"]


@contextmanager
def transaction(database: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All that a block does, or nothing of it."""
    import duckdb

    database.execute("BEGIN TRANSACTION")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # An interrupt may hit the roll-back, too; what was not committed is rolled back in any case.
        for _ in range(3):
            with suppress(duckdb.Error):
                database.execute("ROLLBACK")
                break
        raise
