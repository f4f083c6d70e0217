"""COPY FROM S3: each object once, all of its rows or none."""

from __future__ import annotations

import gzip
import io
import os
import signal
import threading
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import rows_of
from pyarrow import orc
from recording import Reply, Request, passing_to, recording

from s3conn_magic.errors import (
    AccessDeniedError,
    BindError,
    JobExistsError,
    JobFailedError,
    QueryError,
    ReadOnlyConnectionError,
    StatementInterrupted,
)
from s3conn_magic.jobs import copying, loading
from s3conn_magic.jobs.target_table import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from lakes import Lake, Nursery


def _copy(lake: Lake, options: str = "", *, job: str = "", into: str = "t") -> str:
    return f"CREATE JOB j {job} AS COPY FROM S3 lake LOCATION = 's3://{lake.bucket}/in/' {options} INTO {into}"


def _parquet(**columns: list[Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_a_job_loads_each_object_once(lake: Lake):
    """The first run loads what is there; the next ones what is new, and of what was changed the new rows only."""
    lake.put(a__csv="n,s\n1,x\n2,y\n", b__json='{"n": 3, "s": "z"}\n', c__parquet=_parquet(n=[4], s=["w"]))
    run = lake.session()
    assert str(run(_copy(lake))).startswith("The job j was created. Loaded 3 objects (4 rows, ")
    assert rows_of(run) == [(1, "x"), (2, "y"), (3, "z"), (4, "w")]
    assert str(run("RUN JOB j")) == "There was nothing new to load into t."
    lake.put(a__csv="n,s\n1,x\n5,v\n7,u\n", d__csv="n,s\n6,q\n")
    assert "Loaded 2 objects, of which 1 replaced an earlier version (4 rows" in str(run("RUN JOB j"))
    assert rows_of(run) == [(1, "x"), (3, "z"), (4, "w"), (5, "v"), (6, "q"), (7, "u")]
    assert rows_of(run, what='count(DISTINCT "$object")') == [(4,)]
    (row,) = run("SHOW JOBS").to_dict("records")
    counted = {name: row[name] for name in ("job", "type", "table", "state", "runs", "objects", "rows", "failed")}
    assert list(counted.values()) == ["j", "COPY FROM S3", "t", "ok", 3, 5, 8, 0]


def test_an_object_that_cannot_be_read_does_not_stop_the_others(lake: Lake):
    """It is in the log with its reason until it was loaded, and none of its rows is in the table."""
    lake.put(a__csv="n\n1\n", b__parquet=b"PAR1 and nothing", c__csv="n\n3\n")
    run = lake.session()
    said = str(run(_copy(lake)))
    assert "Loaded 2 objects" in said
    assert f"1 object failed, the first: s3://{lake.bucket}/in/b.parquet: " in said
    assert rows_of(run) == [(1,), (3,)]
    (failure,) = run("SHOW JOB j ERRORS").to_dict("records")
    assert failure["location"].endswith("/in/b.parquet")
    assert failure["error"]
    assert not failure["resolved"]
    assert run("SHOW JOBS").loc[0, "state"] == "errors"
    lake.put(b__parquet=_parquet(n=[2]))
    assert "Loaded 1 object (1 row" in str(run("RUN JOB j"))
    assert rows_of(run) == [(1,), (2,), (3,)]
    assert run("SHOW JOB j ERRORS")["resolved"].tolist() == [True]
    assert run("SHOW JOBS").loc[0, "failed"] == 0


def test_a_value_that_does_not_fit_far_behind_the_beginning_is_loaded(moto_lake: Lake):
    """Types are told by all of an object where its beginning does not tell them."""
    lines = "".join(f"{n}\n" for n in range(30_000))
    moto_lake.put(a__csv=f"n\n{lines}far\n")
    run = moto_lake.session()
    assert "(30,001 rows" in str(run(_copy(moto_lake)))
    assert rows_of(run, what="count(*), max(n)", order="1") == [(30_001, "far")]


def test_columns_get_as_wide_as_the_objects_need_and_no_value_is_rounded(moto_lake: Lake):
    """New columns are added, numbers and dates widened; text for a number, and what would be rounded, is refused."""
    moto_lake.put(a__csv="n,d\n1,2026-01-01\n")
    run = moto_lake.session()
    run(_copy(moto_lake))
    moto_lake.put(b__csv="n,d\n1.5,2026-01-02 10:00:00\n", c__csv="n,extra\n2,x\n", d__csv="n\nmany\n")
    moto_lake.put(e__csv=f"big\n{2**53 + 1}\n", f__csv="big\n0.5\n", g__csv=f"n\n{2**53 + 1}\n")
    said = str(run("RUN JOB j"))
    assert "2 objects failed" in said
    assert "d.csv: record 1: the column n is DOUBLE in the table, and here is text" in said
    noon = datetime(2026, 1, 2, 10)  # noqa: DTZ001 - DuckDB's type without a zone
    first = datetime(2026, 1, 1)  # noqa: DTZ001
    errors = run("SHOW JOB j ERRORS").set_index("location")["error"]
    assert [location[-5:] for location in errors.index] == ["g.csv", "d.csv"]
    assert errors.str.contains("VARCHAR takes every value as it is written").all()
    # Where no column of the table decides, a type is found that holds the values of all objects.
    assert rows_of(run, what="big", order="big")[:2] == [(Decimal("0.5"),), (Decimal(2**53 + 1),)]
    assert rows_of(run, what="n, d, extra")[:3] == [(1.0, first, None), (1.5, noon, None), (2.0, None, "x")]


def test_records_of_many_megabytes_are_loaded_and_queried(moto_lake: Lake):
    """Room is made for them where they come, in CSV and JSON."""
    long = "x" * 17_000_000
    moto_lake.put(a__csv=f"n,s\n1,{long}\n", b__json=f'{{"n": 2, "s": "{long}"}}\n')
    run = moto_lake.session()
    run(_copy(moto_lake))
    assert rows_of(run, what="n, length(s)") == [(1, 17_000_000), (2, 17_000_000)]
    for name in ("a.csv", "b.json"):
        frame = run(f"SELECT length(s) AS long FROM 's3://{moto_lake.bucket}/in/{name}'")
        assert frame["long"].tolist() == [17_000_000]


def test_a_table_that_was_made_before_gets_the_rows(moto_lake: Lake):
    """Rows go by the names of columns; what is not in an object is NULL."""
    moto_lake.put(a__csv="b,a\nx,1\n")
    run = moto_lake.session()
    run("CREATE TABLE t (a BIGINT, b VARCHAR, c DATE)")
    run(_copy(moto_lake))
    assert rows_of(run) == [(1, "x", None)]


def test_a_table_that_was_dropped_is_loaded_anew(moto_lake: Lake):
    """What was in the dropped table counts as not loaded."""
    moto_lake.put(a__csv="a\n1\n")
    run = moto_lake.session()
    run(_copy(moto_lake, into="default_glue_catalog.raw.t"))
    assert run("SHOW TABLES")["name"].tolist() == ["default_glue_catalog.raw.t"]
    run("DROP TABLE default_glue_catalog.raw.t; RUN JOB j")
    assert run("SELECT a FROM default_glue_catalog.raw.t")["a"].tolist() == [1]


_FIELD = "(COLUMN_NAME = '{}', START_INDEX = {}, END_INDEX = {})"
READ = {
    "csv with names": ("(TYPE = CSV DELIMITER = ';' HEADER = ('a', 'b'))", "1;x\n2;y\n", [(1, "x"), (2, "y")]),
    "csv without types": ("(TYPE = CSV, INFER_TYPES = FALSE, NULL_VALUE = '-')", "a,b\n1,-\n", [("1", None)]),
    "header line": ("(TYPE = CSV HEADER_LINE = 'a, b')", "1,x\n", [(1, "x")]),
    "escaped quotes": ("(TYPE = CSV QUOTE_ESCAPE_CHAR = '\\')", 'a\n"x\\"y"\n', [('x"y',)]),
    "tsv": ("TSV", "a\tb\n1\tx y\n", [(1, "x y")]),
    "json array": ("JSON", '[{"a": 1}, {"a": 2}]', [(1,), (2,)]),
    "lines": ("SPLIT_LINES", "one, two\nthree\n", [("one, two",), ("three",)]),
    "split by text": ("(TYPE = SPLIT_LINES PATTERN = '|')", "one|two", [("one",), ("two",)]),
    "regex": ("(TYPE = REGEX PATTERN = '(?P<w>\\w+)=(?P<n>\\d+)')", "a=1\nno\nb=2", [("a", "1"), ("b", "2")]),
    "regex with groups that took no part": (
        "(TYPE = REGEX PATTERN = '(?<w>\\w+)=(?P<n>\\d+)?(!*)')",
        "a=1\r\nb=\nc=3 d=4",
        [("a", "1"), ("b", None), ("c", "3")],
    ),
    "regex without groups": ("(TYPE = REGEX PATTERN = '\\d+')", "a12 3\n\nb\n4", [("12",), ("4",)]),
    "regex that would backtrack": ("(TYPE = REGEX PATTERN = '(a+)+$')", "a" * 5_000 + "b\naa", [("aa",)]),
    "regex over lines": (
        "(TYPE = REGEX MULTILINE = TRUE PATTERN = '^(.)\n(.)$')",
        "a\nb\nc\nd",
        [("a", "b"), ("c", "d")],
    ),
    "fixed width": (
        f"(TYPE = FIXED_WIDTH COLUMNS = ({_FIELD.format('a', 0, 1)}, {_FIELD.format('b', 2, 4)}))",
        "12abc\n3 d\n",
        [("12", "abc"), ("3", "d")],
    ),
}


@pytest.mark.parametrize("case", READ)
def test_content_types_are_read_as_they_say(moto_lake: Lake, case: str):
    """Each CONTENT_TYPE and its settings; compressed the rows are the same."""
    said, body, expected = READ[case]
    moto_lake.put(plain=body, packed=gzip.compress(body.encode()))
    run = moto_lake.session()
    run(_copy(moto_lake, f"CONTENT_TYPE = {said}"))
    assert rows_of(run) == sorted(expected * 2)


def test_names_of_others_take_no_time_that_patterns_multiply(moto_lake: Lake):
    """Keys and columns that a backtracking matcher never ends on are chosen and left out at once, and exactly."""
    long = "a" * 900
    moto_lake.put(**{f"{long}!": "n\n1\n", f"{long}": f"n,{'-' * 60},{'-' * 60}x\n2,3,4\n"})
    run = moto_lake.session()
    excluded = f"EXCLUDE_COLUMNS = ('{'*-' * 20}*x')"
    run(_copy(moto_lake, f"FILE_PATTERN = '/?(a+)+' CONTENT_TYPE = CSV {excluded}"))
    assert rows_of(run) == [(2, 3)]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("FILE_PATTERN = '(?!x).*'", "look-around"),
        ("INITIAL_LOAD_PATTERN = '(a)\\1'", "back-reference"),
        ("CONTENT_TYPE = (TYPE = REGEX PATTERN = 'a++')", "possessive"),
    ],
)
def test_what_only_backtracking_matches_is_refused_when_bound(moto_lake: Lake, option: str, said: str):
    """The error points at the value and says what does without; no job is made."""
    moto_lake.put(a__csv="n\n1\n")
    run = moto_lake.session()
    error = run.fails(_copy(moto_lake, option), BindError)
    assert said in error.message
    assert error.place.excerpt[error.place.marker.index("^")] in "'("
    assert run("SHOW JOBS").empty


