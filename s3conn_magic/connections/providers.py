"""The credential providers of botocore's chain: bounded in time, and named in the error if they fail.

An error names the provider, the profile, and the file or variables that configure it. Nothing that a provider or a
library says is repeated, as it may be a secret.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import threading
from contextlib import suppress
from getpass import GetPassWarning
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from s3conn_magic import errors
from s3conn_magic.connections.faults import code_of, from_answer, said_by
from s3conn_magic.connections.refusals import THROTTLED, UNAVAILABLE
from s3conn_magic.locations import visible
from s3conn_magic.runtime.background import ASKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_LONGEST_PROCESS = 120
"""Seconds for a credential_process, whose user may have to touch a security key or log in."""
_RENEW_BEFORE = 60
"""Seconds before they expire at which credentials that take an answer from the user are renewed."""
_ROLE, _WEB, _PROCESS, _CONTAINER, _MACHINE = (
    "assume-role",
    "assume-role-with-web-identity",
    "custom-process",
    "container-role",
    "iam-role",
)
_LOGINS = {"sso": "aws sso login", "login": "aws login"}
# Name of each provider in messages, what configures it, and whether that is in a profile.
_NAMES: dict[str, tuple[str, str, bool]] = {
    "env": ("the environment", "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN", False),
    _ROLE: ("the role", "role_arn, source_profile and credential_source", True),
    _WEB: (
        "the web identity",
        "role_arn and web_identity_token_file (AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE)",
        True,
    ),
    "sso": ("the SSO session", "sso_session, sso_region, sso_account_id and sso_role_name", True),
    "login": ("the session of aws login", "login_session", True),
    "shared-credentials-file": ("the credentials file", "aws_access_key_id and aws_secret_access_key", True),
    _PROCESS: ("the credential_process", "credential_process", True),
    "config-file": ("the config file", "aws_access_key_id and aws_secret_access_key", True),
    "ec2-credentials-file": ("the file of AWS_CREDENTIAL_FILE", "AWS_CREDENTIAL_FILE", False),
    "boto-config": ("the boto configuration", "BOTO_CONFIG", False),
    _CONTAINER: (
        "the container's role",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI, and AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        False,
    ),
    _MACHINE: ("the machine's role", "AWS_EC2_METADATA_SERVICE_ENDPOINT and AWS_METADATA_SERVICE_TIMEOUT", False),
    "the chain": (
        "the metadata service",
        "AWS_METADATA_SERVICE_TIMEOUT, AWS_METADATA_SERVICE_NUM_ATTEMPTS and AWS_EC2_METADATA_SERVICE_ENDPOINT",
        False,
    ),
}
# Name of each value of a key pair, in the environment, in files, and in answers of services.
_VALUES = {
    "access_key": ("AWS_ACCESS_KEY_ID", "aws_access_key_id", "AccessKeyId"),
    "secret_key": ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key", "SecretAccessKey"),
    "token": ("AWS_SESSION_TOKEN", "aws_session_token", "SessionToken"),
}
_IN_FILES = {"shared-credentials-file", "config-file", "boto-config"}
_MFA_HINT = (
    "Nobody can be asked for the code here: run `aws sts get-session-token {} --token-code 123456` with the code, and"
    " give its key pair with AWS_SESSION_TOKEN, or a profile that needs no mfa_serial."
)


class Lookup(NamedTuple):
    """Where to look for credentials.

    Attributes:
        profile: the profile whose settings count.
        profiles: settings by profile.
        files: paths of the AWS config file and the credentials file.
        sts: URL of STS on the connection's own server, or None.
        only_profile: whether only the profile counts.
    """

    profile: str
    profiles: Mapping[str, Mapping[str, Any]]
    files: tuple[str, ...]
    sts: str | None = None
    only_profile: bool = False

    @property
    def role(self) -> str:
        """ARN of the role to assume, or an empty text."""
        return str(self.profiles.get(self.profile, {}).get("role_arn") or os.environ.get("AWS_ROLE_ARN") or "")

    @property
    def token_file(self) -> str:
        """Path of the token file of a web identity, or an empty text."""
        of_profile = self.profiles.get(self.profile, {}).get("web_identity_token_file")
        return visible(str(of_profile or os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") or ""))

    @property
    def chain(self) -> list[str]:
        """The profile, followed by its source profiles; the last one has credentials of its own."""
        seen = [self.profile]
        while (name := self.profiles.get(seen[-1], {}).get("source_profile")) and name not in seen:
            seen.append(str(name))
        return seen

    @property
    def serial(self) -> str:
        """The MFA device named in one of these profiles, or an empty text."""
        return next(filter(None, (str(self.profiles.get(name, {}).get("mfa_serial", "")) for name in self.chain)), "")

    def looked_at(self, method: str) -> str:
        """Return what configures a provider, and in which files."""
        _, told_by, of_profile = _NAMES.get(method, ("", "the AWS configuration", False))
        files = [visible(path) for path in self.files if Path(path).is_file()] if of_profile else []
        return f"{told_by} in {' and '.join(files)}" if files else told_by


class _Failure(Exception):  # noqa: N818 - never raised to a user
    """Why a provider gave no credentials, in this package's words."""


