"""Where an interrupt waits, and what it ends as."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FunctionType

import pytest

from s3conn_magic.errors import EndpointError, InternalError, S3ConnError, StatementInterrupted
from s3conn_magic.runtime import interrupts
from s3conn_magic.runtime.interrupts import Deferring, deferred, interruptible, outcome, postponed, undisturbed, whole

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def the_handler_is_given_back():
    """Whatever happens in a test, the handler is the one from before."""
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def press(times=1, after=0.0):
    """Press the stop button, now or in a moment."""

    def presses():
        time.sleep(after)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.03)

    if after:
        threading.Thread(target=presses, daemon=True).start()
    else:
        presses()


class Lock:
    """A lock of Python code, as those of many libraries."""

    def __init__(self):
        self.condition = threading.Condition()

    def use(self, seconds):
        """Take it and give it back, again and again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.condition:
                pass


def test_an_interrupt_ends_a_call_as_an_error_of_ours():
    """It is StatementInterrupted, with no trace of what led to it."""

    @interruptible
    def work():
        press()
        time.sleep(10)

    with pytest.raises(StatementInterrupted) as failed:
        work()
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None


def test_an_import_comes_to_its_end(tmp_path, monkeypatch):
    """A module that is interrupted while it is loaded, within one that loads it, is there whole afterwards."""
    (tmp_path / "outer_of_two.py").write_text("import inner_of_two\ndone = True\n")
    (tmp_path / "inner_of_two.py").write_text("import os\nos.kill(os.getpid(), 2)\nprint()\ndone = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    after = []

    @interruptible
    def work():
        import outer_of_two

        after.append(outer_of_two.done)
        time.sleep(10)

    with pytest.raises(StatementInterrupted):
        work()
    assert sys.modules["outer_of_two"].done
    assert sys.modules["inner_of_two"].done


def test_what_runs_while_a_module_of_the_user_s_is_imported_can_be_interrupted(tmp_path, monkeypatch):
    """Only imports within the call count: a script that is imported, and runs statements, is no reason to wait."""
    program = "import sys\nsys.path.insert(0, {!r})\nfrom test_deferred_interrupts import called\nfound = called()\n"
    (tmp_path / "imports_and_runs.py").write_text(program.format(str(Path(__file__).parent)))
    monkeypatch.syspath_prepend(str(tmp_path))
    import imports_and_runs

    assert imports_and_runs.found < 5


def called():
    """Seconds until a call that is interrupted ends."""
    began = time.monotonic()

    @interruptible
    def work():
        press()
        time.sleep(30)

    with pytest.raises(StatementInterrupted):
        work()
    return time.monotonic() - began


def test_further_presses_do_not_disturb_the_clearing_up():
    """The button pressed three times is one wish: what clears up comes to its end, and gives what it promised."""
    cleared = []

    @interruptible
    def work():
        try:
            press(3, after=0.1)
            time.sleep(30)
        except KeyboardInterrupt:
            time.sleep(0.3)
            cleared.append(True)
            raise

    with pytest.raises(StatementInterrupted):
        work()
    assert cleared == [True]


def test_what_is_whole_ends_before_the_interrupt():
    """A function that is marked so is not left half done; the interrupt comes behind it."""
    steps = []

    @whole
    def both():
        steps.append(1)
        press()
        steps.append(2)

    @interruptible
    def work():
        both()
        time.sleep(30)

    with pytest.raises(StatementInterrupted):
        work()
    assert steps == [1, 2]


def test_an_interrupt_that_waits_when_a_call_ends_is_not_lost():
    """It ends the call in place of its result, and does not go to whoever comes next."""

    @whole
    def last():
        press()

    with pytest.raises(StatementInterrupted):
        interruptible(last)()


def test_a_finalizer_does_not_swallow_it(capfd):
    """Python would print an interrupt in `__del__` and go on as if nothing had been pressed."""

    class Old:
        def __del__(self):
            press()

    @interruptible
    def work():
        old = Old()
        del old
        time.sleep(30)

    with pytest.raises(StatementInterrupted):
        work()
    assert capfd.readouterr().err == ""


def test_no_lock_stays_taken():
    """Interrupted at any moment, code that takes a lock by more than one step gives it back."""
    lock = Lock()

    @interruptible
    def work():
        press(after=0.002)
        lock.use(5)

    for _ in range(40):
        with pytest.raises(StatementInterrupted):
            work()
        free: list[bool] = []
        other = threading.Thread(target=lambda free=free: free.append(lock.condition.acquire(timeout=2)))
        other.start()
        other.join()
        assert free == [True]
        lock.condition = threading.Condition()


def test_what_may_not_be_disturbed_is_not():
    """It is done, and neither it nor its caller hears of the interrupt."""
    done = []

    @undisturbed
    def note():
        press()
        done.append(True)

    note()
    assert done == [True]


def test_what_is_postponed_ends_and_the_next_is_interrupted():
    """As what is done before a cell runs, whose errors would be printed with the cell."""
    done = []

    @postponed
    def before():
        press()
        done.append(True)

    @interruptible
    def work():
        time.sleep(30)

    before()
    with pytest.raises(StatementInterrupted):
        work()
    assert done == [True]


def _gives():
    return "rows"


def _fails():
    raise EndpointError("no answer", hint="Wait.")


def _divides():
    return 1 / 0


# As a function of the package: what fails elsewhere is no defect of it.
_is_unforeseen = FunctionType(_divides.__code__, {"__name__": "s3conn_magic.made_up"}, "_is_unforeseen")


def _is_stopped():
    press()
    time.sleep(10)


@whole
def _is_pressed():
    press()


def _waits_to_be_stopped():
    _is_pressed()


def pressed_at(step, work):
    """What came of a call in which the button was pressed at a step of it, and whether there is such a step.

    Python looks for signals where a function begins, and where one of C returns.
    """
    steps = itertools.count()

    def look(_, event, __):
        deferring = isinstance(signal.getsignal(signal.SIGINT), Deferring)
        if event in {"call", "c_return"} and deferring and next(steps) == step:
            sys.setprofile(None)
            press()

    came = []
    sys.setprofile(look)
    try:
        came.append(work())
    except (S3ConnError, KeyboardInterrupt) as error:
        came.append(error)
    finally:
        sys.setprofile(None)
    try:
        time.sleep(20 * interrupts._AGAIN)  # what waits for the end of the call comes now
    except KeyboardInterrupt:
        came.append(KeyboardInterrupt)
    return came, next(steps) > step


@pytest.mark.parametrize("way", ["a statement", "a call"])
@pytest.mark.parametrize(
    ("work", "without"),
    [
        (_gives, str),
        (_fails, EndpointError),
        (_is_unforeseen, InternalError),
        (_is_stopped, StatementInterrupted),
        (_waits_to_be_stopped, StatementInterrupted),
    ],
)
def test_an_interrupt_at_any_step_of_a_statement_ends_it_by_one_error(monkeypatch, work, without, way):
    """Wherever it comes, also while the error is made, the call ends by its own error or as interrupted."""
    monkeypatch.setattr(interrupts, "_AGAIN", 0.001)
    if way == "a call" and without is InternalError:
        pytest.skip("a call that is no statement raises what is unforeseen")

    def statement():
        result, failure = outcome(work)
        if failure is not None:
            raise failure
        return result

    run = statement if way == "a statement" else interruptible(work)
    ended = set()
    for step in range(500):
        came, there = pressed_at(step, run)
        ended |= {type(came[0])}
        assert type(came[0]) in {without, StatementInterrupted}, step
        assert came[1:] == [] or type(came[0]) is not StatementInterrupted
        if isinstance(came[0], S3ConnError):
            assert (came[0].__cause__, came[0].__context__) == (None, None)
        if not there:
            break
    assert not there
    assert step > 10
    assert ended == {without, StatementInterrupted}


def test_another_handler_of_the_user_s_is_asked():
    """The handler that was set decides what an interrupt does, as asyncio's, which cancels a task."""
    heard, before = [], signal.signal(signal.SIGINT, lambda *_: heard.append(True))
    try:
        deferred(press)()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [True]


def test_where_interrupts_are_ignored_they_still_are():
    """As in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        deferred(press)()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_the_handler_alone():
    """Only the main thread gets interrupts, and only it may set handlers."""
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with Deferring():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


_PROGRAM = """
import os, signal, sys, threading, time
sys.path.insert(0, {root!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
import s3conn_magic
from s3conn_magic.errors import S3ConnError, StatementInterrupted
def press():
    while not {begun!r} in sys.modules:
        time.sleep(0.001)
    for _ in range({times}):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.02)
threading.Thread(target=press, daemon=True).start()
try:
    s3conn_magic.execute({text!r} + "; SELECT count(*) FROM range(4000000000) AS r WHERE random() > 2")
except StatementInterrupted:
    print("interrupted")
import numpy, pandas, pyarrow, duckdb, boto3, pyparsing
s3conn_magic.execute({text!r})
print(pandas.DataFrame({{"a": [1]}}).to_html()[:6], s3conn_magic.execute("SELECT 7 AS x")["x"][0])
"""


@pytest.mark.parametrize(
    ("begun", "text"),
    [
        ("numpy", "SHOW CONNECTIONS"),
        ("pandas.core", "SELECT 1 AS x"),
        ("pyarrow", "SELECT 1 AS x"),
        ("duckdb", "SELECT 1 AS x"),
        ("pyparsing", "SHOW SETTINGS"),
        ("fsspec", "SELECT 1 AS x"),
    ],
)
def test_a_library_that_is_interrupted_while_it_loads_is_there_whole(tmp_path, begun, text):
    """In a new process, once its import has begun, the button is pressed three times; all works afterwards."""
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM.format(root=str(ROOT), begun=begun, text=text, times=3))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["interrupted", "<table 7"]
