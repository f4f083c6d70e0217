"""The blocks of the page about other libraries run, one by one, as far as the libraries are here."""

from __future__ import annotations

import io
import re
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from shelf import shelved
from statements import Statements, create

import s3conn_magic
from s3conn_magic.sandbox import Keys
from s3conn_magic.secrets import Secret

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "other-libraries.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
EVENTS = pd.DataFrame({"n": [1, 2, 3]})
pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # what other libraries say of each other
    pytest.mark.usefixtures("aws_files"),
]


@pytest.fixture(scope="module")
def lake():
    """A connection to a server in memory with what the page speaks of."""
    with shelved("acme-lake") as (shelf, recorder):
        events = io.BytesIO()
        EVENTS.to_parquet(events)
        shelf.buckets["acme-lake"] = {
            "sales/orders.csv": b"id,total\n1,2\n",
            "events/year=2026/0.parquet": events.getvalue(),
        }
        run = Statements()
        run(create("lake", keys=Keys("AKIAONE", Secret("one")), ENDPOINT=recorder.endpoint, VALIDATE=False))
        yield run.connection("lake")
        assert {request.signed_by for request in recorder.requests if "X-Amz" not in request.target} <= {"AKIAONE"}


def _is_here(name: str) -> bool:
    """Whether a library is installed; among the benchmarks is a module of the same name as one."""
    spec = find_spec(name)
    return spec is not None and Path(spec.origin or "").parent.name != "benchmarks"


def _libraries(block: str) -> set[str]:
    return {name.partition(".")[0] for name in re.findall(r"^(?:import|from) ([\w.]+)", block, re.MULTILINE)}


@pytest.mark.parametrize("block", BLOCKS, ids=[" ".join(sorted(_libraries(block))) for block in BLOCKS])
def test_a_block_of_the_page_runs(lake, monkeypatch, block):
    """With the connection, and the names of the blocks before it; a library that is not installed is left out."""
    missing = sorted(name for name in _libraries(block) if not _is_here(name))
    if missing:
        pytest.skip(f"not installed: {missing[0]}")
    monkeypatch.setattr(s3conn_magic, "connection", lambda _: lake)
    exec(block, {"lake": lake, "orders": pd.DataFrame({"id": [1]}), "__name__": "page"})
