"""What is accepted and can hardly be meant is said, with what to write; what is never right is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from catalogs import having
from cautioned import cautions
from corpora import KEY, SECRET, leaked, read
from offline import Inputs

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.binder import bind
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.options import OPTIONS
from s3conn_magic.language.source import Source
from s3conn_magic.language.words import query_note

CONNECTION = "CREATE S3 CONNECTION probe "
COPY = "CREATE JOB j {} AS COPY FROM S3 lake LOCATION = 's3://acme-lake/orders/' INTO t"
INSERT = "CREATE JOB j {} AS INSERT INTO S3 lake LOCATION = '{}' SELECT * FROM people"
STORED = "CREATE TABLE t (id INT) STORAGE_CONNECTION = lake STORAGE_LOCATION = '{}' {}"
PAIR = f"AWS_ACCESS_KEY_ID = '{{}}' AWS_SECRET_ACCESS_KEY = '{SECRET}' "
ROLE = "AWS_ROLE = 'arn:{}:iam::123456789012:role/reader' "

SAID = {
    CONNECTION + "REGION = 'Frankfurt'": "write REGION = 'eu-central-1'",
    CONNECTION + "REGION = 'eu-west-11'": "write REGION = 'eu-west-1', REGION = 'eu-west-2' or REGION = 'eu-west-3'",
    CONNECTION + "REGION = 'us-east-3'": "write REGION = 'us-east-1' or REGION = 'us-east-2'",
    CONNECTION + "REGION = 'auto'": "leave REGION out",
    CONNECTION + "ENDPOINT = 'https://s3.eu-west-11.amazonaws.com'": "AWS has no region eu-west-11",
    CONNECTION + "ENDPOINT = 'http://0.0.0.0:9000'": "write ENDPOINT = 'http://127.0.0.1:9000'",
    CONNECTION + "ENDPOINT = 'http://s3.amazonaws.com'": "write https:// in ENDPOINT",
    CONNECTION + "ENDPOINT = 'https://s3.amazonaws.com' REGION = 'eu-west-1'": "leave ENDPOINT out",
    CONNECTION + "ENDPOINT = 'https://s3.cn-north-1.amazonaws.com'": "'https://s3.cn-north-1.amazonaws.com.cn'",
    CONNECTION + ROLE.format("aws-cn") + "REGION = 'us-east-1'": "write a region of aws-cn, such as 'cn-north-1'",
    CONNECTION + ROLE.format("aws") + "REGION = 'us-gov-west-1'": "or an ARN of aws-us-gov",
    CONNECTION + ROLE.format("aws") + "EXTERNAL_ID = 'NULL'": "leave EXTERNAL_ID out for none",
    CONNECTION + PAIR.format("ASIAIOSFODNN7EXAMPLE"): "add AWS_SESSION_TOKEN",
    CONNECTION + PAIR.format("AKIAIOSFODNN7EXAMPLE") + f"AWS_SESSION_TOKEN = '{SECRET}'": "has no session token",
    CONNECTION + PAIR.format("YOUR_ACCESS_KEY"): "AWS_ACCESS_KEY_ID = PROMPT",
    CONNECTION + "ANONYMOUS = TRUE ENCRYPTION_KMS_KEY = 'alias/x'": "leave ENCRYPTION_KMS_KEY out",
    CONNECTION + f"ENCRYPTION_CUSTOMER_MANAGED_KEY = '{KEY}' ENDPOINT = 'http://127.0.0.1:9000'": "only over TLS",
    CONNECTION + "PATH_DISPLAY_FILTER = 's3://acme-lake/*.csv'": "PATH_DISPLAY_FILTERS = 's3://acme-lake/'",
    CONNECTION + "PATH_DISPLAY_FILTERS = ('s3://acme-lake/', 's3://acme-lake/!logs/')": "excludes nothing",
    CONNECTION + "PATH_DISPLAY_FILTER = 's3://Acme-Lake/'": "write 's3://acme-lake/'",
    CONNECTION + "PATH_DISPLAY_FILTER = 's3://acme-lake/a/../b/'": "write 's3://acme-lake/b/'",
    CONNECTION.replace("probe", '"lake "'): "lake is another",
    "ALTER S3 CONNECTION lake SET REGION = 'us-east-3'": "AWS has no region us-east-3",
    'ALTER S3 CONNECTION lake RENAME TO " x"': "x is another",
    CONNECTION + f"COMMENT = 'root / {'AKIAIOSFODNN7EXAMPLE'}'": "COMMENT is shown and saved as it is",
    "CREATE OR REPLACE S3 CONNECTION LAKE REGION = 'eu-west-1'": "LAKE replaces lake",
    COPY.format("END_AT = '2026-01-31'"): "END_AT leaves out 2026-01-31: write '2026-02-01' for the whole month",
    COPY.format("DELETE_FILES_AFTER_LOAD = TRUE")
    + " WITH EXPECTATION e EXPECT a > 0 ON VIOLATION DROP": "WARN keeps them",
    COPY.format("") + " WITH EXPECTATION e EXPECT a >= 0 OR a < 9 ON VIOLATION WARN": "Every a fulfils one of both",
    "SELECT * FROM people WHERE age < 90 OR age > 10": "Every age fulfils one of both: write AND",
    "SELECT * FROM people WHERE city <> 'Oslo' OR city <> 'Rome'": "Every city fulfils one of both",
    "CREATE JOB j AS INSERT INTO S3 lake LOCATION = 's3://acme-lake/a/b/' SELECT * FROM 's3://acme-lake/a/**/*.csv'": (
        "its own rows come back"
    ),
    "CREATE TABLE my_sample AS SELECT * FROM people LIMIT 100": "USING SAMPLE 100 ROWS takes a sample",
    "CREATE OR REPLACE TABLE people AS SELECT * FROM people LIMIT 10": "keeps 10 of its rows",
    "SELECT * FROM people p LEFT JOIN orders o ON p.id = o.id WHERE o.amount > 10": "move it into ON",
    "LIST 's3://acme-lake/' RECURSIVE MATCHING '*.csv'": "write MATCHING '**/*.csv'",
    "LIST 's3://acme-lake/' RECURSIVE MATCHING '**/{*.csv, *.json}'": "MATCHING '**/{*.csv,*.json}'",
    "PREVIEW 's3://acme-lake/people.csv' LIMIT 0": "leave LIMIT out",
    "SAVE CONNECTIONS TO 'a.usql '": "write 'a.usql'",
    "SET LIMIT = 0": "SET LIMIT = ALL",
    "SET CACHE = '512 B'": "SET CACHE = '512 MB'",
    "SET CONNECT_TIMEOUT = 3000": "SET CONNECT_TIMEOUT = 3",
    "SET READ_TIMEOUT = 1500": "SET READ_TIMEOUT = 1",
    "SET SCHEDULER = 'tcp://127.0.0.1:8787'": "'tcp://127.0.0.1:8786'",
    "SET DEFAULT_STORAGE = ('lake', 's3://acme-lake/a/../b/')": "write 's3://acme-lake/b/'",
    'CREATE TABLE "people " (id INT)': "people is another",
    STORED.format("s3://acme-out/t.csv", ""): "write 's3://acme-out/'",
    STORED.format("s3://acme-out/a\\b/", ""): "write 's3://acme-out/a/b/'",
    STORED.format("s3://acme-out/t/", "TABLE_DATA_RETENTION = 3 DAYS"): "add PARTITIONED BY",
    "CREATE TABLE t AS SELECT * FROM people WHERE name = NULL": "write IS NULL",
    COPY.format("FILE_SUFFIX = '*.json'"): "write FILE_SUFFIX = '.json'",
    COPY.format("FILE_SUFFIX = '.json '"): "write '.json'",
    COPY.format("INITIAL_LOAD_PREFIX = 's3://acme-lake/logs/'"): "write 'logs/'",
    COPY.format("START_FROM = '2999-01-01'"): "START_FROM is in the future",
    COPY.format("END_AT = '2001-01-01' RUN_INTERVAL = 5 MINUTES"): "leave RUN_INTERVAL out",
    COPY.format("FILE_SUFFIX = '.json' FILE_PATTERN = '.*\\.csv'"): "No key passes both",
    COPY.format("FILE_SUFFIX = '.json.gz' CONTENT_TYPE = CSV"): "write CONTENT_TYPE = JSON",
    COPY.format("EXCLUDE_COLUMNS = 'a' COLUMN_TRANSFORMATIONS = (A = upper(b))"): "leave it out of one of them",
    COPY.format("") + " WITH EXPECTATION e EXPECT id = NULL ON VIOLATION DROP": "write IS NULL",
    COPY.format("").replace("JOB j", 'JOB "j "'): "j is another",
    "ALTER JOB hourly SET END_AT = '2001-01-01'": "END_AT is long past",
    COPY.format("EXCLUDE_COLUMNS = 'a' DEDUPLICATE_WITH = (COLUMNS = (A) WINDOW = 1 HOURS)"): "needs a",
    COPY.format("CONTENT_TYPE = (TYPE = CSV DELIMITER = 'a')"): "write a mark",
    COPY.format("") + " WITH EXPECTATION e EXPECT TRUE ON VIOLATION DROP": "is of no column",
    STORED.format("s3://acme-out/t/", "").replace(
        "STORAGE_C", "PARTITIONED BY id TABLE_DATA_RETENTION = 3 DAYS STORAGE_C"
    ): ("add PARTITIONED BY"),
    "EXPLAIN LIST 's3://acme-lake/' RECURSIVE MATCHING '*.csv'": "write MATCHING '**/*.csv'",
    INSERT.format("", "s3://acme-out/p/*/"): "write 's3://acme-out/p/'",
    INSERT.format("MAP_COLUMNS_BY_NAME = FALSE", "s3://acme-out/p/"): "has no effect",
    INSERT.format("", "s3://acme-out/people.csv"): "the object is s3://acme-out/people.csv/j…: write 's3://acme-out/'",
    INSERT.format("", "s3://acme-out/a/../b/"): "write 's3://acme-out/b/'",
    INSERT.format("", "s3://acme-out/date={date}/"): "DATE_PATTERN = 'yyyy/MM/dd'",
    INSERT.format("", "s3://acme-out/yyyy/MM/dd/"): "DATE_PATTERN = 'yyyy/MM/dd'",
    INSERT.format("", "s3://acme-out/p/").replace("people", "'s3://acme-out/p/*.parquet'"): "its own rows come back",
    "SELECT * FROM objects('s3://lake@acme-lake/orders/*.json')": "WHERE key LIKE '%.json'",
    "SELECT * FROM objects('s3://acme-lake/') WHERE storage_class = 'standard'": "write 'STANDARD'",
    "SELECT * FROM objects('s3://acme-lake/') WHERE storage_class IN ('GLACIER IR')": "write 'GLACIER_IR'",
    "SELECT * FROM objects('s3://acme-lake/') WHERE etag = '\"abc\"'": "write 'abc'",
}
"""A part of what is said of a statement that runs."""

REFUSED = {
    CONNECTION + "ENDPOINT = 'http://minio.example:443'": "Write 'https://minio.example' instead.",
    CONNECTION + "ENDPOINT = 'https://minio.example:80'": "Write 'http://minio.example' instead.",
    CONNECTION + "ENDPOINT = 'https://sts.eu-west-1.amazonaws.com'": "the host of STS, not of S3",
    CONNECTION + "ENDPOINT = 'https://acme.blob.core.windows.net'": "does not speak S3",
    CONNECTION + "ENDPOINT = 'http://127.0.0.1:9000' ADDRESSING_STYLE = 'virtual'": "ADDRESSING_STYLE = 'path'",
    CONNECTION + "ENDPOINT = 'http://[::1]:9000' ADDRESSING_STYLE = 'virtual'": "ADDRESSING_STYLE = 'path'",
    CONNECTION + "ANONYMOUS = TRUE REQUESTER_PAYS = TRUE": "cannot be combined",
    CONNECTION + "AWS_PROFILE = 'profile analytics'": "Write 'analytics' instead.",
    CONNECTION + "AWS_PROFILE = '[analytics]'": "Write 'analytics' instead.",
    CONNECTION + "AWS_PROFILE = 'analytics '": "Write 'analytics' instead.",
    CONNECTION + "ENCRYPTION_KMS_KEY = 'AES256'": "Leave it out",
    "SET DATABASE = 's3://acme-lake/x.duckdb'": "a file of this machine",
    "SET DATABASE = ':memory:'": "a file of this machine",
    "SET SCHEDULER = 'tcp://127.0.0.1:99999'": "the last port is 65535",
    COPY.format("DATE_PATTERN = 'yyyy/mm/dd/HH'"): "the month is MM",
    COPY.format("CONTENT_TYPE = (TYPE = SPLIT_LINES PATTERN = '')"): "leave it out for line breaks",
    COPY.format("START_FROM = TODAY"): f"Write '{datetime.now(UTC):%Y-%m-%d}' instead.",
    COPY.format("END_AT = '2 days ago'"): f"Write '{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}' instead.",
    COPY.format("RUN_INTERVAL = DAILY"): "Write 1 DAYS instead.",
    COPY.format("RUN_INTERVAL = '*/15 * * * *'"): "Write 15 MINUTES instead.",
    COPY.format("RUN_INTERVAL = '0 * * * *'"): "Write 1 HOURS instead.",
    "LIST 's3://$bucket/logs/'": "Write $place instead, and place = f's3://{bucket}/logs/' in a Python cell before it.",
    COPY.format("") + " WITH EXPECTATION e EXPECT a > 0 ON VIOLATION FAIL": "or DROP, which leaves them out",
    COPY.format("CONTENT_TYPE = (TYPE = CSV DATE_FORMAT = '%Y-%M-%d')"): "the month is %m",
}
"""A part of the error of a statement that can never be right."""

EMPTY = {
    "SELECT * FROM people WHERE name = '$name'": "write $name without quotes",
    "SELECT * FROM people WHERE name = '{name}'": "write $name without quotes",
    "SELECT * FROM people WHERE name = 'NULL'": "write name IS NULL",
    "SELECT * FROM people WHERE name = 'A%'": "write name LIKE 'A%'",
    "SELECT * FROM people WHERE name = 'Ann '": "write 'Ann'",
    "SELECT * FROM people WHERE name IN ('Ann,Bob')": "write name IN ('Ann', 'Bob')",
    "SELECT * FROM people WHERE name LIKE 'A*'": "write LIKE 'A%'",
    "SELECT * FROM people WHERE 'name' = 'Ann'": "write name without quotes",
    "SELECT * FROM people WHERE age BETWEEN 40 AND 30": "swap them",
    "SELECT * FROM people WHERE age > 40 AND age < 30": "swap them",
    "SELECT * FROM people WHERE age = 1 AND age = 2": "write age IN (1, 2)",
    "SELECT * FROM people WHERE age NOT IN (1, NULL)": "leave NULL out",
    "SELECT * FROM people WHERE name SIMILAR TO 'nn'": "'.*nn.*'",
    "FROM objects('s3://b/') WHERE bucket = 's3://b/'": "write bucket = 'b'",
    "FROM objects('s3://b/') WHERE key = 's3://b/x'": "write key = 'x'",
    "FROM objects('s3://b/') WHERE starts_with(key, '/x')": "STARTS_WITH 'x'",
    "FROM objects('s3://b/') WHERE contains(key, '*.csv')": "CONTAINS '.csv'",
    "FROM objects('s3://b/') WHERE key GLOB '{a,b}*'": "knows no braces",
    "FROM objects('s3://b/') WHERE last_modified > '2999-01-01'": "in the future",
}
"""A part of what is said of a query without rows."""

RIGHT = [
    CONNECTION + "REGION = 'eu-central-1'",
    CONNECTION + "ENDPOINT = 'https://minio.example:9000' REGION = 'main'",
    CONNECTION + "ENDPOINT = 'https://0123.r2.cloudflarestorage.com' REGION = 'auto'",
    CONNECTION + "ENDPOINT = 'http://localhost:9000' ADDRESSING_STYLE = 'virtual'",
    CONNECTION + "ENDPOINT = 'https://bucket.vpce-1a2b-3c.s3.us-east-1.vpce.amazonaws.com'",
    CONNECTION + "ENDPOINT = 'http://minio-1.us-east-1.elb.amazonaws.com.example:80'",
    CONNECTION + ROLE.format("aws-cn") + "REGION = 'cn-north-1'",
    CONNECTION + ROLE.format("aws") + "EXTERNAL_ID = 'null-and-void'",
    CONNECTION + PAIR.format("ASIAIOSFODNN7EXAMPLE") + f"AWS_SESSION_TOKEN = '{SECRET}'",
    CONNECTION + "AWS_PROFILE = 'my profile'",
    CONNECTION + "PATH_DISPLAY_FILTERS = ('s3://acme-lake/a b/', 's3://acme-lake/pre', 's3://acme-lake/x.csv')",
    CONNECTION + "COMMENT = ' none '",
    CONNECTION + "READ_ONLY = TRUE ENCRYPTION_KMS_KEY = 'alias/x'",
    "LIST 's3://acme-lake/' RECURSIVE MATCHING '**.json'",
    "LIST 's3://acme-lake/' MATCHING '*.csv'",
    "SET READ_TIMEOUT = 1800",
    "SET CACHE = '4 GB'",
    COPY.format("DATE_PATTERN = 'yyyy-MM-dd-HH-mm' START_FROM = '2024-01-01' END_AT = '2024-02-01'"),
    COPY.format("CONTENT_TYPE = (TYPE = CSV TIMESTAMP_FORMAT = '%Y-%m-%d %H:%M')"),
    COPY.format("FILE_SUFFIX = '.json.gz' FILE_PATTERN = '.*\\.gz' CONTENT_TYPE = JSON END_AT = '2001-01-01'"),
    INSERT.format("DATE_PATTERN = 'yyyy/MM/dd'", "s3://acme-out/v1.2/country=DE/"),
    STORED.format("s3://acme-out/t", ""),
    STORED.replace("id INT) ", "day DATE) PARTITIONED BY day ").format(
        "s3://acme-out/t", "TABLE_DATA_RETENTION = 3 DAYS"
    ),
    "CREATE OR REPLACE S3 CONNECTION lake REGION = 'eu-west-1'",
    COPY.format("END_AT = '2026-01-15'"),
    COPY.format("DELETE_FILES_AFTER_LOAD = TRUE") + " WITH EXPECTATION e EXPECT a > 0 ON VIOLATION WARN",
    "SELECT * FROM people WHERE age < 10 OR age > 90 OR city <> 'Oslo' OR name <> 'Ann'",
    "SELECT * FROM people p LEFT JOIN orders o ON p.id = o.id AND o.amount > 10 WHERE p.age > 10",
    "SELECT * FROM people p LEFT JOIN orders o ON p.id = o.id WHERE o.id IS NULL",
    "SELECT * FROM people p LEFT JOIN orders o ON p.id = o.id WHERE o.amount > 10 OR o.id IS NULL",
    "CREATE TABLE my_sample AS SELECT * FROM people ORDER BY age LIMIT 100",
    "CREATE OR REPLACE TABLE newest AS SELECT * FROM people LIMIT 10",
    "CREATE JOB j AS INSERT INTO S3 lake LOCATION = 's3://acme-lake/b/' SELECT * FROM 's3://acme-lake/a/**/*.csv'",
    "SELECT * FROM objects('s3://acme-lake/') WHERE storage_class IN ('STANDARD', 'COLD')",
    "MERGE INTO people USING (SELECT 1 AS id) x ON people.id = x.id WHEN MATCHED THEN UPDATE SET name = NULL",
]
"""Statements that mean what they say."""


def said(text: str) -> list[str]:
    """The cautions on a text, where there are lake, people and hourly."""
    source = Source(text)
    catalog = having("lake", "sandbox", default="lake")
    return cautions(bind(parse(source), source, catalog, Inputs(), lambda: ["people"], jobs=lambda: ["hourly"]))


@pytest.mark.parametrize("text", SAID)
def test_what_can_hardly_be_meant_is_said_with_what_to_write(text: str):
    """One line says it, without a secret."""
    lines = said(text)
    assert any(SAID[text] in line for line in lines), lines
    assert not any("\n" in line or leaked(line) or KEY in line for line in lines)


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_never_right_is_refused_with_what_to_write(text: str):
    """The error is at the value, before anything runs."""
    with pytest.raises(S3ConnError) as failed:
        said(text)
    assert REFUSED[text] in failed.value.message + failed.value.hint
    assert failed.value.place


@pytest.mark.parametrize(
    "text",
    [
        CONNECTION + "REGION = '{}'".format(SECRET.replace("/", "").replace("+", "")),
        f"SAVE CONNECTIONS TO '{SECRET} '",
        INSERT.format("", f"s3://acme-out/{SECRET}/../b.csv"),
        COPY.format(f"FILE_SUFFIX = '*{SECRET}'"),
        f"SELECT * FROM objects('s3://b/') WHERE etag = '\"{SECRET}\"'",
        f"SELECT * FROM objects('s3://b/{SECRET}/*.csv')",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(text: str):
    """A caution masks what may be a secret, wherever it stands."""
    lines = said(text)
    assert lines
    assert not any(leaked(line) for line in lines)


@pytest.mark.parametrize("text", EMPTY)
def test_a_query_without_rows_says_what_no_row_fulfils(text: str):
    """It is told with the condition that was meant."""
    assert EMPTY[text] in query_note(text)


@pytest.mark.parametrize("text", RIGHT)
def test_what_means_what_it_says_runs_in_silence(text: str):
    """Neighbours of the cautions have none."""
    assert not said(text)


def test_the_valid_corpus_runs_in_silence():
    """No valid cell that binds has a caution, but three of odd values: a region r, LIMIT 0, one level."""
    odd = {"options: commas at the beginning of lines", "reading: PREVIEW with every clause, the other way round"}
    odd.add("reading: LIST without a location, with everything")
    bound, spoken = 0, {}
    for case in read("valid"):
        try:
            lines = said(case.cell)
        except S3ConnError:
            continue  # it names what is not there
        bound += 1
        spoken |= {case.id: lines} if lines and case.id not in odd else {}
    assert bound > 150
    assert not spoken


def test_every_pair_of_options_is_taken_or_refused_alike_in_either_order():
    """Which options go together does not depend on which one is written first."""
    given = {one.name: f"{one.name} = {one.example}" for one in OPTIONS if "KEYRING" not in one.example}
    given |= {one.name: f"{one.name} = '{SECRET}'" for one in OPTIONS if one.name.startswith("AWS_") and one.secret}
    given["AWS_ACCESS_KEY_ID"] = "AWS_ACCESS_KEY_ID = 'A'"

    def outcome(*names: str) -> object:
        try:
            return sorted(said(CONNECTION + " ".join(given[name] for name in names)))
        except S3ConnError as error:
            return type(error)

    for first in given:
        for second in given:
            if first < second:
                assert outcome(first, second) == outcome(second, first), (first, second)
