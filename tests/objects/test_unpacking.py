"""One reader of packed and encoded content: whole, damaged, of several members, in any encoding, and for DuckDB."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
from typing import TYPE_CHECKING

import cramjam
import pytest
from lakes import moto_lake  # noqa: F401 - pytest finds it here
from packing import by_arrow

from s3conn_magic.errors import QueryError
from s3conn_magic.locations import Location
from s3conn_magic.objects.formats import compression_of
from s3conn_magic.objects.scope import AsPlain, QueryScope
from s3conn_magic.objects.unpacking import as_gzip, unpack, unpacked

if TYPE_CHECKING:
    from lakes import Lake

TEXT = b"".join(b"%d,line %d\n" % (at, at * 7919) for at in range(60_000))


PACK = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": by_arrow("zstd"),
    "lz4": by_arrow("lz4"),
    "snappy": lambda data: bytes(cramjam.snappy.compress(data)),
}
CODECS = pytest.mark.parametrize("codec", PACK)


def _read(data: bytes, codec: str | None, encoding: str = "utf-8", closing: bytes = b"") -> bytes:
    return unpacked(io.BytesIO(data), codec, encoding, closing=closing).read()


@CODECS
def test_what_was_packed_comes_out_however_it_is_asked_for(codec: str):
    """By the first bytes it is known; all at once, in odd steps, again from the beginning, and as a gzip file."""
    packed = PACK[codec](TEXT)
    assert compression_of(packed) == codec
    stream = unpacked(io.BytesIO(packed), codec, "utf-8")
    assert stream.read() == TEXT
    stream.seek(5)
    assert stream.read(100_001) == TEXT[5:100_006]
    assert stream.tell() == 100_006
    assert gzip.decompress(as_gzip(stream).read()) == TEXT
    assert _read(PACK[codec](b""), codec) == b""


@CODECS
def test_members_behind_each_other_are_one_content(codec: str):
    """As `cat a.gz b.gz` makes them."""
    assert _read(PACK[codec](b"a\n") + PACK[codec](TEXT), codec) == b"a\n" + TEXT


@pytest.mark.parametrize("codec", ["gzip", "bz2", "xz"])
@pytest.mark.parametrize("zeros", [1, 512, 600_000])
def test_zeros_behind_a_member_are_padding(codec: str, zeros: int):
    """What follows them is read."""
    assert _read(PACK[codec](TEXT) + bytes(zeros), codec) == TEXT
    assert _read(PACK[codec](TEXT) + bytes(zeros) + PACK[codec](b"x"), codec) == TEXT + b"x"


@CODECS
@pytest.mark.parametrize("cut", [1, 0.5, 3])
def test_packed_data_that_are_cut_off_are_damaged(codec: str, cut: float):
    """One byte is missing, half of it, or all but the magic bytes."""
    packed = PACK[codec](TEXT)
    left = {1: packed[:-1], 0.5: packed[: len(packed) // 2], 3: packed[:3]}[cut]
    with pytest.raises(QueryError, match=f"damaged: its {codec} data are cut off after [0-9,]+ unpacked bytes"):
        _read(left, codec)


@pytest.mark.parametrize("codec", ["gzip", "bz2", "xz", "snappy"])
def test_a_byte_that_was_changed_is_damage(codec: str):
    """Wherever it is, its checksum tells."""
    packed = PACK[codec](TEXT)
    for at in random.Random(codec).sample(range(30, len(packed) - 12), 20):
        changed = packed[:at] + bytes([packed[at] ^ 0x10]) + packed[at + 1 :]
        with pytest.raises(QueryError, match="the object is damaged: "):
            _read(changed, codec)


def test_what_is_wrong_with_gzip_is_said():
    """The checksum, the length, or what stands behind it."""
    packed = gzip.compress(b"hello")
    with pytest.raises(QueryError, match=r"checksum \(CRC\) of its gzip data does not match"):
        _read(packed[:-8] + b"\0\0\0\0" + packed[-4:], "gzip")
    with pytest.raises(QueryError, match="another length than they say"):
        _read(packed[:-4] + b"\1\0\0\0", "gzip")
    with pytest.raises(QueryError, match="cannot be unpacked after 5 unpacked bytes"):
        _read(packed + b"rubbish", "gzip")


@CODECS
def test_the_beginning_is_unpacked_up_to_a_bound(codec: str):
    """Whole, more than is wanted, a beginning of packed bytes, and damage."""
    packed = PACK[codec](TEXT)
    assert unpack(packed, codec, limit=1000, whole=True).data == TEXT[:1000]
    whole = unpack(packed, codec, limit=len(TEXT), whole=True)
    assert (whole.data, whole.ended, whole.damaged) == (TEXT, True, False)
    part = unpack(packed[: len(packed) // 2], codec, limit=len(TEXT), whole=False)
    assert TEXT.startswith(part.data)
    assert (part.ended, part.damaged) == (False, False)
    assert unpack(packed[: len(packed) // 2], codec, limit=len(TEXT), whole=True).damaged


def test_a_bomb_is_unpacked_piece_by_piece():
    """A stream that becomes a gigabyte gives its first bytes from a few."""
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    source = io.BytesIO(bomb * 16)
    assert unpacked(source, "gzip").read(10) == bytes(10)
    assert source.tell() < len(bomb) * 10


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "cp1252", "latin-1"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_text_comes_out_as_utf_8_without_a_mark(encoding: str, mark: str):
    """In every encoding, with characters cut by the ends of pieces."""
    if mark and encoding in {"cp1252", "latin-1", "utf-16"}:
        mark = ""
    text = "x,käse,brøt\r\n" * 50_000
    assert _read((mark + text).encode(encoding), None, encoding).decode() == text


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [
        (b"a\xff", "utf-8", "byte 1 is not UTF-8"),
        (b"a" * 300_000 + b"\xc3", "utf-8", "byte 300,000 is not UTF-8"),
        (b"a" * 262_143 + b"\xc3(", "utf-8", "byte 262,143 is not UTF-8"),
        (b"\xef\xbb\xbfa\xff", "utf-8", "byte 4 is not UTF-8"),
        (b"ab\x81", "cp1252", "byte 2 is not cp1252"),
        (b"a\0b", "utf-16-le", "byte 2 is not UTF-16-LE"),
        (b"a\0\x00\xd8a\0", "utf-16-le", "byte 2 is not UTF-16-LE"),
    ],
)
def test_bytes_that_are_not_of_the_encoding_are_told_by_their_place(body: bytes, encoding: str, said: str):
    """The first of them; nothing is put instead."""
    with pytest.raises(QueryError, match=said):
        _read(body, None, encoding)


@pytest.mark.parametrize(
    ("body", "ends"),
    [
        ('[{"id":1},{"id":2},', False),
        ('[{"id":1},{"id":2}', False),
        ("[[1],[2]", False),
        ('["]"', False),
        (r'["\\\"]', False),
        (" \n[1", False),
        ("[1]", True),
        ("[]\n", True),
        (r'["\\"]', True),
        (r'["\"[["]', True),
        ("[1]\n[2]\n", True),
        ('{"a": "["}', True),
        ('{"a": [', True),  # no array: the reader of the records tells it
        ("", True),
    ],
)
@pytest.mark.parametrize("padding", [0, 262_140])
def test_an_array_of_json_that_does_not_end_is_damaged(body: str, ends: bool, padding: int):
    """Brackets in texts do not count, and the end of a piece may lie anywhere."""
    data = (" " * padding + body).encode()
    if ends:
        assert _read(data, None, closing=b"]") == data
    else:
        with pytest.raises(QueryError, match="its array of JSON does not end"):
            _read(data, None, closing=b"]")


class _InPieces(io.BytesIO):
    """A file that gives less than is asked for."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__()
        self._left = iter(pieces)

    def read(self, size: int | None = -1) -> bytes:
        del size
        return next(self._left, b"")


