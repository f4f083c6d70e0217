"""The explorer of plain ipywidgets."""

from __future__ import annotations

import sys
import threading

import ipywidgets
import pytest
from made_up_buckets import HOSTILE, MadeUpBuckets
from statements import Statements, create

from s3conn_magic.errors import S3ConnError
from s3conn_magic.explorer import Children, TreeEntry
from s3conn_magic.explorer.basic import BasicExplorer
from s3conn_magic.locations import Location
from s3conn_magic.sandbox import LAKE


class Watched(BasicExplorer):
    """An explorer that can be waited for."""

    def __init__(self, *args, **options):
        self._news = threading.Condition()
        super().__init__(*args, **options)

    def _show(self):
        super()._show()
        with self._news:
            self._news.notify_all()

    def _show_note(self, work, text):
        super()._show_note(work, text)
        with self._news:
            self._news.notify_all()

    def until(self, condition):
        with self._news:
            assert self._news.wait_for(condition, timeout=20)

    def labels(self):
        return [label for label, _ in self._rows.options]

    def choose(self, name):
        """Choose the row whose label holds this."""
        self._rows.value = next(row for label, row in self._rows.options if name in label)

    def enter(self, name):
        """Choose a folder, open it and wait for its rows."""
        before = self._navigator.tree
        self.choose(name)
        self._open()
        self.until(lambda: self._navigator.tree is not before and self.settled)

    @property
    def settled(self):
        """Whether nothing is listed any more and the page shows so."""
        return not self._navigator.busy and self._crumbs.value == self._heading()


@pytest.fixture
def made_up():
    explorer = Watched(MadeUpBuckets(), title="lab")
    explorer.until(lambda: explorer._rows.options)
    yield explorer
    explorer.close()


@pytest.fixture
def lake(sandbox):
    run = Statements()
    run(create("lake", keys=sandbox.admin, ENDPOINT=sandbox.endpoint))
    return run


def test_it_opens_folders_and_goes_up_again(made_up):
    """Open shows what is in a folder, folders first; Up shows the one that holds it."""
    made_up.enter("lake")
    assert made_up.labels()[:2] == ["▸ broken/", "▸ curated/"]
    assert made_up.location == Location("lake")
    made_up.enter("curated/")
    made_up.choose("orders/")
    assert made_up.selection == ("s3://lake/curated/orders/",)
    made_up._navigator.up(stay_open=False)
    made_up.until(lambda: made_up.location == Location("lake") and made_up.settled)
    assert len(made_up.frame) == 14


def test_a_cut_is_said_and_more_is_loaded(made_up):
    """A long folder says that there is more; Load more brings the next page, and is off when there is none."""
    made_up.enter("lake")
    made_up.enter("logs/")
    assert "1,000 of more than 1,000 shown" in made_up._crumbs.value
    assert not made_up._more.disabled
    for shown in (2_000, 2_500):
        made_up._more.click()
        made_up.until(lambda n=shown: len(made_up._rows.options) == n)
    made_up.until(lambda: made_up._more.disabled)


def test_refresh_keeps_the_row_and_not_its_place():
    """After others came before it the chosen row is chosen still; when it is gone, none is."""
    keys = ["b", "c"]

    def children(location, token, *, starting_with="", cancelled):  # noqa: ARG001 - the protocol's signature
        return Children([TreeEntry(Location("lake", key)) for key in sorted(keys)])

    explorer = Watched(children, title="lab", location=Location("lake"))
    explorer.until(lambda: explorer._rows.options)
    explorer.choose("c")
    for key, left in (("a", ("s3://lake/c",)), ("c", ())):
        (keys.remove if key in keys else keys.append)(key)
        explorer.refresh()
        explorer.until(lambda: len(explorer._rows.options) == len(keys))
        assert explorer.selection == left
    explorer.close()


def test_the_number_of_models_is_constant():
    """Whatever is shown, the page holds at most twenty models."""
    instances = ipywidgets.widgets.widget._instances
    before = set(instances)
    explorer = Watched(MadeUpBuckets(), title="lab")
    explorer.until(lambda: explorer._rows.options)
    count = len(set(instances) - before)
    assert 5 < count <= 20
    explorer.enter("lake")
    explorer.enter("logs/")
    assert len(set(instances) - before) == count
    explorer.close()


def test_hostile_keys_are_text(made_up):
    """Keys are visible text in the list, and escaped wherever there is markup."""
    made_up.enter("odd-keys")
    labels = "".join(made_up.labels())
    assert "esc␛[31mred" in labels
    assert not set(labels) & set("\x1b\n\r\t\u202e\u2028")
    assert set(HOSTILE) <= set(made_up.frame["key"])
    made_up.enter("a<b>&c/")
    assert "a&lt;b&gt;&amp;c" in made_up._crumbs.value


def test_an_error_is_said_in_place(made_up):
    """A folder that is denied says which action is missing."""
    made_up.enter("lake")
    made_up.enter("finance/")
    assert "s3:ListBucket is missing" in made_up._crumbs.value


def test_search_asks_the_server(made_up):
    """The box shows what begins with a text, and goes to a location."""
    made_up.enter("lake")
    made_up._find.value = "s3://lake/logs/2024-249"
    made_up.until(lambda: len(made_up._rows.options) == 10)


def test_explore_chooses_it_by_a_setting(lake):
    """SET EXPLORER_UI = 'basic' makes EXPLORE give it; an object that is opened tells what it is and holds."""
    assert type(lake(f"EXPLORE 's3://{LAKE}/'")).__name__ == "Explorer"
    lake("SET EXPLORER_UI = 'BASIC'")
    explorer = lake(f"EXPLORE 's3://{LAKE}/'")
    assert type(explorer) is BasicExplorer
    watched = Watched(explorer._navigator._children, title="lake", location=Location(LAKE), objects=explorer._objects)
    watched.until(lambda: watched._rows.options)
    watched.choose("README.txt")
    watched._open()
    watched.until(lambda: "Acme&#x27;s data lake" in watched._about.value)
    assert "STANDARD" in watched._about.value
    assert watched.to_frame(recursive=True).equals(lake(f"LIST 's3://{LAKE}/' RECURSIVE"))
    assert type(lake("EXPLORE ALL CONNECTIONS")) is BasicExplorer


def test_it_has_a_snapshot(made_up, monkeypatch):
    """Its text and HTML forms show what is listed, escaped."""
    monkeypatch.setattr(ipywidgets.VBox, "_repr_mimebundle_", lambda *_, **__: {"text/plain": "VBox()"})
    bundle = made_up._repr_mimebundle_()
    assert "media-archive" in bundle["text/plain"]
    assert "media-archive" in bundle["text/html"]


def test_aside_without_its_library_says_how_to_have_it(monkeypatch):
    """ASIDE names the library and what installs it, and shows nothing."""
    monkeypatch.setitem(sys.modules, "sidecar", None)
    explorer = BasicExplorer(MadeUpBuckets(), title="lake")
    with pytest.raises(S3ConnError, match="sidecar") as raised:
        explorer.show_aside("lake")
    assert "pip install" in raised.value.hint
