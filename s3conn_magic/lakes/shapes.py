"""The shape of our tables: columns, partitions and key, as written, as created, and as widened by rows."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pyarrow as pa

from s3conn_magic.errors import QueryError
from s3conn_magic.language.rules import name_text
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Rows: TypeAlias = "pa.Table | pa.RecordBatchReader"
PARTITIONED, KEYS = "s3conn-magic.partitioned-by", "s3conn-magic.primary-key"
"""Properties of a table without columns: the partitions and the key that its first rows will give it."""
_TRANSFORM = re.compile(
    r"(?i)(year|month|day|hour|bucket|truncate)\s*\((?:\s*([0-9]{1,9})\s*,)?\s*(.*?)\s*\)", re.DOTALL
)


class TableShape(NamedTuple):
    """The shape of a table.

    Attributes:
        schema: its columns; empty if its first rows define them.
        partitions: as written, such as `day(ts)`.
        keys: its primary key.
        properties: properties of Iceberg.
    """

    schema: pa.Schema
    partitions: Sequence[str] = ()
    keys: Sequence[str] = ()
    properties: Mapping[str, str] = {}


def columns_of(table: Any) -> pa.Schema:
    """Return the columns of a table as an Arrow schema."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    return schema_to_pyarrow(table.schema(), include_field_ids=False)


def shaped(wanted: TableShape) -> tuple[Any, Any]:
    """Return schema and partitions of a new table as PyIceberg's objects."""
    from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
    from pyiceberg.schema import Schema

    schema = _with_ids(wanted.schema)
    if not wanted.schema.names:
        return schema, PartitionSpec()
    ids = {field.name.casefold(): field.field_id for field in schema.fields}
    keys = [_field_id(ids, key) for key in wanted.keys]
    schema = Schema(*schema.fields, schema_id=0, identifier_field_ids=keys)
    fields = []
    for at, written in enumerate(wanted.partitions):
        column, transform, name = partition(written)
        fields.append(PartitionField(_field_id(ids, column), PARTITION_FIELD_ID_START + at, transform, name))
    return schema, PartitionSpec(*fields)


def _field_id(ids: Mapping[str, int], name: str) -> int:
    if name.casefold() not in ids:
        message = f"there is no column {visible(name)} to be partitioned or keyed by"
        raise QueryError(message, hint=f"It has {visible(', '.join(ids))[:300]}." if ids else "It has none.")
    return ids[name.casefold()]


def _with_ids(schema: pa.Schema) -> Any:
    from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
    from pyiceberg.schema import assign_fresh_schema_ids

    return assign_fresh_schema_ids(_pyarrow_to_schema_without_ids(schema, format_version=2))


def deferred_properties(wanted: TableShape) -> dict[str, str]:
    """Return the properties that a table without columns needs when its first rows come."""
    if wanted.schema.names:
        return {}
    kept = {PARTITIONED: list(wanted.partitions), KEYS: list(wanted.keys)}
    return {name: json.dumps(value) for name, value in kept.items() if value}


def partition(written: str) -> tuple[str, Any, str]:
    """Return column, transform and name of a partition as written.

    Raises:
        QueryError: it is not a valid partition.
    """
    from pyiceberg import transforms

    match = _TRANSFORM.fullmatch(written)
    if match is None:
        return _unquoted(written), transforms.IdentityTransform(), _unquoted(written)
    name, width, column = match[1].lower(), match[2], _unquoted(match[3])
    if (width is not None) != (name in {"bucket", "truncate"}):
        form = f"{name}(n, column)" if width is None else f"{name}(column)"
        raise QueryError(
            f"a partition {name} takes {'a number' if width is None else 'no number'}", hint=f"Write {form}."
        )
    kind = getattr(transforms, f"{name.title()}Transform")
    return column, kind() if width is None else kind(int(width)), f"{column}_{name}"


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name[:1] == '"' else name


