"""Result frames: their columns, their types, and how hostile keys are printed."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest
from boto_clients import client
from bs4 import BeautifulSoup
from inventories import Report
from statements import Statements, create

from s3conn_magic.language.reference import STATEMENTS, columns_of, find_statement
from s3conn_magic.language.result_columns import ANALYSIS_COLUMNS
from s3conn_magic.listing.request import Progress
from s3conn_magic.results.cards import Card, DatasetsCard, progress_html, snapshot_table
from s3conn_magic.results.frames import (
    ReferenceFrame,
    S3Frame,
    S3Series,
    StatementFrame,
    frame_of,
    listing_columns,
    listing_frame,
)
from s3conn_magic.results.introspection import help_on
from s3conn_magic.sandbox import ARCHIVE, EMPTY, LAKE, ODD
from s3conn_magic.sandbox.data import ODD_KEYS

STRING, BOOLEAN, INTEGER = "string", "boolean", "Int64"
TIME, CATEGORY, OBJECT = "datetime64[us, UTC]", "category", "object"
LISTING = {
    "bucket": STRING,
    "key": STRING,
    "size": INTEGER,
    "last_modified": TIME,
    "etag": STRING,
    "storage_class": CATEGORY,
}
VERSIONS = {"version_id": STRING, "is_latest": BOOLEAN, "is_delete_marker": BOOLEAN}
PREFIX = {"is_prefix": BOOLEAN}
ANALYSIS = {
    "group": STRING,
    "objects": "int64",
    "bytes": "int64",
    "share": "float64",
    "newest": TIME,
    "oldest": TIME,
    "usd_month": "Float64",
}
CONNECTIONS = {
    "name": STRING,
    "type": STRING,
    "credentials": STRING,
    "identity": STRING,
    "region": STRING,
    "endpoint": STRING,
    "read_only": BOOLEAN,
    "encryption": STRING,
    "display_filters": OBJECT,
    "comment": STRING,
    "created_at": TIME,
    "state": STRING,
}
REPORT = Report([])
FRAMES = {
    "SHOW CONNECTIONS": CONNECTIONS,
    "SHOW CONNECTIONS LIKE 'no%such'": CONNECTIONS,
    "DESCRIBE CONNECTION lake": dict.fromkeys(("option", "value", "source"), STRING)
    | {"mutable": BOOLEAN, "description": STRING},
    "TEST CONNECTION lake": {"action": STRING, "allowed": BOOLEAN, "detail": STRING, "ms": INTEGER},
    "HELP": dict.fromkeys(("statement", "syntax", "description"), STRING),
    "SHOW BUCKETS": {"bucket": STRING, "location": STRING, "region": STRING, "created_at": TIME},
    "SHOW BUCKETS LIKE 'no%such'": {"bucket": STRING, "location": STRING, "region": STRING, "created_at": TIME},
    "LIST": LISTING | PREFIX,
    "LIST MATCHING 'none'": LISTING | PREFIX,
    "LIST VERSIONS": LISTING | VERSIONS | PREFIX,
    f"LIST 's3://{LAKE}/'": LISTING | PREFIX,
    f"LIST 's3://{LAKE}/sales/' RECURSIVE": LISTING | PREFIX,
    f"LIST 's3://{EMPTY}/'": LISTING | PREFIX,
    f"LIST 's3://{EMPTY}/' RECURSIVE VERSIONS": LISTING | VERSIONS | PREFIX,
    f"LIST 's3://{ARCHIVE}/' VERSIONS RECURSIVE": LISTING | VERSIONS | PREFIX,
    f"LIST 's3://{ARCHIVE}/' VERSIONS": LISTING | VERSIONS | PREFIX,
    f"LIST 's3://{LAKE}/' LIMIT 0": LISTING | PREFIX,
    f"LIST FROM INVENTORY '{REPORT.location}'": LISTING | PREFIX,
    f"ANALYZE 's3://{LAKE}/'": ANALYSIS,
    f"ANALYZE 's3://{EMPTY}/' BY AGE": ANALYSIS,
    f"DISCOVER 's3://{EMPTY}/'": dict.fromkeys(("dataset", "kind", "format", "compression"), STRING)
    | {"partitions": OBJECT, "objects": "int64", "bytes": "int64", "rows": INTEGER, "rows_bound": STRING}
    | {"columns": OBJECT, "drift": STRING, "oldest": TIME, "newest": TIME, "small_files": "float64"}
    | {"query": STRING, "reason": STRING},
    f"COMPARE 's3://{EMPTY}/' WITH 's3://{EMPTY}/'": {"key": STRING, "change": STRING}
    | {"left_size": INTEGER, "right_size": INTEGER, "left_etag": STRING, "right_etag": STRING}
    | {"left_modified": TIME, "right_modified": TIME},
    "DESCRIBE SELECT 1 AS a": {"column": STRING, "type": STRING, "nullable": BOOLEAN, "partition": BOOLEAN}
    | {"sample": STRING, "appears": STRING},
    "SUMMARIZE SELECT 1 AS a": dict.fromkeys(("column", "type", "min", "max"), STRING)
    | {"approx_unique": INTEGER, **dict.fromkeys(("avg", "std", "q25", "q50", "q75"), "Float64"), "count": INTEGER}
    | {"null_share": "Float64", "frequent": OBJECT, "histogram": STRING},
    "SHOW SNAPSHOTS clicks": {"snapshot": STRING, "committed_at": TIME, "operation": STRING}
    | dict.fromkeys(("added", "deleted", "rows", "files", "bytes"), INTEGER)
    | {"is_current": BOOLEAN},
    "SHOW TABLES": {"name": STRING, "rows": INTEGER, "columns": OBJECT, "connections": OBJECT}
    | {"location": STRING, "created_at": TIME},
    "SHOW JOBS": dict.fromkeys(("job", "type", "connection", "location", "table", "state"), STRING)
    | dict.fromkeys(("runs", "objects", "rows", "bytes", "failed", "violations"), "int64")
    | {"last_run": TIME, "created_at": TIME, "comment": STRING},
    "SHOW JOB looked ERRORS": {"run": INTEGER, "failed_at": TIME, "location": STRING, "etag": STRING}
    | {"error": STRING, "resolved": BOOLEAN},
    f"EXPLAIN LIST 's3://{EMPTY}/'": {"call": STRING, "action": STRING, "resource": STRING, "requests": INTEGER}
    | {"bound": STRING, "usd": "Float64", "detail": STRING},
    "SHOW SETTINGS": dict.fromkeys(("setting", "value", "takes", "description"), STRING),
}
_TABLES = "frames-tables"
HOSTILE = "a\x1b[31mred\u202e<script>1</script>$x^2$\n\x00&amp;"


@pytest.fixture(scope="module")
def run(sandbox):
    """A session with the connection `lake` to the sandbox."""
    statements = Statements()
    statements(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    begin = "CREATE JOB looked SKIP_VALIDATIONS = ('EMPTY_PATH') CONTENT_TYPE = CSV AS COPY FROM S3 lake"
    statements(f"{begin} LOCATION = 's3://{EMPTY}/' INTO looked")
    s3 = client("s3", sandbox.endpoint, sandbox.admin)
    REPORT.put(s3)
    s3.create_bucket(Bucket=_TABLES)
    statements(f"CREATE TABLE clicks (a BIGINT) STORAGE_CONNECTION = lake STORAGE_LOCATION = 's3://{_TABLES}/clicks/'")
    yield statements
    statements("DROP TABLE clicks DELETE_DATA = TRUE")
    s3.delete_bucket(Bucket=_TABLES)
    for key in REPORT.objects:
        s3.delete_object(Bucket=REPORT.kept_in, Key=key)


@pytest.fixture
def hostile():
    """A listing of one hostile key and one plain one."""
    row = ("bucket", HOSTILE, 3, datetime(2026, 1, 2, tzinfo=UTC), "etag", "STANDARD", False)
    return frame_of(listing_columns(versions=False), [row, ("bucket", "plain", None, None, None, None, True)])


@pytest.mark.parametrize("statement", FRAMES)
def test_columns_and_types(run, statement):
    """Every frame has the columns of the reference, in order and typed, with rows or without."""
    frame = run(statement)
    assert isinstance(frame, pd.DataFrame)
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == FRAMES[statement]
    assert list(frame.columns) == list(FRAMES[statement])
    assert isinstance(frame.index, pd.RangeIndex)


def test_every_statement_with_columns_is_tested():
    """A statement that gets a frame tomorrow is missing here until its columns are written above."""
    tested = {find_statement(" ".join(one.split()[:2])) or find_statement(one.split()[0]) for one in FRAMES}
    assert {one for one in STATEMENTS if one.columns} == tested


def test_no_connection_is_an_empty_frame():
    """SHOW CONNECTIONS in a new session has its columns and types and no row."""
    frame = Statements()("SHOW CONNECTIONS")
    assert frame.empty
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == CONNECTIONS


def test_values_are_exact(run):
    """Keys come as they are in the bucket: nothing is normalised, decoded, dropped or made visible."""
    frame = run(f"LIST 's3://{ODD}/' RECURSIVE")
    assert sorted(frame["key"]) == sorted(ODD_KEYS)
    assert frame["size"].tolist() == [0 if key.endswith("/") else len(f"This is {key!a}.\n") for key in frame["key"]]


def test_versions_and_markers(run):
    """VERSIONS gives every version, which one is current, and deletion markers without a size."""
    frame = run(f"LIST 's3://{ARCHIVE}/' VERSIONS RECURSIVE")
    assert len(frame) == 4
    marker = frame[frame["is_delete_marker"]]
    assert marker["key"].tolist() == ["contracts/expired.txt"]
    assert marker["size"].isna().all()
    assert marker["is_latest"].all()
    assert frame.groupby("key")["is_latest"].sum().tolist() == [1, 1]
    assert frame["version_id"].nunique() == 4


def test_tables_of_several_buckets_are_one_frame():
    """Tables with fewer columns than the frame are filled with what is missing, in order."""
    first = pa.table({"key": ["a"], "storage_class": pa.array(["STANDARD"]).dictionary_encode()})
    second = pa.table({"key": ["b"], "storage_class": pa.array(["GLACIER"]).dictionary_encode()})
    frame = listing_frame([("one", first), ("two", second)])
    assert frame[["bucket", "key", "storage_class"]].to_numpy().tolist() == [
        ["one", "a", "STANDARD"],
        ["two", "b", "GLACIER"],
    ]
    assert frame["size"].isna().all()
    assert not frame["is_prefix"].any()
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == LISTING | PREFIX


# Printing


def assert_safe(text):
    """No control, bidi or invisible character but line feeds, and the visible symbols in their place."""
    assert not any(one in text for one in "\x1b\x00\u202e\r")
    assert "\u241b[31m" in text
    assert "\u27e8U+202E\u27e9" in text


def test_html_shows_hostile_keys_safely(hostile):
    """The HTML form escapes tags and entities, shows controls as symbols, and keeps MathJax off."""
    page = hostile._repr_html_()
    assert_safe(page)
    assert "<script>" not in page
    assert "&lt;script&gt;1&lt;/script&gt;$x^2$\u240a\u2400&amp;amp;" in page
    assert "tex2jax_ignore" in page
    assert "mathjax_ignore" in page


def test_text_shows_hostile_keys_safely(hostile):
    """The text form sends no control character to the terminal, and one row is one line."""
    text = repr(hostile)
    assert_safe(text)
    assert len([line for line in text.splitlines() if "red" in line]) == 1


FORMS = {
    "rows": lambda frame: frame.head(1),
    "columns": lambda frame: frame[["key", "size"]],
    "filtered": lambda frame: frame[frame["size"] == 3],
    "sorted": lambda frame: frame.sort_values("key"),
    "copied": lambda frame: frame.copy(),
    "index": lambda frame: frame.set_index("key"),
    "two in the index": lambda frame: frame.set_index(["bucket", "key"]),
    "pivoted": lambda frame: frame.set_index("key").T,
    "renamed": lambda frame: frame.rename(columns={"key": HOSTILE}),
    "column": lambda frame: frame["key"],
    "row": lambda frame: frame.iloc[0],
    "indexed column": lambda frame: frame.set_index("key")["size"],
    "named": lambda frame: frame["size"].rename(HOSTILE),
    "back to a frame": lambda frame: frame["key"].to_frame(),
    "with a column of one's own": lambda frame: frame.assign(uri="s3://b/" + frame["key"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_taken_from_a_frame_stays_safe(hostile, form):
    """Slices, columns, rows, indexes and pivots print as safely as the frame they come from."""
    taken = FORMS[form](hostile)
    assert isinstance(taken, S3Frame | S3Series)
    assert_safe(repr(taken))
    if isinstance(taken, S3Frame):
        assert_safe(taken._repr_html_())
        assert "<script>" not in taken._repr_html_()


def test_values_under_the_print_are_exact(hostile):
    """What is printed safely is still the exact key."""
    assert hostile["key"][0] == HOSTILE
    assert hostile.to_dict("records")[0]["key"] == HOSTILE


def test_pandas_options_are_respected(hostile):
    """Width of columns, number of rows and the HTML switch are pandas' own options."""
    with pd.option_context("display.max_colwidth", 8):
        assert "script" not in repr(hostile)
        assert "\u2026" in repr(hostile)
    many = frame_of(listing_columns(versions=False), [("b", f"key-{n}", n, None, None, None, False) for n in range(90)])
    with pd.option_context("display.max_rows", 10):
        assert "key-40" not in repr(many) + many._repr_html_()
        assert "90 rows" in repr(many)
    with pd.option_context("display.max_rows", None):
        assert "key-40" in repr(many)
    with pd.option_context("display.notebook_repr_html", False):
        assert hostile._repr_html_() is None


