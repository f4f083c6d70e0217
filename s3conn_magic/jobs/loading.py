"""One object into a table: all of its rows and the note that they are there, in one transaction."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from s3conn_magic.errors import ConnectionNotFoundError, CredentialsError, QueryError, S3ConnError
from s3conn_magic.jobs.job import OBJECT_COLUMN, Parsed
from s3conn_magic.jobs.readers import LINES, ObjectSource, batches, csv_options, scan, source_of
from s3conn_magic.jobs.target_table import TargetTable
from s3conn_magic.objects.files import ReadableFile
from s3conn_magic.objects.formats import HEAD
from s3conn_magic.objects.ranged import PinnedObject, RangedObject
from s3conn_magic.query.failures import translate
from s3conn_magic.query.sql import identifier, literal, transaction
from s3conn_magic.runtime.patterns import wild

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb

    from s3conn_magic.jobs.job import Candidate, ReadOptions
    from s3conn_magic.jobs.target_table import Ledger
    from s3conn_magic.objects.scope import QueryScope

_STAGED = "s3conn_magic_rows"
_UNEVEN = "not possible to automatically detect the CSV parsing dialect"
_SMALL = 4 * 1024 * 1024
_BEGINNING = 16 * 1024 * 1024
# What fails so fails for the other objects, too.
FATAL = (CredentialsError, ConnectionNotFoundError)
_Taken = TypeVar("_Taken")


@dataclass(frozen=True)
class Parser:
    """Reads objects as a job's options say.

    Attributes:
        job: the job, or what it says of reading.
        database: reads them.
        scope: the scope of the engine, in which every object stays the one that was listed.
    """

    job: ReadOptions
    database: duckdb.DuckDBPyConnection
    scope: QueryScope

    def pin(self, candidate: Candidate) -> RangedObject:
        """Have an object read as it was listed, and no other version of it."""
        connection = self.job.connection
        key = (connection.name, candidate.location)
        pinned = PinnedObject(connection, candidate.location, candidate.size, candidate.etag, candidate.last_modified)
        kept: RangedObject = self.scope.objects.setdefault(key, RangedObject(pinned, self.scope))
        return kept

    def prefetch(self, candidates: Sequence[Candidate]) -> None:
        """Ask for what will be read next, and do not wait: small objects, and the beginning of a large one.

        Args:
            candidates: the object that is read now, and those behind it.
        """
        for at, candidate in enumerate(candidates):
            if 0 < candidate.size <= _SMALL:
                self.pin(candidate).prefetch([(0, candidate.size)])
            elif at == 1 and not self.job.option("EXCLUDE_COLUMNS"):  # of Parquet it may be what is not read at all
                self.pin(candidate).prefetch([(0, _BEGINNING)])

    def release(self, candidate: Candidate) -> None:
        """Let go of what was read of it."""
        self.scope.objects.pop((self.job.connection.name, candidate.location), None)

    def attempt(self, candidate: Candidate) -> Parsed | S3ConnError:
        """The rows of an object, or the error that it fails with.

        Raises:
            CredentialsError, ConnectionNotFoundError: every object would fail so.
        """
        try:
            self.scope.check()
            return self._parsed(candidate)
        except Exception as error:  # noqa: BLE001 - one bad object does not stop the others
            failure = translate(error, "", self.scope)
        finally:
            self.release(candidate)
        if isinstance(failure, FATAL):
            raise failure
        self.scope.failure = None
        return failure

    def _parsed(self, candidate: Candidate) -> Parsed:
        ranged = self.pin(candidate)
        source = source_of(self.job, candidate, ranged.read(0, min(HEAD, candidate.size)))
        if source.content.type in LINES:
            with self._staged(source, ranged):
                return self._rows(_STAGED)
        if source.content.type in {"CSV", "TSV"}:
            self._check_header(source)
        return self._scanned(source, self._rows)

    def _rows(self, rows: str) -> Parsed:
        relation = self.database.sql(f"SELECT * FROM {rows}")  # noqa: S608 - as in `scan`
        columns = tuple(zip(relation.columns, map(str, relation.types), strict=True))
        return Parsed(columns, relation.to_arrow_table())

    def _scanned(self, source: ObjectSource, take: Callable[[str], _Taken]) -> _Taken:
        """Types are told by the beginning of an object; where that does not hold for the rest, by all of it."""
        import duckdb

        text = source.content.type != "PARQUET"
        try:
            return take(scan(source, whole=False))
        except (duckdb.ConversionException, duckdb.InvalidInputException):
            if not text or self.scope.failure or self.scope.stopped:
                raise
        try:
            return take(scan(source, whole=True))
        except duckdb.InvalidInputException as error:
            if _UNEVEN not in str(error) or self.scope.failure or self.scope.stopped:
                raise
        delimiter = source.content.get("DELIMITER", "\t")
        raise QueryError(
            f"not all records have the same number of fields by the delimiter {delimiter!r}, or a quote is not closed",
            hint="CONTENT_TYPE = (TYPE = CSV DELIMITER = …) says another one; SPLIT_LINES loads lines as they are.",
        )

    def _check_header(self, source: ObjectSource) -> None:
        """Refuse names of columns that stand twice, and too many columns, where the options do not allow them."""
        content = source.content
        most = content.get("MAX_COLUMNS")
        if content.get("ALLOW_DUPLICATE_HEADERS") is not False and most is None:
            return
        options = {**csv_options(content, whole=False), "header": "false", "all_varchar": "true"}
        options.pop("names", None)
        given = ", ".join(f"{name} = {value}" for name, value in options.items())
        call = f"read_csv({literal(source.path)}, compression = {literal(source.compression)}, {given})"
        names = self.database.execute(f"SELECT * FROM {call} LIMIT 1").fetchall()  # noqa: S608
        first = [str(name).casefold() for name in names[0]] if names else []
        if most is not None and len(first) > most:
            raise QueryError(f"there are {len(first):,} columns, and MAX_COLUMNS is {most:,}")
        if content.get("ALLOW_DUPLICATE_HEADERS") is False and len(set(first)) < len(first):
            raise QueryError("a name of a column stands twice in the header", hint="ALLOW_DUPLICATE_HEADERS = TRUE")

    @contextmanager
    def _staged(self, source: ObjectSource, ranged: RangedObject) -> Iterator[None]:
        """Have the rows of an object that DuckDB has no reader for as a table of its own."""
        table = batches(source, ReadableFile(ranged, source.path)).read_all()
        self.database.register(_STAGED, table)
        try:
            yield
        finally:
            self.database.unregister(_STAGED)


@dataclass(frozen=True)
class Loader(Parser):
    """Loads objects for one run of a job, into the table of its database.

    Attributes:
        table: the table's name.
        ledger: of the job.
    """

    table: str
    ledger: Ledger

    def insert(self, candidate: Candidate, parsed: Parsed, *, replace: bool) -> int:
        """As `load`, of an object that was read elsewhere."""
        self.database.register(_STAGED, parsed.rows)
        try:
            return self._write(candidate, parsed.sql(_STAGED), replace=replace)
        finally:
            self.database.unregister(_STAGED)

    def load(self, candidate: Candidate, *, replace: bool) -> int:
        """The rows of an object, once they are in the table.

        Args:
            candidate: the object.
            replace: whether rows of an earlier version of it are there.

        Raises:
            S3ConnError, duckdb.Error: nothing has changed.
        """
        ranged = self.pin(candidate)
        if not candidate.size:
            return self._write(candidate, None, replace=replace)
        source = source_of(self.job, candidate, ranged.read(0, min(HEAD, candidate.size)))
        if source.content.type in LINES:
            with self._staged(source, ranged):
                return self._write(candidate, _STAGED, replace=replace)
        if source.content.type in {"CSV", "TSV"}:
            self._check_header(source)
        return self._scanned(source, lambda rows: self._write(candidate, rows, replace=replace))

    def _write(self, candidate: Candidate, rows: str | None, *, replace: bool) -> int:
        with transaction(self.database):
            table = TargetTable(self.database, self.table)
            where = literal(candidate.location.uri)
            if replace and OBJECT_COLUMN in table.columns():
                self.database.execute(
                    f"DELETE FROM {table.sql} WHERE {identifier(OBJECT_COLUMN)} = {where}"  # noqa: S608
                )
            count = self._insert(table, rows, where) if rows else 0
            self.ledger.note(candidate, count)
        return count

    def _insert(self, table: TargetTable, rows: str, where: str) -> int:
        select = self._select(rows)
        described = self.database.execute(f"DESCRIBE {select}").fetchall()
        columns = {name: kind for name, kind, *_ in described}
        # An object that was written from such a table has the column, too.
        origin, own = identifier(OBJECT_COLUMN), columns.pop(OBJECT_COLUMN, None)
        every = f"* EXCLUDE ({origin})" if own else "*"
        table.fit(columns, f"({select})")
        ((count,),) = self.database.execute(
            f"INSERT INTO {table.sql} BY NAME SELECT {every}, {where} AS {origin} FROM ({select})"  # noqa: S608
        ).fetchall()
        return int(count)

    def _select(self, rows: str) -> str:
        """The columns of an object that are loaded."""
        made = dict(self.job.option("COLUMN_TRANSFORMATIONS", ()))
        if not made and not self.job.option("EXCLUDE_COLUMNS"):
            return f"SELECT * FROM {rows}"  # noqa: S608 - as below
        described = self.database.execute(f"DESCRIBE SELECT * FROM {rows}").fetchall()  # noqa: S608 - as below
        excluded, replaced = self.job.option("EXCLUDE_COLUMNS", ()), {name.casefold() for name in made}
        kept = [
            identifier(name)
            for name, *_ in described
            if name.casefold() not in replaced and not _matches(name, excluded)
        ]
        columns = [*kept, *(f"({expression}) AS {identifier(name)}" for name, expression in made.items())]
        if not columns:
            raise QueryError("no column is left to load", hint="EXCLUDE_COLUMNS takes all of them away.")
        return f"SELECT {', '.join(columns)} FROM {rows}"  # noqa: S608 - the user's own expressions, and quoted names


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(wild(name, pattern, many="*") for pattern in patterns)
