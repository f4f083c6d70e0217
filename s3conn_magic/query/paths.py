"""What stands behind a path of a query: objects by their content, and those of text as rows of exact types."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.language.words import table_text
from s3conn_magic.locations import Location, Pasted, looks_pasted, pasted, visible
from s3conn_magic.objects.apart import Reread
from s3conn_magic.objects.containers import ALL
from s3conn_magic.objects.formats import HEAD, by_name, detect, how_to_read, is_no_table, is_parquet, is_seen
from s3conn_magic.objects.listed import Path, escaped, partitions
from s3conn_magic.objects.scope import UNPACKED, AsPlain
from s3conn_magic.objects.unpacking import is_damage
from s3conn_magic.query.failures import details_of, pointed
from s3conn_magic.query.judgement import judged
from s3conn_magic.query.line_rows import FILE, IN_BATCHES, Skipped, batches, json_lines
from s3conn_magic.query.names import Mention, lake_query, nodes
from s3conn_magic.query.sql import behind, check_widened, identifier, literal
from s3conn_magic.query.text_rows import (
    SAMPLE,
    CsvRows,
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
    from s3conn_magic.objects.listed import Partition
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.names import Mentioned, QueryTree
    from s3conn_magic.query.sql import Travel
    from s3conn_magic.query.tables import Tables
    from s3conn_magic.query.text_rows import TextRows

_SMALL = 4 * 1024 * 1024
"""Bytes of objects of which all records are looked at before they are read."""
_HINT = f"the first {SAMPLE:,} records are of that type"


def paths_of(
    uses: Mentioned, tables: Tables, travels: Iterable[Travel] = (), read: Callable[[str], Pasted] = pasted
) -> dict[str, Mention]:
    """The paths that a query mentions, and those of the tables over files of text that it does, by their names.

    Args:
        uses: what the query mentions.
        tables: those of the session.
        travels: what it wants as of another time.
        read: reads a location in another form that people paste.

    Raises:
        QueryError: a table that is wanted as of another time is no lake table.
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
            said = f"{visible(table)} has no earlier versions: AT is for the folder of a lake table"
            raise QueryError(
                said, hint="Leave AT out, or name the folder: FROM 's3://bucket/table/' AT (VERSION => 3)."
            )
        paths[travel.stands] = mention._replace(moment=travel.moment)
    return paths


def path_of(name: str, read: Callable[[str], Pasted] = pasted) -> str:
    """The path, with `s3://`, that a name in a query is; empty where it is none.

    Args:
        name: a path, or a location in another form that people paste.
        read: reads such a form.

    Raises:
        QueryError: it looks like such a form, and is no location.
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
        # Exact, no pattern, whatever is in the key.
        key = place.location.key
        plain = Location(place.location.bucket, key if place.version else escaped(key))
        return place._replace(location=plain).uri
    raise QueryError(f"this is not a location: {reason}", hint=hint)


def check_forms(tree: QueryTree, read: Callable[[str], Pasted] = pasted) -> None:
    """Refuse a location in another form than `s3://` as what a function reads, with the path that it is.

    Raises:
        QueryError: a function is given one.
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
    """Have the paths that a query mentions as views for the length of a block, where DuckDB would not read them right.

    Args:
        database: the session's.
        filesystem: reads the objects.
        paths: with `s3://`, by the name that the query has for each.

    Raises:
        QueryError: an object is damaged.
        S3ConnError: one cannot be read.
    """
    made: list[str] = []
    try:
        for name, mention in paths.items():
            path = mention.path
            query = lake_query(database, filesystem, name, mention)
            if query is None and mention.moment:  # a version of an object
                path = f"{path}?versionId={mention.moment.version}"
            query = query or _query(database, filesystem, path, by_itself=name == path)
            if query:
                _make_view(database, name, query)
                made.append(name)
            elif name != path:
                said = f"there are no files at {visible(path)} any more"
                raise filesystem.scope.missing or QueryError(said, hint="DROP TABLE forgets a table that reads them.")
        yield
    finally:
        for name in made:
            database.execute(f"DROP VIEW temp.{identifier(name)}")
            database.unregister(f"{paths[name].path} (rows)")
            database.unregister(f"{name} (state)")