def test_jobs_and_queries_tell_how_far_they_are(moto_lake: Lake):
    """The last of what is told are all objects and bytes; SET PROGRESS = FALSE silences them."""
    moto_lake.put(a__csv="n\n1\n", b__csv="n\n2\n")
    run, seen = moto_lake.session(), []
    run.session._progress = lambda: nullcontext(seen.append)
    where = f"s3://{moto_lake.bucket}"
    run(_copy(moto_lake))
    assert (seen[-1].keys, seen[-1].unit, seen[-1].bytes, seen[-1].fraction) == (2, "objects", 8, 1.0)
    run(f"CREATE JOB k AS INSERT INTO S3 lake LOCATION = '{where}/out/' FILE_FORMAT = CSV SELECT n FROM t")
    assert (seen[-1].unit, seen[-1].bytes) == ("", 6)
    read = run(f"SELECT * FROM '{where}/in/*.csv'").attrs["read"]
    assert (seen[-1].requests, seen[-1].bytes) == (read["requests"], read["bytes"])
    told = len(seen)
    run("SET PROGRESS = FALSE; RUN JOB k")
    assert len(seen) == told


def test_what_a_job_wrote_of_such_a_table_is_loaded_again(moto_lake: Lake):
    """The column that says where rows are from says it of the object that was loaded last."""
    moto_lake.put(a__csv="n\n1\n")
    run = moto_lake.session()
    run(_copy(moto_lake))
    run(f"CREATE JOB k AS INSERT INTO S3 lake LOCATION = 's3://{moto_lake.bucket}/out/' SELECT * FROM t")
    run(f"CREATE JOB l AS COPY FROM S3 lake LOCATION = 's3://{moto_lake.bucket}/out/' INTO u")
    assert rows_of(run, "u", "*") == [(1, f"s3://{moto_lake.bucket}/out/k.parquet")]


