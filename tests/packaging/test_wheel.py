"""The wheel, installed alone and used from another folder; `clean_wheel.py` does so in environments of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import clean_wheel
import pytest
from wheels import REPOSITORY

from s3conn_magic import __version__

HERE = Path(__file__).parent
EXTRAS = ("moto", "flask", "jupyterlab", "matplotlib", "distributed", "keyring", "obstore")


def files_below(folder: Path) -> set[str]:
    """Every file but what Python caches."""
    found = (one.relative_to(folder) for one in folder.rglob("*") if one.is_file())
    return {one.as_posix() for one in found if "__pycache__" not in one.parts}


def test_every_file_of_the_package_is_in_the_wheel(installed):
    """Modules, scripts and styles of the views, what is judged of DuckDB, the mark of types; the notebooks; no more."""
    notebooks = {f"notebooks/{one.name}" for one in (REPOSITORY / "notebooks").glob("*.ipynb")}
    there = files_below(installed.folder / "s3conn_magic")
    assert there == files_below(REPOSITORY / "s3conn_magic") | notebooks
    assert {Path(one).suffix for one in there} == {".py", ".js", ".json", ".ts", ".css", ".ipynb", ".toml", ".typed"}


def test_what_clean_environments_run_and_copy_is_there():
    """Each test and file that `clean_wheel.py` names is one of the repository's."""
    tests = [test.partition("::") for test in clean_wheel.TESTS]
    named = [f"tests/{file}" for file, _, _ in tests] + list(clean_wheel.COPIED)
    assert [name for name in named if not (REPOSITORY / name).exists()] == []
    functions = [(REPOSITORY / "tests" / file, f"def {name}(") for file, _, name in tests if name]
    assert all(function in file.read_text(encoding="utf-8") for file, function in functions)


def test_a_newcomer_gets_on_without_any_extra(installed, rclone_server):
    """What is required is enough to load, complete, explain, connect, list, preview, query and explore."""
    keys = rclone_server.keys
    server = [rclone_server.endpoint, keys.access_key_id, keys.secret_access_key.reveal()]
    done = installed.run(HERE / "newcomer.py", installed.folder, *server, "--without", *EXTRAS)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["everything is there"]), done.stdout + done.stderr


def test_jupyter_lists_the_labextension(installed):
    """`jupyter labextension list` has it, enabled and in order, with the package that brought it."""
    pytest.importorskip("jupyterlab")
    done = installed.run("-m", "jupyterlab.labextensions", "list")
    (line,) = [line for line in done.stderr.splitlines() if "s3conn-magic" in line]
    assert all(
        part in line for part in (f"v{__version__.replace('rc', '-rc.')}", "enabled", "OK", "(python, s3conn-magic)")
    )


def test_the_command_is_installed(installed, tmp_path):
    """`s3conn-magic` runs a file of statements."""
    (tmp_path / "one.usql").write_text("HELP LIST;", encoding="utf-8")
    command, environment = [installed.command, "run", "one.usql"], {"PYTHONPATH": str(installed.folder)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert "RECURSIVE" in done.stdout
