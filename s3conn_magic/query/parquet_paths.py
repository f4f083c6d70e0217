"""Files of Parquet at a path, which DuckDB reads: asked so that no value changes where they differ in their columns.

With it the columns that names of folders write, of files of any format, which must say the same as those of the files.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import QueryError
from s3conn_magic.locations import visible
from s3conn_magic.objects.listed import Path, escaped, partitions
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
"""Objects of which each is looked at before any is read, whatever is asked of them."""


class WrittenByFolders(NamedTuple):
    """The columns that the folders of some objects write; `everywhere` where each has each once, and DuckDB agrees."""

    entries: Sequence[str]
    columns: Mapping[str, Partition]
    everywhere: bool
    database: duckdb.DuckDBPyConnection
    scope: QueryScope

    @classmethod
    def of(cls, entries: Sequence[str], database: duckdb.DuckDBPyConnection, scope: QueryScope) -> WrittenByFolders:
        """Those of the objects at some paths."""
        keys = [Path.parse(entry).location.key for entry in entries] if any("=" in entry for entry in entries) else []
        columns = partitions(keys, "")
        everywhere = bool(columns) and all(f"/{key}".count(f"/{name}=") == 1 for name in columns for key in keys)
        return cls(entries, columns, everywhere, database, scope)

    def within(self, names: Iterable[str]) -> list[str]:
        """Those of some names that a folder writes, too."""
        written = {name.casefold() for name in self.columns}
        return [name for name in names if name.casefold() in written]

    def beside(self, own: Iterable[str]) -> list[str]:
        """The columns that the files have not themselves."""
        there = {name.casefold() for name in own}
        return [name for name in self.columns if name.casefold() not in there]

    def check(self, name: str, value: tuple[str, str], source: str, read: str, way_out: str) -> None:
        """Refuse files whose column says another thing than their folder; a note where they are not looked into.

        Args:
            name: of the column.
            value: of the column in SQL, and its type.
            source: what stands behind FROM, with the path of each row's file in `FILE`; empty not to look.
            read: what the column is read from, for the note.
            way_out: what to do where a file says so.

        Raises:
            QueryError: one says so.
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
            said = self.columns[column].values[where.key] or "NULL"
            raise QueryError(
                f"the folder of {visible(where.uri)} says {name} = {said}, and its column {name} says otherwise",
                hint=way_out,
            )

    def said_of(self, columns: Iterable[str]) -> str:
        """What the folder of each row says of some columns, behind the others of a SELECT."""
        return "".join(
            f", TRY_CAST({self._text(column)} AS {self.columns[column].kind}) AS {identifier(column)}"
            for column in columns
        )

    def _text(self, column: str) -> str:
        """What the folder of each row says of a column, in SQL, as it is written."""
        values = self.columns[column].values
        texts = {entry: values[Path.parse(entry).location.key] for entry in self.entries}
        cases = " ".join(
            f"WHEN ends_with({identifier(FILE)}, {literal(entry)}) THEN {literal(text)}"
            for entry, text in texts.items()
            if text is not None
        )
        return f"CASE {cases} END" if cases else "NULL::VARCHAR"


def contradicts(value: str, text: str, kind: str) -> str:
    """Whether a value of a file is another one than what its folder says, in SQL: the same text, or an equal value.

    Args:
        value: of the file.
        text: what the folder says.
        kind: the type of the value's column, in which `01` is 1.
    """
    equal = f"(TRY_CAST({value} AS {kind}) = TRY_CAST({text} AS {kind})) IS NOT TRUE"
    return f"{value}::VARCHAR IS DISTINCT FROM {text} AND {equal}"


def quoted(entries: Iterable[str]) -> list[str]:
    """The paths of some objects in SQL."""
    paths = map(Path.parse, entries)
    return [literal(f"s3://{path.named(escaped(path.location.key))}") for path in paths]


def without_folders(reader: str, path: str) -> str:
    """The way out: what reads the files, and leaves their folders alone."""
    return f"FROM {reader}({literal(visible(path))}, hive_partitioning = false) leaves folders alone."


