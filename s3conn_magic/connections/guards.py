"""What every S3 client of a connection does before a request leaves: refuse, pay, encrypt.

Which operations write is read from botocore's service model, so an operation added to S3 tomorrow is refused too.
"""

from __future__ import annotations

import base64
import functools
from typing import TYPE_CHECKING, Any, NoReturn

from botocore import UNSIGNED

from s3conn_magic.errors import ReadOnlyConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.connections.settings import Settings

# GET and HEAD never write; of the others, this one only filters what it reads.
_READING_METHODS = {"GET", "HEAD"}
_READING_OPERATIONS = {"SelectObjectContent"}
# The first signs a policy, and the others may hand their work to another library: both pass the events by.
_WRITING_METHODS = {
    "generate_presigned_post": "a presigned POST",
    "upload_file": "an upload",
    "upload_fileobj": "an upload",
    "copy": "a copy",
}
_PRESIGNED = {f"{name}-{how}": f"s3v4-{how}" for name in ("v4", "s3v4") for how in ("query", "presign-post")}
_ENCRYPTION = ("ServerSideEncryption", "SSE")


def writes(operation: Any) -> bool:
    """Whether an operation of botocore's S3 model could write or delete."""
    return operation.http.get("method") not in _READING_METHODS and operation.name not in _READING_OPERATIONS


def refusal(name: str, operation: str) -> ReadOnlyConnectionError:
    """The error for a write through a READ_ONLY connection."""
    return ReadOnlyConnectionError(
        f"the connection {name} is READ_ONLY: {operation} was refused, nothing was sent",
        hint="Use a connection that was created without READ_ONLY = TRUE.",
    )


def guard(client: Any, name: Callable[[], str], settings: Callable[[], Settings]) -> None:
    """Attach the guards to an S3 client. They follow the connection: settings are asked for at every request."""

    def before(params: dict[str, Any], model: Any, **_: Any) -> None:
        now = settings()
        if now.read_only and writes(model):
            raise refusal(name(), model.name)
        members = model.input_shape.members if model.input_shape else {}
        for begins, defaults in _defaults(now):
            # What the caller says of the encryption counts whole: half of it with half of ours is refused by S3.
            if not any(given.startswith(begins) for given in params):
                params.update({key: value for key, value in defaults.items() if key in members})

    def choose_signer(**_: Any) -> Any:
        return UNSIGNED if settings().anonymous else None

    client.meta.events.register_first("provide-client-params.s3", before)
    client.meta.events.register_first("choose-signer.s3", choose_signer)
    for method, what in _WRITING_METHODS.items():
        setattr(client, method, _refusing(getattr(client, method), what, name, settings))


def presign_by_version_4(client: Any) -> None:
    """Keep botocore from presigning by version 2, which most other servers, newer regions and KMS keys refuse.

    For a client that knows its region only: a signature of version 4 holds in no other.
    """

    def keep(signature_version: Any, **_: Any) -> Any:
        return _PRESIGNED.get(str(signature_version))

    client.meta.events.register_first("choose-signer.s3", keep)


def _refusing(method: Callable[..., Any], what: str, name: Callable[[], str], settings: Callable[[], Settings]) -> Any:
    @functools.wraps(method)
    def refuse_or_call(*args: Any, **keys: Any) -> Any:
        if settings().read_only:
            raise refusal(name(), what)
        return method(*args, **keys)

    return refuse_or_call


def _defaults(settings: Settings) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Parameters that this connection's requests carry wherever the operation has them.

    Each group goes with the beginnings of those parameters that, given by the caller, replace it.
    """
    found: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    if settings.requester_pays:
        found.append((("RequestPayer",), {"RequestPayer": "requester"}))
    if settings.kms_key:
        found.append((_ENCRYPTION, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings.kms_key}))
    if settings.customer_key:
        key = base64.b64decode(settings.customer_key.reveal())
        found.append((_ENCRYPTION, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}))
        source = {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": key}
        found.append((("CopySourceSSE",), source))
    return found


def refuse_service(name: str, service: str) -> NoReturn:
    """A READ_ONLY connection gives out no client whose writes it could not tell."""
    raise refusal(name, f"a client for {service}")


def refuse_session(name: str) -> NoReturn:
    """A READ_ONLY connection gives out no session, whose clients would have no guard."""
    raise refusal(name, "a session")