def rows_of(page):
    """The cells of a table in HTML by row: what is shown, and what is said where the pointer is."""
    rows = BeautifulSoup(page, "html.parser").tbody.find_all("tr")
    return [[(cell.get_text(), cell.get("title")) for cell in row.find_all("td")] for row in rows]


FOLDER = ("b", "a/folder/", None, None, None, None, True)
DEEP = "events/year=2026/month=01/day=01/hour=00/part-00000.parquet"
OBJECT = ("b", DEEP, 1_234_567, datetime(2026, 1, 2, tzinfo=UTC), "0123", "STANDARD", False)


def listed_page(*keys):
    """The HTML of a listing of objects."""
    return frame_of(listing_columns(versions=False), [("b", key, *OBJECT[2:]) for key in keys])._repr_html_()


def test_a_listing_reads_well_in_a_notebook():
    """Folders first, sizes with a unit, keys cut in their middle, etags last; whole when pointed at."""
    frame = frame_of(listing_columns(versions=False), [OBJECT, FOLDER])
    page = frame._repr_html_()
    (folder, listed) = rows_of(page)
    assert [text for text, _ in folder] == ["b", "a/folder/", "", "", "", "True", ""]
    assert [text for text, _ in listed][-1] == "0123"
    assert listed[1] == ("events/\u2026/day=01/hour=00/part-00000.parquet", DEEP)
    assert listed[2] == ("1.23 MB", "1,234,567 bytes")
    assert page.count("text-align: right; white-space") == 3 * 2
    assert frame["size"].tolist() == [1_234_567, pd.NA]
    assert list(frame.columns) == [column.name for column in listing_columns(versions=False)]


