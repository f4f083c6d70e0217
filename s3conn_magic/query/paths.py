"""Read the paths of a query: objects by their content, and text as rows of exact types."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.language.words import counted, table_text
from s3conn_magic.locations import Location, Pasted, looks_pasted, pasted, visible
from s3conn_magic.objects.apart import Reread
from s3conn_magic.objects.containers import ALL
from s3conn_magic.objects.dialects import MARK_OF_QUOTED, unique_names
from s3conn_magic.objects.formats import HEAD, by_name, detect, how_to_read, is_no_table, is_parquet, is_seen
from s3conn_magic.objects.listed import Path, escaped
from s3conn_magic.objects.scope import UNPACKED, AsPlain
from s3conn_magic.objects.unpacking import ends_late, is_damage
from s3conn_magic.query.failures import details_of, pointed, uneven
from s3conn_magic.query.judgement import judged
from s3conn_magic.query.line_rows import FILE, IN_BATCHES, Skipped, batches, json_lines
from s3conn_magic.query.names import Mention, lake_query, nodes
from s3conn_magic.query.parquet_paths import FEW, WrittenByFolders, asks_for_some, parquet_query, without_folders
from s3conn_magic.query.sql import behind, check_widened, identifier, literal
from s3conn_magic.query.text_rows import (
    SAMPLE,
    CsvRows,
    JsonRows,
    always_there,
    csv_call,
    several_csv,
    text_rows_of,
    with_files,
    with_folders,
    with_room,
)
from s3conn_magic.query.text_types import NULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from s3conn_magic.objects.filesystem import ConnectionFileSystem
    from s3conn_magic.objects.formats import Detected
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.names import Mentioned, QueryTree
    from s3conn_magic.query.sql import TableOfAnotherTime
    from s3conn_magic.query.tables import Tables
    from s3conn_magic.query.text_rows import TextRows

_SMALL = 4 * 1024 * 1024
"""Size of objects whose records are all inspected before they are read."""
_HINT = f"the first {SAMPLE:,} records are of that type"


def paths_of(
    uses: Mentioned, tables: Tables, travels: Iterable[TableOfAnotherTime] = (), read: Callable[[str], Pasted] = pasted
) -> dict[str, Mention]:
    """Return the paths in a query, including those of its tables over text files, by name.

    Args:
        uses: names in the query.
        tables: of the session.
        travels: tables as of another time.
        read: parses a location in another form that people paste.

    Raises:
        QueryError: a table as of another time is not a lake table.
    """
    ours = {table.files: partial(tables.managed, table) for table in tables if table.catalog}
    over = {
        table.name.casefold(): Mention(table.files, None, ours.get(table.files))
        for table in tables
        if table.files and not table.declared
    }
    paths = {name: Mention(path) for name in uses.tables if (path := path_of(name, read))}
    names = {table_text([name]).casefold() for name in uses.tables} | {name.casefold() for name in uses.placed}
    paths |= {behind(name): over[name] for name in sorted(names & over.keys())}
    for travel in travels:
        table = travel.written.table
        path = path_of(travel.written.path, read)
        mention = Mention(path) if path else over.get(table.casefold())
        if mention is None:
            message = f"{visible(table)} has no earlier versions: AT is for the folder of a lake table"
            raise QueryError(
                message, hint="Leave AT out, or name the folder: FROM 's3://bucket/table/' AT (VERSION => 3)."
            )
        paths[travel.stands] = mention._replace(moment=travel.moment)
    return paths


def path_of(name: str, read: Callable[[str], Pasted] = pasted) -> str:
    """Return the path, with `s3://`, of a name in a query; empty if it is not one.

    Args:
        name: a path, or a location in another form that people paste.
        read: parses such a form.

    Raises:
        QueryError: it looks like such a form, and is not a location.
    """
    if name.startswith("s3://"):
        return name
    if not looks_pasted(name):
        return ""
    try:
        place = read(name)
    except ValueError as error:
        reason, hint = str(error), getattr(error, "hint", "")
    else:
        # Escaped: no key is a pattern.
        key = place.location.key
        plain = Location(place.location.bucket, key if place.version else escaped(key))
        return place._replace(location=plain).uri
    raise QueryError(f"this is not a location: {reason}", hint=hint)


def check_forms(tree: QueryTree, read: Callable[[str], Pasted] = pasted) -> None:
    """Refuse a location in another form than `s3://` as argument of a function, and suggest the path.

    Raises:
        QueryError: there is one.
    """
    for node in tree.nodes():
        name = node["function"]["function_name"] if node.get("type") == "TABLE_FUNCTION" else ""
        for part in nodes(node["function"]) if name.lower() in judged().files else ():
            text = str(part["literal"].get("text", "")) if part.get("class") == "CONSTANT" else ""
            with suppress(ValueError):
                if looks_pasted(text) and (path := read(text).uri):
                    hint = f"Write {literal(visible(path))} instead."
                    raise pointed(tree.sql, f"{name}() takes paths that begin with s3://", tree.position(node), hint)


@contextmanager
def views(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, paths: Mapping[str, Mention]
) -> Iterator[None]:
    """Define views for the paths in a query that DuckDB would not read correctly, during a block.

    Args:
        database: of the session.
        filesystem: reads the objects.
        paths: with `s3://`, by the name in the query.

    Raises:
        QueryError: an object is damaged.
        S3ConnError: one cannot be read.
    """
    names: list[str] = []
    try:
        for name, mention in paths.items():
            path = mention.path
            query = lake_query(database, filesystem, name, mention)
            if query is None and mention.moment:  # a version of an object
                path = f"{path}?versionId={mention.moment.version}"
            query = query or _query(database, filesystem, path, by_itself=name == path)
            if query:
                _make_view(database, name, query)
                names.append(name)
            elif name != path:
                text = f"there are no files at {visible(path)} any more"
                raise filesystem.scope.missing or QueryError(text, hint="DROP TABLE forgets a table that reads them.")
        yield
        for check in filesystem.scope.checks if paths else ():
            check()
    finally:
        if paths:
            filesystem.scope.checks.clear()
        for name in names:
            database.execute(f"DROP VIEW temp.{identifier(name)}")
            database.unregister(f"{paths[name].path} (rows)")
            database.unregister(f"{name} (state)")


def _query(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, path: str, *, by_itself: bool
) -> str | None:
    """Return the query of a path, or None if DuckDB's own result or error is better.

    Args:
        database: of the session.
        filesystem: reads the objects.
        path: with `s3://`.
        by_itself: whether the path is alone in FROM, so that DuckDB can read it.
    """
    entries = filesystem.glob(path.removeprefix("s3://"))
    if is_parquet(path) and not filesystem.scope.by_content:
        by_duckdb = None if by_itself and is_seen(path) else f"FROM read_parquet({literal(path)})"
        return parquet_query(database, filesystem, entries, path) or by_duckdb
    if not entries:
        if filesystem.scope.missing and not path.endswith("/"):
            raise filesystem.scope.missing
        return None
    first, head = _first(filesystem, entries)
    if not head and not any(filesystem.info(entry)["size"] for entry in entries):
        return "SELECT NULL::VARCHAR AS column0 WHERE false"
    detected = _detected(first, head, path)
    if detected.format.type in IN_BATCHES:
        return _registered(database, filesystem, path, entries)
    if detected.format.reader == "read_parquet":
        if filesystem.scope.by_content:
            _each(filesystem, _Objects(path, entries, first, detected))
        return parquet_query(database, filesystem, entries, path) or f"FROM read_parquet({literal(path)})"
    return _text_query(database, filesystem, _Objects(path, entries, first, detected))


class _Objects(NamedTuple):
    """The objects at a path, and the format of the first that is not empty."""

    path: str
    entries: Sequence[str]
    first: str
    detected: Detected


def _detected(entry: str, head: bytes, path: str) -> Detected:
    """Return the format of an object by its first bytes.

    Raises:
        QueryError: it is unknown, damaged, or not supported.
    """
    where = Path.parse(entry).location
    try:
        return detect(where.key, head, whole=len(head) < HEAD)
    except QueryError as error:
        hint, of_copy, _ = error.hint.partition("CONTENT_TYPE")  # queries do not have that option
        if of_copy and not is_damage(error):
            error.hint = f"{hint.rstrip('; ')}." if is_no_table(head) else how_to_read(path)
        raise error.of(visible(where.uri)) from None


def _text_query(database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, objects: _Objects) -> str | None:
    scope, entries, detected = filesystem.scope, objects.entries, objects.detected
    every = _each(filesystem, objects)
    _note_formats(scope, every.values(), objects.path)
    where = objects.path
    if _read_as_plain(filesystem, entries, every):
        where = where.replace("s3://", UNPACKED, 1)
    rows = _read_alike(database, where, objects, every)
    if isinstance(rows, CsvRows) and not rows.names:
        database.execute(f"SELECT count(*) FROM {rows.source}").fetchall()  # noqa: S608 - it may be damaged
        return None
    if isinstance(rows, CsvRows):
        scope.wide = scope.wide or any(map(partial(_ends_late, filesystem), every if where == objects.path else ()))
    rows = with_room(rows) if scope.wide else rows
    size, folders = (
        sum(filesystem.info(entry)["size"] for entry in entries),
        WrittenByFolders.of(entries, database, scope),
    )
    if len(entries) > 1 and not folders.columns:
        rows = _in_memory(database, filesystem, rows, objects, size)
    sure = scope.all_records or size <= _LOOKED_AT_TWICE
    known: Any = rows.learn(database, whole=scope.all_records or (size <= _SMALL and len(entries) <= FEW))
    rows = _with_even_fields(database, rows, where, every, whole=sure, wide=scope.wide)
    types = {name: "VARCHAR" if kind == NULL else kind for name, kind in rows.types(known).items()}
    own, source = folders.within(types), with_files(rows, FILE) if folders.columns else ""
    for name in own:
        text = identifier(name) if isinstance(rows, CsvRows) else f"json_extract_string(json, {literal(f'/{name}')})"
        looked, way_out = source if size <= _SMALL else "", without_folders(detected.format.reader, objects.path)
        folders.check(name, (text, types[name]), looked, "files", way_out)
    if (beside := folders.beside(own)) and (own or not folders.everywhere):
        source = f"(SELECT * EXCLUDE ({identifier(FILE)}){folders.said_of(beside)} FROM {source})"  # noqa: S608
        rows = replace(rows, source=source, folders=tuple(beside))
    elif beside:
        rows = with_folders(rows, {name: folders.columns[name].kind for name in beside})
    return rows.select(known, types, _HINT) if types else None


def _read_alike(
    database: duckdb.DuckDBPyConnection, where: str, objects: _Objects, every: Mapping[str, Detected]
) -> TextRows:
    """Return the records of all objects, each read in its own way."""
    named = _named(where, every)
    if objects.detected.format.reader == "read_csv" and len(objects.entries) > 1:
        return several_csv(named.items(), objects.detected).named(database)
    if len({each.format.type == _TRAIL for each in every.values()}) > 1:
        return _several_json(named.items())
    return text_rows_of(where, objects.detected, objects.entries)


def _several_json(objects: Iterable[tuple[str, Detected]]) -> JsonRows:
    """Return the records of several objects of JSON, some of them CloudTrail logs."""
    alike: dict[str, tuple[Detected, list[str]]] = {}
    for path, each in objects:
        alike.setdefault(each.format.type, (each, []))[1].append(path)
    sources = (text_rows_of(paths, each, paths).source for each, paths in alike.values())
    every = " UNION ALL BY NAME ".join(f"SELECT * FROM {source}" for source in sources)  # noqa: S608 - readers' calls
    return JsonRows(f"({every})")


def check_fields(
    database: duckdb.DuckDBPyConnection,
    objects: Mapping[str, Detected],
    names: Iterable[str] = (),
    *,
    wide: bool = False,
) -> None:
    """Check that no record of CSV has an empty field more while the last field of others is empty.

    DuckDB takes the delimiter before it for the end of the record, and any value may be the one that is too many.

    Args:
        database: reads the objects.
        objects: their formats by path in the engine's filesystem, as for `text_rows_of`; those of JSON are not read.
        names: of the objects, for the error.
        wide: whether records may be long.

    Raises:
        QueryError: a record has one.
    """
    import duckdb

    alike: dict[str, list[tuple[str, Detected, str]]] = {}
    labels = iter(names)
    for path, each in objects.items():
        name = next(labels, "")
        if each.format.reader != "read_csv":
            continue
        alike.setdefault(csv_call("", each.names, each), []).append((path, each, name))
    for group in alike.values():
        each = group[0][1]
        # Where the empty text is no null, DuckDB refuses such a field.
        source = _without_nulls([path for path, *_ in group], unique_names(each.names), each, wide=wide)
        try:
            database.execute(f"SELECT count(*) FROM {source}").fetchall()  # noqa: S608 - a reader's call
        except (duckdb.InvalidInputException, duckdb.NotImplementedException):
            for path, each, name in group:
                _check_ends(database, path, each, name, wide=wide)


def _without_nulls(paths: str | list[str], names: Sequence[str], detected: Detected, *, wide: bool, **more: str) -> str:
    """Return the reader's call for CSV in which no text is a null."""
    # It occurs nowhere, and must not be the delimiter either.
    null = "\x03" if MARK_OF_QUOTED in str(detected.settings.get("DELIMITER")) else MARK_OF_QUOTED
    source = csv_call(paths, names, detected, **more, nullstr=literal(null))
    return with_room(CsvRows(source, ())).source if wide else source


