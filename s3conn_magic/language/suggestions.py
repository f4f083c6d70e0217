"""What was probably meant: what the grammar expects at a place, and statements of other systems.

The rules are walked on every path that fits the text. A rule that would begin where the text ends is expected there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import singledispatchmethod
from itertools import takewhile
from typing import TYPE_CHECKING

import pyparsing as pp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\b[A-Z][A-Z0-9_]*\b")
_KEYWORD = re.compile(r"[A-Z][A-Z0-9_]*")
_OFFERS = "offers"


def offering(what: str, rule: pp.ParserElement) -> pp.ParserElement:
    """Return the rule, marked with what completion offers where it stands, such as `connection`."""
    marked = rule.copy()
    setattr(marked, _OFFERS, what)
    return marked


def _is_keyword(rule: pp.ParserElement) -> bool:
    return not isinstance(rule, pp.ParseExpression) and _KEYWORD.fullmatch(rule.name) is not None


@dataclass(slots=True)
class Expected:
    """What may follow.

    Attributes:
        words: keywords, several where one must follow the other, in the order of the grammar; each with whether it
            begins a clause of which the statement may have several.
        offers: what the rules that may begin here were marked with.
        anything: whether a word, a mark or a literal may follow at all.
        read: spans of the text that a marked rule has matched, by its mark.
    """

    words: dict[str, bool] = field(default_factory=dict)
    offers: dict[str, None] = field(default_factory=dict)
    anything: bool = False
    read: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def expected_after(rule: pp.ParserElement, text: str) -> Expected:
    """Return what a rule allows behind a text that begins it; nothing where the text does not."""
    rule.streamline()
    walk = _Walk(text)
    walk.ends(rule, 0)
    return walk.expected


class _Walk:
    """Finds where a rule can end, on every path, and notes what it would read at the end of the text."""

    def __init__(self, text: str) -> None:
        self.expected = Expected()
        self._text = text
        self._last = len(text.rstrip())
        self._known: dict[tuple[int, int], frozenset[int]] = {}
        self._repeats = False
        self._visiting: set[tuple[int, int]] = set()

    def ends(self, rule: pp.ParserElement, at: int) -> frozenset[int]:
        """Return the offsets behind the rule, if it begins at this one."""
        key = (id(rule), at)
        if at >= self._last:
            return self._expect(rule, at)
        if key not in self._known:
            if key in self._visiting:
                return frozenset()
            self._visiting.add(key)
            self._known[key] = frozenset(self._ends(rule, at))
            self._visiting.discard(key)
            self._note(rule, at, self._known[key])
        return self._known[key]

    def _expect(self, rule: pp.ParserElement, at: int) -> frozenset[int]:
        """Note what may begin here; only what may be empty goes on behind it."""
        if what := getattr(rule, _OFFERS, None):
            self.expected.offers[what] = None
        return frozenset(self._ends(rule, at))

    def _note(self, rule: pp.ParserElement, at: int, ends: Iterable[int]) -> None:
        what = getattr(rule, _OFFERS, None)
        if what and (end := max(ends, default=0)):
            self.expected.read.setdefault(what, []).append((at, end))

    @singledispatchmethod
    def _ends(self, rule: pp.ParserElement, at: int) -> Iterable[int]:
        """Return a word, a mark or a literal."""
        if at >= self._last:
            self._expect_words(rule.name)
            return ()
        try:
            return (rule.try_parse(self._text, at),)
        except pp.ParseBaseException:
            return ()

    def _expect_words(self, name: str) -> None:
        self.expected.anything = True
        for word in _WORD.findall(name):
            self._expect_phrase(word)

    def _expect_phrase(self, words: str) -> None:
        self.expected.anything = True
        self.expected.words.setdefault(words, self._repeats)

    @_ends.register(pp.Empty)
    def _(self, rule: pp.Empty, at: int) -> Iterable[int]:
        del rule
        return (at,)

    @_ends.register(pp.And)
    def _(self, rule: pp.And, at: int) -> Iterable[int]:
        reached = {at}
        parts = [part for part in rule.exprs if not isinstance(part, pp.Empty)]
        for index, part in enumerate(parts):
            begins = {where for where in reached if where >= self._last}
            if begins and _is_keyword(part):
                phrase = " ".join(other.name for other in takewhile(_is_keyword, parts[index:]))
                self._expect_phrase(phrase)
                reached -= begins
            reached = {end for where in reached for end in self.ends(part, where)}
        return reached

    @_ends.register(pp.MatchFirst)
    def _(self, rule: pp.MatchFirst, at: int) -> Iterable[int]:
        return {end for branch in rule.exprs for end in self.ends(branch, at)}

    @_ends.register(pp.ParseElementEnhance)
    def _(self, rule: pp.ParseElementEnhance, at: int) -> Iterable[int]:
        return self.ends(rule.expr, at)

    @_ends.register(pp.Opt)
    def _(self, rule: pp.Opt, at: int) -> Iterable[int]:
        return {at, *self.ends(rule.expr, at)}

    @_ends.register(pp.ZeroOrMore)
    def _(self, rule: pp.ZeroOrMore, at: int) -> Iterable[int]:
        return {at, *self._repeated(rule.expr, at)}

    @_ends.register(pp.OneOrMore)
    def _(self, rule: pp.OneOrMore, at: int) -> Iterable[int]:
        return self._repeated(rule.expr, at)

    def _repeated(self, rule: pp.ParserElement, at: int) -> set[int]:
        reached: set[int] = set()
        waiting = {at}
        while waiting:
            where = waiting.pop()
            before, self._repeats = self._repeats, where >= self._last
            fresh = set(self.ends(rule, where)) - reached - {where}
            self._repeats = before
            reached |= fresh
            waiting |= fresh
        return reached

    @_ends.register(pp.NotAny)
    @_ends.register(pp.FollowedBy)
    @_ends.register(pp.SkipTo)
    def _(self, rule: pp.ParserElement, at: int) -> Iterable[int]:
        """Read as they are: what they look for is not written by them."""
        try:
            return (rule.try_parse(self._text, at),)
        except pp.ParseBaseException:
            return ()


_ANEW = "CREATE OR REPLACE TABLE name AS SELECT … makes it anew."
_ROWS = f"No statement changes the rows of a table: {_ANEW}"
_OBJECTS = "No statement deletes objects; the explorer does: EXPLORE 's3://bucket/';"
_TRANSACTION = "There are no transactions: each statement is done when its result is shown."
_EXTENSION = "No extension is loaded: a SELECT reads Parquet, CSV and JSON as it is, and no other format."
_DATABASE = "There are no databases or schemas: SHOW CONNECTIONS, SHOW BUCKETS and SHOW TABLES show what there is."
_VIEW = "There are no views: CREATE TABLE name AS SELECT … keeps a result."
_INDEX = "There are no indexes: a SELECT reads of Parquet only the columns and row groups that it needs."
_RIGHTS = "Permissions are those of IAM: TEST CONNECTION name tries what a connection may do."
_PROCEDURE = "There are no procedures or prepared statements: SELECT … is a query, RUN JOB name runs a job."
_FRESH = "Nothing is cached that could be old: every LIST and SELECT asks the server anew."
_SECRET = "Credentials belong to a connection: CREATE S3 CONNECTION name AWS_PROFILE = 'profile';"  # noqa: S105
_FILES = "The explorer uploads and downloads: EXPLORE 's3://bucket/';"
_UNLOAD = "A job writes objects: CREATE JOB name AS INSERT INTO S3 connection LOCATION = 's3://bucket/folder/' SELECT …"
_STORE = "Where objects are is told by a connection: CREATE S3 CONNECTION name AWS_PROFILE = 'profile';"

FOREIGN: dict[str, str] = {
    "DELETE": f"No statement deletes rows: {_ANEW} DROP TABLE name drops a table, DROP CONNECTION name a connection.",
    "UPDATE": _ROWS,
    "MERGE": _ROWS,
    "UPSERT": _ROWS,
    "REPLACE": _ROWS,
    "TRUNCATE": f"No statement empties a table: DROP TABLE name drops it; {_ANEW}",
    "REMOVE": _OBJECTS,
    "RM": _OBJECTS,
    "INSTALL": _EXTENSION,
    "LOAD": _EXTENSION,
    "ATTACH": "No database is attached: CREATE S3 CONNECTION and CREATE TABLE name AS SELECT … make what there is.",
    "DETACH": "No database is attached; DROP CONNECTION name drops a connection, DROP TABLE name a table.",
    "PRAGMA": "SHOW SETTINGS shows the settings of the session, SET changes one: SET LIMIT = 1000.",
    "RESET": "SHOW SETTINGS shows the settings of the session, SET changes one: SET LIMIT = 1000.",
    "GRANT": _RIGHTS,
    "REVOKE": _RIGHTS,
    "DENY": _RIGHTS,
    "CALL": _PROCEDURE,
    "EXEC": _PROCEDURE,
    "EXECUTE": _PROCEDURE,
    "PREPARE": _PROCEDURE,
    "DEALLOCATE": _PROCEDURE,
    "DECLARE": _PROCEDURE,
    "DO": _PROCEDURE,
    "BEGIN": _TRANSACTION,
    "COMMIT": _TRANSACTION,
    "END": _TRANSACTION,
    "ABORT": _TRANSACTION,
    "ROLLBACK": _TRANSACTION,
    "SAVEPOINT": _TRANSACTION,
    "START TRANSACTION": _TRANSACTION,
    "LOCK": _TRANSACTION,
    "CHECKPOINT": _FRESH,
    "VACUUM": _FRESH,
    "OPTIMIZE": _FRESH,
    "REFRESH": _FRESH,
    "MSCK": _FRESH,
    "CACHE": _FRESH,
    "PUT": _FILES,
    "GET": _FILES,
    "UNLOAD": _UNLOAD,
    "EXPORT": f"A variable of the environment is set by %env NAME=value. {_UNLOAD}",
    "COMMENT": "A comment is an option: ALTER S3 CONNECTION name SET COMMENT = 'text';",
    "RENAME": "A connection gets another name by ALTER S3 CONNECTION name RENAME TO other.",
    "CREATE SECRET": _SECRET,
    "CREATE PERSISTENT": _SECRET,
    "DROP SECRET": "DROP CONNECTION name drops a connection, and its credentials with it.",
    "CREATE STAGE": _STORE,
    "CREATE EXTERNAL": _STORE,
    "CREATE STORAGE": _STORE,
    "CREATE VIEW": _VIEW,
    "CREATE MATERIALIZED": _VIEW,
    "DROP VIEW": _VIEW,
    "CREATE INDEX": _INDEX,
    "DROP INDEX": _INDEX,
    "CREATE DATABASE": _DATABASE,
    "CREATE SCHEMA": _DATABASE,
    "DROP DATABASE": _DATABASE,
    "DROP SCHEMA": _DATABASE,
    "SHOW DATABASES": _DATABASE,
    "SHOW SCHEMAS": _DATABASE,
    "USE DATABASE": _DATABASE,
    "USE SCHEMA": _DATABASE,
}


def foreign(words: Sequence[str]) -> str:
    """Return what to say of a statement that begins with these words, in capitals; empty where no other SQL has it."""
    if words[0] in {"DELETE", "REMOVE"} and {"CONNECTION", "JOB", "S3", "TABLE"}.intersection(words[1:2]):
        return "Did you mean DROP?"
    return FOREIGN.get(" ".join(words[:2])) or FOREIGN.get(words[0], "")