def first_of(providers: Iterable[Any], place: Lookup) -> Any:
    """Return the credentials of the first provider that has any.

    Raises:
        CredentialsError: a provider failed, or none has any.
    """
    for provider in providers:
        if place.only_profile and not _NAMES.get(provider.METHOD, ("", "", True))[2]:
            continue
        if (credentials := _loader_of(provider, place)()) is not None:
            return credentials
        if provider.METHOD == _MACHINE and (reason := _said_by_machine(provider)):
            raise of_provider(_Failure(reason), _MACHINE, place)
    raise _empty(place)


def _loader_of(provider: Any, place: Lookup) -> Callable[[], Any]:
    """Return a function that loads a provider's credentials in bounded time; errors name it, also at a refresh."""
    method = provider.METHOD
    _adapt(provider, place)
    load = by_provider(provider.load, method, place)

    def loaded() -> Any:
        if (credentials := load()) is None:
            return None
        _check_values(credentials, method, place)
        if (refresh := getattr(credentials, "_refresh_using", None)) is not None:
            # botocore's wrapper for a role with MFA would not ask for a second code.
            refresh = getattr(refresh, "_refresh", refresh)
            credentials._refresh_using = by_provider(refresh, method, place)  # noqa: SLF001 - no public way
            credentials.get_frozen_credentials = by_provider(credentials.get_frozen_credentials, method, place)
            credentials.asks = bool(place.serial)
            if credentials.asks:  # nobody is asked for a code while there is time left
                credentials._advisory_refresh_timeout = credentials._mandatory_refresh_timeout = _RENEW_BEFORE  # noqa: SLF001
        return credentials

    return loaded


def _adapt(provider: Any, place: Lookup) -> None:
    """Make a provider end in time, ask the user by PROMPT, and keep its answers; there is no public way."""
    if provider.METHOD == _PROCESS:
        provider._popen = _Command  # noqa: SLF001
    elif provider.METHOD == _MACHINE:
        http, provider.answers = provider._role_fetcher._session, []  # noqa: SLF001
        send = http.send
        http.send = lambda request: provider.answers.append(answer := send(request)) or answer
    elif provider.METHOD == _ROLE:
        provider._prompter = lambda text: _ask(text, place)  # noqa: SLF001
        builder = provider._profile_provider_builder  # noqa: SLF001
        providers = builder.providers

        def of_source(profile_name: str, **keys: Any) -> list[Any]:
            made: list[Any] = providers(profile_name, **keys)
            for each in made:
                each.load = _loader_of(each, place._replace(profile=profile_name))
            return made

        builder.providers = of_source


def _ask(text: str, place: Lookup) -> str:
    """Return a code typed by the user, if a statement runs in this thread and somebody can be asked.

    Raises:
        EOFError: nobody can be asked.
        RefreshWithMFAUnsupportedError: this thread cannot ask.
    """
    asking = ASKING.get()
    if asking is not None and asking[0] != threading.get_ident():
        raise boto.RefreshWithMFAUnsupportedError
    serial = visible(text.removeprefix("Enter MFA code for ").rstrip(": "))
    with suppress(LookupError):
        if asking is not None:
            return asking[1](f"MFA code of {serial} (profile {visible(place.profile)})").strip()
    raise EOFError


