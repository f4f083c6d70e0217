"""Translate botocore's errors and servers' refusals into the errors of this package.

Messages of libraries are never repeated, and of a server's only its error code and plain words, since messages may
quote headers, keys or tokens.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError, ResponseParserFactory
from botocore.utils import parse_timestamp

from s3conn_magic import errors
from s3conn_magic.connections.refusals import (
    NO_STS,
    OF_NO_S3,
    OF_PAGES,
    host_named,
    not_from_s3,
    other_protocol,
    own_words,
    region_named,
    unusual,
)
from s3conn_magic.language.plans import SHOWN_NAME
from s3conn_magic.language.words import literal
from s3conn_magic.locations import visible, with_partition
from s3conn_magic.secrets import OurRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Operations whose IAM action has another name.
_ACTIONS = {
    "ListBuckets": "s3:ListAllMyBuckets",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "HeadObject": "s3:GetObject",
    "SelectObjectContent": "s3:GetObject",
    "CopyObject": "s3:PutObject",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "DeleteObjects": "s3:DeleteObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "WriteGetObjectResponse": "s3-object-lambda:WriteGetObjectResponse",
    "CreateSession": "s3express:CreateSession",
    "ListDirectoryBuckets": "s3express:ListAllMyDirectoryBuckets",
}
_OF_VERSIONS = {
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:DeleteObject": "s3:DeleteObjectVersion",
}
_OF_STS = re.compile(
    r"Assume\w+|Get(CallerIdentity|AccessKeyInfo|ScopedCredentials|\w+Token)|DecodeAuthorizationMessage"
)
_WRONG_CREDENTIALS = {
    "InvalidAccessKeyId": "the access key id is not known to the server",
    "InvalidClientTokenId": "the access key id or session token is not known to the server",
    "UnrecognizedClientException": "the access key id or session token is not known to the server",
    "SignatureDoesNotMatch": "the signature does not match: the secret access key is wrong",
    "AuthFailure": "the credentials are not valid",
    "NotSignedUp": "the account is not signed up for the service",
    "InvalidSecurity": "the credentials are not valid",
    "InvalidToken": "the session token is malformed or does not belong to the key pair",
    "ExpiredToken": "the credentials have expired",
    "ExpiredTokenException": "the credentials have expired",
    "TokenRefreshRequired": "the credentials have expired",
    "RequestExpired": "the request was signed too long ago: the clock of this machine may be wrong",
    "RequestTimeTooSkewed": "the clock of this machine differs too much from the server's",
}
# Refusals that a wrong clock may cause, even if the server names another reason.
_CLOCK_CODES = {
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
}
_CLOCK_MINUTES = 5
_KEY_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt", "kms:Encrypt", "kms:DescribeKey")
_DENIED = {"AccessDenied", "AccessDeniedException", "403", "Forbidden"}
REGIONS = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "InvalidRegionName",
    "InvalidRegion",
    "301",
    "307",
}
"""Error codes for a request signed for, or sent to, a region other than the bucket's."""
_CREDENTIALS_ERRORS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
    boto.ConfigNotFound,
    boto.ConfigParseError,
    boto.ProfileNotFound,
    boto.InvalidConfigError,
    boto.InfiniteLoopConfigError,
    boto.RefreshWithMFAUnsupportedError,
    boto.UnknownCredentialError,
    boto.SSOError,
    boto.NoAuthTokenError,
    boto.TokenRetrievalError,
    boto.UnknownTokenProviderError,
    boto.MissingDependencyException,
    boto.InvalidIMDSEndpointError,
    boto.InvalidIMDSEndpointModeError,
    boto.UnauthorizedSSOTokenError,
)
_REGION_ERRORS = (boto.NoRegionError, boto.InvalidRegionError, boto.UnknownRegionError)
_ENDPOINT_ERRORS = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.UnknownEndpointError,
    boto.EndpointProviderError,
    boto.InvalidEndpointDiscoveryConfigurationError,
    boto.ChecksumError,
    boto.IncompleteReadError,
)
_ATTEMPTS = 5
PARTITION, VERSIONED = "s3conn-partition", "s3conn-versioned"
"""Keys in an answer's metadata for the partition of AWS, and for whether a version was asked for."""
_Result = TypeVar("_Result")