def _query(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, path: str, *, by_itself: bool
) -> str | None:
    """The query of what is at a path; None where DuckDB's own answer is right, or the better error.

    Args:
        database: the session's.
        filesystem: reads the objects.
        path: with `s3://`.
        by_itself: whether that is what the query says, so that DuckDB can answer.
    """
    entries = filesystem.glob(path.removeprefix("s3://"))
    if is_parquet(path):
        by_duckdb = None if by_itself and is_seen(path) else f"FROM read_parquet({literal(path)})"
        return _parquet_query(database, filesystem, entries, path) or by_duckdb
    if not entries:
        if filesystem.scope.missing and not path.endswith("/"):
            raise filesystem.scope.missing
        return None
    first, head = _first(filesystem, entries)
    detected = _detected(first, head, path)
    if detected.format.type in IN_BATCHES:
        return _registered(database, filesystem, path, entries)
    if detected.format.reader == "read_parquet":
        return _parquet_query(database, filesystem, entries, path) or f"FROM read_parquet({literal(path)})"
    return _text_query(database, filesystem, _Objects(path, entries, first, detected))


class _Objects(NamedTuple):
    """The objects at a path, and what one of them is, the first that has some bytes."""

    path: str
    entries: Sequence[str]
    first: str
    detected: Detected


def _detected(entry: str, head: bytes, path: str) -> Detected:
    """What an object is, of which these are the first bytes.

    Raises:
        QueryError: it cannot be told, or is damaged, or not read.
    """
    where = Path.parse(entry).location
    try:
        return detect(where.key, head, whole=len(head) < HEAD)
    except QueryError as error:
        hint, of_copy, _ = error.hint.partition("CONTENT_TYPE")  # which a query has not
        if of_copy and not is_damage(error):
            error.hint = f"{hint.rstrip('; ')}." if is_no_table(head) else how_to_read(path)
        raise error.of(visible(where.uri)) from None


def _text_query(database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, objects: _Objects) -> str | None:
    scope, entries, detected, where = filesystem.scope, objects.entries, objects.detected, objects.path
    if _read_as_plain(filesystem, objects):
        where = where.replace("s3://", UNPACKED, 1)
    rows: TextRows = text_rows_of(where, detected, entries)
    if isinstance(rows, CsvRows) and len(entries) > 1:
        rows = several_csv(_each(filesystem, objects, where), detected).named(database)
    if isinstance(rows, CsvRows) and not rows.names:
        database.execute(f"SELECT count(*) FROM {rows.source}").fetchall()  # noqa: S608 - it may be damaged
        return None
    size, folders = sum(filesystem.info(entry)["size"] for entry in entries), _Folders.of(entries, database, scope)
    if len(entries) > 1 and not folders.columns:
        rows = _in_memory(database, filesystem, rows, objects, size)
    rows, known = _learnt(database, rows, whole=scope.all_records or (size <= _SMALL and len(entries) <= _FEW))
    types = {name: "VARCHAR" if kind == NULL else kind for name, kind in rows.types(known).items()}
    own, source = folders.within(types), with_files(rows, FILE) if folders.columns else ""
    for name in own:
        value = identifier(name) if isinstance(rows, CsvRows) else f"json_extract_string(json, {literal(f'/{name}')})"
        looked = source if size <= _SMALL else ""
        folders.check(name, looked, value, "files", _without_folders(detected.format.reader, objects.path))
    if (beside := folders.beside(own)) and (own or not folders.everywhere):
        source = f"(SELECT * EXCLUDE ({identifier(FILE)}){folders.said_of(beside)} FROM {source})"  # noqa: S608
        rows = replace(rows, source=source, folders=tuple(beside))
    elif beside:
        rows = with_folders(rows, {name: folders.columns[name].kind for name in beside})
    return rows.select(known, types, _HINT) if types else None


