"""INSERT INTO S3: one object, whole or not at all."""

from __future__ import annotations

import io
import os
import re
import signal
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from s3conn_magic.errors import EndpointError, JobFailedError, QueryError, ReadOnlyConnectionError, StatementInterrupted
from s3conn_magic.jobs.inserting import Sink
from s3conn_magic.objects.ranged import PinnedObject
from s3conn_magic.objects.uploads import Upload
from s3conn_magic.query.sql import identifier, literal

if TYPE_CHECKING:
    from lakes import Lake, Nursery

_ROWS = 700_000
_BIG = f"SELECT i, hash(i) AS h FROM range({_ROWS}) t(i)"


def _insert(lake: Lake, query: str = "SELECT 1 AS a", options: str = "", *, where: str = "out/") -> str:
    return f"CREATE JOB j AS INSERT INTO S3 lake LOCATION = 's3://{lake.bucket}/{where}' {options} {query}"


def _read(lake: Lake, key: str = "out/j.parquet") -> pa.Table:
    return pq.read_table(io.BytesIO(lake.body(key)))


def test_a_location_is_a_folder(moto_lake: Lake):
    """A LOCATION that does not end with a slash is the same folder; a second run finds what it wrote."""
    run = moto_lake.session()
    run(_insert(moto_lake, where="out"))
    assert str(run("RUN JOB j")).startswith("Replaced ")
    assert moto_lake.keys_below() == ["out/j.parquet"]


def test_a_job_writes_the_result_of_its_query(lake: Lake):
    """One object named after the job; a second run replaces it, and the object says which job wrote it."""
    run = lake.session()
    run.names["frame"] = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    run.names["least"] = 2
    said = str(run(_insert(lake, "SELECT * FROM frame WHERE a >= $least", "MAP_COLUMNS_BY_NAME")))
    assert re.fullmatch(rf"The job j was created. Wrote s3://{lake.bucket}/out/j.parquet \(1 row, \d+ B\).", said)
    run.names["least"] = 1
    assert str(run("RUN JOB j")).startswith("Replaced ")
    assert _read(lake).to_pydict() == {"a": [1, 2], "b": ["x", None]}
    assert lake.keys_below() == ["out/j.parquet"]
    (row,) = run("SHOW JOBS").to_dict("records")
    assert [row[name] for name in ("type", "state", "runs", "objects", "rows")] == ["INSERT INTO S3", "ok", 2, 2, 3]


@pytest.mark.parametrize("query", ["SELECT 1 AS a, 2 AS A", "SELECT l.k, r.k FROM range(1) l(k), range(1) r(k)"])
@pytest.mark.parametrize("format_", ["PARQUET", "CSV", "JSON"])
def test_two_columns_of_one_name_are_refused(moto_lake: Lake, query: str, format_: str):
    """DuckDB would rename one of them without a word; nothing is written."""
    run = moto_lake.session()
    with pytest.raises(JobFailedError, match="has two columns") as refused:
        run(_insert(moto_lake, query, f"FILE_FORMAT = {format_}"))
    assert " AS " in refused.value.hint
    assert moto_lake.keys_below() == []