def action_of(operation: str) -> str:
    """Return the IAM action that an operation of S3 or STS needs."""
    service = "sts" if _OF_STS.fullmatch(operation) else "s3"
    return _ACTIONS.get(operation, f"{service}:{operation}")


_DIRECTORY_BUCKET = re.compile(r"(arn:aws[a-z-]*:)s3:::([^/]*--x-s3)(?:/.*)?", re.DOTALL)


def right_of(operation: str, resource: str, *, version: bool = False) -> tuple[str, str]:
    """Return the IAM action that an operation needs, and the ARN on which.

    Args:
        operation: operation of S3 or STS.
        resource: ARN that it acts on.
        version: whether it names a version of the object.
    """
    if directory := _DIRECTORY_BUCKET.fullmatch(resource):
        # Whatever the operation, the identity needs the right to create a session.
        return _ACTIONS["CreateSession"], f"{directory[1]}s3express:*:*:bucket/{directory[2]}"
    action = action_of(operation)
    return _OF_VERSIONS.get(action, action) if version else action, resource


def translate(error: BaseException, *, resource: str = "", connection: str = "") -> errors.S3ConnError:
    """Return this package's error for one of botocore's; its message begins with what it is about.

    Args:
        error: the error; one of this package is returned as it is.
        resource: ARN or URI that it is about.
        connection: name of the connection.
    """
    if isinstance(error, errors.S3ConnError):
        return error.of(_connection(connection))
    failure = _translated(error, resource)
    if failure is None:
        return errors.InternalError.from_exception(error)
    failure.cause = type(error).__name__
    if isinstance(error, boto.ClientError):
        failure.cause = f"{error.operation_name} {error.response.get('Error', {}).get('Code', '')}"
    return _named(failure, resource, connection)


def _translated(error: BaseException, resource: str) -> errors.S3ConnError | None:
    if isinstance(error, boto.ClientError):
        return from_answer(error, resource)
    if isinstance(error, ResponseParserError) and ":iam:" in resource:
        return errors.EndpointError("STS does not answer as expected", hint=NO_STS)
    return next((make(error) for kinds, make in _KINDS if isinstance(error, kinds)), None)


def _connection(name: str) -> str:
    return f"the connection {name}" if name else ""


def _named(error: errors.S3ConnError, resource: str, connection: str) -> errors.S3ConnError:
    """Return the error with what it is about: the connection for credentials, else the bucket, object or role."""
    where = visible(resource)
    if of_another := re.match(r"arn:(aws[a-z-]+):s3:", getattr(error, "resource", "")):
        where = with_partition(where, of_another[1])
    if isinstance(error, errors.BucketNotFoundError) or where in error.message:
        error.subject = where
    names = [_connection(connection), re.sub(r"^arn:aws[a-z-]*:s3:::", "s3://", where)]
    of_identity = isinstance(error, errors.CredentialsError) or "sts:" in error.message
    for name in names if of_identity else reversed(names):
        error.of(name)
    return error


