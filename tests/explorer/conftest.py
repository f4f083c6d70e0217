"""An explorer over the sandbox, without a browser."""

from __future__ import annotations

import pytest
from page import Page
from recording import passing_to, recording
from statements import Statements, create
from vaults import answering

from s3conn_magic.explorer.connections import ConnectionChildren, ConnectionObjects
from s3conn_magic.locations import Location


@pytest.fixture
def recorder(sandbox):
    """What stands before the sandbox, keeps every request, and tells of SSE-C, of which moto does not."""
    with recording(answering(passing_to(sandbox.endpoint), "honours")) as server:
        yield server


@pytest.fixture
def connect(sandbox, recorder):
    """Makes a connection through the recorder, with these options."""

    def made(**options):
        run = Statements()
        run(create("lake", keys=sandbox.admin, ENDPOINT=recorder.endpoint, REGION="us-east-1", **options))
        return run.connection("lake")

    return made


@pytest.fixture
def explore(connect):
    """Opens an explorer at a location."""
    opened = []

    def made(uri, connection=None):
        connection = connection or connect()
        children, location = ConnectionChildren(lambda: connection), Location.parse(uri) if uri else None
        first = children(location, None, cancelled=lambda: False)
        objects = ConnectionObjects(lambda _: connection)
        opened.append(Page(children, title="lake", location=location, first=first, objects=objects))
        return opened[-1]

    yield made
    for page in opened:
        page.close()
