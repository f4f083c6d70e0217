"""HELP, and statements written from bound options, without secrets."""

from __future__ import annotations

import html
import re
import textwrap
from typing import TYPE_CHECKING, Any

from s3conn_magic.language.job_options import JOB_OPTIONS, LOCATIONS
from s3conn_magic.language.options import OPTIONS, Option, find_option
from s3conn_magic.language.reference import (
    KEYWORDS,
    STATEMENTS,
    VALUE_WORDS,
    Reference,
    find_statement,
    statement_of,
    words_of,
)
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.session_settings import SETTINGS, Setting, find_setting, setting_literal
from s3conn_magic.language.source import Source
from s3conn_magic.language.words import identifier, literal, table_parts
from s3conn_magic.locations import Location
from s3conn_magic.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from s3conn_magic.language.options import BoundOptions, BoundValue
    from s3conn_magic.language.plans import CreateJob
    from s3conn_magic.language.source import Token

_FROM_ELSEWHERE = ("$", "ENV ", "PROMPT", "KEYRING ")


def create_statement(name: str, options: BoundOptions, besides: Iterable[str] = ()) -> str:
    """Return `CREATE S3 CONNECTION …;`, runnable; a secret becomes its source, or a PROMPT.

    Args:
        name: of the connection.
        options: as given.
        besides: comments on what applies without being an option.
    """
    given = [
        (option.name, value_text(options[option.name], asking_for(option.name, name))) for option in _given(options)
    ]
    return "\n".join([*(f"-- {text}" for text in besides), _create_text(name, given)])


def create_job_statement(plan: CreateJob, connection: str) -> str:
    """Return `CREATE JOB …;` as written, with the changes of ALTER JOB; its options come first."""
    where = {name: text for name, text in plan.written.items() if name in LOCATIONS}
    options = [
        f"    {name} = {text}" if text else f"    {name}" for name, text in plan.written.items() if name not in where
    ]
    if plan.kind == "VIEW":
        return "\n".join([f"CREATE MATERIALIZED VIEW {table_name(plan.name)}", *options, f"AS {plan.body};"])
    head = [f"CREATE JOB {name_text(plan.name)}", *options]
    if plan.kind in {"INTO", "MERGE"}:
        named = [f"({', '.join(map(identifier, plan.how.columns))})"] if plan.how.columns else []
        named += ["MAP_COLUMNS_BY_NAME"] if plan.how.by_name else []
        named += [f"EXCEPT {', '.join(map(identifier, plan.how.without))}"] if plan.how.without else []
        does = "MERGE" if plan.kind == "MERGE" else "INSERT"
        return "\n".join([*head, " ".join([f"AS {does} INTO {table_name(plan.table)}", *named]), f"{plan.body};"])
    does, end = ("COPY FROM", f"INTO {table_name(plan.table)}") if plan.kind == "COPY" else ("INSERT INTO", plan.body)
    lines = [*head, f"AS {does} S3 {name_text(connection)}", *(f"    {name} = {text}" for name, text in where.items())]
    expected = [
        f"    WITH EXPECTATION {name_text(name)} EXPECT {predicate} ON VIOLATION {'DROP' if drops else 'WARN'}"
        for name, predicate, drops in plan.expectations
    ]
    return "\n".join([*lines, end, *expected]) + ";"


def table_name(name: str) -> str:
    """Return the name of a table as in a statement: `table_text` quotes its parts if there are several."""
    return name if len(table_parts(name)) > 1 else name_text(name)


def saved_statement(name: str, options: BoundOptions) -> str:
    """Return the statement for a file, which runs without the notebook's variables.

    The value of a Python variable is written out, or prompted for if it is secret.
    """
    given = [(option.name, _saved(options[option.name], asking_for(option.name, name))) for option in _given(options)]
    return _create_text(name, given)


def asking_for(option: str, name: str) -> str:
    """Return the PROMPT for an option of a connection."""
    return f"PROMPT {literal(f'{option} of {name}')}"


def _given(options: BoundOptions) -> Iterator[Option]:
    return (option for option in OPTIONS if option.name in options)


def _create_text(name: str, given: Iterable[tuple[str, str]]) -> str:
    return (
        "\n".join([f"CREATE S3 CONNECTION {name_text(name)}", *(f"    {option} = {text}" for option, text in given)])
        + ";"
    )


def _saved(bound: BoundValue, asking: str) -> str:
    if not bound.source.startswith("$"):
        return value_text(bound, asking)
    return _written(bound.value, asking)


def value_text(bound: BoundValue, asking: str) -> str:
    """Return a value as it is written: its source if it has one, and `asking` for any other secret."""
    if bound.source.startswith(_FROM_ELSEWHERE):
        return bound.source
    return _written(bound.value, asking)


