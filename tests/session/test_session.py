"""The session: defaults, dependents, several statements, the sandbox, and use from scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from statements import Statements, create

from s3conn_magic.connections.registry import Registry
from s3conn_magic.errors import (
    BindError,
    ConnectionExistsError,
    ConnectionInUseError,
    ConnectionNotFoundError,
    EndpointError,
)
from s3conn_magic.language.plans import Usage
from s3conn_magic.locations import Location
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

REPOSITORY = Path(__file__).parents[2]
KEYS = Keys("AKIAONE", Secret("one-secret"))
NOWHERE = {"ENDPOINT": "http://127.0.0.1:9", "VALIDATE": False}


@pytest.fixture
def run():
    """A session with the unprobed connections `one` and `two`."""
    statements = Statements()
    statements(f"{create('one', keys=KEYS, **NOWHERE)};\n{create('two', keys=KEYS, **NOWHERE)}")
    return statements


# Which connection


def test_a_second_connection_breaks_nothing(run):
    """Statements that name no connection go on through the one that was made first, which is said once."""
    for statement in ("SHOW BUCKETS", "LIST 's3://lake/'", "SELECT * FROM 's3://lake/x.csv'"):
        run.fails(statement, EndpointError)
    assert run.session.connections.chosen().name == "one"
    (note,) = [note for note in run.notes if "created first" in note]
    assert "outside every display filter, one is used" in note


@pytest.mark.parametrize("key", ["x.csv", "*.csv"])
def test_display_filters_say_which_connection_a_path_is_of(run, key):
    """A path that one connection's filters hold is read through it; where two hold it, the error has both."""
    connections, place = run.session.connections, Location.parse(f"s3://lake/a/{key}")
    run(create("third", keys=KEYS, PATH_DISPLAY_FILTERS="s3://lake/a/", **NOWHERE))
    assert connections.chosen(place).name == "third"
    run(create("fourth", keys=KEYS, PATH_DISPLAY_FILTERS="s3://lake/", **NOWHERE))
    error = run.fails(f"SELECT * FROM 's3://lake/a/{key}'", ConnectionNotFoundError)
    assert f"the display filters of third and fourth hold s3://lake/a/{key}" in error.message
    assert error.hint == f"Write 's3://third@lake/a/{key}', or 's3://fourth@lake/a/{key}'."
    run.fails(f"SELECT * FROM 's3://fourth@lake/a/{key}'", EndpointError)
    assert not [note for note in run.notes if "created first" in note]


def test_use_sets_the_default_for_the_rest_of_the_cell_too(run):
    """USE counts from its own statement on, survives a RENAME, and ends with DROP."""
    run.fails("USE CONNECTION two; SHOW BUCKETS", EndpointError)
    assert run.session.connections.default == "two"
    run("ALTER S3 CONNECTION two RENAME TO second")
    assert run.session.connections.default == "second"
    run(create("third", keys=KEYS, **NOWHERE))
    run("DROP CONNECTION second")
    assert run.session.connections.default is None
    assert run.session.connections.chosen().name == "one"
    run("DROP CONNECTION third")
    run.fails("SHOW BUCKETS", EndpointError)


def test_no_connection_is_said_with_what_to_do():
    """Without any connection the error names the statements that make one."""
    error = Statements().fails("SHOW BUCKETS", ConnectionNotFoundError)
    assert "CREATE S3 CONNECTION" in error.hint
    assert "START SANDBOX" in error.hint


def test_names_have_no_case(run):
    """A name is found in any case, quoted or not, and kept as it was written; a taken one is an error."""
    assert run.connection("ONE").name == "one"
    assert run('DESCRIBE CONNECTION "ONE"') is not None
    error = run.fails(create("ONE", keys=KEYS, **NOWHERE), ConnectionExistsError)
    assert "OR REPLACE" in error.hint
    assert "IF NOT EXISTS" in error.hint
    run("ALTER S3 CONNECTION one RENAME TO ONE")
    assert run.connections == ["ONE", "two"]
    run.fails("ALTER S3 CONNECTION one RENAME TO TWO", ConnectionExistsError)
    text = create("one", keys=KEYS, **NOWHERE).replace("CONNECTION", "CONNECTION IF NOT EXISTS")
    assert str(run(text)).startswith("Operation resulted in no change")


