"""Parse MERGE INTO, so that the judged statement is the one that runs, on a table of DuckDB or a copy of rows in S3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.lakes import CAME
from s3conn_magic.language.words import counted, listed, table_parts
from s3conn_magic.locations import visible
from s3conn_magic.query.names import is_one_group, words
from s3conn_magic.query.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

STAGED = "s3conn_magic_new"
"""Temporary table of rows to be written."""
TARGET = "s3conn_magic_target"
"""Placeholder for the table's name."""
_OPEN, _CLOSE = {"(", "[", "{", "CASE"}, {")", "]", "}", "END"}
_BY_POSITION = {"UPDATE", "UPDATE SET *", "INSERT", "INSERT *"}
_BY_NAME = {"UPDATE BY NAME", "UPDATE SET BY NAME", "REPLACE", "INSERT BY NAME", "INSERT MAP_COLUMNS_BY_NAME"}
_FEWEST = 4
_FORM = "MERGE INTO table USING source ON condition WHEN [NOT] MATCHED THEN {UPDATE | DELETE | INSERT} …"


class _When(NamedTuple):
    """A WHEN clause: its kind of rows, condition, action, columns, and values as SQL."""

    which: str
    condition: str
    action: str
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class Merge(NamedTuple):
    """The parts of a MERGE INTO.

    Attributes:
        alias: of the table.
        source: as written, with its alias.
        named: alias of the source.
        on: the condition, or columns in parentheses.
        using: whether `on` has columns.
        whens: the clauses.
    """

    alias: str
    source: str
    named: str
    on: str
    using: bool
    whens: tuple[_When, ...]

    @classmethod
    def of(cls, name: str, text: str) -> Merge:
        """Parse what follows the table's name.

        Raises:
            QueryError: it is not a MERGE.
        """
        parts = _split(text, {"USING", "ON", "WHEN"})
        if (
            len(parts) < _FEWEST
            or parts[1][0] != "USING"
            or parts[2][0] == "WHEN"
            or {head for head, _ in parts[3:]} != {"WHEN"}
        ):
            raise QueryError("this is not a MERGE", hint=_FORM)
        (_, alias), (_, source), (how, on), *whens = parts
        target = re.sub(r"(?i)^\s*AS\b", "", alias).strip() or identifier(table_parts(name)[-1])
        return cls(target, source, _alias(source), on, how == "USING", tuple(_when(each) for _, each in whens))

    @classmethod
    def by_key(cls, keys: Sequence[str]) -> Merge:
        """Return a merge in which staged rows replace those with the same key."""
        on = " AND ".join(f"there.{each} = rows.{each}" for each in map(identifier, keys))
        actions = "WHEN MATCHED THEN UPDATE BY NAME WHEN NOT MATCHED THEN INSERT BY NAME"
        return cls.of("t", f"AS there USING t AS rows ON {on} {actions}")

    @property
    def by_name(self) -> bool:
        """Whether columns map by name, else by position."""
        return any(when.action in _BY_NAME | _BY_POSITION and not when.values for when in self.whens)

    @property
    def reading(self) -> str:
        """Query of the source alone."""
        return f"FROM {self.source}"

    @property
    def adds(self) -> bool:
        """Whether rows are inserted by column name, which adds missing columns to the table."""
        return any(when.action.startswith("INSERT") and when.action in _BY_NAME for when in self.whens)

    def judged(self, name: str) -> str:
        """Return a query with all that the merge reads and computes.

        Raises:
            QueryError: a part is more than one expression.
        """
        values = [value for when in self.whens for value in (when.condition, *when.values) if value]
        for value in (*values, *([] if self.using else [self.on])):
            if not is_one_group(f"({value}\n)"):
                raise QueryError("this is not a MERGE", hint=_FORM)
        on = self.on if self.using else f"({self.on}\n)"
        table = ".".join(map(identifier, table_parts(name)))
        items = ", ".join(["1", *(f"({value}\n)" for value in values)])
        return f"SELECT {items} FROM {table} AS {self.alias} JOIN {self.source} {'USING' if self.using else 'ON'} {on}"  # noqa: S608

    @property
    def left_out(self) -> tuple[str, ...]:
        """Columns of the source that are left out."""
        return tuple(name for when in self.whens for name in when.without)

    def sql(self, target: Sequence[str], source: Sequence[str]) -> str:
        """Return the statement on the placeholder of the table, with the source's rows staged."""
        head = f"MERGE INTO {TARGET} AS {self.alias} USING temp.{STAGED} AS {self.named}"
        on = f"USING {self.on}" if self.using else f"ON ({self.on}\n)"
        return "\n".join([head, on, *(self._clause(when, target, source) for when in self.whens)])

    def _clause(self, when: _When, target: Sequence[str], source: Sequence[str]) -> str:
        both = {name.casefold() for name in target} & {name.casefold() for name in source}
        condition = f" AND ({_qualified(when.condition, self.named, both)}\n)" if when.condition else ""
        return f"WHEN {when.which}{condition} THEN {self._action(when, target, source)}"

    def _action(self, when: _When, target: Sequence[str], source: Sequence[str]) -> str:
        if when.action in {"DELETE", "DO NOTHING"}:
            return when.action
        columns, values = list(when.columns), [f"({value}\n)" for value in when.values]
        if when.action in _BY_POSITION | _BY_NAME and not values:
            pairs = self._pairs(when, target, source)
            columns, values = (
                [identifier(own) for own, _ in pairs],
                [f"{self.named}.{identifier(of)}" for _, of in pairs],
            )
        if when.action.startswith("INSERT"):
            columns = columns or [identifier(name) for name in target]
        if CAME in target and CAME in source and identifier(CAME) not in columns:
            columns, values = [*columns, identifier(CAME)], [*values, f"{self.named}.{identifier(CAME)}"]
        if when.action.startswith("INSERT"):
            return f"INSERT ({', '.join(columns)}) VALUES ({', '.join(values)})"  # noqa: S608 - judged
        return f"UPDATE SET {', '.join(f'{own} = {value}' for own, value in zip(columns, values, strict=True))}"

    def _pairs(self, when: _When, target: Sequence[str], source: Sequence[str]) -> list[tuple[str, str]]:
        without = {each.casefold() for each in self.left_out}
        left = [name for name in source if name.casefold() not in without]
        if when.action in _BY_POSITION:
            if len(left) != len(target):
                message = f"the source has {counted(len(left), 'column')}, and the table {len(target)}"
                raise QueryError(message, hint="Name them: INSERT (column, …) VALUES (…), or UPDATE SET column = ….")
            return list(zip(target, left, strict=True))
        own = {name.casefold(): name for name in target}
        if unknown := [name for name in left if name.casefold() not in own]:
            hint = "Leave it out of the source, or add EXCEPT after MAP_COLUMNS_BY_NAME."
            raise QueryError(f"the table has no column {visible(unknown[0])}", hint=hint)
        return [(own[name.casefold()], name) for name in left]


