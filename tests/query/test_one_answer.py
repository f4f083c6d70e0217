"""PREVIEW, SELECT, TABLE LOCATION and COPY say the same of an object: names of columns, and the first rows."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import re
import shutil
import subprocess
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import cramjam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import moto_lake, rows_of  # noqa: F401 - pytest finds the fixture here
from packing import by_arrow
from pyarrow import orc
from pyarrow.cffi import ffi
from served import previewed

from s3conn_magic.errors import QueryError
from s3conn_magic.explorer.details import preview_values
from s3conn_magic.explorer.messages import FRONT

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakes import Lake

GROUP = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:targetgroup/web/0123456789abcdef"
ALB = (
    "https 2026-03-04T05:06:07.890123Z app/web/0123456789abcdef 198.51.100.7:4711 10.1.2.3:8080 0.001 0.020 0.000 200"
    ' 200 61 1204 "GET https://shop.example:443/a?b=c HTTP/1.1" "Mozilla/5.0 (X11; Linux)" ECDHE-RSA-AES128-GCM-SHA256'
    f' TLSv1.2 {GROUP} "Root=1-abc-def" "shop.example" "-" 0 2026-03-04T05:06:07.869000Z "forward" "-" "-"'
    ' "10.1.2.3:8080" "200" "-" "-"\n'
)
OLD_ALB = ALB.partition(' "forward"')[0]
OWNER = "0123456789abcdef" * 4
S3 = (
    f"{OWNER} logs-bucket [04/Mar/2026:05:06:07 +0000] 198.51.100.7 {OWNER} 3E57427F3EXAMPLE REST.GET.OBJECT a/b%2520c"
    ' "GET /a/b%20c HTTP/1.1" 200 - 113 113 7 6 "-" "agent "quoted" 1.0" - hostid= SigV4 ECDHE AuthHeader'
    " logs-bucket.s3.amazonaws.com TLSv1.2 - - eu-central-1\n"
)
FLOW = "2 111122223333 eni-0a1b2c3d4e5f 10.0.0.1 10.0.0.2 443 50000 6 10 840 1772600000 1772600060 ACCEPT OK\n"
NO_FLOW = "2 111122223333 eni-0a1b2c3d4e5f - - - - - - - 1772600000 1772600060 - NODATA\n"
CLOUDFRONT = (
    "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method\n"
    "2026-03-04\t05:06:07\tFRA50-C1\t2390\t198.51.100.7\tGET\n2026-03-04\t05:06:08\tFRA50-C1\t-\t198.51.100.8\tPUT\n"
)
IIS = "#Software: x\r\n#Fields: date s-ip cs-method\r\n2026-03-04 10.0.0.1 GET\r\n2026-03-04 10.0.0.2 PUT\r\n"
TRAIL = '{"Records":[{"eventVersion":"1.08","eventName":"A","n":1},{"eventVersion":"1.08","eventName":"B","n":2}]}'
TEXT = "a,b\n1,käse\n2,brot\n"
CASES: dict[str, bytes | str] = {
    "header.csv": "a,b\n1,x\n2,y\n",
    "none.csv": "1,x\n2,y\n",
    "texts.csv": "p,q\nx,y\nz,w\n",
    "name_is_missing.csv": ",n\n0,x\n1,y\n",
    "twice.csv": "a,A,\n1,2,3\n",
    "eleven.csv": ",".join(map(str, range(11))) + "\n",
    "decimal_comma.csv": "a;b\n1,5;x\n2,5;y\n",
    "zeros.csv": "zip\n01234\n99999\n",
    "quoted.csv": 'a,b\n1,"two\nlines, ""quoted"""\n',
    "blank.csv": "\n\na,b\n\n1,2\n\n3,\n",
    "dates.csv": "d,t\n2026-01-02,2026-01-02 03:04:05\n2026-01-03,2026-01-02T03:04:06\n",
    "numbers.csv": "a,b,c\n1.50,1e5,true\n2.25,2e5,FALSE\n",
    "no_number.csv": "a,b,c,d\n1_000,+5,007,0x10\n2_000,+6,008,0x11\n",
    "x.tsv": "a\tb\n1\tx, z\n2\ty\n",
    "x.psv": "a|b\n1|x\n2|y\n",
    "no_name": "a|b\n1|x\n2|y\n",
    "json_in.csv": '{"a": 1}\n{"a": 2}\n',
    "lines.json": '{"a": 1}\n{"b": "x", "a": 2}\n',
    "array.json": '[{"a": 1, "b": {"c": [1]}}, {"a": null, "b": {"c": []}}]',
    "concatenated.json": '{"a": 1}{"a": 2} {"a": 3}',
    "indented.json": '{\n  "a": 1\n}\n{\n  "a": 2\n}\n',
    "names.json": '{"a": 1, "A": 2, "": 3}\n{"a": 1, "A": 2, "": 3}\n',
    "mixed.json": '{"a": 1}\n{"a": "x"}\n',
    "as_written.json": '{"a": 1.50, "b": {"x": 1.50}, "c": 1e400}\n{"a": "x", "b": [1.0, "q"], "c": 1}\n',
    "within.json": '{"a": [{"b": 1.50}, {"b": 2}], "c": {"d": "2026-01-02"}}\n{"a": [], "c": null}\n',
    "twice_within.json": '{"a": {"b": 1, "b": 2}, "c": 1}\n{"a": {"b": 3}, "c": 2}\n',
    "late.csv": "a,b\n" + "1,2026-01-02\n" * 150 + "007,2026-01-02 03:04:05\n",
    "many_digits.csv": "a,b,c\n12345678901234567.25,1234567890123456789,0.1234567890123456789\n1.5,1,2\n",
    "specials.csv": "x,y,z\nNaN,nan,1\n-Infinity,Nancy,inf\n1.5,x,inf\n",
    "behind.csv": "a,b\n1,2,\n3,4\n5,,\n",
    "behind_all.csv": "name,city,\nx,y,\nu,,\n",
    "times.csv": "a,t\n1,10:00:00\n2,11:30\n3,\n",
    "times.json": '{"t": "10:00:00.25"}\n{"t": "11:30:00"}\n{"t": null}\n',
    "no_times.csv": "a,t\n1,10:00:00\n2,23:59:60\n",
    "nothing.csv": 'a,b,c\n"",x,"z"\n,y,\n"x,"",y",,""\n',
    "blanks.csv": 'a ,"b" ,c\n"x" , "y" ,1\n"z", u ,2\n',
    "moments.json": '{"a": "2026-01-02"}\n{"a": "2026-01-03"}\n',
    "alb.log": ALB * 2,
    "alb_of_three_versions.log": f"{ALB}{ALB.rstrip()} TID_1\n{OLD_ALB}\n",
    "flow_of_few_fields.log": "bytes packets\n840 10\n61 -\n",
    "s3log": S3 * 2,
    "flow.log": FLOW + NO_FLOW,
    "cloudfront.gz": gzip.compress(CLOUDFRONT.encode()),
    "iis.log": IIS,
    "trail.json.gz": gzip.compress(TRAIL.encode()),
    "utf8mark.csv": TEXT.encode("utf-8-sig"),
    "utf16.csv": TEXT.encode("utf-16"),
    "utf16be.csv": TEXT.encode("utf-16-be"),
    "utf32le.csv": TEXT.encode("utf-32-le"),
    "x.csv.gz": gzip.compress(TEXT.encode()),
    "x.csv.bz2": bz2.compress(TEXT.encode()),
    "x.csv.xz": lzma.compress(TEXT.encode()),
    "x.csv.zst": by_arrow("zstd")(TEXT.encode()),
    "x.csv.lz4": by_arrow("lz4")(TEXT.encode()),
    "x.csv.sz": bytes(cramjam.snappy.compress(TEXT.encode())),
}


