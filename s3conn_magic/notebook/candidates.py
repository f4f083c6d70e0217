"""Candidates for Tab from the kernel and the machine: variables, buckets, keys, and files for `--file`."""

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
    from s3conn_magic.session import Session

FLAG = "--file"
_FILE = re.compile(rf"(\s*){FLAG}(?![\w-])[ \t]*=?[ \t]*([^\n]*)(.*)", re.DOTALL)
_ENDING = ".usql"
_QUOTES = "'\""
_MOST = 1_000


class FileGiven(NamedTuple):
    """The text after `--file`, up to the end of its line; `start` is its offset."""

    start: int
    written: str
    alone: bool

    @property
    def path(self) -> str:
        """The path without quotes.

        Raises:
            S3ConnError: there is no path, or there are statements besides it.
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
    """Return the file that a cell runs, or None if it has statements of its own.

    After a cell's first line, `--file` is an ordinary comment, unless the cell has nothing else.
    """
    match = _FILE.fullmatch(text)
    if match is None:
        return None
    others = bool(match[3].strip())
    return None if others and "\n" in match[1] else FileGiven(match.start(2), match[2], not others)


def flag_begun(text: str) -> str:
    """Return the beginning of `--file` that is the only text, or an empty text."""
    typed = text.strip()
    return typed if typed.startswith("-") and typed != FLAG and FLAG.startswith(typed) else ""


class PathBegun(NamedTuple):
    """A path up to the cursor: its opening quote, its folder with the last `/`, and the name after that."""

    quote: str
    folder: str
    name: str

    @classmethod
    def of(cls, written: str) -> PathBegun:
        """Split a path."""
        quote = written[:1] if written[:1] and written[:1] in _QUOTES else ""
        folder, slash, name = written[len(quote) :].rpartition("/")
        return cls(quote, folder + slash, name)

    @property
    def place(self) -> str:
        """The folder as an absolute path."""
        return os.path.abspath(Path(self.folder or ".").expanduser())  # noqa: PTH100 - `..` of a path as it is typed

    def found_in(self, names: tuple[str, ...]) -> Iterator[str]:
        """Yield the names that complete the path; hidden ones only after a dot."""
        for name in names:
            if name.startswith(self.name) and (self.name or not name.startswith(".")):
                yield name


def names_in(place: str) -> tuple[str, ...]:
    """Return the statement files in a folder, then its folders with a `/`, each by name, at most a thousand in all.

    Names that a path cannot be typed with, such as one with a leading space, are left out.
    """
    with os.scandir(place) as entries:
        names = sorted((entry.is_dir(), entry.name) for entry in islice(entries, 100 * _MOST) if _is_wanted(entry))
    return tuple(f"{name}/" if is_folder else name for is_folder, name in names[:_MOST])


def _is_wanted(entry: os.DirEntry[str]) -> bool:
    typed = entry.name.isprintable() and entry.name == entry.name.strip()
    return typed and (entry.name.endswith(_ENDING) or entry.is_dir())


_OPTION_OF, _COLUMNS_OF = "option of ", "columns of "
_FRAMES = {"pandas", "polars", "pyarrow", "s3conn_magic"}
_ANSWERS_AT_MOST = 500
_LOOKUPS_AT_MOST = 8


class _Answer:
    """An answer that is being fetched, or has arrived."""

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


class BriefLookups:
    """Runs look-ups in daemon threads, and waits only briefly for each answer.

    Args:
        wait: seconds to wait for an answer, from the start of its look-up.
        keep: seconds that an answer stays valid.
        keep_failure: seconds until a failed look-up is tried again.
    """

    def __init__(self, *, wait: float = 0.2, keep: float = 60.0, keep_failure: float = 10.0) -> None:
        self._wait = wait
        self._keep = keep
        self._keep_failure = keep_failure
        self._answers: dict[Hashable, _Answer] = {}
        self._lock = threading.Lock()

    def kept(self, key: Hashable) -> Any:
        """Return the answer if it has arrived, else None."""
        answer = self._answers.get(key)
        return answer.value if answer and answer.come.is_set() and not self._is_old(answer) else None

    def ask(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """Return the answer if it has arrived or arrives in time, else None. Never repeats a running look-up."""
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
        """Start the look-up, unless too many are running."""
        self._forget()
        if sum(not answer.come.is_set() for answer in self._answers.values()) >= _LOOKUPS_AT_MOST:
            return None
        answer = self._answers[key] = _Answer()
        threading.Thread(target=answer.find, args=(work,), name="s3conn_magic completion", daemon=True).start()
        return answer

    def _forget(self) -> None:
        """Drop expired answers, and the oldest if there are too many."""
        for key in [key for key, answer in self._answers.items() if self._is_old(answer)]:
            del self._answers[key]
        for key in [*self._answers][: max(0, len(self._answers) - _ANSWERS_AT_MOST)]:
            del self._answers[key]


_FOLDER_SECONDS = 1.0
_VALUES = (str, int, list, tuple)


def offered(text: str, at: int, around: KernelSurroundings) -> tuple[int, Iterable[tuple[str, str]]]:
    """Return the start of the word before the cursor, and its candidates, each with its kind.

    Args:
        text: the statements of a cell.
        at: the cursor's offset.
        around: source of the kernel's names.
    """
    if paths := _file(text, at, around):
        return paths
    from s3conn_magic.language.completion import complete

    return complete(text, at, around)


def _file(text: str, at: int, around: KernelSurroundings) -> tuple[int, list[tuple[str, str]]] | None:
    """Complete the path of `--file`, or `--file` itself; return None in a cell of statements."""
    argument = file_given(text)
    if argument is None or at < argument.start:
        flag = flag_begun(text[:at]) if not text[at:].strip() else ""
        return (at - len(flag), [(f"{FLAG} ", "option")]) if flag else None
    path = PathBegun.of(text[argument.start : at])
    closed = "" if text.startswith(path.quote, at) else path.quote
    names = path.found_in(around.names_in(path.place))
    items = [(name, "folder") if name.endswith("/") else (name + closed, "file") for name in names]
    return at - len(path.name), items


class KernelSurroundings:
    """Names in the kernel and session for completion; see `language.completion.Surroundings`.

    For a kind not handled here, such as `job`, the names come from the session's attribute with the plural name: texts,
    or objects with a `name`.
    """

    def __init__(self, shell: InteractiveShell, session: Callable[[], Session | None]) -> None:
        self._shell = shell
        self._session = session
        self._soon = BriefLookups()
        # Folders answer at once, except on a dead network drive; and newly saved files must show up.
        self._folders = BriefLookups(keep=_FOLDER_SECONDS, keep_failure=_FOLDER_SECONDS)
        self._kinds: dict[str, Callable[[], Iterable[str]]] = {
            "variable": self._variables,
            "environment variable": lambda: sorted(os.environ),
            "profile": partial(self._configured_names, "profiles"),
            "region": partial(self._configured_names, "regions"),
            "table": self._tables,
            "frame": self._frames,
            "function": self._functions,
        }

    def names(self, kind: str) -> Iterable[str]:
        """Return the names of a kind; none if they cannot be looked up."""
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
        """Return the columns of a frame, or else of a table or path, as far as they are known without a request."""
        value = self._shell.user_ns.get(source)
        if _is_frame(value):
            names: Iterable[object] = getattr(value, "column_names" if hasattr(value, "column_names") else "columns")
            return [name for name in names if isinstance(name, str)]
        session = self._session()
        if session is None:
            return []
        return self._folders.ask(("columns", source), lambda: session.queries.columns_of(source)) or []

    def _variables(self) -> list[str]:
        """Return the user's variables that can be values in a statement."""
        hidden, names = self._shell.user_ns_hidden, self._shell.user_ns
        return [
            name
            for name, value in names.items()
            if isinstance(value, _VALUES) and name not in hidden and name.isidentifier() and not name.startswith("_")
        ]

    def _configured_names(self, kind: str) -> tuple[str, ...]:
        def work() -> tuple[str, ...]:
            from s3conn_magic.connections import probe

            return tuple(getattr(probe, kind)())

        return self._soon.ask(kind, work) or ()

    def names_in(self, place: str) -> tuple[str, ...]:
        """Return the statement files and folders in a local folder."""
        names: tuple[str, ...] | None = self._folders.ask(place, partial(names_in, place))
        return names or ()

    def below(self, connection: str | None, place: Location | None, beginning: str) -> Iterable[str]:
        """Return what lies below a location, within the display filters."""
        chosen = self._connection(connection)
        if chosen is None:
            return ()
        filters = chosen.settings.display_filters
        if place is None:
            return [location.uri for location in filters] if filters else self._buckets(chosen)
        wanted = type(place)(place.bucket, place.key + beginning)
        if filters and not any(location.covers(wanted) for location in filters):
            return sorted(set(_segments_towards(filters, wanted, place)))
        return self._below(chosen, place, beginning)

    def _connection(self, name: str | None) -> Connection | None:
        """Return the connection of that name; without a name the default one, or the oldest."""
        session = self._session()
        if session is None:
            return None
        connections = session.connections
        chosen = name or connections.default
        if chosen is None:
            return next(iter(connections), None)
        return connections.get(chosen) if chosen in connections else None

    def _buckets(self, connection: Connection) -> Iterable[str]:
        def work() -> tuple[str, ...]:
            from s3conn_magic.connections.probe import buckets

            return buckets(connection)

        return self._soon.ask((connection.state_token, ""), work) or ()

    def _below(self, connection: Connection, place: Location, beginning: str) -> Iterable[str]:
        """Filter a complete earlier answer for a shorter beginning if there is one, else look it up."""
        state = connection.state_token
        for length in range(len(beginning)):
            earlier = self._soon.kept((state, place, beginning[:length]))
            if earlier is not None and earlier.complete:
                return [name for name in earlier.names if name.startswith(beginning)]

        def work() -> Any:
            from s3conn_magic.connections.probe import below

            return below(connection, place, beginning)

        answer = self._soon.ask((state, place, beginning), work)
        return answer.names if answer is not None else ()


def _is_frame(value: object) -> bool:
    """Whether queries can read a variable by name; checks only the class, and no properties of unknown classes."""
    kind = type(value)
    return kind.__module__.partition(".")[0] in _FRAMES and (hasattr(kind, "columns") or hasattr(kind, "column_names"))


def _segments_towards(filters: Iterable[Location], wanted: Location, place: Location) -> Iterator[str]:
    """Yield the next segments of paths to the display filters."""
    for location in filters:
        if wanted.covers(location):
            segment, slash, _ = location.key[len(place.key) :].partition("/")
            yield segment + slash
