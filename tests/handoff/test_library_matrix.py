"""What libraries do with a connection, one by one: equal, refused with a reason, or not served, and never elsewhere."""

from __future__ import annotations

import base64
import gc
import gzip
import io
import json
import os
import pickle
import subprocess
import sys
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import dask.bag as db
import dask.dataframe as dd
import duckdb
import fsspec
import obstore
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from pyiceberg.catalog import load_catalog
from pyiceberg.table import StaticTable
from recording import Reply, recording
from shelf import Shelf, shelved
from statements import Statements, create

from s3conn_magic.errors import CredentialsError, EndpointError, ObjectExistsError, ReadOnlyConnectionError, S3ConnError
from s3conn_magic.handoff.libraries import ConnectionReference, connection_of
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from recording import Recorder

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*considered unstable", "ignore:.*not explicitly implemented", "ignore:.*deprecated"
)
BUCKET = "bucket"
SECRET = b"the-secret-of-one"
KEYS = Keys("AKIAONE", Secret(SECRET.decode()))
SYNC = {"scheduler": "sync"}
SSE_C = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
FRAME = pd.DataFrame({"a": [1, 2, 3]})


class BoomError(Exception):
    """Something goes wrong while an object is written."""


@dataclass
class Place:
    """A connection to a server in memory, and a server that nothing may be sent to."""

    shelf: Shelf
    wire: Recorder
    elsewhere: Recorder
    run: Statements

    @property
    def objects(self) -> dict[str, bytes]:
        """What is in the bucket."""
        return self.shelf.buckets[BUCKET]

    def connection(self, name: str, **options: Any) -> Any:
        """A new connection."""
        self.run(create(name, keys=KEYS, VALIDATE=False, **{"ENDPOINT": self.wire.endpoint, **options}))
        return self.run.connection(name)


@pytest.fixture(scope="module")
def servers():
    """Both servers, for all tests."""
    with shelved(BUCKET) as (shelf, wire), recording(lambda _: Reply(200)) as elsewhere:
        yield shelf, wire, elsewhere


@pytest.fixture
def place(servers, monkeypatch, aws_files):
    """Both servers, empty, where the environment and the files of AWS say otherwise."""
    shelf, wire, elsewhere = servers
    shelf.sealed.clear()
    shelf.uploads.clear()
    shelf.buckets[BUCKET] = {"csv/a.csv": b"a\n1\n2\n3\n", "csv/b.txt": b"b"}
    said = {"ACCESS_KEY_ID": "AKIAENV", "SECRET_ACCESS_KEY": "env", "REGION": "eu-west-9", "SKIP_SIGNATURE": "true"}
    for name, value in said.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, elsewhere.endpoint)
    for path in aws_files:
        path.write_text("[broken\nthis is no file of AWS", encoding="utf-8")
    wire.requests.clear()
    elsewhere.requests.clear()
    yield Place(shelf, wire, elsewhere, Statements())
    assert elsewhere.requests == []
    assert {request.signed_by for request in wire.requests} <= {"AKIAONE"}


# Libraries: each step gets what was handed on, and a key.


@dataclass(frozen=True)
class Library:
    """What a library is handed and does; None is what it does not do."""

    handed: Callable[[Any], Any]
    read: Callable[[Any, str], bytes]
    write: Callable[[Any, str, bytes], Any]
    keys: Callable[[Any], list[str]] | None = None
    matching: Callable[[Any], list[str]] | None = None
    delete: Callable[[Any, str], Any] | None = None
    guarded: bool = True
    tables: bool = False
    """Whether it knows tables only, which are folders."""
    holds_credentials: bool = False

    def source(self, connection: Any) -> str:
        """The key of what it can read, with three rows."""
        if not self.tables:
            return "csv/a.csv"
        self.write(self.handed(connection), "table", b"a\n1\n2\n3\n")
        return "table"


def _csv(frame: Any) -> bytes:
    return frame.to_csv(index=False).encode()


def _frame(data: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(data))


def _polars_read(options: Any, key: str) -> bytes:
    return pl.read_csv(f"s3://{BUCKET}/{key}", storage_options=options).write_csv().encode()


def _polars_write(options: Any, key: str, data: bytes) -> None:
    pl.read_csv(data).lazy().sink_csv(f"s3://{BUCKET}/{key}", storage_options=options)


def _arrow_write(files: Any, key: str, data: bytes) -> None:
    with files.open_output_stream(f"{BUCKET}/{key}") as stream:
        stream.write(data)


def _arrow_keys(files: Any) -> list[str]:
    from pyarrow.fs import FileSelector

    below = files.get_file_info(FileSelector(BUCKET, recursive=True))
    return [info.path.removeprefix(f"{BUCKET}/") for info in below if info.is_file]


def _dask_write(options: Any, key: str, data: bytes) -> None:
    frame = dd.from_pandas(_frame(data), npartitions=1)
    frame.to_csv(f"s3://{BUCKET}/{key}", single_file=True, index=False, storage_options=options, **SYNC)


def _bag_write(options: Any, key: str, data: bytes) -> None:
    lines = db.from_sequence(data.decode().splitlines(), npartitions=1)
    lines.to_textfiles([f"s3://{BUCKET}/{key}"], storage_options=options, last_endline=True, **SYNC)


def _duckdb(connection: Any) -> Any:
    database = duckdb.connect()
    database.register_filesystem(connection.fsspec())
    return database


def _duckdb_write(database: Any, key: str, data: bytes) -> None:
    database.register("frame", _frame(data))
    database.sql(f"COPY (SELECT * FROM frame) TO 's3conn://{BUCKET}/{key}' (FORMAT csv)")


