"""Statements of other SQL that nothing here says are answered with a sentence of what is so."""

from __future__ import annotations

import re

import pytest
from offline import offline_session

from s3conn_magic.errors import S3ConnError, StatementSyntaxError
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.reference import STATEMENTS
from s3conn_magic.language.source import Source
from s3conn_magic.language.words import book

FOREIGN = book()["none"]
STARTS = {statement.name.split()[0] for statement in STATEMENTS}
WRITTEN = {
    "DELETE FROM t WHERE a = 1": "CREATE OR REPLACE TABLE",
    "update t set a = 1": "CREATE OR REPLACE TABLE",
    "TRUNCATE TABLE t": "DROP TABLE",
    "INSTALL delta": "Extensions are not needed",
    "LOAD httpfs": "Extensions are not needed",
    "ATTACH 'x.db' AS x": "Databases cannot be attached",
    "PRAGMA threads = 4": "SHOW SETTINGS",
    "GRANT SELECT ON t TO x": "IAM",
    "CALL f(1)": "RUN JOB",
    "BEGIN": "no transactions",
    "START TRANSACTION": "no transactions",
    "CREATE SECRET (TYPE s3)": "Here: CREATE S3 CONNECTION",
    "SHOW DATABASES": "SHOW CONNECTIONS;",
    "DELETE CONNECTION lake": "Here: DROP CONNECTION lake;",
}
"""Statements with a piece of what is said of them."""


@pytest.mark.parametrize("written", WRITTEN)
def test_a_statement_of_other_sql_is_answered(written: str):
    """The hint says what is so, in whatever case the statement is written."""
    with pytest.raises(StatementSyntaxError) as failed:
        list(offline_session("lake").run(written))
    assert WRITTEN[written] in failed.value.hint
    assert failed.value.place


@pytest.mark.parametrize("words", FOREIGN)
def test_every_sentence_is_reached(words: str):
    """Each is what its words are answered with, where no phrase fits."""
    with pytest.raises(StatementSyntaxError) as failed:
        parse(Source(f"{words} x y z 1 2"))
    assert failed.value.hint == FOREIGN[words] or "Here: " in failed.value.hint or "no " in failed.value.hint.lower()
    assert len(words.split()) > 1 or words not in STARTS


@pytest.mark.parametrize("hint", sorted(set(FOREIGN.values())))
def test_what_a_sentence_tells_to_write_is_a_statement_of_ours(hint: str):
    """Every statement in it begins like one that there is."""
    written = re.findall(r"\b[A-Z][A-Z0-9]+(?: [A-Z][A-Z0-9]+)*", hint)
    known = {word for statement in STATEMENTS for word in re.findall(r"[A-Z0-9_]+", statement.syntax)}
    names = {"IAM", "CSV", "JSON", "LOCATION", "COMMENT", "LIMIT", "NAME"}
    assert {word for phrase in written for word in phrase.split()} <= known | names | {"AWS", "SELECT", "FROM"}


def test_explain_of_a_statement_of_others_says_ours_and_runs_nothing():
    """The statements of the cell around it run; what they are of others is only told."""
    session = offline_session("lake")
    results = list(session.run("SHOW SETTINGS; EXPLAIN CREATE SECRET x (TYPE s3, PROFILE 'dev'); SHOW SETTINGS"))
    assert str(results[1]) == "That is DuckDB's. Here: CREATE S3 CONNECTION x AWS_PROFILE = 'dev';"
    assert [connection.name for connection in session.connections] == ["lake"]


