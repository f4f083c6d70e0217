"""Walks at random through one explorer in two tabs of a browser: `python tests/explorer/walks.py --walks 500`.

After each step every tab shows the rows that there are, and highlights what the kernel takes for chosen. A question
names what is highlighted in the tab where it is asked, and a yes deletes or replaces just that, as far as nobody else
has changed it since it was shown; a no, and the other tab, change nothing.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

if __name__ == "__main__":
    ROOT = Path(__file__).parents[2]
    sys.path[:0] = [
        str(ROOT),
        *(str(ROOT / "tests" / each) for each in ("support", "listing")),
        str(ROOT / "benchmarks"),
    ]

from bare import Bare, BareExplorer
from test_explorer_pages import LAKE
from test_explorer_places import Parallel

KEYS = ("a/1", "a/2", "a/d/3", "b/1", "b/c/1", "x", "y")
STEPS = (
    *("click", "click", "add", "range", "toggle", "toggle", "keys", "keys", "order", "refresh", "sift", "search"),
    *("clear", "up", "crumb", "show", "meddle", "meddle", "upload", "delete", "delete", "delete", "menu"),
)
ASKING = ".s3x-line[data-state=asking]"


class Taking(Parallel):
    """A store that takes files, and that others change."""

    serial = itertools.count()

    def look(self, location):
        """What is there."""
        if location.key not in self.objects:
            return None
        facts = {"size": 1, "last_modified": None, "etag": self.objects[location.key], "storage_class": "STANDARD"}
        return SimpleNamespace(**facts)

    def upload(self, location, size, content_type, *, overwrite, replaces):
        """Take one file, in place of the object that the question was about and of no other."""
        del size, content_type, overwrite

        def finish():
            assert self.objects.get(location.key) == replaces
            self.objects[location.key] = f"uploaded-{next(self.serial)}"

        return SimpleNamespace(write=lambda _: None, abort=lambda: None, finish=finish)


def tabs(browser, store, count=2):
    """One explorer in so many tabs, whoever closes them."""
    explorer = BareExplorer(store, title="lake", location=LAKE, objects=store)
    return explorer, [
        Bare(browser.new_context(viewport={"width": 1000, "height": 900}), explorer) for _ in range(count)
    ]


class Walk:
    """One walk.

    Attributes:
        done: how often each step was made, and each question was asked.
    """

    def __init__(self, browser, seed):
        self.dice, self.done = random.Random(seed), Counter()
        self.store = Taking(*KEYS)
        self.explorer, self.tabs = tabs(browser, self.store)
        self.settle()

    def close(self):
        """Close both tabs and the explorer."""
        self.explorer.close()
        for tab in self.tabs:
            tab.page.context.close()

    def go(self, steps):
        """Make steps, and look at both tabs after each."""
        for _ in range(steps):
            step = self.dice.choice(STEPS)
            self.done[step] += 1
            getattr(self, step)(self.dice.choice(self.tabs))
            self.settle()
            for tab in self.tabs:
                self.look(tab)

    def settle(self):
        """Wait until nothing is under way, and every message is where it goes."""
        quiet, end = 0, time.monotonic() + 20
        tasks = self.explorer._object_actions.tasks
        while quiet < 2:
            assert time.monotonic() < end, [task.values() for task in tasks._all.values()]
            sent = sum(tab.hand() for tab in self.tabs)
            working = any(
                task.state == "working" or (task.state == "asking" and task.answered.is_set())
                for task in list(tasks._all.values())
            )
            quiet = 0 if sent or working or self.explorer._navigator.busy else quiet + 1
            time.sleep(0.003)

    def look(self, tab):
        """A tab shows what there is."""
        tree, cursor = self.explorer._navigator.tree, self.explorer._navigator.cursors[tab.name]
        rows = [line.folder.rows.location(line.row).uri for line in tree.lines(0, len(tree)) if line.row >= 0]
        assert [tab.uri(each) for each in tab.ids(".s3x-row[data-kind=row]:not([hidden])")] == rows
        assert self.highlighted(tab) == set(cursor.uris)
        assert tab.root.locator(".s3x-focus:visible").count() == 1
        assert not tab.errors, tab.errors

    def highlighted(self, tab):
        """The URIs of what is highlighted in a tab."""
        return {tab.uri(each) for each in tab.ids(".s3x-chosen:not([hidden])")}

    def row(self, tab, only=""):
        """Some row, or none."""
        found = tab.ids(f".s3x-row[data-kind=row]{only}:not([hidden])")
        return tab.page.locator(f"#{self.dice.choice(found)}") if found else None

    # Steps

    def click(self, tab, keys=(), button="left"):
        if row := self.row(tab):
            row.locator(".s3x-text").click(modifiers=list(keys), button=button)

    def add(self, tab):
        self.click(tab, ["Control"])

    def range(self, tab):
        self.click(tab, ["Shift"])

    def toggle(self, tab):
        if row := self.row(tab, "[aria-expanded]"):
            row.locator(".s3x-twisty").click()

    def keys(self, tab):
        tab.body.focus()
        moves = ["ArrowDown", "ArrowUp", "Shift+ArrowDown", "Home", "End", "ArrowRight", "ArrowLeft", "Control+a"]
        for _ in range(3):
            tab.page.keyboard.press(self.dice.choice([*moves, "Control+ArrowDown", "Control+ ", "a"]))

    def order(self, tab):
        tab.root.locator(".s3x-sort").nth(self.dice.randrange(3)).click()

    def refresh(self, tab):
        tab.root.locator(".s3x-refresh").click()

    def sift(self, tab):
        tab.root.locator(".s3x-find input").fill(self.dice.choice(["1", "a", "b/", ""]))
        tab.page.wait_for_timeout(170)

    def search(self, tab):
        box = tab.root.locator(".s3x-find input")
        box.fill(self.dice.choice(["1", "*1", "c/", "none"]))
        box.press("Enter")

    def clear(self, tab):
        tab.root.locator(".s3x-find input").press("Escape")

    def up(self, tab):
        # The bucket is all that this store has: above it there is nothing to list.
        if len(self.explorer._navigator.cursors[tab.name].location.key):
            tab.body.focus()
            tab.page.keyboard.press("Backspace" if self.explorer._navigator.tree.root.location.key else "ArrowLeft")

    def crumb(self, tab):
        crumbs = tab.root.locator(".s3x-crumb")
        crumbs.nth(self.dice.randrange(1, crumbs.count())).click()

    def show(self, tab):
        tab.body.focus()
        tab.page.keyboard.press("Control+ ")

    def meddle(self, tab):
        """Somebody else adds, replaces or removes an object, which no row knows of."""
        del tab
        key = self.dice.choice([*KEYS, "a/new", "e/1"])
        if self.dice.random() < 0.4:
            self.store.objects.pop(key, None)
        else:
            self.store.objects[key] = f"{key}-{self.dice.random()}"

    # Questions

    def upload(self, tab):
        """A file goes where the tab says that it is; another in its place only by a yes."""
        name = self.dice.choice(["1", "x", "new"])
        folder = self.explorer._navigator.cursors[tab.name].location
        before, key = dict(self.store.objects), folder.key + name
        tab.root.locator("input[type=file]").set_input_files([{"name": name, "mimeType": "text/plain", "buffer": b"x"}])
        self.settle()
        changed = {each for each in {*before, *self.store.objects} if before.get(each) != self.store.objects.get(each)}
        assert changed == (set() if key in before else {key})
        if key in before:
            line = tab.root.locator(ASKING)
            assert f"s3://lake/{key} " in f"{line.locator('.s3x-line-text').inner_text()} ".replace("?", " ")
            assert self.answer(tab) == (self.store.objects != before)
            assert {each for each in before if before[each] != self.store.objects[each]} <= {key}

    def delete(self, tab):
        tab.body.focus()
        tab.page.keyboard.press("Delete")
        self.asked(tab, self.highlighted(tab))

    def menu(self, tab):
        self.click(tab, button="right")
        self.settle()
        meant = self.highlighted(tab)
        item = tab.root.get_by_role("menuitem").filter(has_text="Delete")
        if item.count():
            item.click()
            self.asked(tab, meant)

    def asked(self, tab, highlighted):
        """What is asked is what is highlighted, and what is deleted is what was asked and is still the same."""
        self.settle()
        keys = [uri.removeprefix("s3://lake/") for uri in highlighted]
        folders = tuple(key for key in keys if key.endswith("/"))
        seen = {key: etag for key, etag in self.store.objects.items() if key.startswith(folders) and folders}
        seen |= {key: self.etag(key) for key in keys if not key.endswith("/") and key not in seen}
        line = tab.root.locator(ASKING)
        if not seen:
            assert not line.count()
            return
        named = line.locator(".s3x-asked li").all_text_contents()
        assert sorted(named) == sorted(f"s3://lake/{key}" for key in seen)
        assert all(not other.root.locator(ASKING).count() for other in self.tabs if other is not tab)
        if self.dice.random() < 0.3:
            self.meddle(tab)
        before, others = dict(self.store.objects), {other.name: self.highlighted(other) for other in self.tabs}
        gone = {key for key, etag in seen.items() if before.get(key) == etag} if self.answer(tab) else set()
        assert before.keys() - self.store.objects.keys() == gone
        for other in self.tabs:
            assert self.highlighted(other) <= others[other.name]

    def etag(self, key):
        """The etag of the row of an object, as it is shown."""
        for folder in self.explorer._navigator.tree.root.family():
            name = key.removeprefix(folder.location.key)
            if key.startswith(folder.location.key) and (row := folder.rows.find({name}).get(name)) is not None:
                return folder.rows.etags[row]
        raise AssertionError(key)

    def answer(self, tab):
        """Say yes or no, by the mouse or the keyboard."""
        line, yes = tab.root.locator(ASKING), self.dice.random() < 0.5
        self.done["yes" if yes else "no"] += 1
        if yes:
            line.locator(".s3x-danger").click()
        elif self.dice.random() < 0.5:
            line.get_by_role("button", name="Cancel").click()
        else:
            line.get_by_role("button", name="Cancel").press("Escape")
        self.settle()
        assert not tab.root.locator(ASKING).count()
        return yes


def main() -> None:
    """Walk, and print what was done; a walk that fails says its seed."""
    from lab import CHROMIUM
    from playwright.sync_api import sync_playwright

    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--walks", type=int, default=500)
    options.add_argument("--steps", type=int, default=25)
    options.add_argument("--first", type=int, default=0, help="the first seed")
    given = options.parse_args()
    done, failed, began = Counter(), [], time.monotonic()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        for seed in range(given.first, given.first + given.walks):
            walk = Walk(browser, seed)
            try:
                walk.go(given.steps)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other walks go on
                failed.append(seed)
                where = traceback.extract_tb(error.__traceback__)[-1]
                said = f"{where.name}, line {where.lineno}: {where.line}: {error}"
                print(f"walk {seed} failed after {walk.done.total()} steps in {said}"[:1000], flush=True)
            done += walk.done
            walk.close()
            if seed % 25 == 24:
                print(f"up to walk {seed}: {len(failed)} failed, {done.total()} steps", flush=True)
        browser.close()
    print(f"{given.walks} walks, {len(failed)} failed, {time.monotonic() - began:.0f} s: {dict(done)}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
