"""Columns that folders write, in COPY: beside the columns of an object, or the same as these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakes import rows_of

if TYPE_CHECKING:
    from lakes import Lake


def _put(lake: Lake, **objects: str) -> None:
    for name, body in objects.items():
        lake.client.put_object(Bucket=lake.bucket, Key=f"in/{name}", Body=body.encode())


def _copy(lake: Lake) -> str:
    return f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{lake.bucket}/in/' CONTENT_TYPE = CSV INTO t"


def test_folders_are_columns_of_one_type_for_all_objects(moto_lake: Lake):
    """NULL by Hive's name for it, and for an object outside of such folders; text where one value is no number."""
    objects = {
        "dt=2024-01-31/p=7/a.csv": "n\n1\n",
        "dt=__HIVE_DEFAULT_PARTITION__/p=007/b.csv": "n\n2\n",
        "c.csv": "n\n3\n",
    }
    _put(moto_lake, **objects)
    run = moto_lake.session()
    run(_copy(moto_lake))
    expected = [(1, "2024-01-31", "7"), (2, None, "007"), (3, None, None)]
    assert rows_of(run, what="n, dt::VARCHAR, p", order="n") == expected
    assert rows_of(run, what="DISTINCT typeof(dt), typeof(p)") == [("DATE", "VARCHAR")]


def test_a_column_that_the_folder_contradicts_is_refused(moto_lake: Lake):
    """One that says the same is loaded once; the other objects are loaded."""
    _put(moto_lake, **{"p=1/a.csv": "n,p\n1,1\n", "p=2/b.csv": "n,p\n2,2\n3,4\n"})
    run = moto_lake.session()
    said = str(run(_copy(moto_lake)))
    assert "the folder of the object says p = 2, and its column p says otherwise" in said
    assert rows_of(run, what="n, p") == [(1, 1)]
