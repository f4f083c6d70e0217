"""COPY FROM S3 on a real cluster: the table is that of one process, whatever becomes of a worker."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import rows_of

from s3conn_magic.cluster import work
from s3conn_magic.errors import JobFailedError
from s3conn_magic.jobs.job import Candidate
from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from lakes import Lake
    from statements import Statements

COPY = "CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{bucket}/in/' INTO {table}"


def _parquet(**columns) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _objects() -> dict[str, str | bytes]:
    """All kinds: typed by the beginning and not, nested, packed, empty, and two that cannot be read."""
    late = "n,s\n" + "1,x\n" * 30_000 + "1.5,2026-01-01\n"
    found: dict[str, str | bytes] = {f"a{at:03}__csv": f"n,s\n{at},x{at}\n{at},y\n" for at in range(70)}
    found |= {"b1__csv": late, "b2__csv__gz": gzip.compress(b"n,s,d\n7,z,2026-01-02\n"), "b3__csv": ""}
    found |= {"c1__json": '{"n": 3, "o": {"p": [1, 2]}, "u": null}\n{"n": 4, "o": {"p": []}, "u": {"x": 1}}\n'}
    found |= {"d1__parquet": _parquet(n=[5], t=[pa.scalar(0, pa.timestamp("us", "UTC")).as_py()], b=[b"\x00\xff"])}
    found |= {"e1__parquet": b"PAR1 and nothing", "e2__json": '{"n": '}
    return found


@pytest.fixture
def filled(moto_lake: Lake) -> Lake:
    """A bucket with objects of all kinds."""
    moto_lake.put(**_objects())
    return moto_lake


def _facts(run: Statements) -> tuple[object, ...]:
    """The table, its columns, and what failed."""
    errors = run("SHOW JOB j ERRORS")
    failed = [(one["location"], one["error"]) for one in errors.to_dict("records")]
    columns = run.session.queries.engine.database.execute("DESCRIBE t").fetchall()
    return rows_of(run, what="*"), columns, failed


def test_a_copy_by_workers_makes_the_table_that_one_process_makes(filled, workers):
    """Rows, types, the objects that failed and why are the same; a second run takes only what is new."""
    statement = COPY.format(bucket=filled.bucket, table="t")
    one = filled.session()
    said = str(one(statement))
    many = filled.session(f"SET ENGINE = 'dask'; SET SCHEDULER = '{workers.address}'")
    assert str(many(statement)) == said
    assert _facts(many) == _facts(one)
    filled.put(a000__csv="n,s\n0,changed\n", z__csv="n,s\n9,new\n")
    assert str(many("RUN JOB j")).startswith("Loaded 2 objects, of which 1 replaced an earlier version (2 rows")
    assert rows_of(many, what="count(*)") == [(2 * 69 + 1 + 30_001 + 1 + 2 + 1 + 1,)]
    many.session.close()


def test_the_rows_are_exact_though_a_worker_is_killed(filled, workers):
    """Each object is loaded once; the lost worker's group is read by another."""
    run = filled.session(f"SET ENGINE = 'dask'; SET SCHEDULER = '{workers.address}'")
    cluster = run.session.scale.cluster()
    sent, submit = [], cluster._client.submit

    def submitted(*given, **options):
        sent.append(options["key"])
        return submit(*given, **options)

    cluster._client.submit = submitted
    before = len(workers.killed)
    thread = workers.kill_one(lambda: len(sent) >= 2)
    run(COPY.format(bucket=filled.bucket, table="t"))
    thread.join()
    assert len(workers.killed) == before + 1
    assert rows_of(run, what='count(*), count(DISTINCT "$object")') == [(140 + 30_001 + 1 + 2 + 1, 74)]
    assert run("SHOW JOBS").loc[0, "failed"] == 2
    assert str(run("RUN JOB j")).startswith("Nothing was loaded")
    run.session.close()


def test_a_server_with_real_signatures_is_read_by_workers(rclone_lake, workers):
    """Rclone has no STS: the pair is sent with a note, and the workers' own clients are let in."""
    rclone_lake.put(a__csv="n\n1\n", b__csv="n\n2\n")
    run = rclone_lake.session(f"SET ENGINE = 'dask'; SET SCHEDULER = '{workers.address}'")
    run(COPY.format(bucket=rclone_lake.bucket, table="t"))
    assert rows_of(run) == [(1,), (2,)]
    assert any("key pair itself is sent" in note for note in run.notes)
    run.session.close()


def test_a_copy_of_nothing_is_refused_as_ever(moto_lake, workers):
    """The cluster changes nothing of what a job says."""
    run = moto_lake.session(f"SET ENGINE = 'dask'; SET SCHEDULER = '{workers.address}'")
    run.fails(COPY.format(bucket=moto_lake.bucket, table="t"), JobFailedError)
    assert len(run("SHOW JOBS")) == 0
    run.session.close()


def test_a_worker_holds_no_more_rows_than_there_is_room(moto_lake, monkeypatch):
    """However large what is packed becomes: such an object is left to the process that has the table."""
    rows = b"n,s\n" + b"1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" * 100_000
    sink = io.BytesIO()
    pq.write_table(pa.table({"n": [0] * 2_000_000}), sink)
    moto_lake.put(a__csv="n,s\n1,x\n", b__csv__gz=gzip.compress(rows), c__parquet=sink.getvalue(), d__csv="n,s\n2,y\n")
    connection = moto_lake.session().connection("lake")
    listed = connection.client("s3").list_objects_v2(Bucket=moto_lake.bucket, Prefix="in/")["Contents"]
    group = [
        Candidate(Location(moto_lake.bucket, each["Key"]), each["Size"], each["ETag"].strip('"'), each["LastModified"])
        for each in listed
    ]
    monkeypatch.setattr(work, "_ROOM", 2_000_000)
    made = work._parsed(connection, {}, group)
    assert [parsed and len(parsed.rows) for parsed in made] == [1, None, None, 1]
