"""Translate errors of DuckDB, without the contents of a query's literals."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from s3conn_magic.errors import (
    InternalError,
    QueryError,
    S3ConnError,
    StatementInterrupted,
)
from s3conn_magic.language.source import harmless
from s3conn_magic.language.words import identifier, nearest
from s3conn_magic.locations import visible
from s3conn_magic.objects.formats import how_to_read
from s3conn_magic.objects.scope import UNPACKED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from s3conn_magic.objects.scope import QueryScope

MARK = "s3conn_magic: "
"""Prefix of errors that this package's SQL raises about a value."""
_LITERAL = re.compile(r"'((?:[^']|'')*)'|\$(\w*)\$(.*?)\$\2\$", re.DOTALL)
_SHORT = 3
_PARAMETER = 'syntax error at or near "$"'
_AS_SQL = "It is read as DuckDB's SQL: look at the text there and just before it."
_WAYS_ON = {
    "BinderException": "DESCRIBE SELECT * FROM …; shows the columns of what is read, with their types.",
    "CatalogException": "SHOW TABLES; lists the tables, FROM duckdb_functions() the functions.",
    "ConversionException": "TRY_CAST(… AS …) gives NULL for a value that does not fit.",
    "OutOfRangeException": "Cast to a wider type, such as HUGEINT, DECIMAL(38, 6) or DOUBLE.",
    "OutOfMemoryException": "Read less at once: fewer columns, fewer files, or a WHERE on folders.",
    "NotImplementedException": "DuckDB does not have this: write it another way.",
    "ConstraintException": "Leave those rows out, or change them.",
    "IOException": "Run it again; LIST shows which objects there are.",
}
_CORRECT = "Correct that in the query, and run it again."
_ORIGINAL = re.compile(r'Original error: "([^\n"]*)')
_SHOWN = 200
_LAX = json.JSONDecoder(strict=False)
_NO_FILES = "No files found that match"
_ENCRYPTED = re.compile(r"\AFile (?:'.*' )?is encrypted\b", re.DOTALL)
_UPPER_CASE = re.compile(f'{_NO_FILES} the pattern "S3://')
_CSV = re.compile(r"CSV Error on Line: (\d+)\n(.*)", re.DOTALL)
_RECORD = re.compile(r"Original Line:.*?\n(?=Expected|Value with|Invalid|Maximum|Error)", re.DOTALL)
_FILE = re.compile(r"^  file = (s3://.+)$|\AError when sniffing file \"(s3://.+)\"\.$", re.MULTILINE)
_FIELDS = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")
_EXTENSION = re.compile(r"File (\S+) requires the extension (\w+)")
_NO_TABLE = re.compile(r'Table with name "?(.+?)"? does not exist|No extension found .* file "(s3://.+?)";')
_CANDIDATE = re.compile(r'; Did you mean "(?:pg|sqlite|duckdb)_\w+"\?')
_TEXT_FORM = re.compile(r"\A[A-Z][A-Za-z ]*Error: ")


def refused(sql: str, message: str, position: Any, hint: str = _AS_SQL) -> QueryError:
    """Return the error for DuckDB's refusal of a query.

    Args:
        sql: the query.
        message: from DuckDB.
        position: byte of the query, or None.
        hint: what to do about it.
    """
    if message.startswith("Cannot compare") and (date := _DATE.search(_LITERAL.sub(_blank, sql))):
        hint, position = f"Write '{date[0]}' instead.", len(sql[: date.start()].encode())
    if "must appear in the GROUP BY clause" in message and not _ENDS.search(sql):
        hint = "Add GROUP BY ALL."
    hint = _name_meant(sql, message, _offset(sql, position)) or hint
    if message.startswith(_PARAMETER):
        hint = "$name is a value: as a path it goes into a function, such as FROM read_parquet($name)."
    return pointed(sql, _CANDIDATE.sub("", masked(message, sql)), position, hint)


