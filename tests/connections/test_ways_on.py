"""What errors say to do: there is something in each, and what is to be typed works as it is printed."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import aws_cli
import pytest
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from corpora import read
from following import has_way_on
from hint_texts import hints_of, sampled
from statements import Statements, create

import s3conn_magic
from s3conn_magic import errors
from s3conn_magic.errors import EXTRAS, CredentialsError, S3ConnError, pip_install
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.session_settings import SETTINGS
from s3conn_magic.sandbox import ARCHIVE, EMPTY, LAKE

ROOT = Path(s3conn_magic.__file__).parent
MODULES = [
    *sorted((ROOT / "connections").glob("*.py")),
    ROOT / "handoff" / "libraries.py",
    ROOT / "objects" / "requests.py",
    ROOT / "listing" / "fetch.py",
    ROOT / "locations.py",
]
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, S3ConnError)}
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
_OPTION = re.compile(r"\b([A-Z][A-Z_]{3,}) = ('[^']*'|\([^)]*\)|TRUE|FALSE|\d+)")
_SHORT = re.compile(r"\b(SHOW BUCKETS|SHOW CONNECTIONS|DESCRIBE CONNECTION|SET \w+ = \d+)\b(?!;)")
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


def test_no_error_is_made_without_a_way_on():
    """Each place of the package where an error is made has a hint, which is not empty."""
    lacking = [
        f"{module.name}:{node.lineno}"
        for module in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _called(node) in KINDS - STOPPED and not _has_hint(node)
    ]
    assert lacking == []


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", None) or getattr(node.func, "id", "")


def _has_hint(node: ast.Call) -> bool:
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    hint = given.get("hint")
    return "hint" in given and not (isinstance(hint, ast.Constant) and not hint.value)


@pytest.mark.parametrize("kind", sorted(KINDS - STOPPED))
def test_an_error_cannot_be_made_without_one(kind):
    """A new place where an error is made has to say what to do: without it there is none."""
    with pytest.raises(TypeError, match="hint"):
        getattr(errors, kind)("it went wrong", **dict.fromkeys(NEEDED.get(kind, ()), "x"))


NEEDED = {
    "AccessDeniedError": ("action", "resource"),
    "ConnectionInUseError": ("usages",),
    "IncompleteListingError": ("rows_so_far", "reason"),
    "ThrottledError": ("attempts",),
}


@pytest.mark.parametrize("folder", ["malformed", "first_tries"])
def test_no_message_of_the_corpus_ends_without_a_way_on(folder):
    """Each cell that is refused is told what to do, in its hint or where the message itself says it."""
    lacking = []
    for case in read(folder):
        head, *rest = case.expected.split("\n")
        message = re.match(r"\w+Error: (.*)", head)
        hint = rest[-1].strip() if rest and not re.fullmatch(r"\s*(?:line \d+, column \d+|\^+)", rest[-1]) else ""
        if message and not has_way_on(message[1], hint):
            lacking.append(f"{case.file.name}: {case.title}: {head}")
    assert lacking == []


def test_there_is_something_to_look_at():
    """The patterns below find what they are to find."""
    assert min(map(len, map(_found, (_OPTION, _SHORT, _VARIABLE, _METHOD)))) >= 2


HINTS = sorted({hint for module in ROOT.rglob("*.py") for hint in hints_of(module)})
# What stands in the place of a value of a hint, by its expression.
SAMPLES = {
    r"catalog": "'glue'",
    r"job": "load_orders",
    r"near": "LIST",
    r"\burl\b|right|endpoint": "'{endpoint}'",
    r"literal\(|location|LOCATION": f"'s3://{EMPTY}/'",
    r"table|\bself\.name": "orders",
    r"name|connection|altered|of\b": "lake",
}
_PROSE = re.compile(r" (?:replaces|keeps|uses|shows|says|runs) ")
_WHOLE = re.compile(rf"(?<![A-Za-z'_(])(?:{_VERBS}|HELP|DROP|RUN|RESUME|DISCOVER) (?:[^;.…']|'[^']*')*;")


def _of_hints() -> list[str]:
    found = {match[0] for hint in HINTS for match in _WHOLE.finditer(sampled(hint, SAMPLES))}
    return sorted(text.replace("JOB lake", "JOB load_orders") for text in found if not _PROSE.search(text))


@pytest.mark.parametrize("statement", _of_hints())
def test_a_statement_of_a_hint_runs(sandbox, monkeypatch, tmp_path, statement):
    """Whatever ends in a semicolon runs as it is printed, where there is what it names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", sandbox.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", sandbox.admin.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", sandbox.admin.secret_access_key.reveal())
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    if re.search("orders|CASCADE", statement):
        run("CREATE TABLE orders (id BIGINT)")
        run(f"CREATE JOB load_orders AS COPY FROM S3 lake LOCATION = 's3://{LAKE}/sales/customers.csv' INTO others")
    text = statement.replace("{endpoint}", sandbox.endpoint).replace("s3://bucket/", f"s3://{LAKE}/")
    run(text.replace("RESUME JOB", "PAUSE JOB load_orders; RESUME JOB"))


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


