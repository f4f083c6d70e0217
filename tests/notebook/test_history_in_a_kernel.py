"""What a real kernel remembers of cells that hold a secret."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from corpora import KEY, SECRET, leaked
from kernels import started

if TYPE_CHECKING:
    from pathlib import Path

MADE = f"CREATE S3 CONNECTION a AWS_ACCESS_KEY_ID = 'AKIAEXAMPLE' AWS_SECRET_ACCESS_KEY = '{SECRET}' VALIDATE = FALSE"
MASKED = MADE.replace(SECRET, "<REDACTED>")
CELLS = {
    "a cell": (f"%%upsql\n{MADE}", f"%%upsql\n{MASKED}"),
    "a cell into a variable": (f"%%upsql x << {MADE}\n;", f"%%upsql x << {MASKED}\n;"),
    "a line": (f"%upsql {MADE}", f"%upsql {MASKED}"),
    "a line without %": (f"upsql {MADE}", f"upsql {MASKED}"),
    "an assignment": (f"x = %upsql {MADE}", f"x = %upsql {MASKED}"),
    "a joined line": (
        f"if True:\n    %upsql \\\n    {MADE}\n    y = 2",
        f"if True:\n    %upsql \\\n    {MASKED}\n    y = 2",
    ),
    "a timed line": (f"%time x = %upsql {MADE}", f"%time x = %upsql {MASKED}"),
    "a timed cell": (f"%%time\n%%upsql\n{MADE}", f"%%time\n%%upsql\n{MASKED}"),
    "a captured line": (f"%%capture out\n%upsql {MADE}", f"%%capture out\n%upsql {MASKED}"),
    "Python": (f'import s3conn_magic as s\ns.execute("{MADE}")', f'import s3conn_magic as s\ns.execute("{MASKED}")'),
    "an unknown option": (
        f"%%upsql\nCREATE S3 CONNECTION b AWS_SECRET_KEY = '{SECRET}'",
        "%%upsql\nCREATE S3 CONNECTION b AWS_SECRET_KEY = '<REDACTED>'",
    ),
    "a statement that does not parse": (
        f"%upsql CREATE S3 b SET AWS_SECRET_ACCESS_KEY '{SECRET}', {KEY}",
        "%upsql CREATE S3 b SET AWS_SECRET_ACCESS_KEY '<REDACTED>', <REDACTED>",
    ),
    "a literal without end": (f"%%upsql\n{MADE[:-20]}", None),
    "the magic below a comment": (f"# mine\n%%upsql\n{MADE}", f"# mine\n%%upsql\n{MASKED}"),
    "no magic": (MADE, MASKED),
    "another magic's name": (f"%%sql\n{MADE}", f"%%sql\n{MASKED}"),
    "another name in a line": (f"if True:\n    x = %sql {MADE}", f"if True:\n    x = %sql {MASKED}"),
    "a misspelt magic": (f"%%upsqll {MADE}", f"%%upsqll {MASKED}"),
    "one far from ours": (f"%%usql\n{MADE}", f"%%usql\n{MASKED}"),
    "a text with fields": (f's.execute(f"{MADE} REGION = {{1}}")', f's.execute(f"{MASKED} REGION = {{1}}")'),
    "a long text": (f"s.execute('''\n{MADE}\n''')", f"s.execute('''\n{MASKED}\n''')"),
    "texts put together": (
        's.execute("CREATE S3 CONNECTION a "\n "AWS_SECRET_ACCESS_KEY = ' + f"'\" + '{SECRET}' + \"'\")",
        's.execute("CREATE S3 CONNECTION a "\n "AWS_SECRET_ACCESS_KEY = ' + "'\" + '<REDACTED>' + \"'\")",
    ),
    "a variable": (f'ddl = "{MADE}"', f'ddl = "{MASKED}"'),
    "a comment": (f"# %%upsql\n# {MADE}\nx = 1", f"# %%upsql\n# {MASKED}\nx = 1"),
    "a timed call": (f'%time s.execute("{MADE}")', f'%time s.execute("{MASKED}")'),
    "a syntax error of Python": (f"print(%upsql {MADE})", f"print(%upsql {MASKED})"),
}
LOOK = r"""
import json as _json, linecache as _lines, sys as _sys
_s = get_ipython()
_h = _s.history_manager
print(_json.dumps([
    In[:-1], _ih[:-1], _i, _ii, _iii, _h.input_hist_raw[:-1], _h.input_hist_parsed[:-1],
    [repr(one) for one in _h.db_input_cache[:-1]],
    {k: v for k, v in globals().items() if k.startswith("_i") and isinstance(v, str)},
    [line for entry in _lines.cache.values() if len(entry) > 1 and entry[1] is None for line in entry[2]],
    repr(vars(_s.last_execution_result.info)), repr(getattr(_sys, "last_value", None)),
    repr(_h.exceptions), repr(list(_h.get_range(raw=False, output=True))),
]))
"""


@pytest.fixture
def remembering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A kernel with a history file of its own that has loaded the extension, and that file."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with started(tmp_path) as kernel:
        yield kernel, tmp_path / "ipython" / "profile_default" / "history.sqlite"


def kept(file: Path) -> bytes:
    """The history file with what SQLite keeps beside it."""
    return b"".join(one.read_bytes() for one in file.parent.glob("history.sqlite*"))


def texts(file: Path) -> str:
    """Everything that the rows of the file hold."""
    with sqlite3.connect(file) as database:
        return repr([database.execute(f"SELECT * FROM {name}").fetchall() for name in ("history", "output_history")])


def test_no_cell_keeps_its_secret(remembering):
    """Every way to write a statement with a secret leaves it in none of the places where IPython keeps a cell."""
    kernel, file = remembering
    assert (
        kernel.run("%config HistoryManager.db_log_output = True\n%load_ext s3conn_magic\n%alias_magic sql upsql").status
        == "ok"
    )
    for typed, masked in CELLS.values():
        outcome = kernel.run(f"{typed}")
        assert not leaked(outcome.everything), typed
        assert not leaked(kernel.run(LOOK).stdout), typed
        last = kernel.run("print(_h.input_hist_raw[-3])").stdout.rstrip("\n")
        assert masked is None or last == masked
        kernel.run("%upsql DROP CONNECTION IF EXISTS a")
    for magic in (
        "%history -g",
        "%history -t",
        "%hist -o -n",
        "%macro all 1-200\nprint(all)",
        "%save -f kept 1-200\n%cat kept.py",
    ):
        shown = kernel.run(magic)
        assert "CREATE S3 CONNECTION" in shown.stdout, magic
        assert not leaked(shown.everything)
    kernel.run("_h.writeout_cache()")
    assert "<REDACTED>" in texts(file)
    assert not leaked(texts(file))
    assert not leaked(kept(file).decode("latin-1"))


def test_what_was_kept_before_loading_is_redacted(remembering):
    """Cells that ran before the extension was loaded, or with it, are redacted in memory and in the file's bytes."""
    kernel, file = remembering
    kernel.run(f"%%upsql\n{MADE}")
    kernel.run("get_ipython().history_manager.writeout_cache()")
    assert leaked(kept(file).decode("latin-1"))
    kernel.run(f"a = 1\n%load_ext s3conn_magic\n%upsql {MADE}")
    assert not leaked(kernel.run(LOOK).stdout)
    kernel.run("_h.writeout_cache()")
    assert texts(file).count("<REDACTED>") >= 3
    assert not leaked(texts(file))
    assert not leaked(kept(file).decode("latin-1"))


