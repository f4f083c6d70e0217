"""Columns that folders write: `name=value`, as Hive and Spark name them."""

from __future__ import annotations

import duckdb
import pytest

from s3conn_magic.objects.listed import partitions

# Keys below `sales/` → the type of each column, and its value of each key.
WRITTEN = {
    "no folder writes one": (["a.csv", "x/y/b.csv", "a=b.csv"], {}),
    "dates": (["dt=2024-01-31/a", "dt=2024-02-29/b"], {"dt": ("DATE", "2024-01-31", "2024-02-29")}),
    "a day that there is not": (
        ["dt=2024-01-31/a", "dt=2023-02-29/b"],
        {"dt": ("VARCHAR", "2024-01-31", "2023-02-29")},
    ),
    "a date that is written otherwise": (
        ["dt=20240131/a", "dt=2024-2-1/b"],
        {"dt": ("VARCHAR", "20240131", "2024-2-1")},
    ),
    "numbers": (["n=0/a", "n=-12/b"], {"n": ("BIGINT", "0", "-12")}),
    "the smallest and the largest number": (
        [f"n={-(2**63)}/a", f"n={2**63 - 1}/b"],
        {"n": ("BIGINT", str(-(2**63)), str(2**63 - 1))},
    ),
    "a number that is too large": ([f"n={2**63}/a"], {"n": ("VARCHAR", str(2**63))}),
    "a number that prints otherwise": (["n=7/a", "n=007/b"], {"n": ("VARCHAR", "7", "007")}),
    "more of what is no number": (
        ["n=-0/a", "n=+1/b", "n=1.0/c", "n=1_0/d", "n=٣/e", "n= 1/f"],
        {"n": ("VARCHAR", "-0", "+1", "1.0", "1_0", "٣", " 1")},
    ),
    "a number beside a date": (["p=1/a", "p=2024-01-31/b"], {"p": ("VARCHAR", "1", "2024-01-31")}),
    "a number beside a text": (["p=123/a", "p=abc/b"], {"p": ("VARCHAR", "123", "abc")}),
    "the name of NULL": (["p=__HIVE_DEFAULT_PARTITION__/a", "p=5/b"], {"p": ("BIGINT", None, "5")}),
    "nothing but NULL": (["p=__HIVE_DEFAULT_PARTITION__/a"], {"p": ("VARCHAR", None)}),
    "a key without the folder": (["p=5/a", "b"], {"p": ("BIGINT", "5", None)}),
    "an empty value": (["p=/a", "p=5/b"], {"p": ("VARCHAR", "", "5")}),
    "no name": (["=5/a"], {}),
    "an equals sign in the value": (["p=a=b/x"], {"p": ("VARCHAR", "a=b")}),
    "percent-encoding": (
        ["at=2024-01-01 00%3A00%3A00/a", "at=%C3%BC%2F+1/b"],
        {"at": ("VARCHAR", "2024-01-01 00:00:00", "ü/+1")},
    ),
    "percent-encoding of a name": (["a%20b=1/x"], {"a b": ("BIGINT", "1")}),
    "percent signs that encode nothing": (["p=100%/a", "p=%ff/b"], {"p": ("VARCHAR", "100%", "%ff")}),
    "several, with other folders between": (
        ["year=2024/raw/m=01/a", "year=2024/raw/m=12/b"],
        {"year": ("BIGINT", "2024", "2024"), "m": ("VARCHAR", "01", "12")},
    ),
    "names in another case": (["Year=2024/a", "year=2023/b"], {"Year": ("BIGINT", "2024", "2023")}),
    "one within another of its name": (["p=1/p=2/a"], {"p": ("BIGINT", "2")}),
    "a name that begins as private ones do": (["_date=2024/a"], {"_date": ("BIGINT", "2024")}),
    "an object that looks like a folder": (["p=1/q=2"], {"p": ("BIGINT", "1")}),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_folders_write_columns(case: str):
    """The type is that of all keys, each value prints back as it is written, and every key has one."""
    names, expected = WRITTEN[case]
    keys = [f"sales/{name}" for name in names]
    found = partitions(keys, "sales/")
    assert {name: (one.kind, *(one.values[key] for key in keys)) for name, one in found.items()} == expected
    for one in found.values():
        for value in one.values.values():
            assert duckdb.execute(f"SELECT (?::{one.kind})::VARCHAR", [value]).fetchone() == (value,)


# Location, keys → the value of `p` of each.
PLACES = {
    "a folder of the location writes none": ("p=1/", ["p=1/a"], None),
    "nor where the slash is left out": ("p=1", ["p=1/a", "p=1/b/c"], None),
    "a name that the location only begins": ("d/p=2024-", ["d/p=2024-01/a", "d/p=2024-02/b"], ["2024-01", "2024-02"]),
    "the beginning of a name": ("p=1", ["p=1/a", "p=12/b"], ["1", "12"]),
    "a whole bucket": ("", ["p=1/a"], ["1"]),
    "keys of another place": ("new/", ["new/p=1/a", "old/p=2/b"], ["1", "2"]),
}


@pytest.mark.parametrize("case", PLACES)
def test_folders_below_the_location_count(case: str):
    """Those that the location names in full are the same for all objects, and write no column."""
    location, keys, expected = PLACES[case]
    found = partitions(keys, location)
    assert (list(found["p"].values.values()) if found else None) == expected


def test_no_keys_have_no_columns():
    """As a location where nothing is."""
    assert partitions([], "sales/") == {}
