"""Objects that are read line by line, and ORC: as batches of Arrow."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from s3conn_magic.jobs.readers import Source
    from s3conn_magic.language.jobs.values import Content

    _Row = tuple[str | None, ...]
    # Names of the columns, and the rows of one piece.
    _Reader = tuple[tuple[str, ...], Callable[[str], Iterable[_Row]]]

_AT_ONCE = 10_000
_CHUNK = 1024 * 1024
_LINE = "line"


def batches(found: Source, file: Any) -> pa.RecordBatchReader:
    """The rows of an object.

    Args:
        found: the object.
        file: it, open; bytes.

    Raises:
        UnicodeDecodeError: lines are not UTF-8.
        pyarrow.ArrowInvalid: it is no ORC file, or its compression is damaged.
    """
    if found.content.type == "ORC":
        return _orc(file)
    return _rows(_pieces(found, file), found.content)


def _orc(file: Any) -> pa.RecordBatchReader:
    import pyarrow as pa
    from pyarrow import orc

    opened = orc.ORCFile(pa.PythonFile(file, mode="r"))
    stripes = (opened.read_stripe(at) for at in range(opened.nstripes))
    return pa.RecordBatchReader.from_batches(opened.schema, stripes)


def _pieces(found: Source, file: Any) -> Iterator[str]:
    """The lines; what stands between the texts of SPLIT_LINES' PATTERN; or all of it, for a REGEX over lines."""
    content = found.content
    if content.get("MULTILINE"):
        yield file.read().decode()
        return
    separator = str(content.get("PATTERN")) if content.type == "SPLIT_LINES" and content.get("PATTERN") else "\n"
    left, pattern = b"", separator.encode()
    while chunk := file.read(_CHUNK):
        *whole, left = (left + chunk).split(pattern)
        yield from (one.decode() for one in whole)
    if left:
        yield left.decode()


def _rows(pieces: Iterator[str], content: Content) -> pa.RecordBatchReader:
    import pyarrow as pa

    names, read = _READERS[content.type](content)
    schema = pa.schema([(name, pa.string()) for name in names])
    rows = (row for piece in pieces for row in read(piece.removesuffix("\r")))

    def made() -> Iterator[pa.RecordBatch]:
        while some := list(islice(rows, _AT_ONCE)):
            yield pa.record_batch([pa.array(column, pa.string()) for column in zip(*some, strict=True)], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, made())


def _whole(_: Content) -> _Reader:
    return (_LINE,), lambda line: [(line,)]


def _matching(content: Content) -> _Reader:
    """Named groups are columns, or else all groups by their numbers; what does not match is no row."""
    multiline = bool(content.get("MULTILINE"))
    pattern = re.compile(str(content.get("PATTERN")), re.MULTILINE if multiline else 0)
    named = tuple(pattern.groupindex)
    names = named or tuple(f"group{at}" for at in range(1, pattern.groups + 1)) or (_LINE,)

    def row(found: re.Match[str]) -> _Row:
        return tuple(found[name] for name in named) if named else found.groups() or (found[0],)

    def read(text: str) -> Iterable[_Row]:
        matches = pattern.finditer(text)
        return map(row, matches if multiline else islice(matches, 1))

    return names, read


def _fixed(content: Content) -> _Reader:
    fields = content.get("COLUMNS")

    def read(line: str) -> Iterable[_Row]:
        return [tuple(line[first : last + 1].strip() or None for _, first, last in fields)] if line.strip() else []

    return tuple(name for name, _, _ in fields), read


_READERS = {"SPLIT_LINES": _whole, "REGEX": _matching, "FIXED_WIDTH": _fixed}
