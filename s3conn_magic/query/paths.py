"""What stands behind a path of a query: objects by their content, and those of text as rows of exact types."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from s3conn_magic.errors import QueryError
from s3conn_magic.language.job_values import Content
from s3conn_magic.locations import visible
from s3conn_magic.objects.apart import KINDS, Reread, record_batches
from s3conn_magic.objects.containers import ALL
from s3conn_magic.objects.formats import HEAD, by_name, call, call_by_name, detect, is_seen, reader_of
from s3conn_magic.objects.listed import Path, partitions
from s3conn_magic.objects.scope import UNPACKED
from s3conn_magic.objects.unpacking import is_damage
from s3conn_magic.query.failures import details_of
from s3conn_magic.query.judgement import arguments
from s3conn_magic.query.sql import identifier
from s3conn_magic.query.text_rows import SAMPLE, CsvRows, several_csv, text_rows_of, with_room
from s3conn_magic.query.text_types import MARK, NULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import duckdb

    from s3conn_magic.objects.filesystem import ConnectionFileSystem
    from s3conn_magic.objects.formats import Detected
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.names import Mentioned, QueryTree
    from s3conn_magic.query.tables import Table
    from s3conn_magic.query.text_rows import TextRows

_Result = TypeVar("_Result")

_SMALL = 4 * 1024 * 1024
"""Bytes of objects of which all records are looked at before they are read."""
_HINT = f"the first {SAMPLE:,} records are of that type"


def paths_of(found: Mentioned, tables: Iterable[Table]) -> dict[str, str]:
    """The paths that a query mentions, and those of the tables over files of text that it does, by their names."""
    over = {table.name.casefold(): table.files for table in tables if table.files}
    named = ((name, name if name.startswith("s3://") else over.get(name.casefold(), "")) for name in found.tables)
    return {name: path for name, path in named if path}


_SAMPLING = {"read_csv", "read_json", "read_ndjson"}
_SURE = {"sample_size", "columns", "types", "all_varchar", "dtypes", "column_types"}


def note_samples(found: QueryTree, scope: QueryScope) -> None:
    """Say what DuckDB's own readers do with what their sample does not show, where a query calls them by name."""
    for node in found.nodes():
        if node.get("type") == "TABLE_FUNCTION":
            name = str(node["function"]["function_name"]).lower().removesuffix("_auto")
            if name in _SAMPLING and not _SURE & {argument for argument, _ in arguments(node["function"])}:
                scope.note(
                    f"{name} tells types by the first {SAMPLE:,} records, and may change or pass over later ones that"
                    " differ; FROM 's3://…' by itself reads all of them exactly, or says where it cannot."
                )


def by_all_records(scope: QueryScope, run: Callable[[], _Result]) -> _Result:
    """Run a query; again, where a value does not fit the type that the first records of its column have.

    Args:
        scope: of the query.
        run: runs it; it has changed nothing when it fails.
    """
    import duckdb

    try:
        return run()
    except duckdb.Error as error:
        if MARK not in str(error) or scope.failure or scope.stopped or scope.all_records:
            raise
    scope.all_records = True
    return run()


