"""The table of the options of an S3 connection, and their typed values.

Grammar, binder, `HELP`, `DESCRIBE CONNECTION`, completion and the reference all read it. A reader converts the
statement's value (text, bool, int or a tuple of them), and raises ValueError with what is wanted; the message never
repeats the value, which may be a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from s3conn_magic.language.session_settings import boolean, text
from s3conn_magic.language.words import literal, related
from s3conn_magic.locations import AMAZON, Location, NotALocationError, Pasted, pasted, visible
from s3conn_magic.secrets import MASK, Secret

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Option:
    """An option.

    Attributes:
        name: in canonical spelling.
        read: converts and checks a value (text, bool, int or tuple); raises ValueError without the value.
        takes: what is written after `=`, for messages and help.
        help: one sentence.
        default: in words.
        example: of a value.
        origin: `Upsolver` for the published language, `s3conn_magic` for additions.
        secret: whether the value is never shown again.
        mutable: whether `ALTER` can set it.
        stored: whether the connection keeps it.
        requires: options that must be set too.
        excludes: options that cannot be combined with it.
        aliases: other spellings.
        takes_list: whether it takes a list of values; `read` then returns a tuple.
        offers: what completion offers inside its quotes: location, profile or region.
    """

    name: str
    read: Callable[[Any], Any]
    takes: str
    help: str
    default: str
    example: str
    origin: str = "s3conn_magic"
    secret: bool = False
    mutable: bool = True
    stored: bool = True
    requires: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    takes_list: bool = False
    offers: str = ""


# Ceph and MinIO have no account ids, or tenants.
_ROLE = re.compile(
    r"arn:(?:aws[a-z-]*:iam::(?:\d{12})?|(?!aws)[a-z-]+:iam::[\w-]{0,64}):role/[\w+=,.@/-]{1,576}", re.ASCII
)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_KEY_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}"
_ALIAS = r"alias/[\w/-]{1,250}"
_KMS = re.compile(
    rf"(?:arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{{12}}:(?:key/(?:{_KEY_ID})|{_ALIAS}))|{_KEY_ID}|{_ALIAS}", re.ASCII
)
_ENCRYPTIONS = re.compile(
    r"AES-?256|aws:kms(?::dsse)?|(?:D?SSE|AWS_SSE)[-_](?:S3|KMS|C)|none|true|false", re.IGNORECASE
)
_ENVIRONMENT_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_CUSTOMER_KEY_BYTES = 32
# What is around a profile's name in the head of its section, `[profile x]`, and blanks.
_AROUND = re.compile(r"\A\s*\[?\s*(?:profile\s+)?|\s*\]?\s*\Z")
_BASE_PATH = re.compile(r"s3|[\w.~-]+(?:/[\w.~-]+){1,8}", re.ASCII | re.IGNORECASE)
_WEB_HOST = re.compile(r"\bconsole\.aws\.amazon|s3-website[.-]")
_BUCKET_HOST = re.compile(r"(?!bucket\.vpce)[\w.-]+\.(?=s3[.-](?:[\w-]+\.)*amazonaws\.com)")
_ENDPOINT_FORM = "it looks like 'https://host:port'"
_OTHER_SERVICE = re.compile(
    r"(?P<aws>sts|iam|kms|glue|athena|dynamodb|sqs|sns|lambda|logs|ssm|secretsmanager)[.-](?:[\w-]+\.)*amazonaws\.com(?:\.cn)?|"
    r"[\w.-]+\.(?P<azure>blob|dfs|file)\.core\.windows\.net"
)
_TLS_PORT = 443
_PORT_OF_OTHER = {"http": _TLS_PORT, "https": 80}


def is_environment_name(text: str) -> bool:
    """Return whether a text looks like the name of an environment variable; otherwise it may be the secret itself."""
    return _ENVIRONMENT_NAME.fullmatch(text) is not None


def _valued(value: Any) -> str:
    if not text(value):
        raise ValueError("it must not be empty")
    return str(value)


def _credential(value: Any) -> str:
    """Return a part of a credential: printable ASCII without white space, for HTTP headers."""
    if any(character.isspace() for character in _valued(value)):
        raise ValueError("a credential has no white space; was a line break or space copied with it?")
    if not value.isascii() or not value.isprintable():
        raise ValueError("a credential has only ASCII characters; was it copied from a formatted page?")
    return str(value)


def _secret_credential(value: Any) -> Secret:
    """Return a credential that is never shown again."""
    return Secret(_credential(_not_placeholder(value)))


def _not_placeholder(value: Any) -> Any:
    """Return a secret other than the placeholders of SHOW CREATE and the input history."""
    if value == MASK or (isinstance(value, str) and value and not value.strip("*.\u2022\u2026")):
        raise ValueError("this is a placeholder for a secret that was not stored; give the secret itself")
    return value


def _role_arn(value: Any) -> str:
    if not _ROLE.fullmatch(_valued(value)):
        raise ValueError("a role looks like 'arn:aws:iam::123456789012:role/name'")
    return str(value)


def _external_id(value: Any) -> str:
    """Return an external id that IAM allows."""
    if not _EXTERNAL_ID.fullmatch(_valued(value)):
        raise ValueError("an external id has 2 to 1224 letters, digits or any of _+=,.@:/-")
    return str(value)


def _kms_key(value: Any) -> str:
    if _ENCRYPTIONS.fullmatch(_valued(value)):
        raise NotALocationError("this is a kind of encryption, not a key", "Leave it out for the bucket's default.")
    if not _KMS.fullmatch(value):
        raise ValueError("a KMS key looks like 'arn:aws:kms:us-east-1:123456789012:key/…', a key's id, or 'alias/name'")
    return str(value)


def _customer_key(value: Any) -> Secret:
    """Return the Base64 text of a 256-bit key."""
    size = _decoded_size(_valued(_not_placeholder(value)))
    if size is None:
        raise ValueError("this is not Base64; a 256-bit key has 44 characters of it, the last one =")
    if size != _CUSTOMER_KEY_BYTES:
        raise ValueError(f"this is Base64 of {size} bytes, where 32 are needed")
    return Secret(value)


def _decoded_size(encoded: str) -> int | None:
    try:
        return len(base64.b64decode(encoded.encode(), validate=True))
    except (binascii.Error, UnicodeEncodeError):
        return None


def _display_filters(value: Any) -> tuple[Location, ...]:
    """Return one or more `s3://` paths, without duplicates."""
    paths = value if isinstance(value, tuple | list) else (value,)
    if not paths:
        raise ValueError("this list is empty")
    places = [pasted(_valued(path)) for path in paths]
    if any(place.version for place in places):
        raise ValueError("it names one version of an object")
    return tuple(dict.fromkeys(place.location for place in places))


def _profile(value: Any) -> str:
    if not _valued(value).isprintable():
        raise ValueError("a profile's name has no control characters")
    if (plain := _AROUND.sub("", value)) != value:
        meant = f"Write {literal(plain)} instead."
        raise NotALocationError("it has blanks around it, or is the head of a section of the configuration file", meant)
    return str(value)


def _region(value: Any) -> str:
    """Return the code of a region; S3-compatible servers have their own."""
    if not _REGION.fullmatch(_valued(value)):
        raise ValueError("a region looks like 'eu-west-1'")
    return str(value)


def _addressing_style(value: Any) -> str:
    """Return where the bucket's name goes in the URL."""
    style = _valued(value).lower()
    if style not in {"auto", "path", "virtual"}:
        raise ValueError("this is not one of them")
    return style