def test_arrays_agree_with_a_parser_wherever_they_are_cut():
    """Every beginning of an array is damaged but the whole, in pieces of every size."""
    text = json.dumps([{"a": 'x"]\\', "b": [1, [2, "["]]}, "\\\\", [], "\\"]).encode()
    for size in (1, 2, 3, 7, len(text)):
        for cut in range(1, len(text) + 1):
            part = text[:cut]
            pieces = [part[at : at + size] for at in range(0, cut, size)]
            stream = unpacked(_InPieces(pieces), None, closing=b"]")
            if cut == len(text):
                assert stream.read() == text
            else:
                with pytest.raises(QueryError, match="does not end"):
                    stream.read()


def _plain(lake: Lake, key: str, body: bytes, how: AsPlain, query: str) -> list[tuple[object, ...]]:
    """What DuckDB reads of an object that is noted in the scope."""
    run = lake.session()
    lake.client.put_object(Bucket=lake.bucket, Key=key, Body=body)
    engine, scope = run.session.queries.engine, QueryScope()
    scope.unpacked["lake", Location(lake.bucket, key)] = how

    def read() -> list[tuple[object, ...]]:
        engine.filesystem.scope.unpacked.update(scope.unpacked)
        return engine.database.execute(query.format(path=f"unpacked://lake@{lake.bucket}/{key}")).fetchall()

    return engine.alone(read)


