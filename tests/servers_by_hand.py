"""Every statement on every S3 server that can be had, as a table in Markdown: not part of the suite.

    python tests/servers_by_hand.py [--programs FOLDER] [--keys 15000] [server ...]

Each server is started alone on 127.0.0.1, filled by boto3, asked by each check, and ended. What is right is told by
boto3 on the same server. A cell of the table says that a check works, what the server lacks (a refusal of ours, or a
write that is undone), or, beginning with WRONG, that the answer was not what boto3 sees.
"""

# The folders of the tests' parts are found first, and the outcome is printed.
# ruff: noqa: E402, T201

from __future__ import annotations

import argparse
import base64
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

for folder in ("support", "listing", "."):
    sys.path.insert(0, str(Path(__file__).parent / folder))

import boto3
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config
from botocore.exceptions import ClientError
from hostile_keys import HOSTILE
from real_servers import KINDS, Kind, started
from statements import Statements, create

from s3conn_magic.errors import EncryptionError, InternalError, ReadOnlyConnectionError, S3ConnError
from s3conn_magic.explorer.connections import ConnectionChildren, ConnectionObjects
from s3conn_magic.locations import Location
from s3conn_magic.objects.deleting import Chosen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_NOT_OFFERED = {"NotImplemented", "MethodNotAllowed", "501", "405", "413"}
BUCKET, SPARE, ODD, MANY = "acme-lake", "acme-spare", "acme-odd", "acme-many"
_CHECK_SECONDS = 120
_ORDERS = pd.DataFrame({"id": range(50), "product": [f"p{number % 7}" for number in range(50)], "total": 1.5})
_CUSTOMER_KEY = base64.b64encode(bytes(range(32))).decode()
_KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
_LARGE = 20 * 1024 * 1024
_ENDING = re.compile(r"[\x00-\x1f\x7f]|//|^/|/$|(^|/)\.\.?(/|$)|[^/]{200}|^folder")
"""Keys that a server which keeps them as names of files may end at."""


class WrongAnswerError(Exception):
    """What came is not what boto3 sees."""


def same(got: Any, right: Any) -> None:
    """Refuse an answer that is not the right one.

    Raises:
        WrongAnswerError: they differ; the message shows both, cut.
    """
    if got != right:
        raise WrongAnswerError(f"{str(got)[:160]} is not {str(right)[:160]}")


@dataclass
class Tried:
    """A server, a session with a connection `lake` to it, and boto3's client of it."""

    kind: Kind
    endpoint: str
    s3: Any
    folder: Path
    run: Statements = field(default_factory=Statements)
    put: dict[str, set[str]] = field(default_factory=dict)

    def connect(self, name: str = "lake", **options: Any) -> str:
        """The statement that makes a connection to it."""
        key, secret = self.kind.pair
        pair = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        return create(name, ENDPOINT=self.endpoint, **{**pair, **self.kind.options, **options})

    def keys(self, bucket: str, prefix: str = "") -> set[str]:
        """The keys that boto3 lists."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def body(self, key: str, bucket: str = BUCKET, **named: Any) -> bytes:
        """The bytes of an object by boto3."""
        return self.s3.get_object(Bucket=bucket, Key=key, **named)["Body"].read()

    @property
    def connection(self) -> Any:
        """The connection `lake`."""
        return self.run.connection("lake")


def client_of(kind: Kind, endpoint: str) -> Any:
    """boto3's client: by path, without the checksums that many servers do not know."""
    config = Config(
        retries={"max_attempts": 2},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        read_timeout=30,
        max_pool_connections=16,
    )
    key, secret = kind.pair
    options = {"endpoint_url": endpoint, "region_name": "us-east-1", "config": config}
    return boto3.client("s3", aws_access_key_id=key, aws_secret_access_key=secret, **options)


def _files() -> dict[str, bytes]:
    table, parquet = pa.Table.from_pandas(_ORDERS), io.BytesIO()
    pq.write_table(table, parquet)
    text = _ORDERS.to_csv(index=False).encode()
    return {
        "sales/orders.csv": text,
        "sales/orders.csv.gz": gzip.compress(text),
        "sales/orders.json": _ORDERS.to_json(orient="records", lines=True).encode(),
        "sales/orders.parquet": parquet.getvalue(),
        "parts/part-1.csv": text,
        "parts/part-2.csv": text,
        "load/csv/1.csv": text,
        "load/json/1.json": _ORDERS.to_json(orient="records", lines=True).encode(),
        "load/parquet/1.parquet": parquet.getvalue(),
        "load/gone/1.csv": text,
        "load/gone/2.csv": text,
    }