def test_a_dialect_that_is_accepted_runs_what_says_all():
    """DuckDB's statements make a connection with the secret as it was written; what lacks a counterpart is refused."""
    session = offline_session()
    list(session.run("SET DIALECT = 'accept'"))
    secret = (
        "INSTALL httpfs; LOAD httpfs; CREATE SECRET x (TYPE s3, KEY_ID 'AKIAIOSFODNN7EXAMPLE', SECRET 'abcDEF12345')"
    )
    from moto import mock_aws

    with mock_aws():
        list(session.run(secret))
        options = session.connections.get("x").options
        assert options["AWS_SECRET_ACCESS_KEY"].value.reveal() == "abcDEF12345"
        with pytest.raises(StatementSyntaxError):
            list(session.run("CREATE SECRET y (TYPE s3, VERIFY_SSL false)"))
        with pytest.raises(StatementSyntaxError):
            list(session.run("CREATE SECRET y (TYPE azure, CONNECTION_STRING 'x')"))
    assert "y" not in session.connections


def test_a_dialect_leaves_statements_of_ours_as_they_are():
    """A query beside a statement of others keeps its operators, which a shell would read as marks of its own."""
    session = offline_session("lake")
    list(session.run("SET DIALECT = 'accept'"))
    *_, answer = session.run("INSTALL httpfs; SELECT 'a' || 'b' AS x WHERE 2 > 1 AND 3 >> 1 = 1")
    assert answer["x"].tolist() == ["ab"]


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("CREATE TABLE t USING DELTA LOCATION 's3://b/t/'", "CREATE TABLE t LOCATION 's3://b/t/';"),
        (
            "CREATE EXTERNAL TABLE t (n INT) STORED BY ICEBERG LOCATION 's3://b/t/'",
            "CREATE TABLE t LOCATION 's3://b/t/';",
        ),
        ("CREATE TABLE t (n INT) STORED BY ICEBERG", "CREATE TABLE t (n INT);"),
        ("CREATE TABLE t USING delta AS SELECT 1 AS n", "CREATE TABLE t AS SELECT 1 AS n;"),
        ("CREATE TABLE t (n INT) PARTITIONED BY (n) LOCATION 's3://b/t/'", "CREATE TABLE t LOCATION 's3://b/t/';"),
        ("CREATE TABLE t (n INT) LOCATION 's3://b/t/' USING lake", "CREATE TABLE t LOCATION 's3://b/t/' USING lake;"),
    ],
)
def test_tables_of_others_are_told_as_ours(written, ours):
    """Over the files at their location, of their query, or with their columns; no clause of ours is lost."""
    with pytest.raises(S3ConnError) as failed:
        list(offline_session("lake").run(written))
    assert f"Here: {ours}" in failed.value.hint


@pytest.mark.parametrize(
    "written",
    [
        "CREATE S3 CONNECTION x COMMENT = 'a' {secret} = 1 AWS_PROFILE = dev",
        "CREATE S3 CONNECTION x AWS_PROFILE = dev {secret} = 'b'",
        "CREATE SECRET x (TYPE s3, KEY_ID 'a', {secret} 'b')",
        "CREATE STAGE x URL = 's3://b/' {secret} = TRUE",
        "ALTER S3 CONNECTION lake DROP {secret}, COMMENT",
        "aws s3 ls --{secret} s3://b/",
        "COPY t FROM 's3://b/' IAM_ROLE default {secret} 'x' DELIMITER ','",
        "CREATE PEER p FROM S3 WITH ({secret} = 'x', s3.region = 'us-east-1')",
        "CREATE PEER p FROM S3 WITH (s3.region = {secret}, url = 's3://b/')",
        "CREATE PEER {secret} FROM S3 WITH (s3.region = 'us-east-1')",
        "CREATE SINK s FROM {secret} WITH (s3.bucket_name = 'b', s3.path = 'x/')",
        "CREATE SOURCE s WITH (path = 's3://{secret}@b/x/', s3.secret.key = {secret})",
        "CREATE SOURCE s WITH (path = 's3://b/x/', s3.access.key = '{secret}')",
        "COPY t FROM 's3://key:{secret}@host:9000/b/x.csv'",
        "EXPORT (SELECT '{secret}' AS x) INTO CSV AT 'https://b.s3.amazonaws.com' USER 'u' IDENTIFIED BY '{secret}'",
        "SET engine.s3.secret-key={secret}",
        "SET engine.s3.access_key TO {secret}",
        "lakecopy --{secret} ls s3://b/",
        "lakecopy ls s3://b/ --access-key {secret} --secret-key {secret}",
        "CALL x.create_catalog('{secret}', MAP(ARRAY['s3.region', '{secret}'], ARRAY['us-east-1', '{secret}']))",
        "SELECT * FROM csv.read('s3://b/x.csv', {secret} = 'y', secret_access_key = '{secret}')",
        "options = {{'s3.region': 'us-east-1', 's3.secret-key': '{secret}', '{secret}': 'x'}}",
        "SELECT f.table_import_from_s3('{secret}', '', 'b', 'k.csv', 'us-east-1', '{secret}', '{secret}')",
    ],
)
def test_what_stands_where_a_name_stands_is_not_told_when_it_may_be_a_secret(written: str):
    """Options without a counterpart are named, unless their name is none that anyone would give an option."""
    secret = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
    with pytest.raises(S3ConnError) as failed:
        list(offline_session("lake").run(written.format(secret=secret)))
    assert secret.casefold() not in failed.value.block().casefold()


