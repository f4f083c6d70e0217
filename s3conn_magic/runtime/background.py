"""Background threads and coroutines, waits that an interrupt ends, and fork-safe locks."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import os
import queue
import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from weakref import WeakSet

from s3conn_magic.errors import InternalError, S3ConnError, StatementInterrupted
from s3conn_magic.secrets import is_ours

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator


class Renewed(Protocol):
    """An object that is made anew in a forked child."""

    def renew(self) -> None:
        """Start afresh; called in the child before anything else uses the object."""


def new_lock() -> threading.Lock:
    """Return a lock that is free in a forked child even if a thread of the parent held it.

    It is a plain lock: a wrapper could be interrupted between acquiring the lock and noting that it did.
    """
    lock = threading.Lock()
    _locks.add(lock)
    return lock


# Weak, so that a dropped connection is freed.
_renewed: WeakSet[Renewed] = WeakSet()
_locks: WeakSet[threading.Lock] = WeakSet()


def renew_in_child(renewed: Renewed) -> None:
    """Call `renew` in every forked child as long as the object lives."""
    _renewed.add(renewed)


def _renew_all() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - as the standard library's own do
    for renewed in list(_renewed):
        renewed.renew()


def leave_to_parent(held: object) -> None:
    """Keep an object alive in a forked child, where destroying it, such as a loop, would end what it shares."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_renew_all)


ASKING: contextvars.ContextVar[tuple[int, Callable[[str], str]] | None]
ASKING = contextvars.ContextVar("asking", default=None)
"""While a statement runs: its thread, the only one that may ask the user, and a function that asks for a named text."""


@contextmanager
def asking(prompt: Callable[[str], str]) -> Iterator[None]:
    """Allow this thread to ask the user within the block.

    Args:
        prompt: asks for the text of the given name; raises a LookupError if nobody can be asked.
    """
    before = ASKING.set((threading.get_ident(), prompt))
    try:
        yield
    finally:
        ASKING.reset(before)


_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_POLL_SECONDS = 0.1
_CANCELLED: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar("ended", default=None)
"""In the threads of a `Work`: set as soon as its result is no longer wanted."""


def in_order(work: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int, *, name: str) -> Iterator[_Result]:
    """Yield the result for each item, in their order; the first error ends it.

    Args:
        work: the function, run in threads side by side.
        items: taken as they are needed.
        at_once: how many results may wait or be under way besides the one yielded.
        name: name of the threads.
    """
    pool = ThreadPoolExecutor(at_once, name)
    ahead: deque[Future[_Result]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > at_once:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class LightFuture(Generic[_Result]):
    """A `concurrent.futures.Future` of which there may be thousands: all share one lock.

    Attributes:
        on_cancel: called with it when it is cancelled.
    """

    __slots__ = ("_callbacks", "_cancelled", "_done", "_error", "_event", "_result", "on_cancel")

    def __init__(self) -> None:
        self.on_cancel: Callable[[LightFuture[_Result]], None] | None = None
        self._done = self._cancelled = False
        self._error: BaseException | None = None
        self._result: Any = None
        self._event: threading.Event | None = None
        self._callbacks: tuple[Callable[[LightFuture[_Result]], None], ...] = ()

    def done(self) -> bool:
        """Whether there is a result or an error, or it was cancelled."""
        return self._done

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def set_result(self, result: _Result) -> None:
        """Set the result, unless it is done."""
        self._settle(result, None)

    def set_exception(self, error: BaseException) -> None:
        """Set the error, unless it is done."""
        self._settle(None, error)

    def cancel(self) -> bool:
        """Cancel it, unless it is done; return whether it is cancelled."""
        self._settle(None, CancelledError(), cancelled=True)
        if self._cancelled and self.on_cancel is not None:
            self.on_cancel(self)
        return self._cancelled

    def _settle(self, result: _Result | None, error: BaseException | None, *, cancelled: bool = False) -> None:
        with _settling:
            if self._done:
                return
            self._result, self._error, self._cancelled, self._done = result, error, cancelled, True
            callbacks, self._callbacks = self._callbacks, ()
            event = self._event
        if event is not None:
            event.set()
        for callback in callbacks:
            callback(self)

    def add_done_callback(self, callback: Callable[[LightFuture[_Result]], None]) -> None:
        """Call a function with it when it is done, in the thread that does so; now, if it is."""
        with _settling:
            if not self._done:
                self._callbacks += (callback,)
                return
        callback(self)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error once it is done; raise `CancelledError` if it was cancelled, `TimeoutError` if late."""
        if not self._done:
            with _settling:
                event = self._event = self._event or threading.Event()
                if self._done:
                    event.set()
            if not event.wait(timeout):
                raise TimeoutError
        if self._cancelled and self._error is not None:
            raise self._error
        return self._error

    def result(self, timeout: float | None = None) -> _Result:
        """Return the result, or raise the error; as `exception`."""
        if (error := self.exception(timeout)) is not None:
            raise error
        return self._result  # type: ignore[no-any-return]


_settling = new_lock()


def run_in_background(function: Callable[[], _Result], *, name: str, daemon: bool = True) -> Future[_Result]:
    """Run a function in a thread, in a copy of the caller's context, where ipykernel keeps its request.

    Args:
        function: what to run.
        name: name of the thread.
        daemon: False if the process must not end before the function.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - raised where the future is read
            future.set_exception(error)
        else:
            future.set_result(result)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name=name, daemon=daemon).start()
    return future