def fill(tried: Tried, count: int) -> None:
    """Put the objects of the checks, as far as the server takes them."""
    for bucket in (BUCKET, SPARE, ODD, MANY):
        tried.s3.create_bucket(Bucket=bucket)
    for key, body in _files().items():
        tried.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def put(bucket: str, key: str) -> str | None:
        try:
            tried.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
            tried.s3.head_object(Bucket=bucket, Key=key)
        except Exception:  # noqa: BLE001 - what the server does not take is not asked for
            return None
        return key

    odd = sorted(key for key in set(HOSTILE.values()) if not (tried.kind.fragile and _ENDING.search(key)))
    tried.put[ODD] = {key for key in odd if put(ODD, key) is not None}
    until = time.monotonic() + 120

    def put_number(number: int) -> None:
        if time.monotonic() < until:
            tried.s3.put_object(Bucket=MANY, Key=f"day={number % 30:02d}/part-{number:06d}.csv", Body=b"")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put_number, range(count)))


# The checks: each returns a word on what worked.


def create_pair(tried: Tried) -> str:
    """CREATE with a key pair, and its card."""
    card = str(tried.run(tried.connect()))
    same("buckets" in card, True)
    return ""


def create_profile(tried: Tried) -> str:
    """CREATE with a profile that names pair and endpoint."""
    key, secret = tried.kind.pair
    file = tried.folder / "aws-config"
    text = f"[profile mine]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\nregion = us-east-1\n"
    file.write_text(f"{text}endpoint_url = {tried.endpoint}\n")
    os.environ["AWS_CONFIG_FILE"] = str(file)
    try:
        tried.run("CREATE S3 CONNECTION by_profile AWS_PROFILE = 'mine'")
        tried.run(f"LIST 's3://{BUCKET}/' USING by_profile")
    finally:
        os.environ["AWS_CONFIG_FILE"] = os.devnull
    return ""


def create_env(tried: Tried) -> str:
    """CREATE with variables of the environment, and a display filter."""
    os.environ["SERVER_KEY"], os.environ["SERVER_SECRET"] = tried.kind.pair
    tried.run(
        f"CREATE S3 CONNECTION by_env ENDPOINT = '{tried.endpoint}' AWS_ACCESS_KEY_ID = ENV 'SERVER_KEY'"
        f" AWS_SECRET_ACCESS_KEY = ENV 'SERVER_SECRET' PATH_DISPLAY_FILTER = 's3://{BUCKET}/sales/'"
    )
    same(len(tried.run("LIST USING by_env RECURSIVE")), 4)
    return ""


def create_role(tried: Tried) -> str:
    """CREATE with a role that STS at the same place gives."""
    tried.run(tried.connect("by_role", AWS_ROLE="arn:aws:iam::123456789012:role/reader"))
    return f"{len(tried.run(f'LIST {BUCKET!r} USING by_role'.replace(BUCKET, f's3://{BUCKET}/')))} rows"


def create_anonymous(tried: Tried) -> str:
    """CREATE without a signature, of a bucket that is not public."""
    try:
        tried.run(f"CREATE S3 CONNECTION nobody ENDPOINT = '{tried.endpoint}' ANONYMOUS = TRUE")
    except S3ConnError as error:
        return f"refused: {type(error).__name__}: {error.message} {error.hint}"
    return "the server lets anybody in"


def wrong_secret(tried: Tried) -> str:
    """CREATE with a wrong secret fails, and makes nothing."""
    error = None
    try:
        tried.run(tried.connect("wrong", AWS_SECRET_ACCESS_KEY="wrong-secret-of-nobody"))
    except S3ConnError as failed:
        error = failed
    if error is None:
        tried.run("DROP CONNECTION wrong")
        return "the server does not look at signatures"
    same("wrong" in tried.run.connections, False)
    if type(error).__name__ != "CredentialsError":
        raise WrongAnswerError(f"{type(error).__name__}: {error}")
    return "refused, as it must be"


def about(tried: Tried) -> str:
    """SHOW CONNECTIONS, DESCRIBE, SHOW CREATE, EXPLAIN, SAVE."""
    same("lake" in list(tried.run("SHOW CONNECTIONS")["name"]), True)
    frame = tried.run("DESCRIBE CONNECTION lake").set_index("option")
    same(frame.loc["ENDPOINT", "value"], tried.endpoint)
    key, secret = tried.kind.pair
    same(secret in str(tried.run("SHOW CREATE S3 CONNECTION lake")), secret in key)
    tried.run(f"EXPLAIN LIST 's3://{BUCKET}/' USING lake")
    tried.run(f"SAVE CONNECTIONS TO '{tried.folder}/saved.usql'")
    return ""


