"""COPY FROM S3 on a real cluster: the table is that of one process, whatever becomes of a worker."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import rows_of

from s3conn_magic.cluster import scheduler, work
from s3conn_magic.errors import ClusterError, JobFailedError, ObjectNotFoundError
from s3conn_magic.jobs import copying, loading
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


def test_the_rows_are_exact_though_a_worker_is_killed(filled, workers, monkeypatch):
    """Each object is loaded once; the lost worker's group is fetched by another."""
    monkeypatch.setattr(scheduler, "_GROUP_OBJECTS", 8)
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


def test_a_worker_fetches_exactly_what_was_listed(moto_lake):
    """An object that was replaced or deleted since has its error, which names the worker's place, and no bytes."""
    moto_lake.put(a__csv="n\n1\n", b__csv="n\n2\n", c__csv="n\n3\n", d__csv="n\n4\n")
    connection = moto_lake.session().connection("lake")
    client = connection.client("s3")
    listed = client.list_objects_v2(Bucket=moto_lake.bucket, Prefix="in/")["Contents"]
    group = [
        Candidate(Location(moto_lake.bucket, each["Key"]), each["Size"], each["ETag"].strip('"'), each["LastModified"])
        for each in listed
    ]
    client.put_object(Bucket=moto_lake.bucket, Key=group[1].location.key, Body=b"n\n9\n")
    client.delete_object(Bucket=moto_lake.bucket, Key=group[2].location.key)
    came = [work._fetched(connection, group)[each.location] for each in group]
    assert (came[0], came[3]) == (b"n\n1\n", b"n\n4\n")
    assert "was changed" in came[1].message
    assert isinstance(came[2], ObjectNotFoundError)
    assert all("its own network and environment" in " ".join(error.notes) for error in came[1:3])


@pytest.mark.parametrize("sizes", [[1] * 1_201, [scheduler._GROUP_BYTES] * 3, [9_000_000, 9_000_000, 1], [1]])
def test_a_group_has_a_bounded_number_of_objects_and_of_bytes(sizes):
    """What a worker holds, and what is on its way, is bounded, and each object is in one group."""
    candidates = [Candidate(Location("b", str(at)), size, "e", None) for at, size in enumerate(sizes)]
    groups = scheduler._groups(candidates)
    assert [each for group in groups for each in group] == candidates
    for group in groups:
        assert 0 < len(group) <= scheduler._GROUP_OBJECTS
        assert sum(each.size for each in group) <= scheduler._GROUP_BYTES


def test_a_large_object_is_read_here_and_the_small_ones_around_it_on_workers(filled, workers, monkeypatch):
    """Whatever its place among them."""
    monkeypatch.setattr(loading, "SMALL", 1_000)
    one = filled.session()
    one(COPY.format(bucket=filled.bucket, table="t"))
    many = filled.session(f"SET ENGINE = 'dask'; SET SCHEDULER = '{workers.address}'")
    many(COPY.format(bucket=filled.bucket, table="t"))
    assert _facts(many) == _facts(one)
    many.session.close()


def test_a_scheduler_that_is_gone_in_the_midst_ends_the_run_and_leaves_whole_objects(moto_lake, monkeypatch):
    """The cause is told, what was loaded stays with its notes, and the job, made again, loads the rest once."""
    moto_lake.put(**{f"a{at:03}__csv": f"n\n{at}\n" for at in range(30)})
    monkeypatch.setattr(scheduler, "_GROUP_OBJECTS", 5)
    monkeypatch.setattr(copying, "_MOST_TOGETHER", 5)
    monkeypatch.setattr(loading, "_LEARNT", 40)  # so that loading begins before all has come
    run = moto_lake.session()

    def fetched(job, candidates, check):
        del job
        for number, group in enumerate(scheduler._groups(candidates)):
            check()
            if number == 4:
                raise ClusterError("the scheduler tcp://there is gone", hint="Start one.")
            yield work._fetched(run.connection("lake"), group)

    monkeypatch.setattr(run.session.jobs, "_elsewhere_of", lambda: fetched)
    run("SET ENGINE = 'dask'")
    error = run.fails(COPY.format(bucket=moto_lake.bucket, table="t"), ClusterError)
    assert "is gone" in error.message
    monkeypatch.undo()
    run("SET ENGINE = 'local'")
    rows, objects = rows_of(run, what="count(*), count(DISTINCT n)")[0]
    assert 0 < rows == objects < 30
    run(COPY.format(bucket=moto_lake.bucket, table="t"))
    assert rows_of(run, what="count(*), count(DISTINCT n)") == [(30, 30)]
