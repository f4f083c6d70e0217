"""Rows that Arrow reads in batches: lines by pattern or width, JSON lines of many objects, binary files, listings."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import QueryError
from s3conn_magic.language.job_values import Content
from s3conn_magic.locations import size_text, visible
from s3conn_magic.objects.apart import KINDS, Reread, record_batches
from s3conn_magic.objects.containers import ALL
from s3conn_magic.objects.listed import Path
from s3conn_magic.objects.unpacking import unpacked
from s3conn_magic.query.failures import pointed
from s3conn_magic.query.judgement import arguments, constant
from s3conn_magic.query.sql import literal
from s3conn_magic.runtime.patterns import RegularExpression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import duckdb
    import pyarrow as pa

    from s3conn_magic.inventory.reading import StreamedRows
    from s3conn_magic.objects.filesystem import ConnectionFileSystem
    from s3conn_magic.objects.formats import Detected
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.names import QueryTree

    _Row = tuple[str | None, ...]
    _Reader = tuple[tuple[str, ...], Callable[[list[str], int], Iterable[_Row]]]

_AT_ONCE = 10_000
_CHUNK = 1024 * 1024
_MUCH = 8 * _CHUNK
_LONGEST = 128 * _CHUNK
_LINE = "line"
_FEW = 3
_SHOWN = 60


@dataclass(slots=True)
class Skipped:
    """Lines that do not match CONTENT_TYPE.

    Attributes:
        count: how many.
        said: their description, after the number.
        first: the first few, with their line numbers (from 1).
    """

    count: int = 0
    said: str = ""
    first: list[tuple[int, str]] = field(default_factory=list)

    def clear(self) -> None:
        """Reset the counts."""
        self.count, self.first = 0, []

    def add(self, number: int, line: str, reason: str) -> None:
        """Count a line."""
        self.count += 1
        self.said = reason
        if len(self.first) < _FEW:
            self.first.append((number, line))

    def note(self) -> str:
        """Return a note for the user about the lines."""
        shown = (f"line {at:,}: {visible(line[:_SHOWN])}{'…' if len(line) > _SHOWN else ''}" for at, line in self.first)
        return f"{self.count:,} line{'' if self.count == 1 else 's'} {self.said}, the first: {'; '.join(shown)}"


def reread(detected: Detected, file: Callable[[], Any], scope: QueryScope, skipped: Skipped) -> Reread:
    """Return the rows of an object of a format that DuckDB cannot read, repeatable.

    Args:
        detected: as in `batches`.
        file: opens the stored object, seekable; called for each pass.
        scope: of the query, which records errors of the object.
        skipped: gets the lines of the last pass that do not match CONTENT_TYPE.

    Raises:
        QueryError: as `batches`.
        S3ConnError: it cannot be read.
    """

    def begin() -> Iterator[pa.RecordBatch]:
        skipped.clear()
        with scope.noting():
            yield from batches(detected, file(), skipped)

    return Reread(batches(detected, file(), Skipped(), rows=0).schema, begin)


def batches(detected: Detected, file: Any, skipped: Skipped | None = None, *, rows: int = ALL) -> pa.RecordBatchReader:
    """Return the rows of an object of a format that DuckDB cannot read, lazily.

    Args:
        detected: from its first bytes; its type is one of `IN_BATCHES`.
        file: the stored object, open and seekable.
        skipped: gets the lines that do not match CONTENT_TYPE.
        rows: 0 for the schema alone.

    Raises:
        QueryError: it is damaged or in another encoding, also while it is read; or it has no columns.
        S3ConnError: it cannot be read.
    """
    if detected.format.type in KINDS:
        made = record_batches(detected.format.type, file, detected.compression, rows=rows)
        if not made.schema.names:
            hint = "PREVIEW shows what it is. There is nothing in it to be read."
            raise QueryError("its records have no fields, so that there are no columns", hint=hint)
        return made
    text = unpacked(file, detected.compression, detected.encoding or "utf-8")
    content = Content(detected.format.type, detected.settings)
    return _rows(_pieces(content, text), content, skipped or Skipped())


def _pieces(content: Content, file: Any) -> Iterator[str]:
    """Yield the lines, the texts between matches of SPLIT_LINES' PATTERN, or the whole text for a multiline REGEX."""
    if content.get("MULTILINE"):
        yield _checked_length(file.read(_LONGEST + 1), "an object, which MULTILINE takes as a whole,").decode()
        return
    separator = str(content.get("PATTERN")) if content.type == "SPLIT_LINES" and content.get("PATTERN") else "\n"
    left, pattern = b"", separator.encode()
    while chunk := file.read(_CHUNK):
        *whole, left = (_checked_length(left, "a line") + chunk).split(pattern)
        yield from (line.decode() for line in whole)
    if left:
        yield left.decode()


