"""Runs inside the kernel: after every cell it looks at all that a user or program could see, and writes it down.

Lines of JSON, `[sink, text]`. `plant` makes the package leak on purpose.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import linecache
import logging
import os
import pickle
import sys
import tempfile
import traceback
import warnings
from io import StringIO
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_LAST = 3
XMODES = ("Plain", "Context", "Verbose", "Minimal")


class Observer:
    """Looks after each cell; `secrets` are read from a file so that no cell holds them."""

    def __init__(self, shell: Any, output: str, secrets: str) -> None:
        self.shell = shell
        self.secrets: dict[str, str] = json.loads(Path(secrets).read_text(encoding="utf-8"))
        self._output = Path(output).open("a", encoding="utf-8")  # noqa: SIM115 - open as long as the kernel
        self._log = StringIO()
        self._known: set[int] = set()
        self._turn = 0
        # Every logger of the process, those that are made later too; the root's level counts for all that have none.
        logging.basicConfig(level=logging.DEBUG, stream=self._log, format="%(name)s %(message)s", force=True)
        logging.captureWarnings(capture=True)
        warnings.simplefilter("always", ResourceWarning)
        shell.events.register("post_run_cell", self.look)

    def look(self, result: Any) -> None:
        """Write down what can be seen now."""
        if result is None:
            return
        for sink, text in self._seen(result):
            # What is as it was has been looked at.
            known = hash((sink, text))
            self._output.write(json.dumps([sink, "" if known in self._known else text]) + "\n")
            self._known.add(known)
        self._output.flush()

    def _seen(self, result: Any) -> Iterator[tuple[str, str]]:
        yield from self._objects(result)
        yield from self._history(result)
        yield "log", self._log.getvalue()
        self._log.seek(0)
        self._log.truncate()
        yield "environment", repr(dict(os.environ))
        yield "argv", repr([sys.argv, sys.orig_argv])
        yield from _children()
        yield "widget state", repr(_widget_states())
        yield "%whos", self._captured("whos")
        if result.error_in_exec or result.error_before_exec:
            yield from self._errors()

    def _objects(self, result: Any) -> Iterator[tuple[str, str]]:
        magics = self.shell.magics_manager.registry["UpsqlMagics"]
        session = magics.session
        for name, one in (("result", result.result), ("session", session)):
            yield from _forms(name, one)
        for name, one in (("magics", magics), ("execution result", result)):
            yield from _forms(name, one, shallow=True)
        for connection in session.connections:
            yield from _forms("connection", connection)
            yield from _forms("settings", connection.settings)
            yield from _forms("findings", connection.findings)

    def _history(self, result: Any) -> Iterator[tuple[str, str]]:
        manager, names = self.shell.history_manager, self.shell.user_ns
        lists = [names["In"], names["_ih"], manager.input_hist_raw, manager.input_hist_parsed]
        yield "In", repr([one[-_LAST:] for one in lists])
        yield "_i", repr([names.get(name) for name in ("_i", "_ii", "_iii", f"_i{len(names['In']) - 1}")])
        yield "history cache", repr([manager.db_input_cache[-_LAST:], manager.db_output_cache])
        kept = [dict(manager.output_hist_reprs), dict(getattr(manager, "exceptions", {}))]
        yield "history outputs", repr([list(one.items())[-_LAST:] for one in kept])
        yield "last result", repr(vars(result.info))
        # Newer entries come last.
        entries = list(linecache.cache.values())[-_LAST:]
        yield "lines for tracebacks", repr([one[2] for one in entries if len(one) > 1 and one[1] is None])

    def _modes(self) -> Sequence[str]:
        """Every mode of tracebacks; one after the other for the thousand cells that are no statement."""
        if type(sys.last_value).__name__ != "StatementSyntaxError":
            return XMODES
        self._turn = (self._turn + 1) % len(XMODES)
        return XMODES[self._turn :][:1]

    def _errors(self) -> Iterator[tuple[str, str]]:
        for mode in self._modes():
            self._captured("xmode", mode)
            # A kernel sends the lines as a message, and keeps them.
            yield f"%tb {mode}", self._captured("tb") + repr(getattr(self.shell, "_last_traceback", None))
        self._captured("xmode", "Context")
        yield "%debug", self._debugged()
        for error in _chain(sys.last_value):
            yield from _forms("sys.last_value", error)
            yield "chained traceback", "".join(traceback.format_exception(error))
            yield "frames", repr([frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)])

    def _captured(self, magic: str, line: str = "") -> str:
        from IPython.utils.capture import capture_output

        with capture_output() as shown:
            self.shell.run_line_magic(magic, line)
        return shown.stdout + shown.stderr + repr([one.data for one in shown.outputs])

    def _debugged(self) -> str:
        from IPython.core.debugger import Pdb

        out = StringIO()
        debugger = Pdb(stdin=StringIO("w\na\np locals()\nu\na\nq\n"), stdout=out)
        debugger.use_rawinput = False
        debugger.reset()
        with contextlib.redirect_stdout(out):
            debugger.interaction(None, sys.last_traceback)
        return out.getvalue()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


_FORMS: dict[str, Callable[[Any], Any]] = {
    "str": str,
    "repr": repr,
    "format": "{}".format,
    "vars": lambda one: repr(vars(one)),
    "pickle": lambda one: pickle.dumps(one).decode("latin-1"),
    "copy": lambda one: repr((copy.copy(one), copy.deepcopy(one))),
    "json": lambda one: json.dumps(one, default=vars),
    "mime": lambda one: repr(one._repr_mimebundle_()),
    "html": lambda one: one._repr_html_(),
}


def _forms(name: str, one: Any, *, shallow: bool = False) -> Iterator[tuple[str, str]]:
    """Every form; the shallow ones of what holds the whole shell."""
    for form, make in list(_FORMS.items())[: 4 if shallow else None]:
        try:
            text = make(one)
        except Exception as error:  # noqa: BLE001 - what a refusal says is a form, too
            text = f"{error} {error!r}"
        yield f"{form} of {name}", str(text)


def _children() -> Iterator[tuple[str, str]]:
    """Arguments and environment of processes that the kernel has started."""
    tasks = Path("/proc/self/task")
    for task in tasks.iterdir() if tasks.exists() else ():
        with contextlib.suppress(OSError):
            for pid in (task / "children").read_text().split():
                yield "child's argv", Path(f"/proc/{pid}/cmdline").read_bytes().decode("latin-1")
                yield "child's environment", Path(f"/proc/{pid}/environ").read_bytes().decode("latin-1")


def _widget_states() -> list[Any]:
    widgets = sys.modules.get("ipywidgets.widgets.widget")
    there = list(widgets._instances.values()) if widgets else []
    return [{key: value for key, value in one.get_state().items() if key not in {"_esm", "_css"}} for one in there]


# What the tests change in the package


def hurry(read_seconds: float) -> None:
    """Let a request that is not answered fail soon, and only once."""
    from botocore.config import Config

    import s3conn_magic
    from s3conn_magic.connections import clients
    from s3conn_magic.listing import fetch
    from s3conn_magic.transport import exchange

    s3conn_magic._current_session().settings["READ_TIMEOUT"] = read_seconds
    fetch.TRIES = exchange.TRIES = 1
    config = clients.Clients._config
    if config.__name__ == "_config":
        once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
        clients.Clients._config = lambda self, service, endpoint: config(self, service, endpoint).merge(once)


def use_keyring(password: str) -> None:
    """A keyring that knows one password."""
    import keyring
    from keyring.backend import KeyringBackend

    class Only(KeyringBackend):
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return password if (service, username) == ("leaks", "token") else None

        set_password = delete_password = None

    keyring.set_keyring(Only())


@contextlib.contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute changed for a while."""
    before = owner.__dict__.get(name, _MISSING)
    setattr(owner, name, value)
    yield
    if before is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