def _said_by_machine(provider: Any) -> str:
    """Return why the metadata service gave no key pair, if there is one or it was named; botocore ignores that."""
    answer = provider.answers[-1] if provider.answers else None
    given: Any = None
    with suppress(ValueError):
        given = json.loads(answer.text) if answer is not None else None
    if isinstance(given, dict):
        code = str(given.get("Code", ""))
        missing = next((name for name in ("AccessKeyId", "SecretAccessKey", "Token") if name not in given), "key pair")
        return f"it says {code}" if code.isalnum() and code != "Success" else f"it gave no {missing}"
    if not os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        return ""
    if answer is None:
        return "it does not answer"
    status = answer.status_code
    return f"it answered with status {status}" if status >= 400 else "what it returned is not a key pair"  # noqa: PLR2004


class _Command(subprocess.Popen[bytes]):
    """A credential_process that is killed if it takes too long or is no longer waited for."""

    def __init__(self, command: list[str], **keys: Any) -> None:
        if not command:
            raise _Failure("credential_process is empty")
        try:
            super().__init__(command, **keys)
        except OSError as error:
            program, kind = visible(command[0]), type(error).__name__
            reason = f"there is no {program}" if kind == "FileNotFoundError" else f"{program} cannot be run ({kind})"
        else:
            return
        raise _Failure(reason)

    def communicate(self, *args: Any, **keys: Any) -> tuple[bytes, bytes]:
        """Return the output, a key pair.

        Raises:
            _Failure: it does not end, fails, or prints no key pair.
        """
        try:
            output, errors_said = super().communicate(*args, **{"timeout": _LONGEST_PROCESS, **keys})
        except subprocess.TimeoutExpired:
            output = None
        finally:
            self._end()
        if output is None:
            raise _Failure(f"it has not ended within {_LONGEST_PROCESS} seconds")
        if self.returncode:
            how = f"with status {self.returncode}" if self.returncode > 0 else f"by signal {-self.returncode}"
            raise _Failure(f"it ended {how}")
        _check_output(output)
        return output, errors_said

    def _end(self) -> None:
        if self.returncode is None:
            self.kill()
            # Its child processes may hold the pipes open.
            for pipe in (self.stdout, self.stderr):
                if pipe is not None:
                    pipe.close()
            self.wait()


def _check_output(output: bytes) -> None:
    if not output.strip():
        raise _Failure("it printed nothing")
    try:
        given = json.loads(output.decode())
    except UnicodeDecodeError:
        given, reason = None, "what it printed is not text in UTF-8"
    except ValueError:
        given, reason = None, "what it printed is not JSON, or is cut short"
    else:
        reason = "what it printed is not a JSON object"
    if not isinstance(given, dict):
        raise _Failure(reason)
    if given.get("Version") != 1:
        raise _Failure("what it printed does not have Version 1, the only one that exists")
    for name in ("AccessKeyId", "SecretAccessKey"):
        if name not in given:
            raise _Failure(f"what it printed has no {name}")


def _check_values(credentials: Any, method: str, place: Lookup) -> None:
    """Refuse keys that cannot sign: empty, not text, quoted, or with a line end.

    Raises:
        CredentialsError: the credentials have such a key.
    """
    attributes = vars(credentials)
    for name, called in _VALUES.items():
        value = attributes.get(name, attributes.get(f"_{name}"))
        if value is None and (name == "token" or hasattr(credentials, "_refresh_using")):
            continue
        if reason := _wrong(value, name):
            says = called[0] if method == "env" else called[1] if method in _IN_FILES else called[2]
            raise of_provider(_Failure(f"its {says} {reason}"), method, place)


def _wrong(value: Any, name: str) -> str:
    if not isinstance(value, str):
        return "is not text"
    if re.search(r"\s", value) or not value.isprintable():
        return "has a line end, a blank or a control character in it or around it"
    if not value.isascii():
        return "has characters that keys never have"
    if not value and name != "token":
        return "is empty"
    return "has quotation marks around it" if name != "secret_key" and value[:1] in {'"', "'"} else ""


