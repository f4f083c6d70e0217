"""`%%upsql` in a real kernel: what a notebook would show and save."""

from __future__ import annotations

import re
import threading

import pytest
from recording import Reply, error, listing, recording
from statements import create

from s3conn_magic.sandbox import LAKE, Keys
from s3conn_magic.secrets import Secret

SALES = f"s3://{LAKE}/sales/"
SECRET = "sEcReT/planted+value/0123456789abcdefgh"
XMODES = ["Plain", "Context", "Verbose", "Minimal", "Docs"]
FORGET = """\
_shell = get_ipython()
_shell.extension_manager.loaded.discard("s3conn_magic")
_shell.magics_manager.registry.pop("UpsqlMagics", None)
for _kind in _shell.magics_manager.magics.values():
    _kind.pop("upsql", None)
_shell.run_line_magic("reset", "-f")
"""


@pytest.fixture
def cells(shared_kernel):
    """A kernel without variables that has just loaded the extension, though its modules may be there already."""
    assert shared_kernel.run(FORGET).status == "ok"
    assert shared_kernel.run("%load_ext s3conn_magic").status == "ok"
    return shared_kernel


@pytest.fixture
def lake(cells, sandbox):
    """A kernel with the connection `lake` to the sandbox."""
    # A listing that takes long on a busy machine would show its progress among the outputs.
    quiet = "; SET PROGRESS = FALSE"
    made = upsql(cells, create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False) + quiet)
    assert made.status == "ok"
    return cells


def upsql(kernel, text, **options):
    """Run the statements of a cell."""
    return kernel.run(f"%%upsql\n{text}", **options)


def value(kernel, expression):
    """The printed form of a Python expression."""
    outcome = kernel.run(f"print({expression}, end='')")
    assert outcome.status == "ok", outcome.error
    return outcome.stdout


def block(outcome):
    """The lines that stand in for a traceback, of a cell that failed and showed nothing else."""
    assert outcome.status == "error"
    assert outcome.reply["content"]["status"] == "error"
    assert len(outcome.contents("error")) == 1
    assert (outcome.result, outcome.stdout, outcome.stderr) == (None, "", "")
    return outcome.error["traceback"]


# Values


def test_one_statement_is_the_cell_s_value(lake):
    """A frame is the value of its cell, with HTML and text, and `_` afterwards."""
    outcome = upsql(lake, f"LIST '{SALES}'")
    assert "sales/orders.csv" in outcome.result["text/html"]
    assert "sales/orders.csv" in outcome.result["text/plain"]
    assert (outcome.displays, outcome.stdout, outcome.stderr) == ([], "", "")
    assert value(lake, "list(_['key'])") == "['sales/customers.csv', 'sales/orders.csv']"


def test_several_statements_are_shown_in_order(lake):
    """Of several statements all but the last are displayed, each when it is done, and the last is the value."""
    outcome = upsql(lake, f"SHOW BUCKETS LIKE 'acme-lake';\nSHOW CONNECTIONS;\n\nLIST '{SALES}';")
    first, second = outcome.displays
    assert "acme-lake" in first["text/html"]
    assert "created_at" in second["text/html"]
    assert "sales/orders.csv" in outcome.result["text/html"]
    kinds = [one["msg_type"] for one in outcome.messages if one["msg_type"] in {"display_data", "execute_result"}]
    assert kinds == ["display_data", "display_data", "execute_result"]
    assert value(lake, "len(_)") == "2"


def test_a_card_is_a_value(lake):
    """ALTER's result is a card with HTML; DROP's is a sentence."""
    assert "S3 connection lake altered" in upsql(lake, "ALTER S3 CONNECTION lake SET COMMENT = 'x'").result["text/html"]
    assert upsql(lake, "DROP CONNECTION lake").result == {"text/plain": "The connection lake was dropped."}


def test_an_explorer_is_a_value(lake):
    """EXPLORE's value is one widget, with text and HTML beside it for where no widget can be shown."""
    view, snapshot = upsql(lake, f"EXPLORE '{SALES}'").displays
    assert set(view) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert all("orders.csv" in snapshot[form] for form in ("text/plain", "text/html"))


