"""Cells without the secrets in their statements: `%%upsql`, `%upsql`, and Python strings that hold statements."""

from __future__ import annotations

import ast
import tokenize
from io import StringIO
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.language.redaction import redacted
from s3conn_magic.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = "upsql"
# What IPython makes of `%%upsql` below the first line.
_LATE = f"get_ipython().run_line_magic('%{_NAME}'"
_BLANK_LINE = f"# {MASK}"
_STATEMENT_WORDS = {"CREATE", "ALTER"}
_CLOSED_BY = {"FSTRING_START": "FSTRING_END", "TSTRING_START": "TSTRING_END"}


def redacted_cell(cell: str) -> str:
    """A cell, as typed or as IPython made it Python, with every secret of its statements masked.

    A cell of ours that cannot be read is masked whole. Lines stay as many as they were.
    """
    lowered = cell.lower()
    if _NAME not in lowered and "connection" not in lowered:
        return cell
    try:
        return "".join(_pieces(cell))
    except Exception:  # noqa: BLE001 - in doubt it is not kept; storing a cell must never fail
        return "\n".join(_BLANK_LINE for _ in cell.split("\n"))


def _pieces(cell: str) -> Iterator[str]:
    python = ""
    rest = cell
    while rest:
        line, rest = _logical_line(rest)
        at = _statement_at(line)
        if at is None:
            python += line
            continue
        yield _python(python)
        python = ""
        if _rest_is_statements(line):
            line, rest = line + rest, ""
        body = line[at:].rstrip("\r\n")
        yield line[:at] + redacted(body) + line[at + len(body) :]
    yield _python(python)


def _logical_line(text: str) -> tuple[str, str]:
    """The first line, with those that backslashes join to it, and the rest."""
    end = text.find("\n") + 1
    while end and text[:end].rstrip().endswith("\\"):
        end = text.find("\n", end) + 1
    return (text[:end], text[end:]) if end else (text, "")


def _rest_is_statements(line: str) -> bool:
    """Whether the lines below are statements, too: of a cell magic, or where its line was forgotten or comes late."""
    return line.lstrip().startswith((f"%%{_NAME}", _LATE)) or _is_statement(line)


def _is_statement(line: str) -> bool:
    words = line.upper().split()
    return bool(words) and words[0] in _STATEMENT_WORDS and "CONNECTION" in words


def _statement_at(line: str) -> int | None:
    """Where statements begin in a line."""
    if line.lstrip().startswith(_LATE):
        return len(line)
    if _is_statement(line):
        return 0
    if "run_line_magic(" in line or "run_cell_magic(" in line:
        return None
    at = line.find(f"%{_NAME}") + 1
    if not at:
        # IPython needs no % where the name is nothing else's.
        at = len(line) - len(line.lstrip())
    end = at + len(_NAME)
    return end if line[at:end] == _NAME and (end == len(line) or line[end].isspace()) else None


# Python


class _Slice(NamedTuple):
    start: int
    end: int
    value: str


def _python(code: str) -> str:
    """Python code whose strings hold no secret of a statement."""
    if "connection" not in code.lower() and _NAME not in code.lower():
        return code
    written, at = "", 0
    for found, clean in _changed(code):
        written += code[at : found.start] + _literal(clean, lines="\n" in code[found.start : found.end])
        at = found.end
    return written + code[at:]


def _literal(text: str, *, lines: bool) -> str:
    return f'"""{text}"""' if lines and '"""' not in text and "\\" not in text else repr(text)


def _changed(code: str) -> Iterator[tuple[_Slice, str]]:
    """The strings that must be written otherwise, with what they become."""
    called = False
    for found in _strings(code):
        if found is None:
            called = False
            continue
        clean = redacted(found.value) if called else _clean(found.value)
        called = called or found.value.lstrip("%") == _NAME
        if clean != found.value:
            yield found, clean


def _clean(value: str) -> str:
    words = {word.upper() for word in value.split()}
    if words & _STATEMENT_WORDS and "CONNECTION" in words:
        return redacted_cell(value) if _NAME in value else redacted(value)
    return redacted_cell(value)


def _strings(code: str) -> Iterator[_Slice | None]:
    """Every string of the code; None where a statement of Python ends."""
    starts = [0, *accumulate(len(line) for line in code.splitlines(keepends=True))]
    opened: list[int] = []
    for token in tokenize.generate_tokens(StringIO(code).readline):
        kind = tokenize.tok_name[token.type]
        start, end = (starts[line - 1] + column for line, column in (token.start, token.end))
        if kind in _CLOSED_BY:
            opened.append(start)
        elif kind in _CLOSED_BY.values():
            begun = opened.pop()
            if not opened:
                yield _Slice(begun, end, code[begun:end])
        elif kind == "STRING" and not opened:
            yield _Slice(start, end, _value(token.string))
        elif kind == "NEWLINE":
            yield None


def _value(literal: str) -> str:
    try:
        value = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return literal
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
