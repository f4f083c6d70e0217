"""Tables whose files are in S3: made, filled, read as of any snapshot, merged, tidied and dropped."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from statements import Statements, create

from s3conn_magic.errors import (
    BindError,
    ConnectionInUseError,
    EndpointError,
    QueryError,
    ReadOnlyConnectionError,
    S3ConnError,
)
from s3conn_magic.lakes.catalogs import BucketPointer, UnknownOutcomeError
from s3conn_magic.lakes.managed import ManagedTable

if TYPE_CHECKING:
    from collections.abc import Iterator


class Place:
    """A bucket of its own, and sessions with the connection `lake` to it."""

    def __init__(self, server: Any, bucket: str) -> None:
        self._server, self.bucket = server, bucket
        self.sessions: list[Statements] = []

    def session(self, *more: str, **options: Any) -> Statements:
        """A new session, as after a restart of the kernel."""
        run = Statements()
        self.sessions.append(run)
        connect = create(
            "lake",
            keys=self._server.admin,
            ENDPOINT=self._server.endpoint,
            REGION=self._server.region,
            VALIDATE=False,
            **options,
        )
        run("; ".join([connect, *more]))
        return run

    def storage(self, folder: str = "t") -> str:
        return f"STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://{self.bucket}/{folder}'"

    @property
    def keys(self) -> list[str]:
        """All keys of the bucket."""
        client = self.sessions[0].connection("lake").client()
        return [each["Key"] for each in client.list_objects_v2(Bucket=self.bucket).get("Contents", [])]


@pytest.fixture
def place(sandbox: Any, request: pytest.FixtureRequest) -> Iterator[Place]:
    bucket = f"managed-{abs(hash(request.node.name)) % 10**9}"
    made = Place(sandbox, bucket)
    client = made.session().connection("lake").client()
    client.create_bucket(Bucket=bucket)
    yield made
    for key in made.keys:
        client.delete_object(Bucket=bucket, Key=key)
    client.delete_bucket(Bucket=bucket)
    for run in made.sessions:
        run.session.close()


def _rows(run: Statements, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in run(f"SET RESULT = 'arrow'; {query}").to_pylist()]


def test_a_table_is_made_filled_and_read_by_another_kernel(place: Place):
    """What one kernel has put into a table, another one that takes it reads, whole and as of any snapshot."""
    run = place.session()
    assert "created" in str(
        run(f"CREATE ICEBERG TABLE t (id BIGINT, name VARCHAR) PARTITIONED BY bucket(2, id) {place.storage()}")
    )
    run("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    first = _rows(run, "SHOW SNAPSHOTS t")[0][0]
    run("INSERT INTO t MAP_COLUMNS_BY_NAME SELECT 'c' AS name, 3 AS id, TRUE AS new")
    other = place.session(f"CREATE TABLE IF NOT EXISTS t() {place.storage()}")
    assert _rows(other, "SELECT id, name, new FROM t ORDER BY id") == [(1, "a", None), (2, "b", None), (3, "c", True)]
    assert _rows(other, f"SELECT id FROM t AT (VERSION => {first}) ORDER BY id") == [(1,), (2,)]
    assert _rows(other, f"SELECT count(*) FROM t AS x JOIN 's3://lake@{place.bucket}/t/' AS y ON x.id = y.id") == [(3,)]
    assert [row[5] for row in _rows(other, "SHOW SNAPSHOTS t")] == [3, 2]
    with pytest.raises(QueryError, match="IF NOT EXISTS uses it"):
        place.session()(f"CREATE TABLE t() {place.storage()}")


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        ("CREATE ICEBERG TABLE t (a INT)", "needs a place"),
        ("CREATE TABLE t (a INT) STORAGE_LOCATION = 's3://b/t/'", "needs STORAGE_CONNECTION"),
        ("CREATE TABLE t LOCATION 's3://b/t/' PRIMARY KEY a", "LOCATION cannot be used here"),
        ("CREATE TABLE t (a INT) STORAGE_CONNECTION = lake STORAGE_LOCATIN = 's3://b/t/'", "unknown option of a table"),
        ("CREATE TABLE t (a INT) TABLE_DATA_RETENTION = 3 HOURS", "TABLE_DATA_RETENTION takes"),
    ],
)
def test_clauses_that_do_not_go_together_are_refused_when_binding(place: Place, made: str, wrong: str):
    """A cell with such a statement changes nothing."""
    with pytest.raises(BindError, match=wrong):
        place.sessions[0](f"CREATE TABLE before AS SELECT 1 AS a; {made}")
    assert "before" not in list(place.sessions[0]("SHOW TABLES")["name"])


def test_a_connection_that_only_reads_makes_no_table(place: Place):
    """READ_ONLY is refused when the statement is bound, and a change of a table that was taken before any request."""
    place.sessions[0](f"CREATE TABLE t (a INT) {place.storage()}")
    run = place.session(READ_ONLY=True)
    with pytest.raises(ReadOnlyConnectionError):
        run(f"CREATE TABLE u (a INT) {place.storage('u')}")
    place.sessions[0]("INSERT INTO t VALUES (1)")
    before = place.keys
    for change in ("INSERT INTO t VALUES (2)", "OPTIMIZE TABLE t", "DROP TABLE t DELETE_DATA = TRUE"):
        place.sessions[0].connection("lake")
        with pytest.raises(ReadOnlyConnectionError):
            _read_only(place)(change)
    assert place.keys == before


def _read_only(place: Place) -> Statements:
    """A session that has a table through a connection which was made READ_ONLY afterwards."""
    run = place.session(f"CREATE TABLE IF NOT EXISTS t() {place.storage()}")
    options = {"ENDPOINT": place._server.endpoint, "READ_ONLY": True, "VALIDATE": False}
    run(create("lake", keys=place._server.admin, **options).replace("CREATE", "CREATE OR REPLACE", 1))
    return run


def test_a_connection_with_tables_is_not_dropped(place: Place):
    """DROP CONNECTION names the table; DROP TABLE leaves the files, and DELETE_DATA = TRUE takes them."""
    run = place.session("CREATE TABLE t AS SELECT 1 AS a", f"SET DEFAULT_STORAGE = ('lake', 's3://{place.bucket}/all')")
    run("CREATE TABLE x.kept AS SELECT 2 AS a; CREATE TABLE gone AS SELECT 3 AS a")
    with pytest.raises(ConnectionInUseError, match=r"x\.kept"):
        run("DROP CONNECTION lake")
    run("DROP TABLE x.kept; DROP TABLE gone DELETE_DATA = TRUE")
    assert {key.split("/")[1] for key in place.keys} == {"x"}
    run("CREATE TABLE IF NOT EXISTS x.kept()")
    assert _rows(run, "FROM x.kept") == [(2,)]


TYPES = [
    ("BOOLEAN", "true", True),
    ("TINYINT", "(-128)", -128),
    ("UINTEGER", "4294967295", 2**32 - 1),
    ("UBIGINT", "18446744073709551615", Decimal(2**64 - 1)),
    ("HUGEINT", "12345678901234567890123456789012345678", Decimal(12345678901234567890123456789012345678)),
    ("DECIMAL(38,10)", "1.0000000001", Decimal("1.0000000001")),
    ("DOUBLE", "0.1", 0.1),
    ("VARCHAR", "'é\n'", "é\n"),
    ("UUID", "'6ccd780c-baba-1026-9564-5b8c656024db'", "6ccd780c-baba-1026-9564-5b8c656024db"),
    ("ENUM('a', 'b')", "'b'", "b"),
    ("JSON", "'{\"a\": 1.50}'", '{"a": 1.50}'),
    ("BLOB", r"'\x00\xFF'", b"\x00\xff"),
    ("DATE", "'0001-01-01'", "0001-01-01"),
    ("TIME", "'23:59:59.999999'", "23:59:59.999999"),
    ("TIMESTAMP", "'1969-12-31 23:59:59.999999'", "1969-12-31 23:59:59.999999"),
    ("TIMESTAMP_S", "'2026-01-01 00:00:01'", "2026-01-01 00:00:01"),
    ("TIMESTAMPTZ", "'2026-01-01 01:00:00+01'", "2026-01-01 00:00:00+00"),
    ("INTEGER[]", "[1, NULL]", "[1, NULL]"),
    ('STRUCT(a INTEGER, "b c" VARCHAR)', "{'a': 1, 'b c': 'x'}", "{'a': 1, 'b c': x}"),
    ("MAP(VARCHAR, UTINYINT)", "MAP {'k': 255}", "{k=255}"),
]
REFUSED = [
    ("INTERVAL", "'1 day'"),
    ("UNION(a INTEGER, b VARCHAR)", "1"),
    ("TIMESTAMP_NS", "'2026-01-01 00:00:00.000000001'"),
    ("TIMETZ", "'12:00:00+01'"),
    ("BIT", "'101'"),
    ("STRUCT(a INTERVAL)", "{'a': INTERVAL 1 DAY}"),
    ("DATE", "'infinity'"),
    ("HUGEINT", "170141183460469231731687303715884105727"),
]


def test_every_type_is_kept_as_it_is(place: Place):
    """A value of each type of DuckDB that Iceberg can hold comes back exactly, through another kernel."""
    columns = ", ".join(f"{value}::{kind} AS c{at}" for at, (kind, value, _) in enumerate(TYPES))
    place.sessions[0](f"CREATE TABLE t PARTITIONED BY c0 {place.storage()} AS SELECT {columns}")
    run = place.session(f"CREATE TABLE IF NOT EXISTS t() {place.storage()}")
    shown = ", ".join(
        f"c{at}::VARCHAR" if isinstance(value, str) else f"c{at}" for at, (_, _, value) in enumerate(TYPES)
    )
    ((*values,),) = _rows(run, f"SELECT {shown} FROM t")
    assert values == [value for _, _, value in TYPES]


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_what_iceberg_cannot_hold_is_refused_before_a_byte_is_written(place: Place, kind: str, value: str):
    """The error names the column, and nothing is in the bucket."""
    with pytest.raises(S3ConnError):
        place.sessions[0](f"CREATE TABLE t {place.storage()} AS SELECT {value}::{kind} AS c")
    assert place.keys == []


@pytest.mark.parametrize("storage", [True, False], ids=["S3", "DuckDB"])
def test_values_go_in_as_they_are_or_not_at_all(place: Place, storage: bool):
    """INSERT casts exactly or is refused, into a table in S3 as into one in DuckDB; wider columns widen the former."""
    run = place.session(f"CREATE TABLE t (a INTEGER, b DATE) {place.storage() if storage else ''}")
    run("INSERT INTO t VALUES ('7', '2026-01-31')")
    for wrong in ("SELECT 1.5, NULL", "SELECT '007', NULL", "SELECT 1, '31.01.2026'", "SELECT 1"):
        with pytest.raises(QueryError):
            run(f"INSERT INTO t {wrong}")
    assert _rows(run, "SELECT a, b::VARCHAR FROM t") == [(7, "2026-01-31")]
    if storage:
        run("INSERT INTO t SELECT 3000000000, NULL")
        assert _rows(run, "SELECT a FROM t ORDER BY a") == [(7,), (3000000000,)]


MERGES = [
    ("USING s ON (t.id = s.id) WHEN MATCHED THEN UPDATE SET v = s.v || '!'", [(1, "x"), (2, "B!")]),
    (
        "AS a USING s ON a.id = s.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)",
        [(1, "x"), (2, "y"), (3, "C")],
    ),
    ("USING s USING (id) WHEN MATCHED THEN DELETE", [(1, "x")]),
    (
        "USING s ON t.id = s.id WHEN MATCHED THEN REPLACE WHEN NOT MATCHED THEN INSERT MAP_COLUMNS_BY_NAME",
        [(1, "x"), (2, "B"), (3, "C")],
    ),
    (
        (
            "USING (SELECT *, TRUE AS gone FROM s) d ON t.id = d.id WHEN MATCHED AND d.gone THEN DELETE"
            " WHEN NOT MATCHED THEN INSERT MAP_COLUMNS_BY_NAME EXCEPT gone"
        ),
        [(1, "x"), (3, "C")],
    ),
    ("USING s ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE", [(2, "y")]),
    ("USING s ON t.id = CASE WHEN s.id = 3 THEN 1 END WHEN MATCHED THEN UPDATE SET v = NULL", [(1, None), (2, "y")]),
]


@pytest.mark.parametrize("storage", [True, False], ids=["S3", "DuckDB"])
@pytest.mark.parametrize(("merge", "rows"), MERGES)
def test_a_merge_changes_what_it_says(place: Place, storage: bool, merge: str, rows: list[Any]):
    """The same statement gives the same rows, whether the table lies in S3 or in DuckDB."""
    run = place.session("CREATE TABLE s AS SELECT * FROM (VALUES (2::BIGINT, 'B'), (3, 'C')) AS v(id, v)")
    run(f"CREATE TABLE t (id BIGINT, v VARCHAR) {place.storage() if storage else ''}")
    run("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    run(f"MERGE INTO t {merge}")
    assert _rows(run, "SELECT id, v FROM t ORDER BY id") == rows


@pytest.mark.parametrize(
    "merge",
    [
        "USING s ON true WHEN MATCHED THEN UPDATE SET v = (SELECT content FROM read_text('/etc/hostname'))",
        "USING read_csv('/etc/passwd') AS s ON true WHEN MATCHED THEN DELETE",
        "USING s ON true) WHEN MATCHED THEN DELETE",
        "USING s ON true WHEN MATCHED THEN DELETE RETURNING *",
        "SET v = 1",
    ],
)
def test_a_merge_in_a_file_reads_nothing_of_this_machine(place: Place, merge: str):
    """Each part of it is judged as a query is, and what is no part of a MERGE is refused."""
    run = place.session("SET LOCAL_FILES = FALSE; CREATE TABLE s AS SELECT 2 AS id; CREATE TABLE t (id INT, v VARCHAR)")
    with pytest.raises(QueryError):
        run(f"MERGE INTO t {merge}")


def test_tidying_keeps_every_row_and_ends_what_is_old(place: Place):
    """OPTIMIZE puts small files together; rows beyond the retention go, and files that nothing needs."""
    run = place.session(f"CREATE TABLE t (d DATE, v INT) PARTITIONED BY month(d) {place.storage()}")
    for at in range(3):
        run(f"INSERT INTO t VALUES (DATE '2026-11-0{at + 1}', {at})")
    assert "3 files became 1" in str(run("OPTIMIZE TABLE t"))
    assert _rows(run, "SELECT v FROM t ORDER BY v") == [(0,), (1,), (2,)]
    run("INSERT INTO t VALUES (DATE '1999-01-01', 9); ALTER TABLE t SET TABLE_DATA_RETENTION = 3650 DAYS")
    assert "retention" in str(run("OPTIMIZE TABLE t"))
    assert _rows(run, "SELECT v FROM t ORDER BY v") == [(0,), (1,), (2,)]
    assert _rows(run, f"FROM t AT (VERSION => {_rows(run, 'SHOW SNAPSHOTS t')[-1][0]})") != []


def test_a_table_without_columns_takes_those_of_its_first_rows(place: Place):
    """Its partitions and its key wait for them; a key has no NULL."""
    run = place.session(f"CREATE TABLE t() PARTITIONED BY day(ts) PRIMARY KEY id {place.storage()}")
    with pytest.raises(QueryError, match="no columns yet"):
        run("FROM t")
    run("INSERT INTO t SELECT 1 AS id, TIMESTAMP '2026-05-05 05:05:05' AS ts")
    assert any("ts_day=2026-05-05" in key for key in place.keys)
    with pytest.raises(QueryError, match="PRIMARY KEY"):
        run("INSERT INTO t SELECT NULL::INTEGER, NULL::TIMESTAMP")


def test_without_the_package_all_else_works(place: Place, monkeypatch: pytest.MonkeyPatch):
    """CREATE ICEBERG TABLE names the package that is missing."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "pyiceberg" else real(name, *more)
    )
    run = place.session("CREATE TABLE t AS SELECT 1 AS a; INSERT INTO t VALUES (2)")
    assert _rows(run, "SELECT sum(a)::BIGINT FROM t") == [(3,)]
    with pytest.raises(QueryError, match="pyiceberg") as caught:
        run(f"CREATE ICEBERG TABLE u (a INT) {place.storage()}")
    assert "pip install" in caught.value.hint
    assert place.keys == []


