"""Requests about one object, with refusals as this package's errors; and presigned links."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args
from urllib.parse import unquote

from botocore.awsrequest import HeadersDict
from botocore.exceptions import BotoCoreError, ClientError

from s3conn_magic.connections.clients import first_page
from s3conn_magic.connections.faults import PARSERS, PARTITION, VERSIONED, translate, translated, unreachable
from s3conn_magic.connections.guards import no_link
from s3conn_magic.connections.refusals import own_words
from s3conn_magic.connections.signing import said_of
from s3conn_magic.connections.writes import ENCRYPTION_FIELD
from s3conn_magic.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    EndpointError,
    ObjectNotFoundError,
    S3ConnError,
)
from s3conn_magic.language.cautions import of_key, plain_key
from s3conn_magic.language.words import literal, nearest, pattern_note
from s3conn_magic.locations import Location, Pasted, split_version, visible
from s3conn_magic.runtime.background import LightFuture, wait_for
from s3conn_magic.transport.exchange import ObjectRequest, UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.language.options import Settings
    from s3conn_magic.transport import Response

_Seen = TypeVar("_Seen")
_MISSING = {"404", "NoSuchKey", "NoSuchVersion"}
_CHANGED = {"412", "PreconditionFailed"}
# Codes for a wrong or missing customer key.
_OF_ANOTHER_KEY = {"400", "InvalidRequest", "InvalidArgument", "BadRequest"}
_OF_A_KEY = re.compile(r"encrypt|sse|customer|\bkey\b", re.IGNORECASE)


def named(location: Location, version_id: str | None) -> dict[str, str]:
    """Return the parameters that name an object, and its version if given."""
    version = {"VersionId": version_id} if version_id else {}
    return {"Bucket": location.bucket, "Key": location.key, **version}


_OPERATIONS = {"get_object": "GetObject", "head_object": "HeadObject", "get_object_tagging": "GetObjectTagging"}
_HEADERS = {"Range": "Range", "IfMatch": "If-Match", "ChecksumMode": "x-amz-checksum-mode"}
_LARGEST = 64 * 1024 * 1024
_REFUSED = 300
_parser = PARSERS.create_parser("rest-xml")


def ask(connection: Connection, location: Location, operation: str, **parameters: Any) -> Mapping[str, Any]:
    """Return the result of an operation, in the shared client's form; a body is read, up to 64 MiB.

    Raises:
        S3ConnError: the request was refused, or not answered.
    """

    def answer(sent: LightFuture[Response]) -> Mapping[str, Any]:
        begun = begin(connection, location, operation, sent, **parameters)
        return asked(connection, location, operation, sent if begun else None, **parameters)

    return cancelling(answer)


def received(stream: Any, count: int) -> tuple[bytes, EndpointError | None]:
    """Return at most `count` bytes of a body, and the error if they are fewer."""
    try:
        return bytes(stream.read(count)), None
    except (BotoCoreError, OSError) as error:
        return b"", unreachable(error)


def cancelling(answer: Callable[[LightFuture[Response]], _Seen]) -> _Seen:
    """Call a function with the future of a request that it will send; an error or interrupt in it ends the request."""
    sent: LightFuture[Response] = LightFuture()
    try:
        return answer(sent)
    except BaseException:
        sent.cancel()
        raise


def asked(
    connection: Connection, location: Location, operation: str, sent: LightFuture[Response] | None, **parameters: Any
) -> Mapping[str, Any]:
    """Return the result of a request that was sent, as `ask`; if it was not, the client makes it."""
    if sent is None:
        return by_client(connection, location, operation, **parameters)
    answer = awaited(connection, location, sent)
    return answer_of(connection, location, operation, answer, version=parameters.get("VersionId"))


def by_client(
    connection: Connection,
    location: Location,
    operation: str,
    *,
    absent: Collection[str] = (),
    tries: int | None = None,
    **parameters: Any,
) -> Mapping[str, Any]:
    """Return the result of the shared client; the body of an object is a stream.

    Args:
        connection: the connection.
        location: bucket and key.
        operation: of the client.
        absent: codes that mean there is none; then the result is empty.
        tries: most attempts, unless the connection decides.
        parameters: of the operation.

    Raises:
        S3ConnError: the request was refused, or not answered.
    """

    def call() -> Mapping[str, Any]:
        client = connection.internal_client(location.bucket, tries=tries)
        answer: Mapping[str, Any] = getattr(client, operation)(**parameters)
        return answer

    answer, refusal = _answered(call, location)
    if refusal is None or refusal.response.get("Error", {}).get("Code") in absent:
        return answer
    raise _failure(connection, location, refusal)


def begin(
    connection: Connection,
    location: Location,
    operation: str,
    sent: LightFuture[Response],
    *,
    size: int = _LARGEST,
    least: int = 0,
    **parameters: Any,
) -> bool:
    """Send a GET or HEAD of an object without waiting; return False if our transport cannot send it.

    Args:
        connection: the connection.
        location: bucket and key.
        operation: of the shared client.
        sent: gets the response; cancelling it ends the request.
        size: most bytes of the body.
        least: bytes below which a body counts as truncated, and is requested again.
        parameters: of the operation.

    Raises:
        S3ConnError: it cannot be signed.
    """
    name, exchange = _OPERATIONS.get(operation), connection.exchange(location.bucket)
    if name is None or exchange.goes_by_client(name):
        return False
    headers = {_HEADERS[each]: text for each, text in parameters.items() if each in _HEADERS}
    request = ObjectRequest(name, location.key, headers, parameters.get("VersionId", ""), size, least)
    exchange.send([request], [sent])
    return True


def awaited(connection: Connection, location: Location, sent: LightFuture[Response]) -> Response:
    """Wait for a response, whatever its status; an interrupt cancels the request.

    Raises:
        S3ConnError: there is none.
    """
    try:
        return wait_for(sent)
    except UnansweredError as error:
        failure = unanswered(connection, location, error)
    except BaseException:
        sent.cancel()
        raise
    raise failure


def unanswered(connection: Connection, location: Location, error: UnansweredError) -> S3ConnError:
    """Return the error for no response in all attempts."""
    failure = connection.target(location.bucket).unreachable(error.error)
    return failure if isinstance(failure, S3ConnError) else EndpointError(str(failure), hint="Run the statement again.")


def answer_of(
    connection: Connection, location: Location, operation: str, response: Response, *, version: str | None = None
) -> Mapping[str, Any]:
    """Parse the response of a request for an object or one of its versions, as botocore does.

    Raises:
        S3ConnError: it is a refusal.
    """
    name = _OPERATIONS[operation]
    if response.status < _REFUSED and operation == "get_object":
        modified = _moment(response.headers.get("last-modified", ""))
        return {**said_of(response), "Body": io.BytesIO(response.body), "LastModified": modified}
    client = connection.internal_client(location.bucket)
    shape = client.meta.service_model.operation_model(name).output_shape
    parsed = {"status_code": response.status, "headers": HeadersDict(response.headers), "body": response.body}
    answer: dict[str, Any] = translated(lambda: _parser.parse(parsed, shape), resource=location.arn)
    if response.status < _REFUSED:
        return answer
    known = {PARTITION: client.meta.partition, VERSIONED: version is not None}
    answer["ResponseMetadata"] |= {"RetryAttempts": response.tries - 1, **known}
    raise _failure(connection, location, ClientError(answer, name))


def _moment(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None


def _answered(call: Any, location: Location) -> tuple[Mapping[str, Any], ClientError | None]:
    def attempt() -> tuple[Mapping[str, Any], ClientError | None]:
        try:
            return call(), None
        except ClientError as error:
            return {}, error

    return translated(attempt, resource=location.arn)


def with_version(location: Location, look: Callable[[Location, str | None], _Seen]) -> tuple[Pasted, _Seen]:
    """Return the location and version of an object, and the result of a look at it.

    A key that ends with `?versionId=…` is tried as it is, and then as that version of the key before it.

    Raises:
        ObjectNotFoundError: neither exists.
    """
    named_so = split_version(location)
    try:
        return Pasted(location), look(location, None)
    except (ObjectNotFoundError, AccessDeniedError):  # without permission to list, a missing object is refused
        if named_so is None:
            raise
    return named_so, look(named_so.location, named_so.version)


def head_answer(connection: Connection, location: Location, version_id: str | None) -> Mapping[str, Any]:
    """Return the result of HeadObject, with checksums if they may be read.

    Raises:
        S3ConnError: there is no such object, it may not be read, or the response has no length.
    """
    if not location.key:
        raise S3ConnError(f"{visible(location.uri)} is a bucket, not an object", hint=_list_hint(location))
    if version_id == _NULL:
        # Without versioning, this is the object itself, which some servers do not find by version.
        answer = _head(connection, location, None)
        if answer.get("VersionId", _NULL) == _NULL:
            return answer
    if version_id is None:
        return _head(connection, location, None)
    try:
        return _head(connection, location, version_id)
    except ObjectNotFoundError as error:
        if error.message.endswith("was deleted"):
            raise
    except EndpointError as error:
        if " (400)" not in error.message:
            raise
    where = visible(location.uri)
    raise ObjectNotFoundError(
        f"there is no version {visible(version_id)} of {where}",
        hint=f"LIST {literal(where)} VERSIONS; lists the existing ones.",
    )


_NULL = "null"


def _head(connection: Connection, location: Location, version_id: str | None) -> Mapping[str, Any]:
    parameters = named(location, version_id)
    try:
        answer = ask(connection, location, "head_object", ChecksumMode="ENABLED", **parameters)
    except AccessDeniedError:
        # The checksum of an object with a KMS key needs permission to decrypt, unlike the rest of HEAD.
        answer = ask(connection, location, "head_object", **parameters)
    if "ContentLength" not in answer:
        raise EndpointError(
            f"the answer does not say how many bytes {visible(location.uri)} has",
            hint="Something between here and S3 may remove the Content-Length header of HEAD.",
        )
    return answer


def _failure(connection: Connection, location: Location, refusal: ClientError) -> S3ConnError:
    """Return the error for a refusal, after another request if only that shows the cause."""
    code = str(refusal.response.get("Error", {}).get("Code", ""))
    headers = refusal.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if headers.get("x-amz-delete-marker") == "true":
        hint = f"LIST {literal(visible(location.uri))} VERSIONS; shows its versions."
        return ObjectNotFoundError(f"{visible(location.uri)} was deleted", hint=hint)
    if code in _MISSING:
        return _missing(connection, location)
    if code == "InvalidObjectState" and refusal.operation_name == "GetObject":
        return S3ConnError(
            f"{visible(location.uri)} is archived: it must be restored before it can be read",
            hint="Restore it with connection.client().restore_object(…) or in the console, then read it.",
        )
    if code in _CHANGED:
        return changed(location)
    if code in _OF_ANOTHER_KEY and refusal.operation_name in {"HeadObject", "GetObject"}:
        words = "" if code.isdigit() else str(refusal.response.get("Error", {}).get("Message") or "")
        if not words or _OF_A_KEY.search(words):
            reason = " ".join(filter(None, (code, own_words(words))))
            return _customer_key(connection, location, refusal.operation_name, reason)
    failure = translate(refusal, resource=location.arn)
    return connection.configuration.with_hint(failure, location.bucket)


def changed(location: Location) -> S3ConnError:
    """Return the error for an object that has changed since the first request."""
    return S3ConnError(f"{visible(location.uri)} was changed while it was read", hint="Run the statement again.")


def _customer_key(connection: Connection, location: Location, operation: str, reason: str) -> S3ConnError:
    """Return the usual error of a HEAD, which has no body to tell causes apart."""
    given = connection.settings.customer_key is not None
    why = "is not encrypted with the connection's key, or not" if given else "is perhaps encrypted"
    return S3ConnError(
        f"the server refused {operation} for {visible(location.uri)} ({reason}): it {why} with a key of the customer's",
        hint="ENCRYPTION_CUSTOMER_MANAGED_KEY of the connection must be the key that the object was written with.",
    )


def _missing(connection: Connection, location: Location) -> S3ConnError:
    folder = Location(location.bucket, location.key.rstrip("/") + "/")
    if _is_folder(connection, folder):
        return ObjectNotFoundError(
            f"{visible(location.uri)} is a folder, not an object", is_folder=True, hint=_list_hint(folder)
        )
    parent = Location(location.bucket, location.key.rstrip("/").rpartition("/")[0])
    above = Location(parent.bucket, f"{parent.key}/") if parent.key else parent
    near = nearby(connection, location)
    hint = f"Did you mean {literal(visible(near.uri))}?" if near else _list_hint(above)
    return ObjectNotFoundError(f"there is no object {visible(location.uri)}", hint=hint)


def nearby(connection: Connection, location: Location) -> Location | None:
    """Return what may have been meant by a location where nothing is, if something is there.

    That is the key without its bucket, `%20`, doubled slashes and blanks at its ends, or with another name near it.
    """
    with suppress(S3ConnError):
        plain = plain_key(unquote(location.key))
        for key in (plain, plain.removeprefix(f"{location.bucket}/")):
            if key != location.key and _names_at(connection, location.bucket, key):
                return Location(location.bucket, key)
        key = _near_key(connection, location.bucket, location.key, _LEVELS)
        return Location(location.bucket, key) if key and key != location.key else None
    return None


_LEVELS = 3
_NAMES = 1_000


def _near_key(connection: Connection, bucket: str, key: str, levels: int) -> str:
    """Return the existing key whose last name is nearest, or that of a folder above it; else empty."""
    folder, slash, _ = key.rstrip("/").rpartition("/")
    known = _names_at(connection, bucket, folder + slash)
    if not known and folder and levels:
        above = _near_key(connection, bucket, folder + slash, levels - 1)
        below = f"{above}{key[len(folder) + 1 :]}" if above else ""
        return below if below and _names_at(connection, bucket, below) else ""
    like = next((name for name in known if name.casefold() == key.casefold()), None)
    names = {name[len(folder + slash) :]: name for name in known}
    return like or names.get(nearest(key[len(folder + slash) :], names) or "", "")


def _names_at(connection: Connection, bucket: str, prefix: str) -> list[str]:
    """Return the first keys and folders that begin with a prefix."""
    parameters = {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/", "MaxKeys": _NAMES}
    resource = Location(bucket, prefix).arn
    answer = translated(lambda: first_page(connection.internal_client(bucket), **parameters), resource=resource)
    keys = [str(each["Key"]) for each in answer.get("Contents", ())]
    return [*keys, *(str(each["Prefix"]) for each in answer.get("CommonPrefixes", ()))]


def note_if_nothing(connection: Connection, location: Location, clause: str) -> str:
    """Return the note of `note_of_nothing` if a request confirms that nothing is there."""
    with suppress(S3ConnError):
        if not _names_at(connection, location.bucket, location.key):
            return note_of_nothing(connection, location, clause)
    return ""


def note_of_nothing(connection: Connection, location: Location | None, clause: str = "") -> str:
    """Return a note on a location where nothing is: as what it was probably meant; `clause` as in `pattern_note`."""
    if location is None or (note := pattern_note(location, *filter(None, [clause]))):
        return note if location else ""
    near = nearby(connection, location) if location.key else None
    meant = f"Nothing is at {visible(location.uri)}: did you mean {literal(visible(near.uri))}?" if near else ""
    return meant or of_key(location, "The location")


def _is_folder(connection: Connection, folder: Location) -> bool:
    """Return whether anything is below a folder; False without permission to list.

    Raises:
        BucketNotFoundError: the bucket does not exist either.
    """
    parameters = {"Bucket": folder.bucket, "Prefix": folder.key, "MaxKeys": 1}
    try:
        answer = translated(
            lambda: first_page(connection.internal_client(folder.bucket), **parameters), resource=folder.arn
        )
    except BucketNotFoundError:
        raise
    except S3ConnError:
        return False
    return bool(answer.get("Contents"))


def _list_hint(location: Location) -> str:
    return f"LIST {literal(visible(location.uri))}; shows what is there."


LONGEST_LINK = 7 * 24 * 3600
"""Longest lifetime of a link in S3, in seconds."""


@dataclass(frozen=True, slots=True, repr=False)
class Link:
    """A URL that reads or writes an object without credentials.

    Attributes:
        url: gives whoever has it access to the object.
        ends: UTC, or None if it never expires.
        note: what else ends it.
        headers: that a PUT must send.
        fields: of the form of a POST, before the field `file`.
    """

    url: str
    ends: datetime | None
    note: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


LinkMethod = Literal["GET", "HEAD", "PUT", "POST"]
_OF_LINKS = {"GET": "get_object", "HEAD": "head_object", "PUT": "put_object"}


def presign(
    connection: Connection,
    location: Location,
    seconds: int,
    *,
    version_id: str | None = None,
    method: LinkMethod = "GET",
) -> Link:
    """Return a link to an object or one of its versions. No request is sent, except for the bucket's region.

    Raises:
        ValueError: its lifetime is not between a second and seven days, or the method is unknown.
        ReadOnlyConnectionError: it could write.
        CredentialsError: a URL alone cannot read objects of the connection.
        S3ConnError: the credentials or the bucket's region cannot be obtained.
    """
    if not 1 <= seconds <= LONGEST_LINK:
        raise ValueError("a link lasts from one second to seven days")
    if method not in get_args(LinkMethod):
        raise ValueError("a link is for GET, HEAD, PUT or POST")
    settings = connection.live_settings()
    if settings.customer_key:
        raise no_link(connection.name)
    client, fields = connection.internal_client(location.bucket), dict[str, str]()
    if method == "POST":
        if settings.anonymous:
            raise CredentialsError(
                "an anonymous connection signs no form", hint="Use a connection with a key pair, a profile or a role."
            )
        post = translated(
            lambda: client.generate_presigned_post(location.bucket, location.key, ExpiresIn=seconds),
            resource=location.arn,
        )
        url, fields = post["url"], post["fields"]
    else:
        which = named(location, version_id)
        url = translated(
            lambda: client.generate_presigned_url(_OF_LINKS[method], Params=which, ExpiresIn=seconds),
            resource=location.arn,
        )
    if settings.anonymous:
        return Link(url, None, "The connection is anonymous: this is the object's own address.")
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    return Link(url, ends, _ends_with_credentials(connection), _headers(settings, method), fields)


def _headers(settings: Settings, method: LinkMethod) -> dict[str, str]:
    """Return the signed headers that a PUT must send."""
    if method != "PUT":
        return {}
    ours = {"x-amz-request-payer": "requester"} if settings.requester_pays else {}
    kms = {ENCRYPTION_FIELD: "aws:kms", f"{ENCRYPTION_FIELD}-aws-kms-key-id": settings.kms_key}
    return {**ours, **{name: value for name, value in kms.items() if settings.kms_key and value}}


def _ends_with_credentials(connection: Connection) -> str:
    """Return a note if the credentials may expire before the link."""
    frozen = translated(connection.frozen_credentials, connection=connection.name)
    if frozen is None or not frozen.token:
        return ""
    ends = getattr(connection.credentials(), "_expiry_time", None)
    when = f", at {ends.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if isinstance(ends, datetime) else ""
    return f"The connection's credentials are temporary: the link ends with them{when}, if that is sooner."
