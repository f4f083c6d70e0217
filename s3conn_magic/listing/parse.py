"""An answer's body into its fields, common prefixes and rows: `rows` for the rows, `document` for all else."""

from __future__ import annotations

import re
from typing import NamedTuple

from s3conn_magic.listing import document, rows
from s3conn_magic.listing.answer import Answer, UnreadableError
from s3conn_magic.listing.decode import UndecodableError

_FIRST_ROW = re.compile(rb"<(?:Contents|Version|DeleteMarker)>")
_OTHER_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*encoding=["'](?!utf-8["'])""", re.IGNORECASE)
_TAIL = 4096
_ROW_ENDS = (b"</Contents>", b"</Version>", b"</DeleteMarker>")


class Span(NamedTuple):
    """Where in a body its rows stand."""

    begin: int
    end: int


def parse(body: bytes) -> Answer:
    """Read an answer.

    Raises:
        UnreadableError: it is not well-formed XML, not a list of keys, or its texts cannot be decoded.
    """
    try:
        return _split(body) or document.read(body)
    except (UndecodableError, UnicodeDecodeError) as error:
        raise UnreadableError(
            str(error) if isinstance(error, UndecodableError) else "a key is not valid UTF-8"
        ) from None


def span_of(body: bytes) -> Span | None:
    """Where the rows stand, or None where there are none or the XML parser has to look for them."""
    first = _FIRST_ROW.search(body)
    if first is None or _OTHER_ENCODING.match(body):
        return None
    end = _last_row(body, max(first.start(), len(body) - _TAIL)) or _last_row(body, first.start())
    return Span(first.start(), end) if end else None


def envelope(body: bytes, span: Span) -> Answer:
    """All of the answer but its rows."""
    return document.read(body[: span.begin] + body[span.end :])


def _split(body: bytes) -> Answer | None:
    """The answer with its rows read apart, or None where that needs the XML parser."""
    span = span_of(body)
    columns = rows.read(body, *span) if span else None
    if span is None or columns is None:
        return None
    around = envelope(body, span)
    return Answer(columns, around.fields, around.prefixes)


def _last_row(body: bytes, start: int) -> int:
    """Where the last row that ends behind `start` ends, or 0."""
    return max((found + len(tag) for tag in _ROW_ENDS if (found := body.rfind(tag, start)) >= 0), default=0)
