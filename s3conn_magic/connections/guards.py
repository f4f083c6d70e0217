"""What every S3 client of a connection does before a request leaves: refuse, pay, encrypt.

Which operations write is read from botocore's service model, so an operation added to S3 tomorrow is refused too.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NoReturn

from botocore import UNSIGNED

from s3conn_magic.errors import ReadOnlyConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.connections.settings import Settings

# GET and HEAD never write; of the others, this one only filters what it reads.
_READING_METHODS = {"GET", "HEAD"}
_READING_OPERATIONS = {"SelectObjectContent"}


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
        for key, value in _defaults(now).items():
            if key in members:
                params.setdefault(key, value)

    def choose_signer(**_: Any) -> Any:
        return UNSIGNED if settings().anonymous else None

    plain_post = client.generate_presigned_post

    def presigned_post(*args: Any, **keys: Any) -> Any:
        if settings().read_only:
            raise refusal(name(), "a presigned POST")
        return plain_post(*args, **keys)

    client.meta.events.register_first("provide-client-params.s3", before)
    client.meta.events.register_first("choose-signer.s3", choose_signer)
    # It signs a policy without passing any event, so it is wrapped by itself.
    client.generate_presigned_post = presigned_post


def _defaults(settings: Settings) -> dict[str, Any]:
    """Parameters that this connection's requests carry wherever the operation has them."""
    found: dict[str, Any] = {}
    if settings.requester_pays:
        found["RequestPayer"] = "requester"
    if settings.kms_key:
        found |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": settings.kms_key}
    if settings.customer_key:
        key = base64.b64decode(settings.customer_key.reveal())
        found |= {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
        found |= {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": key}
    return found


def refuse_service(name: str, service: str) -> NoReturn:
    """A READ_ONLY connection gives out no client whose writes it could not tell."""
    raise refusal(name, f"a client for {service}")