def _put(place: Place, **objects: str) -> None:
    client = place.sessions[0].connection("lake").client()
    for name, body in objects.items():
        client.put_object(Bucket=place.bucket, Key=f"in/{name}.csv", Body=body.encode())


def _job(place: Place, *options: str) -> str:
    return (
        f"CREATE JOB j CONTENT_TYPE = CSV {' '.join(options)}"
        f" AS COPY FROM S3 lake LOCATION = 's3://{place.bucket}/in/' INTO t"
    )


def test_each_object_is_in_the_table_once_whichever_kernel_loads_it(place: Place):
    """Two kernels share what was loaded; the rows of a changed object replace those before, by one commit."""
    run = place.session(f"CREATE TABLE t() PARTITIONED BY $event_date {place.storage()}")
    _put(place, a="id,v\n1,x\n2,y\n", b="id,v\n3,z\n")
    run(_job(place))
    other = place.session(f"CREATE TABLE IF NOT EXISTS t() {place.storage()}")
    assert "nothing new" in str(other(_job(place)))
    _put(place, b="id,v\n3,zz\n", c="id,v\n3000000000,w\n", d="id,v\n1.5,w\n")
    assert "1 object failed" in str(other("RUN JOB j"))
    assert "Nothing was loaded" in str(run("RUN JOB j"))
    expected = [(1, "x"), (2, "y"), (3, "zz"), (3000000000, "w")]
    assert _rows(run, "SELECT id, v FROM t ORDER BY id") == expected
    assert len(_rows(run, 'SELECT DISTINCT "$event_date" FROM t')) == 1
    run("OPTIMIZE TABLE t")
    assert _rows(other, "SELECT id, v FROM t ORDER BY id") == expected