@pytest.mark.parametrize(
    "cell",
    [
        f"%%upsql files <<\nSHOW CONNECTIONS;\nLIST '{SALES}'",
        f"%%upsql files<<\nLIST '{SALES}';",
        f"%%upsql  files << LIST\n'{SALES}'",
        f"files = %upsql LIST '{SALES}'",
        f"%upsql files << LIST '{SALES}'",
        f"import s3conn_magic\nfiles = s3conn_magic.execute(\"SHOW CONNECTIONS; LIST '{SALES}'\")",
    ],
)
def test_a_result_goes_into_a_variable(lake, cell):
    """`name <<`, an assignment and `execute` put the last result into a variable and show nothing."""
    outcome = lake.run(cell)
    assert outcome.status == "ok", outcome.error
    assert (outcome.result, outcome.displays, outcome.stdout) == (None, [], "")
    assert value(lake, "list(files['key'])") == "['sales/customers.csv', 'sales/orders.csv']"


def test_a_failing_cell_leaves_the_variable_alone(lake):
    """When the statement fails, `name <<` assigns nothing."""
    lake.run("files = 'before'")
    assert lake.run("%%upsql files <<\nLIST 's3://acme-nowhere/'").status == "error"
    assert value(lake, "files") == "before"


def test_one_line(lake):
    """`%upsql` runs a line, and its value is the cell's."""
    assert "acme-lake" in lake.run("%upsql SHOW BUCKETS LIKE 'acme-lake'").result["text/html"]


def test_an_empty_cell_is_nothing(cells):
    """Comments and semicolons alone give no value and no error."""
    outcome = upsql(cells, "-- nothing\n;;\n/* LIST; */")
    assert (outcome.status, outcome.result, outcome.displays) == ("ok", None, [])


@pytest.mark.parametrize("cell", ["%%upsql\nLIST $where", "%upsql LIST $where", "%%upsql LIST\n  $where ;"])
def test_variables_are_read_by_the_language_alone(lake, cell):
    """`$name` is a Python variable's value and no text that IPython puts in; `{name}` is itself."""
    lake.run(f"where = '{SALES}'")
    assert "orders.csv" in lake.run(cell).result["text/plain"]
    upsql(lake, "ALTER S3 CONNECTION lake SET COMMENT = '{where} $where'")
    assert value(lake, "get_ipython().run_line_magic('upsql', 'SHOW CONNECTIONS')['comment'][0]") == "{where} $where"


def test_python_and_cells_share_a_session(lake):
    """`s3conn_magic.connection` is the kernel's, and gives working clients."""
    lake.run("import s3conn_magic as s")
    assert value(lake, "repr(s.connection('LAKE'))") == "<S3 connection lake: key pair>"
    expression = f"s.connection('lake').client('s3').list_objects_v2(Bucket='{LAKE}', Prefix='sales/')['KeyCount']"
    assert value(lake, expression) == "2"


@pytest.mark.parametrize("again", ["%load_ext s3conn_magic", "%reload_ext s3conn_magic"])
def test_loading_again_keeps_the_session(lake, again):
    """Loading or reloading the extension keeps the connections."""
    assert lake.run(again).status == "ok"
    assert "lake" in upsql(lake, "SHOW CONNECTIONS").result["text/plain"]


def test_a_note_is_printed_beside_the_frame(lake):
    """A listing that LIMIT cuts says so."""
    outcome = upsql(lake, f"LIST 's3://{LAKE}/' LIMIT 2")
    assert "LIMIT ALL" in outcome.stdout
    assert "2 rows" in outcome.result["text/html"]


# Errors


