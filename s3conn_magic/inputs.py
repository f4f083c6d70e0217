"""Values that are not in a statement's text: Python variables, prompts, the operating system's keyring."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

from s3conn_magic.extras import pip_install

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


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
