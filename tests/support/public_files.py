"""`python tests/support/public_files.py FOLDER [STATEMENT …]`: each file of a folder through some statements.

PREVIEW, SELECT, TABLE (a table over the file) and COPY. What all but the first give is compared with what Python's
`csv` and `json`, PyArrow and fastavro read, cell for cell. A line for each file and statement: `shown` of a preview,
`equal`, `refused` and why, `different` and the first cell that is, `unread` where there is nothing to compare with,
`defect`, or `died` where the process ended over it; the counts are the last lines. Fetch public test data and run it,
such as apache/parquet-testing, apache/arrow-testing, duckdb's data/ and csv-spectrum; they are none of this repository.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from itertools import count, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from every_preview import shown_in_all_forms
from pyarrow import orc
from statements import Statements, create

from s3conn_magic.errors import InternalError, QueryError, S3ConnError
from s3conn_magic.objects.formats import by_content, by_name
from s3conn_magic.sandbox import EMPTY, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3conn_magic.session import Session

STATEMENTS = ("PREVIEW", "SELECT", "TABLE", "COPY")
LARGEST = 8 * 1024 * 1024
LONGEST = 120
"""Seconds that a file may take."""
_ROWS = 20_000
_NULLS = {"", "null", "na", "n/a", "none", "nan", "\\n"}
_NUMBERS = count(1)


class Bucket:
    """A bucket that holds one file at a time, and a session that reaches it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.run = Statements()
        self.run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint, REGION=sandbox.region, VALIDATE=False))
        self._s3 = self.run.connection("lake").client("s3")
        self._sandbox = sandbox

    @property
    def session(self) -> Session:
        """The session."""
        return self.run.session

    def put(self, file: Path) -> str:
        """The location of a folder that holds a file alone."""
        folder = f"of-{next(_NUMBERS)}/"
        self._s3.put_object(Bucket=EMPTY, Key=f"{folder}{file.name.lstrip('_.')}", Body=file.read_bytes())
        return f"s3://{EMPTY}/{folder}"

    def remove(self, location: str) -> None:
        """Empty it."""
        for one in self._s3.list_objects_v2(Bucket=EMPTY, Prefix=location.split("/", 3)[3])["Contents"]:
            self._s3.delete_object(Bucket=EMPTY, Key=one["Key"])


def outcome(bucket: Bucket, statement: str, file: Path) -> str:
    """What a statement makes of a file."""
    location = bucket.put(file)
    path = (location + file.name.lstrip("_.")).replace("'", "''")
    try:
        if statement == "PREVIEW":
            value = bucket.run(f"PREVIEW '{path}' USING lake")
            return f"shown\t{shown_in_all_forms(value)}"
        frame = _copied(bucket, location) if statement == "COPY" else _selected(bucket, path, statement == "TABLE")
    except InternalError as error:
        return f"defect\t{error.message}"
    except S3ConnError as error:
        return f"refused\t{error.message}"
    finally:
        bucket.remove(location)
    return compared(frame, file)


def _selected(bucket: Bucket, path: str, as_table: bool) -> pa.Table:
    name = f"t{next(_NUMBERS)}" if as_table else f"'{path}'"
    made = f"CREATE TABLE {name} LOCATION '{path}'; " if as_table else ""
    try:
        return _table(bucket.run(f"USE CONNECTION lake; {made}SELECT * FROM {name}"))
    finally:
        if as_table:
            bucket.run(f"DROP TABLE IF EXISTS {name}")


def _copied(bucket: Bucket, location: str) -> pa.Table:
    name = f"t{next(_NUMBERS)}"
    try:
        bucket.run(f"CREATE SYNC JOB {name} AS COPY FROM S3 lake LOCATION = '{location}' INTO {name}")
        failures = bucket.run(f"SHOW JOB {name} ERRORS")
        if len(failures):
            raise QueryError(str(failures.iloc[0]["error"]), hint="Look at it.")
        return _table(bucket.run(f'SELECT * EXCLUDE ("$object") FROM {name}'))
    finally:
        for statement in (f"DROP JOB IF EXISTS {name}", f"DROP TABLE IF EXISTS {name}"):
            bucket.run(statement)


def _table(frame: Any) -> pa.Table:
    # Names may repeat, which from_pandas refuses.
    columns = [pa.array(frame.iloc[:, at]) for at in range(frame.shape[1])]
    return pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns])


def compared(found: pa.Table, file: Path) -> str:
    """Whether a table has the cells of a file, by the reading of it that comes closest."""
    try:
        readings = expected(file)
    except Exception as error:  # noqa: BLE001 - whatever another reader makes of a file
        return f"unread\t{type(error).__name__}"
    said = [_difference(found, *reading) for reading in readings]
    closest = max(filter(None, said), key=lambda one: one[0], default=None)
    return f"different\t{closest[1]}" if closest and all(said) else "equal\t"