@pytest.mark.parametrize(
    ("cell", "kind", "place", "marked"),
    [
        ("%%upsql\n\n  LIST 's3://x/' ALL", "StatementSyntaxError", (3, 18), "ALL"),
        ("%%upsql CREATE S3 CONNECTION x REGIN = 'a'\n;", "BindError", (1, 32), "REGIN"),
        ("%%upsql CREATE S3 CONNECTION x\n REGIN = 'a'", "BindError", (2, 2), "REGIN"),
        ("%%upsql found << SHOW CONNECTIONS; DROP CONNECTION nope\n;", "ConnectionNotFoundError", (1, 52), "nope"),
        ("%%upsql found <<\nDROP CONNECTION nope", "ConnectionNotFoundError", (2, 17), "nope"),
        ("%%upsql\nHELP;\nLIST 's3://acme-nowhere/'", "BucketNotFoundError", (3, 6), "'…'"),
        ("%%upsql\n-- \u65e5\u672c\n/* */ DROP CONNECTION nope", "ConnectionNotFoundError", (3, 23), "nope"),
    ],
)
def test_an_error_is_one_short_block(lake, cell, kind, place, marked):
    """An error says what and where, counted in the cell with the magic's line as the first, and underlines it."""
    outcome = lake.run(cell)
    assert outcome.status == "error"
    lines = outcome.error["traceback"]
    assert outcome.error["ename"] == kind
    assert lines[0].startswith(f"{kind}: ")
    assert lines[1] == f"  line {place[0]}, column {place[1]}"
    carets = re.search(r"\^+", lines[3])
    assert lines[2][carets.start() : carets.end()] == marked
    assert len(lines) <= 7


@pytest.mark.parametrize("mode", XMODES)
def test_no_traceback_in_any_mode(lake, mode):
    """In every %xmode an error is the same block, without a traceback, a file or a line of Python."""
    lake.run(f"%xmode {mode}")
    shown = block(upsql(lake, f"ALTER S3 CONNECTION lake SET AWS_SECRET_KEY = '{SECRET}'"))
    failed = block(upsql(lake, "LIST 's3://acme-nowhere/'"))
    again = lake.run("%tb")
    lake.run("%xmode Context")
    text = "\n".join([*shown, *failed, again.everything])
    assert shown[0].startswith("BindError: unknown option")
    assert failed[0] == "BucketNotFoundError: there is no bucket acme-nowhere"
    assert "Traceback" not in text
    assert ".py" not in text
    assert SECRET not in text


def test_run_all_stops(lake):
    """After a failing cell the queued ones are not run."""
    lake.client.execute("import time\ntime.sleep(1)")  # both are there by the time that the first of them runs
    bad = lake.client.execute("%%upsql\nLIST 's3://acme-nowhere/'")
    queued = lake.client.execute("ran = True")
    replies = {}
    while not {bad, queued} <= replies.keys():
        reply = lake.client.get_shell_msg(timeout=30)
        replies[reply["parent_header"].get("msg_id")] = reply["content"]["status"]
    assert (replies[bad], replies[queued]) == ("error", "aborted")
    assert value(lake, "'ran' in globals()") == "False"


def test_what_ran_before_the_error_is_shown(lake):
    """The results of the statements before the failing one stay in the output, and the error says what is done."""
    outcome = upsql(lake, "SHOW CONNECTIONS;\nLIST 's3://acme-nowhere/';\nDROP CONNECTION lake;")
    assert outcome.status == "error"
    [shown] = outcome.displays
    assert "created_at" in shown["text/html"]
    assert (
        "Statement 2 of 3 failed; the one before it is done, the one after it did not run." in outcome.error["evalue"]
    )
    assert "lake" in upsql(lake, "SHOW CONNECTIONS").result["text/plain"]


def test_an_internal_error_shows_no_value(lake):
    """What nobody foresaw is shown by its kind and place, not by what it says; of the user's own code as of that."""
    lake.run(
        "import s3conn_magic.results.listings as _buckets\n"
        "def _fail(*_): raise ValueError('hidden-value')\n"
        "_real, _buckets.buckets_frame = _buckets.buckets_frame, _fail"
    )
    outcome = upsql(lake, f"ALTER S3 CONNECTION lake SET COMMENT = '{SECRET}'; SHOW BUCKETS")
    lake.run("_buckets.buckets_frame = _real")
    assert outcome.error["ename"] == "S3ConnError"
    assert "your own code failed with ValueError" in outcome.error["evalue"]
    assert "hidden-value" not in outcome.everything
    assert upsql(lake, "SHOW BUCKETS").status == "ok"


def test_errors_can_be_caught_in_python(lake):
    """`execute` raises the same errors, which Python code catches by their classes."""
    lake.run(
        "import s3conn_magic as s\n"
        "try:\n    s.execute(\"LIST 's3://acme-nowhere/'\")\nexcept s.S3ConnError as error:\n    caught = error"
    )
    assert value(lake, "type(caught).__name__, caught.message") == "BucketNotFoundError there is no bucket acme-nowhere"


