"""What the cells of the corpora become: an error's block, or a tree as text."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from offline import offline_session

from s3conn_magic.errors import S3ConnError, StatementError
from s3conn_magic.language import statements
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.source import Source
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corpora import Case


def refusal(case: Case) -> S3ConnError:
    """The error of a malformed cell, from a session with the case's connections."""
    session = offline_session(*case.connections)
    try:
        results = list(session.run(case.cell))
    except S3ConnError as error:
        return error
    raise AssertionError(f"{case.id} is accepted: {results}")


def failure_of(text: str) -> StatementError | None:
    """The error of a text that does not parse."""
    try:
        parse(Source(text))
    except StatementError as error:
        return error
    return None


def rendered(statements: list[statements.Statement]) -> str:
    """Trees as lines of text: one a statement, one an option."""
    return "\n".join(line for statement in statements for line in _lines(statement)) or "(nothing)"


def _lines(statement: statements.Statement) -> Iterator[str]:
    settings: tuple[statements.OptionSetting, ...] = getattr(statement, "settings", ())
    fields = [f"{name}={_text(value)}" for name, value in _given(statement) if name != "settings"]
    yield " ".join([type(statement).__name__, *fields])
    yield from (f"    {one.name.text} = {_text(one.value)}" for one in settings)


def _given(node: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if field.compare and not (field.default is not dataclasses.MISSING and value == field.default):
            yield field.name, value


def _text(value: Any) -> str:
    if isinstance(value, statements.Name):
        return f"<{value.text}>"
    if isinstance(value, statements.StringLiteral | statements.BooleanLiteral | statements.IntegerLiteral):
        return _text(value.value)
    if isinstance(value, Secret):
        return _text(value.reveal())
    if isinstance(value, statements.ListLiteral | tuple):
        return f"[{', '.join(map(_text, getattr(value, 'items', value)))}]"
    if dataclasses.is_dataclass(value):
        return f"{type(value).__name__}({', '.join(_text(one) for _, one in _given(value))})"
    return ascii(value)


OUTCOMES = {
    "malformed": lambda case: refusal(case).block(),
    "valid": lambda case: rendered(parse(Source(case.cell))),
}
