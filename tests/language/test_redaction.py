"""Statements as a history keeps them: without what may be a secret."""

from __future__ import annotations

import pytest
from catalogs import plans_of
from corpora import KEY, SECRET, leaked, read

from s3conn_magic.errors import BindError
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.redaction import redacted, redactions
from s3conn_magic.language.reference import JOB_STATEMENTS, STATEMENTS
from s3conn_magic.language.source import Source

# What is written as a name or a pattern stays.
NAMED = {"a secret as a prompt", "a secret in KEYRING", "a secret as a glob"}
PLANTED = [
    case for folder in ("malformed", "valid") for case in read(folder) if case.planted and case.title not in NAMED
]
HARMLESS = [
    "CREATE OR REPLACE S3 CONNECTION lake AWS_ACCESS_KEY_ID = 'AKIAIOSFODNN7EXAMPLE'",
    "ALTER S3 CONNECTION \"our lake\" SET COMMENT = 'it''s ours', REGION='eu-west-1' ENDPOINT = 'http://127.0.0.1:9000'",
    "CREATE S3 CONNECTION a PATH_DISPLAY_FILTERS = ('s3://bucket1/', 's3://bucket2/folder/') READ_ONLY = TRUE",
    "CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = ENV 'MY_SECRET' AWS_SESSION_TOKEN = PROMPT 'the session token'",
    "ALTER S3 CONNECTION a SET ENCRYPTION_CUSTOMER_MANAGED_KEY = KEYRING 's3' 'customer-key' -- from the keyring",
    "CREATE S3 CONNECTION a AWS_SECRET_ACCESS_KEY = $a_long_name_of_a_variable AWS_PROFILE = 'analytics'",
    "ALTER S3 CONNECTION a UNSET AWS_SESSION_TOKEN, COMMENT; HELP AWS_SECRET_ACCESS_KEY",
    "LIST 's3://bucket/a long/prefix' USING connection_with_a_name MATCHING '**/*.parquet' LIMIT 1000000000",
    "TEST CONNECTION a LOCATION = 's3://bucket/x'; SHOW BUCKETS LIKE 'a%'; SET LIMIT = 500000; SET EXPLORER_UI='basic'",
    "CREATE MATERIALIZED VIEW v AS SELECT * FROM t WHERE kind = 'new'; SUMMARIZE SELECT 'a' AS x; DROP JOB \"j\"",
    "CREATE SYNC JOB j RUN_INTERVAL = 5 MINUTES AS INSERT INTO t MAP_COLUMNS_BY_NAME SELECT 'a' AS x FROM u",
    "a_long_variable << SHOW CONNECTIONS /* all of\nthem */",
    "",
]


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.id)
def test_no_piece_of_a_planted_secret_is_kept(case):
    """Whatever is wrong with a cell, eight characters of a secret in it are nowhere in what is kept."""
    assert not leaked(redacted(case.cell))
    assert redacted(case.cell).count("\n") == case.cell.count("\n")


@pytest.mark.parametrize("text", [*HARMLESS, *(one.example for one in (*STATEMENTS, *JOB_STATEMENTS))])
def test_what_is_no_secret_is_kept(text):
    """Names, sources of secrets, locations, patterns and the values of other options stay as they were typed."""
    assert redacted(text) == text
    assert not any(change.noted for change in redactions(text))


