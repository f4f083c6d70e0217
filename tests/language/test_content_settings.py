"""What stands beside TYPE in CONTENT_TYPE = (…)."""

from __future__ import annotations

import pytest

from s3conn_magic.language.job_values import content_type


@pytest.mark.parametrize("kind", ["CSV", "TSV"])
@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("SKIP_LINES", 2, 2),
        ("SKIP_LINES", 0, 0),
        ("COMMENT_PREFIX", "#", "#"),
        ("COMMENT_PREFIX", "//", "//"),
        ("NULL_VALUES", "-", ("-",)),
        ("NULL_VALUES", ("-", "", "-"), ("-", "")),
        ("ENCODING", "UTF-16", "utf-16"),
        ("ENCODING", "latin-1", "iso8859-1"),
        ("ENCODING", "windows-1252", "cp1252"),
        ("DATE_FORMAT", "%d/%m/%Y", "%d/%m/%Y"),
        ("TIMESTAMP_FORMAT", "%-d. %b %Y %H:%M:%S.%g %z", "%-d. %b %Y %H:%M:%S.%g %z"),
    ],
)
def test_settings_of_text_are_read(kind: str, name: str, written: object, read: object):
    """As they are stored, whatever the spelling."""
    assert content_type({"TYPE": kind, name: written}).settings == {name: read}


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("SKIP_LINES", -1, "it is a number of lines"),
        ("SKIP_LINES", True, "it is a number of lines"),
        ("SKIP_LINES", "2", "it is a number of lines"),
        ("COMMENT_PREFIX", "", "what comments begin with"),
        ("NULL_VALUES", (), "it looks like"),
        ("NULL_VALUES", (1,), "it looks like"),
        ("ENCODING", "utf-9", "it is one such as 'utf-8'"),
        ("ENCODING", "base64", "it is one such as 'utf-8'"),
        ("ENCODING", "idna", "it is one such as 'utf-8'"),
        ("ENCODING", "a\0b", "it is one such as 'utf-8'"),
        ("DATE_FORMAT", "dd/MM/yyyy", "the codes of strftime"),
        ("DATE_FORMAT", "%q", "the codes of strftime"),
        ("DATE_FORMAT", "100%%", "the codes of strftime"),
        ("TIMESTAMP_FORMAT", "%d %", "the codes of strftime"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_what_it_is(name: str, written: object, said: str):
    """The message names it."""
    with pytest.raises(ValueError, match=f"{name}: .*{said}"):
        content_type({"TYPE": "CSV", name: written})


@pytest.mark.parametrize("kind", ["AUTO", "CSV", "TSV", "JSON", "CLOUDTRAIL", "SPLIT_LINES", "REGEX", "FIXED_WIDTH"])
def test_every_text_takes_an_encoding(kind: str):
    """What is no text takes none."""
    needed = {
        "REGEX": {"PATTERN": "(a)"},
        "FIXED_WIDTH": {"COLUMNS": {"COLUMN_NAME": "a", "START_INDEX": 0, "END_INDEX": 1}},
    }.get(kind, {})
    assert content_type({"TYPE": kind, "ENCODING": "cp1252", **needed}).get("ENCODING") == "cp1252"


@pytest.mark.parametrize("kind", ["PARQUET", "ORC", "AVRO", "ARROW"])
def test_what_is_no_text_takes_no_setting(kind: str):
    """It says itself what it is."""
    assert content_type(kind).type == kind
    with pytest.raises(ValueError, match=f"TYPE = {kind} also takes nothing"):
        content_type({"TYPE": kind, "ENCODING": "utf-8"})


def test_multi_line_is_another_spelling():
    """Of MULTILINE; not both."""
    settings = {"TYPE": "REGEX", "PATTERN": "(?<a>.)"}
    assert content_type({**settings, "MULTI_LINE": True}).get("MULTILINE") is True
    with pytest.raises(ValueError, match="appears twice"):
        content_type({**settings, "MULTI_LINE": True, "MULTILINE": True})