def test_shares_and_dollars_read_well_in_a_notebook():
    """A share is a percentage, dollars have cents or are less than one, and an unknown price is none; exact behind."""
    columns = [column for column in ANALYSIS_COLUMNS if column.name in {"usd_month", "share"}]
    columns.sort(key=lambda column: column.name)
    rows = [(0.75, 1234.5), (0.25, 0.000002), (0.0, None), (0.0, 0.0)]
    page = rows_of(frame_of(columns, rows)._repr_html_())
    assert [row[::-1] for row in page] == [
        [("1,234.50", "1234.5000000000"), ("75.0%", "0.750000")],
        [("< 0.01", "0.0000020000"), ("25.0%", "0.250000")],
        [("", None), ("0.0%", "0.000000")],
        [("0", None), ("0.0%", "0.000000")],
    ]


def test_locations_keep_bucket_and_end():
    """Of a location that is too long the middle is cut: the bucket, and what tells it from its neighbours, stay."""
    columns = [column for column in columns_of("SHOW JOBS") if column.name == "location"]
    long = "s3://a-bucket/events/year=2026/month=01/day=01/hour=00/part-1.parquet"
    ((shown,),) = rows_of(frame_of(columns, [(long,)])._repr_html_())
    assert shown == ("s3://a-bucket/\u2026/day=01/hour=00/part-1.parquet", long)


