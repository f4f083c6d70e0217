"""Messages, the cards of connections and datasets, the progress line, and scripts and styles as widgets carry them."""

from __future__ import annotations

import html
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from s3conn_magic.language.words import counted
from s3conn_magic.locations import Location, size_text, visible
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from s3conn_magic.connections.configuration import Configuration
    from s3conn_magic.connections.connection import Connection, Findings
    from s3conn_magic.datasets.portrait import Dataset
    from s3conn_magic.listing.request import Progress

NOT_TYPESET = "tex2jax_ignore mathjax_ignore"
"""The older and the newer class that keep MathJax off an element: a key may contain `$x$`."""
QUIET = "opacity:0.72"
"""Style of less important text: the page's own colour, faded."""
_LINE = "rgba(128,128,128,0.4)"
"""Visible on light and dark pages."""
_BOX = (
    f"display:inline-block;border:1px solid {_LINE};border-radius:4px;padding:8px 14px;"
    "font-size:13px;line-height:1.5;max-width:100%;box-sizing:border-box"
)
_CELL = "text-align:left;vertical-align:baseline;border:0;font-size:13px;line-height:1.6;"
_LABEL = f"{_CELL}{QUIET};padding:0 1.4em 0 0;white-space:nowrap"
_VALUE = f"{_CELL}padding:0;overflow-wrap:anywhere"


