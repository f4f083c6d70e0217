"""Load an object into a table: all of its rows and its ledger entry in one transaction."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import ConnectionNotFoundError, CredentialsError, QueryError, S3ConnError
from s3conn_magic.jobs.job import OBJECT_COLUMN, ObjectSource, source_of, text_rows, together
from s3conn_magic.jobs.target_table import TEXTS, TargetTable, moment_literal, system_values
from s3conn_magic.objects.files import ReadableFile
from s3conn_magic.objects.formats import HEAD
from s3conn_magic.objects.ranged import PinnedObject, RangedObject, ask_for
from s3conn_magic.objects.scope import KEPT
from s3conn_magic.objects.unpacking import ends_late, unpacked
from s3conn_magic.query.failures import MARK, details_of, is_too_long
from s3conn_magic.query.line_rows import Skipped, json_lines, reread
from s3conn_magic.query.parquet_paths import check_narrowed, contradicts
from s3conn_magic.query.paths import check_fields
from s3conn_magic.query.plain_rows import NOT_PLAIN, plain_rows
from s3conn_magic.query.sql import first_rows, identifier, literal, transaction
from s3conn_magic.query.text_rows import SAMPLE, CsvRows, with_room
from s3conn_magic.query.text_types import NULL, is_nested, nulls_of
from s3conn_magic.runtime.patterns import matches_wildcards

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    import duckdb

    from s3conn_magic.jobs.job import Candidate, Job, RemoteReader
    from s3conn_magic.jobs.target_table import Ledger
    from s3conn_magic.language.plans import Predicate
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.listed import Partition
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.text_rows import TextRows
    from s3conn_magic.query.text_types import Misfit

_STAGED, _PLAIN, _LINES = "s3conn_magic_rows", "s3conn_magic_plain_rows", "s3conn_magic_lines"
AHEAD = 128
"""Objects prefetched together."""
SMALL, _BYTES_AHEAD = 4 * 1024 * 1024, 64 * 1024 * 1024
_TOGETHER = 200
_BEGINNING = 16 * 1024 * 1024
_LEARNT = 64 * 1024 * 1024  # as for a query, with room for prefetching
FATAL = (CredentialsError, ConnectionNotFoundError)
"""Errors that all other objects would have, too."""


@dataclass
class Loader:
    """Loads objects for one run of a job.

    Attributes:
        job: the job.
        database: of the table.
        scope: of the engine, in which objects are pinned as listed.
        table: name of the table.
        ledger: of the job.
        partitions: columns from the folders of all objects.
        system: columns of `SYSTEM` to fill.
        expectations: of the job.
        violated: rows of the last object that violated an expectation, by its name.
        skipped: lines of that object that do not match CONTENT_TYPE.
        taken: how that object was read without explicit settings, as `Detected.said`.
        known: what is known of text values, by format, from all inspected objects.
        learnt: their locations.
        of_no_column: names in EXCLUDE_COLUMNS that no object had so far.
    """

    job: Job
    database: duckdb.DuckDBPyConnection
    scope: QueryScope
    table: str
    ledger: Ledger
    partitions: Mapping[str, Partition]
    system: tuple[str, ...] = ()
    expectations: Sequence[Predicate] = ()
    violated: Counter[str] = field(default_factory=Counter)
    skipped: Skipped = field(default_factory=Skipped)
    taken: str = ""
    known: dict[type, Any] = field(default_factory=dict)
    learnt: set[Location] = field(default_factory=set)
    of_no_column: set[str] = field(default_factory=set)
    _asked: frozenset[Location] = frozenset()
    _sources: dict[Location, ObjectSource] = field(default_factory=dict)
    _coming: Iterator[Mapping[Location, bytes | S3ConnError]] | None = None
    _awaited: dict[Location, Candidate] = field(default_factory=dict)
    _refusals: dict[Location, S3ConnError] = field(default_factory=dict)
    _older: AbstractSet[str] = frozenset()

    def __post_init__(self) -> None:
        self.of_no_column = {name for name in self.job.option("EXCLUDE_COLUMNS", ()) if "*" not in name}
        self._older = {name.casefold() for name in TargetTable(self.database, self.table).columns()}

    def target(self) -> TargetTable:
        """Return the table that rows are inserted into."""
        return TargetTable(self.database, self.table, lambda name: name.casefold() not in self._older)

    @contextmanager
    def fetched(self, elsewhere: RemoteReader | None, candidates: Sequence[Candidate]) -> Iterator[None]:
        """Fetch small objects in other processes during a block, if there are any."""
        small = [candidate for candidate in candidates if 0 < candidate.size <= SMALL]
        coming = elsewhere(self.job, small, self.scope.check) if elsewhere and small else None
        if coming is None:
            yield
            return
        self._coming, self._awaited = coming, {candidate.location: candidate for candidate in small}
        try:
            yield
        finally:
            coming.close()  # type: ignore[attr-defined] # a generator

    def _take_fetched(self, candidates: Sequence[Candidate]) -> None:
        """Collect fetched objects, up to the given ones.

        Raises:
            S3ConnError: they cannot be fetched any more.
        """
        while self._coming is not None and any(candidate.location in self._awaited for candidate in candidates):
            for location, content in next(self._coming).items():
                fetched = self._awaited.pop(location)
                if isinstance(content, S3ConnError):
                    self._refusals[location] = content
                else:
                    self.pin(fetched).keep(0, content)
                    self.scope.count(1, len(content))

    def pin(self, candidate: Candidate) -> RangedObject:
        """Pin an object to its listed version."""
        connection = self.job.connection
        key = (connection.name, candidate.location)
        if (known := self.scope.objects.get(key)) is not None:
            return known  # type: ignore[no-any-return]
        pinned = PinnedObject(connection, candidate.location, candidate.size, candidate.etag, candidate.last_modified)
        ranged: RangedObject = self.scope.objects.setdefault(key, RangedObject(pinned, self.scope, outlives=False))
        return ranged

    def source(self, candidate: Candidate) -> ObjectSource:
        """Return how to read an object by its first bytes, which are cached.

        Raises:
            QueryError: its format or compression is unknown or not supported.
            S3ConnError: it could not be fetched.
        """
        source = self._sources.get(candidate.location)
        if source is None:
            if (refusal := self._refusals.get(candidate.location)) is not None:
                raise refusal
            head = self.pin(candidate).read(0, min(HEAD, candidate.size))
            source = self._sources[candidate.location] = source_of(self.job, candidate, head)
        return source

    def prefetch(self, candidates: Sequence[Candidate], *, now: int = 1) -> None:
        """Request what is read next without waiting: small objects, and the beginning of a large one.

        If other processes fetch small objects, wait for the current ones.

        Args:
            candidates: the current objects, and the following ones.
            now: number of current objects.

        Raises:
            S3ConnError: other processes cannot fetch any more.
        """
        if not self.job.option("EXCLUDE_COLUMNS"):  # of Parquet, it may be excluded columns
            for following in candidates[1:2]:
                if following.size > SMALL:
                    self.pin(following).prefetch([(0, _BEGINNING)])
        self._take_fetched(candidates[:now])
        if not candidates or candidates[0].location in self._asked or self._coming is not None:
            return
        asked, small = 0, []
        for candidate in candidates:
            if 0 < candidate.size <= SMALL and asked <= _BYTES_AHEAD:
                asked += candidate.size
                small.append(candidate)
        ask_for([(each, [(0, each.size)]) for each in map(self.pin, small)])
        # The next prefetch comes after half of them, not before each object.
        self._asked = frozenset(candidate.location for candidate in small[: len(small) // 2])

    def release(self, candidate: Candidate) -> None:
        """Drop the cached bytes of an object."""
        self.scope.objects.pop((self.job.connection.name, candidate.location), None)
        self._sources.pop(candidate.location, None)
        self._refusals.pop(candidate.location, None)

    @contextmanager
    def _typed(self, source: ObjectSource, ranged: RangedObject) -> Iterator[str]:
        """Yield the query of an object with typed columns."""
        if source.detected.format.type == "PARQUET":
            left_out = self.job.option("EXCLUDE_COLUMNS") or ()
            check_narrowed(self.database, source.path, ReadableFile(ranged, source.path), left_out)
            yield f"SELECT * FROM read_parquet({literal(source.path)}, hive_partitioning = false)"  # noqa: S608
            return
        rows = reread(source.detected, lambda: ReadableFile(ranged, source.path), self.scope, self.skipped)
        self.database.register(_STAGED, rows)
        try:
            yield f"SELECT * FROM {_STAGED}"  # noqa: S608 - a name of our own
        finally:
            self.database.unregister(_STAGED)

    def learn(self, candidates: Sequence[Candidate]) -> None:
        """Inspect text objects before any is loaded, so that one type fits all values.

        Unreadable ones are skipped: loading them reports the error.

        Args:
            candidates: the objects; of many, the first that fit in memory until they are loaded.
        """
        kept, size, small = 0, 0, []
        for at, candidate in enumerate(candidates):
            kept += candidate.size
            if kept > _LEARNT and at:
                break
            self.scope.check()
            self.prefetch(candidates[at : at + AHEAD])
            with self._passing_over(candidate):
                source = self.source(candidate)
                rows = text_rows(source, self.scope)
                if rows is not None and candidate.size <= SMALL:
                    small.append((candidate, rows))
                    size += candidate.size
                elif rows is not None:
                    if not at:  # it is loaded next
                        self.pin(candidate).prefetch([(0, SMALL), (SMALL, _BEGINNING)])
                    with self._first(rows, candidate) as first:
                        self._learn(first, whole=True)
                    self.learnt.add(candidate.location)
            if size > _BEGINNING or len(small) == _TOGETHER:
                self.learn_together(small)
                size, small = 0, []
        self.learn_together(small)

    def learn_together(self, small: Sequence[tuple[Candidate, TextRows]]) -> None:
        """Inspect small objects, those read alike by one query; one by one if that fails."""
        whose = {id(rows): candidate for candidate, rows in small}
        for group, alike in together(rows for _, rows in small):
            done = False
            with self._passing_over(None), self.in_memory(group, [whose[id(rows)] for rows in alike]) as every:
                self._learn(every, whole=True)
                done = True
            for rows in alike:
                candidate = whose[id(rows)]
                with self._passing_over(candidate):
                    if not done:
                        self._learn(rows, whole=True)
                    self.learnt.add(candidate.location)

    @contextmanager
    def in_memory(self, rows: TextRows, candidates: Sequence[Candidate]) -> Iterator[TextRows]:
        """Yield the records of small JSON-lines objects from memory, with their number in `FILE`; else as given."""
        lines = None
        if rows.source.startswith("read_json_objects(['s3://"):
            bodies = (self.pin(each).read(0, each.size) for each in candidates)
            lines = json_lines(self.database, enumerate(bodies, 1))
        if lines is None:
            yield rows
            return
        self.database.register(_LINES, lines)
        try:
            yield replace(rows, source=_LINES)
        finally:
            self.database.unregister(_LINES)

    @contextmanager
    def _first(self, rows: TextRows, candidate: Candidate) -> Iterator[TextRows]:
        """The first records of a large object, which tell the types."""
        quick, lines = with_room(rows, wide=False), None
        if rows.source.startswith("read_json_objects('s3://"):  # which asks for 32 MB at once, whatever it has room for
            first = self.pin(candidate).read(0, SMALL).split(b"\n", SAMPLE)[:SAMPLE]
            lines = json_lines(self.database, [(1, b"\n".join(first))])
        if lines is not None:
            self.database.register(_LINES, lines)
            quick = replace(rows, source=_LINES)
        try:
            with first_rows(self.database, quick.source, rows.source, SAMPLE) as name:
                yield replace(rows, source=name)
        finally:
            self.database.unregister(_LINES)

    @contextmanager
    def _passing_over(self, candidate: Candidate | None) -> Iterator[None]:
        """Skip an unreadable object in a block: loading it reports the error."""
        try:
            yield
        except Exception:  # noqa: BLE001 - as said
            self.scope.failure = None
            if candidate is not None:
                self.release(candidate)

    def _learn(self, rows: TextRows, *, whole: bool) -> Any:
        self.known[type(rows)] = rows.learn(self.database, self.known.get(type(rows)), whole=whole)
        return self.known[type(rows)]

    def load(self, candidate: Candidate, *, replace: bool) -> int:
        """Load an object, and return how many rows it has.

        Args:
            candidate: the object.
            replace: whether rows of an earlier version exist.

        Raises:
            S3ConnError, duckdb.Error: nothing has changed.
        """
        ranged, self.skipped, self.taken = self.pin(candidate), Skipped(), ""
        if not candidate.size:
            return self._write(candidate, None, replace=replace)
        source = self.source(candidate)
        self.taken = source.detected.said
        if (rows := text_rows(source, self.scope)) is not None:
            return self._load_text(candidate, rows, source, replace=replace)
        with self._typed(source, ranged) as query:
            return self._write(candidate, query, replace=replace)

    def _load_text(self, candidate: Candidate, rows: TextRows, source: ObjectSource, *, replace: bool) -> int:
        """Load text with the known types; if a value does not fit, with wider ones, or not at all."""
        import duckdb

        if isinstance(rows, CsvRows) and not rows.names:
            self.database.execute(f"SELECT count(*) FROM {rows.source}").fetchall()  # noqa: S608 - it may be damaged
            return self._write(candidate, None, replace=replace)
        if isinstance(rows, CsvRows) and not source.detected.as_plain():
            self.scope.wide = self.scope.wide or ends_late(self.pin(candidate).read, candidate.size)
        rows = with_room(rows) if self.scope.wide else rows
        table, whole, plain = self.target(), False, candidate.size > SMALL
        known: Any = self.known.get(type(rows)) if candidate.location in self.learnt else None
        wider: dict[str, str] = {}
        while True:
            try:
                known = known or self._learn(rows, whole=whole)
                types = fitting(rows.types(known), table.columns(), wider)
                with self._selected(rows, known, types, source, plain=plain) as query:
                    return self._write(candidate, query, replace=replace, columns=types)
            except duckdb.Error as error:
                if NOT_PLAIN in str(error):
                    plain = False
                    continue
                if is_too_long(error) and not (self.scope.wide or self.scope.stopped):
                    self.scope.wide, self.scope.failure = True, None
                    rows = with_room(rows)
                    continue
                unlearnt = whole and known is None
                if unlearnt or MARK not in str(error) or self.scope.failure or self.scope.stopped:
                    raise
                failure = str(details_of(error)["exception_message"])
            if not whole:
                known, whole = None, True
                continue
            misfit = rows.misfit(self.database, known, types)
            if misfit is None or not misfit.column or misfit.column in wider:
                raise _refused(failure, misfit)
            wider[misfit.column] = self._wider(table, misfit, rows)

    @contextmanager
    def _selected(
        self, rows: TextRows, known: Any, types: dict[str, str], source: ObjectSource, *, plain: bool
    ) -> Iterator[str]:
        """Yield the query of text rows, by the reader of `plain` text if that is worth a try, or by DuckDB."""
        made = plain_rows(rows, known, types, source.detected) if plain else None
        if made is None:
            self.check_fields([source])
            yield rows.select(known, types)
            return
        ranged = self.pin(source.candidate)
        # Cache what may be read again, within the bound of a query.
        ranged.passing = ranged.size > KEPT // 2 and not (self.partitions or self.expectations)
        opened, how = partial(ReadableFile, ranged, source.path), source.detected.as_plain()
        content = (lambda: unpacked(opened(), **how._replace(last=0)._asdict())) if how else opened
        self.database.register(_PLAIN, made.reread(content, self.scope))
        try:
            yield made.select(_PLAIN)
        finally:
            ranged.passing = False
            self.database.unregister(_PLAIN)

    def check_fields(self, sources: Sequence[ObjectSource]) -> None:
        """As the function of this name, without the small objects in which no record can have such a field."""
        doubtful = {each.text_path: each.detected for each in sources if self._may_end_empty(each)}
        if doubtful:
            check_fields(self.database, doubtful, wide=self.scope.wide)

    def _may_end_empty(self, source: ObjectSource) -> bool:
        """Whether a record of CSV may end with a null after a delimiter; True if its bytes do not tell."""
        detected, size = source.detected, source.candidate.size
        if detected.format.reader != "read_csv" or detected.log or detected.as_plain() or size > SMALL:
            return detected.format.reader == "read_csv"
        delimiter, *nulls = map(re.escape, (detected.settings.get("DELIMITER") or ",", *nulls_of(detected.settings)))
        pattern = f"{delimiter}(?:{'|'.join(nulls)})(?:[\r\n]|\\Z)".encode()
        return re.search(pattern, self.pin(source.candidate).read(0, size)) is not None

    def _wider(self, table: TargetTable, misfit: Misfit, rows: TextRows) -> str:
        """Return a type for the values of the table's column and of this object, whatever other objects have."""
        known: Any = rows.learn(self.database, None, whole=True)
        own = rows.types(known, decimals=misfit.type.startswith("DECIMAL"))
        with suppress(QueryError):
            wider = table.wider(misfit.column, misfit.type, own[misfit.column])
            if wider != misfit.type:
                return wider
        raise _refused("", misfit)

    def _write(
        self, candidate: Candidate, query: str | None, *, replace: bool, columns: Mapping[str, str] | None = None
    ) -> int:
        """Write the rows of a query and the ledger entry in one transaction; `columns` of the query, if known."""
        with transaction(self.database):
            table = self.target()
            where = literal(candidate.location.uri)
            if replace and OBJECT_COLUMN in table.columns():
                self.database.execute(
                    f"DELETE FROM {table.sql} WHERE {identifier(OBJECT_COLUMN)} = {where}"  # noqa: S608
                )
            self.violated = Counter()
            written = candidate.last_modified, columns
            count = self._insert(table, self._partitioned(candidate, query), where, *written) if query else 0
            self.ledger.note(candidate, count)
        return count

    def _partitioned(self, candidate: Candidate, query: str) -> str:
        """Return the query with the columns of the object's folders.

        Raises:
            QueryError: a column of the object contradicts its folder.
        """
        if not self.partitions:
            return query
        types = {name.casefold(): kind for name, kind in self._described(query).items()}
        added = []
        for name, partition in self.partitions.items():
            said = partition.values[candidate.location.key]
            value = "NULL" if said is None else literal(said)
            if (kind := types.get(name.casefold())) is None:
                added.append(f"{value}::{partition.kind} AS {identifier(name)}")
                continue
            other = contradicts(identifier(name), value, kind)
            if self.database.execute(f"SELECT 1 FROM ({query}) WHERE {other} LIMIT 1").fetchall():  # noqa: S608
                raise QueryError(
                    f"the folder of the object says {name} = {said or 'NULL'}, and its column {name} says otherwise",
                    hint=f"EXCLUDE_COLUMNS = ({literal(name)}) loads neither.",
                )
        return f"SELECT *, {', '.join(added)} FROM ({query})" if added else query  # noqa: S608

    def _described(self, query: str) -> dict[str, str]:
        return {name: kind for name, kind, *_ in self.database.execute(f"DESCRIBE {query}").fetchall()}

    def _insert(
        self, table: TargetTable, query: str, where: str, written: datetime | None, known: Mapping[str, str] | None
    ) -> int:
        select = self._expected(self._select(f"({query})"))
        changed = self.partitions or self.job.option("COLUMN_TRANSFORMATIONS") or self.job.option("EXCLUDE_COLUMNS")
        columns = self._described(select) if known is None or changed else dict(known)
        # An object exported from such a table has these columns, too.
        own = [name for name in (OBJECT_COLUMN, *self.system) if columns.pop(name, None)]
        table.fit(columns, f"({select})", self.system)
        select = self._deduplicated(table, select)
        values = table.taken(columns)
        every = f"* EXCLUDE ({', '.join(map(identifier, own))})" if own else "*"
        every += f" REPLACE ({', '.join(values)})" if values else ""
        ours = [f"{where} AS {identifier(OBJECT_COLUMN)}", *system_values(self.system, moment_literal(written), where)]
        ((count,),) = self.database.execute(
            f"INSERT INTO {table.sql} BY NAME SELECT {every}, {', '.join(ours)} FROM ({select})"  # noqa: S608
        ).fetchall()
        return int(count)

    def _expected(self, select: str) -> str:
        """Return the query without rows that violate dropping expectations; count all violations."""
        if not (expectations := self.expectations):
            return select
        broken = [f"coalesce(({each.predicate}\n)::BOOLEAN, true) = false" for each in expectations]
        counts = ", ".join(f"count(*) FILTER (WHERE {each})" for each in broken)
        (counts_of,) = self.database.execute(f"SELECT {counts} FROM ({select})").fetchall()  # noqa: S608 - judged
        self.violated = Counter({each.name: rows for each, rows in zip(expectations, counts_of, strict=True) if rows})
        dropping = [f"NOT {each}" for each, of in zip(broken, expectations, strict=True) if of.drops]
        return f"SELECT * FROM ({select}) WHERE {' AND '.join(dropping)}" if dropping else select  # noqa: S608 - judged

    def _deduplicated(self, table: TargetTable, select: str) -> str:
        """Return the query without duplicates, within the object or in the table's window."""
        option = self.job.option("DEDUPLICATE_WITH")
        if option is None:
            return select
        names, window = option
        columns = [identifier(name) for name in names]
        same = " AND ".join(f"there.{each} IS NOT DISTINCT FROM new.{each}" for each in columns)
        arrived = identifier("$commit_time")
        since = f"{arrived} >= current_timestamp::TIMESTAMP - INTERVAL {int(window.total_seconds())} SECONDS"
        duplicate = f"FROM {table.sql} AS there WHERE {same} AND there.{since}"
        return (
            f"SELECT * FROM ({select}) AS new WHERE NOT EXISTS ({duplicate})"  # noqa: S608 - quoted names
            f" QUALIFY row_number() OVER (PARTITION BY {', '.join(columns)}) = 1"
        )

    def _select(self, rows: str) -> str:
        """Return the SELECT of the columns to load."""
        transformed = dict(self.job.option("COLUMN_TRANSFORMATIONS", ()))
        if not transformed and not self.job.option("EXCLUDE_COLUMNS"):
            return f"SELECT * FROM {rows}"  # noqa: S608 - as below
        excluded, replaced = self.job.option("EXCLUDE_COLUMNS", ()), {name.casefold() for name in transformed}
        names = self._described(f"SELECT * FROM {rows}")  # noqa: S608 - as below
        self.of_no_column -= {each for each in excluded if any(_matches(name, (each,)) for name in names)}
        kept = [identifier(name) for name in names if name.casefold() not in replaced and not _matches(name, excluded)]
        columns = [*kept, *(f"({expression}) AS {identifier(name)}" for name, expression in transformed.items())]
        if not columns:
            raise QueryError("no column is left to load", hint="EXCLUDE_COLUMNS removes all of them.")
        return f"SELECT {', '.join(columns)} FROM {rows}"  # noqa: S608 - the user's own expressions, and quoted names


