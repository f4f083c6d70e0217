"""The planted secrets, every form in which a piece of one could show, and a search for all of them at once."""

from __future__ import annotations

import base64
import html
import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WINDOW = 8
"""Characters of a secret that must not be seen in a row."""
SECRETS = {
    "secret key": "qK7wZp3VnX/\"Vn5tRb8+<Hy2cXd6&Ms4gJf'9Lz%1Te\\8Wd",
    "session token": "FwoGZXIvYX//\"uK3mPq9+<Rt5vNb2&Lx8cHj'4Sd%7Gy\\1Ba==",
    "SSE-C key": "Jh8Xw2LqTz+Mn4VbKs6/PdGyRmCfEuAiOo9WrBtKvQ0=",
    "prompt value": "tY6hGb2NmU+/\"Cv8xZa4<Pl9oKi&Jn3bVf'5Rc%6Ed\\2Sx",
    "keyring value": "zX9cVb4NmL/+\"As2dFg7<Hj5kQw&Er1tYu'8Io%3Pa\\6Df",
    "after a misspelt option": "mN8bVc3XzQ+/\"Lk6jHg1<Fd9sAp&Oi4uYt'2Re%7Wq\\5Zm",
    "in a string without end": 'gH4jKl9PoW/+"Iu7yTr2<Ew6qZx&Cv1bNm8As%5Df\\3Gh',
    "assumed role's key": "wE5rTy8UiR+/\"Op2aSd6<Fg9hJk&Lz4xCv'1Bn%7Mq\\3We",
}
_RAW_BYTES = {"SSE-C key": base64.b64decode(SECRETS["SSE-C key"])}


@dataclass(frozen=True)
class Hit:
    """A piece of a secret that was found."""

    secret: str
    encoding: str
    offset: int


def _json_html(text: str) -> str:
    """JSON as it stands in a script element."""
    return json.dumps(text)[1:-1].replace("<", "\\u003c").replace("&", "\\u0026").replace("'", "\\u0027")


def _lower_percent(text: str) -> str:
    return "".join(quote(one, safe="").lower() if quote(one, safe="") != one else one for one in text)


_BY_CHARACTER: dict[str, Callable[[str], bytes]] = {
    "raw": str.encode,
    "repr": lambda text: (repr(text + '"')[1:-2] if "'" in text else repr(text)[1:-1]).encode(),
    "repr with other quotes": lambda text: text.replace("\\", "\\\\").replace("'", "\\'").encode(),
    "SQL": lambda text: text.replace("'", "''").encode(),
    "JSON": lambda text: json.dumps(text)[1:-1].encode(),
    "JSON in HTML": lambda text: _json_html(text).encode(),
    "HTML": lambda text: html.escape(text).encode(),
    "HTML, decimal": lambda text: html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;").encode(),
    "percent": lambda text: quote(text, safe="").encode(),
    "percent but /": lambda text: quote_plus(text, safe="/").encode(),
    "percent, lower case": lambda text: _lower_percent(text).encode(),
    "UTF-16 LE": lambda text: text.encode("utf-16-le"),
    "UTF-16 BE": lambda text: text.encode("utf-16-be"),
    "hex": lambda text: text.encode().hex().encode(),
    "hex, upper case": lambda text: text.encode().hex().upper().encode(),
}
_ALIGNMENTS = (0, 1, 2)
ENCODINGS = (
    *_BY_CHARACTER,
    *(f"base64{kind} at {align}" for kind in ("", ", URL safe") for align in _ALIGNMENTS),
    "raw bytes",
)


def _windows(text: str | bytes, size: int) -> list:
    return [text[at : at + size] for at in range(len(text) - size + 1)]


def base64_pieces(data: bytes, alignment: int, encode: Callable[[bytes], bytes]) -> list[bytes]:
    """What all texts have in common that are the Base64 of this after `alignment` (0 to 2) bytes, in windows."""
    whole = encode(bytes(alignment) + data)
    first, last = -(-alignment * 8 // 6), (alignment + len(data)) * 8 // 6
    return _windows(whole[first:last], WINDOW * 8 // 6 + 1)


def _pieces(name: str, secret: str) -> Iterator[tuple[str, bytes]]:
    for encoding, encode in _BY_CHARACTER.items():
        yield from ((encoding, encode(window)) for window in _windows(secret, WINDOW))
    for data in filter(None, (secret.encode(), _RAW_BYTES.get(name))):
        for kind, encode in (("", base64.b64encode), (", URL safe", base64.urlsafe_b64encode)):
            for align in _ALIGNMENTS:
                yield from ((f"base64{kind} at {align}", piece) for piece in base64_pieces(data, align, encode))
    yield from (("raw bytes", window) for window in _windows(_RAW_BYTES.get(name, b""), WINDOW))


class Patterns:
    """All pieces of all secrets, found by their first eight bytes."""

    def __init__(self) -> None:
        self.pieces: dict[bytes, tuple[str, str]] = {}
        for name, secret in SECRETS.items():
            for encoding, piece in _pieces(name, secret):
                self.pieces.setdefault(piece, (name, encoding))

    @cached_property
    def _by_beginning(self) -> dict[int, list[bytes]]:
        found = defaultdict(list)
        for piece in self.pieces:
            found[int.from_bytes(piece[:WINDOW], "little")].append(piece)
        return found

    @cached_property
    def _keys(self) -> np.ndarray:
        return np.array(sorted(self._by_beginning), dtype="<u8")

    @cached_property
    def _possible(self) -> np.ndarray:
        """By the first two bytes, whether a piece begins with them."""
        table = np.zeros(1 << 16, dtype=bool)
        table[self._keys & 0xFFFF] = True
        return table

    def find(self, data: bytes) -> Iterator[Hit]:
        """Every piece in the data."""
        for shift in range(min(WINDOW, max(0, len(data) - WINDOW + 1))):
            words = np.frombuffer(data, "<u8", (len(data) - shift) // WINDOW, shift)
            near = np.flatnonzero(self._possible[words & 0xFFFF])
            for index in near[np.isin(words[near], self._keys)]:
                at = shift + int(index) * WINDOW
                for piece in self._by_beginning[int(words[index])]:
                    if data.startswith(piece, at):
                        yield Hit(*self.pieces[piece], at)
