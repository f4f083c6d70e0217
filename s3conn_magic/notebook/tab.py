"""Tab and Shift-Tab in a cell."""

from __future__ import annotations

import os
import re
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from s3conn_magic.notebook.file_paths import FLAG, PathBegun, file_given, flag_begun, names_in
from s3conn_magic.runtime.interrupts import Deferring, interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location
    from s3conn_magic.session.session import Session

_MOST_KEPT = 500
_MOST_UNDER_WAY = 8


class _Answer:
    """One that is under way, or has come."""

    def __init__(self) -> None:
        self.asked_at = time.monotonic()
        self.came_at: float | None = None
        self.come = threading.Event()
        self.value: Any = None
        self.failed = False

    def find(self, work: Callable[[], Any]) -> None:
        try:
            self.value = work()
        except BaseException:  # noqa: BLE001 - whatever it is, there is nothing to offer
            self.failed = True
        self.came_at = time.monotonic()
        self.come.set()


class Soon:
    """Runs work in daemon threads, and waits for each answer for a moment only.

    Args:
        wait: seconds from the beginning of the work in which its answer is waited for.
        keep: seconds an answer is good for.
        keep_failure: seconds until work that failed is tried again.
    """

    def __init__(self, *, wait: float = 0.2, keep: float = 60.0, keep_failure: float = 10.0) -> None:
        self._wait = wait
        self._keep = keep
        self._keep_failure = keep_failure
        self._answers: dict[Hashable, _Answer] = {}
        self._lock = threading.Lock()

    def kept(self, key: Hashable) -> Any:
        """The answer, if it is there already; else None."""
        answer = self._answers.get(key)
        return answer.value if answer and answer.come.is_set() and not self._is_old(answer) else None

    def ask(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """The answer, if it is there or comes in time; else None. Work on the same key is not begun twice."""
        with self._lock:
            answer = self._answers.get(key)
            if answer is None or self._is_old(answer):
                answer = self._begin(key, work)
        if answer is None:
            return None
        answer.come.wait(max(0.0, answer.asked_at + self._wait - time.monotonic()))
        return answer.value if answer.come.is_set() else None

    def _is_old(self, answer: _Answer) -> bool:
        keep = self._keep_failure if answer.failed else self._keep
        return answer.came_at is not None and time.monotonic() > answer.came_at + keep

    def _begin(self, key: Hashable, work: Callable[[], Any]) -> _Answer | None:
        """Begin the work, unless too much is under way."""
        self._forget()
        if sum(not one.come.is_set() for one in self._answers.values()) >= _MOST_UNDER_WAY:
            return None
        answer = self._answers[key] = _Answer()
        threading.Thread(target=answer.find, args=(work,), name="s3conn_magic completion", daemon=True).start()
        return answer

    def _forget(self) -> None:
        """Let go of what is old, and of the oldest of too many."""
        for key in [key for key, one in self._answers.items() if self._is_old(one)]:
            del self._answers[key]
        for key in [*self._answers][: max(0, len(self._answers) - _MOST_KEPT)]:
            del self._answers[key]


# Possessive, so that a line of blanks takes no more time than one of words.
_INTO = r"(?:[ \t]*+[A-Za-z_]\w*+[ \t]*+<<)?"
_CELL = re.compile(rf"\s*+%%upsql(?!\w){_INTO}")
_LINE = re.compile(rf"[ \t]*+(?:[^%'\"#\n]*=[ \t]*+)?%upsql(?!\w){_INTO}")


def statements_at(cell: str, cursor: int) -> str | None:
    """The cell with all but its statements as blanks, so that places are the same; None where there are none.

    Args:
        cell: its text, as typed.
        cursor: offset into it.
    """
    start, end = 0, len(cell)
    found = _CELL.match(cell)
    if found is None:
        start = cell.rfind("\n", 0, cursor) + 1
        end = min(at for at in (cell.find("\n", cursor), len(cell)) if at >= 0)
        found = _LINE.match(cell, start, end)
    if found is None or cursor < found.end() or cell[:cursor].endswith("%upsql"):
        return None
    return _blank(cell[: found.end()]) + cell[found.end() : end] + _blank(cell[end:])


def _blank(text: str) -> str:
    return "\n".join(" " * len(line) for line in text.split("\n"))


_PLAIN = "s3conn_magic_plain"
_NAME = "do_inspect"


def add_inspection(shell: InteractiveShell) -> None:
    """Answer a kernel's inspection requests in cells of statements; all others go where they went before."""
    kernel: Any = getattr(shell, "kernel", None)
    if not hasattr(kernel, _NAME):
        return
    remove_inspection(shell)
    plain = kernel.do_inspect

    def do_inspect(code: str, cursor_pos: int, *args: Any, **options: Any) -> Any:
        text = statements_at(code, cursor_pos)
        return plain(code, cursor_pos, *args, **options) if text is None else _answer(text, cursor_pos)

    setattr(do_inspect, _PLAIN, plain)
    setattr(kernel, _NAME, do_inspect)


def remove_inspection(shell: InteractiveShell) -> None:
    """Let the kernel answer all of them, unless somebody else has put an answer before ours."""
    kernel: Any = getattr(shell, "kernel", None)
    plain = getattr(getattr(kernel, _NAME, None), _PLAIN, None)
    if plain is None:
        return
    delattr(kernel, _NAME)
    if kernel.do_inspect != plain:
        setattr(kernel, _NAME, plain)


@interruptible
def _answer(text: str, at: int) -> dict[str, Any]:
    from s3conn_magic.language.help import help_at

    return {"status": "ok", "found": True, "data": {"text/plain": help_at(text, at)}, "metadata": {}}


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