_NO_NAME = re.compile(
    r'(?:Table with name|Referenced column|have a column named) "?([^"\s;]+?)"?(?: does not exist| not found|[;\n]|\Z)'
)
# Columns of objects(), as others call them.
_OF_OBJECTS = {
    **dict.fromkeys(("name", "path", "file", "filename", "object", "object_key"), "key"),
    **dict.fromkeys(("bytes", "length", "content_length", "file_size"), "size"),
    **dict.fromkeys(("modified", "mtime", "date", "timestamp", "lastmodified", "last_update"), "last_modified"),
    **dict.fromkeys(("class", "tier", "storageclass"), "storage_class"),
    **dict.fromkeys(("hash", "md5", "checksum"), "etag"),
}
# Clauses before which, or in which, GROUP BY would stand; and brackets, in which the SELECT may be.
_ENDS = re.compile(r"\b(?:GROUP|HAVING|ORDER|LIMIT|UNION|WITH)\b|\(\s*SELECT\b", re.IGNORECASE)
_DATE = re.compile(r"(?<![\w'-])\d{4}-\d{2}-\d{2}(?![\w'-])")
_COMPARED = re.compile(r"(?:[=<>]|\bI?LIKE|\bIN\s*\([^()]*)\s*\Z", re.IGNORECASE)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _name_meant(sql: str, message: str, at: int | None) -> str:
    """Return the table or column that a name DuckDB does not know may mean, or the text that it may be."""
    match = _NO_NAME.match(message) or _NO_NAME.search(message)
    written = re.match(r'[\w."]+', sql[at or 0 :])
    if match is None or at is None or written is None:
        return ""
    near = nearest(match[1], re.findall(r'"([^"]+)"', message[match.end() :]))
    near = near or (_OF_OBJECTS.get(match[1].lower()) if "objects(" in sql else None)
    if near:
        before = written[0].rpartition(".")[0]
        return f"Did you mean {before and f'{before}.'}{near if near.isidentifier() else identifier(near)}?"
    is_text = _COMPARED.search(sql[:at]) and "." not in written[0] and harmless(match[1])
    return f"Write '{match[1]}' instead, if it is a text." if is_text else ""


def pointed(sql: str, message: str, position: Any, hint: str) -> QueryError:
    """Return an error at a byte of a query; its message has none of the query's literals."""
    error = QueryError(message, hint=hint)
    error.offset = _offset(sql, position)
    return error


def masked(message: str, sql: str) -> str:
    """Return a message without the query's literals, which may be secrets; `s3://` paths stay."""
    text = visible_lines(message)
    literals = {match[1] if match[1] is not None else match[3] for match in _LITERAL.finditer(sql)}
    for literal in sorted(literals, key=len, reverse=True):
        if len(literal) >= _SHORT and not literal.startswith("s3://"):
            text = text.replace(visible(literal), "…").replace(visible(literal.replace("''", "'")), "…")
    return text


def visible_lines(message: str) -> str:
    """Return a message of several lines as one, with all characters visible."""
    return visible("; ".join(line.strip().removesuffix("!") for line in message.split("\n") if line.strip()))


def _offset(sql: str, position: Any) -> int | None:
    """Return the character at a byte position, or None."""
    try:
        at = int(position)
    except (TypeError, ValueError):
        return None
    before = sql.encode("utf-8", "surrogatepass")[:at].decode("utf-8", "replace")
    return len(before) if at >= 0 and len(before) <= len(sql) else None


def details_of(error: BaseException) -> dict[str, Any]:
    """Return DuckDB's error as JSON with its position, or only the message."""
    _, brace, rest = str(error).partition("{")
    try:
        details, _ = _LAX.raw_decode(brace + rest)  # more text may follow
    except ValueError:
        details = None
    if isinstance(details, dict) and "exception_message" in details:
        return details
    return {"exception_message": _TEXT_FORM.sub("", str(error).partition("\n\nLINE ")[0])}


def moved_error(error: Exception, by: int) -> Exception:
    """Return an error about a text as one about the part after its first bytes."""
    import duckdb

    details = details_of(error)
    if not by or not isinstance(error, duckdb.Error) or "position" not in details:
        return error
    return type(error)(json.dumps({**details, "position": str(int(details["position"]) - by)}))


