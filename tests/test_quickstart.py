from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from tutorials import in_the_tutorial, results, shown

from s3conn_magic.sandbox import ADMIN, LAKE, RESTRICTED
from s3conn_magic.sandbox.data import Put, puts

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """The quickstart, run from top to bottom on a real kernel."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("quickstart")
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def _is_event(put: Put) -> bool:
    return put.bucket == LAKE and put.key.startswith("events/") and put.key.endswith(".parquet")


def _outputs(notebook: nbformat.NotebookNode, beginning: str) -> list[nbformat.NotebookNode]:
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and beginning in cell.source]
    return results(cell.outputs)


def _plain(output: nbformat.NotebookNode) -> str:
    return str(output.get("text") or output.data["text/plain"])


def test_creating_shows_a_card_and_listing_a_frame(executed: nbformat.NotebookNode) -> None:
    """A cell of two statements shows the connection's card, then the listing as its value."""
    card, listing = _outputs(executed, "CREATE S3 CONNECTION sales\n")
    assert card.output_type == "display_data"
    assert "S3 connection sales created" in _plain(card)
    assert "user/sales" in card.data["text/html"]
    assert listing.output_type == "execute_result"
    assert "sales/orders.csv" in listing.data["text/html"]


def test_a_listing_into_a_variable_shows_nothing_and_is_a_frame(executed: nbformat.NotebookNode) -> None:
    """`files <<` shows nothing, and the next cell computes with the frame of every Parquet file."""
    assert _outputs(executed, "files <<") == []
    (result,) = _outputs(executed, "files.groupby")
    lines = [line.split() for line in _plain(result).splitlines() if line.startswith("month=")]
    assert [name for name, *_ in lines] == ["month=01", "month=02", "month=03"]
    assert sum(int(count) for _, count, _ in lines) == sum(_is_event(put) for put in puts())


def test_the_explorer_is_a_widget_with_a_true_snapshot(executed: nbformat.NotebookNode) -> None:
    """EXPLORE gives a widget view, and beside it HTML and text that name the buckets."""
    view, snapshot = _outputs(executed, "EXPLORE")
    assert "application/vnd.jupyter.widget-view+json" in view.data
    assert "acme-lake" in snapshot.data["text/html"]
    assert "acme-lake" in snapshot.data["text/plain"]


def test_the_client_reads_and_refuses_to_write(executed: nbformat.NotebookNode) -> None:
    """The read-only connection's boto3 client reads an object, and a delete is refused by the connection's name."""
    (read,) = _outputs(executed, "client.get_object")
    assert _plain(read).startswith("customer_id,")
    (refused,) = _outputs(executed, "client.delete_object")
    assert "sales is READ_ONLY: DeleteObject was refused" in _plain(refused)


def test_the_saved_notebook_holds_no_secret(executed: nbformat.NotebookNode) -> None:
    """No part of a secret key is in the notebook as it would be saved."""
    saved = json.dumps(executed)
    for keys in (ADMIN, RESTRICTED):
        secret = keys.secret_access_key.reveal()
        assert not any(secret[at : at + 8] in saved for at in range(len(secret) - 30))
        assert secret not in saved


def test_the_tutorial_shows_what_is_printed(executed: nbformat.NotebookNode) -> None:
    """docs/tutorial has the same cells and outputs: `python docs/execute_notebooks.py`."""
    assert shown(executed) == in_the_tutorial(NOTEBOOK.stem)