def _ibis(connection: Any) -> Any:
    why = "ibis 12 does not go whole with DuckDB 2 (its to_parquet calls what that has no more), so it is no dependency"
    ibis = pytest.importorskip("ibis", reason=f"{why} of the tests; this is run where it is installed by hand")
    made = ibis.duckdb.connect()
    made.con.register_filesystem(connection.fsspec())
    return made


def _catalog(connection: Any) -> Any:
    options = connection.storage_options("pyiceberg")
    # One catalog of the process, as it would lie in a database.
    return load_catalog("c", type="sql", uri="sqlite:///:memory:", warehouse=f"s3://{BUCKET}", **options), options


def _iceberg_write(handed: Any, key: str, data: bytes) -> None:
    catalog, _ = handed
    rows = pa.Table.from_pandas(_frame(data))
    catalog.create_namespace_if_not_exists("n")
    table = catalog.create_table(f"n.{key.replace('.', '_')}", rows.schema, location=f"s3://{BUCKET}/{key}")
    table.append(rows)


def _iceberg_read(handed: Any, key: str) -> bytes:
    files = connection_of(handed[1]["connection"]).fsspec()
    newest = max(files.glob(f"{BUCKET}/{key}/metadata/*.metadata.json"), default=f"{BUCKET}/there-is-none")
    return _csv(StaticTable.from_metadata(f"s3://{newest}", properties=handed[1]).scan().to_pandas())


def _bare(names: Any) -> list[str]:
    return [name.removeprefix("s3conn://").removeprefix(f"{BUCKET}/") for name in names]


def _globbed(database: Any, pattern: str) -> Any:
    return database.sql(f"FROM glob('s3conn://{BUCKET}/{pattern}')").fetchall()


LIBRARIES = {
    "fsspec": Library(
        lambda connection: connection.fsspec(),
        lambda files, key: files.cat(f"{BUCKET}/{key}"),
        lambda files, key, data: files.pipe(f"{BUCKET}/{key}", data),
        lambda files: _bare(files.find(BUCKET)),
        lambda files: _bare(files.glob(f"{BUCKET}/csv/*.csv")),
        lambda files, key: files.rm(f"{BUCKET}/{key}"),
    ),
    "fsspec by its URL": Library(
        lambda connection: connection.storage_options("fsspec"),
        lambda options, key: fsspec.open(f"s3://{BUCKET}/{key}", **options).open().read(),
        lambda options, key, data: fsspec.filesystem("s3", **options).pipe(f"s3://{BUCKET}/{key}", data),
        lambda options: _bare(fsspec.filesystem("s3a", **options).find(f"s3a://{BUCKET}")),
        lambda options: _bare(file.path for file in fsspec.open_files(f"s3conn://{BUCKET}/csv/*.csv", **options)),
        lambda options, key: fsspec.filesystem("s3conn", **options).rm(f"s3conn://{BUCKET}/{key}"),
    ),
    "pandas": Library(
        lambda connection: connection.storage_options("pandas"),
        lambda options, key: _csv(pd.read_csv(f"s3://{BUCKET}/{key}", storage_options=options)),
        lambda options, key, data: _frame(data).to_csv(f"s3://{BUCKET}/{key}", index=False, storage_options=options),
    ),
    "pyarrow": Library(
        lambda connection: connection.pyarrow_filesystem(),
        lambda files, key: files.open_input_file(f"{BUCKET}/{key}").read(),
        _arrow_write,
        _arrow_keys,
        None,
        lambda files, key: files.delete_file(f"{BUCKET}/{key}"),
    ),
    "boto3": Library(
        lambda connection: connection.session().client("s3"),
        lambda client, key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read(),
        lambda client, key, data: client.put_object(Bucket=BUCKET, Key=key, Body=data),
        lambda client: [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]],
        None,
        lambda client, key: client.delete_object(Bucket=BUCKET, Key=key),
    ),
    "obstore": Library(
        lambda connection: connection.obstore(BUCKET),
        lambda store, key: bytes(obstore.get(store, key).bytes()),
        obstore.put,
        lambda store: [entry["path"] for page in obstore.list(store) for entry in page],
        None,
        obstore.delete,
        guarded=False,
    ),
    "polars": Library(
        lambda connection: connection.storage_options("polars"),
        _polars_read,
        _polars_write,
        guarded=False,
        holds_credentials=True,
    ),
    "dask.dataframe": Library(
        lambda connection: connection.storage_options("dask"),
        lambda options, key: _csv(dd.read_csv(f"s3://{BUCKET}/{key}", storage_options=options).compute(**SYNC)),
        _dask_write,
    ),
    "dask.bag": Library(
        lambda connection: connection.storage_options("dask"),
        lambda options, key: "".join(
            db.read_text(f"s3://{BUCKET}/{key}", storage_options=options).compute(**SYNC)
        ).encode(),
        _bag_write,
    ),
    "DuckDB": Library(
        _duckdb,
        lambda database, key: _csv(database.sql(f"FROM read_csv('s3conn://{BUCKET}/{key}')").df()),
        _duckdb_write,
        lambda database: _bare(name for (name,) in _globbed(database, "**/*.*")),
        lambda database: _bare(name for (name,) in _globbed(database, "csv/*.csv")),
    ),
    "ibis": Library(
        _ibis,
        lambda made, key: _csv(made.read_csv(f"s3conn://{BUCKET}/{key}").execute()),
        lambda made, key, data: _duckdb_write(made.con, key, data),
    ),
    "deltalake": Library(
        lambda connection: connection.storage_options("deltalake"),
        lambda options, key: _csv(DeltaTable(f"s3://{BUCKET}/{key}", storage_options=options).to_pandas()),
        lambda options, key, data: write_deltalake(f"s3://{BUCKET}/{key}", _frame(data), storage_options=options),
        guarded=False,
        tables=True,
        holds_credentials=True,
    ),
    "PyIceberg": Library(_catalog, _iceberg_read, _iceberg_write, tables=True),
}
# DuckDB has no error but its own.
OF_DUCKDB = {LIBRARIES[name]: duckdb.Error for name in ("DuckDB", "ibis")}
EACH = pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)


