"""Errors of botocore and answers of servers → the errors of this package.

Nothing that a server or a library says is repeated but its error code: messages may quote headers, keys or tokens.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from s3conn_magic import errors
from s3conn_magic.locations import visible
from s3conn_magic.runtime.logs import OurRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ACTIONS = {
    "ListBuckets": "s3:ListAllMyBuckets",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "AssumeRole": "sts:AssumeRole",
    "GetCallerIdentity": "sts:GetCallerIdentity",
}
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
# Refusals that a wrong clock leads to, also where the server names another reason.
_OF_THE_CLOCK = {
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
}
_CLOCK_MINUTES = 5
_KEY_ACTIONS = ("kms:GenerateDataKey", "kms:Decrypt", "kms:Encrypt", "kms:DescribeKey")
_DENIED = {"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem", "403", "Forbidden"}
_REGIONS = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "301",
    "307",
}
_THROTTLED = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "503", "429", "TooManyRequests"}
_UNAVAILABLE = {"InternalError", "ServiceUnavailable", "InternalFailure", "500", "502", "504"}
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
_Result = TypeVar("_Result")


def action_of(operation: str) -> str:
    """Return the IAM action that an S3 or STS operation needs."""
    return _ACTIONS.get(operation, f"s3:{operation}")


def translate(error: BaseException, *, resource: str = "", connection: str = "") -> errors.S3ConnError:
    """Return the error of this package for one of botocore's, which begins with what it is about.

    Args:
        error: what was raised; one of this package stays what it is.
        resource: the ARN or URI that it was about.
        connection: name of the connection that the request went through.
    """
    if isinstance(error, errors.S3ConnError):
        return error.of(_connection(connection))
    if isinstance(error, boto.ClientError):
        return _named(_from_answer(error, resource), resource, connection)
    for kinds, make in _KINDS:
        if isinstance(error, kinds):
            return _named(make(error), resource, connection)
    return errors.InternalError.from_exception(error)


def _connection(name: str) -> str:
    return f"the connection {name}" if name else ""


def _named(error: errors.S3ConnError, resource: str, connection: str) -> errors.S3ConnError:
    """Return the error with what it is about: the connection for its credentials, else the bucket, object or role."""
    where = visible(resource)
    if isinstance(error, errors.BucketNotFoundError) or where in error.message:
        error.subject = where
    names = [_connection(connection), where.replace("arn:aws:s3:::", "s3://")]
    of_identity = isinstance(error, errors.CredentialsError) or "sts:" in error.message
    for name in names if of_identity else reversed(names):
        error.of(name)
    return error


def _from_answer(error: boto.ClientError, resource: str) -> errors.S3ConnError:
    metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    code = str(error.response.get("Error", {}).get("Code", ""))
    # botocore makes a 500 of a web page, whatever its status; a HEAD has no body that could be one.
    if code.isdigit() and "html" in _content_type(metadata) and not error.operation_name.startswith("Head"):
        return _not_s3(error)
    return _of_code(
        code,
        operation=error.operation_name,
        # A profile's role may be assumed to sign a request for a bucket, which the refusal is not about.
        resource="" if error.operation_name.startswith("Assume") and ":iam:" not in resource else resource,
        attempts=int(metadata.get("RetryAttempts", 0)) + 1,
        status=int(metadata.get("HTTPStatusCode", 0)),
        date=str(metadata.get("HTTPHeaders", {}).get("date", "")),
        key_action=_key_action(str(error.response.get("Error", {}).get("Message", ""))),
    )


def _key_action(message: str) -> str:
    """Return the action on a KMS key that a refusal is about, in words of this package."""
    return next((action for action in _KEY_ACTIONS if action in message), "")


def _content_type(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("HTTPHeaders", {}).get("content-type", "")).lower()


def translated(call: Callable[[], _Result], *, resource: str = "", connection: str = "") -> _Result:
    """Return the result of a call into botocore, or raise an error of ours with nothing of botocore's chained."""
    try:
        with OurRequest():
            return call()
    except Exception as error:  # noqa: BLE001 - this is the boundary to botocore
        failure = translate(error, resource=resource, connection=connection)
    raise failure


def from_code(code: str, *, operation: str, resource: str, connection: str = "", **answer: Any) -> errors.S3ConnError:
    """Return the error for a code of S3 or STS, which begins with what it is about; `answer` as of `_of_code`."""
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
) -> errors.S3ConnError:
    """Return the error for an error code, not yet named.

    Args:
        code: the error's code.
        operation: what was asked.
        resource: the ARN or URI that it was asked of.
        attempts: how often.
        status: HTTP status of the answer.
        date: the answer's header of that name.
        key_action: the action on a KMS key that was refused, where it was that.
    """
    if code in _WRONG_CREDENTIALS:
        return _wrong_credentials(code, date)
    if code in _DENIED:
        return _denied_key(key_action, resource) if key_action else _denied(operation, resource)
    if code in {"NoSuchBucket", "InvalidBucketName"} or (code == "404" and operation.endswith("Bucket")):
        name = resource.rpartition(":::")[2].partition("/")[0] or resource
        return errors.BucketNotFoundError(
            f"there is no bucket {visible(name) or 'of that name'}",
            hint="SHOW BUCKETS lists those that the connection may see; ENDPOINT may be another server's.",
        )
    if code in _REGIONS:
        return errors.RegionError(
            f"{visible(resource) or 'the bucket'} is in another region than the request was signed for ({code})",
            hint="Leave REGION out to have it found, or set the bucket's.",
        )
    return _unusual(code, operation, resource, attempts, status)