AGAIN = MADE.replace("CREATE", "CREATE OR REPLACE")
BESIDE = {
    "above": f"x = %upsql {AGAIN}\n1/0",
    "below": f"1/0\nx = %upsql {AGAIN}",
    "in a function": f"def f():\n    1/0\n    %upsql {AGAIN}\nf()",
}


def test_a_traceback_beside_a_statement_quotes_it_redacted(remembering):
    """A traceback of another line of its cell shows the statement without its secret, whether the cell is stored."""
    kernel, file = remembering
    kernel.run("%load_ext s3conn_magic")
    for mode in ("Plain", "Context", "Verbose", "Minimal"):
        kernel.run(f"%xmode {mode}")
        for cell in BESIDE.values():
            for stored in (True, False):
                shown = []
                reply = kernel.client.execute_interactive(cell, store_history=stored, output_hook=shown.append)
                messages = [one["content"] for one in shown if one["msg_type"] != "execute_input"]
                assert reply["content"]["ename"] == "ZeroDivisionError"
                assert not leaked(repr(messages) + repr(reply))
                assert not leaked(kernel.run("%tb").everything)
    kernel.run("get_ipython().history_manager.writeout_cache()")
    assert not leaked(kept(file).decode("latin-1"))


def test_the_log_of_a_session_is_redacted(remembering, tmp_path):
    """%logstart writes cells without their secrets, raw and as Python."""
    kernel, _ = remembering
    kernel.run("%load_ext s3conn_magic")
    for options in ("", "-r "):
        kernel.run(f"%logstart {options}-o cells.log over")
        kernel.run(f"%%upsql\n{AGAIN}")
        kernel.run("%logstop")
        log = (tmp_path / "cells.log").read_text(encoding="utf-8")
        assert "<REDACTED>" in log
        assert not leaked(log)