def unknown_table(error: S3ConnError) -> str | None:
    """Return the name that an error says is neither a table nor a file that DuckDB can read, or None."""
    match = _NO_TABLE.match(error.message) if isinstance(error, QueryError) else None
    return match[1] or match[2] if match else None


def session_table(sql: str, failure: S3ConnError, known: Collection[str]) -> str:
    """Return which table about the session a name may mean; empty for any other."""
    at = failure.offset if isinstance(failure, QueryError) else None
    written = re.match(r"system(?:\.\w+)+", sql[at or 0 :], re.IGNORECASE)
    last = written[0].rpartition(".")[2].removeprefix("s3_") if written else ""
    near = nearest(last, [name.rpartition(".")[2] for name in known]) if last else None
    return f"Did you mean {next(name for name in known if name.endswith(f'.{near}'))}?" if near else ""


def translate(
    error: BaseException, sql: str, scope: QueryScope, is_alive: Callable[[], bool] = lambda: False
) -> S3ConnError:
    """Return this package's error for one from a query; `is_alive` tells whether the database still answers."""
    import duckdb

    if scope.stopped:
        return interrupted()
    if failure := scope.failure or (error if isinstance(error, S3ConnError) else None):
        return failure
    if isinstance(error, duckdb.InterruptException):
        return interrupted()
    if isinstance(error, duckdb.FatalException | duckdb.InternalException):
        return _defect(str(details_of(error)["exception_message"]), is_alive=is_alive)
    if not isinstance(error, duckdb.Error) or "Traceback (most recent call last)" in str(error):
        return InternalError.from_exception(error)
    return _of_duckdb(details_of(error), type(error).__name__, sql, scope)


def _of_duckdb(details: dict[str, Any], kind: str, sql: str, scope: QueryScope) -> S3ConnError:
    message = str(details["exception_message"]).removeprefix(MARK).replace(UNPACKED, "s3://")
    for copies in scope.copies.values():
        message = copies.named(message) if copies is not None else message
    if failure := _of_file(message):
        file = _FILE.search(message) if sql else None  # jobs name their objects themselves
        return failure.of(visible(file[1] or file[2])) if file else failure
    if _UPPER_CASE.search(message):
        return QueryError("the path of an object begins with s3:// in lower case", hint="Write s3:// for S3://.")
    if _NO_FILES in message and scope.missing is not None:
        return scope.missing
    if extension := _EXTENSION.match(message):
        scheme = extension[1].partition("://")[0]
        failure = QueryError(
            f"{visible(scheme)}:// cannot be read: DuckDB's extension {extension[2]} is not loaded",
            hint="Objects of a connection are s3://bucket/key, or s3://connection@bucket/key.",
        )
        failure.offset = _offset(sql, details.get("position"))
        return failure
    way_on = _LINES if message.startswith("Malformed JSON in file") else _WAYS_ON.get(kind, _CORRECT)
    hint = _AS_SQL if kind == "ParserException" else way_on
    return refused(sql, message, details.get("position"), hint)


def _defect(message: str, *, is_alive: Callable[[], bool]) -> QueryError:
    """Return the error for a defect of DuckDB, after which the database may be unusable, and is then reopened."""
    first = _ORIGINAL.search(message)
    reason = visible((first[1] if first else message.strip().partition("\n")[0])[:_SHOWN])
    if is_alive():
        hint = "All tables are as they were. Leave columns or files out, to find which of them it fails on."
        return QueryError(f"DuckDB failed internally: {reason}", hint=hint)
    return QueryError(
        f"DuckDB failed internally, and was restarted: {reason}",
        hint="Tables in memory are gone, those in a file are not: SET DATABASE = 'tables.duckdb' keeps them in one.",
    )


_LINES = "COPY FROM S3 with CONTENT_TYPE = SPLIT_LINES loads lines as they are."