def in_a_terminal(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a command, with an `aws` on its path that takes what the CLI takes."""
    aws_cli.put_on_path(folder)
    path = os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1"}
    return subprocess.run(
        ["sh", "-c", command], env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_each_command_in_a_hint_is_in_backticks_and_has_a_test():
    """So it is seen where it ends: those of the AWS CLI, pip and chmod are run by a test, dask's are its own."""
    commands = {command for hint in HINTS for command in re.findall(r"`([^`]* [^`]*)`", hint)}
    aws = {command for command in commands if command.startswith(("aws ", "{_LOGINS[login]} "))}
    dask = {entry.name for entry in importlib.metadata.entry_points(group="dask_cli")}
    assert len(aws) >= 4
    assert commands - aws - {f"dask {name}" for name in dask} - {"dask worker tcp://…", "-- text"} == {
        "chmod go-w {shlex.quote(source.file)}",
        "pip install awscrt",
        "python -m s3conn_magic.sandbox",
    }
    assert {"scheduler", "worker"} <= dask
    bare = re.compile(r"(?<!`)\b(?:aws (?:sso|sts|configure|login)|chmod|python -m) .* ")
    assert not [hint for hint in HINTS if bare.search(hint)]


def test_the_sandbox_s_own_command_runs():
    """What says why the sandbox does not start says where it is where it does."""
    command = [sys.executable, "-m", "s3conn_magic.sandbox"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline().startswith("http://127.0.0.1:")
        child.stdin.close()


def test_the_programs_of_tests_refuse_what_the_cli_does(aws_files, tmp_path):
    """An unknown command, option or profile, or a parameter that is missing, ends with a status that is not 0."""
    aws_files[0].write_text("[profile p]\nregion = eu-west-1\n", encoding="utf-8")
    wrong = ["sso logon", "login --profil p", "sts get-caller-identity --profile q", "sts assume-role", "s4 ls"]
    assert not [command for command in wrong if in_a_terminal(f"aws {command}", tmp_path).returncode == 0]


# What needs a command in a terminal: the profile, by its name.
IN_A_TERMINAL = {
    "SSO without a login": "sso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n",
    "SSO without a login, the old way": "sso_start_url = https://x\nsso_region = us-east-1\nsso_account_id = 1\n"
    "sso_role_name = r\n",
    "MFA where nobody can be asked": "role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = {name}\n"
    "mfa_serial = arn:aws:iam::123456789012:mfa/me\naws_access_key_id = A\naws_secret_access_key = b\n",
    "no such profile": None,
}
PROFILES = ["p", "it's mine", "ünï", "a$HOME;b&c"]


@pytest.mark.parametrize("wrong", IN_A_TERMINAL)
def test_a_command_of_a_hint_runs_as_it_is_printed(aws_files, tmp_path, monkeypatch, wrong):
    """A shell runs it, and the AWS CLI takes its arguments, whatever the profile is called."""

    def nobody(_):
        raise EOFError

    monkeypatch.setattr("getpass.getpass", nobody)
    session = "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://x\n"
    commands = []
    for name in PROFILES:
        profile = f"[profile {shlex.quote(name)}]\n{IN_A_TERMINAL[wrong]}".format(name=name)
        aws_files[0].write_text(session + profile * (IN_A_TERMINAL[wrong] is not None), encoding="utf-8")
        failed = Statements().fails(create("lake", AWS_PROFILE=name), CredentialsError)
        (command,) = re.findall(r"`([^`]+)`", failed.hint)
        commands.append(command)
        done = in_a_terminal(command, tmp_path)
        assert done.returncode == 0, (command, done.stderr)
    assert len(set(commands)) == (1 if wrong == "no such profile" else len(PROFILES))


def test_what_a_hint_has_pip_install_can_be_installed(tmp_path):
    """Pip itself takes each list of packages as it is printed, quoted for a shell, and finds each extra in them."""
    for extra in EXTRAS:
        command = pip_install(extra, here=False)
        assert shlex.split(command)[:2] == ["pip", "install"]
        assert pip_install(extra) in {command, f"%{command}"}
    every = " ".join(pip_install(extra, here=False).removeprefix("pip install") for extra in EXTRAS)
    done = in_a_terminal(f"python -m pip install{every}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "does not provide the extra" not in done.stderr + done.stdout
    assert "awscrt" in " ".join(importlib.metadata.requires("botocore") or ())


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
