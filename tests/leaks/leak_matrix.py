"""Runs scenarios in a kernel, gathers every sink, and looks for a piece of any secret in them."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

import nbformat
from leak_patterns import ENCODINGS, SECRETS, Hit, Patterns
from leak_scenarios import CONNECTIONS, EXPECTED, OF_A_TABLE, Scenario, setup
from nbconvert.exporters import HTMLExporter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kernels import Kernel, Outcome
    from leak_server import Told

HERE = Path(__file__).parent
_GAP = bytes(16)
_OUTPUTS = {"stream", "display_data", "execute_result", "error"}
_SHORT, _LONG = 0.3, 30.0
_PATIENCE = 30.0
_LOOK = ("%whos", *(f"_named_{name}{mark}" for name in CONNECTIONS for mark in ("?", "??")), "%history -g", "%hist -o")


@dataclass
class Report:
    """What was looked at and what was found: `hits` are (scenario, sink, piece)."""

    patterns: Patterns
    hits: list[tuple[str, str, Hit]] = field(default_factory=list)
    scenarios: int = 0
    statements: set[str] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)
    sinks: dict[str, int] = field(default_factory=dict)
    scanned: int = 0
    _waiting: list[tuple[str, str, bytes]] = field(default_factory=list)

    def look(self, scenario: str, sink: str, data: bytes) -> None:
        """Look for every secret in every encoding; empty data is what has been looked at before."""
        self.sinks[sink] = self.sinks.get(sink, 0) + 1
        if data:
            self._waiting.append((scenario, sink, data))

    def scan(self) -> None:
        """Search all that waits, at once."""
        starts = list(accumulate((len(data) + len(_GAP) for *_, data in self._waiting), initial=0))
        found = {}
        for hit in self.patterns.find(_GAP.join(data for *_, data in self._waiting)):
            scenario, sink, _ = self._waiting[bisect_right(starts, hit.offset) - 1]
            found[scenario, sink, hit.secret, hit.encoding] = (scenario, sink, hit)
        self.hits += found.values()
        self.scanned += starts[-1]
        self._waiting.clear()

    @property
    def checks(self) -> int:
        """Looks at one sink after one scenario for one secret in one encoding."""
        return sum(self.sinks.values()) * len(SECRETS) * len(ENCODINGS)

    def __str__(self) -> str:
        return (
            f"leak matrix: {len(self.hits)} hits in {self.checks:,} checks: {self.scenarios} scenarios"
            f" ({len(self.statements)} statements, {len(self.outcomes)} outcomes), {len(self.sinks)} sinks,"
            f" {len(SECRETS)} secrets x {len(ENCODINGS)} encodings = {len(self.patterns.pieces):,} pieces,"
            f" {self.scanned / 1e6:,.0f} MB"
        )


class Matrix:
    """A kernel whose sinks are all within reach.

    Args:
        kernel: a fresh one.
        told: the server that its statements ask.
        folder: holds the kernel's files; `observed` beside them is ours.
        places: files and folders that the kernel may write to.
    """

    def __init__(self, kernel: Kernel, told: Told, folder: Path, places: Iterable[Path]) -> None:
        self.kernel, self.told, self.places = kernel, told, tuple(places)
        self._observed = folder / "observed"
        self._at = 0
        self._listener = kernel.listener()
        self._patterns = Patterns()
        secrets = folder / "secrets.json"
        secrets.write_text(json.dumps(SECRETS), encoding="utf-8")
        self.inside(
            f"import sys; sys.path.insert(0, {str(HERE)!r}); import leak_observer as _leak\n"
            f"get_ipython().run_line_magic('load_ext', 's3conn_magic'); endpoint = {told.server.endpoint!r}\n"
            f"_observer = _leak.Observer(get_ipython(), {str(self._observed)!r}, {str(secrets)!r})\n"
            f"_leak.use_keyring(_observer.secrets['keyring value']); _leak.hurry({_LONG})"
        )

    def inside(self, code: str) -> None:
        """Run code in the kernel that is no scenario: silently, in no history."""
        reply = self.kernel.client.execute_interactive(code, silent=True, store_history=False, timeout=60)
        assert reply["content"]["status"] == "ok", reply["content"]

    def stop(self) -> None:
        """Let go of the kernel's messages."""
        self._listener.stop_channels()

    def run(self, scenarios: Iterable[Scenario]) -> Report:
        """Every scenario, and a look at every sink."""
        report = Report(self._patterns)
        self._drain()
        self._at = self._observed.stat().st_size if self._observed.exists() else 0
        outputs: list[Any] = []
        for outcome, group in groupby(scenarios, lambda one: one.outcome):
            with self._prepared(outcome):
                for scenario in group:
                    outputs += self._one(report, scenario)
                report.scan()
        outputs += self._look_around(report)
        self._files(report)
        _saved(report, outputs)
        report.scan()
        return report

    def set_up(self) -> Report:
        """The connections."""
        report = self.run(setup())
        names = "; ".join(f"_named_{one} = _s3.connection({one!r})" for one in CONNECTIONS)
        self.inside(f"import s3conn_magic as _s3; {names}")
        return report

    @contextmanager
    def _prepared(self, outcome: str) -> Iterator[None]:
        if outcome == "internal error":
            self.inside("_patch = _leak.fail_inside(_observer.secrets['prompt value']); _patch.__enter__()")
        if outcome == "timeout":
            self.inside(f"_leak.hurry({_SHORT})")
        yield
        if outcome == "internal error":
            self.inside("_patch.__exit__(None, None, None)")
        if outcome == "timeout":
            self.inside(f"_leak.hurry({_LONG})")

    def _one(self, report: Report, scenario: Scenario) -> list[Any]:
        self.told.arrived.clear()
        self.told.go_on.clear()
        self.told.mode = scenario.mode
        stopper = threading.Thread(target=self._stop_when_asked, daemon=True)
        if scenario.outcome == "interrupt":
            stopper.start()
        outcome = self.kernel.run(scenario.cell, answers=scenario.answers)
        self.told.mode = "ok"
        self.told.go_on.set()
        if scenario.outcome == "interrupt":
            stopper.join()
        _check(scenario, outcome)
        report.scenarios += 1
        report.statements.add(scenario.statement)
        report.outcomes.add(scenario.outcome)
        return self._gather(report, f"{scenario.statement}, {scenario.outcome}", outcome)

    def _stop_when_asked(self) -> None:
        if self.told.arrived.wait(_PATIENCE):
            self.kernel.interrupt()

    def _gather(self, report: Report, name: str, outcome: Outcome) -> list[Any]:
        """Look at what came of one cell; its outputs."""
        messages = self._drain()
        for message in messages:
            report.look(name, f"iopub {message['msg_type']}", _bytes(message))
        report.look(name, "shell execute_reply", _bytes(outcome.reply))
        for sink, text in self._lines():
            report.look(name, sink, text.encode("utf-8", "surrogatepass"))
        return [one for one in messages if one["msg_type"] in _OUTPUTS]

    def _drain(self) -> list[Any]:
        """What came on iopub since the last time, but for echoes of cells."""
        found = []
        while True:
            try:
                message = self._listener.get_iopub_msg(timeout=0)
            except Empty:
                return found
            if message["msg_type"] != "execute_input":
                found.append(message)

    def _lines(self) -> Iterator[tuple[str, str]]:
        if self._observed.exists():
            with self._observed.open(encoding="utf-8") as file:
                file.seek(self._at)
                for line in file.readlines():
                    yield tuple(json.loads(line))
                self._at = file.tell()

    def _look_around(self, report: Report) -> list[Any]:
        """What a user looks at, and what a front end asks for."""
        outputs = []
        for cell in _LOOK:
            outputs += self._gather(report, cell, self.kernel.run(cell))
        client, patiently = self.kernel.client, {"reply": True, "timeout": _PATIENCE}
        for reply in (
            client.inspect("_named_vault", detail_level=1, **patiently),
            client.complete("_named_vault.", **patiently),
            client.history(output=True, n=1000, hist_access_type="tail", **patiently),
            client.comm_info(**patiently),
        ):
            report.look("asked", f"shell {reply['msg_type']}", _bytes(reply))
        return outputs

    def _files(self, report: Report) -> None:
        self.inside("get_ipython().history_manager.writeout_cache()")
        for place in self.places:
            for file in [place] if place.is_file() else sorted(place.rglob("*")):
                if file.is_file():
                    kind = "history file" if file.name.startswith("history.sqlite") else f"files of {place.name}"
                    report.look(file.name, kind, file.read_bytes())


