"""Parquet files at a path: check before DuckDB reads them that no value changes where their columns differ.

Columns from folder names (of files of any format) must agree with those in the files.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.locations import visible
from s3conn_magic.objects.listed import Path, partitions
from s3conn_magic.query.failures import MARK
from s3conn_magic.query.line_rows import FILE
from s3conn_magic.query.sql import check_widened, identifier, literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from s3conn_magic.objects.filesystem import ConnectionFileSystem
    from s3conn_magic.objects.listed import Partition
    from s3conn_magic.objects.scope import QueryScope


FEW = 100
"""So many objects are all inspected before any is read, whatever the query."""


class WrittenByFolders(NamedTuple):
    """Columns in the folder names of objects; `everywhere` if each has each once, and DuckDB agrees."""

    entries: Sequence[str]
    columns: Mapping[str, Partition]
    everywhere: bool
    database: duckdb.DuckDBPyConnection
    scope: QueryScope

    @classmethod
    def of(cls, entries: Sequence[str], database: duckdb.DuckDBPyConnection, scope: QueryScope) -> WrittenByFolders:
        """Return the columns in the folder names of paths."""
        keys = [Path.parse(entry).location.key for entry in entries] if any("=" in entry for entry in entries) else []
        columns = partitions(keys, "")
        everywhere = bool(columns) and all(f"/{key}".count(f"/{name}=") == 1 for name in columns for key in keys)
        return cls(entries, columns, everywhere, database, scope)

    def within(self, names: Iterable[str]) -> list[str]:
        """Return the names that folders have too."""
        written = {name.casefold() for name in self.columns}
        return [name for name in names if name.casefold() in written]

    def beside(self, own: Iterable[str]) -> list[str]:
        """Return the folder columns that the files lack."""
        present = {name.casefold() for name in own}
        return [name for name in self.columns if name.casefold() not in present]

    def check(self, name: str, value: tuple[str, str], source: str, read: str, way_out: str) -> None:
        """Check that a file's column agrees with its folder, or note that it was not checked.

        Args:
            name: of the column.
            value: SQL of the column, and its type.
            source: FROM clause, with the path of each row's file in `FILE`; empty for no check.
            read: where the column's values come from, for the note.
            way_out: hint for a file that differs.

        Raises:
            QueryError: one differs.
        """
        if not source or len(self.entries) > FEW:
            self.scope.note(
                f"The column {visible(name)} is in the files, and in the names of folders: it is read from the {read}."
            )
            return
        column = next(folder for folder in self.columns if folder.casefold() == name.casefold())
        differs = contradicts(value[0], self._text(column), value[1])
        query = f"SELECT {identifier(FILE)} FROM {source} WHERE {differs} LIMIT 1"  # noqa: S608 - quoted names
        for (file,) in self.database.execute(query).fetchall():
            where = Path.parse(next(entry for entry in self.entries if str(file).endswith(entry))).location
            text = self.columns[column].values[where.key] or "NULL"
            raise QueryError(
                f"the folder of {visible(where.uri)} says {name} = {text}, and its column {name} says otherwise",
                hint=way_out,
            )

    def said_of(self, columns: Iterable[str]) -> str:
        """Return SELECT items for columns of each row's folder, after other items."""
        return "".join(
            f", TRY_CAST({self._text(column)} AS {self.columns[column].kind}) AS {identifier(column)}"
            for column in columns
        )

    def _text(self, column: str) -> str:
        """Return the SQL of a column's text in each row's folder."""
        values = self.columns[column].values
        texts = {entry: values[Path.parse(entry).location.key] for entry in self.entries}
        cases = " ".join(
            f"WHEN ends_with({identifier(FILE)}, {literal(entry)}) THEN {literal(text)}"
            for entry, text in texts.items()
            if text is not None
        )
        return f"CASE {cases} END" if cases else "NULL::VARCHAR"


def contradicts(value: str, text: str, kind: str) -> str:
    """Return SQL that tests whether a file's value differs from its folder's, both as text and as a value.

    Args:
        value: of the file.
        text: of the folder.
        kind: type of the value's column, in which `01` is 1.
    """
    equal = f"(TRY_CAST({value} AS {kind}) = TRY_CAST({text} AS {kind})) IS NOT TRUE"
    return f"{value}::VARCHAR IS DISTINCT FROM {text} AND {equal}"


def quoted(entries: Iterable[str]) -> list[str]:
    """Return paths as SQL literals."""
    paths = map(Path.parse, entries)
    return [literal(f"s3://{path.exact}") for path in paths]


def without_folders(reader: str, path: str) -> str:
    """Return a hint how to read the files without folder columns."""
    return f"FROM {reader}({literal(visible(path))}, hive_partitioning = false) leaves folders alone."


