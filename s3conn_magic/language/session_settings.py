"""The table of the session's settings, for `SET`, `SHOW SETTINGS`, `%config`, `HELP` and the reference."""

from __future__ import annotations

import math
import re
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MOST_CONNECTIONS = 128
_MOST_SECONDS = 3600
_LAST_PORT = 65535
_NAME = r"[\w .-]{0,255}"
ALL = "ALL"
LOCAL_FILES = "LOCAL_FILES"
CELLS = "cells"
REACH = (
    "Files of statements may read files of this machine after SET LOCAL_FILES = TRUE; in a cell, or by"
    " s3conn-magic run --local-files."
)
"""Hint for a file of statements that reads files of this machine."""
_ADDRESS = r"(tcp|tls)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}"


class Setting(NamedTuple):
    """A setting: `read` converts and checks a value, and raises ValueError with what is wanted."""

    name: str
    read: Callable[[Any], Any]
    takes: str
    help: str
    default: Any
    takes_list: bool = False


def text(value: Any) -> str:
    """Return a text unchanged."""
    if not isinstance(value, str):
        raise ValueError(f"this is {_kind(value)}; text goes in single quotes")
    return value


def _kind(value: Any) -> str:
    kinds = {bool: "a boolean", int: "a number", tuple: "a list", list: "a list", type(None): "None"}
    return kinds.get(type(value), f"of type {type(value).__name__}")


def boolean(value: Any) -> bool:
    """Return a boolean unchanged."""
    if isinstance(value, bool):
        return value
    raise ValueError("this is text; leave out the quotes" if isinstance(value, str) else f"this is {_kind(value)}")


def whole_number(least: int, most: float = math.inf, *, refused: str = "this is not one") -> Callable[[Any], int]:
    """Return a reader of integers within bounds; it raises `refused` for anything else."""

    def read(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise ValueError(refused)

    return read


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if isinstance(value, str) and value.lower() in words:
            return value.lower()
        raise ValueError("this is neither")

    return read


_row_count = whole_number(0, refused="this is neither")


def _rows(value: Any) -> int | str:
    return ALL if isinstance(value, str) and value.upper() == ALL else _row_count(value)


def _name(value: Any) -> str | bool:
    """Return a name; FALSE for no connection, and an empty name for TRUE."""
    if isinstance(value, bool):
        return "" if value else value
    if re.fullmatch(_NAME, text(value)):
        return str(value)
    raise ValueError("this is not one")


def _path(value: Any) -> str:
    if "\0" in text(value) or "://" in value or value.startswith(":") or value != value.strip():
        raise ValueError("it is a file of this machine; '' keeps tables in memory")
    return str(value)


_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,3})?)\s*(B|kB|MB|GB)\s*", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def _size(value: Any) -> int | str:
    if value == 0 and not isinstance(value, bool):
        return 0
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        unit = next(unit for unit in ("B", "kB", "MB", "GB") if unit.lower() == match[2].lower())
        return f"{match[1]} {unit}"
    raise ValueError("this is neither")


@lru_cache(maxsize=64)
def bytes_of(value: int | str) -> int:
    """Return the bytes of a size."""
    if not isinstance(value, str):
        return value
    number, unit = value.split()
    return int(float(number) * _UNITS[unit.lower()])


_cells = _one_of(CELLS)


def _local_files(value: Any) -> bool | str:
    return value if isinstance(value, bool) else _cells(value)


def _scheduler(value: Any) -> str:
    if isinstance(value, str) and (not value or re.fullmatch(_ADDRESS, value)):
        if int(value.rpartition(":")[2] or 0) > _LAST_PORT:
            raise ValueError(f"the last port is {_LAST_PORT}")
        return value
    raise ValueError("this is not one")


def _storage(value: Any) -> tuple[str, str] | tuple[()]:
    """Return a connection's name and a location; empty for an empty text."""
    if value in ("", ()):
        return ()
    if isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(part, str) and part for part in value):  # noqa: PLR2004
        if set(value[1]) & set("*?[{"):
            raise ValueError("a location is exact, no pattern")
        return value[0], value[1]
    raise ValueError("it looks like ('lake', 's3://bucket/tables/')")


_CATALOG = r"(?:|bucket|glue|rest:https?://[^@\s]+|sql:[a-z+0-9]+:///?[^@\s]*)"


