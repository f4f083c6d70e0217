"""TEST CONNECTION: what a connection may do, tried one action at a time, cleaned up after."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.probe import all_buckets, find_identity
from s3conn_magic.errors import S3ConnError
from s3conn_magic.locations import Location, visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.connections.connection import Connection


class Check(NamedTuple):
    """One action: `allowed` is None where it was not tried; `ms` are milliseconds."""

    action: str
    allowed: bool | None
    detail: str
    ms: int | None


class _NotTried(Exception):  # noqa: N818 - no error
    """An action that there is no reason or no way to try; its text says why."""


def run_checks(connection: Connection, location: Location | None, *, with_write: bool) -> list[Check]:
    """Try every action.

    Args:
        connection: whose permissions are tried.
        location: where to list, read and write; the first display filter by default.
        with_write: whether to write and delete one small object; never done on a READ_ONLY connection.
    """
    where = location or next(iter(connection.settings.display_filters), None)
    checks = _Checks(connection, where)
    return [
        _check("identity", checks.identity),
        _check("list buckets", checks.list_buckets),
        _check("list", checks.list_objects),
        _check("read", checks.read),
        *checks.writes(with_write=with_write),
    ]


def _check(action: str, attempt: Callable[[], str]) -> Check:
    start = time.perf_counter()
    try:
        allowed, detail = True, attempt()
    except _NotTried as reason:
        return Check(action, None, str(reason), None)
    except S3ConnError as error:
        allowed, detail = False, error.message
    return Check(action, allowed, detail, round((time.perf_counter() - start) * 1000))


class _Checks:
    def __init__(self, connection: Connection, where: Location | None) -> None:
        self._connection = connection
        self._where = where

    def identity(self) -> str:
        if self._connection.settings.anonymous:
            raise _NotTried("anonymous")
        found = find_identity(self._connection)
        if not found:
            raise _NotTried("the server has no STS, or it does not answer")
        return found

    def list_buckets(self) -> str:
        return f"{sum(1 for _ in all_buckets(self._connection)):,} buckets"

    def _place(self) -> Location:
        if self._where is None:
            raise _NotTried("name a LOCATION to try it")
        return self._where

    def _first_keys(self) -> list[str]:
        place = self._place()
        client = self._connection.internal_client(place.bucket)
        answer = translated(
            lambda: client.list_objects_v2(Bucket=place.bucket, Prefix=place.key, MaxKeys=10), resource=place.arn
        )
        return [str(one["Key"]) for one in answer.get("Contents", [])]

    def list_objects(self) -> str:
        count = len(self._first_keys())
        return f"{self._place().uri}: {count} key{'' if count == 1 else 's'} seen"

    def read(self) -> str:
        keys = self._first_keys()
        if not keys:
            raise _NotTried("there is no object to read")
        place = Location(self._place().bucket, keys[0])
        translated(lambda: self._read_byte(place), resource=place.arn)
        return visible(place.uri)

    def _read_byte(self, place: Location) -> None:
        client = self._connection.internal_client(place.bucket)
        try:
            client.get_object(Bucket=place.bucket, Key=place.key, Range="bytes=0-0")["Body"].close()
        except ClientError as error:
            # An empty object has no first byte; being told so is being allowed.
            if error.response.get("Error", {}).get("Code") not in {"InvalidRange", "416"}:
                raise

    def writes(self, *, with_write: bool) -> list[Check]:
        reason = self._why_not(with_write=with_write)
        if reason:
            allowed = False if self._connection.settings.read_only else None
            checks = [Check(action, allowed, reason, None) for action in ("write", "delete")]
            return [
                *checks,
                Check("kms", None, reason if self._connection.settings.kms_key else "no KMS key is set", None),
            ]
        place = self._place()
        probe = Location(place.bucket, f"{place.key}s3conn-magic-check-{uuid.uuid4().hex}")
        gone = False
        try:
            write = _check("write", lambda: self._write(probe))
            delete = _check("delete", lambda: self._delete(probe)) if write.allowed else _untried("delete")
            gone = bool(delete.allowed) or not write.allowed
        finally:
            if not gone:
                self._sweep(probe)
        return [write, delete, self._kms(write)]

    def _why_not(self, *, with_write: bool) -> str:
        if self._connection.settings.read_only:
            return "the connection is READ_ONLY"
        if not with_write:
            return "tried only WITH WRITE"
        return "" if self._where else "name a LOCATION to try it"

    def _write(self, probe: Location) -> str:
        client = self._connection.internal_client(probe.bucket)
        translated(lambda: client.put_object(Bucket=probe.bucket, Key=probe.key, Body=b"s3conn"), resource=probe.arn)
        return visible(probe.uri)

    def _delete(self, probe: Location) -> str:
        client = self._connection.internal_client(probe.bucket)
        translated(lambda: client.delete_object(Bucket=probe.bucket, Key=probe.key), resource=probe.arn)
        return "cleaned up"

    def _sweep(self, probe: Location) -> None:
        """Last attempt to remove what an interrupt may have left."""
        _check("delete", lambda: self._delete(probe))

    def _kms(self, write: Check) -> Check:
        key = self._connection.settings.kms_key
        if not key:
            return Check("kms", None, "no KMS key is set", None)
        return Check(
            "kms", write.allowed, f"the write was encrypted with {key}" if write.allowed else write.detail, write.ms
        )


def _untried(action: str) -> Check:
    return Check(action, None, "nothing was written", None)
