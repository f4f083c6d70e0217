"""The front end's sources: joined as a widget carries them, typed, linted, and held to the table of messages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from s3conn_magic.explorer.messages import ACTIONS, REQUESTS, fault, taken
from s3conn_magic.explorer.widget import Explorer, ObjectActions
from s3conn_magic.results.cards import joined_scripts
from s3conn_magic.results.charts import AnalysisChart

FOLDER = Path(__file__).parents[2] / "frontend"


@pytest.mark.parametrize("script", ["types", "lint", "unit"])
@pytest.mark.skipif(not (FOLDER / "node_modules").is_dir(), reason="needs `npm ci` in frontend/, which CI runs")
def test_types_lint_and_unit_tests_of_the_page(script):
    """TypeScript finds no fault in the sources, ESLint nothing to say, and their unit tests pass."""
    command = ["npm", "run", "--silent", script]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("widget", [Explorer, AnalysisChart])
def test_joined_modules_are_one_that_parses(widget, tmp_path):
    """The text that a widget carries has no import, one default export, and is a module of JavaScript."""
    text = str(widget._esm)
    assert [line for line in text.splitlines() if line.startswith("import ")] == []
    assert [line.split()[1] for line in text.splitlines() if line.startswith("export ")] == ["default"]
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    (tmp_path / "joined.mjs").write_text(text, encoding="utf-8")
    done = subprocess.run([node, "--check", "joined.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.js": 'import { c } from "./b.js";\n', "b.js": "export const b = 1, c = 2;\n"}, "exports no c"),
        (
            {"a.js": 'import { b } from "./b.js";\n', "b.js": 'import { c } from "./a.js";\n'},
            "a.js",
        ),
        ({"a.js": 'import * as b from "./b.js";\n', "b.js": ""}, "import "),
        ({"a.js": 'import { b } from "./b.js";\n', "b.js": "const b = 1;\nexport { b };\n"}, "export "),
    ],
)
def test_what_cannot_be_joined_is_refused(files, said, tmp_path):
    """Modules that import each other, and imports and exports of another form, are named."""
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        joined_scripts(tmp_path / "a.js")


def test_a_name_of_one_module_does_not_meet_that_of_another(tmp_path):
    """Two modules may each have a name of their own that is the same, and one that both import is made once."""
    (tmp_path / "a.js").write_text(
        'import { b } from "./b.js";\nimport { n } from "./n.js";\nconst own = 1;\nexport default [own, b, n];\n'
    )
    (tmp_path / "b.js").write_text('import { n } from "./n.js";\nconst own = 2;\nexport const b = own + n;\n')
    (tmp_path / "n.js").write_text("export const n = 10;\n")
    text = joined_scripts(tmp_path / "a.js")
    assert text.count("const n = 10") == 1
    assert text.count("const own") == 2


def test_each_message_of_the_table_has_its_method():
    """What the table lets a page say is done by the navigator or by the actions on objects, and nothing else is."""
    from s3conn_magic.explorer.navigator import Navigator

    assert [kind for kind in ACTIONS if not callable(getattr(Navigator, kind, None))] == []
    assert [kind for kind in REQUESTS if kind != "rows" and not callable(getattr(ObjectActions, kind, None))] == []


@pytest.mark.parametrize(
    "message",
    [
        {"type": "nothing"},
        {"type": "toggle"},
        {"type": "toggle", "place": [1, 2], "more": 1},
        {"type": "toggle", "place": [1]},
        {"type": "toggle", "place": [True, 1]},
        {"type": "toggle", "place": ["1", 1]},
        {"type": "at", "place": [1, 1], "mode": "all of them"},
        {"type": "more", "number": True},
        {"type": "more", "number": 1, "every": "yes"},
        {"type": "version", "serial": 1, "id": 5},
        {"type": "__class__"},
        {},
    ],
)
def test_a_message_that_is_not_in_the_table_is_not_taken(message):
    """An unknown type, and a field too many, too few or of another type, are refused."""
    with pytest.raises(ValueError, match="not understood"):
        taken(message)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "toggle", "place": [1, 2], "seq": 3, "page": "p"},
        {"type": "more", "number": 1},
        {"type": "more", "number": 1, "every": True},
        {"type": "at", "place": [1, -1], "mode": "range"},
        {"type": "version", "serial": 1, "id": None},
    ],
)
def test_a_message_of_the_table_is_taken(message):
    """Its number and page are told apart from its fields."""
    kind, seq, page, fields = taken(message)
    assert {"type": kind, **({"seq": seq} if seq else {}), **({"page": page} if page else {}), **fields} == message
    assert fault(fields, ACTIONS.get(kind) or REQUESTS[kind]) == ""