# Interrupts


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE OR REPLACE S3 CONNECTION slow ENDPOINT = $endpoint AWS_ACCESS_KEY_ID = 'a' AWS_SECRET_ACCESS_KEY = $s",
        f"LIST '{SALES}' USING slow",
        f"LIST '{SALES}' USING slow RECURSIVE",
        "SHOW BUCKETS USING slow",
        f"EXPLORE '{SALES}' USING slow",
        f"TEST CONNECTION slow LOCATION '{SALES}'",
    ],
)
def test_an_interrupt_ends_the_statement(lake, statement):
    """The stop button ends a statement that waits for a server; the cell fails in one block and the next one works."""
    arrived, go_on = threading.Event(), threading.Event()

    def hold(_):
        arrived.set()
        go_on.wait(60)
        return Reply(503)

    with recording(hold) as server:
        lake.run(f"endpoint, s = '{server.endpoint}', 'b'")
        upsql(lake, create("slow", keys=Keys("a", Secret("b")), ENDPOINT=server.endpoint, VALIDATE=False))
        stopper = threading.Thread(target=lambda: arrived.wait(60) and lake.interrupt())
        stopper.start()
        outcome = upsql(lake, statement, timeout=30)
        stopper.join(60)
        waiting = not go_on.is_set()
        go_on.set()
    assert waiting
    assert outcome.error["ename"] in {"StatementInterrupted", "ListingInterrupted"}
    assert "interrupted" in block(outcome)[0]
    assert "Traceback" not in outcome.everything
    assert "orders.csv" in upsql(lake, f"LIST '{SALES}' USING lake").result["text/plain"]


# PROMPT


def test_a_prompt_asks_without_an_echo(cells, rclone_server):
    """PROMPT asks through the front end, as for a password, and what is typed signs and is shown nowhere."""
    keys = rclone_server.keys
    text = create("disk", AWS_ACCESS_KEY_ID=keys.access_key_id, ENDPOINT=rclone_server.endpoint)
    secret = keys.secret_access_key.reveal()
    outcome = upsql(cells, f"{text} AWS_SECRET_ACCESS_KEY = PROMPT 'Secret of the disk'", answers=[secret])
    assert outcome.status == "ok", outcome.error
    assert secret not in outcome.everything
    created = upsql(cells, "SHOW CREATE S3 CONNECTION disk; DESCRIBE CONNECTION disk")
    assert "PROMPT 'Secret of the disk'" in created.displays[0]["text/plain"]
    assert secret not in created.everything


def test_a_wrong_answer_to_a_prompt_is_said(cells, rclone_server):
    """What was typed wrong is a CredentialsError that does not repeat it."""
    text = create("disk", AWS_ACCESS_KEY_ID=rclone_server.keys.access_key_id, ENDPOINT=rclone_server.endpoint)
    outcome = upsql(cells, f"{text} AWS_SECRET_ACCESS_KEY = PROMPT", answers=[SECRET])
    assert outcome.error["ename"] == "CredentialsError"
    assert SECRET not in outcome.everything


def test_a_cell_with_an_error_does_not_ask(cells):
    """Nobody types a secret for a cell that has an error in it."""
    cell = "CREATE S3 CONNECTION a AWS_ACCESS_KEY_ID = 'a' AWS_SECRET_ACCESS_KEY = PROMPT;\nDROP CONNECTION nope"
    outcome = upsql(cells, cell, answers=())
    assert outcome.error["ename"] == "ConnectionNotFoundError"


def test_a_prompt_where_nobody_can_be_asked(cells):
    """A front end that allows no input gets a BindError that names the other ways, at the prompt's place."""
    errors = []
    reply = cells.client.execute_interactive(
        "%%upsql\nCREATE S3 CONNECTION a AWS_ACCESS_KEY_ID = 'a'\n  AWS_SECRET_ACCESS_KEY = PROMPT;",
        allow_stdin=False,
        timeout=30,
        output_hook=lambda one: errors.append(one["content"]) if one["msg_type"] == "error" else None,
    )
    assert reply["content"]["status"] == "error"
    [shown] = errors
    assert shown["ename"] == "BindError"
    assert "line 3, column 27" in shown["evalue"]
    assert "ENV or KEYRING" in shown["evalue"]