def fitting(types: Mapping[str, str], current: Mapping[str, str], wider: Mapping[str, str]) -> dict[str, str]:
    """Return the type to read each text column as: the table's own if text can be cast to it."""
    own = {name.casefold(): kind for name, kind in current.items()}
    return {name: wider.get(name) or _own(kind, own.get(name.casefold(), NULL)) for name, kind in types.items()}


def _own(kind: str, own: str) -> str:
    # Nested values take the object's shape, to which the table's column is widened. A text column keeps them as
    # written, even nested ones.
    keeps = own.startswith(NULL) or (is_nested(kind) and not any(text in own for text in TEXTS))
    return kind if keeps or kind == NULL else own


def _refused(failure: str, misfit: Misfit | None) -> QueryError:
    if misfit is None or not misfit.column:
        reason = f"record {misfit.record:,} has {misfit.has}" if misfit else failure.partition(MARK)[2]
        reason = reason.partition(". Detail: Python")[0]
        return QueryError(reason, hint="CONTENT_TYPE = SPLIT_LINES loads lines as they are.")
    return QueryError(
        f"record {misfit.record:,}: the column {misfit.column} is {misfit.type} in the table, and here is {misfit.has}",
        hint="A table whose column is VARCHAR takes every value as it is written.",
    )


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(matches_wildcards(name, pattern, many="*") for pattern in patterns)
