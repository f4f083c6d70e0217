"""The Pygments lexer, where Pygments, nbconvert and IPython's prompt use it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest
from pygments.token import Token

from s3conn_magic.notebook.lexer import UpsqlLexer

CELL = """%%upsql files <<
-- all
LIST 's3://lake/' USING "my lake" LIMIT 10;
ALTER S3 CONNECTION x SET COMMENT = $said;"""
README = Path(__file__).parents[2] / "README.md"
CONVERT = """
from nbconvert import HTMLExporter
from traitlets.config import Config

c = Config()
{setting}
print(HTMLExporter(config=c, template_name="basic").from_filename({path!r})[0])
"""
PROMPT = """
import json
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from prompt_toolkit.document import Document

shell = TerminalInteractiveShell.instance(simple_prompt=True)
def shown():
    line = shell._extra_prompt_options()["lexer"].lex_document(Document("%%upsql\\nLIST 's3://lake'"))(1)
    return [(style, text) for style, text in line if text.strip()]

seen = [shown()]
for command in ("load_ext", "reload_ext", "unload_ext"):
    shell.run_line_magic(command, "s3conn_magic")
    seen.append(shown())
print(json.dumps(seen))
"""
SESSION = """\
%load_ext s3conn_magic
%upsql START SANDBOX
%upsql files << LIST 's3://acme-lake/' RECURSIVE LIMIT 5
len(files)
%upsql EXPLORE 's3://acme-lake/sales/'
%upsql LST
%unload_ext s3conn_magic
%upsql HELP
%load_ext s3conn_magic
%upsql SHOW CONNECTIONS
exit
"""


def _tokens(text: str) -> list[tuple[object, str]]:
    return [(kind, part) for kind, part in UpsqlLexer().get_tokens(text) if part.strip()]


def test_the_lexer_gives_the_types_that_styles_colour():
    """Magic, target, comment, keywords, literals, numbers, options and variables have their token types."""
    found = {part: kind for kind, part in _tokens(CELL)}
    assert found["%%upsql"] is Token.Keyword.Pseudo
    assert found["files"] is Token.Name.Variable
    assert found["-- all"] is Token.Comment
    assert found["LIST"] is found["CONNECTION"] is Token.Keyword
    assert found["'s3://lake/'"] is Token.Literal.String.Single
    assert found['"my lake"'] is Token.Literal.String.Symbol
    assert found["10"] is Token.Literal.Number
    assert found["COMMENT"] is Token.Name.Attribute
    assert found["said"] is Token.Name.Variable.Global
    assert "".join(part for _, part in UpsqlLexer().get_tokens(CELL)) == f"{CELL}\n"


def test_pygments_finds_the_lexer(installed):
    """Installed, it is there by name, by the end of a file's name and by MIME type."""
    code = """
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename, get_lexer_for_mimetype
print(*(one.aliases[0] for one in (
    get_lexer_by_name("upsql"), get_lexer_for_filename("set.usql"), get_lexer_for_mimetype("text/x-upsql"))))
"""
    done = installed.run("-c", code)
    assert (done.stdout, done.stderr) == ("upsql upsql upsql\n", "")


def test_nbconvert_colours_cells(installed, tmp_path):
    """With the one line of configuration that the README names, HTML has keywords where the cell has them."""
    (setting,) = re.findall(r"^c\.HighlightMagicsPreprocessor.*$", README.read_text(encoding="utf-8"), re.MULTILINE)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    nbformat.write(notebook, tmp_path / "a.ipynb")
    done = installed.run("-c", CONVERT.format(setting=setting, path=str(tmp_path / "a.ipynb")))
    assert done.returncode == 0, done.stderr
    assert '<span class="k">LIST</span>' in done.stdout
    assert '<span class="na">COMMENT</span>' in done.stdout


@pytest.fixture(scope="module")
def prompts(installed):
    """What the prompt of a terminal shows before loading, after it, after loading again, and after unloading."""
    done = installed.run("-c", PROMPT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_prompt_of_a_terminal_colours_cells(prompts):
    """`%load_ext` colours `%%upsql` cells as they are typed, and loading again changes nothing."""
    _, loaded, again, _ = prompts
    assert loaded == [["class:pygments.keyword", "LIST"], ["class:pygments.literal.string.single", "'s3://lake'"]]
    assert again == loaded


def test_unloading_gives_the_prompt_back(prompts):
    """After `%unload_ext` the prompt is as it was."""
    before, loaded, _, unloaded = prompts
    assert unloaded == before != loaded


def test_statements_in_a_terminal(installed):
    """In a terminal's IPython statements run, fail in one block, and the session outlives unloading."""
    done = installed.run("-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor", input=SESSION)
    assert "S3 connection sandbox created" in done.stdout
    assert "Out[4]: 5" in done.stdout
    assert "orders.csv" in done.stdout
    assert "Did you mean LIST?" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Line magic function `%upsql` not found" in done.stdout + done.stderr
    assert "sandbox" in done.stdout[done.stdout.index("In [10]") :]