@pytest.mark.parametrize(("objects", "rows"), [(4, 1), (2, 2_500_000)], ids=["small", "large"])
def test_the_next_objects_are_asked_for_while_one_is_loaded(moto_lake: Lake, objects: int, rows: int):
    """No object is answered before all of them are asked for: small ones each by one request, a large one ahead."""
    moto_lake.put(**{f"{at}__csv": "n\n" + "1\n" * rows for at in range(objects)})
    together, ask, seen = threading.Barrier(objects), passing_to(moto_lake.endpoint), list[str]()

    def answer(request: Request) -> Reply:
        seen.append(request.path)
        if request.path.endswith(".csv") and seen.count(request.path) == 1:
            together.wait(20)
        return ask(request)

    with recording(answer) as wire:
        run = moto_lake.session(moto_lake.connect.replace("lake", "slow").replace(moto_lake.endpoint, wire.endpoint))
        run(_copy(moto_lake).replace("S3 lake", "S3 slow"))
    assert rows_of(run, what="count(*)", order="1") == [(objects * rows,)]
    assert rows > 1 or len([path for path in seen if path.endswith(".csv")]) == objects


LARGE = {
    "a.csv": b"n,x,s\n" + b"".join(b"%d,%d.5,v%d\n" % (at, at, at) for at in range(30_000)),
    "late.csv": b"n,s\n" + b"7,x\n" * 30_000 + b"1.5,y\n007,z\n",
    "sparse.csv": b"n,s\n" + b",x\n" * 30_000 + b"7,y\n",
    "quotes.csv.gz": gzip.compress(b'd,s\n2024-01-01,"x, ""y"""\n2024-01-02,\n'),
    "strange.csv": b'd,s\n2024-01-01,"x"y\n',
    "uneven.csv": b"a,b\n1,2\n3\n",
    "skipped.csv": b"#c\na,b\n1,2\n",
    "a.json": b"".join(b'{"n":%d,"s":"v%d","t":"2024-01-01 10:00:00"}\n' % (at, at) for at in range(30_000)),
    "late.json": b'{"n":1,"s":"x"}\n' * 30_000 + b'{"n":1.50,"s":null}\n{"s":"y"}\n{"n":"7","s":"y"}\n',
    "lists.json": b'{"n":[1],"s":{"a":1}}\n{"n":[2],"s":{"a":1.5}}\n',
    "array.json": b'[{"n":1},{"n":2}]',
}


