"""Texts of hints, as the code has them: with `{expression}` in the place of each value."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def hints_of(module: Path) -> set[str]:
    """What may stand in a `hint` of a module, with what is named there: constants, variables, results of functions."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    named, seen, found = _named(tree), set[str](), set[str]()
    left = [keyword.value for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in _hint(node)]
    left += [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) and _is_hint(node.targets[0])]
    while left:
        expression = left.pop()
        found.update(_strings(expression))
        for node in ast.walk(expression):
            name = getattr(node, "id", None) or getattr(node, "attr", None)
            if name in named and name not in seen:
                seen.add(name)
                left += named[name]
    return {text for text in found if " " in text}


def sampled(hint: str, samples: Mapping[str, str]) -> str:
    """A hint with a sample in the place of each value: of the first pattern that its expression has, else `x`."""
    return re.sub(
        r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}",
        lambda value: next((sample for pattern, sample in samples.items() if re.search(pattern, value[1])), "x"),
        hint,
    )


def _hint(call: ast.Call) -> list[ast.keyword]:
    return [keyword for keyword in call.keywords if keyword.arg == "hint"]


def _is_hint(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and target.attr == "hint"


def _named(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """Values of each name, and what each function returns."""
    named: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            results = [part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value]
            named.setdefault(node.name, []).extend(results)
        elif isinstance(node, ast.For):
            for part in ast.walk(node.target):
                named.setdefault(getattr(part, "id", ""), []).append(node.iter)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            for name, value in _pairs(target, node.value):
                named.setdefault(getattr(name, "id", ""), []).append(value)
    return named


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple):
        values = value.elts if isinstance(value, ast.Tuple) else [value] * len(target.elts)
        yield from zip(target.elts, values, strict=False)
    else:
        yield target, value


def _strings(expression: ast.expr) -> Iterator[str]:
    parts = {id(part) for node in ast.walk(expression) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(expression):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}"  # type: ignore[attr-defined]
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value
