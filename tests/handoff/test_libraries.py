"""Connections handed to other libraries, which really read, and write where they may, by a server that verifies."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, files

import dask.dataframe as dd
import deltalake
import fsspec
import obstore
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from handed import BUCKET, FRAME
from pandas.testing import assert_frame_equal

from s3conn_magic.errors import ReadOnlyConnectionError

# Polars says so of its providers; dask's own calls of pandas are not ours.
pytestmark = pytest.mark.filterwarnings("ignore:.*considered unstable", "ignore:The inplace keyword")
AT = f"s3://{BUCKET}"


def test_pandas_reads_and_writes(handed):
    """storage_options("pandas") serve Parquet and CSV both ways, by the names that pandas knows."""
    options = handed.connection.storage_options("pandas")
    assert_frame_equal(pd.read_parquet(f"{AT}/table.parquet", storage_options=options), FRAME)
    assert_frame_equal(pd.read_csv(f"{AT}/table.csv", storage_options=options), FRAME)
    FRAME.to_parquet(f"{AT}/pandas.parquet", storage_options=options)
    FRAME.to_csv(f"{AT}/pandas.csv", index=False, storage_options=options)
    assert_frame_equal(pd.read_parquet(handed.folder / "pandas.parquet"), FRAME)
    assert (handed.folder / "pandas.csv").read_bytes() == (handed.folder / "table.csv").read_bytes()


def test_fsspec_opens_by_options_and_by_the_filesystem(handed):
    """storage_options("fsspec") name the filesystem that fsspec() gives."""
    options = handed.connection.storage_options("fsspec")
    with fsspec.open(f"{AT}/table.csv", "rt", **options) as file:
        assert file.readline() == "n,text\n"
    files = handed.connection.fsspec()
    assert fsspec.filesystem("s3", **options).glob(f"{BUCKET}/table.*") == [
        f"{BUCKET}/table.csv",
        f"{BUCKET}/table.parquet",
    ]
    with files.open(f"{AT}/fsspec/one.txt", "wb") as file:
        file.write(b"one")
    assert files.cat(f"{BUCKET}/fsspec/one.txt") == b"one"
    assert (handed.folder / "fsspec" / "one.txt").read_bytes() == b"one"


def test_files_begin_with_the_buckets(handed):
    """Without a bucket the filesystem shows the buckets, or the display filters, as folders that can be entered."""
    files = handed.connection.fsspec()
    for top in ("", "/", "s3://"):
        assert files.isdir(top)
        assert BUCKET in files.ls(top, detail=False)
    assert f"{BUCKET}/table.csv" in files.ls(
        files.ls("")[files.ls("", detail=False).index(BUCKET)]["name"], detail=False
    )
    handed.alter(f"SET PATH_DISPLAY_FILTERS = ('s3://{BUCKET}/a/', 's3://other')")
    assert files.ls("", detail=False) == [f"{BUCKET}/a", "other"]


def test_dask_reads_and_writes(handed):
    """storage_options("dask") serve dask.dataframe in threads; a folder's trailing slash makes no second one."""
    options = handed.connection.storage_options("dask")
    assert int(dd.read_parquet(f"{AT}/table.parquet", storage_options=options)["n"].sum().compute()) == FRAME["n"].sum()
    assert len(dd.read_csv(f"{AT}/table.csv", storage_options=options)) == len(FRAME)
    dd.from_pandas(FRAME, npartitions=3).to_parquet(f"{AT}/dask/", storage_options=options)
    assert len(list((handed.folder / "dask").glob("part.*.parquet"))) == 3
    assert len(dd.read_parquet(f"{AT}/dask/", storage_options=options)) == len(FRAME)


def test_pyarrow_reads_and_writes_datasets(handed):
    """pyarrow_filesystem() serves partitioned datasets both ways."""
    files = handed.connection.pyarrow_filesystem()
    table = pa.table({"part": [n % 2 for n in range(10)], "n": range(10)})
    ds.write_dataset(
        table, f"{BUCKET}/arrow", filesystem=files, format="parquet", partitioning=["part"], partitioning_flavor="hive"
    )
    found = ds.dataset(f"{BUCKET}/arrow", filesystem=files, format="parquet", partitioning="hive")
    assert found.to_table(filter=ds.field("part") == 1)["n"].to_pylist() == [1, 3, 5, 7, 9]
    assert sorted(one.name for one in (handed.folder / "arrow").iterdir()) == ["part=0", "part=1"]


def test_polars_reads_and_writes(handed):
    """storage_options("polars") serve by themselves, and with the provider beside them."""
    options = handed.connection.storage_options("polars")
    assert pl.read_parquet(f"{AT}/table.parquet", storage_options=options)["n"].sum() == FRAME["n"].sum()
    assert pl.scan_csv(f"{AT}/table.csv", storage_options=options).select(pl.len()).collect().item() == len(FRAME)
    asked = {"storage_options": options, "credential_provider": options.credential_provider}
    pl.from_pandas(FRAME).lazy().sink_parquet(f"{AT}/polars.parquet", **asked)
    assert pl.scan_parquet(f"{AT}/polars.parquet", **asked).filter(pl.col("n") > 990).collect().height == 9
    assert_frame_equal(pd.read_parquet(handed.folder / "polars.parquet"), FRAME, check_dtype=False)


def test_polars_asks_the_provider_not_the_options(handed):
    """With the provider, credentials that have ended in the options do no harm."""
    options = handed.connection.storage_options("polars")
    ended = options | {"aws_secret_access_key": "ended"}
    asked = {"storage_options": ended, "credential_provider": options.credential_provider}
    assert pl.scan_parquet(f"{AT}/table.parquet", **asked).select(pl.len()).collect().item() == len(FRAME)
    with pytest.raises(OSError, match="403"):
        pl.read_parquet(f"{AT}/table.parquet", storage_options=ended)


