"""One piece of work in a daemon thread, stopped by a flag; whatever goes wrong in it is an error to show in place."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from s3conn_magic.errors import InternalError, S3ConnError

if TYPE_CHECKING:
    from collections.abc import Callable

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
