"""Values that are not in the statement: Python variables, the environment, the keyring, prompts."""

from __future__ import annotations

import getpass
import sys

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked
from statements import Statements

from s3conn_magic.errors import BindError

SECRET = "planted/Secret+value/012345"
CELL = "CREATE S3 CONNECTION lake AWS_ACCESS_KEY_ID = 'AKIAONE'\n  AWS_SECRET_ACCESS_KEY = {} VALIDATE = FALSE"


class Ring(KeyringBackend):
    """A keyring with one password, or one that is locked."""

    priority = 1

    def __init__(self, *, locked=False):
        super().__init__()
        self._locked = locked

    def get_password(self, service, username):
        """The password."""
        if self._locked:
            raise KeyringLocked(SECRET)
        return SECRET if (service, username) == ("s3", "me") else None

    def set_password(self, service, username, password):
        """Nothing is kept."""

    def delete_password(self, service, username):
        """Nothing is kept."""


@pytest.fixture
def ring():
    """The keyring of the test in the place of the system's."""
    before = keyring.get_keyring()
    keyring.set_keyring(Ring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def run():
    return Statements(secret=SECRET, number=7)


def secret_of(run):
    return run.connection("lake").frozen_credentials().secret_key


@pytest.mark.usefixtures("ring")
@pytest.mark.parametrize("source", ["$secret", "ENV 'THE_SECRET'", "KEYRING 's3' 'me'", "PROMPT", "PROMPT 'Your key'"])
def test_a_secret_from_each_source(run, monkeypatch, source):
    """Each source gives the secret that signs, and SHOW CREATE names the source."""
    asked = []
    monkeypatch.setenv("THE_SECRET", SECRET)
    monkeypatch.setattr(getpass, "getpass", lambda text: asked.append(text) or SECRET)
    run(CELL.format(source))
    assert secret_of(run) == SECRET
    assert f"AWS_SECRET_ACCESS_KEY = {source}" in str(run("SHOW CREATE S3 CONNECTION lake"))
    assert asked == {"PROMPT": ["Secret: "], "PROMPT 'Your key'": ["Your key: "]}.get(source, [])


@pytest.mark.usefixtures("ring")
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("$nowhere", "nowhere is not defined"),
        ("$number", "text"),
        ("ENV 'NOT_SET_AT_ALL'", "NOT_SET_AT_ALL is not set"),
        ("KEYRING 's3' 'you'", "no password of that service and user"),
    ],
)
def test_a_source_without_a_value_is_an_error_at_its_place(run, source, said):
    """What a source lacks is said where the source is written, and nothing is created."""
    error = run.fails(CELL.format(source), BindError)
    assert said in error.message
    assert (error.place.line, error.place.column) == (2, 27)
    assert run.connections == []


def test_a_locked_keyring_is_said_without_its_words(run):
    """A keyring that cannot be read is named by the kind of its failure only."""
    before = keyring.get_keyring()
    keyring.set_keyring(Ring(locked=True))
    try:
        error = run.fails(CELL.format("KEYRING 's3' 'me'"), BindError)
    finally:
        keyring.set_keyring(before)
    assert "KeyringLocked" in error.message
    assert SECRET not in error.block()


def test_a_missing_keyring_package_is_said(run, monkeypatch):
    """Without the keyring package the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "pip install keyring" in run.fails(CELL.format("KEYRING 's3' 'me'"), BindError).message


def test_a_prompt_is_asked_once_and_not_for_a_cell_with_an_error(run, monkeypatch):
    """All of a cell is checked before anybody is asked, and each prompt is asked once."""
    asked = []
    monkeypatch.setattr(getpass, "getpass", lambda text: asked.append(text) or SECRET)
    run.fails(CELL.format("PROMPT") + ";\nDROP CONNECTION nope")
    assert asked == []
    run(CELL.format("PROMPT 'one'") + ";\n" + CELL.format("PROMPT 'two'").replace("lake", "pond"))
    assert asked == ["one: ", "two: "]


def test_an_empty_answer_is_refused(run, monkeypatch):
    """Return without typing is an error at the prompt."""
    monkeypatch.setattr(getpass, "getpass", lambda _: "")
    error = run.fails(CELL.format("PROMPT"), BindError)
    assert "empty" in error.message
    assert error.place.line == 2


def test_a_prompt_that_nobody_answers_names_the_other_ways(run, monkeypatch):
    """Where there is no terminal and no front end, the error says what works without a person."""

    def refuse(_):
        raise EOFError(SECRET)

    monkeypatch.setattr(getpass, "getpass", refuse)
    error = run.fails(CELL.format("PROMPT"), BindError)
    assert "ENV or KEYRING" in error.message
    assert SECRET not in error.block()


def test_a_location_of_a_variable(run):
    """A location may be a Python variable; one that is no text is refused at its place."""
    run(CELL.format("$secret"))
    error = run.fails("LIST $number", BindError)
    assert "int" in error.message
    assert error.place.column == 6
