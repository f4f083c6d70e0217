"""Connections to servers of a test's own, and what came over the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from layouts import keys_of
from recording import Recorder, Reply, Request
from signatures import verifying
from statements import create
from synthetic import Bucket

import s3conn_magic
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

PAIR = Keys("AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
OBJECTS = keys_of("hive", 2500)
LIST = "LIST 's3://bucket/' RECURSIVE"
HOST = "s3.example.invalid"
# What differs from request to request, and what tells one HTTP library from another.
_OF_ITS_OWN = {"authorization", "x-amz-date", "amz-sdk-invocation-id", "amz-sdk-request", "accept", "connection"}


def new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give `s3conn_magic.execute` a session of its own until the test ends, and hosts no way around a proxy."""
    monkeypatch.setattr(s3conn_magic, "_sessions", {})
    for name in ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    s3conn_magic.execute("SET PROGRESS = FALSE")


_bucket = cache(partial(Bucket, OBJECTS))


def pages(request: Request, name: str = "bucket") -> Reply:
    """A page of `OBJECTS`."""
    return Reply(200, {"Content-Type": "application/xml"}, _bucket(name).page(request.query))


def verified(request: Request) -> Reply:
    """A page for a request that `PAIR` has signed."""
    return verifying(pages, PAIR)(request)


def connect(**options: Any) -> Any:
    """A new connection `lake`, by default with `PAIR` and unprobed."""
    given = {"keys": PAIR, "VALIDATE": False, **options}
    s3conn_magic.execute(create("lake", **given).replace("CREATE", "CREATE OR REPLACE", 1))
    return s3conn_magic.connection("lake")


def listed(statement: str = LIST) -> list[str]:
    """Keys of a LIST."""
    return s3conn_magic.execute(statement)["key"].tolist()


def failure(statement: str = LIST) -> Any:
    """The error of a statement that must fail."""
    try:
        s3conn_magic.execute(statement)
    except s3conn_magic.S3ConnError as error:
        return error
    raise AssertionError("the statement is done")


@dataclass
class Side:
    """What one of two clients sent: `listing` by the statement, `client` by boto3."""

    requests: list[Request] = field(default_factory=list)

    @property
    def headers(self) -> set[str]:
        """Names of the headers, but for those that are the HTTP library's."""
        return {name for one in self.requests for name in one.headers} - _OF_ITS_OWN

    @property
    def constants(self) -> set[tuple[str, str]]:
        """Names and values of the headers that every request has in common."""
        pairs = [{(name, value) for name, value in one.headers.items()} for one in self.requests]
        return {pair for pair in set.intersection(*pairs) if pair[0] not in _OF_ITS_OWN}

    @property
    def scopes(self) -> set[str]:
        """Region and service that the signatures hold for."""
        found = {one.headers["authorization"].partition("/")[2].partition(",")[0] for one in self.requests}
        return {scope.partition("/")[2] for scope in found}

    @property
    def paths(self) -> set[str]:
        """Where the requests went."""
        return {one.target.partition("?")[0] for one in self.requests}


def both(server: Recorder, act: Callable[[], object], compare: Callable[[], object]) -> tuple[Side, Side]:
    """What a server got from a listing, and from boto3's client."""
    server.requests.clear()
    act()
    ours, server.requests[:] = Side([*server.requests]), []
    compare()
    return ours, Side([*server.requests])