def parquet_query(
    database: duckdb.DuckDBPyConnection, filesystem: ConnectionFileSystem, entries: Sequence[str], path: str
) -> str | None:
    """The query of files of Parquet; None where DuckDB's own answer is right.

    Args:
        database: the session's.
        filesystem: reads the objects.
        entries: the objects at the path.
        path: with `s3://`.

    Raises:
        QueryError: there is no type that holds the values of a column in all of the files, or a folder says otherwise.
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
    # Columns of folders that not all of the files are in, DuckDB leaves out.
    source = f"{query.removesuffix(')')}, hive_partitioning = false, filename = {literal(FILE)})"
    beside = folders.said_of(folders.beside(own))
    return f"SELECT * EXCLUDE ({identifier(FILE)}){beside} {source}"


def _checked(folders: WrittenByFolders, path: str) -> Mapping[str, str]:
    """The columns of the files that a folder writes, too, as that spells them, with their types; they say the same."""
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
    """The query of files of Parquet that differ in their columns, which DuckDB would cast to those of the first.

    Raises:
        QueryError: there is no type that holds the values of a column in all of the files.
    """
    import duckdb

    if len(entries) < _SEVERAL:
        return None
    text, read = filesystem.scope.text, f"FROM read_parquet({literal(path)}"
    copies = None if not (copied and text) or asks_for_some(text, entries) else filesystem.copies(path, entries)
    if copies is not None:
        files = [literal(copies.pattern)]
        read = read if _NAMES_FILES.search(text) else f"FROM read_parquet({literal(copies.pattern)}"
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


def _check_read(database: duckdb.DuckDBPyConnection, scope: QueryScope, entries: Iterable[str]) -> None:
    """Have a query run again that has read files which differ in their columns, and did not look at all of them."""
    import duckdb

    read = [entry for entry in entries if entry not in scope.named or scope.named[entry].starts]
    if read and len(database.execute(alike_in(quoted(read))).fetchall()) > 1:
        raise duckdb.InvalidInputException(f"{MARK}the files differ in their columns")


_SEVERAL = 2
_COLUMN = "name, type, num_children, converted_type, scale, precision, logical_type"


def alike_in(files: Iterable[str], more: str = "", *, having: str = "") -> str:
    """The query of the names of files of Parquet, quoted, those together whose columns are alike, and in `more`.

    Args:
        files: the files.
        more: of `parquet_schema`, for which they must be alike, too.
        having: what must hold for the columns of a file.
    """
    columns = f"list(({_COLUMN}{more}) ORDER BY column_id) AS columns"
    schemas = f"SELECT file_name, {columns} FROM parquet_schema([{', '.join(files)}]) GROUP BY 1 {having}"  # noqa: S608
    return f"SELECT list(file_name ORDER BY file_name) FROM ({schemas}) GROUP BY columns ORDER BY min(file_name)"  # noqa: S608


_DIGITS = 38
NARROWED = f"type = 'INT96' OR precision > {_DIGITS}"
"""Whether DuckDB's type of a column may not hold its values, by a row of `parquet_schema`."""
_NARROWED = {
    "INT96": "DuckDB reads times of INT96 to the microsecond, and drops what is below it",
    "DECIMAL": f"DuckDB reads decimals of more than {_DIGITS} digits as DOUBLE, which rounds them",
}


def narrowed_in(database: duckdb.DuckDBPyConnection, files: Sequence[str]) -> dict[str, list[str]]:
    """The columns of files of Parquet, quoted, that DuckDB's types may not hold; none where they cannot be read."""
    import duckdb

    read = f"parquet_schema([{', '.join(files)}]) WHERE {NARROWED}"
    query = f"SELECT if(type = 'INT96', type, 'DECIMAL'), list(DISTINCT name ORDER BY name) FROM {read} GROUP BY 1"  # noqa: S608
    try:
        return dict(database.execute(query).fetchall()) if files else {}
    except duckdb.Error:
        return {}


def check_narrowed(database: duckdb.DuckDBPyConnection, path: str, file: Any, left_out: Collection[str]) -> None:
    """Refuse a file of Parquet with values that DuckDB would change.

    Args:
        database: reads it.
        path: by which it does.
        file: it, open and seekable.
        left_out: columns that are not loaded.

    Raises:
        QueryError: it has one.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not narrowed_in(database, [literal(path)]):
        return
    exact, cut = (pq.ParquetFile(file, coerce_int96_timestamp_unit=unit) for unit in ("ns", "us"))
    types = {field.name: str(field.type) for field in exact.schema_arrow if field.name not in left_out}
    for name in (name for name, kind in types.items() if "decimal256" in kind):
        raise _narrowed(name, f"decimals of more than {_DIGITS} digits, which DuckDB would round")
    wanted = [name for name, kind in types.items() if "timestamp" in kind]
    for number in range(exact.num_row_groups if wanted else 0):
        both = [way.read_row_group(number, columns=wanted, use_threads=False) for way in (exact, cut)]
        for name in wanted:
            most, least = (_leaves(table.column(name)) for table in both)
            if not most.equals(pc.multiply(least, 1000)):
                raise _narrowed(name, "times of INT96 that are finer than a microsecond, which DuckDB would cut")


def _narrowed(name: str, what: str) -> QueryError:
    return QueryError(
        f"the column {visible(name)} has {what}", hint=f"EXCLUDE_COLUMNS = ({literal(name)}) leaves it out."
    )


def _leaves(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The times of a column as numbers, out of the lists in it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    while pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else pa.chunked_array([], pa.int64())


_SOME = re.compile(r"\b(?:LIMIT|FETCH|SAMPLE|TABLESAMPLE)\b", re.IGNORECASE)
_SOME_FOLDERS = re.compile(r"\b(?:WHERE|JOIN|HAVING|QUALIFY)\b", re.IGNORECASE)
_READS = re.compile(r"[\s(]*(?:FROM|SELECT|WITH)\b", re.IGNORECASE)
# The columns that DuckDB has beside those of the files, and what shows which these were.
_NAMES_FILES = re.compile(r"file_?name|file_row_number|file_index|\AEXPLAIN", re.IGNORECASE)


def asks_for_some(text: str, entries: Sequence[str]) -> bool:
    """Whether a query may do without most of the objects."""
    in_folders = _SOME_FOLDERS.search(text) is not None and any("=" in entry for entry in entries)
    return in_folders or _SOME.search(text) is not None


_TAIL = 64 * 1024
