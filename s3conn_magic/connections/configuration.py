"""The effective configuration of a connection: where and how its requests go, each value with its source.

Resolved once, in botocore's order: the statement, the environment, the profile and its section of `services`. The rest
are defaults of this package, which depend on the endpoint.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as VARIABLES
from botocore.configprovider import ConfiguredEndpointProvider
from botocore.httpsession import get_cert_path
from botocore.session import Session
from botocore.utils import get_environ_proxies, is_valid_endpoint_url

from s3conn_magic.connections.credentials import DEFAULT_REGION, bare_session, own_server
from s3conn_magic.connections.faults import LEAVE_REGION_OUT, translated
from s3conn_magic.errors import EndpointError, RegionError
from s3conn_magic.language.options import find_option, is_of_aws
from s3conn_magic.language.words import listed, literal
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.language.options import Settings
    from s3conn_magic.secrets import Secret

DEFAULT = "default"
_TRIES = 5
_S3 = "s3"


class Effective(NamedTuple):
    """An effective value and its source: `statement`, `variable X`, `profile p` or `default`."""

    value: Any = None
    source: str = DEFAULT

    @property
    def is_given(self) -> bool:
        """Whether the value was set, rather than a default."""
        return self.source != DEFAULT

    def __str__(self) -> str:
        """Return the value, and its source unless that is the statement."""
        return f"{self.value}" if self.source == "statement" else f"{self.value} ({self.source})"


class Configuration(NamedTuple):
    """Where and how the requests of a connection go.

    Attributes:
        endpoint: URL of the server, or None for AWS.
        region: region to sign for unless that of the bucket is looked up.
        addressing_style: `auto`, `path` or `virtual`.
        request_checksums: `when_supported` or `when_required`.
        response_checksums: likewise.
        fips: whether to use AWS's FIPS endpoints.
        dualstack: whether to use AWS's endpoints that also speak IPv6.
        accelerate: whether to use S3 Transfer Acceleration.
        tries: how often a request is tried, including the first time.
        ca_bundle: path of the trusted CAs, or None for botocore's.
        proxy: host and port of the proxy, or None.
        elsewhere: whether it was resolved in another process, so that files and variables here do not apply; a proxy
            of this machine's network still does, unless that process named one.
        proxy_url: URL of the other process's proxy, with its password.
    """

    endpoint: Effective = Effective()
    region: Effective = Effective(DEFAULT_REGION)
    addressing_style: Effective = Effective("auto")
    request_checksums: Effective = Effective("when_supported")
    response_checksums: Effective = Effective("when_supported")
    fips: Effective = Effective(False)
    dualstack: Effective = Effective(False)
    accelerate: Effective = Effective(False)
    tries: Effective = Effective(_TRIES)
    ca_bundle: Effective = Effective()
    proxy: Effective = Effective()
    elsewhere: Effective = Effective(False)
    proxy_url: Secret | None = None

    @classmethod
    def of(cls, settings: Settings) -> Configuration:
        """Resolve the configuration from the settings, the environment, and the AWS configuration files.

        Raises:
            CredentialsError: the profile is not in the AWS configuration files, or these cannot be read.
        """
        return translated(lambda: _resolved(settings))

    @classmethod
    def stated(cls, settings: Settings) -> Configuration:
        """Return only what the statement says, to show a connection whose configuration files are broken."""
        stated = cls()
        for name, option in _OPTIONS.items():
            if bound := settings.options.get(name):
                said: dict[str, Any] = {option: Effective(bound.value, "statement")}
                stated = stated._replace(**said)
        return stated

    @property
    def finds_regions(self) -> bool:
        """Whether the region of each bucket is looked up."""
        return self.endpoint.value is None and self.region.source != "statement"

    @property
    def is_aws(self) -> bool:
        """Whether the server is AWS, with or without an ENDPOINT."""
        return self.endpoint.value is None or is_of_aws(self.endpoint.value)

    @property
    def signed_region(self) -> str | None:
        """The region that was set and that every request is signed for; None if it is looked up or the default."""
        return self.region.value if self.region.is_given and not self.finds_regions else None

    def with_hint(self, failure: S3ConnError, bucket: str, *, missing: bool = False) -> S3ConnError:
        """Return the error about a bucket, which may be missing, with the hint that fits this configuration."""
        if missing:
            return self._without_bucket(failure, bucket)
        if isinstance(failure, RegionError):
            if is_of_aws(self.endpoint.value or ""):
                failure.hint = f"Leave ENDPOINT ({self.endpoint.source}) out: AWS's own are found, one for each bucket."
            elif self.region.source != "statement":
                failure.hint = re.sub(f"^{LEAVE_REGION_OUT}s", "S", failure.hint)
        elif self.addressing_style.value == "virtual" and "cannot be reached" in failure.message and not self.is_aws:
            style = f"it is virtual by {self.addressing_style.source}"
            failure.hint += f" Servers that want the bucket in the path need ADDRESSING_STYLE = 'path' ({style})."
        return failure

    def _without_bucket(self, failure: S3ConnError, bucket: str) -> S3ConnError:
        """Return the error with a hint if ENDPOINT contains the bucket."""
        url = urlsplit(self.endpoint.value or "")
        host, path = url.netloc.removeprefix(f"{bucket}."), url.path.rstrip("/").removesuffix(f"/{bucket}")
        if url.netloc and (host, path) != (url.netloc, url.path.rstrip("/")):
            right = literal(visible(f"{url.scheme}://{host}{path}"))
            failure.hint = f"The endpoint has the bucket in it, which belongs in locations: ENDPOINT = {right}."
        return failure

    def of_option(self, name: str) -> Effective:
        """Return the effective value of an option that the statement omits, if something else sets it."""
        effective = getattr(self, _OPTIONS[name]) if name in _OPTIONS else Effective()
        return effective if effective.is_given else Effective()

    def as_options(self, *, region: str | None = None) -> dict[str, str]:
        """Return the place as options for another machine with another environment.

        Args:
            region: the region to sign for, if one was found.
        """
        options = {name: self.of_option(name).value for name in ("ENDPOINT", "ADDRESSING_STYLE")}
        if self.endpoint.value and not self.finds_regions:
            options["REGION"] = region or self.region.value
        return {name: str(value) for name, value in options.items() if value is not None}

    def besides(self) -> Iterator[str]:
        """Yield one-line texts for values set outside the statement, except those of this machine."""
        named = [(name, self.of_option(name)) for name in _OPTIONS]
        for name, setting in [*named, *((name, setting) for name, setting, _ in self.rows())]:
            if name not in {"CA bundle", "proxy"} and setting.is_given and setting.source != "statement":
                yield f"{name}: {visible(str(setting))}"

    def config(self) -> Config:
        """Return the configuration for S3 clients."""
        fixed = own_server(self.endpoint.value)
        s3 = {"use_accelerate_endpoint": self.accelerate.value, **(fixed.s3 or {})}
        s3 |= {"addressing_style": self.addressing_style.value}
        more: dict[str, Any] = {"ignore_configured_endpoint_urls": True} if self.elsewhere.value else {}
        if self.proxy_url is not None:
            more["proxies"] = dict.fromkeys(("http", "https"), self.proxy_url.reveal())
        return fixed.merge(
            Config(
                s3=s3,
                use_fips_endpoint=self.fips.value,
                use_dualstack_endpoint=self.dualstack.value,
                **more,
                request_checksum_calculation=self.request_checksums.value,
                response_checksum_validation=self.response_checksums.value,
            )
        )

    def rows(self) -> Iterator[tuple[str, Effective, str]]:
        """Yield the settings without an option: name, value, and meaning."""
        yield "request checksums", self.request_checksums, "When checksums are sent with requests."
        yield "response checksums", self.response_checksums, "When checksums of answers are compared."
        yield "FIPS", self.fips, "Whether AWS is reached at its FIPS endpoints."
        yield "dual-stack", self.dualstack, "Whether AWS is reached at endpoints that speak IPv6, too."
        yield "acceleration", self.accelerate, "Whether AWS is reached by S3 Transfer Acceleration."
        yield "tries", self.tries, "How often a request is tried."
        yield "CA bundle", self.ca_bundle, "File with the trusted CAs."
        yield "proxy", self.proxy, "Host and port that requests go through."


# The first value is the default.
_CHECKED = {
    "defaults_mode": ("legacy", "standard", "in-region", "cross-region", "mobile", "auto"),
    "sts_regional_endpoints": ("regional", "legacy"),
    "account_id_endpoint_mode": ("preferred", "disabled", "required"),
}


def _no_such(name: str, source: str, known: str) -> EndpointError:
    return EndpointError(
        f"{name} of {_by(source)} has a value where only {known} is known",
        hint=f"Correct {_by(source)}, or remove the setting.",
    )


_COMPRESSED, _MOST_COMPRESSED = "request_min_compression_size_bytes", 10_485_760
_US_EAST_1, _VARIABLE_OF_US_EAST_1 = "us_east_1_regional_endpoint", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT"
_OPTIONS = {"ENDPOINT": "endpoint", "REGION": "region", "ADDRESSING_STYLE": "addressing_style"}
_CHECKSUMS = ("when_supported", "when_required")


class _LookupSession(Session):  # type: ignore[misc] # botocore is not typed
    """A session for looking up settings: it makes no clients and skips their handlers, which are slow to register."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, include_builtin_handlers=False, **keys)