def of_provider(error: BaseException, method: str, place: Lookup) -> errors.S3ConnError:
    """Return the error for a credential provider that failed.

    Args:
        error: the error; one of this package is returned as it is.
        method: botocore's name for the provider.
        place: where it looks.
    """
    if isinstance(error, errors.S3ConnError):
        return error
    name, _, of_profile = _NAMES.get(method, (f"the provider {method}", "", False))
    whose = f" of the profile {visible(place.profile)}" if of_profile else ""
    if isinstance(error, boto.ClientError) and method not in _LOGINS:
        return refused_by_sts(error, f"{name}{whose}", place, web=method == _WEB)
    reason, hint = _why_not(error, method, place)
    failure = errors.CredentialsError(f"no credentials could be obtained from {name}{whose}: {reason}", hint=hint)
    failure.cause = f"{method} {type(error).__name__}"
    return failure


def by_provider(call: Callable[[], Any], method: str, place: Lookup) -> Callable[[], Any]:
    """Return a provider's call whose errors name the provider."""

    def attempt() -> Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - translated, since a broken machine is no defect of ours
            failure = of_provider(error, method, place)
        raise failure

    return attempt


# Refusals of STS about a role or token: the reason, and what to do first.
_BY_STS = {
    "ExpiredTokenException": ("{} has expired", "Renew it where it is written."),
    "ExpiredToken": ("{} has expired", "Renew it where it is written."),
    "InvalidIdentityToken": ("STS does not accept {}", "Issuer and audience must be those of IAM's identity provider."),
    "IDPRejectedClaim": ("the identity provider rejected {}", "Renew it where it is written."),
    "IDPCommunicationError": ("STS cannot reach the identity provider", "Try again later."),
    "ValidationError": ("STS says that an ARN, a name or a duration is not valid", ""),
    "RegionDisabledException": ("STS is not active in this region", "Set REGION = 'us-east-1', or have it activated."),
}
_OF_TOKENS = {code for code, (reason, _) in _BY_STS.items() if "{}" in reason}


def refused_by_sts(error: boto.ClientError, what: str, place: Lookup, *, web: bool = False) -> errors.S3ConnError:
    """Return the error for a role that could not be assumed.

    Args:
        error: the refusal.
        what: the role or web identity, with its profile.
        place: where its settings are.
        web: whether it was to be assumed with a token rather than a key pair.
    """
    code, failure = code_of(error), from_answer(error, place.role)
    look = f"Look at {place.looked_at(_WEB if web else _ROLE)}."
    if isinstance(failure, errors.AccessDeniedError):
        who = "the web identity" if web else "who assumes it"
        failure.hint = f"{failure.hint} The trust policy of the role must name {who}, too."
    elif code in _BY_STS and (web or code not in _OF_TOKENS):
        reason, hint = _BY_STS[code]
        token = f"the token of {place.token_file}{_line_end(place.token_file)}" if place.token_file else "the token"
        failure = errors.CredentialsError(f"{reason.format(token)} ({code})", hint=f"{hint} {look}".strip())
    elif isinstance(failure, errors.EndpointError) and code not in THROTTLED | UNAVAILABLE and place.sts is None:
        failure = errors.CredentialsError(failure.message, hint=look)
    elif isinstance(failure, errors.CredentialsError) and "AWS_SESSION_TOKEN" in failure.hint:
        failure.hint = f"Look at the credentials of the profile {visible(place.chain[-1])}, which assume the role."
    failure.cause = f"{error.operation_name} {code}"
    failure.message = f"{what}: {failure.message}"
    failure.args = (failure.message,)
    return failure


def _line_end(path: str) -> str:
    with suppress(OSError, ValueError):
        if (token := Path(path).read_bytes()) != token.strip():
            return ", which has a line end that is sent with it,"
    return ""


def empty_profile(place: Lookup) -> errors.CredentialsError:
    """Return the error for a profile without credentials."""
    named = place.profiles.get(place.profile, {})
    half = "" if "aws_secret_access_key" not in named else ": aws_access_key_id is missing"
    return errors.CredentialsError(
        f"the profile {visible(place.profile)} names no credentials, or not all that they take{half}",
        hint="It needs aws_access_key_id and aws_secret_access_key; role_arn; credential_process; or sso_session with"
        f" sso_account_id and sso_role_name, in {' or '.join(map(visible, place.files))}.",
    )