def from_answer(error: boto.ClientError, resource: str) -> errors.S3ConnError:
    """Return the error for a refusal, without what it is about; `resource` is what the request acted on."""
    metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    resource = with_partition(resource, metadata.get(PARTITION, "aws"))
    code, said = (str(error.response.get("Error", {}).get(name) or "") for name in ("Code", "Message"))
    if code.isdigit():
        said = ""  # it is the phrase of the status rather than words of the server
    status = int(metadata.get("HTTPStatusCode", 0))
    # botocore turns a web page into a 500, whatever its status; a HEAD has no body that could be one.
    is_page = OF_PAGES.search(str(metadata.get("HTTPHeaders", {}).get("content-type", ""))) or status in OF_NO_S3
    if code.isdigit() and is_page and not error.operation_name.startswith("Head"):
        return not_from_s3(status, str(metadata.get("HTTPHeaders", {}).get("server", "")))
    return _of_code(
        code,
        operation=error.operation_name,
        # A profile's role may have been assumed to sign a request for a bucket, and the refusal is not about that.
        resource="" if error.operation_name.startswith("Assume") and ":iam:" not in resource else resource,
        attempts=int(metadata.get("RetryAttempts", 0)) + 1,
        status=status,
        date=str(metadata.get("HTTPHeaders", {}).get("date", "")),
        region=str(error.response.get("Error", {}).get("Region", "")),
        key_action=_key_action(said),
        said=said,
        endpoint=str(error.response.get("Error", {}).get("Endpoint", "")),
        version=bool(metadata.get(VERSIONED)),
    )


def _key_action(message: str) -> str:
    """Return the action on a KMS key that a refusal is about, or an empty text."""
    return next((action for action in _KEY_ACTIONS if action in message), "")


def translated(call: Callable[[], _Result], *, resource: str = "", connection: str = "") -> _Result:
    """Return the result of a call into botocore, or raise this package's error without botocore's chained to it."""
    try:
        with OurRequest():
            return call()
    except Exception as error:  # noqa: BLE001 - this is the boundary to botocore
        failure = translate(error, resource=resource, connection=connection)
    raise failure


def from_code(code: str, *, operation: str, resource: str, connection: str = "", **answer: Any) -> errors.S3ConnError:
    """Return the error for an error code of S3 or STS, with what it is about; `answer` as for `_of_code`."""
    return _named(_of_code(code, operation=operation, resource=resource, **answer), resource, connection)


def _of_code(
    code: str,
    *,
    operation: str,
    resource: str,
    attempts: int = _ATTEMPTS,
    status: int = 0,
    date: str = "",
    key_action: str = "",
    region: str = "",
    said: str = "",
    endpoint: str = "",
    version: bool = False,
) -> errors.S3ConnError:
    """Return the error for an error code, without what it is about.

    Args:
        code: the error code.
        operation: the operation.
        resource: ARN or URI that it acted on.
        attempts: number of tries.
        status: HTTP status of the answer.
        date: the answer's Date header.
        key_action: the action on a KMS key, if that was refused.
        region: the region that the answer names.
        said: the server's message.
        endpoint: the endpoint that the answer names.
        version: whether a version of the object was asked for.
    """
    if code in _WRONG_CREDENTIALS:
        return _wrong_credentials(code, date)
    if code in _DENIED:
        return _denied_key(key_action, resource) if key_action else _denied(operation, resource, said, version=version)
    if code in {"NoSuchBucket", "InvalidBucketName"} or (code == "404" and operation.endswith("Bucket")):
        name = resource.rpartition(":::")[2].partition("/")[0] or resource
        return errors.BucketNotFoundError(
            f"there is no bucket {visible(name) or 'of that name'}",
            hint="SHOW BUCKETS lists those that the connection may see. ENDPOINT may be another server's.",
        )
    if code in REGIONS or region_named(said):
        return _wrong_region(code, resource, region or region_named(said), endpoint, own_words(said))
    return unusual(code, operation, resource, attempts=attempts, status=status, said=said)


def _wrong_region(code: str, resource: str, region: str, endpoint: str, words: str) -> errors.RegionError:
    """Return the error for a request sent or signed for the wrong place; arguments as above, `words` the server's."""
    bucket = resource.rpartition(":::")[2].partition("/")[0]
    host = host_named(endpoint, bucket)
    right = f"set REGION = {literal(visible(region))}" if region else "set REGION to the bucket's"
    hint = f"{LEAVE_REGION_OUT}{right}."
    if host and not region:
        hint = f"The server names another endpoint: ENDPOINT = {literal(f'https://{host}')}."
    said = f"{code}: {words}" if words and not (region or host) else code
    where = visible(resource) or "the bucket"
    is_told = region or host or code != "AuthorizationHeaderMalformed"
    what = "is in another region than the request was signed for" if is_told else "takes no request that is signed so"
    return errors.RegionError(f"{where} {what} ({said})", hint=hint)


