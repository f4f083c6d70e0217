"""`%upsql --file`, `%config UpsqlMagic` and the connections that are loaded with the extension, in a real kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from kernels import Kernel

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
LOAD = "%load_ext s3conn_magic"


@pytest.fixture
def folder(kernel: Kernel, tmp_path: Path) -> Path:
    """The kernel's working directory, which is empty."""
    kernel.run(f"import os; os.chdir({str(tmp_path)!r}); os.environ['XDG_CONFIG_HOME'] = {str(tmp_path)!r}")
    return tmp_path


def test_a_file_is_run_by_the_magic(kernel: Kernel, folder: Path):
    """Its last result is the cell's value, or a variable's; errors name the file, and no secret of it is sent."""
    (folder / "set up.usql").write_text("SET LIMIT = 7;\nHELP LIST;", encoding="utf-8")
    kernel.run(LOAD)
    assert "RECURSIVE" in kernel.run("%upsql --file 'set up.usql'").result["text/plain"]
    kernel.run("%%upsql shown <<\n--file set up.usql")
    assert "RECURSIVE" in kernel.run("shown").result["text/plain"]
    pair = f"AWS_ACCESS_KEY_ID = 'A' AWS_SECRET_ACCESS_KEY = '{SECRET}'"
    (folder / "bad.usql").write_text(f"HELP;\nCREATE S3 CONNECTION x {pair};", encoding="utf-8")
    done = kernel.run("%upsql --file bad.usql")
    assert done.status == "error"
    assert "bad.usql, line 2" in "\n".join(done.error["traceback"])
    assert SECRET not in done.everything
    assert "--file takes the path" in kernel.run("%upsql --file ").everything
    assert "--file must be on its own" in kernel.run("%%upsql --file bad.usql\nLIST").everything


def test_config_and_set_change_the_same_value(kernel: Kernel, folder: Path):
    """Each sees what the other set; what is unknown or mistyped is named, and nothing changes."""
    assert folder.exists()
    kernel.run(LOAD)
    kernel.run("%config UpsqlMagic.limit = 5")
    kernel.run("%config UpsqlMagic.default_connection = 'lake'")
    assert kernel.run("%upsql SHOW SETTINGS").result["text/plain"].count("  5\n") == 1
    kernel.run("%upsql SET limit = 9")
    assert kernel.run("%config UpsqlMagic.limit").result["text/plain"] == "9"
    shown = kernel.run("%config UpsqlMagic").stdout
    assert "UpsqlMagic.limit=" in shown
    assert "Current: 9" in shown
    typo = kernel.run("%config UpsqlMagic.progres = 1").everything
    assert "Did you mean UpsqlMagic.progress?" in typo
    assert "limit takes a whole number or ALL" in kernel.run("%config UpsqlMagic.limit = 'many'").everything
    assert kernel.run("%config UpsqlMagic.limit").result["text/plain"] == "9"
    assert kernel.run("%config UpsqlMagic.limit = 3").everything.count("takes") == 0


def test_connections_are_loaded_with_the_extension(kernel: Kernel, folder: Path):
    """Those that the configuration asks for, a project's before the user's; what is wrong with a file is told."""
    one = "CREATE S3 CONNECTION IF NOT EXISTS {} AWS_PROFILE = '{}' ENDPOINT = 'http://127.0.0.1:9';"
    (folder / "connections.usql").write_text(one.format("lake", "project"), encoding="utf-8")
    (folder / "s3conn-magic").mkdir()
    user = folder / "s3conn-magic" / "connections.usql"
    user.write_text(one.format("lake", "user") + one.format("mine", "user"), encoding="utf-8")
    wanted = "c = get_ipython().config.UpsqlMagic; c.load_project_connections = c.load_user_connections = True"
    kernel.run(f"{wanted}; c.progres = 1")
    loaded = kernel.run(LOAD)
    assert loaded.stderr == "unknown setting UpsqlMagic.progres. Did you mean UpsqlMagic.progress?\n"
    names = "import s3conn_magic; [(one, s3conn_magic.connection(one).settings.profile) for one in ('lake', 'mine')]"
    assert kernel.run(names).result["text/plain"] == "[('lake', 'project'), ('mine', 'user')]"
    user.write_text("DROP CONNECTION lake", encoding="utf-8")
    again = kernel.run("%reload_ext s3conn_magic")
    assert again.status == "ok"
    assert "may only have CREATE S3 CONNECTION" in again.stderr
    kernel.run("del get_ipython().config['UpsqlMagic']")
