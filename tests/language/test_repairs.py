"""What a wrong statement is answered with that is nearly one of ours: the statement that was meant, and it runs."""

from __future__ import annotations

import pytest
from offline import Inputs, offline_session

from s3conn_magic.errors import S3ConnError
from s3conn_magic.session import Session

JOB = "CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://acme/in/'"
MEANT = [
    # A word or a mark that is missing.
    ("CREATE JOB j AS COPY FROM S3 lake LOCATION 's3://acme/in/' INTO t", f"{JOB} INTO t"),
    ("CREATE JOB AS COPY FROM S3 lake LOCATION = 's3://acme/in/' INTO t", f"{JOB} INTO t".replace(" j ", " my_job ")),
    ("CREATE JOB j AS COPY FROM 's3://acme/in/' INTO t", f"{JOB} INTO t"),
    ("COMPARE 's3://acme/' 's3://other/'", "COMPARE 's3://acme/' WITH 's3://other/'"),
    ("SUMMARIZE 's3://acme/a.csv' SAMPLE 10", "SUMMARIZE 's3://acme/a.csv' SAMPLE 10 PERCENT"),
    ("TEST CONNECTION lake 's3://acme/'", "TEST CONNECTION lake LOCATION 's3://acme/'"),
    ("LIST 's3://acme/' lake", "LIST 's3://acme/' USING lake"),
    ("PREVIEW 's3://acme/a.csv' 10", "PREVIEW 's3://acme/a.csv' LIMIT 10"),
    ("EXPLORE ALL", "EXPLORE ALL CONNECTIONS"),
    ("SAVE CONNECTIONS my.usql", "SAVE CONNECTIONS TO 'my.usql'"),
    # One that is too many.
    ("CREATE JOB j AS COPY FROM S3 CONNECTION lake LOCATION = 's3://acme/in/' INTO TABLE t", f"{JOB} INTO t"),
    ("LIST LOCATION 's3://acme/'", "LIST 's3://acme/'"),
    ("SET GLOBAL LIMIT = 10", "SET LIMIT = 10"),
    ("LIST 's3://acme/' RECURSIVE RECURSIVE", "LIST 's3://acme/' RECURSIVE"),
    # One for another, or with another spelling.
    ("STOP SERVER", "STOP SANDBOX"),
    ("DIFF 's3://acme/' WITH 's3://b-1/'", "COMPARE 's3://acme/' WITH 's3://b-1/'"),
    ("COMPARE 's3://acme/' WITH 's3://other/' BY MD5", "COMPARE 's3://acme/' WITH 's3://other/' BY ETAG"),
    ("ANALYZE 's3://acme/' BY STORAGE CLASS", "ANALYZE 's3://acme/' BY STORAGE_CLASS"),
    ("SET RESULT = polars", "SET RESULT = 'polars'"),
    ("SET LIMIT = 1_000", "SET LIMIT = 1000"),
    ("LIST 's3://acme/' MATCHING *.csv", "LIST 's3://acme/' MATCHING '*.csv'"),
    ("DISCOVER acme-lake", "DISCOVER 's3://acme-lake/'"),
    ("LIST 's3://acme/' MATCHING ('*.csv', '*.json')", "LIST 's3://acme/' MATCHING '{*.csv,*.json}'"),
    # A value of another unit or kind.
    (f"{JOB} RUN_INTERVAL = 5m INTO t", f"{JOB} RUN_INTERVAL = 5 MINUTES INTO t"),
    (f"{JOB} CONTENT_TYPE = 'text/csv' INTO t", f"{JOB} CONTENT_TYPE = CSV INTO t"),
    (f"{JOB} DATE_PATTERN = '%Y/%m/%d' INTO t", f"{JOB} DATE_PATTERN = 'yyyy/MM/dd' INTO t"),
    (f"{JOB} START_FROM = 2026-01-02 INTO t", f"{JOB} START_FROM = '2026-01-02' INTO t"),
    (f"{JOB} DELIMITER = ';' INTO t", f"{JOB} CONTENT_TYPE = (TYPE = CSV DELIMITER = ';') INTO t"),
    (
        "CREATE TABLE t (n INT) TABLE_DATA_RETENTION = '30 days'",
        "CREATE TABLE t (n INT) TABLE_DATA_RETENTION = 30 DAYS",
    ),
    ("SET READ_TIMEOUT = 5 MINUTES", "SET READ_TIMEOUT = 300"),
    ("SET CACHE = 1GB", "SET CACHE = '1 GB'"),
    ("SET DEFAULT_STORAGE = 's3://acme/t/'", "SET DEFAULT_STORAGE = ('lake', 's3://acme/t/')"),
    # Words in another order, and several in one.
    ("CREATE JOB j AS COPY INTO t FROM S3 lake LOCATION = 's3://acme/in/'", f"{JOB} INTO t"),
    ("SAVE CONNECTIONS TO 'my.usql' OVERWRITE", "SAVE OR REPLACE CONNECTIONS TO 'my.usql'"),
    ("SET LIMIT = 10, PROGRESS = FALSE", "SET LIMIT = 10; SET PROGRESS = FALSE"),
    ("LIST 's3://acme/', 's3://other/'", "LIST 's3://acme/'; LIST 's3://other/'"),
    (
        "CREATE hourly JOB AS COPY FROM S3 lake LOCATION = 's3://acme/in/' INTO t",
        f"{JOB} INTO t".replace(" j ", " hourly "),
    ),
    # An option as a switch, or one that says no; a clause that takes no value.
    ("CREATE S3 CONNECTION x READONLY REGION = 'auto'", "CREATE S3 CONNECTION x READ_ONLY = TRUE REGION = 'auto'"),
    (
        "CREATE S3 CONNECTION x AWS_PROFILE = 'a' NO VALIDATE",
        "CREATE S3 CONNECTION x AWS_PROFILE = 'a' VALIDATE = FALSE",
    ),
    ("LIST 's3://acme/' RECURSIVE = TRUE", "LIST 's3://acme/' RECURSIVE"),
    ("SET PROGRES = off", "SET PROGRESS = FALSE"),
    ("SHOW JOB", "SHOW JOBS"),
    # A text that is two, or goes on too far.
    ("LIST 's3://acme/' + 'logs/'", "LIST 's3://acme/logs/'"),
    ("LIST 's3://acme/ RECURSIVE", "LIST 's3://acme/' RECURSIVE"),
    ("LIST 's3://acme/' MATCHING '*.csv', '*.json'", "LIST 's3://acme/' MATCHING '{*.csv,*.json}'"),
    # What a query says, as far as its words go.
    ("SELECT FROM range(3)", "SELECT * FROM range(3)"),
    ("SELECT count(* FROM range(3)", "SELECT count(*) FROM range(3)"),
    ("SELECT * FROM range(3) LIMIT 1 ORDER BY 1", "SELECT * FROM range(3) ORDER BY 1 LIMIT 1"),
    ("SELECT * FROM range(3) SORT BY 1", "SELECT * FROM range(3) ORDER BY 1"),
    ("SELECT * FROM {orders} LIMIT 1", "SELECT * FROM orders LIMIT 1"),
    ("SELECT 1 AS n FRMO range(3)", "SELECT 1 AS n FROM range(3)"),
    ("SELECT 1 AS n LIMIT 5, 10", "SELECT 1 AS n LIMIT 10 OFFSET 5"),
    ("SELECT 'don't'", "SELECT 'don''t'"),
]
LEFT_OUT = [
    ("LIST 's3://acme/' DEPTH 2", "`DEPTH 2`"),
    ("LIST 's3://acme/' SINCE '2026-01-01'", "`SINCE '2026-01-01'`"),
    ("DISCOVER 's3://acme/' SAMPLE 10 PERCENT", "`PERCENT`"),
]
SECRETS = ("hunter2supersecretvalue", "correcthorsebatterystaple", "'hunter2supersecretvalue'", "P@ss-word-hunter2x")


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("A_SECRET", "a")
    monkeypatch.setenv("A_KEY_ID", "b")


