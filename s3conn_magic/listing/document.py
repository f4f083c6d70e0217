"""Answers read by the standard library's XML parser: every form of XML, at six microseconds a key.

The envelope of every answer is read here; its rows only where `rows` finds them in an unexpected form.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pyarrow as pa

from s3conn_magic.listing.answer import WANTED, Answer, Columns, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = ("Contents", "Version", "DeleteMarker")
ROOTS = ("ListBucketResult", "ListVersionsResult")
_GROUPS = "CommonPrefixes"
_PROLOGUE = 1024


def read(body: bytes) -> Answer:
    """Read a whole answer.

    Raises:
        UnreadableError: it is not well-formed XML, or not a list of keys.
    """
    root = parse(body)
    named = [(local(element), element) for element in root]
    fields = {name: element.text or "" for name, element in named if name not in (*ROWS, _GROUPS)}
    prefixes = (prefix for name, element in named if name == _GROUPS for prefix in _prefixes(element))
    return Answer(_columns([element for name, element in named if name in ROWS]), fields, tuple(prefixes))


def parse(body: bytes) -> ET.Element:
    """The root of a list of keys; documents with a type declaration are refused, for they may grow without bound."""
    if not body.strip():
        raise UnreadableError("the answer is empty")
    if re.search(rb"<!DOCTYPE", body[:_PROLOGUE], re.IGNORECASE):
        raise UnreadableError("the answer is not a list of keys")
    try:
        root = ET.fromstring(body)  # noqa: S314 - no document type, hence no entities to expand
    except (ET.ParseError, ValueError, LookupError):
        raise UnreadableError("the answer is cut short or is not XML") from None
    if local(root) not in ROOTS:
        raise UnreadableError("the answer is not a list of keys")
    return root


def error_code(body: bytes) -> str | None:
    """The code of an `<Error>` document, an empty text where it has none; None where the body is no such document."""
    if b"<Error" not in body[:_PROLOGUE]:
        return None
    found = re.search(rb"<Code>([A-Za-z0-9.]{1,80})</Code>", body)
    return found[1].decode() if found else ""


def local(element: ET.Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def _prefixes(group: ET.Element) -> Iterator[str]:
    return (child.text or "" for child in group if local(child) == "Prefix")


def _columns(rows: list[ET.Element]) -> Columns:
    texts: dict[str, list[str | None]] = {}
    for index, row in enumerate(rows):
        for child in row:
            if local(child) not in WANTED:
                continue
            column = texts.setdefault(local(child), [None] * len(rows))
            if column[index] is not None:
                raise UnreadableError("a row of the answer has a field twice")
            text = child.text or ""
            column[index] = text.strip('"') if local(child) == "ETag" else text
    markers = [local(row) == "DeleteMarker" for row in rows]
    return Columns(
        {name: pa.array(values, pa.string()) for name, values in texts.items()},
        len(rows),
        pa.array(markers, pa.bool_()),
    )
