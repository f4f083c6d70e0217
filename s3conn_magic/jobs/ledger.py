"""What jobs have loaded, kept in the database beside the rows, so that both are there or neither is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3conn_magic.jobs.job import OBJECT_COLUMN
from s3conn_magic.jobs.readers import identifier
from s3conn_magic.query.tables import transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from s3conn_magic.jobs.job import Job
    from s3conn_magic.jobs.selection import Candidate

SCHEMA = "s3conn_magic"
_MADE = f"""
    CREATE SCHEMA IF NOT EXISTS {SCHEMA};
    CREATE TABLE IF NOT EXISTS {SCHEMA}.loaded (
        job VARCHAR, source VARCHAR, target VARCHAR, key VARCHAR, etag VARCHAR, size BIGINT, rows BIGINT,
        loaded_at TIMESTAMP
    )
"""
# A replaced object is deleted and inserted in one transaction, which an index of DuckDB's would refuse.
_OF = "job = ? AND source = ? AND target = ?"


@dataclass(frozen=True, slots=True)
class Loaded:
    """An object as it was loaded."""

    etag: str
    size: int
    rows: int


class Ledger:
    """The objects that one job has loaded.

    Args:
        database: the one that the rows go into, too.
        job: a COPY; its name, bucket and table are what it is known by.
    """

    def __init__(self, database: duckdb.DuckDBPyConnection, job: Job) -> None:
        self._database = database
        self._of = [job.name.casefold(), job.plan.location.bucket, job.plan.table.casefold()]
        database.execute(_MADE)

    def loaded(self) -> Mapping[str, Loaded]:
        """What is in the table, by key."""
        rows = self._database.execute(
            f"SELECT key, etag, size, rows FROM {SCHEMA}.loaded WHERE {_OF}",  # noqa: S608 - names of our own
            self._of,
        ).fetchall()
        return {key: Loaded(*rest) for key, *rest in rows}

    def note(self, one: Candidate, rows: int) -> None:
        """Note an object in place of its former version; the caller's transaction decides whether it holds."""
        self._forget([one.location.key])
        self._database.execute(
            f"INSERT INTO {SCHEMA}.loaded VALUES (?, ?, ?, ?, ?, ?, ?, current_timestamp::TIMESTAMP)",  # noqa: S608
            [*self._of, one.location.key, one.etag, one.size, rows],
        )

    def _forget(self, keys: Iterable[str]) -> None:
        self._database.execute(
            f"DELETE FROM {SCHEMA}.loaded WHERE {_OF} AND list_contains(?, key)",  # noqa: S608
            [*self._of, list(keys)],
        )

    def retire(self, keys: Iterable[str], table: str) -> None:
        """Forget objects that are gone, and keep their rows: another object of such a name is loaded beside them.

        Args:
            keys: of the objects.
            table: where their rows are, quoted; each gets its object's etag behind the location, so that they stay
                when a later object of that name is replaced.
        """
        origin, location = identifier(OBJECT_COLUMN), "'s3://' || source || '/' || key"
        with transaction(self._database):
            self._database.execute(
                f"UPDATE {table} AS target SET {origin} = {location} || '#' || etag FROM {SCHEMA}.loaded"  # noqa: S608
                f" WHERE {_OF} AND list_contains(?, key) AND target.{origin} = {location}",
                [*self._of, found := list(keys)],
            )
            self._forget(found)

    def clear(self) -> None:
        """Forget all of it."""
        self._database.execute(f"DELETE FROM {SCHEMA}.loaded WHERE {_OF}", self._of)  # noqa: S608