def _of_file(message: str) -> QueryError | None:
    """Return the error of a file, without its content; None for another error."""
    if record := _CSV.search(message):
        return _of_csv(f"line {int(record[1]):,}", _RECORD.sub("", record[2]))
    if "does not support a full read" in message:
        return QueryError("a record is longer than can be read", hint=_LINES)
    if "CSV Parser state machine reached an invalid state" in message:
        return QueryError(
            "the lines of a CSV do not all end the same way, or not where its quotes and delimiters say", hint=_LINES
        )
    if message.startswith("Error when sniffing file"):
        reason = "its records do not all have the same number of fields, or its quotes do not say where they end"
        return QueryError(reason, hint=_LINES)
    if _ENCRYPTED.search(message):
        return QueryError(
            "a Parquet file is encrypted, or has encrypted columns, which no statement can read",
            hint="PREVIEW 's3://…' of the file shows the columns that are not.",
        )
    return None


def _of_csv(where: str, reason: str) -> QueryError:
    if fields := _FIELDS.search(reason):
        return uneven(where, int(fields[2]), int(fields[1]))
    if "unterminated quote" in reason:
        return QueryError(f"a quote on {where} does not end, or goes on behind its end", hint=_LINES)
    if "Invalid unicode" in reason:
        hint = "COPY FROM S3 takes an encoding, for example CONTENT_TYPE = (TYPE = CSV ENCODING = 'cp1252')."
        return QueryError(f"{where} is not UTF-8", hint=hint)
    if "Maximum line size" in reason:
        return QueryError(f"the record on {where} is longer than can be read", hint=_LINES)
    return QueryError(f"{where}: {visible_lines(reason.partition('Possible')[0])}", hint=_LINES)


def uneven(where: str, fields: int, wanted: int) -> QueryError:
    """Return the error for a record with fewer or more fields than others."""
    few = f"{where} has {fields:,} of {wanted:,} fields: not all records have the same number of them"
    return QueryError(few, hint=f"DELIMITER sets another one, if one was meant. {_LINES}")


def interrupted() -> StatementInterrupted:
    """Return the error for a query that the user stopped."""
    return StatementInterrupted("the query was interrupted")


@contextmanager
def naming_definition(name: str) -> Iterator[None]:
    """Add the name of a definition to errors in a block, instead of a place."""
    try:
        yield
    except QueryError as error:
        failure = error
    else:
        return
    failure.offset, failure.message = None, f"in {visible(name)} of the database: {failure.message}"
    raise failure


def unknown_format(name: str, sql: str, failure: S3ConnError) -> QueryError:
    """Return the error for a path of unknown format."""
    error = QueryError(f"the name of {name} does not show its format", hint=how_to_read(name))
    at = place_of(sql, name)
    error.offset = getattr(failure, "offset", None) if at is None else at
    return error


def place_of(sql: str, text: str) -> int | None:
    """Return the offset of a quoted text in a query, or None."""
    at = sql.find(f"'{text}'")
    return at if at >= 0 else None


_Result = TypeVar("_Result")


_LONG = ("Maximum line size", "maximum_object_size", "does not support a full read", "unterminated quote")


_NO_PARQUET = ("No magic bytes found at end of file", "too small to be a Parquet file")


def is_too_long(error: Exception) -> bool:
    """Return whether a record may be longer than the reader has room for: the end of its quotes may be far away."""
    return any(words in str(error) for words in _LONG)


def by_all_records(scope: QueryScope, run: Callable[[], _Result]) -> _Result:
    """Run a query, and again with all records if a value does not fit the type of the first ones.

    So it is with more room if a record is too long, and by content if a file that is named so is not Parquet.

    Args:
        scope: of the query.
        run: runs it, without changes if it fails.
    """
    import duckdb

    try:
        return run()
    except duckdb.Error as error:
        if scope.stopped:
            raise
        if any(words in str(error) for words in _NO_PARQUET) and not scope.by_content:
            scope.by_content, scope.failure = True, None
        elif is_too_long(error) and not scope.wide:
            scope.wide, scope.failure = True, None
        elif MARK in str(error) and not (scope.failure or scope.all_records):
            scope.all_records = True
        else:
            raise
    return by_all_records(scope, run)
