"""What a preview gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from s3conn_magic.objects.description import Description

Kind = Literal["table", "text", "image", "binary", "empty", "archived", "deleted"]


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of an object. What does not apply to its kind is None or empty.

    Attributes:
        kind: what it is shown as; `archived` was not read, since it must be restored first, nor `deleted`.
        description: what HeadObject said; tags and versions only where they were handed in.
        format: `Parquet`, `CSV`, `TSV`, `JSON lines`, `JSON`, `text`, `PNG`, … or `binary`.
        frame: the first rows, Arrow types; for a table.
        text: what was read of a text, decoded, exact: show it escaped and with control characters made visible.
        layout: a JSON document, short and whole, with a line for each value, every value as it is written.
        schema: name and type of each column, also of those that `frame` leaves out.
        total_rows: of the whole object, where its format says, or where all of it was read.
        about_rows: how many rows the object may have by the size of the first ones, where nothing says it.
        row_groups: how many a Parquet file has.
        image: its bytes, for an image that is not too large.
        mime: of the image, such as `image/png`; `image/svg+xml` of a text that is one, which may hold scripts: show it
            where none of it can act.
        width: pixels.
        height: pixels.
        hex_dump: the first bytes of what is neither table, text nor image: offset, bytes, characters.
        encoding: of text and text-like tables, such as `utf-8`.
        compression: `gzip`, `zstd` or `bz2` around it, or None.
        truncated: whether there is more than is shown.
        bytes_read: of the object, as received.
        requests: sent for this preview.
        notes: what was left out or looked odd, and why.
    """

    kind: Kind
    description: Description
    format: str = "binary"
    frame: pd.DataFrame | None = None
    text: str | None = None
    layout: str | None = None
    schema: tuple[tuple[str, str], ...] = ()
    total_rows: int | None = None
    about_rows: int | None = None
    row_groups: int | None = None
    image: bytes | None = field(default=None, repr=False)
    mime: str | None = None
    width: int | None = None
    height: int | None = None
    hex_dump: str | None = None
    encoding: str | None = None
    compression: str | None = None
    truncated: bool = False
    bytes_read: int = 0
    requests: int = 0
    notes: tuple[str, ...] = ()


def rounded(count: int) -> int:
    """A number that is an estimate, with no more figures than it deserves."""
    return int(float(f"{count:.2g}"))