def last_of_each(rows: str, keys: Sequence[str], columns: Container[str]) -> str:
    """Return the query of the staged rows with only the last of each key.

    Raises:
        QueryError: a column of the key is missing.
    """
    if lacking := [key for key in keys if key.casefold() not in columns]:
        hint = "Give each row a value for it in the query."
        raise QueryError(f"the rows lack {listed(map(visible, lacking), 'and')} of the primary key", hint=hint)
    return f"{rows} QUALIFY row_number() OVER (PARTITION BY {', '.join(map(identifier, keys))} ORDER BY rowid DESC) = 1"


def _split(text: str, heads: set[str]) -> list[tuple[str, str]]:
    """Split a text at words outside parentheses; return each piece with the word before it."""
    encoded, depth, pieces, head, start = text.encode(), 0, list[tuple[str, str]](), "", 0
    for word in words(text):
        if depth == 0 and word.text in heads:
            pieces.append((head, encoded[start : word.start].decode().strip()))
            head, start = word.text, word.end
        depth += (word.text in _OPEN) - (word.text in _CLOSE)
    return [*pieces, (head, encoded[start:].decode().strip())]


def _alias(source: str) -> str:
    sequence, depth, names = words(source), 0, list[str]()
    for word in sequence:
        depth += (word.text in _OPEN) - (word.text in _CLOSE)
        if depth == 0 and word.text not in _CLOSE | {".", ",", "AS"}:
            names.append(source.encode()[word.start : word.end].decode())
    if not names:
        raise QueryError("the source of a MERGE that is a query needs a name", hint="Write USING (SELECT …) AS s.")
    return identifier(names[-1][1:-1]) if names[-1][:1] == "'" else names[-1]


def _qualified(condition: str, source: str, both: set[str]) -> str:
    """Qualify ambiguous columns of a condition with the source."""
    sequence, text, at = words(condition), condition.encode(), 0
    pieces = list[bytes]()
    for before, word, after in zip([None, *sequence], sequence, [*sequence[1:], None], strict=False):
        name = text[word.start : word.end].decode()
        alone = (before is None or before.text != ".") and (after is None or after.text not in {".", "("})
        if alone and name.strip('"').casefold() in both and (word.is_name or name[:1] == '"'):
            pieces += [text[at : word.start], f"{source}.".encode()]
            at = word.start
    return b"".join([*pieces, text[at:]]).decode()


_WHEN = re.compile(r"(?is)((?:NOT\s+)?MATCHED(?:\s+BY\s+(?:SOURCE|TARGET))?)(?:\s+AND\b(.*))?")


def _when(text: str) -> _When:
    parts = _split(text, {"THEN"})
    match = _WHEN.fullmatch(parts[0][1]) if len(parts) == 2 else None  # noqa: PLR2004
    if match is None:
        raise QueryError("this is not a MERGE", hint=_FORM)
    which, condition, action = " ".join(match[1].upper().split()), (match[2] or "").strip(), parts[1][1]
    key = " ".join(action.upper().split())
    without: tuple[str, ...] = ()
    if key.startswith("INSERT MAP_COLUMNS_BY_NAME EXCEPT "):
        written = (name.rpartition(".")[2] for _, name in _split(action.split(None, 3)[3], {","}))
        without = tuple(name.strip().strip('"') for name in written)
        key = "INSERT MAP_COLUMNS_BY_NAME"
    if key in _BY_POSITION | _BY_NAME | {"DELETE", "DO NOTHING"}:
        return _When(which, condition, key, without=without)
    if update := re.fullmatch(r"(?is)UPDATE\s+SET\s+(.*)", action):
        settings = [each.partition("=") for _, each in _split(update[1], {","})]
        if all(sign for _, sign, _ in settings):
            columns = tuple(column.strip() for column, _, _ in settings)
            return _When(which, condition, "UPDATE", columns, tuple(value.strip() for *_, value in settings))
    if insert := re.fullmatch(r"(?is)INSERT\s*(\(.*?\))?\s*VALUES\s*\((.*)\)", action):
        columns = tuple(each for _, each in _split(insert[1][1:-1], {","})) if insert[1] else ()
        return _When(which, condition, "INSERT", columns, tuple(each for _, each in _split(insert[2], {","})))
    raise QueryError("an action of MERGE is UPDATE, DELETE, INSERT or DO NOTHING", hint=_FORM)