LEAVE_REGION_OUT = "Leave REGION out to have it found, or "
"""The beginning of a hint if the statement sets REGION."""


def _wrong_credentials(code: str, date: str) -> errors.CredentialsError:
    if code in _CLOCK_CODES and (difference := _clock_difference(date)):
        return errors.CredentialsError(
            f"the clock of this machine is {difference} the server's ({code})",
            hint="Synchronize the clock with a time server.",
        )
    return errors.CredentialsError(f"{_WRONG_CREDENTIALS[code]} ({code})", hint=_credentials_hint(code))


def _clock_difference(date: str) -> str:
    """Return how far this machine's clock is off an answer's date, such as `2 h 5 min ahead of`, or an empty text."""
    try:
        server_time = parsedate_to_datetime(date)
    except ValueError:
        return ""
    minutes = round((datetime.now(UTC) - server_time.astimezone(UTC)).total_seconds() / 60)
    if abs(minutes) < _CLOCK_MINUTES:
        return ""
    hours, rest = divmod(abs(minutes), 60)
    return f"{f'{hours} h ' if hours else ''}{rest} min {'ahead of' if minutes > 0 else 'behind'}"


def _credentials_hint(code: str) -> str:
    if "Expired" in code or code == "TokenRefreshRequired":
        return (
            "Give new ones, including AWS_SESSION_TOKEN; those of AWS_ROLE and AWS_PROFILE are renewed automatically."
        )
    if code in {"RequestTimeTooSkewed", "RequestExpired"}:
        return "Synchronize the clock with a time server."
    return "Give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of one pair, with AWS_SESSION_TOKEN if it is temporary."


def _denied_key(action: str, resource: str) -> errors.AccessDeniedError:
    return errors.AccessDeniedError(
        f"access denied: {action} is missing on the KMS key for {visible(resource)}",
        action=action,
        resource=resource,
        hint=f"Ask for {action} in the key's policy, or for another ENCRYPTION_KMS_KEY.",
    )


# Messages that say no more than the code.
_EMPTY_MESSAGE = re.compile(r"((access )?(is )?(denied|forbidden)|accessdenied)?\W*", re.IGNORECASE)


def _denied(operation: str, resource: str, said: str, *, version: bool = False) -> errors.AccessDeniedError:
    action, resource = right_of(operation, resource, version=version)
    about, words = f" on {visible(resource)}" if resource else "", own_words(said)
    hint = f"Ask for the IAM action {action}{about}."
    if operation == "ListBuckets":
        hint = (
            "Name the buckets in PATH_DISPLAY_FILTERS = ('s3://bucket/'), which needs no such permission, or ask"
            f" for {action}. Some servers say this of a wrong key pair, too."
        )
    says = "" if _EMPTY_MESSAGE.fullmatch(words) else f"; the server says: {words}"
    return errors.AccessDeniedError(
        f"access denied: {action} is missing{about}{says}", action=action, resource=resource, hint=hint
    )


def said_by(name: str, fallback: str) -> Callable[[Any], str]:
    """Return a function that takes a name or a file's path from an error, and nothing that may be something else."""

    def said(error: Any) -> str:
        text = str(getattr(error, "kwargs", {}).get(name) or "")
        is_one = SHOWN_NAME.fullmatch(text) if name != "path" else Path(text).exists()
        return visible(text) if is_one else fallback

    return said