def _difference(found: pa.Table, names: list[str], rows: list[list[Any]]) -> tuple[int, str] | None:
    """How far they are equal, and what is not; None where all of it is."""
    if found.num_columns != len(names):
        return 0, f"{found.num_columns:,} columns in place of {len(names):,}"
    if len(found) != len(rows):
        return 1, f"{len(found):,} rows in place of {len(rows):,}"
    if uneven := next((at for at, row in enumerate(rows, 1) if len(row) != len(names)), None):
        return 1, f"row {uneven:,} has {len(rows[uneven - 1]):,} fields in place of {len(names):,}"
    columns = [column.slice(0, _ROWS).to_pylist() for column in found.columns]
    for at, row in enumerate(rows[:_ROWS]):
        for name, wanted, column in zip(names, row, columns, strict=True):
            if not same(wanted, column[at]):
                return 2 + at, f"row {at + 1:,}, column {name}: {column[at]!r:.80} in place of {wanted!r:.80}"
    return None


_Reading = tuple[list[str], list[list[Any]]]


def expected(file: Path) -> list[_Reading]:
    """Names and rows of a file by a reader that is none of ours, of a text of fields in each way that it may be read.

    The cells of such a text are texts; its fields may be separated by several characters, and its first line may be
    names or a row.
    """
    said, body = by_name(file.name), file.read_bytes()
    told = by_content(body) or said.format
    kind = told.name if told else ""
    if said.compression:
        body = pa.CompressedInputStream(pa.BufferReader(body), said.compression).read()
    if kind == "Avro":
        return [_records_of_avro(body)]
    if kind in {"Parquet", "ORC", "Arrow", "Arrow stream"}:
        read = {"Parquet": pq.read_table, "ORC": orc.read_table}.get(kind, _arrow)
        table = read(io.BytesIO(body))
        table.validate(full=True)
        if any(pa.types.is_struct(one.type) and one.type.get_field_index("metadata") == 0 for one in table.schema):
            raise ValueError("a variant may be written in several ways")
        rows = [[*row] for row in zip(*(one.to_pylist() for one in table.columns), strict=True)]
        return [(table.column_names, rows)]
    if kind.startswith("JSON"):
        return [_records(body.decode("utf-8-sig"))]
    if said.format and said.format.delimiter:
        text = body.decode("utf-8-sig")
        return [one for delimiter in ",;|\t" for one in _fields(text, delimiter)]
    raise ValueError("no other reader")


def _fields(text: str, delimiter: str) -> Iterator[_Reading]:
    """As documented: a delimiter behind the last field begins no other, and an empty line of one column is a NULL.

    Where the last field of another record is empty, it is a field more.
    """
    lines = [*csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]
    begin = next((at for at, line in enumerate(lines) if line), 0)
    width = len(lines[begin])
    lines = [line or [""] for line in lines[begin:] if line or width == 1]
    if lines and not any(len(line) == width and not line[-1] for line in lines):
        lines = [line[:-1] if len(line) == width + 1 and not line[-1] else line for line in lines]
    rows = [[value for _, value in zip_longest(lines[0], line)] for line in lines]
    yield lines[0], rows[1:]
    yield [f"column{at}" for at in range(len(lines[0]))], rows


def _arrow(file: Any) -> pa.Table:
    try:
        return pa.ipc.open_file(file).read_all()
    except pa.ArrowInvalid:
        file.seek(0)
        return pa.ipc.open_stream(file).read_all()


def _records_of_avro(body: bytes) -> _Reading:
    reader = fastavro.reader(io.BytesIO(body))
    schema: Any = reader.writer_schema
    if not isinstance(schema, dict) or schema["type"] not in {"record", "error"}:
        return ["value"], [[one] for one in reader]
    names = [field["name"] for field in schema["fields"]]
    return names, [[cast("dict[str, Any]", one)[name] for name in names] for one in reader]


def _records(text: str) -> _Reading:
    try:
        found = json.loads(text, parse_float=Decimal)
        found = found if isinstance(found, list) else [found]
    except ValueError:
        found = [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]
    names = [*dict.fromkeys(name for one in found if isinstance(one, dict) for name in one)]
    if not names or not all(isinstance(one, dict) for one in found):
        return ["json"], [["null" if one is None else one] for one in found]
    return names, [[one.get(name) for name in names] for one in found]