@EACH
def test_a_library_reads_and_writes_where_the_connection_does(place, library):
    """Values are equal, keys exact, patterns find what they say; whatever the environment and AWS's files say."""
    connection = place.connection("lake")
    handed, source = library.handed(connection), library.source(connection)
    assert library.read(handed, source) == b"a\n1\n2\n3\n"
    library.write(handed, "new.csv", b"a\n7\n")
    assert library.tables or place.objects["new.csv"] == b"a\n7\n"
    assert library.read(handed, "new.csv") == b"a\n7\n"
    if library.keys:
        assert sorted(library.keys(handed)) == ["csv/a.csv", "csv/b.txt", "new.csv"]
    if library.matching:
        assert library.matching(handed) == ["csv/a.csv"]
    if library.delete:
        library.delete(handed, "new.csv")
        assert "new.csv" not in place.objects
    with pytest.raises(Exception, match=r"(?i)no|not|exist|missing"):
        library.read(handed, "there-is-none.csv")


@EACH
def test_a_library_never_writes_through_a_read_only_connection(place, library):
    """It reads, and is refused what writes, as a PermissionError; or it is not given anything. Nothing is sent."""
    source = library.source(place.connection("lake"))
    careful = place.connection("careful", READ_ONLY=True)
    place.wire.requests.clear()
    if not library.guarded:
        with pytest.raises(ReadOnlyConnectionError, match="could write"):
            library.handed(careful)
        return
    handed = library.handed(careful)
    assert library.read(handed, source) == b"a\n1\n2\n3\n"
    with pytest.raises(OF_DUCKDB.get(library, PermissionError), match="READ_ONLY"):
        library.write(handed, "new.csv", b"a\n7\n")
    if library.delete:
        with pytest.raises(PermissionError, match="READ_ONLY"):
            library.delete(handed, "csv/a.csv")
    assert {request.method for request in place.wire.requests} <= {"GET", "HEAD"}


@EACH
def test_a_library_sends_the_customer_s_key(place, library):
    """What it writes is under the connection's key, and it reads that back."""
    handed = library.handed(place.connection("sealed", ENCRYPTION_CUSTOMER_MANAGED_KEY=SSE_C))
    library.write(handed, "sealed.csv", b"a\n7\n")
    assert {key for key in place.objects if "sealed" in key} == {key for _, key in place.shelf.sealed}
    assert library.read(handed, "sealed.csv") == b"a\n7\n"


@EACH
def test_what_a_library_was_handed_before_an_alter_sends_no_new_key_to_the_old_place(place, library):
    """It follows, or refuses: whatever comes to the old server is signed as it was, and not with the new key."""
    connection = place.connection("lake")
    handed, source = library.handed(connection), library.source(connection)
    library.read(handed, source)
    with shelved(BUCKET) as (other, there):
        other.buckets[BUCKET]["csv/a.csv"] = b"a\n9\n"
        changes = f"ENDPOINT = '{there.endpoint}' AWS_ACCESS_KEY_ID = 'AKIANEW' AWS_SECRET_ACCESS_KEY = 'new'"
        place.run(f"ALTER S3 CONNECTION lake SET {changes} VALIDATE = FALSE")
        said = b""
        with suppress(S3ConnError, OSError, obstore.exceptions.BaseError, duckdb.Error):
            said = library.read(handed, source)
        assert said in {b"", b"a\n9\n", b"a\n1\n2\n3\n"}
        assert {request.signed_by for request in there.requests} <= {"AKIANEW"}


@EACH
def test_what_a_library_was_handed_holds_a_secret_only_where_that_is_said(place, library):
    """Pickled, as for another process, it is refused, or the secret is not in it, but of what signs by itself."""
    handed = library.handed(place.connection("lake"))
    try:
        sent = pickle.dumps(handed)
    except (TypeError, AttributeError, pickle.PicklingError, NotImplementedError):
        return
    assert (SECRET in sent) == library.holds_credentials


# Objects, whole or absent


def _in_block(opened: Callable[[Any, str], Any], data: Any) -> Callable[[Any, bool], None]:
    def write(connection: Any, fail: bool) -> None:
        with opened(connection, f"s3://{BUCKET}/k") as file:
            file.write(data)
            if fail:
                raise BoomError

    return write


def _finally(connection: Any, fail: bool) -> None:
    file = connection.fsspec().open(f"{BUCKET}/k", "w")
    try:
        file.write("text")
        if fail:
            raise BoomError
    finally:
        file.close()


def _cache_in_finally(connection: Any, fail: bool) -> None:
    cache = fsspec.filesystem("simplecache", fs=connection.fsspec())
    file = cache.open(f"{BUCKET}/k", "wb")
    try:
        file.write(b"text")
        if fail:
            raise BoomError
    finally:
        file.close()


class _Bad:
    def __str__(self) -> str:
        raise BoomError


