"""Pages of a bucket turned into columns.

`Listing` lists everything below a prefix, `fetch_page` one page, `Glob` filters. They load at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3conn_magic.listing.glob import Glob
    from s3conn_magic.listing.listing import Listing, fetch_page
    from s3conn_magic.listing.request import Progress
    from s3conn_magic.listing.table import OBJECTS, VERSIONS, Page

__all__ = ["OBJECTS", "VERSIONS", "Glob", "Listing", "Page", "Progress", "fetch_page"]

_HOMES = {
    "Glob": "glob",
    "Listing": "listing",
    "OBJECTS": "table",
    "Page": "table",
    "Progress": "request",
    "VERSIONS": "table",
    "fetch_page": "listing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
