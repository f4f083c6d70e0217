"""Elements of the grammar's rules: pyparsing expressions that make nodes of the tree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyparsing as pp

from s3conn_magic.language.source import WHITE, Span

if TYPE_CHECKING:
    from collections.abc import Callable

_next_word = re.compile("[A-Za-z_]++").match
_WHITE = frozenset(WHITE)
WORD_END = "(?![A-Za-z0-9_])"


class ParseError(Exception):
    """Where parsing stopped, and what was expected or refused; holds nothing of the text."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


class Terminal(pp.Regex):
    """A regular expression without groups, whose match makes a value from its text and offset, or nothing."""

    def __init__(self, pattern: str, name: str, make: Callable[[str, int], Any] | None = None) -> None:
        super().__init__(pattern)
        self.set_whitespace_chars(WHITE)
        self.set_name(name)
        self.make = make

    def parseImpl(self, instring: str, loc: int, do_actions: bool = True) -> Any:  # noqa: ARG002, N802 - pyparsing's
        """Match at an offset."""
        match = self.re_match(instring, loc)
        if match is None:
            raise pp.ParseException(instring, loc, self.errmsg, self)
        return match.end(), [self.make(match.group(), loc)] if self.make else []


class Keyword(Terminal):
    """A keyword, in any case."""

    def __init__(self, word: str, make: Callable[[str, int], Any] | None = None, short: str = "") -> None:
        self.word, self.short = word, short
        super().__init__(rf"(?ai:{f'{word}|{short}' if short else word}){WORD_END}", word, make)


class Node(pp.ParseElementEnhance):
    """A rule whose results and trimmed span are made into one value.

    `make` may raise a ParseError.
    """

    def __init__(self, rule: pp.ParserElement, make: Callable[[list[Any], Span], Any]) -> None:
        super().__init__(rule)
        self.make = make

    def parseImpl(self, instring: str, loc: int, do_actions: bool = True) -> Any:  # noqa: N802 - pyparsing's
        """Match at an offset."""
        end, parts = self.expr._parse(instring, loc, do_actions, callPreParse=False)  # noqa: SLF001 - as pyparsing's own do
        written = instring[loc:end].rstrip(WHITE)
        try:
            return end, [self.make(list(parts), Span(loc, loc + len(written)))]
        except ParseError as error:
            raise pp.ParseFatalException(instring, error.at, error.message) from None


class AtMost(pp.ZeroOrMore):
    """A rule repeated up to a bound; one more is refused with the message."""

    def __init__(self, most: int, rule: pp.ParserElement, message: str) -> None:
        super().__init__(rule)
        self.most = most
        self.message = message

    def parseImpl(self, instring: str, loc: int, do_actions: bool = True) -> Any:  # noqa: N802 - pyparsing's
        """Match at an offset."""
        parts: list[Any] = []
        for count in range(self.most + 1):
            try:
                after, part = self.expr._parse(instring, loc, do_actions)  # noqa: SLF001 - as pyparsing's own do
            except pp.ParseException:
                break
            if count == self.most:
                at = self.preParse(instring, loc)
                raise pp.ParseFatalException(instring, at, self.message)
            loc = after
            parts.extend(part)
        return loc, parts


class ByFirstWord(pp.MatchFirst):
    """Alternatives, of which only those that can begin with the next word are tried."""

    def __init__(self, rules: list[pp.ParserElement], name: str) -> None:
        super().__init__(rules)
        self.set_name(name)
        words = {word for rule in rules for word in _first_words(rule)}
        self._possible = {word: [rule for rule in rules if {word, ""} & {*_first_words(rule)}] for word in words}

    def parseImpl(self, instring: str, loc: int, do_actions: bool = True) -> Any:  # noqa: N802 - pyparsing's
        """Match at an offset."""
        while instring[loc : loc + 1] in _WHITE:
            loc += 1
        word = _next_word(instring, loc)
        for rule in self._possible.get(word.group().upper() if word else "", self._possible[""]):
            try:
                return rule._parse(instring, loc, do_actions)  # noqa: SLF001 - as pyparsing's own do
            except pp.ParseFatalException:
                raise
            except pp.ParseException:
                pass
        raise pp.ParseException(instring, loc, self.errmsg, self)


