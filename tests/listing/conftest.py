from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from s3conn_magic.transport import exchange

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tries follow each other at once."""
    monkeypatch.setattr(exchange, "_BASE", 0.0005)
    return None
