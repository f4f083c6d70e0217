"""One table of formats: PREVIEW, SELECT and COPY agree on what an object is, and give the same rows."""

from __future__ import annotations

import bz2
import gzip
import io
from typing import TYPE_CHECKING, Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import rows_of

from s3conn_magic.errors import QueryError
from s3conn_magic.locations import Location
from s3conn_magic.objects.formats import FORMATS, by_name
from s3conn_magic.preview.preview import preview

if TYPE_CHECKING:
    from lakes import Lake

ROWS = [(1, "x"), (2, "y"), (3, "z")]
MAKE = {
    "CSV": lambda: "a,b\n" + "".join(f"{a},{b}\n" for a, b in ROWS),
    "TSV": lambda: "a\tb\n" + "".join(f"{a}\t{b}\n" for a, b in ROWS),
    "CSV (|)": lambda: "a|b\n" + "".join(f"{a}|{b}\n" for a, b in ROWS),
    "JSON lines": lambda: "".join(f'{{"a": {a}, "b": "{b}"}}\n' for a, b in ROWS),
    "JSON": lambda: "[" + ", ".join(f'{{"a": {a}, "b": "{b}"}}' for a, b in ROWS) + "]",
}
PACK = {
    None: lambda data: data,
    "gzip": gzip.compress,
    "zstd": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    "bz2": bz2.compress,
}
TEXTS = [ending for one in FORMATS if one.name in MAKE for ending in one.endings]
NAMES = [f"x{ending}" for ending in TEXTS]
NAMES += [f"x{one}{packed}" for at, one in enumerate(TEXTS) for packed in ((".gz", ".zstd"), (".gzip", ".zst"))[at % 2]]
NAMES += [f"x{ending}" for one in FORMATS if one.reader == "read_parquet" for ending in one.endings]
NAMES += ["X.CSV", "X.Tab", "X.NDJSON", "X.PARQUET", "X.PQ", "X.TSV.GZ", "X.csv.GZIP", "a.b.tab", "d.ot/x.psv"]
HIDDEN = [("CSV", "z.gz"), ("TSV", "z.gzip"), ("JSON lines", "z.zst"), ("CSV (|)", "Z.ZSTD"), ("JSON", "y.z.gz")]


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [a for a, _ in ROWS], "b": [b for _, b in ROWS]}), sink)
    return sink.getvalue()


def _body(name: str, key: str) -> bytes:
    return _parquet() if name == "Parquet" else PACK[by_name(key).compression](MAKE[name]().encode())


def _rows(frame: Any) -> list[Any]:
    return [tuple(row) for row in frame.itertuples(index=False)]


def _cases() -> list[tuple[str, str]]:
    named = [(by_name(key).format.name, key) for key in NAMES]
    return [*named, *HIDDEN]


def test_preview_select_and_copy_agree(moto_lake: Lake):
    """Whatever the ending, in whatever case, compressed or not: the same format, the same rows."""
    run = moto_lake.session()
    for at, (name, key) in enumerate(_cases()):
        place, body = Location(moto_lake.bucket, f"in/{at}/{key}"), _body(name, key)
        moto_lake.client.put_object(Bucket=place.bucket, Key=place.key, Body=body)
        shown = preview(run.connection("lake"), place)
        assert (key, shown.kind, shown.format) == (key, "table", name)
        selected = run(f"SELECT a, b FROM '{place.uri}' ORDER BY a")
        run(f"CREATE JOB j{at} AS COPY FROM S3 lake LOCATION = '{place.uri}' INTO t{at}")
        assert (key, rows_of(run, f"t{at}")) == (key, ROWS)
        assert (key, _rows(selected)) == (key, ROWS) == (key, _rows(shown.frame))


def test_a_table_over_files_and_patterns_take_the_same_endings(moto_lake: Lake):
    """LOCATION and wildcards read what a single name reads."""
    run = moto_lake.session()
    for name, ending in [("CSV", ".csv.gzip"), ("TSV", ".tab"), ("CSV (|)", ".psv.zstd"), ("Parquet", ".geoparquet")]:
        key = f"in/{ending[1:]}/x{ending}"
        moto_lake.client.put_object(Bucket=moto_lake.bucket, Key=key, Body=_body(name, key))
        folder = f"s3://{moto_lake.bucket}/in/{ending[1:]}/"
        table = ending.strip(".").replace(".", "_")
        run(f"CREATE TABLE {table} LOCATION '{folder}'")
        assert _rows(run(f"SELECT a, b FROM {table} ORDER BY a")) == ROWS
        assert _rows(run(f"SELECT a, b FROM '{folder}*{ending}' ORDER BY a")) == ROWS
        query = f"WITH q AS (FROM '{folder}x{ending}') SELECT t.a, q.b FROM q JOIN '{folder}x{ending}' t USING (a)"
        assert _rows(run(f"{query} ORDER BY ALL")) == ROWS