def _each(filesystem: ConnectionFileSystem, objects: _Objects, where: str) -> Iterator[tuple[str, Detected]]:
    """The path of each object that is not empty, and what it is: one may have a header, and the next none.

    Raises:
        QueryError: one is no table of text, or cannot be told.
    """
    scheme, known = UNPACKED if where.startswith(UNPACKED) else "s3://", dict[bytes, Any]()
    for entry in objects.entries:
        path = Path.parse(entry)
        with filesystem.open(entry, "rb") as file:
            head = file.read(HEAD)
        # Where the first lines are the same names, so is all that they tell.
        line = head.partition(b"\n")[0]
        detected = known.get(line) or (_detected(entry, head, objects.path) if head else None)
        if detected is None:
            continue
        if detected.format.reader != "read_csv":
            what = f"it is {detected.format.name}, but other objects of the path are not"
            raise QueryError(what, hint=_ALIKE).of(visible(path.location.uri))
        if detected.settings.get("HEADER") and not detected.compression:
            known[line] = detected
        yield f"{scheme}{path.named(escaped(path.location.key))}", detected


def _learnt(database: duckdb.DuckDBPyConnection, rows: TextRows, *, whole: bool) -> tuple[Any, Any]:
    """The rows with room for their records, and what is known of their values."""
    import duckdb

    try:
        return rows, rows.learn(database, whole=whole)
    except duckdb.Error as error:
        larger = with_room(rows, error)
        if larger is None:
            raise
    return larger, larger.learn(database, whole=whole)


def _in_memory(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, rows: TextRows, objects: _Objects, size: int
) -> TextRows:
    """The same rows from memory, if that pays: each look at many small objects would open all of them again."""
    are_small = size <= min(_TOGETHER, _EACH * len(objects.entries))
    if are_small and rows.source.startswith("read_json_objects('s3://"):
        lines = json_lines(database, filesystem.bodies(objects.entries))
        if lines is not None:
            database.register(f"{objects.path} (rows)", lines.select(["json"]))
            return replace(rows, source=identifier(f"{objects.path} (rows)"))
    return _staged(database, rows, objects.path) if size <= _LOOKED_AT_TWICE else rows


def _staged(database: duckdb.DuckDBPyConnection, rows: TextRows, path: str) -> TextRows:
    """The same rows from memory, as DuckDB reads them."""
    import duckdb

    try:
        text = database.sql(f"SELECT * FROM {rows.source}").to_arrow_table()  # noqa: S608 - a reader's call
    except duckdb.Error as error:
        larger = with_room(rows, error)
        if larger is None:
            raise
        return _staged(database, larger, path)
    database.register(f"{path} (rows)", text)
    return replace(rows, source=identifier(f"{path} (rows)"))


_FEW = 100
_ALIKE = "Name those that are alike by their pattern: 's3://bucket/folder/*.csv'."
_LOOKED_AT_TWICE, _TOGETHER, _EACH = 8 * 1024 * 1024, 64 * 1024 * 1024, 256 * 1024
"""Bytes of objects of text that are read into memory together, by DuckDB and by us, and of each of them on average."""


