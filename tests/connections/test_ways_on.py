"""What errors of access say to do: there is something in each, and what is to be typed works as it is printed."""

from __future__ import annotations

import ast
import importlib.metadata
import re
from pathlib import Path

import pytest
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.session import Session
from statements import Statements, create

import s3conn_magic
from s3conn_magic import errors
from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.session_settings import SETTINGS
from s3conn_magic.language.source import Source
from s3conn_magic.sandbox.identities import ARCHIVE, LAKE

ROOT = Path(s3conn_magic.__file__).parent
MODULES = [
    *sorted((ROOT / "connections").glob("*.py")),
    ROOT / "handoff" / "libraries.py",
    ROOT / "objects" / "requests.py",
    ROOT / "listing" / "fetch.py",
    ROOT / "locations.py",
]
HINTED = [
    *MODULES,
    *(path for folder in ("handoff", "objects", "listing") for path in sorted((ROOT / folder).glob("*.py"))),
]
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, S3ConnError)}
# Where the error of another is passed on, or made with its message.
PASSED_ON = {
    ("requests.py", "EndpointError(str(failure))"),
    ("apart.py", "QueryError(visible(str(error)))"),
    ("apart.py", "QueryError(f'the object has something that cannot be read ({said})')"),
}
# Said when Python itself ends, where the way on is in the message.
AT_THE_END = "was not closed"
# What the user, or the end of a query, has stopped needs no way on.
STOPPED = {"StatementInterrupted", "ListingInterrupted"}
# What stands in the place of a value.
_SAMPLES = {
    "location": "'s3://bucket/'",
    "url": "'https://s3.example.com'",
    "right": "'https://s3.example.com'",
    "name": "lake",
    "library": "polars",
}
_VERBS = "SHOW|LIST|PREVIEW|DESCRIBE|TEST|ALTER|CREATE|USE|SET|START|EXPLAIN"
_STATEMENT = re.compile(rf"(?<![A-Za-z'_(])(?:{_VERBS}) [^;.…]*;")
_OPTION = re.compile(r"\b([A-Z][A-Z_]{3,}) = ('[^']*'|\([^)]*\)|TRUE|FALSE|\d+)")
_SHORT = re.compile(r"\b(SHOW BUCKETS|SHOW CONNECTIONS|DESCRIBE CONNECTION|SET \w+ = \d+)\b(?!;)")
_COMMAND = re.compile(r"\b(aws (?:configure|sso|sts) [a-z-]+|pip install [\w'\[\],-]+)")
_VARIABLE = re.compile(r"\b((?:AWS|HTTPS?|NO|REQUESTS|SSL)_[A-Z_]*[A-Z])\b")
_METHOD = re.compile(r"\b(fsspec|pyarrow_filesystem|obstore|storage_options|portable|client|session)\(")


