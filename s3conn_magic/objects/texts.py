"""The beginning of a text, or of a table that is written as text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from s3conn_magic.objects.columns import frame, schema_of
from s3conn_magic.objects.delimited import Records, read_records
from s3conn_magic.objects.documents import Objects, read_json
from s3conn_magic.objects.encodings import Decoded, decode
from s3conn_magic.objects.formats import text_format

if TYPE_CHECKING:
    from s3conn_magic.objects.content import Preview
    from s3conn_magic.objects.formats import Promise


@dataclass(frozen=True, slots=True)
class Read:
    """A text and the table in it, if there is one; `enough` when nothing more need be read."""

    decoded: Decoded
    whole: bool
    enough: bool
    table: Records | Objects | None

    def onto(self, seen: Preview) -> Preview:
        """The preview with what was read."""
        found, decoded = self.table, self.decoded
        notes = (*seen.notes, *decoded.notes, *(found.notes if found else ()))
        named = replace(seen, encoding=decoded.encoding, notes=notes)
        if found is None or found.table is None:
            form = found.format if found else text_format(decoded.text)
            return replace(named, kind="text", format=form, text=decoded.text, truncated=not self.whole)
        return replace(
            named,
            kind="table",
            format=found.format,
            frame=frame(found.table),
            schema=schema_of(found.table.schema),
            truncated=not found.complete,
        )


def read_text(data: bytes, *, whole: bool, promised: Promise, rows: int) -> Read | None:
    """What the first bytes of a text say, or None where they are no text.

    Args:
        data: the beginning, unpacked.
        whole: whether nothing follows.
        promised: what name and content type say.
        rows: of a table, or lines of a text, that are wanted.
    """
    decoded = decode(data, whole=whole)
    if decoded is None or not data:
        return None
    text = decoded.text
    found: Records | Objects | None = read_json(text, whole=whole, rows=rows)
    if found is None and not promised.prose and text_format(text) == "text":
        found = read_records(text, whole=whole, rows=rows, named=promised.delimiter)
    there = text.count("\n") if found is None else len(found.table) if found.table is not None else 0
    return Read(decoded, whole, whole or there >= rows, found)
