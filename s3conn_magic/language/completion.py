"""Complete a cell at the cursor: keywords, options, values and names."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field
from functools import cached_property, singledispatchmethod
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pyparsing as pp

from s3conn_magic.language import grammar
from s3conn_magic.language.job_options import JOB_OPTIONS, TABLE_OPTIONS
from s3conn_magic.language.options import OPTIONS, Option, find_option
from s3conn_magic.language.reference import KEYWORDS, STATEMENTS
from s3conn_magic.language.rules import OFFERS, PHRASE, UNOFFERED, name_text
from s3conn_magic.language.session_settings import SETTINGS, Setting, find_setting
from s3conn_magic.language.source import Source, statement_ends, unquoted
from s3conn_magic.language.words import identifier
from s3conn_magic.locations import Location, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s3conn_magic.language.source import Token

# What the grammar allows at a place: a walk along every path of its rules that matches the text. A rule that would
# begin where the text ends is expected there.

_WORD = re.compile(r"\b[A-Z][A-Z0-9_]*\b")
_KEYWORD = re.compile(r"[A-Z][A-Z0-9_]*")


def _is_keyword(rule: pp.ParserElement) -> bool:
    plain = not isinstance(rule, pp.ParseExpression) and _KEYWORD.fullmatch(rule.name) is not None
    return plain or hasattr(rule, PHRASE)


@dataclass(slots=True)
class Expected:
    """What may follow.

    Attributes:
        words: keywords in the grammar's order (several in sequence as one), each with whether its clause is repeatable.
        offers: marks of the rules that may begin here.
        anything: whether any word, mark or literal may follow.
        assigns: whether `=` may follow.
        read: spans matched by marked rules, by mark.
    """

    words: dict[str, bool] = field(default_factory=dict)
    offers: dict[str, None] = field(default_factory=dict)
    anything: bool = False
    assigns: bool = False
    read: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def expected_after(rule: pp.ParserElement, text: str) -> Expected:
    """Return what a rule allows after the beginning of a text; nothing if the text does not match."""
    rule.streamline()
    walk = _Walk(text)
    walk.ends(rule, 0)
    return walk.expected


class _Walk:
    """Finds all offsets where a rule can end, and notes what it expects at the end of the text."""

    def __init__(self, text: str) -> None:
        self.expected = Expected()
        self._text = text
        self._last = len(text.rstrip())
        self._known: dict[tuple[int, int], frozenset[int]] = {}
        self._repeats = False
        self._visiting: set[tuple[int, int]] = set()

    def ends(self, rule: pp.ParserElement, at: int) -> frozenset[int]:
        """Return the offsets where the rule can end if it begins here."""
        key = (id(rule), at)
        if at >= self._last and getattr(rule, UNOFFERED, False):
            return frozenset()
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
        """Note what may begin here; return the offset only for a rule that may be empty."""
        if mark := getattr(rule, OFFERS, None):
            self.expected.offers[mark] = None
        return frozenset(self._ends(rule, at))

    def _note(self, rule: pp.ParserElement, at: int, ends: Iterable[int]) -> None:
        mark = getattr(rule, OFFERS, None)
        if mark and (end := max(ends, default=0)):
            self.expected.read.setdefault(mark, []).append((at, end))

    @singledispatchmethod
    def _ends(self, rule: pp.ParserElement, at: int) -> Iterable[int]:
        """Return the end of a word, mark or literal."""
        if at >= self._last:
            self._expect_words(rule.name)
            return ()
        try:
            return (rule.try_parse(self._text, at),)
        except pp.ParseBaseException:
            return ()

    def _expect_words(self, name: str) -> None:
        self.expected.anything = True
        self.expected.assigns = self.expected.assigns or name == "`=`"
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
        """Match lookaheads without noting what they expect: they insert no text."""
        try:
            return (rule.try_parse(self._text, at),)
        except pp.ParseBaseException:
            return ()


_WORD_LETTERS = f"{string.ascii_letters}{string.digits}_"


class TextCursor:
    """The cursor in a cell.

    Args:
        text: the statements of a cell.
        at: offset of the cursor.

    Attributes:
        fragment: what is written so far: letters, `$` and letters, or an open quote and what follows it.
        quote: the open quote, or empty.
        after: the text after the cursor.
    """

    def __init__(self, text: str, at: int) -> None:
        first = max(statement_ends(text[:at]), default=0)
        before, self.after = text[first:at], text[at:]
        tokens = [*Source(before).tokens]
        opened = next((token for token in tokens if token.kind == "open"), None)
        self.quote = opened.text if opened else ""
        begun = opened.span.start if opened else len(before) - len(_last_word(before))
        self.fragment = before[begun:]
        last = tokens[-1] if tokens and not opened else None
        self.in_comment = self.quote == "/*" or bool(last and last.text.startswith("--"))
        self._tokens = _pieces(tokens, begun)

    @cached_property
    def code(self) -> str:
        """The statement up to the fragment, with comments blanked."""
        return "".join(" " * len(text) if kind == "comment" else text for kind, text in self._tokens)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Words of the statement before the fragment, in upper case."""
        return tuple(text.upper() for kind, text in self._tokens if kind == "word")

    @cached_property
    def expected(self) -> Expected:
        """What the grammar allows here."""
        return expected_after(grammar.statement, self.code)

    def read(self, kind: str) -> list[str]:
        """Return the texts in the statement that rules with this mark matched, in order."""
        return [self.code[start:end].strip() for start, end in sorted(self.expected.read.get(kind, ()))]

    @cached_property
    def connection(self) -> str | None:
        """The connection that the statement names, before or after the cursor."""
        named = self.read("connection")
        return unquoted(named[-1]) if named else _named_in(self.rest)

    @property
    def rest(self) -> str:
        """The rest of the literal at the cursor, if it ends in this line."""
        line, _, _ = self.after.partition("\n")
        rest = self.after[line.index(self.quote) + 1 :] if self.quote and self.quote in line else self.after
        return rest[: next(statement_ends(rest), None)]


