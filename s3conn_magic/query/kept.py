"""A table of the session, and what a database keeps of it for the next kernel: a comment on the table itself."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

MAKING = " (being made)"
"""The end of the name that a table has until its rows are there."""
_OURS = "s3conn_magic: "
_HELD = """
    SELECT table_name, false, coalesce(comment, ''), table_oid FROM duckdb_tables()
    WHERE schema_name = 'main' AND database_name = current_database() AND NOT ends_with(table_name, ?)
    UNION ALL SELECT view_name, true, coalesce(comment, ''), view_oid FROM duckdb_views()
    WHERE schema_name = 'main' AND database_name = current_database() AND NOT internal ORDER BY 2, 4
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the session.

    Attributes:
        name: as written when it was created.
        connections: names of the connections that it depends on.
        location: where its files are, or None when DuckDB holds its rows.
        declared: whether it has no columns yet: what is loaded into it first gives it some.
        is_view: whether every query reads it afresh: one over files, or a view that was in the database before.
        comment: what the database says of it that is not ours.
        created_at: UTC.
        note: what to say of it when it was made.
    """

    name: str
    connections: tuple[str, ...] = ()
    location: Location | None = None
    declared: bool = False
    is_view: bool = False
    comment: str = ""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    note: str = field(default="", compare=False)

    @property
    def kind(self) -> str:
        """What SQL calls it."""
        return "VIEW" if self.is_view else "TABLE"

    def noted(self) -> str:
        """The SQL that has the database keep what the next kernel needs to know of it."""
        if self.comment or self.declared:
            return ""
        told = {"connections": self.connections, "location": self.location.uri if self.location else None}
        text = literal(_OURS + json.dumps(told)) if self.connections else "NULL"
        return f"COMMENT ON {self.kind} {quoted(self.name)} IS {text}"


def tables_of(database: duckdb.DuckDBPyConnection) -> list[Table]:
    """The tables that a database holds, then its views."""
    return [_read(*row) for *row, _ in database.execute(_HELD, [MAKING]).fetchall()]


def _read(name: str, is_view: bool, comment: str) -> Table:
    try:
        told = json.loads(comment.removeprefix(_OURS)) if comment.startswith(_OURS) else None
        location = Location.parse(told["location"]) if told and told["location"] else None
        connections = tuple(map(str, told["connections"])) if told else ()
    except (ValueError, KeyError, TypeError):  # somebody has changed it
        return Table(name, is_view=is_view, comment=comment)
    return Table(name, connections, location, is_view=is_view, comment="" if told else comment)


def quoted(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


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