def _written(value: Any, asking: str) -> str:
    if isinstance(value, Secret):
        return asking
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, tuple):
        return "(" + ", ".join(literal(item.uri if isinstance(item, Location) else str(item)) for item in value) + ")"
    return literal(str(value))


_HEAD = """\
Statements for Amazon S3 connections, buckets and what is in them. `%%upsql` runs those of a cell, `%upsql STATEMENT`
those of a line; `%%upsql name <<` puts the last result into the variable `name` and shows nothing.
HELP; shows this reference as a frame, HELP CREATE S3 CONNECTION; and HELP READ_ONLY; one entry of it."""
# Statements that take options of a connection.
_WITH_OPTIONS = "option = value"
_WIDTH = 118
_JOBS = {"COPY": "COPY FROM S3", "INSERT": "INSERT INTO S3", "INTO": "a job into a table"}


def overview() -> str:
    """Return all statements, options and settings, each with its meaning."""
    statements = _section("Statements", [(statement.name, statement.help) for statement in STATEMENTS])
    options = _section("Options of a connection", [(option.name, option.help) for option in OPTIONS])
    jobs = _section("Options of a job", [(option.name, option.help) for option in JOB_OPTIONS.values()])
    settings = _section("Settings", [(setting.name, setting.help) for setting in SETTINGS])
    return f"{_HEAD}\n{statements}\n{options}\n{jobs}\n{settings}"


def _section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(["", title, *(_row(f"  {name:<{width}}  ", text) for name, text in rows)])


def _row(name: str, text: str) -> str:
    """Return a name and its meaning, with the lines of a long text aligned."""
    lines = textwrap.wrap(text, _WIDTH - len(name), break_long_words=False, break_on_hyphens=False)
    return name + f"\n{' ' * len(name)}".join(lines)


def topic_text(topic: str) -> str | None:
    """Return the entry of a statement, an option, a setting or a keyword (case-insensitive), or None."""
    words = " ".join(topic.upper().split())
    several = [statement for statement in STATEMENTS if statement.name.split()[0] == words]
    if len(several) > 1 and words not in {statement.name for statement in several}:
        return "\n\n".join(f"{statement.syntax}\n  {statement.help}" for statement in several)
    if options := [*map(option_text, filter(None, [find_option(words)])), *_job_option(words)]:
        return "\n\n".join([*options, *([MEANINGS[words]] if words in MEANINGS else [])])
    if statement := find_statement(words):
        usual = ["The usual forms:", "", *(f"  {form}" for form in USUAL), "", ""] if words == MADE else []
        return "\n".join(usual) + statement_text(statement)
    setting = find_setting(words)
    entries = [setting_entry(setting)] if setting else []
    entries += [_keyword_text(words)] if words in KEYWORDS else []
    return "\n\n".join(entries) or _foreign_option(words)


def _foreign_option(word: str) -> str | None:
    from s3conn_magic.language.option_names import option_meant

    option = option_meant(word)
    return f"{word} is {option.name} here.\n\n{option_text(option)}" if option else None


def _job_option(word: str) -> list[str]:
    option = JOB_OPTIONS.get(word.upper())
    if option is None:
        return []
    facts = [f"an option of {' and '.join(_JOBS[kind] for kind in option.kinds)}", f"takes {option.takes}"]
    facts += [f"default: {option.default}"] if option.effect else ["accepted, without effect on one machine"]
    facts += [f"needs {', '.join(option.requires)}"] if option.requires else []
    return [_entry(f"{option.name} = {option.example}", option.help, facts)]


def _keyword_text(word: str) -> str:
    lines = [statement.syntax for statement in STATEMENTS if word in words_of(statement.syntax)]
    lines += [f"{option.name} = {option.example}" for option in OPTIONS if word in option.example.split()]
    meaning = [MEANINGS[word], ""] if word in MEANINGS else []
    entry = [f"{word} is a word of", "", *(f"  {line}" for line in lines or ["the value of an option"])]
    return "\n".join([*meaning, *entry])