_MISSING = object()


def fail_inside(secret: str) -> Any:
    """Every statement fails in a way that nobody foresaw, with a secret in the exception, its cause and its frames."""
    from s3conn_magic import session

    def execute(_: Any, plan: Any) -> Any:
        raise RuntimeError(f"cannot use {secret}") from KeyError(secret, plan)

    # As one of that module: what fails elsewhere is no defect of the package.
    within = FunctionType(execute.__code__, vars(session), closure=execute.__closure__)
    return patched(session.Session, "execute", within)


# Leaks on purpose


def _at_each_cell(act: Callable[[], object]) -> Any:
    from s3conn_magic.session import Session

    plain = Session.steps

    def steps(self: Any, text: str) -> Any:
        act()
        return plain(self, text)

    return patched(Session, "steps", steps)


def _repr(secret: str) -> Any:
    from s3conn_magic.connections.connection import Connection

    return patched(Connection, "__repr__", lambda _: f"<S3 connection with {secret!r}>")


def _log_line(secret: str) -> Any:
    logger = logging.getLogger("s3conn_magic.connections")
    return _at_each_cell(lambda: logger.debug("signing with %s", secret[3:11]))


def _with_explorer(change: Callable[[Any], object]) -> Any:
    from s3conn_magic.explorer import connections

    plain = connections.open_explorer

    def open_explorer(*args: Any, **named: Any) -> Any:
        made = plain(*args, **named)
        change(made)
        return made

    return patched(connections, "open_explorer", open_explorer)