def _endpoint(value: Any) -> str:
    """Return the URL of a server without user info, query or fragment, which could hold a secret or be lost.

    Its path is `s3`, below which some servers have their API, or has several parts: one part may be a bucket.
    """
    if "@" in _valued(value):
        raise ValueError("it must not hold a user or password; give them as AWS_ACCESS_KEY_ID and its secret")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(_ENDPOINT_FORM) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError(_ENDPOINT_FORM)
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("it has no white space")
    if _WEB_HOST.search(parts.hostname):
        raise ValueError("this is the host of a web page, not of an S3 server")
    if other := _OTHER_SERVICE.fullmatch(parts.hostname):
        whose = "Azure's storage, which does not speak S3" if other["azure"] else f"{other['aws'].upper()}, not of S3"
        raise ValueError(f"this is the host of {whose}")
    if port == _PORT_OF_OTHER[parts.scheme]:
        other_scheme = "https" if port == _TLS_PORT else "http"
        meant = f"Write '{other_scheme}://{parts.hostname}' instead."
        raise NotALocationError(f"port {port} is of {other_scheme}", meant)
    if _BUCKET_HOST.match(parts.hostname):
        raise ValueError("a bucket's name is in the host; the bucket belongs in the s3:// location")
    base = parts.path.strip("/")
    if (base and not _BASE_PATH.fullmatch(base)) or parts.query or parts.fragment:
        raise ValueError("nothing follows the host and port; the bucket belongs in the s3:// location")
    return f"{parts.scheme}://{parts.netloc}" + (f"/{base}" if base else "")


