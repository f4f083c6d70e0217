"""Runs the grammar's rules: the same trees and the same failures as pyparsing's engine, in a fraction of the time.

pyparsing makes a result object for every element and an exception for every alternative that does not fit: 3 to 8
microseconds a word. Here each element becomes one function. A choice looks at the next word and tries only the
alternatives that can begin with it. Places and messages are pyparsing's, which the tests compare.
"""

from __future__ import annotations

import re
from functools import singledispatch
from typing import TYPE_CHECKING, Any, NamedTuple

import pyparsing as pp

from s3conn_magic.language.rules import AtMost, Keyword, Node, RuleError, Terminal
from s3conn_magic.language.tokens import WHITE, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    # Text, offset and the results so far → the offset behind the rule, or -1 where it does not begin.
    _Run = Callable[[str, int, list[Any]], int]

_skip = re.compile(f"[{WHITE}]*+").match
# The parts of the rule that is being compiled, by identity: rules compare by what they match.
_parts: dict[int, _Part] = {}
_peek = re.compile(rf"[{WHITE}]*+([A-Za-z_][A-Za-z0-9_]*+)?").match


class ParseError(Exception):
    """Where the rules stopped and what they expected; holds nothing of the text."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


class _NoMatchError(Exception):
    """A rule began and did not go on; another may fit."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


class _Part(NamedTuple):
    """A rule as a function.

    Attributes:
        run: the function.
        expected: what to say where the rule does not begin.
        first: the words that it can begin with; None where it can begin with anything else.
        gives_up: whether it may begin, not go on, and leave it to another rule: whether it raises _NoMatchError.
    """

    run: _Run
    expected: str
    first: frozenset[str] | None = None
    gives_up: bool = False


def compiled(rule: pp.ParserElement) -> Callable[[str], list[Any]]:
    """A function from a text to the results of a rule that covers all of it.

    The function raises ParseError.
    """
    rule.streamline()
    _parts.clear()
    run, expected, *_ = _part(rule)
    _parts.clear()

    def parse(text: str) -> list[Any]:
        out: list[Any] = []
        try:
            end = run(text, 0, out)
        except (_NoMatchError, RuleError) as error:
            at, message = error.at, error.message
        else:
            if end >= 0:
                return out
            at, message = _start(text, 0), expected
        raise ParseError(at, message)

    return parse


def _start(text: str, at: int) -> int:
    return _skip(text, at).end()  # type: ignore[union-attr] # it matches nothing, too


def _expected(rule: pp.ParserElement) -> str:
    return rule.errmsg or ""


def _part(rule: pp.ParserElement) -> _Part:
    """A rule as a function: one for all the places that it stands in."""
    if (known := _parts.get(id(rule))) is None:
        known = _parts[id(rule)] = _made(rule)
    return known


@singledispatch
def _made(rule: pp.ParserElement) -> _Part:
    raise NotImplementedError(f"the engine does not know {type(rule).__name__}")


@_made.register
def _(rule: Terminal) -> _Part:
    match, make = re.compile(rf"[{WHITE}]*+({rule.pattern})").match, rule.make

    def run(text: str, at: int, out: list[Any]) -> int:
        found = match(text, at)
        if found is None:
            return -1
        out.append(make(found[1], found.start(1)))
        return found.end()

    return _Part(run, _expected(rule), frozenset({rule.word}) if isinstance(rule, Keyword) else None)


@_made.register
def _(rule: pp.Suppress) -> _Part:
    if isinstance(rule.expr, Terminal):
        return _Part(_matched(str(rule.expr.pattern)), _expected(rule), _part(rule.expr).first)
    inner = _renamed(rule, _part(rule.expr))
    return inner._replace(run=lambda text, at, _: inner.run(text, at, []))


def _matched(pattern: str) -> _Run:
    match = re.compile(rf"[{WHITE}]*+(?:{pattern})").match

    def run(text: str, at: int, _: list[Any]) -> int:
        found = match(text, at)
        return -1 if found is None else found.end()

    return run


def _renamed(rule: pp.ParserElement, inner: _Part) -> _Part:
    """The inner rule, of which a named one around it says what is expected."""
    if rule.customName is None or not inner.gives_up:
        return inner if rule.customName is None else inner._replace(expected=_expected(rule))
    within, expected = inner.run, _expected(rule)

    def run(text: str, at: int, out: list[Any]) -> int:
        try:
            return within(text, at, out)
        except _NoMatchError as error:
            where = error.at
        raise _NoMatchError(where, expected)

    return inner._replace(run=run, expected=expected)


