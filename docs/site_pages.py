"""Pages of the site that are no Markdown in this folder; a hook of `mkdocs.yml`.

Files beside the folder are pages as they are, and notebooks are pages with their outputs. A link is written so that it
leads somewhere in the repository, and becomes the one that leads there in the site.
"""

from __future__ import annotations

import os.path
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_BESIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
}
_SOURCES = {page: source for source, page in _BESIDE.items()}
_FOLDER = "docs"
_LINK = re.compile(r"(?<=\]\()[^()\s#:]+(?=[#)])")
_TEMPLATE = """\
{% extends 'markdown/index.md.j2' %}
{% macro plain(text) %}

<div class="output"><pre>{{ text | strip_ansi | e }}</pre></div>

{% endmacro %}
{% block stream %}{{ plain(output.text) }}{% endblock %}
{% block data_text scoped %}{{ plain(output.data['text/plain']) }}{% endblock %}
{% block data_html scoped %}

<div class="output">{{ output.data['text/html'] }}</div>

{% endblock %}
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files beside the folder, and put a page in the place of each notebook."""
    root = Path(config.docs_dir).parent
    for source, page in _BESIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(root / source)))
    for notebook in [one for one in files if one.src_uri.endswith(".ipynb")]:
        files.remove(notebook)
        for name, content in _rendered(notebook):
            files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have links lead to the pages that are made of other files."""
    del config, files
    here = page.file.src_uri
    source = _SOURCES.get(here, f"{_FOLDER}/{here}")
    return _LINK.sub(lambda found: _link(found[0], source, here), markdown)


def _rendered(notebook: File) -> Iterator[tuple[str, str | bytes]]:
    """The page of a notebook, and the pictures in it."""
    exporter = MarkdownExporter(
        raw_template=_TEMPLATE,
        config={"HighlightMagicsPreprocessor": {"enabled": True, "languages": {"%%upsql": "upsql"}}},
    )
    stem = notebook.src_uri.removesuffix(".ipynb")
    named = {"unique_key": posixpath.basename(stem), "output_files_dir": ""}
    body, resources = exporter.from_filename(str(notebook.abs_src_path), resources=named)
    yield f"{stem}.md", body
    for name, content in resources["outputs"].items():
        yield posixpath.join(posixpath.dirname(stem), name), content


def _link(target: str, source: str, here: str) -> str:
    """A link of the repository's file `source` as the page `here` must have it."""
    named = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    page = _BESIDE.get(named, os.path.relpath(named, _FOLDER).replace(".ipynb", ".md"))
    return posixpath.relpath(page, posixpath.dirname(here) or ".")
