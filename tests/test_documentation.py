"""The statements of the documentation's pages are statements of the language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from catalogs import Connections, having
from cautioned import cautions
from offline import Inputs

import s3conn_magic
from s3conn_magic.errors import StatementError
from s3conn_magic.language.binder import CLAUSES, _Binder
from s3conn_magic.language.evaluation import Binding
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.source import Source
from s3conn_magic.language.statements import CreateConnection

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r"^( *)```upsql\b[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_MAGIC = re.compile(r"^(\s*)%%?upsql(?: +\w+ *<<)?", re.MULTILINE)
# As an access key id, a secret and a customer's key alike.
_SECRET = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVoxMjM0NTY="
_VARIABLES: dict[str, Any] = {
    "key_id": _SECRET,
    "secret": _SECRET,
    "token": _SECRET,
    "endpoint": "http://127.0.0.1:9000",
    "location": "s3://acme-lake/events/",
}


class _Answers(Inputs):
    """Whatever is asked for is there."""

    def __init__(self) -> None:
        super().__init__(_VARIABLES)

    def prompt(self, text: str) -> str:
        """A secret."""
        del text
        return _SECRET

    def keyring(self, service: str, user: str) -> str:
        """A secret."""
        del service, user
        return _SECRET


class _Reader:
    """Someone who runs a page's blocks from top to bottom; each finds `lake`, also where one above has dropped it.

    There is a table `clicks`, and `sandbox` on a page whose cells have started it.
    """

    def __init__(self, page: str = "") -> None:
        self._names = ("lake", "sandbox") if "%upsql START SANDBOX" in page else ("lake",)
        self._catalog = having("lake", default="lake")
        self._tables, self._jobs = ["clicks"], list[str]()

    def run(self, block: str, line: int) -> None:
        """Parse and bind a block whose first line is this one of the page."""
        source = Source("\n" * (line - 1) + _MAGIC.sub(r"\1", block))
        statements = parse(source)
        made = [one.name for one in statements if isinstance(one, CreateConnection)]
        there = {one.name.casefold(): one for one in (*having(*self._names).known(), *self._catalog.known())}
        for name in made:  # a page may make a connection of one name in several ways
            there.pop(name.text.casefold(), None)
        binder = _Binder(
            Binding(source, _Answers(), CLAUSES),
            Connections([*there.values()], self._catalog.default),
            lambda: self._tables,
            lambda: self._jobs,
        )
        assert not cautions(binder.bind_all(statements))
        default = made[-1].text if made else binder._default
        self._catalog = Connections([*binder._known.values()], default or "lake")
        self._tables, self._jobs = [*binder._tables.names.values()], [*binder._jobs.values()]


class _Found(NamedTuple):
    """A block: its first line on the page, its indentation and its text."""

    line: int
    text: str


def _blocks(page: str) -> list[_Found]:
    return [_Found(page.count("\n", 0, found.start(2)) + 1, found[2]) for found in _BLOCK.finditer(page)]


def _name(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


PAGES = {_name(page): text for page in sorted(DOCS.rglob("*.md")) if _blocks(text := page.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("page", PAGES)
def test_every_statement_of_a_page_parses_and_binds(page, monkeypatch):
    """Blocks marked `upsql` are taken as they are printed, one after the other, in a session that has `lake`."""
    for name in re.findall(r"\bENV '(\w+)'", PAGES[page]):
        monkeypatch.setenv(name, _SECRET)
    reader = _Reader(PAGES[page])
    for block in _blocks(PAGES[page]):
        reader.run(block.text, block.line)


def test_a_statement_that_is_wrong_is_found_at_its_line():
    """A page with a misspelt option fails, and the error names the line of the page."""
    page = "# A page\n\n```upsql\nUSE CONNECTION lake;\n```\n\n```upsql\nCREATE S3 CONNECTION a\n  REGOIN = 'x';\n```\n"
    first, second = _blocks(page)
    reader = _Reader()
    reader.run(first.text, first.line)
    with pytest.raises(StatementError) as failed:
        reader.run(second.text, second.line)
    assert failed.value.place is not None
    assert failed.value.place.line == 9


def test_the_tree_of_the_architecture_is_the_package_s(monkeypatch):
    """Each module of the package is in docs/architecture.md with its first line, in the order of the layers."""
    monkeypatch.syspath_prepend(str(DOCS))
    import architecture_tree

    assert architecture_tree.PAGE.read_text(encoding="utf-8") == architecture_tree.page(), (
        "Run `python docs/architecture_tree.py`."
    )
    packages = {file.parent.name for file in Path(s3conn_magic.__file__).parent.glob("*/__init__.py")}
    assert set(architecture_tree.PACKAGES) == packages