def _texts(module: Path) -> list[str]:
    """Texts of a module but its docstrings, with a sample in the place of each value."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts.append("".join(map(_sample, node.values)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | inner:
            texts.append(node.value)
    return [text for text in texts if " " in text]


def _sample(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    written = ast.unparse(part)
    if "region" in written:
        return "'eu-west-1'"
    if "literal(" in written:
        return "'s3://bucket/key'" if "where" in written or "uri" in written else "'https://s3.example.com'"
    return next((sample for name, sample in _SAMPLES.items() if re.search(rf"\b{name}\b", written)), "x")


TEXTS = sorted({text for module in MODULES for text in _texts(module)})


def _found(pattern: re.Pattern[str]) -> list[str]:
    return sorted({match[0] for text in TEXTS for match in pattern.finditer(text)})


def test_no_error_of_access_is_without_a_way_on():
    """Each place where an error of access is made says what to do."""
    lacking = []
    for module in HINTED:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            name = node.func if isinstance(node, ast.Call) else None
            called = getattr(name, "attr", None) or getattr(name, "id", "")
            if called in KINDS - STOPPED and not any(keyword.arg == "hint" for keyword in node.keywords):
                written = ast.unparse(node)
                lacking += [(module.name, written)] * (AT_THE_END not in written)
    assert set(lacking) <= PASSED_ON


def test_there_is_something_to_look_at():
    """The patterns below find what they are to find."""
    assert min(map(len, map(_found, (_STATEMENT, _OPTION, _SHORT, _COMMAND, _VARIABLE, _METHOD)))) >= 2


@pytest.mark.parametrize("statement", _found(_STATEMENT))
def test_a_statement_of_a_hint_is_one(statement):
    """Whatever ends in a semicolon parses as it is printed."""
    assert parse(Source(statement))


# What fails on the sandbox, as statements that follow one another.
FAILING = [
    f"LIST 's3://{LAKE}-elsewhere/'",
    f"PREVIEW 's3://{LAKE}/nothing/here.csv'",
    f"PREVIEW 's3://{LAKE}/sales'",
    f"PREVIEW 's3://{LAKE}/it''s'",
    f"PREVIEW 's3://{ARCHIVE}/contracts/expired.txt'",
    f"PREVIEW 's3://{ARCHIVE}/contracts/expired.txt?versionId=none'",
    f"SELECT * FROM 's3://{LAKE}/nothing/here.csv'",
    f"SELECT * FROM 's3://{LAKE}/nothing/*.csv'",
    f"LIST 'https://{LAKE}.s3.amazonaws.com/sales/'",
    f"CREATE JOB j AS COPY FROM S3 lake LOCATION = 's3://{LAKE}/nothing/' INTO t",
    "ALTER S3 CONNECTION lake SET READ_ONLY = TRUE",
    "ALTER S3 CONNECTION laek SET COMMENT = 'x'",
    "DROP CONNECTION nobody",
    "DESCRIBE CONNECTION nobody",
    "SHOW JOB nothing ERRORS",
    "LIST FROM INVENTORY 's3://acme-lake/nothing/'",
]
_TYPED = re.compile(rf"(?<![A-Za-z'_(])(?:{_VERBS}|DROP|RUN|DISCOVER) (?:[^;.…']|'(?:[^']|'')*'|\.(?! ))*;")


@pytest.mark.parametrize("failing", FAILING)
def test_what_an_error_says_to_type_runs(sandbox, monkeypatch, failing):
    """Each error has a way on, and each statement in it runs as it is printed, in the session that failed."""
    monkeypatch.setattr("getpass.getpass", lambda _: sandbox.admin.secret_access_key.reveal())
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    failed = run.fails(failing)
    assert failed.hint
    for statement in _TYPED.findall(f"{failed.hint} {' '.join(failed.notes)}"):
        run(statement)


@pytest.mark.parametrize("statement", _found(_SHORT))
def test_a_short_statement_of_a_hint_runs(sandbox, statement):
    """What is named without a semicolon runs, with the connection's name where it wants one."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    run(f"{statement} lake" if statement == "DESCRIBE CONNECTION" else statement)


@pytest.mark.parametrize("option", _found(_OPTION))
def test_an_option_of_a_hint_is_taken(option):
    """An option with a value is one that CREATE or SET takes, with that value."""
    name, _, value = option.partition(" = ")
    run = Statements()
    if name in {setting.name for setting in SETTINGS}:
        run(f"SET {option}")
        return
    assert name in OPTION_NAMES
    run(f"CREATE S3 CONNECTION x {name} = {value.replace('…', 'an-id')} {_beside(name)} VALIDATE = FALSE")


def _beside(name: str) -> str:
    if name == "VALIDATE":
        return "--"
    if name == "EXTERNAL_ID":
        return "AWS_ROLE = 'arn:aws:iam::123456789012:role/r'"
    return ""


@pytest.mark.parametrize("command", _found(_COMMAND))
def test_a_command_of_a_hint_is_one(command):
    """A package is one that we or botocore name; a command of the AWS CLI is an operation, or one of its own."""
    program, verb, *rest = command.split()
    if program == "pip":
        wanted = re.match(r"[\w-]+", rest[0].strip("'"))[0] if rest else ""
        known = " ".join(importlib.metadata.requires("botocore") or ())
        known += " ".join(importlib.metadata.requires("s3conn_magic") or ())
        assert verb == "install"
        assert wanted == "x" or wanted in known
        return
    own = {"configure": {"list-profiles", "list"}, "sso": {"login", "logout"}}
    operations = Session().get_service_model("sts").operation_names
    names = {re.sub(r"(?<=[a-z])(?=[A-Z])", "-", operation).lower() for operation in operations}
    assert rest[0] in own.get(verb, names)


KNOWN_VARIABLES = {each[1] for each in BOTOCORE_DEFAUT_SESSION_VARIABLES.values() if isinstance(each[1], str)}
KNOWN_VARIABLES |= set(OPTION_NAMES) | {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
}


@pytest.mark.parametrize("variable", _found(_VARIABLE))
def test_a_variable_of_a_hint_is_read(variable):
    """A variable is one that botocore, aiohttp or this package reads."""
    assert variable in KNOWN_VARIABLES


@pytest.mark.parametrize("method", _found(_METHOD))
def test_a_method_of_a_hint_is_one(sandbox, method):
    """What is called on a connection is there."""
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    assert callable(getattr(run.connection("lake"), method.rstrip("(")))
