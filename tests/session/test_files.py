"""Files of statements: run, loaded and saved, and what is refused in them."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from offline import Inputs, offline_session
from recording import error, recording
from statements import create

from s3conn_magic.errors import BindError, S3ConnError, StatementSyntaxError

if TYPE_CHECKING:
    from s3conn_magic.session import Session

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
PAIR = f"AWS_ACCESS_KEY_ID = 'AKIDEXAMPLE' AWS_SECRET_ACCESS_KEY = '{SECRET}' VALIDATE = FALSE"


def _file(folder: Path, text: str, mode: int = 0o644, name: str = "setup.usql") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return str(path)


def _fails(session: Session, path: str, kind: type[S3ConnError] = S3ConnError) -> S3ConnError:
    with pytest.raises(kind) as failed:
        list(session.run_file(path))
    assert SECRET not in failed.value.block()
    return failed.value


def test_the_statements_of_a_file_are_run(tmp_path: Path):
    """Each gives its result, in order; a byte order mark is no part of the text."""
    session = offline_session()
    text = "\ufeffCREATE S3 CONNECTION lake AWS_PROFILE = 'x' VALIDATE = FALSE;\n-- and\nUSE CONNECTION lake;"
    assert len(list(session.run_file(_file(tmp_path, text)))) == 2
    assert session.connections.default == "lake"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o602])
@pytest.mark.parametrize(
    "written",
    [
        f"CREATE S3 CONNECTION lake {PAIR}",
        f"CREATE S3 CONNECTION IF NOT EXISTS there {PAIR}",
        f"ALTER S3 CONNECTION there SET AWS_ACCESS_KEY_ID = 'A', AWS_SECRET_ACCESS_KEY = '{SECRET}'",
    ],
)
def test_a_secret_in_a_file_that_others_may_touch_is_refused(tmp_path: Path, written: str, mode: int):
    """Nothing of the file runs; the error names file, line and column, and where a secret can come from."""
    session = offline_session("there")
    path = _file(tmp_path, f"USE CONNECTION there;\n{written};", mode)
    failure = _fails(session, path, BindError)
    assert failure.place is not None
    assert (failure.place.file, failure.place.line) == (path, 2)
    assert all(word in failure.hint for word in ("ENV", "PROMPT", "KEYRING", "AWS_PROFILE", "0600"))
    assert (session.connections.default, "lake" in session.connections) == (None, False)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_secret_in_a_private_file_is_taken(tmp_path: Path, mode: int):
    """A file of the mode 0600, or one that not even its owner may write."""
    session = offline_session()
    list(session.run_file(_file(tmp_path, f"CREATE S3 CONNECTION lake {PAIR}", mode)))
    assert session.connections.get("lake").settings.secret_access_key.reveal() == SECRET


def test_a_secret_in_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its mode does not count then."""
    path = _file(tmp_path, f"CREATE S3 CONNECTION lake {PAIR}", 0o600)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert "belongs to another user" in _fails(offline_session(), path, BindError).message


def test_secrets_of_other_sources_are_taken_from_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """ENV, PROMPT and Python variables are written by name only."""
    monkeypatch.setenv("LAKE_SECRET", SECRET)
    session = offline_session(inputs=Inputs({"secret": SECRET}, SECRET))
    pair = "AWS_ACCESS_KEY_ID = 'A' VALIDATE = FALSE AWS_SECRET_ACCESS_KEY ="
    sources = {"a": "ENV 'LAKE_SECRET'", "b": "PROMPT 'lake'", "c": "$secret"}
    text = "\n".join(f"CREATE S3 CONNECTION {name} {pair} {source};" for name, source in sources.items())
    list(session.run_file(_file(tmp_path, text)))
    assert {one.settings.secret_access_key.reveal() for one in session.connections} == {SECRET}


def test_errors_of_a_file_name_its_place(tmp_path: Path):
    """Name of the file, line and column, whatever is wrong."""
    path = _file(tmp_path, "HELP;\n  LIST LIST")
    assert f"  {path}, line 2, column 8\n" in _fails(offline_session(), path, StatementSyntaxError).block()


