"""Formats that are not opened but whose schema can be said: ORC and Arrow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from s3conn_magic.objects.columns import schema_of
from s3conn_magic.objects.ranges import BoundReachedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from s3conn_magic.objects.content import Preview
    from s3conn_magic.objects.ranges import RangeReader

_WRONG = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError, NotImplementedError)


def read_schema(reader: RangeReader, seen: Preview, name: str) -> Preview:
    """The same preview with the schema, where the format has one that can be read."""
    read = _READ.get(name)
    if read is None:
        return seen
    try:
        schema, rows = read(pa.PythonFile(reader, mode="r"))
        return replace(seen, schema=schema_of(schema), total_rows=rows)
    except (BoundReachedError, *_WRONG):
        if reader.failure:
            raise reader.failure from None
    return replace(seen, notes=(*seen.notes, f"the {name} schema cannot be read"))


def _orc(file: Any) -> tuple[pa.Schema, int | None]:
    from pyarrow import orc

    found = orc.ORCFile(file)
    return found.schema, found.nrows


def _arrow(file: Any) -> tuple[pa.Schema, int | None]:
    return pa.ipc.open_file(file).schema, None


_READ: dict[str, Callable[[Any], tuple[pa.Schema, int | None]]] = {"ORC": _orc, "Arrow": _arrow}