def test_connection(tried: Tried) -> str:
    """TEST CONNECTION … WITH WRITE: every action is allowed or says why not, and nothing stays."""
    before = tried.keys(SPARE)
    frame = tried.run(f"TEST CONNECTION lake LOCATION 's3://{SPARE}/' WITH WRITE")
    same(tried.keys(SPARE), before)
    refused = {row.action: row.detail for row in frame.itertuples() if pd.isna(row.allowed) or not row.allowed}
    for action in ("list buckets", "list", "read", "write", "delete"):
        if action in refused and action != "read":  # there may be nothing to read
            raise WrongAnswerError(f"{action}: {refused[action]}")
    return "; ".join(f"{action}: {detail}" for action, detail in refused.items())


def alter(tried: Tried) -> str:
    """ALTER, whole or not at all."""
    tried.run("ALTER S3 CONNECTION lake SET COMMENT = 'tried'")
    before = tried.connection.settings
    try:
        tried.run("ALTER S3 CONNECTION lake SET ENDPOINT = 'http://127.0.0.1:9'")
    except S3ConnError:
        same(tried.connection.settings == before, True)
        return ""
    raise WrongAnswerError("an endpoint that nobody listens at was taken")


def show_buckets(tried: Tried) -> str:
    """SHOW BUCKETS."""
    right = {bucket["Name"] for bucket in tried.s3.list_buckets()["Buckets"]}
    same(set(tried.run("SHOW BUCKETS USING lake")["bucket"]), right)
    return ""


def list_flat(tried: Tried) -> str:
    """LIST of a folder."""
    answer = tried.s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")
    right = {entry["Key"]: (entry["Size"], entry["ETag"].strip('"')) for entry in answer.get("Contents", [])}
    frame = tried.run(f"LIST 's3://{BUCKET}/' USING lake")
    folders, objects = frame[frame["is_prefix"]], frame[~frame["is_prefix"]]
    same(set(folders["key"]), {entry["Prefix"] for entry in answer["CommonPrefixes"]})
    same({row.key: (row.size, row.etag) for row in objects.itertuples()}, right)
    return ""


def list_recursive(tried: Tried) -> str:
    """LIST RECURSIVE, with MATCHING and LIMIT."""
    same(set(tried.run(f"LIST 's3://{BUCKET}/' USING lake RECURSIVE")["key"]), tried.keys(BUCKET))
    matched = tried.run(f"LIST 's3://{BUCKET}/' USING lake RECURSIVE MATCHING '**/part-*.csv'")
    same(set(matched["key"]), {"parts/part-1.csv", "parts/part-2.csv"})
    same(len(tried.run(f"LIST 's3://{BUCKET}/' USING lake RECURSIVE LIMIT 3")), 3)
    return ""


def list_odd(tried: Tried) -> str:
    """LIST RECURSIVE and flat of odd keys, as many as the server has taken."""
    put = tried.put[ODD]
    try:
        right, note = tried.keys(ODD), ""
    except Exception as error:  # noqa: BLE001 - control characters, say: then what was put is right
        right, note = put, f", of which boto3 can list none ({type(error).__name__})"
    got = set(tried.run(f"LIST 's3://{ODD}/' USING lake RECURSIVE")["key"])
    if got not in (right, put):
        raise WrongAnswerError(
            f"{len(put)} put; missing {sorted(right - got)[:5]!r}, invented {sorted(got - right)[:5]!r}"
        )
    flat, level = set(tried.run(f"LIST 's3://{ODD}/' USING lake")["key"]), {_level(key) for key in got}
    if flat != level and flat != _flat(tried):
        raise WrongAnswerError(f"flat: missing {sorted(level - flat)[:5]!r}, invented {sorted(flat - level)[:5]!r}")
    lost = "" if got == put else f", of which its listing shows {len(got)}"
    return f"{len(put)} of {len(set(HOSTILE.values()))} taken{lost}{note}"


def _flat(tried: Tried) -> set[str]:
    pages = list(tried.s3.get_paginator("list_objects_v2").paginate(Bucket=ODD, Delimiter="/"))
    keys = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    return keys | {entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])}


def _level(key: str) -> str:
    head, slash, _ = key.partition("/")
    return head + slash


