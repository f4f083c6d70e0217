"""Results of queries, and the session's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from s3conn_magic.language.reference import TABLE_COLUMNS
from s3conn_magic.patterns import like
from s3conn_magic.preview.columns import texts
from s3conn_magic.sizes import size_text
from s3conn_magic.views.cards import Message
from s3conn_magic.views.frames import S3Frame, frame_of

if TYPE_CHECKING:
    from s3conn_magic.query.engine import Answer
    from s3conn_magic.query.tables import Tables


# Lists and structures can hold dates, too, and are looked at no further than they will be shown.
_LOOKED_AT = 1_000


def query_frame(answer: Answer) -> S3Frame:
    """The rows with Arrow types; `.attrs["read"]` says how many requests and bytes it took."""
    table = answer.table
    series: list[Any] = [pd.Series(pd.arrays.ArrowExtensionArray(_fit(column))) for column in table.columns]
    rows = pd.concat(series, axis=1) if series else pd.DataFrame(index=range(len(table)))
    frame = S3Frame(rows.set_axis(table.column_names, axis=1))
    frame.attrs["read"] = {"requests": answer.requests, "bytes": answer.bytes}
    return frame


def _fit(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column, as text where pandas or Python have no such values: intervals, and years beyond 1 to 9999."""
    if pa.types.is_interval(column.type):
        return texts(column)
    if pa.types.is_temporal(column.type) and not pa.types.is_time(column.type):
        ends = pc.min_max(column)
        return column if _is_python(ends) else texts(column)
    return column if pa.types.is_primitive(column.type) or _is_python(column[:_LOOKED_AT]) else texts(column)


def _is_python(values: Any) -> bool:
    try:
        values.to_pylist() if isinstance(values, pa.ChunkedArray) else values.as_py()
    except (ValueError, OverflowError, TypeError, pa.ArrowException):
        return False
    return True


def explanation(answer: Answer) -> Message:
    """What a query read, and DuckDB's profile of it."""
    through = f" through {', '.join(answer.connections)}" if answer.connections else ""
    read = f"Read from S3: {answer.requests:,} requests, {answer.bytes:,} bytes ({size_text(answer.bytes)}){through}."
    return Message("\n".join([read, *map(str, answer.table.column(0).to_pylist())]))


def tables_frame(tables: Tables | None, pattern: str | None) -> S3Frame:
    """One row a table."""
    rows = [
        (one.name, *found, list(one.connections), one.location.uri if one.location else None, one.created_at)
        for one in tables or ()
        if tables is not None and like(pattern, one.name) and (found := tables.looked_at(one))
    ]
    return frame_of(TABLE_COLUMNS, rows)
