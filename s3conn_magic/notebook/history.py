"""Keep the secrets of statements out of what IPython stores of a cell.

Every cell of the kernel passes through here. A cell without our words costs only a search for them; the module that
parses the others, `notebook/cells.py`, is loaded for the first of them.
"""

from __future__ import annotations

import contextlib
import linecache
import sqlite3
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError
from s3conn_magic.runtime.interrupts import interruptible, postponed, undisturbed, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.core.history import HistoryManager
    from IPython.core.interactiveshell import InteractiveShell

NOTICE = (
    "Note: the notebook's own source keeps the secret that is typed in this cell. "
    "ENV 'NAME', PROMPT, KEYRING 'service' 'user' or AWS_PROFILE = 'name' instead would keep it out."
)
# Interrupts during the magic's own steps are raised by `runtime.interrupts`.
_RAISING_MODULES = frozenset({"s3conn_magic.notebook.magic", "s3conn_magic.runtime.interrupts"})
_PLAIN = "unredacted"
_CELLS = ("raw_cell", "transformed_cell")
# Every secret option has one of these in its name.
SECRET_PARTS = ("_key", "_token")


def redacted_cell(cell: str) -> str:
    """Return a cell, as typed or as IPython transformed it, with the secrets of its statements masked.

    A statement that cannot be parsed is masked completely. The number of lines stays the same.
    """
    if not _may_name_ours(cell):
        return cell
    from s3conn_magic.notebook.cells import redacted

    return redacted(cell)


def _may_name_ours(cell: str) -> bool:
    """Whether a cell has any of the words that our statements have."""
    lowered = cell.lower()
    if "upsql" in lowered:
        return True
    s3, connection = "s3" in lowered, "connection" in lowered
    return (s3 and connection) or ((s3 or connection) and any(part in lowered for part in SECRET_PARTS))


def keep_secrets_out(shell: InteractiveShell) -> None:
    """Make the kernel store cells without secrets, and redact what it has stored in this session."""
    manager = shell.history_manager
    # Only notebooks store the source of their cells.
    if getattr(shell, "kernel", None) is not None and _note not in shell.events.callbacks["pre_run_cell"]:
        shell.events.register("pre_run_cell", _note)
        if manager is not None and manager.input_hist_raw:
            _warn_about(manager.input_hist_raw[-1])
    shell.events.register("pre_run_cell", _redact_info)
    if manager is not None:
        _replace(manager, "store_inputs", _redacting_store)
        _redact_stored(shell, manager)
    _replace(shell.logger, "log", _redacting_log)
    _replace(shell.compile, "cache", _redacting_cache)
    _replace(shell, "showtraceback", _dropping_frames)
    shell.events.register("post_execute", _drop_last_frames)
    shell.events.register("post_run_cell", _redact_result)
    _redact_lines()