_UPSOLVER = "Upsolver"
_IDENTITY = (
    "AWS_ROLE",
    "EXTERNAL_ID",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
)

OPTIONS: tuple[Option, ...] = (
    Option(
        "AWS_ROLE",
        _role_arn,
        takes="the ARN of an IAM role",
        help="Role to assume through STS; its credentials are renewed automatically.",
        default="the default credentials chain",
        example="'arn:aws:iam::123456789012:role/my_s3_role'",
        origin=_UPSOLVER,
    ),
    Option(
        "EXTERNAL_ID",
        _external_id,
        takes="text",
        help="External id that the role's trust policy asks for, sent with every AssumeRole.",
        default="none",
        example="'12345678'",
        origin=_UPSOLVER,
        requires=("AWS_ROLE",),
    ),
    Option(
        "AWS_ACCESS_KEY_ID",
        _credential,
        takes="text",
        help="Access key id of the key pair. Together with AWS_ROLE, the pair assumes the role.",
        default="the default credentials chain",
        example="ENV 'MY_ACCESS_KEY_ID'",
        origin=_UPSOLVER,
        requires=("AWS_SECRET_ACCESS_KEY",),
        excludes=("AWS_PROFILE",),
    ),
    Option(
        "AWS_SECRET_ACCESS_KEY",
        _secret_credential,
        takes="a secret text",
        help="Secret access key of the key pair.",
        default="the default credentials chain",
        example="ENV 'MY_SECRET_ACCESS_KEY'",
        origin=_UPSOLVER,
        secret=True,
        requires=("AWS_ACCESS_KEY_ID",),
        excludes=("AWS_PROFILE",),
    ),
    Option(
        "PATH_DISPLAY_FILTERS",
        _display_filters,
        takes="one s3:// path or a list of them",
        help="What SHOW BUCKETS, EXPLORE and LIST without a location show. It only affects what is displayed and"
        " grants or denies nothing.",
        default="all buckets",
        example="('s3://bucket1/', 's3://bucket2/folder/')",
        origin=_UPSOLVER,
        aliases=("PATH_DISPLAY_FILTER",),
        takes_list=True,
        offers="location",
    ),
    Option(
        "READ_ONLY",
        boolean,
        takes="TRUE or FALSE",
        help="Refuse everything that could write or delete through this connection, before any request is sent.",
        default="FALSE",
        example="TRUE",
        origin=_UPSOLVER,
        mutable=False,
    ),
    Option(
        "ENCRYPTION_KMS_KEY",
        _kms_key,
        takes="the ARN, id or alias of a KMS key",
        help="Encrypt every object that is written with this KMS key (SSE-KMS). A write that the server doesn't"
        " confirm is undone.",
        default="the bucket's default encryption",
        example="'arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab'",
        origin=_UPSOLVER,
        excludes=("ENCRYPTION_CUSTOMER_MANAGED_KEY",),
    ),
    Option(
        "ENCRYPTION_CUSTOMER_MANAGED_KEY",
        _customer_key,
        takes="the Base64 text of a 256-bit key",
        help="Encrypt every object that is written, and decrypt every object that is read, with this key of yours"
        " (SSE-C). A write that the server doesn't confirm is undone.",
        default="the bucket's default encryption",
        example="KEYRING 's3' 'customer-key'",
        origin=_UPSOLVER,
        secret=True,
        excludes=("ENCRYPTION_KMS_KEY",),
    ),
    Option(
        "COMMENT",
        text,
        takes="text",
        help="Free text, shown with the connection.",
        default="none",
        example="'reads the events lake'",
        origin=_UPSOLVER,
    ),
    Option(
        "AWS_SESSION_TOKEN",
        _secret_credential,
        takes="a secret text",
        help="Session token of a temporary key pair.",
        default="none",
        example="ENV 'AWS_SESSION_TOKEN'",
        secret=True,
        requires=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        excludes=("AWS_PROFILE",),
    ),
    Option(
        "AWS_PROFILE",
        _profile,
        takes="the name of a profile",
        help="Profile of the AWS configuration files, with whatever it uses: SSO, web identity, a process.",
        default="none",
        example="'analytics'",
        offers="profile",
        excludes=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ),
    Option(
        "ANONYMOUS",
        boolean,
        takes="TRUE or FALSE",
        help="Send unsigned requests, for public buckets.",
        default="FALSE",
        example="TRUE",
        excludes=(*_IDENTITY, "REQUESTER_PAYS"),
    ),
    Option(
        "REGION",
        _region,
        takes="the code of a region",
        help="Region to sign requests for; without it, the region of each bucket is looked up.",
        default="looked up for each bucket",
        example="'eu-west-1'",
        offers="region",
    ),
    Option(
        "ENDPOINT",
        _endpoint,
        takes="a URL, http(s)://host[:port]",
        help="S3-compatible server to talk to; roles are assumed there as well.",
        default="AWS",
        example="'http://127.0.0.1:9000'",
    ),
    Option(
        "ADDRESSING_STYLE",
        _addressing_style,
        takes="'auto', 'path' or 'virtual'",
        help="Whether a request has the bucket's name in its path or in its host.",
        default="'auto'",
        example="'path'",
    ),
    Option(
        "REQUESTER_PAYS",
        boolean,
        takes="TRUE or FALSE",
        help="Accept the charges of requests to requester-pays buckets.",
        default="FALSE",
        example="TRUE",
        excludes=("ANONYMOUS",),
    ),
    Option(
        "VALIDATE",
        boolean,
        takes="TRUE or FALSE",
        help="FALSE skips the probe of CREATE and ALTER. It isn't stored.",
        default="TRUE",
        example="FALSE",
        stored=False,
    ),
)