@pytest.mark.parametrize("key", LARGE)
def test_a_large_object_has_the_rows_of_a_small_one(moto_lake: Lake, monkeypatch, key: str):
    """However an object is read, its rows, their types and what is refused are the same."""
    moto_lake.put(**{key.replace(".", "__"): LARGE[key]})
    outcomes = []
    for small in (1 << 30, 0):
        monkeypatch.setattr(loading, "SMALL", small)
        run = moto_lake.session()
        said = str(run(_copy(moto_lake)))
        errors = run("SHOW JOB j ERRORS")["error"].to_list()
        outcomes.append((said.partition("Loaded")[2][:20], errors, _kinds_and_rows(run)))
    assert outcomes[0] == outcomes[1]


def _kinds_and_rows(run: Any) -> Any:
    if not len(run("SHOW TABLES")):
        return None
    rows = run("SELECT any_value(typeof(t)) AS kinds, count(*) AS n, bit_xor(hash(t::VARCHAR)) AS h FROM t")
    return rows.astype(str).to_numpy().tolist()


def test_no_record_of_a_csv_is_passed_over(moto_lake: Lake):
    """Uneven records, a title above the names and an open quote fail; what looks like a comment is a record."""
    moto_lake.put(
        uneven__csv="a,b\n1,2\n3\n4,5,6\n",
        title__csv="Report\n\na,b\n1,2\n",
        late__csv="a,b\n" + "1,2\n" * 30_000 + "3\n",
        comment__csv="a,b\n#1,x\n#2,y\n",
        other__csv='a;b\n"1;2";z\n',
        piped__csv="a|b\n3,5|z\n",
    )
    run = moto_lake.session()
    assert "Loaded 3 objects (4 rows" in str(run(_copy(moto_lake, "CONTENT_TYPE = CSV")))
    assert rows_of(run, what="a, b") == [("#1", "x"), ("#2", "y"), ("1;2", "z"), ("3,5", "z")]
    errors = run("SHOW JOB j ERRORS").set_index("location")["error"]
    assert len(errors) == 3
    assert errors.str.contains(r"line [\d,]+ has \d of \d fields: not all records have the same number of them").all()
    assert errors.str.contains("SPLIT_LINES loads lines").all()