def _check_ends(database: duckdb.DuckDBPyConnection, path: str, detected: Detected, name: str, *, wide: bool) -> None:
    import duckdb

    *_, last, more = columns = unique_names([*detected.names, ""])
    # With a null text that occurs nowhere, a missing field is NULL and an empty one is not.
    source = _without_nulls(path, columns, detected, wide=wide, null_padding="true", parallel="false")
    numbered = f"SELECT row_number() OVER () AS n, {identifier(last)} AS l, {identifier(more)} AS m FROM {source}"  # noqa: S608
    query = f"SELECT min(n) FILTER (m IS NOT NULL), bool_or(m IS NULL AND l = '') FROM ({numbered})"  # noqa: S608
    with suppress(duckdb.InvalidInputException):  # it has other faults, too, which are said later
        ((record, ends_empty),) = database.execute(query).fetchall()
        if record is not None and (ends_empty or detected.trailing):
            raise uneven(f"record {record:,}", len(columns), len(columns) - 1).of(name)


def _with_even_fields(
    database: duckdb.DuckDBPyConnection,
    rows: TextRows,
    where: str,
    every: Mapping[str, Detected],
    *,
    whole: bool,
    wide: bool,
) -> TextRows:
    """Return the records after `check_fields`; if the last field of the first ones is not empty, it must not be."""
    same = len({each.names for each in every.values()}) == 1 and not any(each.trailing for each in every.values())
    if isinstance(rows, CsvRows) and same and not whole:
        last = rows.names[-1]
        query = f"SELECT 1 FROM (FROM {rows.source} LIMIT {SAMPLE}) WHERE {identifier(last)} IS NULL LIMIT 1"  # noqa: S608
        if not database.execute(query).fetchall():
            return replace(rows, source=always_there(rows.source, last, "the last field of a record is empty"))
    names = (visible(Path.parse(entry).location.uri) for entry in every)
    check_fields(database, _named(where, every), names, wide=wide)
    return rows


