"""`s3conn-magic -c` and `run`: what is run, how rows are printed, and with which status it ends."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from s3conn_magic.cli import main
from s3conn_magic.results import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
ROWS = """SELECT * FROM (VALUES
    (1, 12345678901234567890.10::DECIMAL(38,2), 'a,"b"', NULL, 1.5::DOUBLE, TIMESTAMPTZ '2024-01-01 00:00:00+00'),
    (9007199254740993, 0.5, '', 'é', 'nan'::DOUBLE, NULL)) AS t(id, "the sum", text, gap, x, moment)"""
OLD_KEYS = ["2024/a b.csv", "2024/ü\x1b[31m.csv", "2025/,.json"]

Command = "Callable[..., tuple[int, bytes, str]]"


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs a command in this process; gives its status, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, bytes, str]:
        monkeypatch.delenv("COLUMNS", raising=False)
        out = io.TextIOWrapper(io.FileIO(os.dup(1), "wb"), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", out)
        status = main(arguments)
        out.close()
        shown = capfdbinary.readouterr()
        return status, shown.out, shown.err.decode()

    return run


def _csv(data: bytes) -> list[list[str]]:
    return [*csv.reader(io.StringIO(data.decode()))]


def _json(data: bytes) -> list[list[object]]:
    rows = json.loads(data, parse_float=Decimal)
    return [[*rows[0]], *([*row.values()] for row in rows)]


def _arrow(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


def _parquet(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


NAMES = ["id", "the sum", "text", "gap", "x", "moment"]


def test_rows_as_csv_tell_what_is_missing_from_what_is_empty(command: Command) -> None:
    """Every value is exact, commas and quotes are quoted, and an empty text has quotes where a NULL has none."""
    status, out, err = command("-c", ROWS, "--format", "csv")
    assert (status, err) == (0, "")
    assert _csv(out) == [
        NAMES,
        ["1", "12345678901234567890.10", 'a,"b"', "", "1.5", "2024-01-01 00:00:00+00"],
        ["9007199254740993", "0.50", "", "é", "nan", ""],
    ]
    assert out.decode().splitlines()[2] == '9007199254740993,0.50,"",é,nan,'


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_rows_as_json_keep_every_digit(command: Command, form: str) -> None:
    """Numbers have all of their digits, and one that JSON lacks is a text."""
    status, out, _ = command("-c", ROWS, "--format", form)
    document = out if form == "json" else b"[" + b",".join(out.splitlines()) + b"]"
    assert status == 0
    assert _json(document) == [
        NAMES,
        [1, Decimal("12345678901234567890.10"), 'a,"b"', None, Decimal("1.5"), "2024-01-01 00:00:00+00"],
        [9007199254740993, Decimal("0.50"), "", "é", "NaN", None],
    ]


@pytest.mark.parametrize(("form", "read"), [("parquet", _parquet), ("arrow", _arrow)])
def test_rows_in_a_binary_format_keep_types(command: Command, form: str, read: Callable[[bytes], pa.Table]) -> None:
    """Parquet and Arrow have the query's types."""
    status, out, _ = command("-c", ROWS, "--format", form)
    table = read(out)
    assert status == 0
    assert table.column("the sum").to_pylist() == [Decimal("12345678901234567890.10"), Decimal("0.50")]
    assert pa.types.is_timestamp(table.schema.field("moment").type)
    assert table.column("id").to_pylist() == [1, 9007199254740993]


@pytest.mark.parametrize("form", FORMATS)
def test_results_without_rows_are_printed_in_every_format(command: Command, form: str) -> None:
    """A query that finds nothing is a table of no rows, not nothing and not an error."""
    status, out, _ = command("-c", "SELECT 1 AS n WHERE FALSE", "--format", form)
    assert status == 0
    assert {
        "table": lambda: b"[0 rows x 1 columns]" in out,
        "csv": lambda: out == b"n\n",
        "json": lambda: out == b"[]\n",
        "jsonl": lambda: out == b"",
        "parquet": lambda: _parquet(out).schema.names == ["n"],
        "arrow": lambda: _arrow(out).schema.names == ["n"],
    }[form]()


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_binary_format_holds_one_table(command: Command, form: str) -> None:
    """A second table is refused; messages beside one go to standard error."""
    assert command("-c", "SET LIMIT = 7; SELECT 1 AS n", "--format", form)[::2] == (0, "LIMIT = 7\n")
    status, _, err = command("-c", "SELECT 1 AS n; SELECT 2 AS n", "--format", form)
    assert status == 1
    assert "holds one table, and this is the second" in err


def test_two_columns_of_one_name_are_refused_where_one_would_be_lost(command: Command) -> None:
    """JSON and Parquet refuse them; CSV has both."""
    query = "SELECT * FROM (SELECT 1 AS a) x JOIN (SELECT 1 AS a, 2 AS b) y ON x.a = y.a"
    assert command("-c", query, "--format", "csv")[1] == b"a,a,b\n1,1,2\n"
    for form in ("json", "parquet"):
        status, _, err = command("-c", query, "--format", form)
        assert status == 1
        assert "two columns are called a" in err