def _hint(cell: str) -> str:
    with pytest.raises(S3ConnError) as failed:
        list(offline_session("lake").run(cell))
    return failed.value.hint


@pytest.mark.parametrize(("written", "meant"), MEANT, ids=lambda text: text)
def test_a_statement_that_is_nearly_ours_is_answered_with_the_one_that_was_meant(written: str, meant: str):
    """It is written down whole, and it could be run."""
    assert _hint(written) == f"Here: {meant};"
    assert offline_session("lake").steps(meant)


@pytest.mark.parametrize(("written", "left_out"), LEFT_OUT, ids=lambda text: text)
def test_what_a_hint_leaves_out_is_said(written: str, left_out: str):
    """No part of a statement is dropped in silence."""
    assert _hint(written).startswith(f"{left_out} is left out. Here: ")


@pytest.mark.parametrize(
    "cell",
    [
        "USE CONNECTION",
        "COMPARE 's3://acme/'",
        f"{JOB} RUN_INTERVAL = 5 INTO t",
        f"{JOB} START_FROM = 'yesterday' INTO t",
        "SET ENGINE = 'duckdb'",
        "SHOW GRANTS",
    ],
)
def test_what_only_the_person_can_decide_is_not_guessed(cell: str):
    """No name, unit or time is made up, and no option with a wrong value is left out."""
    assert "Here: " not in _hint(cell)


