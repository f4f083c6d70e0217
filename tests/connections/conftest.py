from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from s3conn_magic.connections.configuration import Configuration

_COUNT = 16


def _names_neither(own):
    return "statement" not in (own.region.source, own.endpoint.source)


@pytest.fixture
def in_place_of_aws(monkeypatch):
    """Makes a server that AWS_ENDPOINT_URL names be taken for AWS, which cannot be served here."""

    def put(server):
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        monkeypatch.setattr(Configuration, "is_aws", True)
        monkeypatch.setattr(Configuration, "finds_regions", property(_names_neither))

    return put


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
