"""What IPython keeps of a cell, without the secrets of statements.

Every cell of the kernel comes by here. One that names nothing of ours costs a search for a few words. Any other is read
once, in time that is linear in its length; one that is longer than anybody types is kept as it is, or, where it could
hold a secret, not at all. In a line or cell of our magic all is masked that may be a secret; everywhere else, in other
magics, strings and comments, a statement is known by its shape, and masked where a secret is given to an option in it.
"""

from __future__ import annotations

import contextlib
import linecache
import re
import sqlite3
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.redaction import SECRET_GIVEN, SECRET_NAMES, Redaction, redactions
from s3conn_magic.language.source import Span
from s3conn_magic.language.tokens import statement_ends
from s3conn_magic.notebook.literals import Literals, Text, tokens_and
from s3conn_magic.runtime.interrupts import interruptible, postponed, undisturbed, whole
from s3conn_magic.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from IPython.core.history import HistoryManager
    from IPython.core.interactiveshell import InteractiveShell

_LONGEST = 32_768
# A cell in a call in a cell in a call; each is shorter than what it stands in.
_DEEPEST = 4
# So many lines of statements nobody writes among Python either.
_MOST_STATEMENTS = 500

# `upsql`, and what is typed for it by mistake.
_NAME = r"\w{0,2}upsql\w{0,2}(?!\w)"
_INTO = r"(?:[^\S\n]*+[a-z_]\w*+[^\S\n]*+<<)?+"
_OURS = rf"""
    (?P<body>^[^\S\n]*+%%{_NAME}{_INTO})
  | (?P<late>\brun_line_magic\(\s*['"]%{_NAME}['"][^\n]*+)
  | (?P<within>(?<![^\s=(,;:])%{{1,2}}{_NAME}{_INTO})
  | (?P<bare>^[^\S\n]*+upsql[^\S\n]++(?=[a-z/]|--)(?!(?:and|else|if|in|is|not|or)\b){_INTO})
"""
_CALL = re.compile(r"\brun_(?:cell|line)_magic\(\s*(['\"])%?(?P<name>\w+)\1")


def _shape(gap: str, start: str = r"\b") -> str:
    """How a statement that makes or alters a connection begins, or what is meant for one; words stand `gap` apart."""
    verb = rf"{start}(?:CREATE|ALTER){gap}(?:OR{gap}REPLACE{gap})?+"
    return rf"(?:{verb}(?:S3\b(?:{gap}CONNECTION\b)?|(?:\w++{gap})?CONNECTION\b)|{start}S3{gap}CONNECTION\b)"


_REMARK = r"--[^\n]{0,80}\n|/\*[^*]{0,80}\*/"
_SHAPE = _shape(rf"(?:\s|{_REMARK})++")
_WHOLE_SHAPE = re.compile(r"\b(?:CREATE|ALTER)\b.*\bS3\b.*\bCONNECTION\Z", re.IGNORECASE | re.ASCII | re.DOTALL)
_BEGIN = re.compile(rf"{_SHAPE}|{SECRET_GIVEN.pattern}", re.IGNORECASE | re.ASCII)
_SHAPED = re.compile(_SHAPE, re.IGNORECASE | re.ASCII)
_TOKENS = tokens_and(f"{_OURS}|(?P<shape>{_SHAPE})")
_EMPTY_LINE = re.compile(r"\n[^\S\n]*+\n")
_ASSIGNED = re.compile(r"\w\s*+=\s*+['\"]")