def _checked_length(text: bytes, unit: str) -> bytes:
    if len(text) > _LONGEST:
        raise QueryError(f"{unit} is longer than {size_text(_LONGEST)}", hint="CONTENT_TYPE says how its records end.")
    return text


def _batched(pieces: Iterator[str]) -> Iterator[list[str]]:
    """Yield batches of pieces, worth a query each and bounded in memory."""
    batch: list[str] = []
    size = 0
    for piece in pieces:
        batch.append(piece.removesuffix("\r"))
        size += len(piece)
        if len(batch) == _AT_ONCE or size > _MUCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _rows(pieces: Iterator[str], content: Content, skipped: Skipped) -> pa.RecordBatchReader:
    import pyarrow as pa

    names, read = _READERS[content.type](content, skipped)
    schema = pa.schema([(name, pa.string()) for name in names])

    def made() -> Iterator[pa.RecordBatch]:
        before = 0
        for batch in _batched(pieces):
            rows = iter(read(batch, before))
            before += len(batch)
            while part := list(islice(rows, _AT_ONCE)):
                columns = [pa.array(column, pa.string()) for column in zip(*part, strict=True)]
                yield pa.record_batch(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, made())


def _one_column(_: Content, __: Skipped) -> _Reader:
    return (_LINE,), lambda lines, _: ((line,) for line in lines)


_UNMATCHED = "not matched by the PATTERN, and not loaded"


def _matching(content: Content, skipped: Skipped) -> _Reader:
    """Return a reader whose columns are the named groups, or all groups by number; other lines are skipped."""
    import duckdb
    import pyarrow as pa

    expression = RegularExpression.parse(str(content.get("PATTERN")))
    groups, nulls = expression.groups, set(content.get("NULL_VALUES", ()))
    numbers = [at for at, name in enumerate(groups, 1) if name] or [*range(1, len(groups) + 1)] or [0]
    multiline = bool(content.get("MULTILINE"))
    query = _matches(expression.text, len(groups), [0, *numbers], multiline=multiline)
    database = duckdb.connect(config={"threads": 1})

    def read(texts: list[str], before: int) -> Iterator[_Row]:
        places = pa.array(range(len(texts)), pa.int64())
        database.register("pieces", pa.table({"place": places, "piece": pa.array(texts, pa.string())}))
        rows, due, end = database.execute(query), 0, 0
        while batch := rows.fetchmany(_AT_ONCE):
            for at, line, *values in batch:
                if multiline:
                    begin = texts[0].find(line, end)
                    _count_between(texts[0], end, begin, skipped)
                    end = begin + len(line)
                else:
                    _count_unmatched(texts, due, at, before, skipped)
                due = max(due, at + 1)
                yield tuple(None if value in nulls else value for value in values) if nulls else tuple(values)
        if multiline:
            _count_between(texts[0], end, len(texts[0]), skipped)
        else:
            _count_unmatched(texts, due, len(texts), before, skipped)

    return tuple(groups[at - 1] or f"group{at}" if at else _LINE for at in numbers), read