def test_nothing_is_cut_or_wrapped_in_a_pipe(command: Command) -> None:
    """Every row stands on one line with all of its text, however many and wide they are."""
    query = "SELECT range AS n, repeat('x', 400) AS wide, repeat('y', 90) AS too FROM range(200)"
    lines = command("-c", query)[1].decode().splitlines()
    assert [line.split()[0] for line in lines[1:201]] == [str(n) for n in range(200)]
    assert all("x" * 400 in line and "y" * 90 in line for line in lines[1:201])


def test_listings_are_rows(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """LIST by the machine's own credentials, with exact keys, also of control characters."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="lake")
        for key in OLD_KEYS:
            client.put_object(Bucket="lake", Key=key, Body=b"a\n1\n")
        listing = ("-c", "LIST 's3://lake/' RECURSIVE")
        assert [row[1] for row in _csv(command(*listing, "--format", "csv")[1])[1:]] == OLD_KEYS
        assert [row["key"] for row in json.loads(command(*listing, "--format", "json")[1])] == OLD_KEYS
        assert _parquet(command(*listing, "--format", "parquet")[1]).column("key").to_pylist() == OLD_KEYS
        preview = ("-c", "PREVIEW 's3://lake/2024/a b.csv'")
        assert command(*preview, "--format", "csv")[1] == b"a\n1\n"


def test_names_are_set(command: Command) -> None:
    """`--set` gives `$name` a text, with whatever equals signs are in it; what is no name is refused unsaid."""
    assert command("-c", "SELECT $a || $b AS t", "--set", "a=x=y", "--set", "b=", "--format", "csv")[1] == b"t\nx=y\n"
    status, _, err = command("-c", "SELECT 1", "--set", "wJalrXUtnFEMI")
    assert status == 1
    assert "--set takes NAME=VALUE" in err
    assert "wJalr" not in err


def test_files_standard_input_and_statements_are_one_session(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a file makes is there for standard input, and that for `-c`, which are run in this order."""
    (tmp_path / "a.usql").write_text("CREATE TABLE t AS SELECT 1 AS n;", encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"CREATE TABLE u AS SELECT n + 1 AS n FROM t;")))
    arguments = (
        "run",
        str(tmp_path / "a.usql"),
        "-",
        "-c",
        "SELECT sum(n) AS n FROM (FROM t UNION ALL FROM u)",
        "--format",
        "jsonl",
    )
    status, out, err = command(*arguments)
    assert (status, out) == (0, b'{"n": 3}\n')
    assert "t" in err


def test_an_error_has_its_place_and_a_status(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 1 and one block that says whether `-c` or standard input is meant; statements after it do not run."""
    status, out, err = command("-c", "SELECT 1 AS n; LIST LIST; SELECT 2 AS n")
    assert (status, out) == (1, b"")
    assert err.splitlines()[1] == "  -c, line 1, column 21"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"HELP;\n\xff")))
    status, _, err = command("run", "-")
    assert (status, err.splitlines()[0]) == (1, "S3ConnError: standard input is not text in UTF-8, from line 2 on")


def test_a_secret_on_the_command_line_is_refused(command: Command) -> None:
    """Everybody on the machine could read it; it is not repeated."""
    key = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00"
    text = f"CREATE S3 CONNECTION x AWS_ACCESS_KEY_ID = 'AKIAIOSFODNN7EXAMPLE' AWS_SECRET_ACCESS_KEY = '{key}'"
    status, _, err = command("-c", text)
    assert status == 1
    assert "every user of the machine sees the command line" in err
    assert key not in err


@pytest.mark.parametrize("arguments", [[], ["run"], ["-c"], ["--format", "xml", "-c", "HELP"], ["-c", "HELP", "more"]])
def test_what_is_no_command_ends_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to run, or an option that there is not, is said with the usage."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: s3conn-magic" in capsys.readouterr().err


def test_binary_rows_are_not_sent_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parquet on a terminal is refused before anything runs."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit):
        main(["-c", "SELECT 1 AS n", "--format", "parquet"])
    assert "> rows.parquet" in capsys.readouterr().err


def _begun(statements: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "s3conn_magic", "-c", statements, "--format", "csv"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def test_a_reader_that_has_enough_is_no_error() -> None:
    """Where the pipe is closed, as by `head`, the command ends with status 141 and says nothing."""
    begun = _begun("SELECT range AS n FROM range(3000000)")
    assert begun.stdout is not None
    assert begun.stderr is not None
    assert begun.stdout.readline() == b"n\n"
    begun.stdout.close()
    assert (begun.stderr.read(), begun.wait(60)) == (b"", 141)
    begun.stderr.close()


def test_an_interrupt_has_its_status() -> None:
    """Ctrl+C while a statement runs ends with status 130 and one block."""
    begun = _begun("SELECT 1 AS n; SELECT count(*) AS n FROM range(100000000000) a WHERE sqrt(range::DOUBLE) < 0")
    assert begun.stdout is not None
    assert begun.stdout.readline() == b"n\n"
    time.sleep(0.5)
    begun.send_signal(signal.SIGINT)
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == 130, err
    assert b"Traceback" not in err
    assert err.startswith(b"StatementInterrupted")
