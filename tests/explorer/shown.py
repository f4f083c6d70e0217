"""An explorer on a page of a real JupyterLab."""

from __future__ import annotations


class Shown:
    """One explorer on the page."""

    def __init__(self, notebook, root):
        self.page, self.root = notebook.page, root
        self.body = root.get_by_role("tree")
        self.summary = root.locator(".s3x-summary")
        self.panel = root.locator(".s3x-panel")
        self.picker = root.locator("input[type=file]")

    def row(self, name):
        """The row with exactly this shown name."""
        return self.root.locator(".s3x-row:visible").filter(has=self.page.get_by_text(name, exact=True))

    def line(self, kind):
        """The lines of one kind, such as `more`."""
        return self.root.locator(f".s3x-row[data-kind={kind}]:visible")

    def line_saying(self, text):
        """The line of an upload, download or deletion that says this."""
        return self.root.locator(".s3x-line").filter(has_text=text)

    def toggle(self, name):
        """Open or close a folder with the mouse."""
        self.row(name).locator(".s3x-twisty").click()

    def focused(self, name):
        """Wait until the row with this name has the focus."""
        self.root.locator(".s3x-row.s3x-focus:visible").filter(has=self.page.get_by_text(name, exact=True)).wait_for()

    def press(self, *keys):
        """Press these keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def find(self, text):
        """Type into the box and send it."""
        box = self.root.locator(".s3x-find").get_by_role("textbox")
        box.fill(text)
        box.press("Enter")

    def says(self, text):
        """Wait until the line below the rows says this."""
        self.summary.filter(has_text=text).wait_for()


def clipboard(page):
    return page.evaluate("() => navigator.clipboard.readText()")


def contrast(one, other):
    """The contrast ratio of two `rgb(…)` colours, after WCAG."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
