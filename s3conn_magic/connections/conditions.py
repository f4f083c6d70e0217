"""Requests on a condition: written only in place of what was seen, deleted only as what was seen.

Servers differ: AWS keeps these conditions; others refuse them, or pass them by without a word. So an object is looked
at first wherever the server's own care is not sure. What remains then is the time between the look and the request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What a server says that does not know the header. Whatever else it may mean is said again without the header.
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


def code_of(error: ClientError) -> str:
    """The code of a refusal; the status, where the answer has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_unmet(error: ClientError) -> bool:
    """Whether a request was refused since its condition does not hold."""
    return code_of(error) in UNMET


def is_lacking(error: ClientError) -> bool:
    """Whether a request was perhaps refused since the server does not know the condition."""
    return code_of(error) in LACKING


def etag_at(client: Any, bucket: str, key: str) -> str | None:
    """The etag of what is there, without quotes, and empty where the server has none; None where nothing is.

    Raises:
        ClientError: the server refused to tell.
    """
    try:
        answer = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) in MISSING:
            return None
        raise
    return str(answer.get("ETag", "")).strip('"')


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """Where an object is to be written, and what must be there for it.

    Attributes:
        client: a client for S3.
        bucket: its name.
        key: exact.
        replaces: etag of the one object that may be there, without quotes; None where nothing may be.
    """

    client: Any
    bucket: str
    key: str
    replaces: str | None = None

    def write(self, operation: Callable[..., Any], **parameters: Any) -> tuple[Any, str]:
        """Have an operation make the object.

        Returns:
            The answer, and the code by which the server refused the condition, or an empty text. It was done without
            the condition then, after a look.

        Raises:
            ClientError: the server refused; by `is_unmet`, since something else is there.
        """
        named = {"Bucket": self.bucket, "Key": self.key, **parameters}
        if not self._is_met():
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, operation.__name__)
        condition = {"IfNoneMatch": "*"} if self.replaces is None else {"IfMatch": f'"{self.replaces}"'}
        try:
            return operation(**named, **condition), ""
        except ClientError as error:
            if not is_lacking(error):
                raise
            refused = code_of(error)
        return operation(**named), refused

    def _is_met(self) -> bool:
        """Whether what is there is what must be, as far as the identity may look."""
        try:
            return etag_at(self.client, self.bucket, self.key) == self.replaces
        except ClientError as error:
            if code_of(error) in DENIED:
                return True
            raise


@dataclass(slots=True)
class Removal:
    """Deletes objects of a server only as what was seen of them.

    Whether the server keeps the condition is tried at the first object, right after a look at it: by an etag that no
    object has. Where it does, no other object needs a look.

    Attributes:
        client: a client for S3.
        lacking: why there is a look at each object; empty while the server is not known to lack the condition.
    """

    client: Any
    lacking: str = ""
    _kept: bool = field(default=False, init=False)

    def remove(self, bucket: str, key: str, etag: str, version: str = "") -> Removed:
        """Delete an object if it still is the one of this etag; or one version of it, which nobody can replace.

        Args:
            bucket: its name.
            key: exact.
            etag: as the answer gave it that told of the object, with or without quotes.
            version: its id. The one that is called null can be replaced, so its etag is looked at.

        Raises:
            ClientError: the server refused.
        """
        named = {"Bucket": bucket, "Key": key}
        if version and version != "null":
            self.client.delete_object(**named, VersionId=version)
            return "deleted"
        etag = etag.strip('"')
        if version or not self._kept:
            return self._after_a_look(named, etag, version)
        return self._on_condition(named, etag)

    def _after_a_look(self, named: Mapping[str, str], etag: str, version: str) -> Removed:
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
        """Delete the first object, and learn what the server makes of the condition."""
        try:
            self.client.delete_object(**named, IfMatch=_NO_ETAG)
        except ClientError as error:
            if is_unmet(error):
                self._kept = True
                return self._on_condition(named, etag)
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

    def _on_condition(self, named: Mapping[str, str], etag: str) -> Removed:
        try:
            self.client.delete_object(**named, IfMatch=f'"{etag}"')
        except ClientError as error:
            if code_of(error) in MISSING:
                return "gone"
            if is_unmet(error) and (different := self._difference(named, etag)):
                return different
            raise
        return "deleted"

    def _difference(self, named: Mapping[str, str], etag: str) -> Removed | None:
        """What has become of an object that is not the one of this etag any more."""
        there = etag_at(self.client, named["Bucket"], named["Key"])
        if there is None:
            return "gone"
        return None if there == etag and etag else "changed"