def test_formats_are_told_by_content(moto_lake: Lake):
    """AUTO needs no suffix where the content is certain; ORC and zstd are read; what is none of them is refused."""
    sink = io.BytesIO()
    orc.write_table(pa.table({"a": [5]}), sink)
    zipped = pa.compress(b'{"a": 6}', "zstd", asbytes=True)
    moto_lake.put(one=_parquet(a=[1]), two='{"a": 2}', three__csv="a\n3\n", five=sink.getvalue(), six=zipped)
    moto_lake.put(bad=b"\0\1\2")
    run = moto_lake.session()
    assert "neither the name nor the content of the object shows its format" in str(run(_copy(moto_lake)))
    assert rows_of(run) == [(1,), (2,), (3,), (5,), (6,)]


def test_options_choose_objects_and_columns(moto_lake: Lake):
    """FILE_PATTERN is a regular expression of the whole key below the location; columns are left out and made."""
    moto_lake.put(**{"x/a__csv": "n,mail,debug_1\n2,m,1\n", "x/b__txt": "n\n9\n", "y__csv": "n,mail\n3,k\n"})
    run = moto_lake.session()
    options = (
        "FILE_PATTERN = '.*\\.csv' EXCLUDE_COLUMNS = (debug_*) COLUMN_TRANSFORMATIONS = (mail = upper(mail), d = n*2)"
    )
    run(_copy(moto_lake, options.replace("debug_*", "'debug_*'")))
    assert rows_of(run, what="n, mail, d") == [(2, "M", 4), (3, "K", 6)]
    assert run("DROP JOB j; SHOW JOBS").empty
    other = "FILE_SUFFIX = 'a.csv' INITIAL_LOAD_PREFIX = 'in/y' EXCLUDE_COLUMNS = 'mail'"
    run(_copy(moto_lake, other, into="u"))
    assert rows_of(run, "u", "n") == [(2,), (3,)]
    moto_lake.put(y2__csv="n\n8\n")
    assert str(run("RUN JOB j")) == "There was nothing new to load into u."


