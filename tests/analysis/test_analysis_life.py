"""What ANALYZE shows while it runs, and what it leaves when it ends early."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from fault_server import Fault, connection_with
from layouts import keys_of
from listing_targets import SignedTarget
from statements import Statements, create
from synthetic import Behaviour, Bucket

from s3conn_magic.errors import AccessDeniedError, BucketNotFoundError, IncompleteListingError
from s3conn_magic.listing.analysis import Scan, Summary, grouping
from s3conn_magic.results.charts import AnalysisChart
from s3conn_magic.sandbox import LAKE, LOGS

KEYS = 30_000
SLOW = 0.2
PAIR = "AWS_ACCESS_KEY_ID = 'AKIDEXAMPLE' AWS_SECRET_ACCESS_KEY = 'example'"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(sandbox):
    """A session with the connection `lake` to the sandbox."""
    statements = Statements()
    statements(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    return statements


def test_progress_is_reported_unless_it_is_off(run):
    """Keys that are reported only grow, up to all of them; after SET PROGRESS = FALSE nothing is reported."""
    seen = []
    run.session._progress = lambda: nullcontext(seen.append)
    run(f"ANALYZE 's3://{LOGS}/' BY SIZE")
    keys = [snapshot.keys for snapshot in seen]
    assert keys == sorted(keys)
    assert keys[-1] == 2400
    seen.clear()
    run(f"SET PROGRESS = FALSE; ANALYZE 's3://{LOGS}/'")
    assert seen == []


def test_a_chart_is_made_only_for_who_shows_it(run):
    """A session shows what it is given a callback for: here one chart of the frame; without one nothing is made."""
    made = []
    run.session._beside = lambda make: made.append(make())
    frame = run(f"ANALYZE 's3://{LAKE}/' BY EXTENSION")
    (chart,) = made
    assert isinstance(chart, AnalysisChart)
    assert f"s3://{LAKE}/ by extension" in chart._text()
    assert all(name in chart._text() for name in frame["group"])


def test_a_failure_leaves_the_groups_so_far(serve):
    """A page that cannot be read ends the analysis with an error that holds the groups of the others, labelled."""
    keys = keys_of("hive", 5000)
    fault = Fault("200 and HTML", f">{keys[-1].replace('=', '%3D')}<")
    run = Statements()
    address = serve(Bucket(keys), connection=connection_with(fault))
    run(f"CREATE S3 CONNECTION x {PAIR} ENDPOINT = '{address}' VALIDATE = FALSE; SET CONNECTIONS = 1")
    error = run.fails("ANALYZE 's3://bucket/' DEPTH 2", IncompleteListingError)
    counted = error.rows_so_far["objects"].sum()
    assert fault.hits > 0
    assert 1000 <= counted < 5000
    assert error.message.startswith(f"the analysis is incomplete, {counted:,} keys had arrived: ")
    assert repr(error.rows_so_far).startswith("partial: the analysis is incomplete")
    assert list(error.rows_so_far.columns) == ["group", "objects", "bytes", "share", "newest", "oldest", "usd_month"]


def test_a_failure_before_anything_is_what_it_is(run, sandbox):
    """A missing bucket and a missing permission are named, as by LIST, with the place of the statement."""
    error = run.fails("\n ANALYZE 's3://acme-nowhere/'", BucketNotFoundError)
    assert (error.place.line, error.place.column) == (2, 10)
    run(create("sales", keys=sandbox.restricted, ENDPOINT=sandbox.endpoint) + " VALIDATE = FALSE")
    assert run.fails(f"ANALYZE 's3://{LOGS}/' USING sales", AccessDeniedError).action == "s3:ListBucket"


def test_what_a_report_raises_ends_the_scan(serve):
    """An exception of the progress callback comes out as it is, and no thread goes on."""
    target = SignedTarget(serve(Bucket(keys_of("hive", 20_000)), Behaviour(latency=0.05)))

    def enough(progress):
        if progress.keys >= 2000:
            raise TimeoutError

    with Scan(target, "", Summary(grouping("SIZE")), connections=2) as scan, pytest.raises(TimeoutError):
        scan.total(on_progress=enough)
    assert len(target.asked) < 20


def test_a_script_shows_nothing():
    """Outside a notebook `execute` gives the frame and writes nothing."""
    code = (
        "import s3conn_magic as s\n"
        f"frame = s.execute(\"START SANDBOX; ANALYZE 's3://{LAKE}/' BY STORAGE_CLASS\")\n"
        "s.execute('STOP SANDBOX')\nimport json, sys\nwidgets = 'anywidget' in sys.modules\n"
        "print(json.dumps([list(frame.group), widgets]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, cwd=ROOT
    )
    assert json.loads(done.stdout) == [["STANDARD", "GLACIER", "STANDARD_IA"], False]
    assert done.stderr == ""


@pytest.fixture
def sandboxed(kernel):
    """A kernel with the sandbox started; on a busy machine its progress would be shown among the outputs."""
    assert kernel.run("%load_ext s3conn_magic\n%upsql START SANDBOX; SET PROGRESS = FALSE").status == "ok"
    yield kernel
    assert kernel.run("%upsql STOP SANDBOX").status == "ok"


def test_a_cell_shows_chart_and_frame(sandboxed):
    """The cell's value is the frame; the chart is displayed before it, with a table and text that are true."""
    outcome = sandboxed.run(f"%upsql ANALYZE 's3://{LAKE}/'")
    assert outcome.status == "ok", outcome.error
    view, chart = outcome.displays
    assert "application/vnd.jupyter.widget-view+json" in view
    assert ">events/</td>" in chart["text/html"]
    assert "█" in chart["text/plain"]
    assert "events/" in chart["text/plain"]
    assert "events/" in outcome.result["text/html"]
    states = [content["data"]["state"] for content in outcome.contents("comm_open")]
    assert "events/" not in repr(states).replace("s3conn", "")
    value = sandboxed.run("print(type(_).__name__, _.shape)").stdout.split()
    assert value == ["StatementFrame", "(7,", "7)"]


