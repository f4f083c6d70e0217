"""The colours in which JupyterLab shows a cell, and those in which it should."""

from __future__ import annotations

from s3conn_magic.notebook.lexer import pieces

VARIABLES = {
    "magic": "meta",
    "target": "def",
    "keyword": "keyword",
    "option": "property",
    "constant": "keyword",
    "function": "builtin",
    "quoted": "string-2",
    "string": "string",
    "variable": "variable-2",
    "number": "number",
    "operator": "operator",
    "punctuation": "punctuation",
    "comment": "comment",
}
"""Of each kind of piece but names, the variable of JupyterLab's themes."""

_SHOWN = """(cell) => [...cell.querySelectorAll(".cm-line")].map((line) => {
  const texts = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const { parentElement, data } = texts.currentNode;
    found.push([data, getComputedStyle(parentElement).color]);
  }
  return found;
})"""
_THEME = """([cell, names]) => {
  const probe = cell.querySelector(".cm-line").appendChild(document.createElement("span"));
  const colours = names.map((name) => {
    probe.style.color = `var(--jp-mirror-editor-${name}-color)`;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return colours;
}"""


def shown(cell):
    """Character and colour of all that a cell's editor shows, without white space."""
    lines = cell.evaluate(_SHOWN)
    return [(one, colour) for line in lines for text, colour in line for one in text if not one.isspace()]


def theme(cell):
    """The theme's colour for each kind of piece."""
    colours = cell.page.evaluate(_THEME, [cell.element_handle(), list(VARIABLES.values())])
    plain = cell.locator(".cm-line").first.evaluate("(line) => getComputedStyle(line).color")
    return {**dict(zip(VARIABLES, colours, strict=True)), "name": plain}


def expected(cell, text):
    """What `shown` gives once the text is coloured in full."""
    colours = theme(cell)
    found = [(one, colours.get(kind)) for kind, part in pieces(text) for one in part]
    return [(one, colour) for one, colour in found if not one.isspace()]


def is_coloured(cell, text):
    """Wait until a cell shows this text in full colour; gives the first difference if it never does."""
    for _ in range(60):
        there, due = shown(cell), expected(cell, text)
        if there == due:
            return True
        cell.page.wait_for_timeout(100)
    at = next((at for at, (a, b) in enumerate(zip(there, due, strict=False)) if a != b), min(len(there), len(due)))
    raise AssertionError(f"at {''.join(one for one, _ in due[max(0, at - 40) : at + 20])!r}: {there[at : at + 1]}")