def _trait(secret: str) -> Any:
    import traitlets

    return _with_explorer(lambda one: setattr(one.add_traits(key=traitlets.Unicode()) or one, "key", secret))


def _widget_state(secret: str) -> Any:
    import traitlets

    encoded = base64.b64encode(b"xx" + secret.encode()).decode()
    return _with_explorer(lambda one: one.add_traits(hint=traitlets.Unicode(encoded).tag(sync=True)))


def _message(secret: str) -> Any:
    from s3conn_magic.errors import S3ConnError

    plain = S3ConnError.__init__

    def init(self: Any, message: str, **details: Any) -> None:
        plain(self, f"{message} near {secret[5:14]}", **details)

    return patched(S3ConnError, "__init__", init)


def _chained(secret: str) -> Any:
    from s3conn_magic.errors import S3ConnError

    def with_traceback(self: Any, trace: Any) -> Any:
        self.__context__ = ValueError(secret)
        return Exception.with_traceback(self, trace)

    return patched(S3ConnError, "with_traceback", with_traceback)


@contextlib.contextmanager
def _temp_file(secret: str) -> Iterator[None]:
    file = Path(tempfile.gettempdir()) / "s3conn-cache"
    with _at_each_cell(lambda: file.write_bytes(secret.encode("utf-16-le"))):
        yield
    file.unlink()


@contextlib.contextmanager
def _unredacted_history(_: str) -> Iterator[None]:
    from IPython import get_ipython

    manager = get_ipython().history_manager
    with patched(manager, "store_inputs", manager.store_inputs.unredacted):
        yield
    manager.writeout_cache()
    with manager.db:
        manager.db.execute("PRAGMA secure_delete = ON")
        manager.db.execute("DELETE FROM history")
    manager.reset(new_session=False)
    manager.input_hist_raw[:] = manager.input_hist_parsed[:] = [""] * len(manager.input_hist_raw)
    for name in [name for name in get_ipython().user_ns if name.startswith("_i") and name != "_ih"]:
        get_ipython().user_ns[name] = ""
    manager._i = manager._ii = manager._iii = manager._i00 = ""


def _iopub(secret: str) -> Any:
    from html import escape

    from IPython.display import HTML, display

    return _at_each_cell(lambda: display(HTML(f"<b>{escape(secret[8:22])}</b>")))


@contextlib.contextmanager
def _environment(secret: str) -> Iterator[None]:
    from urllib.parse import quote

    with _at_each_cell(lambda: os.environ.update(S3CONN_LAST=quote(secret, safe=""))):
        yield
    os.environ.pop("S3CONN_LAST", None)


PLANTS: dict[str, Callable[[str], Any]] = {
    "a repr": _repr,
    "a log line": _log_line,
    "a trait": _trait,
    "an exception's message": _message,
    "a chained exception": _chained,
    "a temporary file": _temp_file,
    "the history": _unredacted_history,
    "an iopub message": _iopub,
    "an environment variable": _environment,
    "a widget's state": _widget_state,
}
