"""How fast bytes may leave for the browser.

A Jupyter server drops what a kernel sends beyond 1 MB/s, averaged over three seconds
(`ServerApp.iopub_data_rate_limit`, `ServerApp.rate_limit_window`), and with it the output of cells.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

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