_BY_NAME: Mapping[str, Option] = {spelling: option for option in OPTIONS for spelling in (option.name, *option.aliases)}
OPTION_NAMES: tuple[str, ...] = tuple(_BY_NAME)


def find_option(name: str) -> Option | None:
    """Return the option of that name or alias, in any case, or None."""
    return _BY_NAME.get(name.upper())


_NEGATED = re.compile(r"(?:SKIP|NO|DISABLE|WITHOUT|DONT)_", re.IGNORECASE)


def opposite(name: str) -> str:
    """Return the option of which a name such as SKIP_VALIDATION says the opposite; empty for any other."""
    switches = [option.name for option in OPTIONS if option.takes == "TRUE or FALSE"]
    rest = _NEGATED.sub("", name).upper()
    alike = next((switch for switch in switches if switch[:6] == rest[:6]), None) or related(rest, switches)
    return alike if alike and rest != name.upper() else ""


@dataclass(frozen=True, slots=True)
class BoundValue:
    """A value and its origin: `'statement'`, or the source of a secret as written."""

    value: Any
    source: str = "statement"


BoundOptions = Mapping[str, BoundValue]
"""Given options by canonical name."""
_Value = TypeVar("_Value")
# These determine where requests go: a client for other values would send data to the wrong server.
_PLACE = ("ENDPOINT", "REGION", "ADDRESSING_STYLE", "AWS_PROFILE")
_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