def parquet_query(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, entries: Sequence[str], path: str
) -> str | None:
    """Return the query of Parquet files, or None if DuckDB reads them correctly.

    Args:
        database: of the session.
        filesystem: reads the objects.
        entries: objects at the path.
        path: with `s3://`.

    Raises:
        QueryError: no type holds the values of a column in all files, or a folder contradicts one.
    """
    for what, names in narrowed_in(database, quoted(entries[:1])).items():
        filesystem.scope.note(
            f"{_NARROWED[what]} ({', '.join(map(visible, names))}). COPY FROM S3 refuses what has more."
        )
    folders = WrittenByFolders.of(entries, database, filesystem.scope)
    if not folders.columns:
        return _of_several(database, filesystem, entries, path)
    own = _checked(folders, path)
    if folders.everywhere and not own:
        return _of_several(database, filesystem, entries, path)
    query = _of_several(database, filesystem, entries, path, copied=False) or f"FROM read_parquet({literal(path)})"
    if folders.everywhere:
        types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in own.items())
        return f"{query.removesuffix(')')}, hive_partitioning = true, hive_types = {{{types}}})"
    # DuckDB drops folder columns that some files lack.
    source = f"{query.removesuffix(')')}, hive_partitioning = false, filename = {literal(FILE)})"
    beside = folders.said_of(folders.beside(own))
    return f"SELECT * EXCLUDE ({identifier(FILE)}){beside} {source}"


def _checked(folders: WrittenByFolders, path: str) -> Mapping[str, str]:
    """Return the columns that both files and folders have, spelt as in folders, with types; they agree."""
    files = quoted(folders.entries[:FEW])
    call = "read_parquet([{}], hive_partitioning = false, union_by_name = true, filename = " + literal(FILE) + ")"
    types = _types(folders.database, call.format(files[0]))
    if not folders.within(types):
        return {}
    source, spelt = call.format(", ".join(files)), {name.casefold(): name for name in folders.columns}
    types = _types(folders.database, source)
    for own in folders.within(types):
        value = identifier(own), types[own]
        folders.check(own, value, source, "folders", without_folders("read_parquet", path))
    return {spelt[name.casefold()]: types[name] for name in folders.within(types)}


def _types(database: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in database.execute(f"DESCRIBE FROM {source}").fetchall()}


def _of_several(
    database: duckdb.DuckDBPyConnection,
    filesystem: ConnectionFileSystem,
    entries: Sequence[str],
    path: str,
    *,
    copied: bool = True,
) -> str | None:
    """Return the query of Parquet files with different columns, which DuckDB would cast to the first file's.

    Raises:
        QueryError: no type holds the values of a column in all files.
    """
    import duckdb

    if len(entries) < _SEVERAL:
        return None
    text, read = filesystem.scope.text, f"FROM read_parquet({literal(path)}"
    copies = None if not (copied and text) or asks_for_some(text, entries) else filesystem.copies(path, entries)
    from_memory = copies is not None and not _NAMES_FILES.search(text)
    if copies is not None:
        files = [literal(copies.pattern)]
        if from_memory:
            # DuckDB would search the folder each of the three times it binds the query.
            variable = f"files of {copies.folder.name}"
            database.execute(f"SET VARIABLE {identifier(variable)} = ?", [list(copies.names)])
            read = f"FROM read_parquet(getvariable({literal(variable)})"
    elif (
        len(entries) > FEW and asks_for_some(text, entries) and _READS.match(text) and not filesystem.scope.all_records
    ):
        filesystem.scope.checks.append(partial(_check_read, database, filesystem.scope, entries))
        return None
    else:
        files = quoted(entries)
        ends = [filesystem.info(entry)["size"] for entry in entries]
        filesystem.cat_ranges(entries, [max(end - _TAIL, 0) for end in ends], ends)
    try:
        known = copies.alike if copies is not None else None
        if known is None:
            known = database.execute(alike_in(files)).fetchall()
            if copies is not None:
                copies.alike = known
        if len(known) > 1:
            _check_widened(database, [[literal(name) for name in names] for (names,) in known], path)
            return f"{read}, union_by_name = true)"
    except duckdb.Error:  # reading the file reports its error
        pass
    return f"{read})" if from_memory else None


def _check_widened(database: duckdb.DuckDBPyConnection, alike: Sequence[Sequence[str]], path: str) -> None:
    call = "read_parquet([{}], hive_partitioning = false, union_by_name = true)"
    every = f"FROM {call.format(', '.join(files[0] for files in alike))}"
    pairs = ((call.format(files[0]), call.format(", ".join(files))) for files in alike)
    read = f"FROM read_parquet({literal(visible(path))}, union_by_name = true)"
    check_widened(database, every, pairs, lambda wide: f"{read} reads it as {wide} anyway.")