MEANINGS = {
    "MATCHING": "MATCHING 'glob' keeps keys whose part below the location matches: * within a folder, ** across"
    " folders, ?, [a-z] and {a,b}. The fixed beginning of the glob limits what is requested.",
    "ASIDE": "ASIDE shows the explorer beside the notebook in JupyterLab; it needs the extra aside.",
    "CASCADE": "CASCADE also drops the tables and jobs that depend on the connection.",
    "ENV": "ENV 'NAME' is the value of an environment variable of the kernel, read when the cell runs.",
    "PROMPT": "PROMPT 'text' asks for the value without an echo when the cell runs, after the rest has been checked.",
    "KEYRING": "KEYRING 'service' 'user' is a password in the operating system's keyring.",
    "USING": "USING name says which connection a statement uses; without it, the one of USE CONNECTION, else the one"
    " whose display filters contain the location, else the first that was created.",
    "RECURSIVE": "RECURSIVE lists every object below the location, not just one level.",
    "VERSIONS": "VERSIONS lists every version of each object, and the delete markers.",
    "LIKE": "LIKE 'pattern' keeps the names that match: % stands for any text, _ for one character.",
    "LIMIT": "LIMIT n stops after n rows; LIMIT ALL gives all of them.",
    "DEPTH": "DEPTH n is the number of folders that make a group, or that tell datasets apart in DISCOVER.",
    "OF": "AS OF 'time' makes COMPARE look at a versioned bucket as it was at that time.",
    "ETAG": "BY ETAG compares objects by size and ETag.",
    "TIME": "BY TIME compares objects by size, and by whether the left one is newer.",
    "PERCENT": "SAMPLE n PERCENT makes SUMMARIZE read n percent of the rows; 0 takes only the files' statistics.",
    "EXACT": "ROWS = EXACT makes DISCOVER count all rows of each dataset, however much that reads.",
    "ROWS": "ROWS = EXACT makes DISCOVER count all rows of each dataset, however much that reads.",
    "SAMPLE": "SAMPLE n is how many objects of each dataset DISCOVER looks into (4 if you leave it out, none with 0);"
    " SAMPLE n PERCENT makes SUMMARIZE read n percent of the rows.",
    "UNSET": "UNSET removes an option, so that its default applies again.",
    "WITH": "WITH WRITE also writes, reads and deletes a test object.",
    "IF": "IF NOT EXISTS leaves an existing one unchanged, IF EXISTS does nothing without one; both say so.",
    "REPLACE": "OR REPLACE replaces an existing one of that name.",
    "AS": "AS introduces the query of a table, or what a job does; AS OF 'time' is the time COMPARE goes back to.",
    "BY": "BY says what ANALYZE groups by: PREFIX (folders), STORAGE_CLASS, EXTENSION, AGE, SIZE, DUPLICATES, VERSIONS"
    " or UPLOADS; and what COMPARE compares: ETAG, SIZE or TIME.",
    "DUPLICATES": "BY DUPLICATES shows the copies of each object: those with the same size and ETag.",
    "UPLOADS": "BY UPLOADS shows what unfinished multipart uploads hold.",
    "PREFIX": "BY PREFIX groups by the folders below the location, as deep as DEPTH says.",
    "STORAGE_CLASS": "BY STORAGE_CLASS groups by STANDARD, GLACIER and the like.",
    "EXTENSION": "BY EXTENSION groups by the extension of keys, such as .parquet.",
    "AGE": "BY AGE groups by when objects were last modified.",
    "SIZE": "BY SIZE groups by ranges of size, and makes COMPARE look at sizes only.",
    "COPY": "COPY FROM S3 name loads each object at a LOCATION into a table exactly once.",
    "INSERT": "INSERT INTO S3 name writes the rows of a query to a LOCATION, as one object.",
    "INTO": "INTO names the table that a job loads, or the connection that it writes through.",
    "ICEBERG": "ICEBERG TABLE keeps its files in S3; with STORAGE_LOCATION or SET DEFAULT_STORAGE, a table does so"
    " without this word as well.",
    "PARTITIONED": "PARTITIONED BY columns, or year(c), month(c), day(c), hour(c), bucket(n, c), truncate(n, c): each"
    " file of a table in S3 holds rows of one value.",
    "PRIMARY": "PRIMARY KEY names the columns, without NULL, that identify a row; INSERT INTO jobs replace rows by it.",
    "KEY": "PRIMARY KEY names the columns, without NULL, that identify a row; INSERT INTO jobs replace rows by it.",
    "DELETE_DATA": "DELETE_DATA = TRUE also deletes the files of a table in S3.",
    "MAP_COLUMNS_BY_NAME": "MAP_COLUMNS_BY_NAME matches columns by name and adds new ones to the table.",
    "EXCEPT": "MAP_COLUMNS_BY_NAME EXCEPT names columns to leave out.",
    "EXPECTATION": "EXPECTATION name EXPECT predicate counts the rows that violate it; with DROP they are left out.",
    "EXPECT": "EXPECT is followed by a predicate; a row for which it is false violates the expectation.",
    "ON": "ON VIOLATION says what to do with a row that violates an expectation: DROP or WARN.",
    "VIOLATION": "ON VIOLATION says what to do with a row that violates an expectation: DROP or WARN.",
    "WARN": "ON VIOLATION WARN counts a row that violates an expectation, and loads it anyway.",
    "ADD": "ADD EXPECTATION adds an expectation to a job.",
    "UNNEST": "UNNEST(SELECT items[].id FROM t) gives each element of a list its own row.",
    "MATERIALIZED": "A MATERIALIZED VIEW is a table of a query's rows; RUN JOB with its name brings it up to date.",
    "VIEW": "A MATERIALIZED VIEW is a table of a query's rows; RUN JOB with its name brings it up to date.",
    "SYNC": "In Upsolver, a job with SYNC waits for the jobs that write what it reads. Here it changes nothing: a job"
    " only runs when a statement runs it, and RUN JOBS runs jobs that write before those that read.",
    "ERRORS": "SHOW JOB name ERRORS shows what a job couldn't load, and why.",
    "LOCATION": "LOCATION 's3://bucket/prefix' is where a table or job has its files, or what TEST CONNECTION tries.",
    "VERSION": "VERSION 'id' reads that version of an object instead of the current one.",
    "WRITE": "WITH WRITE also writes, reads and deletes a test object.",
    "EXISTS": "IF NOT EXISTS leaves an existing one unchanged, IF EXISTS does nothing without one; both say so.",
    "NOT": "IF NOT EXISTS leaves an existing one unchanged, and says so.",
    "OR": "OR REPLACE replaces an existing one of that name.",
    "RENAME": "RENAME TO name gives a connection another name.",
    "TO": "TO is followed by the new name of a connection, or by the file that connections are saved to.",
    "TRUE": "TRUE switches an option or a setting on.",
    "FALSE": "FALSE switches an option or a setting off.",
    "INVENTORY": "FROM INVENTORY reads an S3 Inventory report instead of listing the bucket.",
}
"""Meaning of each keyword that does not begin a statement."""


