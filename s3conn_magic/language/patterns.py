"""LIKE patterns, `%` for any text and `_` for any character, without case; and names of environment variables."""

from __future__ import annotations

import re

_ENVIRONMENT_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def like(pattern: str | None, text: str) -> bool:
    """Whether a text is like the pattern; a pattern of None is like everything."""
    if pattern is None:
        return True
    parts = (".*" if one == "%" else "." if one == "_" else re.escape(one) for one in pattern)
    return re.fullmatch("".join(parts), text, re.IGNORECASE | re.DOTALL) is not None


def is_environment_name(text: str) -> bool:
    """Whether a text is written like the name of an environment variable; what is not may be the secret itself."""
    return _ENVIRONMENT_NAME.fullmatch(text) is not None
