"""A statement is registered once: in how many modules of the package each statement stands."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import s3conn_magic
from s3conn_magic.language import statements
from s3conn_magic.language.reference import JOB_STATEMENTS, STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(s3conn_magic.__file__).parent
TREES = {"statements", "plans"}
BY_TITLE = {"Reference", "columns_of"}
MOST = 5
MORE = {
    "Preview": 6,  # its LIMIT 0 has a caution of its own, as that of LIST is meant
    # It is bound by a method of its own: two sides, a table that goes, either of three, every connection.
    **dict.fromkeys(("Compare", "DropTable", "DescribeRows", "ExploreAll", "DescribeConnection"), 6),
    "ShowBuckets": 6,  # its rows are made beside those of LIST
    "Discover": 6,  # executed for one connection and for all of them
    "SetSetting": 7,  # each setting has its checks, cautions and answers
    "CreateTable": 7,  # it ends in a query, files or a table in S3, and jobs share how that is stored
    "AlterJob": 8,  # its plan holds the job as it will be
}
"""The statements that stand in more modules than `MOST`, in how many, and why; a count only goes down."""
_CLASSES = [each for each in vars(statements).values() if isinstance(each, type)]
LEAVES = {
    each.__name__: each for each in _CLASSES if issubclass(each, statements.Statement) and not each.__subclasses__()
}
"""The statements that the grammar makes, by name: the classes without subclasses."""
TITLES = [entry.name for entry in (*STATEMENTS, *JOB_STATEMENTS)]


def _names(file: Path) -> Iterator[str]:
    """What a module names: classes of `statements` and `plans`, and titles that it gives to one of `BY_TITLE`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    ours = {
        name.asname or name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2] in TREES
        for name in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and file.stem in TREES:
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in TREES:
            yield node.attr
        elif isinstance(node, ast.Name) and node.id in ours:
            yield node.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_TITLE:
            yield from (each.value for each in node.args[:1] if isinstance(each, ast.Constant))


def _title(statement: type) -> str | None:
    """The title in HELP of a statement, which its docstring begins with, without the words in brackets."""
    form = re.sub(r"\[[^\]]*\]\s*", "", (statement.__doc__ or "").lstrip("`"))
    return max((title for title in TITLES if re.match(rf"{title}\b", form)), key=len, default=None)


def _modules() -> dict[str, set[str]]:
    """The modules that each statement stands in: its class, its plan, or its title in HELP is named there."""
    named = {file.relative_to(ROOT).as_posix(): set(_names(file)) for file in ROOT.rglob("*.py")}
    return {
        name: {module for module, names in named.items() if names & {name, _title(statement)}}
        for name, statement in LEAVES.items()
    }


def test_a_statement_stands_in_at_most_five_modules():
    """Tree, grammar, help, execution and forecast, as the binder reads its clauses by their names; or in `MORE`."""
    counts = {name: len(modules) for name, modules in _modules().items()}
    assert {name: count for name, count in counts.items() if count > MORE.get(name, MOST)} == {}
    assert {name for name, most in MORE.items() if counts[name] < most} == set(), "lower or delete these"


@pytest.mark.parametrize("name", ["ShowSnapshots", "Compare"])
def test_the_count_finds_the_tree_the_grammar_the_help_and_the_execution(name: str):
    """Else the bound says nothing."""
    expected = {"language/statements.py", "language/grammar.py", "language/reference.py"}
    modules = _modules()[name]
    assert expected < modules
    assert any(module.startswith("session/") for module in modules)
