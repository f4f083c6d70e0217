"""Conditions on writes: only in place of the expected object, and encrypted as requested.

Servers differ: AWS honors conditions; others refuse or silently ignore them. So if the server's check is not certain,
the object is looked at first; what remains is the time between the look and the request.

S3 confirms the encryption in the answer to every request that begins or makes an object. A server that does not know
the headers ignores them and stores readable data: such a write fails, and what it wrote is deleted.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from s3conn_magic.connections.faults import code_of, translate
from s3conn_magic.connections.signing import etag_of
from s3conn_magic.errors import EncryptionError
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.words import literal
from s3conn_magic.locations import Location, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Codes of servers that do not know the header; whatever else they mean appears again without the header.
LACKING = {
    "NotImplemented",
    "501",
    "MethodNotAllowed",
    "405",
    "InvalidArgument",
    "InvalidRequest",
    "BadRequest",
    "400",
}
UNMET = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
MISSING = {"NoSuchKey", "NoSuchVersion", "NotFound", "404"}
DENIED = {"AccessDenied", "Forbidden", "403"}
_NO_ETAG = '"00000000000000000000000000000000"'

Removed = Literal["deleted", "changed", "gone"]


def is_unmet(error: ClientError) -> bool:
    """Whether a request was refused because its condition does not hold."""
    return code_of(error) in UNMET


def is_lacking(error: ClientError) -> bool:
    """Whether a request may have been refused because the server does not know the condition."""
    return code_of(error) in LACKING


def etag_at(client: Any, bucket: str, key: str) -> str | None:
    """Return the etag of an object without quotes, empty if the server has none; None if there is no object.

    Raises:
        ClientError: the server refused to tell.
    """
    try:
        answer = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) in MISSING:
            return None
        raise
    return etag_of(answer)


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """Where to write an object, and what must be there.

    Attributes:
        client: a client for S3.
        bucket: name of the bucket.
        key: the exact key.
        replaces: etag, without quotes, of the only object that may be replaced; None if there must be none.
    """

    client: Any
    bucket: str
    key: str
    replaces: str | None = None

    def write(self, operation: Callable[..., Any], **parameters: Any) -> tuple[Any, str]:
        """Write the object by an operation.

        Returns:
            The answer, and the code with which the server refused the condition, or an empty text. After such a
            refusal the object was looked at and written without the condition.

        Raises:
            ClientError: the server refused; if `is_unmet`, another object is there.
        """
        named = {"Bucket": self.bucket, "Key": self.key, **parameters}
        if not self._is_met():
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, operation.__name__)
        refused = ""
        for condition in self._conditions():
            try:
                return operation(**named, **condition), ""
            except ClientError as error:
                if not is_lacking(error) and not (is_unmet(error) and self._is_met(certainly=True)):
                    raise
                refused = code_of(error)
        return operation(**named), refused

    def _conditions(self) -> Iterator[dict[str, str]]:
        """Yield the condition, then another form for servers that refuse it: Ceph compares what is in the quotes."""
        if self.replaces is None:
            yield {"IfNoneMatch": "*"}
            return
        yield {"IfMatch": f'"{self.replaces}"'}
        yield {"IfMatch": self.replaces}

    def _is_met(self, *, certainly: bool = False) -> bool:
        """Whether the expected object is there; if the identity may not look, True unless `certainly`."""
        try:
            return etag_at(self.client, self.bucket, self.key) == self.replaces
        except ClientError as error:
            if code_of(error) in DENIED:
                return not certainly
            raise


@dataclass(slots=True)
class Removal:
    """Deletes objects only if they are still those that were seen.

    Whether the server honors the condition is tried on the first object, right after looking at it, with an etag that
    no object has. If it does, the other objects need no look.

    Attributes:
        client: a client for S3.
        lacking: why each object is looked at; empty while the server is not known to lack the condition.
    """

    client: Any
    lacking: str = ""
    _honors_condition: bool = field(default=False, init=False)

    def remove(self, bucket: str, key: str, etag: str, version: str = "") -> Removed:
        """Delete an object if it still has this etag, or one version of it, which cannot be replaced.

        Args:
            bucket: name of the bucket.
            key: the exact key.
            etag: etag from the answer about the object, with or without quotes.
            version: version id. The version `null` can be replaced, so its etag is checked.

        Raises:
            ClientError: the server refused.
        """
        named = {"Bucket": bucket, "Key": key}
        if version and version != "null":
            self.client.delete_object(**named, VersionId=version)
            return "deleted"
        etag = etag.strip('"')
        if version or not self._honors_condition:
            return self._remove_after_look(named, etag, version)
        return self._remove_on_condition(named, etag)

    def _remove_after_look(self, named: Mapping[str, str], etag: str, version: str) -> Removed:
        if different := self._difference(named, etag):
            return different
        if version:
            self.client.delete_object(**named, VersionId=version)
            return "deleted"
        if self.lacking:
            self.client.delete_object(**named)
            return "deleted"
        return self._first(named, etag)

    def _first(self, named: Mapping[str, str], etag: str) -> Removed:
        """Delete the first object, and learn whether the server honors the condition."""
        try:
            self.client.delete_object(**named, IfMatch=_NO_ETAG)
        except ClientError as error:
            if is_unmet(error):
                self._honors_condition = True
                return self._remove_on_condition(named, etag)
            if code_of(error) in MISSING:
                return "gone"
            if not is_lacking(error):
                raise
            self.lacking = f"the server refuses If-Match of a deletion ({code_of(error)})"
        else:
            self.lacking = "the server ignores If-Match of a deletion"
            return "deleted"
        self.client.delete_object(**named)
        return "deleted"

    def _remove_on_condition(self, named: Mapping[str, str], etag: str) -> Removed:
        try:
            self.client.delete_object(**named, IfMatch=f'"{etag}"')
        except ClientError as error:
            if code_of(error) in MISSING:
                return "gone"
            if not is_unmet(error):
                raise
        else:
            return "deleted"
        if different := self._difference(named, etag):
            return different
        self.lacking, self._honors_condition = "the server refuses If-Match of a deletion even though it matches", False
        self.client.delete_object(**named)
        return "deleted"

    def _difference(self, named: Mapping[str, str], etag: str) -> Removed | None:
        """Return what happened to an object that no longer has this etag; None if it still has."""
        current_etag = etag_at(self.client, named["Bucket"], named["Key"])
        if current_etag is None:
            return "gone"
        return None if current_etag == etag and etag else "changed"


ENCRYPTION_FIELD = "x-amz-server-side-encryption"
"""Header of the algorithm, and prefix of the others."""
ENCRYPTION_METHODS = {"AES256": "SSE-S3", "aws:kms": "SSE-KMS", "aws:kms:dsse": "DSSE-KMS"}
"""Names of the algorithms."""
_PARTS = {"UploadPart", "UploadPartCopy"}
_REFUSED = 300


@dataclass(frozen=True, slots=True)
class Encryption:
    """The encryption requested, or confirmed in an answer.

    Attributes:
        algorithm: algorithm with a key on the server: AES256, aws:kms, …
        kms_key: ARN, id or alias of the key.
        customer_algorithm: algorithm with a customer's key.
        customer_key_md5: MD5 of that key in Base64.
    """

    algorithm: str = ""
    kms_key: str = ""
    customer_algorithm: str = ""
    customer_key_md5: str = ""

    @classmethod
    def of(cls, headers: Mapping[str, Any]) -> Encryption:
        """Return the encryption in headers."""
        given = {str(name).lower(): _text(value) for name, value in headers.items()}
        names = ("", "-aws-kms-key-id", "-customer-algorithm", "-customer-key-md5")
        return cls(*(given.get(f"{ENCRYPTION_FIELD}{name}", "") for name in names))

    def __bool__(self) -> bool:
        return bool(self.algorithm or self.customer_algorithm)

    def is_done_by(self, said: Encryption) -> bool:
        """Whether an answer confirms this encryption."""
        if self.customer_algorithm:
            ours = (self.customer_algorithm, self.customer_key_md5)
            return ours == (said.customer_algorithm, said.customer_key_md5)
        return self.algorithm == said.algorithm and _may_be_same_key(self.kms_key, said.kms_key)

    def __str__(self) -> str:
        if self.customer_algorithm:
            return f"SSE-C ({visible(self.customer_algorithm)})"
        if not self.algorithm:
            return "no encryption"
        key = f" with the key {visible(self.kms_key)}" if self.kms_key else ""
        return visible(ENCRYPTION_METHODS.get(self.algorithm, self.algorithm)) + key


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _may_be_same_key(asked: str, said: str) -> bool:
    """Whether two names may mean the same KMS key: an alias tells nothing about the id, nor a bare id about the ARN."""
    if not asked or not said or asked == said:
        return True
    if ("alias/" in asked) != ("alias/" in said):
        return True
    if asked.startswith("arn:") and said.startswith("arn:"):
        return False
    return _id_of(asked) == _id_of(said)


def _id_of(key: str) -> str:
    return key.rpartition("alias/")[2] if "alias/" in key else key.replace("/", ":").rpartition(":")[2]


class NotEncrypted(Exception):  # noqa: N818 - what it becomes is an error
    """An answer does not confirm the encryption requested."""

    def __init__(self, asked: Encryption, said: Encryption, answer: Mapping[str, Any]) -> None:
        super().__init__()
        self.asked, self.said, self.answer = asked, said, answer


def asked_of(params: Mapping[str, Any], model: Any) -> Encryption | None:
    """Return the encryption that a writing request asks for, whoever set it, if the answer can confirm it."""
    can_tell = model.output_shape and "SSECustomerAlgorithm" in model.output_shape.members
    return Encryption.of(params["headers"]) or None if can_tell else None


def asked_at_the_end(kms_key: str) -> Encryption:
    """Return what the answer completing an upload must not contradict, as the request names no encryption."""
    return Encryption(algorithm="aws:kms", kms_key=kms_key)


def check_answer(asked: Encryption, answered: Any, parsed: Mapping[str, Any], operation: str) -> None:
    """Check that an answer confirms the encryption requested.

    Raises:
        NotEncrypted: it does not.
    """
    said = Encryption.of(answered.headers)
    if answered.status_code >= _REFUSED or (operation == "CompleteMultipartUpload" and not said):
        return
    if not asked.is_done_by(said):
        raise NotEncrypted(asked, said, parsed)


def undo_write(
    client: Any, name: str, operation: str, params: Mapping[str, Any], failure: NotEncrypted
) -> EncryptionError:
    """Undo a write, and return the error with what was requested, what the answer was, and what is there now."""
    where = Location(str(params.get("Bucket", "")), str(params.get("Key", "")))
    asked, said = failure.asked, failure.said
    answer = f"the answer tells of {said}"
    if asked.customer_algorithm and said.customer_algorithm:
        answer = "the answer does not mention its key"
    try:
        notes = _undo(client, operation, params, failure.answer)
    except Exception as error:  # noqa: BLE001 - translated, and told beside the reason
        notes = (f"What was written could not be deleted: {translate(error, resource=where.arn).message}.",)
    if asked.customer_algorithm:
        notes += ("The server was sent the customer's key, and may have kept it: use another one elsewhere.",)
    location = literal(visible(Location(where.bucket).uri))
    return EncryptionError(
        f"{visible(where.uri)} was not encrypted: {asked} was asked for through the connection {name}, and {answer}",
        hint=f"TEST CONNECTION {name_text(name)} LOCATION {location} WITH WRITE; shows what the server does. Write"
        " to a server that encrypts, or through a connection without this option.",
        notes=notes,
    )


def _undo(client: Any, operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[str, ...]:
    bucket, key = params["Bucket"], params["Key"]
    if operation == "CreateMultipartUpload" or operation in _PARTS:
        upload = answer.get("UploadId") or params.get("UploadId")
        with suppress(client.exceptions.NoSuchUpload):  # another of its parts was first
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        sent = "Nothing was sent of it" if operation not in _PARTS else "Its parts were dropped"
        return (f"{sent}, and nothing was written.",)
    etag = str(answer.get("ETag") or answer.get("CopyObjectResult", {}).get("ETag") or "")
    if not etag or operation == "CompleteMultipartUpload":  # some servers have another one for the parts
        etag = etag_at(client, bucket, key) or ""
    version = str(answer.get("VersionId") or "")
    if Removal(client).remove(bucket, key, etag, version) == "changed":
        return ("What is there now has another ETag than what was written, so it was not deleted: look at it.",)
    if version and version != "null":
        return ("The version that was written was deleted; earlier ones are still there.",)
    if params.get("IfNoneMatch"):
        return ("What was written was deleted.",)
    return (
        "What was written was deleted. An object that was there before is gone, because the bucket keeps no versions.",
    )