def _resolved(settings: Settings) -> Configuration:
    session = bare_session(settings, _LookupSession)
    look = _Lookup(session, settings)
    look.check()
    endpoint = look.endpoint()
    ours = Configuration(endpoint)
    checksums = Effective("when_supported" if ours.is_aws else "when_required")
    aws = Configuration()
    if endpoint.value is None:
        fips, dualstack = look.flag("use_fips_endpoint"), look.flag("use_dualstack_endpoint")
        aws = aws._replace(
            fips=fips,
            dualstack=dualstack if dualstack.is_given else look.of_s3("use_dualstack_endpoint", aws.dualstack),
            accelerate=look.of_s3("use_accelerate_endpoint", aws.accelerate),
        )
    return aws._replace(
        endpoint=endpoint,
        region=look.region(),
        addressing_style=look.style(aws.addressing_style),
        request_checksums=look.one_of("request_checksum_calculation", checksums),
        response_checksums=look.one_of("response_checksum_validation", checksums),
        tries=look.tries(aws.tries),
        ca_bundle=look.ca_bundle(secure=not str(endpoint.value or "").startswith("http:")),
        proxy=_proxy(endpoint.value or "https://s3.amazonaws.com"),
    )


class _Lookup:
    """Looks up settings and their sources."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._session = session
        self._settings = settings
        self._profile: Mapping[str, Any] = session.get_scoped_config()
        self._of_profile = f"profile {session.get_config_variable('profile') or 'default'}"

    def stated(self, option: str) -> Effective | None:
        bound = self._settings.options.get(option)
        return Effective(bound.value, "statement") if bound else None

    def of(self, name: str, default: Effective) -> Effective:
        """Return a setting of botocore's.

        Raises:
            EndpointError: it is not a number but must be one.
        """
        in_profile, variable = VARIABLES[name][:2]
        in_environment = variable in os.environ
        if not in_environment and in_profile not in self._profile:
            return default
        source = f"variable {variable}" if in_environment else self._of_profile
        try:
            return Effective(self._session.get_config_variable(name), source)
        except ValueError:
            pass
        raise _no_such(name, source, "a number")

    def check(self) -> None:
        """Check settings that only botocore reads, as its own errors would not tell where they stand.

        Raises:
            EndpointError: a setting has an unknown value.
        """
        services = self._session.full_config.get("services", {}).get(self._profile.get("services"), {})
        for section, where in ((self._profile, self._of_profile), (services, f"services of {self._of_profile}")):
            if not isinstance(section.get(_S3, {}), dict):
                raise EndpointError(
                    f"{_by(where)} has s3 with a value, where lines with the settings of s3 follow",
                    hint="They go below it, indented: s3 = on one line, and addressing_style = path on the next.",
                )
        for name, values in _CHECKED.items():
            setting = self.of(name, Effective(values[0]))
            if str(setting.value).lower() not in values:
                raise _no_such(name, setting.source, listed([*values], "or"))
        least = self.of(_COMPRESSED, Effective(0))
        if not str(least.value).isdecimal() or int(least.value) > _MOST_COMPRESSED:
            raise _no_such(_COMPRESSED, least.source, f"a number up to {_MOST_COMPRESSED:,}")
        old = _VARIABLE_OF_US_EAST_1
        named = Effective(os.environ.get(old), f"variable {old}") if old in os.environ else self.of_s3(_US_EAST_1)
        if named.value is not None and str(named.value).lower() not in {"legacy", "regional"}:
            raise _no_such(_US_EAST_1, named.source, "legacy or regional")

    def flag(self, name: str) -> Effective:
        value, source = self.of(name, Effective(False))
        return Effective(bool(value), source)

    def one_of(self, name: str, default: Effective) -> Effective:
        """Return a setting for when checksums are used."""
        return _one_of(name, self.of(name, default), *_CHECKSUMS)

    def of_s3(self, name: str, default: Effective = Effective()) -> Effective:  # noqa: B008 - it cannot change
        """Return a setting of the profile's section `s3`."""
        value = (self._session.get_config_variable(_S3) or {}).get(name)
        return default if value is None else Effective(value, self._of_profile)

    def style(self, default: Effective) -> Effective:
        stated = self.stated("ADDRESSING_STYLE")
        name = "addressing_style"
        return stated or _one_of(name, self.of_s3(name, default), "auto", "path", "virtual")

    def tries(self, default: Effective) -> Effective:
        tries = self.of("max_attempts", default)
        return tries if isinstance(tries.value, int) and tries.value > 0 else default

    def region(self) -> Effective:
        """Return the region: as botocore finds it, else as other tools do."""
        if stated := self.stated("REGION"):
            return stated
        region, other = self.of("region", Effective()), os.environ.get("AWS_REGION")
        if not region.value:
            region = Effective(other, "variable AWS_REGION") if other else Effective(DEFAULT_REGION)
        if not is_valid_endpoint_url(f"https://{region.value}.com"):
            raise RegionError(
                f"the region of {_by(region.source)} is not the name of a region",
                hint=f"Correct {_by(region.source)}, or set REGION, for example REGION = 'eu-west-1'.",
            )
        return region

    def endpoint(self) -> Effective:
        """Return the endpoint of S3; None for AWS."""
        if stated := self.stated("ENDPOINT"):
            return stated
        if self._session.get_config_variable("ignore_configured_endpoint_urls"):
            return Effective()
        full, nothing = self._session.full_config, dict[str, str]()
        ways = [(os.environ, {}, _variable_of_endpoint()), (nothing, self._profile, self._of_profile)]
        for environ, profile, source in ways:
            if url := ConfiguredEndpointProvider(full, profile, _S3, environ).provide():
                return Effective(_server(url, source), source)
        return Effective()

    def ca_bundle(self, *, secure: bool) -> Effective:
        """Return the CAs; the variable of `requests` comes last.

        Raises:
            EndpointError: they are needed, but do not exist.
        """
        bundle = self.of("ca_bundle", Effective())
        if (other := os.environ.get("REQUESTS_CA_BUNDLE")) and not bundle.is_given:
            bundle = Effective(other, "variable REQUESTS_CA_BUNDLE")
        if bundle.value and secure and not os.path.exists(bundle.value):  # noqa: PTH110 - as botocore looks
            raise EndpointError(
                f"the CA bundle that {_by(bundle.source)} names does not exist: {visible(str(bundle.value))}",
                hint=f"Correct {_by(bundle.source)}, or take it out to trust the usual CAs.",
            )
        return bundle


