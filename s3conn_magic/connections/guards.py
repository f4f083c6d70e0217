"""What every S3 client of a connection does before a request leaves: refuse, pay, encrypt; and when it was answered.

Which operations write is read from botocore's service model, so an operation added to S3 tomorrow is refused too.
"""

from __future__ import annotations

import base64
import copy
import functools
import inspect
from typing import TYPE_CHECKING, Any, NoReturn

from botocore import UNSIGNED

from s3conn_magic.connections import encryption
from s3conn_magic.errors import CredentialsError, ReadOnlyConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.connections.settings import Settings

GUARDED_SERVICES = {"s3", "sts"}
"""Services whose clients a READ_ONLY connection gives out."""
# What reads has both such a method and such a name; anything else is taken to write.
_READING_METHODS = {"GET", "HEAD"}
_READING_NAMES = ("Get", "Head", "List")
# The first only filters what it reads; the second begins every read of a directory bucket.
_READING_OPERATIONS = {"SelectObjectContent", "CreateSession"}
# It names the encryption of an object that it does not store.
_NOT_STORED = {"WriteGetObjectResponse"}
# The first signs a policy, and the others may hand their work to another library: both pass the events by.
_WRITING_METHODS = {
    "generate_presigned_post": "a presigned POST",
    "upload_file": "an upload",
    "upload_fileobj": "an upload",
    "copy": "a copy",
}
_TRANSFERS = ("upload_file", "upload_fileobj", "download_file", "download_fileobj")
_PRESIGNED = {f"{name}-{how}": f"s3v4-{how}" for name in ("v4", "s3v4") for how in ("query", "presign-post")}
_ENCRYPTION = ("ServerSideEncryption", "SSE")


def writes(operation: Any) -> bool:
    """Whether an operation of botocore's S3 model could write or delete; one that is not known to read could."""
    if operation.name in _READING_OPERATIONS:
        return False
    return operation.http.get("method") not in _READING_METHODS or not operation.name.startswith(_READING_NAMES)


def refusal(name: str, operation: str) -> ReadOnlyConnectionError:
    """The error for a write through a READ_ONLY connection."""
    return ReadOnlyConnectionError(
        f"the connection {name} is READ_ONLY: {operation} was refused, nothing was sent",
        hint="Use a connection that was created without READ_ONLY = TRUE.",
    )


def no_link(name: str) -> CredentialsError:
    """The error for a presigned request through a connection whose encryption key must travel with every request."""
    return CredentialsError(
        f"the connection {name} sends its encryption key with every request, which no link does",
        hint="Download or upload the object instead.",
    )


def guard(session: Any, name: Callable[[], str], settings: Callable[[], Settings]) -> None:
    """Attach the guards to a botocore session, and so to every client that is made of it.

    They follow the connection: settings are asked for at every request.
    """
    guards = _Guards(name, settings)
    events = session.get_component("event_emitter")
    events.register_first("provide-client-params", guards.before)
    events.register_first("choose-signer.s3", guards.choose_signer)
    events.register_last("before-call.s3", guards.sent)
    events.register_first("after-call.s3.CreateMultipartUpload", guards.begun)
    events.register_last("after-call.s3", encryption.check_answer)
    # Boto3 puts its methods in first.
    events.register_last("creating-client-class.s3", guards.wrap)