def _check_read(database: duckdb.DuckDBPyConnection, scope: QueryScope, entries: Iterable[str]) -> None:
    """Raise an error that has the query rerun if it read different files without having inspected all."""
    import duckdb

    read = [entry for entry in entries if entry not in scope.named or scope.named[entry].starts]
    if read and len(database.execute(alike_in(quoted(read))).fetchall()) > 1:
        raise duckdb.InvalidInputException(f"{MARK}the files differ in their columns")


_SEVERAL = 2
_COLUMN = "name, type, num_children, converted_type, scale, precision, logical_type"


def alike_in(files: Iterable[str], more: str = "", *, having: str = "") -> str:
    """Return the query of the quoted names of Parquet files, grouped by their columns and `more`.

    Args:
        files: the files.
        more: further columns of `parquet_schema` to group by.
        having: condition on the columns of a file.
    """
    columns = f"list(({_COLUMN}{more}) ORDER BY column_id) AS columns"
    schemas = f"SELECT file_name, {columns} FROM parquet_schema([{', '.join(files)}]) GROUP BY 1 {having}"  # noqa: S608
    return f"SELECT list(file_name ORDER BY file_name) FROM ({schemas}) GROUP BY columns ORDER BY min(file_name)"  # noqa: S608


_DIGITS = 38
NARROWED = f"type = 'INT96' OR precision > {_DIGITS}"
"""Condition on a row of `parquet_schema`: DuckDB's type may not hold the column's values."""
_NARROWED = {
    "INT96": "DuckDB reads times of INT96 to the microsecond, and drops what is below it",
    "DECIMAL": f"DuckDB reads decimals of more than {_DIGITS} digits as DOUBLE, which rounds them",
}


def narrowed_in(database: duckdb.DuckDBPyConnection, files: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns of Parquet files (quoted) that DuckDB's types may not hold; empty if they cannot be read."""
    import duckdb

    read = f"parquet_schema([{', '.join(files)}]) WHERE {NARROWED}"
    query = f"SELECT if(type = 'INT96', type, 'DECIMAL'), list(DISTINCT name ORDER BY name) FROM {read} GROUP BY 1"  # noqa: S608
    try:
        return dict(database.execute(query).fetchall()) if files else {}
    except duckdb.Error:
        return {}


def check_narrowed(database: duckdb.DuckDBPyConnection, path: str, file: Any, left_out: Collection[str]) -> None:
    """Check that DuckDB changes no value of a Parquet file.

    Args:
        database: reads it.
        path: in DuckDB's filesystem.
        file: the same, open and seekable.
        left_out: columns that are not loaded.

    Raises:
        QueryError: it would.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not (narrowed := narrowed_in(database, [literal(path)])):
        return
    long = f"decimals of more than {_DIGITS} digits, which DuckDB would round"
    try:
        exact, cut = (pq.ParquetFile(file, coerce_int96_timestamp_unit=unit) for unit in ("ns", "us"))
    except pa.ArrowInvalid:  # Arrow's decimals have 76 digits at most
        for name in narrowed.get("DECIMAL", ()):
            raise _narrowed(name, long) from None
        raise
    types = {field.name: str(field.type) for field in exact.schema_arrow if field.name not in left_out}
    for name in (name for name, kind in types.items() if "decimal256" in kind):
        raise _narrowed(name, long)
    wanted = [name for name, kind in types.items() if "timestamp" in kind]
    for number in range(exact.num_row_groups if wanted else 0):
        both = [way.read_row_group(number, columns=wanted, use_threads=False) for way in (exact, cut)]
        for name in wanted:
            most, least = (_leaves(table.column(name)) for table in both)
            if not most.equals(pc.multiply(least, 1000)):
                raise _narrowed(name, "times of INT96 that are finer than a microsecond, which DuckDB would cut")


def _narrowed(name: str, kind: str) -> QueryError:
    return QueryError(
        f"the column {visible(name)} has {kind}", hint=f"EXCLUDE_COLUMNS = ({literal(name)}) leaves it out."
    )


def _leaves(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the times of a column, also within lists, as numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    while pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else pa.chunked_array([], pa.int64())


_SOME = re.compile(r"\b(?:LIMIT|FETCH|SAMPLE|TABLESAMPLE)\b", re.IGNORECASE)
_SOME_FOLDERS = re.compile(r"\b(?:WHERE|JOIN|HAVING|QUALIFY)\b", re.IGNORECASE)
_READS = re.compile(r"[\s(]*(?:FROM|SELECT|WITH)\b", re.IGNORECASE)
# DuckDB's virtual columns, and others that reveal which files were read.
_NAMES_FILES = re.compile(r"file_?name|file_row_number|file_index|\AEXPLAIN", re.IGNORECASE)


def asks_for_some(text: str, entries: Sequence[str]) -> bool:
    """Return whether a query may skip most of the objects."""
    in_folders = _SOME_FOLDERS.search(text) is not None and any("=" in entry for entry in entries)
    return in_folders or _SOME.search(text) is not None


_TAIL = 64 * 1024