def test_dates_choose_objects(moto_lake: Lake):
    """START_FROM and END_AT go by the date in the key, or by when an object was written."""
    moto_lake.put(**{f"2026/01/0{day}/a__csv": f"n\n{day}\n" for day in range(1, 5)})
    run = moto_lake.session()
    span = "START_FROM = '2026-01-02T12:00:00' END_AT = '2026-01-04'"
    run(_copy(moto_lake, f"DATE_PATTERN = 'yyyy/MM/dd' {span}"))
    assert rows_of(run) == [(2,), (3,)]
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    run("DROP JOB j;" + _copy(moto_lake, f"START_FROM = '{later}' SKIP_VALIDATIONS = ALL", into="u"))
    assert run("SHOW JOBS").loc[0, "objects"] == 0


def test_objects_are_deleted_when_they_are_loaded(moto_lake: Lake):
    """DELETE_FILES_AFTER_LOAD deletes what was loaded and nothing else."""
    moto_lake.put(a__csv="n\n1\n", b__parquet=b"PAR1 nothing")
    run = moto_lake.session()
    run(_copy(moto_lake, "DELETE_FILES_AFTER_LOAD = TRUE"))
    assert moto_lake.keys_below("in/") == ["in/b.parquet"]
    assert rows_of(run) == [(1,)]
    run("RUN JOB j")
    assert rows_of(run) == [(1,)]


def test_nothing_is_made_where_nothing_can_be_loaded(moto_lake: Lake):
    """An empty location, a bucket that is not there and READ_ONLY with a deletion are refused; no job is left."""
    run = moto_lake.session()
    assert "SKIP_VALIDATIONS" in run.fails(_copy(moto_lake), JobFailedError).hint
    run.fails(_copy(moto_lake).replace(moto_lake.bucket, "no-such-bucket"))
    run(moto_lake.connect.replace("lake", "frozen") + " READ_ONLY = TRUE")
    deleting = _copy(moto_lake, "DELETE_FILES_AFTER_LOAD = TRUE").replace("S3 lake", "S3 frozen")
    run.fails(deleting, ReadOnlyConnectionError)
    assert run("SHOW JOBS").empty
    run("DROP CONNECTION lake")


def test_the_older_form_and_hostile_keys(moto_lake: Lake):
    """BUCKET and PREFIX stand for LOCATION; keys with wildcards, quotes and blanks are read exactly."""
    names = ["a*b.csv", "a?b.csv", "[x].csv", "it's {1,2}.csv", "ü ø.csv"]
    for at, name in enumerate(names):
        moto_lake.client.put_object(Bucket=moto_lake.bucket, Key=f"in/{name}", Body=f"n\n{at}\n".encode())
    run = moto_lake.session()
    run(f'CREATE JOB "my job" AS COPY FROM S3 lake BUCKET = \'{moto_lake.bucket}\' PREFIX = \'in/\' INTO "t""x"')
    assert rows_of(run, '"t""x"') == [(at,) for at in range(len(names))]


def test_a_job_is_a_usage_of_its_connection(moto_lake: Lake):
    """DROP names it, RENAME and OR REPLACE keep it working, CASCADE drops it, and its name is taken once."""
    moto_lake.put(a__csv="n\n1\n")
    run = moto_lake.session()
    run(_copy(moto_lake))
    assert "Cannot delete connection due to usages: j t" in run.fails("DROP CONNECTION lake").block()
    run.fails(_copy(moto_lake), JobExistsError)
    assert "no change" in str(run(_copy(moto_lake).replace("JOB j", "JOB IF NOT EXISTS J")))
    run("ALTER S3 CONNECTION lake RENAME TO pond")
    moto_lake.put(b__csv="n\n2\n")
    run("RUN JOB j")
    run(moto_lake.connect.replace("S3 CONNECTION lake", "S3 CONNECTION pond").replace("CREATE", "CREATE OR REPLACE"))
    moto_lake.put(c__csv="n\n3\n")
    run("RUN JOB J")
    assert rows_of(run) == [(1,), (2,), (3,)]
    assert str(run("DROP CONNECTION pond CASCADE")) == "The connection pond was dropped with job j, table t."
    assert run("SHOW JOBS").empty
    assert run("SHOW TABLES").empty


