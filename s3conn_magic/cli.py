"""The command line: the quickstart in the terminal, JupyterLab on the quickstart notebook, and files of statements."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3conn_magic import __version__
from s3conn_magic.errors import S3ConnError, of_statement, pip_install

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Run a command; the exit status is 0, or 1 after an error, whose block goes to stderr."""
    parser = argparse.ArgumentParser(prog="s3conn-magic", description="Amazon S3 connections in SQL, for notebooks.")
    parser.add_argument("--version", action="version", version=f"s3conn-magic {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="run the quickstart against the embedded sandbox, in this terminal")
    demo.set_defaults(run=_demo)
    lab = commands.add_parser("lab", help="open JupyterLab on the quickstart notebook")
    lab.add_argument("options", nargs=argparse.REMAINDER, help="options for jupyter lab, such as --no-browser")
    lab.set_defaults(run=_lab)
    run = commands.add_parser("run", help="run the statements of files, and print their results")
    run.add_argument("options", nargs="+", metavar="FILE", help="a file of statements, such as setup.usql")
    run.add_argument("--local-files", action="store_true", help="let their queries read files of this machine")
    run.set_defaults(run=_run)
    chosen, rest = parser.parse_known_args(arguments)
    if rest and chosen.run is not _lab:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        options = [*getattr(chosen, "options", []), *rest]
        return _run(options, local_files=chosen.local_files) if chosen.run is _run else int(chosen.run(options))
    except S3ConnError as error:
        print(error.block(), file=sys.stderr)
        return 1


def _demo(_: Sequence[str]) -> int:
    session = _demo_session()
    try:
        for statement in DEMO:
            _show(statement, session)
    finally:
        session.close()
    print(f"Open it in JupyterLab:  {sys.argv[0]} lab\nor in any notebook:     %load_ext s3conn_magic, then %%upsql")
    return 0


def _run(files: Sequence[str], *, local_files: bool) -> int:
    from s3conn_magic.language.session_settings import LOCAL_FILES
    from s3conn_magic.sandbox import Sandbox
    from s3conn_magic.session.inputs import KernelInputs
    from s3conn_magic.session.session import Session

    session = Session(KernelInputs(dict[str, Any]), start_server=Sandbox.start, note=_say)
    session.settings.change(LOCAL_FILES, local_files)
    try:
        for file in files:
            for result in session.run_file(file):
                print(f"{_text(result)}\n", flush=True)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - what it says may hold a secret
        failure = of_statement(error)
    else:
        return 0
    finally:
        session.close()
    _say(failure.block())
    return 1


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _demo_session() -> Any:
    from s3conn_magic.sandbox import RESTRICTED, Sandbox
    from s3conn_magic.session.inputs import KernelInputs
    from s3conn_magic.session.session import Session

    names: dict[str, Any] = {"key_id": RESTRICTED.access_key_id, "secret": RESTRICTED.secret_access_key}

    def start() -> Sandbox:
        server = Sandbox.start()
        names["endpoint"] = server.endpoint
        return server

    return Session(KernelInputs(lambda: names), start_server=start)


def _show(statement: str, session: Any) -> None:
    print("\n".join(f"upsql> {line}" for line in statement.splitlines()))
    for result in session.run(statement):
        print(f"{_text(result)}\n", flush=True)


def _text(result: Any) -> str:
    """Return what a terminal shows of a result."""
    bundle = result._repr_mimebundle_() if hasattr(result, "_repr_mimebundle_") else None
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    return str(data["text/plain"]) if data else repr(result)


def _lab(options: Sequence[str]) -> int:
    if find_spec("jupyterlab") is None:
        raise S3ConnError("JupyterLab is not installed", hint=f"Install it: {pip_install('lab')}")
    notebook = _quickstart()
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={Path.cwd()}", str(notebook), *options]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    if os.name == "posix":
        # JupyterLab takes the place of this process: whatever ends the command ends it, with its kernels.
        sys.stdout.flush()
        os.execv(sys.executable, command)  # noqa: S606 - our own interpreter
    try:
        return subprocess.run(command, check=False).returncode  # noqa: S603 - as above
    except KeyboardInterrupt:
        return 0


def _quickstart() -> Path:
    """Return the quickstart notebook below the current folder; a copy of the packaged one where there is none."""
    if _NOTEBOOK.exists():
        return _NOTEBOOK
    copy = Path(_NOTEBOOK.name)
    packaged = Path(__file__).parent / _NOTEBOOK
    if not copy.exists() and packaged.exists():
        shutil.copy(packaged, copy)
    return copy