def test_a_listing_is_neither_cut_nor_wrapped_as_text():
    """A line a row, keys whole, thousands apart, texts at the left, in a narrow terminal as in a pipe."""
    row = list(OBJECT)
    row[1] = "a/" + "long" * 100
    with pd.option_context("display.width", 40):
        lines = repr(frame_of(listing_columns(versions=False), [OBJECT, row])).splitlines()
    assert len(lines) == 3 + 2
    assert DEEP in lines[1]
    assert row[1] in lines[2]
    assert lines[1].index("events/") == lines[2].index("a/long") == lines[0].index("key")
    assert "1,234,567" in lines[1]
    assert lines[-1] == "[2 rows x 7 columns]"


@pytest.mark.parametrize("key", ["x" * 300, "a/" + "y" * 80, "/" * 90, "a" * 49 + "/", 'a/"onmouseover="x/' + "z" * 60])
def test_the_last_segment_of_a_key_is_whole(key):
    """However long it is, and whatever is in what is said of the whole key."""
    frame = frame_of(listing_columns(versions=False), [("b", key, 1, None, None, None, False)])
    ((_, (text, title), *_),) = rows_of(frame._repr_html_())
    last = key.rstrip("/").rpartition("/")[2] + key[len(key.rstrip("/")) :]
    assert text.endswith(last)
    assert title in {None, key}
    assert key in {title, text}