def test_credentials_that_are_gone_stop_the_run(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """What may not be read is said once for each object, with the action that is missing."""
    moto_lake.put(a__csv="n\n1\n", b__csv="n\n2\n")
    run = moto_lake.session()
    from s3conn_magic.objects.ranged import PinnedObject

    def denied(*_: Any, **__: Any) -> bytes:
        raise AccessDeniedError("s3:GetObject is denied", action="s3:GetObject", resource="x", hint="")

    with monkeypatch.context() as patched:
        patched.setattr(PinnedObject, "request", denied)
        assert "2 objects failed" in str(run(_copy(moto_lake)))
    assert run("SHOW JOB j ERRORS")["error"].tolist() == ["s3:GetObject is denied"] * 2
    assert "Loaded 2 objects" in str(run("RUN JOB j"))


def test_text_behind_what_is_learnt_at_first_is_loaded_together(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch):
    """However many small objects there are, each costs as much: few are loaded alone, by values that widen a column."""
    monkeypatch.setattr(loading, "_LEARNT", 100)
    monkeypatch.setattr(copying, "_MOST_TOGETHER", 10)
    alone = []
    load = loading.Loader.load
    monkeypatch.setattr(
        loading.Loader, "load", lambda self, each, **more: alone.append(each) or load(self, each, **more)
    )
    values = [1, 2, 3.5, 2**40] * 10
    moto_lake.put(**{f"{at:02}__json": f'{{"n": {at}, "v": {value}}}\n' for at, value in enumerate(values)})
    moto_lake.put(**{f"{at:02}__csv": f"n,v,w\n{at},{value},{at / 2}\n" for at, value in enumerate(values, 40)})
    run = moto_lake.session()
    assert "Loaded 80 objects (80 rows" in str(run(_copy(moto_lake)))
    assert rows_of(run, what="n, v::DOUBLE") == [(at, float(value)) for at, value in enumerate(values + values)]
    assert rows_of(run, what="sum(w)") == [(sum(at / 2 for at in range(40, 80)),)]
    assert len(alone) <= 20


@pytest.mark.parametrize(("at", "size"), [(1, 1), (3, 1), (1, 2), (2, 2)])
def test_an_interrupt_leaves_whole_objects_only(moto_lake: Lake, monkeypatch: pytest.MonkeyPatch, at: int, size: int):
    """Interrupted with the rows of objects in their transaction, a job has those of earlier ones; RUN JOB goes on."""
    monkeypatch.setattr(copying, "_MOST_TOGETHER", size)
    moto_lake.put(**{f"{name}__csv": "n\n" + "1\n" * 100 for name in "abcd"})
    run = moto_lake.session()
    name = "note" if size == 1 else "note_all"
    note, calls = getattr(Ledger, name), iter(range(1, 100))

    def noted(self: Ledger, *given: Any) -> None:
        note(self, *given)
        if next(calls) == at:
            os.kill(os.getpid(), signal.SIGINT)
            self._database.execute("SELECT count(*) FROM range(100000000000) a, range(10) b").fetchall()

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, name, noted)
        error = run.fails(_copy(moto_lake), StatementInterrupted)
    assert "RUN JOB j" in error.hint
    assert run("SHOW JOBS").loc[0, "state"] == "interrupted"
    there = ("t",) in rows_of(run, "duckdb_tables()", "table_name", "1")
    assert there == (at > 1)
    assert not there or rows_of(run, what="count(*)", order="1") == [((at - 1) * size * 100,)]
    assert f"Loaded {4 - (at - 1) * size} object" in str(run("RUN JOB j"))
    assert rows_of(run, what="count(*)", order="1") == [(400,)]