# Masked whole where a word touches a quote; a name of more than 64 letters may be anything.
VALID = [one for one in read("valid") if Source(one.cell).readable and one.title != "very long"]


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_a_valid_cell_stays_valid(case):
    """What is kept of statements that parse are statements that parse, as many and of the same kinds."""
    kinds = [[type(one) for one in parse(Source(text))] for text in (case.cell, redacted(case.cell))]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (f"AWS_SECRET_ACCESS_KEY = '{SECRET}'", "AWS_SECRET_ACCESS_KEY = '<REDACTED>'"),
        (f"aws_secret_access_key='{SECRET}'READ_ONLY = TRUE", "<REDACTED>"),
        ("AWS_SESSION_TOKEN = 'it''s\ntwo lines'", "AWS_SESSION_TOKEN = '<REDACTED>\n'"),
        (f"AWS_SECRET_KEY = '{SECRET}'", "AWS_SECRET_KEY = '<REDACTED>'"),
        (f"PIN = 12345678 KEYS = ('{SECRET}', '{KEY}')", "PIN = '<REDACTED>' KEYS = ('<REDACTED>', '<REDACTED>')"),
        (f"COMMENT = 'a' '{SECRET}'", "COMMENT = 'a' '<REDACTED>'"),
        ("ENDPOINT = 'http://me:pass@host'", "ENDPOINT = '<REDACTED>'"),
        (f"AWS_SECRET_ACCESS_KEY = ENV '{SECRET}'", "AWS_SECRET_ACCESS_KEY = ENV '<REDACTED>'"),
        (f'AWS_SECRET_ACCESS_KEY = "{SECRET}"', 'AWS_SECRET_ACCESS_KEY = "<REDACTED>"'),
        (f"ENCRYPTION_CUSTOMER_MANAGED_KEY = {KEY}", "ENCRYPTION_CUSTOMER_MANAGED_KEY = '<REDACTED>'"),
        (f"AWS_SECRET_ACCESS_KEY {SECRET} COMMENT = 'x'", "AWS_SECRET_ACCESS_KEY '<REDACTED>' COMMENT = 'x'"),
        (f"-- AWS_SECRET_ACCESS_KEY = '{SECRET}'\nREGION = 'a'", "-- <REDACTED>\nREGION = 'a'"),
        (f"/* {SECRET}\n */ REGION = 'a'", "/* <REDACTED>\n */ REGION = 'a'"),
        (f"REGION = 'a' AWS_SECRET_ACCESS_KEY = '{SECRET}", "<REDACTED>"),
    ],
)
def test_a_secret_is_masked_in_its_place(written, kept):
    """What may be a secret becomes the mask, and the rest stays; where quotes are out of step nothing does."""
    head = "" if kept == "<REDACTED>" else "CREATE S3 CONNECTION x "
    assert redacted(f"CREATE S3 CONNECTION x {written}") == head + kept


@pytest.mark.parametrize(
    ("written", "holds"),
    [
        (f"AWS_SECRET_ACCESS_KEY = '{SECRET}'", True),
        (f"aws_session_token '{SECRET}'", True),
        (f'ENCRYPTION_CUSTOMER_MANAGED_KEY = "{KEY}"', True),
        (f"NOPE = 'x' AWS_SESSION_TOKEN = '{SECRET}' ?!", True),
        (f"AWS_SECRET_ACCESS_KEY = '{SECRET}", True),
        (f"AWS_SECRET_ACCESS_KEY = '{SECRET}'READ_ONLY = TRUE", True),
        ("AWS_SECRET_ACCESS_KEY = ''", False),
        ("AWS_SECRET_ACCESS_KEY = '<REDACTED>'", False),
        ("AWS_SECRET_ACCESS_KEY = PROMPTT", False),
        ("AWS_SECRET_ACCESS_KEY = ENV 'KEY' COMMENT = 'it''s ours'", False),
        (f"AWS_SECRET_KEY = '{SECRET}'", False),
        ("REGIN = 'eu-west-1'", False),
        ("ENDPOINT = 'http://me:pass@host'", False),
        ("LIST 's3://bucket/prefix/of/some/length", False),
        (f"-- AWS_SECRET_ACCESS_KEY = '{SECRET}'", False),
    ],
)
def test_a_secret_that_is_typed_is_a_literal_of_a_secret_option(written, holds):
    """Only a literal of an option that holds a secret counts as one that was typed, whether the statement is right."""
    assert any(change.noted for change in redactions(f"CREATE S3 CONNECTION x {written}")) is holds


def test_the_mask_is_no_secret():
    """A masked statement parses, and binding it says that the secret was not kept."""
    text = f"CREATE S3 CONNECTION x AWS_ACCESS_KEY_ID = 'A' AWS_SECRET_ACCESS_KEY = '{SECRET}'"
    assert parse(Source(redacted(text)))
    with pytest.raises(BindError, match="placeholder for a secret that was not stored"):
        plans_of(redacted(text))
    with pytest.raises(BindError, match="placeholder for a secret that was not stored"):
        plans_of("CREATE S3 CONNECTION x ENCRYPTION_CUSTOMER_MANAGED_KEY = '<REDACTED>'")