@dataclass(frozen=True, slots=True)
class Message:
    """One or more sentences; `str` is the exact text."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return "\n".join(visible(line) for line in self.text.split("\n"))

    @interruptible
    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self)}


@dataclass(frozen=True, slots=True)
class Card:
    """A title and labelled lines."""

    title: str
    lines: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        width = max((len(label) for label, _ in self.lines), default=0)
        return "\n".join(
            [visible(self.title), *(f"  {label:<{width}}  {visible(value)}" for label, value in self.lines)]
        )

    @interruptible
    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    @interruptible
    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr style="background:none"><th style="{_LABEL};font-weight:normal">{_escaped(label)}</th>'
            f'<td style="{_VALUE}">{_escaped(value)}</td></tr>'
            for label, value in self.lines
        )
        table = f'<table style="border:0;margin:4px 0 0;font-size:13px">{rows}</table>'
        return f'<div class="{NOT_TYPESET}" style="{_BOX}"><strong>{_escaped(self.title)}</strong>{table}</div>'


def _escaped(text: str) -> str:
    return html.escape(visible(text))


SNAPSHOT_STYLE = Path(__file__).parent / "snapshot.css"
"""The style sheet that hides a snapshot where its widget is shown."""
_VIEW = "application/vnd.jupyter.widget-view+json"
_AS_IT_WAS = "<p><em>As it was when the cell ran: run the cell again to browse.</em></p>"


def snapshot_table(
    title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], rest: str, *, numbers: Collection[int]
) -> str:
    """Return rows as an HTML table inside `<details>`, without scripts and with every text escaped.

    Args:
        title: shown above the table.
        heads: column names.
        rows: cell texts in their visible form.
        rest: a note on rows left out.
        numbers: indexes of right-aligned columns; the others are left-aligned, against the page's own rules.
    """
    sides = ["right" if at in numbers else "left" for at in range(len(heads))]

    def line(tag: str, cells: Sequence[str]) -> str:
        written = zip(sides, cells, strict=True)
        return "".join(f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>' for side, cell in written)

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    foot = f"<p>{html.escape(rest)}</p>" if rest else ""
    return (
        f'<details open class="{NOT_TYPESET}"><summary><b>{html.escape(title)}</b></summary>'
        f"<table><thead><tr>{line('th', heads)}</tr></thead><tbody>{body}</tbody></table>{foot}</details>"
    )


def show_with_snapshot(bundle_of: Callable[[], Any], title: str) -> None:
    """Display a widget, and its HTML and text as a separate output.

    Without its kernel, JupyterLab shows an error in place of a widget, and no other form of the same output.

    Args:
        bundle_of: returns the widget's `_repr_mimebundle_`, with HTML and text; called only in a notebook.
        title: what the widget shows, for front ends that display neither of the two.

    Raises:
        NotImplementedError: this is not a notebook, so IPython falls back to its usual display.
    """
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    if not hasattr(get_ipython(), "kernel"):
        raise NotImplementedError
    bundle = bundle_of()
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    if _VIEW not in data:
        display(data, raw=True, metadata=metadata)  # type: ignore[no-untyped-call]
        return
    view = {_VIEW: data[_VIEW], "text/plain": f"{title}: run the cell to browse"}
    page = f'<div class="s3x-snapshot">{data["text/html"]}{_AS_IT_WAS}</div>'
    snapshot = {"text/html": page, "text/plain": data["text/plain"]}
    for output, about in ((view, metadata), (snapshot, {})):
        display(output, raw=True, metadata=about)  # type: ignore[no-untyped-call]


def connection_card(connection: Connection, did: str) -> Card:
    """Return the card of a connection: its settings and what it can reach, without secrets.

    Args:
        connection: probed or not.
        did: what happened to it, such as `created`.
    """
    settings, findings, configuration = connection.settings, connection.findings, connection.shown_configuration
    lines = [
        ("credentials", settings.credentials_kind),
        ("identity", findings.identity if findings else None),
        ("role", settings.role),
        ("reaches", _reach(findings)),
        ("region", _region(configuration) or (", ".join(findings.regions) if findings else None)),
        ("endpoint", str(configuration.endpoint) if configuration.endpoint.value else None),
        ("reached at", ", ".join(_reached_at(configuration))),
        ("read-only", "yes: writes and deletes are refused" if settings.read_only else None),
        (
            "encryption",
            f"{settings.encryption} {settings.kms_key or ''}".strip()
            + (", with every read and write" if settings.customer_key else ", asked for on every write")
            if settings.encrypts
            else None,
        ),
        ("comment", settings.comment),
    ]
    return Card(f"S3 connection {connection.name} {did}", tuple((label, value) for label, value in lines if value))


_DETAILS = "margin:2px 0;overflow-wrap:anywhere"


@dataclass(frozen=True, slots=True)
class DatasetsCard:
    """The datasets of DISCOVER as a collapsible list in the notebook."""

    datasets: tuple[Dataset, ...]

    def __repr__(self) -> str:
        return "\n".join(visible(_headline(dataset)) for dataset in self.datasets)

    @interruptible
    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    @interruptible
    def _repr_html_(self) -> str:
        return f'<div class="{NOT_TYPESET}" style="{_BOX}">{"".join(map(_details_html, self.datasets))}</div>'


def datasets_card(datasets: Sequence[Dataset]) -> DatasetsCard:
    """Return the card of the first `_SHOWN_DATASETS` datasets."""
    return DatasetsCard(tuple(datasets[:_SHOWN_DATASETS]))


_SHOWN_DATASETS = 50


def _headline(dataset: Dataset) -> str:
    rows = (
        "" if dataset.rows is None else f", {'about ' * (dataset.bound == 'estimated')}{counted(dataset.rows, 'row')}"
    )
    kind = dataset.format if dataset.kind in {"files", "other"} else f"{dataset.kind.capitalize()} table"
    amount = f"{counted(dataset.objects, 'object')}, {size_text(dataset.bytes)}{rows}"
    return f"{dataset.location} · {kind or dataset.reason} · {amount}"


def dataset_lines(dataset: Dataset) -> dict[str, Any]:
    """Return what the explorer's panel shows of a dataset: a headline, lines, and a cell that queries it."""
    lines = [[label, visible(text)] for label, text in _dataset_lines(dataset).items()]
    query = f"%%upsql\n{dataset.query};" if dataset.query and dataset.query.isprintable() else ""
    return {"headline": visible(_headline(dataset)), "lines": lines, "query": query}


def _dataset_lines(dataset: Dataset) -> dict[str, str]:
    columns = [f"{name} {kind}" for name, kind in dataset.columns or ()]
    lines = {
        "partitions": "; ".join(map(str, dataset.partitions)),
        "columns": ", ".join(columns),
        "drift": dataset.drift,
        "why": dataset.reason,
    }
    return {label: text for label, text in lines.items() if text}


def _details_html(dataset: Dataset) -> str:
    lines = {**_dataset_lines(dataset), **({"query": dataset.query} if dataset.query else {})}
    rows = "".join(f"<div style='{_DETAILS}'>{label}: {_escaped(text)}</div>" for label, text in lines.items())
    return f'<details><summary style="{_DETAILS}">{_escaped(_headline(dataset))}</summary>{rows}</details>'