def _replace(owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    """Replace a method by `wrap(method)`; if an earlier load has replaced it, the original is replaced anew."""
    original = getattr(getattr(owner, name), _PLAIN, getattr(owner, name))
    wrapper = wrap(original)
    setattr(wrapper, _PLAIN, original)
    setattr(owner, name, wrapper)


@postponed
def _note(info: Any) -> None:
    """Warn about what this package cannot redact: the notebook's own source of the cell about to run."""
    text = getattr(info, "raw_cell", None)
    if isinstance(text, str):
        _warn_about(text)


def _warn_about(cell: str) -> None:
    if not _may_name_ours(cell):
        return
    from s3conn_magic.notebook.cells import keeps_secret

    if keeps_secret(cell):
        print(NOTICE)  # noqa: T201 - an output of the cell


@postponed
def _redact_info(info: Any) -> bool:
    """Redact the cell in what the shell passes to others; return whether that changed anything."""
    changed = False
    for name in _CELLS:
        text = getattr(info, name, None)
        if isinstance(text, str) and (redacted := redacted_cell(text)) != text:
            setattr(info, name, redacted)
            changed = True
    return changed


def _redacting_store(store: Any) -> Any:
    @interruptible
    @whole
    def store_inputs(line_num: int, source: str, source_raw: str | None = None) -> None:
        store(line_num, redacted_cell(source), None if source_raw is None else redacted_cell(source_raw))

    return store_inputs


def _redacting_log(log: Any) -> Any:
    @interruptible
    @whole
    def log_cell(line_mod: str, line_ori: str) -> None:
        log(redacted_cell(line_mod), redacted_cell(line_ori))

    return log_cell


def _redacting_cache(cache: Any) -> Any:
    @interruptible
    @whole
    def cache_cell(transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        name: str = cache(transformed_code, number, raw_code=raw_code)
        _quote_redacted(name, transformed_code)
        return name

    return cache_cell


def _quote_redacted(name: str, code: str) -> None:
    """Make tracebacks, which read a cell's lines from `linecache`, quote it without secrets."""
    redacted = redacted_cell(code)
    if redacted != code:
        linecache.cache[name] = (len(redacted), None, redacted.splitlines(keepends=True), name)


# IPython would print an exception of these callbacks together with the cell.


@undisturbed
def _redact_result(result: Any) -> None:
    """Redact the result that the shell keeps, and a Python syntax error, which quotes its line."""
    if result is None:
        return
    _redact_info(result.info)
    if isinstance(result.error_before_exec, SyntaxError):
        _redact_syntax_error(result.error_before_exec)


def _redact_syntax_error(error: SyntaxError) -> None:
    from s3conn_magic.secrets import MASK

    line = linecache.getline(error.filename or "", error.lineno or 0)
    if MASK not in line:
        return
    error.text = line
    if len(error.args) > 1:
        error.args = (error.args[0], (error.filename, error.lineno, error.offset, error.text))


def _dropping_frames(show: Any) -> Any:
    def showtraceback(exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        error = sys.exc_info()[1] if exc_tuple is None else exc_tuple[1]
        if _drop_frames(error) and exc_tuple is not None:
            exc_tuple = (exc_tuple[0], error, exc_tuple[1].__traceback__)
        if isinstance(error, S3ConnError):
            _show_undisturbed(show, exc_tuple, *args, **options)
        else:
            show(exc_tuple, *args, **options)

    return showtraceback


@undisturbed
def _show_undisturbed(show: Any, *args: Any, **options: Any) -> None:
    show(*args, **options)


@undisturbed
def _drop_last_frames() -> None:
    error: BaseException | None = getattr(sys, "last_value", None)
    if error is not None and _drop_frames(error):
        sys.last_traceback = error.__traceback__


def _drop_frames(error: BaseException | None) -> bool:
    """Drop the frames of a failed statement: the shell's variables in them hold the cell, and debuggers show them."""
    changed = False
    for failure in _with_causes(error):
        if isinstance(failure, S3ConnError) and _from_magic(failure.__traceback__):
            failure.__traceback__ = _NO_FRAMES
            changed = True
    return changed


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _from_magic(trace: TracebackType | None) -> bool:
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") in _RAISING_MODULES:
            return True
        trace = trace.tb_next
    return False


def _frames_are_not_kept() -> TracebackType:
    """Return a placeholder traceback for debuggers, which need one; made at import, while no cell runs."""
    frame = sys._getframe()  # noqa: SLF001 - Python has no other way to one
    return TracebackType(None, frame, frame.f_lasti, frame.f_lineno)


_NO_FRAMES = _frames_are_not_kept()


def _redact_stored(shell: InteractiveShell, manager: HistoryManager) -> None:
    for cells in (manager.input_hist_parsed, manager.input_hist_raw):
        cells[:] = map(redacted_cell, cells)
    with manager.db_input_cache_lock:
        manager.db_input_cache[:] = [
            (line, redacted_cell(source), redacted_cell(raw)) for line, source, raw in manager.db_input_cache
        ]
    for name in ("_i", "_ii", "_iii", "_i00"):
        setattr(manager, name, redacted_cell(getattr(manager, name)))
    for name, value in shell.user_ns.items():
        if name.startswith("_i") and isinstance(value, str) and (name.strip("_i") or "0").isdecimal():
            shell.user_ns[name] = redacted_cell(value)
    # The extension must load even if the database is locked or missing.
    with contextlib.suppress(sqlite3.Error):
        _redact_rows(manager)


def _redact_rows(manager: HistoryManager) -> None:
    """Redact this session's rows; secure_delete overwrites the old values in the file."""
    if not manager.enabled:
        return
    session, database = manager.session_number, manager.db
    rows = database.execute("SELECT line, source, source_raw FROM history WHERE session = ?", (session,)).fetchall()
    changed = [
        (redacted_cell(source), redacted_cell(raw), session, line)
        for line, source, raw in rows
        if (redacted_cell(source), redacted_cell(raw)) != (source, raw)
    ]
    if changed:
        database.execute("PRAGMA secure_delete = ON")
        with database:
            database.executemany(
                "UPDATE history SET source = ?, source_raw = ? WHERE session = ? AND line = ?", changed
            )
        # A write-ahead log would still hold them.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _redact_lines() -> None:
    for name, entry in list(linecache.cache.items()):
        if len(entry) > 1 and entry[1] is None:
            _quote_redacted(name, "".join(entry[2]))
