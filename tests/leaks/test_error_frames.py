"""What the frames of a failed statement hold, as debuggers and tracebacks with variables show them."""

from __future__ import annotations

import io
import pdb  # noqa: T100 - a debugger is what is tried
import sys
import traceback
from typing import TYPE_CHECKING

import pytest
from corpora import SECRET, leaked
from kernels import started

import s3conn_magic
from s3conn_magic import S3ConnError

if TYPE_CHECKING:
    from pathlib import Path

MADE = f"CREATE S3 CONNECTION framed AWS_ACCESS_KEY_ID = 'AKIA' AWS_SECRET_ACCESS_KEY = '{SECRET}'"
UNREACHABLE = "ENDPOINT = 'http://127.0.0.1:1' REGION = 'us-east-1'"
FAILING = {
    "a syntax error": f"{MADE} ?!",
    "a text without end": MADE[:-20],
    "a bind error": f"{MADE} REGIN = 'x'",
    "an unreachable server": f"{MADE} {UNREACHABLE}",
    "a later statement": f"SHOW SETTINGS; {MADE} VALIDATE = FALSE; DROP CONNECTION framed; DROP CONNECTION framed",
}


def frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of an error with their variables, as pytest's --showlocals and rich have them."""
    return list(traceback.TracebackException.from_exception(error, capture_locals=True).stack)


def seen(error: BaseException) -> str:
    """All that the variables of the frames show, those of callers not among it, and what a debugger prints there."""
    shown = repr([one.locals for one in frames(error)[1:]])
    typed = io.StringIO("w\np list(locals().items())\na\nu\np list(locals().items())\nd\nq\n")
    told = io.StringIO()
    debugger = pdb.Pdb(stdin=typed, stdout=told, nosigint=True, readrc=False)
    debugger.use_rawinput = False
    debugger.reset()
    debugger.interaction(None, error.__traceback__.tb_next)
    return shown + told.getvalue() + repr(traceback.format_exception(error)[1:])


def run(how, title: str) -> S3ConnError:
    """The error of a failing text that no variable of the caller holds."""
    with pytest.raises(S3ConnError) as caught:
        how(FAILING[title])
    return caught.value


@pytest.mark.parametrize("title", FAILING)
@pytest.mark.parametrize(
    "how",
    [s3conn_magic.execute, lambda text: list(s3conn_magic._current_session().run(text))],
    ids=["execute", "session"],
)
def test_our_frames_do_not_hold_the_text(how, title):
    """After execute or a session's run failed, no variable of our frames holds the statements or a part of them."""
    error = run(how, title)
    ours = [one for one in frames(error) if "s3conn_magic" in one.filename]
    assert len(ours) == 1
    assert "CREATE" not in repr(ours[0].locals)
    assert not leaked(repr(ours[0].locals))
    assert error.__cause__ is error.__context__ is None


@pytest.mark.parametrize("title", FAILING)
def test_a_debugger_finds_no_secret(title):
    """Post-mortem in the frames of execute shows neither the statements nor a secret."""
    assert not leaked(seen(run(s3conn_magic.execute, title)))


@pytest.mark.parametrize("unforeseen", [ValueError, KeyboardInterrupt, MemoryError, RecursionError])
def test_whatever_ends_a_statement_leaves_no_frames(monkeypatch, unforeseen):
    """An exception that nobody foresaw, and an interrupt, leave as an error of ours without the frames below."""

    def parse(source):
        raise unforeseen(source.text)

    monkeypatch.setattr("s3conn_magic.session.parse", parse)
    error = run(s3conn_magic.execute, "a bind error")
    assert type(error).__name__ == {KeyboardInterrupt: "StatementInterrupted"}.get(unforeseen, "S3ConnError")
    assert not leaked(seen(error) + str(error))


LOOK = """
import sys, traceback
def all_of(error):
    shown = repr(traceback.TracebackException.from_exception(error, capture_locals=True).stack)
    trace = error.__traceback__
    while trace:
        shown += repr([trace.tb_frame.f_locals[name] for name in list(trace.tb_frame.f_locals)])
        trace = trace.tb_next
    return shown
print(all_of(sys.last_value))
"""
# What a traceback with variables does in the moment of the failure, as rich does.
WATCH = """
import traceback
from IPython import get_ipython
seen = []
def watch(shell, kind, error, trace, tb_offset=None):
    seen.append(repr(traceback.TracebackException(kind, error, trace, capture_locals=True).stack))
shell = get_ipython()
plain = shell.showtraceback
def showtraceback(*given, **options):
    import sys
    plain(*given, **options)
    watch(shell, *sys.exc_info())
shell.showtraceback = showtraceback
"""
CELLS = {
    "the magic": f"%%upsql\n{MADE} REGIN = 'x'",
    "another name": f"%%sql\n{MADE} REGIN = 'x'",
    "a line": f"if True:\n    x = %upsql {MADE} REGIN = 'x'",
    "execute": f"s3conn_magic.execute(\"{MADE} REGIN = 'x'\")",
    "caught": f"try:\n    %upsql {MADE} REGIN = 'x'\nexcept Exception as error:\n    raise ValueError(1) from error",
}


def test_a_kernel_shows_no_secret_of_a_failed_statement(tmp_path: Path):
    """In a kernel, a traceback with variables made at the failure, and the last error after it, show no secret."""
    with started(tmp_path) as kernel:
        assert (
            kernel.run(f"%load_ext s3conn_magic\nimport s3conn_magic\n%alias_magic sql upsql\n{WATCH}").status == "ok"
        )
        for title, cell in CELLS.items():
            outcome = kernel.run(cell)
            assert outcome.status == "error"
            assert not leaked(outcome.everything), title
            assert not leaked(kernel.run(f"{LOOK}\nprint(seen, len(seen))").stdout), title
        assert kernel.run("print(len(seen))").stdout == f"{len(CELLS)}\n"
        shown = kernel.run("%debug", answers=["w", "u", "u", "p locals()", "q"])
        assert not leaked(shown.everything)


def test_the_test_would_see_what_frames_hold():
    """Where a frame holds the text, this file's look at it finds the secret."""

    def fail(text: str) -> None:
        raise S3ConnError(f"{len(text)}", hint="")

    assert leaked(seen(run(fail, "a bind error")))
    assert sys.exc_info()[1] is None