@pytest.mark.parametrize(
    ("content", "said"), [(b"HELP;\n\xff\xfe", "not text in UTF-8, from line 2"), (None, "there is no file")]
)
def test_what_is_no_file_of_text_is_refused(tmp_path: Path, content: bytes | None, said: str):
    """A file that is not there, is no text, or is a folder."""
    path = tmp_path / "setup.usql"
    if content is not None:
        path.write_bytes(content)
    assert said in _fails(offline_session(), str(path)).message
    assert "is not a file" in _fails(offline_session(), str(tmp_path)).message


# Loaded files


def _load(session: Session, name: str = "LOAD_PROJECT_CONNECTIONS") -> None:
    list(session.run(f"SET {name} = TRUE"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a home and settings of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "s3conn-magic").mkdir(parents=True)
    return folder


def _user_file(project: Path, text: str) -> None:
    _file(project.parent / "config" / "s3conn-magic", text, name="connections.usql")


def test_connections_are_loaded_without_a_request(project: Path):
    """No probe is sent, though VALIDATE is not FALSE; a name that is taken keeps its connection."""
    with recording(lambda _: error(500, "Never")) as server:
        one = f"CREATE S3 CONNECTION {{}} AWS_PROFILE = 'p' ENDPOINT = '{server.endpoint}' COMMENT = 'project';"
        _file(project, one.format("lake") + one.format("logs") + "USE CONNECTION lake;", name="connections.usql")
        session = offline_session("logs")
        _load(session)
        assert server.requests == []
    assert [(one.name, one.settings.comment) for one in session.connections] == [("logs", None), ("lake", "project")]
    assert session.settings["DEFAULT_CONNECTION"] == "lake"
    _load(session)


def test_a_users_connections_are_loaded_from_the_configuration_folder(project: Path):
    """Below XDG_CONFIG_HOME; nothing is loaded that nobody asked for, and a missing file is no error."""
    _user_file(project, "CREATE S3 CONNECTION mine AWS_PROFILE = 'p';")
    session = offline_session()
    _load(session)
    assert [*session.connections] == []
    _load(session, "LOAD_USER_CONNECTIONS")
    assert [one.name for one in session.connections] == ["mine"]


@pytest.mark.parametrize(
    "other", ["DROP CONNECTION lake", "LIST 's3://bucket/'", "SET DATABASE = 'x'", "START SANDBOX"]
)
def test_a_file_of_connections_holds_nothing_else(project: Path, other: str):
    """None of its connections is made, and the setting stays as it was."""
    _file(project, f"CREATE S3 CONNECTION lake AWS_PROFILE = 'p';\n{other}", name="connections.usql")
    session = offline_session()
    with pytest.raises(BindError, match="may only have CREATE S3 CONNECTION and USE CONNECTION") as failed:
        _load(session)
    assert (failed.value.place.file, failed.value.place.line) == ("connections.usql", 2)
    assert ([*session.connections], session.settings["LOAD_PROJECT_CONNECTIONS"]) == ([], False)


def test_a_file_of_connections_that_anyone_may_write_is_not_loaded(project: Path, monkeypatch: pytest.MonkeyPatch):
    """Nor one of another user: it tells where requests go."""
    path = _file(project, "CREATE S3 CONNECTION lake AWS_PROFILE = 'p'", 0o666, "connections.usql")
    with pytest.raises(S3ConnError, match="anyone may write it") as failed:
        _load(offline_session())
    (command,) = re.findall("`([^`]+)`", failed.value.hint)
    subprocess.run(["sh", "-c", command], cwd=project, check=True)
    assert Path(path).stat().st_mode & 0o777 == 0o644
    _load(offline_session())
    user = os.geteuid()
    if user:
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)
        with pytest.raises(S3ConnError, match="belongs to another user"):
            _load(offline_session())


def test_a_secret_in_a_file_of_connections_is_refused(project: Path):
    """As in any other file that is not private."""
    _file(project, f"CREATE S3 CONNECTION lake {PAIR}", 0o644, "connections.usql")
    with pytest.raises(BindError, match="not private"):
        _load(offline_session())


