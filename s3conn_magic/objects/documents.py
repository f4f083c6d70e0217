"""JSON → a table: JSON lines, or one array of objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3conn_magic.objects.columns import COLUMNS_AT_MOST, inferred, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_WRONG = (ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Objects:
    """JSON as a table, or with `table` None as what cannot be one; `complete` when every object is in it."""

    table: pa.Table | None
    format: str
    complete: bool
    notes: tuple[str, ...] = ()


def read_json(text: str, *, whole: bool, rows: int) -> Objects | None:
    """The first objects of a text, or None where it is no JSON.

    Args:
        text: the beginning; where it is not `whole`, the last line may be cut and is left out.
        whole: whether nothing follows.
        rows: at most.
    """
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    return _lines(text, whole, rows) or (_document(text, rows) if whole else None) or _cut(text, whole)


def _lines(text: str, whole: bool, rows: int) -> Objects | None:
    """One object a line, two lines at least: a single one is a document."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not whole and not text.endswith("\n"):
        lines.pop()
    if len(lines) < 2 and (whole or not lines):  # noqa: PLR2004
        return None
    objects, notes = _parsed(lines[:rows])
    if objects is None:
        return None
    return _objects(objects, "JSON lines", complete=whole and len(lines) <= rows, notes=notes)


def _parsed(lines: Sequence[str]) -> tuple[list[Any] | None, tuple[str, ...]]:
    """The lines up to the first that is no object; that must not be one of the first two."""
    objects: list[Any] = []
    for line in lines:
        try:
            found = json.loads(line)
        except _WRONG:
            found = None
        if not isinstance(found, dict):
            return (objects, (f"line {len(objects) + 1:,} is not a JSON object",)) if len(objects) > 1 else (None, ())
        objects.append(found)
    return objects, ()


def _document(text: str, rows: int) -> Objects | None:
    try:
        found = json.loads(text)
    except _WRONG:
        return None
    if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
        return _objects(found[:rows], "JSON", complete=len(found) <= rows)
    return Objects(None, "JSON", complete=True)


def _cut(text: str, whole: bool) -> Objects | None:
    """What begins like JSON and goes on behind what was read."""
    if whole:
        return None
    head = text.lstrip()
    likely = head[1:].lstrip()[:1] in ({'"'} if head[0] == "{" else set('{["-0123456789tfn'))
    return Objects(None, "JSON", complete=False) if likely else None


def _objects(objects: Sequence[dict[str, Any]], name: str, *, complete: bool, notes: tuple[str, ...] = ()) -> Objects:
    """A column for every name that any of the objects has, in the order they come."""
    names = list(dict.fromkeys(key for one in objects for key in one))
    if not names or len(names) > COLUMNS_AT_MOST:
        notes += (f"{len(names):,} names are too many columns",) if names else ()
        return Objects(None, name, complete=complete, notes=notes)
    columns = [inferred([one.get(key) for one in objects]) for key in names]
    mixed = [key for key, (_, as_text) in zip(names, columns, strict=True) if as_text]
    notes += (f"values of several types are their JSON text: {', '.join(mixed[:5])}",) if mixed else ()
    return Objects(table(names, (column for column, _ in columns)), name, complete=complete, notes=notes)