def _plain(value: Any) -> str | None:
    """A value as text, whichever of the three it is from: an hour in UTC, a decimal without zeros at its end."""
    if value is None or str(value) in {"<NA>", "NaT", "nan"}:
        return None
    if isinstance(value, datetime | date):
        return value.isoformat().replace("T00:00:00", "").removesuffix("+00:00")
    if isinstance(value, bool):
        return str(value)
    text = str(value)
    return f"{float(text):g}" if re.fullmatch(r"-?\d+\.\d+", text) else text


def _rows(frame: Any) -> list[list[str | None]]:
    return [[_plain(value) for value in row] for row in frame.itertuples(index=False, name=None)]


def test_the_four_agree(moto_lake: Lake):  # noqa: F811 - the fixture
    """Over a table of texts, logs, encodings and codecs; each as a table."""
    run = moto_lake.session()
    for key, body in CASES.items():
        data = body.encode() if isinstance(body, str) else body
        moto_lake.client.put_object(Bucket=moto_lake.bucket, Key=key, Body=data)
    run("USE CONNECTION lake")
    wrong = {}
    for at, key in enumerate(CASES):
        where = f"s3://{moto_lake.bucket}/{key}"
        seen = run(f"PREVIEW '{where}'").frame
        selected = run(f"SELECT * FROM '{where}'")
        run(f"CREATE JOB j{at} AS COPY FROM S3 lake LOCATION = '{where}' INTO t{at}")
        copied = run(f'SELECT * EXCLUDE ("$object") FROM t{at}')
        over = run(f"CREATE TABLE l{at} LOCATION '{where}'; FROM l{at}")
        found = [(list(frame.columns), _rows(frame)[: len(seen)]) for frame in (seen, selected, copied, over)]
        if any(each != found[0] for each in found) or not found[0][1]:
            wrong[key] = found
    assert not wrong


def _decimals(texts: list[str], precision: int, scale: int) -> pa.Array:
    return pa.array(map(Decimal, texts), pa.decimal128(precision, scale))