# Saved files


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    """Connections whose secrets are of every source, and a name and a text that are hard to write."""
    monkeypatch.setenv("LAKE_SECRET", SECRET)
    session = offline_session(inputs=Inputs({"key": SECRET, "where": "http://127.0.0.1:9000"}))
    texts = [
        create("Größe", AWS_PROFILE="p", COMMENT="it's\r\n\ta \\ line -- no comment", VALIDATE=False).replace(
            " Größe ", ' "Größe" '
        ),
        f"CREATE S3 CONNECTION written {PAIR}",
        """CREATE S3 CONNECTION held AWS_ACCESS_KEY_ID = 'A' AWS_SECRET_ACCESS_KEY = $key ENDPOINT = $where
        PATH_DISPLAY_FILTERS = ('s3://bucket/a/', 's3://bucket/b') READ_ONLY = TRUE VALIDATE = FALSE""",
        "CREATE S3 CONNECTION env AWS_ACCESS_KEY_ID = 'A' AWS_SECRET_ACCESS_KEY = ENV 'LAKE_SECRET' VALIDATE = FALSE",
        "USE CONNECTION written",
    ]
    for text in texts:
        list(session.run(text))
    return session


def test_saved_connections_load_again_and_no_secret_is_in_the_file(session: Session, project: Path):
    """Options, names and the default are the same; a secret is its source, or asked for when the file is loaded."""
    list(session.run("SAVE CONNECTIONS TO 'connections.usql'"))
    path = project / "connections.usql"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SECRET not in path.read_text(encoding="utf-8")
    assert [one.name for one in project.iterdir()] == ["connections.usql"]
    inputs = Inputs({}, SECRET, SECRET)
    again = offline_session(inputs=inputs)
    _load(again)
    assert inputs.asked == ["AWS_SECRET_ACCESS_KEY of written", "AWS_SECRET_ACCESS_KEY of held"]
    assert _told(again) == _told(session)
    assert again.connections.default == "written"


def _told(session: Session) -> list[tuple[object, ...]]:
    return [(one.name, {name: bound.value for name, bound in one.options.items()}) for one in session.connections]


def test_what_show_create_says_makes_the_connection_again(session: Session):
    """A secret that was written out is asked for."""
    (said,) = session.run("SHOW CREATE S3 CONNECTION written")
    inputs = Inputs({}, SECRET)
    again = offline_session(inputs=inputs)
    list(again.run(f"{str(said).rstrip(';')} VALIDATE = FALSE"))
    assert again.connections.get("written").settings.secret_access_key.reveal() == SECRET


def test_a_file_that_is_there_is_replaced_only_when_asked_to(session: Session, project: Path):
    """Refused without OR REPLACE; a file that cannot be written leaves nothing behind."""
    path = project / "kept.usql"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(S3ConnError, match=r"there already[\s\S]*SAVE OR REPLACE"):
        list(session.run("SAVE CONNECTIONS TO 'kept.usql'"))
    assert path.read_text(encoding="utf-8") == "mine"
    list(session.run("SAVE OR REPLACE CONNECTIONS TO 'kept.usql'"))
    assert "CREATE S3 CONNECTION written" in path.read_text(encoding="utf-8")
    with pytest.raises(S3ConnError, match="cannot be written"):
        list(session.run("SAVE CONNECTIONS TO 'nowhere/kept.usql'"))
    with pytest.raises(S3ConnError, match="cannot be written"):
        list(
            session.run("CREATE S3 CONNECTION x AWS_PROFILE = 'p' VALIDATE = FALSE; SAVE OR REPLACE CONNECTIONS TO '.'")
        )
    assert [one.name for one in project.iterdir()] == ["kept.usql"]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_file_that_came_meanwhile_is_not_replaced(session: Session, project: Path, monkeypatch, links: bool):
    """Whether the file system has links or not, one of two that save takes the name, and its file is whole and 0600."""
    path = project / "raced.usql"
    if not links:
        monkeypatch.setattr("pathlib.Path.hardlink_to", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    monkeypatch.setattr("pathlib.Path.exists", lambda _: False)  # what came after a look
    list(session.run("SAVE CONNECTIONS TO 'raced.usql'"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text(encoding="utf-8")
    assert "CREATE S3 CONNECTION written" in text
    path.write_text("theirs", encoding="utf-8")
    with pytest.raises(S3ConnError, match="there already"):
        list(session.run("SAVE CONNECTIONS TO 'raced.usql'"))
    assert path.read_text(encoding="utf-8") == "theirs"
    assert [one.name for one in project.iterdir()] == ["raced.usql"]
