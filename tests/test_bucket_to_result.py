"""The notebook from an unknown bucket to a written result, run on a real kernel, on two servers."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from boto_clients import client
from nbclient import NotebookClient
from tutorials import in_the_tutorial, shown

from s3conn_magic.sandbox import ADMIN

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "bucket_to_result.ipynb"


@pytest.fixture(scope="module", params=["moto", "rclone"])
def executed(request, tmp_path_factory):
    """The notebook after its last cell, and the secret that it was given."""
    notebook, secret = nbformat.read(NOTEBOOK, as_version=4), ADMIN.secret_access_key.reveal()
    if request.param == "rclone":
        server = request.getfixturevalue("rclone_server")
        secret = server.keys.secret_access_key.reveal()
        (setup,) = [cell for cell in notebook.cells if "setup" in cell.metadata.get("tags", ())]
        given = {"key_id": server.keys.access_key_id, "secret": secret, "endpoint": server.endpoint}
        setup.source = "import s3conn_magic\n" + "\n".join(f"{name} = {text!r}" for name, text in given.items())
    folder = tmp_path_factory.mktemp("bucket-to-result")
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        if secret in cell.source:
            cell.source = ""
    yield notebook, secret
    if request.param == "rclone":
        key = "revenue/write_revenue.parquet"
        client("s3", server.endpoint, server.keys).delete_object(Bucket="acme-empty", Key=key)


def _shown(notebook, beginning):
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and beginning in cell.source]
    return "".join(str(one.get("text") or one.data.get("text/plain", "")) for one in cell.outputs)


def test_a_question_is_answered_in_sql_with_what_it_read(executed):
    """Three months of events are grouped by their partitions, and the frame says what was read for it."""
    notebook, _ = executed
    assert "'requests':" in _shown(notebook, 'by_day.attrs["read"]')
    lines = [line.split() for line in _shown(notebook, "FROM by_day").splitlines()]
    assert [line[1] for line in lines if len(line) == 4 and line[0].isdecimal()] == ["01", "02", "03"]


def test_a_job_loads_once_and_the_result_is_written(executed):
    """The second run of the job finds nothing new, and what was written is read back in the order of revenue."""
    notebook, _ = executed
    assert "Loaded 1 object (1,500 rows" in _shown(notebook, "CREATE SYNC JOB load_orders")
    assert "nothing new" in _shown(notebook, "RUN JOB load_orders")
    written = _shown(notebook, "FROM 's3://acme-empty/revenue/")
    assert written.index("Monitor") < written.index("Office chair") < written.index("Notebook, A5")


def test_what_cannot_be_loaded_is_told(executed):
    """The job in the older form loads the clicks, and its log names the picture."""
    notebook, _ = executed
    shown = _shown(notebook, "BUCKET = 'acme-lake'")
    assert "The job load_clicks was created. Loaded 2 objects" in shown
    assert "reports/revenue.png" in shown
    assert "objects of the format PNG are not read" in shown


def test_tables_are_of_a_query_or_over_files_and_joined_through_two_connections(executed):
    """SHOW TABLES tells where each is from, and a query through both connections has an answer."""
    notebook, _ = executed
    tables = _shown(notebook, "CREATE TABLE customers LOCATION")
    assert all(name in tables for name in ("orders", "clicks", "customers", "spent", "s3://acme-lake/sales/"))
    answer = _shown(notebook, "s3://archive@acme-lake")
    assert len([line for line in answer.splitlines() if line[:1].isdecimal()]) == 3


def test_the_answer_is_drawn_and_the_connection_guarded(executed):
    """The chart is a picture, and a connection with dependents is not dropped."""
    notebook, _ = executed
    (drawn,) = [cell for cell in notebook.cells if cell.source.startswith("%matplotlib")]
    assert any("image/png" in one.get("data", {}) for one in drawn.outputs)
    assert "Cannot delete connection due to usages" in _shown(notebook, "ConnectionInUseError")
    assert "was dropped with job load_clicks" in _shown(notebook, "CASCADE;")


def test_the_saved_notebook_holds_no_secret(executed):
    """Nothing of the secret key is in the notebook as it would be saved."""
    notebook, secret = executed
    assert secret[4:20] not in json.dumps(notebook)


def test_the_tutorial_shows_what_is_printed(executed):
    """docs/tutorial has the cells of the notebook, with the outputs that they have on the sandbox."""
    notebook, secret = executed
    now, then = shown(notebook), in_the_tutorial(NOTEBOOK.stem)
    if secret == ADMIN.secret_access_key.reveal():
        assert now == then, "python docs/execute_notebooks.py"
    assert [len(outputs) for _, outputs in now] == [len(outputs) for _, outputs in then]