MADE = "CREATE S3 CONNECTION"
USUAL = (
    "CREATE S3 CONNECTION lake AWS_PROFILE = 'analytics';",
    "CREATE S3 CONNECTION lake AWS_ACCESS_KEY_ID = ENV 'MY_KEY_ID' AWS_SECRET_ACCESS_KEY = ENV 'MY_SECRET';",
    "CREATE S3 CONNECTION lake AWS_ROLE = 'arn:aws:iam::123456789012:role/my_s3_role';",
    "CREATE S3 CONNECTION public ANONYMOUS = TRUE;",
)
"""How most connections are created: from a profile, a key pair or a role, or for public buckets."""


def statement_text(statement: Reference) -> str:
    """Return the syntax, meaning, example, columns and options of a statement."""
    lines = [statement.syntax, "", statement.help, "", f"  {statement.example}"]
    if statement.columns:
        lines.append(_section("Columns", [(column.name, column.help) for column in statement.columns]))
    if statement.name in {"CREATE JOB", "ALTER JOB"}:
        taken = [option for option in JOB_OPTIONS.values() if option.mutable or statement.name == "CREATE JOB"]
        lines.append(_section("Options", [(option.name, option.help) for option in taken]))
    elif _WITH_OPTIONS in statement.syntax:
        lines.append(_section("Options", [(option.name, option.help) for option in OPTIONS]))
    return "\n".join(lines)


def option_text(option: Option) -> str:
    """Return the meaning, values and rules of an option."""
    excluded = [other.name for other in OPTIONS if other.name in option.excludes or option.name in other.excludes]
    facts = [f"takes {option.takes}", f"default: {option.default}"]
    facts += ["never shown again"] if option.secret else []
    facts += [] if option.mutable else ["cannot be altered"]
    facts += [f"needs {', '.join(option.requires)}"] if option.requires else []
    facts += [f"not with {', '.join(excluded)}"] if excluded else []
    facts += [f"also spelt {', '.join(option.aliases)}"] if option.aliases else []
    return _entry(f"{option.name} = {option.example}", option.help, facts)


def setting_entry(setting: Setting) -> str:
    """Return the meaning and values of a setting of the session."""
    default = setting_literal(setting.default)
    return _entry(f"SET {setting.name} = {default}", setting.help, [f"takes {setting.takes}", f"default: {default}"])


def _entry(title: str, text: str, facts: Iterable[str]) -> str:
    return "\n".join([title, "", text, "", *(f"  {fact}" for fact in facts)])


