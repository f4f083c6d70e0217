"""LOCAL_FILES: whether a query may read files of this machine, by where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest
from statements import Statements, create

from s3conn_magic.cli import main
from s3conn_magic.errors import BindError, QueryError
from s3conn_magic.sandbox import LAKE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# `{csv}`, `{parquet}` and `{text}` are files that are there; `$path` is the path of the first.
READING = (
    "FROM '{csv}'",
    'FROM "{csv}"',
    'FROM "{folder}/a".csv',
    "FROM '{folder}/*.csv'",
    "FROM 'file:{csv}'",
    "FROM 'file://{csv}'",
    "FROM read_csv('{csv}')",
    "FROM Read_CSV_Auto('{csv}', header = true)",
    "FROM system.main.read_csv('{csv}')",
    "FROM read_csv(['{csv}', '{csv}'])",
    "FROM read_csv('{folder}' || '/a.csv')",
    "FROM read_csv(concat('{folder}', '/a.csv'))",
    "FROM read_csv(replace('{csv}x', 'csvx', 'csv'))",
    "FROM read_csv(list_transform(['a'], lambda x: '{folder}/' || x || '.csv'))",
    "FROM read_csv(['{folder}' || '/a.csv'])",
    "FROM read_csv($path)",
    "FROM read_csv([$path])",
    "FROM read_text('{text}')",
    "FROM read_blob('{text}')",
    "FROM read_json('{json}')",
    "FROM read_ndjson_objects('{json}')",
    "FROM read_parquet('{parquet}')",
    "FROM parquet_scan('{parquet}')",
    "FROM parquet_metadata('{parquet}')",
    "FROM parquet_schema('{parquet}')",
    "FROM parquet_file_metadata('{parquet}')",
    "FROM parquet_kv_metadata('{parquet}') SELECT count(*)",
    "FROM sniff_csv('{csv}')",
    "FROM glob('{folder}/*')",
    "FROM histogram('{csv}', a)",
    "SELECT (SELECT max(a) FROM '{csv}')",
    "WITH x AS (FROM '{csv}') FROM x",
    "FROM (DESCRIBE '{csv}')",
    "FROM (SUMMARIZE '{csv}')",
    "FROM (PIVOT '{csv}' ON a USING count(*))",
    'FROM (WITH "{csv}" AS (SELECT 1) FROM "{csv}"), \'{csv}\'',
)
REFUSED = (*READING, "FROM '~/a.csv'", "FROM '../a.csv'", "FROM 'a.csv'", "FROM read_text('a')", "FROM nowhere.csv")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files of a folder, by what they hold."""
    names = {"csv": "a.csv", "text": "a.txt", "json": "a.json", "parquet": "a.parquet"}
    made = {name: str(tmp_path / file) for name, file in names.items()}
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "a.json").write_text('{"a": 1}\n')
    duckdb.execute(f"COPY (SELECT 1 AS a) TO '{made['parquet']}'")
    return {**made, "folder": str(tmp_path)}


@pytest.fixture
def run(files: dict[str, str]) -> Iterator[Statements]:
    """A session with the path of a file in a variable."""
    found = Statements(path=files["csv"], frame=None)
    yield found
    found.session.close()


def _file(folder: str, text: str) -> str:
    path = f"{folder}/setup.usql"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - a text of this test
        file.write(text)
    return path


@pytest.mark.parametrize("query", READING)
def test_a_cell_reads_files_of_this_machine(run: Statements, files: dict[str, str], query: str):
    """So does execute(): that is how notebooks are used."""
    assert len(run(query.format(**files))) > 0


@pytest.mark.parametrize("query", REFUSED)
def test_where_it_is_false_no_file_of_this_machine_is_read(run: Statements, files: dict[str, str], query: str):
    """In a cell, with the place and the setting; a path that is put together is refused, too."""
    failure = run.fails(f"SET LOCAL_FILES = FALSE;\n{query.format(**files)}", QueryError)
    assert "LOCAL_FILES" in failure.message
    assert "SET LOCAL_FILES = TRUE" in failure.hint
    assert failure.place is not None
    assert failure.place.line == 2
    run("SET LOCAL_FILES = TRUE")


WHERE = {
    "a query": "{}",
    "a table": "CREATE TABLE made AS {}",
    "a table of columns": "CREATE TABLE made (a INT, b INT) AS {}",
    "a profile": "EXPLAIN ANALYZE {}",
    "a job": "CREATE JOB j AS INSERT INTO S3 lake LOCATION = 's3://nowhere-at-all/' SELECT * FROM ({})",
}


