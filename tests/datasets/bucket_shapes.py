"""Buckets that somebody could have: their objects by key, and the datasets that a data engineer would name in them."""

from __future__ import annotations

import gzip
import io
import json
import uuid
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable

_RANDOM = Random(7)
Objects = dict[str, bytes]
Expected = dict[str, int]
"""Objects of each dataset, by its location's key."""


def parquet(rows: int, **columns: Any) -> bytes:
    """A file with columns of one value each."""
    out = io.BytesIO()
    pq.write_table(pa.table({name: pa.array([value] * rows) for name, value in columns.items()}), out)
    return out.getvalue()


def csv(rows: int, *names: str, first: object = 1) -> bytes:
    """A text with a header; the first column is a number, the others are texts."""
    lines = [",".join(names)]
    lines += [",".join([str(first), *(f"{name}{row}" for name in names[1:])]) for row in range(rows)]
    return ("\n".join(lines) + "\n").encode()


def lines(rows: int, **fields: Any) -> bytes:
    """JSON lines."""
    return "".join(json.dumps(fields) + "\n" for _ in range(rows)).encode()


def _uuid() -> str:
    return str(uuid.UUID(int=_RANDOM.getrandbits(128), version=4))


def hive() -> tuple[Objects, Expected]:
    """Parquet in Hive partitions, whose columns change in a month."""
    made = {}
    for year in (2023, 2024):
        for month in range(1, 13):
            more = {"channel": "web"} if (year, month) >= (2024, 10) else {}
            ident: object = "a-1" if more else 1
            body = parquet(50, id=ident, price=2.5, **more)
            made[f"sales/year={year}/month={month:02}/part-00000-{_uuid()}.snappy.parquet"] = body
    return made, {"sales/year=*/month=*/*.parquet": 24}


def logs() -> tuple[Objects, Expected]:
    """Logs by date in three layouts."""
    made: Objects = {}
    for month in (1, 2):
        for day in range(1, 11):
            body = gzip.compress(lines(40, level="info", message="hello", n=day))
            made[f"app/2024/{month:02}/{day:02}/events-{_uuid()}.json.gz"] = body
            made[f"web/2024-{month:02}-{day:02}/access.csv"] = csv(20, "status", "path")
            made[f"flat/audit-2024-{month:02}-{day:02}.jsonl"] = lines(10, who="me", what="login")
    return made, {"app/*/*/*/events-*.json.gz": 20, "web/*/access.csv": 20, "flat/audit-*.jsonl": 20}


def spark() -> tuple[Objects, Expected]:
    """What Spark leaves: markers, checksums, work in progress, and the rows."""
    made: Objects = {"out/_SUCCESS": b"", "out/": b"", "out/._SUCCESS.crc": b"crc"}
    for part in range(5):
        name = f"part-{part:05}-{_uuid()}-c000.snappy.parquet"
        made[f"out/{name}"] = parquet(10, a=1, b="x")
        made[f"out/.{name}.crc"] = b"crc"
        made[f"out/_temporary/0/task_2024{part}/{name}"] = parquet(3, a=1, b="x")
    return made, {"out/*.parquet": 5}


def tenants() -> tuple[Objects, Expected]:
    """Tables of tenants: one dataset for each table, whoever's it is."""
    made: Objects = {}
    for tenant in ("acme", "globex", "initech", "umbrella", "hooli"):
        for part in range(3):
            made[f"{tenant}/orders/part-{part}.parquet"] = parquet(5, order=1, total=2.0)
            made[f"{tenant}/users/part-{part}.parquet"] = parquet(4, user=1, mail="x@y")
            made[f"{tenant}/events/part-{part}.parquet"] = parquet(3, event="e", at=2, user=3)
    return made, {f"*/{table}/*.parquet": 15 for table in ("orders", "users", "events")}