def _first_words(rule: Any) -> tuple[str, ...]:
    """Return the words that a rule begins with (a keyword and its short form); empty if it can begin otherwise."""
    while not isinstance(rule, pp.Token):
        rule = rule.exprs[0] if isinstance(rule, pp.ParseExpression) else rule.expr
    return (rule.word, *filter(None, [rule.short])) if isinstance(rule, Keyword) else ("",)


OFFERS, UNOFFERED, PHRASE = "offers", "unoffered", "phrase"


def offering(kind: str, rule: pp.ParserElement) -> pp.ParserElement:
    """Mark a rule with the kind of names that completion offers for it, such as `connection`."""
    marked = rule.copy()
    setattr(marked, OFFERS, kind)
    return marked


def unoffered(rule: pp.ParserElement) -> pp.ParserElement:
    """Mark a rule as a synonym that completion does not offer."""
    if isinstance(rule, pp.MatchFirst):
        return pp.MatchFirst([unoffered(alternative) for alternative in rule.exprs])
    marked = rule.copy()
    setattr(marked, UNOFFERED, True)
    return marked


def phrase(text: str, rule: pp.ParserElement) -> pp.ParserElement:
    """Mark a rule with the keywords that completion offers for it."""
    setattr(rule, PHRASE, text)
    return rule.set_name(text)


def keyword(text: str, short: str = "") -> pp.ParserElement:
    """Return a keyword that is a value; with a short form, it results in nothing."""
    return Keyword(text, None if short else lambda _, __: text, short)


def words(text: str) -> pp.ParserElement:
    """Return a sequence of keywords, all required once the first matches; it results in nothing."""
    first, *rest = map(Keyword, text.split())
    rule: pp.ParserElement = first
    for word in rest:
        rule = rule - word
    return rule


def mark(text: str) -> pp.ParserElement:
    """Return a mark, which results in nothing."""
    return Terminal(re.escape(text), f"`{text}`")


def leaf(pattern: str, name: str, kind: Any, read: Callable[[str], Any]) -> Terminal:
    """Return a node of the tree made from one match."""
    return Terminal(pattern, name, lambda text, at: kind(read(text), Span(at, at + len(text))))


def branch(kind: Any, rule: pp.ParserElement) -> pp.ParserElement:
    """Return a node of the tree made from the rule's results and its span."""
    return Node(rule, lambda parts, span: kind(*parts, span))


def field(name: str, rule: pp.ParserElement) -> pp.ParserElement:
    """Return a rule whose one result is the value of a field of the statement."""
    return Node(rule, lambda parts, span: (name, parts[0], span.start))


def fields(name: str, rule: pp.ParserElement) -> pp.ParserElement:
    """Return a rule whose results are the value of a field of the statement."""
    return Node(rule, lambda parts, span: (name, tuple(parts), span.start))


def flag(name: str, text: str) -> pp.ParserElement:
    """Return keywords that set a field of the statement to True."""
    return Node(words(text), lambda _, span: (name, True, span.start)).set_name(text)


def builds(kind: Any, rule: pp.ParserElement) -> pp.ParserElement:
    """Return a rule that makes the statement from fields; a repeated field is an error."""
    return Node(rule, lambda parts, span: _stated(kind, parts, span))


def variant(kind: Any, rule: pp.ParserElement) -> pp.ParserElement:
    """Return an alternative of `variants`: one of the statements that begin with the same word."""
    return Node(rule, lambda parts, _: (kind, parts))


def variants(rule: pp.ParserElement) -> pp.ParserElement:
    """Return a rule whose last result is a variant, which makes the statement with the fields before it."""
    return Node(rule, lambda parts, span: _stated(parts[-1][0], [*parts[:-1], *parts[-1][1]], span))


def _stated(kind: Any, clauses: list[tuple[str, Any, int]], span: Span) -> Any:
    given: dict[str, Any] = {}
    for name, value, at in clauses:
        if name not in given:
            given[name] = value
        elif name == "settings":
            given[name] += value
        else:
            raise ParseError(at, f"{_clause(name)} appears twice")
    return kind(**given, span=span)


def _clause(name: str) -> str:
    return "the location" if name == "location" else name.replace("_", " ").upper()