class _Guards:
    def __init__(self, name: Callable[[], str], settings: Callable[[], Settings]) -> None:
        self._name = name
        self._settings = settings
        self._encrypted_by_caller: set[str] = set()

    def before(self, params: dict[str, Any], model: Any, context: Any, **_: Any) -> dict[str, Any] | None:
        """Refuse, or complete the parameters: in place, but for those of a link, which are the caller's own."""
        now, service = self._settings(), model.service_model.service_name
        if service != "s3":
            if now.read_only and service not in GUARDED_SERVICES:
                raise refusal(self._name(), f"{model.name} of {service}")
            return None
        if now.read_only and writes(model):
            raise refusal(self._name(), model.name)
        completed = dict(params) if context.get("is_presign_request") else params
        if now.read_only and model.name == "CreateSession":
            completed["SessionMode"] = "ReadOnly"
        self._complete(completed, model, now, context)
        return completed

    def _complete(self, params: dict[str, Any], model: Any, now: Settings, context: Any) -> None:
        members = model.input_shape.members if model.input_shape else {}
        for begins, defaults in _defaults(now):
            # What the caller says of the encryption counts whole: half of it with half of ours is refused by S3.
            if begins is _ENCRYPTION and self._is_the_caller_s(params, model):
                context["encrypted_by_caller"] = True
            elif not any(given.startswith(begins) for given in params):
                params.update({key: value for key, value in defaults.items() if key in members})
                if context.get("is_presign_request") and "SSECustomerKey" in defaults.keys() & members.keys():
                    raise no_link(self._name())

    def _is_the_caller_s(self, params: dict[str, Any], model: Any) -> bool:
        """Whether the caller named the encryption: here, or where the upload began that this is a part of."""
        upload = params.get("UploadId")
        if upload in self._encrypted_by_caller:
            if model.name in {"CompleteMultipartUpload", "AbortMultipartUpload"}:
                self._encrypted_by_caller.discard(upload)
            return True
        return model.name in _NOT_STORED or any(given.startswith(_ENCRYPTION) for given in params)

    def begun(self, parsed: Any, context: Any, **_: Any) -> None:
        """Remember an upload whose encryption the caller named: its parts do not name it again."""
        if context.get("encrypted_by_caller") and (upload := parsed.get("UploadId")):
            self._encrypted_by_caller.add(upload)

    def sent(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        """Note what the answer must tell of the encryption."""
        kms_key = self._settings().kms_key
        if model.name == "CompleteMultipartUpload" and kms_key and not context.get("encrypted_by_caller"):
            encryption.expect_of_the_end(context, kms_key)
        else:
            encryption.note_asked(params, model, context)

    def choose_signer(self, **_: Any) -> Any:
        """Sign nothing where the connection is anonymous."""
        return UNSIGNED if self._settings().anonymous else None

    def wrap(self, class_attributes: dict[str, Any], **_: Any) -> None:
        """Put the methods in that pass the events by, and what undoes a write that an event refused."""
        class_attributes["_make_api_call"] = encryption.wrap(self._name)
        for method in _TRANSFERS:
            class_attributes[method] = _by_this_client(class_attributes[method])
        class_attributes["generate_presigned_post"] = self._encrypting(class_attributes["generate_presigned_post"])
        for method, what in _WRITING_METHODS.items():
            class_attributes[method] = self._refusing(class_attributes[method], what)

    def _refusing(self, method: Callable[..., Any], what: str) -> Any:
        @functools.wraps(method)
        def refuse_or_call(*args: Any, **keys: Any) -> Any:
            if self._settings().read_only:
                raise refusal(self._name(), what)
            return method(*args, **keys)

        return refuse_or_call

    def _encrypting(self, presigned_post: Callable[..., Any]) -> Any:
        @functools.wraps(presigned_post)
        def encrypt_and_call(*args: Any, **keys: Any) -> Any:
            call = inspect.signature(presigned_post).bind(*args, **keys)
            now, fields = self._settings(), dict(call.arguments.get("Fields") or {})
            if now.customer_key:
                raise no_link(self._name())
            if now.kms_key and not any(name.lower().startswith(encryption.FIELD) for name in fields):
                ours = {encryption.FIELD: "aws:kms", f"{encryption.FIELD}-aws-kms-key-id": now.kms_key}
                conditions = [*(call.arguments.get("Conditions") or []), *({name: ours[name]} for name in ours)]
                call.arguments.update(Fields=fields | ours, Conditions=conditions)
            return presigned_post(*call.args, **call.kwargs)

        return encrypt_and_call


def _by_this_client(transfer: Callable[..., Any]) -> Any:
    """A transfer by the client itself: boto3 may choose another library, which knows neither guards nor ALTER."""

    @functools.wraps(transfer)
    def call_with_classic(*args: Any, **keys: Any) -> Any:
        from boto3.s3.transfer import TransferConfig

        call = inspect.signature(transfer).bind(*args, **keys)
        config = copy.copy(call.arguments.get("Config") or TransferConfig())
        config.preferred_transfer_client = "classic"
        call.arguments["Config"] = config
        return transfer(*call.args, **call.kwargs)

    return call_with_classic


def presign_by_version_4(client: Any) -> None:
    """Keep botocore from presigning by version 2, which most other servers, newer regions and KMS keys refuse.

    For a client that knows its region only: a signature of version 4 holds in no other.
    """

    def keep(signature_version: Any, **_: Any) -> Any:
        return _PRESIGNED.get(str(signature_version))

    client.meta.events.register_first("choose-signer.s3", keep)


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


def refuse_service(name: str, service: str) -> None:
    """A READ_ONLY connection gives out no client whose writes it could not tell."""
    if service not in GUARDED_SERVICES:
        raise refusal(name, f"a client for {service}")


def refuse_session(name: str) -> NoReturn:
    """A READ_ONLY connection gives out no session, which gives out the credentials too."""
    raise refusal(name, "a session")
