"""Machines of all kinds: boto3, the connection and what it hands on go to the same host, signed for the same region."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, files
from urllib.parse import urlsplit

import boto3
import botocore.session
import deltalake
import obstore
import pandas as pd
import polars as pl
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.loaders import create_loader
from obstore.store import S3Store
from recording import Reply, recording
from statements import Statements, create

from s3conn_magic.handoff.libraries import obstore_provider
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

pytestmark = pytest.mark.filterwarnings("ignore:.*considered unstable")
LOADER = create_loader()
KEYS = Keys("AKIAONE", Secret("one-secret"))
OWN, OTHER, STS = "http://store.example:9000", "http://other.example", "http://sts.example"
ROLE = "arn:aws:iam::123456789012:role/r"
LOCATED = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
)
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True)
class Machine:
    """What surrounds a connection.

    `lives` is the region that the server says the bucket is in, where somebody has to ask.
    """

    env: dict[str, str] = field(default_factory=dict)
    config: str = ""
    credentials: str = ""
    options: dict[str, str] = field(default_factory=dict)
    bucket: str = "my-bucket"
    lives: str = "us-east-1"

    def names(self, endpoint: str) -> bool:
        """Whether the endpoint is one that somebody wrote."""
        written = " ".join([self.config, self.credentials, *self.env.values(), *self.options.values()])
        return endpoint.lower().rstrip("/") in written.lower()


def _services(**endpoints):
    return "[services mine]\n" + "".join(f"{name} =\n  endpoint_url = {url}\n" for name, url in endpoints.items())


VIRTUAL, PATH = "s3 =\n  addressing_style = virtual\n", "s3 =\n  addressing_style = path\n"
MACHINES = {
    "plain AWS": Machine(),
    "AWS, a region of the environment": Machine({"AWS_DEFAULT_REGION": "eu-west-1"}, lives="eu-west-1"),
    "AWS, a region of other tools": Machine({"AWS_REGION": "eu-west-1"}, lives="eu-west-1"),
    "AWS, a region of the profile": Machine(config="[default]\nregion = ap-south-1\n", lives="ap-south-1"),
    "AWS in China": Machine({"AWS_DEFAULT_REGION": "cn-north-1"}, lives="cn-north-1"),
    "AWS for governments": Machine(options={"REGION": "us-gov-west-1"}),
    "AWS, a bucket with dots": Machine(bucket="my.bucket", options={"REGION": "eu-west-1"}),
    "AWS by path": Machine(options={"REGION": "eu-west-1", "ADDRESSING_STYLE": "path"}),
    "AWS by path, of the profile": Machine(config=f"[default]\n{PATH}", options={"REGION": "eu-west-1"}),
    "FIPS": Machine({"AWS_USE_FIPS_ENDPOINT": "true"}, options={"REGION": "us-east-2"}),
    "FIPS of the profile": Machine(config="[default]\nuse_fips_endpoint = true\n", options={"REGION": "us-west-2"}),
    "dual-stack": Machine({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, options={"REGION": "eu-west-1"}),
    "dual-stack of the profile": Machine(
        config="[default]\ns3 =\n  use_dualstack_endpoint = true\n", options={"REGION": "eu-west-1"}
    ),
    "FIPS and dual-stack": Machine(
        {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"}, options={"REGION": "us-east-1"}
    ),
    "acceleration": Machine(
        config="[default]\ns3 =\n  use_accelerate_endpoint = true\n", options={"REGION": "eu-west-1"}
    ),
    "us-east-1 as a region": Machine(
        {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"}, options={"REGION": "us-east-1"}
    ),
    "endpoint of the statement": Machine(options={"ENDPOINT": OWN}),
    "endpoint of the statement, before all others": Machine(
        {"AWS_ENDPOINT_URL_S3": OTHER, "AWS_ENDPOINT_URL": OTHER},
        f"[default]\nendpoint_url = {OTHER}\n",
        options={"ENDPOINT": OWN, "REGION": "eu-west-1"},
    ),
    "endpoint of the environment": Machine({"AWS_ENDPOINT_URL": OWN, "AWS_DEFAULT_REGION": "eu-west-1"}),
    "endpoint of S3, before that of all": Machine({"AWS_ENDPOINT_URL_S3": OWN, "AWS_ENDPOINT_URL": OTHER}),
    "endpoint of the environment, before the profile's": Machine(
        {"AWS_ENDPOINT_URL": OWN}, f"[default]\nendpoint_url = {OTHER}\n"
    ),
    "endpoint of the profile": Machine(config=f"[default]\nendpoint_url = {OWN}\nregion = garage\n"),
    "endpoint of services, before the profile's": Machine(
        config=f"[default]\nendpoint_url = {OTHER}\nservices = mine\n{_services(s3=OWN, sts=OTHER)}"
    ),
    "endpoint of a named profile": Machine(
        config=f"[profile p]\nendpoint_url = {OWN}\nregion = auto\n",
        credentials="[p]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = theirs\n",
        options={"AWS_PROFILE": "p"},
    ),
    "endpoint of the environment's profile": Machine(
        {"AWS_PROFILE": "p"}, f"[profile p]\nendpoint_url = {OWN}\nregion = eu-west-9\n"
    ),
    "endpoints ignored": Machine(
        {"AWS_ENDPOINT_URL": OTHER, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, options={"REGION": "eu-west-1"}
    ),
    "virtual hosts, of the statement": Machine(options={"ENDPOINT": OWN, "ADDRESSING_STYLE": "virtual"}),
    "virtual hosts, of the profile": Machine({"AWS_ENDPOINT_URL": OWN}, f"[default]\n{VIRTUAL}"),
    "virtual hosts of the profile, for the statement": Machine(
        config=f"[default]\n{VIRTUAL}", options={"ENDPOINT": OWN}
    ),
    "paths of the statement, before the profile": Machine(
        config=f"[default]\n{VIRTUAL}", options={"ENDPOINT": OWN, "ADDRESSING_STYLE": "path"}
    ),
    "FIPS beside an endpoint": Machine({"AWS_USE_FIPS_ENDPOINT": "true", "AWS_ENDPOINT_URL": OWN}),
    "tries and checksums": Machine(
        {"AWS_MAX_ATTEMPTS": "2"},
        "[default]\nrequest_checksum_calculation = when_required\nresponse_checksum_validation = when_required\n",
        options={"ENDPOINT": OWN},
    ),
    "an older signature": Machine(config="[default]\ns3 =\n  signature_version = s3\n", options={"ENDPOINT": OWN}),
    "the older variable of profiles, before the newer": Machine(
        {"AWS_DEFAULT_PROFILE": "p", "AWS_PROFILE": "q"},
        f"[profile p]\nendpoint_url = {OWN}\n[profile q]\nendpoint_url = {OTHER}\n",
    ),
    "services of another, and the profile's": Machine(
        config=f"[default]\nendpoint_url = {OWN}\nservices = mine\n{_services(sts=OTHER, iam=OTHER)}"
    ),
    "endpoints that the profile ignores": Machine(
        config=f"[default]\nendpoint_url = {OTHER}\nignore_configured_endpoint_urls = true\nregion = eu-west-1\n",
        lives="eu-west-1",
    ),
    "endpoint and region of the credentials file": Machine(
        credentials=f"[p]\naws_access_key_id = A\naws_secret_access_key = b\nendpoint_url = {OWN}\nregion = x-1\n",
        options={"AWS_PROFILE": "p"},
    ),
    "a role of a chain of profiles": Machine(
        config=f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\nservices = mine\nregion = eu-west-3\n"
        f"[profile q]\nrole_arn = {ROLE}\nsource_profile = r\nendpoint_url = {OTHER}\nregion = eu-west-1\n"
        f"{_services(s3=OWN, sts=STS)}",
        credentials="[r]\naws_access_key_id = AKIAFIRST\naws_secret_access_key = theirs\n",
        options={"AWS_PROFILE": "p"},
    ),
    "a region of the profile, before that of other tools": Machine(
        {"AWS_REGION": "eu-north-1", "AWS_ENDPOINT_URL_S3": OWN}, "[default]\nregion = eu-west-9\n"
    ),
    "dual-stack, taken back by the environment": Machine(
        {"AWS_USE_DUALSTACK_ENDPOINT": "false"},
        "[default]\nuse_dualstack_endpoint = true\n",
        options={"REGION": "eu-west-1"},
    ),
    "FIPS for governments": Machine({"AWS_USE_FIPS_ENDPOINT": "true"}, options={"REGION": "us-gov-east-1"}),
    "acceleration and dual-stack": Machine(
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        "[default]\ns3 =\n  use_accelerate_endpoint = true\n",
        options={"REGION": "eu-west-1"},
    ),
    "the old name of us-east-1": Machine(
        {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy"}, options={"REGION": "us-east-1"}
    ),
    "an isolated partition": Machine(options={"REGION": "us-iso-east-1"}),
    "AWS's own endpoint of a region": Machine(
        {"AWS_ENDPOINT_URL": "https://s3.eu-west-1.amazonaws.com", "AWS_DEFAULT_REGION": "eu-west-1"}
    ),
    "AWS's endpoint in a private network": Machine(
        options={"ENDPOINT": "https://bucket.vpce-0a1.s3.eu-west-1.vpce.amazonaws.com", "REGION": "eu-west-1"}
    ),
    "an endpoint below a path": Machine({"AWS_ENDPOINT_URL_S3": f"{OTHER}/storage/v1/s3", "AWS_REGION": "auto"}),
    "an endpoint in capitals": Machine(config="[default]\nendpoint_url = HTTP://Store.Example:9000/\n"),
    "a named profile, whose default has another endpoint": Machine(
        {"AWS_PROFILE": "p"},
        f"[default]\nendpoint_url = {OTHER}\n[profile p]\nregion = eu-south-1\n",
        lives="eu-south-1",
    ),
    "an empty variable before the profile": Machine({"AWS_ENDPOINT_URL_S3": ""}, f"[default]\nendpoint_url = {OWN}\n"),
    "virtual hosts at an address": Machine(config=f"[default]\n{VIRTUAL}", options={"ENDPOINT": "http://127.0.0.1:9"}),
    "an endpoint of IPv6": Machine(options={"ENDPOINT": "http://[::1]:9000"}),
    "the usual style beside an endpoint": Machine(
        {"AWS_ENDPOINT_URL": OWN}, "[default]\ns3 =\n  addressing_style = auto\n"
    ),
    "virtual hosts, a bucket with dots": Machine(
        config=f"[default]\n{VIRTUAL}", bucket="my.bucket", options={"REGION": "eu-west-1"}
    ),
}


def _answer(request):
    if request.method == "POST" and request.target.startswith(STS):
        ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        keys = "<AccessKeyId>AKIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        given = f"<Credentials>{keys}<Expiration>{ends}</Expiration></Credentials>"
        return Reply(200, {}, f"<R><AssumeRoleResult>{given}</AssumeRoleResult></R>".encode())
    return Reply(403 if request.method == "CONNECT" else 404, {}, b"")


@pytest.fixture(scope="module")
def wire():
    """A proxy that every request passes, whatever host it is for; it has nothing, and leads to no other."""
    with recording(_answer) as recorder:
        yield recorder


@pytest.fixture
def machine(request, monkeypatch, aws_files, wire):
    """The machine, set up."""
    for name in LOCATED:
        monkeypatch.delenv(name, raising=False)
    for name in PROXIES:
        monkeypatch.setenv(name, wire.endpoint)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in request.param.env.items():
        monkeypatch.setenv(name, value)
    aws_files[0].write_text(request.param.config, encoding="utf-8")
    aws_files[1].write_text(request.param.credentials, encoding="utf-8")
    wire.requests.clear()
    return request.param


@dataclass(frozen=True)
class Seen:
    """Where a request went, how it was signed, and for which region."""

    host: str
    path: str
    kind: str
    region: str

    @classmethod
    def of(cls, url, headers):
        """What a request shows."""
        signature = {name.lower(): text for name, text in headers.items()}.get("authorization", "")
        signature = signature.decode() if isinstance(signature, bytes) else signature
        scope = signature.partition("Credential=")[2].split("/")
        parts = urlsplit(url)
        return cls(
            parts.netloc.lower(), parts.path.rstrip("/"), signature.split(" ")[0], scope[2] if len(scope) > 2 else ""
        )


def _kept(client):
    kept = []

    def answer(request, **_):
        kept.append(Seen.of(request.url, request.headers))
        return AWSResponse(request.url, 200, {}, type("Nothing", (), {"stream": lambda *_: [b""]})())

    client.meta.events.register_first("before-send.s3", answer)
    with suppress(Exception):
        client.list_objects_v2(Bucket=client.bucket)
    return kept[0]


def _boto3(machine):
    """What boto3 does on the machine, told what the statement says; AWS sends it to where the bucket lives."""
    options, env = machine.options, machine.env
    keys = {} if "AWS_PROFILE" in options else {"aws_access_key_id": "AKIAONE", "aws_secret_access_key": "one-secret"}
    core = botocore.session.Session(profile=options.get("AWS_PROFILE"))
    core.register_component("data_loader", LOADER)
    session = boto3.Session(botocore_session=core, **keys)
    style = {"s3": {"addressing_style": options["ADDRESSING_STYLE"]}} if "ADDRESSING_STYLE" in options else {}
    region = options.get("REGION") or session.region_name or env.get("AWS_REGION") or "us-east-1"
    client = session.client("s3", region, endpoint_url=options.get("ENDPOINT"), config=Config(**style))
    client.bucket = machine.bucket
    return _kept(client), client


def _connection(machine):
    run = Statements()
    keys = None if "AWS_PROFILE" in machine.options else KEYS
    run(create("lake", keys=keys, VALIDATE=False, **machine.options))
    connection = run.connection("lake")
    if connection.configuration.finds_regions:
        connection.regions.learn(machine.bucket, machine.lives)
    return run, connection


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES, indirect=True)
def test_a_connection_goes_where_boto3_does(machine):
    """Listings, clients, sessions and what is shown of them name the host, style, signer and region of boto3."""
    theirs, client = _boto3(machine)
    run, connection = _connection(machine)
    signed = connection.target(machine.bucket).sign([("list-type", "2")])
    assert Seen.of(signed.url, signed.headers) == theirs
    for ours in (connection.internal_client(machine.bucket), connection.session().client("s3", theirs.region or None)):
        ours.bucket = machine.bucket
        assert _kept(ours) == theirs
    rows = run("DESCRIBE CONNECTION lake").set_index("option")["value"]
    card = run("SHOW CONNECTIONS").iloc[0]
    own = client.meta.endpoint_url.lower().rstrip("/") if machine.names(client.meta.endpoint_url) else None
    shown = (rows["ENDPOINT"], card["endpoint"], own)
    assert {None if pd.isna(url) else url.lower() for url in shown} == {own}
    if own and own not in machine.options.values():
        assert own in str(run("SHOW CREATE S3 CONNECTION lake")).lower()
    assert (rows["FIPS"] == "True") == ("fips" in theirs.host)
    assert (rows["dual-stack"] == "True") == ("dualstack" in theirs.host)
    if "AWS_MAX_ATTEMPTS" in machine.env:
        assert (rows["tries"], rows["request checksums"]) == ("2", "when_required")
        assert connection.client().meta.config.retries["total_max_attempts"] == 2


@pytest.fixture(scope="module")
def duckdb_program():
    """The program of another DuckDB and its httpfs extension."""
    try:
        found = [files(package) or [] for package in ("duckdb-cli", "duckdb-extension-httpfs")]
    except PackageNotFoundError:
        pytest.skip("duckdb-cli or its httpfs is not installed: .ci/run says how")
    stems = ("duckdb", "httpfs")
    return [
        next(str(one.locate()) for one in listed if one.stem == stem and one.parts[0] != "..")
        for listed, stem in zip(found, stems, strict=True)
    ]


def _duckdb(connection, bucket, program):
    text = f"LOAD '{program[1]}'; SET http_retries = 0; {connection.duckdb_secret(bucket)}\nFROM 's3://{bucket}/x.csv';"
    command = [program[0], "-csv", "-noheader"]
    subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False, env={**os.environ})


def _obstore(connection, bucket, _):
    store = connection.obstore(bucket)
    again = S3Store(
        bucket,
        config={f"aws_{key}": value for key, value in store.config.items() if key != "bucket"},
        client_options={"allow_http": True},
        credential_provider=obstore_provider(connection),
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    )
    obstore.get(again, "x.csv")


def _polars(connection, bucket, _):
    options = connection.storage_options("polars", bucket) | {"max_retries": 0}
    pl.read_parquet(f"s3://{bucket}/x.parquet", storage_options=options)


def _deltalake(connection, bucket, _):
    options = connection.storage_options("deltalake", bucket) | {"max_retries": "0"}
    deltalake.DeltaTable(f"s3://{bucket}/x", storage_options=options)


LIBRARIES = {"polars": _polars, "deltalake": _deltalake, "obstore": _obstore, "DuckDB": _duckdb}
# These sign by version 4 alone.
HANDED = {name: machine for name, machine in MACHINES.items() if name != "an older signature"}


@pytest.mark.parametrize("machine", HANDED.values(), ids=HANDED, indirect=True)
def test_libraries_go_where_boto3_does(machine, wire, duckdb_program):
    """What is handed to polars, deltalake, obstore and DuckDB goes to the host, style and region of boto3."""
    theirs, _ = _boto3(machine)
    _, connection = _connection(machine)
    for name, reach in LIBRARIES.items():
        wire.requests.clear()
        with suppress(Exception), ThreadPoolExecutor(1) as pool:
            pool.submit(reach, connection, machine.bucket, duckdb_program).result()
        assert wire.requests, name
        for sent in wire.requests:
            if sent.target.startswith(STS):
                continue
            if sent.method == "CONNECT":
                # DuckDB has a name of its own for the same servers.
                host = sent.target.removesuffix(":443")
                assert theirs.host in {host, host.replace(".s3.us-east-1.", ".s3.")}, name
                continue
            seen = Seen.of(sent.target, sent.headers)
            assert (seen.host, seen.kind, seen.region) == (theirs.host, theirs.kind, theirs.region), name
            assert seen.path.startswith(theirs.path), name
