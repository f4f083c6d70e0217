"""Rows of formats that DuckDB has no reader for are there a few batches at a time, and all of them or none."""

from __future__ import annotations

import io
import weakref
from typing import TYPE_CHECKING, Any

import fastavro
import pyarrow as pa
import pytest
from lakes import rows_of
from pyarrow import orc

from s3conn_magic.errors import QueryError
from s3conn_magic.query import line_rows, paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lakes import Lake

MANY, ROWS = 80, 2048
FEW = 20  # DuckDB's threads hold one each
SCHEMA = pa.schema([("n", pa.int64())])


class _Block(bytearray):
    """The bytes of a batch, which say when nobody holds them any more."""


class _Alive:
    """Counts the batches whose bytes are held: now, and at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        for number in range(MANY):
            block = _Block(number.to_bytes(8, "little") * ROWS)
            self.now += 1
            self.most = max(self.most, self.now)
            weakref.finalize(block, self._gone)
            column = pa.Array.from_buffers(pa.int64(), ROWS, [None, pa.py_buffer(block)])
            del block
            yield pa.record_batch([column], schema=SCHEMA)
            del column

    def reader(self, *_: Any, rows: int = 1) -> pa.RecordBatchReader:
        """In the place of the readers of a format."""
        return pa.RecordBatchReader.from_batches(SCHEMA, self.batches() if rows else iter(()))

    def _gone(self) -> None:
        self.now -= 1


def _arrow(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    table = pa.Table.from_pylist(rows)
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table, max_chunksize=1000)
    return sink.getvalue()


def test_a_count_of_batches_that_are_held_sees_a_table_of_them():
    """What the tests below count would tell of a reader that holds all of them."""
    alive = _Alive()
    table = alive.reader().read_all()
    assert (alive.most, table.num_rows) == (MANY, MANY * ROWS)


def test_a_copy_never_holds_more_than_some_batches(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """They go into the table as they come, and so do those of an object that is loaded into a wider column."""
    run, alive = moto_lake.session(), _Alive()
    monkeypatch.setattr(line_rows, "batches", alive.reader)
    moto_lake.client.put_object(Bucket=moto_lake.bucket, Key="in/a.arrow", Body=_arrow([{"n": 1}]))
    run("CREATE TABLE t (n HUGEINT)")
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/' INTO t")
    assert rows_of(run, what="count(*), sum(n)") == [(MANY * ROWS, sum(range(MANY)) * ROWS)]
    assert 0 < alive.most <= FEW


def test_a_query_never_holds_more_than_some_batches(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """It reads the object as often as it names it."""
    run, alive = moto_lake.session(), _Alive()
    monkeypatch.setattr(paths, "batches", alive.reader)
    moto_lake.client.put_object(Bucket=moto_lake.bucket, Key="in/a.arrow", Body=_arrow([{"n": 1}]))
    path = f"s3://lake@{moto_lake.bucket}/in/a.arrow"
    found = run(f"SELECT sum(n) AS n, (SELECT count(*) FROM '{path}') AS c FROM '{path}'")
    assert found.iloc[0].tolist() == [sum(range(MANY)) * ROWS, MANY * ROWS]
    assert 0 < alive.most <= 2 * FEW


def _orc(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    orc.write_table(pa.Table.from_pylist(rows), sink, stripe_size=100_000, compression="zlib")
    return sink.getvalue()


def _avro(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    fields = [{"name": "n", "type": "long"}, {"name": "t", "type": "string"}]
    fastavro.writer(sink, {"type": "record", "name": "r", "fields": fields}, rows, codec="deflate")
    return sink.getvalue()


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(f"{row['n']} {row['t']}\n".encode() for row in rows)


DAMAGED = {"orc": (_orc, ""), "avro": (_avro, ""), "arrow": (_arrow, ""), "txt": (_lines, "CONTENT_TYPE = SPLIT_LINES")}


@pytest.mark.parametrize("kind", DAMAGED)
def test_an_object_that_is_damaged_in_the_middle_loads_nothing(moto_lake: Lake, kind: str):
    """Though rows before the damage were read: the table has those of other objects, and the query fails."""
    make, content = DAMAGED[kind]
    whole = make([{"n": at, "t": f"text {at * 7919 % 9973}"} for at in range(60_000)])
    middle = len(whole) // 2
    run = moto_lake.session()
    damaged = whole[:middle] + b"\xff" * (middle // 2) + whole[middle + middle // 2 :]
    moto_lake.client.put_object(Bucket=moto_lake.bucket, Key=f"in/{kind}.{kind}", Body=damaged)
    moto_lake.client.put_object(Bucket=moto_lake.bucket, Key=f"in/z.{kind}", Body=make([{"n": 1, "t": "good"}]))
    run(f"CREATE JOB j {content} AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/' INTO t")
    assert rows_of(run, what="count(*)") == [(1,)]
    (said,) = run("SHOW JOB j ERRORS")["error"]
    assert "damaged" in said
    if not content:
        with pytest.raises(QueryError, match="damaged"):
            run(f"SELECT count(*) FROM 's3://lake@{moto_lake.bucket}/in/{kind}.{kind}'")