def _registered(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, path: str, entries: Sequence[str]
) -> str:
    """The query of rows for which DuckDB has no reader: it is given batches of them."""
    import pyarrow as pa

    folders, schema = _Folders.of(entries, database, filesystem.scope), pa.schema([])
    for entry in entries:
        with _batches(filesystem, path, entry, 0) as reader:
            try:
                schema = pa.unify_schemas([schema, reader.schema]) if schema.names else reader.schema
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                said = visible(" ".join(str(error).split()))
                said = f"its columns are of other types than those of the objects before it: {said}"
                raise QueryError(said, hint=_ALIKE) from None
    names = schema.names
    schema = schema.append(pa.field(FILE, pa.string()))

    def begin() -> Iterator[pa.RecordBatch]:
        for entry in entries:
            with _batches(filesystem, path, entry, ALL) as reader:
                for batch in reader:
                    own = pa.Table.from_batches([batch]).append_column(FILE, pa.repeat(entry, len(batch)))
                    if not own.schema.equals(schema):  # which Arrow has no way to do for a union
                        own = pa.concat_tables([schema.empty_table(), own], promote_options="default")
                    yield from own.to_batches()

    source, own = identifier(f"{path} (rows)"), folders.within(names)
    database.register(f"{path} (rows)", Reread(schema, begin))
    for name in own:
        way_out = f"COPY FROM S3 with EXCLUDE_COLUMNS = ({literal(name)}) loads neither."
        folders.check(name, source, identifier(name), "files", way_out)
    added = folders.said_of(folders.beside(own))
    return f"SELECT * EXCLUDE ({identifier(FILE)}){added} FROM {source}"  # noqa: S608 - quoted names


def _in_batches(detected: Detected) -> Detected:
    if detected.format.type not in IN_BATCHES:
        raise QueryError(f"it is {detected.format.name}, but other objects of the path are not", hint=_ALIKE)
    return detected


@contextmanager
def _batches(filesystem: ConnectionFileSystem, path: str, entry: str, rows: int) -> Iterator[pa.RecordBatchReader]:
    """The rows of one object; 0 for its columns alone. One without bytes has none."""
    import pyarrow as pa

    scope, skipped, where = filesystem.scope, Skipped(), visible(Path.parse(entry).location.uri)
    with scope.noting(), filesystem.open(entry, "rb") as file:
        head = file.read(HEAD)
        try:
            detected = _in_batches(_detected(entry, head, path)) if head else None
            file.seek(0)
            yield batches(detected, file, skipped, rows=rows) if detected else pa.table({}).to_reader()
        except QueryError as error:
            raise error.of(where) from None
    if rows and (said := skipped.note()):
        scope.note(f"{where}: {said}")


def _first(filesystem: ConnectionFileSystem, entries: Sequence[str]) -> tuple[str, bytes]:
    """The first object that has some bytes, and its first bytes; any where none of the first objects has."""
    for entry in entries[:_FEW]:
        (head,) = filesystem.cat_ranges([entry], [0], [HEAD], on_error="raise")
        if head:
            return entry, bytes(head)
    return entries[0], b""


def _read_as_plain(filesystem: ConnectionFileSystem, objects: _Objects) -> bool:
    """Have all objects read as plain content where any has to be; one tells for all with its compression's ending."""
    ways = {by_name(objects.first).packed: objects.detected.as_plain()}
    for entry in objects.entries:
        if by_name(entry).packed not in ways:
            ways[by_name(entry).packed] = _detected(*_first(filesystem, [entry]), objects.path).as_plain()
    if any(ways.values()):
        for entry in objects.entries:
            filesystem.read_as_plain(entry, ways[by_name(entry).packed] or AsPlain(None, ""))
    return any(ways.values())


