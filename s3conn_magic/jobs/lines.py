"""Objects that are read line by line, and ORC: as batches of Arrow."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from s3conn_magic.jobs.readers import quoted
from s3conn_magic.patterns import Expression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from s3conn_magic.jobs.readers import Source
    from s3conn_magic.language.job_values import Content

    _Row = tuple[str | None, ...]
    # Names of the columns, and the rows of some pieces.
    _Reader = tuple[tuple[str, ...], Callable[[list[str]], Iterable[_Row]]]

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

    def made() -> Iterator[pa.RecordBatch]:
        while some := [piece.removesuffix("\r") for piece in islice(pieces, _AT_ONCE)]:
            rows = iter(read(some))
            while part := list(islice(rows, _AT_ONCE)):
                columns = [pa.array(column, pa.string()) for column in zip(*part, strict=True)]
                yield pa.record_batch(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, made())


def _whole(_: Content) -> _Reader:
    return (_LINE,), lambda lines: ((line,) for line in lines)


def _matching(content: Content) -> _Reader:
    """Named groups are columns, or else all groups by their numbers; what does not match is no row."""
    import duckdb
    import pyarrow as pa

    expression = Expression.parse(str(content.get("PATTERN")))
    groups = expression.groups
    numbers = [at for at, name in enumerate(groups, 1) if name] or [*range(1, len(groups) + 1)] or [0]
    query = _matches(expression.text, len(groups), numbers, multiline=bool(content.get("MULTILINE")))
    database = duckdb.connect(config={"threads": 1})

    def read(texts: list[str]) -> Iterator[_Row]:
        database.register("pieces", pa.table({"piece": pa.array(texts, pa.string())}))
        rows = database.execute(query)
        while some := rows.fetchmany(_AT_ONCE):
            yield from some

    return tuple(groups[at - 1] or f"group{at}" if at else _LINE for at in numbers), read


def _matches(expression: str, groups: int, wanted: list[int], *, multiline: bool) -> str:
    """The query of some groups of the first match in each piece, or of all matches: by RE2, as DuckDB has it, too."""
    # All of it is a group, too, wanted where there is no other. One match alone takes the rest of the text with it.
    pattern = f"(?m)({expression})" if multiline else f"({expression})(?s:.*)"
    names = ", ".join(f"'g{at}'" for at in range(groups + 1))
    matches = f"unnest(regexp_extract_all(piece, {quoted(pattern)}, [{names}]))"
    columns = ", ".join(f"m.g{at}" for at in wanted)
    return f"SELECT {columns} FROM (SELECT {matches} AS m FROM pieces)"  # noqa: S608 - numbers, and a quoted text


def _fixed(content: Content) -> _Reader:
    fields = content.get("COLUMNS")

    def read(lines: list[str]) -> Iterable[_Row]:
        there = filter(str.strip, lines)
        return (tuple(line[first : last + 1].strip() or None for _, first, last in fields) for line in there)

    return tuple(name for name, _, _ in fields), read


_READERS = {"SPLIT_LINES": _whole, "REGEX": _matching, "FIXED_WIDTH": _fixed}
