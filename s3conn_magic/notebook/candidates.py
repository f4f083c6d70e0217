"""What Tab offers of this kernel and this machine: names of variables, buckets and keys, and paths for `--file`."""

from __future__ import annotations

import os
import re
import threading
import time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import S3ConnError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location
    from s3conn_magic.session.session import Session

FLAG = "--file"
_FILE = re.compile(rf"(\s*){FLAG}(?![\w-])[ \t]*=?[ \t]*([^\n]*)(.*)", re.DOTALL)
_ENDING = ".usql"
_QUOTES = "'\""
_MOST = 1_000


class FileGiven(NamedTuple):
    """What follows `--file`: the rest of its line from the offset `start` on, which is the path, quoted or not."""

    start: int
    written: str
    alone: bool

    @property
    def path(self) -> str:
        """The path without the quotes around it.

        Raises:
            S3ConnError: there is none, or statements besides it.
        """
        if not self.alone:
            hint = f"%upsql {FLAG} setup.usql; other statements have their own cell."
            raise S3ConnError(f"{FLAG} must be on its own", hint=hint)
        path = self.written.strip()
        if len(path) > 1 and path[0] == path[-1] and path[0] in _QUOTES:
            path = path[1:-1]
        if not path:
            raise S3ConnError(f"{FLAG} takes the path of a file", hint=f"%upsql {FLAG} setup.usql")
        return path


def file_given(text: str) -> FileGiven | None:
    """Return the file that a cell's statements are read from; None where they stand in the cell.

    Below a cell's first line, `--file` is a comment like any other unless it is all there is.
    """
    match = _FILE.fullmatch(text)
    if match is None:
        return None
    others = bool(match[3].strip())
    return None if others and "\n" in match[1] else FileGiven(match.start(2), match[2], not others)


def flag_begun(text: str) -> str:
    """Return the part of `--file` that a text without statements ends in; empty for none of it."""
    begun = text.strip()
    return begun if begun.startswith("-") and begun != FLAG and FLAG.startswith(begun) else ""


class PathBegun(NamedTuple):
    """A path up to the cursor: the quote it begins with, its folder with the last `/`, and the name after that."""

    quote: str
    folder: str
    name: str

    @classmethod
    def of(cls, written: str) -> PathBegun:
        """Return the parts of what is written of it."""
        quote = written[:1] if written[:1] and written[:1] in _QUOTES else ""
        folder, slash, name = written[len(quote) :].rpartition("/")
        return cls(quote, folder + slash, name)

    @property
    def place(self) -> str:
        """The folder as an absolute path, from the working directory or the home folder on."""
        return os.path.abspath(Path(self.folder or ".").expanduser())  # noqa: PTH100 - `..` of a path as it is typed

    def found_in(self, names: tuple[str, ...]) -> Iterator[str]:
        """Yield those of the folder's names that the path may go on with; hidden ones once a dot is typed."""
        for name in names:
            if name.startswith(self.name) and (self.name or not name.startswith(".")):
                yield name


def names_in(place: str) -> tuple[str, ...]:
    """Return files of statements in a folder, then the folders in it with their `/`; each by name, a thousand at most.

    What a path could not be typed with, such as a name that begins with a space, is left out.
    """
    with os.scandir(place) as entries:
        there = sorted((entry.is_dir(), entry.name) for entry in islice(entries, 100 * _MOST) if _is_wanted(entry))
    return tuple(f"{name}/" if is_folder else name for is_folder, name in there[:_MOST])


def _is_wanted(entry: os.DirEntry[str]) -> bool:
    typed = entry.name.isprintable() and entry.name == entry.name.strip()
    return typed and (entry.name.endswith(_ENDING) or entry.is_dir())


