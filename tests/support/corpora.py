"""Cases of `tests/corpus/`: a cell's text and what it must become, many to a file.

A file begins with `#` lines, of which `# connections: lake, logs` names the connections that are there. Each case is

    === what it shows
    the text of the cell
    ---
    what it must become

`<U+00A0>` stands for that character, `<SECRET>` and `<KEY>` for a planted secret, `<SECRET[:20]>` for a part of it.
`python tests/support/corpora.py` writes down what the cells become now; read every line of the difference.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

_Item = TypeVar("_Item")
_EVERYTHING = bool(os.environ.get("S3CONN_EVERYTHING"))
FOLDER = Path(__file__).parents[1] / "corpus"
SECRET = "kQ7vXm2ZpL9/sWd4RtYb+Hc6NfJg8TuAe3GiMo5x"
"""Forty characters, as AWS makes them."""
KEY = "Vn8Rk2xTq+Lw5YpZs7/BdGhJmCfEuAiOo3WrXtKvQy4="
"""Base64 of 32 bytes."""
_PLANTED = {"SECRET": SECRET, "KEY": KEY}
_HELD = re.compile(r"<(?:U\+([0-9A-F]{4,6})|(SECRET|KEY)(?:\[(\d*):(\d*)\])?)>")


@dataclass(frozen=True)
class Case:
    """A cell and what is expected of it."""

    file: Path
    connections: tuple[str, ...]
    title: str
    written: str
    expected: str

    @property
    def cell(self) -> str:
        """The cell's text."""
        return _HELD.sub(_filled, self.written)

    @property
    def outcome(self) -> str:
        """What the cell must become."""
        return _HELD.sub(_filled, self.expected)

    @property
    def id(self) -> str:
        """Names the case in the output of the tests."""
        return f"{self.file.stem}: {self.title}"

    @property
    def planted(self) -> bool:
        """Whether the cell holds a secret."""
        return "<SECRET" in self.written or "<KEY" in self.written


def _filled(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    first, last = (int(one) if one else None for one in (found[3], found[4]))
    return _PLANTED[found[2]][first:last]


def read(folder: str) -> list[Case]:
    """All cases of a folder of the corpus."""
    return [case for file in sorted((FOLDER / folder).glob("*.txt")) for case in _read_file(file)]


def _read_file(file: Path) -> list[Case]:
    head, *blocks = re.split(r"^=== ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = re.search(r"^# connections:(.*)$", head, re.MULTILINE)
    names = tuple(found[1].replace(",", " ").split()) if found else ()
    return [_read_case(file, names, block) for block in blocks]


def _read_case(file: Path, names: tuple[str, ...], block: str) -> Case:
    title, _, rest = block.partition("\n")
    written, _, expected = rest.partition("\n---\n")
    return Case(file, names, title, written.removesuffix("\n---"), expected.rstrip("\n"))


def some(items: Sequence[_Item], step: int) -> Sequence[_Item]:
    """One of so many, where they differ in little; all of them where S3CONN_EVERYTHING is set."""
    return items[:: 1 if _EVERYTHING else step]


def windows(text: str, size: int = 8) -> set[str]:
    """Every run of characters of that length."""
    return {text[at : at + size] for at in range(len(text) - size + 1)}


PLANTED_WINDOWS = windows(SECRET) | windows(KEY)


def leaked(text: str) -> set[str]:
    """The pieces of a planted secret that a text holds."""
    return {piece for piece in PLANTED_WINDOWS if piece in text}


def _accept() -> None:
    """Write down what every cell becomes."""
    from outcomes import OUTCOMES

    def written(text: str) -> str:
        return text.replace(SECRET, "<SECRET>").replace(KEY, "<KEY>")

    for folder, outcome in OUTCOMES.items():
        for file in sorted((FOLDER / folder).glob("*.txt")):
            head = re.split(r"^=== ", file.read_text(encoding="utf-8"), maxsplit=1, flags=re.MULTILINE)[0]
            cases = [f"=== {one.title}\n{one.written}\n---\n{written(outcome(one))}\n\n" for one in _read_file(file)]
            file.write_text(head + "".join(cases).rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    _accept()
