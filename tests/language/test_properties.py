"""Properties of the language for any text, name and value."""

from __future__ import annotations

import contextlib
import os
import string
from typing import TYPE_CHECKING

import pytest
from catalogs import having, options_of, plans_of
from corpora import SECRET, leaked, read
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from outcomes import failure_of

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language import plans
from s3conn_magic.language.binding import quoted
from s3conn_magic.language.grammar import RESERVED
from s3conn_magic.language.options import OPTION_NAMES
from s3conn_magic.language.parser import parse
from s3conn_magic.language.redaction import redacted
from s3conn_magic.language.reference import KEYWORDS
from s3conn_magic.language.render import create_statement, name_text
from s3conn_magic.language.source import Source
from s3conn_magic.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterator

# A long run: S3CONN_EXAMPLES=1000000 python -m pytest tests/language/test_properties.py
CALM = settings(
    max_examples=int(os.environ.get("S3CONN_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
VALID = [case.cell for case in read("valid")]
PIECES = st.one_of(
    st.sampled_from(sorted(KEYWORDS | set(OPTION_NAMES))),
    st.sampled_from(
        ["'", '"', "''", "--", "/*", "*/", ";", ",", "(", ")", "=", "$", "s3://b-c/", "\n", "\t", " ", "\\"]
    ),
    st.text(max_size=6),
    st.from_regex(r"'[^']{0,8}'", fullmatch=True),
)


def _ends_well(text: str) -> None:
    """Statements or a StatementError with a place inside the text; nothing else."""
    error = failure_of(text)
    if error is None:
        return
    place = error.place
    assert 1 <= place.line <= text.count("\n") + 1
    assert 1 <= place.column <= len(text.split("\n")[place.line - 1]) + 1
    assert len(place.marker) <= len(place.excerpt) + 1
    assert (error.__context__, error.__cause__) == (None, None)


@CALM
@given(st.text())
@example("\x00")
@example("\ud800")
@example("\x1c\x85\u2028")
def test_any_text_ends_in_statements_or_a_statement_error(text: str):
    """No text makes the parser raise anything else."""
    _ends_well(text)


@CALM
@given(st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES, max_size=30).map("".join))
def test_any_pieces_of_the_language_end_in_statements_or_a_statement_error(text: str):
    """Words and marks of the language in any order, with blanks between them or without."""
    _ends_well(text)


@CALM
@given(st.sampled_from(VALID), st.data())
def test_any_change_of_a_valid_cell_ends_in_statements_or_a_statement_error(cell: str, data: st.DataObject):
    """Characters taken out, put in, doubled or moved."""
    for _ in range(data.draw(st.integers(1, 4))):
        at, to = sorted(data.draw(st.tuples(st.integers(0, len(cell)), st.integers(0, len(cell)))))
        new = data.draw(
            st.sampled_from(["", cell[at:to] * 2, cell[at:to][::-1], "'", '"', ";", "--", "/*", "(", "$", "="])
        )
        cell = (cell[:at] + new + cell[min(to, at + 20) :])[:4_000]
    _ends_well(cell)


@CALM
@given(st.lists(PIECES, max_size=12), st.lists(PIECES, max_size=12), st.booleans())
def test_a_secret_among_any_pieces_leaves_with_no_error(before: list[str], after: list[str], in_quotes: bool):
    """A secret anywhere in any text, in quotes or bare, is in no error of it."""
    secret = f"'{SECRET}'" if in_quotes else SECRET
    with contextlib.suppress(S3ConnError), _no_leak():
        plans_of(" ".join([*before, secret, *after]), having("lake"))


UNQUOTED = st.lists(PIECES.filter(lambda piece: not set(piece) & set("'\"")), max_size=12)


@CALM
@given(UNQUOTED, UNQUOTED)
def test_a_bare_secret_among_any_pieces_is_not_kept(before: list[str], after: list[str]):
    """A secret without quotes, whatever stands before and after it, is not in what a history keeps."""
    assert not leaked(redacted(" ".join([*before, SECRET, *after])))


@contextlib.contextmanager
def _no_leak() -> Iterator[None]:
    try:
        yield
    except S3ConnError as error:
        if pieces := leaked(error.block() + repr(vars(error))):
            pytest.fail(f"{pieces} in {type(error).__name__}")
        raise


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30) | st.sampled_from(sorted(RESERVED))


@CALM
@given(NAMES)
def test_any_name_can_be_written(name: str):
    """A name as it is rendered is read back as that name."""
    (statement,) = parse(Source(f"USE CONNECTION {name_text(name)}"))
    assert statement.name.text == name


@CALM
@given(st.text(st.characters(codec="utf-8")))
def test_any_text_can_be_written(text: str):
    """A text in quotes is read back to the last character."""
    assert options_of(f"COMMENT = {quoted(text)} READ_ONLY = TRUE")["COMMENT"].value == text


KEYS = st.text(st.characters(codec="utf-8"), max_size=40)
BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]", fullmatch=True)
PATHS = st.builds(Location, BUCKETS, KEYS)
ALNUM = st.text(string.ascii_letters + string.digits, min_size=2, max_size=20)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "AWS_ROLE": ALNUM.map("arn:aws:iam::123456789012:role/{}".format),
        "PATH_DISPLAY_FILTERS": st.lists(PATHS, min_size=1, max_size=4, unique=True).map(tuple),
        "READ_ONLY": st.booleans(),
        "ENCRYPTION_KMS_KEY": ALNUM.map("alias/{}".format),
        "COMMENT": st.text(st.characters(codec="utf-8")),
        "AWS_PROFILE": ALNUM,
        "REGION": ALNUM,
        "ENDPOINT": st.tuples(ALNUM, st.integers(1, 65535)).map(lambda one: f"http://{one[0]}:{one[1]}"),
        "ADDRESSING_STYLE": st.sampled_from(["auto", "path", "virtual"]),
        "REQUESTER_PAYS": st.booleans(),
    },
)


@CALM
@given(NAMES, OPTIONS)
def test_show_create_makes_the_connection_again(name: str, options: dict[str, object]):
    """Bound options, written as SHOW CREATE writes them and bound again, are the same options."""
    bound = {key: plans.BoundValue(value) for key, value in options.items()}
    (again,) = plans_of(create_statement(name, bound))
    assert (again.name, dict(again.options)) == (name, bound)
    assert create_statement(name, again.options) == create_statement(name, bound)


@pytest.mark.parametrize(
    "unit", ["CREATE ", "'", '"', "(", "/*", "/**/", ";", "a'", "--\n", "$", "x = 'y' ", "\u00a0", "=,", "''"]
)
def test_64_kib_of_anything_ends_well(unit: str):
    """A large cell of one repeated piece is answered like any other."""
    _ends_well((unit * (65_536 // len(unit) + 1))[:65_536])
    _ends_well("CREATE S3 CONNECTION x " + (unit * (65_536 // len(unit) + 1))[:65_536])