_OPTION_OF, _COLUMNS_OF = "option of ", "columns of "
_FRAMES = {"pandas", "polars", "pyarrow", "s3conn_magic"}
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
        """Return the answer, if it is there already; else None."""
        answer = self._answers.get(key)
        return answer.value if answer and answer.come.is_set() and not self._is_old(answer) else None

    def ask(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """Return the answer, if it is there or comes in time; else None. Work on the same key is not begun twice."""
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
        if sum(not answer.come.is_set() for answer in self._answers.values()) >= _MOST_UNDER_WAY:
            return None
        answer = self._answers[key] = _Answer()
        threading.Thread(target=answer.find, args=(work,), name="s3conn_magic completion", daemon=True).start()
        return answer

    def _forget(self) -> None:
        """Let go of what is old, and of the oldest of too many."""
        for key in [key for key, answer in self._answers.items() if self._is_old(answer)]:
            del self._answers[key]
        for key in [*self._answers][: max(0, len(self._answers) - _MOST_KEPT)]:
            del self._answers[key]


_FOLDER_SECONDS = 1.0
_VALUES = (str, int, list, tuple)


def offered(text: str, at: int, around: KernelSurroundings) -> tuple[int, Iterable[tuple[str, str]]]:
    """Return where the word before the cursor begins, and what may stand there, each with its kind.

    Args:
        text: the statements of a cell.
        at: the cursor's offset.
        around: the names of the kernel.
    """
    if paths := _file(text, at, around):
        return paths
    from s3conn_magic.language.completion import complete

    return complete(text, at, around)


def _file(text: str, at: int, around: KernelSurroundings) -> tuple[int, list[tuple[str, str]]] | None:
    """Return the last segment of the path that `--file` takes, and `--file` itself; None where statements stand."""
    given = file_given(text)
    if given is None or at < given.start:
        flag = flag_begun(text[:at]) if not text[at:].strip() else ""
        return (at - len(flag), [(f"{FLAG} ", "option")]) if flag else None
    begun = PathBegun.of(text[given.start : at])
    closed = "" if text.startswith(begun.quote, at) else begun.quote
    names = begun.found_in(around.names_in(begun.place))
    items = [(name, "folder") if name.endswith("/") else (name + closed, "file") for name in names]
    return at - len(begun.name), items


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
            "table": self._tables,
            "frame": self._frames,
            "function": self._functions,
        }

    def names(self, kind: str) -> Iterable[str]:
        """Return names of a kind; none where they cannot be had."""
        if kind in self._kinds:
            return self._kinds[kind]()
        if kind.startswith(_OPTION_OF):
            connection = self._connection(kind.removeprefix(_OPTION_OF))
            return [] if connection is None else [*connection.options]
        if kind.startswith(_COLUMNS_OF):
            return self._columns(kind.removeprefix(_COLUMNS_OF))
        members = getattr(self._session(), f"{kind}s", ())
        return [member if isinstance(member, str) else member.name for member in members]

    def _tables(self) -> list[str]:
        session = self._session()
        return session.queries.table_names() if session else []

    def _functions(self) -> tuple[str, ...]:
        def work() -> tuple[str, ...]:
            from s3conn_magic.query.judgement import function_names

            return function_names()

        return self._soon.ask("function", work) or ()

    def _frames(self) -> list[str]:
        hidden, names = self._shell.user_ns_hidden, self._shell.user_ns
        return [name for name, value in [*names.items()] if _is_frame(value) and name not in hidden and name[:1] != "_"]

    def _columns(self, source: str) -> list[str]:
        """Return the columns of a frame of that name, else of a table or a path, as far as they are known here."""
        value = self._shell.user_ns.get(source)
        if _is_frame(value):
            names: Iterable[object] = getattr(value, "column_names" if hasattr(value, "column_names") else "columns")
            return [name for name in names if isinstance(name, str)]
        session = self._session()
        if session is None:
            return []
        return self._folders.ask(("columns", source), lambda: session.queries.columns_of(source)) or []

    def _variables(self) -> list[str]:
        """Return variables of the user that may be a value of a statement."""
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
        """Return files of statements and folders in a folder of this machine."""
        names: tuple[str, ...] | None = self._folders.ask(place, partial(names_in, place))
        return names or ()

    def below(self, connection: str | None, place: Location | None, beginning: str) -> Iterable[str]:
        """Return what there is below a place, within the display filters."""
        chosen = self._connection(connection)
        if chosen is None:
            return ()
        filters = chosen.settings.display_filters
        if place is None:
            return [location.uri for location in filters] if filters else self._buckets(chosen)
        wanted = type(place)(place.bucket, place.key + beginning)
        if filters and not any(location.covers(wanted) for location in filters):
            return sorted(set(_towards(filters, wanted, place)))
        return self._below(chosen, place, beginning)

    def _connection(self, name: str | None) -> Connection | None:
        """Return the connection of that name; without one the default, or the one that was made first."""
        session = self._session()
        if session is None:
            return None
        connections = session.connections
        wanted = name or connections.default
        if wanted is None:
            return next(iter(connections), None)
        return connections.get(wanted) if wanted in connections else None

    def _buckets(self, connection: Connection) -> Iterable[str]:
        def work() -> tuple[str, ...]:
            from s3conn_magic.connections.probe import buckets

            return buckets(connection)

        return self._soon.ask((connection.state_token, ""), work) or ()

    def _below(self, connection: Connection, place: Location, beginning: str) -> Iterable[str]:
        """Return names from the kept answer to a shorter beginning, if that was complete; else by a request."""
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


def _is_frame(value: object) -> bool:
    """Whether a variable is one that queries read by its name; properties of other classes are not asked for."""
    kind = type(value)
    return kind.__module__.partition(".")[0] in _FRAMES and (hasattr(kind, "columns") or hasattr(kind, "column_names"))


def _towards(filters: Iterable[Location], wanted: Location, place: Location) -> Iterator[str]:
    """Yield the next segments on the way to the display filters."""
    for location in filters:
        if wanted.covers(location):
            segment, slash, _ = location.key[len(place.key) :].partition("/")
            yield segment + slash