def _avro() -> bytes:
    sink = io.BytesIO()
    fields = [{"name": "a", "type": "long"}, {"name": "b", "type": "string"}]
    records = [{"a": a, "b": b} for a, b in ROWS]
    fastavro.writer(sink, {"type": "record", "name": "r", "fields": fields}, records)
    return sink.getvalue()


def _arrow(begin: Any) -> bytes:
    table, sink = pa.table({"a": [a for a, _ in ROWS], "b": [b for _, b in ROWS]}), io.BytesIO()
    with begin(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


PACKED: Any = [
    ("x.avro.gz", _avro, gzip.compress),
    ("x.arrow.bz2", lambda: _arrow(pa.ipc.new_file), bz2.compress),
    ("x.arrows.gz", lambda: _arrow(pa.ipc.new_stream), gzip.compress),
]


def test_a_binary_table_that_is_packed_as_a_whole_is_previewed_as_rows(moto_lake: Lake):
    """Avro and Arrow have the rows and count that SELECT gives; one that is cut says so and shows its bytes."""
    run = moto_lake.session()
    for key, make, pack in PACKED:
        plain = make()
        place = Location(moto_lake.bucket, f"in/{key}")
        moto_lake.client.put_object(Bucket=place.bucket, Key=place.key, Body=pack(plain))
        shown = preview(run.connection("lake"), place)
        assert (shown.kind, shown.total_rows, _rows(shown.frame)) == ("table", len(ROWS), ROWS)
        assert _rows(run(f"SELECT a, b FROM '{place.uri}' ORDER BY a")) == ROWS
        moto_lake.client.put_object(Bucket=place.bucket, Key=place.key, Body=pack(plain[:60]))
        shown = preview(run.connection("lake"), place)
        assert shown.kind == "binary"
        assert shown.notes


ODS = b"PK\x03\x04" + bytes(22) + b"\x08\x00\x00\x00mimetypeapplication/vnd.oasis.opendocument.spreadsheet"


@pytest.mark.parametrize(
    ("key", "body", "said"),
    [
        ("x.avro", b"Obj\x01" + bytes(90), ("Avro", "Avro cannot be read")),
        ("x.arrow", b"ARROW1\0\0" + bytes(90), ("Arrow", "Arrow cannot be read")),
        ("x.zip", b"PK\x03\x04" + bytes(90), ("format ZIP", "format ZIP")),
        ("x.zip", b"PK\x03\x04" + bytes(90), ("Unpack it: the files in it", "Unpack it: the files in it")),
        ("x.xlsx", b"PK\x03\x04" + bytes(90), ("format XLSX", "Save its sheets as CSV or Parquet, which can be read.")),
        ("x.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(90), ("Save its sheets as CSV", "format XLS")),
        ("x", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(90), ("Save its sheets", "Microsoft Office 97")),
        ("x.ods", ODS, ("Save its sheets as CSV", "format ODS")),
        ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(90), ("PREVIEW shows what it is.", "format PNG")),
    ],
)
def test_what_is_known_and_not_read_is_refused_with_the_way_out(moto_lake: Lake, key, body, said):
    """SELECT and COPY name the format or the compression, and PREVIEW shows what it is."""
    run = moto_lake.session()
    moto_lake.client.put_object(Bucket=moto_lake.bucket, Key=f"in/{key}", Body=body)
    where = f"s3://{moto_lake.bucket}/in/{key}"
    failed = run.fails(f"SELECT * FROM '{where}'", QueryError)
    assert said[0] in f"{failed.message} {failed.hint}"
    assert "read_csv" not in failed.hint
    outcome = str(run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = '{where}' INTO t"))
    assert said[1] in outcome
    shown = preview(run.connection("lake"), Location(moto_lake.bucket, f"in/{key}"))
    assert shown.kind in {"binary", "table", "text", "image"}
