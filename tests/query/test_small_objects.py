"""Many small objects of Parquet in one query: read from copies in memory, and nothing of that can be seen."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import moto_lake  # noqa: F401 - pytest finds the fixture here

from s3conn_magic.errors import QueryError
from s3conn_magic.objects.filesystem import Copies
from s3conn_magic.objects.scope import BLOCKS
from s3conn_magic.runtime import temporary

if TYPE_CHECKING:
    from pathlib import Path

    from lakes import Lake

_SOME = 12


def _body(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.fixture
def many(moto_lake: Lake) -> Any:  # noqa: F811 - the fixture
    """A session over some objects, in folders that write a column and in one that does not."""
    BLOCKS.shrink(0)  # what other tests have left in this process
    for number in range(_SOME):
        body = _body(n=[number, -number], text=[f"text {number}", None])
        for key in (f"flat/{number:04}.parquet", f"hive/day={number % 3}/it's {number:04}.parquet"):
            moto_lake.client.put_object(Bucket=moto_lake.bucket, Key=key, Body=body)
    run = moto_lake.session()
    run("USE CONNECTION lake")
    return run


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Copies | None]:
    """The copies that queries make."""
    of, copies = Copies.of, list[Copies | None]()

    def noted(*arguments: Any, **given: Any) -> Copies | None:
        copies.append(of(*arguments, **given))
        return copies[-1]

    monkeypatch.setattr(Copies, "of", noted)
    return copies


def _left() -> list[Path]:
    folder = temporary._in_memory.path
    return [each for each in folder.iterdir() if each.name != "lock"] if folder else []


QUERIES = {
    "all": "SELECT * FROM '{}'",
    "some": "SELECT count(*) AS c, sum(n) AS n FROM '{}' WHERE n > 3",
    "grouped": "SELECT text, count(*) AS c FROM '{}' GROUP BY ALL ORDER BY ALL",
    "twice": "SELECT a.n FROM '{0}' AS a JOIN '{0}' AS b USING (n) ORDER BY ALL",
}


@pytest.mark.parametrize("folder", ["flat/*", "hive/**/*"])
def test_copies_give_what_the_objects_give(
    many: Any,
    moto_lake: Lake,  # noqa: F811 - the fixture
    made: list[Copies | None],
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
):
    """The same rows in the same order, with the columns of folders; they are made once, and go with what is kept."""
    where = f"s3://{moto_lake.bucket}/{folder}.parquet"
    texts = {name: query.format(where) for name, query in QUERIES.items()}
    by_copies = {name: many(text) for name, text in texts.items()}
    assert len(made) == (4 if folder == "flat/*" else 2)
    assert None not in made
    assert len({id(copies) for copies in made}) == len(_left()) == 1
    many("SET CACHE = 0")
    assert not _left()
    many(texts["all"])
    assert not _left()
    monkeypatch.setattr("s3conn_magic.objects.filesystem.memory_free", lambda: 0)
    for name, text in texts.items():
        assert by_copies[name].equals(many(text)), name
        assert by_copies[name].dtypes.equals(many(text).dtypes), name


def test_copies_are_of_the_objects_as_they_are(many: Any, moto_lake: Lake, made: list[Copies | None]):  # noqa: F811 - the fixture
    """They are read again while nothing has changed; what is replaced, new or gone is read anew, and a drop lets go."""
    text = f"SELECT sum(n) AS n, count(*) AS c FROM 's3://{moto_lake.bucket}/flat/*.parquet'"
    place = {"Bucket": moto_lake.bucket, "Key": "flat/0003.parquet"}
    assert many(text).values.tolist() == many(text).values.tolist() == [[0, 24]]
    assert made[0] is made[1]
    moto_lake.client.put_object(**place, Body=_body(n=[100, -3], text=["new", None]))
    assert many(text).values.tolist() == [[97, 24]]
    moto_lake.client.delete_object(**place)
    assert many(text).values.tolist() == [[0, 22]]
    assert len({id(copies) for copies in made}) == 3
    many("ALTER S3 CONNECTION lake SET COMMENT = 'another'")
    assert many(text).values.tolist() == [[0, 22]]
    assert _left()
    many("DROP CONNECTION lake")
    assert not _left()


def test_what_shows_the_names_of_files_shows_those_of_the_objects(many: Any, moto_lake: Lake):  # noqa: F811 - the fixture
    """By DuckDB's columns beside those of the files, and in its profile."""
    path = f"s3://{moto_lake.bucket}/flat/000*.parquet"
    names = many(f"SELECT DISTINCT filename FROM '{path}' ORDER BY 1")["filename"].tolist()
    assert names == [f"s3://{moto_lake.bucket}/flat/{number:04}.parquet" for number in range(10)]
    assert "/dev/shm" not in str(many(f"EXPLAIN ANALYZE SELECT * FROM '{path}'"))
    with_names = many(f"SELECT * FROM read_parquet('{path}', filename = true)")["filename"]
    assert with_names.nunique() == 10


@pytest.mark.parametrize("text", ["FROM '{}/flat/*.parquet' LIMIT 3", "FROM '{}/hive/**/*.parquet' WHERE day = 1"])
def test_what_needs_few_objects_asks_for_few(many: Any, moto_lake: Lake, made: list[Copies | None], text: str):  # noqa: F811 - the fixture
    """A LIMIT, or a condition that may be on what folders write."""
    many(text.format(f"s3://{moto_lake.bucket}"))
    assert not made


def test_all_of_many_files_are_asked_for_their_types(many: Any, moto_lake: Lake):  # noqa: F811 - the fixture
    """The last of many with another type widens the column, or the query is refused: nothing is rounded."""
    where = f"s3://{moto_lake.bucket}/flat/*.parquet"
    for number in range(200, 300):
        moto_lake.client.put_object(Bucket=moto_lake.bucket, Key=f"flat/{number}.parquet", Body=_body(n=[0], text=[""]))
    moto_lake.client.put_object(Bucket=moto_lake.bucket, Key="flat/9999.parquet", Body=_body(n=[0.5], text=["half"]))
    frame = many(f"SELECT typeof(n) AS t, sum(n) AS n FROM '{where}' GROUP BY ALL")
    assert frame.values.tolist() == [["DOUBLE", 0.5]]
    moto_lake.client.put_object(Bucket=moto_lake.bucket, Key="flat/5555.parquet", Body=_body(n=[2**53 + 1], text=[""]))
    assert "has values there that" in many.fails(f"FROM '{where}'", QueryError).message


def test_a_damaged_object_is_named_by_its_location(many: Any, moto_lake: Lake):  # noqa: F811 - the fixture
    """An error says nothing of a copy."""
    for body in (b"PAR1 is no Parquet", _body(n=[1])[:-40] + b"x" * 32 + b"\x10\0\0\0PAR1"):
        moto_lake.client.put_object(Bucket=moto_lake.bucket, Key="flat/0007.parquet", Body=body)
        message = many.fails(f"SELECT sum(n) FROM 's3://{moto_lake.bucket}/flat/*.parquet'", QueryError).message
        assert f"s3://{moto_lake.bucket}/flat/0007.parquet" in message
        assert "/dev/shm" not in message