ASSIGNED = (
    *("SET {name} TO {value}", "SET {name} = {value}", "SET {name} {value}", "SET {name}: {value}"),
    *("SET SESSION {name} = {value}", "EXPLAIN SET {name} TO {value}", "{name} = {value}", "{name}: {value}"),
    *("export {name}={value}", "aws s3 ls --{name} {value}", "aws s3 ls --{name}={value}", "[default]\n{name}={value}"),
    *("CREATE SECRET x (TYPE s3, {name} {value})", "CREATE STAGE x URL='s3://b/' CREDENTIALS=({name}={value})"),
    *("CREATE S3 CONNECTION x {name} {value}", "CREATE S3 CONNECTION x ({name} {value})"),
    *("ALTER S3 CONNECTION lake SET {name} {value}", "CREATE FOO x WITH ({name} = {value})"),
    *("COPY t FROM 's3://b/k' {name} {value}", "rclone lsd :s3,{name}={value}:b", "LIST 's3://b/' {name} {value}"),
)


@pytest.mark.parametrize("form", ASSIGNED)
def test_a_secret_that_reads_like_a_word_is_not_told(form: str):
    """Whatever its option is called, and however it is assigned: not in the excerpt, and not in the hint."""
    for name in ("secret_key", "aws_secret_access_key", "api_key", "s3.secret-key", "password", "session_token"):
        for value in ("hunter2supersecretvalue", "correcthorsebatterystaple", "'correcthorsebatterystaple'"):
            try:
                said = str([*offline_session("lake").run(form.format(name=name, value=value))])
            except S3ConnError as error:
                said = error.block()
            assert value.strip("'") not in said, f"{name} {value}"


@pytest.mark.parametrize(
    "written",
    [
        "'{{ env_var(\"TRY\") }}'",
        "{{ env_var('TRY') }}",
        "os.environ['TRY']",
        "ENV['TRY']",
        "ENV.TRY",
        "ENV TRY",
        "'${env:TRY}'",
    ],
)
def test_a_variable_of_the_environment_is_written_as_ours(written: str):
    """As templates, Python and shells name one; the value itself is not looked up."""
    with pytest.raises(S3ConnError) as failed:
        list(offline_session("lake").run(f"CREATE S3 CONNECTION x AWS_PROFILE = {written}"))
    assert "ENV 'TRY'" in failed.value.hint