def _check(scenario: Scenario, outcome: Outcome) -> None:
    """That the scenario had its outcome, without which nothing would be shown by it."""
    shown = outcome.error["ename"] if outcome.error else None
    expected = EXPECTED[scenario.outcome]
    # A test of a connection says what failed in its frame; an explorer in its rows.
    soft = scenario.statement in {"TEST CONNECTION", "EXPLORE"} and scenario.mode != "ok"
    # What has a counterpart here is said, or done.
    soft = soft or scenario.outcome.startswith("foreign, ")
    if scenario.statement in OF_A_TABLE:
        expected = expected | {"IncompleteListingError"}
    assert shown in expected or (shown is None and (soft or not expected)), (scenario, outcome.error)


def _bytes(message: Any) -> bytes:
    """Content, metadata and buffers; strings as they are, and as they travel."""
    content = {"content": message["content"], "metadata": message.get("metadata")}
    texts = "\n".join(_strings(content)) + json.dumps(content, default=repr)
    return texts.encode("utf-8", "surrogatepass") + b"".join(bytes(one) for one in message.get("buffers") or ())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield str(key)
            yield from _strings(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _strings(one)


def _saved(report: Report, messages: list[Any]) -> None:
    """The notebook as it would be saved, and as a page; without sources, which are the user's to keep."""
    outputs = [nbformat.v4.output_from_msg(one) for one in messages]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=outputs)])
    report.look("all", "saved notebook", nbformat.writes(notebook).encode())
    page, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    report.look("all", "nbconvert HTML", page.encode())
