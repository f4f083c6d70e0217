"""Dictionaries of Arrow within DuckDB: given so that it reads them, or refused."""

from __future__ import annotations

import io

import duckdb
import pyarrow as pa
import pytest

from s3conn_magic.errors import QueryError
from s3conn_magic.objects.apart import record_batches

VALUES = {
    "numbers": pa.array([1, 2]),
    "texts": pa.array(["a", "b"]),
    "lists": pa.array([[1], [2, 3]]),
    "structs": pa.array([{"a": 1}, {"a": 2}]),
    "maps": pa.array([[("k", 1)], [("j", 2)]], pa.map_(pa.string(), pa.int64())),
    "lists of one size": pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)),
    "structs of dictionaries": pa.StructArray.from_arrays([pa.array(["a", "b"]).dictionary_encode()], ["d"]),
}
WITHIN = {
    "a column": lambda array: array,
    "lists": lambda array: pa.ListArray.from_arrays(pa.array([0, 1, 3]), array),
    "structs": lambda array: pa.StructArray.from_arrays([array], ["x"]),
    "maps": lambda array: pa.MapArray.from_arrays(pa.array([0, 1, 3]), pa.array(["p", "q", "r"]), array),
}

REFUSED = {("structs of dictionaries", within) for within in WITHIN if within != "a column"}


@pytest.mark.parametrize("within", WITHIN)
@pytest.mark.parametrize("values", VALUES)
def test_a_dictionary_is_read_or_refused_and_the_database_lives(values: str, within: str):
    """Values of a dictionary, nested in whatever way, come as Arrow has them or are refused before DuckDB sees them."""
    array = WITHIN[within](pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), VALUES[values]))
    file, database = io.BytesIO(), duckdb.connect()
    with pa.ipc.new_file(file, pa.schema([("c", array.type)])) as writer:
        writer.write_table(pa.table({"c": array}))
    file.seek(0)
    if (values, within) in REFUSED:
        with pytest.raises(QueryError, match="a dictionary of a dictionary within other values"):
            record_batches("ARROW", file, None)
        return
    database.register("rows", record_batches("ARROW", file, None))
    rows = [row for (row,) in database.execute("SELECT c FROM rows").fetchall()]
    assert _plain(rows) == _plain(array.to_pylist())
    assert database.execute("SELECT 1").fetchall() == [(1,)]


def _plain(value):
    """Maps as dicts, and lists of one size, which DuckDB gives as tuples, as lists."""
    if isinstance(value, list | tuple):
        pairs = value and all(isinstance(each, tuple) and isinstance(each[0], str) for each in value)
        return {key: _plain(each) for key, each in value} if pairs else [_plain(each) for each in value]
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else value