def code_of(error: boto.ClientError) -> str:
    """Return the code of a refusal: the status if the answer has no body, empty if it has none of S3's form."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if re.fullmatch(_CODE_FORM, code) else ""


_CODE_FORM = r"[A-Za-z0-9.]{1,60}"


def _no_credentials(error: Any) -> errors.CredentialsError:
    for kinds, reason, hint in _CONFIGURATION:
        if isinstance(error, kinds):
            return errors.CredentialsError(reason(error), hint=hint)
    return errors.CredentialsError(
        f"credentials could not be obtained ({type(error).__name__})",
        hint="Check the AWS configuration of this machine, or give AWS_PROFILE, a key pair or AWS_ROLE.",
    )


def _aws_files(error: Any) -> str:
    """Return the paths of the AWS configuration files, each with what keeps the profile from being found."""
    name = said_by("profile", "")(error)
    paths = [
        Path(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser(),
        Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser(),
    ]
    states = (_in_file(path, called, name) for path, called in zip(paths, _SECTIONS, strict=True) if path.exists())
    existing = [f"{visible(str(path))}{state}" for path, state in zip(filter(Path.exists, paths), states, strict=True)]
    return (
        f"the AWS configuration files: {' and '.join(existing)}"
        if existing
        else (
            "the AWS configuration files, because there is neither"
            f" {visible(str(paths[0]))} nor {visible(str(paths[1]))}"
        )
    )


# The name of a profile's section in each file, and its name in the other.
_SECTIONS = ("[profile {}]", "[{}]"), ("[{}]", "[profile {}]")


def _in_file(path: Path, called: tuple[str, str], name: str) -> str:
    """Return what keeps a profile from being found in a file, such as a section named as in the other file."""
    if path.is_dir() or not os.access(path, os.R_OK):
        return " (a folder)" if path.is_dir() else " (may not be read)"
    right, wrong = (form.format(name) for form in called)
    swapped = name and re.search(rf"^\s*{re.escape(wrong)}", path.read_text("utf-8", "replace"), re.MULTILINE)
    return f" (has {wrong}, which is {right} there)" if swapped else ""


def _unparsed(error: Any) -> str:
    """Return what is wrong in a configuration file, and in which line, quoting at most the name of a section."""
    inner = error.kwargs.get("error")
    try:
        beginning = Path(error.kwargs["path"]).read_bytes()[:3]
    except (KeyError, OSError):
        beginning = b""
    if beginning.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return ": it begins with a byte order mark; it must be text in UTF-8 without one"
    if isinstance(inner, UnicodeError):
        return ": it is not text in UTF-8"
    section = str(getattr(inner, "section", ""))
    twice = f", the section {section} appears twice" if SHOWN_NAME.fullmatch(section.removeprefix("profile ")) else ""
    listed = getattr(inner, "errors", None) or [(None,)]
    line = getattr(inner, "lineno", None) or listed[0][0]
    return f": line {line}{twice}" if line else twice


def _unnamed() -> str:
    return "of AWS_PROFILE, which is empty," if os.environ.get("AWS_PROFILE") == "" else "that is named"


NOTHING_FOUND = "no credentials were found"
_CONFIGURATION: tuple[tuple[Any, Callable[[Any], str], str], ...] = (
    (
        boto.ProfileNotFound,
        lambda error: f"the profile {said_by('profile', _unnamed())(error)} is not in {_aws_files(error)}",
        "`aws configure list-profiles` lists them. AWS_PROFILE names the one to use.",
    ),
    (
        (boto.ConfigParseError, boto.ConfigNotFound),
        lambda error: (
            f"the AWS configuration file {said_by('path', 'of this machine')(error)} cannot be read{_unparsed(error)}"
        ),
        "Each section begins with its name in brackets, and each line in it reads name = value.",
    ),
    (
        boto.InvalidConfigError,
        lambda _: "a profile names a section, such as one of services, that is not in the AWS config file",
        "Write the section, [services name] with that name, or remove the name from the profile.",
    ),
    (
        (boto.SSOError, boto.TokenRetrievalError),
        lambda _: "the SSO session has ended or was never started",
        "Run `aws sso login` in a terminal, with the --profile that it is of.",
    ),
    (
        boto.MissingDependencyException,
        lambda _: "the request needs the package awscrt, as for a multi-region access point, which is not installed",
        "Install it: `pip install awscrt`, and restart the kernel.",
    ),
    (
        boto.NoCredentialsError,
        lambda _: NOTHING_FOUND,
        "Give AWS_PROFILE, a key pair, AWS_ROLE, or ANONYMOUS = TRUE for public buckets.",
    ),
)


_NOT_HTTP = {"ClientResponseError", "ClientPayloadError", "BadStatusLine", "BadHttpMessage", "HttpProcessingError"}
# OpenSSL's names for an answer in plain text.
_NO_TLS = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST|UNKNOWN_PROTOCOL")


def unreachable(error: BaseException) -> errors.EndpointError:
    """Return the error for a server that does not answer; it names only the kind of failure."""
    if "SSL" in type(error).__name__ and _NO_TLS.search(str(error)):
        return other_protocol()
    if isinstance(error, boto.SSLError):
        return errors.EndpointError(
            "the TLS certificate of the server is not trusted", hint="Set AWS_CA_BUNDLE to the CA's file."
        )
    if isinstance(error, boto.ProxyConnectionError):
        return errors.EndpointError("the proxy cannot be reached", hint="See HTTPS_PROXY and NO_PROXY.")
    if type(error).__name__ in _NOT_HTTP:
        return errors.EndpointError(
            f"the answer is not valid HTTP ({type(error).__name__})",
            hint="Is ENDPOINT an S3 server, is the port that of its API, and is http:// or https:// right?",
        )
    # What something other than urllib3 raises, such as a recorder, comes wrapped.
    cause = getattr(error, "kwargs", {}).get("error", error) if type(error) is boto.HTTPClientError else error
    what = "in time" if "imeout" in type(error).__name__ else f"({type(cause).__name__})"
    return errors.EndpointError(
        f"the server cannot be reached {what}", hint="Check ENDPOINT or REGION, the network and the proxy."
    )


def _no_region(_: BaseException) -> errors.RegionError:
    return errors.RegionError(
        "the region is missing or not valid", hint="Set REGION, for example REGION = 'eu-west-1'."
    )


def _not_s3(_: BaseException) -> errors.EndpointError:
    return errors.EndpointError("the answer is not what S3 would send", hint="Is ENDPOINT an S3 server?")


def _no_request(error: BaseException) -> errors.EndpointError:
    return errors.EndpointError(
        f"no request can be built from this location, these options and this machine's AWS configuration"
        f" ({type(error).__name__})",
        hint="Check the location, the connection's options (DESCRIBE CONNECTION) and AWS_… in the environment.",
    )


def _not_stubbed(error: Any) -> errors.EndpointError:
    named = str(error.kwargs.get("operation_name", ""))
    operation = named if named.isidentifier() else "a request"
    return errors.EndpointError(
        f"the Stubber on the connection's client has no answer for {operation}",
        hint="Add its answers in the order of the requests, with the parameters that are sent.",
    )


# The first match counts.
_KINDS: tuple[tuple[tuple[type[BaseException], ...], Callable[[Any], errors.S3ConnError]], ...] = (
    (_CREDENTIALS_ERRORS, _no_credentials),
    (_REGION_ERRORS, _no_region),
    ((ResponseParserError,), _not_s3),
    (_ENDPOINT_ERRORS, unreachable),
    ((boto.StubResponseError,), _not_stubbed),
    ((boto.BotoCoreError,), _no_request),
)


def _time_or_none(text: Any) -> datetime | None:
    """Return the time from a server, in any format; None if it is not a time, such as an empty CreationDate."""
    try:
        return cast("datetime", parse_timestamp(text))
    except (ValueError, TypeError, OverflowError):
        return None


PARSERS = ResponseParserFactory()
PARSERS.set_parser_defaults(timestamp_parser=_time_or_none)
"""Parsers of S3's answers in which an invalid time is just missing."""
