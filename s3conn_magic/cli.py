"""The command line: run statements or files of them, the quickstart in a terminal, or JupyterLab with its notebook."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3conn_magic import __version__
from s3conn_magic.errors import S3ConnError, StatementInterrupted, pip_install
from s3conn_magic.results import BINARY, FORMATS, Printer, text_of
from s3conn_magic.runtime.interrupts import outcome

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from s3conn_magic.language.source import Source

_PIPE_CLOSED = 128 + 13  # as a shell reports a program ended by SIGPIPE
_INTERRUPTED = 128 + 2

_NOTEBOOK = Path("notebooks", "quickstart.ipynb")

# The statements of the quickstart notebook that make sense in a terminal.
DEMO = (
    "START SANDBOX;",
    """CREATE S3 CONNECTION sales
    AWS_ACCESS_KEY_ID = $key_id
    AWS_SECRET_ACCESS_KEY = $secret
    ENDPOINT = $endpoint
    PATH_DISPLAY_FILTERS = ('s3://acme-lake/sales/')
    READ_ONLY = TRUE
    COMMENT = 'may not list buckets';""",
    "SHOW BUCKETS USING sandbox;",
    "LIST USING sales;",
    "LIST 's3://acme-lake/' USING sandbox RECURSIVE MATCHING '**/*.{csv,png}';",
    "EXPLORE 's3://acme-lake/' USING sandbox;",
    "STOP SANDBOX;",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0; 1 after an error, which is printed to standard error; 2 for a command line it does not
        understand; 130 after an interrupt; 141 when the reader of its output has gone.
    """
    parser = _parser()
    chosen, rest = parser.parse_known_args(arguments)
    if rest and chosen.run is not _lab:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if chosen.run is _run and not chosen.files and not chosen.statements:
        parser.error("there is nothing to run: -c 'STATEMENTS', a COMMAND, or run FILE (- for standard input)")
    if chosen.run is _run and chosen.format in BINARY and sys.stdout.isatty():
        parser.error(f"{chosen.format} is binary: send it to a file (> rows.{chosen.format}) or into a pipe")
    try:
        return int(chosen.run(chosen, rest))
    except S3ConnError as error:
        print(error.block(), file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    running = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    running.add_argument(
        "-c",
        "--command",
        action="append",
        dest="statements",
        metavar="STATEMENTS",
        help="statements to run, after those of files",
    )
    running.add_argument("--format", choices=FORMATS, help="how rows are printed (default: table)")
    running.add_argument("--set", action="append", dest="names", metavar="NAME=VALUE", help="what $NAME is: a text")
    running.add_argument("--local-files", action="store_true", help="let queries read files of this machine")
    parser = argparse.ArgumentParser(
        prog="s3conn-magic", description="Amazon S3 connections in SQL, for notebooks.", parents=[running]
    )
    parser.add_argument("--version", action="version", version=f"s3conn-magic {__version__}")
    parser.set_defaults(run=_run, files=[], statements=[], format="table", names=[], local_files=False)
    commands = parser.add_subparsers(metavar="COMMAND")
    demo = commands.add_parser("demo", help="run the quickstart against the embedded sandbox, in this terminal")
    demo.set_defaults(run=_demo)
    lab = commands.add_parser("lab", help="open JupyterLab on the quickstart notebook")
    lab.add_argument("options", nargs=argparse.REMAINDER, help="options for jupyter lab, such as --no-browser")
    lab.set_defaults(run=_lab)
    run = commands.add_parser("run", help="run the statements of files, and print their results", parents=[running])
    run.add_argument("files", nargs="*", metavar="FILE", help="such as setup.usql; - is standard input")
    run.set_defaults(run=_run)
    return parser


def _demo(*_: object) -> int:
    session = _demo_session()
    try:
        for statement in DEMO:
            _run_and_print(statement, session)
    finally:
        session.close()
    print(f"Open it in JupyterLab:  {sys.argv[0]} lab\nor in any notebook:     %load_ext s3conn_magic, then %%upsql")
    return 0


def _run(chosen: argparse.Namespace, _: Sequence[str]) -> int:
    status, failure = outcome(_print_results, chosen)
    if failure is None:
        return status or 0
    _warn(failure.block())
    return _INTERRUPTED if isinstance(failure, StatementInterrupted) else 1


def _print_results(chosen: argparse.Namespace) -> int:
    try:
        output = Printer(chosen.format)
        with closing(_results(chosen)) as results:
            for result in results:
                output.write(result)
    except BrokenPipeError:
        # The reader, such as `head`, has enough; without this the flush at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    return 0


def _results(chosen: argparse.Namespace) -> Generator[Any]:
    """Yield the results of the statements in files, then of those on the command line, all in one session."""
    from s3conn_magic.language.session_settings import LOCAL_FILES
    from s3conn_magic.results.cards import TerminalProgress
    from s3conn_magic.sandbox import Sandbox
    from s3conn_magic.session import Session
    from s3conn_magic.session.inputs import KernelInputs

    names = _names(chosen.names)
    session = Session(KernelInputs(lambda: names), start_server=Sandbox.start, note=_warn, progress=TerminalProgress)
    session.settings.change(LOCAL_FILES, chosen.local_files)
    if chosen.format != "table":
        session.settings.change("RESULT", "arrow")
    try:
        for file in chosen.files:
            yield from session.run(_standard_input()) if file == "-" else session.run_file(file)
        for text in chosen.statements:
            yield from session.run(_on_the_command_line(text))
    finally:
        session.close()


def _names(written: Sequence[str]) -> dict[str, str]:
    """Return the values of --set.

    Raises:
        S3ConnError: a value is not NAME=VALUE.
    """
    names = dict[str, str]()
    for text in written:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            # The message does not repeat it: it may be a secret.
            raise S3ConnError("--set takes NAME=VALUE", hint="--set day=2026-11-30 makes $day the text 2026-11-30.")
        names[name] = value
    return names


def _standard_input() -> Source:
    from s3conn_magic.session.inputs import read_stream

    return read_stream(sys.stdin.buffer, "standard input")


def _on_the_command_line(text: str) -> Source:
    from s3conn_magic.language.source import Source

    return Source(text, "-c", "every user of the machine sees the command line")


def _warn(text: str) -> None:
    print(text, file=sys.stderr)


def _demo_session() -> Any:
    from s3conn_magic.sandbox import RESTRICTED, Sandbox
    from s3conn_magic.session import Session
    from s3conn_magic.session.inputs import KernelInputs

    names: dict[str, Any] = {"key_id": RESTRICTED.access_key_id, "secret": RESTRICTED.secret_access_key}

    def start() -> Sandbox:
        server = Sandbox.start()
        names["endpoint"] = server.endpoint
        return server

    return Session(KernelInputs(lambda: names), start_server=start)


def _run_and_print(statement: str, session: Any) -> None:
    print("\n".join(f"upsql> {line}" for line in statement.splitlines()))
    for result in session.run(statement):
        print(f"{text_of(result)}\n", flush=True)


def _lab(chosen: argparse.Namespace, rest: Sequence[str]) -> int:
    options = [*chosen.options, *rest]
    if find_spec("jupyterlab") is None:
        raise S3ConnError("JupyterLab is not installed", hint=f"Install it: {pip_install('lab')}")
    notebook = _quickstart()
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={Path.cwd()}", str(notebook), *options]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    if os.name == "posix":
        # JupyterLab replaces this process, so whatever ends the command also ends it and its kernels.
        sys.stdout.flush()
        os.execv(sys.executable, command)  # noqa: S606 - our own interpreter
    try:
        return subprocess.run(command, check=False).returncode  # noqa: S603 - as above
    except KeyboardInterrupt:
        return 0


def _quickstart() -> Path:
    """Return the quickstart notebook below the current folder, or a copy of the packaged one."""
    if _NOTEBOOK.exists():
        return _NOTEBOOK
    copy = Path(_NOTEBOOK.name)
    packaged = Path(__file__).parent / _NOTEBOOK
    if not copy.exists() and packaged.exists():
        shutil.copy(packaged, copy)
    return copy