@contextmanager
def views(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, paths: Mapping[str, str]
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
        for name, path in paths.items():
            if query := _query(database, filesystem, path):
                _make_view(database, name, query)
                made.append(name)
        yield
    finally:
        for name in made:
            database.execute(f"DROP VIEW temp.{identifier(name)}")
            database.unregister(f"{paths[name]} (rows)")


def _query(database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, path: str) -> str | None:
    """The query of what is at a path; None where DuckDB's own answer is right, or the better error."""
    if reader_of(path) == "read_parquet":
        seen = None if is_seen(path) else call_by_name(path, path)
        return f"FROM {seen}" if seen else None
    entries, named = filesystem.glob(path.removeprefix("s3://")), by_name(path).format
    if not entries:
        if named and named.type in KINDS and filesystem.scope.missing:
            raise filesystem.scope.missing
        return None
    head = _head(filesystem, entries)
    try:
        found = detect(Path.parse(entries[0]).location.key, head, whole=len(head) < HEAD)
    except QueryError as error:
        if is_damage(error):  # which DuckDB would not see
            raise error.of(visible(Path.parse(entries[0]).location.uri)) from None
        return None
    if found.format.type in KINDS:
        return _registered(database, filesystem, path, entries, found)
    if found.format.reader not in {"read_csv", "read_json"}:
        return f"FROM {call(path, found.format, None)}" if found.format.reader else None
    return _text_query(database, filesystem, path, entries, found)


def _text_query(
    database: duckdb.DuckDBPyConnection,
    filesystem: ConnectionFileSystem,
    path: str,
    entries: Sequence[str],
    found: Detected,
) -> str | None:
    rows = _rows(database, filesystem, path, entries, found)
    if isinstance(rows, CsvRows) and not rows.names:
        database.execute(f"SELECT count(*) FROM {rows.source}").fetchall()  # noqa: S608 - it may be damaged
        return None
    size = sum(filesystem.info(entry)["size"] for entry in entries[:_FEW]) if len(entries) <= _FEW else _SMALL + 1
    rows, known = _learnt(database, rows, whole=filesystem.scope.all_records or size <= _SMALL)
    types = {name: "VARCHAR" if kind == NULL else kind for name, kind in rows.types(known).items()}
    return rows.select(known, types, _HINT) if types else None


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


_FEW = 100


def _registered(
    database: duckdb.DuckDBPyConnection,
    filesystem: ConnectionFileSystem,
    path: str,
    entries: Sequence[str],
    found: Detected,
) -> str:
    """The query of the rows of ORC, Avro or Arrow, for which DuckDB has no reader: it is given batches of them."""
    import pyarrow as pa

    @contextmanager
    def opened(entry: str, rows: int) -> Iterator[pa.RecordBatchReader]:
        with filesystem.scope.noting(), filesystem.open(entry, "rb") as file:
            try:
                yield record_batches(found.format.type, file, found.compression, rows=rows)
            except QueryError as error:
                raise error.of(visible(Path.parse(entry).location.uri)) from None

    schema: Any = None
    for entry in entries:
        with opened(entry, 0) as reader:
            try:
                schema = pa.unify_schemas([schema, reader.schema]) if schema is not None else reader.schema
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                said = visible(" ".join(str(error).split()))
                raise QueryError(
                    f"its columns are of other types than those of the objects before it: {said}"
                ) from None

    def begin() -> Iterator[pa.RecordBatch]:
        for entry in entries:
            with opened(entry, ALL) as reader:
                if reader.schema.equals(schema):
                    yield from reader
                    continue
                for batch in reader:
                    own = pa.Table.from_batches([batch])
                    yield from pa.concat_tables([schema.empty_table(), own], promote_options="default").to_batches()

    name = f"{path} (rows)"
    database.register(name, Reread(schema, begin))
    return f"FROM {identifier(name)}"


def _head(filesystem: ConnectionFileSystem, entries: Sequence[str]) -> bytes:
    """The first bytes of the first object that has some."""
    for entry in entries[:_FEW]:
        (head,) = filesystem.cat_ranges([entry], [0], [HEAD], on_error="raise")
        if head:
            return bytes(head)
    return b""


def _rows(
    database: duckdb.DuckDBPyConnection,
    filesystem: ConnectionFileSystem,
    path: str,
    entries: Sequence[str],
    found: Detected,
) -> TextRows:
    compression = "none"
    if how := found.as_plain():
        for entry in entries:
            filesystem.read_as_plain(entry, how)
        path, compression = path.replace("s3://", UNPACKED, 1), "gzip"
    content = Content(found.format.type, found.settings)
    keys = [Path.parse(entry).location.key for entry in entries]
    folders = _folders(keys, found, filesystem.scope)
    if len(entries) > 1 and found.format.reader == "read_csv":
        return several_csv(path, content, found, compression, folders).named(database)
    return text_rows_of(path, content, found, compression, folders)


def _folders(keys: Sequence[str], found: Detected, scope: QueryScope) -> dict[str, str]:
    """The types of the columns that folders write, where all objects have all of them, and no column of such a name."""
    kinds = {name: partition.kind for name, partition in partitions(keys, "").items()}
    everywhere = all(all(f"/{name}=" in f"/{key}" for name in kinds) for key in keys)
    own = {name.casefold() for name in found.names} & {name.casefold() for name in kinds}
    if own:
        scope.note(f"The column {min(own)} is in the files, and in the names of folders: it is read from the files.")
    return kinds if everywhere and not own else {}


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