def _region(configuration: Configuration) -> str | None:
    return str(configuration.region) if configuration.signed_region else None


def _reached_at(configuration: Configuration) -> list[str]:
    """Return the special kinds of AWS endpoint in use, each with the source of its setting."""
    kinds = {
        "FIPS": configuration.fips,
        "dual-stack": configuration.dualstack,
        "acceleration": configuration.accelerate,
    }
    return [f"{kind} ({setting.source})" for kind, setting in kinds.items() if setting.value]


def _reach(findings: Findings | None) -> str:
    if findings is None:
        return "not probed (VALIDATE = FALSE)"
    if findings.filters:
        return ", ".join(findings.filters)
    if not findings.reached:
        return "public buckets, by their name: LIST 's3://bucket/'"
    return f"{'more than ' if findings.more else ''}{counted(findings.buckets or 0, 'bucket')}"


_BAR_CELLS = 20
_TRACK = "display:inline-block;vertical-align:middle;width:140px;height:6px;border-radius:3px;margin-right:8px;"
_GREY, _BLUE = f"background:{_LINE}", "background:var(--jp-brand-color1,#1976d2)"


def progress_text(progress: Progress, *, done: bool = False) -> str:
    """Return the progress as one line: keys, bytes, keys per second, requests, seconds, and the estimated share done.

    Jobs count objects instead of keys; queries count only bytes.
    """
    rate = progress.keys / progress.elapsed if progress.elapsed else 0.0
    parts = {
        f"about {progress.fraction or 0:.0%}": not done and progress.fraction is not None,
        counted(progress.keys, progress.unit.removesuffix("s")): progress.unit,
        size_text(progress.bytes): True,
        f"{rate:,.0f} keys/s": progress.unit == "keys",
        counted(progress.requests, "request"): progress.requests or progress.unit == "keys",
        f"{progress.elapsed:.1f} s": True,
    }
    return " · ".join(text for text, shown in parts.items() if shown)


def progress_bar(progress: Progress) -> str:
    """Return a text bar, or an empty text if the total cannot be estimated."""
    if progress.fraction is None:
        return ""
    filled = round(progress.fraction * _BAR_CELLS)
    return "█" * filled + "░" * (_BAR_CELLS - filled) + " "


def progress_html(progress: Progress, *, done: bool = False) -> str:
    """Return the progress line as HTML, after a bar unless the statement is done."""
    bar = "" if done or progress.fraction is None else _html_bar(progress.fraction)
    text = html.escape(progress_text(progress, done=done))
    return (
        f'<div style="font-size:12px;font-variant-numeric:tabular-nums">{bar}<span style="{QUIET}">{text}</span></div>'
    )


def _html_bar(fraction: float) -> str:
    filled = f'<span style="display:block;height:6px;border-radius:3px;width:{fraction:.0%};{_BLUE}"></span>'
    return f'<span role="progressbar" aria-valuenow="{fraction:.0%}" style="{_TRACK}{_GREY}">{filled}</span>'


_SILENT_SECONDS = 0.5
_BETWEEN_SECONDS = 0.1


class ProgressLine:
    """Show progress at most ten times a second; on exit the last line stays as the summary."""

    def __init__(self) -> None:
        self._last: Progress | None = None
        self._shown_at: float | None = None

    def __call__(self, progress: Progress) -> None:
        """Show the progress, unless the statement has just begun or a line was just shown."""
        self._last = progress
        due = _SILENT_SECONDS if self._shown_at is None else self._shown_at + _BETWEEN_SECONDS
        if progress.elapsed >= due:
            self._shown_at = progress.elapsed
            self._show(progress, done=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown_at is not None and self._last is not None:
            self._show(self._last, done=True)

    def _show(self, progress: Progress, *, done: bool) -> None:
        raise NotImplementedError


class NotebookProgress(ProgressLine):
    """Progress in a notebook: a display that is updated in place."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def _show(self, progress: Progress, *, done: bool) -> None:
        from IPython.display import display

        bundle = {"text/plain": progress_text(progress, done=done), "text/html": progress_html(progress, done=done)}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)


class TerminalProgress(ProgressLine):
    """Progress in a terminal: a line that is overwritten; silent if the stream is not a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._width = 0

    def _show(self, progress: Progress, *, done: bool) -> None:
        if not self._stream.isatty():
            return
        text = progress_text(progress, done=done) if done else progress_bar(progress) + progress_text(progress)
        self._stream.write("\r" + text.ljust(self._width) + ("\n" if done else ""))
        self._stream.flush()
        self._width = len(text)


_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "(\.{1,2}/[\w./]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function|class) (\w+))", re.MULTILINE)