def _empty(place: Lookup) -> errors.S3ConnError | boto.NoCredentialsError:
    """Return the error if no provider has credentials; about a particular provider if one was named."""
    if place.only_profile:
        return empty_profile(place)
    if os.environ.get("AWS_SECRET_ACCESS_KEY"):
        return of_provider(_Failure("AWS_ACCESS_KEY_ID is missing"), "env", place)
    for variable, method, names in _POINTERS:
        if path := os.environ.get(variable):
            return of_provider(_Failure(f"{visible(path)} has no {names}"), method, place)
    return boto.NoCredentialsError()


_POINTERS = (
    ("AWS_CREDENTIAL_FILE", "ec2-credentials-file", "AWSAccessKeyId and AWSSecretKey"),
    ("BOTO_CONFIG", "boto-config", "section Credentials with aws_access_key_id and aws_secret_access_key"),
)


def _why_not(error: BaseException, method: str, place: Lookup) -> tuple[str, str]:
    """Return why a provider failed, without quoting it, and what to do."""
    look = f"Look at {place.looked_at(method)}."
    login = method if method in _LOGINS else "sso" if isinstance(error, _OF_A_LOGIN) else ""
    if login and not isinstance(error, _NOT_OF_THE_LOGIN):
        command = f"`{_LOGINS[login]} --profile {shlex.quote(place.chain[-1])}`"
        said = "its login has ended, was never started, or its cache is damaged"
        return said, f"Run {command} in a terminal, and then this statement again."
    for of, kinds, reason, hint in _REASONS:
        if of in {"", method} and isinstance(error, kinds):
            device = shlex.join(["--profile", place.chain[-1], "--serial-number", place.serial])
            return reason(error), hint.replace("{}", visible(device)) or look
    return f"it returned something that cannot be read ({type(error).__name__})", look


_OF_A_LOGIN = (boto.SSOError, boto.TokenRetrievalError, boto.UnauthorizedSSOTokenError)
# Configuration, machine or network are at fault rather than the login.
_NOT_OF_THE_LOGIN = (
    _Failure,
    boto.InvalidConfigError,
    boto.InvalidRegionError,
    boto.MissingDependencyException,
    boto.NoRegionError,
    boto.ParamValidationError,
    boto.ProfileNotFound,
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.ClientError,
    ResponseParserError,
)


def _not_reached(error: Any) -> str:
    return "it does not answer in time" if "imeout" in type(error).__name__ else "its server cannot be reached"


def _of_metadata(error: Any) -> str:
    """Return why the metadata service of a container or machine gave no credentials, without quoting it."""
    text = str(getattr(error, "kwargs", {}).get("error_msg") or "")
    if "imeout" in text or "timed out" in text:
        return "it does not answer in time"
    if (status := text.partition("non 200 response (")[2][:3]).isdigit():
        return f"it answered with status {status}"
    return "it does not answer" if "onnect" in text else "it failed, or returned an answer without a key pair"


_IN_CONFIGURATION = (
    (r"missing required configuration: ([a-z_, ]+)", "{} is missing"),
    (r"sso-session does not exist", "there is no section of the sso_session that it names"),
    (r"inconsistent between", "it and its sso_session differ"),
    (r"both source_profile and credential_source", "it has both source_profile and credential_source"),
    (r'source_profile "([^"]+)" referenced', "there is no profile {}, its source_profile"),
    (r'source profile "([^"]+)" must have credentials', "the profile {}, its source_profile, names no credentials"),
    (r'credential source "([^"]+)" referenced', "there is no credential_source {}"),
)


def _of_configuration(error: Any) -> str:
    """Return what is wrong in a profile, quoting at most a name."""
    text = str(getattr(error, "kwargs", {}).get("error_msg") or "")
    for pattern, reason in _IN_CONFIGURATION:
        if match := re.search(pattern, text):
            name = next(iter(match.groups()), "")
            return reason.format(visible(name) if _NAMED.fullmatch(name) else "that it names")
    return "its configuration is not complete, or names something that does not exist"


