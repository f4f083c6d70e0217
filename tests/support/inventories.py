"""Reports of S3 Inventory, made as AWS makes them, and put into a bucket."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import pyarrow as pa
from pyarrow import orc, parquet

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMATS = ("CSV", "ORC", "Parquet")
START = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
BUCKET = "acme-huge"
FOLDER = "daily/2026-01-03T01-00Z"
CURRENT = ("bucket", "key", "size", "last_modified_date", "e_tag", "storage_class", "is_multipart_uploaded")
VERSIONS = (*CURRENT[:2], "version_id", "is_latest", "is_delete_marker", *CURRENT[2:])
_CSV_NAMES = {"e_tag": "ETag", "last_modified_date": "LastModifiedDate"}
_TYPES = {
    "size": (pa.int64(), "bigint", "optional int64 size"),
    "last_modified_date": (pa.timestamp("ms"), "timestamp", "optional int64 last_modified_date (TIMESTAMP_MILLIS)"),
    "is_latest": (pa.bool_(), "boolean", "optional boolean is_latest"),
    "is_delete_marker": (pa.bool_(), "boolean", "optional boolean is_delete_marker"),
    "is_multipart_uploaded": (pa.bool_(), "boolean", "optional boolean is_multipart_uploaded"),
    "checksum_algorithm": (
        pa.list_(pa.string()),
        "array<string>",
        "optional group checksum_algorithm (LIST) { repeated group list { optional binary element (UTF8); } }",
    ),
}


def row(key: str, number: int, **more: Any) -> dict[str, Any]:
    """One row of an inventory."""
    told = {
        "bucket": BUCKET,
        "key": key,
        "size": number * 1000,
        "last_modified_date": START + timedelta(seconds=number),
        "e_tag": md5(key.encode("utf-8", "surrogatepass")).hexdigest(),
        "storage_class": "GLACIER" if number % 3 == 2 else "STANDARD",
        "is_multipart_uploaded": False,
        "checksum_algorithm": ["SHA256"],
    }
    return told | more


@dataclass
class Report:
    """A report: a list of rows for each data file.

    `objects` are its objects by key: the data files, the manifest and its checksum. A test may bend them.
    """

    parts: Sequence[Sequence[dict[str, Any]]]
    file_format: str = "CSV"
    fields: Sequence[str] = CURRENT
    kept_in: str = "acme-empty"
    manifest: dict[str, Any] = field(init=False)
    objects: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.objects, files = {}, []
        for at, rows in enumerate(self.parts):
            body = _WRITERS[self.file_format](rows, self.fields)
            key = f"daily/data/part-{at}.{'csv.gz' if self.file_format == 'CSV' else self.file_format.lower()}"
            self.objects[key] = body
            digest = md5(body).hexdigest()
            files.append({"key": key, "size": len(body), "MD5checksum": digest})
        self.manifest = {
            "sourceBucket": BUCKET,
            "destinationBucket": f"arn:aws:s3:::{self.kept_in}",
            "version": "2016-11-30",
            "creationTimestamp": str(int(START.timestamp() * 1000)),
            "fileFormat": self.file_format,
            "fileSchema": schema(self.file_format, self.fields),
            "files": files,
        }
        self.sealed()

    def sealed(self) -> Report:
        """Write the manifest and its checksum anew."""
        text = json.dumps(self.manifest, indent=2).encode()
        self.objects[f"{FOLDER}/manifest.json"] = text
        self.objects[f"{FOLDER}/manifest.checksum"] = md5(text).hexdigest().encode() + b"\n"
        return self

    @property
    def location(self) -> str:
        """Where its manifest is."""
        return f"s3://{self.kept_in}/{FOLDER}/manifest.json"

    def put(self, s3: Any) -> Report:
        """Put its objects into the bucket."""
        for key, body in self.objects.items():
            s3.put_object(Bucket=self.kept_in, Key=key, Body=body)
        return self


def schema(file_format: str, fields: Sequence[str]) -> str:
    """The `fileSchema` of a manifest."""
    if file_format == "CSV":
        return ", ".join(_csv_name(one) for one in fields)
    if file_format == "ORC":
        typed = [f"{one}:{_TYPES[one][1] if one in _TYPES else 'string'}" for one in fields]
        return f"struct<{','.join(typed)}>"
    declared = [_TYPES[one][2] if one in _TYPES else f"optional binary {one} (UTF8)" for one in fields]
    return "message s3.inventory {\n" + "".join(f"  {one};\n" for one in declared) + "}\n"


def _csv_name(name: str) -> str:
    return _CSV_NAMES.get(name) or "".join(word.capitalize() for word in name.split("_"))


def _csv(rows: Sequence[dict[str, Any]], fields: Sequence[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([_csv_value(name, one.get(name)) for name in fields] for one in rows)
    return gzip.compress(text.getvalue().encode())


def _csv_value(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "key":
        return quote_plus(value, safe="/")
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(rows: Sequence[dict[str, Any]], fields: Sequence[str]) -> pa.Table:
    types = [(name, _TYPES[name][0] if name in _TYPES else pa.string()) for name in fields]
    plain = [{name: _plain(one.get(name)) for name in fields} for one in rows]
    return pa.Table.from_pylist(plain, pa.schema(types))


def _plain(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def _orc(rows: Sequence[dict[str, Any]], fields: Sequence[str]) -> bytes:
    sink = io.BytesIO()
    orc.write_table(_table(rows, fields), sink, compression="zlib")
    return sink.getvalue()


def _parquet(rows: Sequence[dict[str, Any]], fields: Sequence[str]) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(_table(rows, fields), sink, row_group_size=50)
    return sink.getvalue()


_WRITERS = {"CSV": _csv, "ORC": _orc, "Parquet": _parquet}
