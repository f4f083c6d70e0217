"""Short results: a message, and the card of a connection."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3conn_magic.language.words import counted
from s3conn_magic.locations import visible
from s3conn_magic.runtime.interrupts import interruptible

if TYPE_CHECKING:
    from s3conn_magic.connections.connection import Connection, Findings

# MathJax of the notebook leaves elements of these classes alone.
_PLAIN = "tex2jax_ignore mathjax_ignore"
_BOX = (
    "display:inline-block;border:1px solid var(--jp-border-color2,#ccc);border-radius:4px;padding:8px 14px;"
    "font-size:13px;line-height:1.5;max-width:100%;box-sizing:border-box"
)
_CELL = "text-align:left;vertical-align:baseline;border:0;font-size:13px;line-height:1.6;"
_LABEL = f"{_CELL}color:var(--jp-ui-font-color2,#666);padding:0 1.4em 0 0;white-space:nowrap"
_VALUE = f"{_CELL}padding:0;overflow-wrap:anywhere"


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence or two; `str` is the text itself."""

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
        return f'<div class="{_PLAIN}" style="{_BOX}"><strong>{_escaped(self.title)}</strong>{table}</div>'


def _escaped(text: str) -> str:
    return html.escape(visible(text))


def connection_card(connection: Connection, did: str) -> Card:
    """Return what a connection is and reaches. No secret.

    Args:
        connection: after its probe, or without one.
        did: what happened to it, such as `created`.
    """
    settings, findings = connection.settings, connection.findings
    lines = [
        ("credentials", settings.credentials_kind),
        ("identity", findings.identity if findings else None),
        ("role", settings.role),
        ("reaches", _reach(findings)),
        ("region", settings.region or (", ".join(findings.regions) if findings else None)),
        ("endpoint", settings.endpoint),
        ("read-only", "yes: writes and deletes are refused" if settings.read_only else None),
        (
            "encryption",
            f"{settings.encryption} {settings.kms_key or ''}".strip() + ", asked for on every write"
            if settings.encrypts
            else None,
        ),
        ("comment", settings.comment),
    ]
    return Card(f"S3 connection {connection.name} {did}", tuple((label, value) for label, value in lines if value))


def _reach(findings: Findings | None) -> str:
    if findings is None:
        return "not probed (VALIDATE = FALSE)"
    if findings.filters:
        return ", ".join(findings.filters)
    if not findings.reached:
        return "public buckets, by their name: LIST 's3://bucket/'"
    return f"{'more than ' if findings.more else ''}{counted(findings.buckets or 0, 'bucket')}"
