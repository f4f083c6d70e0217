"""A pattern of another kind, by which nothing is found: what it is taken for, and the one that was meant."""

from __future__ import annotations

import re

import pytest
from statements import Statements

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.words import Kind, pattern_as, pattern_meant

MEANT = {
    ("glob", r".*\.csv$"): "**/*.csv",
    ("glob", r"^orders/.*[.]csv"): "orders/*.csv",
    ("glob", r"part-\d+\.parquet"): "part-*.parquet",
    ("glob", "%.csv"): "*.csv",
    ("glob", r"(a|b)\.csv"): None,
    ("glob", "*.csv"): "",
    ("glob", "**/year=*/?.csv"): "",
    ("glob", "plain.csv"): "**/*plain.csv*",
    ("glob", "s3://acme/orders/*.csv"): "orders/*.csv",
    ("glob", "/orders/*.csv"): "orders/*.csv",
    ("glob", "orders/"): "orders/**",
    ("glob", "*.csv|*.json"): "{*.csv,*.json}",
    ("glob", "*.csv,*.json"): "{*.csv,*.json}",
    ("glob", "{*.csv,*.json}"): "",
    ("like", "s3://acme/"): "acme",
    ("like", ""): None,
    ("like", "acme*"): "acme%",
    ("like", "acme-?"): "acme-_",
    ("like", "^acme.*$"): "acme%",
    ("like", "acme%"): "",
    ("like", "acme"): "%acme%",
    ("like", "a_b"): "",
    ("regular", "*.csv"): r".*\.csv",
    ("regular", "orders/*.csv"): r"orders/.*\.csv",
    ("regular", "%.csv"): r".*\.csv",
    ("regular", r".*\.csv"): "",
    ("regular", r"a*b[0-9]*"): None,
}
"""What is written for a pattern; None where it is only told what it looks like, empty for one of the right kind."""


@pytest.mark.parametrize(("taken", "pattern"), MEANT)
def test_a_pattern_of_another_kind_is_told_with_the_right_one(taken: Kind, pattern: str):
    """It is named for what it looks like, and the one that is written matches the same names."""
    said, meant = pattern_meant("MATCHING", taken, pattern), MEANT[taken, pattern]
    assert bool(said) == (meant != "")
    assert (f"MATCHING '{meant}'." in said) == bool(meant)


@pytest.mark.parametrize("name", ["orders.csv", "a.b*c", "x_y%z", "[1].csv"])
def test_what_is_no_wildcard_stays_what_it_is(name: str):
    """A name as a regular expression matches itself, and comes back from it."""
    assert re.fullmatch(pattern_as("regular", name.replace("*", ""), "like").replace(".*", "%"), name.replace("*", ""))
    assert pattern_as("glob", "a/b.csv", "like") == "a/b.csv"


@pytest.fixture(scope="module")
def run(sandbox) -> Statements:
    """A session with the sandbox."""
    run = Statements(secret=sandbox.admin.secret_access_key)
    run(
        f"CREATE S3 CONNECTION lake AWS_ACCESS_KEY_ID = '{sandbox.admin.access_key_id}' AWS_SECRET_ACCESS_KEY = $secret"
        f" ENDPOINT = '{sandbox.endpoint}'"
    )
    return run


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (r"LIST 's3://acme-lake/' MATCHING '.*\.csv$'", 1),
        ("LIST 's3://acme-lake/' RECURSIVE MATCHING '%.csv'", 0),
        ("SHOW BUCKETS LIKE 'acme*'", 1),
        ("SHOW CONNECTIONS LIKE '^l.*'", 1),
        ("SHOW TABLES LIKE 'x*'", 0),
        ("SHOW JOBS LIKE 'x*'", 0),
    ],
)
def test_the_note_is_a_clause_that_works(run, statement, found):
    """A statement that finds nothing says so, and with what the note writes it finds what there is."""
    run.notes.clear()
    assert not len(run(statement))
    clause = re.search(r"write ((?:RECURSIVE )?(?:MATCHING|LIKE) '.*')\.$", run.notes[-1])
    assert clause
    frame = run(re.sub(r"(?:RECURSIVE )?(?:MATCHING|LIKE) '.*'", lambda _: clause[1], statement))
    assert len(frame) >= found