def list_many(tried: Tried) -> str:
    """LIST of many pages, ANALYZE of the same."""
    right = tried.keys(MANY)
    frame = tried.run(f"LIST 's3://{MANY}/' USING lake RECURSIVE LIMIT ALL")
    same(len(frame), len(right))
    same(set(frame["key"]), right)
    result = tried.run(f"ANALYZE 's3://{MANY}/' USING lake BY PREFIX")
    frame = getattr(result, "frame", result)
    same(int(frame["objects"].sum()), len(right))
    return f"{len(right):,} keys"


def list_versions(tried: Tried) -> str:
    """LIST VERSIONS in a bucket with versioning."""
    try:
        tried.s3.put_bucket_versioning(Bucket=SPARE, VersioningConfiguration={"Status": "Enabled"})
    except Exception as error:  # noqa: BLE001 - then the statement must say so, too
        note = f"no versioning ({type(error).__name__})"
    else:
        note = ""
    try:
        for body in (b"1", b"22"):
            tried.s3.put_object(Bucket=SPARE, Key="versioned", Body=body)
        tried.s3.delete_object(Bucket=SPARE, Key="versioned")
        tried.s3.put_object(Bucket=SPARE, Key="versioned", Body=b"333")
        frame = tried.run(f"LIST 's3://{SPARE}/versioned' USING lake VERSIONS RECURSIVE")
        answer = tried.s3.list_object_versions(Bucket=SPARE, Prefix="versioned")
        right = {entry["VersionId"] for name in ("Versions", "DeleteMarkers") for entry in answer.get(name, [])}
        same(set(frame["version_id"].dropna()), right)
        same(set(frame["key"]), {"versioned"})
        return note or f"{len(right)} versions"
    finally:
        _suspend(tried)


def _suspend(tried: Tried) -> None:
    with suppress(Exception):  # a server without versioning
        tried.s3.put_bucket_versioning(Bucket=SPARE, VersioningConfiguration={"Status": "Suspended"})


def missing(tried: Tried) -> str:
    """A bucket and an object that are not there are said to be missing."""
    for statement, kind in (
        ("LIST 's3://acme-not-there/' USING lake", "BucketNotFoundError"),
        (f"PREVIEW 's3://{BUCKET}/not/there.csv' USING lake", "ObjectNotFoundError"),
        (f"SELECT * FROM 's3://lake@{BUCKET}/not/there.csv'", "ObjectNotFoundError"),
    ):
        try:
            tried.run(statement)
        except S3ConnError as error:
            if type(error).__name__ != kind:
                raise WrongAnswerError(f"{statement}: {type(error).__name__}: {error}") from None
        else:
            raise WrongAnswerError(f"{statement} worked")
    return ""


def preview(tried: Tried) -> str:
    """PREVIEW of each format."""
    for ending in ("csv", "csv.gz", "json", "parquet"):
        shown = tried.run(f"PREVIEW 's3://{BUCKET}/sales/orders.{ending}' USING lake LIMIT 5")
        frame = getattr(shown, "frame", shown)
        same(list(frame["id"]), [0, 1, 2, 3, 4])
    return ""


def select(tried: Tried) -> str:
    """SELECT of one object in each format, of several by a pattern, and of a join."""
    for ending in ("csv", "csv.gz", "json", "parquet"):
        frame = tried.run(f"SELECT count(*) AS n, sum(id) AS s FROM 's3://lake@{BUCKET}/sales/orders.{ending}'")
        same(list(frame.iloc[0]), [50, sum(range(50))])
    same(int(tried.run(f"SELECT count(*) AS n FROM 's3://lake@{BUCKET}/parts/*.csv'")["n"][0]), 100)
    same(int(tried.run(f"SELECT count(*) AS n FROM 's3://lake@{BUCKET}/**/*.parquet'")["n"][0]), 100)
    return ""


def copy(tried: Tried) -> str:
    """COPY FROM S3 of CSV, JSON and Parquet, twice: the second run loads nothing."""
    for name in ("csv", "json", "parquet"):
        tried.run(f"CREATE JOB load_{name} AS COPY FROM S3 lake LOCATION = 's3://{BUCKET}/load/{name}/' INTO t_{name}")
        tried.run(f"RUN JOB load_{name}")
        same(int(tried.run(f"SELECT count(*) AS n FROM t_{name}")["n"][0]), 50)
    return ""


def copy_and_delete(tried: Tried) -> str:
    """COPY with DELETE_FILES_AFTER_LOAD: rows are there, the objects are gone."""
    said = tried.run(
        f"CREATE JOB load_gone AS COPY FROM S3 lake LOCATION = 's3://{BUCKET}/load/gone/'"
        " DELETE_FILES_AFTER_LOAD = TRUE INTO t_gone"
    )
    same(int(tried.run("SELECT count(*) AS n FROM t_gone")["n"][0]), 100)
    same(tried.keys(BUCKET, "load/gone/"), set())
    return _note(said, "the server")