def _each(filesystem: ConnectionFileSystem, objects: _Objects) -> dict[str, Detected]:
    """Return the format of each object that is not empty: header and compression may differ.

    For JSON, one represents all with the same ending if the query may skip most of them.

    Raises:
        QueryError: one is not text of that format, or is unknown.
    """
    entries, reader = objects.entries, objects.detected.format.reader
    detected = objects.detected
    plain = reader == "read_json" and detected.format.type != _TRAIL and detected.as_plain() is None
    if len(entries) == 1:
        return {objects.first: objects.detected}
    if reader == "read_json" and len(entries) > FEW and asks_for_some(filesystem.scope.text, entries):
        firsts = {by_name(entry).packed: entry for entry in (*reversed(entries), objects.first)}
        return {entry: _detected(*_first(filesystem, [entry]), objects.path) for entry in firsts.values()}
    formats: dict[str, Detected] = {}
    known: dict[bytes, Detected] = {}
    for entry, head in _heads(filesystem, entries):
        # The same header means the same dialect.
        line = head.partition(b"\n")[0]
        if plain and head[:2] == b'{"' and b'"Records"' not in head[:_BEGINNING]:
            formats[entry] = objects.detected
            continue
        if not head:
            continue
        detected = known.get(line) or _detected(entry, head, objects.path)
        if detected.format.reader != reader:
            message = f"it is {detected.format.name}, but other objects of the path are not"
            raise QueryError(message, hint=_ALIKE).of(visible(Path.parse(entry).location.uri))
        if detected.settings.get("HEADER") and not detected.compression:
            known[line] = detected
        formats[entry] = detected
    return formats