def _to_csv(connection: Any, fail: bool) -> None:
    frame = pd.DataFrame({"a": [*range(100), _Bad() if fail else 1]})
    frame.to_csv(f"s3://{BUCKET}/k", storage_options=connection.storage_options("pandas"))


def _parquet_writer(connection: Any, fail: bool) -> None:
    table = pa.table({"a": [1]})
    with pq.ParquetWriter(f"{BUCKET}/k", table.schema, filesystem=connection.pyarrow_filesystem()) as writer:
        writer.write_table(table)
        if fail:
            raise BoomError


def _batches(fail: bool) -> Any:
    yield pa.record_batch({"a": [1]})
    if fail:
        raise BoomError


def _dataset(connection: Any, fail: bool) -> None:
    import pyarrow.dataset as ds

    schema = pa.schema({"a": pa.int64()})
    ds.write_dataset(
        _batches(fail),
        BUCKET,
        schema=schema,
        format="parquet",
        basename_template="k{i}",
        filesystem=connection.pyarrow_filesystem(),
        existing_data_behavior="overwrite_or_ignore",
    )


def _dump(connection: Any, fail: bool) -> None:
    with connection.fsspec().open(f"{BUCKET}/k", "w") as file:
        json.dump({"a": _Bad() if fail else 1}, file)


def _dask(connection: Any, fail: bool) -> None:
    frame = dd.from_pandas(pd.DataFrame({"a": [*range(100), _Bad() if fail else 1]}, dtype=object), npartitions=1)
    options = connection.storage_options("dask")
    frame.to_csv(f"s3://{BUCKET}/k", single_file=True, storage_options=options, **SYNC)


def _copy(connection: Any, fail: bool) -> None:
    rows = f"SELECT i, CASE WHEN i = 400000 AND {fail} THEN error('boom') END FROM range(500000) r(i)"
    try:
        _duckdb(connection).sql(f"COPY ({rows}) TO 's3conn://{BUCKET}/k' (FORMAT csv)")
    except duckdb.Error:
        raise BoomError from None


def _ibis_copy(connection: Any, fail: bool) -> None:
    made = _ibis(connection)
    rows = f"SELECT CASE WHEN i = 400000 AND {fail} THEN error('boom') END AS a FROM range(500000) r(i)"
    try:
        made.raw_sql(f"COPY ({rows}) TO 's3conn://{BUCKET}/k' (FORMAT parquet)")
    except duckdb.Error:
        raise BoomError from None


def _polars_sink(connection: Any, fail: bool) -> None:
    values = [*["1"] * 300_000, "x" if fail else "2"]
    try:
        with connection.fsspec().open(f"{BUCKET}/k", "wb") as file:
            pl.LazyFrame({"a": values}).with_columns(pl.col("a").cast(pl.Int64)).sink_parquet(file)
    except pl.exceptions.InvalidOperationError:
        raise BoomError from None


def _obstore_put(connection: Any, fail: bool) -> None:
    def pieces() -> Any:
        yield b"x" * 6_000_000
        yield b"y" * 6_000_000
        if fail:
            raise BoomError

    obstore.put(connection.obstore(BUCKET), "k", pieces())


def _obstore_writer(connection: Any, fail: bool) -> None:
    with obstore.open_writer(connection.obstore(BUCKET), "k") as file:
        file.write(b"x" * 12_000_000)
        if fail:
            raise BoomError


def _put_file(connection: Any, fail: bool) -> None:
    with NamedTemporaryFile() as file:
        file.write(b"x" * 20_000_000)
        file.flush()

        def progress(_: int) -> None:
            if fail:
                raise BoomError

        callback = fsspec.callbacks.NoOpCallback()
        callback.relative_update = progress
        connection.fsspec().put_file(file.name, f"{BUCKET}/k", callback=callback)


DOORS = {
    "ibis": _ibis_copy,
    "polars into a file": _polars_sink,
    "obstore.put": _obstore_put,
    "obstore.open_writer": _obstore_writer,
    "put_file": _put_file,
    "open w": _in_block(lambda connection, path: connection.fsspec().open(path, "w"), "text"),
    "open wb": _in_block(lambda connection, path: connection.fsspec().open(path, "wb"), b"x" * 9_000_000),
    "open xb": _in_block(lambda connection, path: connection.fsspec().open(path, "xb"), b"text"),
    "open with compression": _in_block(
        lambda connection, path: connection.fsspec().open(path, "wb", compression="gzip"), b"text"
    ),
    "fsspec.open w": _in_block(
        lambda connection, path: fsspec.open(path, "w", **connection.storage_options("fsspec")), "text"
    ),
    "fsspec.open wb": _in_block(
        lambda connection, path: fsspec.open(path, "wb", compression="gzip", **connection.storage_options("fsspec")),
        b"text",
    ),
    "simplecache": _in_block(
        lambda connection, path: fsspec.open(f"simplecache::{path}", "w", s3=connection.storage_options("fsspec")),
        "text",
    ),
    "filecache": _in_block(
        lambda connection, path: fsspec.open(f"filecache::{path}", "wb", s3=connection.storage_options("fsspec")),
        b"text",
    ),
    "gzip": _in_block(
        lambda connection, path: gzip.open(connection.fsspec().open(path, "wb"), "wt"),  # noqa: SIM115
        "text",
    ),
    "TextIOWrapper": _in_block(lambda connection, path: io.TextIOWrapper(connection.fsspec().open(path, "wb")), "text"),
    "BufferedWriter": _in_block(
        lambda connection, path: io.BufferedWriter(connection.fsspec().open(path, "wb")), b"text"
    ),
    "open_output_stream": _in_block(
        lambda connection, path: connection.pyarrow_filesystem().open_output_stream(path.removeprefix("s3://")),
        b"text",
    ),
    "finally": _finally,
    "a cache in finally": _cache_in_finally,
    "to_csv": _to_csv,
    "ParquetWriter": _parquet_writer,
    "write_dataset": _dataset,
    "json.dump": _dump,
    "dask": _dask,
    "COPY of DuckDB": _copy,
}


