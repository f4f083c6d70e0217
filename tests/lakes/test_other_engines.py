"""What other engines read of tables that are written here, and what is read here of tables that they write."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, files
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from boto_clients import client
from pyiceberg.table import StaticTable
from statements import Statements, create

from s3conn_magic.sandbox import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from s3conn_magic.sandbox import Sandbox

FOLDER = f"s3://{EMPTY}/engines/t"
COLUMNS = {
    "id": ("BIGINT", "range"),
    "yes": ("BOOLEAN", "range % 2 = 0"),
    "small": ("TINYINT", "(range % 100)::TINYINT"),
    "unsigned": ("UBIGINT", "18446744073709551615 - range"),
    "huge": ("HUGEINT", "12345678901234567890123456789012345678"),
    "amount": ("DECIMAL(38,10)", "range / 8"),
    "narrow": ("DECIMAL(9,2)", "range / 4"),
    "ratio": ("DOUBLE", "range / 7"),
    "single": ("FLOAT", "range / 2"),
    "name": ("VARCHAR", "'é\n' || range"),
    "uuid": ("UUID", "'6ccd780c-baba-1026-9564-5b8c656024db'"),
    "json": ("JSON", "'{\"a\": 1.50}'"),
    "bytes": ("BLOB", r"'\x00\xFF'"),
    "day": ("DATE", "DATE '0001-01-01' + range::INTEGER"),
    "time": ("TIME", "'23:59:59.999999'"),
    "at": ("TIMESTAMP", "TIMESTAMP '1969-12-31 23:59:59.999999' + INTERVAL (range) HOUR"),
    "zoned": ("TIMESTAMPTZ", "'2026-01-01 01:00:00+01'"),
    "list": ("INTEGER[]", "[range, NULL]"),
    "struct": ('STRUCT(a INTEGER, "b c" VARCHAR)', "{'a': range, 'b c': 'x'}"),
    "map": ("MAP(VARCHAR, UTINYINT)", "MAP {'k': 255}"),
    "deep": ("STRUCT(l STRUCT(x DATE)[])[]", "[{'l': [{'x': DATE '2026-01-01'}, NULL]}]"),
}
STEPS = {
    "made": "INSERT INTO t SELECT {rows} FROM range(6)",
    "appended": "INSERT INTO t SELECT {rows} FROM range(6, 9); INSERT INTO t (SELECT {nulls})",
    "merged": "MERGE INTO t USING (SELECT unnest([2, 5, 77]) AS key) AS s ON t.id = s.key"
    " WHEN MATCHED AND s.key = 5 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'merged', amount = NULL"
    " WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.key, 'new')",
    "evolved": "INSERT INTO t MAP_COLUMNS_BY_NAME SELECT 100 AS id, 3000000000 AS more, {{'in': 1}} AS nested;"
    " INSERT INTO t MAP_COLUMNS_BY_NAME SELECT 101 AS id, 12345678.25::DECIMAL(10,2) AS narrow",
    "tidied": "OPTIMIZE TABLE t",
}


class States:
    """A table after each of some steps: its metadata file, and what we read of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.server = sandbox
        self.seen: dict[str, tuple[str, pa.Table]] = {}
        run = Statements()
        run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, REGION=sandbox.region, VALIDATE=False))
        place = f"STORAGE_CONNECTION = lake STORAGE_LOCATION = '{FOLDER}/'"
        columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in COLUMNS.items())
        run(f"CREATE ICEBERG TABLE t ({columns}) PARTITIONED BY bucket(2, id), month(at), truncate(1, name) {place}")
        rows = ", ".join(f'({value})::{kind} AS "{name}"' for name, (kind, value) in COLUMNS.items())
        nulls = ", ".join(f"NULL::{kind}" for kind, _ in COLUMNS.values())
        s3 = client("s3", sandbox.endpoint, sandbox.admin)
        for name, step in STEPS.items():
            run(step.format(rows=rows, nulls=nulls))
            pointer = s3.get_object(Bucket=EMPTY, Key="engines/t/metadata/version-hint.text")["Body"].read().decode()
            table = run("SET RESULT = 'arrow'; SELECT * FROM t ORDER BY ALL")
            self.seen[name] = (f"{FOLDER}/metadata/{pointer}.metadata.json", table)
        run.session.close()
        for each in s3.list_objects_v2(Bucket=EMPTY)["Contents"]:
            self._kept = [*getattr(self, "_kept", []), each["Key"]]
        self._s3 = s3

    @property
    def options(self) -> dict[str, str]:
        """What PyIceberg takes to reach it."""
        return {
            "s3.endpoint": self.server.endpoint,
            "s3.access-key-id": self.server.admin.access_key_id,
            "s3.secret-access-key": self.server.admin.secret_access_key.reveal(),
            "s3.region": self.server.region,
        }

    def clear(self) -> None:
        """Delete its objects."""
        for key in self._kept:
            self._s3.delete_object(Bucket=EMPTY, Key=key)


