"""Queries and tables → plans."""

from __future__ import annotations

from functools import partial, singledispatchmethod
from typing import TYPE_CHECKING

from s3conn_magic.language import plans
from s3conn_magic.language import statements as tree
from s3conn_magic.language.catalog import release
from s3conn_magic.language.spelling import listed, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from s3conn_magic.errors import BindError, Place
    from s3conn_magic.language.binding import Binding
    from s3conn_magic.language.catalog import Known

UNCHANGED = "Operation resulted in no change"
"""What a statement says that found nothing to do."""


class TableBinder:
    """Binds the statements about queries and tables of a cell, in order.

    Args:
        binding: reads the values of the cell.
        tables: names of the tables there are when the cell begins.
        reader: the connection that a statement reads through.
        known: the connections there are, by folded name; a table that is dropped is no usage of them any more.
    """

    def __init__(
        self,
        binding: Binding,
        tables: Iterable[str],
        reader: Callable[[tree.Name | None, tree.Statement], str],
        known: dict[str, Known],
    ) -> None:
        self._binding = binding
        self._tables = {name.casefold(): name for name in tables}
        self._reader = reader
        self._known = known

    def aside(self, known: dict[str, Known]) -> TableBinder:
        """Another of the same state, which changes by itself, for connections that do, too."""
        return TableBinder(self._binding, self._tables.values(), self._reader, known)

    def forget(self, usages: Iterable[plans.Usage]) -> None:
        """Note that a connection's tables are dropped with it."""
        for one in usages:
            self._tables.pop(one.name.casefold(), None)

    def made(self, name: str) -> None:
        """Note that a job makes a table, or loads into it."""
        self._tables.setdefault(name.casefold(), name)

    @singledispatchmethod
    def bind(self, statement: tree.Statement) -> plans.Plan:
        """The plan of a statement.

        Raises:
            BindError: a table's name is taken, or there is none of it, or the clauses do not go together.
        """
        raise NotImplementedError(type(statement).__name__)

    @bind.register
    def _query(self, statement: tree.Query) -> plans.Plan:
        return plans.Query(
            place=self._binding.beginning(statement),
            text=statement.query.value.reveal(),
            in_file=self._binding.in_file,
            locate=self._locate(statement.query),
        )

    @bind.register
    def _explain(self, statement: tree.ExplainAnalyze) -> plans.Plan:
        return plans.ExplainQuery(
            place=self._binding.beginning(statement),
            text=statement.query.value.reveal(),
            in_file=self._binding.in_file,
            locate=self._locate(statement.query),
        )

    def _locate(self, query: tree.SqlText) -> Callable[[int], Place]:
        return partial(self._binding.place_within, query.span)

    @bind.register
    def _create(self, statement: tree.CreateTable) -> plans.Plan:
        self._check(statement)
        old = self._tables.get(statement.name.folded)
        if old is not None and statement.if_not_exists:
            message = f"{UNCHANGED}: the table {old} exists already."
            return plans.NoChange(place=self._binding.beginning(statement), message=message)
        if old is not None and not statement.or_replace:
            hint = "CREATE OR REPLACE TABLE replaces it; CREATE TABLE IF NOT EXISTS keeps it."
            raise self._binding.error(f"the table {old} exists already", statement.name.span, hint=hint)
        self._tables[statement.name.folded] = statement.name.text
        text, columns, location = statement.query, statement.columns, statement.location
        return plans.CreateTable(
            place=self._binding.beginning(statement),
            name=statement.name.text,
            replace=old is not None,
            or_replace=statement.or_replace,
            columns=columns.value.reveal() if columns else None,
            text=text.value.reveal() if text else None,
            in_file=self._binding.in_file,
            locate=self._locate(written) if (written := text or columns) else None,
            location=self._binding.place_of(location) if location else None,
            connection=self._reader(statement.using, statement) if location else None,
        )

    def _check(self, statement: tree.CreateTable) -> None:
        name = statement.name
        if statement.or_replace and statement.if_not_exists:
            hint = "Give one of the two."
            raise self._binding.error("OR REPLACE does not go with IF NOT EXISTS", name.span, hint=hint)
        if statement.location and (other := statement.columns or statement.query):
            hint = "The columns of a table over files are those of the files."
            raise self._binding.error("LOCATION goes with neither columns nor AS", other.span, hint=hint)
        if statement.using and not statement.location:
            hint = "In a query a connection is named in the path: 's3://name@bucket/key'."
            raise self._binding.error("USING goes with LOCATION only", statement.using.span, hint=hint)

    @bind.register
    def _drop(self, statement: tree.DropTable) -> plans.Plan:
        found = self._tables.pop(statement.name.folded, None)
        place = self._binding.beginning(statement)
        if found is None and statement.if_exists:
            return plans.NoChange(place=place, message=f"{UNCHANGED}: no table {statement.name.text}.")
        if found is None:
            raise self._missing(statement.name)
        release(self._known, "table", found)
        return plans.DropTable(place=place, name=found)

    def _missing(self, name: tree.Name) -> BindError:
        names = list(self._tables.values())
        near = nearest(name.text, names)
        there = f"There are {listed(names, 'and')}." if len(names) > 1 else f"There is {names[0]}." if names else ""
        hint = f"Did you mean {near}?" if near else there
        return self._binding.error("there is no table of that name", name.span, hint=hint)

    @bind.register
    def _show(self, statement: tree.ShowTables) -> plans.Plan:
        return plans.ShowTables(place=self._binding.beginning(statement), like=statement.like)