WRITTEN = {
    "csv": ("FILE_FORMAT = CSV", "j.csv", b'a,b\n1,x\n2,\n3,""\n'),
    "csv without a header": ("FILE_FORMAT = (TYPE = CSV DELIMITER = ';' HEADER = FALSE)", "j.csv", b'1;x\n2;\n3;""\n'),
    "tsv": ("FILE_FORMAT = (TYPE = TSV)", "j.tsv", b'a\tb\n1\tx\n2\t\n3\t""\n'),
    "tsv without a header": ("FILE_FORMAT = (TYPE = TSV HEADER = FALSE)", "j.tsv", b'1\tx\n2\t\n3\t""\n'),
    "json": ("FILE_FORMAT = JSON", "j.json", b'{"a":1,"b":"x"}\n{"a":2,"b":null}\n{"a":3,"b":""}\n'),
    "gzip": ("FILE_FORMAT = TSV COMPRESSION = GZIP", "j.tsv.gz", b'a\tb\n1\tx\n2\t\n3\t""\n'),
    "zstd": ("FILE_FORMAT = CSV COMPRESSION = ZSTD", "j.csv.zst", b'a,b\n1,x\n2,\n3,""\n'),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_formats_are_written_as_they_say(moto_lake: Lake, case: str):
    """Each FILE_FORMAT with its settings and compression; a header unless it is off; NULL is not the empty text."""
    options, name, expected = WRITTEN[case]
    run = moto_lake.session()
    run(_insert(moto_lake, "FROM (VALUES (1, 'x'), (2, NULL), (3, '')) t(a, b)", options))
    body = moto_lake.body(f"out/{name}")
    if name.endswith((".gz", ".zst")):
        kind = "gzip" if name.endswith(".gz") else "zstd"
        with pa.CompressedInputStream(pa.BufferReader(body), kind) as stream:
            body = stream.read()
    assert body == expected


# A value of a field, and how it stands in CSV, in TSV, and in CSV by another delimiter.
FIELDS = {
    "a,b": ('"a,b"', "a,b", "a,b"),
    "a;b": ("a;b", "a;b", '"a;b"'),
    "a\tb": ("a\tb", '"a\tb"', "a\tb"),
    'say "a"': ('"say ""a"""',) * 3,
    "a\nb": ('"a\nb"',) * 3,
    "a\rb": ('"a\rb"',) * 3,
    " a ": (" a ",) * 3,
}


@pytest.mark.parametrize("value", FIELDS)
def test_what_divides_fields_and_records_is_quoted(moto_lake: Lake, value: str):
    """In values and in names of columns: delimiters, quotes, and both characters that end a line."""
    run = moto_lake.session()
    query = f"SELECT {literal(value)} AS {identifier(value)}, 1 AS n"
    settings = ("TYPE = CSV", "TYPE = TSV", "TYPE = CSV DELIMITER = ';'")
    for field, setting, delimiter in zip(FIELDS[value], settings, ",\t;", strict=True):
        run(_insert(moto_lake, query, f"FILE_FORMAT = ({setting})"))
        name = "out/j.tsv" if "TSV" in setting else "out/j.csv"
        assert moto_lake.body(name).decode() == f"{field}{delimiter}n\n{field}{delimiter}1\n"
        run("DROP JOB j")


def test_nested_values_are_json(moto_lake: Lake):
    """In CSV, in place of DuckDB's own form of them, which no other reads; numbers have their own digits."""
    run = moto_lake.session()
    struct = "{'a': 1.50, 'b': ['x\"', NULL]}"
    query = f"SELECT {struct} AS s, MAP {{1: 'y'}} AS m, 0.1::FLOAT AS f, sum(i) AS n FROM range(5) t(i)"
    run(_insert(moto_lake, query, "FILE_FORMAT = (TYPE = CSV DELIMITER = ';')"))
    expected = b's;m;f;n\n"{""a"":1.5,""b"":[""x\\"""",null]}";"{""1"":""y""}";0.1;10\n'
    assert moto_lake.body("out/j.csv") == expected
    run("DROP JOB j")
    run(_insert(moto_lake, query.replace("MAP {1: 'y'} AS m, ", ""), "FILE_FORMAT = JSON"))
    assert moto_lake.body("out/j.json") == b'{"s":{"a":1.5,"b":["x\\"",null]},"f":0.1,"n":10}\n'


def test_sums_are_exact_in_parquet(moto_lake: Lake):
    """DuckDB sums integers to 128 bits, which are decimals there and no floating numbers."""
    run = moto_lake.session()
    run(_insert(moto_lake, "SELECT sum(i) AS n, [sum(i)] AS l FROM (VALUES (9007199254740993), (10)) t(i)"))
    table = _read(moto_lake)
    assert table.schema.field("n").type == pa.decimal128(38, 0)
    assert table.to_pylist() == [{"n": Decimal(9007199254741003), "l": [Decimal(9007199254741003)]}]


@pytest.mark.parametrize("compression", ["NONE", "GZIP", "SNAPPY", "ZSTD"])
def test_parquet_is_compressed_as_it_says(moto_lake: Lake, compression: str):
    """The columns of the object have the compression of the option."""
    run = moto_lake.session()
    run(_insert(moto_lake, "SELECT range AS a FROM range(1000)", f"COMPRESSION = {compression}"))
    written = pq.ParquetFile(io.BytesIO(moto_lake.body("out/j.parquet"))).metadata.row_group(0).column(0).compression
    assert written == compression.replace("NONE", "UNCOMPRESSED")


def test_the_date_of_the_run_is_a_folder(moto_lake: Lake):
    """DATE_PATTERN, moved by OUTPUT_OFFSET, stands between location and name."""
    run = moto_lake.session()
    run(_insert(moto_lake, options="DATE_PATTERN = '''dt=''yyyy-MM-dd/HH' OUTPUT_OFFSET = -1 DAY"))
    began = run.session.jobs.get("j").last_run - pd.Timedelta(days=1)
    assert moto_lake.keys_below() == [f"out/dt={began:%Y-%m-%d/%H}/j.parquet"]


def test_a_window_adds_an_object_for_what_is_new(moto_lake: Lake):
    """With run_start_time() and run_end_time() each run takes what came since the last, also in another kernel."""
    query = (
        "SELECT n FROM (VALUES (1, TIMESTAMP '2026-01-01'), (2, now()::TIMESTAMP)) t(n, made)"
        " WHERE made >= run_start_time() AND made < run_end_time()"
    )
    run = moto_lake.session()
    run(_insert(moto_lake, query, "START_FROM = BEGINNING"))
    (first,) = moto_lake.keys_below()
    assert _read(moto_lake, first).to_pydict() == {"n": [1]}
    assert str(run("RUN JOB j")) == "There were no new rows, and nothing was written."
    again = moto_lake.session()
    assert "nothing was written" in str(again(_insert(moto_lake, query)))
    assert moto_lake.keys_below() == [first]
    assert not moto_lake.unfinished


def test_an_object_of_somebody_else_is_not_replaced(lake: Lake):
    """What the job did not write stays, and there is no job."""
    lake.client.put_object(Bucket=lake.bucket, Key="out/j.parquet", Body=b"mine")
    run = lake.session()
    assert "the job did not write" in run.fails(_insert(lake), JobFailedError).message
    assert lake.body("out/j.parquet") == b"mine"
    assert run("SHOW JOBS").empty


def test_a_read_only_connection_is_refused_before_any_request(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """At the statement, and for a job whose connection became READ_ONLY; neither sends anything."""
    run = moto_lake.session()
    run(_insert(moto_lake))
    run(moto_lake.connect.replace("CREATE", "CREATE OR REPLACE") + " READ_ONLY = TRUE")
    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", lambda *_: pytest.fail("a request was sent"))
    run.fails("RUN JOB j", ReadOnlyConnectionError)
    run.fails(_insert(moto_lake).replace("JOB j", "JOB k"), ReadOnlyConnectionError)
    assert run.session.jobs.get("j").state == "failed"


def test_what_is_written_is_encrypted_as_the_connection_says(moto_lake: Lake):
    """SSE-KMS by one request and by several."""
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    run = moto_lake.session()
    run(moto_lake.connect.replace("CREATE", "CREATE OR REPLACE") + f" ENCRYPTION_KMS_KEY = '{key}'")
    for query in ("SELECT 1 AS a", _BIG):
        run(_insert(moto_lake, query, "COMPRESSION = NONE"))
        answer = moto_lake.client.head_object(Bucket=moto_lake.bucket, Key="out/j.parquet")
        assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", key)
        run("DROP JOB j")


def test_a_query_that_fails_leaves_nothing(lake: Lake):
    """However late it fails; an earlier output stays, no part of an upload is left, and the error has its place."""
    run = lake.session()
    run(_insert(lake))
    late = f"SELECT CASE WHEN i = {_ROWS - 1} THEN error('late') ELSE i END AS i, hash(i) AS h FROM range({_ROWS}) t(i)"
    error = run.fails(_insert(lake, late, "COMPRESSION = NONE").replace("JOB j", "JOB k"), QueryError)
    assert "late" in error.message or "…" in error.message
    assert lake.keys_below() == ["out/j.parquet"]
    wrong = run.fails(_insert(lake, "SELECT nothing FROM range(1)").replace("JOB j", "JOB k"), QueryError)
    assert wrong.place.excerpt.endswith("SELECT nothing FROM range(1)")
    assert wrong.place.marker.strip() == "^^^^^^^"
    assert run("SHOW JOBS")["job"].tolist() == ["j"]


def test_an_object_that_is_not_what_was_written_is_deleted(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """Every byte is read back; one that differs fails the job, and nobody reads the object."""
    get = PinnedObject.get
    monkeypatch.setattr(PinnedObject, "get", lambda self, *given, **more: get(self, *given, **more)[:-1] + b"!")
    run = moto_lake.session()
    error = run.fails(_insert(moto_lake), EndpointError)
    assert "differs in size or content from what was written" in error.message
    assert error.notes[-1] == "It was deleted."
    assert not moto_lake.keys_below()


def test_a_write_that_the_server_refuses_leaves_nothing(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """The second part is refused: the upload is aborted, and the reason is the server's."""
    send, calls = Upload._send, iter(range(10))

    def sent(self: Upload, size: int) -> None:
        if next(calls) == 1:
            self._abort_quietly(failure := EndpointError("no room", hint="Make some."))
            raise failure
        send(self, size)

    monkeypatch.setattr(Upload, "_send", sent)
    monkeypatch.setattr("s3conn_magic.objects.uploads.PART", 5 * 1024 * 1024)
    run = moto_lake.session()
    assert run.fails(_insert(moto_lake, _BIG, "COMPRESSION = NONE"), EndpointError).message == "no room"
    assert not moto_lake.keys_below()
    assert not moto_lake.unfinished


def test_an_interrupt_leaves_nothing(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """Interrupted when parts are sent, the job is there and its object is not; RUN JOB writes it."""
    write = Sink.write

    def written(self: Sink, data: Any) -> int:
        if self.size > 6_000_000:
            os.kill(os.getpid(), signal.SIGINT)
        return write(self, data)

    monkeypatch.setattr("s3conn_magic.objects.uploads.PART", 5 * 1024 * 1024)
    run = moto_lake.session()
    with monkeypatch.context() as patched:
        patched.setattr(Sink, "write", written)
        endless = _BIG.replace(str(_ROWS), "least($rows, 1_000_000_000)")
        run.names["rows"] = 1_000_000_000
        error = run.fails(_insert(moto_lake, endless, "COMPRESSION = NONE"), StatementInterrupted)
    assert "Nothing was written." in error.notes
    assert not moto_lake.keys_below()
    assert not moto_lake.unfinished
    run.names["rows"] = 10
    assert "(10 rows" in str(run("RUN JOB j"))


POINTS = [("request", at) for at in range(1, 10)] + [("end", 0)]


def test_a_killed_kernel_leaves_no_part_of_an_object(moto_lake: Lake, nursery: Nursery):
    """Killed at ten points, nothing or the whole object is visible; the next run completes it and clears up."""
    _kill_everywhere(moto_lake, nursery, POINTS)


def test_a_killed_kernel_leaves_no_part_of_an_object_on_another_server(rclone_lake: Lake, nursery: Nursery):
    """The same on rclone."""
    _kill_everywhere(rclone_lake, nursery, [("request", 5), ("request", 7), ("request", 9), ("end", 0)])


def _kill_everywhere(lake: Lake, nursery: Nursery, points: list[tuple[str, int]]) -> None:
    cell = _insert(lake, _BIG, "COMPRESSION = NONE")
    seen = []
    for point in points:
        nursery.kill(lake.connect, cell, *point)
        seen.append(len(lake.keys_below()))
        run = lake.session()
        run(cell)
        assert lake.keys_below() == ["out/j.parquet"]
        assert not lake.unfinished
        numbers = _read(lake).column("i")
        assert (len(numbers), pc.count_distinct(numbers).as_py(), pc.max(numbers).as_py()) == (_ROWS, _ROWS, _ROWS - 1)
        lake.client.delete_object(Bucket=lake.bucket, Key="out/j.parquet")
        run.session.close()
    assert set(seen) == {0, 1}


def test_a_killed_window_is_written_once(moto_lake: Lake, nursery: Nursery):
    """Whether its object was complete or not when the kernel died, the next kernel's windows join without a gap."""
    query = "SELECT 1 AS n WHERE TIMESTAMP '2026-01-01' >= run_start_time() AND TIMESTAMP '2026-01-01' < run_end_time()"
    cell = _insert(moto_lake, query)
    for point in (("request", 3), ("request", 4), ("end", 0)):
        nursery.kill(moto_lake.connect, cell, *point)
    moto_lake.session()(cell)
    assert sum(_read(moto_lake, key).num_rows for key in moto_lake.keys_below()) == 1