def _last_word(text: str) -> str:
    before = text.rstrip(_WORD_LETTERS).removesuffix("$")
    return text[len(before) :]


def _pieces(tokens: Iterable[Token], until: int) -> list[tuple[str, str]]:
    """Return kinds and texts of the tokens before an offset, the last one cut at it."""
    return [(token.kind, token.text[: until - token.span.start]) for token in tokens if token.span.start < until]


def _named_in(rest: str) -> str | None:
    solid = [token for token in Source(rest).tokens if token.kind not in {"space", "comment"}]
    for token, following in pairwise(solid):
        if token.text.upper() == "USING" and following.kind in {"word", "quoted"}:
            return unquoted(following.text)
    return None


_CAPITALS = re.compile(r"\b[A-Z]{2,}\b")
_CHOICE = re.compile(r"'([^']*)'")
_SCHEME = "s3://"
_THROUGH = re.compile(r"s3://([^/@]+)@")
# Marks of the grammar for items of our own tables or in quotes; every other mark is a kind of name.
_TABLES = {"environment variable", "job option", "location", "option", "setting", "table option", "topic"}
_TABLES |= {"value", "variable"}


class Item(NamedTuple):
    """What to insert, and its kind: keyword, option, setting, value, connection, bucket, folder, object, …."""

    text: str
    kind: str


class Completion(NamedTuple):
    """Candidates for the text from `start` to the cursor, the likeliest first."""

    start: int
    items: tuple[Item, ...]


class Surroundings(Protocol):
    """Names outside the text. Each method answers soon, with nothing if it cannot."""

    def names(self, kind: str) -> Iterable[str]:
        """Return names of a kind.

        Kinds are connection, table, job, variable, frame (a variable that queries can read), function (of the engine),
        environment variable, profile, region, `option of x` (options of the connection x), and `columns of x` (of a
        table, a frame, or a path whose columns are known).
        """

    def below(self, connection: str | None, place: Location | None, beginning: str) -> Iterable[str]:
        """Return what is below a place.

        Args:
            connection: its name, or None for the one used without USING.
            place: a bucket or folder, or None for the whole connection.
            beginning: prefix of each result.

        Returns:
            Names, those of folders with their `/`; locations if the place is None.
        """


def complete(text: str, at: int, surroundings: Surroundings) -> Completion:
    """Return the candidates at a place."""
    cursor = TextCursor(text, at)
    if cursor.in_comment:
        return Completion(at, ())
    fragment, items = _items_at(cursor, surroundings)
    return Completion(at - len(fragment), tuple(dict.fromkeys(items)))


