"""PREVIEW in the notebook: facts, tables, texts and pictures, with nothing in them that acts."""

from __future__ import annotations

import base64
import gzip
import html
import re
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pytest
from served import Served, serving

from s3conn_magic.locations import Location
from s3conn_magic.results.previews import open_preview, shown_frame
from s3conn_magic.sandbox.data import bar_chart

HOSTILE = "<script>alert('x')</script>\x1b[31m\u202e$x^2$\x00&"
VISIBLE = "<script>alert('x')</script>␛[31m⟨U+202E⟩$x^2$␀&"


def shown(body, key="data", rows=100, **headers):
    """The result of PREVIEW of some bytes."""
    with serving(Served(body, headers={name.replace("_", "-"): text for name, text in headers.items()})) as place:
        return open_preview(place.connection, Location("bucket", key), rows)


def text_of(page):
    """The text that a page shows."""
    return html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", "", page, flags=re.DOTALL))


@pytest.mark.parametrize(
    ("body", "key", "facts"),
    [
        (
            b"a,b\n1,2\n3,4\n",
            "x/t.csv",
            "t.csv · 12 B · CSV · utf-8 · 2 rows · 2 columns · STANDARD · read 12 B in 2 requests",
        ),
        (b"hello\n", "t.txt", "t.txt · 6 B · text · utf-8 · STANDARD · read 6 B in 2 requests"),
        (bar_chart([1], 30, 40), "p.png", "p.png · {size} B · PNG, 30 by 40 · STANDARD · read {size} B in 2 requests"),
        (b"", "t", "t · 0 B · empty · STANDARD · read 0 B in 1 request"),
    ],
)
def test_the_first_line_says_what_it_is(body, key, facts):
    """Name, size, format, encoding, rows, storage class, and what was read; the same in text and HTML."""
    result = shown(body, key)
    facts = facts.format(size=len(body))
    assert repr(result).splitlines()[0] == facts
    assert text_of(result._repr_html_()).startswith(facts)


def test_a_table_is_a_table():
    """In text and in HTML, and exact as a frame of Arrow types."""
    result = shown(b"name,n\nZo\xc3\xab,1\n,2\n", "t.csv")
    assert "Zoë" in repr(result)
    assert ">Zoë</td>" in result._repr_html_()
    assert result.frame.to_dict("list") == {"name": ["Zoë", None], "n": [1, 2]}
    assert result.schema == (("name", "string"), ("n", "int64"))
    assert all(isinstance(kind, pd.ArrowDtype) for kind in result.frame.dtypes)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (f"{HOSTILE}\n".encode(), "t.txt"),
        (f'n,"{HOSTILE}"\n1,"{HOSTILE}"\n'.encode(), "t.csv"),
        (b'{"a": "' + HOSTILE.encode("unicode_escape").replace(b"\\x", b"\\u00") + b'"}\n' * 1 + b'{"a": "b"}\n', "t"),
        (b"ok\n", f"dir/{HOSTILE.replace('/', '')}"),
    ],
    ids=["text", "table", "json", "key"],
)
def test_hostile_text_is_shown_and_does_nothing(body, key):
    """Tags are escaped, control and bidi characters visible, and no formula typeset."""
    result = shown(body, key)
    page = result._repr_html_()
    assert "<script" not in page
    for text in (repr(result), page):
        assert not set(text) & {"\x1b", "\u202e", "\x00"}
    seen = VISIBLE if body != b"ok\n" else VISIBLE.replace("/", "")
    assert seen in text_of(page)
    assert seen in repr(result)
    assert page.startswith('<div class="tex2jax_ignore mathjax_ignore">')


def test_the_value_stays_exact():
    """What is shown is a form of it; text and frame are what the object holds."""
    assert shown(HOSTILE.encode(), "t.txt").text == HOSTILE
    assert shown(f"name\n{HOSTILE}\n".encode(), "t.csv").frame["name"].tolist() == [HOSTILE]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_picture_is_shown_as_one(kind):
    """As data, of a media type that cannot act, and nothing of it in the text form."""
    body = bar_chart([1], 30, 40) if kind == "PNG" else b"GIF89a\x05\x00\x06\x00" + bytes(20)
    result = shown(body, 'a"onload="x')
    found = re.search(r'<img src="data:image/(\w+);base64,([^"]*)" alt="([^"]*)"', result._repr_html_())
    assert (found[1], base64.b64decode(found[2])) == (kind.lower(), body)
    assert html.unescape(found[3]) == 'a"onload="x'
    assert len(repr(result).splitlines()) == 1