def _note(said: Any, word: str) -> str:
    return "; ".join(line.strip() for line in str(said).splitlines() if word in line)[:200]


def insert(tried: Tried) -> str:
    """INSERT INTO S3 as Parquet, CSV and JSON; run again it replaces its own, and never another's object."""
    notes = set()
    for form in ("PARQUET", "CSV", "JSON"):
        where = f"s3://{BUCKET}/out/{form.lower()}/"
        query = f"SELECT * FROM 's3://lake@{BUCKET}/sales/orders.parquet'"
        said = tried.run(
            f"CREATE JOB out_{form.lower()} AS INSERT INTO S3 lake LOCATION = '{where}' FILE_FORMAT = {form} {query}"
        )
        notes.add(_note(said, "the server"))
        notes.add(_note(tried.run(f"RUN JOB out_{form.lower()}"), "the server"))
        same(int(tried.run(f"SELECT sum(id) AS s FROM '{where.replace('s3://', 's3://lake@')}*'")["s"][0]), 1225)
    tried.s3.put_object(Bucket=BUCKET, Key="out/other/foreign.csv", Body=b"not ours")
    try:
        tried.run(
            f"CREATE JOB foreign AS INSERT INTO S3 lake LOCATION = 's3://{BUCKET}/out/other/' FILE_FORMAT = CSV"
            " COMPRESSION = NONE SELECT 1 AS a"
        )
    except S3ConnError:
        same(tried.body("out/other/foreign.csv"), b"not ours")
    else:
        raise WrongAnswerError("an object of another was replaced")
    return "; ".join(sorted(notes - {""}))


def link(tried: Tried) -> str:
    """A link to an object gives its bytes to anybody."""
    shown = ConnectionObjects(lambda _: tried.connection).presign(Location(BUCKET, "sales/orders.csv"), 600, None)
    with urllib.request.urlopen(shown.url, timeout=20) as answer:
        same(answer.read(), tried.body("sales/orders.csv"))
    return ""


def explorer(tried: Tried) -> str:
    """The explorer's pages, what it tells of an object, upload, download and deletion."""
    connection = tried.connection
    children, objects = ConnectionChildren(lambda: connection), ConnectionObjects(lambda _: connection)
    keys, token, pages = set(), None, 0
    while pages == 0 or (token and pages < 40):
        page = children(Location(MANY, "day=01/"), token, cancelled=lambda: False)
        keys |= {entry.location.key for entry in page.entries}
        token, pages = page.token, pages + 1
    same(keys, tried.keys(MANY, "day=01/"))
    place = Location(BUCKET, "up/new file+1.txt")
    upload = objects.upload(place, 7, "text/plain", overwrite=False, replaces=None)
    upload.write(b"content")
    upload.finish()
    same(tried.body(place.key), b"content")
    same(objects.describe(place, None).size, 7)
    again = objects.upload(place, 3, "text/plain", overwrite=False, replaces=None)
    try:
        again.write(b"new")
        again.finish()
    except S3ConnError:
        same(tried.body(place.key), b"content")
    else:
        raise WrongAnswerError("an upload replaced what it was not told to")
    same(b"".join(objects.download(place, None, None).pieces()), b"content")
    versioning = objects.versioning(place)
    for number in range(30):
        tried.s3.put_object(Bucket=BUCKET, Key=f"up/many/{number}", Body=b"x")
    seen = objects.find([Chosen(Location(BUCKET, "up/"), is_prefix=True)], 1000, lambda: False)
    outcomes = list(objects.delete(seen, place, lambda: False))
    failures = {key: why for outcome in outcomes for key, why in outcome.failures.items()}
    same(failures, {})
    same(tried.keys(BUCKET, "up/"), set())
    return f"versioning {'cannot be known' if versioning is None else versioning or 'off'}"


def multipart(tried: Tried) -> str:
    """A file of 20 MiB written in parts, and read back."""
    files, body = tried.connection.fsspec(), os.urandom(_LARGE)
    with files.open(f"{BUCKET}/parts.bin", "wb", block_size=8 * 1024 * 1024) as file:
        file.write(body)
    same(tried.body("parts.bin") == body, True)
    same(files.cat_file(f"{BUCKET}/parts.bin") == body, True)
    same(files.cat_file(f"{BUCKET}/parts.bin", start=5_000_000, end=5_000_100), body[5_000_000:5_000_100])
    return ""


