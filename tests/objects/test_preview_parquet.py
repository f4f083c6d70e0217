"""Parquet: footer and first pages only, whatever the file's size, and nothing that a broken one says is believed."""

from __future__ import annotations

import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from encrypted_parquet import ENCRYPTABLE, encrypted
from served import previewed, serving

from s3conn_magic.preview.parquet import DATA_AT_MOST, FOOTER_AT_MOST, pages

MIB = 1024 * 1024
BLOCK = 64 * 1024


def written(table, **options):
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def values(found):
    return pa.Table.from_pandas(found.frame, preserve_index=False).to_pylist()


NESTED = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int32()),
        "tags": pa.array([["a", "b"], [], None]),
        "place": pa.array([{"x": 1, "y": {"z": "q"}}, None, {"x": None, "y": None}]),
        "money": pa.array([None, 1, 2], pa.decimal128(9, 2)),
        "pairs": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "a.b": pa.array([1.5, None, 2.5]),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        "last": pa.array([b"\x00\xff", b"", None]),
    }
)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("key", ["t.parquet", "no-ending"])
def test_a_small_file_is_read_whole(compression, key):
    """Every type, nested ones too, comes out as it was written, by one HEAD and one GET."""
    body = written(NESTED, compression=compression)
    found = previewed(body, key)
    assert (found.kind, found.format, found.total_rows, found.row_groups) == ("table", "Parquet", 3, 1)
    assert found.schema == tuple((field.name, str(field.type)) for field in pq.read_schema(io.BytesIO(body)))
    assert values(found) == NESTED.to_pylist()
    assert (found.truncated, found.notes, found.requests) == (False, (), 2)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_first_rows_of_a_large_row_group_take_its_first_pages(version):
    """Of 15 MB in one row group, a small part is received, and the rows are the first ones."""
    count = 150_000
    noise = random.Random(1)
    table = pa.table(
        {
            "n": range(count),
            "text": [f"{noise.getrandbits(256):064x}" for _ in range(count)],
            "kind": pa.array([f"kind {number % 7}" for number in range(count)]),
            "lists": pa.array([[number, number + 1] for number in range(count)]),
        }
    )
    body = written(table, row_group_size=count, compression="none", data_page_version=version, use_dictionary=["kind"])
    assert len(body) > 12 * MIB
    with serving(body) as place:
        found = place.preview("big.parquet", rows=100)
        assert values(found) == table.slice(0, 100).to_pylist()
        assert (found.total_rows, found.truncated, found.notes) == (count, True, ())
        assert place.served.sent < 3 * MIB
        assert len(place.ranges) < 20


def test_rows_come_from_as_many_row_groups_as_they_need():
    """Ten rows a row group: a hundred rows are those of the first ten."""
    table = pa.table({"n": range(1_000)})
    found = previewed(written(table, row_group_size=10), "t.parquet", rows=95)
    assert found.frame["n"].tolist() == [*range(95)]
    assert found.row_groups == 100


def test_columns_beyond_the_bound_are_left_out_with_a_note():
    """Columns whose first page alone is large are not all received; the schema still has every one."""
    noise = random.Random(2).randbytes(15 * MIB)
    columns = {f"c{number}": pa.array([noise, b"x"]) for number in range(10)}
    with serving(written(pa.table(columns), compression="none", use_dictionary=False)) as place:
        found = place.preview("wide.parquet")
        assert place.served.sent <= DATA_AT_MOST + 4 * BLOCK
    assert found.frame.columns.tolist() == ["c0", "c1", "c2", "c3"]
    assert len(found.schema) == 10
    assert found.notes == (
        "6 columns (c4, c5, c6, c7, c8, …) are left out, since the first pages of the columns take more than 64 MB",
    )
    assert found.truncated


def test_a_wide_file_of_large_pages_is_shown_whole():
    """Twenty columns of numbers whose pages have a megabyte each are all there, and nothing is called damaged."""
    noise = random.Random(3)
    numbers = [noise.random() for _ in range(140_000)]
    body = written(pa.table({f"c{number}": numbers[number:] + numbers[:number] for number in range(20)}))
    with serving(body) as place:
        found = place.preview("wide.parquet", rows=5)
        assert place.served.sent < DATA_AT_MOST
    assert (found.frame.shape, found.notes) == ((5, 20), ())
    assert found.frame["c19"].tolist() == numbers[19:24]


