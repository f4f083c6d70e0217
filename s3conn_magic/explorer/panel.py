"""What the panel beside the tree shows: one object, a version of it, or a folder."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from s3conn_magic.explorer.details import description_values, error_values, moment_text, preview_values
from s3conn_magic.explorer.messages import SEND_RATE
from s3conn_magic.locations import Location, visible
from s3conn_magic.runtime.background import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s3conn_magic.errors import S3ConnError
    from s3conn_magic.explorer.model import ObjectAccess
    from s3conn_magic.objects.description import Description
    from s3conn_magic.preview import Preview

    Send = Callable[..., None]

LINK_SECONDS = (15 * 60, 3600, 12 * 3600, 7 * 24 * 3600)
_IMAGE_PIECE = 512 * 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """What is shown."""

    location: Location
    is_prefix: bool = False
    size: int | None = None
    version_id: str | None = None
    etag: str | None = None


class Panel:
    """The panel's content, told to the browser whenever it changes.

    Args:
        objects: looks at single objects.
        send: sends a message, and buffers with it.

    Attributes:
        subject: what is shown, or None while the panel is closed.
    """

    def __init__(self, objects: ObjectAccess, send: Send) -> None:
        self.subject: Subject | None = None
        self._objects = objects
        self._send = send
        self._lock = threading.RLock()
        self._serial = 0
        self._work: Work[None] | None = None
        self._description: Description | None = None
        self._preview: Preview | None = None
        self._parts: dict[str, dict[str, Any]] = {}

    def shown(self, serial: int) -> Subject | None:
        """Return what a page means by this number of what it was shown; None when something else is shown by now."""
        with self._lock:
            if self.subject is None or serial != self._serial:
                return None
            etag = self._description.etag if self._description else self.subject.etag
            return replace(self.subject, etag=etag)

    # What the user does

    def show(self, subject: Subject) -> None:
        """Show an object or a folder, unless it is shown already."""
        with self._lock:
            if subject == self.subject:
                return
            self._begin(subject)

    def version(self, version_id: str | None) -> None:
        """Show another version of the same object; None for the current one."""
        with self._lock:
            if now := self.subject:
                self._begin(Subject(now.location, version_id=version_id))

    def retry(self) -> None:
        """Ask again for what failed."""
        with self._lock:
            if self.subject:
                self._begin(self.subject)

    def halt(self) -> None:
        """Stop looking; what was found stays."""
        with self._lock:
            if self._work:
                self._work.cancel()
            self._work = None
            stopped = {"error": {"message": "Stopped", "hint": ""}}
            for name in [name for name, values in self._parts.items() if values.get("busy")]:
                self._put(name, stopped)

    def hide(self) -> None:
        """Close the panel and stop what it waits for."""
        with self._lock:
            self._stop()
            self.subject = None
            self._tell_head()

    def forget(self, location: Location) -> None:
        """Close the panel if it shows this location."""
        with self._lock:
            if self.subject and self.subject.location == location:
                self.hide()

    def replaced(self, location: Location) -> None:
        """Look again if this object is shown as it was before it was replaced."""
        with self._lock:
            subject = self.subject
            if subject and subject.location == location and not subject.version_id:
                self._begin(Subject(location))

    def analyze(self) -> None:
        """Sum up the folder that is shown, in the background."""
        with self._lock:
            subject = self.subject
            if subject is None or not subject.is_prefix or self._work:
                return
            self._put("analysis", {"busy": True, "objects": 0, "bytes": 0})
            self._start(lambda work: self._analyze(work, subject))

    def _analyze(self, work: Work[None], subject: Subject) -> None:
        def report(objects: int, size: int) -> None:
            with self._lock:
                if work is self._work:
                    self._put("analysis", {"busy": True, "objects": objects, "bytes": size})

        analysis = self._objects.analyze(subject.location, report, work.cancelled)
        with self._lock:
            if work is self._work:
                self._work = None
                self._put("analysis", {"data": dict(analysis)})

    def again(self) -> None:
        """Tell a page that has just opened everything, the image too."""
        with self._lock:
            self._tell_head()
            for name, values in self._parts.items():
                self._tell(name, values)
            preview, serial = self._preview, self._serial
        if preview and preview.image:
            Work[None](lambda work: self._send_image(work, preview, serial)).start(_nothing, _nothing)

    # Looking

    def _begin(self, subject: Subject) -> None:
        self._stop()
        self.subject = subject
        self._tell_head()
        if subject.is_prefix:
            return
        self._put("details", {"busy": True})
        self._put("preview", {"busy": True})
        self._start(lambda work: self._look(work, subject))

    def _start(self, do: Callable[[Work[None]], None]) -> None:
        work = self._work = Work[None](do)
        work.start(_nothing, lambda error: self._failed(work, error))

    def _stop(self) -> None:
        if self._work:
            self._work.cancel()
        self._serial += 1
        self._work = self._description = self._preview = None
        self._parts = {}

    def _look(self, work: Work[None], subject: Subject) -> None:
        # Who leafs through rows waits for none of those passed by.
        if work.sleep(0.05):
            return
        described = self._objects.describe(subject.location, subject.version_id)
        if not self._keep(work, description=described):
            return
        preview = self._objects.preview(subject.location, described, subject.version_id)
        serial = self._serial
        if self._keep(work, preview=preview) and preview.image:
            self._send_image(work, preview, serial)

    def _keep(
        self, work: Work[None], *, description: Description | None = None, preview: Preview | None = None
    ) -> bool:
        """Keep and tell what was found, if it is still wanted."""
        with self._lock:
            if work is not self._work:
                return False
            if description:
                self._description = description
                self._put("details", description_values(description))
            if preview:
                self._preview = preview
                self._put("preview", preview_values(preview))
            return True

    def _failed(self, work: Work[None], error: S3ConnError) -> None:
        with self._lock:
            if work is self._work:
                self._work = None
                for name in ("details", "preview", "analysis"):
                    if self._parts.get(name, {}).get("busy"):
                        self._put(name, {"error": error_values(error)})

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

    # Telling

    def _put(self, name: str, values: dict[str, Any]) -> None:
        self._parts[name] = values
        self._tell(name, values)

    def _tell(self, name: str, values: Mapping[str, Any]) -> None:
        self._send({"type": name, "serial": self._serial, **values})

    def _tell_head(self) -> None:
        subject = self.subject
        self._tell("panel", self._head(subject) if subject else {"open": False})

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
            "snippets": [[each.label, each.code] for each in snippets],
        }

    # Links

    def link(self, id: str, subject: Subject, seconds: int) -> None:  # noqa: A002 - the message's own name
        """Make a link; it is sent once and kept nowhere."""
        if subject.is_prefix or seconds not in LINK_SECONDS:
            return
        work = Work[dict[str, Any]](lambda _: self._linked(subject, seconds))
        work.start(
            lambda link: self._send({"type": "link", "id": id, **link}),
            lambda error: self._send({"type": "link", "id": id, "error": error_values(error)}),
        )

    def _linked(self, subject: Subject, seconds: int) -> dict[str, Any]:
        link = self._objects.presign(subject.location, seconds, subject.version_id)
        return {"url": link.url, "ends": moment_text(link.ends), "note": link.note}


def _nothing(_: object) -> None:
    """Do nothing: the result has been shown already."""