def _variable_of_endpoint() -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    return f"variable {next((name for name in names if os.environ.get(name)), names[0])}"


def _server(url: str, source: str) -> str:
    """Return the URL of a server as the option ENDPOINT takes it.

    Raises:
        EndpointError: it is not the URL of a server.
    """
    option = find_option("ENDPOINT")
    try:
        return str(option.read(url)) if option else url
    except ValueError as error:
        reason = str(error)
    raise EndpointError(
        f"the endpoint that {_by(source)} names is not the URL of a server: {reason}",
        hint=f"Correct {_by(source)}, or set ENDPOINT = 'https://host:9000' in the statement.",
    )


def _one_of(name: str, setting: Effective, *values: str) -> Effective:
    """Return a setting that must be one of these values.

    Raises:
        EndpointError: it is none of them.
    """
    value = str(setting.value).lower()
    if value not in values:
        raise _no_such(name, setting.source, listed([*values], "or"))
    return setting._replace(value=value)


def _by(source: str) -> str:
    return source if source.startswith("the ") else f"the {source}"


def _proxy(url: str) -> Effective:
    scheme = urlsplit(url).scheme
    proxy = get_environ_proxies(url).get(scheme)
    if not proxy:
        return Effective()
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    source = next((f"variable {name}" for name in names if os.environ.get(name)), "the system")
    if not _is_server(proxy):
        raise EndpointError(
            f"the proxy that {_by(source)} names is not the URL of one",
            hint=f"Correct {_by(source)}: it looks like http://host:3128, with user and password percent-encoded.",
        )
    return Effective(proxy_host(proxy), source)


def _is_server(url: str) -> bool:
    """Whether a URL, with or without a scheme, has a host and a valid port or none."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url.removeprefix('//')}")
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def own_cas() -> str:
    """Return the path of the CAs that botocore trusts by default."""
    return str(get_cert_path(True))


def proxy_host(proxy: str) -> str:
    """Return host and port from a proxy's URL, without user and password, whether these are escaped or not."""
    before, _, host = proxy.rpartition("@")
    return host.partition("/")[0] if before else urlsplit(proxy).netloc or proxy