def append(transaction: Any, rows: Rows) -> None:
    """Append rows in a transaction, adding columns that the table lacks and widening types as Iceberg allows."""
    # An error must not leave the reader open, as it blocks its database connection.
    with rows if isinstance(rows, pa.RecordBatchReader) else nullcontext():
        add_columns(transaction, rows.schema)
        transaction.append(whole(transaction, rows))


def shape_of(table: Any) -> TableShape:
    """Return the shape of a table, as it would be written."""
    from pyiceberg.transforms import VoidTransform

    schema, properties = table.schema(), table.properties
    partitions = [
        _partition_text(str(field.transform), schema.find_column_name(field.source_id))
        for field in table.spec().fields
        if not isinstance(field.transform, VoidTransform)
    ]
    return TableShape(
        columns_of(table), partitions or json.loads(properties.get(PARTITIONED, "[]")), keys_of(table), properties
    )


def keys_of(table: Any) -> list[str]:
    """Return the primary key of a table; without columns, the one that it will get."""
    names = map(table.schema().find_column_name, table.schema().identifier_field_ids)
    return [name for name in names if name] or list(json.loads(table.properties.get(KEYS, "[]")))


def _partition_text(transform: str, column: str) -> str:
    """Return a partition as written from PyIceberg's transform, such as `bucket[16]`."""
    kind, _, width = transform.rstrip("]").partition("[")
    named = name_text(column)
    if kind == "identity":
        return named
    return f"{kind}({width}, {named})" if width else f"{kind}({named})"


def whole(transaction: Any, rows: Rows) -> Rows:
    """Check that required columns have values, and return the rows; as one table if the table has partitions.

    Raises:
        QueryError: a required column lacks a value.
    """
    metadata = transaction.table_metadata
    required = {field.name for field in metadata.schema().fields if field.required}
    if not required and metadata.spec().is_unpartitioned():
        return rows
    table = rows if isinstance(rows, pa.Table) else rows.read_all()
    for name in required:
        if name not in table.column_names or table.column(name).null_count:
            message = f"the column {visible(name)} has NULL, and is NOT NULL or in the PRIMARY KEY"
            raise QueryError(
                message, hint="Leave those rows out by WHERE … IS NOT NULL, or give it a value by coalesce()."
            )
    fields = [field.with_nullable(field.name not in required) for field in table.schema]
    return table.cast(pa.schema(fields))


def add_columns(transaction: Any, schema: pa.Schema) -> None:
    """Add the columns of a schema to the table of a transaction."""
    metadata = transaction.table_metadata
    if metadata.schema().fields:
        required = {field.name.casefold() for field in metadata.schema().fields if field.required}
        # A union makes a column optional if it is so on either side.
        schema = pa.schema([field.with_nullable(field.name.casefold() not in required) for field in schema])
        with transaction.update_schema(case_sensitive=False) as update:
            update.union_by_name(_with_ids(schema))
        return
    keys = json.loads(metadata.properties.get(KEYS, "[]"))
    folded = {key.casefold() for key in keys}
    with transaction.update_schema(allow_incompatible_changes=True) as update:
        for field in _with_ids(schema).fields:
            update.add_column((field.name,), field.field_type, required=field.name.casefold() in folded)
        if keys:
            update.set_identifier_fields(*(field.name for field in schema if field.name.casefold() in folded))
    names = {name.casefold(): name for name in schema.names}
    if written := json.loads(metadata.properties.get(PARTITIONED, "[]")):
        with transaction.update_spec() as update:
            for each in written:
                column, transform, name = partition(each)
                _field_id(dict.fromkeys(names, 0), column)
                update.add_field(names[column.casefold()], transform, name)


def wanted_by(metadata: Any) -> set[str]:
    """Return the columns by which a table will be partitioned once it has them."""
    return {partition(each)[0] for each in json.loads(metadata.properties.get(PARTITIONED, "[]"))}