def same(wanted: Any, given: Any) -> bool:  # noqa: PLR0911 - one for each kind of value
    """Whether a cell is what it should be: equal, or of a text, what the text is written for."""
    if isinstance(wanted, str) and not isinstance(given, str):
        return _printed(wanted, given)
    if given is None or wanted is None:
        return given is wanted or (wanted in ({}, []) and given is None) or _is_nan(wanted) or _is_nan(given)
    if isinstance(given, str):
        return wanted == given or _same_json(wanted, given)
    if isinstance(wanted, dict) and isinstance(given, dict):
        return all(same(wanted.get(name), given.get(name)) for name in {*wanted, *given})
    if isinstance(wanted, list | tuple) or isinstance(given, list | tuple):
        wanted = [*wanted.items()] if isinstance(wanted, dict) else wanted
        given = [*given.items()] if isinstance(given, dict) else given
        return len(wanted) == len(given) and all(map(same, wanted, given))
    if isinstance(wanted, datetime) and isinstance(given, datetime):
        return _in_utc(wanted) == _in_utc(given)
    if isinstance(wanted, int | float | Decimal) and isinstance(given, int | float | Decimal):
        return _same_number(wanted, given)
    return bool(wanted == given)


def _same_number(wanted: Any, given: Any) -> bool:
    if _is_nan(wanted) or _is_nan(given):
        return _is_nan(wanted) and _is_nan(given)
    if isinstance(wanted, Decimal) and isinstance(given, float):
        return float(wanted) == given
    return isinstance(wanted, bool) == isinstance(given, bool) and bool(wanted == given)


def _same_json(wanted: Any, given: str) -> bool:
    try:
        return same(wanted, json.loads(given, parse_float=Decimal))
    except ValueError:
        return given in {str(wanted), wanted.decode("utf-8", "replace") if isinstance(wanted, bytes) else None}


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | Decimal) and math.isnan(value)


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _printed(text: str, value: Any) -> bool:  # noqa: PLR0911 - one for each type
    """Whether a value is what a text is written for."""
    plain = text.strip()
    if value is None:
        return plain.lower() in _NULLS
    if isinstance(value, bool):
        return plain.lower() == str(value).lower()
    try:
        if isinstance(value, int | Decimal):
            return Decimal(plain) == value and plain == str(value)
        if isinstance(value, float):
            return float(plain) == value or _is_nan(value)
        if isinstance(value, datetime):
            return _in_utc(datetime.fromisoformat(plain)) == _in_utc(value)
        if isinstance(value, date):
            return _is_date(plain, value)
        return isinstance(value, time) and time.fromisoformat(plain) == value
    except (ValueError, InvalidOperation):
        return False


def _is_date(text: str, value: date) -> bool:
    """Whether a text can only be this date: its year has four figures, and no other day and month fit."""
    figures = [int(one) for one in re.findall(r"\d+", text)]
    if len(figures) != 3:
        return False
    if figures[0] > 31:
        return figures == [value.year, value.month, value.day]
    ambiguous = max(figures[:2]) <= 12 and figures[0] != figures[1]
    return not ambiguous and sorted(figures) == sorted([value.year, value.month, value.day])


def tried(bucket: Bucket, statement: str, file: Path) -> str:
    """The outcome, whatever it is."""
    try:
        return outcome(bucket, statement, file)
    except Exception as error:  # noqa: BLE001 - no fault of one file ends the run
        return f"defect\t{type(error).__name__}: {error}"


def work(statements: list[str]) -> None:
    """Say what comes of each file that is named by the input, before the next one is."""
    sys.setrecursionlimit(10_000)  # to compare lists within each other
    with Sandbox.start() as sandbox:
        bucket = Bucket(sandbox)
        for line in sys.stdin:
            for statement in statements:
                said = tried(bucket, statement, Path(line.rstrip("\n")))
                print(statement, " ".join(said.split("\n")), sep="\t", flush=True)
            print(flush=True)


def outcomes(files: list[Path], statements: list[str]) -> Iterator[tuple[Path, str, str, str]]:
    """File, statement, outcome, and what there is to say of it; by a process that is begun again when it ends."""
    worker = None
    for file in files:
        worker = worker or subprocess.Popen(
            [sys.executable, __file__, "--work", *statements], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert worker.stdin
        assert worker.stdout
        worker.stdin.write(f"{file}\n")
        worker.stdin.flush()
        late = threading.Timer(LONGEST, worker.kill)
        late.start()
        while line := worker.stdout.readline():
            if line == "\n":
                break
            statement, kind, said = line.rstrip("\n").split("\t", 2)
            yield file, statement, kind, said
        else:
            yield file, "", "died", f"exit status {worker.wait()}, or ended after {LONGEST} s"
            worker = None
        late.cancel()
    if worker:
        worker.communicate()


def main() -> None:
    """Go through the files of the folder, and say what came of each."""
    if sys.argv[1] == "--work":
        work(sys.argv[2:])
        return
    root = Path(sys.argv[1])
    files = sorted(file for file in root.rglob("*") if file.is_file() and 0 < file.stat().st_size <= LARGEST)
    counts: Counter[str] = Counter()
    for file, statement, kind, said in outcomes(files, sys.argv[2:] or [*STATEMENTS]):
        counts[f"{statement} {kind}"] += 1
        print(kind, statement, file.relative_to(root), said, sep="\t", flush=True)
    for name, number in sorted(counts.items()):
        print(f"{number:,}\t{name}")


if __name__ == "__main__":
    main()