def flat(count: int = 3_000) -> tuple[Objects, Expected]:
    """One folder of ids."""
    return {f"blobs/{_uuid()}": b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n' for _ in range(count)}, {"blobs/*": count}


def lakes() -> tuple[Objects, Expected]:
    """Lake tables among CSVs."""
    made: Objects = {f"raw/prices_{day:02}.csv": csv(10, "id", "price") for day in range(1, 6)}
    schema = {"type": "struct", "fields": [{"name": "id", "type": "long", "nullable": True, "metadata": {}}]}
    body = parquet(7, id=1)
    for number in range(2):
        actions: list[Any] = [] if number else [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}]
        actions += [] if number else [_delta_metadata(schema)]
        name = f"part-0000{number}-{_uuid()}.parquet"
        stats = json.dumps({"numRecords": 7})
        add = {"path": name, "partitionValues": {}, "size": len(body), "modificationTime": 1, "dataChange": True}
        actions.append({"add": {**add, "stats": stats}})
        made[f"tables/orders/_delta_log/{number:020}.json"] = "\n".join(map(json.dumps, actions)).encode()
        made[f"tables/orders/{name}"] = body
    made["README.md"] = b"# hello"
    return made, {"raw/prices_*.csv": 5, "tables/orders/": 4}


def _delta_metadata(schema: Any) -> Any:
    format_ = {"provider": "parquet", "options": {}}
    kept = {"id": "t", "format": format_, "schemaString": json.dumps(schema), "partitionColumns": []}
    return {"metaData": {**kept, "configuration": {}, "createdTime": 1}}


def unequal() -> tuple[Objects, Expected]:
    """A dataset for each customer, no two of them with the same columns."""
    kinds = {"acme": ("id", "a"), "globex": ("x", "y", "z"), "hooli": ("k", "v")}
    return {f"{name}/export.csv": csv(9, *columns) for name, columns in kinds.items()}, {
        f"{name}/export.csv": 1 for name in kinds
    }


def snapshots() -> tuple[Objects, Expected]:
    """One file a day, in the root."""
    made = {f"users_2024-01-{day:02}.csv": csv(10, "id", "name") for day in range(1, 29)}
    return made, {"users_*.csv": 28}


def images() -> tuple[Objects, Expected]:
    """Pictures with labels for folders."""
    made = {
        f"train/{label}/{label}.{number}.jpg": b"\xff\xd8\xff" + bytes([number]) * 50
        for label in ("cat", "dog", "horse")
        for number in range(4)
    }
    return made, {"train/*/*.jpg": 12}


def single() -> tuple[Objects, Expected]:
    """One CSV in the root."""
    return {"people.csv": csv(5, "id", "name")}, {"people.csv": 1}


def two_formats() -> tuple[Objects, Expected]:
    """The same rows twice."""
    made: Objects = {f"sales/part-{part}.csv": csv(5, "id", "name") for part in range(3)}
    made |= {f"sales/part-{part}.parquet": parquet(5, id=1, name="x") for part in range(3)}
    return made, {"sales/*.csv": 3, "sales/*.parquet": 3}


def packed() -> tuple[Objects, Expected]:
    """Some packed, some not."""
    made: Objects = {f"d/{part:03}.csv": csv(5, "id", "name") for part in range(3)}
    made |= {f"d/{part:03}.csv.gz": gzip.compress(csv(5, "id", "name")) for part in range(3, 6)}
    return made, {"d/*{.csv,.csv.gz}": 6}


_FLOW = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes"
_FLOW += " start end action log-status\n"
_FLOWN = "2 123456789012 eni-1 10.0.0.1 10.0.0.2 443 49152 6 10 840 1620140761 1620140821 ACCEPT OK\n"


def trails() -> tuple[Objects, Expected]:
    """What AWS writes: CloudTrail of two regions, and flow logs."""
    made: Objects = {}
    record = {"Records": [{"eventVersion": "1.08", "eventName": "GetObject", "awsRegion": "x"}]}
    for region in ("us-east-1", "eu-west-1"):
        for day in (1, 2, 3):
            at = f"2024/01/{day:02}"
            trail = f"AWSLogs/123456789012/CloudTrail/{region}/{at}/123456789012_CloudTrail_{region}_2024010{day}T0000Z"
            made[f"{trail}_{_RANDOM.getrandbits(64):016x}.json.gz"] = gzip.compress(json.dumps(record).encode())
            flow = f"AWSLogs/123456789012/vpcflowlogs/{region}/{at}/123456789012_vpcflowlogs_{region}_fl-0a1b"
            made[f"{flow}_2024010{day}T0000Z_{day}.log.gz"] = gzip.compress((_FLOW + _FLOWN * 3).encode())
    return made, {
        "AWSLogs/*/CloudTrail/*/*/*/*/*.json.gz": 6,
        "AWSLogs/*/vpcflowlogs/*/*/*/*/*.log.gz": 6,
    }


