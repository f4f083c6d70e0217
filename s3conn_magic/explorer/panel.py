"""The panel beside the tree: details, preview and analyses of one object, version or folder."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import S3ConnError
from s3conn_magic.explorer.details import (
    PreviewTable,
    RowOrder,
    bucket_facts,
    description_values,
    error_values,
    moment_text,
    preview_values,
)
from s3conn_magic.explorer.messages import SEND_RATE
from s3conn_magic.locations import Location, visible
from s3conn_magic.preview import Preview
from s3conn_magic.runtime.background import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from s3conn_magic.explorer import ObjectAccess, Snippet
    from s3conn_magic.objects.description import Description, Version

    Send = Callable[..., None]

LINK_SECONDS = (15 * 60, 3600, 12 * 3600, 7 * 24 * 3600)
_IMAGE_PIECE = 512 * 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """The object, version or folder shown."""

    location: Location
    is_prefix: bool = False
    size: int | None = None
    version_id: str | None = None
    etag: str | None = None
    deleted: bool = False


class Panel:
    """The panel's content, sent to the browser whenever it changes.

    Args:
        objects: access to single objects.
        send: sends a message, optionally with buffers.
        summed: called with the sizes of folders by URI after the shown folder was analyzed.

    Attributes:
        subject: what is shown, or None while the panel is closed.
    """

    def __init__(
        self, objects: ObjectAccess, send: Send, summed: Callable[[Location, Mapping[str, int]], None]
    ) -> None:
        self.subject: Subject | None = None
        self._summed = summed
        self._objects = objects
        self._send = send
        self._lock = threading.RLock()
        self._serial = 0
        self._work: Work[None] | None = None
        self._running: dict[str, Work[dict[str, Any]]] = {}
        self._description: Description | None = None
        self._preview: Preview | None = None
        self._table: PreviewTable | None = None
        self._parts: dict[str, dict[str, Any]] = {}

    def shown(self, serial: int) -> Subject | None:
        """Return what a page means by the serial number of its panel, or None if something else is shown by now."""
        with self._lock:
            if self.subject is None or serial != self._serial:
                return None
            etag = self._description.etag if self._description else self.subject.etag
            return replace(self.subject, etag=etag)

    @property
    def description(self) -> Description | None:
        """The description of the object shown."""
        return self._description

    def known(self, version_id: str) -> Version | None:
        """Return a version of the object shown."""
        versions = self._description.versions if self._description else ()
        return next((each for each in versions if each.version_id == version_id), None)

    def show(self, subject: Subject) -> None:
        """Show an object or folder, unless it is already shown."""
        with self._lock:
            if subject == self.subject:
                return
            self._begin(subject)

    def version(self, version_id: str | None) -> None:
        """Show another version of the same object; None for the current one."""
        with self._lock:
            if now := self.subject:
                self._begin(Subject(now.location, version_id=version_id, deleted=now.deleted))

    def retry(self) -> None:
        """Load the panel again after an error."""
        with self._lock:
            if self.subject:
                self._begin(self.subject)

    def halt(self) -> None:
        """Stop loading; parts that have arrived stay."""
        with self._lock:
            self._cancel()
            stopped = {"error": {"message": "Stopped", "hint": ""}}
            for name in [name for name, values in self._parts.items() if values.get("busy")]:
                self._set_part(name, stopped)

    def hide(self) -> None:
        """Close the panel and stop loading."""
        with self._lock:
            self._stop()
            self.subject = None
            self._send_head()

    def forget(self, location: Location) -> None:
        """Close the panel if it shows this location."""
        with self._lock:
            if self.subject and self.subject.location == location:
                self.hide()

    def replaced(self, location: Location) -> None:
        """Load the panel again if it shows the current version of this object."""
        with self._lock:
            subject = self.subject
            if subject and subject.location == location and not subject.version_id:
                self._begin(Subject(location))

    def analyze(self) -> None:
        """Analyze the folder shown, in the background."""
        self._look_below("analysis", self._objects.analyze, {"objects": 0, "bytes": 0})

    def discover(self) -> None:
        """Find the datasets in the folder shown, in the background."""
        self._look_below("datasets", self._objects.discover, {"objects": 0, "bytes": 0})

    def properties(self) -> None:
        """Read the properties of the bucket shown, in the background."""
        subject = self.subject
        if subject is not None and not subject.location.key:
            self._run_once("properties", {}, lambda _: {"facts": bucket_facts(self._objects.bucket(subject.location))})

    def code(self) -> None:
        """Find out what the folder shown contains, for code that reads it, in the background."""
        subject = self.subject
        if subject is not None and subject.is_prefix:
            self._run_once("code", {}, lambda work: self._code(subject, work.cancelled))

    def _look_below(self, name: str, look: Callable[..., Mapping[str, Any]], first: dict[str, Any]) -> None:
        subject = self.subject
        if subject is None or not subject.is_prefix:
            return

        def do(work: Work[dict[str, Any]]) -> dict[str, Any]:
            def report(objects: int, size: int) -> None:
                with self._lock:
                    if self._running.get(name) is work:
                        self._set_part(name, {"busy": True, "objects": objects, "bytes": size})

            values = dict(look(subject.location, report, work.cancelled))
            if sizes := values.pop("sizes", None):
                self._summed(subject.location, sizes)
            return values

        self._run_once(name, first, do)

    def _code(self, subject: Subject, cancelled: Callable[[], bool]) -> dict[str, Any]:
        ending = self._objects.ending(subject.location, cancelled)
        return {
            "snippets": _snippet_values(self._objects.snippets(subject.location, None, is_prefix=True, ending=ending))
        }

    def _run_once(self, name: str, first: dict[str, Any], do: Callable[[Work[dict[str, Any]]], dict[str, Any]]) -> None:
        """Do some work about the subject in the background, unless it is already running, and send the result."""
        with self._lock:
            if name in self._running:
                return
            self._set_part(name, {"busy": True, **first})
            work = self._running[name] = Work[dict[str, Any]](do)
        work.start(
            lambda values: self._finish(name, work, values),
            lambda error: self._finish(name, work, {"error": error_values(error)}),
        )

    def _finish(self, name: str, work: Work[dict[str, Any]], values: dict[str, Any]) -> None:
        with self._lock:
            if self._running.get(name) is work:
                del self._running[name]
                self._set_part(name, values)

    def further(self) -> None:
        """Read more rows of the table shown, in the background."""
        with self._lock:
            table, subject, described = self._table, self.subject, self._description
        if table and subject and described and table.further:
            self._run_once("loaded", table.loaded(), lambda _: self._load_more(table, subject, described))

    def _load_more(self, table: PreviewTable, subject: Subject, described: Description) -> dict[str, Any]:
        try:
            preview = self._objects.preview(subject.location, described, subject.version_id, table.further)
        except S3ConnError as error:
            return {**table.loaded(), "error": error_values(error)}
        if preview.frame is None:
            return {**table.loaded(), "more": False}
        longer = PreviewTable(preview, table.further)
        with self._lock:
            if self._table is table:
                self._table = longer
                values = self._parts["preview"]
                values["table"] = {**values["table"], **longer.loaded()}
        return longer.loaded()

    def records(self, page: str, id: str, start: int, stop: int, order: RowOrder) -> None:  # noqa: A002 - the message's own name
        """Send rows of the table shown to the page that asked."""
        self._answer("records", page, id, lambda table: table.part(order, start, stop))

    def column(self, page: str, id: str, at: int) -> None:  # noqa: A002 - as above
        """Send statistics of a column to the page that asked."""
        self._answer("column", page, id, lambda table: table.statistics(at))

    def _answer(self, kind: str, page: str, id: str, say: Callable[[PreviewTable], dict[str, Any]]) -> None:  # noqa: A002 - as above
        table, head = self._table, {"type": kind, "page": page, "id": id}
        if table:
            work = Work[dict[str, Any]](lambda _: say(table))
            work.start(
                lambda values: self._send({**head, **values}),
                lambda error: self._send({**head, "error": error_values(error)}),
            )

    def again(self) -> None:
        """Send everything, with the image, to a newly opened page."""
        with self._lock:
            self._send_head()
            for name, values in self._parts.items():
                self._send_part(name, values)
            preview, serial = self._preview, self._serial
        if preview and preview.image:
            Work[None](lambda work: self._send_image(work, preview, serial)).start(_nothing, _nothing)

    def _begin(self, subject: Subject) -> None:
        self._stop()
        self.subject = subject
        self._send_head()
        if subject.is_prefix:
            return
        self._set_part("details", {"busy": True})
        self._set_part("preview", {"busy": True})
        self._start(lambda work: self._look(work, subject))

    def _start(self, do: Callable[[Work[None]], None]) -> None:
        work = self._work = Work[None](do)
        work.start(_nothing, lambda error: self._failed(work, error))

    def _cancel(self) -> None:
        for work in [self._work, *self._running.values()]:
            if work:
                work.cancel()
        self._work, self._running = None, {}

    def _stop(self) -> None:
        self._cancel()
        self._serial += 1
        self._description = self._preview = self._table = None
        self._parts = {}

    def _look(self, work: Work[None], subject: Subject) -> None:
        # Moving quickly through rows should not wait for those passed by.
        if work.sleep(0.05):
            return
        gone = subject.deleted and not subject.version_id
        look = self._objects.describe_deleted if gone else self._objects.describe
        described = look(subject.location, subject.version_id)
        if gone and self._keep(work, description=described, preview=Preview("deleted", described, format="deleted")):
            return
        if not self._keep(work, description=described):
            return
        preview = self._objects.preview(subject.location, described, subject.version_id)
        serial = self._serial
        if self._keep(work, preview=preview) and preview.image:
            self._send_image(work, preview, serial)

    def _keep(
        self, work: Work[None], *, description: Description | None = None, preview: Preview | None = None
    ) -> bool:
        """Keep and send what was loaded, unless something else is shown by now."""
        with self._lock:
            if work is not self._work:
                return False
            if description:
                self._description = description
                thaws = self._objects.thaws(description)
                self._set_part("details", description_values(description, thaws))
            if preview:
                self._preview = preview
                self._table = PreviewTable(preview) if preview.frame is not None else None
                self._set_part("preview", preview_values(preview, self._table))
            return True

    def _failed(self, work: Work[None], error: S3ConnError) -> None:
        with self._lock:
            if work is self._work:
                self._work = None
                for name in ("details", "preview"):
                    if self._parts.get(name, {}).get("busy"):
                        self._set_part(name, {"error": error_values(error)})

    def _send_image(self, work: Work[None], preview: Preview, serial: int) -> None:
        image = preview.image or b""
        for at in range(0, len(image), _IMAGE_PIECE):
            piece = image[at : at + _IMAGE_PIECE]
            SEND_RATE.wait(len(piece), work.sleep)
            with self._lock:
                if serial != self._serial:
                    return
            self._send(
                {"type": "image", "serial": serial, "at": at, "total": len(image), "mime": preview.mime}, [piece]
            )

    def _set_part(self, name: str, values: dict[str, Any]) -> None:
        self._parts[name] = values
        self._send_part(name, values)

    def _send_part(self, name: str, values: Mapping[str, Any]) -> None:
        self._send({"type": name, "serial": self._serial, **values})

    def _send_head(self) -> None:
        subject = self.subject
        self._send_part("panel", self._head(subject) if subject else {"open": False})

    def _head(self, subject: Subject) -> dict[str, Any]:
        where = subject.location
        snippets = self._objects.snippets(where, subject.version_id, is_prefix=subject.is_prefix)
        return {
            "open": True,
            "name": visible(where.name) or "(folder marker)",
            "shown": visible(where.uri),
            "uri": where.uri,
            "arn": self._objects.arn(where),
            "folder": subject.is_prefix,
            "bucket": not where.key,
            "version": subject.version_id,
            "links": LINK_SECONDS,
            "snippets": _snippet_values(snippets),
        }

    def link(self, id: str, subject: Subject, seconds: int) -> None:  # noqa: A002 - the message's own name
        """Create a link; it is sent once and stored nowhere."""
        if subject.is_prefix or seconds not in LINK_SECONDS:
            return
        work = Work[dict[str, Any]](lambda _: self._link_values(subject, seconds))
        work.start(
            lambda link: self._send({"type": "link", "id": id, **link}),
            lambda error: self._send({"type": "link", "id": id, "error": error_values(error)}),
        )

    def _link_values(self, subject: Subject, seconds: int) -> dict[str, Any]:
        link = self._objects.presign(subject.location, seconds, subject.version_id)
        return {"url": link.url, "ends": moment_text(link.ends), "note": link.note}


def _snippet_values(snippets: Sequence[Snippet]) -> list[list[str]]:
    return [[each.label, each.code] for each in snippets]


def _nothing(_: object) -> None:
    """Ignore a result that has already been shown."""