# What two files of Parquet have in one column → the type of both together, and the values; nothing where it is refused.
UNLIKE: dict[str, tuple[pa.Array, pa.Array, str, list[Any]]] = {
    "decimals": (_decimals(["1.5"], 3, 1), _decimals(["1.23456"], 10, 5), "DECIMAL(10,5)", ["1.23456", "1.50000"]),
    "no_decimal": (_decimals(["1.5"], 38, 2), _decimals(["1.2345"], 8, 4), "", []),
    "small": (pa.array([1, 2**53]), pa.array([1.5]), "DOUBLE", [1.0, 1.5, 2.0**53]),
    "large": (pa.array([2**53 + 1]), pa.array([1.5]), "", []),
    "lists": (pa.array([[1]]), pa.array([[1.5]]), "DOUBLE[]", [[1.0], [1.5]]),
    "large_within": (pa.array([{"a": [2**53 + 1]}]), pa.array([{"a": [1.5]}]), "", []),
    "unsigned": (pa.array([2**64 - 1], pa.uint64()), pa.array([-1]), "HUGEINT", [-1, 2**64 - 1]),
    "text": (pa.array(["007"]), pa.array([7]), "VARCHAR", ["007", "7"]),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_columns_of_several_files_of_parquet_are_widened_exactly_or_refused(moto_lake: Lake, case: str):  # noqa: F811 - the fixture
    """In a query, and in a table over files: DuckDB casts to the types of the first file, whichever that is."""
    first, second, kind, values = UNLIKE[case]
    bodies = {}
    for folder, files in (("a", (first, second)), ("b", (second, first))):
        for at, values_ in enumerate(files):
            sink = io.BytesIO()
            pq.write_table(pa.table({"v": values_}), sink)
            bodies[f"{folder}/{at}.parquet"] = sink.getvalue()
    run = _put(moto_lake, bodies)
    for folder in "ab":
        where = f"s3://{moto_lake.bucket}/{folder}/"
        over = f"CREATE OR REPLACE TABLE o LOCATION '{where}'"
        if not kind:
            for statement in (f"FROM '{where}*.parquet'", over):
                assert "has values there that" in run.fails(statement, QueryError).message
            continue
        run(f"CREATE OR REPLACE TABLE t AS FROM '{where}*.parquet'; {over}")
        for table in ("t", "o"):
            frame = run(f"SELECT typeof(v), v FROM {table} ORDER BY ALL")
            rows = [tuple(row) for row in frame.itertuples(index=False, name=None)]
            assert rows == [(kind, Decimal(value) if kind.startswith("DEC") else value) for value in values]


def _put(lake: Lake, bodies: dict[str, bytes]) -> Any:
    run = lake.session()
    for key, body in bodies.items():
        lake.client.put_object(Bucket=lake.bucket, Key=key, Body=body)
    run("USE CONNECTION lake")
    return run


def _file(kind: str, **columns: list[Any]) -> bytes:
    table, sink = pa.table(columns), io.BytesIO()
    if kind == "csv":
        return "\n".join([",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values()))]).encode()  # noqa: B905
    if kind == "json":
        return "\n".join(json.dumps(row, default=str) for row in table.to_pylist()).encode()
    {"orc": orc.write_table, "parquet": pq.write_table}[kind](table, sink)
    return sink.getvalue()


def test_a_folder_is_read_whatever_its_files_are_packed_by(moto_lake: Lake):  # noqa: F811 - the fixture
    """By a pattern and as a table: packed and plain beside each other, logs without an ending, and rows of ORC."""
    bodies = {f"all/{key}": body for key, body in CASES.items() if key.startswith("x.csv")}  # type: ignore[misc]
    bodies |= {"all/x.csv": TEXT.encode(), "all/a.csv": b"", "logs/1": S3.encode(), "logs/2": S3.encode()}
    bodies |= {f"orc/p={at}/x.orc": _file("orc", n=[at]) for at in (1, 2)}
    run = _put(moto_lake, bodies)
    where = f"s3://{moto_lake.bucket}"
    counts = {"all/*": (14, "a"), "logs/*": (2, "bucket_owner"), "orc/**/*.orc": (2, "p")}
    for pattern, (count, column) in counts.items():
        frame = run(f"FROM '{where}/{pattern}'")
        assert (pattern, len(frame), column in frame.columns) == (pattern, count, True)
    run(f"CREATE TABLE logs LOCATION '{where}/logs/'; CREATE TABLE rows LOCATION '{where}/orc/'")
    run(f"CREATE TABLE bz LOCATION '{where}/all/x.csv.bz2'")
    assert [len(run(f"FROM {table}")) for table in ("logs", "rows", "bz")] == [2, 2, 2]
    assert run("SELECT sum(p) AS s, sum(n) AS n FROM rows").to_dict("list") == {"s": [3], "n": [3]}
    assert run("SHOW TABLES").set_index("name")["columns"]["rows"] == ["n BIGINT", "p BIGINT"]


@pytest.mark.parametrize("kind", ["csv", "json", "orc", "parquet"])
def test_a_file_that_contradicts_its_folder_is_refused(moto_lake: Lake, kind: str):  # noqa: F811 - the fixture
    """By a query, a table over files, and COPY; where both say the same, there is one column."""
    days = ["2026-01-01", "2026-01-02"]
    bodies = {f"good/d={day}/x.{kind}": _file(kind, n=[1], d=[day]) for day in days}
    bodies |= {f"bad/d={day}/x.{kind}": _file(kind, n=[1], d=[days[0]]) for day in days}
    run = _put(moto_lake, bodies)
    good, bad = (f"s3://{moto_lake.bucket}/{each}" for each in ("good", "bad"))
    frame = run(f"SELECT * FROM '{good}/**/*.{kind}' ORDER BY d")
    assert (list(frame.columns), [str(day)[:10] for day in frame["d"]]) == (["n", "d"], days)
    said = f"the folder of {bad}/d={days[1]}/x.{kind} says d = {days[1]}, and its column d says otherwise"
    for statement in (f"FROM '{bad}/**/*.{kind}'", f"CREATE TABLE t LOCATION '{bad}/'"):
        failed = run.fails(statement, QueryError)
        assert said in failed.message
    copy = f"AS COPY FROM S3 lake LOCATION = '{bad}/'"
    run(f"CREATE JOB j {copy} INTO u")
    error = str(run("SHOW JOB j ERRORS")["error"][0])
    assert "says otherwise" in error
    # The ways out are taken as they are printed.
    if kind != "orc":
        query = re.fullmatch(r"(FROM .*) leaves folders alone\.", failed.hint)
        assert query
        assert [str(day)[:10] for day in run(f"SELECT d {query[1]}")["d"]] == [days[0], days[0]]
    option = re.search(r"EXCLUDE_COLUMNS = \(.*?\)", error)
    assert option
    run(f"CREATE JOB k {copy} {option[0]} INTO v")
    assert [*run("SELECT * FROM v").columns] == ["n", "$object"]


@pytest.mark.parametrize("kind", ["csv", "json", "csv.gz"])
def test_an_object_without_bytes_has_no_rows_and_no_columns(moto_lake: Lake, kind: str):  # noqa: F811 - the fixture
    """Beside others, in a query, a table over files and COPY."""
    body = b'{"n": 1}\n' if kind == "json" else b"n\n1\n"
    run = _put(moto_lake, {f"e/a.{kind}": b"", f"e/b.{kind}": gzip.compress(body) if kind == "csv.gz" else body})
    where = f"s3://{moto_lake.bucket}/e/"
    run(f"CREATE TABLE t LOCATION '{where}'; CREATE JOB j AS COPY FROM S3 lake LOCATION = '{where}' INTO u")
    for query in (f"FROM '{where}*.{kind}'", "FROM t", "SELECT n FROM u"):
        assert run(query).to_dict("list") == {"n": [1]}


def test_what_is_packed_twice_is_said(moto_lake: Lake):  # noqa: F811 - the fixture
    """Which no reader would unpack; it was called damaged text."""
    body = gzip.compress(bz2.compress(b"n\n1\n"))
    run = _put(moto_lake, {"p/x.csv.gz": body})
    where = f"s3://{moto_lake.bucket}/p/x.csv.gz"
    failed = run.fails(f"FROM '{where}'", QueryError)
    assert "is packed twice: in its gzip data is what is packed by bz2" in failed.message
    assert failed.hint == "Unpack it once: then it can be read."
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = '{where}' INTO t")
    assert "is packed twice" in str(run("SHOW JOB j ERRORS")["error"][0])
    shown = previewed(body, "x.csv.gz")
    assert (shown.kind, shown.format, "packed twice" in shown.notes[-1]) == ("binary", "bz2", True)


@pytest.mark.parametrize("kind", ["csv", "json", "orc", "parquet"])
def test_folders_beside_a_column_of_the_files_are_columns(moto_lake: Lake, kind: str):  # noqa: F811 - the fixture
    """Of several folders, those that the files do not have are read from the names, in SELECT and COPY."""
    bodies = {f"p/y=202{at}/m=0{at}/x.{kind}": _file(kind, n=[at], m=[f"0{at}"]) for at in (1, 2)}
    run, where = _put(moto_lake, bodies), f"s3://{moto_lake.bucket}/p"
    frame = run(f"SELECT n, m, y FROM '{where}/**/*.{kind}' ORDER BY n")
    assert frame.astype(str).to_numpy().tolist() == [["1", "01", "2021"], ["2", "02", "2022"]]
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = '{where}/' INTO t")
    assert rows_of(run, "t", "n, m, y") == [(1, "01", 2021), (2, "02", 2022)]


def test_a_record_that_is_refused_is_said_in_plain_words(moto_lake: Lake):  # noqa: F811 - the fixture
    """Without the mark by which the package knows its own errors again."""
    run = _put(moto_lake, {"twice.json": b'{"a": 1}\n{"a": 2, "a": 3}\n'})
    failed = run.fails(f"FROM 's3://{moto_lake.bucket}/twice.json'", QueryError)
    assert failed.message.startswith("a record has other fields than those before, or one twice")


def test_a_document_of_json_can_be_folded_in_the_panel():
    """Each object and list of the lines that PREVIEW lays out, and nothing in a string is taken for one."""
    found = previewed(b'{"a": [1, "x["], "b": {}, "c": {"d": 1}}', "x.json")
    values = preview_values(found)
    assert values["document"] is True
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    source = (FRONT / "panel.js").read_text(encoding="utf-8")
    function = re.search(r"^export (function foldable.*?^\})", source, re.MULTILINE | re.DOTALL)
    assert function
    make = "const make = (tag, _, text) => ({ tag, text, below: [], append(...more) { this.below.push(...more); } });"
    shown = "const shown = (node) => node.text?.trim() ?? [node.tag, ...node.below.map(shown)];"
    program = f"{make}{shown}{function[1]};console.log(JSON.stringify(shown(foldable({json.dumps(values['text'])}))))"
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, timeout=60, check=True)
    inner = [["details", '"a": [', '1,\n    "x["'], '],\n  "b": {},', ["details", '"c": {', '"d": 1'], "}"]
    assert json.loads(done.stdout) == ["pre", ["details", "{", *inner], "}"]


def _parquet(values: list[Any] | pa.Array, *, int96: bool = False, **more: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": values, **more}), sink, use_deprecated_int96_timestamps=int96)
    return sink.getvalue()


def _avro(kind: str, *values: Any) -> bytes:
    sink = io.BytesIO()
    schema = {"type": "record", "name": "r", "fields": [{"name": "x", "type": kind}]}
    fastavro.writer(sink, fastavro.parse_schema(schema), [{"x": value} for value in values])
    return sink.getvalue()


def _arrow(*tables: pa.Table) -> bytes:
    sink = io.BytesIO()
    for table in tables:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def _months() -> bytes:
    """Intervals of months: PyArrow makes none, but takes the type by Arrow's C interface; they are stored as int32."""
    given, kind, name = ffi.new("struct ArrowSchema*"), ffi.new("char[]", b"tiM"), ffi.new("char[]", b"x")
    given.format, given.name, given.flags = kind, name, 2
    given.release = release = ffi.callback("void(struct ArrowSchema*)", lambda its: setattr(its, "release", ffi.NULL))
    months, numbers = (
        pa.schema([pa.Field._import_from_c(int(ffi.cast("uintptr_t", given)))]),
        pa.table({"x": pa.array([14, -2], pa.int32())}),
    )
    assert release
    return months.serialize().to_pybytes() + _arrow(numbers)[numbers.schema.serialize().size :]


COLLECTION = b'{"type":"FeatureCollection","name":"n","features":[{"type":"Feature","properties":{"a":1}}]}'
# Objects that differ from each other → the columns and rows that they have together.
TOGETHER: dict[str, tuple[dict[str, bytes], list[str], list[tuple[Any, ...]]]] = {
    "no header": (
        {"a.csv": b"a,b\n1,2\n", "b.csv": b"3,4\n"},
        ["a", "b", "column0", "column1"],
        [(1, 2, None, None), (None, None, 3, 4)],
    ),
    "a header later": (
        {"a.csv": b"3,4\n", "b.csv": b"a,b\n1,2\n"},
        ["column0", "column1", "a", "b"],
        [(3, 4, None, None), (None, None, 1, 2)],
    ),
    "delimiters": ({"a.csv": b"a,b\n1,2\n", "b.csv": b"a;b\n3;4\n", "c.csv": b""}, ["a", "b"], [(1, 2), (3, 4)]),
    "logs": ({"a.log": FLOW.encode(), "b.log": FLOW.encode()}, [], []),
    "geojson": ({"a.geojson": COLLECTION, "b.geojson": COLLECTION}, ["type", "name", "features"], []),
    **{
        f"{kind} {case}": ({f"a.{kind}": first, f"b.{kind}": second}, ["x"], [("ä",), ("ö",)])
        for kind, texts in {"csv": ("x\nä\n", "x\nö\n"), "json": ('{"x":"ä"}', '[{"x":"ö"}]')}.items()
        for case, first, second in (
            ("encodings", texts[0].encode(), texts[1].encode("utf-16")),
            ("an encoding first", texts[0].encode("utf-16-be"), texts[1].encode()),
            ("packed by its content", texts[0].encode(), gzip.compress(texts[1].encode())),
            ("marked twice", b"\xef\xbb\xbf" * 2 + texts[0].encode(), texts[1].encode("utf-8-sig")),
        )
    },
    **{
        f"{kind} {case}": ({f"a.{kind}": write(first), f"b.{kind}": write(second)}, ["x"], rows)
        for kind, write in {
            "avro": lambda x: _avro({int: "long", float: "double", bool: "boolean", str: "string"}[type(x)], x),
            "orc": lambda x: _file("orc", x=[x]),
            "arrow": lambda x: _arrow(pa.table({"x": [x]})),
            "parquet": lambda x: _parquet([x]),
        }.items()
        for case, first, second, rows in (
            ("numbers, then text", 7, "007", [("7",), ("007",)]),
            ("text, then numbers", "007", 7, [("007",), ("7",)]),
            ("fractions, then text", 1.5, "x", [("1.5",), ("x",)]),
            ("truth, then text", True, "yes", [("true",), ("yes",)]),
        )
    },
    **{
        f"{kind} {shape} of {case}": ({f"{at}.{kind}": _file(kind, x=[each]) for at, each in enumerate(both)}, [], [])
        for kind in ("orc", "parquet", "json")
        for shape, made in {
            "field": lambda value: {"a": value},
            "list": lambda value: [value],
            "fields in a list": lambda value: [{"a": value}],
            "deep": lambda value: {"d": {"e": [{"a": [value]}]}},
        }.items()
        for case, *both in (
            ("numbers, then text", made(7), made("007")),
            ("text, then fractions", made("x"), made(1.5)),
            ("dates, then text", made(date(2024, 1, 2)), made("x")),
        )
        if kind != "json" or "dates" not in case
    },
    **{
        f"{kind} fields": ({f"a.{kind}": _file(kind, x=[{"a": 1}]), f"b.{kind}": _file(kind, x=[{"b": "5"}])}, [], [])
        for kind in ("orc", "parquet", "json")
    },
    **{
        f"names twice {case}": ({"a.json": "\n".join(texts).encode()}, ["x"], [(text[5:-1],) for text in texts])
        for case, texts in {
            "within": ['{"x":{"b":1,"b":2}}'],
            "in a list": ['{"x":[{"b":1},{"b":1,"b":2}]}', '{"x":[]}'],
            "deep": ['{"x":{"d":[{"e":[{"y":1,"y":2}]}]}}', '{"x":{"d":[]}}'],
            "late": [*['{"x":{"b":1}}'] * 20_500, '{"x":{"b":1,"b":2}}'],
        }.items()
    },
    "versions of a log": (
        {"a.log": ALB.encode() + ALB.rstrip().encode() + b" TID_1\n", "b.log.gz": gzip.compress(ALB.encode())},
        [],
        [],
    ),
    "a log, then others": (
        {"a.json": TRAIL.encode(), "b.json": b'{"n":5}\n{"n":7}'},
        ["eventVersion", "eventName", "n"],
        [("1.08", "A", 1), ("1.08", "B", 2), (None, None, 5), (None, None, 7)],
    ),
    "others, then a log": (
        {"a.json": b'[{"n":5}]', "p=1/b.json.gz": gzip.compress(TRAIL.encode())},
        ["n", "eventVersion", "eventName", "p"],
        [(5, None, None, None), (1, "1.08", "A", 1), (2, "1.08", "B", 1)],
    ),
    **{
        f"nothing beside {kind} {order}": ({f"{order}a.{kind}": b"", f"m.{kind}": body}, ["x"], [(1,), (2,)])
        for kind, body in {
            "csv": b"x\n1\n2\n",
            "json": b'{"x":1}\n{"x":2}',
            "parquet": _parquet([1, 2]),
            "orc": _file("orc", x=[1, 2]),
        }.items()
        for order in ("", "z")
    },
    **{
        f"{kind} called {ending}": ({f"a{ending}": body, f"b{ending}": body}, ["x", "y"], [(1, 2), (1, 2)])
        for kind, body in {
            "CSV": b"x,y\n1,2\n",
            "packed CSV": gzip.compress(b"x,y\n1,2\n"),
            "JSON": b'{"x":1,"y":2}',
            "ORC": _file("orc", x=[1], y=[2]),
            "Parquet": _parquet([1], y=[2]),
        }.items()
        for ending in (".parquet", ".pq", ".csv", ".json.gz", ".orc", ".dat")
    },
    "types of Avro": ({"a.avro": _avro("int", 1), "b.avro": _avro("double", 1.5)}, [], []),
    "zeros": ({"p=01/a.csv": b"p,x\n1,5\n"}, ["p", "x"], [(1, 5)]),
    "zeros of Parquet": ({"p=01/a.parquet": _parquet([5], p=[1])}, ["x", "p"], [(5, 1)]),
    "zeros as text": ({"p=01/a.parquet": _parquet([5], p=["01"])}, ["x", "p"], [(5, "01")]),
    "a fraction": ({"p=1.50/a.parquet": _parquet([5], p=[1.5])}, ["x", "p"], [(5, 1.5)]),
    **{
        f"{kind} {case}": ({key.format(kind): body for key, body in keys.items()}, ["x", name], rows)
        for kind, bodies in {
            "csv": (b"x\n1\n", b"x\n2\n"),
            "json": (b'{"x":1}', b'{"x":2}'),
            "parquet": (_parquet([1]), _parquet([2])),
        }.items()
        for case, keys, name, rows in (
            ("case of folders", {"p=1/a.{}": bodies[0], "P=2/b.{}": bodies[1]}, "P", [(1, 1), (2, 2)]),
            ("no folder", {"p=1/a.{}": bodies[0], "b.{}": bodies[1]}, "p", [(1, 1), (2, None)]),
            ("one in another", {"p=1/p=2/a.{}": bodies[0], "p=3/p=4/b.{}": bodies[1]}, "p", [(1, 2), (2, 4)]),
        )
    },
}


def test_objects_that_differ_are_read_alike_by_all(moto_lake: Lake):  # noqa: F811 - the fixture
    """By a query, a table over files and COPY: each with its own header and delimiter, and all folders as columns."""
    wrong = {}
    for at, (case, (bodies, columns, rows)) in enumerate(TOGETHER.items()):
        run = _put(moto_lake, {f"t{at}/{key}": body for key, body in bodies.items()})
        where = f"s3://{moto_lake.bucket}/t{at}/"
        run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = '{where}' INTO t; CREATE TABLE l LOCATION '{where}**'")
        found = [run(f"FROM '{where}**'"), run("FROM l"), run('SELECT * EXCLUDE ("$object") FROM t')]
        answers = {(tuple(frame.columns), *sorted(map(str, _rows(frame)))) for frame in found}
        plain = (tuple(columns), *sorted(str([None if v is None else str(v) for v in row]) for row in rows))
        if len(answers) > 1 or (columns and answers.pop()[: len(plain)][: 1 + len(rows)] != plain):
            wrong[case] = answers
    assert not wrong


_WIDE = Decimal("12345678901234567890123456789012345678901.25")
LONG = (b"x" * 400 + b",2\n") * 22_000
# Objects that all refuse → what their errors have in common.
REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "folder of text": ({"p=01/a.parquet": _parquet([5], p=["1"])}, "says otherwise"),
    "folder that is no number": ({"p=abc/a.parquet": _parquet([5], p=pa.array([None], pa.int64()))}, "says otherwise"),
    "folder of CSV": ({"p=01/a.csv": b"p,x\n2,5\n"}, "says otherwise"),
    "Avro": ({"a.avro": _avro("long", 2**53 + 1), "b.avro": _avro("double", 1.5)}, "value"),
    **{
        f"truth and numbers of {kind} {case}": ({f"a.{kind}": first, f"b.{kind}": second}, said)
        for kind in ("orc", "parquet")
        for bodies in [(_file(kind, x=[True]), _file(kind, x=[5]))]
        for case, (first, second) in (("", bodies), ("the other way", bodies[::-1]))
        for said in ["BOOLEAN"]
    },
    **{
        f"a field more in one of several {names}": (
            {"a.csv": f"{names}\n1,2\n".encode(), "b.csv": b"a,b\n1,\n2,3,\n", "c.csv": b"a,b\n1,\n"},
            "record 2 has 3 of 2 fields",
        )
        for names in ("a,b", "c,d")
    },
    "a log that is cut": ({"a.log": ALB.encode() + ALB.partition(' "GET')[0].encode()}, "a line ends before its"),
    **{
        f"quotes of a header {case}": ({"a.csv": f"{header}\n1,2\n3,4\n".encode()}, "does not end, or goes on behind")
        for case, header in {"in front": '"a,b', "at the end": 'a,"b', "behind": '"a"x,b', "further": 'a,b\n"'}.items()
    },
    "cut array": ({"a.json": b'{"x":1}\n', "b.json": b'[{"x":1},{"x":2},'}, "does not end"),
    "two streams": ({"a.arrows": _arrow(*[pa.table({"x": [1]})] * 2)}, "and more follows"),
    "spans": ({"a.arrow": _arrow(pa.table({"x": pa.array([[5]], pa.list_(pa.duration("ns")))}))}, "finer than a"),
    "intervals": (
        {"a.arrow": _arrow(pa.table({"x": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}))},
        "finer than a microsecond",
    ),
    "intervals of months": ({"a.arrow": _months()}, "a column of intervals of months"),
    "no fields": ({"a.arrow": _arrow(pa.table({}))}, "no columns"),
    **{
        f"a field more {case}{ending}": (
            {f"a{ending}": pack(body)},
            f"record {record} has {width} of {width - 1} field",
        )
        for case, body, record, width in (
            ("within", b"a,b,c,\n1,2,3,\n1,2,x,3,\n1,2,3,\n", 2, 5),
            ("of text", b"name,city,\nx,y,\nx,y,z,\n", 3, 4),
            ("at the end", b"a;b;\n1;2;\n1;2;;", 2, 4),
            ("behind lines in quotes", b'a,b,\n1,3,\n2,"x\ny",6,\n', 2, 4),
            ("without a header", b"1,2,\n3,4,\n5,6,7,\n", 3, 4),
            ("late", b"a\tb\t\n" + b"1\t2\t\n" * 21_000 + b"1\tx\t2\t\n", "21,001", 4),
            ("beside others that end empty", b"a,b,c\n1,2,\n1,x,2,\n", 2, 4),
            ("before others that end empty", b"a|b\n1|2|\n3|4|\n5|\n", 1, 3),
            ("long before", b"a,b\n1,2,\n" + LONG + b"1,\n3,4\n", 1, 3),
            ("long behind", b"a,b\n" + LONG + b"1,\n1,2,\n", "22,002", 3),
        )
        for ending, pack in ((".csv", bytes), (".csv.gz", gzip.compress))
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_lost_is_refused_by_all(moto_lake: Lake, case: str):  # noqa: F811 - the fixture
    """By a query, a table over files and COPY."""
    bodies, said = REFUSED[case]
    run, where = _put(moto_lake, bodies), f"s3://{moto_lake.bucket}/"
    for statement in (f"FROM '{where}**'", f"CREATE TABLE l LOCATION '{where}**'; FROM l"):
        assert said in run.fails(statement, QueryError).message
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = '{where}' INTO t")
    assert said in str(run("SHOW JOB j ERRORS")["error"][0])


@pytest.mark.parametrize("ending", [".csv", ".json", ".parquet", ".orc", ".csv.gz", ".dat"])
def test_of_objects_without_bytes_there_are_no_rows(moto_lake: Lake, ending: str):  # noqa: F811 - the fixture
    """By a query, a table over files and COPY, whatever their names; a table over them is one."""
    run, where = _put(moto_lake, {f"x{ending}": b""}), f"s3://{moto_lake.bucket}/"
    for table in (f"'{where}x{ending}'", f"'{where}**'", "l"):
        run(f"CREATE OR REPLACE TABLE l LOCATION '{where}x{ending}'")
        assert not len(run(f"FROM {table}"))
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = '{where}' INTO t")
    assert not len(run("SHOW JOB j ERRORS"))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("behind", ["", "\n", "\n5,z\n"])
def test_a_record_longer_than_a_buffer_is_read_by_all(moto_lake: Lake, pack: Callable[[bytes], bytes], behind: str):  # noqa: F811 - the fixture
    """DuckDB drops it without an error at the end of a text, and refuses it further ahead."""
    run, long = _put(moto_lake, {"x.csv": pack(f"a,b\n1,y\n3,{'x' * 33 * 2**20}{behind}".encode())}), 33 * 2**20
    where, sizes = f"s3://{moto_lake.bucket}/x.csv", "list(length(b) ORDER BY a)"
    run(f"CREATE JOB j AS COPY FROM S3 lake LOCATION = '{where}' INTO t; CREATE TABLE l LOCATION '{where}'")
    for table in (f"'{where}'", "l", "t"):
        assert [*run(f"SELECT {sizes} AS s FROM {table}")["s"][0]] == [1, long, *[1] * ("z" in behind)]


def test_a_field_more_than_all_others_is_seen_in_a_preview():
    """Where each line ends with a delimiter, which begins no field, a further one is a column, and said."""
    seen = previewed(b"a,b,\n1,2,\n1,x,2,\n", "x.csv")
    assert [str(value) for value in seen.frame.iloc[1]][:3] == ["1", "x", "2"]
    assert "1 of 2 rows have not 3 fields; the first is record 2, which has 4" in seen.notes
    seen = previewed(b"a,b\n1,2,\n1,\n", "x.csv")
    assert "1 of 2 rows have not 2 fields; the first is record 1, which has 3" in seen.notes
    assert [*previewed(b"a,b\n1,2,\n1,3\n", "x.csv").frame.columns] == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "note", "error"),
    [
        (_parquet(pa.array([1_000], pa.timestamp("ns")), int96=True), "to the microsecond", ""),
        (
            _parquet(pa.array([1_001], pa.timestamp("ns")), int96=True, k=[1]),
            "to the microsecond",
            "finer than a microsecond",
        ),
        (
            _parquet(pa.array([_WIDE], pa.decimal256(60, 2)), k=[1]),
            "as DOUBLE, which rounds",
            "which DuckDB would round",
        ),
    ],
)
def test_what_duckdb_changes_of_parquet_is_said_and_not_loaded(moto_lake: Lake, body: bytes, note: str, error: str):  # noqa: F811 - the fixture
    """A query has a note; COPY refuses what would be another value, but in columns that it leaves out."""
    run = _put(moto_lake, {f"p/{at}.parquet": body for at in range(2)})
    where = f"s3://{moto_lake.bucket}/p/"
    run(f"FROM '{where}*.parquet'")
    assert note in run.notes[-1]
    copy = f"AS COPY FROM S3 lake LOCATION = '{where}'"
    run(f"CREATE JOB j {copy} INTO t")
    errors = [*run("SHOW JOB j ERRORS")["error"]]
    assert (len(errors), all(error in each for each in errors)) == (2 if error else 0, True)
    if error:
        option = re.search(r"EXCLUDE_COLUMNS = \(.*?\)", errors[0])
        assert option
        run(f"CREATE JOB k {copy} {option[0]} INTO u")
        assert not len(run("SHOW JOB k ERRORS"))


def test_years_that_nanoseconds_do_not_reach_are_shown_as_they_are():
    """Times of INT96 in a preview of Parquet, as a query gives them."""
    body = _parquet([datetime(1601, 1, 1), datetime(2024, 5, 6, 7, 8, 9, 10)], int96=True)  # noqa: DTZ001 - it has no zone
    shown = previewed(body, "x.parquet")
    assert [str(one) for one in shown.frame["x"]] == ["1601-01-01 00:00:00", "2024-05-06 07:08:09.000010"]


def test_files_of_other_types_among_many_change_no_value(moto_lake: Lake):  # noqa: F811 - the fixture
    """Where a query reads a few of many files of Parquet, those are checked that it has read; so are later ones."""
    bodies = {f"many/p={at // 40}/{at:03}.parquet": _parquet([at + 0.5 if at == 85 else at]) for at in range(120)}
    run, where = _put(moto_lake, bodies), f"s3://{moto_lake.bucket}/many/"
    assert [*run(f"SELECT sum(x) AS s FROM '{where}**/*.parquet' WHERE p = 2")["s"]] == [sum(range(80, 120)) + 0.5]
    assert run(f"SELECT x FROM '{where}**/*.parquet' LIMIT 1000")["x"].sum() == sum(range(120)) + 0.5
    run(f"CREATE TABLE s AS SELECT x FROM '{where}**/*.parquet' WHERE p = 2 LIMIT 1000")
    run(f"CREATE TABLE l LOCATION '{where}'")
    for table in ("s", "l WHERE p = 2"):
        assert [*run(f"SELECT sum(x) AS s FROM {table}")["s"]] == [sum(range(80, 120)) + 0.5]
    _put(moto_lake, {"many/p=2/new.parquet": _parquet([2**53 + 1])})
    assert "has values there that" in run.fails("FROM l", QueryError).message


def test_what_is_taken_for_a_header_is_said_by_queries_and_tables(moto_lake: Lake):  # noqa: F811 - the fixture
    """With the query that takes the first line for what it was not; a log is called by its name."""
    run = _put(moto_lake, {"a.csv": b"name,town\nann,oslo\n", "b.csv": b"ann,oslo\nann,rome\n", "c.log": FLOW.encode()})
    for key, taken, first in (
        ("a.csv", "1 object was read with a header, judging by its content", "name"),
        ("b.csv", "1 object was read without a header: names are column0, …", "ann"),
        ("c.log", "1 object was read as VPC flow log, by its lines", ""),
    ):
        where = f"s3://{moto_lake.bucket}/{key}"
        run(f"CREATE OR REPLACE TABLE l LOCATION '{where}'")
        for query in (f"FROM '{where}'", "FROM l"):
            run.notes.clear()
            run(query)
            assert run.notes[0].startswith(taken)
            if first:
                other = re.search(r"FROM read_csv\(.*?\)", run.notes[0])
                assert other
                frame = run(other[0])
                assert first in {*map(str, frame.iloc[0]), *frame.columns}


def test_an_empty_line_of_one_column_is_a_value_that_is_not_there(moto_lake: Lake):  # noqa: F811 - the fixture
    """As INSERT writes it: by PREVIEW, too, which left it out."""
    body = b"x\n\n1\n\n2\n\n"
    run = _put(moto_lake, {"x.csv": body})
    found = [previewed(body, "x.csv").frame, run(f"FROM 's3://{moto_lake.bucket}/x.csv'")]
    assert [_rows(frame) for frame in found] == [[[None], ["1"], [None], ["2"], [None]]] * 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"a,b\n1,caf\xe9\n", "line 2 is not UTF-8"),
        (b"a,b\n1,2,3\n", "its records do not all have the same number of fields"),
        (b'a,b\n1,"2\n', "its records do not all have"),
        (gzip.compress(b"a,b\n1,caf\xe9\n", mtime=0), "the object is damaged: byte 9 is not UTF-8"),
    ],
)
def test_an_error_of_a_query_names_the_object_and_what_reads_it(moto_lake: Lake, body: bytes, said: str):  # noqa: F811 - the fixture
    """Among several, without DuckDB's own advice, whose options nobody can set there."""
    run = _put(moto_lake, {"e/a.csv": b"a,b\n1,2\n", "e/b.csv": body})
    failed = run.fails(f"FROM 's3://{moto_lake.bucket}/e/*.csv'", QueryError)
    assert failed.message.startswith(f"s3://{moto_lake.bucket}/e/b.csv: {said}")
    assert failed.hint.startswith("COPY FROM S3 ")