def test_an_interrupted_prompt_makes_nothing(cells):
    """The stop button at a prompt ends the statement."""
    cell = "%%upsql\nCREATE S3 CONNECTION a AWS_ACCESS_KEY_ID = 'a' AWS_SECRET_ACCESS_KEY = PROMPT"
    shown = []
    cells.client.execute_interactive(
        cell,
        timeout=30,
        allow_stdin=True,
        stdin_hook=lambda _: cells.interrupt(),
        output_hook=lambda one: shown.append(one["content"]) if one["msg_type"] == "error" else None,
    )
    assert [one["ename"] for one in shown] == ["StatementInterrupted"]
    assert "[0 rows" in upsql(cells, "SHOW CONNECTIONS").result["text/plain"]


# Secrets


def test_no_message_holds_a_secret(cells, sandbox, rclone_server):
    """Creating, showing, failing and misspelling with a secret leave it in no message of the kernel."""
    cells.run(f"typed = {SECRET!r}")
    key = f"AWS_ACCESS_KEY_ID = '{rclone_server.keys.access_key_id}'"
    end = f"ENDPOINT = '{rclone_server.endpoint}'"
    nobody = "ENDPOINT = 'http://127.0.0.1:9'"
    texts = {
        f"CREATE S3 CONNECTION a {key} AWS_SECRET_ACCESS_KEY = '{SECRET}' {end} VALIDATE = FALSE": "ok",
        f"CREATE S3 CONNECTION b {key} AWS_SECRET_ACCESS_KEY = $typed {end} VALIDATE = FALSE": "ok",
        "SHOW CONNECTIONS; DESCRIBE CONNECTION a; SHOW CREATE S3 CONNECTION a; TEST CONNECTION a": "ok",
        "LIST 's3://acme-lake/' USING a": "CredentialsError",
        "EXPLORE 's3://acme-lake/' USING b": "CredentialsError",
        f"CREATE S3 CONNECTION c {key} AWS_SECRET_ACCESS_KEY = '{SECRET}' {end}": "CredentialsError",
        f"CREATE S3 CONNECTION c {key} AWS_SECRET_ACCESS_KEY_ID = '{SECRET}' {end}": "BindError",
        f"CREATE S3 CONNECTION c {key} AWS_SECRET_ACCESS_KEY = '{SECRET}": "StatementSyntaxError",
        f"CREATE S3 CONNECTION c {key} AWS_SECRET_ACCESS_KEY = '{SECRET}' AND MORE": "StatementSyntaxError",
        f"ALTER S3 CONNECTION a SET AWS_SECRET_ACCESS_KEY = '{SECRET} '": "BindError",
        f"ALTER S3 CONNECTION a SET AWS_SESSION_TOKEN = '{SECRET}' VALIDATE = FALSE": "ok",
        f"CREATE S3 CONNECTION c {key} AWS_SECRET_ACCESS_KEY = '{SECRET}' {nobody}": "EndpointError",
    }
    for text, expected in texts.items():
        outcome = upsql(cells, text)
        assert (outcome.error["ename"] if outcome.error else "ok") == expected, outcome.error
        for form in (SECRET, SECRET.encode().hex(), SECRET[:16], SECRET[-16:]):
            assert form not in outcome.everything
    assert sandbox.admin.secret_access_key.reveal() not in outcome.everything


def test_hostile_keys_reach_the_notebook_as_symbols(cells):
    """Control and bidi characters of keys are in neither form of a frame or an explorer, nor in a kernel's message."""
    with recording(lambda _: listing("bucket", "a%1B%5B31m%E2%80%AE%3Cscript%3E$x$.txt")) as server:
        upsql(cells, create("odd", keys=Keys("a", Secret("b")), ENDPOINT=server.endpoint, VALIDATE=False))
        for statement in ("LIST 's3://bucket/'", "EXPLORE 's3://bucket/'"):
            outcome = upsql(cells, statement)
            shown = outcome.result or outcome.displays[-1]
            for form in ("text/plain", "text/html"):
                assert "\x1b" not in shown[form]
                assert "\u202e" not in shown[form]
                assert "\u241b[31m" in shown[form]
            assert "<script>" not in shown["text/html"]
        server.answer = lambda _: error(403, "AccessDenied")
        assert upsql(cells, "LIST 's3://bucket/'").error["ename"] == "AccessDeniedError"