def _unusual(code: str, operation: str, resource: str, attempts: int, status: int) -> errors.S3ConnError:
    if code in _THROTTLED:
        message = f"the server asked to slow down in all of {attempts} tries"
        return errors.ThrottledError(message, attempts=attempts, hint="Try again later, or SET CONNECTIONS = 4.")
    if code in _UNAVAILABLE:
        message = f"the server failed to answer in all of {attempts} tries ({code})"
        return errors.EndpointError(message, hint="Try again later.")
    name = code if re.fullmatch(r"[A-Za-z0-9.]{1,60}", code) else f"status {status}"
    about = f" for {visible(resource)}" if resource else ""
    return errors.EndpointError(
        f"the server refused {operation}{about} ({name})", hint="An S3-compatible server may not offer this."
    )


def _wrong_credentials(code: str, date: str) -> errors.CredentialsError:
    if code in _OF_THE_CLOCK and (difference := _clock_difference(date)):
        return errors.CredentialsError(
            f"the clock of this machine is {difference} the server's ({code})", hint="Set the clock by a time server."
        )
    return errors.CredentialsError(f"{_WRONG_CREDENTIALS[code]} ({code})", hint=_credentials_hint(code))


def _clock_difference(date: str) -> str:
    """Return how far the machine's clock is off an answer's date, such as `2 h 5 min ahead of`, or an empty text."""
    try:
        there = parsedate_to_datetime(date)
    except ValueError:
        return ""
    minutes = round((datetime.now(UTC) - there.astimezone(UTC)).total_seconds() / 60)
    if abs(minutes) < _CLOCK_MINUTES:
        return ""
    hours, rest = divmod(abs(minutes), 60)
    return f"{f'{hours} h ' if hours else ''}{rest} min {'ahead of' if minutes > 0 else 'behind'}"


def _credentials_hint(code: str) -> str:
    if "Expired" in code or code == "TokenRefreshRequired":
        return "Give new ones, of AWS_SESSION_TOKEN too; AWS_ROLE and AWS_PROFILE renew themselves."
    if code in {"RequestTimeTooSkewed", "RequestExpired"}:
        return "Set the clock by a time server."
    return "Give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of one pair, with AWS_SESSION_TOKEN if it is temporary."


def _denied_key(action: str, resource: str) -> errors.AccessDeniedError:
    return errors.AccessDeniedError(
        f"access denied: {action} is missing on the KMS key for {visible(resource)}",
        action=action,
        resource=resource,
        hint=f"Ask for {action} in the key's policy, or for another ENCRYPTION_KMS_KEY.",
    )


def _denied(operation: str, resource: str) -> errors.AccessDeniedError:
    action = action_of(operation)
    about = f" on {visible(resource)}" if resource else ""
    hint = f"Ask for the IAM action {action}{about}."
    if operation == "ListBuckets":
        hint = (
            "Name the buckets by PATH_DISPLAY_FILTERS = ('s3://bucket/'), which needs no such permission,"
            f" or ask for {action}."
        )
    return errors.AccessDeniedError(
        f"access denied: {action} is missing{about}", action=action, resource=resource, hint=hint
    )


def _no_credentials(error: boto.BotoCoreError) -> errors.CredentialsError:
    if isinstance(error, boto.ProfileNotFound):
        return errors.CredentialsError(
            "the profile is not in the AWS configuration files", hint="aws configure list-profiles lists them."
        )
    if isinstance(error, boto.SSOError | boto.TokenRetrievalError):
        return errors.CredentialsError(
            "the SSO session has ended or was never begun", hint="Run aws sso login for the profile."
        )
    if isinstance(error, boto.NoCredentialsError):
        return errors.CredentialsError(
            "no credentials were found",
            hint="Give AWS_PROFILE, a key pair, AWS_ROLE, or ANONYMOUS = TRUE for public buckets.",
        )
    return errors.CredentialsError(
        f"credentials could not be obtained ({type(error).__name__})",
        hint="Look at the AWS configuration of this machine, or give AWS_PROFILE, a key pair or AWS_ROLE.",
    )


def unreachable(error: BaseException) -> errors.EndpointError:
    """Return the error for a server that does not answer, naming the kind of failure only."""
    if isinstance(error, boto.SSLError):
        return errors.EndpointError(
            "the TLS certificate of the server is not trusted", hint="Set AWS_CA_BUNDLE to the CA's file."
        )
    if isinstance(error, boto.ProxyConnectionError):
        return errors.EndpointError("the proxy cannot be reached", hint="See HTTPS_PROXY and NO_PROXY.")
    what = "in time" if "imeout" in type(error).__name__ else f"({type(error).__name__})"
    return errors.EndpointError(
        f"the server cannot be reached {what}", hint="Check ENDPOINT, the network and the proxy."
    )


def _no_region(_: BaseException) -> errors.RegionError:
    return errors.RegionError("the region is missing or not valid", hint="Set REGION = 'eu-west-1', say.")


def _not_s3(_: BaseException) -> errors.EndpointError:
    return errors.EndpointError("the answer is not what S3 would say", hint="Is ENDPOINT an S3 server?")


def _no_request(error: BaseException) -> errors.EndpointError:
    return errors.EndpointError(
        f"no request can be made of this location, these options and this machine's AWS configuration"
        f" ({type(error).__name__})",
        hint="Look at the location, at the connection's options (DESCRIBE CONNECTION) and at AWS_… in the environment.",
    )


# The first that fits counts.
_KINDS: tuple[tuple[tuple[type[BaseException], ...], Callable[[Any], errors.S3ConnError]], ...] = (
    (_CREDENTIALS_ERRORS, _no_credentials),
    (_REGION_ERRORS, _no_region),
    ((ResponseParserError,), _not_s3),
    (_ENDPOINT_ERRORS, unreachable),
    ((boto.BotoCoreError,), _no_request),
)