# obstore makes no object, and does not always drop the parts of one that failed.
LEAVE_PARTS = {_obstore_put, _obstore_writer}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_an_object_is_there_whole_or_as_it_was(place, door):
    """By every writer: after an error in the block nothing is there, not even parts; without one all of it is."""
    connection = place.connection("lake")
    with pytest.raises((BoomError, TypeError)):
        door(connection, True)
    gc.collect()
    assert not [key for key in place.objects if key.startswith("k")]
    assert place.shelf.uploads == {} or door in LEAVE_PARTS
    place.shelf.uploads.clear()
    door(connection, False)
    gc.collect()
    assert [key for key in place.objects if key.startswith("k")]
    # A part of the one that was given up may come late.
    assert place.shelf.uploads == {} or door in LEAVE_PARTS


def _delta_append(connection: Any, options: Any) -> None:
    del connection
    rows = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), _batches(fail=True))
    write_deltalake(f"s3://{BUCKET}/table", rows, mode="append", storage_options=options)


def _iceberg_append(connection: Any, handed: Any) -> None:
    del connection
    catalog, _ = handed
    with catalog.load_table("n.table").transaction() as transaction:
        transaction.append(pa.table({"a": [9]}))
        raise BoomError


@pytest.mark.parametrize(("name", "append"), [("deltalake", _delta_append), ("PyIceberg", _iceberg_append)])
def test_a_table_is_as_it_was_after_an_error(place, name, append):
    """Rows that an error keeps from being all there are no rows of the table."""
    library, connection = LIBRARIES[name], place.connection("lake")
    handed = library.handed(connection)
    library.write(handed, "table", b"a\n1\n2\n3\n")
    with pytest.raises((BoomError, DeltaError), match=r"^$|Boom"):
        append(connection, handed)
    assert library.read(handed, "table") == b"a\n1\n2\n3\n"


@pytest.mark.parametrize(
    "write",
    [
        lambda files: files.open(f"{BUCKET}/k", "w").write("text"),
        lambda files: files.open(f"{BUCKET}/k", "wb").write(b"text"),
        lambda files: pickle.dump("text", files.open(f"{BUCKET}/k", "wb")),
        lambda files: io.TextIOWrapper(files.open(f"{BUCKET}/k", "wb")).write("text"),
    ],
    ids=["w", "wb", "pickle", "TextIOWrapper"],
)
def test_a_file_that_is_let_go_is_written(place, write):
    """As every file of Python is, without `close`."""
    write(place.connection("lake").fsspec())
    gc.collect()
    assert b"text" in place.objects["k"]


def _fail():
    raise BoomError


def test_a_file_that_is_closed_where_an_error_is_dealt_with_is_written(place):
    """What an `except` block writes and closes is what its author wants; so is what is opened in one."""
    files = place.connection("lake").fsspec()
    log = files.open(f"{BUCKET}/log", "wb")
    try:
        _fail()
    except BoomError:
        for part in ("what ", "went "):
            log.write(part.encode())
        with suppress(KeyError):
            log.write(b"wrong")
        log.close()
        with files.open(f"{BUCKET}/again", "wb") as file:
            file.write(b"again")
        cached = fsspec.filesystem("simplecache", fs=files).open(f"{BUCKET}/cached", "wb")
        cached.write(b"cached")
        cached.close()
    with suppress(BoomError):
        try:
            _fail()
        except BoomError:
            files.pipe(f"{BUCKET}/before-it-goes-on", b"report")
            raise
    assert (place.objects["log"], place.objects["again"]) == (b"what went wrong", b"again")
    assert (place.objects["cached"], place.objects["before-it-goes-on"]) == (b"cached", b"report")


# fsspec's contract, where its own tests say nothing: as s3fs answers


def test_files_answer_as_s3fs_does(place):
    """Patterns find folders, missing buckets are not there, `rm` takes patterns, and appending goes on."""
    files = place.connection("lake").fsspec()
    files.pipe({f"{BUCKET}/t/year=1/a": b"1", f"{BUCKET}/t/year=2/b": b"22"})
    assert files.glob(f"{BUCKET}/t/year=*") == [f"{BUCKET}/t/year=1", f"{BUCKET}/t/year=2"]
    assert files.glob(f"{BUCKET}/t/**", maxdepth=1) == [f"{BUCKET}/t", f"{BUCKET}/t/year=1", f"{BUCKET}/t/year=2"]
    assert not files.exists("there-is-none")
    assert not files.exists("there-is-none/key")
    assert files.info("")["type"] == files.info(BUCKET)["type"] == "directory"
    assert files.info(f"s3a://{BUCKET}/t/year=2/b")["Size"] == 2
    assert files.du(f"{BUCKET}/t") == 3
    assert files.find(f"{BUCKET}/t", maxdepth=1) == []
    assert files.find(f"{BUCKET}/t", prefix="year=1") == [f"{BUCKET}/t/year=1/a"]
    assert [name for name, _, _ in files.walk(f"{BUCKET}/t")] == [
        f"{BUCKET}/t{end}" for end in ("", "/year=1", "/year=2")
    ]
    with files.open(f"{BUCKET}/t/year=1/a", "ab", block_size=5 * 2**20) as file:
        assert file.tell() == 1
        file.write(b"more")
    assert files.cat(f"{BUCKET}/t", recursive=True) == {f"{BUCKET}/t/year=1/a": b"1more", f"{BUCKET}/t/year=2/b": b"22"}
    assert "X-Amz-Expires=60" in files.sign(f"{BUCKET}/t/year=1/a", 60)
    assert "X-Amz-Expires=60" in files.url(f"{BUCKET}/t/year=1/a", expires=60)
    with pytest.raises(ObjectExistsError), files.open(f"{BUCKET}/t/year=1/a", "xb"):
        pass
    with pytest.raises(io.UnsupportedOperation):
        files.open(f"{BUCKET}/t/year=1/a", "r+b")


