"""What is missing is named by packages that can be installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import s3conn_magic
from s3conn_magic.errors import EXTRAS, pip_install

ROOT = Path(s3conn_magic.__file__).parent
EVERY = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_what_the_project_says(extra: str):
    """The packages of each extra are those of pyproject.toml, without their versions."""
    assert list(EXTRAS[extra]) == [re.split("[<>=]", one)[0] for one in EVERY[extra]]


def test_every_extra_of_users_is_there():
    """All extras but those for working on the package itself."""
    assert set(EXTRAS) == set(EVERY) - {"docs", "test"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_is_to_be_run_names_no_package_of_ours(extra: str, monkeypatch: pytest.MonkeyPatch):
    """In a terminal it is pip, quoted for a shell where it must be, in a notebook the magic of its own Python."""
    monkeypatch.setattr("s3conn_magic.errors._in_ipython", lambda: False)
    plain = pip_install(extra)
    assert plain.startswith("pip install ")
    assert "s3conn" not in plain
    assert ("'" in plain) is ("[" in plain)
    monkeypatch.setattr("s3conn_magic.errors._in_ipython", lambda: True)
    assert pip_install(extra) == f"%{plain}"
    assert pip_install(extra, here=False) == plain


def test_a_notebook_is_told_from_a_terminal(monkeypatch: pytest.MonkeyPatch):
    """Where IPython runs, the command is its magic."""
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", object)
    assert pip_install("keyring") == "%pip install keyring"


def test_no_message_names_an_extra_of_ours():
    """The package is on no index, so nothing but the project's own files can name `s3conn-magic[…]`."""
    assert not [file for file in ROOT.rglob("*.py") if "s3conn-magic[" in file.read_text(encoding="utf-8")]
