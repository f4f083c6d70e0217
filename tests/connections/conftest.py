from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

_COUNT = 16


@pytest.fixture
def threads():
    """Calls a function in 16 threads that begin together; gives what each returned."""

    def run(call):
        barrier = Barrier(_COUNT)

        def one(_):
            barrier.wait(30)
            return call()

        with ThreadPoolExecutor(_COUNT) as pool:
            return list(pool.map(one, range(_COUNT)))

    return run
