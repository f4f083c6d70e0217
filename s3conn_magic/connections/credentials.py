"""The credentials of a connection, from keys, profile, role or the default chain.

Explicit settings never fall back: a key pair is used alone, a profile means only its own settings. The default chain,
with environment and metadata services, is used only if no setting names credentials.
"""

from __future__ import annotations

import os
import threading
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    Credentials,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import ConfigParseError, NoCredentialsError
from botocore.loaders import create_loader
from botocore.session import Session

from s3conn_magic.connections.faults import translated
from s3conn_magic.connections.providers import Lookup, first_of, of_provider
from s3conn_magic.errors import AccessDeniedError, CredentialsError, S3ConnError
from s3conn_magic.language.session_settings import Timeouts
from s3conn_magic.secrets import OurRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.language.options import Settings

# 900 s would lie wholly within botocore's advisory refresh window, so that every use would ask STS again.
ROLE_SECONDS = 3600
_ROLE_SESSION = "s3conn-magic"
_LONGEST_ANSWER, _TRIES = 20, 3
"""Seconds that a credentials service may take to answer, and how often it is asked."""
DEFAULT_REGION = "us-east-1"
_FILES = ("profile", "config_file", "credentials_file")


def own_server(endpoint: str | None) -> Config:
    """Return a config that keeps environment and profiles from changing where a client with an endpoint goes."""
    if endpoint is None:
        return Config()
    s3 = {"use_accelerate_endpoint": False, "use_dualstack_endpoint": False}
    return Config(use_fips_endpoint=False, use_dualstack_endpoint=False, inject_host_prefix=False, s3=s3)


class _SourceSession(Session):  # type: ignore[misc] # botocore is not typed
    """A session for obtaining credentials, which assumes roles at the connection's own STS."""

    sts: str | None = None

    def create_client(self, service_name: str, *args: Any, **keys: Any) -> Any:
        """Return a client; for STS at the connection's endpoint if it has one."""
        if service_name == "sts" and self.sts is not None:
            keys |= {"endpoint_url": self.sts, "config": own_server(self.sts).merge(keys.get("config") or Config())}
        return super().create_client(service_name, *args, **keys)


def bare_session(settings: Settings, kind: type[Session] = Session, *, alone: bool = False) -> Any:
    """Return a botocore session for a connection's configuration; with `alone`, it reads no configuration file."""
    session = (
        kind(session_vars=dict.fromkeys(_FILES, (None, None, None, None))) if alone else _new_session(settings, kind)
    )
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    session.set_config_variable("region", _region(settings, session))
    session.get_component("event_emitter").register_last("creating-client-class", _mask_its_logs)
    if settings.explicit and str(session.get_config_variable("defaults_mode")).lower() == "auto":
        # For the automatic defaults botocore would ask the metadata service.
        session.set_config_variable("defaults_mode", "standard")
    return session


def _region(settings: Settings, session: Session) -> str:
    """Return the region for which a session's clients, including STS, sign by default.

    AWS_REGION, which other tools read, counts if botocore finds none.
    """
    return str(
        settings.region or session.get_config_variable("region") or os.environ.get("AWS_REGION") or DEFAULT_REGION
    )


