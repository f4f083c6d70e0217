"""The text of statements without what may be a secret in it, for whatever keeps what was typed.

Every literal is judged by its place among the tokens, so statements that do not parse or bind are redacted too. What
stays is what cannot be a secret: words of the language, names where names stand, the values of options that hold none,
locations and patterns, the sources of secrets, and the text of queries that are right. Everything else is masked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.catalog import SHOWN_NAME
from s3conn_magic.language.jobs.options import find_job_option
from s3conn_magic.language.jobs.statements import CreateCopyJob, CreateInsertJob
from s3conn_magic.language.options import OPTION_NAMES, find_option
from s3conn_magic.language.reference import STATEMENTS, VOCABULARY
from s3conn_magic.language.settings import find_setting
from s3conn_magic.language.source import BEFORE_NAME, Source, Token
from s3conn_magic.language.statements import CreateTable, ExplainAnalyze, Query
from s3conn_magic.language.values import is_environment_name
from s3conn_magic.locations import Location
from s3conn_magic.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3conn_magic.language.source import Span
    from s3conn_magic.language.statements import Statement


def _before_text(begins: str) -> frozenset[str]:
    """Words that a text follows: `LIKE 'pattern'`, `LIST ['s3://…']` and their like, as the reference has them."""
    found = (re.findall(rf"\b([A-Z][A-Z0-9_]*) \[?'{begins}", one.syntax) for one in STATEMENTS)
    return frozenset(word for words in found for word in words)


_LOCATION_CLAUSES = _before_text("s3://")
_PATTERN_CLAUSES = _before_text("(?!s3://)")
_SOURCES = frozenset({"ENV", "KEYRING", "PROMPT"})
_VALUE_WORDS = frozenset({"TRUE", "FALSE", "ALL"}) | _SOURCES
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NUMBER_DIGITS = 18
# Where so many words are unknown, the text is none of the language.
_WORDS_COMPARED = 100
# As much of a text without blanks is no word of a comment.
_COMMENT_WORD = 16


def redacted(text: str) -> str:
    """Statements with every literal that may be a secret as `'<REDACTED>'`.

    A text whose literals cannot be told apart is masked whole. Lines stay as many as they were.
    """
    source = Source(text)
    return _Redaction(source).text if source.readable else _masked(text)


def holds_secret(text: str) -> bool:
    """Whether a literal of these statements may be a secret; in doubt, where an option is named."""
    source = Source(text)
    if source.readable:
        return _Redaction(source).secrets > 0
    return any(token.text.upper() in OPTION_NAMES for token in source.tokens)


def _masked(text: str) -> str:
    return MASK + "\n" * text.count("\n") if text.strip() else text


def _is_data(token: Token) -> bool:
    """Whether a piece of a query is surely no secret: those are long, and without a blank."""
    if token.kind == "quoted":
        return SHOWN_NAME.fullmatch(token.text[1:-1]) is not None
    if token.kind == "word":
        return all(map(_is_short, re.split(r"[_.]", token.text))) or token.text.replace("_", "").isalpha()
    text = token.text[1:-1]
    return token.kind != "string" or _reads(Location.parse, text) or all(map(_is_short, text.split()))


def _is_short(word: str) -> bool:
    return len(word) < _COMMENT_WORD or word.upper() in VOCABULARY


def _as_masked(token: Token) -> str:
    return MASK if token.kind == "word" else f"{token.text[0]}{_masked(token.text)}{token.text[0]}"


def _open_spans(source: Source) -> list[Span]:
    """Where queries stand, and known options of jobs, in a text that is right: data, in which few secrets stand."""
    # The parser loads at the first cell of ours, not with the extension.
    from s3conn_magic.language.parser import parse

    try:
        statements = parse(source)
    except S3ConnError:
        return []
    return [span for one in statements for span in _open_in(one)]


def _open_in(statement: Statement) -> Iterator[Span]:
    if isinstance(statement, (Query, ExplainAnalyze, CreateTable)):
        yield statement.span
    elif isinstance(statement, (CreateCopyJob, CreateInsertJob)):
        yield from (one.span for one in statement.settings if find_job_option(one.name.text))
        yield from (statement.name.span, statement.connection.span)
        yield statement.query.span if isinstance(statement, CreateInsertJob) else statement.into.span


class _Redaction:
    """Goes through the tokens and remembers whose value comes next: that of an option, or of a clause."""

    def __init__(self, source: Source) -> None:
        self.secrets = 0
        self._source = source
        self._before: list[Token] = []
        self._owner: str | None = None
        self._depth = 0
        self._glued = False
        self._open = _open_spans(source)
        self.text = "".join(self._written(token) for token in source.tokens)

    def _written(self, token: Token) -> str:
        if token.kind in {"space", "comment"}:
            self._glued = False
            return _comment(token.text) if token.kind == "comment" else token.text
        if any(span.start <= token.span.start and token.span.end <= span.end for span in self._open):
            self._before.append(token)
            return token.text if _is_data(token) else _as_masked(token)
        write: dict[str, Callable[[Token], str]] = {
            "mark": self._mark,
            "string": self._string,
            "quoted": self._quoted,
            "word": self._word,
        }
        written = write[token.kind](token)
        self._before.append(token)
        return written

    def _last(self, back: int = 1) -> str:
        """A word or mark before, in upper case; literals are quotes."""
        if len(self._before) < back:
            return ""
        token = self._before[-back]
        return token.text[0] if token.kind in {"string", "quoted"} else token.text.upper()

    def _done(self) -> None:
        """A value is complete."""
        if not self._depth:
            self._owner = None

    def _mark(self, token: Token) -> str:
        mark = token.text
        if mark == "=" and self._before and not self._glued:
            self._owner = self._last()
        self._depth = max(0, self._depth + {"(": 1, ")": -1}.get(mark, 0)) if mark != ";" else 0
        if mark in {")", ";"}:
            self._done()
        if self._glued and mark in {"=", "$", "("}:
            return ""
        self._glued = False
        return mark

    def _string(self, token: Token) -> str:
        kept = self._is_open(token)
        if self._last() != "KEYRING":
            self._done()
        if kept:
            return token.text
        self.secrets += 1
        return f"'{_masked(token.text)}'"

    def _is_open(self, token: Token) -> bool:
        """Whether a text in single quotes stands where no secret does."""
        text = token.text[1:-1].replace("''", "'")
        if self._last() == "ENV":
            return is_environment_name(text)
        if self._last() in {"PROMPT", "KEYRING"} or (self._last() == "'" and self._last(2) == "KEYRING"):
            return True
        clause = self._last() if self._owner is None else self._owner
        if clause in _LOCATION_CLAUSES:
            return _reads(Location.parse, text)
        return clause in _PATTERN_CLAUSES or (self._owner is not None and _takes(self._owner, text))

    def _quoted(self, token: Token) -> str:
        if self._last() in BEFORE_NAME and SHOWN_NAME.fullmatch(token.text[1:-1]):
            return token.text
        self._done()
        self.secrets += 1
        return f'"{_masked(token.text)}"'

    def _word(self, token: Token) -> str:
        word = token.text.upper()
        if self._glued:
            return ""
        if self._is_known(token):
            if word in OPTION_NAMES:
                self._owner = word
            elif self._owner is not None and word not in _SOURCES:
                self._done()
            return token.text
        written = MASK if self._owner is None else f"'{MASK}'"
        self._done()
        self.secrets += 1
        self._glued = True
        return written

    def _is_known(self, token: Token) -> bool:
        """Whether a word is of the language, a number, or a name where one stands."""
        if token.text.upper() in VOCABULARY:
            return True
        if self._last() == "$" and self._before[-1].span.end == token.span.start:
            return _VARIABLE.fullmatch(token.text) is not None
        if token.text.isdecimal() and len(token.text) <= _NUMBER_DIGITS:
            return self._last() in VOCABULARY if self._owner is None else not _is_secret(self._owner)
        return self._owner is None and (self._is_destination(token) or self._is_shown(token))

    def _is_shown(self, token: Token) -> bool:
        """Whether messages show the word; each is compared with the whole language, which takes its time."""
        if self.secrets > _WORDS_COMPARED:
            return False
        return self._source.shown(token) == token.text

    def _is_destination(self, token: Token) -> bool:
        """Whether a word is the variable of `name <<`."""
        follows = self._source.token_at(token.span.end)
        return follows is not None and follows.text == "<<"


def _is_secret(name: str) -> bool:
    option = find_option(name)
    return option.secret if option else find_setting(name) is None


def _takes(name: str, text: str) -> bool:
    """Whether a text is a proper value of an option or setting that holds no secret."""
    known = find_option(name) or find_setting(name)
    return known is not None and not _is_secret(name) and _reads(known.read, text)


def _reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _comment(text: str) -> str:
    """A comment, unless it may hold a statement or a secret that was commented out."""
    words = text.split()
    plain = not any(character in text[2:] for character in "'\"=`")
    if plain and all(map(_is_short, words)):
        return text
    return f"-- {MASK}" if text.startswith("--") else f"/* {_masked(text)} */"
