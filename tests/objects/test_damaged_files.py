"""Five hundred damaged files: each has a preview in every form or one clear error, and nothing ends the process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from damaged import FORMATS, damaged, whole
from served import previewed

import s3conn_magic
from s3conn_magic.errors import QueryError
from s3conn_magic.objects import apart
from s3conn_magic.objects.apart import record_batches

EACH = 28
ROOT = Path(s3conn_magic.__file__).parents[1]


def test_damaged_files_are_shown_or_said_to_be_damaged():
    """Cut, flipped, zeroed, swapped and inserted bytes in each format end neither a preview nor the process."""
    paths = [ROOT, *(ROOT / "tests" / part for part in ("support", "listing")), ROOT / "benchmarks"]
    done = subprocess.run(
        [sys.executable, ROOT / "tests/support/every_preview.py", "0", str(EACH)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) == EACH * len(FORMATS) > 500
    assert not [line for line in lines if "DEFECT" in line[-1]]
    said = {name: {line[-1].partition(":")[2] for line in lines if line[0] == name} for name in FORMATS}
    # A checksum, or what stands where it must not, shows in each format but those of text and pictures.
    silent = {name for name, notes in said.items() if not any("damaged" in note for note in notes)}
    assert silent <= {"t.csv", "t.jsonl", "t.json", "p.png"}


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_files_whole_have_no_notes(name):
    """What is damaged above is shown without a word before it is."""
    found = previewed(whole(name), name, rows=20)
    assert found.kind == ("image" if name == "p.png" else "table")
    assert found.notes == (("the sheet Sheet, the first of 1",) if name == "book.xlsx" else ())


@pytest.mark.parametrize(
    ("name", "library", "kind"), [("null.avro", "fastavro", "binary"), ("book.xlsx", "openpyxl", "table")]
)
def test_a_library_that_is_not_there_is_named_with_what_installs_it(name, library, kind, monkeypatch, tmp_path):
    """Without the extra the bytes, or the members, are shown, and the command that brings the library."""
    (tmp_path / f"{library}.py").write_text("raise ImportError\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(apart, "_idle", [])
    found = previewed(whole(name), name)
    assert found.kind == kind
    assert f"the library {library} is not installed" in "; ".join(found.notes)
    assert "pip install" in "; ".join(found.notes)
    assert library in found.notes[-1]


def test_a_copy_outlives_a_library_that_ends_over_a_damaged_orc_file():
    """Each of fifty damaged files is read, or refused as damaged; ORC's library runs apart for jobs, too."""
    refused = 0
    for number in range(50):
        try:
            for batch in record_batches("ORC", io.BytesIO(damaged("plain.orc", number))):
                assert len(batch)
        except QueryError as error:
            assert "damaged" in error.message  # noqa: PT017 - one of both is right
            refused += 1
    assert refused > 10
    assert sum(map(len, record_batches("ORC", io.BytesIO(whole("plain.orc"))))) == 60


@pytest.mark.parametrize(
    ("name", "kind"), [("plain.arrow", "ARROW"), ("stream.arrows", "ARROW"), ("null.avro", "AVRO")]
)
def test_no_batch_of_a_damaged_file_reaches_beyond_its_own_bytes(name, kind):
    """Offsets, lengths and texts of what is given to queries and jobs are right, or the object is damaged."""
    refused = 0
    for number in range(100):
        try:
            for batch in record_batches(kind, io.BytesIO(damaged(name, number))):
                batch.validate(full=True)
        except QueryError:
            refused += 1
    assert refused > 50
