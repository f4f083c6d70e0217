"""Redact possible secrets in the text of statements, for whatever stores what was typed.

Every literal is judged by its place among the tokens, so statements that do not parse or bind are redacted too. What
cannot be a secret stays: keywords, names where names are expected, values of options that are not secret, locations and
patterns, sources of secrets, and the text of valid queries. Everything else is masked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.language.job_options import JOB_OPTIONS
from s3conn_magic.language.options import OPTION_NAMES, OPTIONS, find_option, is_environment_name
from s3conn_magic.language.plans import SHOWN_NAME
from s3conn_magic.language.reference import STATEMENTS, VOCABULARY
from s3conn_magic.language.session_settings import find_setting
from s3conn_magic.language.source import BEFORE_NAME, Source, Span, Token
from s3conn_magic.locations import as_plain
from s3conn_magic.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from s3conn_magic.language.statements import Statement


def _before_text(begins: str) -> frozenset[str]:
    """Return the words before a text in the reference: `LIKE 'pattern'`, `LIST ['s3://…']` and the like."""
    clauses = (re.findall(rf"\b([A-Z][A-Z0-9_]*) [\[{{]?'{begins}", statement.syntax) for statement in STATEMENTS)
    return frozenset(word for words in clauses for word in words)


_LOCATION_CLAUSES = _before_text("s3://")
_PATTERN_CLAUSES = _before_text("(?!s3://)")
_SOURCES = frozenset({"ENV", "KEYRING", "PROMPT"})
_VALUE_WORDS = frozenset({"TRUE", "FALSE", "ALL"}) | _SOURCES
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NUMBER_DIGITS = 18
_LONGEST_KEY_ID = 32
# A text with so many unknown words is not of the language.
_WORDS_COMPARED = 100
# No word of a comment is so long.
_COMMENT_WORD = 16


SECRET_NAMES = tuple(spelling for option in OPTIONS if option.secret for spelling in (option.name, *option.aliases))
"""Options whose value is never shown again."""
SECRET_GIVEN = re.compile(rf"(?<!['\"])\b(?:{'|'.join(SECRET_NAMES)})\b\s*+=?\s*+(?=['\"])", re.IGNORECASE | re.ASCII)
"""Start of a literal for one of them, whether or not quotes are balanced."""
# Without one of these words there is neither a query nor a job.
_OPEN_WORDS = re.compile(r"\b(?:SELECT|WITH|FROM|INTO|JOB|TABLE)\b", re.IGNORECASE)
# Placeholders of f-strings, `str.format` and `%`.
_FIELD = re.compile(r"(?:\{[\w.\[\]!:]*\}|%s|%\(\w+\)s)+")
# `s3://name@bucket/key`, with a name too short for a secret.
_NAMED_LOCATION = re.compile(r"\As3://[A-Za-z_]\w{0,14}@")
# Separators of words in a text or a pattern, which are in no secret of AWS.
_BREAK = re.compile(r"[\s|()*]+")
# Valid in the place of a placeholder in a bucket's name, a port, a region.
_FILLED = "100"


class Redaction(NamedTuple):
    """A redacted part of a text.

    Attributes:
        span: its place.
        text: its replacement, with as many lines.
        literal: whether it is a non-empty text in quotes.
        owner: the option, setting or clause that it is the value of, if any; if quotes are unbalanced, a secret option.
    """

    span: Span
    text: str
    literal: bool = False
    owner: str = ""

    @property
    def of_secret_option(self) -> bool:
        """Whether it is the value of a secret option."""
        option = find_option(self.owner)
        return option is not None and option.secret

    @property
    def noted(self) -> bool:
        """Whether it is a literal of such an option: a secret that somebody typed."""
        return self.literal and self.of_secret_option


def redacted(text: str) -> str:
    """Return statements with every literal that may be a secret as `'<REDACTED>'`.

    A text with ambiguous literals is masked completely. The number of lines stays.
    """
    return replaced(text, redactions(text))


def redactions(text: str, *, template: bool = False) -> list[Redaction]:
    """Return what to mask in a text, in order; `{name}` and `%s` in a `template` are not secrets."""
    source = Source(text)
    if source.readable:
        return _Reading(source, template=template).redactions
    literal = SECRET_GIVEN.search(text)
    owner = literal[0].split("=")[0].strip() if literal else ""
    return (
        [Redaction(Span(0, len(text)), _masked(text), literal=literal is not None, owner=owner)] if text.strip() else []
    )


def replaced(text: str, changes: Iterable[tuple[Span, str]] | Iterable[Redaction]) -> str:
    """Return a text with replacements of ordered, disjoint spans."""
    pieces, at = [], 0
    for (start, end), instead, *_ in changes:
        pieces += [text[at:start], instead]
        at = end
    return "".join([*pieces, text[at:]])


def _masked(text: str) -> str:
    return MASK + "\n" * text.count("\n") if text.strip() else text


def _is_data(token: Token) -> bool:
    """Return whether a piece of a query is surely not a secret: those are long, without a blank."""
    if token.kind == "quoted":
        return SHOWN_NAME.fullmatch(token.text[1:-1]) is not None
    if token.kind == "word":
        return all(map(_is_short, re.split(r"[_.]", token.text))) or token.text.replace("_", "").isalpha()
    text = token.text[1:-1]
    location = _NAMED_LOCATION.sub("s3://", text)
    return token.kind != "string" or _is_valid(as_plain, location) or all(map(_is_short, _BREAK.split(text)))


def _is_short(word: str) -> bool:
    return len(word) < _COMMENT_WORD or word.upper() in VOCABULARY


def _mask_of(token: Token) -> str:
    return MASK if token.kind == "word" else f"{token.text[0]}{_masked(token.text)}{token.text[0]}"


def _open_spans(source: Source) -> list[Span]:
    """Return the spans of queries and known job options in a valid text: data, rarely secret."""
    if not _OPEN_WORDS.search(source.text):
        return []
    # The parser loads at the first cell with statements, not with the extension.
    from s3conn_magic.language.grammar import parse_cell
    from s3conn_magic.language.rules import ParseError

    try:
        statements = parse_cell(source.code)
    except ParseError:
        return []
    return [span for statement in statements for span in _data_spans(statement)]


_PARTS_OF_JOBS = ("name", "connection", "into", "query", "merge")


def _data_spans(statement: Statement) -> Iterator[Span]:
    # Loaded once a cell was parsed; %load_ext must not wait for it.
    from s3conn_magic.language.statements import JobStatement, Querying

    if isinstance(statement, Querying):
        yield statement.span
    elif isinstance(statement, JobStatement):
        settings = getattr(statement, "settings", ())
        yield from (setting.span for setting in settings if setting.name.text.upper() in JOB_OPTIONS)
        parts = (getattr(statement, part, None) for part in _PARTS_OF_JOBS)
        yield from (part.span for part in parts if part is not None)


class _Reading:
    """Walks through the tokens and tracks what the next value belongs to: an option or a clause."""

    def __init__(self, source: Source, *, template: bool) -> None:
        self.redactions: list[Redaction] = []
        self._source = source
        self._template = template
        self._before: list[Token] = []
        self._statement_words: set[str] = set()  # words of the statement that determine the meaning of TO
        self._owner: str | None = None
        self._depth = 0
        self._glued = False
        self._masked = 0
        # A program's strings are judged as a connection's statement, which has no query.
        self._open = [] if template else sorted(_open_spans(source), reverse=True)
        self._open_until = 0
        self._write: dict[str, Callable[[Token], str]] = {
            "mark": self._mark,
            "string": self._string,
            "quoted": self._quoted,
            "word": self._word,
        }
        for token in source.tokens:
            self._read(token)

    def _read(self, token: Token) -> None:
        owner, (start, end) = self._owner or "", token.span
        written = self._written(token)
        if written == token.text:
            return
        literal = token.kind in {"string", "quoted"} and bool(token.text[1:-1].strip())
        if written[:1] == token.text[:1] and written[:1] in {"'", '"'}:
            start, end, written = start + 1, end - 1, written[1:-1]
        self.redactions.append(Redaction(Span(start, end), written, literal=literal, owner=owner))

    def _is_open_to_data(self, token: Token) -> bool:
        while self._open and self._open[-1].start <= token.span.start:
            self._open_until = max(self._open_until, self._open.pop().end)
        return token.span.end <= self._open_until

    def _written(self, token: Token) -> str:
        if token.kind in {"space", "comment"}:
            self._glued = False
            return _comment(token.text) if token.kind == "comment" else token.text
        if self._is_open_to_data(token):
            self._note_token(token)
            return token.text if _is_data(token) else _mask_of(token)
        written: str = self._write[token.kind](token)
        self._note_token(token)
        return written

    def _note_token(self, token: Token) -> None:
        self._before.append(token)
        if token.text == ";":
            self._statement_words.clear()
        elif token.text.upper() in {"SAVE", "SET"}:
            self._statement_words.add(token.text.upper())

    def _last(self, back: int = 1) -> str:
        """Return a previous word or mark, in upper case; literals are quotes."""
        if len(self._before) < back:
            return ""
        token = self._before[-back]
        return token.text[0] if token.kind in {"string", "quoted"} else token.text.upper()

    def _end_value(self) -> None:
        if not self._depth:
            self._owner = None

    def _mark(self, token: Token) -> str:
        mark = token.text
        if mark == "=" and self._before and not self._glued:
            self._owner = self._last()
        self._depth = max(0, self._depth + {"(": 1, ")": -1}.get(mark, 0)) if mark != ";" else 0
        if mark in {")", ";"}:
            self._end_value()
        if self._glued and mark in {"=", "$", "("}:
            return ""
        self._glued = False
        return mark

    def _string(self, token: Token) -> str:
        is_shown = self._is_open(token)
        if self._last() != "KEYRING":
            self._end_value()
        if is_shown:
            return token.text
        self._masked += 1
        return f"'{_masked(token.text)}'"

    def _is_open(self, token: Token) -> bool:
        """Return whether a text in single quotes is in a place without secrets."""
        text = token.text[1:-1].replace("''", "'")
        if self._template and _FIELD.fullmatch(text):
            return True
        text = _FIELD.sub(_FILLED, text) if self._template else text
        if self._last() == "ENV":
            return is_environment_name(text)
        if self._last() in {"PROMPT", "KEYRING"} or (self._last() == "'" and self._last(2) == "KEYRING"):
            return True
        clause = self._last() if self._owner is None else self._owner
        if clause in _LOCATION_CLAUSES:
            return _is_valid(as_plain, text)
        if clause in _PATTERN_CLAUSES:
            return clause != "TO" or "SAVE" in self._statement_words
        return self._owner is not None and _takes(self._owner, text)

    def _quoted(self, token: Token) -> str:
        if self._last() in BEFORE_NAME and SHOWN_NAME.fullmatch(token.text[1:-1]):
            return token.text
        self._end_value()
        if self._template and _FIELD.fullmatch(token.text[1:-1]):
            return token.text
        self._masked += 1
        return f'"{_masked(token.text)}"'

    def _word(self, token: Token) -> str:
        word = token.text.upper()
        if self._glued:
            return ""
        if self._is_known(token):
            if word in OPTION_NAMES:
                self._owner = word
            elif word == "TO" and "SET" in self._statement_words:
                # Other systems' syntax: `SET secret_key TO …`.
                self._owner = self._last()
            elif self._owner is not None and word not in _SOURCES:
                self._end_value()
            return token.text
        written = MASK if self._owner is None else f"'{MASK}'"
        self._end_value()
        self._masked += 1
        self._glued = True
        return written

    def _is_known(self, token: Token) -> bool:
        """Return whether a word is a keyword, a number, or a name in its place."""
        if token.text.upper() in VOCABULARY or (self._template and _FIELD.fullmatch(token.text)):
            return True
        if self._last() == "$" and self._before[-1].span.end == token.span.start:
            return _VARIABLE.fullmatch(token.text) is not None
        if token.text.isdecimal() and len(token.text) <= _NUMBER_DIGITS:
            return self._last() in VOCABULARY if self._owner is None else not _is_secret(self._owner)
        return self._owner is None and (self._is_destination(token) or self._is_shown(token))

    def _is_shown(self, token: Token) -> bool:
        """Return whether messages show the word; expensive, since it is compared with all keywords."""
        if self._masked > _WORDS_COMPARED:
            return False
        return self._source.shown(token) == token.text

    def _is_destination(self, token: Token) -> bool:
        """Return whether a word is the variable of `name <<`."""
        follows = self._source.token_at(token.span.end)
        return follows is not None and follows.text == "<<"


def _is_secret(name: str) -> bool:
    option = find_option(name)
    return option.secret if option else find_setting(name) is None


def _takes(name: str, text: str) -> bool:
    """Return whether a text is a valid value of an option or setting that is not secret."""
    known = find_option(name) or find_setting(name)
    # A secret instead of the key id: ids are shorter, and without Base64's marks.
    if known and known.name == "AWS_ACCESS_KEY_ID" and (len(text) > _LONGEST_KEY_ID or set(text) & set("/+=")):
        return False
    return known is not None and not _is_secret(name) and _is_valid(known.read, text)


def _is_valid(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _comment(text: str) -> str:
    """Return a comment, unless it may contain a statement or a secret."""
    words = text.split()
    plain = not any(character in text[2:] for character in "'\"=`")
    if plain and all(map(_is_short, words)):
        return text
    return f"-- {MASK}" if text.startswith("--") else f"/* {_masked(text)} */"
