"""How fast bytes may leave for the browser.

A Jupyter server drops what a kernel sends beyond 1 MB/s, averaged over three seconds
(`ServerApp.iopub_data_rate_limit`, `ServerApp.rate_limit_window`), and with it the output of cells.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from s3conn_magic.errors import IncompleteListingError, InternalError, S3ConnError
from s3conn_magic.explorer.model import Children, ChildrenOf

if TYPE_CHECKING:
    from s3conn_magic.locations import Location

_WINDOW = 3.2
_BYTES = 2_400_000
"""In any window; the rest of what the server lets through is left to everything else."""


class Pace:
    """Holds back senders so that any window of seconds sees a bounded number of bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: deque[tuple[float, int]] = deque()

    def wait(self, size: int, sleep: Callable[[float], bool]) -> None:
        """Return when `size` bytes may be sent, or at once when `sleep` says that nobody wants them any more."""
        while (seconds := self._take(size)) and not sleep(seconds):
            pass

    def _take(self, size: int) -> float:
        """Seconds to wait; 0 when there was room, which then is taken."""
        with self._lock:
            now = time.monotonic()
            while self._sent and self._sent[0][0] <= now - _WINDOW:
                self._sent.popleft()
            if self._sent and sum(each for _, each in self._sent) + size > _BYTES:
                return max(self._sent[0][0] + _WINDOW - now, 0.001)
            self._sent.append((now, size))
            return 0.0


# The limit is the kernel's, whatever number of explorers it has.
PACE = Pace()


_Result = TypeVar("_Result")


class Work(Generic[_Result]):
    """Runs `do` in a thread, in a copy of the caller's context, where ipykernel keeps the request that messages answer.

    Args:
        do: is given this object, to look at `cancelled` between its steps.
    """

    def __init__(self, do: Callable[[Work[_Result]], _Result]) -> None:
        self._do = do
        self._cancelled = threading.Event()

    def start(self, done: Callable[[_Result], None], failed: Callable[[S3ConnError], None]) -> Work[_Result]:
        """Begin; one of the two is called in the thread, also after `cancel`."""
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._run, done, failed), name="s3conn-explorer", daemon=True).start()
        return self

    def cancel(self) -> None:
        """Ask it to stop."""
        self._cancelled.set()

    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled.is_set()

    def sleep(self, seconds: float) -> bool:
        """Wait, but not longer than until it is asked to stop; whether it was."""
        return self._cancelled.wait(seconds)

    def _run(self, done: Callable[[_Result], None], failed: Callable[[S3ConnError], None]) -> None:
        try:
            result = self._do(self)
        except S3ConnError as error:
            failed(error)
        except Exception as error:  # noqa: BLE001 - the thread's one boundary: whatever it was is shown in place
            failed(InternalError.from_exception(error))
        else:
            done(result)


AT_ONCE = 4

Arrived = Callable[["Listing", Children], None]
Ended = Callable[["Listing", S3ConnError | None], None]


class Listing:
    """One listing of a folder, from a token on: one page, or every page that is left.

    Its thread runs in a copy of the caller's context, where ipykernel keeps the request that messages answer to.

    Attributes:
        every: whether it goes on to the last page.
    """

    def __init__(
        self, children: ChildrenOf, location: Location | None, token: str | None, starting_with: str, *, every: bool
    ) -> None:
        self.every = every
        self._children = children
        self._location = location
        self._token = token
        self._starting_with = starting_with
        self._cancelled = threading.Event()

    def start(self, slots: threading.Semaphore, arrived: Arrived, ended: Ended) -> None:
        """Begin when a slot is free; `arrived` gets each page, `ended` None or the error, both in the thread."""
        run = contextvars.copy_context().run
        work = (run, self._run, slots, arrived, ended)
        threading.Thread(target=work[0], args=work[1:], name="s3conn-explorer", daemon=True).start()

    def cancel(self) -> None:
        """Ask it to stop; nothing arrives from it any more that the caller still wants."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled.is_set()

    def _run(self, slots: threading.Semaphore, arrived: Arrived, ended: Ended) -> None:
        with slots:
            error = self._outcome(arrived)
        ended(self, error)

    def _outcome(self, arrived: Arrived) -> S3ConnError | None:
        try:
            self._pages(arrived)
        except S3ConnError as error:
            return error
        except Exception as error:  # noqa: BLE001 - the thread's one boundary: whatever it was is shown in place
            return InternalError.from_exception(error)
        return None

    def _pages(self, arrived: Arrived) -> None:
        more = True
        while more and not self.cancelled:
            page = self._children(
                self._location, self._token, starting_with=self._starting_with, cancelled=self._cancelled.is_set
            )
            if page.token is not None and page.token == self._token:
                raise IncompleteListingError("the server gave the same token twice", rows_so_far=None, reason="token")
            arrived(self, page)
            self._token = page.token
            more = self.every and page.token is not None
