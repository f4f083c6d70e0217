"""Tab and Shift-Tab in a real kernel: what a front end is answered; `|` is the cursor."""

from __future__ import annotations

import threading
import time

import pytest
from recording import error, listing, passing_to, recording
from statements import create

from s3conn_magic.language.reference import STATEMENTS
from s3conn_magic.sandbox import LAKE

ANSWERS_WITHIN = 30
OTHERS = """\
from IPython.core.completer import SimpleCompletion, SimpleMatcherResult, context_matcher
@context_matcher()
def other(context):
    return SimpleMatcherResult(completions=[SimpleCompletion("other", type="other")])
get_ipython().Completer.custom_matchers.insert(0, other)
get_ipython().Completer.use_jedi = False
"""
WITHOUT_OTHERS = "get_ipython().Completer.custom_matchers.remove(other); get_ipython().Completer.use_jedi = True"


@pytest.fixture(scope="module")
def loaded(shared_kernel, sandbox):
    """A kernel with the extension and the connection `lake` to the sandbox, the default."""
    shared_kernel.reset()
    made = create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint)
    filters = ["s3://acme-lake/sales/", "s3://acme-logs/"]
    narrow = create("narrow", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, PATH_DISPLAY_FILTERS=filters)
    cell = f"%%upsql\n{made};\n{narrow};\nUSE CONNECTION lake; SET PROGRESS = FALSE"
    for source in ("%load_ext s3conn_magic\nuri, _hidden, count = 's3://acme-lake/', '', 3", cell):
        assert shared_kernel.run(source).status == "ok"
    return shared_kernel


def soon(kernel, marked):
    """What is offered once the answer has come, which may be later than a first asking waits."""
    deadline = time.monotonic() + ANSWERS_WITHIN
    while not (found := kernel.complete(marked)).matches and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def assert_soon(is_so):
    """Wait until something is so."""
    deadline = time.monotonic() + ANSWERS_WITHIN
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# Cells and lines


@pytest.mark.parametrize("cell", ["%%upsql\n|", "%%upsql files <<\n|", "\n%%upsql |", "%upsql |", "files = %upsql |"])
def test_statements_are_completed_in_cells_and_lines(loaded, cell: str):
    """On the first line of a cell too, and where the result goes into a variable."""
    found = loaded.complete(cell)
    first = {one.name.split()[0] for one in STATEMENTS} | {"WITH", "FROM"}
    assert {one.split()[0] for one in found.matches} == first
    assert set(found.types.values()) == {"keyword"}


@pytest.mark.parametrize("cell", ["%%upsql\nlist 's3://b-c/' rec|", "import os\n%upsql LIST 's3://b-c/' REC|\nos.sep"])
def test_a_word_is_completed_in_place(loaded, cell: str):
    """What was begun is replaced, in whatever line it stands."""
    found = loaded.complete(cell)
    assert [one.upper() for one in found.matches] == ["RECURSIVE"]
    assert found.replaced.upper() == "REC"


@pytest.mark.parametrize("cell", ["%%upsql\npri|", "%%upsql\nCREATE S3 CONNECTION |", "%%upsql\nSHOW BUCKETS LIKE '|"])
def test_names_of_python_are_hidden_in_statements(loaded, cell: str):
    """Also where there is nothing to offer: no `print`, no files, no magics."""
    assert set(loaded.complete(cell).matches) <= {"IF NOT EXISTS"}


@pytest.mark.parametrize(
    ("cell", "offered"),
    [("uri.startsw|", "startswith"), ("%%ups|", "%%upsql"), ("# %upsql LIST\nuri.endsw|", "endswith")],
)
def test_cells_of_python_are_completed_as_ever(loaded, cell: str, offered: str):
    """Outside of our statements nothing of ours is offered."""
    matches = loaded.complete(cell).matches
    assert any(one.endswith(offered) for one in matches)
    assert "LIST" not in matches


def test_names_are_those_of_the_session(loaded):
    """Connections, and the variables that can be a value."""
    assert loaded.complete("%%upsql\nDROP CONNECTION |").matches[:2] == ("lake", "narrow")
    assert loaded.complete("%%upsql\nLIST $|").matches == ("$uri", "$count")


def test_profiles_are_those_of_the_configuration(loaded, tmp_path):
    """As botocore reads it."""
    config = tmp_path / "config"
    config.write_text("[profile analytics]\nregion = eu-west-1\n", encoding="utf-8")
    loaded.run(f"import os; os.environ['AWS_CONFIG_FILE'] = {str(config)!r}")
    found = soon(loaded, "%%upsql\nCREATE S3 CONNECTION x AWS_PROFILE = '|'")
    assert (found.matches, found.replaced) == (("'analytics",), "'")
    assert "'eu-central-1'" in soon(loaded, "%%upsql\nCREATE S3 CONNECTION x REGION = 'eu|").matches