_NAMED = re.compile(r"[\w ,.@+=/-]{1,120}")
# The first match counts; an empty method matches all.
_REASONS: tuple[tuple[str, Any, Callable[[Any], str], str], ...] = (
    ("", _Failure, str, ""),
    ("", boto.PartialCredentialsError, lambda error: f"{said_by('cred_var', 'a part of it')(error)} is missing", ""),
    (
        "",
        boto.ProfileNotFound,
        lambda error: f"the profile {said_by('profile', 'it names')(error)} is not in the AWS configuration files",
        "Run `aws configure list-profiles` to see them, and correct source_profile or AWS_PROFILE.",
    ),
    (
        "",
        boto.InfiniteLoopConfigError,
        lambda error: f"its source_profile {said_by('source_profile', '')(error)} leads back to itself",
        "Give the last profile of the chain its own key pair.",
    ),
    ("", boto.RefreshWithMFAUnsupportedError, lambda _: "its role needs a new MFA code", "Run the statement again."),
    ("", (EOFError, GetPassWarning, NotImplementedError), lambda _: "its role needs an MFA code", _MFA_HINT),
    (
        "",
        boto.MissingDependencyException,
        lambda _: "it needs the package awscrt, which is not installed",
        "Install it: `pip install awscrt`, and restart the kernel.",
    ),
    ("", boto.ConfigNotFound, lambda error: f"there is no file {said_by('path', 'of that name')(error)}", ""),
    (
        "",
        boto.ConfigParseError,
        lambda error: f"the file {said_by('path', 'of this machine')(error)} cannot be read",
        "",
    ),
    ("", boto.InvalidConfigError, _of_configuration, ""),
    (
        "",
        (boto.InvalidIMDSEndpointError, boto.InvalidIMDSEndpointModeError),
        lambda _: "its address is not valid",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT is a URL, and AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is IPv4 or IPv6.",
    ),
    ("", boto.InvalidRegionError, lambda _: "its region is not a region", ""),
    ("", boto.ParamValidationError, lambda _: "an ARN, a name or a token of it is empty or too short", ""),
    ("", boto.UnknownCredentialError, lambda error: f"there is no credential_source {said_by('name', '')(error)}", ""),
    (
        "",
        boto.ClientError,
        lambda error: f"{error.operation_name} was refused ({code_of(error) or 'no code'})",
        "",
    ),
    ("", (boto.HTTPClientError, boto.ConnectionError), _not_reached, ""),
    ("", FileNotFoundError, lambda error: f"there is no {visible(str(error.filename or 'such file'))}", ""),
    (
        "",
        OSError,
        lambda error: f"{visible(str(error.filename or 'a file'))} cannot be read ({type(error).__name__})",
        "",
    ),
    ("", ResponseParserError, lambda _: "another service answers than the one expected", ""),
    (
        _ROLE,
        boto.CredentialRetrievalError,
        lambda _: "its credential_source has no credentials",
        "credential_source = Environment takes AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the others a role.",
    ),
    ("", (boto.CredentialRetrievalError, boto.MetadataRetrievalError), _of_metadata, ""),
    ("", KeyError, lambda error: f"it gave no {visible(str(error.args[0]))[:60]}" if error.args else "it has gaps", ""),
    (
        "",
        RuntimeError,
        lambda _: "the credentials that it gave have expired already",
        "The clock of this machine may be wrong, or their provider returns old ones.",
    ),
    ("", UnicodeError, lambda _: "what it returned is not UTF-8 text", ""),
    (
        _CONTAINER,
        ValueError,
        lambda _: "its address or token cannot be sent, or its answer is cut short",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI is of https, or of this machine; the token has no line end.",
    ),
    (
        _PROCESS,
        (ValueError, TypeError),
        lambda _: "its command has a quotation mark that does not end, or its time has no time zone",
        "",
    ),
    (
        "the chain",
        ValueError,
        lambda _: "a timeout or a number of attempts is not a number",
        "AWS_METADATA_SERVICE_TIMEOUT and AWS_METADATA_SERVICE_NUM_ATTEMPTS are numbers.",
    ),
    ("env", ValueError, lambda _: "AWS_CREDENTIAL_EXPIRATION is not a time", ""),
    (
        "",
        (ValueError, TypeError, AttributeError),
        lambda _: "what it returned is cut short, or has an invalid value",
        "",
    ),
)