def test_a_key_may_be_a_folder_as_well(place):
    """It is a file and a folder, is read as the one and listed as the other; a look at what is new is one request."""
    files = place.connection("lake").fsspec()
    place.objects.update({"both": b"file", "both/x": b"x", "marked/": b""})
    assert [
        (files.isfile(f"{BUCKET}/{key}"), files.isdir(f"{BUCKET}/{key}")) for key in ("both", "both/x", "marked")
    ] == [
        (True, True),
        (True, False),
        (False, True),
    ]
    assert (files.cat(f"{BUCKET}/both"), files.ls(f"{BUCKET}/both", detail=False)) == (b"file", [f"{BUCKET}/both/x"])
    assert not files.isdir("there-is-none/x")
    place.wire.requests.clear()
    assert not files.isdir(f"{BUCKET}/new")
    assert len(place.wire.requests) == 1


def test_deletions_say_what_they_do_not_do(place):
    """What matches nothing, is not there, or is a folder with something in it, is an error; markers go with folders."""
    files = place.connection("lake").fsspec()
    place.objects.update({"t/": b"", "t/year=1/a": b"1", "t/year=2/b": b"2", "tt": b"3", "empty/": b""})
    for missing in ("nothing*", "nothing", "nothing/"):
        with pytest.raises(FileNotFoundError):
            files.rm(f"{BUCKET}/{missing}", recursive=True)
    with pytest.raises(FileNotFoundError):
        files.rm(f"{BUCKET}/nothing*")
    with pytest.raises(IsADirectoryError, match="recursive=True"):
        files.rm(f"{BUCKET}/t")
    with pytest.raises(OSError, match="not empty"):
        files.rmdir(f"{BUCKET}/t")
    for folder in ("empty", "there-is-none"):
        files.rmdir(f"{BUCKET}/{folder}")
    files.rm(f"{BUCKET}/t/year=1", recursive=True)
    files.rm(f"{BUCKET}/csv/*")
    assert sorted(place.objects) == ["t/", "t/year=2/b", "tt"]
    with files.open(f"{BUCKET}/t", "ab") as file:
        file.write(b"a file beside the folder of its name")
    files.rm(f"{BUCKET}/t", recursive=True)
    assert sorted(place.objects) == ["tt"]


def test_buckets_are_made_and_deleted(place):
    """`mkdir` makes one, once; `rmdir` deletes it when it is empty; what is below a bucket needs no folder."""
    files = place.connection("lake").fsspec()
    files.mkdir("another-bucket")
    with pytest.raises(FileExistsError):
        files.mkdir("another-bucket")
    files.makedirs("another-bucket", exist_ok=True)
    files.mkdir("another-bucket/folder")
    files.touch("another-bucket/x")
    with pytest.raises(OSError, match=r"BucketNotEmpty|not empty"):
        files.rmdir("another-bucket")
    files.rm("another-bucket", recursive=True)
    files.rmdir("another-bucket")
    assert not files.exists("another-bucket")


def test_chained_urls_take_the_options(place, tmp_path):
    """`simplecache::` and `zip://…::` read through the connection, by `s3conn://` and by `s3://`."""
    import zipfile

    options, packed = place.connection("lake").storage_options("fsspec"), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inner.txt", b"inner")
    place.objects["packed.zip"] = packed.getvalue()
    for scheme in ("s3", "s3conn"):
        cached = {scheme: options, "simplecache": {"cache_storage": str(tmp_path / scheme)}}
        with fsspec.open(f"simplecache::{scheme}://{BUCKET}/csv/b.txt", **cached) as file:
            assert file.read() == b"b"
        with fsspec.open(f"zip://inner.txt::{scheme}://{BUCKET}/packed.zip", **{scheme: options}) as file:
            assert file.read() == b"inner"


def test_a_request_for_each_object_is_enough(place):
    """Of many whole objects, and of one range of each, nothing is asked but the bytes."""
    place.run("SET CACHE = 0")
    files = place.connection("lake").fsspec()
    names = [f"{BUCKET}/n/{number}" for number in range(5)]
    files.pipe({name: name.encode() for name in names})
    place.wire.requests.clear()
    assert files.cat(names) == {name: name.encode() for name in names}
    assert files.cat_ranges(names, [1] * 5, [3] * 5) == [name.encode()[1:3] for name in names]
    assert [request.method for request in place.wire.requests] == ["GET"] * 10
    place.wire.requests.clear()
    files.rm(names)
    assert [request.method for request in place.wire.requests] == ["POST"]


# Links


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_links_do_what_they_say(place, method):
    """A link reads or writes without credentials; one that writes is refused of a READ_ONLY connection."""
    link = place.connection("lake").presign(f"s3://{BUCKET}/csv/a.csv", method, seconds=60)
    assert link.url.startswith(place.wire.endpoint)
    assert ("key" in link.fields) == (method == "POST")
    assert method == "POST" or "X-Amz-Expires=60" in link.url
    careful = place.connection("careful", READ_ONLY=True)
    if method == "GET":
        assert careful.presign(f"s3://{BUCKET}/csv/a.csv").url
    else:
        with pytest.raises(ReadOnlyConnectionError):
            careful.presign(f"s3://{BUCKET}/csv/a.csv", method)