def by_fsspec(tried: Tried) -> str:
    """By fsspec and pandas: list, read, write, move, remove."""
    files = tried.connection.fsspec()
    same({path.partition("/")[2] for path in files.find(f"{BUCKET}/sales")}, tried.keys(BUCKET, "sales/"))
    options = tried.connection.storage_options("pandas")
    same(len(pd.read_csv(f"s3://{BUCKET}/sales/orders.csv", storage_options=options)), 50)
    _ORDERS.to_csv(f"s3://{BUCKET}/fs/a.csv", index=False, storage_options=options)
    files.mv(f"{BUCKET}/fs/a.csv", f"{BUCKET}/fs/b.csv")
    same(tried.keys(BUCKET, "fs/"), {"fs/b.csv"})
    same(tried.body("fs/b.csv"), _ORDERS.to_csv(index=False).encode())
    files.rm(f"{BUCKET}/fs", recursive=True)
    same(tried.keys(BUCKET, "fs/"), set())
    return ""


def by_pyarrow(tried: Tried) -> str:
    """Datasets of pyarrow by the connection's filesystem."""
    import pyarrow.dataset as ds

    files = tried.connection.pyarrow_filesystem()
    same(ds.dataset(f"{BUCKET}/sales/orders.parquet", filesystem=files).count_rows(), 50)
    pq.write_table(pa.Table.from_pandas(_ORDERS), f"{BUCKET}/arrow/o.parquet", filesystem=files)
    same(pq.read_table(io.BytesIO(tried.body("arrow/o.parquet"))).num_rows, 50)
    return ""


def by_polars(tried: Tried) -> str:
    """Polars by options of the connection."""
    import polars as pl

    options = tried.connection.storage_options("polars", bucket=BUCKET)
    key, secret = tried.kind.pair
    plain = {"endpoint_url": tried.endpoint, "access_key_id": key, "secret_access_key": secret, "region": "us-east-1"}
    for scan, name in ((pl.scan_csv, "orders.csv"), (pl.scan_parquet, "*.parquet")):
        try:
            same(scan(f"s3://{BUCKET}/sales/{name}", storage_options=options).collect().height, 50)
        except OSError as error:
            with suppress(OSError):
                scan(f"s3://{BUCKET}/sales/{name}", storage_options=plain).collect()
                raise
            return f"LACKS {error}"  # it does not read from this server, whatever it is told
    return ""


def by_obstore(tried: Tried) -> str:
    """By obstore and the connection."""
    import obstore

    store = tried.connection.obstore(BUCKET)
    same(bytes(obstore.get(store, "sales/orders.csv").bytes()), tried.body("sales/orders.csv"))
    obstore.put(store, "ob/x", b"content")
    same(tried.body("ob/x"), b"content")
    same({entry["path"] for page in obstore.list(store, "sales") for entry in page}, tried.keys(BUCKET, "sales/"))
    return ""


def by_deltalake(tried: Tried) -> str:
    """delta-rs by options, and the table that it wrote by SELECT."""
    import deltalake

    options = tried.connection.storage_options("deltalake", bucket=BUCKET)
    try:
        deltalake.write_deltalake(f"s3://{BUCKET}/delta", pa.Table.from_pandas(_ORDERS), storage_options=options)
    except OSError as error:
        if "NotImplemented" not in str(error):
            raise
        return f"LACKS {error}"  # delta-rs writes nothing without conditions
    same(int(tried.run(f"SELECT count(*) AS n FROM 's3://lake@{BUCKET}/delta'")["n"][0]), 50)
    return ""


def by_boto3(tried: Tried) -> str:
    """Sessions, clients and resources of the connection, with boto3's checksums at their defaults of ours."""
    session = tried.connection.session()
    bucket = session.resource("s3").Bucket(BUCKET)
    bucket.put_object(Key="boto/x", Body=b"content")
    bucket.upload_fileobj(io.BytesIO(b"y" * 9_000_000), "boto/y")
    same(len(tried.body("boto/y")), 9_000_000)
    same({entry.key for entry in bucket.objects.filter(Prefix="boto/")}, {"boto/x", "boto/y"})
    tried.connection.client("s3").delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "boto/x"}]})
    same(tried.keys(BUCKET, "boto/"), {"boto/y"})
    return ""


def by_duckdb(tried: Tried) -> str:
    """A DuckDB of one's own by the secret, where its extension httpfs is installed."""
    import duckdb

    own = duckdb.connect()
    try:
        own.execute("LOAD httpfs")
    except duckdb.Error:
        raise ImportError("no httpfs", name="DuckDB's extension httpfs") from None
    own.execute(tried.connection.duckdb_secret(BUCKET))
    same(own.sql(f"SELECT count(*) FROM 's3://{BUCKET}/sales/orders.parquet'").fetchone(), (50,))
    return ""


