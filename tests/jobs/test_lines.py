"""SPLIT_LINES, REGEX and FIXED_WIDTH over one stream: packed, in any encoding, and what does not fit is counted."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest

from s3conn_magic.errors import QueryError
from s3conn_magic.language.job_values import Content, content_type
from s3conn_magic.objects.formats import Detected, detect, of_type
from s3conn_magic.query.line_rows import Skipped, batches

S3 = (
    'owner bucket [04/Mar/2026:05:06:07 +0000] 198.51.100.7 who ID REST.GET.OBJECT a/b "GET /a/b HTTP/1.1" 200 - 113 -'
    ' 7 6 "-" "agent "quoted" 1.0" -'
)
OWNER = "0123456789abcdef" * 4


def _read(data: bytes, content: Any, encoding: str = "utf-8", compression: str | None = None) -> tuple[Any, Skipped]:
    found = Detected(of_type(content.type), compression, encoding, content.settings)
    skipped = Skipped()
    rows = batches(found, io.BytesIO(data), skipped).read_all()
    return [tuple(row.values()) for row in rows.to_pylist()], skipped


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_decoded_and_unpacked(encoding: str, packed: bool):
    """The same lines whatever they are stored as; the end of the last line may be missing."""
    body = "käse\r\n\nbrot".encode(encoding)
    data = gzip.compress(body) if packed else body
    rows, skipped = _read(data, Content("SPLIT_LINES", {}), encoding, "gzip" if packed else None)
    assert rows == [("käse",), ("",), ("brot",)]
    assert not skipped.count


def test_lines_that_do_not_match_are_counted_with_their_numbers():
    """Over more lines than are matched at once; a line without any character is none."""
    lines = [f"id={at}" for at in range(25_000)]
    lines[6], lines[12_345], lines[24_999] = "no", "", "neither"
    rows, skipped = _read("\n".join(lines).encode(), content_type({"TYPE": "REGEX", "PATTERN": r"^id=(?<id>\d+)$"}))
    assert len(rows) == 24_997
    assert (rows[0], rows[-1]) == (("0",), ("24998",))
    assert skipped.count == 2
    assert skipped.note() == (
        "2 lines not matched by the PATTERN, and not loaded, the first: line 7: no; line 25,000: neither"
    )


@pytest.mark.parametrize(
    ("text", "rows", "left_out"),
    [
        ("a=1\na=2\n", 2, []),
        ("head\na=1 rest\n more\n\nsuch a=2\n", 2, [(1, "head"), (3, " more")]),
        ("a=1 a=2\nlast", 2, [(2, "last")]),
        ("no\nnone\n", 0, [(1, "no"), (2, "none")]),
        ("a=\n1\nx\na=\n2", 2, [(3, "x")]),
        ("", 0, []),
    ],
)
def test_lines_between_matches_over_lines_are_counted(text: str, rows: int, left_out: list[tuple[int, str]]):
    """With MULTI_LINE, those that no match has a part of; a line without any character is none."""
    settings = {"TYPE": "REGEX", "PATTERN": r"a=\s*(?<a>\d+)", "MULTI_LINE": True}
    found, skipped = _read(text.encode(), content_type(settings))
    assert (len(found), skipped.first, skipped.count) == (rows, left_out, len(left_out))


def test_groups_have_names_in_either_spelling_and_nulls():
    """`(?<name>…)` and `(?P<name>…)`."""
    for group in ("(?<a>", "(?P<a>"):
        settings = {"TYPE": "REGEX", "PATTERN": group + r"\S+) (?<b>\S+)", "NULL_VALUES": "-"}
        assert _read(b"x -\n- y\n", content_type(settings))[0] == [("x", None), (None, "y")]


def test_lines_of_fixed_width_that_are_too_short_are_counted():
    """What they have is loaded."""
    fields = (
        {"COLUMN_NAME": "a", "START_INDEX": 0, "END_INDEX": 2},
        {"COLUMN_NAME": "b", "START_INDEX": 3, "END_INDEX": 5},
    )
    rows, skipped = _read(b"abcdef\nxyz\n\nghi k\n", content_type({"TYPE": "FIXED_WIDTH", "COLUMNS": fields}))
    assert rows == [("abc", "def"), ("xyz", None), ("ghi", "k")]
    assert skipped.note() == (
        "1 line too short for the last of the columns, which are NULL there, the first: line 2: xyz"
    )


def test_bytes_of_another_encoding_are_damage():
    """Never a traceback."""
    with pytest.raises(QueryError, match="byte 2 is not UTF-8"):
        _read(b"a\n\xff\n", Content("SPLIT_LINES", {}))


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (S3, {"time": "04/Mar/2026:05:06:07 +0000", "key": "a/b", "user_agent": 'agent "quoted" 1.0', "host_id": None}),
        (f"{S3} host SigV4 - - bucket.s3 TLSv1.2 - Yes", {"host_header": "bucket.s3", "acl_required": "Yes"}),
        (f"{S3} host SigV4 - - bucket.s3 TLSv1.2 - - eu-1 more", {"referer": None, "source_region": "eu-1"}),
        (S3.replace('"GET /a/b HTTP/1.1"', "-").replace("a/b", "-"), {"request_uri": None, "key": None}),
    ],
)
def test_every_record_of_a_server_access_log_is_a_row(line: str, fields: dict[str, str | None]):
    """Those of all years, with user agents as they come."""
    data = line.replace("owner", OWNER, 1).encode() + b"\n"
    found = detect("x", data, whole=True)
    skipped = Skipped()
    (row,) = batches(found, io.BytesIO(data), skipped).read_all().to_pylist()
    assert not skipped.count
    assert {name: row[name] for name in fields} == fields
    assert row["bucket_owner"] == OWNER
