"""The columns of results, as the reference shows them and frames have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["string", "boolean", "integer", "count", "fraction", "amount", "timestamp", "category", "list"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result frame; timestamps are UTC, sizes are bytes, `ms` are milliseconds.

    A count is a whole number and a fraction one from 0 to 1; neither is ever missing.
    An amount is a number with decimals, which may be missing.
    """

    name: str
    type: ColumnType
    help: str


LISTING_COLUMNS = (
    Column("bucket", "string", "name of the bucket"),
    Column("key", "string", "the exact key, or the exact common prefix"),
    Column("size", "integer", "bytes; missing for a folder"),
    Column("last_modified", "timestamp", "UTC"),
    Column("etag", "string", "entity tag without its quotes"),
    Column("storage_class", "category", "STANDARD, GLACIER, …"),
)

VERSION_COLUMNS = (
    Column("version_id", "string", "id of the version"),
    Column("is_latest", "boolean", "whether it is the current version"),
    Column("is_delete_marker", "boolean", "whether it marks a deletion"),
)

EXPLAIN_COLUMNS = (
    Column("call", "string", "service and operation, such as S3 ListObjectsV2"),
    Column("action", "string", "the IAM action that allows it; missing where none is needed"),
    Column("resource", "string", "what it is about: an ARN"),
    Column("requests", "integer", "how many; missing where that is unknown"),
    Column("bound", "string", "'exactly', 'at least', 'at most' or 'unknown'"),
    Column("usd", "amount", "dollars for that many, at list prices; missing where the number is"),
    Column("detail", "string", "when, or for each of what, it is sent"),
)

ANALYSIS_COLUMNS = (
    Column("group", "string", "folders below the location, storage class, extension, range of age or size, or a key"),
    Column("objects", "count", "number of objects"),
    Column("bytes", "count", "sum of their sizes"),
    Column("share", "fraction", "part of all bytes below the location"),
    Column("newest", "timestamp", "last modification of the newest object, UTC"),
    Column("oldest", "timestamp", "last modification of the oldest object, UTC"),
    Column("usd_month", "amount", "dollars a month at list prices (us-east-1, 2025); missing for unknown classes"),
)

DATASET_COLUMNS = (
    Column(
        "dataset", "string", "where it is: a pattern, a folder of a lake table, or one object; `other` for the rest"
    ),
    Column("kind", "string", "files, delta, iceberg, hudi or other"),
    Column("format", "string", "of its files, by their content"),
    Column("compression", "string", "around its files; missing for none"),
    Column("partitions", "list", "each place where its folders differ: name, type, range, and how many there are"),
    Column("objects", "count", "number of objects"),
    Column("bytes", "count", "sum of their sizes"),
    Column("rows", "integer", "how many; missing where that is unknown"),
    Column("rows_bound", "string", "'exact', 'estimated' or 'unknown'"),
    Column("columns", "list", "their names and types, as in the newest objects; missing if there are none"),
    Column("drift", "string", "where columns are new (+), gone (-) or of another type; missing if they do not change"),
    Column("oldest", "timestamp", "last modification of the oldest object, UTC"),
    Column("newest", "timestamp", "last modification of the newest object, UTC"),
    Column("small_files", "fraction", "part of the objects that are below 8 MB"),
    Column("query", "string", "a SELECT that runs; missing for `other`"),
    Column("reason", "string", "why these objects are one dataset"),
)

COMPARISON_COLUMNS = (
    Column("key", "string", "behind the two locations"),
    Column("change", "string", "'only left', 'only right', 'differs' or 'undecided'"),
    Column("left_size", "integer", "bytes"),
    Column("right_size", "integer", "bytes"),
    Column("left_etag", "string", "entity tag without its quotes"),
    Column("right_etag", "string", "entity tag without its quotes"),
    Column("left_modified", "timestamp", "UTC"),
    Column("right_modified", "timestamp", "UTC"),
)

DESCRIPTION_COLUMNS = (
    Column("column", "string", "its name"),
    Column("type", "string", "DuckDB's"),
    Column("nullable", "boolean", "whether a value may be missing; no only if the files say so"),
    Column("partition", "boolean", "whether folders name=value write it"),
    Column("sample", "string", "a value of it, as text"),
    Column("appears", "string", "in all objects that were looked at, or from which on; missing for a table or query"),
)

SUMMARY_COLUMNS = (
    Column("column", "string", "its name"),
    Column("type", "string", "DuckDB's"),
    Column("min", "string", "the least value, as text"),
    Column("max", "string", "the greatest value, as text"),
    Column("approx_unique", "integer", "different values, by estimate"),
    Column("avg", "amount", "of numbers"),
    Column("std", "amount", "of numbers: the standard deviation of a sample"),
    Column("q25", "amount", "of numbers, by estimate: a quarter of them is less"),
    Column("q50", "amount", "of numbers, by estimate: a half of them is less"),
    Column("q75", "amount", "of numbers, by estimate: three quarters of them are less"),
    Column("count", "integer", "rows, with or without a value"),
    Column("null_share", "amount", "part of the rows that have no value, 0 to 1"),
    Column("frequent", "list", "most frequent values, by estimate"),
    Column("histogram", "string", "of numbers: how they lie between min and max, in eight bars"),
)

TABLE_COLUMNS = (
    Column("name", "string", "as written when it was created"),
    Column("rows", "integer", "how many; missing for a table over files"),
    Column("columns", "list", "their names and types"),
    Column("connections", "list", "the connections that it depends on"),
    Column("location", "string", "LOCATION; missing for a table that the session holds"),
    Column("created_at", "timestamp", "UTC"),
)

PREFIX_COLUMN = Column("is_prefix", "boolean", "whether the row is a folder (a common prefix)")
