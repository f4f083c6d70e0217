"""Log records without the secrets of connections.

Libraries below log requests and answers at DEBUG: tokens, keys, signatures, what STS says. A record is masked as it is
made, whatever logger makes it and whatever handlers there are or will be. Two things are looked for:

* values: the secrets of connections that live, in every record of the process;
* places where a secret stands, such as headers and answers, in records of requests that a connection of ours makes.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
import traceback
import weakref
from contextvars import ContextVar
from html import escape
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, quote_plus

from s3conn_magic.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextvars import Token

# Shorter ones are ordinary words elsewhere ("test", "admin"): these are masked in records of our requests only.
_LEAST = 8
_NAMES = (
    r"(?:proxy-)?authorization|x-amz-(?:security-|s3session-)token|x-amz-[a-z-]{0,60}customer-key(?:-md5)?|x-amz-signature"
    r"|x-aws-ec2-metadata-token|x-amz-sso_bearer_token|(?:copysource)?ssecustomerkey(?:md5)?"
    r"|(?:aws_?)?secret_?(?:access_?)?key|(?:aws_?)?(?:session|security|access|refresh|id|webidentity)?_?token"
    r"|client_?secret|samlassertion|tokencode|device_?code|code_?verifier|assertion|signature|password"
)
# What follows a name: a quoted value, an XML element's text, a form's or query's value, or the rest of a header's line.
_PLACES = re.compile(
    rf"(?<![a-z0-9-])(?P<name>{_NAMES})(?:"
    r"""(?P<before>\\?['"]?\s*[:=]\s*b?(?P<quote>\\?['"]))(?:\\.|(?!(?P=quote)).)*"""
    r"|(?P<tag>>)[^<]*"
    rf"""|(?P<equals>=)(?:{MASK})?[^\s&'"<>,;)]*"""
    r"|(?P<colon>:\s*)[^\n]*)",
    re.IGNORECASE | re.DOTALL,
)
_USER = re.compile(r"://[^/\s@'\"]+@")
_SIGNED = re.compile(r"(?P<name>(?:x-amz-)?signature=)[^\s&'\"<>,;)]+", re.IGNORECASE)
# What they log of answers may repeat all that was sent; shown are the numbers only that a server's support asks for.
_REQUEST_IDS = re.compile(r"'(x-amz-request-id|x-amz-id-2|x-amzn-requestid)': '([\w/+=-]{1,100})'", re.IGNORECASE)
_ANSWERS = {"botocore.parsers", "botocore.handlers", "botocore.utils"}
_ARGUMENT = re.compile(r"%(?:\(\w*\))?[-#0-9. ]*[a-z]", re.IGNORECASE)


class Holder(Protocol):
    """Something that has secrets for as long as it lives."""

    def held(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return access key ids and secrets of this moment, without waiting for a lock or for the network."""


class _Held:
    """A holder, weakly, and the forms of its secrets as they were when it was asked last."""

    def __init__(self, holder: Holder) -> None:
        place = id(holder)
        self._holder = weakref.ref(holder, lambda _: _holders.pop(place, None))
        self._secrets: tuple[str, ...] = ()
        self._forms: tuple[str, ...] = ()

    def now(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return access key ids, and the forms of the secrets."""
        holder = self._holder()
        ids, secrets = holder.held() if holder is not None else ((), ())
        if secrets != self._secrets:
            forms = {form for secret in secrets for form in _forms(secret)}
            self._secrets, self._forms = secrets, tuple(sorted(forms, key=len, reverse=True))
        return ids, self._forms


_holders: dict[int, _Held] = {}
_ours: ContextVar[bool] = ContextVar("s3conn_magic_request", default=False)


def keep_out(holder: Holder) -> None:
    """Mask what an object holds in every log record, until it is gone or `let_go` of."""
    _holders[id(holder)] = _Held(holder)
    _install()


def let_go(holder: Holder) -> None:
    """Mask its secrets no more."""
    _holders.pop(id(holder), None)


class OurRequest:
    """A block whose log records are about a request of ours."""

    __slots__ = ("_token",)
    _token: Token[bool]

    def __enter__(self) -> None:
        _install()
        self._token = _ours.set(True)

    def __exit__(self, *_: object) -> None:
        _ours.reset(self._token)


def is_ours() -> None:
    """Say that all that this asyncio task and those it begins do is about requests of ours."""
    _install()
    _ours.set(True)


def _install() -> None:
    """Have records masked as they are made. Another factory, set since, may not have asked the one before."""
    before = logging.getLogRecordFactory()
    if isinstance(before, _Factory):
        return
    logging.setLogRecordFactory(_Factory(before))


class _Factory:
    """Makes records, and masks them; a record is only made where somebody listens."""

    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, *given: Any, **named: Any) -> logging.LogRecord:
        """Return a record as `logging.LogRecord` would be."""
        record: logging.LogRecord = self._before(*given, **named)
        ours = _ours.get()
        if ours or _holders:
            try:
                _mask(record, ours=ours)
            except Exception:  # noqa: BLE001 - a log line must fail no request, and what cannot be looked at is not shown
                record.msg, record.args = MASK, ()
                record.exc_info = record.exc_text = record.stack_info = None
        return record


def _mask(record: logging.LogRecord, *, ours: bool) -> None:
    ids, forms = _known(ours=ours)
    message = _message(record)
    masked = _without(message, ids, forms, ours=ours)
    if ours and record.name in _ANSWERS and record.args:
        masked = _of_an_answer(record, message)
    if ours or masked != message:
        record.msg, record.args = masked, ()
    if record.exc_info and record.exc_info[0]:
        _mask_exception(record, ids, forms, ours=ours)
    if record.stack_info:
        record.stack_info = _without(record.stack_info, ids, forms, ours=ours)


def _mask_exception(record: logging.LogRecord, ids: Iterable[str], forms: Iterable[str], *, ours: bool) -> None:
    """Some handlers print what the frames hold: those of a request hold headers and keys, and its error an answer."""
    kind, error, trace = record.exc_info or (None, None, None)
    if ours:
        frames = "".join(["Traceback (most recent call last):\n", *traceback.format_tb(trace)])
        record.exc_info, record.exc_text = None, f"{frames}{getattr(kind, '__name__', kind)}: {MASK}"
        return
    frames = "".join(traceback.format_exception(kind, error, trace)).rstrip("\n")
    safe = _without(frames, ids, forms, ours=False)
    if safe != frames:
        record.exc_info, record.exc_text = None, safe


def _known(*, ours: bool) -> tuple[list[str], list[str]]:
    ids: list[str] = []
    forms: list[str] = []
    for held in list(_holders.values()):
        some_ids, some_forms = held.now()
        ids += some_ids
        forms += [form for form in some_forms if ours or len(form) >= _LEAST]
    return ids, forms


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - logging will complain of it, and print message and arguments
        return f"{record.msg} {record.args!r}"


def _of_an_answer(record: logging.LogRecord, message: str) -> str:
    """Return what is shown of a server's answer."""
    kept = ", ".join(f"{name}: {value}" for name, value in _REQUEST_IDS.findall(message))
    return _ARGUMENT.sub(kept or MASK, str(record.msg))


def _without(text: str, ids: Iterable[str], forms: Iterable[str], *, ours: bool) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, MASK)
    if ours:
        return _USER.sub(f"://{MASK}@", _PLACES.sub(_masked, text))
    if "ignature=" in text and any(each in text for each in ids):
        # A link that a connection of ours has signed, whoever follows it.
        return _SIGNED.sub(rf"\g<name>{MASK}", text)
    return text


def _masked(match: re.Match[str]) -> str:
    after = match["before"] or match["tag"] or match["equals"] or match["colon"] or ""
    return f"{match['name']}{after}{MASK}"


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as requests, answers and representations may write it."""
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
    # A customer's key is given in Base64 and handed to botocore as bytes.
    yield repr(raw)[2:-1]
    yield raw.hex()


__all__ = ["Holder", "OurRequest", "is_ours", "keep_out", "let_go"]