class _Folders(NamedTuple):
    """The columns that the folders of some objects write; `everywhere` where each has each once, and DuckDB agrees."""

    entries: Sequence[str]
    columns: Mapping[str, Partition]
    everywhere: bool
    database: duckdb.DuckDBPyConnection
    scope: QueryScope

    @classmethod
    def of(cls, entries: Sequence[str], database: duckdb.DuckDBPyConnection, scope: QueryScope) -> _Folders:
        """Those of the objects at some paths."""
        keys = [Path.parse(entry).location.key for entry in entries] if any("=" in entry for entry in entries) else []
        columns = partitions(keys, "")
        everywhere = bool(columns) and all(f"/{key}".count(f"/{name}=") == 1 for name in columns for key in keys)
        return cls(entries, columns, everywhere, database, scope)

    def within(self, names: Iterable[str]) -> list[str]:
        """Those of some names that a folder writes, too."""
        written = {name.casefold() for name in self.columns}
        return [name for name in names if name.casefold() in written]

    def beside(self, own: Sequence[str]) -> list[str]:
        """The columns that the files have not themselves."""
        there = {name.casefold() for name in own}
        return [name for name in self.columns if name.casefold() not in there]

    def check(self, name: str, source: str, value: str, read: str, way_out: str) -> None:
        """Refuse files whose column says another thing than their folder; a note where they are not looked into.

        Args:
            name: of the column.
            source: what stands behind FROM, with the path of each row's file in `FILE`; empty not to look.
            value: the column's value, in SQL.
            read: what the column is read from, for the note.
            way_out: what to do where a file says so.

        Raises:
            QueryError: one says so.
        """
        if not source or len(self.entries) > _FEW:
            self.scope.note(
                f"The column {name} is in the files, and in the names of folders: it is read from the {read}."
            )
            return
        column = next(folder for folder in self.columns if folder.casefold() == name.casefold())
        own = f"TRY_CAST({value} AS {self.columns[column].kind})"
        query = f"SELECT {identifier(FILE)} FROM {source} WHERE {own} IS DISTINCT FROM {self.said(column)} LIMIT 1"  # noqa: S608
        for (file,) in self.database.execute(query).fetchall():
            where = Path.parse(next(entry for entry in self.entries if str(file).endswith(entry))).location
            said = self.columns[column].values[where.key] or "NULL"
            raise QueryError(
                f"the folder of {visible(where.uri)} says {name} = {said}, and its column {name} says otherwise",
                hint=way_out,
            )

    def said_of(self, columns: Iterable[str]) -> str:
        """What the folder of each row says of some columns, behind the others of a SELECT."""
        return "".join(f", {self.said(column)} AS {identifier(column)}" for column in columns)

    def said(self, column: str) -> str:
        """What the folder of each row says of a column, in SQL."""
        partition = self.columns[column]
        texts = {entry: partition.values[Path.parse(entry).location.key] for entry in self.entries}
        cases = " ".join(
            f"WHEN ends_with({identifier(FILE)}, {literal(entry)}) THEN {literal(text)}"
            for entry, text in texts.items()
            if text is not None
        )
        return f"TRY_CAST(CASE {cases} END AS {partition.kind})" if cases else f"NULL::{partition.kind}"


def _without_folders(reader: str, path: str) -> str:
    return f"FROM {reader}({literal(visible(path))}, hive_partitioning = false) leaves folders alone."


def _check_parquet(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, entries: Sequence[str], path: str
) -> None:
    """The same of files of Parquet, which DuckDB reads by itself, and then believes the folder."""
    folders = _Folders.of(entries, database, filesystem.scope)
    if folders.columns:
        files = _literals(entries)
        call = "read_parquet([{}], hive_partitioning = false, filename = " + literal(FILE) + ")"
        names = database.execute(f"DESCRIBE FROM {call.format(files[0])}").fetchall()
        for own in folders.within(name for name, *_ in names):
            source = call.format(", ".join(files[:_FEW]))
            folders.check(own, source, identifier(own), "folders", _without_folders("read_parquet", path))


def _parquet_query(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, entries: Sequence[str], path: str
) -> str | None:
    """The query of files of Parquet; None where DuckDB's own answer is right."""
    _check_parquet(database, filesystem, entries, path)
    folders = _Folders.of(entries, database, filesystem.scope)
    if folders.everywhere or not folders.columns:
        return _of_several(database, filesystem, entries, path)
    # Columns of folders that not all of the files are in, DuckDB leaves out.
    query = _of_several(database, filesystem, entries, path, copied=False) or f"FROM read_parquet({literal(path)})"
    source = f"{query.removesuffix(')')}, hive_partitioning = false, filename = {literal(FILE)})"
    own = folders.within(name for name, *_ in database.execute(f"DESCRIBE {source}").fetchall())
    return f"SELECT * EXCLUDE ({identifier(FILE)}){folders.said_of(folders.beside(own))} {source}"


