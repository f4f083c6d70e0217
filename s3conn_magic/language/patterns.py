"""LIKE patterns: `%` for any text, `_` for any character, without case."""

from __future__ import annotations

import re


def like(pattern: str | None, text: str) -> bool:
    """Whether a text is like the pattern; a pattern of None is like everything."""
    if pattern is None:
        return True
    parts = (".*" if one == "%" else "." if one == "_" else re.escape(one) for one in pattern)
    return re.fullmatch("".join(parts), text, re.IGNORECASE | re.DOTALL) is not None
