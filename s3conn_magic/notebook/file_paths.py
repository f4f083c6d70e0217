"""The path in `%upsql --file setup.usql`: where it stands, and the files and folders it may go on with."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from s3conn_magic.errors import S3ConnError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
            raise S3ConnError(f"{FLAG} stands alone", hint=hint)
        path = self.written.strip()
        if len(path) > 1 and path[0] == path[-1] and path[0] in _QUOTES:
            path = path[1:-1]
        if not path:
            raise S3ConnError(f"{FLAG} takes the path of a file", hint=f"%upsql {FLAG} setup.usql")
        return path


def file_given(text: str) -> FileGiven | None:
    """The file that a cell's statements are read from; None where they stand in the cell.

    Below a cell's first line, `--file` is a comment like any other unless it is all there is.
    """
    found = _FILE.fullmatch(text)
    if found is None:
        return None
    others = bool(found[3].strip())
    return None if others and "\n" in found[1] else FileGiven(found.start(2), found[2], not others)


def flag_begun(text: str) -> str:
    """The part of `--file` that a text without statements ends in; empty for none of it."""
    begun = text.strip()
    return begun if begun.startswith("-") and begun != FLAG and FLAG.startswith(begun) else ""


class PathBegun(NamedTuple):
    """A path up to the cursor: the quote it begins with, its folder with the last `/`, and the name after that."""

    quote: str
    folder: str
    name: str

    @classmethod
    def of(cls, written: str) -> PathBegun:
        """The parts of what is written of it."""
        quote = written[:1] if written[:1] and written[:1] in _QUOTES else ""
        folder, slash, name = written[len(quote) :].rpartition("/")
        return cls(quote, folder + slash, name)

    @property
    def place(self) -> str:
        """The folder as an absolute path, from the working directory or the home folder on."""
        return os.path.abspath(Path(self.folder or ".").expanduser())  # noqa: PTH100 - `..` of a path as it is typed

    def found_in(self, names: tuple[str, ...]) -> Iterator[str]:
        """Those of the folder's names that the path may go on with; hidden ones once a dot is typed."""
        for name in names:
            if name.startswith(self.name) and (self.name or not name.startswith(".")):
                yield name


def names_in(place: str) -> tuple[str, ...]:
    """Files of statements in a folder, then the folders in it with their `/`; each by name, a thousand at most.

    What a path could not be typed with, such as a name that begins with a space, is left out.
    """
    with os.scandir(place) as found:
        there = sorted((entry.is_dir(), entry.name) for entry in islice(found, 100 * _MOST) if _is_wanted(entry))
    return tuple(f"{name}/" if is_folder else name for is_folder, name in there[:_MOST])


def _is_wanted(entry: os.DirEntry[str]) -> bool:
    typed = entry.name.isprintable() and entry.name == entry.name.strip()
    return typed and (entry.name.endswith(_ENDING) or entry.is_dir())