def _items_at(cursor: TextCursor, around: Surroundings) -> tuple[str, Iterable[Item]]:
    """Return the text that the items replace, and the items."""
    if cursor.quote == "'":
        return _items_in_quotes(cursor, around)
    if "topic" in cursor.expected.offers:
        return _topics(cursor)
    fragment, names = cursor.fragment, [*_names(cursor, around)]
    if cursor.quote:
        return fragment, _unclosed(cursor, [Item(identifier(name), kind) for name, kind in names])
    if fragment.startswith("$"):
        variables = around.names("variable") if "variable" in cursor.expected.offers else ()
        return fragment, _matching(fragment, [Item(f"${name}", "variable") for name in variables])
    items = [Item(name_text(name), kind) for name, kind in names]
    items += [*_of_query(cursor, around), *_settable(cursor, around), *_values(cursor, around), *_words(cursor)]
    if not items and cursor.expected.assigns and not fragment:
        return fragment, [Item("=", "keyword")]
    return fragment, _matching(fragment, items)


_QUERY = {"SELECT", "WITH", "FROM"}
_BEFORE_TABLE = re.compile(r"\b(?:FROM|JOIN)\s+\Z", re.IGNORECASE)
_BEFORE_VALUE = re.compile(
    r"(?:\b(?:SELECT|DISTINCT|WHERE|BY|ON|AND|OR|NOT|HAVING|QUALIFY|CASE|WHEN|THEN|ELSE|IN|LIKE|BETWEEN)\s+|[(,=<>+*/.|-]\s*)\Z",
    re.IGNORECASE,
)
_NO_ALIAS = "WHERE|GROUP|ORDER|LIMIT|HAVING|JOIN|ON|USING|INNER|LEFT|RIGHT|FULL|CROSS|UNION|QUALIFY|SELECT|AT"
_SOURCE = re.compile(
    r"\b(?:FROM|JOIN)\s+(?:'(?P<path>s3://[^']+)'|(?P<name>\"[^\"]+\"|[A-Za-z_][\w.]*))"
    rf"(?:\s+(?:AS\s+)?(?!(?:{_NO_ALIAS})\b)(?P<alias>[A-Za-z_]\w*))?",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"(\"[^\"]+\"|[A-Za-z_]\w*)\.\Z")
# Hundreds of functions are offered only after so many letters.
_FUNCTION_LETTERS = 2
_SQL_WORDS = frozenset(
    re.findall(
        r"[A-Z]+",
        "ALL AND ANY ARRAY AS ASC BOTH CASE CAST CHECK COLUMN CREATE DEFAULT DESC DESCRIBE DISTINCT DO ELSE END EXCEPT"
        " FALSE FETCH FOR FOREIGN FROM GROUP HAVING IN INTERSECT INTO LATERAL LEADING LIMIT NOT NULL OFFSET ON ONLY OR"
        " ORDER PIVOT PRIMARY QUALIFY REFERENCES RETURNING SELECT SHOW SOME SUMMARIZE TABLE THEN TO TRAILING TRUE UNION"
        " UNIQUE UNPIVOT USING WHEN WHERE WINDOW WITH",
    )
)


def _of_query(cursor: TextCursor, around: Surroundings) -> Iterator[Item]:
    """Yield tables, columns and functions of a query, of which the grammar knows only the end."""
    if cursor.expected.offers or not _QUERY.intersection(cursor.words):
        return
    if _BEFORE_TABLE.search(cursor.code):
        kinds = ("table", "frame")
        yield from (Item(name_text(name, _SQL_WORDS), kind) for kind in kinds for name in around.names(kind))
    elif _BEFORE_VALUE.search(cursor.code):
        yield from (Item(name_text(name, _SQL_WORDS), "column") for name in _columns(cursor, around))
        if len(cursor.fragment) >= _FUNCTION_LETTERS and not cursor.code.endswith("."):
            opens = "" if cursor.after.startswith("(") else "("
            yield from (Item(f"{name}{opens}", "function") for name in around.names("function"))


def _columns(cursor: TextCursor, around: Surroundings) -> Iterator[str]:
    """Yield columns of the tables after FROM and JOIN, even after the cursor; of every table if there are none."""
    sources = [*_SOURCE.finditer(cursor.code + cursor.fragment + cursor.rest)]
    prefix = _PREFIX.search(cursor.code)
    if prefix:
        wanted = unquoted(prefix[1]).casefold()
        sources = [each for each in sources if unquoted(each["alias"] or each["name"] or "").casefold() == wanted]
    names = [each["path"] or unquoted(each["name"]) for each in sources]
    if not names and not prefix:
        names = [*around.names("table")]
    for name in names:
        yield from around.names(f"columns of {name}")