def odd_names() -> tuple[Objects, Expected]:
    """Spaces, other scripts, empty folders, encoded values, and folder markers."""
    made: Objects = {
        f"städte/größe={size}%20km/teil {part}.csv": csv(4, "id", "name") for size in ("1", "2") for part in range(2)
    }
    made |= {"a//b/one.csv": csv(4, "x", "y"), "städte/": b"", "empty/": b""}
    return made, {"städte/größe=*/teil *.csv": 4, "a//b/one.csv": 1}


def without_endings() -> tuple[Objects, Expected]:
    """What Hive and Hadoop write."""
    made: Objects = {f"warehouse/t/dt=2024-01-{day:02}/000000_0": parquet(6, id=1, x="a") for day in range(1, 6)}
    return made, {"warehouse/t/dt=*/*": 5}


def events() -> tuple[Objects, Expected]:
    """Hive partitions by a word that is the name of a table: unlike columns are not one dataset."""
    kinds = {"click": {"url": "x"}, "purchase": {"total": 2.5, "sku": "s"}, "signup": {"mail": "x@y"}}
    made: Objects = {}
    for kind, columns in kinds.items():
        for day in range(1, 5):
            made[f"raw/event={kind}/dt=2024-01-{day:02}/part-0.parquet"] = parquet(5, id=1, **columns)
    # One more column of a country is no other table.
    for country in ("DE", "FR", "IT", "US"):
        more = {"state": "NY"} if country == "US" else {}
        made[f"sales/country={country}/{_uuid()}.parquet"] = parquet(5, id=1, total=1.0, **more)
    expected = {f"raw/event={kind}/dt=*/*.parquet": 4 for kind in kinds}
    return made, {**expected, "sales/country=*/*.parquet": 4}


def grid() -> tuple[Objects, Expected]:
    """Tables of many tenants in many regions: as few looks as of one folder for each."""
    made: Objects = {}
    for region in ("ams", "fra", "iad", "sfo", "syd"):
        for tenant in ("acme", "globex", "hooli", "initech", "umbrella", "wonka"):
            for table in ("orders", "users"):
                made[f"{region}/{tenant}/{table}/rows.csv"] = csv(3, "id", table, f"{table}_at")
    return made, {"*/*/orders/rows.csv": 30, "*/*/users/rows.csv": 30}


def streams() -> tuple[Objects, Expected]:
    """An object for each event, of one line of JSON; bills by their first and last days; logs of CloudFront."""
    made: Objects = {}
    fields = (
        b"#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip\n2026-01-01\t01:00:00\tFRA2\t182\t192.0.2.1\n"
    )
    for hour in range(24):
        made[f"cdn/E2KLOGS.2026-01-02-{hour:02}.{_RANDOM.getrandbits(32):08x}.gz"] = gzip.compress(fields)
    for hour in range(24):
        name = f"errors-1-2024-01-02-{hour:02}-00-00-{_uuid()}"
        made[f"failed/2024/01/02/{hour:02}/{name}"] = lines(1, code="x", tries=hour)
    for month in range(1, 4):
        made[f"bills/2024{month:02}01-2024{month + 1:02}01/costs.csv"] = csv(4, "item", "cost")
    return made, {"failed/*/*/*/*/errors-*": 24, "bills/*/costs.csv": 3, "cdn/E*KLOGS.*.gz": 24}