def customer_key(tried: Tried) -> str:
    """SSE-C: what is written cannot be read without the key, or the write fails and nothing is there."""
    options = {"ENCRYPTION_CUSTOMER_MANAGED_KEY": _CUSTOMER_KEY}
    return _encrypted(
        tried, "with_key", options, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))}
    )


def kms_key(tried: Tried) -> str:
    """SSE-KMS: the object says so, or the write fails and nothing is there."""
    return _encrypted(tried, "with_kms", {"ENCRYPTION_KMS_KEY": _KMS_KEY}, {})


def _encrypted(tried: Tried, name: str, options: dict[str, str], read_by: dict[str, Any]) -> str:
    tried.run(tried.connect(name, **options))
    key, refusals = f"{name}/o.csv", []
    try:
        _ORDERS.to_csv(
            f"s3://{BUCKET}/{key}", index=False, storage_options=tried.run.connection(name).storage_options("pandas")
        )
    except EncryptionError as error:
        same(tried.keys(BUCKET, f"{name}/"), set())
        refusals.append(f"refused and undone: {error.message}")
    except S3ConnError as error:
        same(tried.keys(BUCKET, f"{name}/"), set())
        refusals.append(f"refused: {error.message} {error.hint}")
    if refusals:
        return f"LACKS {refusals[0]}"
    head = tried.s3.head_object(Bucket=BUCKET, Key=key, **read_by)
    if read_by:
        try:
            tried.body(key)
        except ClientError:
            pass
        else:
            raise WrongAnswerError("what was written with a customer's key is read by anybody")
        try:
            tried.run(f"SELECT * FROM 's3://lake@{BUCKET}/{key}'")
        except S3ConnError as error:
            said = f"without the key: {type(error).__name__}: {error.message}. {error.hint}"
        else:
            raise WrongAnswerError("SELECT reads it without the key")
    else:
        same(head.get("ServerSideEncryption"), "aws:kms")
        said = ""
    same(int(tried.run(f"SELECT count(*) AS n FROM 's3://{name}@{BUCKET}/{key}'")["n"][0]), 50)
    same(len(tried.run(f"PREVIEW 's3://{BUCKET}/{key}' USING {name}").frame), 50)
    return said


def read_only(tried: Tried) -> str:
    """READ_ONLY refuses before a request, and reads."""
    tried.run(tried.connect("reader", READ_ONLY=True))
    same(int(tried.run(f"SELECT count(*) AS n FROM 's3://reader@{BUCKET}/sales/orders.csv'")["n"][0]), 50)
    for action in (
        lambda: tried.run(f"CREATE JOB no AS INSERT INTO S3 reader LOCATION = 's3://{BUCKET}/no/' SELECT 1 AS a"),
        lambda: tried.run.connection("reader").fsspec().pipe_file(f"{BUCKET}/no/x", b"x"),
        lambda: tried.run.connection("reader").client("s3").put_object(Bucket=BUCKET, Key="no/y", Body=b"x"),
    ):
        try:
            action()
        except ReadOnlyConnectionError:
            continue
        raise WrongAnswerError("a write through a READ_ONLY connection")
    same(tried.keys(BUCKET, "no/"), set())
    return ""


def drop(tried: Tried) -> str:
    """DROP: refused while jobs depend on it, done with CASCADE."""
    try:
        tried.run("DROP CONNECTION lake")
    except S3ConnError:
        tried.run("DROP CONNECTION lake CASCADE")
    same("lake" in tried.run.connections, False)
    return ""


CHECKS: dict[str, Callable[[Tried], str]] = {
    "CREATE: key pair": create_pair,
    "CREATE: profile": create_profile,
    "CREATE: ENV, display filter": create_env,
    "CREATE: AWS_ROLE": create_role,
    "CREATE: ANONYMOUS": create_anonymous,
    "CREATE: wrong secret": wrong_secret,
    "SHOW, DESCRIBE, EXPLAIN, SAVE": about,
    "TEST … WITH WRITE": test_connection,
    "ALTER": alter,
    "SHOW BUCKETS": show_buckets,
    "LIST": list_flat,
    "LIST RECURSIVE, MATCHING": list_recursive,
    "LIST, odd keys": list_odd,
    "LIST, ANALYZE, many keys": list_many,
    "LIST VERSIONS": list_versions,
    "what is not there": missing,
    "PREVIEW": preview,
    "SELECT": select,
    "COPY FROM S3": copy,
    "COPY, DELETE_FILES": copy_and_delete,
    "INSERT INTO S3": insert,
    "link": link,
    "EXPLORE, upload, delete": explorer,
    "20 MiB in parts": multipart,
    "fsspec, pandas": by_fsspec,
    "pyarrow": by_pyarrow,
    "Polars": by_polars,
    "obstore": by_obstore,
    "delta-rs": by_deltalake,
    "boto3": by_boto3,
    "DuckDB": by_duckdb,
    "SSE-C": customer_key,
    "SSE-KMS": kms_key,
    "READ_ONLY": read_only,
    "DROP": drop,
}