@pytest.fixture(scope="module")
def states(sandbox: Sandbox) -> Iterator[States]:
    made = States(sandbox)
    yield made
    made.clear()


def _texts(table: Any) -> list[tuple[Any, ...]]:
    """The rows as texts that are the same whichever of Arrow's types a value has."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("rows", table)
        kinds = dict(database.execute("SELECT column_name, column_type FROM (DESCRIBE FROM rows)").fetchall())
        entries = {name for name, kind in kinds.items() if kind.startswith("STRUCT(") and '"key"' in kind}
        columns = ", ".join(
            f'map_from_entries("{name}")::VARCHAR' if name in entries else _text(name, kind)
            for name, kind in kinds.items()
        )
        return sorted(database.execute(f"SELECT {columns} FROM rows").fetchall(), key=repr)


def _text(name: str, kind: str) -> str:
    return f'"{name}"::UUID::VARCHAR' if name == "uuid" and kind != "BLOB" else f'"{name}"::VARCHAR'


def by_pyiceberg(states: States, where: str, _: Path) -> Any:
    return StaticTable.from_metadata(where, states.options).scan().to_arrow()


def by_polars(states: States, where: str, _: Path) -> Any:
    return pl.scan_iceberg(where, storage_options=states.options).collect().to_arrow()


def by_duckdb(states: States, where: str, folder: Path) -> Any:
    program = _installed("duckdb-cli", "duckdb")
    loaded = "".join(
        f"LOAD '{_installed(f'duckdb-extension-{each}', each)}';\n" for each in ("httpfs", "avro", "iceberg")
    )
    keys, host = states.server.admin, states.server.endpoint.partition("://")[2]
    text = f"""{loaded}
        CREATE SECRET (TYPE s3, KEY_ID '{keys.access_key_id}', SECRET '{keys.secret_access_key.reveal()}',
            REGION '{states.server.region}', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false);
        COPY (FROM iceberg_scan('{where}')) TO '{folder}/rows.parquet';"""
    done = subprocess.run([program, "-bail"], input=text, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return pq.read_table(folder / "rows.parquet")


def _installed(package: str, stem: str) -> str:
    try:
        found = files(package) or []
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed: .ci/run says how")
    (path,) = [each.locate() for each in found if each.stem == stem and each.parts[0] != ".."]
    return str(path)


@pytest.mark.parametrize("state", STEPS)
@pytest.mark.parametrize("reader", [by_pyiceberg, by_polars, by_duckdb])
def test_other_engines_read_the_rows_that_we_read(states: States, tmp_path: Path, reader: Any, state: str):
    """All types, in partitions, after a merge, with columns that came later and wider ones, and after OPTIMIZE."""
    where, ours = states.seen[state]
    assert _texts(reader(states, where, tmp_path)) == _texts(ours)