def _count_unmatched(texts: list[str], start: int, stop: int, before: int, skipped: Skipped) -> None:
    """Count lines without a match, except empty ones."""
    for at in range(start, stop):
        if texts[at]:
            skipped.add(before + at + 1, texts[at], _UNMATCHED)


def _count_between(text: str, start: int, stop: int, skipped: Skipped) -> None:
    """Count the lines between two matches, without those that a match touches."""
    if start and text[start - 1] != "\n":
        start = text.find("\n", start, stop) + 1 or stop
    stop = stop if stop == len(text) else text.rfind("\n", start, stop) + 1
    if start < stop:
        before = text.count("\n", 0, start)
        for number, line in enumerate(text[start:stop].splitlines(), before + 1):
            if line.strip():
                skipped.add(number, line, _UNMATCHED)


def _matches(expression: str, groups: int, wanted: list[int], *, multiline: bool) -> str:
    """Return the query of some groups of the first match in each piece, or of all matches; by RE2, as in DuckDB."""
    # Group 0 is selected if there is no other. A single match consumes the rest of the text.
    pattern = f"(?m)({expression})" if multiline else f"({expression})(?s:.*)"
    names = ", ".join(f"'g{at}'" for at in range(groups + 1))
    matches = f"unnest(regexp_extract_all(piece, {literal(pattern)}, [{names}]))"
    columns = ", ".join(f"m.g{at}" for at in wanted)
    return f"SELECT place, {columns} FROM (SELECT place, {matches} AS m FROM pieces)"  # noqa: S608 - numbers, and a quoted text


_SHORT = "too short for the last of the columns, which are NULL there"


def _fixed(content: Content, skipped: Skipped) -> _Reader:
    fields = content.get("COLUMNS")
    least = max(first for _, first, _ in fields)

    def read(lines: list[str], before: int) -> Iterable[_Row]:
        for at, line in enumerate(lines, before + 1):
            if not line.strip():
                continue
            if len(line) <= least:
                skipped.add(at, line, _SHORT)
            yield tuple(line[first : last + 1].strip() or None for _, first, last in fields)

    return tuple(name for name, _, _ in fields), read


_READERS = {"SPLIT_LINES": _one_column, "REGEX": _matching, "FIXED_WIDTH": _fixed}
IN_BATCHES = {*KINDS, *_READERS}
"""Types of CONTENT_TYPE that are read here."""


FILE = "s3conn_magic file"
"""Column with the name of each row's object."""