# Of what is not read yet, or never: words may also stand in strings that are joined, and lines end by escapes.
# Backslashes are taken all at once: one by one, each would look to the end of them.
_FAR = rf"(?:\\++[nrt]?+|{_REMARK}|[^\w\\])++"
_FAR_START = r"(?:\b|(?<=\\[nrt]))"
_FAR_SHAPE = re.compile(_shape(_FAR, _FAR_START), re.IGNORECASE | re.ASCII)
_FAR_WHOLE = re.compile(
    rf"{_FAR_START}(?:CREATE|ALTER){_FAR}(?:OR{_FAR}REPLACE{_FAR})?+S3{_FAR}CONNECTION\b", re.IGNORECASE | re.ASCII
)
_FAR_OURS = re.compile(r"(?:%|(?:^|\n)[ \t]*+|magic\(\s*+['\"])\w{0,2}upsql\w{0,2}\b")
_FAR_ASSIGNED = re.compile(r"\w(?:\\++[nrt]?+|\s)*+=(?:\\++[nrt]?+|\s)*+['\"$]")


class _TooMuchError(Exception):
    """A cell that is not worth the time."""


class _Change(NamedTuple):
    start: int
    end: int
    text: str
    noted: bool = False


def redacted_cell(cell: str) -> str:
    """A cell, as typed or as IPython made it Python, with every secret of its statements masked.

    A statement that cannot be read is masked whole. Lines stay as many as they were.
    """
    pieces, at = [], 0
    for start, end, text, _ in _changes(cell):
        pieces += [cell[at:start], text]
        at = end
    return "".join([*pieces, cell[at:]]) if pieces else cell


def keeps_secret(cell: str) -> bool:
    """Whether a literal of a secret option is typed in a statement of a cell, be it right or not."""
    return any(one.noted for one in _changes(cell))


def _changes(cell: str) -> list[_Change]:
    if not _names_ours(cell):
        return []
    # Storing a cell must never fail; in doubt it is not kept.
    with contextlib.suppress(Exception):
        if len(cell) <= _LONGEST:
            return _apart(_Cell(cell).changes)
    return [_Change(0, len(cell), f"# {MASK}" + "\n" * cell.count("\n"))] if _could_hold(cell) else []


def _names_ours(cell: str) -> bool:
    """Whether a cell names our magic, or has something of the shape of a statement that can hold a secret."""
    lowered = cell.lower()
    if "upsql" in lowered:
        return True
    if "s3" not in lowered and "connection" not in lowered:
        return False
    return _is_whole(cell, lowered) or _gives_secret(cell, lowered)


def _is_whole(cell: str, lowered: str) -> bool:
    return "connection" in lowered and "s3" in lowered and _FAR_WHOLE.search(cell) is not None


def _gives_secret(cell: str, lowered: str) -> bool:
    named = any(name.lower() in lowered for name in SECRET_NAMES)
    return named and ("s3conn" in lowered or _FAR_SHAPE.search(cell) is not None)


def _could_hold(cell: str) -> bool:
    """Whether a secret of ours may stand in a cell that is not read."""
    lowered = cell.lower()
    begun = ("upsql" in lowered and _FAR_OURS.search(lowered)) or _is_whole(cell, lowered)
    return _gives_secret(cell, lowered) or (bool(begun) and _FAR_ASSIGNED.search(cell) is not None)


def _apart(changes: Iterable[_Change]) -> list[_Change]:
    """The changes in order, without those inside others."""
    found: list[_Change] = []
    for one in sorted(changes, key=lambda one: (one.start, -one.end)):
        if not found or one.start >= found[-1].end:
            found.append(one)
        elif one.noted:
            found[-1] = found[-1]._replace(noted=True)
    return found


