"""Results as notebooks show them (frames, cards, charts), and as commands print them."""

from __future__ import annotations

import io
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("table", "csv", "json", "jsonl", "parquet", "arrow")
"""Formats in which rows can be printed."""
BINARY = ("parquet", "arrow")
"""The formats that are not text."""
_WIDE = str(10**6)
_QUOTED = re.compile(r'[",\r\n]|^\s|\s$')


class Printer:
    """Print the results of statements to standard output, in one of `FORMATS`.

    In the format `table` each result is printed as it comes, in full unless standard output is a terminal. In the other
    formats rows are printed, one table after the other; results without rows, such as messages, go to standard error.
    A Parquet file and an Arrow stream hold one table.
    """

    def __init__(self, format_: str) -> None:
        self._format = format_
        self._tables = 0
        # A terminal would obey control characters in a key.
        self._printable = visible if sys.stdout.isatty() else str
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")

    def write(self, result: Any) -> None:
        """Print a result.

        Raises:
            S3ConnError: the format holds only one table, or no two columns of the same name.
        """
        if self._format == "table":
            sys.stdout.write(f"{_full_text(result)}\n\n")
            sys.stdout.flush()
        elif (table := _rows(result)) is None:
            sys.stderr.write(f"{text_of(result)}\n")
        else:
            self._tables += 1
            if self._format in BINARY and self._tables > 1:
                raise S3ConnError(
                    f"{self._format} holds one table, and this is the second", hint="Run the statements one by one."
                )
            if self._tables > 1 and self._format == "csv":
                sys.stdout.write("\n")
            sys.stdout.flush()
            getattr(self, f"_{self._format}")(table)
            sys.stdout.flush()

    def _csv(self, table: pa.Table) -> None:
        from s3conn_magic.jobs.writing import texts_of

        fields = [_field(self._printable(name)) for name in table.column_names]
        sys.stdout.write(",".join(fields) + "\n")
        for row in texts_of(table):
            sys.stdout.write(",".join("" if text is None else _field(self._printable(text)) for text in row) + "\n")

    def _json(self, table: pa.Table) -> None:
        from s3conn_magic.jobs.writing import documents

        _check_names(table)
        before = "[\n"
        for text in documents(table):
            sys.stdout.write(before + self._printable(text))
            before = ",\n"
        sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")

    def _jsonl(self, table: pa.Table) -> None:
        from s3conn_magic.jobs.writing import documents

        _check_names(table)
        for text in documents(table):
            sys.stdout.write(self._printable(text) + "\n")

    def _parquet(self, table: pa.Table) -> None:
        import pyarrow.parquet as pq

        _check_names(table)
        whole = io.BytesIO()  # a pipe cannot seek, as the Parquet writer may
        pq.write_table(table, whole)
        sys.stdout.buffer.write(whole.getbuffer())

    def _arrow(self, table: pa.Table) -> None:
        import pyarrow as pa

        with pa.ipc.new_stream(sys.stdout.buffer, table.schema) as stream:
            stream.write_table(table)


def _rows(result: Any) -> pa.Table | None:
    """Return a result's rows, or None if it has none."""
    import pyarrow as pa

    from s3conn_magic.results.introspection import in_form
    from s3conn_magic.results.previews import ObjectPreview

    frame: Any = result.frame if isinstance(result, ObjectPreview) else result
    if type(frame).__module__.startswith("polars."):
        return frame.to_arrow()
    table = in_form(frame, "arrow")
    return table if isinstance(table, pa.Table) else None


def _check_names(table: pa.Table) -> None:
    if twice := next((name for at, name in enumerate(table.column_names) if name in table.column_names[:at]), None):
        raise S3ConnError(f"two columns are called {visible(twice)}", hint="Rename one with AS, or print them as csv.")


def _field(text: str) -> str:
    """Return a text as a CSV field. An empty text is quoted, a missing value is not."""
    return text if text and not _QUOTED.search(text) else '"' + text.replace('"', '""') + '"'


def _full_text(result: Any) -> str:
    """Return the text of a result as a terminal shows it, or in full if standard output is not a terminal."""
    if sys.stdout.isatty():
        return text_of(result)
    import pandas as pd

    limits: list[Any] = ["display.max_rows", None, "display.max_columns", None, "display.max_colwidth", None]
    width = os.environ.get("COLUMNS")
    # Code that cuts or wraps at a terminal's width reads it from here.
    os.environ["COLUMNS"] = _WIDE
    try:
        with pd.option_context(*limits):
            return text_of(result)
    finally:
        if width is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = width


def text_of(result: Any) -> str:
    """Return the text of a result as a terminal shows it."""
    bundle = result._repr_mimebundle_() if hasattr(result, "_repr_mimebundle_") else None
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    return str(data["text/plain"]) if data else repr(result)