class TooLongError(Exception):
    """A check does not end."""


def _bell(*_: object) -> None:
    raise TooLongError(f"no end within {_CHECK_SECONDS} s")


def outcome(check: Callable[[Tried], str], tried: Tried) -> str:
    """What a check comes to, as a cell: `works`, `lacks` or `WRONG`, and what is to be said of it."""
    signal.signal(signal.SIGALRM, _bell)
    signal.alarm(_CHECK_SECONDS)
    tried.run.notes.clear()
    try:
        said = check(tried)
    except S3ConnError as error:
        word = "WRONG" if isinstance(error, InternalError) else "lacks"
        return f"{word}: {type(error).__name__}: {error.message}. {error.hint}".strip()
    except ImportError as error:
        return f"not tried: {error.name} is not installed"
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return f"{'lacks' if code in _NOT_OFFERED else 'WRONG'}: {error}"
    except (Exception, TooLongError) as error:  # noqa: BLE001 - the table has it
        if os.environ.get("TRACE"):
            traceback.print_exc()
        return f"WRONG: {type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    notes = "; ".join(note for note in tried.run.notes if "server" in note)
    if said.startswith("LACKS "):
        return f"lacks: {said[6:]}"
    return f"works: {said or notes}".strip(": ")


def try_one(kind: Kind, programs: Path, count: int, only: Iterable[str]) -> dict[str, str]:
    """Every check on one server."""
    os.environ.update(AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull)
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    with tempfile.TemporaryDirectory() as folder, started(kind, programs, Path(folder) / "server") as endpoint:
        tried = Tried(kind, endpoint, client_of(kind, endpoint), Path(folder))
        fill(tried, count)
        wanted = {"CREATE: key pair", *only} if only else CHECKS
        cells = {}
        for name, check in CHECKS.items():
            if name in wanted:
                began = time.monotonic()
                cells[name] = outcome(check, tried)
                seconds = time.monotonic() - began
                print(f"{kind.name:12} {name:28} {seconds:5.1f} s {cells[name]}", file=sys.stderr, flush=True)
        return cells


def table(cells: dict[str, dict[str, str]]) -> str:
    """The table in Markdown, and below it what is to be said of each cell that is not plain."""
    head = f"| | {' | '.join(cells)} |\n|---|{'---|' * len(cells)}"
    lines = [f"| {name} | {' | '.join(_mark(row.get(name, '')) for row in cells.values())} |" for name in CHECKS]
    notes = [
        f"- {server}, {name}: {cell}" for server, row in cells.items() for name, cell in row.items() if cell != "works"
    ]
    return "\n".join([head, *lines, "", *(" ".join(note.split()) for note in notes)])


def _mark(cell: str) -> str:
    return {"works": "yes", "lacks": "no", "WRONG": "**wrong**", "not tried": "–"}.get(cell.partition(":")[0], "")


def main() -> None:
    """Run it, each server in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", default=list(KINDS), metavar="server", help=", ".join(KINDS))
    parser.add_argument("--programs", type=Path, default=Path.home() / ".cache" / "s3-servers")
    parser.add_argument("--keys", type=int, default=15_000)
    parser.add_argument("--only", action="append", default=[], help="a check, by its name in the table")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends, too
        kind = KINDS[given.servers[0]]
        kind.install(given.programs)
        print(json.dumps(try_one(kind, given.programs, given.keys, given.only)))
        return
    cells = {}
    for name in given.servers:
        options = ["--programs", given.programs, "--keys", str(given.keys), *(f"--only={only}" for only in given.only)]
        done = subprocess.run(
            [sys.executable, __file__, "--one", name, *options], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            print(f"{name}: could not be had", file=sys.stderr)
        else:
            cells[name] = json.loads(done.stdout.splitlines()[-1])
    print(table(cells))


if __name__ == "__main__":
    main()
