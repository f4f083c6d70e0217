"""Try what a connection may do: the probe of CREATE and ALTER, and TEST CONNECTION action by action."""

from __future__ import annotations

import socket
import ssl
import time
import uuid
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.exceptions import ClientError

from s3conn_magic.connections.clients import first_page, said_by_s3
from s3conn_magic.connections.connection import Connection, Findings
from s3conn_magic.connections.faults import translate, translated
from s3conn_magic.connections.refusals import is_refused_plain, other_protocol
from s3conn_magic.connections.signing import sends_otherwise
from s3conn_magic.connections.writes import is_lacking, is_unmet
from s3conn_magic.errors import (
    AccessDeniedError,
    CredentialsError,
    EncryptionError,
    EndpointError,
    IncompleteListingError,
    JobFailedError,
    QueryError,
    S3ConnError,
)
from s3conn_magic.language.cautions import Goal, of_connection
from s3conn_magic.language.words import counted, sentence
from s3conn_magic.locations import Location, visible
from s3conn_magic.runtime.background import run_in_background, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime

_PAGE, _NOT_FOUND = 1000, 404
# A user waits for the probe; a wrong endpoint should not take a minute.
_TRIES = 2
_HANDSHAKE_SECONDS = 2.0


class ListedBucket(NamedTuple):
    """A bucket in the server's list."""

    name: str
    region: str | None
    created_at: datetime | None


def probe(connection: Connection) -> Findings:
    """Ask STS for the identity, and list the first page of the buckets or of each display filter.

    Raises:
        S3ConnError: something could not be reached or is not allowed; names the missing IAM action.
    """
    try:
        return _findings(connection)
    except EndpointError as error:
        failure = _protocol_error(connection) or error
    raise failure


def explained(failure: S3ConnError, connections: Iterable[Connection]) -> S3ConnError:
    """Return the error of a statement, or the error that a connection's server expects the other protocol.

    Only connections that were never probed are checked.
    """
    if not isinstance(failure, EndpointError | IncompleteListingError | JobFailedError | QueryError):
        return failure
    asked = (each for each in connections if each.findings is None and each.shown_configuration.endpoint.value)
    others = (error.of(f"the connection {each.name}") for each in asked if (error := _protocol_error(each, each.name)))
    return next(others, failure)


def _protocol_error(connection: Connection, altered: str = "") -> EndpointError | None:
    """Return the error for a server that answers HTTP instead of TLS or TLS instead of HTTP; None if it does not."""
    url = urlsplit(connection.configuration.endpoint.value or "")
    if not url.hostname or connection.configuration.proxy.value or _is_replaced(connection):
        return None
    secure = url.scheme == "http"
    port = url.port or (80 if secure else 443)
    try:
        with socket.create_connection((url.hostname, port), _HANDSHAKE_SECONDS) as bare:
            answers = _answers_tls(bare, url.hostname) if secure else _answers_plainly(bare, url.netloc)
    except OSError:
        return None
    right = f"{'https' if secure else 'http'}://{url.netloc}"
    return other_protocol(right, secure=secure, altered=altered) if answers else None


def _is_replaced(connection: Connection) -> bool:
    """Return whether something in this process sends in botocore's place, which no socket of ours may bypass."""
    try:
        return sends_otherwise(connection.internal_client(), "ListBuckets")
    except S3ConnError:
        return False


def _answers_tls(bare: socket.socket, host: str) -> bool:
    context = ssl.create_default_context()
    # Nothing is sent, so the certificate need not be checked here.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(bare, server_hostname=host) as wrapped:
        return wrapped.version() is not None