@pytest.mark.parametrize("algorithm", ["AES_GCM_V1", "AES_GCM_CTR_V1"])
@pytest.mark.parametrize("columns", [("name",), ("id", "n"), ("at.x",), ("at.x", "at.y"), ("id", "name", "at.y", "n")])
def test_encrypted_columns_are_said_and_the_others_shown(columns, algorithm):
    """Of a file with a footer in plain text, what is not encrypted is there, and the process lives."""
    found = previewed(encrypted(*columns, algorithm=algorithm), "t.parquet")
    hidden = {path.split(".")[0] for path in columns}
    shown = [name for name in ENCRYPTABLE.column_names if name not in hidden]
    assert [name for name, _ in found.schema] == ENCRYPTABLE.column_names
    (note,) = found.notes
    assert note.endswith("encrypted")
    assert all(name in note for name in hidden)
    if shown:
        assert values(found) == ENCRYPTABLE.select(shown).to_pylist()
    else:
        assert found.frame is None
    repr(found.frame)


def test_encrypted_columns_beside_large_ones_are_said():
    """Where only the first pages are read, too, no metadata of an encrypted column is asked for."""
    body = encrypted("name", row_group_size=1, compression="none")
    found = previewed(body, "t.parquet", rows=1)
    assert values(found) == ENCRYPTABLE.drop_columns(["name"]).slice(0, 1).to_pylist()
    assert found.notes == ("the column name is encrypted",)


TEXT = pa.Array.from_buffers(pa.string(), 2, pa.array([b"TREL\xd3", "é".encode()]).buffers())


@pytest.mark.parametrize(
    ("column", "right"),
    [
        (TEXT, ["TREL\ufffd", "é"]),
        (TEXT.view(pa.string()).dictionary_encode(), ["TREL\ufffd", "é"]),
        (pa.ListArray.from_arrays([0, 1, 2], TEXT), [["TREL\ufffd"], ["é"]]),
        (
            pa.StructArray.from_arrays([TEXT, pa.array([1, 2])], ["t", "n"]),
            [{"t": "TREL\ufffd", "n": 1}, {"t": "é", "n": 2}],
        ),
        (pa.MapArray.from_arrays([0, 1, 2], TEXT, TEXT), [[("TREL\ufffd", "TREL\ufffd")], [("é", "é")]]),
    ],
)
def test_texts_that_are_not_utf8_have_replacement_signs(column, right):
    """At every depth, and it is said; every form the frame is shown in works."""
    found = previewed(written(pa.table({"x": column, "b": pa.array([b"\xff", None])})), "t.parquet")
    assert values(found) == [{"x": right[0], "b": b"\xff"}, {"x": right[1], "b": None}]
    assert found.notes == ("not all texts of x are UTF-8; \ufffd stands for what is not",)
    assert "TREL\ufffd" in repr(found.frame)
    assert "TREL\ufffd" in found.frame.to_html()


def test_many_columns_take_few_requests():
    """A thousand small columns lie together and are received together."""
    table = pa.table({f"c{number}": [number, number + 1] for number in range(1_000)})
    found = previewed(written(table), "wide.parquet")
    assert found.frame.shape == (2, 1_000)
    assert found.requests <= 5


def test_a_page_that_unpacks_to_a_bomb_is_not_unpacked():
    """A few kB that say they unpack to 72 MiB are left out."""
    table = pa.table({"bomb": pa.array([b"\x00" * (72 * MIB)]), "n": pa.array([1])})
    found = previewed(written(table, compression="zstd", use_dictionary=False, write_statistics=False), "bomb.parquet")
    assert found.frame.columns.tolist() == ["n"]
    assert "left out" in found.notes[0]


