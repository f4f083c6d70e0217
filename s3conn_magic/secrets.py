"""Hide texts: secrets, their masked form, also in log records, and their sealed form on the way to a worker.

MASK               shown in place of a secret
Secret             a text that cannot be printed, serialised or looked into by accident
SecretText         a `str` for libraries, whose repr is another text; `StorageOptions`: a dict of them
keyring_password   a secret of the operating system's keyring
seal, unseal       encrypt secrets for a worker with a one-time pad
give, opened, …    the pads on a worker, each kept while its client sends signs of life
keep_out, let_go   mask the secrets of a connection in log records
OurRequest         marks log records as being about our requests
"""

from __future__ import annotations

import base64
import binascii
import gc
import hmac
import json
import logging
import re
import secrets
import threading
import traceback
import weakref
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self, SupportsIndex
from urllib.parse import quote, quote_plus

from s3conn_magic.errors import pip_install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextvars import Token

MASK = "<REDACTED>"
"""Shown in place of a secret; no option accepts it as a value."""


class Secret:
    """A secret text.

    It has no printed, pickled or JSON form, compares in constant time, and gives its value only through `reveal()`.
    Copies are the object itself.
    """

    __slots__ = ("_open",)
    _open: Callable[[], str]

    def __init__(self, value: str) -> None:
        # A closure keeps the text out of the slots that debuggers and `inspect` walk.
        object.__setattr__(self, "_open", lambda: value)

    def reveal(self) -> str:
        """Return the secret itself, only for the library that signs with it."""
        return self._open()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(*(secret.reveal().encode("utf-8", "surrogatepass") for secret in (self, other)))

    def __hash__(self) -> int:
        return hash(Secret)

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return True

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret cannot be changed")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def keyring_password(service: str, user: str) -> str:
    """Return a password of the keyring.

    Raises:
        LookupError: the keyring package or the password is missing.
    """
    try:
        import keyring
    except ImportError:
        reason = f"KEYRING needs the keyring package: {pip_install('keyring')}"
    else:
        password, reason = _password(keyring.get_password, service, user)
        if password is not None:
            return password
    raise LookupError(reason)


def _password(get: Callable[[str, str], str | None], service: str, user: str) -> tuple[str | None, str]:
    try:
        return get(service, user), "the keyring has no password of that service and user"
    except Exception as error:  # noqa: BLE001 - each backend has its own errors
        return None, f"the keyring cannot be read ({type(error).__name__})"


class SecretText(str):
    """A `str` for every library whose repr is another text; `str()` and `print` show the real one."""

    __slots__ = ("_shown",)
    _shown: str

    def __new__(cls, text: str, shown: str = MASK) -> Self:
        """Return the text, with `shown` as its repr."""
        instance = super().__new__(cls, text)
        instance._shown = shown
        return instance

    def __repr__(self) -> str:
        return self._shown

    def __reduce__(self) -> tuple[Any, ...]:
        return SecretText, (str.__str__(self), self._shown)


class StorageOptions(dict[str, Any]):
    """Options for a library's `storage_options`, whose printed form masks secrets.

    Attributes:
        credential_provider: for libraries that request credentials when they need them, or None.
        expires_at: UTC time at which the credentials in it expire; None if they do not, or if a provider gives them.
    """

    def __init__(self, options: Any = (), *, credential_provider: Any = None, expires_at: Any = None) -> None:
        super().__init__(options)
        self.credential_provider = credential_provider
        self.expires_at = expires_at

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {value!r}' for name, value in self.items())}}}"

    def copy(self) -> StorageOptions:
        """Return a copy."""
        return StorageOptions(self, credential_provider=self.credential_provider, expires_at=self.expires_at)

    def __reduce__(self) -> tuple[Any, ...]:
        # The provider refers to the connection, which is not pickled.
        return StorageOptions, (dict(self),)


LEASE = 60.0
"""Seconds that a worker keeps a pad after it last heard from its client."""