def is_of_aws(endpoint: str) -> bool:
    """Return whether a URL is of AWS."""
    return (urlsplit(endpoint).hostname or "").endswith(_AWS)


def check_server(place: Pasted, name: str, endpoint: str | None) -> None:
    """Refuse a pasted URL if the connection would read its bucket and key on another server (None for Amazon S3).

    Raises:
        NotALocationError: the servers differ.
    """
    url = endpoint or AMAZON
    if not place.server or _server_of(place.server) == _server_of(url):
        return
    theirs, ours = (
        "Amazon S3" if is_of_aws(server) else visible(f"{urlsplit(server).scheme}://{urlsplit(server).netloc}")
        for server in (place.server, url)
    )
    raise NotALocationError(
        f"this URL is of {theirs}, and the connection {name} goes to {ours}",
        f"Name a connection to {theirs} by USING, or write {literal(visible(place.uri))} for the bucket of that name on"
        f" {ours}.",
    )


def _server_of(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return ("", None) if is_of_aws(url) else (parts.hostname, port)


class _Given(Generic[_Value]):
    """The value of an option, or its default."""

    def __init__(self, name: str, otherwise: Any = None) -> None:
        self._name = name
        self._otherwise = otherwise

    def __get__(self, settings: Settings, _: type[Settings]) -> _Value:
        bound = settings.options.get(self._name)
        value: _Value = bound.value if bound else self._otherwise
        return value


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of a connection, with the default or None for those not given."""

    options: BoundOptions

    role = _Given[str | None]("AWS_ROLE")
    external_id = _Given[str | None]("EXTERNAL_ID")
    access_key_id = _Given[str | None]("AWS_ACCESS_KEY_ID")
    secret_access_key = _Given[Secret | None]("AWS_SECRET_ACCESS_KEY")
    session_token = _Given[Secret | None]("AWS_SESSION_TOKEN")
    profile = _Given[str | None]("AWS_PROFILE")
    anonymous = _Given[bool]("ANONYMOUS", False)
    region = _Given[str | None]("REGION")
    endpoint = _Given[str | None]("ENDPOINT")
    addressing_style = _Given[str]("ADDRESSING_STYLE", "auto")
    requester_pays = _Given[bool]("REQUESTER_PAYS", False)
    read_only = _Given[bool]("READ_ONLY", False)
    kms_key = _Given[str | None]("ENCRYPTION_KMS_KEY")
    customer_key = _Given[Secret | None]("ENCRYPTION_CUSTOMER_MANAGED_KEY")
    display_filters = _Given[tuple[Location, ...]]("PATH_DISPLAY_FILTERS", ())
    comment = _Given[str | None]("COMMENT")

    def endpoint_of(self, service: str) -> str | None:
        """Return the URL of a service; None for AWS.

        Another server has all its services at the same URL. An ENDPOINT of AWS, as in a VPC, is for S3 only.
        """
        endpoint = self.endpoint
        return None if endpoint and service != "s3" and is_of_aws(endpoint) else endpoint

    def place(self, *more: str) -> dict[str, Any]:
        """Return the options that determine where requests go, and some more, by name."""
        given = {name: self.options.get(name) for name in (*_PLACE, *more)}
        return {name: bound.value if bound else None for name, bound in given.items()} | {"explicit": self.explicit}

    @property
    def explicit(self) -> bool:
        """Whether the options name the source of credentials, instead of the default chain."""
        return self.anonymous or bool(self.access_key_id or self.profile)

    @property
    def credentials_kind(self) -> str:
        """How requests are signed, in words."""
        if self.anonymous:
            return "anonymous"
        base = "key pair" if self.access_key_id else f"profile {self.profile}" if self.profile else "default chain"
        base += " with session token" if self.session_token else ""
        return f"role, assumed by {base}" if self.role else base

    @property
    def encrypts(self) -> bool:
        """Whether the options set an encryption for writes."""
        return bool(self.kms_key or self.customer_key)

    @property
    def encryption(self) -> str:
        """The encryption of every write, in words."""
        return "SSE-KMS" if self.kms_key else "SSE-C" if self.customer_key else "bucket default"