@pytest.mark.parametrize("codec", [None, *PACK])
def test_duckdb_reads_csv_of_every_codec_and_encoding(moto_lake: Lake, codec: str | None):  # noqa: F811
    """Thirty megabytes of it, by its own reader."""
    text = "id,name\n" + "".join(f"{at},käse {at * 7919}\n" for at in range(1_000_000 if codec == "gzip" else 10_000))
    body = text.encode("utf-16-le")
    body = PACK[codec](body) if codec else body
    query = "SELECT count(*), sum(id), min(name), max(length(name)) FROM read_csv('{path}', compression = 'gzip')"
    ((count, total, least, longest),) = _plain(moto_lake, "x", body, AsPlain(codec, "utf-16-le"), query)
    assert (count, least, longest) == (text.count("\n") - 1, "käse 0", len(text.splitlines()[-1].partition(",")[2]))
    assert total == count * (count - 1) // 2


def test_duckdb_reads_json_and_the_array_has_to_end(moto_lake: Lake):  # noqa: F811
    """By read_json_objects; a damaged object is told in the words of this package, with its place."""
    query = "SELECT count(*) FROM read_json_objects('{path}', format = 'auto', compression = 'gzip')"
    body = "[" + ", ".join(f'{{"id": {at}, "name": "n{at}"}}' for at in range(300_000)) + "]"
    how = AsPlain(None, "utf-8", b"]")
    assert _plain(moto_lake, "whole", body.encode(), how, query) == [(300_000,)]
    with pytest.raises(QueryError, match=f"s3://{moto_lake.bucket}/cut: the object is damaged: its array of JSON"):
        _plain(moto_lake, "cut", b'[{"id":1},{"id":2},', how, query)
    with pytest.raises(QueryError, match="byte 5 is not UTF-8"):
        _plain(moto_lake, "odd", b'{"a":\xff}', how, query)


@pytest.mark.parametrize(
    ("text", "skip", "comment", "left"),
    [
        ("a\nb\nc\n", 1, "", "b\nc\n"),
        ("a\nb\nc", 3, "", ""),
        ("a\r\nb\r\n", 1, "", "b\r\n"),
        ("a", 5, "", ""),
        ("#x\na,#b\n#y\n\nc#\n#z", 0, "#", "a,#b\n\nc#\n"),
        ("//x\n/a\n", 0, "//", "/a\n"),
        ('"a\n#b"\n#c\nd\n', 0, "#", '"a\n#b"\nd\n'),
        ("#a\n#b\nc\n", 1, "#", "c\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_are_left_out_at_the_beginning_and_where_they_are_comments(text, skip, comment, left, size):
    """Not within a quoted field, and never a part of a line; pieces may end anywhere."""
    pieces = [text.encode()[at : at + size] for at in range(0, len(text), size)]
    stream = unpacked(_InPieces(pieces), None, "utf-8", skip=skip, comment=comment.encode())
    assert stream.read().decode() == left


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_log_whose_fields_change_is_refused(size: int):
    """The same fields once more are those of a server that was started again."""

    def read(text: bytes) -> bytes:
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        return unpacked(_InPieces(pieces), None, "utf-8", comment=b"#").read()

    assert read(b"#Fields: a b\n1 2\n#Date: x\n#Fields: a  b\r\n3 4\n") == b"1 2\n3 4\n"
    with pytest.raises(QueryError, match="#Fields line of the log changes"):
        read(b"#Fields: a b\n1 2\n#Fields: b a\n3 4\n")
