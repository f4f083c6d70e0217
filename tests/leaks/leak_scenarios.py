"""Every statement in every outcome, as cells of a notebook that hold secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leak_patterns import SECRETS
from leak_server import BUCKET, KEY, MANIFEST

from s3conn_magic.language.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

MODES = {"STS refused": "refuse sts", "403": "refuse", "timeout": "hang", "cut response": "cut", "interrupt": "hang"}
"""What the server does in an outcome that comes from it."""
EXPECTED = {
    "success": set(),
    "syntax error": {"StatementSyntaxError", "QueryError"},
    "string without end": {"StatementSyntaxError"},
    "bind error": {"BindError"},
    "foreign statement": {"StatementSyntaxError", "BindError", "QueryError"},
    "foreign, explained": {"StatementSyntaxError", "BindError", "QueryError"},
    "foreign, accepted": {"StatementSyntaxError", "BindError", "QueryError", "EndpointError"},
    "STS refused": {"AccessDeniedError", "CredentialsError"},
    "403": {"AccessDeniedError", "CredentialsError"},
    "timeout": {"EndpointError", "IncompleteListingError", "InventoryError"},
    "cut response": {"EndpointError", "IncompleteListingError", "InventoryError", "S3ConnError"},
    "interrupt": {"StatementInterrupted", "ListingInterrupted"},
    "internal error": {"InternalError"},
}
"""Names of the errors that an outcome may show."""


def sql(text: str) -> str:
    """A text as a literal of the language."""
    return "'" + text.replace("'", "''") + "'"


_SECRET, _TOKEN, _KEY = (sql(SECRETS[one]) for one in ("secret key", "session token", "SSE-C key"))
SET_SECRETS = f"AWS_SECRET_ACCESS_KEY = {_SECRET} AWS_SESSION_TOKEN = {_TOKEN} ENCRYPTION_CUSTOMER_MANAGED_KEY = {_KEY}"
_HOLDING = f"ALTER S3 CONNECTION vault SET {SET_SECRETS} VALIDATE = FALSE;\n"
_MISSPELT = f";\nCREATE S3 CONNECTION z AWS_SECRET_KEY = {sql(SECRETS['after a misspelt option'])}"
_OPEN = "'" + SECRETS["in a string without end"]
_LOCATION = f"'s3://{BUCKET}/folder/'"
_NEW = f"AWS_ACCESS_KEY_ID = 'AKIAEXAMPLE' {SET_SECRETS} ENDPOINT = $endpoint REGION = 'us-east-1'"

_OBJECT = f"read_csv('s3://{{name}}@{BUCKET}/{KEY}')"
_JOB = f"CREATE JOB made CONTENT_TYPE = CSV AS COPY FROM S3 {{name}} LOCATION = {_LOCATION} INTO copied"
_GONE = "DROP MATERIALIZED VIEW IF EXISTS seen"
_MADE = f"DROP JOB IF EXISTS made; {_JOB}"

_TABLE = "CREATE OR REPLACE TABLE made_too AS SELECT 1 AS a"
_IN_S3 = f"""CREATE OR REPLACE TABLE far (a BIGINT) STORAGE_CONNECTION = {{name}}
    STORAGE_LOCATION = 's3://{BUCKET}/far/'"""

STATEMENTS = {
    "CREATE S3 CONNECTION": f"CREATE OR REPLACE S3 CONNECTION made {_NEW}",
    "ALTER S3 CONNECTION": f"ALTER S3 CONNECTION {{name}} SET {SET_SECRETS}",
    "DROP CONNECTION": f"CREATE OR REPLACE S3 CONNECTION spare {_NEW} VALIDATE = FALSE; DROP CONNECTION spare",
    "SHOW CONNECTIONS": "SHOW CONNECTIONS LIKE '%'",
    "DESCRIBE CONNECTION": "DESCRIBE CONNECTION {name}",
    "SHOW CREATE S3 CONNECTION": "SHOW CREATE S3 CONNECTION {name}",
    "TEST CONNECTION": f"TEST CONNECTION {{name}} LOCATION {_LOCATION} WITH WRITE",
    "USE CONNECTION": "USE CONNECTION {name}",
    "SHOW BUCKETS": "SHOW BUCKETS USING {name}",
    "LIST": f"LIST {_LOCATION} USING {{name}} RECURSIVE LIMIT 10",
    "LIST FROM INVENTORY": f"LIST FROM INVENTORY 's3://{BUCKET}/{MANIFEST}' USING {{name}}",
    "EXPLORE": f"EXPLORE {_LOCATION} USING {{name}}",
    "EXPLORE ALL CONNECTIONS": "EXPLORE ALL CONNECTIONS",
    "DISCOVER": f"DISCOVER {_LOCATION} USING {{name}}",
    "COMPARE": f"COMPARE {_LOCATION} USING {{name}} WITH {_LOCATION} USING {{name}}",
    "ANALYZE": f"ANALYZE {_LOCATION} USING {{name}} BY EXTENSION",
    "PREVIEW": f"PREVIEW 's3://{BUCKET}/{KEY}' USING {{name}} LIMIT 5",
    "CREATE JOB": _MADE,
    "CREATE MATERIALIZED VIEW": f"{_GONE}; CREATE MATERIALIZED VIEW seen AS FROM {_OBJECT}",
    "RUN JOB": f"{_MADE}; RUN JOB made",
    "RUN JOBS": f"{_MADE}; RUN JOBS",
    "ALTER JOB": f"{_MADE}; ALTER JOB made SET COMMENT = 'x'",
    "PAUSE JOB": f"{_MADE}; PAUSE JOB made",
    "RESUME JOB": f"{_MADE}; RESUME JOB made",
    "SHOW CREATE JOB": f"{_MADE}; SHOW CREATE JOB made",
    "SHOW CREATE TABLE": "CREATE OR REPLACE TABLE made_too AS SELECT 1; SHOW CREATE TABLE made_too",
    "SHOW JOBS": "SHOW JOBS",
    "SHOW JOB": f"{_MADE}; SHOW JOB made ERRORS",
    "DROP JOB": f"{_MADE}; DROP JOB made",
    "DROP MATERIALIZED VIEW": _GONE,
    "SELECT": f"SELECT * FROM {_OBJECT}",
    "DESCRIBE": f"DESCRIBE SELECT * FROM {_OBJECT}",
    "SUMMARIZE": f"SUMMARIZE SELECT * FROM {_OBJECT}",
    "EXPLAIN ANALYZE": f"EXPLAIN ANALYZE SELECT * FROM {_OBJECT}",
    "CREATE TABLE": f"CREATE OR REPLACE TABLE made_too AS SELECT * FROM {_OBJECT}",
    "DROP TABLE": "CREATE OR REPLACE TABLE made_too AS SELECT 1; DROP TABLE made_too",
    "INSERT INTO": f"{_TABLE}; INSERT INTO made_too SELECT 2",
    "MERGE INTO": f"{_TABLE}; MERGE INTO made_too USING (SELECT 1) s(b) ON a = b WHEN MATCHED THEN DELETE",
    "ALTER TABLE": f"{_IN_S3}; ALTER TABLE far SET COMMENT = 'x'",
    "OPTIMIZE TABLE": f"{_IN_S3}; OPTIMIZE TABLE far",
    "SHOW SNAPSHOTS": f"{_IN_S3}; SHOW SNAPSHOTS far",
    "SHOW TABLES": "SHOW TABLES",
    "EXPLAIN": f"EXPLAIN LIST {_LOCATION} USING {{name}}",
    "SAVE CONNECTIONS": "SAVE OR REPLACE CONNECTIONS TO 'saved.usql'",
    "SET": "SET PROGRESS = FALSE",
    "SHOW SETTINGS": "SHOW SETTINGS",
    "START SANDBOX": "START SANDBOX",
    "STOP SANDBOX": "STOP SANDBOX",
    "HELP": "HELP AWS_SECRET_ACCESS_KEY",
}
OF_A_TABLE = {"ALTER TABLE", "OPTIMIZE TABLE", "SHOW SNAPSHOTS"}
"""Statements about a table in S3, which the server of the matrix does not keep: they end in an error."""
ASKING = {"CREATE S3 CONNECTION", "ALTER S3 CONNECTION", "TEST CONNECTION", "SHOW BUCKETS"}
ASKING |= {"LIST", "LIST FROM INVENTORY", "EXPLORE", "ANALYZE", "PREVIEW", "CREATE JOB", "SELECT", "CREATE TABLE"}
"""Statements that send requests, and can therefore go wrong by the server."""
CONNECTIONS = ("vault", "asked", "role")

# Statements of others, with secrets where those have them; what is no secret there reaches nobody.
_PLACE = "ENDPOINT '127.0.0.1:9', USE_SSL false, REGION 'us-east-1'"
_OF_DUCKDB = f"KEY_ID 'AKIAEXAMPLE', SECRET {_SECRET}, SESSION_TOKEN {_TOKEN}, {_PLACE}"
_OF_SNOWFLAKE = f"AWS_KEY_ID = 'AKIAEXAMPLE' AWS_SECRET_KEY = {_SECRET} AWS_TOKEN = {_TOKEN}"
FOREIGN = (
    f"CREATE OR REPLACE SECRET theirs (TYPE s3, {_OF_DUCKDB})",
    f"CREATE PERSISTENT SECRET theirs IN local_file (TYPE S3, PROVIDER config, {_OF_DUCKDB}, SCOPE 's3://{BUCKET}')",
    f"SET s3_secret_access_key = {_SECRET}",
    f"CREATE STAGE theirs URL = 's3://{BUCKET}/' CREDENTIALS = ({_OF_SNOWFLAKE}) ENCRYPTION = (MASTER_KEY = {_KEY})",
    f"COPY t FROM 's3://{BUCKET}/{KEY}' ACCESS_KEY_ID 'AKIAEXAMPLE' SECRET_ACCESS_KEY {_SECRET} SESSION_TOKEN {_TOKEN}",
    f"CREATE S3 CONNECTION theirs KEY_ID = 'AKIAEXAMPLE' SECRET = {_SECRET} TOKEN = {_TOKEN} SSE_C_KEY = {_KEY}",
    f"CREATE STORAGE CREDENTIAL theirs WITH (ACCESS_KEY = 'AKIAEXAMPLE', SECRET_KEY = {_SECRET})",
    f"SET fs.s3a.secret.key = {_SECRET}",
    f"CREATE PEER theirs FROM S3 WITH (url = 's3://{BUCKET}/', access_key_id = 'AKIAEXAMPLE', secret_key = {_SECRET})",
    f"SET theirs.s3.secret_key TO {_SECRET}",
    f"CALL theirs.create_catalog('theirs', MAP(ARRAY['s3.access-key', 's3.secret-key'], ARRAY['A', {_SECRET}]))",
    f"theirs --s3-access-key-id AKIAEXAMPLE --s3-secret-access-key {_SECRET} ls s3://{BUCKET}/",
    f"SELECT * FROM s3('https://{BUCKET}.s3.amazonaws.com/{KEY}', 'AKIAEXAMPLE', {_SECRET}, 'CSV')",
)


@dataclass(frozen=True)
class Scenario:
    """One cell: `mode` is what the server does, `answers` what the user types."""

    statement: str
    outcome: str
    cell: str
    mode: str = "ok"
    answers: tuple[str, ...] = ()


def setup() -> Iterator[Scenario]:
    """The cells that make the connections: by literals, by PROMPT and KEYRING, and by a role."""
    source = "AWS_SECRET_ACCESS_KEY = PROMPT 'the key' AWS_SESSION_TOKEN = KEYRING 'leaks' 'token'"
    asked = f"AWS_ACCESS_KEY_ID = 'AKIAASKED' {source} ENDPOINT = $endpoint REGION = 'us-east-1'"
    role = f"{_NEW} AWS_ROLE = 'arn:aws:iam::123456789012:role/leak'"
    name = "CREATE S3 CONNECTION"
    for text, answers in (
        (f"{name} vault {_NEW}", ()),
        (f"{name} asked {asked}", (SECRETS["prompt value"],)),
        (f"{name} role {role}", ()),
    ):
        yield Scenario(name, "success", f"%%upsql\n{text}", answers=answers)


def all_scenarios() -> Iterator[Scenario]:
    """Every statement in every outcome that it can have."""
    for statement in STATEMENTS:
        yield from _local(statement)
    for text in FOREIGN:
        named = "CREATE S3 CONNECTION"
        yield Scenario(named, "foreign statement", f"%%upsql\n{text}")
        yield Scenario(named, "foreign statement", f"%upsql {text}")
        yield Scenario(named, "foreign, explained", f"%%upsql\nEXPLAIN {text}")
        yield Scenario(named, "foreign, accepted", f"%%upsql\nSET DIALECT = 'accept';\n{text}")
        yield Scenario("SET", "success", "%%upsql\nSET DIALECT = 'off'")
    for statement in STATEMENTS:
        for outcome, mode in MODES.items():
            if statement in ASKING:
                yield from _asking(statement, outcome, mode)


def _local(statement: str) -> Iterator[Scenario]:
    for name in CONNECTIONS if "{name}" in STATEMENTS[statement] else CONNECTIONS[:1]:
        text = STATEMENTS[statement].replace("{name}", name)
        yield Scenario(statement, "success", f"%%upsql\n{_HOLDING}{text}")
    text = STATEMENTS[statement].replace("{name}", "vault")
    yield Scenario(statement, "bind error", f"%%upsql\n{_HOLDING}{text}{_MISSPELT}")
    yield Scenario(statement, "bind error", f"x = %upsql {text}{_MISSPELT}".replace("\n", " "))
    yield Scenario(statement, "internal error", f"%%upsql\n{text}")
    for token in Source(text).tokens:
        if token.kind != "space":
            before, after = text[: token.span.start], text[token.span.end :]
            yield Scenario(statement, "syntax error", f"%%upsql\n{_HOLDING}{before}?!{after}")
            yield Scenario(statement, "string without end", f"%%upsql\n{_HOLDING}{before}{_OPEN}")


def _asking(statement: str, outcome: str, mode: str) -> Iterator[Scenario]:
    name = "role" if outcome == "STS refused" else "vault"
    text = STATEMENTS[statement].replace("{name}", name)
    if statement == "CREATE S3 CONNECTION" and name == "role":
        text += " AWS_ROLE = 'arn:aws:iam::123456789012:role/leak'"
    # An ALTER lets go of clients and of the role's credentials, so that the statement asks anew.
    first = _HOLDING.replace("vault", name)
    yield Scenario(statement, outcome, f"%%upsql\n{first}{text}", mode)


def short() -> list[Scenario]:
    """A few cells in which each of the sinks takes part."""
    kept = {("SHOW CONNECTIONS", "success"), ("EXPLORE", "success"), ("DESCRIBE CONNECTION", "bind error")}
    return [one for one in all_scenarios() if (one.statement, one.outcome) in kept and "asked" not in one.cell]