def _heads(filesystem: ConnectionFileSystem, entries: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for at in range(0, len(entries), FEW):
        batch = entries[at : at + FEW]
        heads = filesystem.cat_ranges(batch, [0] * len(batch), [HEAD] * len(batch), on_error="raise")
        yield from zip(batch, map(bytes, heads), strict=True)


def _ends_late(filesystem: ConnectionFileSystem, entry: str) -> bool:
    def read(start: int, stop: int) -> bytes:
        return bytes(filesystem.cat_ranges([entry], [start], [stop], on_error="raise")[0])

    return ends_late(read, filesystem.info(entry)["size"])


def _named(where: str, every: Mapping[str, Detected]) -> dict[str, Detected]:
    """Return the formats of objects by their path, with the scheme of another."""
    scheme, paths = where.partition("://")[0], map(Path.parse, every)
    names = (f"{scheme}://{path.exact}" for path in paths)
    return dict(zip(names, every.values(), strict=True))


def _note_formats(scope: QueryScope, objects: Iterable[Detected], path: str) -> None:
    """Note how objects were read without explicit settings."""
    for (said, header), count in Counter(
        (each.said, each.settings.get("HEADER")) for each in objects if each.said
    ).items():
        kind, _, advice = said.partition(";")
        other = f"FROM read_csv({literal(visible(path))}, header = {str(not header).lower()})"
        way_out = f"; {other} {advice.split(maxsplit=3)[-1]}" if advice else ""
        scope.note(f"{counted(count, 'object')} {'was' if count == 1 else 'were'} read {kind}{way_out}.")


def _in_memory(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, rows: TextRows, objects: _Objects, size: int
) -> TextRows:
    """Return the rows from memory if that pays: each pass over many small objects would open all of them again."""
    are_small = size <= min(_TOGETHER, _EACH * len(objects.entries))
    if are_small and rows.source.startswith("read_json_objects('s3://"):
        lines = json_lines(database, filesystem.bodies(objects.entries))
        if lines is not None:
            database.register(f"{objects.path} (rows)", lines.select(["json"]))
            return replace(rows, source=identifier(f"{objects.path} (rows)"))
    return _staged(database, rows, objects.path) if size <= _LOOKED_AT_TWICE else rows


def _staged(database: duckdb.DuckDBPyConnection, rows: TextRows, path: str) -> TextRows:
    """Return the rows from memory, as DuckDB reads them."""
    text = database.sql(f"SELECT * FROM {rows.source}").to_arrow_table()  # noqa: S608 - a reader's call
    database.register(f"{path} (rows)", text)
    return replace(rows, source=identifier(f"{path} (rows)"))


_TRAIL, _BEGINNING = "CLOUDTRAIL", 64
_ALIKE = "Name those that are alike by their pattern: 's3://bucket/folder/*.csv'."
_LOOKED_AT_TWICE, _TOGETHER, _EACH = 8 * 1024 * 1024, 64 * 1024 * 1024, 256 * 1024
"""Bytes of text read into memory together, by DuckDB and by us, and their average per object."""


def _registered(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, path: str, entries: Sequence[str]
) -> str:
    """Return a query over rows for which DuckDB has no reader: registered batches, one source per schema."""
    import pyarrow as pa

    folders = WrittenByFolders.of(entries, database, filesystem.scope)
    formats: list[Detected] = []
    alike: dict[pa.Schema, list[str]] = {}
    for entry in entries:
        with _batches(filesystem, path, entry, 0, formats) as reader:
            if reader.schema.names:
                alike.setdefault(reader.schema.remove_metadata(), []).append(entry)
    _note_formats(filesystem.scope, formats, path)
    sources = []
    for at, (schema, those) in enumerate(alike.items()):
        rows = partial(_batches_of, filesystem, path, those)
        database.register(name := f"{path} (rows{at or ''})", Reread(schema.append(pa.field(FILE, pa.string())), rows))
        sources.append(identifier(name))
    source = sources[0]
    if len(sources) > 1:
        source = " UNION ALL BY NAME ".join(f"SELECT * FROM {each}" for each in sources)  # noqa: S608 - quoted names
        check_widened(database, source, [(each, each) for each in sources], lambda _: _ALIKE)
        source = f"({source})"
    types = {name: kind for name, kind, *_ in database.execute(f"DESCRIBE FROM {source}").fetchall()}
    own = folders.within(types)
    for name in own:
        way_out = f"COPY FROM S3 with EXCLUDE_COLUMNS = ({literal(name)}) loads neither."
        folders.check(name, (identifier(name), types[name]), source, "files", way_out)
    added = folders.said_of(folders.beside(own))
    return f"SELECT * EXCLUDE ({identifier(FILE)}){added} FROM {source}"  # noqa: S608 - quoted names


def _batches_of(filesystem: ConnectionFileSystem, path: str, entries: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of objects with one schema, each with the name of its object."""
    import pyarrow as pa

    for entry in entries:
        with _batches(filesystem, path, entry, ALL) as reader:
            for batch in reader:
                yield batch.append_column(FILE, pa.repeat(entry, len(batch)))


def _in_batches(detected: Detected) -> Detected:
    if detected.format.type not in IN_BATCHES:
        raise QueryError(f"it is {detected.format.name}, but other objects of the path are not", hint=_ALIKE)
    return detected


@contextmanager
def _batches(
    filesystem: ConnectionFileSystem, path: str, entry: str, rows: int, formats: list[Detected] | None = None
) -> Iterator[pa.RecordBatchReader]:
    """Yield the rows of an object (0 for the columns alone; none without bytes); its format goes into `formats`."""
    import pyarrow as pa

    scope, skipped, where = filesystem.scope, Skipped(), visible(Path.parse(entry).location.uri)
    with scope.noting(), filesystem.open(entry, "rb") as file:
        head = file.read(HEAD)
        try:
            detected = _in_batches(_detected(entry, head, path)) if head else None
            file.seek(0)
            if formats is not None and detected:
                formats.append(detected)
            yield batches(detected, file, skipped, rows=rows) if detected else pa.table({}).to_reader()
        except QueryError as error:
            raise error.of(where) from None
    if rows and skipped.count:
        scope.note(f"{where}: {skipped.note()}")


def _first(filesystem: ConnectionFileSystem, entries: Sequence[str]) -> tuple[str, bytes]:
    """Return the first object that is not empty, and its first bytes; any if none of the first has bytes."""
    for entry in entries[:FEW]:
        (head,) = filesystem.cat_ranges([entry], [0], [HEAD], on_error="raise")
        if head:
            return entry, bytes(head)
    return entries[0], b""


def _read_as_plain(filesystem: ConnectionFileSystem, entries: Sequence[str], every: Mapping[str, Detected]) -> bool:
    """Have all objects decoded if any must be."""
    ways = {entry: detected.as_plain() for entry, detected in every.items()}
    if any(ways.values()):
        by_packing = {by_name(entry).packed: way for entry, way in ways.items()}
        for entry in entries:
            empty = filesystem.info(entry)["size"] == 0
            way = ways[entry] if entry in ways else None if empty else by_packing.get(by_name(entry).packed)
            filesystem.read_as_plain(entry, way or AsPlain(None, ""))
    return any(ways.values())


def _make_view(database: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    import duckdb

    try:
        database.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS {query}")
    except duckdb.Error as error:
        # The error's position is in the view, not in the query.
        failure = type(error)(details_of(error)["exception_message"])
    else:
        return
    raise failure
