"""Postpone interrupts at moments where KeyboardInterrupt would leave something half done.

Python raises KeyboardInterrupt between any two steps of the main thread. During an import that leaves numpy or pandas
half loaded until the process ends; between acquiring a lock and noting it, a lock that is never released; in a
finalizer, an interrupt that is printed and lost. So while this package is at work, an interrupt at such a moment waits
until it is over. It looks at the frames under way, which covers every import of every library, and changes nothing for
code that is not interrupted.

Other threads get no interrupts, so their imports are safe.
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
"""Seconds until a waiting interrupt checks again."""
_SAME_WITHIN = 3.0
"""Seconds in which another interrupt means the same: what the first one stopped is still being cleaned up."""
_LONGEST_WAIT = 60.0
"""Seconds after which an interrupt no longer waits, as for an import from a lost network drive."""
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
"""Code that takes or releases a lock in more than one step."""
_WHOLE_FILES = {
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
    *(each.__init__.__code__.co_filename for each in (weakref.WeakSet, weakref.WeakValueDictionary)),
}
_FINALIZER = "__del__"


def whole(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Make interrupts wait until a short function has finished."""
    _WHOLE.add(function.__code__)
    return function


def _must_end(frame: FrameType | None, outermost: FrameType | None, last: CodeType | None) -> bool:
    """Whether a frame, up to the outermost, must finish first; also the code `last`."""
    while frame is not None and frame is not outermost:
        code = frame.f_code
        if code.co_filename in _WHOLE_FILES or code.co_name == _FINALIZER or code in _WHOLE or code is last:
            return True
        frame = frame.f_back
    return False


class Deferring:
    """Postpones interrupts of the main thread within a block, while something is half done.

    Does nothing in other threads, within another such block, or if no Python handler is set.

    Args:
        waits: whether an interrupt still waiting at the end of the block is raised there; otherwise a moment later.
    """

    def __init__(self, *, waits: bool = True) -> None:
        self._waits = waits
        # If the end of the block does not raise interrupts, one that comes just then is raised a moment later.
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
        """Handle the signal."""
        if self._answered:
            return
        now = time.monotonic()
        if _must_end(frame, self._outermost, self._last) and now < (self._waits_since or now) + _LONGEST_WAIT:
            self._waits_since = self._waits_since or now
            if not self._waiting:
                self._waiting = True
                # A threading.Thread would take locks that the interrupted code may hold.
                _thread.start_new_thread(self._resend, ())
        elif not self._raised_at or now > self._raised_at + _SAME_WITHIN:
            self._waits_since = 0.0
            try:
                self._before(number, frame)
            except BaseException:
                self._raised_at = now
                raise

    def _resend(self) -> None:
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
        """Raise an interrupt that is still waiting."""
        while self._waiting or self._sending:
            time.sleep(_AGAIN / 10)

    def settled(self, error: BaseException, kept: Callable[[S3ConnError], object] | None = None) -> S3ConnError:
        """Return the error of a failed statement, without frames, after passing it to `kept`.

        If an interrupt comes meanwhile or has waited, the error is that the statement was interrupted. Another
        interrupt means the same.
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
        except BaseException:  # an interrupt before it took effect; there is no second one so soon
            signal.signal(signal.SIGINT, before)
            raise


_WHOLE |= {Deferring.__enter__.__code__, Deferring.settled.__code__}


def outcome(
    work: Callable[..., _Result], *arguments: Any, kept: Callable[[S3ConnError], object] | None = None
) -> tuple[_Result, None] | tuple[None, S3ConnError]:
    """Return a statement's result, or its error for the caller to raise, without its frames.

    An interrupt before the return becomes an error, even while another error is being made.

    Args:
        work: the statement.
        arguments: its arguments.
        kept: called with the error; interrupts wait until it has finished.
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
    """Make an interrupt during a short function wait for its end, and then stop what follows."""
    whole(function)

    @wraps(function)
    def called(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with Deferring(waits=False):
            return function(*args, **options)

    return called


def undisturbed(function: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """Ignore interrupts during a short function."""
    whole(function)

    @wraps(function)
    def called(*args: _Arguments.args, **options: _Arguments.kwargs) -> None:
        with suppress(KeyboardInterrupt), Deferring():
            function(*args, **options)

    return called


def deferred(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Run a function within `Deferring`."""

    @wraps(function)
    def called(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with Deferring():
            return function(*args, **options)

    return called


def interruptible(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Make a public function raise StatementInterrupted when interrupted, with nothing left half done."""

    @wraps(function)
    def called(*args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with Deferring(waits=False) as interrupts:
            try:
                result = function(*args, **options)
                interrupts.await_pending()
            except KeyboardInterrupt as error:
                # Its context would show the statement.
                failure = interrupts.settled(error)
            else:
                return result
        raise failure

    return called
