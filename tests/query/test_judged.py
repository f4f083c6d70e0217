"""What of DuckDB is judged: a new version that brings something nobody has judged fails here, with its names."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import _duckdb
import duckdb
import pytest

import s3conn_magic.query
from s3conn_magic.query.judgement import judged

SAID = tomllib.loads((Path(s3conn_magic.query.__file__).parent / "judged.toml").read_text(encoding="utf-8"))
KINDS = {"expressions": ["scalar", "aggregate", "window", "macro"], "tables": ["table", "table_macro"]}
_FUNCTIONS = "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE list_contains(?, function_type)"
_ARGUMENTS = """SELECT DISTINCT lower(unnest(parameters)) AS name FROM duckdb_functions()
WHERE list_contains(['table', 'table_macro'], function_type) AND list_contains(?, lower(function_name))"""


def _names(text: str) -> set[str]:
    return set(text.split())


def _asked(query: str, wanted: list[str]) -> set[str]:
    return {name for (name,) in duckdb.connect().execute(query, [wanted]).fetchall()}


@pytest.mark.parametrize("section", KINDS)
def test_every_function_of_duckdb_is_judged(section: str):
    """Each is known to only read or is refused, never both; and none is judged that is not there."""
    known = judged().expressions if section == "expressions" else judged().tables
    there = _asked(_FUNCTIONS, KINDS[section])
    assert there - known.reads - known.refused == set(), "judge these in query/judged.toml"
    assert known.reads & known.refused == set()
    ours = _names(SAID[section].get("ours", ""))
    assert (known.reads | known.refused) - there - ours == set(), "these are not there any more"
    assert set(known.instead) <= known.refused


def test_every_pragma_is_a_statement_that_no_query_holds():
    """Functions of other types than those that are judged can't be called in a query."""
    types = duckdb.connect().execute("SELECT DISTINCT function_type FROM duckdb_functions()").fetchall()
    judged_ = {kind for kinds in KINDS.values() for kind in kinds}
    assert {kind for (kind,) in types} - judged_ == {"pragma"}


def test_every_argument_of_a_function_that_reads_is_judged():
    """By its name; the columns that some functions show as parameters are none."""
    known = judged()
    there = {name for name in _asked(_ARGUMENTS, sorted(known.tables.reads)) if not re.fullmatch(r"col\d+", name)}
    assert there - known.arguments.reads - known.arguments.refused == set(), "judge these in query/judged.toml"
    ours = _names(SAID["arguments"]["ours"])
    assert (known.arguments.reads | known.arguments.refused) - there - ours == set(), "these are not there any more"
    assert known.arguments.reads & known.arguments.refused == set()


def test_every_type_of_statement_is_judged():
    """SELECT reads, MULTI may be a PIVOT, and all others are refused."""
    statements = SAID["statements"]
    assert set(duckdb.StatementType.__members__) == {
        *statements["reads"],
        *statements["pivots"],
        *_names(statements["refused"]),
    }


def test_every_query_node_is_judged():
    """Nodes of queries, which are what can write within one, are named in DuckDB's library."""
    library = Path(_duckdb.__file__).read_bytes()
    there = {name.decode() for name in re.findall(rb"\0([A-Z_]+_NODE)\0", library) if not name.startswith(b"SLURM")}
    known = _names(SAID["nodes"]["reads"]) | _names(SAID["nodes"]["refused"])
    assert len(there) > 8
    assert there - known == set(), "judge these in query/judged.toml"


# Between them they have every node and field that `judged.toml` says is known.
FORMS = (
    (
        "SELECT DISTINCT ON (a) a, b[1:2], * EXCLUDE (c) REPLACE (1 AS d) RENAME (e AS f), COLUMNS('x'), #1, $p, -a"
        " FROM t TABLESAMPLE 10% WHERE a BETWEEN 1 AND 2 AND b COLLATE nocase = 'x' GROUP BY ALL HAVING true"
        " ORDER BY a DESC NULLS LAST, b ASC, c LIMIT 1 OFFSET 2"
    ),
    (
        "SELECT CASE WHEN a THEN 1 END, a::INT, list_transform(l, lambda x: x + 1), (SELECT 1), a IN (SELECT 2)"
        " FROM (VALUES (1)) t(a), range(3) WITH ORDINALITY, x.y.z AT (VERSION => 1) USING SAMPLE 3 ROWS (bernoulli, 7)"
    ),
    (
        "SELECT first_value(a ORDER BY b IGNORE NULLS) FILTER (a > 1) OVER (PARTITION BY c ORDER BY d ROWS BETWEEN 1"
        " PRECEDING AND 2 FOLLOWING EXCLUDE TIES), lag(a, 1, 2) OVER () FROM a JOIN b USING (c)"
    ),
    "SELECT 1 GROUP BY GROUPING SETS ((a), ())",
    "WITH RECURSIVE a AS (SELECT 1 UNION ALL FROM a), b AS MATERIALIZED (SELECT 2) FROM a UNION BY NAME FROM b",
    "FROM a JOIN b NEAREST 2 BY DISTANCE a.x",
    "FROM t PIVOT (sum(a) FOR b IN (1, 2) GROUP BY c)",
    "FROM (DESCRIBE SELECT 1)",
    "SELECT 1 LIMIT 10%",
    "SELECT * EXCLUDE (t.a), DEFAULT FROM t",
)


def _kinds(tree: object) -> set[str]:
    if isinstance(tree, list):
        return set().union(*map(_kinds, tree))
    if not isinstance(tree, dict):
        return set()
    own = tree["class"] if "class" in tree else tree.get("type")
    return {own if isinstance(own, str) else "", *tree}.union(*map(_kinds, tree.values()))


def test_nodes_and_fields_are_those_of_the_trees():
    """What is known of nodes is what DuckDB writes of these queries; a new field of one is not known."""
    found: set[str] = {""}
    for form in FORMS:
        ((told,),) = duckdb.execute("SELECT json_serialize_sql(?::VARCHAR)", [form]).fetchall()
        tree = json.loads(told)
        assert not tree["error"], (form, tree)
        found |= _kinds(tree["statements"])
    known = judged()
    assert found - known.kinds - known.classes - known.fields == {""}
