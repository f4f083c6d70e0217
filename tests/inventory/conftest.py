from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from boto_clients import client
from statements import Statements, create

if TYPE_CHECKING:
    from inventories import Report

    from s3conn_magic.sandbox import Keys


@pytest.fixture(params=["sandbox", "rclone_server"])
def server(request):
    """Each of the two servers: moto's, and rclone's, which verifies signatures."""
    return request.getfixturevalue(request.param)


def _emptied(s3, report: Report) -> None:
    for key in report.objects:
        s3.delete_object(Bucket=report.kept_in, Key=key)


@cache
def _client(endpoint: str, keys: Keys):
    """One for all tests of a server: making one takes longer than what they ask it for."""
    return client("s3", endpoint, keys)


def _reading(server):
    """A function that puts a report and gives a session with a connection to it."""
    keys = getattr(server, "admin", None) or server.keys
    s3, reports = _client(server.endpoint, keys), []

    def reading(report: Report, **options) -> Statements:
        reports.append(report.put(s3))
        run = Statements()
        run(create("lake", keys=keys, ENDPOINT=server.endpoint, VALIDATE=False, **options))
        return run

    yield reading
    for report in reports:
        _emptied(s3, report)


@pytest.fixture
def reading(sandbox):
    """Puts a report into the sandbox, and gives a session that reaches it."""
    yield from _reading(sandbox)


@pytest.fixture
def reading_from_each(server):
    """Puts a report into each of the two servers, and gives a session that reaches it."""
    yield from _reading(server)