def wait_for(
    future: Future[_Result] | LightFuture[_Result],
    *,
    within: float | None = None,
    every: Callable[[], None] | None = None,
) -> _Result:
    """Return the result or raise the error; an interrupt ends the wait, but not the work.

    Within a `Work` that is asked to stop, the wait ends with a StatementInterrupted.

    Args:
        future: what to wait for.
        within: seconds until a TimeoutError.
        every: called in this thread, several times a second; what it raises ends the wait.
    """
    until = None if within is None else time.monotonic() + within
    while not future.done():
        with suppress(TimeoutError):
            future.exception(_POLL_SECONDS)
        if every is not None:
            every()
        if not future.done():
            _check_cancelled()
        if until is not None and not future.done() and time.monotonic() > until:
            raise TimeoutError
    return future.result()


def _check_cancelled() -> None:
    """Raise if this is the thread of a `Work` that was asked to stop."""
    ended = _CANCELLED.get()
    if ended is not None and ended.is_set():
        raise StatementInterrupted("nobody waits for it")


class Work(Generic[_Result]):
    """A function that runs in the background and can be asked to stop; this also ends its waits and its requests.

    Args:
        do: the function; gets this object, to check `cancelled` between its steps.
        stop: an event by which others ask it to stop.
    """

    def __init__(self, do: Callable[[Work[_Result]], _Result], stop: threading.Event | None = None) -> None:
        self._do = do
        self._cancelled = stop or threading.Event()

    def start(self, done: Callable[[_Result], None], failed: Callable[[S3ConnError], None]) -> Work[_Result]:
        """Start; one of the callbacks is called in the thread, even after `cancel`."""
        future = run_in_background(lambda: self._run(done, failed), name="s3conn-work")
        # Errors in the callbacks are logged.
        future.add_done_callback(Future.result)
        return self

    def cancel(self) -> None:
        """Ask it to stop."""
        self._cancelled.set()

    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled.is_set()

    def sleep(self, seconds: float) -> bool:
        """Sleep until it is asked to stop, at most so many seconds; return whether it was asked."""
        return self._cancelled.wait(seconds)

    def _run(self, done: Callable[[_Result], None], failed: Callable[[S3ConnError], None]) -> None:
        _CANCELLED.set(self._cancelled)  # of this thread's own context
        try:
            result = self._do(self)
        except S3ConnError as error:
            failed(error)
        except Exception as error:  # noqa: BLE001 - the thread's one boundary: whatever it was is shown in place
            failed(InternalError.from_exception(error))
        else:
            done(result)