def stores() -> tuple[Objects, Expected]:
    """Arrays of Zarr in both of its versions, few and many beside each other, with a Lance dataset and CSVs."""
    made: Objects = {f"stations/{year}.csv": csv(3, "id", "height") for year in (2024, 2025)}
    for root in ("era5", *(f"runs/model{number:02}.zarr" for number in range(12))):
        made |= {f"{root}/.zgroup": b'{"zarr_format": 2}', f"{root}/temp/.zarray": b"{}", f"{root}/lat/.zarray": b"{}"}
        made |= {f"{root}/temp/{at}.0": bytes(90 + at) for at in range(6)} | {f"{root}/lat/0": bytes(80)}
    made |= {f"new/{array}zarr.json": b"{}" for array in ("", "temp/", "lat/")}
    made |= {f"new/temp/c/{at}/{beside}": bytes(100 + at) for at in range(3) for beside in range(3)}
    made |= {f"vectors.lance/_versions/{at}.manifest": b"m" for at in range(1, 4)}
    made |= {f"vectors.lance/data/{_uuid()}.lance": bytes(300) for _ in range(3)}
    return made, {"stations/*.csv": 2, "era5/": 10, "runs/*.zarr/": 120, "new/": 12, "vectors.lance/": 6}


def exports() -> tuple[Objects, Expected]:
    """Two tables in each folder of a day, which have a column in common, for several tenants."""
    made: Objects = {}
    for folder in (f"{tenant}/2024/01/{day:02}" for tenant in ("acme", "hooli") for day in range(1, 5)):
        made[f"{folder}/orders.csv"] = csv(4, "id", "sku", "count")
        made[f"{folder}/customers.csv"] = csv(3, "id", "name")
    return made, {"*/*/*/*/orders.csv": 8, "*/*/*/*/customers.csv": 8}


def scenes() -> tuple[Objects, Expected]:
    """Folders by place, and below each those of scenes, whose names have the place and two days."""
    made: Objects = {}
    for at in range(12):
        place, month = f"{140 + at % 3}{40 + at:03}", at % 9 + 1
        scene = f"LC08_L2SP_{place}_20240{month}10_20240{month}15_02_T1"
        for ending in ("SR_B1.TIF", "SR_B2.TIF", "MTL.json"):
            body = b'{"scene": 1}\n' if ending == "MTL.json" else b"II*\0" + bytes(at)
            made[f"tirs/2024/{140 + at % 3}/{40 + at:03}/{scene}/{scene}_{ending}"] = body
    return made, {"tirs/*/*/*/*/LC*_L*SP_*_SR_B*.TIF": 24, "tirs/*/*/*/*/LC*_L*SP_*_MTL.json": 12}


def steps() -> tuple[Objects, Expected]:
    """What cluster steps have logged, no two alike, beside a dataset that has its look although they took some."""
    made: Objects = {f"in/2024-01-0{day}/train_{part}.csv": csv(3, "a", "b") for day in range(1, 4) for part in (0, 1)}
    for name in ("controller", "stderr", "stdout"):
        made |= {f"steps/{_uuid()[:8].upper()}X/{_uuid()[:6]}y/{name}.gz": gzip.compress(b"x\n") for _ in range(3)}
    return made, {"in/*/train_*.csv": 6}


def pyramid() -> tuple[Objects, Expected]:
    """Tiles in folders of folders, more of them the further one goes down; and hours for endings."""
    made: Objects = {
        f"tiles/{zoom}/{x}/{y}.png": b"\x89PNG\r\n\x1a\n"
        for zoom in range(4)
        for x in range(2**zoom)
        for y in range(2**zoom)
    }
    made |= {f"gfs.2024010{day}/00/gfs.t00z.f{hour:03}": b"GRIB" + bytes(9) for day in range(1, 5) for hour in range(5)}
    return made, {"tiles/*/*/*.png": 85, "gfs.*/*/gfs.t*z.f*": 20}


BUCKETS: dict[str, Callable[[], tuple[Objects, Expected]]] = {
    made.__name__: made
    for made in (
        *(hive, logs, spark, tenants, flat, lakes, unequal, snapshots, images, single),
        *(two_formats, packed, trails, odd_names, without_endings, events, grid, streams, stores),
        *(exports, scenes, steps, pyramid),
    )
}