def test_few_of_many_rows_are_written():
    """The first and last ten of a long listing; how many there are is said."""
    many = frame_of(listing_columns(versions=False), [("b", f"key-{n}", n, None, None, None, False) for n in range(90)])
    page = many._repr_html_()
    assert [row[1][0] for row in rows_of(page)] == [
        *(f"key-{n}" for n in range(10)),
        "...",
        *(f"key-{n}" for n in range(80, 90)),
    ]
    assert "90 rows \u00d7 7 columns" in page


@pytest.mark.parametrize("length", [20, 46, 48, 49, 50, 51, 80, 300])
@pytest.mark.parametrize("kind", [S3Frame, StatementFrame, ReferenceFrame])
def test_short_texts_beside_long_ones_are_whole(kind, length):
    """Whatever its neighbours are as long as, a short text has no dots, in text and in HTML; one in 50 is whole."""
    frame = kind({"a": pd.Series(["short", "x" * length], dtype="string[pyarrow]"), "b": [1, 2]})
    short, long = repr(frame).splitlines()[1:3]
    assert short.split()[:2] == ["0", "short"]
    assert ("…" in long) == (kind is S3Frame and length > 50)
    cells = [cell.text for cell in BeautifulSoup(frame._repr_html_(), "html.parser").find_all("td")]
    assert cells[0] == "short"
    assert all("..." not in cell for cell in cells)


