"""Pictures, other formats, hostile bytes, and what is not read at all."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zlib

import pyarrow as pa
import pytest
from pyarrow import orc
from served import previewed, serving

from s3conn_magic.objects.scope import BLOCKS
from s3conn_magic.preview.preview import IMAGE_AT_MOST
from s3conn_magic.sandbox.data import bar_chart

MIB = 1024 * 1024
PNG = bar_chart([1, 2, 3], 30, 40)


def jpeg(*, before=b""):
    """A JPEG's headers: 20 by 10 pixels, behind other segments."""
    frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 10, 20) + b"\x03" + bytes(9)
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(9) + before + frame + b"\xff\xda" + bytes(500)


def segment(size):
    """A camera's notes."""
    return b"\xff\xe1" + struct.pack(">H", size) + bytes(size - 2)


WEBP = b"RIFF\x00\x00\x00\x00WEBP"


@pytest.mark.parametrize(
    ("body", "format_", "size"),
    [
        (PNG, "PNG", (30, 40)),
        (b"GIF89a" + struct.pack("<HH", 5, 6) + bytes(20), "GIF", (5, 6)),
        (jpeg(), "JPEG", (20, 10)),
        (jpeg(before=segment(60_000) * 3), "JPEG", (20, 10)),
        (WEBP + b"VP8X" + bytes(8) + b"\x09\x00\x00\x13\x00\x00", "WebP", (10, 20)),
        (WEBP + b"VP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 9 | 19 << 14), "WebP", (10, 20)),
        (WEBP + b"VP8 " + bytes(7) + b"\x9d\x01\x2a" + struct.pack("<HH", 10, 20), "WebP", (10, 20)),
        (PNG[:14], "PNG", (None, None)),
        (b"\xff\xd8\xff", "JPEG", (None, None)),
        (b"\xff\xd8" + b"\xff" * 500, "JPEG", (None, None)),
    ],
)
def test_a_picture_is_known_by_its_bytes(body, format_, size):
    """Whatever it is called: format, media type, pixels, and the bytes themselves."""
    found = previewed(body, "anything.csv")
    assert (found.kind, found.format, found.mime) == ("image", format_, f"image/{format_.lower()}")
    assert (found.width, found.height) == size
    assert found.image == body


def test_a_large_picture_is_read_no_further_than_its_header():
    """Nine megabytes of PNG: pixels and a note, and one block on the wire."""
    with serving(PNG + bytes(IMAGE_AT_MOST)) as place:
        found = place.preview("photo.png")
    assert (found.kind, found.image, found.width, found.truncated) == ("image", None, 30, True)
    assert found.notes == ("the picture is too large to be shown",)
    assert place.served.sent == 64 * 1024


def test_a_picture_of_too_many_pixels_is_not_shown():
    """A small file that would be drawn as gigabytes."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    body = PNG[:8] + struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    found = previewed(body)
    assert (found.image, found.width, found.height) == (None, 100_000, 100_000)


def test_an_svg_is_a_text_that_may_be_drawn():
    """A picture that could hold scripts is a text, and its type says what it is; one with entities is no picture."""
    found = previewed(b'<svg xmlns="x"><script>alert(1)</script></svg>', "logo.svg", content_type="image/svg+xml")
    assert (found.kind, found.format, found.image) == ("text", "SVG", found.text.encode())
    assert found.mime == "image/svg+xml"
    bomb = b'<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg xmlns="http://www.w3.org/2000/svg"><text>&a;</text></svg>'
    assert previewed(bomb, "bomb.svg").image is None


@pytest.mark.parametrize(
    ("body", "format_"),
    [
        (b"PK\x03\x04" + bytes(50), "ZIP"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"\x7fELF" + bytes(50), "ELF"),
        (b"SQLite format 3\x00" + bytes(50), "SQLite"),
        (b"Obj\x01\x04\x16avro.schema", "Avro"),
        (b"\x89HDF\r\n\x1a\n" + bytes(9), "HDF5"),
        (bytes(257) + b"ustar" + bytes(500), "tar"),
        (b"BM" + bytes(60), "BMP"),
        (random.Random(1).randbytes(5_000), "binary"),
        (bytes(5_000), "binary"),
        (b"\x00", "binary"),
    ],
)
def test_other_formats_are_named_and_dumped(body, format_):
    """What is not opened is shown as bytes: at most 512 of them, one block read."""
    found = previewed(body, "x.csv")
    assert (found.kind, found.format, found.frame, found.text) == ("binary", format_, None, None)
    assert found.hex_dump.startswith("00000000  " + body[:8].hex(" "))
    assert found.truncated is (len(body) > 512)


@pytest.mark.parametrize("body", [b"BMW is a car\n", b"ORC and elf\n", b"MZ\n", b"ID3 is a tag\n"])
def test_a_text_that_begins_like_a_format_is_a_text(body):
    """Two or three letters do not make a program of it."""
    assert previewed(body).text == body.decode()


def test_the_schema_of_orc_is_said():
    """By its end, as with Parquet; its rows are not opened."""
    file = io.BytesIO()
    orc.write_table(pa.table({"n": range(1000), "s": ["x"] * 1000}), file)
    found = previewed(file.getvalue(), "t.orc")
    assert (found.format, found.schema, found.total_rows) == ("ORC", (("n", "int64"), ("s", "string")), 1000)


def test_the_schema_of_arrow_is_said():
    """A file of Arrow's own."""
    file = io.BytesIO()
    table = pa.table({"n": [1]})
    with pa.ipc.new_file(file, table.schema) as out:
        out.write_table(table)
    found = previewed(file.getvalue())
    assert (found.format, found.schema) == ("Arrow", (("n", "int64"),))


DAMAGED = "its rows are not shown: it is damaged, or written in a way that cannot be read here"


@pytest.mark.parametrize("body", [b"ORC" + bytes(90), b"ARROW1" + bytes(90), b"ORC\x00", b"ARROW1\x00\x00ARROW1"])
def test_a_schema_that_cannot_be_read_is_a_note(body):
    """A broken end does not break the preview."""
    (note,) = previewed(body).notes
    assert note == DAMAGED


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "empty"),
        (b"a", "text"),
        (b"\n", "text"),
        (b"\xef\xbb\xbf", "text"),
        (b"\xff\xfe", "text"),
        (b"\x1f\x8b\x08", "binary"),
        (b"BZh91AY&SY", "binary"),
        (b"\x28\xb5\x2f\xfd", "binary"),
        (b"PAR1", "text"),
        (b"PAR1PAR1", "text"),
        (b"{", "text"),
        (b"[" * 100_000, "text"),
        (b'{"a":' * 50_000, "text"),
        (b'"' * 100_000, "text"),
        (b"," * 300_000, "text"),
        (b"\x1b[31m\x00red\x07 and much more text than control characters\n", "text"),
        ("\u202eabc\u2066\u200b\n".encode(), "text"),
        (b"<script>alert(1)</script>", "text"),
        (gzip.compress(gzip.compress(b"x" * 100, mtime=0), mtime=0), "binary"),
        (b"\xed\xa0\x80" * 20, "text"),
    ],
)
@pytest.mark.parametrize("key", ["x", "x.csv", "x.parquet", "x.json"])
def test_odd_bytes_have_a_preview(body, kind, key):
    """Nothing is odd enough to raise."""
    found = previewed(body, key)
    assert found.kind == kind or (key == "x.csv" and found.kind == "table")
    assert found.frame is None or repr(found.frame)