@pytest.mark.parametrize("recursive", ["", "RECURSIVE "])
def test_a_glob_of_one_level_says_how_it_looks_below(run, recursive):
    """Where nothing on the level matches, the note has the clause that finds the objects in folders below it."""
    run.notes.clear()
    assert not len(run(f"LIST 's3://acme-lake/' {recursive}MATCHING '*.csv'"))
    clause = re.search(r": ((?:RECURSIVE )?MATCHING '.*') looks below\.$", run.notes[-1])
    assert clause
    assert len(run(f"LIST 's3://acme-lake/' {recursive if 'RECURSIVE' not in clause[1] else ''}{clause[1]}"))
    run.notes.clear()
    assert not len(run("LIST 's3://acme-lake/' RECURSIVE MATCHING '**/*.nothing'"))
    assert not run.notes


def test_a_job_says_what_its_pattern_is_taken_for(run):
    """A glob that is no regular expression is refused with the right one; so is one that finds nothing."""
    place = "LOCATION = 's3://acme-lake/sales/' FILE_PATTERN = '{}'"
    job = f"CREATE JOB j CONTENT_TYPE = CSV AS COPY FROM S3 lake {place} INTO t"
    for written in ("*.csv", "orde*.csv"):
        failed = run.fails(job.format(written), S3ConnError)
        meant = re.search(r"write FILE_PATTERN = '(.*)'\.$", failed.hint)
        assert meant, failed.block()
        run(job.format(meant[1]).replace("JOB j", f"JOB j{len(written)}"))


@pytest.mark.parametrize(
    "written", ["acme-lake//sales/", "acme-lake/Sales/", "acme-lake/acme-lake/sales/", "acme-lake/sale/"]
)
def test_a_location_where_nothing_is_is_told_with_the_one_that_is_near(run, written):
    """A doubled slash, other capitals, the bucket once more, and a typo."""
    run.notes.clear()
    assert not len(run(f"LIST 's3://{written}'"))
    assert run.notes[-1].endswith("did you mean 's3://acme-lake/sales/'?")


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT * FROM 's3://lake@acme-lake/sales'", "Write 's3://lake@acme-lake/sales/*' instead."),
        ("SELECT * FROM 's3://lake@acme-lak/x.csv'", "Did you mean 's3://lake@acme-lake/x.csv'?"),
        ("SELECT * FROM 's3://lak@acme-lake/x.csv'", "Write 's3://lake@acme-lake/x.csv' instead."),
        ("SELECT * FROM 's3://acme-lake@lake/x.csv'", "Write 's3://lake@acme-lake/x.csv' instead."),
        (
            "SELECT * FROM 's3://lake/acme-lake/x.csv'",
            "Write 's3://lake@acme-lake/x.csv' instead: lake is a connection.",
        ),
        ("SELECT name FROM objects('s3://lake@acme-lake/')", "Did you mean key?"),
        ("SELECT vlue FROM (SELECT 1 AS value)", "Did you mean value?"),
        ("SELECT * FROM (SELECT 'a' AS kind) WHERE kind = b", "Write 'b' instead, if it is a text."),
        ("SELECT key, count(*) FROM objects('s3://lake@acme-lake/')", "Add GROUP BY ALL."),
        ("SELECT * FROM system.connection", "Did you mean system.information_schema.connections?"),
        (
            "SELECT * FROM objects('s3://lake@acme-lake/') WHERE last_modified > 2024-01-01",
            "Write '2024-01-01' instead.",
        ),
    ],
)
def test_a_query_about_what_is_not_there_is_told_with_what_was_meant(run, query, hint):
    """Its path, connection, bucket, column or table, with the place of it."""
    failed = run.fails(query, S3ConnError)
    assert failed.hint == hint
    assert failed.place.column > 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("key LIKE '/sales/%'", "LIKE 'sales/%'"),
        ("key LIKE 's3://acme-lake/sales/%'", "LIKE 'sales/%'"),
        ("key LIKE '*.nothing'", "LIKE '%.nothing'"),
        ("etag = NULL", "IS NULL"),
    ],
)
def test_a_query_that_can_find_no_key_says_why(run, query, said):
    """A pattern of another kind, a key with its bucket, and a comparison that is never true."""
    run.notes.clear()
    assert not len(run(f"SELECT key FROM objects('s3://lake@acme-lake/') WHERE {query}"))
    assert said in run.notes[-1]
