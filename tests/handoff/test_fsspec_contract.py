"""fsspec's own tests of a filesystem, on the files of a connection."""

from __future__ import annotations

import fsspec.tests.abstract as contract
import pytest
from shelf import shelved
from statements import Statements, create

from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret


@pytest.fixture(scope="module")
def files():
    """Files of a server with an empty bucket."""
    with shelved("bucket") as (_, recorder):
        run = Statements()
        run(create("lake", keys=Keys("AKIAONE", Secret("one")), ENDPOINT=recorder.endpoint, VALIDATE=False))
        yield run.connection("lake").fsspec()


class OfAConnection(contract.AbstractFixtures):
    """The files of a connection, with an empty bucket."""

    @pytest.fixture
    def fs(self, files):
        """Nothing of one test is there in another."""
        if files.find("bucket"):
            files.rm("bucket", recursive=True)
        return files

    @pytest.fixture
    def fs_path(self):
        """The bucket."""
        return "bucket"

    @pytest.fixture
    def fs_join(self):
        """Slashes everywhere."""
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def supports_empty_directories(self):
        """Folders are there when something is in them."""
        return False


class TestCopy(contract.AbstractCopyTests, OfAConnection):
    """Copies."""


class TestGet(contract.AbstractGetTests, OfAConnection):
    """Downloads."""


class TestPut(contract.AbstractPutTests, OfAConnection):
    """Uploads."""


class TestOpen(contract.AbstractOpenTests, OfAConnection):
    """Files."""


class TestPipe(contract.AbstractPipeTests, OfAConnection):
    """Bytes."""