def test_an_svg_is_shown_as_text():
    """Never as a picture."""
    page = shown(b'<svg xmlns="http://www.w3.org/2000/svg"><script>x</script></svg>', "x.svg")._repr_html_()
    assert "<svg" not in page
    assert "<img" not in page
    assert "<svg xmlns=" in text_of(page)


def test_a_media_type_that_can_act_is_never_a_picture():
    """Even where a preview said so."""
    result = shown(bar_chart([1], 30, 40))
    result.preview = replace(result.preview, mime="image/svg+xml")
    assert "<img" not in result._repr_html_()


def test_a_text_is_shown_as_far_as_the_rows_go():
    """The value holds what was read; what is not shown is said."""
    result = shown(b"".join(b"line %d\n" % number for number in range(500)), "t.log", rows=3)
    assert repr(result).splitlines()[1:] == ["line 0", "line 1", "line 2", "The beginning of the text: 3 lines."]
    assert result.text.count("\n") == 500


def test_what_is_not_shown_is_said():
    """More rows than shown, known or not."""
    assert "The first 2 of 9 rows." in repr(shown(b"a,b\n" + b"1,2\n" * 9, "t.csv", rows=2))
    assert "The first 2 of about 500,000 rows." in repr(shown(b"a,b\n" + b"1,2\n" * 500_000, "t.csv", rows=2))
    assert "The first 2 of about 250,000 rows." in repr(shown(b'{"a":1}\n' * 250_000, "t.json", rows=2))
    growing = b"id,name\n" + b"".join(b"%d,n%d\n" % (number, number) for number in range(30_000))
    assert "The first 5 of about 35,000 rows." in repr(shown(growing, "t.csv", rows=5))
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 500_000)
    assert "The first 2 rows; there are more." in repr(shown(packed, "t.csv", rows=2))
    with pd.option_context("display.max_rows", 10):
        assert "[90 rows x 2 columns]" in repr(shown(b"a,b\n" + b"1,2\n" * 90, "t.csv"))


def test_notes_stand_below():
    """What was left out or looked odd."""
    result = shown(b"a,b\n1\n2,3\n4,5\n", "t.csv")
    note = "1 of 3 rows have not 2 fields; the first is record 1, which has 1"
    assert repr(result).splitlines()[-1] == note
    assert note in result._repr_html_()


def test_bytes_are_dumped():
    """Offset, bytes, characters."""
    result = shown(bytes(range(20)), "x.bin")
    assert repr(result).splitlines()[1] == (
        "00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  ................"
    )
    assert "<pre" in result._repr_html_()


def test_a_very_long_text_is_not_all_put_into_the_notebook():
    """A line without an end, and cells of any length, are cut in what is shown."""
    assert len(shown(b"x" * 300_000, "t.txt")._repr_html_()) < 70_000
    assert len(repr(shown(b"n\n" + b"x" * 50_000 + b"\n", "t.csv"))) < 2_000


def test_many_columns_are_not_all_put_into_the_notebook():
    """The frame has them all."""
    result = shown((",".join(f"c{n}" for n in range(900)) + "\n" + ",".join("1" * 900) + "\n").encode(), "t.csv")
    assert result.frame.shape == (1, 900)
    assert result._repr_html_().count("<th") < 60
    assert "900 columns" in repr(result)


def test_values_of_every_type_are_shown():
    """Lists, maps, bytes, missing ones: each has a text."""
    table = pa.table(
        {"l": [[1, 2], None], "b": [b"\x00", None], "m": pa.array([[("k", 1)], None], pa.map_("string", "int8"))}
    )
    frame = pd.DataFrame({name: pd.Series(pd.arrays.ArrowExtensionArray(table[name])) for name in table.column_names})
    assert shown_frame(frame).to_numpy().tolist() == [["[1, 2]", "b'\\x00'", "[('k', 1)]"], ["", "", ""]]