class _Cell:
    """Goes through a cell: what stands between the statements that are not in strings is Python, or as good as.

    Attributes:
        changes: what is to be masked, in no order.
    """

    def __init__(self, code: str, depth: int = 0) -> None:
        self.changes: list[_Change] = []
        self._code = code
        self._depth = depth
        self._texts: list[Text] = []
        self._lost = len(code)
        self._statements = 0
        self._shaped = "upsql" in code.lower() or "s3conn" in code.lower()
        at = 0
        while at < len(code):
            read = Literals(code, at, _TOKENS)
            for line in read.lines:
                self._read_line(line.start, line.end, line.texts)
            self._texts += read.comments
            if read.stopped is None:
                break
            at = self._read_stopped(read.stopped)
        if self._shaped or any(_SHAPED.search(text.value) for text in self._texts):
            for text in self._texts:
                self._read_text(text)

    # Statements that are not in strings

    def _read_stopped(self, found: re.Match[str]) -> int:
        """Read the statements from here on, and say where they end."""
        self._statements += 1
        if self._statements > _MOST_STATEMENTS:
            raise _TooMuchError
        self._shaped = True
        start, end = found.end(), len(self._code)
        if found["shape"]:
            start = found.start()
            line = self._code[self._code.rfind("\n", 0, start) + 1 : start].lstrip()
            if not line.startswith("%%") and ("%" in line or "!" in line):
                end = self._logical_end(start)
            self._change(start, _statements(self._code[start:end]))
            return end
        if not found["body"] and not found["late"] and not self._code.startswith("%%", found.start()):
            end = self._logical_end(start)
        self._change(start, redactions(self._code[start:end]))
        return end

    def _logical_end(self, at: int) -> int:
        """The end of a line, with those that backslashes join to it."""
        while (end := self._code.find("\n", at)) >= 0:
            if not self._code[at:end].rstrip().endswith("\\"):
                return end
            at = end + 1
        return len(self._code)

    def _change(self, start: int, found: Iterable[Redaction]) -> None:
        self.changes += [_Change(start + one.span.start, start + one.span.end, one.text, one.noted) for one in found]

    def _change_text(self, text: Text, span: Span, instead: str, *, noted: bool) -> None:
        self.changes += [_Change(*change, noted) for change in text.in_code(self._code, span, instead)]

    # Strings

    def _read_line(self, start: int, end: int, texts: list[Text]) -> None:
        call = _CALL.search(self._code, start, end)
        for text in texts:
            if call is None or text.start < call.end():
                self._texts.append(text)
            elif "upsql" in call["name"].lower():
                self._mask(text, redactions(text.value))
            else:
                self._read_cell(text)

    def _read_cell(self, text: Text) -> None:
        """A cell in a call, as IPython makes it of `%%time` and its like."""
        if self._depth == _DEEPEST and _could_hold(text.value):
            self._change_text(text, Span(0, len(text.value)), MASK, noted=False)
        elif self._depth < _DEEPEST and _names_ours(text.value):
            inner = _Cell(text.value, self._depth + 1)
            for start, end, instead, noted in _apart(inner.changes):
                self._change_text(text, Span(start, end), instead, noted=noted)

    def _read_text(self, text: Text) -> None:
        value = text.value
        begun = _BEGIN.search(value)
        if begun is None:
            return
        if all(piece.whole for piece in text.pieces):
            self._mask(text, _statements(value, template=True))
        else:
            # No string of Python, or one that never ends: where it seems to end, the statement may go on.
            start = text.place(begun.start())
            if start < self._lost:
                self._lost = start
                self._change(start, _statements(self._code[start:]))

    def _mask(self, text: Text, found: Iterable[Redaction]) -> None:
        for one in found:
            self._change_text(text, one.span, one.text, noted=one.noted)


def _statements(text: str, *, template: bool = False) -> Iterator[Redaction]:
    """What is to be masked in the statements of a text that have the shape of ours and hold a secret."""
    at, empty = 0, -1
    while found := _BEGIN.search(text, at):
        start = found.start()
        if empty < start:
            line = _EMPTY_LINE.search(text, found.end())
            empty = line.start() if line else len(text)
        at = max(found.end(), next(statement_ends(text, start, empty), empty))
        statement = text[start:at]
        masked = redactions(statement, template=template)
        if _holds(statement, masked, whole=_WHOLE_SHAPE.match(found[0]) is not None):
            for one in masked:
                yield one._replace(span=Span(start + one.span.start, start + one.span.end))


