"""Where an interrupt waits, and what becomes of it.

Python raises KeyboardInterrupt between any two steps of the main thread. In the midst of an import that leaves numpy or
pandas half there until the process ends; between taking a lock and saying so, a lock that nobody gives back; in a
finalizer, an interrupt that is printed and lost. So while this package is at work, an interrupt that comes at such a
place waits until the place is left. It looks at the frames that are under way, so that every import is covered, of
whatever library and wherever it stands, and nothing is changed for code that is not interrupted.

Other threads get no interrupts: what they import is safe.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
import weakref
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from s3conn_magic.errors import S3ConnError, StatementInterrupted, without_frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_AGAIN = 0.01
"""Seconds until an interrupt that waits looks again."""
_ONCE = 3.0
"""Seconds in which the button, pressed again, is the same wish: what it stops is being cleared up."""
_PATIENCE = 60.0
"""Seconds after which an interrupt waits no longer for what does not end, such as an import from a lost network."""
_CONDITION = threading.Condition
_WHOLE = {
    each.__code__
    for each in (
        _CONDITION.__enter__,
        _CONDITION.__exit__,
        _CONDITION._acquire_restore,  # type: ignore[attr-defined]  # noqa: SLF001 - with the lock of `wait`
        _CONDITION._release_save,  # type: ignore[attr-defined]  # noqa: SLF001
        threading.Thread.start,
    )
}
"""What takes a lock, or gives it back, in more than one step."""
_FILES = {
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
    *(each.__init__.__code__.co_filename for each in (weakref.WeakSet, weakref.WeakValueDictionary)),
}
_FINALIZER = "__del__"


def whole(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Have an interrupt wait until a short function has done all that it does."""
    _WHOLE.add(function.__code__)
    return function


def _must_end(frame: FrameType | None, outermost: FrameType | None, last: CodeType | None) -> bool:
    """Whether something is under way that must come to its end, from a frame out to another; also what comes last."""
    while frame is not None and frame is not outermost:
        code = frame.f_code
        if code.co_filename in _FILES or code.co_name == _FINALIZER or code in _WHOLE or code is last:
            return True
        frame = frame.f_back
    return False


class Deferring:
    """Has interrupts of the main thread wait, for the length of a block, while something is half done.

    Elsewhere, within another such block, and where no handler of Python's is set, it does nothing.

    Args:
        waits: whether an interrupt that still waits at the end of the block ends that; else it comes a moment later.
    """

    def __init__(self, *, waits: bool = True) -> None:
        self._waits = waits
        # Where the end of the block is none for those that wait, one that comes just then comes a moment later.
        self._last = None if waits else Deferring.__exit__.__code__
        self._before: Any = None
        self._outermost: FrameType | None = None
        self._waits_since = self._raised_at = 0.0
        self._waiting = self._sending = self._answered = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before) and not isinstance(before, Deferring):
                self._outermost = sys._getframe(1)  # noqa: SLF001 - where the walk over frames ends
                self._before = before
                signal.signal(signal.SIGINT, self)
        return self

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Be the handler of the signal."""
        if self._answered:
            return
        now = time.monotonic()
        if _must_end(frame, self._outermost, self._last) and now < (self._waits_since or now) + _PATIENCE:
            self._waits_since = self._waits_since or now
            if not self._waiting:
                self._waiting = True
                # A Thread would take locks that the code which was interrupted may hold.
                _thread.start_new_thread(self._again, ())
        elif not self._raised_at or now > self._raised_at + _ONCE:
            self._waits_since = 0.0
            try:
                self._before(number, frame)
            except BaseException:
                self._raised_at = now
                raise

    def _again(self) -> None:
        time.sleep(_AGAIN)
        self._sending, self._waiting = True, False
        try:
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            else:
                _thread.interrupt_main()
        finally:
            self._sending = False

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            return
        try:
            if self._waits:
                self.await_pending()
        finally:
            self._restore()

    def await_pending(self) -> None:
        """Have an interrupt that still waits come now."""
        while self._waiting or self._sending:
            time.sleep(_AGAIN / 10)

    def settled(self, error: BaseException, kept: Callable[[S3ConnError], object] | None = None) -> S3ConnError:
        """Return the error, without frames, of a statement that an exception ended, once `kept` has seen it.

        An interrupt that comes meanwhile, or has waited, has the statement end as interrupted. Pressed again, the
        button is the same wish.
        """
        failure = without_frames(error)
        if (self._waiting or self._sending) and not isinstance(failure, StatementInterrupted):
            failure = StatementInterrupted("the statement was interrupted")
        if isinstance(failure, StatementInterrupted):
            self._answered = True
            self.await_pending()
        if kept is not None:
            kept(failure)
        return failure

    def _restore(self) -> None:
        before, self._outermost = self._before, None
        try:
            signal.signal(signal.SIGINT, before)
        except BaseException:  # an interrupt that came before it had any effect; there is no second one so soon
            signal.signal(signal.SIGINT, before)
            raise


_WHOLE |= {Deferring.__enter__.__code__, Deferring.settled.__code__}


def outcome(
    work: Callable[..., _Result], *arguments: Any, kept: Callable[[S3ConnError], object] | None = None
) -> tuple[_Result, None] | tuple[None, S3ConnError]:
    """Return what a statement gives, or the error that it ended by, which the caller raises: its frames are then gone.

    An interrupt ends it by an error wherever it comes until here, also while another error is made.

    Args:
        work: the statement.
        arguments: what it is called with.
        kept: called with the error; an interrupt waits for its end.
    """
    with Deferring(waits=False) as interrupts:
        try:
            result = work(*arguments)
            interrupts.await_pending()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - what it says may hold a secret
            failure = interrupts.settled(error, kept)
        else:
            return result, None
    return None, failure


def postponed(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Have an interrupt that comes while something short is done stop what comes next, in place of that."""
    whole(function)

    @wraps(function)
    def called(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with Deferring(waits=False):
            return function(*args, **options)

    return called


def undisturbed(function: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """Have an interrupt that comes while something short is done stop neither that nor anything else."""
    whole(function)

    @wraps(function)
    def called(*args: _Arguments.args, **options: _Arguments.kwargs) -> None:
        with suppress(KeyboardInterrupt), Deferring():
            function(*args, **options)

    return called


def deferred(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Have interrupts of a function wait where they must."""

    @wraps(function)
    def called(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with Deferring():
            return function(*args, **options)

    return called


def interruptible(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Have what a user calls end by StatementInterrupted where the user interrupts it, with nothing left half done."""

    @wraps(function)
    def called(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with Deferring(waits=False) as interrupts:
            try:
                result = function(*args, **options)
                interrupts.await_pending()
            except KeyboardInterrupt as error:
                # What led to it would show the statement.
                failure = interrupts.settled(error)
            else:
                return result
        raise failure

    return called
