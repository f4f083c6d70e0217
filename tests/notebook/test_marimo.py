from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = """
import json
import marimo

app = marimo.App()

@app.cell
def start():
    import s3conn_magic
    card = s3conn_magic.execute("START SANDBOX")
    card
    return (s3conn_magic, card)

@app.cell
def listing(s3conn_magic, card):
    location = "s3://acme-lake/sales/"
    files = s3conn_magic.execute("LIST $location USING sandbox")
    files
    return (files,)

@app.cell
def explorer(s3conn_magic, files):
    tree = s3conn_magic.execute("EXPLORE USING sandbox")
    tree
    return (tree,)

outputs, _ = app.run()
print(json.dumps([marimo.as_html(output).text for output in outputs]))
"""


def test_statements_and_the_explorer_in_marimo(tmp_path):
    """In a marimo app, `execute` runs statements with the app's variables, and their results are shown as such."""
    pytest.importorskip("marimo")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    command = [sys.executable, "app.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    card, listing, explorer = json.loads(done.stdout.splitlines()[-1])
    assert "S3 connection sandbox created" in card
    assert "sales/orders.csv" in listing
    assert "<marimo-anywidget" in explorer