def _holds(statement: str, masked: list[Redaction], *, whole: bool) -> bool:
    """Whether something that is masked is a secret, and not only a word that is none of the language.

    Args:
        statement: what may be one.
        masked: what is masked in it.
        whole: whether it begins as a statement of ours does, and not only alike.
    """
    if any(one.of_secret_option for one in masked):
        return True
    literals = [one for one in masked if one.literal]
    if len(masked) == 1 and masked[0].span == (0, len(statement)):
        return whole and _ASSIGNED.search(statement) is not None
    named = any(name in statement.upper() for name in SECRET_NAMES)
    return bool(literals) and (named or (whole and any(one.owner for one in literals)))


NOTICE = (
    "Note: the notebook's own source keeps the secret that is typed in this cell. "
    "ENV 'NAME', PROMPT, KEYRING 'service' 'user' or AWS_PROFILE = 'name' in its place would keep it out."
)
# An interrupt in the magic's own steps is raised by what makes it interruptible.
_RAISES = frozenset({"s3conn_magic.notebook.magic", "s3conn_magic.runtime.interrupts"})
_PLAIN = "unredacted"
_CELLS = ("raw_cell", "transformed_cell")


def keep_secrets_out(shell: InteractiveShell) -> None:
    """From here on the kernel keeps every cell without its secrets; what it has kept in this session is redacted."""
    manager = shell.history_manager
    # Only a notebook keeps the source of its cells.
    if getattr(shell, "kernel", None) is not None and _note not in shell.events.callbacks["pre_run_cell"]:
        shell.events.register("pre_run_cell", _note)
        if manager is not None and manager.input_hist_raw:
            _note_of(manager.input_hist_raw[-1])
    shell.events.register("pre_run_cell", _forget_source)
    if manager is not None:
        _give_instead(manager, "store_inputs", _storing)
        _redact_kept(shell, manager)
    _give_instead(shell.logger, "log", _logging)
    _give_instead(shell.compile, "cache", _caching)
    _give_instead(shell, "showtraceback", _showing)
    shell.events.register("post_execute", _forget_frames)
    shell.events.register("post_run_cell", _forget_cell)
    _redact_lines()


def _give_instead(owner: Any, name: str, made: Callable[[Any], Any]) -> None:
    """Put what `made` makes of a method in its place; of one that an earlier load has put there, of the original."""
    plain = getattr(getattr(owner, name), _PLAIN, getattr(owner, name))
    instead = made(plain)
    setattr(instead, _PLAIN, plain)
    setattr(owner, name, instead)


# Before a cell runs


@postponed
def _note(info: Any) -> None:
    """Say what this package cannot redact: the notebook's own source of the cell that is about to run."""
    text = getattr(info, "raw_cell", None)
    if isinstance(text, str):
        _note_of(text)


def _note_of(cell: str) -> None:
    if keeps_secret(cell):
        print(NOTICE)  # noqa: T201 - an output of the cell


@postponed
def _forget_source(info: Any) -> bool:
    """Redact what the shell tells others of a cell; whether there was something to redact."""
    changed = False
    for name in _CELLS:
        text = getattr(info, name, None)
        if isinstance(text, str) and (kept := redacted_cell(text)) != text:
            setattr(info, name, kept)
            changed = True
    return changed


def _storing(store: Any) -> Any:
    @interruptible
    @whole
    def store_inputs(line_num: int, source: str, source_raw: str | None = None) -> None:
        store(line_num, redacted_cell(source), None if source_raw is None else redacted_cell(source_raw))

    return store_inputs


def _logging(log: Any) -> Any:
    @interruptible
    @whole
    def log_cell(line_mod: str, line_ori: str) -> None:
        log(redacted_cell(line_mod), redacted_cell(line_ori))

    return log_cell