@pytest.mark.parametrize("seed", range(80))
def test_noise_after_any_beginning_has_a_preview(seed):
    """A known beginning, then anything."""
    noise = random.Random(seed)
    starts = [
        *(
            b"PAR1",
            b"ORC",
            b"ARROW1",
            b"\x1f\x8b\x08",
            b"BZh91AY&SY",
            b"\x28\xb5\x2f\xfd",
            b"GIF8",
            b"RIFF1234WEBPVP8 ",
        ),
        *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"{", b"[", b"a,b\n1,2\n", b"\xff\xfe", b"\xef\xbb\xbf", b""),
    ]
    body = starts[seed % len(starts)] + noise.randbytes(noise.choice((1, 30, 3_000, 100_000)))
    found = previewed(body + noise.choice((b"", b"PAR1", b"ARROW1")), noise.choice(("x", "x.csv", "x.parquet")))
    assert found.kind in {"table", "text", "image", "binary"}


@pytest.mark.parametrize(
    ("headers", "note"),
    [
        ({"x_amz_storage_class": "GLACIER"}, "it is in GLACIER: it must be restored before it can be read"),
        (
            {"x_amz_storage_class": "DEEP_ARCHIVE", "x_amz_restore": 'ongoing-request="true"'},
            "it is in DEEP_ARCHIVE: its restore is in progress",
        ),
        (
            {"x_amz_storage_class": "INTELLIGENT_TIERING", "x_amz_archive_status": "ARCHIVE_ACCESS"},
            "it is in ARCHIVE_ACCESS: it must be restored before it can be read",
        ),
    ],
)
def test_what_is_archived_is_not_asked_for(headers, note):
    """It says so, with the state of a restore; no GET is sent."""
    with serving(b"cold", **headers) as place:
        found = place.preview()
    assert (found.kind, found.notes, found.bytes_read) == ("archived", (note,), 0)
    assert [one.method for one in place.recorder.requests] == ["HEAD"]


def test_what_was_restored_is_read():
    """For as long as the restored copy is there."""
    restored = 'ongoing-request="false", expiry-date="Fri, 02 Jan 2026 00:00:00 GMT"'
    assert previewed(b"cold", x_amz_storage_class="GLACIER", x_amz_restore=restored).text == "cold"


def test_a_description_that_is_there_saves_the_head():
    """Only the GET is sent."""
    with serving(b"hello") as place:
        known = place.preview().description
        BLOCKS.shrink(0)
        found = place.preview(description=known)
    assert (found.text, found.requests) == ("hello", 1)
    assert [one.method for one in place.recorder.requests] == ["HEAD", "GET", "GET"]