def help_at(text: str, at: int) -> str:
    """Return the entry for the option or setting at a place of a cell, else for the statement there."""
    words, index = _words_around(Source(text), at)
    statement, head, word = statement_of(words), words[:index], "".join(words[index : index + 1])
    written = [word, *reversed(head)]
    if head[:1] == ["SET"] and (setting := next(filter(None, map(find_setting, written)), None)):
        return setting_entry(setting)
    if word in MEANINGS and word not in VALUE_WORDS:
        return f"{_text_of(statement)}\n\n{MEANINGS[word]}"
    if word in KEYWORDS and word not in VALUE_WORDS:
        return _text_of(statement)
    option = next(filter(None, map(find_option, written)), None)
    return option_text(option) if option else _text_of(statement)


def _text_of(statement: Reference | None) -> str:
    return statement_text(statement) if statement else overview()


def _words_around(source: Source, at: int) -> tuple[list[str], int]:
    """Return the words of the statement at a place, in upper case, and the index of the one there.

    Between two words, the index is the number of words.
    """
    tokens = [token for token in source.tokens if token.kind == "word" or token.text == ";"]
    ends = [index for index, token in enumerate(tokens) if token.text == ";"]
    first = max((index + 1 for index in ends if tokens[index].span.end <= at), default=0)
    last = min((index for index in ends if index >= first), default=len(tokens))
    words = tokens[first:last]
    here = (index for index, token in enumerate(words) if token.span.start <= at <= token.span.end)
    before = sum(token.span.end < at for token in words)
    index = next(here, None)
    return _upper(words if index is not None else words[:before]), before if index is None else index


def _upper(tokens: Iterable[Token]) -> list[str]:
    return [token.text.upper() for token in tokens]


_LINK = "color:var(--vscode-textLink-foreground,var(--jp-content-link-color,inherit))"
_LINKED = re.compile(r"[A-Z][A-Z0-9_]+")
_TOPICS = {entry.name for table in (STATEMENTS, OPTIONS, SETTINGS) for entry in table} | KEYWORDS


def help_page(topic: str) -> str | None:
    """Return the entry of a topic as HTML that links words to their entries, or None.

    Links stay in the page: the entries of the options and keywords of a statement follow it.
    """
    text = topic_text(topic) if topic else overview()
    if text is None:
        return None
    named = [word for word in dict.fromkeys(_LINKED.findall(text)) if word in _TOPICS and word != topic.upper()]
    linked = {word: entry for word in named if (entry := topic_text(word)) and entry != text}
    shown = linked if topic else {}
    entries = "".join(
        f'<details id="{_anchor(word)}"><summary><code>{word}</code></summary>{_preformatted(entry, {})}</details>'
        for word, entry in shown.items()
    )
    statement = find_statement(topic) if topic else None
    cell = f'<pre style="{_FLOWING}">%%upsql\n{html.escape(statement.example)}</pre>' if statement else ""
    return f"{_preformatted(text, shown)}{cell}{entries}"


def _anchor(word: str) -> str:
    return f"upsql-help-{word.lower().replace(' ', '-')}"


def _preformatted(text: str, linked: Iterable[str]) -> str:
    """Return lines preformatted, with links, and wrapped below the beginning of their texts."""
    known = {*linked}

    def link(match: re.Match[str]) -> str:
        word = match.group()
        return f'<a href="#{_anchor(word)}" style="{_LINK}">{word}</a>' if word in known else word

    lines = (
        f'<span style="display:block;padding-left:{hang}ch;text-indent:-{hang}ch">'
        f"{_LINKED.sub(link, html.escape(line)) or ' '}</span>"
        for hang, line in flowed(text)
    )
    return f'<pre style="{_FLOWING}">{"".join(lines)}</pre>'


# Some pages use a proportional font within `pre`.
_FLOWING = "font-family:var(--jp-code-font-family,monospace);white-space:pre-wrap;word-break:normal"


_NAMED = re.compile(r" *\S+(?: \S+)* {2,}(?=\S)")


def flowed(text: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of help, each with the column where its text begins."""
    hang, so_far, named = 0, "", False
    for at, line in enumerate(text.split("\n")):
        indent = len(line) - len(line.lstrip(" "))
        if named and indent == hang:
            so_far += f" {line.strip()}"
            continue
        if at:
            yield hang, so_far
        name = _NAMED.match(line)
        hang, so_far, named = name.end() if name else indent, line, bool(name)
    yield hang, so_far


def broken(text: str, width: int) -> str:
    """Return help wrapped to a width, continued below the beginning of each text."""

    def lines(hang: int, line: str) -> list[str]:
        indent = " " * min(hang, width // 2)
        return textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
        ) or [""]

    return "\n".join(part for hang, line in flowed(text) for part in lines(hang, line))