def _catalog(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(_CATALOG, value):
        return "" if value == "bucket" else value
    raise ValueError("a password belongs in ~/.pyiceberg.yaml" if "@" in str(value) else "this is not one")


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "PROGRESS",
        boolean,
        "TRUE or FALSE",
        "Show the progress of a listing, job or query that takes longer than half a second.",
        True,
    ),
    Setting("LIMIT", _rows, "a whole number or ALL", "How many rows a LIST without LIMIT returns at most.", 1_000_000),
    Setting(
        "CONNECTIONS",
        whole_number(1, _MOST_CONNECTIONS),
        f"a whole number from 1 to {_MOST_CONNECTIONS}",
        "The most requests that one listing has under way at once. It uses fewer where the server is near.",
        _MOST_CONNECTIONS,
    ),
    Setting(
        "CACHE",
        _size,
        "a size such as '512 MB', or 0",
        "Memory for what queries have read, so that nothing is read twice; an object that was replaced is read again."
        " 0 keeps nothing.",
        "512 MB",
    ),
    Setting(
        "RESULT",
        _one_of("pandas", "polars", "arrow"),
        "'pandas', 'polars' or 'arrow'",
        "What statements return their rows as: a pandas frame, which shows hostile keys safely, or a Polars frame or"
        " PyArrow table, which print in their own way.",
        "pandas",
    ),
    Setting(
        "GRID",
        boolean,
        "TRUE or FALSE",
        "Show frames in notebooks as grids that you can sort, search and page through (needs the package itables).",
        False,
    ),
    Setting(
        "EXPLORER_UI",
        _one_of("auto", "basic"),
        "'auto' or 'basic'",
        "How EXPLORE is shown: 'basic' uses plain ipywidgets, for places where the explorer's own script can't load.",
        "auto",
    ),
    Setting(
        "DATABASE",
        _path,
        "the path of a file, or ''",
        "The DuckDB file that keeps tables and the record of what jobs have loaded; '' keeps them in memory.",
        "",
    ),
    Setting(
        "DEFAULT_STORAGE",
        _storage,
        "('connection', 's3://bucket/folder/') or ''",
        "Where new tables keep their files, each in a folder named after it, unless STORAGE_LOCATION says otherwise;"
        " '' keeps rows in DuckDB.",
        (),
        takes_list=True,
    ),
    Setting(
        "CATALOG",
        _catalog,
        "'bucket', 'glue', 'rest:https://…' or 'sql:sqlite:///…'",
        "What keeps track of the current state of new tables whose files are in S3: an object beside the files, or a"
        " shared Iceberg catalog.",
        "",
    ),
    Setting(
        LOCAL_FILES,
        _local_files,
        "TRUE, FALSE or 'cells'",
        "Whether queries may read files of this machine. With 'cells', queries in cells and execute() may, and those in"
        " files of statements may not. A file of statements can't allow it.",
        CELLS,
    ),
    Setting(
        "ENGINE",
        _one_of("local", "dask"),
        "'local' or 'dask'",
        "Where LIST … RECURSIVE, ANALYZE and COPY FROM S3 run: in this process, or on the workers of SCHEDULER.",
        "local",
    ),
    Setting(
        "SCHEDULER",
        _scheduler,
        "'tcp://host:port', 'tls://host:port' or ''",
        "Address of the dask.distributed scheduler for ENGINE = 'dask'. Its workers read S3 themselves.",
        "",
    ),
    Setting(
        "CONNECT_TIMEOUT",
        whole_number(1, _MOST_SECONDS),
        f"a whole number of seconds from 1 to {_MOST_SECONDS}",
        "Seconds after which a server that doesn't answer counts as unreachable.",
        10,
    ),
    Setting(
        "READ_TIMEOUT",
        whole_number(1, _MOST_SECONDS),
        f"a whole number of seconds from 1 to {_MOST_SECONDS}",
        "Seconds without a byte after which a request is given up.",
        60,
    ),
    Setting(
        "DEFAULT_CONNECTION",
        _name,
        "the name of a connection, '', or FALSE",
        "The connection for statements without USING, as USE CONNECTION sets it; you may create it later. With FALSE,"
        " no connection is made from the default credentials chain when there is none.",
        "",
    ),
    Setting(
        "DIALECT",
        _one_of("off", "accept"),
        "'off' or 'accept'",
        "'accept' runs statements of other systems that have a complete counterpart here, such as DuckDB's CREATE"
        " SECRET; 'off' only shows the counterpart.",
        "off",
    ),
    Setting(
        "LOAD_USER_CONNECTIONS",
        boolean,
        "TRUE or FALSE",
        "Create the connections in $XDG_CONFIG_HOME/s3conn-magic/connections.usql, at %load_ext or when this is set.",
        False,
    ),
    Setting(
        "LOAD_PROJECT_CONNECTIONS",
        boolean,
        "TRUE or FALSE",
        "Create the connections in the working directory's connections.usql, at %load_ext or when this is set.",
        False,
    ),
)
_BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}
SETTING_NAMES = tuple(_BY_NAME)


def find_setting(name: str) -> Setting | None:
    """Return the setting of that name, in any case, or None."""
    return _BY_NAME.get(name.upper())


class SettingValues(dict[str, Any]):
    """The settings of a session by name, changed by `SET` and `%config`, read by every statement.

    `on_change` holds a callback by name; it gets the new value before that is kept, so that its error leaves the
    setting unchanged. Changes by several threads are atomic.
    """

    def __init__(self) -> None:
        super().__init__({setting.name: setting.default for setting in SETTINGS})
        self.on_change: dict[str, Callable[[Any], object]] = {}
        self._changing = threading.RLock()

    @property
    def engine_is_local(self) -> bool:
        """Whether no cluster takes part."""
        return bool(self["ENGINE"] == "local")

    def local_files(self, *, in_file: bool) -> bool:
        """Return whether a query may read files of this machine."""
        allowed = self[LOCAL_FILES]
        return not in_file if allowed == CELLS else bool(allowed)

    def change(self, name: str, value: Any) -> None:
        """Change a setting."""
        with self._changing:
            if name in self.on_change:
                self.on_change[name](value)
            self[name] = value


def setting_text(value: Any) -> str:
    """Return a setting's value for display."""
    if isinstance(value, tuple):
        from s3conn_magic.language.words import literal

        return f"({', '.join(map(literal, value))})" if value else ""
    return str(value).upper() if isinstance(value, bool) else str(value)


def setting_literal(value: Any) -> str:
    """Return a setting's value as a literal."""
    return f"'{value}'" if isinstance(value, str) and value != ALL else setting_text(value) or "''"


class Timeouts(NamedTuple):
    """Seconds until a server counts as unreachable, and without a byte until a response is given up.

    `connections` is the number of concurrent requests, `cache` the bytes of objects kept between queries.
    """

    connect: int = 10
    read: int = 60
    connections: int = 128
    cache: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Timeouts:
        """Return the current values of a session's settings."""
        return cls(
            settings["CONNECT_TIMEOUT"], settings["READ_TIMEOUT"], settings["CONNECTIONS"], bytes_of(settings["CACHE"])
        )