def test_the_first_pages_are_found_as_pyarrow_writes_them():
    """Header and body sizes of the pages of a chunk add up to the chunk; the values to its values."""
    table = pa.table({"text": [f"{number:050}" for number in range(50_000)]})
    body = written(table, compression="snappy", data_page_size=BLOCK)
    chunk = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0).column(0)
    start = chunk.dictionary_page_offset
    found = [*pages(body[start : start + chunk.total_compressed_size])]
    assert sum(page.header + page.stored for page in found) == chunk.total_compressed_size
    assert sum(page.values for page in found if not page.is_dictionary) == 50_000
    assert [page.is_dictionary for page in found[:2]] == [True, False]


def test_no_rows_are_a_frame_with_columns():
    """An empty table, and LIMIT 0, have their columns."""
    for body, rows in ((written(NESTED.slice(0, 0)), 100), (written(NESTED), 0)):
        found = previewed(body, "t.parquet", rows)
        assert (found.kind, len(found.schema)) == ("table", 8)
        assert found.frame.shape == (0, 8)


def test_names_that_repeat_or_hold_dots_are_columns():
    """Neither makes a column vanish."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a", "a.b"])
    found = previewed(written(table), "t.parquet")
    assert found.frame.to_numpy().tolist() == [[1, 2, 3]]


def test_values_that_python_cannot_hold_are_text():
    """A time ten thousand years from now is shown as its number, and does not break the frame."""
    table = pa.table({"t": pa.array([2**60], pa.timestamp("us")), "d": pa.array([2**30], pa.date32())})
    found = previewed(written(table), "t.parquet")
    assert found.frame.shape == (1, 2)
    assert all(str(kind) == "string[pyarrow]" for kind in found.frame.dtypes)


GOOD = written(NESTED)


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (GOOD[:-8] + (2**31).to_bytes(4, "little") + b"PAR1", "bytes"),
        (GOOD[:-8] + (0).to_bytes(4, "little") + b"PAR1", "damaged"),
        (GOOD[:-200] + bytes(192) + GOOD[-8:], "damaged"),
        (GOOD[:-8] + (100).to_bytes(4, "little") + b"PAR1", "damaged"),
        (GOOD[:-4] + b"PARE", "encrypted"),
        (b"PAR1PAR1" + bytes(4) + b"PAR1", "damaged"),
    ],
)
def test_a_broken_footer_is_a_note(body, note):
    """The bytes are called Parquet, with what is the matter."""
    found = previewed(body, "t.parquet")
    assert (found.kind, found.format) == ("binary", "Parquet")
    assert note in found.notes[0]


def test_the_largest_footer_that_is_read_is_read():
    """Sixteen MiB of it stay within the bound, and one byte more is not asked for."""
    for size, note in ((FOOTER_AT_MOST, "the footer is damaged"), (FOOTER_AT_MOST + 1, "the footer says that it has")):
        body = b"PAR1" + bytes(size) + size.to_bytes(4, "little") + b"PAR1"
        assert previewed(body, "t.parquet").notes[0].startswith(note)


def test_a_cut_file_is_shown_as_bytes():
    """Without its end it is no Parquet file."""
    found = previewed(GOOD[:-20], "t.parquet")
    assert (found.kind, found.frame) == ("binary", None)
    assert found.hex_dump.startswith("00000000  50 41 52 31")


def test_what_is_only_called_parquet_is_what_it_is():
    """The content decides."""
    found = previewed(b"a,b\n1,2\n3,4\n5,6\n", "t.parquet")
    assert (found.kind, found.format) == ("table", "CSV")


@pytest.mark.parametrize("seed", range(120))
def test_changed_bytes_never_raise(seed):
    """Whatever byte of a file or of its footer is changed, encrypted columns or not, the process lives and previews."""
    noise = random.Random(seed)
    body = bytearray((GOOD, encrypted("name"))[seed % 2])
    first = len(body) - 8 - int.from_bytes(body[-8:-4], "little") if seed % 3 else 0
    for _ in range(noise.choice((1, 3, 30))):
        body[noise.randrange(first, len(body))] = noise.randrange(256)
    found = previewed(bytes(body), "t.parquet")
    assert found.kind in {"table", "binary"}
    assert repr(found.frame) is not None


def test_an_encrypted_footer_is_said_whatever_the_name_is():
    """The content tells."""
    found = previewed(encrypted("name", plaintext_footer=False), "t.encrypted")
    assert (found.format, found.notes) == ("Parquet", ("the footer is encrypted",))
