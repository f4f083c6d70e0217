"""What a worker is told of a connection, so that it makes clients of its own; it lasts no longer than it must."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from s3conn_magic.connections.connection import Connection
from s3conn_magic.connections.credentials import session_triple
from s3conn_magic.errors import CredentialsError, S3ConnError
from s3conn_magic.language.plans import BoundValue
from s3conn_magic.listing import fetch_page
from s3conn_magic.locations import visible
from s3conn_magic.secrets import Secret, opened, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from s3conn_magic.locations import Location

_TOLD = ("REGION", "ENDPOINT", "ADDRESSING_STYLE", "REQUESTER_PAYS", "ANONYMOUS")
_KEY_ID = "AWS_ACCESS_KEY_ID"
_AWS = ".amazonaws."
_RENEW = 0.5


@dataclass(frozen=True, slots=True)
class Access:
    """How a worker reaches one bucket, as a task carries it: of no use without its pad, which is not in it.

    Attributes:
        mark: random; names the pad.
        name: of the connection.
        bucket: the bucket.
        region: to sign for, or None where the options or the endpoint say.
        options: values by the name of the option, none of them secret.
        sealed: the key pair and the token.
    """

    mark: str
    name: str
    bucket: str
    region: str | None
    options: Mapping[str, Any] = field(repr=False)
    sealed: bytes = field(repr=False)

    def connection(self) -> AbstractContextManager[Connection]:
        """The connection of this worker for it, made once; READ_ONLY.

        Raises:
            NotGivenError: its pad is not here.
        """
        return opened(self.mark, self._made)

    def _made(self, pad: bytes) -> Connection:
        return _made(self.name, self.bucket, self.region, self.options, unseal(self.sealed, pad))


def _made(
    name: str, bucket: str, region: str | None, options: Mapping[str, Any], keys: Mapping[str, Secret]
) -> Connection:
    signed = {one: secret.reveal() if one == _KEY_ID else secret for one, secret in keys.items()}
    values = {**options, **signed, "READ_ONLY": True}
    connection = Connection(name, {option: BoundValue(value) for option, value in values.items()})
    if region:
        connection.regions.learn(bucket, region)
    return connection


@dataclass(frozen=True, slots=True)
class Grant:
    """What may be told of a connection to workers, while it is here; two are equal if they say the same.

    Attributes:
        name: of the connection.
        bucket: the bucket.
        region: as of `Access`.
        options: as of `Access`.
        keys: access key id, secret and token; none where requests are not signed.
    """

    name: str
    bucket: str
    region: str | None
    options: Mapping[str, Any]
    keys: Mapping[str, Secret]

    def sealed(self) -> tuple[Access, bytes]:
        """What tasks carry, and the pad that opens it."""
        sealed, pad = seal({name: one.reveal() for name, one in self.keys.items()})
        mark = secrets.token_hex(16)
        return Access(mark, self.name, self.bucket, self.region, self.options, sealed), pad

    def connection(self) -> Connection:
        """A connection of this process, as a worker's would be."""
        return _made(self.name, self.bucket, self.region, self.options, self.keys)


class Accesses:
    """Makes what is told of connections, and remembers the session tokens that were asked for.

    Args:
        note: is told where a key pair that lasts is sent.
        way: how what is sent travels, in words.
    """

    def __init__(self, note: Callable[[str], None], way: str) -> None:
        self._note = note
        self._way = way
        self._tokens: WeakKeyDictionary[Any, tuple[float, Any]] = WeakKeyDictionary()

    def of(self, connection: Connection, where: Location) -> Grant:
        """What a worker needs to read at a location.

        Raises:
            S3ConnError: the credentials or the region cannot be had.
        """
        region = connection.regions.of(where.bucket)
        told = _told(connection, where.bucket)
        if connection.settings.anonymous:
            return Grant(connection.name, where.bucket, region, told, {})
        connection.check_credentials()
        triple = connection.frozen_credentials()
        if not triple.token:
            triple = self._short_lived(connection, where, region, told, triple)
        return Grant(connection.name, where.bucket, region, told, _keys(triple))

    def _short_lived(
        self, connection: Connection, where: Location, region: str | None, told: dict[str, Any], pair: Any
    ) -> Any:
        """Credentials of a session of the pair, or the pair where the server gives none that it takes itself."""
        state = connection.state_token
        until, known = self._tokens.get(state, (0.0, None))
        if time.monotonic() < until:
            return known
        found, seconds = session_triple(connection.settings, pair, connection.timeouts), float("inf")
        if found is not None and connection.settings.endpoint:
            # AWS takes what its STS gives; other servers may answer STS and know nothing of it when S3 is asked.
            trial = Grant(connection.name, where.bucket, region, told, _keys(found))
            found = found if _is_taken(trial, where) else None
        if found is None:
            found = pair
            self._note(
                f"The server of the connection {visible(connection.name)} gives no session token: its key pair itself"
                f" is sent to the workers, {self._way}. With AWS_ROLE, only short-lived credentials are sent."
            )
        else:
            seconds = found.seconds * _RENEW
        self._tokens[state] = (time.monotonic() + seconds, found)
        return found


def _told(connection: Connection, bucket: str) -> dict[str, Any]:
    """The options that are no secret; an endpoint that the environment or a profile names here, too."""
    told = {name: one.value for name in _TOLD if (one := connection.options.get(name)) is not None}
    meta = connection.internal_client(bucket).meta
    if "ENDPOINT" not in told and _AWS not in (urlsplit(meta.endpoint_url).hostname or ""):
        told |= {"ENDPOINT": meta.endpoint_url, "REGION": meta.region_name}
    return told


def _is_taken(trial: Grant, where: Location) -> bool:
    connection = trial.connection()
    try:
        fetch_page(connection.target(where.bucket), prefix=where.key, max_keys=1)
    except CredentialsError:
        return False
    except S3ConnError:
        return True  # whatever else is wrong, the listing will say
    finally:
        connection.drop()
    return True


def _keys(triple: Any) -> dict[str, Secret]:
    keys = {_KEY_ID: triple.access_key, "AWS_SECRET_ACCESS_KEY": triple.secret_key}
    keys |= {"AWS_SESSION_TOKEN": triple.token} if triple.token else {}
    return {name: Secret(str(value)) for name, value in keys.items()}
