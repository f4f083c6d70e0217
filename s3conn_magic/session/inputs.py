"""What a session reads from outside: variables, prompts, environment, keyring."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any, Protocol

from s3conn_magic.errors import pip_install
from s3conn_magic.language.catalog import SANDBOX_SOURCE
from s3conn_magic.language.plans import BoundOptions, BoundValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from s3conn_magic.listing import Progress
    from s3conn_magic.secrets import Secret


class KernelInputs:
    """Looks into the namespace of the notebook or script that runs the statement."""

    def __init__(self, namespace: Callable[[], Mapping[str, Any]]) -> None:
        self._namespace = namespace

    def variable(self, name: str) -> Any:
        """The value of a Python variable.

        Raises:
            LookupError: it is not defined.
        """
        namespace = self._namespace()
        if name not in namespace:
            raise LookupError(f"the Python variable {name} is not defined")
        return namespace[name]

    def prompt(self, text: str) -> str:
        """What the user types, without an echo.

        Raises:
            LookupError: nobody can be asked, as when a notebook is run by a scheduler.
        """
        try:
            return getpass.getpass(f"{text or 'Secret'}: ")
        except Exception as error:  # noqa: BLE001 - a front end may refuse in ways of its own
            reason = f"nobody can be asked here ({type(error).__name__}); ENV or KEYRING works without a person"
        raise LookupError(reason)

    def keyring(self, service: str, user: str) -> str:
        """A password of the keyring.

        Raises:
            LookupError: the keyring package is missing, or there is no such password.
        """
        try:
            import keyring
        except ImportError:
            reason = f"KEYRING needs the keyring package: {pip_install('keyring')}"
        else:
            found, reason = _password(keyring.get_password, service, user)
            if found is not None:
                return found
        raise LookupError(reason)


def _password(get: Callable[[str, str], str | None], service: str, user: str) -> tuple[str | None, str]:
    try:
        return get(service, user), "the keyring has no password of that service and user"
    except Exception as error:  # noqa: BLE001 - each backend has its own errors
        return None, f"the keyring cannot be read ({type(error).__name__})"


class AdminKeys(Protocol):
    """A key pair."""

    @property
    def access_key_id(self) -> str:
        """Its id."""

    @property
    def secret_access_key(self) -> Secret:
        """Its secret."""


class Server(Protocol):
    """The embedded S3, as the session sees it."""

    @property
    def endpoint(self) -> str:
        """Its URL."""

    @property
    def region(self) -> str:
        """The region it says it is in."""

    @property
    def admin(self) -> AdminKeys:
        """Keys that may do everything."""

    def stop(self) -> None:
        """End it."""


class ProgressView(Protocol):
    """Shows snapshots of a listing while it runs."""

    def __enter__(self) -> Callable[[Progress], None]:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """End, in whatever way."""


def sandbox_options(server: Server) -> BoundOptions:
    """The options of the connection to the embedded S3."""
    values = {
        "AWS_ACCESS_KEY_ID": server.admin.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.admin.secret_access_key,
        "ENDPOINT": server.endpoint,
        "REGION": server.region,
        "COMMENT": "the embedded S3 with sample data",
    }
    return {name: BoundValue(value, SANDBOX_SOURCE) for name, value in values.items()}
