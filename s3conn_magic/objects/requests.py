"""Requests about one object, and their refusals in the words of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from s3conn_magic.connections.faults import translate, translated
from s3conn_magic.errors import AccessDeniedError, BucketNotFoundError, ObjectNotFoundError, S3ConnError
from s3conn_magic.language.words import literal
from s3conn_magic.locations import Location, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s3conn_magic.connections.connection import Connection

_MISSING = {"404", "NoSuchKey", "NoSuchVersion"}
_CHANGED = {"412", "PreconditionFailed"}


def named(location: Location, version_id: str | None) -> dict[str, str]:
    """The parameters that name an object, and one version of it where there are versions."""
    version = {"VersionId": version_id} if version_id and version_id != "null" else {}
    return {"Bucket": location.bucket, "Key": location.key, **version}


def ask(connection: Connection, location: Location, operation: str, **parameters: Any) -> Mapping[str, Any]:
    """What an operation of the shared client answers.

    Raises:
        S3ConnError: the answer is a refusal, or there is none.
    """

    def call() -> Mapping[str, Any]:
        client = connection.internal_client(location.bucket)
        answer: Mapping[str, Any] = getattr(client, operation)(**parameters)
        return answer

    answer, refusal = _answered(call, location)
    if refusal is None:
        return answer
    raise _failure(connection, location, refusal)


def _answered(call: Any, location: Location) -> tuple[Mapping[str, Any], ClientError | None]:
    def attempt() -> tuple[Mapping[str, Any], ClientError | None]:
        try:
            return call(), None
        except ClientError as error:
            return {}, error

    return translated(attempt, resource=location.arn)


def head_answer(connection: Connection, location: Location, version_id: str | None) -> Mapping[str, Any]:
    """What HeadObject answers, with the object's checksums where they may be seen.

    Raises:
        S3ConnError: there is no such object, or it may not be read.
    """
    if not location.key:
        raise S3ConnError(f"{visible(location.uri)} is a bucket, not an object", hint=_list_hint(location))
    parameters = named(location, version_id)
    try:
        return ask(connection, location, "head_object", ChecksumMode="ENABLED", **parameters)
    except AccessDeniedError:
        # The checksum of an object under a KMS key takes the right to decrypt, which nothing else of a HEAD does.
        return ask(connection, location, "head_object", **parameters)


def _failure(connection: Connection, location: Location, refusal: ClientError) -> S3ConnError:
    """The error for a refusal, after one more request where only that tells what is the matter."""
    code = str(refusal.response.get("Error", {}).get("Code", ""))
    headers = refusal.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if headers.get("x-amz-delete-marker") == "true":
        hint = f"LIST {literal(visible(location.uri))} VERSIONS; shows what there was."
        return ObjectNotFoundError(f"{visible(location.uri)} was deleted", hint=hint)
    if code in _MISSING:
        return _missing(connection, location)
    if code == "InvalidObjectState" and refusal.operation_name == "GetObject":
        return S3ConnError(f"{visible(location.uri)} is archived: it must be restored before it can be read")
    if code in _CHANGED:
        return changed(location)
    if code == "400" and refusal.operation_name == "HeadObject":
        return _customer_key(connection, location)
    return translate(refusal, resource=location.arn)


def changed(location: Location) -> S3ConnError:
    """The error for an object that is another one than at the first request."""
    return S3ConnError(f"{visible(location.uri)} was changed while it was read", hint="Run the statement again.")


def _customer_key(connection: Connection, location: Location) -> S3ConnError:
    """A HEAD has no body that says why; of what remains, this is the usual reason."""
    given = connection.settings.customer_key is not None
    why = "is not encrypted with the connection's key, or not" if given else "is perhaps encrypted"
    return S3ConnError(
        f"the server refused HeadObject for {visible(location.uri)} (400): it {why} with a key of the customer's",
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
    return ObjectNotFoundError(f"there is no object {visible(location.uri)}", hint=_list_hint(above))


def _is_folder(connection: Connection, folder: Location) -> bool:
    """Whether anything lies below; who may not list is not told.

    Raises:
        BucketNotFoundError: there is not even the bucket.
    """
    parameters = {"Bucket": folder.bucket, "Prefix": folder.key, "MaxKeys": 1}
    try:
        answer = translated(
            lambda: connection.internal_client(folder.bucket).list_objects_v2(**parameters), resource=folder.arn
        )
    except BucketNotFoundError:
        raise
    except S3ConnError:
        return False
    return bool(answer.get("Contents"))


def _list_hint(location: Location) -> str:
    return f"LIST {literal(visible(location.uri))}; shows what is there."
