"""An object → rows: as SQL for DuckDB, or line by line and as ORC in batches of Arrow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import QueryError
from s3conn_magic.language.job_values import Content
from s3conn_magic.objects.formats import HEAD, READABLE, by_name, compression_of, of_rows, of_type, unpack
from s3conn_magic.objects.listed import escaped
from s3conn_magic.query.sql import literal
from s3conn_magic.runtime.patterns import RegularExpression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from s3conn_magic.jobs.job import Candidate, ReadOptions

    _Row = tuple[str | None, ...]

    _Reader = tuple[tuple[str, ...], Callable[[list[str]], Iterable[_Row]]]

_LARGEST_RECORD = 128 * 1024 * 1024
_DELIMITERS = ",;\t|"
_RECORDS = 20
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
LINES = {"SPLIT_LINES", "REGEX", "FIXED_WIDTH"}
"""Formats that are read line by line."""


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """An object and how to read it.

    Attributes:
        candidate: the object.
        path: of the engine's filesystem, with wildcards escaped.
        content: format and settings; never AUTO.
        compression: none, gzip or zstd.
    """

    candidate: Candidate
    path: str
    content: Content
    compression: str


def source_of(job: ReadOptions, candidate: Candidate, head: bytes) -> ObjectSource:
    """How to read an object whose first bytes these are.

    Raises:
        QueryError: its format or compression cannot be told, or not be read.
    """
    seen = compression_of(head)
    said = job.option("COMPRESSION", "AUTO")
    packed = seen if said in {"AUTO", "SNAPPY"} else {"NONE": None}.get(said, said.lower())
    if packed not in READABLE:
        raise QueryError(f"objects compressed by {packed} are not read", hint="gzip and zstd are.")
    plain = unpack(head, packed, limit=HEAD, whole=False).data if packed else head
    content = job.option("CONTENT_TYPE") or Content("AUTO", {})
    if content.type == "AUTO":
        content = _content(candidate.location.key, plain)
    if content.type == "CSV" and not content.get("DELIMITER"):
        content = Content("CSV", {**content.settings, "DELIMITER": _delimiter(plain)})
    return ObjectSource(candidate, _path(job, candidate), content, packed or "none")


def _delimiter(head: bytes) -> str:
    """By what the fields of the first records are separated: what most of them have as often as the first has it.

    DuckDB would rather find one column, or skip records at the beginning, than an error in records that are uneven.
    """
    text = _QUOTED.sub('""', head.decode("utf-8", "replace"))
    lines = [line for line in text.splitlines() if line][:_RECORDS]
    counts = {each: [line.count(each) for line in lines] for each in _DELIMITERS}
    return max(_DELIMITERS, key=lambda each: _evenness(counts[each]))


def _evenness(counts: Sequence[int]) -> tuple[float, int]:
    if not counts or not counts[0]:
        return 0.0, 0
    return counts.count(counts[0]) / len(counts), counts[0]


def _content(key: str, head: bytes) -> Content:
    """What an object is by its name and its first bytes.

    Raises:
        QueryError: neither tells it, or it is of a format that is not read.
    """
    format_ = of_rows(key, head)
    if format_ is None:
        raise QueryError("the format of the object cannot be told", hint="CONTENT_TYPE = … says what it is.")
    if not format_.type:
        hint = "PREVIEW shows what it is; CONTENT_TYPE = … has it read as something else."
        raise QueryError(f"objects of the format {format_.name} are not read", hint=hint)
    named = format_ == by_name(key).format and format_.type == "CSV" and format_.delimiter != ","
    return Content(format_.type, {"DELIMITER": format_.delimiter} if named else {})


def _path(job: ReadOptions, candidate: Candidate) -> str:
    return f"s3://{job.connection.name}@{candidate.location.bucket}/{escaped(candidate.location.key)}"


def scan(source: ObjectSource, *, whole: bool) -> str:
    """The SQL that reads an object of a format that DuckDB reads.

    Args:
        source: the object.
        whole: look at all of it to tell the types of its columns, not at its beginning only.
    """
    reader = of_type(source.content.type).reader
    if reader == "read_parquet":
        return f"{reader}({literal(source.path)})"
    options = _json if reader == "read_json" else csv_options
    return _call(reader, source, options(source.content, whole=whole))


def _call(function: str, source: ObjectSource, options: Mapping[str, str]) -> str:
    given = {**options, "compression": literal(source.compression)}
    return f"{function}({literal(source.path)}, {', '.join(f'{name} = {value}' for name, value in given.items())})"


def _json(content: Content, *, whole: bool) -> dict[str, str]:
    options = {"format": "'auto'"}
    if content.get("SPLIT_ROOT_ARRAY") is False:
        options = {"format": "'unstructured'", "records": "false"}
    return options | ({"sample_size": "-1", "maximum_object_size": str(_LARGEST_RECORD)} if whole else {})


def csv_options(content: Content, *, whole: bool) -> dict[str, str]:
    """Arguments of read_csv."""
    options: dict[str, Any] = {}
    delimiter = "\t" if content.type == "TSV" else content.get("DELIMITER")
    if delimiter:
        options["delim"] = literal(delimiter)
    # No record is to be passed over, whatever it looks like.
    options |= {"skip": "0", "comment": "''"}
    names = content.get("HEADER_LINE") or content.get("HEADER")
    if isinstance(names, tuple):
        options |= {"header": "false", "names": f"[{', '.join(map(literal, names))}]"}
    else:
        options["header"] = "false" if names is False else "true"
    if content.get("INFER_TYPES") is False:
        options["all_varchar"] = "true"
    if escape := content.get("QUOTE_ESCAPE_CHAR"):
        options |= {"quote": "'\"'", "escape": literal(escape)}
    if (null := content.get("NULL_VALUE")) is not None:
        options["nullstr"] = f"[{', '.join(dict.fromkeys(map(literal, (null, ''))))}]"
    return options | ({"sample_size": "-1"} if whole else {})


_AT_ONCE = 10_000
_CHUNK = 1024 * 1024
_LINE = "line"


def batches(source: ObjectSource, file: Any) -> pa.RecordBatchReader:
    """The rows of an object.

    Args:
        source: the object.
        file: it, open; bytes.

    Raises:
        UnicodeDecodeError: lines are not UTF-8.
        pyarrow.ArrowInvalid: it is no ORC file, or its compression is damaged.
    """
    if source.content.type == "ORC":
        return _orc(file)
    return _rows(_pieces(source, file), source.content)


def _orc(file: Any) -> pa.RecordBatchReader:
    import pyarrow as pa
    from pyarrow import orc

    opened = orc.ORCFile(pa.PythonFile(file, mode="r"))
    stripes = (opened.read_stripe(at) for at in range(opened.nstripes))
    return pa.RecordBatchReader.from_batches(opened.schema, stripes)


def _pieces(source: ObjectSource, file: Any) -> Iterator[str]:
    """The lines; what stands between the texts of SPLIT_LINES' PATTERN; or all of it, for a REGEX over lines."""
    content = source.content
    if content.get("MULTILINE"):
        yield file.read().decode()
        return
    separator = str(content.get("PATTERN")) if content.type == "SPLIT_LINES" and content.get("PATTERN") else "\n"
    left, pattern = b"", separator.encode()
    while chunk := file.read(_CHUNK):
        *whole, left = (left + chunk).split(pattern)
        yield from (line.decode() for line in whole)
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

    expression = RegularExpression.parse(str(content.get("PATTERN")))
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
    matches = f"unnest(regexp_extract_all(piece, {literal(pattern)}, [{names}]))"
    columns = ", ".join(f"m.g{at}" for at in wanted)
    return f"SELECT {columns} FROM (SELECT {matches} AS m FROM pieces)"  # noqa: S608 - numbers, and a quoted text


def _fixed(content: Content) -> _Reader:
    fields = content.get("COLUMNS")

    def read(lines: list[str]) -> Iterable[_Row]:
        there = filter(str.strip, lines)
        return (tuple(line[first : last + 1].strip() or None for _, first, last in fields) for line in there)

    return tuple(name for name, _, _ in fields), read


_READERS = {"SPLIT_LINES": _whole, "REGEX": _matching, "FIXED_WIDTH": _fixed}
