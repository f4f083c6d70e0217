"""Statements about jobs → their text, which parses to the same statements; see `language/writing.py`."""

from __future__ import annotations

from datetime import timedelta
from functools import singledispatch
from typing import Any

from s3conn_magic.language import statements
from s3conn_magic.language.help import name_text
from s3conn_magic.language.statements import BooleanLiteral, IntegerLiteral, Name, StringLiteral, VariableSource
from s3conn_magic.language.words import identifier, literal


def job_text(one: statements.JobStatement) -> str:
    """The text of a statement about jobs, without the `;`."""
    if isinstance(one, statements.CreateCopyJob | statements.CreateInsertJob):
        return _created(one)
    if isinstance(one, statements.RunJob):
        return f"RUN JOB {name_text(one.name.text)}"
    if isinstance(one, statements.DropJob):
        return f"DROP JOB {'IF EXISTS ' * one.if_exists}{name_text(one.name.text)}"
    if isinstance(one, statements.ShowJobErrors):
        return f"SHOW JOB {name_text(one.name.text)} ERRORS"
    if isinstance(one, statements.ShowJobs):
        return "SHOW JOBS" if one.like is None else f"SHOW JOBS LIKE {literal(one.like)}"
    raise NotImplementedError(type(one).__name__)


def _created(one: statements.CreateCopyJob | statements.CreateInsertJob) -> str:
    head = f"CREATE {'SYNC ' * one.sync}JOB {'IF NOT EXISTS ' * one.if_not_exists}{name_text(one.name.text)} AS"
    settings = " ".join(map(_setting, one.settings))
    connection = name_text(one.connection.text)
    if isinstance(one, statements.CreateCopyJob):
        return f"{head} COPY FROM S3 {connection} {settings} INTO {'.'.join(map(_in_quotes, one.into.parts))}"
    return f"{head} INSERT INTO S3 {connection} {settings} {one.query.value.reveal()}"


def _setting(one: statements.JobSetting) -> str:
    if one.value is None:
        return one.name.text
    name = _in_quotes(one.name.text) if isinstance(one.value, statements.Expression) else one.name.text
    return f"{name} = {_value(one.value)}"


@singledispatch
def _value(value: Any) -> str:
    raise NotImplementedError(type(value).__name__)


_value.register(StringLiteral, lambda one: literal(one.value.reveal()))
_value.register(statements.Expression, lambda one: one.value.reveal())
_value.register(BooleanLiteral, lambda one: str(one.value).upper())
_value.register(IntegerLiteral, lambda one: str(one.value))
_value.register(statements.Interval, lambda one: f"{one.value // timedelta(seconds=1)} SECONDS")
_value.register(VariableSource, lambda one: f"${one.name}")
_value.register(Name, lambda one: _in_quotes(one.text))


@_value.register(statements.Group)
def _(group: statements.Group) -> str:
    items = (_setting(one) if isinstance(one, statements.JobSetting) else _value(one) for one in group.items)
    return f"({', '.join(items)})"


def _in_quotes(name: str) -> str:
    return identifier(name)