def test_objects_are_deleted_only_when_their_rows_are_in_the_table(place: Place, monkeypatch: pytest.MonkeyPatch):
    """A run whose commit fails has loaded nothing, and deletes nothing; the next one loads all."""
    run = place.session(f"CREATE TABLE t() {place.storage()}")
    _put(place, a="id\n1\n")
    with monkeypatch.context() as patch:
        patch.setattr(ManagedTable, "commit", _refused)
        with pytest.raises(QueryError, match="not now"):
            run(_job(place, "DELETE_FILES_AFTER_LOAD = TRUE"))
    assert "in/a.csv" in place.keys
    run(_job(place, "DELETE_FILES_AFTER_LOAD = TRUE"))
    _put(place, a="id\n2\n")
    run("RUN JOB j")
    assert _rows(run, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]
    assert not any(key.startswith("in/") for key in place.keys)


def _refused(*_: Any) -> None:
    raise QueryError("not now", hint="Later.")


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
def test_a_swap_without_an_answer_is_looked_at(place: Place, monkeypatch: pytest.MonkeyPatch, done: bool):
    """Where the answer was lost, the table tells whether the rows are in it: never twice, and never lost unsaid."""
    run = place.session(f"CREATE TABLE t (a INTEGER) {place.storage()}")
    swap = BucketPointer.swap

    def without_answer(self: BucketPointer, name: str, tag: str) -> bool:
        if done:
            swap(self, name, tag)
        raise EndpointError("no answer", hint="Wait.")

    with monkeypatch.context() as patch:
        patch.setattr(BucketPointer, "swap", without_answer)
        if done:
            run("INSERT INTO t VALUES (1)")
        else:
            with pytest.raises(UnknownOutcomeError, match="not known whether"):
                run("INSERT INTO t VALUES (1)")
    assert _rows(run, "FROM t") == ([(1,)] if done else [])


def test_writers_side_by_side_lose_nothing(place: Place):
    """Each row of each of them is there once; what lost a swap was done again, and left no file behind."""
    place.session(f"CREATE TABLE t (writer INTEGER, commit INTEGER) {place.storage()}")
    writers = [place.session(f"CREATE TABLE IF NOT EXISTS t() {place.storage()}") for _ in range(4)]

    def write(writer: int) -> None:
        for commit in range(3):
            writers[writer](f"INSERT INTO t VALUES ({writer}, {commit})")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    rows = _rows(writers[0], "FROM t ORDER BY ALL")
    assert rows == [(writer, commit) for writer in range(4) for commit in range(3)]
    assert sum(key.endswith(".parquet") for key in place.keys) == 12