# Buckets and keys


def test_buckets_folders_and_objects_are_looked_up(loaded):
    """Buckets whole, what is in them by the last segment."""
    found = soon(loaded, "%%upsql\nLIST 's3://acme-l|'")
    assert (found.matches, found.replaced) == (("s3://acme-lake/", "s3://acme-logs/"), "s3://acme-l")
    found = soon(loaded, f"%%upsql\nPREVIEW 's3://{LAKE}/sa|'")
    assert found.matches[:1] == ("sales/",)
    assert found.replaced == "sa"
    assert found.types["sales/"] == "folder"


def test_display_filters_hold_for_completion(loaded):
    """Without a look at the buckets; towards a filter only its way, and below it what is there."""
    assert loaded.complete("%%upsql\nLIST 's3://|' USING narrow").matches == (
        "s3://acme-lake/sales/",
        "s3://acme-logs/",
    )
    assert loaded.complete(f"%%upsql\nLIST 's3://{LAKE}/|' USING narrow").matches == ("sales/",)
    assert loaded.complete("%%upsql\nLIST 's3://acme-archive-eu/|' USING narrow").matches == ()
    below = soon(loaded, f"%%upsql\nLIST 's3://{LAKE}/sales/|' USING narrow").matches
    assert below == soon(loaded, f"%%upsql\nLIST 's3://{LAKE}/sales/|' USING lake").matches


def test_a_folder_takes_one_request(loaded, sandbox):
    """However much is written on below it."""
    with recording(passing_to(sandbox.endpoint)) as server:
        upsql(loaded, create("counted", keys=sandbox.admin, ENDPOINT=server.endpoint, VALIDATE=False))
        assert "sales/" in soon(loaded, f"%%upsql\nLIST 's3://{LAKE}/|' USING counted").matches
        for written in ("s", "sal", "nothing"):
            loaded.complete(f"%%upsql\nLIST 's3://{LAKE}/{written}|' USING counted")
        assert server.seen() == [("GET", f"/{LAKE}")]
        assert server.requests[0].query["delimiter"] == "/"


def upsql(kernel, text):
    """Run statements that must succeed."""
    outcome = kernel.run(f"%%upsql\n{text}")
    assert outcome.status == "ok", outcome.error


def test_a_server_that_is_slow_is_not_waited_for(loaded, sandbox):
    """Its answer is offered when it is there, and was asked for once."""
    go = threading.Event()

    def answer(_):
        assert go.wait(ANSWERS_WITHIN)
        return listing("acme-slow", "late.csv")

    with recording(answer) as server:
        upsql(loaded, create("slow", keys=sandbox.admin, ENDPOINT=server.endpoint, VALIDATE=False))
        cell = "%%upsql\nLIST 's3://acme-slow/|' USING slow"
        assert [loaded.complete(cell).matches for _ in range(3)] == [()] * 3
        go.set()
        assert soon(loaded, cell).matches == ("late.csv",)
        assert len(server.requests) == 1


@pytest.mark.parametrize("cell", ["LIST 's3://|", "LIST 's3://acme-lake/|"])
def test_a_connection_that_fails_is_silent(loaded, sandbox, cell: str):
    """No traceback, no second try, and words are completed as ever."""
    with recording(lambda _: error(503, "SlowDown")) as server:
        replaced = create("broken", keys=sandbox.admin, ENDPOINT=server.endpoint, VALIDATE=False)
        upsql(loaded, replaced.replace("CREATE", "CREATE OR REPLACE"))
        deadline = time.monotonic() + ANSWERS_WITHIN
        while not server.requests and time.monotonic() < deadline:
            found = loaded.complete(f"%%upsql\n{cell}' USING broken")
            assert found.matches == ()
            assert found.outcome.contents("stream") == []
        found = loaded.complete(f"%%upsql\n{cell}' USING broken REC|".replace("|", "", 1))
        assert found.matches == ("RECURSIVE",)
        assert len(server.requests) == 1


# Files of statements


