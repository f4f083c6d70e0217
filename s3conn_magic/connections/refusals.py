"""A server's refusal: its code, the safe words of its message, the option to blame, and what to do."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

from s3conn_magic import errors
from s3conn_magic.language.words import literal, plainly
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Container

THROTTLED = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "503", "429", "TooManyRequests"}
UNAVAILABLE = {"InternalError", "ServiceUnavailable", "InternalFailure", "500", "502", "504"}
"""Error codes of servers that are overloaded, and of those that fail."""
NO_STS = (
    "Roles are assumed at the connection's ENDPOINT, and its server may have no STS: give a key pair, and no AWS_ROLE."
)
_OF_ANOTHER_KEY = (
    "An object that was written with a customer's key is read through a connection whose"
    " ENCRYPTION_CUSTOMER_MANAGED_KEY is that key."
)
_OTHERWISE = "An S3-compatible server may not offer this."
_REGION_NAMED = re.compile(
    # AWS, MinIO and Backblaze; Garage; AWS at another region's endpoint; Cloudflare R2.
    r"region\b.*expecting '([a-z0-9-]+)'|expected: '?[^/\s]*/([a-z0-9-]+)/s3/|"
    r"The (?!unspecified)([a-z0-9-]+) location constraint|region\b.*one of: [a-z, -]*\b(auto)\b",
    re.IGNORECASE | re.DOTALL,
)
_HOST = re.compile(r"[a-z0-9.-]+\.[a-z]{2,}(?::\d{1,5})?")


def region_named(message: str) -> str:
    """Return the right region named in a refusal's message, or an empty text."""
    match = _REGION_NAMED.search(message)
    return next(filter(None, match.groups()), "") if match else ""


def host_named(endpoint: str, bucket: str) -> str:
    """Return the host named in a redirect, without the bucket; empty if it is not a host."""
    host = endpoint.lower().partition("://")[2] or endpoint.lower()
    return host.removeprefix(f"{bucket}.") if _HOST.fullmatch(host) else ""