def _answers_plainly(bare: socket.socket, host: str) -> bool:
    bare.sendall(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return bare.recv(5) == b"HTTP/" and not is_refused_plain(bare.recv(4096))


def _findings(connection: Connection) -> Findings:
    identity = None if connection.settings.anonymous else find_identity(connection)
    filters = connection.settings.display_filters
    if filters:
        return Findings(identity, filters=_read_filters(connection, filters), regions=_regions(connection, filters))
    if connection.settings.anonymous and connection.configuration.is_aws:
        # AWS never lists buckets for unsigned requests.
        return Findings(reached=False)
    return _first_buckets(connection, identity)


def find_identity(connection: Connection) -> str | None:
    """Return the ARN from STS, or None if it gives none, as on servers without STS.

    Raises:
        CredentialsError: there are no credentials, or they could not be obtained.
        AccessDeniedError: the role may not be assumed.
    """
    connection.check_credentials()
    try:
        answer = connection.internal_client(service="sts", tries=1).get_caller_identity()
    except Exception:  # noqa: BLE001 - best effort: the listing that follows tells what matters
        return None
    arn = answer.get("Arn")
    return str(arn) if arn else None


def _first_buckets(connection: Connection, identity: str | None) -> Findings:
    buckets, token = bucket_page(connection, None, tries=_TRIES)
    regions = tuple(dict.fromkeys(bucket.region for bucket in buckets if bucket.region))
    more = token is not None and not token.startswith(_DIRECTORY)
    return Findings(identity, buckets=len(buckets), more=more, regions=regions)


def roots(connection: Connection) -> tuple[Location, ...]:
    """Return the locations at the top: the display filters, or the buckets.

    Raises:
        AccessDeniedError: there are no filters, and `s3:ListAllMyBuckets` is missing.
    """
    filters = connection.settings.display_filters
    return filters or tuple(Location(bucket.name) for bucket in all_buckets(connection))


def all_buckets(connection: Connection) -> Iterator[ListedBucket]:
    """Yield every bucket that the connection may list, page by page.

    Raises:
        AccessDeniedError: `s3:ListAllMyBuckets` is missing.
    """
    token: str | None = None
    while True:
        buckets, token = bucket_page(connection, token)
        yield from buckets
        if token is None:
            return


def bucket_page(
    connection: Connection, token: str | None, tries: int | None = None
) -> tuple[list[ListedBucket], str | None]:
    """Return a page of buckets and the token of the next; on AWS, directory buckets come last.

    Raises:
        AccessDeniedError: `s3:ListAllMyBuckets` is missing.
    """
    if token and token.startswith(_DIRECTORY):
        return _directory_buckets(connection, token.removeprefix(_DIRECTORY))
    # AWS names the regions only if a page size is given; other servers may not know the parameter.
    paging: dict[str, Any] = {"MaxBuckets": _PAGE} if connection.configuration.is_aws else {}
    if token:
        paging["ContinuationToken"] = token
    client = connection.internal_client(tries=tries)
    answer = translated(lambda: said_by_s3(client.list_buckets(**paging), _OF_BUCKETS), connection=connection.name)
    buckets = [
        ListedBucket(each["Name"], each.get("BucketRegion"), each.get("CreationDate"))
        for each in answer.get("Buckets", [])
    ]
    more = answer.get("ContinuationToken") or (_DIRECTORY if has_directory_buckets(connection) else None)
    return buckets, more


_OF_BUCKETS = frozenset({"Buckets", "Owner", "ContinuationToken"})
_DIRECTORY, _OF_EXPRESS = "directory:", "--x-s3"
# In regions without directory buckets, and in networks that only lead to S3, nothing answers.
_DIRECTORY_SECONDS = 2.0


def has_directory_buckets(connection: Connection) -> bool:
    """Whether there may be directory buckets, which take a request of their own to list."""
    return connection.configuration.is_aws and not connection.settings.anonymous


def _directory_buckets(connection: Connection, token: str) -> tuple[list[ListedBucket], str | None]:
    """Return a page of the directory buckets in the connection's region; empty if they may not be listed."""
    client = connection.internal_client(tries=1)
    region = str(client.meta.region_name)
    paging = {"ContinuationToken": token} if token else {}
    asked = run_in_background(lambda: client.list_directory_buckets(**paging), name="s3conn-buckets")
    try:
        answer = wait_for(asked, within=_DIRECTORY_SECONDS)
    except Exception:  # noqa: BLE001 - whoever may list buckets need not have heard of these
        return [], None
    buckets = [
        ListedBucket(each["Name"], each.get("BucketRegion") or region, each.get("CreationDate"))
        for each in answer.get("Buckets", [])
        if each["Name"].endswith(_OF_EXPRESS)
    ]
    more = answer.get("ContinuationToken")
    return buckets, f"{_DIRECTORY}{more}" if more else None


def _read_filters(connection: Connection, filters: tuple[Location, ...]) -> tuple[str, ...]:
    failures = [(location, failure) for location in filters if (failure := _read_filter(connection, location))]
    if not failures:
        return tuple(location.uri for location in filters)
    first = failures[0][1]
    first.filters = tuple(location.uri for location, _ in failures)
    if len(failures) > 1 and not isinstance(first, CredentialsError):
        first.notes = tuple(f"{location.uri}: {failure.message}" for location, failure in failures)
    first.hint = f"{first.hint} VALIDATE = FALSE skips this check.".strip()
    raise first


def _read_filter(connection: Connection, location: Location) -> S3ConnError | None:
    """Read one page of a display filter, never of the bucket's root if a prefix was given; return the error."""
    try:
        client = connection.internal_client(location.bucket, tries=_TRIES)
        first_page(client, Bucket=location.bucket, Prefix=location.key, Delimiter="/", MaxKeys=1)
    except Exception as error:  # noqa: BLE001 - translated, and raised by the caller
        failure = translate(error, resource=location.arn, connection=connection.name)
        answer = error.response if isinstance(error, ClientError) else {}
        missing = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") == _NOT_FOUND
        return connection.configuration.with_hint(failure, location.bucket, missing=missing)
    return None


def _regions(connection: Connection, filters: tuple[Location, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(region for place in filters if (region := connection.regions.of(place.bucket))))


# More than a user looks through, at a tenth of a millisecond per key in botocore.
_MOST = 250


class FolderNames(NamedTuple):
    """Names directly below a folder, those of folders with their `/`, and whether these are all."""

    names: tuple[str, ...]
    complete: bool


def buckets(connection: Connection) -> tuple[str, ...]:
    """Return the locations of the buckets on the first page.

    Raises:
        S3ConnError: they may not be listed, or cannot be.
    """
    page, _ = bucket_page(connection, None, tries=1)
    return tuple(Location(bucket.name).uri for bucket in page)


def below(connection: Connection, folder: Location, beginning: str) -> FolderNames:
    """Return one page of names directly below a folder with this beginning; finding the region may take a request.

    Raises:
        S3ConnError, botocore's errors: it may not be listed, or cannot be.
    """
    client = connection.internal_client(folder.bucket, tries=1)
    prefix = folder.key + beginning
    answer = first_page(client, Bucket=folder.bucket, Prefix=prefix, Delimiter="/", MaxKeys=_MOST)
    keys = [each["Prefix"] for each in answer.get("CommonPrefixes", [])] + [
        each["Key"] for each in answer.get("Contents", [])
    ]
    names = sorted(key[len(folder.key) :] for key in keys if key != folder.key)
    return FolderNames(tuple(names), not answer.get("IsTruncated"))


def profiles() -> tuple[str, ...]:
    """Return the profiles in the AWS configuration files."""
    return tuple(boto3.session.Session().available_profiles)


@cache
def regions() -> dict[str, str]:
    """Return the regions in every partition that botocore knows, each with its name."""
    partitions = botocore.session.Session().get_data("endpoints")["partitions"]
    return {code: region["description"] for each in partitions for code, region in sorted(each["regions"].items())}


_PATIENCE = 0.7
"""Seconds that an interrupt waits for the written object to be deleted."""


class Check(NamedTuple):
    """The result for one action: `allowed` is None if it was not tried; `ms` are milliseconds."""

    action: str
    allowed: bool | None
    detail: str
    ms: int | None


class _NotTried(Exception):  # noqa: N818 - no error
    """There is no reason or no way to try an action; the text says why."""


def run_checks(connection: Connection, location: Location | None, *, with_write: bool) -> list[Check]:
    """Try every action.

    Args:
        connection: the connection to test.
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
        identity = find_identity(self._connection)
        if not identity:
            raise _NotTried("the server has no STS, or it does not answer")
        return identity

    def list_buckets(self) -> str:
        return f"{sum(1 for _ in all_buckets(self._connection)):,} buckets"

    def _test_location(self) -> Location:
        if self._where is None:
            raise _NotTried("name a LOCATION to try it")
        return self._where

    def _first_keys(self) -> list[str]:
        place = self._test_location()
        client = self._connection.internal_client(place.bucket)
        answer = translated(
            lambda: first_page(client, Bucket=place.bucket, Prefix=place.key, MaxKeys=10), resource=place.arn
        )
        return [str(each["Key"]) for each in answer.get("Contents", [])]

    def list_objects(self) -> str:
        count = len(self._first_keys())
        return f"{self._test_location().uri}: {counted(count, 'key')} seen"

    def read(self) -> str:
        keys = self._first_keys()
        if not keys:
            raise _NotTried("there is no object to read")
        place = Location(self._test_location().bucket, keys[0])
        translated(lambda: self._read_byte(place), resource=place.arn)
        return visible(place.uri)

    def _read_byte(self, place: Location) -> None:
        client = self._connection.internal_client(place.bucket)
        try:
            client.get_object(Bucket=place.bucket, Key=place.key, Range="bytes=0-0")["Body"].close()
        except ClientError as error:
            # An empty object has no first byte, but the answer shows that reading is allowed.
            if error.response.get("Error", {}).get("Code") not in {"InvalidRange", "416"}:
                raise

    def writes(self, *, with_write: bool) -> list[Check]:
        reason = self._reason_not_to_write(with_write=with_write)
        if reason:
            allowed = False if self._connection.settings.read_only else None
            checks = [Check(action, allowed, reason, None) for action in ("write", "delete")]
            return [*checks, Check("encryption", None, _no_option(self._connection) or reason, None)]
        place = self._test_location()
        probe = Location(place.bucket, f"{place.key}s3conn-magic-check-{uuid.uuid4().hex}")
        return _WriteChecks(self._connection, probe).run()

    def _reason_not_to_write(self, *, with_write: bool) -> str:
        if self._connection.settings.read_only:
            return "the connection is READ_ONLY"
        if not with_write:
            return "tried only WITH WRITE"
        return "" if self._where else "name a LOCATION to try it"


class _WriteChecks:
    """Writes one small object and deletes it without leaving a version or a delete marker.

    This runs in a thread, which an interrupt does not reach: an interrupted write might arrive after the deletion that
    should undo it.
    """

    def __init__(self, connection: Connection, probe: Location) -> None:
        self._connection = connection
        self._probe = probe
        self._may_be_there = False
        self._versions: list[str] | None = []
        self._unencrypted: EncryptionError | None = None

    def run(self) -> list[Check]:
        """Write and delete the object.

        An interrupt is raised once the object is gone, or after `_PATIENCE`; the thread then goes on by itself.
        """
        # Not a daemon, so that a kernel that ends waits until the object is gone.
        checks = run_in_background(self._checks, name="s3conn-check", daemon=False)
        try:
            return wait_for(checks)
        except BaseException:
            with suppress(TimeoutError):
                checks.exception(_PATIENCE)
            raise

    def _checks(self) -> list[Check]:
        write = _check("write", self._write)
        delete = _check("delete", self._delete) if write.allowed else _untried("delete")
        if self._may_be_there:
            # The object may exist although no answer came.
            _check("delete", self._delete)
        return [write, delete, self._encryption(write)]

    def _ask(self, operation: str, **arguments: Any) -> Any:
        where = self._probe
        call = getattr(self._connection.internal_client(where.bucket), operation)
        return translated(lambda: call(Bucket=where.bucket, **arguments), resource=where.arn)

    def _write(self) -> str:
        self._may_be_there = True
        try:
            self._versions = None
            answer = self._put()
            if answer.get("ResponseMetadata", {}).get("RetryAttempts", 0) == 0:
                self._versions = [answer["VersionId"]] if "VersionId" in answer else []
        except (AccessDeniedError, CredentialsError):
            self._may_be_there = False
            raise
        except EncryptionError as error:
            self._unencrypted = error
        return visible(self._probe.uri)

    def _put(self) -> Any:
        """Write where nothing exists; the name is new, so whatever is there after a lost answer is this object."""
        where = self._probe
        client = self._connection.internal_client(where.bucket)

        def put() -> Any:
            try:
                return client.put_object(Bucket=where.bucket, Key=where.key, Body=b"s3conn", IfNoneMatch="*")
            except ClientError as error:
                if is_unmet(error):
                    return {"ResponseMetadata": {"RetryAttempts": 1}}
                if not is_lacking(error):
                    raise
            return client.put_object(Bucket=where.bucket, Key=where.key, Body=b"s3conn")

        return translated(put, resource=where.arn)

    def _delete(self) -> str:
        marker = self._ask("delete_object", Key=self._probe.key).get("VersionId")
        self._may_be_there = False
        return self._delete_versions(str(marker)) if marker else "cleaned up"

    def _delete_versions(self, marker: str) -> str:
        """If deleting only added a marker, delete the versions and then the marker; never the marker alone."""
        missing = "s3:ListBucketVersions"
        try:
            versions = self._written_versions()
            missing = "s3:DeleteObjectVersion"
            for version in [*versions, marker]:
                self._ask("delete_object", Key=self._probe.key, VersionId=version)
        except S3ConnError:
            return f"cleaned up, except for a version and its delete marker: {missing} is missing"
        return "cleaned up"

    def _written_versions(self) -> list[str]:
        """Return the versions written: from the answer, or from the server's list if an answer was lost."""
        if self._versions is not None:
            return self._versions
        key = self._probe.key
        answer = self._ask("list_object_versions", Prefix=key)
        return [str(each["VersionId"]) for each in answer.get("Versions", []) if each["Key"] == key]

    def _encryption(self, write: Check) -> Check:
        if reason := _no_option(self._connection):
            return Check("encryption", None, reason, None)
        if self._unencrypted is not None:
            return Check("encryption", allowed=False, detail=self._unencrypted.message, ms=write.ms)
        if not write.allowed:
            return Check("encryption", write.allowed, write.detail, write.ms)
        settings = self._connection.settings
        key = settings.kms_key or "the customer's key"
        detail = f"{settings.encryption}: the server says that the write was encrypted with {key}"
        return Check("encryption", allowed=True, detail=detail, ms=write.ms)


def _no_option(connection: Connection) -> str:
    return "" if connection.settings.encrypts else "no encryption is asked for"


def _untried(action: str) -> Check:
    return Check(action, None, "nothing was written", None)


def cautions_on(connection: Connection, given: Collection[str], *, probed: bool) -> list[str]:
    """Return cautions on the options that a statement gives a connection; a probe says more of a broken profile."""
    from s3conn_magic.connections.configuration import Configuration

    broken = ""
    try:
        configuration = connection.configuration
    except S3ConnError as error:
        configuration = Configuration.stated(connection.settings)
        broken = "" if probed else f"{sentence(error.message)}. {error.hint}"
    goal = Goal(configuration.endpoint.value, configuration.region.value, regions)
    return [broken, *of_connection(connection.options, goal, given)]
