"""The reference of the language as Markdown, made of the tables of statements and of options.

`python docs/language_page.py > docs/language.md` writes it down.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from s3conn_magic.language.job_options import JOB_OPTIONS
from s3conn_magic.language.options import OPTIONS, Option
from s3conn_magic.language.reference import STATEMENTS, Reference
from s3conn_magic.language.session_settings import SETTINGS, setting_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3conn_magic.language.result_columns import Column

_HEAD = """\
# The `%%upsql` language

Every statement, its result, and every option and setting. The page is generated from the tables that the parser,
`HELP` and `DESCRIBE CONNECTION` use: `python docs/language_page.py > docs/language.md`. The grammar, with its lexical
rules, is in [grammar.md](grammar.md).
"""
_OPTIONS_HEAD = """\
## Options of an S3 connection

Write `NAME = value`, in any order, separated by white space or commas. Giving an option twice, in whatever case or
spelling, is an error. A value can also come from somewhere else: `$name` is a Python variable, `ENV 'NAME'` an
environment variable of the kernel, and `KEYRING 'service' 'user'` an entry of the operating system's keyring.
`PROMPT 'text'` asks for the value, without an echo, after the rest of the cell has been checked.

Options marked **published** are Upsolver's; this project added the others.
"""

_JOB_OPTIONS_HEAD = """\
## Options of a job

They follow the job's name or the connection's name. A value may be a bare word, as in `CONTENT_TYPE = JSON`, or a
length of time, as in `5 MINUTES`. Options of Upsolver's that mean nothing on a single machine are accepted with a note.
"""


def page() -> str:
    """The whole reference."""
    return "\n".join(
        [
            _HEAD,
            "## Statements\n",
            _table(("statement", "what it does"), _overview()),
            *(_statement(one) for one in STATEMENTS),
            _OPTIONS_HEAD,
            _table(("option", "value", "default", "published", "`ALTER`"), _summary()),
            *(_option(one) for one in OPTIONS),
            _JOB_OPTIONS_HEAD,
            _table(("option", "value", "default", "of", "what it does"), _job_options()),
            "## Settings of the session\n",
            _table(("setting", "value", "default", "what it does"), _settings()),
        ]
    )


def _overview() -> Iterator[tuple[str, ...]]:
    return ((f"[`{one.name}`](#{one.name.lower().replace(' ', '-')})", _first_sentence(one.help)) for one in STATEMENTS)


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].removesuffix(".") + "."


def _statement(one: Reference) -> str:
    parts = [f"### {one.name}\n", f"{_prose(one.help)}\n", _code(one.syntax), _code(one.example, "upsql")]
    parts += ["Result:\n", _table(("column", "type", "meaning"), map(_column, one.columns))] if one.columns else []
    return "\n".join(parts)


def _column(one: Column) -> tuple[str, ...]:
    return (f"`{one.name}`", one.type, one.help)


def _summary() -> Iterator[tuple[str, ...]]:
    for one in OPTIONS:
        names = ", ".join(f"`{name}`" for name in (one.name, *one.aliases))
        yield names, one.takes, one.default, _yes(one.origin == "Upsolver"), _yes(one.mutable)


def _job_options() -> Iterator[tuple[str, ...]]:
    for one in JOB_OPTIONS.values():
        kinds = " and ".join(
            {"COPY": "COPY FROM", "INSERT": "INSERT INTO S3", "INTO": "INTO a table"}[kind] for kind in one.kinds
        )
        default = one.default if one.effect else "no effect on one machine"
        yield f"`{one.name}`", one.takes, default, kinds, f"{one.help} `{one.name} = {one.example}`"


def _settings() -> Iterator[tuple[str, ...]]:
    return ((f"`{one.name}`", one.takes, f"`{setting_text(one.default)}`", one.help) for one in SETTINGS)


def _option(one: Option) -> str:
    rules = [f"also spelt {_names(one.aliases)}"] if one.aliases else []
    rules += [f"needs {_names(one.requires)}"] if one.requires else []
    excluded = [other.name for other in OPTIONS if other.name in one.excludes or one.name in other.excludes]
    rules += [f"not with {_names(excluded)}"] if excluded else []
    rules += ["its value is never shown again"] if one.secret else []
    rules += ["cannot be altered"] if not one.mutable else []
    text = f"{_prose(one.help)}\n" + (f"\nRules: {'; '.join(rules)}.\n" if rules else "")
    return "\n".join([f"### {one.name}\n", text, _code(f"{one.name} = {one.example}")])


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _code(text: str, language: str = "sql") -> str:
    return f"```{language}\n{text}\n```\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    return _prose(text).replace("|", r"\|")


def _prose(text: str) -> str:
    """Text in which `<REDACTED>` is no tag of HTML."""
    return text.replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(page())
