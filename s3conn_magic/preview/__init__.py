"""Previews: the beginning of an object as a table, text, image or bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from s3conn_magic.objects.description import Description

Kind = Literal["table", "text", "image", "binary", "empty", "archived", "deleted"]


@dataclass(frozen=True, slots=True)
class Preview:
    """The beginning of an object. Fields that do not apply to its kind are None or empty.

    Attributes:
        kind: how it is shown; an `archived` object, which must be restored first, and a `deleted` one are not read.
        description: the answer of HeadObject; with tags and versions only if the caller passed them.
        format: `Parquet`, `CSV`, `TSV`, `JSON lines`, `JSON`, `text`, `PNG`, … or `binary`.
        frame: the first rows of a table, with Arrow types.
        text: the exact decoded text; escape it and make control characters visible before showing it.
        layout: a short, complete JSON document with one line for each value, values exactly as written.
        schema: name and type of each column, including those that `frame` leaves out.
        total_rows: rows of the whole object, if its format says so or all of it was read.
        about_rows: estimated rows of the object, from the size of the first ones, if the exact number is unknown.
        row_groups: number of row groups of a Parquet file.
        image: the bytes of an image that is not too large.
        mime: media type of the image, such as `image/png`; an `image/svg+xml` text may contain scripts, so show it only
            where they cannot run.
        width: pixels.
        height: pixels.
        hex_dump: offset, bytes and characters of the first bytes, if it is not a table, text or image.
        encoding: of texts and tables in text formats, such as `utf-8`.
        compression: `gzip`, `zstd` or `bz2`, or None.
        truncated: whether the object has more than is shown.
        bytes_read: bytes received of the object.
        requests: requests sent for this preview.
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
    """Return an estimate rounded to two significant digits."""
    return int(float(f"{count:.2g}"))
