"""What DuckDB writes with `[]` stays as it is; Upsolver's arrays are read as such."""

from __future__ import annotations

import duckdb
import pytest

from s3conn_magic.language.dialect import duckdb_query

NEVER_ALONE = {"ENUM", "LIST", "MAP", "NULL", "ROW", "STRUCT", "TUPLE", "TYPE", "UNION"}
KINDS = sorted(
    {name for (name,) in duckdb.execute("SELECT DISTINCT upper(type_name) FROM duckdb_types()").fetchall()}
    - NEVER_ALONE
)
FORMS = [
    "SELECT CAST(x AS {}[]) FROM t",
    "SELECT try_cast(x AS {}[][]) FROM t",
    "SELECT x::{}[] FROM t",
    "SELECT CAST(x AS MAP(VARCHAR, {}[])) FROM t",
    "SELECT CAST(x AS STRUCT(a {}[], b INTEGER)) FROM t",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_type_of_lists_is_no_path(form: str):
    """Of every type that DuckDB has, in either case."""
    for kind in KINDS:
        for query in (form.format(kind), form.format(kind.lower())):
            assert duckdb_query(query).text == query


def test_a_path_of_elements_is_a_list():
    """As Upsolver has it; a list without elements is one."""
    assert duckdb_query("SELECT orders[].price AS p, [] AS none FROM t").text == (
        "SELECT list_transform(orders, lambda each: each.price) AS p, [] AS none FROM t"
    )
