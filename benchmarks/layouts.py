"""Key layouts of buckets as they are met: the shapes that a listing has to cope with."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SYLLABLES = [
    "ba",
    "ca",
    "da",
    "fa",
    "ga",
    "ha",
    "ja",
    "ka",
    "la",
    "ma",
    "na",
    "pa",
    "ra",
    "sa",
    "ta",
    "va",
    "be",
    "ce",
    "de",
    "fe",
    "ge",
    "he",
    "je",
    "ke",
    "le",
    "me",
    "ne",
    "pe",
    "re",
    "se",
    "te",
    "ve",
    "bi",
    "ci",
    "di",
    "fi",
    "gi",
    "hi",
    "ki",
    "li",
    "mi",
    "ni",
    "pi",
    "ri",
    "si",
    "ti",
    "vi",
    "bo",
    "co",
    "do",
    "fo",
    "go",
    "ho",
    "jo",
    "ko",
    "lo",
    "mo",
    "no",
    "po",
    "ro",
    "so",
    "to",
    "vo",
    "stra",
    "ble",
    "ment",
    "ing",
]


def _hexadecimal(chance: random.Random, digits: int) -> str:
    return f"{chance.getrandbits(4 * digits):0{digits}x}"


def hive(count: int, chance: random.Random) -> Iterator[str]:
    """Two tables, partitioned by year, month and day."""
    days = 2 * 2 * 12 * 28
    for table in ("events", "users"):
        for month in range(24):
            for day in range(28):
                for part in range(-(-count // days)):
                    where = f"lake/{table}/year={2023 + month // 12}/month={month % 12 + 1:02d}/day={day + 1:02d}"
                    yield f"{where}/part-{part:05d}-{_hexadecimal(chance, 12)}.snappy.parquet"


def random_flat(count: int, chance: random.Random) -> Iterator[str]:
    """Hashes without a folder."""
    return (f"{_hexadecimal(chance, 32)}.bin" for _ in range(count))


def sequential_flat(count: int, chance: random.Random) -> Iterator[str]:
    """Numbers without a folder, written with more digits than are in use."""
    del chance
    return (f"object-{number:012d}.json" for number in range(count))


def skewed(count: int, chance: random.Random) -> Iterator[str]:
    """Nine in ten keys in one of thirty folders."""
    yield from (f"archive/{number:010d}.log" for number in range(count * 9 // 10))
    for folder in range(29):
        name = _word(chance)
        yield from (f"{name}-{folder}/{_hexadecimal(chance, 10)}" for _ in range(-(-count // 290)))


def deep_chain(count: int, chance: random.Random) -> Iterator[str]:
    """One folder within the other, fifty deep, each with its share of the keys."""
    del chance
    path = ""
    for depth in range(50):
        path += f"level{depth % 7}/"
        yield from (f"{path}file-{number:07d}" for number in range(-(-count // 50)))


def words(count: int, chance: random.Random) -> Iterator[str]:
    """Paths of one to three words, some of them frequent."""
    vocabulary = [_word(chance) for _ in range(3000)]
    for _ in range(count):
        parts = [vocabulary[int(3000 * chance.random() ** 2)] for _ in range(chance.randint(1, 3))]
        yield f"{'/'.join(parts)}-{_word(chance)}-{chance.randrange(100000)}.txt"


def _word(chance: random.Random) -> str:
    return "".join(chance.choices(_SYLLABLES, k=chance.randint(1, 4)))


LAYOUTS: dict[str, Callable[[int, random.Random], Iterator[str]]] = {
    "hive": hive,
    "random": random_flat,
    "sequential": sequential_flat,
    "skewed": skewed,
    "deep": deep_chain,
    "words": words,
}


def keys_of(layout: str, count: int) -> list[str]:
    """Exactly `count` different keys of a layout in key order, the same in every run."""
    chance, found = random.Random(20), set[str]()
    for _ in range(50):
        found.update(LAYOUTS[layout](count - len(found) + count // 50 + 50, chance))
        if len(found) >= count:
            break
    return sorted(found)[:count] if layout != "deep" else _thinned(sorted(found), count)


def _thinned(keys: list[str], count: int) -> list[str]:
    return [keys[at * len(keys) // count] for at in range(count)]