def test_a_frame_without_rows_names_its_columns():
    """In text it has their names in a line, and the number of rows, whatever kind of frame."""
    for kind in (S3Frame, StatementFrame, ReferenceFrame):
        frame = kind({"job": pd.Series([], dtype="string[pyarrow]"), "runs": pd.Series([], dtype="Int64")})
        assert repr(frame).splitlines() == ["job  runs", "", "[0 rows x 2 columns]"]


def test_a_text_without_end_leaves_the_other_columns_in_sight():
    """Where a key is very long, its cell has several lines; others have one each."""
    page = BeautifulSoup(listed_page("a/b.csv", "x" * 900), "html.parser")
    styles = {cell.text: cell["style"] for cell in page.find_all("td")}
    assert "overflow-wrap: anywhere" in styles["x" * 900]
    assert "nowrap" in styles["a/b.csv"]


def test_nothing_of_html_has_a_colour_that_only_some_pages_can_show():
    """Frames, cards, previews, progress and help take ink and ground of the page: a dark one without variables, too."""
    progress = Progress(keys=5, bytes=5, requests=1, elapsed=1.0, fraction=0.5)
    pages = [
        listed_page("a/b.csv"),
        Card("t", (("a", "b"),))._repr_html_(),
        DatasetsCard(())._repr_html_(),
        progress_html(progress),
        help_on("LIST")._repr_mimebundle_()["text/html"],
        snapshot_table("t", ["a"], [["b"]], "", numbers=()),
    ]
    said = [each for page in pages for each in re.findall(r"(?<![-\w])(?:color|background) *: *([^;\"]+)", page)]
    links = "var(--vscode-textLink-foreground,var(--jp-content-link-color,inherit))"
    assert set(said) <= {links, "none", "rgba(128,128,128,0.4)", "var(--jp-brand-color1,#1976d2)"}


def test_numbers_of_queries_are_pandas_to_write(run):
    """Texts begin at the left, numbers end at the right, NULL is no empty text."""
    frame = run("SELECT * FROM (VALUES ('a', 1.5, 10000), (NULL, 22.25, NULL), ('', 3.0, 3)) t(x, y, z)")
    assert repr(frame).splitlines()[:4] == [
        "   x         y      z",
        "0  a      1.50  10000",
        "1  <NA>  22.25   <NA>",
        "2         3.00      3",
    ]


def test_missing_values_print_as_nothing_for_times_and_classes(hostile):
    """A folder's missing time and storage class are blank."""
    assert "NaT" not in repr(hostile) + hostile._repr_html_()
    assert "nan" not in repr(hostile) + hostile._repr_html_()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_frames_pickle_as_plain_frames(hostile, protocol):
    """A pickled frame is a DataFrame with the same values and types, which this package isn't needed to read."""
    for one, kind in ((hostile, pd.DataFrame), (hostile["key"], pd.Series), (hostile.head(0), pd.DataFrame)):
        data = pickle.dumps(one, protocol)
        assert b"s3conn" not in data
        back = pickle.loads(data)
        assert type(back) is kind
        assert back.equals(kind(one))


def test_a_pickle_is_read_without_this_package(hostile, tmp_path):
    """Another process, where this package is not imported, reads it."""
    (tmp_path / "frame").write_bytes(pickle.dumps(hostile))
    program = "import pickle, sys; f = pickle.load(open('frame', 'rb')); print(f.shape, 's3conn_magic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "(2, 7) False\n"


def test_frames_are_frames_to_others(hostile, tmp_path):
    """Parquet, Arrow, CSV, concatenation and merging take them as what they are."""
    hostile.to_parquet(tmp_path / "frame.parquet")
    assert pd.read_parquet(tmp_path / "frame.parquet")["key"].tolist() == [HOSTILE, "plain"]
    assert pa.Table.from_pandas(hostile)["key"].to_pylist() == [HOSTILE, "plain"]
    assert len(pd.concat([hostile, pd.DataFrame(hostile)])) == 4
    assert len(hostile.merge(hostile, on="key")) == 2