def test_the_last_error_keeps_no_frames(remembering):
    """After a statement failed, %tb shows its block again, and debuggers find neither the cell nor a variable of it."""
    kernel, _ = remembering
    kernel.run("%load_ext s3conn_magic")
    assert kernel.run(f"%%upsql\n{MADE} REGIN = 'x'").error["ename"] == "BindError"
    assert "unknown option REGIN" in kernel.run("%tb").stdout + repr(kernel.run("%tb").error)
    shown = kernel.run("%debug", answers=["w", "u", "u", "a", "p locals()", "q"])
    assert "_frames_are_not_kept" in shown.stdout
    assert not leaked(shown.everything)
    walk = "import sys\ntrace = sys.last_value.__traceback__\n"
    walk += "while trace:\n    print(trace.tb_frame.f_locals)\n    trace = trace.tb_next"
    assert not leaked(kernel.run(walk).everything)
    kernel.run("def mine():\n    there = 7\n    s3conn_magic.execute('LIST \\'s3://x/\\'')\nimport s3conn_magic")
    assert kernel.run("mine()").status == "error"
    assert "7" in kernel.run("import sys\nprint(sys.last_traceback.tb_next.tb_next.tb_frame.f_locals['there'])").stdout


def test_the_note_comes_for_each_cell_that_keeps_a_secret(remembering):
    """Each cell with a literal of a secret option says once that the notebook keeps it, and what would keep it out."""
    kernel, _ = remembering
    kernel.run("%load_ext s3conn_magic\nimport s3conn_magic\n%alias_magic sql upsql")
    looped = f"for i in range(3):\n    %upsql {AGAIN}"
    for cell in (
        f"%%upsql\n{MADE}",
        f"%%upsql\n{AGAIN}",
        looped,
        f"%%sql\n{AGAIN}",
        f's3conn_magic.execute("{AGAIN}")',
    ):
        outcome = kernel.run(cell)
        [line] = outcome.stdout.splitlines()
        assert "the notebook's own source" in line
        assert all(source in line for source in ("ENV", "PROMPT", "KEYRING", "AWS_PROFILE"))
        assert outcome.status == "ok"
    for wrong in (f"%%upsql\n{AGAIN} REGIN = 'x'", f"%%upsql\nLIST {AGAIN}", f"%%upsql\n{AGAIN[:-20]}"):
        outcome = kernel.run(wrong)
        assert (outcome.status, outcome.stdout.count("the notebook's own source")) == ("error", 1)


SAFE = "CREATE OR REPLACE S3 CONNECTION s AWS_ACCESS_KEY_ID = 'A' AWS_SECRET_ACCESS_KEY = {} VALIDATE = FALSE"
UNNOTED = {
    "a typo": "LST 's3://bucket/a/long/enough/prefix/to/be/one'",
    "an unknown option": "CREATE S3 CONNECTION x REGIN = 'eu-west-1'",
    "a variable": SAFE.format("$hidden"),
    "an environment variable": SAFE.format("ENV 'HIDDEN'"),
    "an option without a value": "ALTER S3 CONNECTION s SET AWS_SECRET_ACCESS_KEY =",
    "the name of one": "HELP AWS_SECRET_ACCESS_KEY",
    "a mask": SAFE.format("'<REDACTED>'"),
}


def test_no_note_comes_for_what_is_no_secret(remembering):
    """A typo, another option or a secret from elsewhere brings no note, and uses up none."""
    kernel, _ = remembering
    kernel.run("%load_ext s3conn_magic\nhidden = 'abc'\nimport os\nos.environ['HIDDEN'] = 'x'")
    for title, text in UNNOTED.items():
        assert "own source" not in kernel.run(f"%%upsql\n{text}").stdout, title
    assert "own source" in kernel.run(f"%%upsql\n{MADE}").stdout


def test_the_cell_that_loads_the_extension_gets_its_note(remembering):
    """A secret beside %load_ext is noted, too."""
    kernel, _ = remembering
    assert "own source" in kernel.run(f"%load_ext s3conn_magic\n%upsql {MADE}").stdout
    assert "own source" not in kernel.run("%load_ext s3conn_magic\n%reload_ext s3conn_magic").stdout


def test_a_masked_statement_does_not_run_again(remembering):
    """%rerun of a cell whose secret was not kept is refused, and says why."""
    kernel, _ = remembering
    kernel.run("%load_ext s3conn_magic")
    assert kernel.run(f"%%upsql\n{AGAIN}").status == "ok"
    outcome = kernel.run("%rerun")
    assert "placeholder for a secret that was not stored" in outcome.stdout + repr(outcome.error)