@pytest.fixture
def folder(loaded, tmp_path):
    """The kernel's working directory: two files of statements, another one, and folders."""
    for name in ("connections.usql", "con next.usql", ".hidden.usql", "contents.csv", "sub/x.usql", ".cache/y.usql"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    loaded.run(f"import os; _before = os.getcwd(); os.chdir({str(tmp_path)!r})")
    yield tmp_path
    loaded.run("os.chdir(_before)")


@pytest.mark.parametrize(
    ("cell", "offered", "replaced"),
    [
        ("%upsql --file con|", ("con next.usql", "connections.usql"), "con"),
        ("%upsql --file |", ("con next.usql", "connections.usql", "sub/"), ""),
        ("x = 1\nfiles = %upsql --file=conn|\nx", ("connections.usql",), "conn"),
        ("%%upsql files <<\n--file 'con n|", ("con next.usql'",), "con n"),
        ("%upsql --file 'con n|'", ("con next.usql",), "con n"),
        ("%upsql --file s|", ("sub/",), "s"),
        ("%upsql --file ./sub/|", ("x.usql",), ""),
        ("%upsql --file ../here/sub/x|", ("x.usql",), "x"),
        ("%upsql --file .|", (".hidden.usql", ".cache/"), "."),
        ("%upsql --file nowhere/|", (), ""),
        ("%upsql --file None|", (), ""),
        ("%upsql --f|", ("--file ",), "--f"),
        ("%upsql -- a comment --f|", (), ""),
        ("%%upsql\nLIST;\n--file con|", (), ""),
    ],
)
def test_paths_of_files_are_completed(loaded, folder, cell: str, offered: tuple[str, ...], replaced: str):
    """Files of statements and folders from the working directory on, by the last segment; nothing of Python's."""
    found = loaded.complete(cell.replace("here", folder.name))
    assert (found.matches, found.replaced) == (offered, replaced)


def test_a_path_may_begin_at_home_and_files_may_be_new(loaded, folder):
    """`~` is the home folder, a path may be absolute, and a file that was saved since is offered."""
    loaded.run(f"_home = os.environ['HOME']; os.environ['HOME'] = {str(folder)!r}")
    assert loaded.complete("%upsql --file ~/sub/|").matches == ("x.usql",)
    (folder / "sub" / "new.usql").touch()
    found = loaded.complete(f"%upsql --file {folder}/|")
    assert (found.matches[0], found.types[found.matches[0]], found.types["sub/"]) == ("con next.usql", "file", "folder")
    assert_soon(lambda: loaded.complete("%upsql --file ~/sub/|").matches == ("new.usql", "x.usql"))
    loaded.run("os.environ['HOME'] = _home")


# Help


def test_help_on_the_magic_is_the_reference(loaded):
    """`%upsql?` and `%%upsql?` show every statement, and Shift-Tab on the magic itself does."""
    for cell in ("%upsql?", "%%upsql?"):
        shown = loaded.run(cell).reply["content"]["payload"][0]["data"]["text/plain"]
        assert all(f"  {one.name} " in shown for one in STATEMENTS)
    assert "Statements" in loaded.inspect("%%up|sql\nLIST")["text/plain"]


@pytest.mark.parametrize(
    ("cell", "begins"),
    [
        ("%%upsql\nCREATE S3 CONNECTION x READ_|ONLY = TRUE", "READ_ONLY = TRUE\n"),
        ("%upsql LIST 's3://b-c/' RECUR|SIVE", "LIST ["),
        ("x = 1\nfiles = %upsql SET LIM|IT = ALL\nx", "SET LIMIT = "),
    ],
)
def test_what_stands_in_a_statement_is_explained(loaded, cell: str, begins: str):
    """The entry of the option, the statement or the setting."""
    assert loaded.inspect(cell)["text/plain"].startswith(begins)


def test_names_of_python_are_explained_as_ever(loaded):
    """In cells of Python."""
    assert "3" in loaded.inspect("coun|t")["text/plain"]
    assert loaded.inspect("nowher|e") == {}


# Loading and unloading


def test_other_matchers_stay(loaded):
    """Those of others are neither replaced at a load nor removed at an unload; ours is there once."""
    assert loaded.run(OTHERS).status == "ok"
    try:
        assert loaded.run("%reload_ext s3conn_magic").status == "ok"
        assert loaded.complete("%%upsql\nLI|").matches == ("LIST",)
        assert loaded.run("%unload_ext s3conn_magic").status == "ok"
        assert "other" in loaded.complete("%%upsql\nLI|").matches
        assert "LIST" not in loaded.complete("%%upsql\nLI|").matches
    finally:
        loaded.run(f"{WITHOUT_OTHERS}\n%load_ext s3conn_magic")


def test_an_unload_leaves_the_kernel_as_it_was(loaded):
    """No magic, no matcher, no inspection; and a load finds the connections again."""
    state = "print('upsql' in get_ipython().magics_manager.magics['cell'], 'do_inspect' in vars(get_ipython().kernel))"
    assert loaded.run(state).stdout == "True True\n"
    assert loaded.run("%unload_ext s3conn_magic").status == "ok"
    assert loaded.run(state).stdout == "False False\n"
    assert loaded.inspect("%%upsql\nCREATE S3 CONNECTION x READ_|ONLY = TRUE") == {}
    assert loaded.run("import s3conn_magic; print(s3conn_magic.connection('lake').name)").stdout == "lake\n"
    assert loaded.run("%load_ext s3conn_magic").status == "ok"
    assert "lake" in loaded.complete("%%upsql\nDROP CONNECTION |").matches
