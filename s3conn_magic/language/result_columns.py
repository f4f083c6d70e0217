"""Columns of results, for the reference and the frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["string", "boolean", "integer", "count", "fraction", "amount", "timestamp", "category", "list"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result frame; timestamps are UTC, sizes are bytes, `ms` are milliseconds.

    A count is an integer and a fraction a number from 0 to 1; neither is ever missing. An amount is a decimal number
    that may be missing.
    """

    name: str
    type: ColumnType
    help: str


LISTING_COLUMNS = (
    Column("bucket", "string", "name of the bucket"),
    Column("key", "string", "the exact key, or the exact common prefix"),
    Column("size", "integer", "bytes; missing for a folder"),
    Column("last_modified", "timestamp", "UTC"),
    Column("etag", "string", "ETag, without quotes"),
    Column("storage_class", "category", "STANDARD, GLACIER, …"),
)

VERSION_COLUMNS = (
    Column("version_id", "string", "id of the version"),
    Column("is_latest", "boolean", "whether it is the current version"),
    Column("is_delete_marker", "boolean", "whether it marks a deletion"),
)

EXPLAIN_COLUMNS = (
    Column("call", "string", "service and operation, such as S3 ListObjectsV2"),
    Column("action", "string", "IAM action that allows it; missing if none is needed"),
    Column("resource", "string", "ARN that the request is about"),
    Column("requests", "integer", "number of requests; missing if unknown"),
    Column("bound", "string", "'exactly', 'at least', 'at most' or 'unknown'"),
    Column("usd", "amount", "dollars for these requests at list prices; missing if their number is"),
    Column("detail", "string", "when it is sent, or for each of what"),
)

ANALYSIS_COLUMNS = (
    Column("group", "string", "folders below the location, storage class, extension, range of age or size, or a key"),
    Column("objects", "count", "number of objects"),
    Column("bytes", "count", "sum of their sizes"),
    Column("share", "fraction", "share of all bytes below the location"),
    Column("newest", "timestamp", "last modification of the newest object, UTC"),
    Column("oldest", "timestamp", "last modification of the oldest object, UTC"),
    Column("usd_month", "amount", "dollars a month at list prices (us-east-1, 2025); missing for unknown classes"),
)

DATASET_COLUMNS = (
    Column(
        "dataset", "string", "where it is: a pattern, a folder of a lake table, or one object; `other` for the rest"
    ),
    Column("kind", "string", "files, delta, iceberg, hudi or other"),
    Column("format", "string", "format of its files, by their content"),
    Column("compression", "string", "compression of its files; missing for none"),
    Column("partitions", "list", "each level at which folders differ: name, type, range and number of values"),
    Column("objects", "count", "number of objects"),
    Column("bytes", "count", "sum of their sizes"),
    Column("rows", "integer", "number of rows; missing if unknown"),
    Column("rows_bound", "string", "'exact', 'estimated' or 'unknown'"),
    Column("columns", "list", "names and types, as in the newest objects; missing if there are none"),
    Column("drift", "string", "where columns appear (+), disappear (-) or change type; missing if they never do"),
    Column("oldest", "timestamp", "last modification of the oldest object, UTC"),
    Column("newest", "timestamp", "last modification of the newest object, UTC"),
    Column("small_files", "fraction", "share of objects smaller than 8 MB"),
    Column("query", "string", "a SELECT that runs; missing for `other`"),
    Column("reason", "string", "why these objects are one dataset"),
)

COMPARISON_COLUMNS = (
    Column("key", "string", "key relative to the two locations"),
    Column("change", "string", "'only left', 'only right', 'differs' or 'undecided'"),
    Column("left_size", "integer", "bytes"),
    Column("right_size", "integer", "bytes"),
    Column("left_etag", "string", "ETag, without quotes"),
    Column("right_etag", "string", "ETag, without quotes"),
    Column("left_modified", "timestamp", "UTC"),
    Column("right_modified", "timestamp", "UTC"),
)

DESCRIPTION_COLUMNS = (
    Column("column", "string", "its name"),
    Column("type", "string", "DuckDB's"),
    Column("nullable", "boolean", "whether values may be missing; no only if the files say so"),
    Column("partition", "boolean", "whether it comes from folders name=value"),
    Column("sample", "string", "one of its values, as text"),
    Column("appears", "string", "in all objects looked at, or from which one on; missing for a table or query"),
)

SUMMARY_COLUMNS = (
    Column("column", "string", "its name"),
    Column("type", "string", "DuckDB's"),
    Column("min", "string", "the least value, as text"),
    Column("max", "string", "the greatest value, as text"),
    Column("approx_unique", "integer", "number of distinct values, estimated"),
    Column("avg", "amount", "mean of numbers"),
    Column("std", "amount", "sample standard deviation of numbers"),
    Column("q25", "amount", "first quartile of numbers, estimated"),
    Column("q50", "amount", "median of numbers, estimated"),
    Column("q75", "amount", "third quartile of numbers, estimated"),
    Column("count", "integer", "rows, with or without a value"),
    Column("null_share", "amount", "share of rows without a value, 0 to 1"),
    Column("frequent", "list", "most frequent values, estimated"),
    Column("histogram", "string", "distribution of numbers between min and max, in eight bars"),
)

TABLE_COLUMNS = (
    Column("name", "string", "as written when it was created"),
    Column("rows", "integer", "number of rows; missing for a table over files"),
    Column("columns", "list", "names and types"),
    Column("connections", "list", "connections that it depends on"),
    Column("location", "string", "LOCATION; missing for a table that the session holds"),
    Column("created_at", "timestamp", "UTC"),
)

PREFIX_COLUMN = Column("is_prefix", "boolean", "whether the row is a folder (a common prefix)")