class LoopThread:
    """An event loop in a daemon thread, started at first use; a forked child has its own.

    Args:
        name: name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = new_lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        renew_in_child(self)

    def renew(self) -> None:
        """Leave the loop to the parent, in a forked child."""
        if self._loop is not None:
            leave_to_parent(self._loop)
        self._loop = None

    def call(self, function: Callable[[], object]) -> None:
        """Call a function in the loop soon; can be called from any thread."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop.set_exception_handler(_report_error)
                threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True).start()
            loop = self._loop
        # Requests are sent together with those of other statements, so they must not end with this `Work`.
        context = contextvars.copy_context()
        context.run(_CANCELLED.set, None)
        loop.call_soon_threadsafe(function, context=context)


def _report_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report errors, except about sockets left unclosed when the process ends."""
    if not str(context.get("message", "")).startswith("Unclosed"):
        loop.default_exception_handler(context)


LOOP = LoopThread("s3conn-transport")
"""The loop that sends all requests of the process, so that sockets stay open from one statement to the next."""

_STOP_WITHIN = 0.8
_WAKE_SECONDS = 0.25
_BATCH_SECONDS, _MOST_BATCHES, _RELAX_SECONDS = 0.02, 16, 0.005


@dataclass(frozen=True, slots=True)
class _End:
    """The coroutine has ended."""

    error: BaseException | None


class Background:
    """Runs a coroutine in the loop of all requests.

    Args:
        work: makes the coroutine; gets this object, whose `put` reports.
    """

    def __init__(self, work: Callable[[Background], Awaitable[None]]) -> None:
        self._work = work
        self._reports: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._task: asyncio.Task[None] | None = None
        self._started, self._stopped, self._over = threading.Event(), threading.Event(), threading.Event()
        self._batch: list[Any] = []
        self._taken: list[Any] = []
        self._flushing: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start; if it was stopped before, it ends at once."""
        self._started.set()
        LOOP.call(self._begin)

    async def put(self, report: Any) -> None:
        """Report to the waiting thread; wait while that is far behind.

        The first report is sent at once. Later ones are sent together, many times a second: waking a thread for each
        would cost more than the reports.
        """
        self._batch.append(report)
        if self._flushing is None:
            self._flush()
            self._flushing = asyncio.get_running_loop().call_later(_BATCH_SECONDS, self._flushed)
        while self._reports.qsize() > _MOST_BATCHES:  # noqa: ASYNC110 - the queue is emptied by another thread
            await asyncio.sleep(_RELAX_SECONDS)

    def _flushed(self) -> None:
        self._flushing = None
        self._flush()

    def _flush(self) -> None:
        if self._batch:
            self._reports.put(self._batch)
            self._batch = []

    def reports(self, *, every: Callable[[], None] | None = None) -> Iterator[Any]:
        """Yield the reports until the coroutine has ended; raise its error here.

        `every` is called in the waiting thread, a few times a second while there are no reports.
        """
        while True:
            try:
                report = self._reports.get(timeout=_WAKE_SECONDS)
            except queue.Empty:
                if every is not None:
                    every()
                _check_cancelled()
                continue
            if isinstance(report, _End):
                if report.error is not None:
                    raise report.error
                return
            self._taken = report
            while self._taken:
                yield self._taken.pop(0)

    def drain(self) -> list[Any]:
        """Return the reports not taken yet, without waiting."""
        left, self._taken = self._taken, []
        while not self._reports.empty():
            batch = self._reports.get_nowait()
            left += [] if isinstance(batch, _End) else batch
        return left

    def stop(self) -> None:
        """End the coroutine and wait, for less than a second, until its requests have ended."""
        patience = 0.0 if self._stopped.is_set() else _STOP_WITHIN
        self._stopped.set()
        if self._started.is_set() and not self._over.is_set():
            LOOP.call(self._cancel)
            self._over.wait(patience)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._main())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._flush()
        # Every error is raised in the waiting thread.
        self._reports.put(_End(None if task.cancelled() else task.exception()))
        self._over.set()

    async def _main(self) -> None:
        is_ours()
        if not self._stopped.is_set():
            await self._work(self)
