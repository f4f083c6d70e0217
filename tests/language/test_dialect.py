"""What DuckDB writes with `[]` stays as it is; Upsolver's arrays are read as such."""

from __future__ import annotations

import duckdb
import pytest

from s3conn_magic.language.dialect import DialectError, duckdb_query

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


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("FORMAT_DATETIME(from_unixtime(a), 'yyyy-MM-dd HH:mm')", "strftime(to_timestamp(a), '%Y-%m-%d %H:%M')"),
        ("parse_datetime(b, 'dd''T''yy%') || 'yyyy'", "strptime(b, '%dT%y%%') || 'yyyy'"),
    ],
)
def test_a_pattern_of_times_is_read_as_duckdb_writes_it(written: str, read: str):
    """The last argument of the functions that have one, and no other text."""
    assert duckdb_query(f"SELECT {written}").text == f"SELECT {read}"


@pytest.mark.parametrize(
    ("written", "said"), [("format_datetime(a, p)", "takes a pattern"), ("format_datetime(a, 'Q')", "not a pattern")]
)
def test_what_is_no_pattern_of_times_is_refused(written: str, said: str):
    """Or what is known only when the query runs: DuckDB would take it as it is."""
    with pytest.raises(DialectError, match=said):
        duckdb_query(f"SELECT {written}")


def test_a_path_of_elements_is_a_list():
    """As Upsolver has it; a list without elements is one."""
    assert duckdb_query("SELECT orders[].price AS p, [] AS none FROM t").text == (
        "SELECT list_transform(orders, lambda each: each.price) AS p, [] AS none FROM t"
    )