def _literals(entries: Sequence[str]) -> list[str]:
    """The paths of some objects in SQL."""
    return [literal(f"s3://{Path.parse(entry).named(escaped(Path.parse(entry).location.key))}") for entry in entries]


def _of_several(
    database: duckdb.DuckDBPyConnection,
    filesystem: ConnectionFileSystem,
    entries: Sequence[str],
    path: str,
    *,
    copied: bool = True,
) -> str | None:
    """The query of files of Parquet that differ in their columns, which DuckDB would cast to those of the first.

    Raises:
        QueryError: there is no type that holds the values of a column in all of the files.
    """
    import duckdb

    if len(entries) < _SEVERAL:
        return None
    text, read = filesystem.scope.text, f"FROM read_parquet({literal(path)}"
    copies = None if not (copied and text) or _asks_for_some(text, entries) else filesystem.copies(path, entries)
    if copies is not None:
        files = [literal(copies.pattern)]
        read = read if _NAMES_FILES.search(text) else f"FROM read_parquet({literal(copies.pattern)}"
    elif len(entries) > _FEW and _asks_for_some(text, entries):
        filesystem.scope.note(
            f"Of {len(entries):,} files of Parquet, not all were checked for columns of the same types."
        )
        return None
    else:
        files = _literals(entries)
        ends = [filesystem.info(entry)["size"] for entry in entries]
        filesystem.cat_ranges(entries, [max(end - _TAIL, 0) for end in ends], ends)
    try:
        alike = copies.alike if copies is not None else None
        if alike is None:
            alike = database.execute(alike_in(files)).fetchall()
            if copies is not None:
                copies.alike = alike
        if len(alike) > 1:
            check_widened(database, [[literal(name) for name in names] for (names,) in alike], path)
            return f"{read}, union_by_name = true)"
    except duckdb.Error:  # what is wrong with a file is said where it is read
        pass
    return f"{read})" if copies is not None and copies.pattern in read else None


_SEVERAL = 2
_COLUMN = "name, type, num_children, converted_type, scale, precision, logical_type"


def alike_in(files: Iterable[str], more: str = "") -> str:
    """The query of the names of files of Parquet, quoted, those together whose columns are alike, and in `more`."""
    columns = f"list(({_COLUMN}{more}) ORDER BY column_id) AS columns"
    schemas = f"SELECT file_name, {columns} FROM parquet_schema([{', '.join(files)}]) GROUP BY 1"  # noqa: S608
    return f"SELECT list(file_name ORDER BY file_name) FROM ({schemas}) GROUP BY columns ORDER BY min(file_name)"  # noqa: S608


_SOME = re.compile(r"\b(?:LIMIT|FETCH|SAMPLE|TABLESAMPLE)\b", re.IGNORECASE)
_SOME_FOLDERS = re.compile(r"\b(?:WHERE|JOIN|HAVING|QUALIFY)\b", re.IGNORECASE)
# The columns that DuckDB has beside those of the files, and what shows which these were.
_NAMES_FILES = re.compile(r"file_?name|file_row_number|file_index|\AEXPLAIN", re.IGNORECASE)


def _asks_for_some(text: str, entries: Sequence[str]) -> bool:
    """Whether a query may do without most of the objects."""
    in_folders = _SOME_FOLDERS.search(text) is not None and any("=" in entry for entry in entries)
    return in_folders or _SOME.search(text) is not None


_TAIL = 64 * 1024


def _make_view(database: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    import duckdb

    try:
        database.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS {query}")
    except duckdb.Error as error:
        # Its place is one in the view, not in the query.
        failure = type(error)(details_of(error)["exception_message"])
    else:
        return
    raise failure