@pytest.mark.parametrize("where", WHERE)
def test_a_file_of_statements_reads_none(run: Statements, files: dict[str, str], where: str, sandbox):
    """Wherever the query stands in it, until the setting is TRUE; a cell reads them meanwhile."""
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    text = WHERE[where].format(f"FROM read_csv('{files['csv']}')")
    path = _file(files["folder"], text)
    with pytest.raises(QueryError, match="LOCAL_FILES"):
        list(run.session.run_file(path))
    assert len(run(f"FROM '{files['csv']}'")) == 1
    assert "made" not in run.session.queries.table_names()
    assert list(run.session.jobs) == []
    if where != "a job":  # whose bucket is not there
        run("SET LOCAL_FILES = TRUE")
        assert list(run.session.run_file(path))


@pytest.mark.parametrize("value", ["TRUE", "'cells'", "true", "'CELLS'"])
def test_a_file_cannot_give_itself_reach(run: Statements, files: dict[str, str], value: str):
    """It is refused with its place before anything of the file runs; FALSE is taken."""
    path = _file(files["folder"], f"SET LIMIT = 7;\nSET LOCAL_FILES = {value};\nFROM '{files['csv']}'")
    with pytest.raises(BindError) as failed:
        list(run.session.run_file(path))
    assert failed.value.place is not None
    assert (failed.value.place.file, failed.value.place.line, failed.value.place.column) == (path, 2, 19)
    assert "--local-files" in failed.value.hint
    assert run.session.settings["LIMIT"] != 7
    list(run.session.run_file(_file(files["folder"], "SET LOCAL_FILES = FALSE")))
    assert run.session.settings["LOCAL_FILES"] is False


def test_the_command_line_gives_reach(files: dict[str, str], capsys: pytest.CaptureFixture[str]):
    """`run` reads none, and `run --local-files` does."""
    path = _file(files["folder"], f"FROM '{files['csv']}'")
    assert main(["run", path]) == 1
    assert "LOCAL_FILES" in capsys.readouterr().err
    assert main(["run", "--local-files", path]) == 0
    assert main(["run", path, "--local-files"]) == 0
    assert capsys.readouterr().err == ""


def test_objects_tables_and_frames_are_read_where_it_is_false(run: Statements, sandbox):
    """Paths of objects, lists and parameters of them, and names with a dot that are of the catalog."""
    import pandas as pd

    where = f"s3://{LAKE}/sales/orders.csv"
    run.names |= {"frame": pd.DataFrame({"a": [1]}), "path": where, "paths": [where], "name": "orders"}
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False))
    run("SET LOCAL_FILES = FALSE; CREATE TABLE made AS SELECT 1 AS a")
    run(f"CREATE TABLE over LOCATION '{where}'")
    many = len(run(f"FROM '{where}'"))
    for source in (
        "over",
        "main.over",
        "memory.main.over",
        f"read_csv('{where}')",
        f"read_csv(['{where}'])",
        "read_csv($path)",
        "read_csv($paths)",
        "read_csv('s3://' || 'acme-lake/sales/' || $name || '.csv')",
        f"'s3://lake@{LAKE}/sales/orders.csv'",
    ):
        assert len(run(f"FROM {source}")) == many > 0
    for source in ("frame", "made", "main.made", "information_schema.tables", "duckdb_tables()", "range(3)"):
        assert len(run(f"FROM {source}")) > 0
    assert len(run(f"FROM glob('{where}')")) == 1


def test_a_parameter_is_looked_at_when_the_query_runs(run: Statements, files: dict[str, str]):
    """A variable's value decides, whatever it was before."""
    run("SET LOCAL_FILES = FALSE")
    for value in (files["csv"], [files["csv"]], ["s3://b/k.csv", files["csv"]], [], 7):
        run.names["path"] = value
        assert "LOCAL_FILES" in run.fails("FROM read_csv($path)", QueryError).message


def test_a_view_of_a_database_file_reads_none(run: Statements, files: dict[str, str]):
    """What the view is over is looked at, too; the error names the view."""
    database = f"{files['folder']}/kept.duckdb"
    with duckdb.connect(database) as made:
        made.execute(f"CREATE VIEW inner_view AS FROM '{files['csv']}'; CREATE VIEW over AS FROM inner_view")
    run(f"SET DATABASE = '{database}'")
    assert len(run("FROM over")) == 1
    run("SET LOCAL_FILES = FALSE")
    failure = run.fails("FROM over", QueryError)
    assert failure.message.startswith("in inner_view of the database: ")
    assert "LOCAL_FILES" in failure.message


def test_a_name_of_a_file_of_lines_is_no_reach(run: Statements):
    """The check holds for a name whose dots are of a schema that is not there."""
    run("SET LOCAL_FILES = FALSE")
    assert "LOCAL_FILES" in run.fails("FROM mian.made", QueryError).message
    assert "does not exist" in run.fails("FROM nothing", QueryError).message
