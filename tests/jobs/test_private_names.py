"""Names that begin with `_` or `.`: work in progress, markers and checksums, which wildcards do not mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from lakes import rows_of

from s3conn_magic.errors import JobFailedError, ObjectNotFoundError
from s3conn_magic.objects.listed import private_keys
from s3conn_magic.runtime.patterns import Glob, RegularExpression, strings

if TYPE_CHECKING:
    from lakes import Lake

# Keys below a location, of which private ones end with ` *`.
KEYS = (
    "a.csv",
    "x/b_c.csv",
    "x/d.e_.csv",
    "_date=2024/a.csv",
    "x/_date=2024/_n=1/a.csv",
    "__HIVE_DEFAULT_PARTITION__=1/a.csv",
    "_SUCCESS *",
    "x/_SUCCESS *",
    "_temporary/0/a.csv *",
    "x/_committed_1 *",
    "x/.a.csv.crc *",
    ".hidden/a.csv *",
    ".hidden=1/a.csv *",
    "x/.. *",
    "_ *",
    "_a=b.csv *",
    "_date=1/_temporary/a.csv *",
    "_new\nline/a *",
)


@pytest.mark.parametrize("key", KEYS)
def test_a_private_name_is_told_by_the_beginning_of_a_segment(key: str):
    """Of the key below the location, also where the location itself is written with one; `_name=value/` is data."""
    below = key.removesuffix(" *")
    for location in ("", "in/", "_in/", ".in/x/"):
        assert private_keys([location + below], len(location)) == [key.endswith(" *")]


def test_what_the_location_begins_is_no_beginning():
    """A location that ends within a name has written its first character."""
    assert private_keys(["in/x_a", "in/x/_a", "in/_a", "in/__a"], len("in/x")) == [False, True, False, False]
    assert private_keys(["in/_a", "in/__a", "in/_/_a"], len("in/_")) == [False, False, True]


# A pattern → what it takes of the keys that it matches; the others are private.
GLOBS = {
    "*": [],
    "**": ["a/c.csv"],
    "*.csv": [],
    "_*": ["_a", "_c.csv"],
    ".*": [".b"],
    "[_.]*": ["_a", ".b", "_c.csv"],
    "[!a-z]*": [],
    "?a": [],
    "{_a,.b}": ["_a", ".b"],
    "{_t,*}/*.csv": ["a/c.csv", "_t/d.csv"],
    "{*,a/_f}/*.csv": ["a/c.csv", "a/_f/g.csv"],
    "{_t,*}/{_e.csv,*}": ["a/c.csv", "_t/d.csv", "_t/_e.csv"],
    "_t/**": ["_t/d.csv"],
    "_t/_*": ["_t/_e.csv"],
    "*/*.csv": ["a/c.csv"],
    "a/**/*.csv": ["a/c.csv"],
    "**/_*/*.csv": ["_t/d.csv", "a/_f/g.csv"],
    "**/_*/**.csv": ["_t/d.csv", "a/_f/g.csv"],
    "**/_*/_*.csv": ["_t/_e.csv"],
}
EXPRESSIONS = {
    r".*": ["a/c.csv"],
    r".*\.csv": ["a/c.csv"],
    r"_.*": ["_a", "_c.csv", "_t/d.csv"],
    r"[_.]\w+": ["_a", ".b"],
    r"\W?\w+": [],
    r"_?a|a/c.csv": ["_a", "a/c.csv"],
    r"(_a|.*\.csv)": ["_a", "a/c.csv"],
    r"(.*/)?_t/.*": ["_t/d.csv"],
    r"(.*/)?_t/_.*": ["_t/_e.csv"],
    r"(?i)_T/.*": ["_t/d.csv"],
    r"(_t/.*|.*\.csv)": ["a/c.csv", "_t/d.csv"],
    r".*\.csv|(.*/)?\_t/.*": ["a/c.csv", "_t/d.csv"],
    r".*(_|\.).*": ["_a", ".b", "a/c.csv"],
}
_BELOW = ["_a", ".b", "_c.csv", "a/c.csv", "_t/d.csv", "_t/_e.csv", "a/_f/g.csv"]


@pytest.mark.parametrize("pattern", GLOBS)
def test_a_wildcard_stands_for_no_private_name(pattern: str):
    """Unless the pattern has the character in its place; each segment has to be named."""
    glob = Glob.compile(pattern)
    assert _taken(glob.wants, pattern) == GLOBS[pattern]


@pytest.mark.parametrize("pattern", EXPRESSIONS)
def test_an_expression_takes_the_private_names_that_it_names(pattern: str):
    """What it would match with another character in that place, it does not name."""
    expression = RegularExpression.parse(pattern)
    assert _taken(lambda names: expression.whole(strings(names)).to_pylist(), pattern) == EXPRESSIONS[pattern]


def _taken(wants, pattern):
    matching = [name for name, wanted in zip(_BELOW, wants(_BELOW), strict=True) if wanted]
    hidden = private_keys([f"in/{name}" for name in matching], 3, wants, pattern)
    return [name for name, out in zip(matching, hidden, strict=True) if not out]


def _fill(lake: Lake) -> None:
    for name in ("a.csv", "x/_SUCCESS", "_temporary/0/b.csv", "_date=2024/c.csv", ".d.csv.crc", "_n=1/.e.csv"):
        lake.client.put_object(
            Bucket=lake.bucket, Key=f"in/{name}", Body=b"" if "_S" in name else f"n\n{name}\n".encode()
        )


def _copy(lake: Lake, options: str = "", where: str = "in/") -> str:
    return (
        f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{lake.bucket}/{where}' CONTENT_TYPE = CSV {options} INTO t"
    )


def test_a_copy_leaves_them_out_and_says_so(lake: Lake):
    """Nothing of them is loaded, none is deleted, and a later run says the same."""
    _fill(lake)
    run = lake.session()
    said = str(run(_copy(lake, "DELETE_FILES_AFTER_LOAD = TRUE")))
    assert "Loaded 2 objects (2 rows" in said
    assert f"4 objects whose names or folders begin with _ or . were left out, such as s3://{lake.bucket}/in/.d" in said
    assert rows_of(run, what="n") == [("_date=2024/c.csv",), ("a.csv",)]
    assert lake.keys_below("in/") == ["in/.d.csv.crc", "in/_n=1/.e.csv", "in/_temporary/0/b.csv", "in/x/_SUCCESS"]
    assert "4 objects whose names" in str(run("RUN JOB j"))
    assert len(lake.keys_below("in/")) == 4


# Options, location → what is loaded, and how many are left out.
TAKEN = {
    "a pattern": ("FILE_PATTERN = '(.*/)?_temporary/.*'", "in/", ["_temporary/0/b.csv"], 0),
    "a pattern for some of them": (
        r"FILE_PATTERN = '(_temporary/.*|.*\.csv)'",
        "in/",
        ["_date=2024/c.csv", "_temporary/0/b.csv", "a.csv"],
        1,
    ),
    "a suffix for all": ("FILE_SUFFIX = '.csv'", "in/", ["_date=2024/c.csv", "a.csv"], 2),
    "a suffix that is the name": ("FILE_SUFFIX = '/.e.csv'", "in/", ["_n=1/.e.csv"], 0),
    "the location": ("", "in/_temporary/", ["_temporary/0/b.csv"], 0),
    "the beginning of the location": ("", "in/_t", ["_temporary/0/b.csv"], 0),
    "the first load": (
        "FILE_PATTERN = 'a.csv' INITIAL_LOAD_PATTERN = '_temporary/.*'",
        "in/",
        ["_temporary/0/b.csv", "a.csv"],
        0,
    ),
    "both, of which one names it": (
        r"FILE_PATTERN = '.*\.csv' INITIAL_LOAD_PATTERN = '_temporary/.*'",
        "in/",
        ["_date=2024/c.csv", "_temporary/0/b.csv", "a.csv"],
        1,
    ),
}


@pytest.mark.parametrize("case", TAKEN)
def test_a_copy_takes_those_that_its_options_name(moto_lake: Lake, case: str):
    """A pattern, a suffix, a location: each for the names that it is written with."""
    options, where, loaded, left = TAKEN[case]
    _fill(moto_lake)
    run = moto_lake.session()
    said = str(run(_copy(moto_lake, options, where)))
    assert [name for (name,) in rows_of(run, what="n")] == loaded
    assert ("left out" in said, len(re.findall(rf"\n{left} objects? whose", said))) == (left > 0, left > 0)


def test_nothing_but_private_objects_is_nothing_to_load(moto_lake: Lake):
    """The error says what was left out, and how it is loaded."""
    moto_lake.put(_SUCCESS="")
    failure = moto_lake.session().fails(_copy(moto_lake), JobFailedError)
    assert failure.notes[0].startswith(
        f"1 object whose name or folder begins with _ or . was left out, s3://{moto_lake.bucket}/in/_SUCCESS; "
    )


def test_wildcards_of_a_query_match_none_and_say_so(lake: Lake):
    """In SELECT, CREATE TABLE … AS, a table over files and EXPLAIN ANALYZE; a pattern that names them reads them."""
    _fill(lake)
    run = lake.session()
    place = f"s3://{lake.bucket}/in"
    one = "1 object whose name or folder begins with _ or . was left out, "
    two = "2 objects whose names or folders begin with _ or . were left out, such as "
    assert run(f"SELECT n FROM '{place}/**/*.csv' ORDER BY n")["n"].tolist() == ["_date=2024/c.csv", "a.csv"]
    assert sum(note.startswith(two) for note in run.notes) == 1
    assert run(f"SELECT n FROM read_csv(['{place}/_t*/*/*.csv', '{place}/a.csv']) ORDER BY n")["n"].tolist() == [
        "_temporary/0/b.csv",
        "a.csv",
    ]
    assert sum("were left out" in note for note in run.notes) == 1
    assert two in str(run(f"CREATE TABLE a AS SELECT * FROM '{place}/**/*.csv'"))
    assert two in str(run(f"CREATE TABLE b LOCATION = '{place}/'"))
    assert "another ending" not in str(run(f"CREATE TABLE c LOCATION = '{place}/'"))
    assert two in str(run(f"EXPLAIN ANALYZE SELECT n FROM '{place}/**/*.csv'"))
    assert one in str(run(f"CREATE TABLE d AS SELECT n FROM '{place}/*/*.csv'"))
    failure = run.fails(f"SELECT * FROM '{place}/.*/*.csv' UNION FROM '{place}/*/0/*.csv'", ObjectNotFoundError)
    assert "no object matches" in failure.message


def test_what_lists_shows_them(moto_lake: Lake):
    """LIST, and a filesystem that is handed on, show what is there."""
    _fill(moto_lake)
    run = moto_lake.session()
    assert len(run(f"LIST 's3://{moto_lake.bucket}/in/' RECURSIVE")) == 6
    assert len(run.connection("lake").fsspec().glob(f"{moto_lake.bucket}/in/**/*.csv")) == 4