class _MaskedRequests:
    """Base class before botocore's own client: its requests leave no secrets in logs or on the screen."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        # `http.client.HTTPConnection.debuglevel = 1` would print the headers of each request.
        http: Any = self._endpoint.http_session  # type: ignore[attr-defined] # of botocore's class
        silent = {scheme: _silent(pool) for scheme, pool in http._pool_classes_by_scheme.items()}  # noqa: SLF001
        http._pool_classes_by_scheme = http._manager.pool_classes_by_scheme = silent  # noqa: SLF001

    def _make_api_call(self, *args: Any, **keys: Any) -> Any:
        with OurRequest():
            return super()._make_api_call(*args, **keys)  # type: ignore[misc]


@cache
def _silent(pool: Any) -> Any:
    def new_connection(self: Any) -> Any:
        # The class is looked up each time, since recorders of requests replace it for a while.
        connection = pool._new_conn(self)  # noqa: SLF001 - urllib3's own hook
        connection.set_debuglevel(0)
        return connection

    return type(pool.__name__, (pool,), {"_new_conn": new_connection})


def _mask_its_logs(class_attributes: dict[str, Any], base_classes: list[type], **_: Any) -> None:
    base_classes.insert(0, _MaskedRequests)
    for name in ("generate_presigned_url", "generate_presigned_post"):
        if presign := class_attributes.get(name):
            class_attributes[name] = _as_our_request(presign)


def _as_our_request(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*args: Any, **keys: Any) -> Any:
        with OurRequest():
            return method(*args, **keys)

    return call


def _new_session(settings: Settings, kind: type[Session]) -> Session:
    if settings.profile:
        return kind(profile=settings.profile)
    session = kind()
    if (settings.access_key_id or settings.anonymous) and settings.endpoint and not _has_readable_files(session):
        # Nothing in the files would count.
        return kind(session_vars=_WITHOUT_FILES)
    if (settings.access_key_id or settings.anonymous) and session.profile not in {None, *session.available_profiles}:
        # Its keys are not wanted, and its other settings do not exist.
        return kind(session_vars={"profile": (None, None, None, None)})
    return session


_WITHOUT_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def _has_readable_files(session: Session) -> bool:
    try:
        return session.full_config is not None
    except ConfigParseError:
        return False


@cache
def _loader(data_path: str | None) -> Any:
    """Return one loader for all sessions, as each would parse the megabytes of JSON that describe S3 anew."""
    return create_loader(data_path)


def find_credentials(settings: Settings, timeouts: Callable[[], Timeouts] = Timeouts) -> Credentials | None:
    """Return the credentials to sign with, which refresh themselves if they can; None for anonymous.

    Raises:
        CredentialsError: there are none where the settings look for them.
    """
    if settings.anonymous:
        return None
    source = translated(lambda: _source(settings, timeouts))
    return translated(lambda: _role_credentials(settings, source, timeouts)) if settings.role else source


def _source(settings: Settings, timeouts: Callable[[], Timeouts]) -> Credentials:
    if settings.access_key_id and settings.secret_access_key:
        token = settings.session_token.reveal() if settings.session_token else None
        return Credentials(settings.access_key_id, settings.secret_access_key.reveal(), token, method="key pair")
    session = bare_session(settings, _SourceSession)
    session.sts = settings.endpoint_of("sts")
    session.set_default_client_config(_short_requests(timeouts()))
    place = Lookup(
        str(session.get_config_variable("profile") or "default"),
        session.full_config.get("profiles", {}),
        config_files(session),
        session.sts,
        only_profile=settings.profile is not None,
    )
    try:
        providers = session.get_component("credential_provider").providers
    except Exception as error:  # noqa: BLE001 - translated: what the environment says of them is none of ours
        failure = of_provider(error, "the chain", place)
    else:
        return first_of(providers, place)
    raise failure


def config_files(session: Session) -> tuple[str, ...]:
    """Return the paths of the AWS config file and the credentials file, whether they exist or not."""
    named = (str(session.get_config_variable(name) or "") for name in ("config_file", "credentials_file"))
    return tuple(os.path.expanduser(os.path.expandvars(path)) for path in named)  # noqa: PTH111 - as botocore does


def _short_requests(timeouts: Timeouts) -> Config:
    """Return a config for requests for credentials: few and short, since somebody waits for them."""
    read = min(timeouts.read, _LONGEST_ANSWER)
    retries = {"mode": "standard", "total_max_attempts": _TRIES}
    return Config(connect_timeout=timeouts.connect, read_timeout=read, retries=retries)


_NO_ID = "Add EXTERNAL_ID = '…' if the role's trust policy asks for one."
_OTHER_ID = "EXTERNAL_ID may not be the one that the role's trust policy asks for."


def _role_credentials(settings: Settings, source: Credentials, timeouts: Callable[[], Timeouts]) -> Credentials:
    """Return credentials of the role, fetched from STS at first use and again before they expire."""
    extra = {"RoleSessionName": _ROLE_SESSION, "DurationSeconds": ROLE_SECONDS}
    if settings.external_id:
        extra["ExternalId"] = settings.external_id
    sts = _Sts(settings, timeouts)
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=sts.create,
        source_credentials=source,
        role_arn=settings.role,
        extra_args=extra,
    )

    def fetch() -> Any:
        try:
            # Translated here, where the role is known.
            return translated(fetcher.fetch_credentials, resource=settings.role or "")
        except AccessDeniedError as error:
            error.hint = f"{_OTHER_ID if settings.external_id else _NO_ID} {error.hint}"
            raise
        finally:
            sts.close()

    return _RoleCredentials(fetch, source)


class _RoleCredentials(DeferredRefreshableCredentials):  # type: ignore[misc] # botocore is not typed
    """Credentials of a role, and the credentials that assume it."""

    def __init__(self, fetch: Callable[[], Any], source: Credentials) -> None:
        super().__init__(refresh_using=fetch, method="assume-role")
        self.source = source


class _Sts:
    """Makes a client for each AssumeRole, and closes the previous one's sockets.

    STS is at the connection's own endpoint if it has one, as on S3-compatible servers.
    """

    def __init__(self, settings: Settings, timeouts: Callable[[], Timeouts]) -> None:
        self._timeouts = timeouts
        self._session = bare_session(settings)
        self._endpoint = settings.endpoint_of("sts")
        self._made: list[Any] = []

    def create(self, service: str, **keys: Any) -> Any:
        """Return a client with the keys that assume the role."""
        config = own_server(self._endpoint).merge(_short_requests(self._timeouts())).merge(keys.pop("config", Config()))
        client = self._session.create_client(service, endpoint_url=self._endpoint, config=config, **keys)
        self._made.append(client)
        return client

    def close(self) -> None:
        while self._made:
            self._made.pop().close()


def renew_locks(credentials: Any) -> None:
    """Free locks in a forked child that refreshes in the parent were holding."""
    while credentials is not None:
        if hasattr(credentials, "_refresh_lock"):
            credentials._refresh_lock = threading.Lock()  # noqa: SLF001 - botocore has no way to say it
        credentials = getattr(credentials, "source", None)


class Frozen(NamedTuple):
    """A triple like botocore's, whose repr shows only the access key id."""

    access_key: str
    secret_key: str
    token: str | None
    account_id: str | None = None

    def __repr__(self) -> str:
        return f"<credentials of {self.access_key}>"


