"""The frame of LIST FROM INVENTORY."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3conn_magic.errors import ListingInterrupted
from s3conn_magic.inventory.manifest import read_manifest
from s3conn_magic.inventory.reading import Inventory
from s3conn_magic.listing import Glob
from s3conn_magic.locations import visible
from s3conn_magic.views.frames import S3Frame, listing_frame

if TYPE_CHECKING:
    import pyarrow as pa

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.inventory.manifest import Manifest
    from s3conn_magic.language.plans import ListInventory
    from s3conn_magic.views.buckets import ListOptions


def inventory_frame(connection: Connection, plan: ListInventory, options: ListOptions) -> tuple[S3Frame, bool, str]:
    """The frame of LIST FROM INVENTORY, whether the limit left rows out, and what is to be said of the report.

    Raises:
        InventoryError: the report is damaged, or is none.
        ListingInterrupted: `rows_so_far` is a frame of this shape, labelled as partial.
        S3ConnError: it cannot be read.
    """
    manifest = read_manifest(connection, plan.location)
    inventory = Inventory(
        connection,
        manifest,
        matching=None if plan.matching is None else Glob.compile(plan.matching),
        limit=options.limit,
        connections=options.connections,
    )
    try:
        frame = _frame(manifest, inventory.collect(on_progress=options.report))
    except ListingInterrupted as error:
        error.rows_so_far = _frame(manifest, error.rows_so_far)
        error.rows_so_far.attrs["partial"] = error.message
        raise
    return frame, inventory.truncated, _told(manifest)


def _frame(manifest: Manifest, rows: pa.Table) -> S3Frame:
    return listing_frame([(manifest.bucket, rows)], versions=manifest.versions)


def _told(manifest: Manifest) -> str:
    made = f"{manifest.made_at:%Y-%m-%d %H:%M} UTC" if manifest.made_at else "a time that it does not say"
    told = f"Inventory of {visible(manifest.bucket)} as of {made}: what changed later is not in it."
    return told if manifest.checked else f"{told} No manifest.checksum lies beside it to compare it with."