# Dependents


@pytest.fixture
def used(run):
    """`one` with a table and a job that depend on it."""
    run.session.connections.depend("one", Usage("table", "orders"))
    run.session.connections.depend("ONE", Usage("job", "load_orders"))
    return run


def test_drop_is_refused_while_something_depends(used):
    """DROP names each table and job and the statement that drops it, and changes nothing."""
    error = used.fails("DROP CONNECTION one", ConnectionInUseError)
    assert error.message == "Cannot delete connection due to usages: orders load_orders"
    assert error.usages == ("orders", "load_orders")
    assert error.notes == ("table orders: DROP TABLE orders;", "job load_orders: DROP JOB load_orders;")
    assert "CASCADE" in error.hint
    assert used.connections == ["one", "two"]


def test_cascade_drops_what_depends(used):
    """DROP … CASCADE goes through and names what went with the connection."""
    assert str(used("DROP CONNECTION one CASCADE")) == (
        "The connection one was dropped with table orders, job load_orders."
    )
    assert used.session.connections.usages("one") == ()


def test_dependents_stay_with_a_replaced_or_renamed_connection(used):
    """OR REPLACE and RENAME keep what depends on the connection."""
    used(create("One", keys=KEYS, **NOWHERE).replace("CREATE", "CREATE OR REPLACE"))
    used("ALTER S3 CONNECTION one RENAME TO uno")
    assert used.fails("DROP CONNECTION uno", ConnectionInUseError).usages == ("orders", "load_orders")
    for usage in used.session.connections.usages("uno"):
        used.session.connections.release(usage)
    used("DROP CONNECTION uno")


def test_the_registry_suggests_the_nearest():
    """A name that is nearly one of the session's is answered with it."""
    run = Statements()
    run(create("warehouse", keys=KEYS, **NOWHERE))
    with pytest.raises(ConnectionNotFoundError) as failed:
        run.connection("warehose")
    assert failed.value.hint == "Did you mean warehouse?"
    with pytest.raises(ConnectionNotFoundError):
        Registry().get("x")


# Several statements


def test_statements_see_those_before_them():
    """A cell may create, rename, use and drop one connection."""
    run = Statements()
    cell = f"""
        {create("a", keys=KEYS, **NOWHERE)};;
        ALTER S3 CONNECTION a RENAME TO b; USE CONNECTION b;
        DESCRIBE CONNECTION b;
        DROP CONNECTION b;
    """
    assert [type(one).__name__ for one in run.all(cell)] == ["Card", "Message", "Message", "ReferenceFrame", "Message"]
    assert run.connections == []


def test_a_bad_glob_is_found_before_anything_runs(run):
    """MATCHING that is no glob is refused at its place before the first statement."""
    error = run.fails("DROP CONNECTION one;\nLIST 's3://bucket/' USING two MATCHING '[z-'", BindError)
    assert (error.place.line, error.place.column) == (2, 40)
    assert run.connections == ["one", "two"]


def test_results_come_as_statements_end(run):
    """Each statement runs when its result is asked for; those not asked for don't."""
    results = run.session.run("DROP CONNECTION one; DROP CONNECTION two")
    next(results)
    results.close()
    assert run.connections == ["two"]


@pytest.mark.parametrize(
    ("count", "note"),
    [
        (1, ()),
        (2, ("Statement 2 of 2 failed; the one before it is done.",)),
        (4, ("Statement 2 of 4 failed; the one before it is done, those after it did not run.",)),
    ],
)
def test_an_error_says_which_statement_failed(run, count, note):
    """In a cell of several statements the error says which one failed and what that means for the others."""
    cell = ["SHOW CONNECTIONS", "SHOW BUCKETS USING one", "HELP", "HELP"][: count if count > 1 else None]
    text = "SHOW BUCKETS USING one" if count == 1 else "; ".join(cell)
    assert run.fails(text, EndpointError).notes == note


