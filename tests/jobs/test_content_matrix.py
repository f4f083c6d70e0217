"""The same rows, whatever an object is called, packed by, and encoded in."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
from typing import TYPE_CHECKING, Any

import cramjam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import rows_of
from packing import by_arrow
from pyarrow import orc

from s3conn_magic.errors import QueryError

if TYPE_CHECKING:
    from lakes import Lake

ROWS = [(1, "käse"), (2, "brot, salz"), (3, None)]
TABLE = pa.table({"a": [a for a, _ in ROWS], "b": [b for _, b in ROWS]})


CODECS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip in two": lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:]) + bytes(512),
    "zstd": by_arrow("zstd"),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lz4": by_arrow("lz4"),
    "snappy": lambda data: bytes(cramjam.snappy.compress(data)),
}
TEXTS = {
    "csv": 'a,b\n1,käse\n2,"brot, salz"\n3,\n',
    "tsv": "a\tb\n1\tkäse\n2\tbrot, salz\n3\t\n",
    "psv": "a|b\n1|käse\n2|brot, salz\n3|\n",
    "semicolons": "a;b\n1;käse\n2;brot, salz\n3;\n",
    "json": '[{"a": 1, "b": "käse"}, {"a": 2, "b": "brot, salz"}, {"a": 3, "b": null}]\n',
    "ndjson": '{"a": 1, "b": "käse"}\n{"a": 2, "b": "brot, salz"}\n{"a": 3, "b": null}\n',
}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]
NAMES = ["x", "x.csv", "x.json", "x.tsv.gz", "x.log"]


def _binary() -> dict[str, bytes]:
    made = {name: io.BytesIO() for name in ("parquet", "orc", "arrow", "arrows", "avro")}
    pq.write_table(TABLE, made["parquet"])
    orc.write_table(TABLE, made["orc"])
    with pa.ipc.new_file(made["arrow"], TABLE.schema) as file:
        file.write_table(TABLE)
    with pa.ipc.new_stream(made["arrows"], TABLE.schema) as stream:
        stream.write_table(TABLE)
    fields = [{"name": "a", "type": "long"}, {"name": "b", "type": ["null", "string"]}]
    fastavro.writer(made["avro"], {"type": "record", "name": "r", "fields": fields}, TABLE.to_pylist())
    return {name: sink.getvalue() for name, sink in made.items()}


def _loaded(lake: Lake, bodies: dict[str, bytes]) -> dict[str, Any]:
    """The rows of each object, by its key, and what the job said."""
    run = lake.session()
    for key, body in bodies.items():
        lake.client.put_object(Bucket=lake.bucket, Key=f"in/{key}", Body=body)
    said = str(run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{lake.bucket}/in/' INTO t"))
    assert "failed" not in said, said
    found: dict[str, Any] = {key: [] for key in bodies}
    for a, b, where in rows_of(run, what='a, b, "$object"'):
        found[where.partition("/in/")[2]].append((a, b))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_texts_of_every_codec_and_encoding_are_the_same_rows(moto_lake: Lake, name: str):
    """In one table: each object, whatever it is called."""
    bodies = {
        f"{text}/{codec}/{encoding}/{name}": CODECS[codec](TEXTS[text].encode(encoding))
        for at, text in enumerate(TEXTS)
        for by, codec in enumerate(CODECS)
        for encoding in [ENCODINGS[(at + by) % len(ENCODINGS)]]
    }
    for key, rows in _loaded(moto_lake, bodies).items():
        assert (key, rows) == (key, ROWS)


def test_binary_formats_are_the_same_rows_whatever_they_are_called(moto_lake: Lake):
    """By their content; Avro and Arrow packed as a whole, too."""
    binary = _binary()
    bodies = {f"{kind}/{name}": body for kind, body in binary.items() for name in ("x", "x.csv", f"x.{kind}")}
    bodies |= {f"{kind}/x.gz": gzip.compress(binary[kind]) for kind in ("arrow", "arrows", "avro")}
    for key, rows in _loaded(moto_lake, bodies).items():
        assert (key, rows) == (key, ROWS)


DAMAGED = {
    "crc.csv.gz": (gzip.compress(b"a,b\n1,x\n")[:-8] + bytes(8), "the checksum \\(CRC\\)"),
    "cut.csv.gz": (gzip.compress(b"a,b\n" + b"1,x\n" * 9000)[:-20], "cut off"),
    "cut.json": (b'[{"a":1},{"a":2},', "array of JSON does not end"),
    "cut.json.zst": (by_arrow("zstd")(b'[{"a":1},{"a":2}'), "array of JSON does not end"),
    "odd.csv": (b"a,b\n1,x\xff\n", "is not UTF-8"),
    "cut.orc": (_binary()["orc"][:-9], "ORC cannot be read"),
    "cut.avro": (_binary()["avro"][:-9], "Avro cannot be read"),
    "cut.arrow": (_binary()["arrow"][:-9], "Arrow cannot be read"),
    "page.csv": (b"<!DOCTYPE html><html></html>", "format HTML"),
    "prose.txt": (b"Dear reader,\n\nnothing here.\n", "neither the name nor the content"),
}


def test_damage_fails_the_object_and_no_other(moto_lake: Lake):
    """None of its rows is there, and what is wrong is said; never is it a defect of the package."""
    run = moto_lake.session()
    for key, (body, _) in DAMAGED.items():
        moto_lake.client.put_object(Bucket=moto_lake.bucket, Key=f"in/{key}", Body=body)
    moto_lake.put(good__csv="a,b\n7,good\n")
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/' INTO t")
    assert rows_of(run, what="a, b") == [(7, "good")]
    errors = run("SHOW JOB j ERRORS")
    said = {row["location"].rpartition("/")[2]: str(row["error"]) for _, row in errors.iterrows()}
    assert set(said) == set(DAMAGED)
    for key, (_, words) in DAMAGED.items():
        assert re.search(words, said[key]), (key, said[key])
        assert "defect" not in said[key].lower()


def test_what_was_taken_is_said_with_the_job(moto_lake: Lake):
    """Without a header, with one by its look alone, and a log; nothing of what is plain or was told."""
    run = moto_lake.session()
    moto_lake.put(a__csv="1,2\n3,4\n", b__csv="5,6\n", c__csv="p,q\nx,y\n", d__csv="r,s\n1,2\n")
    said = str(run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/' INTO t"))
    assert "2 objects were read without a header: names are column0, …; HEADER = TRUE" in said
    assert "1 object was read with a header, judging by its content; HEADER = FALSE makes the first line data." in said
    content = "CONTENT_TYPE = (TYPE = CSV HEADER = FALSE)"
    told = f"CREATE JOB k {content} AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/in/'"
    assert "were read" not in str(run(f"{told} INTO u"))


def test_a_query_of_what_cannot_be_unpacked_is_told_so(moto_lake: Lake):
    """SELECT, too: DuckDB checks no checksum."""
    run = moto_lake.session()
    moto_lake.client.put_object(Bucket=moto_lake.bucket, Key="in/x.csv.gz", Body=DAMAGED["crc.csv.gz"][0])
    error = run.fails(f"SELECT * FROM 's3://{moto_lake.bucket}/in/x.csv.gz'", QueryError)
    assert "in/x.csv.gz: the object is damaged: the checksum (CRC)" in error.message
