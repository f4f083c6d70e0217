"""Listing in the background: one daemon thread each, a few at a time, stopped by a flag."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from s3conn_magic.errors import IncompleteListingError, InternalError, S3ConnError
from s3conn_magic.views.explorer.model import Children, ChildrenOf

if TYPE_CHECKING:
    from s3conn_magic.locations import Location

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