def joined_scripts(entry: Path) -> str:
    """Return an entry module and everything that it imports as one module.

    A widget's module has no address, so it can neither import its neighbours nor load anything. Each module becomes a
    function that is called once, and the others take its exports by name, so that names never clash. Sources may only
    use `import { a, b } from "./file.js";`, `export const`, `export function` and `export class`; only the entry has a
    default export.

    Raises:
        ValueError: modules import each other in a circle, or use another form of import or export.
    """
    parts: dict[Path, str] = {}
    _append(entry.resolve(), parts, ())
    return "\n".join(parts.values())


def _append(file: Path, parts: dict[Path, str], above: tuple[Path, ...]) -> None:
    """Append a module after those that it imports."""
    if file in above:
        raise ValueError(f"{file.name} imports itself, by {', '.join(each.name for each in above)}")
    if file in parts:
        return
    text = file.read_text(encoding="utf-8")
    for names, name in _IMPORT.findall(text):
        source = (file.parent / name).resolve()
        _append(source, parts, (*above, file))
        if missing := set(names.split(", ")) - set(_EXPORT.findall(source.read_text(encoding="utf-8"))):
            raise ValueError(f"{name} exports no {', '.join(sorted(missing))} on its own line")
    variables = {each: f"_{at}" for at, each in enumerate(parts)}
    body = _IMPORT.sub(lambda match: f"const {{ {match[1]} }} = {variables[(file.parent / match[2]).resolve()]};", text)
    if above:
        body = _as_function(body, f"_{len(parts)}")
    if leftover := re.search(r"^(?:import|export)\b.*" if above else r"^import\b.*", body, re.MULTILINE):
        raise ValueError(f"{file.name} has what cannot be joined: {leftover[0]}")
    parts[file] = body


def _as_function(body: str, name: str) -> str:
    """Return a module as a constant that holds its exports."""
    exports = ", ".join(_EXPORT.findall(body))
    return f"const {name} = (() => {{\n{_EXPORT.sub('', body)}\nreturn {{ {exports} }};\n}})();\n"


def joined_styles(files: Iterable[Path]) -> str:
    """Return style sheets joined in this order."""
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def tables_of_datasets(datasets: Sequence[Dataset], using: str) -> str:
    """Return the statements that create a table for each dataset that has columns.

    Args:
        datasets: of DISCOVER.
        using: the connection to name; empty for none.
    """
    from s3conn_magic.language.words import identifier, literal

    names, statements = set[str](), list[str]()
    through = f" USING {identifier(using)}" if using else ""
    for dataset in datasets:
        if dataset.columns is None:
            continue
        name = first = _table_name(dataset)
        count = 1
        while name in names:
            count += 1
            name = f"{first}_{count}"
        names.add(name)
        note = f"  -- {dataset.reason}" if dataset.drift else ""
        statements.append(f"CREATE TABLE {name} LOCATION {literal(dataset.location)}{through};{note}")
    return "\n".join(statements) or "No dataset that was found has columns."


def _table_name(dataset: Dataset) -> str:
    """Return a table name from the last folder whose name has letters, or else from the file or the bucket."""
    from s3conn_magic.language.grammar import RESERVED

    place = Location.parse(dataset.location)
    *folders, file = place.key.split("/")
    written = [name for name in folders if re.search("[A-Za-z]", name) and not re.search(r"[*?\[{=]", name)]
    stem = file.partition(".")[0].partition("*")[0]
    single = not re.search(r"[*?\[{]", file)
    name = (stem if (single and stem) or not written else written[-1]) or place.bucket
    name = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_") or "dataset"
    return name if name[0].isalpha() and name.upper() not in RESERVED else f"t_{name}"
