"""How many connections a listing has, and that they have work: in a time of its own, whatever the machine does."""

from __future__ import annotations

from functools import cache
from hashlib import md5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS, keys_of
from synthetic import Bucket
from virtual_time import Simulation

_KEYS, _PAGE_KEYS = 12_000, 20
_PAGES = _KEYS // _PAGE_KEYS


_NUMBERS, _TWICE = range(_KEYS), ("", "2")
# One level of a bucket: files, folders, and both beside each other.
_LEVELS = {
    "random files": [f"{md5(str(number).encode()).hexdigest()}.json" for number in _NUMBERS],
    "random folders": [f"{md5(str(number).encode()).hexdigest()}/{more}" for number in _NUMBERS for more in _TWICE],
    "counted folders": [f"tenant-{number}/{more}" for number in _NUMBERS for more in _TWICE],
    "files and folders": [f"{number:05d}{'/x' if number % 3 else '.csv'}" for number in _NUMBERS],
    "files beside their folders": [
        f"{number:05d}{end}" for number in _NUMBERS[::2] for end in ("", "-", "/", "/a", "0")
    ],
}


def _clusters() -> list[str]:
    """Keys in three clusters that lie far apart, so that most places between them are empty."""
    names = (f"logs/{'z' * 40}/{number:09d}" for number in range(8_000))
    others = (f"{letter}/{'0' * 30}{number:05d}-{number % 97:02d}" for letter in "ay" for number in range(2_000))
    return sorted([*names, *others])


@cache
def _bucket(layout: str) -> Bucket:
    return Bucket(_clusters() if layout == "clusters" else keys_of(layout, _KEYS))


def _listed(layout: str, latency: float, connections: int = 128) -> Simulation:
    simulation = Simulation(_bucket(layout), latency, _PAGE_KEYS, connections).run()
    assert sorted(simulation.keys) == simulation.bucket.keys
    return simulation


# Round trips until connections have work: a chain of folders has to be followed, an order of magnitude to be found.
_RAMP = {"deep": 8, "clusters": 8}


@pytest.mark.parametrize("layout", [*LAYOUTS, "clusters"])
def test_connections_far_away_have_work(layout):
    """While many pages remain, most connections are busy, at a price of six requests for ten pages at most."""
    simulation = _listed(layout, 0.15, 48)
    assert simulation.occupancy(48, rounds=_RAMP.get(layout, 5)) > 0.8
    assert simulation.requests <= 1.6 * _PAGES + 48


@pytest.mark.parametrize(
    ("latency", "connections", "least", "most"),
    [(0.0, 128, 8, 8), (0.03, 128, 24, 40), (0.15, 128, 100, 128), (0.15, 16, 16, 16)],
)
def test_connections_follow_the_distance(latency, connections, least, most):
    """There are as many as keep this machine busy, from 8 to 128, and never more than are allowed."""
    simulation = _listed("random", latency, connections)
    assert least <= simulation.most() <= most
    assert connections < 100 or simulation.requests <= _PAGES * (1.35 if latency < 0.1 else 1.6)


@pytest.mark.parametrize("level", _LEVELS)
@pytest.mark.parametrize("latency", [0.0, 0.03, 0.15])
def test_one_level_is_listed_by_many_requests_at_once(level, latency):
    """Folders and files of a level come once each, in few round trips and for few requests, as all keys do."""
    keys = sorted(_LEVELS[level])
    rows = sorted({key[: key.find("/") + 1] or key for key in keys})
    simulation = Simulation(Bucket(keys), latency, _PAGE_KEYS, delimiter="/").run()
    assert sorted(simulation.keys) == rows
    pages = len(rows) / _PAGE_KEYS
    assert simulation.requests <= 1.6 * pages + 48
    assert simulation.seconds <= 0.06 * pages * latency + 1.6 * pages * simulation.work


@given(keys=st.sets(st.text("/a0-.9b", min_size=1, max_size=8), min_size=1, max_size=300), size=st.integers(1, 5))
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("prefix", ["", "a", "a/", "0-"])
def test_a_level_has_each_folder_and_file_once(prefix, keys, size):
    """However folders, and names that begin as theirs do, lie, and however small pages are, each row comes once."""
    below = {key for key in keys if key.startswith(prefix)}
    rows = sorted({key[: key.find("/", len(prefix)) + 1] or key for key in below})
    simulation = Simulation(Bucket(sorted(keys)), 0.15, size, delimiter="/", prefix=prefix).run()
    assert sorted(simulation.keys) == rows


def test_more_connections_are_not_slower():
    """Where more are allowed, a listing takes no longer."""
    seconds = [_listed("hive", 0.15, connections).seconds for connections in (48, 128)]
    assert seconds[1] <= 1.1 * seconds[0]


@pytest.mark.parametrize("name", [lambda level: f"year-{level + 8:02d}", lambda level: "abcde"[level % 5]])
def test_a_chain_of_folders_is_not_followed_one_by_one(name):
    """Where folders' names count up or repeat, forty, one in the other, take half as many round trips."""
    path, keys = "", []
    for level in range(40):
        path += f"{name(level)}/"
        keys += [f"{path}A-{number:04d}" for number in range(60)]
    simulation = Simulation(Bucket(sorted(keys)), 0.15, _PAGE_KEYS).run()
    assert sorted(simulation.keys) == sorted(keys)
    assert simulation.seconds < 20 * 0.15