CALLS = {
    'bucket = "acme-lake"\ndf = spark.read.load(f"s3a://{bucket}/flowers/")': "SELECT * FROM 's3://acme-lake/flowers/**/*';",
    'path = "s3://acme-lake/*.parquet"\ndf = pl.read_parquet(path)': "SELECT * FROM 's3://acme-lake/*.parquet';",
    'pd.read_csv("s3://{}/{}".format("acme-lake", "a.csv"))': "SELECT * FROM 's3://acme-lake/a.csv';",
    "fs = s3fs.S3FileSystem(anon=True)\nfs.ls('acme-lake')": "ANONYMOUS = TRUE; LIST 's3://acme-lake/' USING my_s3;",
    "c = boto3.client('s3')\nc.get_paginator('list_objects_v2').paginate(Bucket='acme-lake', Prefix='a/')": (
        "LIST 's3://acme-lake/a/' RECURSIVE;"
    ),
    "b = boto3.resource('s3').Bucket('acme-lake')\nb.objects.filter(Prefix='a/')": (
        "LIST 's3://acme-lake/a/' RECURSIVE;"
    ),
    "[b.name for b in boto3.resource('s3').buckets.all()]": "SHOW BUCKETS;",
    "s3.download_file('acme-lake', 'a/b.csv', 'b.csv')": "EXPLORE 's3://acme-lake/a/';",
    'pd.read_parquet("s3://acme-lake/a/", columns=["id"], filters=[("year", "=", 2023)])': (
        "FROM 's3://acme-lake/a/**/*' WHERE year = 2023;"
    ),
    "df.to_parquet('s3://acme-lake/a.parquet', storage_options={'key': 'AKIAIOSFODNN7EXAMPLE', 'secret': 'x'})": (
        "CREATE JOB write_a AS INSERT INTO S3 my_s3 LOCATION = 's3://acme-lake/' FILE_FORMAT = PARQUET SELECT"
    ),
    '(df.write\n  .partitionBy("year")\n  .parquet("s3a://acme-lake/out/"))': "PARTITION BY has no counterpart.",
    'df.write.format("delta").save("s3a://acme-lake/t")': "DELTA has no counterpart.",
    "SELECT metadata$filename, t.$1 FROM @stage/x.csv t": "SELECT filename, #1 FROM",
    "COPY INTO t(a, b) FROM (SELECT $1, $2 FROM @stage/d/) PATTERN = '.*[.]csv'": (
        "INSERT INTO t (a, b) SELECT #1, #2 FROM 's3://lake@…/d/**/*.csv';"
    ),
    "LOAD DATA INTO t FROM FILES (uris = ['s3://acme-lake/a/1.csv', 's3://acme-lake/a/2.csv'], format = 'CSV')": (
        r"FILE_PATTERN = '(1\.csv|2\.csv)' AS COPY FROM S3 lake LOCATION = 's3://acme-lake/a/' INTO t;"
    ),
    "copy t from 's3://acme-lake/a' csv quote as '%'": "QUOTE has no counterpart.",
    "aws s3 ls s3://acme-lake/a/ --recursive | grep .parquet": "RECURSIVE MATCHING '**/*.parquet';",
    "aws s3api list-objects-v2 --bucket acme-lake --prefix a/ --max-items 10": "RECURSIVE LIMIT 10;",
    "aws configure\nAWS Access Key ID [None]: AKIAIOSFODNN7EXAMPLE\nAWS Secret Access Key [None]: x": (
        "AWS_ACCESS_KEY_ID = 'AKIAIOSFODNN7EXAMPLE' AWS_SECRET_ACCESS_KEY = PROMPT"
    ),
    "CREATE STAGE s URL = 's3://acme-lake/' STORAGE_INTEGRATION = i": "STORAGE_INTEGRATION names credentials",
    "CREATE S3 CONNECTION x CREDENTIALS = 'aws_iam_role=arn:aws:iam::123456789012:role/r'": (
        "AWS_ROLE = 'arn:aws:iam::123456789012:role/r';"
    ),
    "CREATE S3 CONNECTION x PORT = 9000": "PORT is left out",
    "CREATE S3 CONNECTION x ROOTDIRECTORY = '/a'": "a location begins with its bucket",
    "CREATE S3 CONNECTION x url = 'http://localhost:9000/acme-lake/a'": "ENDPOINT = 'http://localhost:9000';",
}


@pytest.mark.parametrize("written", CALLS)
def test_what_a_text_says_apart_is_put_together(written: str):
    """Names of texts, columns, conditions, patterns and credentials are carried from wherever they stand, or named."""
    with pytest.raises(S3ConnError) as failed:
        list(offline_session("lake").run(written))
    assert CALLS[written] in failed.value.hint


KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
PAIR = f"AWS_ACCESS_KEY_ID = '{KEY}' AWS_SECRET_ACCESS_KEY = PROMPT 'AWS_SECRET_ACCESS_KEY'"
CELLS = {
    # Of several statements the first connect, and the others use that.
    f"mc alias set m http://h:9000 {KEY} {SECRET} --path on\nmc ls -r m/lake/a/": (
        f"S3 CONNECTION m {PAIR} ENDPOINT = 'http://h:9000' ADDRESSING_STYLE = 'path'; LIST 's3://lake/a/' USING m REC"
    ),
    f"CREATE SECRET k AS '{SECRET}';\n"
    f"CREATE CONNECTION a TO AWS (ACCESS KEY ID = '{KEY}', SECRET ACCESS KEY = SECRET k)": (
        f"Here: CREATE S3 CONNECTION a {PAIR};"
    ),
    f"CREATE SECRET d (TYPE s3, KEY_ID '{KEY}', SECRET '{SECRET}');\nSELECT * FROM 's3://lake/a.csv'": (
        f"Here: CREATE S3 CONNECTION d {PAIR}; SELECT * FROM 's3://d@lake/a.csv';"
    ),
    f"CREATE DATABASE SCOPED CREDENTIAL k WITH IDENTITY = 'S3 Access Key', SECRET = 'me:{SECRET}'\nGO\n"
    "CREATE EXTERNAL DATA SOURCE d WITH (LOCATION = 's3://h:9000/', CREDENTIAL = k)\nGO": (
        f"S3 CONNECTION d {PAIR.replace(KEY, 'me')} ENDPOINT = 'https://h:9000';"
    ),
    f"ALTER SESSION SET AWSAuth = '{KEY}:{SECRET}'; ALTER SESSION SET AWSEndpoint = 'h:80';"
    " ALTER SESSION SET AWSEnableHttps = 0;": f"S3 CONNECTION my_s3 {PAIR} ENDPOINT = 'http://h:80';",
    "export AWS_PROFILE=p\nexport AWS_REGION=eu-west-1": "S3 CONNECTION p AWS_PROFILE = 'p' REGION = 'eu-west-1';",
    "s3 = fs.S3FileSystem(anonymous=True)\ns3.get_file_info(fs.FileSelector('lake/a', recursive=True))": (
        "ANONYMOUS = TRUE; LIST 's3://lake/a' RECURSIVE USING my_s3;"
    ),
    # A connection that is named is written, and one that does not exist is said.
    "COPY INTO t FROM 's3://lake/a/' STORAGE_INTEGRATION = other": "There is no connection other: lake stands for it.",
    "rclone lsf prod:lake/a -R": "There is no connection prod: lake stands for it.",
    "EXPORT DATA WITH CONNECTION `x.other` OPTIONS (uri = 's3://lake/a/*', format = 'CSV') AS SELECT 1": (
        "There is no connection other"
    ),
    # Settings in files, URIs and calls.
    f"s3.endpoint=http://h:9000\ns3.aws-access-key=admin\ns3.aws-secret-key={SECRET}": (
        f"S3 CONNECTION my_s3 {PAIR.replace(KEY, 'admin')} ENDPOINT = 'http://h:9000';"
    ),
    f"AIRFLOW_CONN_AWS_LAKE='aws://{KEY}:a%2Fb@/?region_name=eu-west-1&endpoint_url=http%3A%2F%2Fh%3A9000'": (
        f"S3 CONNECTION AWS_LAKE {PAIR} REGION = 'eu-west-1' ENDPOINT = 'http://h:9000';"
    ),
    "CREATE EXTERNAL CONNECTION b AS 's3://lake/a?AUTH=implicit&ASSUME_ROLE=arn:aws:iam::123456789012:role/r;"
    "external_id=xy-1'": "AWS_ROLE = 'arn:aws:iam::123456789012:role/r' EXTERNAL_ID = 'xy-1' PATH_DISPLAY_FILTERS = 's3://lake/a'",
    f"CREATE DATABASE d WITH engine = 's3', parameters = "
    f'{{"aws_access_key_id": "{KEY}", "aws_secret_access_key": "x"}}': (f"S3 CONNECTION d {PAIR};"),
    'resource "x" "y" {\n name = "n"\n url = "s3://lake/a"\n role_arn = "arn:aws:iam::123456789012:role/r"\n'
    ' comment = "text"\n}': "S3 CONNECTION n AWS_ROLE = 'arn:aws:iam::123456789012:role/r' PATH_DISPLAY_FILTERS = 's3:",
    'provider "aws" {\n region = "eu-west-1"\n endpoints { s3 = "http://localhost:4566" }\n}': (
        "ENDPOINT = 'http://localhost:4566'"
    ),
    # What is done, and to which files.
    "SELECT TOP 10 * FROM OPENROWSET(BULK '/lake/a/d=1/*.parquet', FORMAT = 'PARQUET', DATA_SOURCE = 'x') AS [r]": (
        "SELECT * FROM 's3://lake/a/d=1/*.parquet' LIMIT 10;"
    ),
    "COPY t FROM 's3://lake/a/' FORMAT AS JSON 'auto' JOB CREATE nightly AUTO ON": (
        "CREATE JOB nightly CONTENT_TYPE = JSON"
    ),
    "CREATE OR REFRESH STREAMING TABLE t AS SELECT * FROM STREAM read_files('s3://lake/a/', format => 'json',"
    " includeExistingFiles => false)": "CONTENT_TYPE = JSON START_FROM = NOW AS COPY FROM S3 lake LOCATION",
    "INSERT INTO FUNCTION s3('https://lake.s3.eu-west-3.amazonaws.com/a/b.csv.gz', 'CSV') SELECT 1": (
        "FILE_FORMAT = CSV COMPRESSION = GZIP SELECT 1;"
    ),
    "mc find m/lake/logs --name '*.gz' --larger 64MB --older-than 30d": (
        "Here: SELECT * FROM objects('s3://lake@lake/logs/') WHERE key LIKE '%.gz' AND size > 64000000"
        " AND last_modified < now() - INTERVAL 30 DAY;"
    ),
    "aws s3api list-objects-v2 --bucket lake --query 'Contents[?Size > `10`].Key' --endpoint-url http://h:9000": (
        "ENDPOINT = 'http://h:9000'; SELECT * FROM objects('s3://my_s3@lake/') WHERE size > 10;"
    ),
    "rclone lsf lake:lake/a --min-size 1M --max-age 2d": "size >= 1048576 AND last_modified > now() - INTERVAL 2 DAY;",
    'fs = s3fs.S3FileSystem(anon=True)\nfs.glob("lake/a/**/*.parquet")': (
        "ANONYMOUS = TRUE; LIST 's3://lake/a/' RECURSIVE MATCHING '**/*.parquet' USING my_s3;"
    ),
    'spark.read.option("sep", ";").csv("s3a://lake/a.csv").show(20)': (
        "SELECT * FROM read_csv('s3://lake/a.csv', delim = ';') LIMIT 20;"
    ),
    "SELECT * FROM read_files('s3://lake/*.csv', format => 'csv', sep => '|')": "Here: SELECT * FROM 's3://lake/*.csv';",
    "COPY INTO 's3://lake/out/a_' FROM (SELECT 1 AS n) FILE_FORMAT = (TYPE = CSV FIELD_DELIMITER = '|')": (
        "LOCATION = 's3://lake/out/' FILE_FORMAT = (TYPE = CSV DELIMITER = '|') SELECT 1 AS n;"
    ),
    "SELECT * FROM s3('https://lake.s3.eu-west-3.amazonaws.com/a_{0..2}.gz')": "FROM 's3://lake/a_[0-2].gz';",
    f"export AIRFLOW_CONN_A='aws://{KEY}:x@/?region_name=eu-west-1'": f"S3 CONNECTION A {PAIR} REGION = 'eu-west-1';",
    "SELECT * FROM duckdb_secrets()": "SHOW CONNECTIONS;",
    "ALTER S3 CONNECTION lake UNSET s3.region": "UNSET REGION;",
    "LIST 's3://lake/' RECURSIVE INCLUDE '*.csv'": "RECURSIVE MATCHING '**/*.csv';",
    "COPY a TO 's3://lake/a.parquet'; COPY b TO 's3://lake/b.parquet';": (
        "FILE_FORMAT = PARQUET SELECT * FROM a; CREATE JOB write_b AS INSERT INTO S3 lake LOCATION = 's3://lake/' FILE"
    ),
    "COPY INTO t FROM 's3://lake/a' FILEFORMAT = AVRO VALIDATE = ALL": "Here: CREATE JOB load_t CONTENT_TYPE = AVRO AS",
    "SET s3_use_ssl = false": "S3_USE_SSL is left out: it is part of `ENDPOINT = 'http://host'`.",
    f"SET s3_access_key_id = '{KEY}'": f"Here: CREATE S3 CONNECTION my_s3 {PAIR};",
    "mc admin config set m notify_redis:1 key='x' password='y'": "No statement does that: run the command in its own",
    "aws s3tables create-table --region eu-west-1": "That is another service's: run the command in its own cell",
    "aws s3api get-object-lock-configuration --bucket lake": "No statement reads or changes the settings of a bucket",
    """aws s3api put-object --bucket lake --key a.csv --tagging '{"TagSet": [{"Key": "x", "Value": "y"}]}'""": (
        "EXPLORE 's3://lake/a.csv';"
    ),
    "SELECT parse_json($1):a.b FROM @stage/x.json": "Here: SELECT a.b FROM 's3://lake@",
    "DROP STORAGE CREDENTIAL IF EXISTS x FORCE": "DROP CONNECTION IF EXISTS x CASCADE;",
    "hadoop fs -du -s -h s3a://lake/a": "ANALYZE 's3://lake/a/';",
}


