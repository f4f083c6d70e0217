"""The beginning of an object, by range reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.objects.content import Preview

if TYPE_CHECKING:
    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.locations import Location
    from s3conn_magic.objects.description import Description

__all__ = ["Preview", "preview"]


def preview(
    connection: Connection,
    location: Location,
    *,
    rows: int = 100,
    version_id: str | None = None,
    description: Description | None = None,
) -> Preview:
    """The beginning of an object as a table, text, image or bytes.

    Args:
        connection: what to read through.
        location: bucket and exact key.
        rows: rows of a table at most.
        version_id: the version to read, the current one by default.
        description: of this object and version, where the caller has it: saves the HEAD.

    Raises:
        S3ConnError: there is no such object, it may not be read, it changed meanwhile, or the server cannot be reached.
    """
    raise NotImplementedError