def frozen(credentials: Credentials) -> Any:
    """Return a consistent triple of access key id, secret and token, refreshed if necessary.

    Raises:
        CredentialsError: the credentials obtained have already expired.
    """
    try:
        return Frozen(*credentials.get_frozen_credentials()[:3])
    except RuntimeError as error:
        # botocore raises a plain RuntimeError for this.
        if type(error) is not RuntimeError:
            raise
    raise CredentialsError(
        "the credentials that were obtained have expired already",
        hint="The clock of this machine may be wrong, or the command of the profile returns old ones.",
    )


class LiveCredentials(Credentials):  # type: ignore[misc] # botocore is not typed
    """Credentials that look up the connection's current ones at every request.

    So a client handed out before an ALTER signs its next request with the new credentials.
    """

    method = "s3conn-magic"
    account_id = None

    def __init__(self, current: Callable[[], Credentials | None]) -> None:
        self._current = current

    def _now(self) -> Credentials:
        credentials = self._current()
        if credentials is None:
            raise NoCredentialsError
        return credentials

    @property
    def access_key(self) -> str:
        """The current access key id."""
        return str(self._now().access_key)

    @property
    def secret_key(self) -> str:
        """The current secret access key."""
        return str(self._now().secret_key)

    @property
    def token(self) -> str | None:
        """The current session token."""
        return self._now().token  # type: ignore[no-any-return] # botocore is not typed

    def get_frozen_credentials(self) -> Any:
        """Return a consistent triple."""
        return frozen(self._now())


class HandedCredentials(LiveCredentials):
    """Live credentials as a session gives them out; not while the connection is READ_ONLY.

    Args:
        live: the credentials that the connection's own clients sign with.
        refuse: raises if they may not be taken.
    """

    def __init__(self, live: LiveCredentials, refuse: Callable[[], None]) -> None:
        super().__init__(live._current)  # noqa: SLF001 - the same class
        self.live = live
        self._refuse = refuse

    def _now(self) -> Credentials:
        self._refuse()
        return super()._now()


class _LiveProvider(CredentialProvider):  # type: ignore[misc] # botocore is not typed
    METHOD = CANONICAL_NAME = "s3conn-magic"

    def __init__(self, credentials: LiveCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> LiveCredentials:
        return self._credentials


def live_session(settings: Settings, credentials: LiveCredentials, kind: type[Session], *, alone: bool = False) -> Any:
    """Return a botocore session whose clients use only these credentials; `alone` as for `bare_session`."""
    session = bare_session(settings, kind, alone=alone)
    session.register_component("credential_provider", CredentialResolver([_LiveProvider(credentials)]))
    return session


_SESSION_SECONDS = 3600


class SessionTriple(NamedTuple):
    """Credentials of a session, and their lifetime in seconds."""

    access_key: str
    secret_key: str
    token: str
    seconds: float


def session_triple(
    settings: Settings, pair: Any, timeouts: Callable[[], Timeouts] = Timeouts, *, seconds: int = _SESSION_SECONDS
) -> SessionTriple | None:
    """Return session credentials from STS for a key pair; None if it gives none."""
    sts = _Sts(settings, timeouts)
    keys = {"aws_access_key_id": pair.access_key, "aws_secret_access_key": pair.secret_key}
    try:
        client = sts.create("sts", **keys)
        triple = translated(lambda: client.get_session_token(DurationSeconds=seconds))["Credentials"]
        return SessionTriple(triple["AccessKeyId"], triple["SecretAccessKey"], triple["SessionToken"], seconds)
    except (S3ConnError, KeyError):
        return None
    finally:
        sts.close()