# From so many letters on, options match in the middle of their names too.
_MIDDLE = 3


def _matching(fragment: str, items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items that begin with a fragment in any case; keywords in the fragment's case.

    They are followed by options and settings that contain it, such as AWS_ACCESS_KEY_ID for KEY.
    """
    items, begun = [*items], fragment.lower()
    if len(begun) >= _MIDDLE:
        within = [item for item in items if item.kind in {"option", "setting"} and begun in item.text.lower()[1:]]
        items = [*(item for item in items if item.text.lower().startswith(begun)), *within]
    for item in items:
        if begun in item.text.lower() and (item.text.lower().startswith(begun) or len(begun) >= _MIDDLE):
            ours = fragment and fragment == fragment.lower() and item.kind in {"keyword", "option", "setting"}
            yield item._replace(text=item.text.lower()) if ours else item


def _unclosed(cursor: TextCursor, items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items without their closing quote if it follows the cursor already."""
    is_closed = cursor.after.startswith(cursor.quote)
    for item in items:
        if item.text.lower().startswith(cursor.fragment.lower()):
            yield item._replace(text=item.text[:-1]) if is_closed else item


# Words and names


def _words(cursor: TextCursor) -> Iterator[Item]:
    """Yield keywords; repeatable ones only if they are not used yet."""
    for words, again in cursor.expected.words.items():
        if again and words.split()[0] in cursor.words:
            continue
        if "value" not in cursor.expected.offers or _is_value_of(words, _option(cursor)):
            yield Item(words, "keyword")


def _names(cursor: TextCursor, around: Surroundings) -> Iterator[Item]:
    kinds = (kind for kind in cursor.expected.offers if kind not in _TABLES)
    return (Item(name, kind) for kind in kinds for name in around.names(kind))


def _settable(cursor: TextCursor, around: Surroundings) -> Iterator[Item]:
    if "option" in cursor.expected.offers and "UNSET" in cursor.words:
        current = {name.upper() for name in around.names(f"option of {cursor.connection}")}
        yield from (item for item in _options(cursor) if item.text in current)
    elif "option" in cursor.expected.offers:
        yield from _options(cursor)
    if "job option" in cursor.expected.offers:
        yield from _job_options(cursor)
    if "table option" in cursor.expected.offers:
        set_here = {name.upper() for name in cursor.read("table option")}
        yield from (Item(option.name, "option") for option in TABLE_OPTIONS.values() if option.name not in set_here)
    if "setting" in cursor.expected.offers:
        yield from (Item(setting.name, "setting") for setting in SETTINGS)


def _job_options(cursor: TextCursor) -> Iterator[Item]:
    """Return the job options that are not set yet, of the job's kind if it is known."""
    given = {name.upper() for name in cursor.read("job option")}
    kinds = {"COPY", "INSERT"}.intersection(cursor.words) or {"COPY", "INSERT"}
    left = (option for option in JOB_OPTIONS.values() if not given.intersection((option.name, *option.excludes)))
    return (Item(option.name, "option") for option in left if kinds.intersection(option.kinds))


def _options(cursor: TextCursor) -> Iterator[Item]:
    """Return the options that may still be set, those that set options require first."""
    given = [option for name in cursor.read("option") if (option := find_option(name))]
    altered = cursor.words[:1] == ("ALTER",)
    left = [
        option
        for option in OPTIONS
        if not any(_exclude_each_other(option, other) for other in given) and (option.mutable or not altered)
    ]
    # A profile needs no other option, and is what most connections use.
    needed = {name for option in given for name in option.requires} or {"AWS_PROFILE"}
    return (Item(option.name, "option") for option in sorted(left, key=lambda option: option.name not in needed))


def _exclude_each_other(option: Option, other: Option) -> bool:
    return option is other or option.name in other.excludes or other.name in option.excludes


def _topics(cursor: TextCursor) -> tuple[str, Iterable[Item]]:
    """Return the topics of HELP, and the text they replace."""
    start = min((start for start, _ in cursor.expected.read.get("topic", ())), default=len(cursor.code))
    fragment = cursor.code[start:].lstrip() + cursor.fragment
    tables = (("keyword", STATEMENTS), ("option", OPTIONS), ("setting", SETTINGS))
    return fragment, _matching(fragment, [Item(entry.name, kind) for kind, table in tables for entry in table])


# Values


def _option(cursor: TextCursor) -> Option | Setting | None:
    if options := cursor.read("option"):
        return find_option(options[-1])
    settings = cursor.read("setting")
    return find_setting(settings[-1]) if settings else None


# Keywords that are values of options or settings; the others name sources of values.
_TAKES = (*(option.takes for option in OPTIONS), *(setting.takes for setting in SETTINGS))
_LITERALS = {word for takes in _TAKES for word in _CAPITALS.findall(takes)} & KEYWORDS


def _is_value_of(word: str, option: Option | Setting | None) -> bool:
    """Return whether a keyword is a value of this option, or a source for it."""
    if option is None:
        return True
    named = _LITERALS.intersection(_CAPITALS.findall(option.takes))
    return word in named if named or isinstance(option, Setting) else word not in _LITERALS


def _values(cursor: TextCursor, around: Surroundings) -> Iterator[Item]:
    """Yield literals and their openings."""
    offers = cursor.expected.offers
    if "location" in offers or ("value" in offers and _offers(cursor) == "location"):
        yield Item(f"'{_SCHEME}", "location")
    elif "value" in offers or "environment variable" in offers:
        yield from (Item(f"'{text}'", kind) for text, kind in _texts(cursor, around))


def _offers(cursor: TextCursor) -> str:
    option = _option(cursor)
    return option.offers if isinstance(option, Option) else ""


def _texts(cursor: TextCursor, around: Surroundings) -> Iterator[Item]:
    """Yield the texts that may be written in single quotes here."""
    if "environment variable" in cursor.expected.offers:
        yield from (Item(name, "environment variable") for name in around.names("environment variable"))
    elif "value" in cursor.expected.offers:
        option = _option(cursor)
        yield from (Item(text, "value") for text in _CHOICE.findall(option.takes if option else ""))
        if kind := _offers(cursor):
            yield from (Item(name, kind) for name in around.names(kind))


def _items_in_quotes(cursor: TextCursor, around: Surroundings) -> tuple[str, Iterable[Item]]:
    offers = cursor.expected.offers
    text = cursor.fragment[1:]
    # In a statement that the grammar does not parse, at least locations are known.
    foreign = not cursor.expected.anything and text.startswith(_SCHEME)
    if "location" in offers or foreign or ("value" in offers and _offers(cursor) == "location"):
        return _locations(cursor, around, text)
    return cursor.fragment, _unclosed(cursor, [Item(f"'{value}'", kind) for value, kind in _texts(cursor, around)])


# Locations


def _locations(cursor: TextCursor, around: Surroundings, text: str) -> tuple[str, Iterable[Item]]:
    """Return buckets and display filters, or folders and objects by their last segment."""
    connection, location = cursor.connection, text.replace("''", "'")
    if "value" in cursor.expected.offers and not connection:
        return text, ()  # the connection does not exist yet
    through = _THROUGH.match(location)
    if through:
        connection, location = through[1], _SCHEME + location[through.end() :]
    if "/" not in location.removeprefix(_SCHEME) or not location.startswith(_SCHEME):
        head = through.group() if through else _SCHEME
        uris = around.below(connection, None, location if location.startswith(_SCHEME) else _SCHEME)
        paths = (head + uri.removeprefix(_SCHEME) for uri in uris)
        return text, [Item(_escaped(uri), "bucket") for uri in paths if uri.startswith(text) and _is_visible(uri)]
    try:
        place = Location.parse(location)
    except ValueError:
        return text, ()
    above, slash, segment = place.key.rpartition("/")
    uris = around.below(connection, Location(place.bucket, above + slash), segment)
    names = (name for name in uris if name.startswith(segment) and _is_visible(name))
    items = [Item(_escaped(name), "folder" if name.endswith("/") else "object") for name in names]
    return text[text.rfind("/") + 1 :], items


def _escaped(text: str) -> str:
    return text.replace("'", "''")


def _is_visible(text: str) -> bool:
    """Return whether all characters are visible: others would be inserted unnoticed."""
    return visible(text) == text