def json_lines(database: duckdb.DuckDBPyConnection, objects: Iterable[tuple[Any, bytes]]) -> pa.Table | None:
    """Return the records of JSON-lines objects as written, in the columns `json` and `FILE`.

    Opening an object costs DuckDB more than reading its records, so many are read as one text.

    Returns:
        None if an object may have another layout or be damaged, which DuckDB then reports.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    names, counts, texts = [], [], []
    for name, data in objects:
        text = data.removesuffix(b"\n")
        count = text.count(b"\n")
        if text and not (text[:1] == b"{" and text[-1:] == b"}" and count == text.count(b"}\n{")):
            return None
        if text:
            names.append(name)
            counts.append(count + 1)
            texts.append(text)
    try:
        joined = pa.array([b"\n".join(texts)] if texts else [], pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:  # not UTF-8
        return None
    records = pc.split_pattern(joined, "\n").flatten()
    files = pa.array(names).take(pa.array(np.repeat(np.arange(len(names)), counts)))
    lines = pa.table({"json": records, FILE: files})
    ((valid,),) = database.from_arrow(lines).aggregate("bool_and(json_valid(json))").fetchall()
    return lines if valid else None


# Reports and listings

_FUNCTIONS = {
    "inventory": "(path) AS TABLE FROM query_table('inventory of ' || path)",
    "objects": "(path, versions := false) AS TABLE FROM query_table("
    "CASE WHEN versions THEN 'versions of ' ELSE 'objects of ' END || path)",
}
_TAKES = {
    "inventory": "inventory() takes the path of a manifest.json, written out or as $name",
    "objects": "objects() takes an s3:// location, written out or as $name, and versions => true or false",
}


@contextmanager
def listings(
    database: duckdb.DuckDBPyConnection,
    filesystem: ConnectionFileSystem,
    tree: QueryTree | None,
    parameters: Mapping[str, Any],
) -> Iterator[None]:
    """Define `inventory('s3://…')` and `objects('s3://…')` as a query uses them, during a block.

    Raises:
        QueryError: a path is not known before the query runs.
        S3ConnError: it is not a report, or cannot be read.
    """
    calls = dict.fromkeys(_calls_in(tree, parameters) if tree is not None else ())
    query = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_name IN ('inventory', 'objects')"
    # Macros of the same name take precedence.
    known = {name for (name,) in database.execute(query).fetchall()} if calls else set()
    names: list[str] = []
    made = dict.fromkeys(function for function, *_ in calls if function not in known)
    try:
        for function, of, path in calls:
            if function in made:
                names.append(f"{of} of {path}")
                rows = _report(filesystem, path) if of == "inventory" else _objects(filesystem, path, of == "versions")
                database.register(names[-1], rows)
        for function in made:
            database.execute(f"CREATE TEMP MACRO {function}{_FUNCTIONS[function]}")
        yield
    finally:
        for function in made:
            database.execute(f"DROP MACRO TABLE IF EXISTS temp.{function}")
        for name in names:
            database.unregister(name)


def _calls_in(tree: QueryTree, parameters: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield function, kind (`inventory`, `objects` or `versions`) and path of each call."""
    for node in tree.nodes():
        function = node["function"]["function_name"].lower() if node.get("type") == "TABLE_FUNCTION" else ""
        if function in _FUNCTIONS:
            written = list(arguments(node["function"]))
            paths = [value for name, value in written if not name]
            flags = [_boolean(value) for name, value in written if name == "versions" and function == "objects"]
            value = paths[0] if paths else {}
            path = parameters.get(str(value.get("identifier")), constant(value)) if value else None
            if len(paths) != 1 or len(paths) + len(flags) != len(written) or None in flags or not isinstance(path, str):
                raise pointed(tree.sql, _TAKES[function], tree.position(node), f"Write FROM {function}('s3://…').")
            of = "inventory" if function == "inventory" else "versions" if any(flags) else "objects"
            yield function, of, path


def _boolean(value: Mapping[str, Any]) -> bool | None:
    """Return the value of TRUE or FALSE in DuckDB's tree; None for anything else."""
    inner = value.get("child", value) if value.get("class") == "CAST" else value
    if inner.get("class") != "CONSTANT":
        return None
    text = str(inner["value"].get("value", "")) if "value" in inner else str(inner["literal"].get("text", ""))
    return {"true": True, "t": True, "false": False, "f": False}.get(text.lower())


def _report(filesystem: ConnectionFileSystem, path: str) -> StreamedRows:
    from s3conn_magic.inventory import open_manifest
    from s3conn_magic.inventory.reading import Inventory, StreamedRows, schema_of

    scope = filesystem.scope
    with scope.noting():
        where = Path.parse(path)
        connection = filesystem.through(where, scope)
        manifest = open_manifest(connection, where.location)
    scope.asked(2)
    scope.note(manifest.as_of)
    return StreamedRows(lambda: Inventory(connection, manifest), schema_of(manifest), scope)


def _objects(filesystem: ConnectionFileSystem, path: str, versions: bool) -> StreamedRows:
    from s3conn_magic.inventory.reading import ListedRows, StreamedRows, listed_schema

    scope = filesystem.scope
    with scope.noting():
        where = Path.parse(path)
        connection = filesystem.through(where, scope)
        target = connection.target(where.location.bucket)
    open_ = partial(ListedRows, target, where.location, versions, scope)
    return StreamedRows(open_, listed_schema(versions=versions), scope)
