"""The corpora: what every cell becomes, and that no secret in it leaves with an error."""

from __future__ import annotations

import dataclasses
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from corpora import KEY, SECRET, Case, leaked, read
from outcomes import failure_of, refusal, rendered

from s3conn_magic.language import statements
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.reference import STATEMENTS
from s3conn_magic.language.source import Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3conn_magic.errors import S3ConnError

MALFORMED, VALID = read("malformed"), read("valid")
PLANTED = [case for case in MALFORMED if case.planted]
_KINDS = (
    statements.StringLiteral,
    statements.Name,
    statements.VariableSource,
    statements.BooleanLiteral,
    statements.IntegerLiteral,
)


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.id)
def test_a_malformed_cell_is_refused_as_written_down(case: Case):
    """The class, message, place, excerpt and advice of every error are those that were read and accepted."""
    assert refusal(case).block() == case.outcome


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.id)
def test_no_piece_of_a_secret_leaves_with_an_error(case: Case):
    """No eight characters in a row of a planted secret are in anything that an error can show."""
    assert leaked(case.cell), "the case holds no secret"
    error = refusal(case)
    shown = {name: leaked(text) for name, text in _shown(error).items()}
    assert not {name: pieces for name, pieces in shown.items() if pieces}


def _shown(error: S3ConnError) -> dict[str, str]:
    """Every text form of an error, of those it came from, and of what it holds."""
    texts = {"pickle": pickle.dumps(error).decode("latin-1"), "traceback": "".join(traceback.format_exception(error))}
    texts["notebook"] = "\n".join(error._render_traceback_())
    for at, one in enumerate(_chain(error)):
        texts |= {f"{at} str": str(one), f"{at} repr": repr(one), f"{at} args": repr(one.args)}
        texts[f"{at} vars"] = repr(vars(one))
    return texts


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_the_search_for_pieces_finds_a_planted_one():
    """The leak check is red for eight characters of either secret, and green for seven."""
    assert leaked(f"x{SECRET[20:28]}x")
    assert leaked(KEY)
    assert not leaked(SECRET[20:27] + " " + KEY[:7])


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_a_valid_cell_has_the_tree_written_down(case: Case):
    """Every valid cell parses to the tree that was read and accepted."""
    assert rendered(parse(Source(case.cell))) == case.outcome


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_spans_cover_what_was_written(case: Case):
    """The span of a literal, name or statement, cut from the cell, is that literal, name or statement."""
    for node in _nodes(parse(Source(case.cell))):
        text = case.cell[slice(*node.span)]
        assert text == text.strip()
        if isinstance(node, _KINDS):
            assert _same(node, text)
        elif isinstance(node, statements.Statement):
            assert Source(text).tokens[0].kind == "word"
            assert parse(Source(text)) == [node]


def _same(node: Any, text: str) -> bool:
    if isinstance(node, statements.StringLiteral):
        return text[1:-1].replace("''", "'") == node.value.reveal()
    if isinstance(node, statements.Name):
        # The partitions of a table are kept as they are written.
        return node.text in {text[1:-1].replace('""', '"') if text[0] == '"' else text, text}
    if isinstance(node, statements.VariableSource):
        return text == f"${node.name}"
    return text.upper() == str(node.value).upper()


def _nodes(node: Any) -> Iterator[Any]:
    if isinstance(node, list | tuple) and not isinstance(node, Span):
        for one in node:
            yield from _nodes(one)
    elif dataclasses.is_dataclass(node):
        yield node
        for field in dataclasses.fields(node):
            yield from _nodes(getattr(node, field.name))


def test_cells_put_together_are_their_statements_put_together():
    """All valid cells in one cell have the trees of each, in order."""
    together = parse(Source("\n;\n".join(case.cell for case in VALID)))
    assert together == [statement for case in VALID for statement in parse(Source(case.cell))]


@pytest.mark.parametrize(("cases", "least"), [(MALFORMED, 300), (VALID, 120)], ids=["malformed", "valid"])
def test_the_corpora_are_large_and_no_cell_is_in_them_twice(cases: list[Case], least: int):
    """At least 300 malformed cells and 120 valid ones differ in more than their white space and case."""
    distinct = {" ".join(case.cell.upper().split()) for case in cases}
    assert len(distinct) >= least
    outcomes = {case.outcome for case in cases}
    assert len(outcomes) >= least * 0.9


def test_both_corpora_have_every_statement():
    """Each statement of the reference is in a valid cell, and has a malformed one."""
    valid = " ; ".join(" ".join(case.cell.upper().split()) for case in VALID)
    malformed = [" ".join(case.cell.upper().split()) for case in MALFORMED]
    for reference in STATEMENTS:
        assert reference.name in valid
        assert any(cell.startswith(reference.name.split()[0]) for cell in malformed)


@pytest.mark.parametrize("reference", STATEMENTS, ids=lambda one: one.name)
def test_the_example_of_every_statement_parses(reference: Any):
    """What HELP shows as an example is a statement of the language."""
    assert len(parse(Source(reference.example))) == 1


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_a_cell_cut_anywhere_ends_in_statements_or_an_error_that_says_where(case: Case):
    """However a valid cell is cut, it parses or fails with a place inside the cell."""
    text = case.cell
    for end in range(0, len(text), max(1, len(text) // 12)):
        error = failure_of(text[:end])
        assert error is None or error.place.line <= text.count("\n", 0, end) + 1
