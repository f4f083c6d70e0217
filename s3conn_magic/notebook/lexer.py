"""Split statements into kinds of tokens for colouring: Pygments, the terminal's prompt, and JupyterLab.

`python -m s3conn_magic.notebook.lexer > labextension/keywords.json` writes the words for JupyterLab, whose
`labextension/src/language.js` follows the same rules. The text need be neither valid nor complete.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pygments import token as colours
from pygments.lexer import Lexer

from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.reference import KEYWORDS
from s3conn_magic.language.session_settings import SETTING_NAMES
from s3conn_magic.language.source import BEFORE_NAME, Source, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = (
    *("space", "magic", "target", "keyword", "option", "constant", "function", "name", "quoted", "string", "variable"),
    *("number", "operator", "punctuation", "comment"),
)
"""Kinds of pieces: `target` is the variable in `name <<`, `quoted` a name in double quotes, `variable` a `$x`."""

_SOURCES = frozenset({"ENV", "PROMPT", "KEYRING"})
_CONSTANTS = frozenset({"TRUE", "FALSE", "NULL"})
_BEGIN_QUERY = frozenset({"SELECT", "WITH", "FROM"})
# Words of SQL queries, which DuckDB parses and no table of ours has.
_QUERY = """
ALL AND ANTI ANY AS ASC ASOF BETWEEN BY CASE CAST COLLATE CROSS CUBE CURRENT DESC DISTINCT ELSE END ESCAPE EXCEPT
EXCLUDE EXISTS FILTER FIRST FOLLOWING FROM FULL GROUP GROUPING HAVING ILIKE IN INNER INTERSECT INTERVAL IS JOIN LAST
LATERAL LEFT LIKE LIMIT MATERIALIZED NATURAL NOT NULLS OFFSET ON OR ORDER OUTER OVER PARTITION PIVOT POSITIONAL
PRECEDING QUALIFY RANGE RECURSIVE REPLACE RIGHT ROLLUP ROW ROWS SAMPLE SELECT SEMI SETS SIMILAR SOME TABLESAMPLE THEN
TO TRY_CAST UNBOUNDED UNION UNPIVOT USING VALUES WHEN WHERE WINDOW WITH
"""

_HEAD = re.compile(r"(\s*)(%%upsql)(?!\S)(?:([^\S\n]*)([^\W\d]\w*)([^\S\n]*)(<<))?")
_HEAD_KINDS = ("space", "magic", "space", "target", "space", "operator")
_PART = re.compile(r"(?P<word>[^\W\d]\w*)|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<operator>.)", re.DOTALL)
_CALL = re.compile(r"[^\S\n]*+\(")
_LETTER = re.compile(r"[^\W\d]")
_REST = {"'": "string", '"': "quoted", "/*": "comment"}


class Piece(NamedTuple):
    """Part of a text, of a kind in `KINDS`. The pieces joined give the text."""

    kind: str
    text: str


def pieces(text: str) -> list[Piece]:
    """Split a cell or file of statements into pieces. Never fails: unknown text becomes a name or an operator."""
    head = _HEAD.match(text)
    leading = [Piece(kind, part) for kind, part in zip(_HEAD_KINDS, head.groups(), strict=True) if part] if head else []
    return leading + list(_Scanner().read(text[head.end() if head else 0 :]))


def words() -> dict[str, list[str]]:
    """Return the words of the language for JupyterLab, by kind."""
    return {
        "keywords": sorted(KEYWORDS - _SOURCES - _CONSTANTS),
        "options": sorted({*OPTION_NAMES, *SETTING_NAMES} - KEYWORDS),
        "constants": sorted(_CONSTANTS),
        "functions": sorted(_SOURCES),
        "beforeName": sorted(BEFORE_NAME),
        "beginQuery": sorted(_BEGIN_QUERY),
        "query": _QUERY.split(),
    }


class _Scanner:
    """Tracks the position in a statement: at its first word, where a name must follow, or inside a query."""

    def __init__(self) -> None:
        self._first = True
        self._name_next = False
        self._query = False
        self._words = {kind: frozenset(known) for kind, known in words().items()}

    def read(self, text: str) -> Iterator[Piece]:
        tokens = Source(text).tokens
        for at, token in enumerate(tokens):
            if token.kind == "open":
                yield Piece(_REST.get(token.text, "string"), text[token.span.start :])
                return
            before = tokens[at - 1] if at else None
            yield from self._pieces(token, text, after_dollar=before is not None and before.text == "$")

    def _pieces(self, token: Token, text: str, *, after_dollar: bool) -> Iterator[Piece]:
        if token.kind in {"space", "comment"}:
            yield Piece(token.kind, token.text)
        elif token.kind == "word":
            yield from self._word_pieces(token, text, after_dollar=after_dollar)
        else:
            self._note_mark(token.text)
            yield Piece(self._kind_of_mark(token, text), token.text)

    @staticmethod
    def _kind_of_mark(token: Token, text: str) -> str:
        if token.text == "$":
            return "variable" if _LETTER.match(text, token.span.end) else "operator"
        return "operator" if token.text == "=" else "punctuation" if token.kind == "mark" else token.kind

    def _word_pieces(self, token: Token, text: str, *, after_dollar: bool) -> Iterator[Piece]:
        for part in _PART.finditer(token.text):
            if part.lastgroup != "word":
                self._note_mark(part[0])
                yield Piece(str(part.lastgroup), part[0])
            elif after_dollar and part.start() == 0:
                yield Piece("variable", part[0])
            else:
                called = _CALL.match(text, token.span.start + part.end()) is not None
                yield Piece(self._kind_of_word(part[0].upper(), called=called), part[0])

    def _note_mark(self, mark: str) -> None:
        """Note a piece that is not a word: no name follows it, and `;` ends the statement."""
        self._name_next = self._first = False
        if mark == ";":
            self._first, self._query = True, False

    def _kind_of_word(self, word: str, *, called: bool) -> str:
        named, self._name_next = self._name_next and word != "IF", False
        first, self._first = self._first, False
        if named:
            return "name"
        self._query = self._query or word == "SELECT" or (first and word in self._words["beginQuery"])
        if self._query:
            return self._kind_in_query(word, called=called)
        self._name_next = word in self._words["beforeName"]
        kinds = ("constant", "function", "keyword", "option")
        return next((kind for kind in kinds if word in self._words[f"{kind}s"]), "name")

    def _kind_in_query(self, word: str, *, called: bool) -> str:
        if word in self._words["constants"]:
            return "constant"
        return "keyword" if word in self._words["query"] else "function" if called else "name"


_TOKENS = dict(
    zip(
        KINDS,
        (
            colours.Text.Whitespace,
            colours.Keyword.Pseudo,
            colours.Name.Variable,
            colours.Keyword,
            colours.Name.Attribute,
            colours.Keyword.Constant,
            colours.Name.Builtin,
            colours.Name,
            colours.Literal.String.Symbol,
            colours.Literal.String.Single,
            colours.Name.Variable.Global,
            colours.Literal.Number,
            colours.Operator,
            colours.Punctuation,
            colours.Comment,
        ),
        strict=True,
    )
)


class UpsqlLexer(Lexer):
    """The Pygments lexer; `pieces` decides the kinds."""

    name = "Upsolver SQL for S3 connections"
    aliases: ClassVar = ["upsql"]
    filenames: ClassVar = ["*.usql"]
    mimetypes: ClassVar = ["text/x-upsql"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, colours._TokenType, str]]:
        """Yield offset, token type and text of every piece."""
        at = 0
        for kind, part in pieces(text):
            yield at, _TOKENS[kind], part
            at += len(part)


if __name__ == "__main__":
    print(json.dumps(words(), indent=1))  # noqa: T201 - a command prints
