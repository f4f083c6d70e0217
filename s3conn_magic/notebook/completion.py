"""Completion of statements, as a matcher of IPython's completer, in which Python's names have no place."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from s3conn_magic.interrupts import Deferring
from s3conn_magic.notebook.files import FLAG, PathBegun, file_given, flag_begun, names_in
from s3conn_magic.notebook.soon import Soon
from s3conn_magic.notebook.typed import statements_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location
    from s3conn_magic.session import Session

MATCHER = "s3conn_magic.upsql_matcher"
"""Its identifier, for `%config IPCompleter.disable_matchers`."""
# Before every matcher of IPython, so that none of these runs in vain.
_PRIORITY = 10_000
_FOLDER_SECONDS = 1.0
_VALUES = (str, int, list, tuple)


class _Nothing:
    """No completions, and none of other matchers either: a result without any cannot suppress those."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[SimpleCompletion]:
        return iter(())


def add_completion(shell: InteractiveShell, session: Callable[[], Session | None]) -> None:
    """Append the matcher to those of the shell's completer, in place of one of an earlier load.

    Args:
        shell: the kernel's.
        session: gives its session, or None while there is none.
    """
    remove_completion(shell)
    around = KernelSurroundings(shell, session)

    @context_matcher(identifier=MATCHER, priority=_PRIORITY)  # type: ignore[untyped-decorator] # IPython's
    def upsql_matcher(context: CompletionContext) -> SimpleMatcherResult:
        # What goes wrong would be printed into the notebook by IPython.
        try:
            with Deferring():
                return _completions(context, around)
        except (Exception, KeyboardInterrupt):  # noqa: BLE001
            return SimpleMatcherResult(completions=[])

    shell.Completer.custom_matchers.append(upsql_matcher)


def remove_completion(shell: InteractiveShell) -> None:
    """Take the matcher away; those of others stay."""
    matchers: list[Any] = shell.Completer.custom_matchers
    matchers[:] = [one for one in matchers if getattr(one, "matcher_identifier", None) != MATCHER]


def _completions(context: CompletionContext, around: KernelSurroundings) -> SimpleMatcherResult:
    at = _offset(context)
    text = statements_at(context.full_text, at)
    if text is None:
        return SimpleMatcherResult(completions=[])
    start, items = _file(text, at, around) or _statement(text, at, around)
    found: Any = [SimpleCompletion(text, type=kind) for text, kind in items] or _Nothing()
    return SimpleMatcherResult(
        completions=found, matched_fragment=context.full_text[start:at], suppress=True, ordered=True
    )


def _statement(text: str, at: int, around: KernelSurroundings) -> tuple[int, Iterable[tuple[str, str]]]:
    from s3conn_magic.language.completion import complete

    return complete(text, at, around)


def _file(text: str, at: int, around: KernelSurroundings) -> tuple[int, list[tuple[str, str]]] | None:
    """The last segment of the path that `--file` takes, and `--file` itself; None where statements stand."""
    given = file_given(text)
    if given is None or at < given.start:
        flag = flag_begun(text[:at]) if not text[at:].strip() else ""
        return (at - len(flag), [(f"{FLAG} ", "option")]) if flag else None
    begun = PathBegun.of(text[given.start : at])
    closed = "" if text.startswith(begun.quote, at) else begun.quote
    names = begun.found_in(around.names_in(begun.place))
    items = [(one, "folder") if one.endswith("/") else (one + closed, "file") for one in names]
    return at - len(begun.name), items


def _offset(context: CompletionContext) -> int:
    """The cursor's offset in the cell; the context has its line and its place in that."""
    lines = context.full_text.split("\n")
    return sum(len(line) + 1 for line in lines[: context.cursor_line]) + context.cursor_position


class KernelSurroundings:
    """What completion offers besides words of the language; see `language.completion.Surroundings`.

    Names of a kind that is not known here are those of the session's attribute of that name in the plural, such as
    `tables`: names, or things that have one.
    """

    def __init__(self, shell: InteractiveShell, session: Callable[[], Session | None]) -> None:
        self._shell = shell
        self._session = session
        self._soon = Soon()
        # A folder answers at once, but one on a network that is down; what is saved in it is to be seen.
        self._folders = Soon(keep=_FOLDER_SECONDS, keep_failure=_FOLDER_SECONDS)
        self._kinds: dict[str, Callable[[], Iterable[str]]] = {
            "variable": self._variables,
            "environment variable": lambda: sorted(os.environ),
            "profile": partial(self._configured, "profiles"),
            "region": partial(self._configured, "regions"),
        }

    def names(self, kind: str) -> Iterable[str]:
        """Names of a kind; none where they cannot be had."""
        if kind in self._kinds:
            return self._kinds[kind]()
        found = getattr(self._session(), f"{kind}s", ())
        return [one if isinstance(one, str) else one.name for one in found]

    def _variables(self) -> list[str]:
        """Variables of the user that may be a value of a statement."""
        hidden, names = self._shell.user_ns_hidden, self._shell.user_ns
        return [
            name
            for name, value in names.items()
            if isinstance(value, _VALUES) and name not in hidden and name.isidentifier() and not name.startswith("_")
        ]

    def _configured(self, kind: str) -> tuple[str, ...]:
        def work() -> tuple[str, ...]:
            from s3conn_magic.connections import probe

            names: tuple[str, ...] = getattr(probe, kind)()
            return names

        return self._soon.ask(kind, work) or ()

    def names_in(self, place: str) -> tuple[str, ...]:
        """Files of statements and folders in a folder of this machine."""
        names: tuple[str, ...] | None = self._folders.ask(place, partial(names_in, place))
        return names or ()

    def below(self, connection: str | None, place: Location | None, beginning: str) -> Iterable[str]:
        """What there is below a place, within the display filters."""
        found = self._connection(connection)
        if found is None:
            return ()
        filters = found.settings.display_filters
        if place is None:
            return [one.uri for one in filters] if filters else self._buckets(found)
        wanted = type(place)(place.bucket, place.key + beginning)
        if filters and not any(one.covers(wanted) for one in filters):
            return sorted(set(_towards(filters, wanted, place)))
        return self._below(found, place, beginning)

    def _connection(self, name: str | None) -> Connection | None:
        """The connection of that name; without one the default, or the only one there is."""
        session = self._session()
        if session is None:
            return None
        connections = session.connections
        wanted = name or connections.default
        if wanted is None:
            only = [*connections]
            return only[0] if len(only) == 1 else None
        return connections.get(wanted) if wanted in connections else None

    def _buckets(self, connection: Connection) -> Iterable[str]:
        def work() -> tuple[str, ...]:
            from s3conn_magic.connections.probe import buckets

            return buckets(connection)

        return self._soon.ask((connection.state_token, ""), work) or ()

    def _below(self, connection: Connection, place: Location, beginning: str) -> Iterable[str]:
        """From what is kept of a shorter beginning, if that was all; else by a request."""
        state = connection.state_token
        for length in range(len(beginning)):
            kept = self._soon.kept((state, place, beginning[:length]))
            if kept is not None and kept.complete:
                return [name for name in kept.names if name.startswith(beginning)]

        def work() -> Any:
            from s3conn_magic.connections.probe import below

            return below(connection, place, beginning)

        answer = self._soon.ask((state, place, beginning), work)
        return answer.names if answer is not None else ()


def _towards(filters: Iterable[Location], wanted: Location, place: Location) -> Iterator[str]:
    """The next segments on the way to the display filters."""
    for one in filters:
        if wanted.covers(one):
            segment, slash, _ = one.key[len(place.key) :].partition("/")
            yield segment + slash
