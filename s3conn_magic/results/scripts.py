"""Join a JavaScript module and its imports into one text that a widget can carry.

A widget's module has no address, so it can neither import its neighbours nor load anything. Each module becomes a
function that is called once, and the others take its exports by name, so that names never clash. Sources may only use
`import { a, b } from "./file.js";`, `export const`, `export function` and `export class`; only the entry has a default
export.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "(\.{1,2}/[\w./]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function|class) (\w+))", re.MULTILINE)


def joined_scripts(entry: Path) -> str:
    """Return an entry module and everything that it imports as one module.

    Raises:
        ValueError: modules import each other in a circle, or use another form of import or export.
    """
    parts: dict[Path, str] = {}
    _append(entry.resolve(), parts, ())
    return "\n".join(parts.values())


def _append(file: Path, parts: dict[Path, str], above: tuple[Path, ...]) -> None:
    """Append a module after those that it imports."""
    if file in above:
        raise ValueError(f"{file.name} imports itself, by {', '.join(each.name for each in above)}")
    if file in parts:
        return
    text = file.read_text(encoding="utf-8")
    for names, name in _IMPORT.findall(text):
        source = (file.parent / name).resolve()
        _append(source, parts, (*above, file))
        if missing := set(names.split(", ")) - set(_EXPORT.findall(source.read_text(encoding="utf-8"))):
            raise ValueError(f"{name} exports no {', '.join(sorted(missing))} on its own line")
    variables = {each: f"_{at}" for at, each in enumerate(parts)}
    body = _IMPORT.sub(lambda match: f"const {{ {match[1]} }} = {variables[(file.parent / match[2]).resolve()]};", text)
    if above:
        body = _as_function(body, f"_{len(parts)}")
    if leftover := re.search(r"^(?:import|export)\b.*" if above else r"^import\b.*", body, re.MULTILINE):
        raise ValueError(f"{file.name} has what cannot be joined: {leftover[0]}")
    parts[file] = body


def _as_function(body: str, name: str) -> str:
    """Return a module as a constant that holds its exports."""
    exports = ", ".join(_EXPORT.findall(body))
    return f"const {name} = (() => {{\n{_EXPORT.sub('', body)}\nreturn {{ {exports} }};\n}})();\n"


def joined_styles(files: Iterable[Path]) -> str:
    """Return style sheets joined in this order."""
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