def test_a_result_into_a_variable_shows_no_chart(sandboxed):
    """`groups <<` shows nothing and makes no widget, and `execute` in a kernel displays nothing either."""
    outcome = sandboxed.run(f"%%upsql groups <<\nANALYZE 's3://{LAKE}/' BY AGE")
    assert outcome.status == "ok"
    assert (outcome.displays, outcome.contents("comm_open")) == ([], [])
    frame = f"import s3conn_magic; frame = s3conn_magic.execute(\"ANALYZE 's3://{LAKE}/'\")"
    outcome = sandboxed.run(f"{frame}; print(len(groups), len(frame))")
    assert (outcome.displays, outcome.contents("comm_open")) == ([], [])
    assert outcome.stdout.split() == ["2", "7"]


def test_an_interrupt_keeps_the_groups_and_leaves_nothing_behind(kernel, serve):
    """SIGINT ends an analysis; its groups are in `_`, no chart is shown, and the loop of all requests goes on."""
    address = serve(Bucket(keys_of("hive", KEYS)), Behaviour(latency=SLOW))
    create_slow = f"CREATE S3 CONNECTION slow {PAIR} ENDPOINT = '{address}' VALIDATE = FALSE; SET CONNECTIONS = 1"
    assert kernel.run(f"%load_ext s3conn_magic\n%upsql {create_slow}").status == "ok"
    sent = []

    def stop(message):
        text = message["content"].get("data", {}).get("text/plain", "0 keys")
        if message["msg_type"] == "update_display_data" and not sent and not text.startswith("0 keys"):
            sent.append(message)
            kernel.interrupt()

    outcome = kernel.run("%upsql ANALYZE 's3://bucket/' DEPTH 3", on_message=stop)
    assert outcome.error["ename"] == "ListingInterrupted", outcome.error
    assert any("rows so far are in _" in line for line in outcome.error["traceback"])
    assert outcome.contents("comm_open") == []
    partial = kernel.run("print(_.attrs['partial'], '|', _.objects.sum(), '|', list(_.columns)[:2])").stdout
    label, counted, columns = (part.strip() for part in partial.split("|"))
    assert label == f"the analysis was interrupted after {int(counted):,} keys"
    assert 0 < int(counted) < KEYS
    assert columns == "['group', 'objects']"
    names = "{thread.name for thread in __import__('threading').enumerate() if 's3conn' in thread.name}"
    assert kernel.run(f"print({names})").stdout.strip() == "{'s3conn-transport'}"
