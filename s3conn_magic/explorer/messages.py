"""Messages between page and kernel: checked against their table, and built within size limits.

The kernel accepts only messages of the table, `front/protocol.json`; the page is typed by `front/protocol.d.ts`, which
is generated from it. `actions` change the tree, focus or selection and have a number, `requests` do not, and `answers`
come from the kernel. A field with `?` is optional; types are written as in TypeScript. Messages with lines have at most
256 kB.

A message is one text of ASCII JSON: a lone surrogate in a key would break the channel as raw text.

A Jupyter server drops a kernel's messages beyond 1 MB/s, averaged over three seconds
(`ServerApp.iopub_data_rate_limit`, `ServerApp.rate_limit_window`), including the output of cells.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3conn_magic.explorer import Through, connection_name
from s3conn_magic.explorer.tree import NO_SIZE, NO_TIME
from s3conn_magic.language.words import counted
from s3conn_magic.locations import size_text, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from s3conn_magic.explorer.cursor import PageCursor
    from s3conn_magic.explorer.tree import Folder, FolderTree, TreeLine
    from s3conn_magic.locations import Location

FRONT = Path(__file__).parent / "front"
"""The sources of the browser's side."""
_TABLE: Mapping[str, Mapping[str, Mapping[str, str]]] = json.loads((FRONT / "protocol.json").read_text("utf-8"))
ACTIONS = _TABLE["actions"]
REQUESTS = _TABLE["requests"]
ANSWERS = _TABLE["answers"]
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "string | null": (str, type(None)),
    "Place": (list, tuple),
    "string[]": (list, tuple),
}


def fault(fields: Mapping[str, Any], table: Mapping[str, str]) -> str:
    """Return what is wrong with a message's fields according to the table, or an empty text."""
    types = {name.removesuffix("?"): kind for name, kind in table.items()}
    if unknown := fields.keys() - types.keys():
        return f"it has {', '.join(sorted(unknown))}"
    for name, kind in table.items():
        bare = name.removesuffix("?")
        if bare not in fields:
            if bare == name:
                return f"it lacks {name}"
        elif not _fits(fields[bare], kind):
            return f"{bare} is not a {kind}"
    return ""


def _fits(value: Any, kind: str) -> bool:
    if kind.startswith("'"):
        return value in [choice.strip(" '") for choice in kind.split("|")]
    if kind not in _TYPES:
        return True
    if kind == "Place":
        return isinstance(value, list | tuple) and [type(part) for part in value] == [int, int]
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def taken(content: Mapping[str, Any]) -> tuple[str, int, str, dict[str, Any]]:
    """Return type, number, page and fields of a page's message.

    Raises:
        ValueError: the table has no such message, or other fields; a page of another version may send it.
    """
    fields = dict(content)
    kind, seq, page = fields.pop("type", ""), fields.pop("seq", 0), fields.pop("page", "")
    row = ACTIONS.get(kind, REQUESTS.get(kind))
    wrong = "there is no such message" if row is None else fault(fields, row)
    if wrong:
        raise ValueError(f"the page's message {kind!r} is not understood: {wrong}")
    return kind, seq, page, fields


MESSAGE_AT_MOST = 256_000
_ENVELOPE = 2_000
_PREFIX, _OPEN, _BUSY, _CONNECTION, _DELETED = 1, 2, 4, 8, 16
_SEGMENT = re.compile(r"[^/]*/|[^/]+")


def shown_name(folder: Folder, row: int) -> str:
    """Return the visible form of a row's name; of a bucket without its slash."""
    name = folder.rows.names[row]
    if folder.rows.rooted and name.count("/") == 1 and name.endswith("/"):
        name = name[:-1]
    return visible(name) or "(folder marker)"


def more_text(folder: Folder) -> str:
    """Return how many rows of an incomplete folder are shown."""
    loaded = len(folder.rows)
    return f"{loaded:,} of more than {loaded:,} shown"


def empty_text(folder: Folder) -> str:
    """Return the text shown in an empty folder."""
    if folder.matching:
        return f"Nothing below here matches “{visible(folder.sought)}”: {folder.seen:,} keys were looked at"
    if folder.starting_with:
        return f"Nothing here begins with “{visible(folder.starting_with)}”"
    if folder.location is None or folder.rows.rooted:
        return "There is no bucket to show"
    return "This folder is empty" if folder.location.key else "This bucket is empty"