@pytest.mark.parametrize("made_by", ["presign", "url of the files", "client"])
def test_links_of_an_explicit_connection_work_whatever_is_around(place, made_by):
    """They lead to its server, signed by its key, and read and write there without credentials."""
    lake, key = place.connection("lake"), "linked"
    place.wire.requests.clear()
    if made_by == "presign":
        urls = [lake.presign(f"s3://{BUCKET}/{key}", method).url for method in ("PUT", "GET")]
        policy = json.loads(base64.b64decode(lake.presign(f"s3://{BUCKET}/{key}", "POST").fields["policy"]))
        credential = next(one["x-amz-credential"] for one in policy["conditions"] if "x-amz-credential" in one)
        assert credential.startswith("AKIAONE/")
    elif made_by == "client":
        which = {"Bucket": BUCKET, "Key": key}
        urls = [lake.client("s3").generate_presigned_url(name, which) for name in ("put_object", "get_object")]
    else:
        urls = [lake.fsspec().url(f"{BUCKET}/{key}", client_method=name) for name in ("put_object", "get_object")]
    for url, body in zip(urls, (b"by a link", None), strict=True):
        assert "AKIAONE" in url
        with urllib.request.urlopen(urllib.request.Request(url, body, method="PUT" if body else "GET")) as answer:
            assert body or answer.read() == b"by a link"
    place.wire.requests.clear()  # links carry their signature in the URL


@pytest.mark.parametrize("service", ["sts", "sqs", "iam", "kms", "dynamodb", "s3control"])
def test_clients_of_any_service_stay_with_the_connection(place, service):
    """Their first request goes to its ENDPOINT, signed by its key, from `client`, `session` and a portable's like."""
    lake = place.connection("lake")
    call = {"sts": "get_caller_identity", "iam": "list_users", "kms": "list_keys", "sqs": "list_queues"}.get(service)
    for client in (lake.client(service), lake.session().client(service)):
        place.wire.requests.clear()
        with suppress(Exception):
            if service == "s3control":
                client.list_jobs(AccountId="123456789012")
            else:
                getattr(client, call or "list_tables")()
        assert {request.signed_by for request in place.wire.requests} == {"AKIAONE"}


# Other processes


def _in_another_process(sent: Any) -> subprocess.CompletedProcess[bytes]:
    code = (
        "import pickle, sys\n"
        "for handed in pickle.load(sys.stdin.buffer):\n"
        "    files = handed.fsspec() if hasattr(handed, 'fsspec') else handed\n"
        f"    print(files.cat('{BUCKET}/csv/b.txt').decode(), files)\n"
    )
    return subprocess.run([sys.executable, "-c", code], input=pickle.dumps(sent), capture_output=True, check=False)


def test_a_connection_goes_to_another_process_without_a_secret(place, monkeypatch):
    """By ENV, its filesystem and itself arrive; what is pickled holds the variable's name and not its value."""
    monkeypatch.setenv("SECRET_OF_LAKE", "one-secret")
    text = (
        f"AWS_ACCESS_KEY_ID = 'AKIAONE' AWS_SECRET_ACCESS_KEY = ENV 'SECRET_OF_LAKE' ENDPOINT = '{place.wire.endpoint}'"
    )
    place.run(f"CREATE S3 CONNECTION lake {text} VALIDATE = FALSE")
    lake = place.run.connection("lake")
    sent = [lake, lake.fsspec()]
    assert b"one-secret" not in pickle.dumps(sent)
    assert pickle.loads(pickle.dumps(lake)) is lake
    done = _in_another_process(sent)
    assert done.stdout.decode().splitlines() == ["b <files of the S3 connection lake>"] * 2, done.stderr.decode()


def test_a_secret_of_the_statement_goes_nowhere_by_itself(place):
    """Its handle is refused in another process, with what to do; a portable connection says what it is."""
    lake = place.connection("lake")
    options = pickle.dumps(lake.storage_options("dask"))
    assert b"one" not in options.replace(b"s3conn", b"")
    done = _in_another_process([lake])
    assert b"portable(minutes=15)" in done.stderr
    with pytest.raises(CredentialsError, match="gives no short-lived credentials"):
        lake.portable()
    with pytest.raises(ValueError, match="15 minutes"):
        lake.portable(minutes=1)