@_made.register
def _(rule: Node) -> _Part:
    inner, make = _renamed(rule, _part(rule.expr)), rule.make
    within = inner.run

    def run(text: str, at: int, out: list[Any]) -> int:
        found: list[Any] = []
        end = within(text, at, found)
        if end < 0:
            return -1
        out.append(make(found, Span(_skip(text, at).end(), end)))  # type: ignore[union-attr] # as in _start
        return end

    return inner._replace(run=run)


@_made.register
def _(rule: pp.And) -> _Part:
    parts, hard, steps = [], False, []
    for one in rule.exprs:
        if isinstance(one, pp.And._ErrorStop):  # noqa: SLF001 - how pyparsing writes `-`
            hard = True
            continue
        parts.append(_part(one))
        steps.append((parts[-1].run, parts[-1].expected, ParseError if hard else _NoMatchError))
    (first, _, _), *rest = steps
    gives_up = parts[0].gives_up or any(failure is _NoMatchError for _, _, failure in rest)

    def run(text: str, at: int, out: list[Any]) -> int:
        end = first(text, at, out)
        if end < 0:
            return -1
        for step, expected, failure in rest:
            after = end
            try:
                end = step(text, after, out)
            except _NoMatchError as error:
                where, message = error.at, error.message
            else:
                if end >= 0:
                    continue
                where, message = _start(text, after), expected
            raise failure(where, message)
        return end

    return parts[0]._replace(run=run, gives_up=gives_up)


@_made.register
def _(rule: pp.MatchFirst) -> _Part:
    parts = [_part(one) for one in rule.exprs]
    led = frozenset(word for part in parts for word in part.first or ())
    table = {word: tuple(part.run for part in parts if part.first is None or word in part.first) for word in led}
    others = tuple(part.run for part in parts if part.first is None)

    def run(text: str, at: int, out: list[Any]) -> int:
        word = _peek(text, at)[1] if led else None  # type: ignore[index] # it matches nothing, too
        furthest, kept = None, len(out)
        for one in table.get(word.upper(), others) if word else others:
            try:
                end = one(text, at, out)
            except _NoMatchError as error:
                furthest = error if furthest is None or error.at > furthest.at else furthest
                del out[kept:]
            else:
                if end >= 0:
                    return end
        if furthest is None:
            return -1
        raise _NoMatchError(furthest.at, furthest.message)

    first = led if all(part.first is not None for part in parts) else None
    return _Part(run, _expected(rule), first, any(part.gives_up for part in parts))


@_made.register
def _(rule: pp.Opt) -> _Part:
    within = _attempt(_part(rule.expr))

    def run(text: str, at: int, out: list[Any]) -> int:
        end = within(text, at, out)
        return at if end < 0 else end

    return _Part(run, _expected(rule))


def _attempt(part: _Part) -> _Run:
    """The rule, which leaves nothing behind where it does not fit."""
    if not part.gives_up:
        return part.run
    within = part.run

    def run(text: str, at: int, out: list[Any]) -> int:
        kept = len(out)
        try:
            return within(text, at, out)
        except _NoMatchError:
            del out[kept:]
            return -1

    return run


@_made.register
def _(rule: pp.ZeroOrMore) -> _Part:
    within = _attempt(_part(rule.expr))

    def run(text: str, at: int, out: list[Any]) -> int:
        while (end := within(text, at, out)) > at:
            at = end
        return at

    return _Part(run, _expected(rule))


@_made.register
def _(rule: AtMost) -> _Part:
    within, most, message = _attempt(_part(rule.expr)), rule.most, rule.message

    def run(text: str, at: int, out: list[Any]) -> int:
        for count in range(most + 1):
            end = within(text, at, out)
            if end < 0:
                break
            if count == most:
                raise RuleError(_start(text, at), message)
            at = end
        return at

    return _Part(run, _expected(rule))


@_made.register
def _(rule: pp.OneOrMore) -> _Part:
    first = _part(rule.expr)
    within = _attempt(first)

    def run(text: str, at: int, out: list[Any]) -> int:
        end = first.run(text, at, out)
        if end < 0:
            return -1
        while (after := within(text, end, out)) > end:
            end = after
        return end

    return first._replace(run=run)


@_made.register
def _(rule: pp.StringEnd) -> _Part:
    def run(text: str, at: int, _: list[Any]) -> int:
        end = _start(text, at)
        return end if end == len(text) else -1

    return _Part(run, _expected(rule))