# The sandbox


def test_the_sandbox_starts_and_stops():
    """START SANDBOX makes the connection `sandbox`, again it is replaced; STOP SANDBOX drops it and ends the server."""
    run = Statements()
    card, frame = run.all("START SANDBOX; SHOW BUCKETS")
    assert card.title == "S3 connection sandbox created"
    assert len(frame) == 6
    endpoint = run.connection("sandbox").settings.endpoint
    run("START SANDBOX")
    assert run.connection("sandbox").settings.endpoint == endpoint
    assert str(run("STOP SANDBOX")) == "The sandbox was stopped."
    assert run.connections == []
    assert str(run("STOP SANDBOX")) == "The sandbox is not running."
    text = create("late", keys=KEYS, ENDPOINT=endpoint)
    run.fails(text, EndpointError)


# Scripts


def script(text, **environment):
    """Run a program with this package; its output, after it ended by itself."""
    return subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


_TOUR = """
import pandas
import s3conn_magic as s
where = "s3://acme-lake/sales/"
card = s.execute("START SANDBOX")
print(type(card).__name__, s.execute(""), s.execute("-- nothing;"))
files = s.execute("SHOW BUCKETS; LIST $where")
print(isinstance(files, pandas.DataFrame), list(files["key"]))
print(s.execute("DROP CONNECTION IF EXISTS nobody"))
print(s.connection("sandbox").client("s3").list_buckets()["Buckets"][0]["Name"])
try:
    s.execute("LIST 's3://acme-nowhere/'")
except s.S3ConnError as error:
    print(type(error).__name__, error.place.line, error.place.column)
print(s._current_session()._server._child.pid)
"""


def test_a_script_ends_and_takes_the_sandbox_along():
    """In a plain script the results are values, it ends by itself without a word, and the sandbox's process is gone."""
    done = script(_TOUR)
    assert done.stderr == ""
    assert done.returncode == 0
    *lines, pid = done.stdout.splitlines()
    assert lines == [
        "Card None None",
        "True ['sales/customers.csv', 'sales/orders.csv']",
        "Operation resulted in no change: no connection nobody.",
        "acme-archive-eu",
        "BucketNotFoundError 1 6",
    ]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_a_script_that_fails_shows_no_secret(sandbox):
    """An error that nobody catches ends a script with our words last, and no secret in the traceback."""
    secret = "hidden/Secret+value/0123456789"
    text = create("lake", AWS_ACCESS_KEY_ID="AKIANOBODY", AWS_SECRET_ACCESS_KEY=secret, ENDPOINT=sandbox.endpoint)
    done = script("import os, s3conn_magic as s\ns.execute(os.environ['CELL'])", CELL=text)
    assert done.returncode == 1
    assert "CredentialsError" in done.stderr
    assert secret not in done.stderr + done.stdout
    assert "botocore" not in done.stderr
    assert "During handling" not in done.stderr


def test_a_prompt_in_a_script_without_a_terminal():
    """With nobody at the keyboard a PROMPT is refused, not waited for."""
    cell = "CREATE S3 CONNECTION a AWS_ACCESS_KEY_ID = 'a' AWS_SECRET_ACCESS_KEY = PROMPT"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import os, s3conn_magic as s\ns.execute(os.environ['CELL'])"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "CELL": cell},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        check=False,
    )
    assert "BindError: nobody can be asked here" in done.stderr


def test_importing_is_light():
    """Importing the package loads none of the heavy libraries, nor does the extension's loading or a syntax error."""
    done = script(
        "import sys, s3conn_magic as s\n"
        "try: s.execute('CREATE')\nexcept s.S3ConnError: pass\n"
        "heavy = ('pandas', 'boto3', 'botocore', 'pyarrow', 'anywidget', 'IPython', 'numpy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert done.stdout == "[]\n", done.stderr
