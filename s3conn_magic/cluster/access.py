"""What a worker is told of a connection, so that it makes clients of its own; it lasts no longer than it must."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from s3conn_magic.cluster.sealed import Sealed
from s3conn_magic.connections.connection import Connection
from s3conn_magic.connections.credentials import session_triple
from s3conn_magic.errors import CredentialsError, S3ConnError
from s3conn_magic.language.plans import BoundValue
from s3conn_magic.listing import fetch_page
from s3conn_magic.locations import visible
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3conn_magic.locations import Location

_TOLD = ("REGION", "ENDPOINT", "ADDRESSING_STYLE", "REQUESTER_PAYS", "ANONYMOUS")
_SECRET = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
_AWS = ".amazonaws."
_RENEW = 0.5
_KEPT = 8


@dataclass(frozen=True, slots=True)
class Access:
    """How a worker reaches one bucket.

    Attributes:
        mark: tells one access from another; the credentials cannot be found from it.
        name: of the connection.
        bucket: the bucket.
        region: to sign for, or None where the options or the endpoint say.
        options: values by the name of the option, secret ones sealed; always READ_ONLY.
    """

    mark: str
    name: str = field(compare=False)
    bucket: str = field(compare=False)
    region: str | None = field(compare=False)
    options: Mapping[str, Any] = field(compare=False, repr=False)

    def connection(self) -> Connection:
        """The connection of this process for it, made once."""
        return _made(self)


@lru_cache(maxsize=_KEPT)
def _made(access: Access) -> Connection:
    values = {name: one.open() if isinstance(one, Sealed) else one for name, one in access.options.items()}
    connection = Connection(access.name, {name: BoundValue(value) for name, value in values.items()})
    if access.region:
        connection.regions.learn(access.bucket, access.region)
    return connection


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

    def of(self, connection: Connection, where: Location) -> Access:
        """What a worker needs to read at a location.

        Raises:
            S3ConnError: the credentials or the region cannot be had.
        """
        region = connection.regions.of(where.bucket)
        told = _told(connection, where.bucket)
        if connection.settings.anonymous:
            return _access(connection, where, region, told)
        connection.check_credentials()
        triple = connection.frozen_credentials()
        if not triple.token:
            triple = self._short_lived(connection, where, region, told, triple)
        return _access(connection, where, region, {**told, **_keys(triple)})

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
            trial = _access(connection, where, region, {**told, **_keys(found)})
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


def _is_taken(trial: Access, where: Location) -> bool:
    try:
        fetch_page(trial.connection().target(where.bucket), prefix=where.key, max_keys=1)
    except CredentialsError:
        return False
    except S3ConnError:
        return True  # whatever else is wrong, the listing will say
    return True


def _keys(triple: Any) -> dict[str, Any]:
    keys = {"AWS_ACCESS_KEY_ID": triple.access_key, "AWS_SECRET_ACCESS_KEY": triple.secret_key}
    return keys | ({"AWS_SESSION_TOKEN": triple.token} if triple.token else {})


def _access(connection: Connection, where: Location, region: str | None, options: Mapping[str, Any]) -> Access:
    text = repr((connection.name, where.bucket, region, sorted(options.items())))
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    sealed = {name: Sealed(Secret(str(value))) if name in _SECRET else value for name, value in options.items()}
    sealed["READ_ONLY"] = True
    return Access(mark, connection.name, where.bucket, region, sealed)