class NotGivenError(Exception):
    """This worker has no pad for a task: it is new, or its client was silent for too long."""


def seal(values: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return the values encrypted with a one-time pad, and the pad."""
    data = json.dumps(dict(values)).encode()
    pad = secrets.token_bytes(len(data))
    return _xor(data, pad), pad


def _xor(left: bytes, right: bytes) -> bytes:
    size = len(left)
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(size, "big")


def unseal(sealed: bytes, pad: bytes) -> dict[str, Secret]:
    """Return the decrypted values."""
    return {name: Secret(value) for name, value in json.loads(_xor(sealed, pad)).items()}


class _Droppable(Protocol):
    def drop(self) -> None: ...


class _Given:
    """A pad on a worker, and the connection opened with it."""

    def __init__(self, mark: str, pad: bytes) -> None:
        self.pad = pad
        self._mark = mark
        self._connection: _Droppable | None = None
        self._users = 0
        self._leaving = False
        self._lock = threading.Lock()
        self.renew()

    def renew(self) -> None:
        """Start the lease again."""
        self._timer = threading.Timer(LEASE, _expire, (self._mark, self))
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """End the lease."""
        self._timer.cancel()

    @contextmanager
    def using(self, make: Callable[[bytes], _Droppable]) -> Iterator[_Droppable]:
        """Hold the connection, made at first use; it stays open while used, even if the lease ends."""
        with self._lock:
            self._connection = self._connection or make(self.pad)
            self._users += 1
            connection = self._connection
        try:
            yield connection
        finally:
            with self._lock:
                self._users -= 1
                over = self._leaving and not self._users
            if over:
                self.drop()

    def leave(self) -> None:
        """Drop the connection once nobody uses it."""
        with self._lock:
            self._leaving = True
            over = not self._users
        if over:
            self.drop()

    def drop(self) -> None:
        """Drop the connection, even if it is in use."""
        connection, self._connection, self.pad = self._connection, None, b""
        if connection is not None:
            connection.drop()


_given: dict[str, _Given] = {}
_lock = threading.Lock()


def give(pads: Sequence[tuple[str, bytes]]) -> None:
    """On a worker: keep pads by their marks; renew the lease of those already there."""
    with _lock:
        for mark, pad in pads:
            given = _given.get(mark)
            if given is None:
                _given[mark] = _Given(mark, pad)
            else:
                given.stop()
                given.renew()


def forget(marks: Sequence[str]) -> None:
    """On a worker: drop the pads and connections of these marks; tasks that still use them fail."""
    with _lock:
        given = [pad for mark in marks if (pad := _given.pop(mark, None)) is not None]
    for pad in given:
        pad.stop()
        pad.drop()
    if given:
        gc.collect()  # clients are in reference cycles


def _expire(mark: str, given: _Given) -> None:
    with _lock:
        if _given.get(mark) is given:
            del _given[mark]
    given.leave()


@contextmanager
def opened(mark: str, make: Callable[[bytes], _Droppable]) -> Iterator[Any]:
    """On a worker: hold the connection opened with a pad.

    Raises:
        NotGivenError: there is no pad.
    """
    with _lock:
        given = _given.get(mark)
    if given is None:
        raise NotGivenError
    with given.using(make) as connection:
        yield connection


# Libraries log requests and responses at DEBUG: tokens, keys, signatures, answers of STS. Records are masked as they
# are made, whatever the logger and its handlers: the secrets of live connections in every record of the process, and
# places where secrets stand, such as headers and responses, in records about requests of our connections.

# Shorter secrets are ordinary words elsewhere ("test", "admin"), so these are masked only in records of our requests.
_SHORTEST = 8
_NAMES = (
    r"(?:proxy-)?authorization|x-amz-(?:security-|s3session-)token|x-amz-[a-z-]{0,60}customer-key(?:-md5)?|x-amz-signature"
    r"|x-aws-ec2-metadata-token|x-amz-sso_bearer_token|(?:copysource)?ssecustomerkey(?:md5)?"
    r"|(?:aws_?)?secret_?(?:access_?)?key|(?:aws_?)?(?:session|security|access|refresh|id|webidentity)?_?token"
    r"|client_?secret|samlassertion|tokencode|device_?code|code_?verifier|assertion|signature|password"
)
# After a name: a quoted value, an XML element's text, a form's or query's value, or the rest of a header line.
_PLACES = re.compile(
    rf"(?<![a-z0-9-])(?P<name>{_NAMES})(?:"
    r"""(?P<before>\\?['"]?\s*[:=]\s*b?(?P<quote>\\?['"]))(?:\\.|(?!(?P=quote)).)*"""
    r"|(?P<tag>>)[^<]*"
    rf"""|(?P<equals>=)(?:{MASK})?[^\s&'"<>,;)]*"""
    r"|(?P<colon>:\s*)[^\n]*)",
    re.IGNORECASE | re.DOTALL,
)
_USER_IN_URL = re.compile(r"://[^/\s@'\"]+@")
_SIGNED = re.compile(r"(?P<name>(?:x-amz-)?signature=)[^\s&'\"<>,;)]+", re.IGNORECASE)
# Responses may repeat all that was sent, so only the request ids are shown, which a server's support asks for.
_REQUEST_IDS = re.compile(r"'(x-amz-request-id|x-amz-id-2|x-amzn-requestid)': '([\w/+=-]{1,100})'", re.IGNORECASE)
_ANSWERS = {"botocore.parsers", "botocore.handlers", "botocore.utils"}
_ARGUMENT = re.compile(r"%(?:\(\w*\))?[-#0-9. ]*[a-z]", re.IGNORECASE)


class Holder(Protocol):
    """An object with secrets."""

    def held(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the current access key ids and secrets, without waiting for locks or the network."""


class _HeldSecrets:
    """A weak reference to a holder, and the forms of its secrets when last asked."""

    def __init__(self, holder: Holder) -> None:
        place = id(holder)
        self._holder = weakref.ref(holder, lambda _: _holders.pop(place, None))
        self._secrets: tuple[str, ...] = ()
        self._forms: tuple[str, ...] = ()

    def now(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the access key ids, and the forms of the secrets."""
        holder = self._holder()
        ids, secrets = holder.held() if holder is not None else ((), ())
        if secrets != self._secrets:
            forms = {form for secret in secrets for form in _forms(secret)}
            self._secrets, self._forms = secrets, tuple(sorted(forms, key=len, reverse=True))
        return ids, self._forms


_holders: dict[int, _HeldSecrets] = {}
_ours: ContextVar[bool] = ContextVar("s3conn_magic_request", default=False)


def keep_out(holder: Holder) -> None:
    """Mask an object's secrets in every log record, until it is freed or `let_go` is called."""
    _holders[id(holder)] = _HeldSecrets(holder)
    _install()


def let_go(holder: Holder) -> None:
    """Stop masking an object's secrets."""
    _holders.pop(id(holder), None)


class OurRequest:
    """Marks log records within the block as being about our requests."""

    __slots__ = ("_token",)
    _token: Token[bool]

    def __enter__(self) -> None:
        _install()
        self._token = _ours.set(True)

    def __exit__(self, *_: object) -> None:
        _ours.reset(self._token)


def is_ours() -> None:
    """Mark this asyncio task, and those that it starts, as being about our requests."""
    _install()
    _ours.set(True)


def _install() -> None:
    """Install the masking factory, again if another one was set since, as that may not call ours."""
    before = logging.getLogRecordFactory()
    if isinstance(before, _Factory):
        return
    logging.setLogRecordFactory(_Factory(before))


class _Factory:
    """Makes masked records; it is called only for records that a handler wants."""

    def __init__(self, original: Any) -> None:
        self._before = original

    def __call__(self, *given: Any, **kwargs: Any) -> logging.LogRecord:
        """Return a record as `logging.LogRecord` would, but masked."""
        record: logging.LogRecord = self._before(*given, **kwargs)
        ours = _ours.get()
        if ours or _holders:
            try:
                _mask(record, ours=ours)
            except Exception:  # noqa: BLE001 - a log line must fail no request, and what cannot be looked at is not shown
                record.msg, record.args = MASK, ()
                record.exc_info = record.exc_text = record.stack_info = None
        return record


def _mask(record: logging.LogRecord, *, ours: bool) -> None:
    ids, forms = _known_secrets(ours=ours)
    message = _message(record)
    masked = _without(message, ids, forms, ours=ours)
    if ours and record.name in _ANSWERS and record.args:
        masked = _response_summary(record, message)
    if ours or masked != message:
        record.msg, record.args = masked, ()
    if record.exc_info and record.exc_info[0]:
        _mask_exception(record, ids, forms, ours=ours)
    if record.stack_info:
        record.stack_info = _without(record.stack_info, ids, forms, ours=ours)


def _mask_exception(record: logging.LogRecord, ids: Iterable[str], forms: Iterable[str], *, ours: bool) -> None:
    """Mask an exception and drop its traceback object: some handlers print its frames, which hold headers and keys."""
    kind, error, trace = record.exc_info or (None, None, None)
    if ours:
        frames = "".join(["Traceback (most recent call last):\n", *traceback.format_tb(trace)])
        record.exc_info, record.exc_text = None, f"{frames}{getattr(kind, '__name__', kind)}: {MASK}"
        return
    frames = "".join(traceback.format_exception(kind, error, trace)).rstrip("\n")
    safe = _without(frames, ids, forms, ours=False)
    if safe != frames:
        record.exc_info, record.exc_text = None, safe


def _known_secrets(*, ours: bool) -> tuple[list[str], list[str]]:
    ids: list[str] = []
    forms: list[str] = []
    for entry in list(_holders.values()):
        some_ids, some_forms = entry.now()
        ids += some_ids
        forms += [form for form in some_forms if ours or len(form) >= _SHORTEST]
    return ids, forms


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - logging will complain of it, and print message and arguments
        return f"{record.msg} {record.args!r}"


def _response_summary(record: logging.LogRecord, message: str) -> str:
    """Return the part of a logged response to show."""
    kept = ", ".join(f"{name}: {value}" for name, value in _REQUEST_IDS.findall(message))
    return _ARGUMENT.sub(kept or MASK, str(record.msg))


def _without(text: str, ids: Iterable[str], forms: Iterable[str], *, ours: bool) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, MASK)
    if ours:
        return _USER_IN_URL.sub(f"://{MASK}@", _PLACES.sub(_mask_place, text))
    if "ignature=" in text and any(each in text for each in ids):
        # A link signed by a connection of ours, whoever opens it.
        return _SIGNED.sub(rf"\g<name>{MASK}", text)
    return text


def _mask_place(match: re.Match[str]) -> str:
    after = match["before"] or match["tag"] or match["equals"] or match["colon"] or ""
    return f"{match['name']}{after}{MASK}"


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms in which requests, responses and representations may write a secret."""
    if not secret:
        return
    data = secret.encode("utf-8", "surrogatepass")
    yield secret
    for text in (repr(secret)[1:-1], repr(data)[2:-1], json.dumps(secret)[1:-1]):
        yield text
        yield text.replace("\\'", "'").replace("'", "\\'")
        yield text.replace('"', '\\"')
    for quotes in (False, True):
        yield escape(secret, quote=quotes)
    yield escape(secret).replace("&#x27;", "&apos;")
    yield escape(secret).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    for safe in ("", "/", "-_.~", "/~"):
        whole = quote(data, safe=safe)
        yield whole
        yield re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), whole)
    yield quote_plus(data)
    yield base64.b64encode(data).decode()
    try:
        raw = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        return
    # Customer keys are given in Base64 and passed to botocore as bytes.
    yield repr(raw)[2:-1]
    yield raw.hex()