@pytest.mark.parametrize("name", ["secret", "pass", "private_key", "sas_token", "credential"])
@pytest.mark.parametrize(
    "form",
    [
        *("SAVE CONNECTIONS {name} {value}", "HELP {name} {value}", "export {name}={value}", "GRANT {name} {value}"),
        *("CREATE S3 CONNECTION x {name} {value}", "ALTER S3 CONNECTION lake SET {name} {value}"),
        *("mc alias set x http://h {value} {value}", "SELECT * FROM s3('s3://b/k', {value}, {value})"),
        *("CREATE FOO x {name} {value}", "COPY t FROM 's3://b/k' {name} {value}", "LIST 's3://b/' {name} {value}"),
        *("RUN JOB {name} {value}", "SET {name} {value}", "TEST CONNECTION lake {name} {value}"),
        *("mc config host add x https://h:9000 {value} {value} --api s3v4", "SET LIMIT = 5 {name} {value}"),
    ],
)
def test_no_secret_is_in_what_is_meant(form: str, name: str):
    """Whatever it reads like: where it stands says that it is one."""
    for value in SECRETS:
        try:
            said = str([*offline_session("lake").run(form.format(name=name, value=value))])
        except S3ConnError as error:
            said = error.block()
        assert value.strip("'") not in said


def test_nobody_is_asked_for_what_is_tried():
    """A hint with PROMPT is not run to see whether it is right."""

    class Refusing(Inputs):
        def prompt(self, text: str) -> str:
            raise AssertionError(text)

    session = Session(Refusing({}), start_server=lambda: None, note=lambda _: None)
    for cell in ("CREATE SECRET s (TYPE s3, KEY_ID 'x', SECRET 'y')", "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY"):
        with pytest.raises(S3ConnError):
            session.steps(cell)


@pytest.mark.parametrize(
    ("cell", "message", "hint"),
    [
        ("CREATE S3 CONNECTION x REGION = 'US-EAST-1'", "lower case", "'us-east-1'"),
        (
            "CREATE S3 CONNECTION x ENDPOINT = 'https://acme.s3.amazonaws.com'",
            "in the host",
            "'https://s3.amazonaws.com'",
        ),
        (f"{JOB} DATE_PATTERN = 'yyyy/mm/dd' INTO t", "mm is the minute", "'yyyy/MM/dd'"),
        ("SET DEFAULT_STORAGE = ('lake', 's3://acme/*')", "no pattern", ""),
        ("CREATE S3 CONNECTION x REGION = 'eu-central1'", "hyphens", "'eu-central-1'"),
        (
            "CREATE S3 CONNECTION x REGION = 'us-east-1' ENDPOINT = 'https://s3.eu-west-1.amazonaws.com'",
            "REGION is us-east-1, and ENDPOINT is of eu-west-1",
            "'eu-west-1'",
        ),
        (
            "CREATE S3 CONNECTION x AWS_ACCESS_KEY_ID = ENV 'A_SECRET' AWS_SECRET_ACCESS_KEY = ENV 'A_KEY_ID'",
            "swapped",
            "other's value",
        ),
        ("CREATE S3 CONNECTION x SKIP_VALIDATION = TRUE", "unknown option", "VALIDATE = FALSE"),
        ("CREATE S3 CONNECTION x --read-only", "flags are comments", "READ_ONLY = TRUE"),
        ("COMPARE 's3://acme/' AS OF '2999-01-01' WITH 's3://acme/'", "has passed", ""),
    ],
)
def test_what_would_mean_something_else_is_refused(cell: str, message: str, hint: str):
    """A value that is taken for another one, or for none, is told with the one that was meant."""
    with pytest.raises(S3ConnError, match=message) as failed:
        list(offline_session("lake").run(cell))
    assert hint in failed.value.hint