# The first match of operation and code counts.
_HINTS = tuple(
    (re.compile(operation), re.compile(code, re.IGNORECASE), hint)
    for operation, code, hint in (
        (r"Assume\w+", r".*", NO_STS),
        (
            r"ListObjectVersions",
            r".*NotImplemented|NotSupported|MethodNotAllowed|501|405|400|InvalidArgument",
            "The server keeps no versions, or does not list them: LIST without VERSIONS shows the objects.",
        ),
        (r"(Get|Head)Object", r"InvalidArgument|InvalidRequest|BadRequest|400", _OF_ANOTHER_KEY),
        (
            r".*",
            r"(SecondLevel|PathStyle)Domain\w*|InvalidPathAccess",
            "The server wants the bucket in its host's name: add ADDRESSING_STYLE = 'virtual'.",
        ),
        (
            r".*",
            r"UserSuspended|AccountProblem|AccountSuspended",
            "The server has suspended this user: ask its administrator, or use another user's key pair.",
        ),
        (
            r".*",
            r"AllAccessDisabled",
            "Nobody may use this any more, whatever their rights: ask the owner of the bucket.",
        ),
        (
            r".*",
            r"\w*(QuotaExceeded|StorageFull|InsufficientStorage|TooManyBuckets)|507",
            "There is no space left for this user: delete something, or ask the administrator of the server.",
        ),
        (
            r".*",
            r"UnsupportedAlgorithm|Missing(AuthenticationToken|SecurityHeader)|UnauthorizedAccess|401|Unauthorized",
            "The server answers only requests that are signed: give a key pair that it knows.",
        ),
        (
            r".*",
            r"KMS\..*|\w*(Kms|InvalidKeyId|EncryptionKey)\w*",
            "The server has no such key, or no KMS: leave ENCRYPTION_KMS_KEY out, or name a key that it has.",
        ),
    )
)
_IDENTITY = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ROLE", "ANONYMOUS")
# The first match of error and cause counts, and of its options the first that the statement has.
TO_BLAME: tuple[tuple[type[errors.S3ConnError], re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (kind, re.compile(cause), options)
    for kind, cause, options in (
        (errors.CredentialsError, r".*SignatureDoesNotMatch", ("AWS_SECRET_ACCESS_KEY", *_IDENTITY, "ENDPOINT")),
        (errors.CredentialsError, r".* (Request(Expired|TimeTooSkewed))", ()),
        (errors.CredentialsError, r".* (InvalidToken|Expired\w*|TokenRefresh\w*)", ("AWS_SESSION_TOKEN", *_IDENTITY)),
        (errors.CredentialsError, r".* (Invalid|Unrecognized|AuthFailure|NotSignedUp).*", (*_IDENTITY, "ENDPOINT")),
        (errors.CredentialsError, r".*", ("AWS_PROFILE", "AWS_ROLE", *_IDENTITY, "ENDPOINT")),
        (errors.AccessDeniedError, r"Assume.*", ("AWS_ROLE", "EXTERNAL_ID", *_IDENTITY)),
        (errors.AccessDeniedError, r"ListBuckets .*", ("AWS_ROLE", "AWS_PROFILE", *_IDENTITY, "ENDPOINT")),
        (errors.AccessDeniedError, r".*", ("PATH_DISPLAY_FILTERS", "AWS_ROLE", "AWS_PROFILE", *_IDENTITY)),
        (errors.BucketNotFoundError, r".*", ("PATH_DISPLAY_FILTERS", "ENDPOINT")),
        (errors.RegionError, r".*", ("REGION", "ENDPOINT", "PATH_DISPLAY_FILTERS")),
        (errors.EndpointError, r"Assume.*", ("AWS_ROLE", "ENDPOINT")),
        (errors.EndpointError, r".* (Unsupported|Missing|Unauthorized|401).*", ("ANONYMOUS", *_IDENTITY)),
        (errors.EndpointError, r".* (UserSuspended|Account\w+)", (*_IDENTITY, "ENDPOINT")),
        (errors.EndpointError, r".*(KMS|Kms|EncryptionKey).*", ("ENCRYPTION_KMS_KEY", "ENDPOINT")),
        (errors.S3ConnError, r".*", ("ENDPOINT", "REGION", "ADDRESSING_STYLE", "AWS_PROFILE")),
    )
)


def to_blame(error: errors.S3ConnError, given: Container[str]) -> str | None:
    """Return the option or display filter in a statement that is to blame for a failed probe, or None."""
    fits = (options for kind, cause, options in TO_BLAME if isinstance(error, kind) and cause.fullmatch(error.cause))
    options = next(fits, ())
    filters = error.filters if "PATH_DISPLAY_FILTERS" in options else ()
    return next((name for name in (*filters, *options) if name in given), None)


_LONGEST = 160
# Letters, perhaps followed by a few digits, and short numbers, joined by signs. Keys, tokens, signatures and ids have
# digits among their letters, are long, or are all capitals.
_PIECE = r"(?:[A-Za-z]{1,24}\d{0,4}|\d{1,10})"
_PLAIN_WORD = re.compile(rf"(?![A-Z0-9]{{12}})\W{{0,3}}{_PIECE}(?:[-._/:='*]{_PIECE})*\W{{0,3}}|\W{{1,3}}", re.ASCII)


def own_words(message: str) -> str:
    """Return a server's message on one line, shortened, with an ellipsis for anything that may be a secret."""
    words = (word if _PLAIN_WORD.fullmatch(word) else "…" for word in visible(" ".join(message.split())).split())
    text = re.sub(r"…( …)+", "…", " ".join(words))
    if len(text) > _LONGEST:  # at a word's end
        text = f"{text[:_LONGEST].rpartition(' ')[0]} …"
    return text.rstrip(" .:") if re.search("[A-Za-z]", text) else ""


def unusual(code: str, operation: str, resource: str, *, attempts: int, status: int, said: str) -> errors.S3ConnError:
    """Return the error for a refusal that is not about credentials, rights, buckets or regions.

    Args:
        code: the error code.
        operation: the operation.
        resource: ARN or URI that it acted on.
        attempts: number of tries.
        status: HTTP status of the answer.
        said: the server's message.
    """
    words = own_words(said)
    if code in THROTTLED or status == 429:  # noqa: PLR2004 - as HTTP has it
        message = f"the server asked to slow down in all of {attempts} tries"
        return errors.ThrottledError(message, attempts=attempts, hint="Try again later, or SET CONNECTIONS = 4.")
    if code in UNAVAILABLE or status in {502, 503, 504}:
        reason = f"{code}: {words}" if words else "500, without a document of S3" if code == "500" else code
        message = f"the server failed to answer in all of {attempts} tries ({reason})"
        return errors.EndpointError(message, hint="Try again later.")
    name = code if re.fullmatch(r"[A-Za-z0-9.]{1,60}", code) else f"status {status}"
    about = f" for {visible(resource)}" if resource else ""
    reason = f"{name}: {words}" if words and words != name else name
    return errors.EndpointError(f"the server refused {operation}{about} ({reason})", hint=_hint(operation, name, words))


def _hint(operation: str, code: str, words: str) -> str:
    if "kms" in words.lower():
        code = "KMS.Unnamed"
    elif "range" in words.lower():
        return _OTHERWISE
    fits = (hint for asked, codes, hint in _HINTS if asked.fullmatch(operation) and codes.fullmatch(code))
    return next(fits, _OTHERWISE)


_TITLE = re.compile(rb"<(?:title|h1)[^>]*>\s*([^<]{1,200})", re.IGNORECASE)
_WORDS = re.compile(r"[^A-Za-z0-9 .,:;()/-]+")


def message_of(body: bytes, field: str = "Message") -> str:
    """Return the message in an error document, or another field of it; empty if it has none."""
    match = re.search(rf"<{field}>([^<]{{1,1000}})</{field}>".encode(), body[:8192])
    return unescape(match[1].decode("utf-8", "replace")) if match else ""


OF_PAGES = re.compile("html|json|text/plain", re.IGNORECASE)
"""Content types that S3 uses only for objects."""
OF_NO_S3 = frozenset({204, 302, 303, 511})
"""Statuses that S3 never uses for listings or reads, but logins and proxies do."""


def is_foreign(body: bytes, kind: str = "") -> bool:
    """Whether a refusal is not from S3: a page of a proxy, a login, another kind of server.

    Args:
        body: body of the answer.
        kind: its content type, if known.
    """
    if "html" in kind.lower():
        return True
    beginning = body[:4096].lstrip().lower()
    is_page = b"<html" in beginning or b"<!doctype" in beginning or not beginning.startswith(b"<")
    return is_refused_plain(beginning) or (bool(beginning) and is_page)


# Answers of Go servers, nginx, Apache and Jetty to plain HTTP at a TLS port.
_WANTS_TLS = re.compile(rb"HTTP request (?:was sent )?to (?:an )?HTTPS|speaking plain HTTP to an SSL", re.IGNORECASE)


def is_refused_plain(body: bytes) -> bool:
    """Whether a server answered that it wants TLS."""
    return _WANTS_TLS.search(body) is not None


def other_protocol(url: str = "", *, secure: bool = False, altered: str = "") -> errors.EndpointError:
    """Return the error for TLS sent to a server of plain HTTP, or the other way around.

    Args:
        url: the right endpoint, if known.
        secure: whether the server wants TLS.
        altered: name of the connection, if it exists already.
    """
    message = "the server expects HTTPS, and the request was plain HTTP" if secure else "the server does not speak TLS"
    scheme = ("http://", "https://") if secure else ("https://", "http://")
    hint = f"Write ENDPOINT = {literal(url)}." if url else f"Write {scheme[1]} instead of {scheme[0]}."
    if url and altered:
        hint = f"Here: ALTER S3 CONNECTION {plainly(altered)} SET ENDPOINT = {literal(url)};"
    return errors.EndpointError(message, hint=hint)


def not_from_s3(status: int, server: str, body: bytes = b"") -> errors.EndpointError:
    """Return the error for an answer that is not from S3: its status, server, and page title."""
    if is_refused_plain(body[:4096]):
        return other_protocol(secure=True)
    match = _TITLE.search(body[:4096])
    title = _WORDS.sub(" ", match[1].decode("utf-8", "replace")).strip()[:60] if match else ""
    details = [f"status {status}", *([f"server {_WORDS.sub(' ', server)[:40].strip()}"] if server else [])]
    details += [f"a page titled {title}"] if title else []
    return errors.EndpointError(
        f"the answer is not from S3 ({', '.join(details)}): it is not what S3 would send",
        hint="Is ENDPOINT an S3 server, and its port that of the API? A proxy or a login page may be in front of it:"
        " DESCRIBE CONNECTION shows the proxy in use.",
    )