def _loading_text(folder: Folder) -> str:
    if folder.matching:
        return f"Searching: {counted(len(folder.rows), 'hit')} in {folder.seen:,} keys so far"
    if folder.listing and folder.listing.wanted.every and len(folder.rows):
        return f"Listing everything: {max(folder.seen, len(folder.rows)):,} so far"
    return "Listing more…" if len(folder.rows) else "Listing…"


def _cut_text(folder: Folder) -> str:
    return f"The first {len(folder.rows):,} that were found are shown: search for more of the name, or in a folder"


def _filtered_text(_: Folder) -> str:
    return "No loaded row has this in its name: Enter searches below"


def tail_text(line: TreeLine) -> tuple[str, str]:
    """Return the text of a line at a folder's end, and a hint."""
    error = line.folder.error
    if line.kind == "error" and error:
        return visible(error.message), visible(" ".join([*error.notes, error.hint]).strip())
    if line.kind == "loading":
        return _loading_text(line.folder), ""
    texts = {
        "more": more_text,
        "empty": empty_text,
        "cut": _cut_text,
        "filtered": _filtered_text,
    }
    return texts[line.kind](line.folder) if line.kind in texts else "Stopped before anything arrived", ""


def _record(line: TreeLine) -> list[Any]:
    folder, row = line.folder, line.row
    head = [folder.number, row, line.kind, folder.depth, line.rank]
    if line.kind == "pad":
        return head
    if row < 0:
        return [*head, *tail_text(line)]
    rows, child, name = folder.rows, folder.children.get(row), shown_name(folder, row)
    size, time = rows.sizes[row], rows.times[row]
    flags = _PREFIX * rows.is_prefix(row) | _CONNECTION * rows.is_connection(row) | _DELETED * rows.is_deleted(row)
    if child and child.open:
        flags |= _OPEN | (_BUSY * child.busy)
    exact = [] if name == rows.names[row] else [rows.names[row]]
    numbers = [None if size == NO_SIZE else size, None if time == NO_TIME else time]
    return [*head, name, *numbers, rows.classes[row], flags, *exact]


def _folder_record(folder: Folder) -> list[Any]:
    complete = folder.listed and folder.token is None
    return [folder.rows.base, folder.rows.largest, len(folder.rows), complete]


def _json_size(text: str) -> int:
    """Return the size of a text inside a JSON string, in bytes."""
    return len(text) + text.count('"') + text.count("\\")


def row_messages(lines: Iterable[TreeLine], start: int, version: int, page: str = "") -> Iterator[dict[str, str]]:
    """Yield messages with lines for a page; the last one is marked as such."""
    records: list[str] = []
    folders: dict[int, str] = {}
    room = MESSAGE_AT_MOST - _ENVELOPE
    for line in lines:
        record = json.dumps(_record(line), separators=(",", ":"))
        folder = json.dumps(_folder_record(line.folder), separators=(",", ":"))
        cost = _json_size(record) + 1 + (0 if line.folder.number in folders else _json_size(folder) + 20)
        if cost > room and records:
            yield _rows_message(records, folders, start, version, page, done=False)
            start, records, folders = start + len(records), [], {}
            room = MESSAGE_AT_MOST - _ENVELOPE
            cost = _json_size(record) + _json_size(folder) + 21
        room -= cost
        records.append(record)
        folders[line.folder.number] = folder
    yield _rows_message(records, folders, start, version, page, done=True)


def _rows_message(
    records: list[str], folders: dict[int, str], start: int, version: int, page: str, *, done: bool
) -> dict[str, str]:
    below = ",".join(f'"{number}":{folder}' for number, folder in folders.items())
    head = json.dumps({"type": "rows", "page": page, "version": version, "from": start, "done": done})
    return {"json": f'{head[:-1]},"rows":[{",".join(records)}],"folders":{{{below}}}}}'}


def crumbs(location: Location | None) -> list[list[str]]:
    """Return bucket and folders of a location, each as shown and as it appears in the URI."""
    if location is None:
        return []
    through = [[visible(location.connection), ""]] if isinstance(location, Through) else []
    bucket = [[visible(location.bucket), location.bucket + "/"]] if location.bucket else []
    segments = [[visible(each.removesuffix("/")) or "(empty)", each] for each in _SEGMENT.findall(location.key)]
    return through + bucket + segments


