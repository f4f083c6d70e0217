"""The command that goes through public test data: it tells equal from different, refused and died."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from damaged import orc_file, parquet_file, table
from public_files import compared, expected, same

import s3conn_magic

ROOT = Path(s3conn_magic.__file__).parents[1]


def test_a_folder_is_gone_through_file_by_file(tmp_path):
    """A line for each file and statement, and the counts below."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "t.parquet").write_bytes(parquet_file(table(3).select(["id", "text"])))
    (tmp_path / "folder" / "t.csv").write_text("a,b\n1,x\n2,y\n")
    (tmp_path / "cut.parquet").write_bytes(parquet_file(table(3))[:-9])
    paths = [ROOT, *(ROOT / "tests" / part for part in ("support", "listing")), ROOT / "benchmarks"]
    done = subprocess.run(
        [sys.executable, ROOT / "tests/support/public_files.py", tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    outcomes = {(line[2], line[1]): line[0] for line in lines if len(line) > 2}
    assert outcomes == {
        ("cut.parquet", "PREVIEW"): "shown",
        ("cut.parquet", "SELECT"): "refused",
        ("cut.parquet", "TABLE"): "refused",
        ("cut.parquet", "COPY"): "refused",
        ("folder/t.csv", "PREVIEW"): "shown",
        ("folder/t.csv", "SELECT"): "equal",
        ("folder/t.csv", "TABLE"): "equal",
        ("folder/t.csv", "COPY"): "equal",
        ("t.parquet", "PREVIEW"): "shown",
        ("t.parquet", "SELECT"): "equal",
        ("t.parquet", "TABLE"): "equal",
        ("t.parquet", "COPY"): "equal",
    }
    assert ["2", "COPY equal"] in lines


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("a\n007\n", [7], "different\trow 1, column a: 7 in place of '007'"),
        ("a\n7\n", [7], "equal\t"),
        ("a\n1.50\n", [1.5], "equal\t"),
        ("a\n2024-01-02\n", ["2024-01-02"], "equal\t"),
        ("a\n1\n2\n", [1], "different\t1 rows in place of 2"),
        ("a,b\n1,2\n", [1], "different\trow 1, column a,b: 1 in place of '1,2'"),
        ("a\nx\n", [None], "different\trow 1, column a: None in place of 'x'"),
    ],
)
def test_cells_are_compared_with_what_is_written(text, column, said, tmp_path):
    """A number must print back as its text, and what is missing must be."""
    (tmp_path / "t.csv").write_text(text)
    assert compared(pa.table({"a": column}), tmp_path / "t.csv") == said


@pytest.mark.parametrize(
    ("text", "value", "right"),
    [
        ("01/25/2024", date(2024, 1, 25), True),
        ("02/03/2024", date(2024, 3, 2), False),
        ("2024/02/03", date(2024, 2, 3), True),
        ("2024-02-03", date(2024, 3, 2), False),
        ("1.50", Decimal("1.5"), False),
        ("true", True, True),
        ("NULL", None, True),
        ("x", None, False),
    ],
)
def test_a_value_is_what_its_text_can_only_be(text, value, right):
    """A date that could be another one is none."""
    assert same(text, value) is right


def test_columnar_files_are_read_by_pyarrow(tmp_path):
    """The same rows, of ORC, too."""
    (tmp_path / "t.orc").write_bytes(orc_file(table(3)))
    ((names, rows),) = expected(tmp_path / "t.orc")
    assert names == table(3).column_names
    assert all(
        same(wanted, given)
        for row, other in zip(rows, zip(*(c.to_pylist() for c in table(3).columns), strict=True), strict=True)
        for wanted, given in zip(row, other, strict=True)
    )
