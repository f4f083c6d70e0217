"""PREVIEW in a real kernel: what a notebook would show and save."""

from __future__ import annotations

import pytest
from statements import create

from s3conn_magic.sandbox import LAKE


@pytest.fixture
def lake(kernel, sandbox):
    """A kernel with the connection `lake` to the sandbox."""
    assert kernel.run("%load_ext s3conn_magic").status == "ok"
    made = kernel.run(f"%%upsql\n{create('lake', keys=sandbox.admin, ENDPOINT=sandbox.endpoint, VALIDATE=False)}")
    assert made.status == "ok"
    return kernel


@pytest.mark.parametrize(
    ("key", "html", "text"),
    [
        ("sales/orders.csv", ">order_id</th>", "order_id"),
        ("README.txt", "<pre", "made up"),
        ("reports/revenue.png", '<img src="data:image/png;base64,', "PNG, 480 by 270"),
        ("cold/totals-2023.csv", "GLACIER", "must be restored"),
    ],
)
def test_a_preview_is_the_cell_s_value(lake, key, html, text):
    """One value with HTML and text, and nothing printed beside it."""
    outcome = lake.run(f"%%upsql\nPREVIEW 's3://{LAKE}/{key}' LIMIT 10")
    assert outcome.status == "ok"
    assert html in outcome.result["text/html"]
    assert text in outcome.result["text/plain"]
    assert (outcome.stdout, outcome.stderr, outcome.displays) == ("", "", [])


def test_its_frame_is_at_hand(lake):
    """`_` is the preview, and its frame goes on."""
    assert lake.run(f"%%upsql\nPREVIEW 's3://{LAKE}/sales/orders.csv' LIMIT 10").status == "ok"
    assert lake.run("print(_.frame['quantity'].sum() > 0, len(_.frame))").stdout == "True 10\n"