def _caching(cache: Any) -> Any:
    @interruptible
    @whole
    def cache_cell(transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        name: str = cache(transformed_code, number, raw_code=raw_code)
        _quote_redacted(name, transformed_code)
        return name

    return cache_cell


def _quote_redacted(name: str, code: str) -> None:
    """Let tracebacks, which read the lines of a cell from here, quote it without its secrets."""
    kept = redacted_cell(code)
    if kept != code:
        linecache.cache[name] = (len(kept), None, kept.splitlines(keepends=True), name)


# After it has run


# What they raise, IPython would print with the cell.


@undisturbed
def _forget_cell(result: Any) -> None:
    """Redact the result that the shell keeps, and a syntax error of Python, which quotes its line."""
    if result is None:
        return
    _forget_source(result.info)
    if isinstance(result.error_before_exec, SyntaxError):
        _forget_line(result.error_before_exec)


def _forget_line(error: SyntaxError) -> None:
    line = linecache.getline(error.filename or "", error.lineno or 0)
    if MASK not in line:
        return
    error.text = line
    if len(error.args) > 1:
        error.args = (error.args[0], (error.filename, error.lineno, error.offset, error.text))


def _showing(show: Any) -> Any:
    def showtraceback(exc_tuple: Any = None, *given: Any, **options: Any) -> None:
        error = sys.exc_info()[1] if exc_tuple is None else exc_tuple[1]
        if _forget_frames_of(error) and exc_tuple is not None:
            exc_tuple = (exc_tuple[0], error, exc_tuple[1].__traceback__)
        if isinstance(error, S3ConnError):
            _shown(show, exc_tuple, *given, **options)
        else:
            show(exc_tuple, *given, **options)

    return showtraceback


@undisturbed
def _shown(show: Any, *given: Any, **options: Any) -> None:
    show(*given, **options)


@undisturbed
def _forget_frames() -> None:
    error: BaseException | None = getattr(sys, "last_value", None)
    if error is not None and _forget_frames_of(error):
        sys.last_traceback = error.__traceback__


def _forget_frames_of(error: BaseException | None) -> bool:
    """Let go of the frames of a failed statement: variables of the shell's hold the cell, and debuggers show them."""
    changed = False
    for one in _chain(error):
        if isinstance(one, S3ConnError) and _from_magic(one.__traceback__):
            one.__traceback__ = _NO_FRAMES
            changed = True
    return changed


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _from_magic(trace: TracebackType | None) -> bool:
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") in _RAISES:
            return True
        trace = trace.tb_next
    return False


def _frames_are_not_kept() -> TracebackType:
    """A traceback for debuggers, which cannot do without; made at import, when no cell of ours runs."""
    frame = sys._getframe()  # noqa: SLF001 - Python has no other way to one
    return TracebackType(None, frame, frame.f_lasti, frame.f_lineno)


_NO_FRAMES = _frames_are_not_kept()


# What was kept before


def _redact_kept(shell: InteractiveShell, manager: HistoryManager) -> None:
    for kept in (manager.input_hist_parsed, manager.input_hist_raw):
        kept[:] = map(redacted_cell, kept)
    with manager.db_input_cache_lock:
        manager.db_input_cache[:] = [
            (line, redacted_cell(source), redacted_cell(raw)) for line, source, raw in manager.db_input_cache
        ]
    for name in ("_i", "_ii", "_iii", "_i00"):
        setattr(manager, name, redacted_cell(getattr(manager, name)))
    for name, value in shell.user_ns.items():
        if name.startswith("_i") and isinstance(value, str) and (name.strip("_i") or "0").isdecimal():
            shell.user_ns[name] = redacted_cell(value)
    # A database that is locked, or none at all, is no reason not to load.
    with contextlib.suppress(sqlite3.Error):
        _redact_rows(manager)


def _redact_rows(manager: HistoryManager) -> None:
    """Rows of this session; secure_delete overwrites what they had in the file."""
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
        # Where a log is written ahead of the file, it held them too.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _redact_lines() -> None:
    for name, entry in list(linecache.cache.items()):
        if len(entry) > 1 and entry[1] is None:
            _quote_redacted(name, "".join(entry[2]))