def ancestors(location: Location | None) -> list[Location]:
    """Return the locations of the breadcrumbs."""
    if location is None:
        return []
    through = [Through("", connection=location.connection)] if isinstance(location, Through) else []
    if not location.bucket:
        return [*through]
    ends = accumulate(map(len, _SEGMENT.findall(location.key)), initial=0)
    return [*through, *(replace(location, key=location.key[:end]) for end in ends)]


def summary(cursor: PageCursor) -> str:
    """Return a sentence about the loaded rows of the focused folder."""
    child = cursor.folder.children.get(cursor.row)
    folder = child if child and child.open and child.listed else cursor.folder
    if not folder.listed:
        return ""
    folders = folder.rows.prefix_count
    parts = [part for part in (folder.badge, counted(folders, _folder_kind(folder)) if folders else "") if part]
    objects = len(folder.rows) - folders
    if objects or not folders:
        parts.append(f"{counted(objects, 'object')}, {size_text(folder.rows.bytes)}")
    if cursor.tree.filter:
        parts.append(f"{cursor.tree.count(folder):,} have “{visible(cursor.tree.filter)}” in their names")
    if folder.token is not None:
        sort = cursor.tree.sort
        ordered = f", ordered by {sort.by} among those loaded" if sort != ("name", False) else ""
        parts.append(f"more not loaded{ordered}")
    if folder.error:
        parts.append("not up to date: the last listing failed")
    if chosen := _chosen_text(cursor):
        parts.append(chosen)
    return " · ".join(parts)


def _chosen_text(cursor: PageCursor) -> str:
    """Return the number of selected rows, and the size of selected objects."""
    rows = [row for row in map(cursor.tree.row_at, cursor.selected) if row]
    if len(rows) < 2:  # noqa: PLR2004 - the focused row is usually selected
        return ""
    objects = [folder.rows.sizes[row] for folder, row in rows if not folder.rows.is_prefix(row)]
    size = size_text(sum(each for each in objects if each != NO_SIZE))
    folders = len(rows) - len(objects)
    more = f" and what is in {counted(folders, 'folder')}" if folders else ""
    return f"{len(rows):,} selected" + (f" · {size}{more}" if objects else "")


def _folder_kind(folder: Folder) -> str:
    if folder.rows.prefix_count and folder.rows.is_connection(0):
        return "connection"
    return "bucket" if folder.rows.rooted and not folder.starting_with else "folder"


def where(location: Location | None) -> str:
    """Return a location and its connection, by which a page names where it acts."""
    through = connection_name(location)
    return f"{through} {location.uri}" if location else ""


def state_message(tree: FolderTree, cursor: PageCursor, **more: Any) -> dict[str, str]:
    """Return everything but the lines, as one page shows it."""
    state = {
        "type": "state",
        "seq": cursor.seen,
        "said": cursor.said,
        "total": len(tree),
        "focus": [*cursor.place, cursor.position],
        "selected": [f"{number}:{row}" for number, row in cursor.selected],
        "crumbs": crumbs(cursor.location),
        "here": where(cursor.location),
        "filter": visible(tree.filter),
        "find": visible(tree.root.sought or tree.root.starting_with),
        "sort": [tree.sort.by, tree.sort.descending],
        "summary": summary(cursor),
        **more,
    }
    return {"json": json.dumps(state, separators=(",", ":"))}


_WINDOW = 3.2
_BYTES = 2_400_000
"""Bytes in any window; the rest that the server allows is for other output."""


class SendRate:
    """Makes senders wait, so that they send a limited number of bytes in any window of time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: deque[tuple[float, int]] = deque()

    def wait(self, size: int, sleep: Callable[[float], bool]) -> None:
        """Wait until `size` bytes may be sent, or `sleep` returns true because nobody wants them any more."""
        while (seconds := self._reserve(size)) and not sleep(seconds):
            pass

    def _reserve(self, size: int) -> float:
        """Return the seconds to wait, or 0 after reserving the bytes."""
        with self._lock:
            now = time.monotonic()
            while self._sent and self._sent[0][0] <= now - _WINDOW:
                self._sent.popleft()
            if self._sent and sum(each for _, each in self._sent) + size > _BYTES:
                return max(self._sent[0][0] + _WINDOW - now, 0.001)
            self._sent.append((now, size))
            return 0.0


# The limit is per kernel, however many explorers it has.
SEND_RATE = SendRate()