def test_every_library_reads_in_a_spawned_process(place, monkeypatch):
    """Where its handle can be pickled it goes along, elsewhere the connection does and hands it out there.

    The other process has the disagreeing environment as well. What signs by itself has the credentials in it.
    """
    monkeypatch.setenv("SECRET_OF_LAKE", SECRET.decode())
    pair = "AWS_ACCESS_KEY_ID = 'AKIAONE' AWS_SECRET_ACCESS_KEY = ENV 'SECRET_OF_LAKE'"
    place.run(f"CREATE S3 CONNECTION lake {pair} ENDPOINT = '{place.wire.endpoint}' VALIDATE = FALSE")
    lake, sent = place.run.connection("lake"), {}
    for name, library in LIBRARIES.items():
        if name == "ibis" and find_spec("ibis") is None:
            continue
        source, handed = library.source(lake), library.handed(lake)
        try:
            # Pickled, a backend of ibis is one that is not connected.
            sent[name] = None if name == "ibis" else pickle.dumps(handed), source
        except (TypeError, AttributeError, pickle.PicklingError, NotImplementedError):
            sent[name] = None, source
    code = (
        "import pickle, sys\nimport pytest\nfrom test_library_matrix import LIBRARIES\n"
        "lake, sent = pickle.load(sys.stdin.buffer)\n"
        "for name, (packed, source) in sent.items():\n"
        "    library = LIBRARIES[name]\n"
        "    handed = library.handed(lake) if packed is None else pickle.loads(packed)\n"
        "    print(name, 'went' if packed else 'made', library.read(handed, source).decode().split())\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    env, told = {**os.environ, "PYTHONPATH": path}, pickle.dumps((lake, sent))
    done = subprocess.run([sys.executable, "-c", code], input=told, capture_output=True, check=False, env=env)
    lines = done.stdout.decode().splitlines()
    went = {name: "went" if packed else "made" for name, (packed, _) in sent.items()}
    assert lines == [f"{name} {how} ['a', '1', '2', '3']" for name, how in went.items()], done.stderr.decode()[-2000:]
    assert {went[name] for name in ("fsspec", "pandas", "pyarrow", "polars", "dask.bag", "deltalake")} == {"went"}


def test_a_portable_connection_reads_by_its_own_credentials_elsewhere(place):
    """They are asked for at the ENDPOINT, go along in the pickle, and sign what the other process reads."""
    lake, sts = place.connection("lake"), []

    def answer(request):
        if request.method == "POST" and request.path == "/" and "Action" in request.form:
            sts.append((request.form["Action"], request.signed_by))
            return Reply(200, {"Content-Type": "text/xml"}, SESSION.encode())
        return place.shelf.answer(request)

    place.wire.answer, before = answer, place.wire.answer
    try:
        portable = lake.portable(minutes=20)
        done = _in_another_process([portable])
        assert done.stdout.decode().startswith("b <files of"), done.stderr.decode()
        last = place.wire.requests[-1]
        assert (last.signed_by, last.headers["x-amz-security-token"]) == ("ASIASHORT", "short-token")
    finally:
        place.wire.answer = before
        place.wire.requests[:] = [one for one in place.wire.requests if one.signed_by != "ASIASHORT"]
    assert sts == [("GetSessionToken", "AKIAONE")]
    assert SECRET not in pickle.dumps(portable)


SESSION = (
    '<GetSessionTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetSessionTokenResult><Credentials>'
    "<AccessKeyId>ASIASHORT</AccessKeyId><SecretAccessKey>short</SecretAccessKey>"
    "<SessionToken>short-token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
    "</Credentials></GetSessionTokenResult></GetSessionTokenResponse>"
)


def test_a_portable_connection_holds_short_lived_credentials(sandbox):
    """They are those of a session of STS, end when it says, and are shown as what they are."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    portable = run.connection("lake").portable(minutes=20)
    assert "short-lived credentials until" in repr(portable)
    assert sandbox.admin.secret_access_key.reveal().encode() not in pickle.dumps(portable)
    assert portable.settings.session_token
    assert str(ConnectionReference.of(portable)) != str(ConnectionReference.of(run.connection("lake")))


def test_clients_of_a_former_place_say_so(place):
    """After an ALTER of ENDPOINT a client that was handed out is refused, and sends nothing."""
    client = place.connection("lake").client("s3")
    place.run(f"ALTER S3 CONNECTION lake SET ENDPOINT = '{place.elsewhere.endpoint}' VALIDATE = FALSE")
    with pytest.raises(EndpointError, match="made for another ENDPOINT"):
        client.list_objects_v2(Bucket=BUCKET)


def test_every_mode_of_python_reads_the_same_answers():
    """A header that comes twice, which aiohttp refuses under `python -X dev`, changes nothing."""
    code = (
        "import socket, threading\n"
        "from statements import Statements, create\n"
        "from s3conn_magic.sandbox import Keys\n"
        "from s3conn_magic.secrets import Secret\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "head = b'HTTP/1.1 206 OK\\r\\nServer: a\\r\\nServer: b\\r\\nContent-Range: bytes 0-1/2\\r\\n'\n"
        "def answer():\n"
        "    client = server.accept()[0]\n"
        "    client.recv(65536)\n"
        "    client.sendall(head + b'Connection: close\\r\\nContent-Length: 2\\r\\n\\r\\nok')\n"
        "    client.close()\n"
        "threading.Thread(target=answer, daemon=True).start()\n"
        "run = Statements()\n"
        "endpoint = f'http://127.0.0.1:{server.getsockname()[1]}'\n"
        "run(create('lake', keys=Keys('AKIAONE', Secret('one')), ENDPOINT=endpoint, VALIDATE=False))\n"
        "print(run.connection('lake').fsspec().cat('bucket/key'))\n"
    )
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, check=False, env=_paths())
    assert done.stdout == b"b'ok'\n", done.stderr.decode()


def _paths() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        (FileNotFoundError, lambda files: files.cat(f"{BUCKET}/none")),
        (FileNotFoundError, lambda files: files.cat("there-is-none/none")),
        (FileNotFoundError, lambda files: files.ls(f"{BUCKET}/none/below")),
        (FileExistsError, lambda files: files.open(f"{BUCKET}/csv/a.csv", "xb")),
        (IsADirectoryError, lambda files: files.rm(f"{BUCKET}/csv")),
    ],
)
def test_errors_are_python_s_own_as_well(place, kind, ours):
    """Whoever knows nothing of this package knows what happened."""
    with pytest.raises(kind):
        ours(place.connection("lake").fsspec())