def test_a_killed_kernel_leaves_whole_objects_only(moto_lake: Lake, nursery: Nursery, tmp_path: Path):
    """Killed at ten points, the next kernel finds every object whole or not at all, and loads the rest exactly once."""
    moto_lake.put(**{f"{name}__csv": "n\n" + "1\n" * 100 for name in "abcdefgh"})
    file = tmp_path / "lake.duckdb"
    database = f"SET DATABASE = '{file}';"
    requests, objects = [("request", at) for at in (1, 2, 4)], [("object", at) for at in (1, 3, 2, 1, 2, 3)]
    counts: list[dict[int, int]] = []
    for point in (*objects[:3], *requests, *objects[3:], ("end", 0)):
        nursery.kill(database + moto_lake.connect, _copy(moto_lake), *point)
        counts.append(_counted(file))
    assert all(set(one) <= {100} for one in counts)
    loaded = [sum(one.values()) for one in counts]
    assert loaded[:3] == [0, 4, 6]
    assert loaded == sorted(loaded)
    assert loaded[-1] == 8
    run = moto_lake.session(database.rstrip(";"))
    assert "nothing new" in str(run(_copy(moto_lake)))
    assert rows_of(run, what="count(*)", order="1") == [(800,)]


def _counted(file: Path) -> dict[int, int]:
    """How many objects have so many rows, as another kernel finds them."""
    import duckdb

    with duckdb.connect(str(file)) as database:
        if not database.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 't'").fetchall():
            return {}
        counts = database.execute('SELECT count(*) FROM t GROUP BY "$object"').fetchall()
    return pd.Series([count for (count,) in counts]).value_counts().to_dict()


def test_a_table_with_a_trigger_takes_no_rows(moto_lake: Lake, tmp_path: Path):
    """A database file may define one, which could do anything; no object is read, and the table stays."""
    file = tmp_path / "kept.duckdb"
    with duckdb.connect(str(file)) as made:
        made.execute("CREATE TABLE t (n INT); CREATE TABLE seen (n INT)")
        made.execute("CREATE TRIGGER tr AFTER INSERT ON t FOR EACH STATEMENT INSERT INTO seen VALUES (1)")
    moto_lake.put(a__csv="n\n1\n")
    run = moto_lake.session()
    run(f"SET DATABASE = '{file}'")
    failure = run.fails(_copy(moto_lake), JobFailedError)
    assert "has a trigger" in failure.message
    assert [len(run(f"FROM {table}")) for table in ("t", "seen")] == [0, 0]


def test_transformations_read_no_file_of_this_machine(moto_lake: Lake, tmp_path: Path):
    """Where LOCAL_FILES does not allow it; the job is not made."""
    (tmp_path / "a.csv").write_text("m\n7\n")
    moto_lake.put(a__csv="n\n1\n")
    run = moto_lake.session()
    made = _copy(moto_lake, f"COLUMN_TRANSFORMATIONS = (m = (SELECT max(m) FROM '{tmp_path}/a.csv'))")
    run("SET LOCAL_FILES = FALSE")
    assert "LOCAL_FILES" in run.fails(made, QueryError).message
    run("SET LOCAL_FILES = TRUE")
    run(made)
    assert run("SELECT m FROM t")["m"].tolist() == [7]


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_a_bad_object_among_many_small_ones_is_set_apart(
    moto_lake: Lake, monkeypatch: pytest.MonkeyPatch, kind: str, in_memory: bool
):
    """Those beside it are loaded all the same, each with its location; the bad one is named, and none comes twice."""
    if not in_memory:
        monkeypatch.setattr("s3conn_magic.objects.filesystem.memory_free", lambda: 0)
    monkeypatch.setattr(copying, "_HALVED", 4)
    bodies = {}
    for number in range(20):
        sink = io.BytesIO()
        pq.write_table(pa.table({"n": [number, number]}), sink)
        body = sink.getvalue() if kind == "parquet" else f'{{"n": {number}}}\n{{"n": {number}}}\n'.encode()
        bodies[f"[{number:02}]*__{kind}"] = body
    bodies[f"[07]*__{kind}"] = bodies[f"[07]*__{kind}"][:-6]
    moto_lake.put(**bodies)
    run = moto_lake.session()
    assert "1 object failed" in str(run(_copy(moto_lake)))
    assert run("SHOW JOB j ERRORS")["location"].tolist() == [f"s3://{moto_lake.bucket}/in/[07]*.{kind}"]
    expected = [(f"s3://{moto_lake.bucket}/in/[{n:02}]*.{kind}", n) for n in range(20) for _ in "ab" if n != 7]
    assert rows_of(run, what='"$object", n') == expected
    assert "Nothing was loaded" in str(run("RUN JOB j"))
