"""The documentation's site, built as its readers build it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import s3conn_magic
from s3conn_magic import errors
from s3conn_magic.cli import main
from s3conn_magic.language.job_options import JOB_OPTIONS
from s3conn_magic.language.options import OPTIONS
from s3conn_magic.language.reference import STATEMENTS
from s3conn_magic.language.session_settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
_FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}


class _Read(HTMLParser):
    """What a page says, the ids in it, and what a browser fetches to show it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.text, self.ids, self.fetched = "", set(), []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: dict[str, Any] = dict(attrs)
        self.ids.add(given.get("id"))
        linked = tag == "link" and not {"canonical", "next", "prev"} & set(str(given.get("rel")).split())
        self.fetched.append(given.get("href") if linked else given.get(_FETCHED.get(tag, "")))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `mkdocs build --strict` makes."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def _named(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for one in nav.values() if isinstance(nav, dict) else nav:
            yield from _named(one)


def test_every_page_of_the_navigation_is_there(site: Path):
    """The strict build succeeds, and each page has a heading and an entry in the search."""
    pages = [*_named(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])]
    found = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert len(pages) > 25
    for page in (one.replace(".md", ".html") for one in pages):
        assert "<h1" in (site / page).read_text(encoding="utf-8")
        assert f'"{page}"' in found


def test_nothing_is_fetched_from_elsewhere(site: Path):
    """Scripts, styles, fonts and pictures of every page are files of the site."""
    for file in site.rglob("*.html"):
        fetched = [one for one in _Read(file).fetched if one and not one.startswith("data:")]
        assert len(fetched) > 3
        assert not [one for one in fetched if re.match(r"[a-z]+:|//", one)]
        if file.name != "404.html":  # which is shown for addresses of any depth
            assert not [one for one in fetched if not (file.parent / re.split(r"[?#]", one)[0]).exists()]
    for file in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:|//)|@import", file.read_text(encoding="utf-8"))


def test_the_reference_names_everything(site: Path):
    """Statements, options and settings; errors; what Python can call; commands."""
    language = _Read(site / "language.html")
    assert {one.name.lower().replace(" ", "-") for one in STATEMENTS} <= language.ids
    for one in (*OPTIONS, *JOB_OPTIONS.values(), *SETTINGS):
        assert re.search(rf"\b{one.name}\b", language.text)
    settings = _Read(site / "reference" / "configuration.html").text
    assert not [one.name for one in SETTINGS if not re.search(rf"\b{one.name.lower()}\b", settings)]
    python = _Read(site / "reference" / "python.html").text
    handed = [name for name, _ in inspect.getmembers(s3conn_magic.Connection, inspect.isfunction) if name[0] != "_"]
    ours = {name for name in handed if name in vars(s3conn_magic.Connection)} | {"client", "session"}
    assert not [name for name in ours if not re.search(rf"^{name}\(.*\)$", python, re.MULTILINE)]
    assert not [name for name in s3conn_magic.__all__ if not re.search(rf"\b{name}\b", python)]


def _kinds(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _kinds(one)


def test_every_error_has_its_place(site: Path):
    """Each class that can be raised has a heading of its own, and no heading is of a class that is gone."""
    bases = {errors.S3ConnError, errors.StatementError}
    kinds = {one.__name__.lower() for one in _kinds(errors.S3ConnError) if one.__module__ == errors.__name__}
    page = (site / "reference" / "errors.html").read_text(encoding="utf-8")
    assert set(re.findall(r'<h3 id="(\w+)"', page)) == kinds - {one.__name__.lower() for one in bases}


def test_every_command_is_told(site: Path, capsys: pytest.CaptureFixture[str]):
    """The commands of `--help` are those of the page."""
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = set(re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE))
    page = _Read(site / "reference" / "command-line.html").text
    assert commands
    assert set(re.findall(r"^s3conn-magic (\w+)", page, re.MULTILINE)) == commands


def test_notebooks_are_shown_with_what_they_printed(site: Path):
    """The tutorial has the cells in colour, the cards, frames and texts below them, and the chart."""
    first = (site / "tutorial" / "quickstart.html").read_text(encoding="utf-8")
    assert '<span class="k">CREATE</span>' in first
    shown = _Read(site / "tutorial" / "quickstart.html").text
    assert "S3 connection sales created" in shown
    assert "sales is READ_ONLY: DeleteObject was refused" in shown
    second = _Read(site / "tutorial" / "bucket_to_result.html")
    assert "Loaded 1 object (1,500 rows" in second.text
    (chart,) = [one for one in second.fetched if one and one.startswith("bucket_to_result")]
    assert (site / "tutorial" / chart).read_bytes().startswith(b"\x89PNG")
