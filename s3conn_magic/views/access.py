"""Single objects of connections as the explorer sees them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from s3conn_magic.errors import (
    ConnectionNotFoundError,
    ObjectNotFoundError,
    Place,
    S3ConnError,
    StatementInterrupted,
)
from s3conn_magic.language.plans import Analyze, ListObjects
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects import uploads
from s3conn_magic.objects.deleting import delete_as_seen, versioning
from s3conn_magic.objects.description import Description, describe, head
from s3conn_magic.objects.links import Download, Link, presign
from s3conn_magic.preview.preview import Preview, preview
from s3conn_magic.views.explorer.snippets import snippets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.listing import Progress
    from s3conn_magic.views.explorer.model import Snippet

_ROWS = 100
_CONNECTIONS = 32
_NOWHERE = partial(Place, 1, 1)
"""Where the statement stands that would do what the explorer does."""


class ConnectionObjects:
    """Single objects, through the connection that leads to each; see `explorer.model.Objects`.

    Args:
        connection_of: the connection of a location.
    """

    def __init__(self, connection_of: Callable[[Location | None], Connection]) -> None:
        self._of = connection_of

    def refuses_writes(self, location: Location | None) -> str:
        """The reason where the connection is READ_ONLY."""
        if location is None or not location.bucket:
            return "Open a bucket first"
        try:
            connection = self._of(location)
        except ConnectionNotFoundError as error:
            return error.message.capitalize()
        return f"The connection {connection.name} is READ_ONLY" if connection.settings.read_only else ""

    def snippets(self, location: Location, version_id: str | None, *, is_prefix: bool) -> Sequence[Snippet]:
        """Code that reads it."""
        try:
            name = self._of(location).name
            return snippets(name, location, is_prefix=is_prefix, version_id=version_id)
        except ConnectionNotFoundError:
            return []

    def describe(self, location: Location, version_id: str | None) -> Description:
        """HeadObject, tags and versions."""
        return describe(self._of(location), location, version_id=version_id)

    def preview(self, location: Location, description: Description, version_id: str | None) -> Preview:
        """Its beginning."""
        return preview(self._of(location), location, rows=_ROWS, version_id=version_id, description=description)

    def presign(self, location: Location, seconds: int, version_id: str | None) -> Link:
        """A presigned URL."""
        return presign(self._of(location), location, seconds, version_id=version_id)

    def download(self, location: Location, version_id: str | None, etag: str | None) -> Download:
        """GetObject, as a stream."""
        return Download(self._of(location), location, version_id=version_id, etag=etag)

    def look(self, location: Location) -> Description | None:
        """HeadObject."""
        try:
            return head(self._of(location), location)
        except ObjectNotFoundError:
            return None

    def upload(
        self, location: Location, size: int, content_type: str, *, overwrite: bool, replaces: str | None
    ) -> uploads.Upload:
        """PutObject, or a multipart upload."""
        return uploads.Upload(
            self._of(location), location, size, content_type=content_type, overwrite=overwrite, replaces=replaces
        )

    def find(self, chosen: Sequence[uploads.Chosen], most: int, cancelled: Callable[[], bool]) -> uploads.Found:
        """Recursive listings of the prefixes; of one connection at a time."""
        connections = {id(found): found for found in (self._of(one.location) for one in chosen)}
        if len(connections) != 1:
            raise S3ConnError("these lie in several connections", hint="Choose the objects of one.")
        return uploads.find(next(iter(connections.values())), chosen, most=most, cancelled=cancelled)

    def delete(self, found: uploads.Found, near: Location, cancelled: Callable[[], bool]) -> Iterator[uploads.Deleted]:
        """DeleteObjects, bucket by bucket, of what is as it was seen."""
        for bucket, seen in found.keys.items():
            yield from delete_as_seen(self._of(near), bucket, seen, cancelled=cancelled)

    def versioning(self, location: Location) -> str | None:
        """GetBucketVersioning."""
        return versioning(self._of(location), location.bucket)

    def frame(self, location: Location | None, *, recursive: bool) -> pd.DataFrame:
        """The frame of LIST, without a limit."""
        from s3conn_magic.views.buckets import ListOptions, list_frame

        connection = self._of(location)
        plain = Location(location.bucket, location.key) if location and location.bucket else None
        plan = ListObjects(
            place=_NOWHERE,
            name=connection.name,
            location=plain,
            recursive=recursive,
            versions=False,
            matching=None,
            matching_place=None,
            limit="ALL",
        )
        return list_frame(connection, plan, ListOptions(None, _CONNECTIONS))[0]

    def analyze(
        self, location: Location, report: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> Mapping[str, object]:
        """Objects and bytes by folder."""
        from s3conn_magic.views.analysis import analysis_frame
        from s3conn_magic.views.charts import chart_data

        def tell(progress: Progress) -> None:
            if cancelled():
                raise StatementInterrupted("the analysis was stopped")
            report(progress.keys, progress.bytes)

        connection = self._of(location)
        plan = Analyze(place=_NOWHERE, name=connection.name, location=location, by="PREFIX", depth=1)
        frame = analysis_frame(connection.target(location.bucket), plan, connections=_CONNECTIONS, report=tell)
        return chart_data(frame, by="PREFIX", title=visible(location.uri))