def test_deltalake_reads_and_writes(handed):
    """storage_options("deltalake") write a table, append to it, and read both versions."""
    options, table = handed.connection.storage_options("deltalake"), pa.table({"n": [1, 2, 3]})
    deltalake.write_deltalake(f"{AT}/delta", table, storage_options=options)
    deltalake.write_deltalake(f"{AT}/delta", table, mode="append", storage_options=options)
    assert deltalake.DeltaTable(f"{AT}/delta", storage_options=options).to_pyarrow_table().num_rows == 6
    assert deltalake.DeltaTable(f"{AT}/delta", version=0, storage_options=options).to_pyarrow_table().num_rows == 3


def test_obstore_reads_and_writes(handed):
    """obstore(bucket) reads, lists and writes; with a prefix, below it."""
    store = handed.connection.obstore(BUCKET)
    assert bytes(obstore.get(store, "table.csv").bytes()) == (handed.folder / "table.csv").read_bytes()
    assert bytes(obstore.get_range(store, "table.csv", start=2, length=4)) == b"text"
    obstore.put(handed.connection.obstore(BUCKET, "below/here"), "one.txt", b"one")
    assert (handed.folder / "below" / "here" / "one.txt").read_bytes() == b"one"
    assert [one["path"] for page in obstore.list(store, "below") for one in page] == ["below/here/one.txt"]


@pytest.fixture(scope="session")
def other_duckdb():
    """Runs SQL in the program of another DuckDB, which has its httpfs extension; gives the lines of its CSV."""
    program, extension = (_installed(*one) for one in (("duckdb-cli", "duckdb"), ("duckdb-extension-httpfs", "httpfs")))

    def run(sql):
        text = f"LOAD '{extension}';\n{sql}"
        command = [program, "-bail", "-csv", "-noheader"]
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)

    return run


def _installed(package, stem):
    """A file that a package brings; tests are skipped where it is not installed."""
    try:
        found = files(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed: .ci/run says how")
    (path,) = [one.locate() for one in found if one.stem == stem and one.parts[0] != ".."]
    return path


def test_duckdb_reads_and_writes_by_the_secret(handed, other_duckdb):
    """duckdb_secret(bucket) lets another DuckDB read Parquet and CSV, and write, by its httpfs extension."""
    secret = handed.connection.duckdb_secret(BUCKET)
    assert f"SCOPE 's3://{BUCKET}'" in secret
    done = other_duckdb(f"""{secret}
        SELECT count(*), sum(n) FROM '{AT}/table.parquet' WHERE n > 10;
        SELECT max(text) FROM '{AT}/*.csv';
        COPY (SELECT 7 AS a) TO '{AT}/duckdb.csv';""")
    assert done.stderr == ""
    assert done.stdout.split() == ["true", f"989,{sum(range(11, 1000))}", "text", "999"]
    assert (handed.folder / "duckdb.csv").read_bytes() == b"a\n7\n"
    failed = other_duckdb(f"{secret.replace('example/secret', 'example/wrong')} FROM '{AT}/table.parquet';")
    assert "403" in failed.stderr


def test_duckdb_sends_the_token_and_the_promise_to_pay(handed, other_duckdb):
    """A session token and REQUESTER_PAYS go with every request of a DuckDB that has the secret."""
    handed.alter("SET AWS_SESSION_TOKEN = 'a-token' SET REQUESTER_PAYS = TRUE")
    other_duckdb(f"{handed.connection.duckdb_secret()} FROM '{AT}/table.csv';")
    assert handed.wire.requests
    for one in handed.wire.requests:
        assert one.headers["x-amz-security-token"] == "a-token"
        assert one.headers["x-amz-request-payer"] == "requester"


def test_read_only_reads_and_refuses_to_write(handed):
    """What can be guarded reads through a READ_ONLY connection and sends no write; whatever cannot is not given out."""
    careful = handed.read_only()
    options = careful.storage_options("pandas")
    assert len(pd.read_parquet(f"{AT}/table.parquet", storage_options=options)) == len(FRAME)
    files = careful.pyarrow_filesystem()
    assert ds.dataset(f"{BUCKET}/table.parquet", filesystem=files).count_rows() == len(FRAME)
    assert pl.scan_pyarrow_dataset(ds.dataset(f"{BUCKET}/table.parquet", filesystem=files)).collect().height == 1000
    handed.wire.requests.clear()
    writes = (
        lambda: FRAME.to_parquet(f"{AT}/refused.parquet", storage_options=options),
        lambda: FRAME.to_csv(f"{AT}/refused.csv", storage_options=options),
        lambda: ds.write_dataset(pa.table({"n": [1]}), f"{BUCKET}/refused", filesystem=files, format="parquet"),
        lambda: careful.fsspec().rm(f"{BUCKET}/table.csv"),
        lambda: careful.fsspec().pipe(f"{BUCKET}/refused.txt", b"x"),
    )
    for write in writes:
        with pytest.raises(ReadOnlyConnectionError, match="careful is READ_ONLY"):
            write()
    assert {one.method for one in handed.wire.requests} <= {"GET", "HEAD"}
    handed.wire.requests.clear()
    unguarded = (
        lambda: careful.storage_options("polars"),
        lambda: careful.storage_options("deltalake"),
        lambda: careful.obstore(BUCKET),
        careful.duckdb_secret,
    )
    for give in unguarded:
        with pytest.raises(
            ReadOnlyConnectionError, match=r"careful is READ_ONLY: .* was refused, because it could write"
        ):
            give()
    assert handed.wire.requests == []