@pytest.mark.parametrize("written", CELLS)
def test_a_cell_of_another_system_is_answered_as_a_whole(written: str):
    """Its statements, names, files of settings, URIs and options of files; and nothing of its secret is shown."""
    with pytest.raises(S3ConnError) as failed:
        offline_session("lake").steps(written)
    assert CELLS[written] in failed.value.hint
    assert SECRET not in failed.value.block()


OF_JOBS = {
    "FILE_PATTERN = '.*\\.csv'": ("pathGlobFilter = '*.csv'", "match_pattern '*.csv'", r"REGEX = '.*\.csv'"),
    "START_FROM = NOW": ("includeExistingFiles = FALSE", "auto.offset.reset = 'latest'"),
    "START_FROM = BEGINNING": ("cloudFiles.includeExistingFiles = 'true'", "starting_position = 'earliest'"),
    "DELETE_FILES_AFTER_LOAD = TRUE": ("cloudFiles.cleanSource = 'DELETE'", "purge_source = 'yes'"),
    "RUN_INTERVAL = 5 MINUTES": ("schedule_interval = '5 minutes'", "trigger_minutes = 5", "poll '5m'"),
    "COMPRESSION = GZIP": ("compression_codec = 'gzip'", "source.codec = GZIP"),
}


@pytest.mark.parametrize(("ours", "written"), [(ours, each) for ours, theirs in OF_JOBS.items() for each in theirs])
def test_an_option_of_a_job_is_told_by_the_words_in_its_name(ours: str, written: str):
    """With its value: patterns as regular expressions, times with their unit, words that say when to begin."""
    cell = "CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://acme-lake/' CONTENT_TYPE = CSV {} INTO t"
    with pytest.raises(S3ConnError) as failed:
        offline_session("lake").steps(cell.format(written))
    assert failed.value.hint == f"Here: {cell.format(ours)};"
