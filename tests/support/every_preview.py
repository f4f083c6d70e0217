"""`python tests/support/every_preview.py FIRST COUNT [NAME …]`: damaged files in every form of a preview, a line each.

A line is the file's name, its number, and what came of it: the kind of the preview, or the error. The process runs
apart from the tests, so that a library that ends it ends no test.
"""

from __future__ import annotations

import sys
import time

from damaged import FORMATS, damaged, whole
from served import serving

from s3conn_magic.errors import InternalError, S3ConnError
from s3conn_magic.explorer.basic import _about
from s3conn_magic.explorer.details import preview_values
from s3conn_magic.locations import Location
from s3conn_magic.results.previews import ObjectPreview

ROWS = 5


class Objects:
    """What the explorer asks, with an answer that is there."""

    def __init__(self, found):
        self.found = found

    def describe(self, *_):
        return self.found.description

    def preview(self, *_):
        return self.found


def shown(place, name: str) -> str:
    """What a file is shown as, in every form."""
    try:
        found = place.preview(name, rows=ROWS)
    except S3ConnError as error:
        return f"{'DEFECT' if isinstance(error, InternalError) else 'error'}: {error.message}"
    return shown_in_all_forms(ObjectPreview(place.connection, Location("bucket", name), found, ROWS))


def shown_in_all_forms(value: ObjectPreview) -> str:
    """What a preview is, once it has been shown in a notebook, in a terminal, in the explorer and in the plain one."""
    found = value.preview
    forms = [*value._repr_mimebundle_().values(), str(preview_values(found))]
    forms.append(_about(Objects(found), value._location))
    assert all(forms)
    return f"{found.kind} {found.format}: {'; '.join(found.notes)}"


def main() -> None:
    """Say what the files of the arguments are shown as."""
    first, count = int(sys.argv[1]), int(sys.argv[2])
    for name in sys.argv[3:] or FORMATS:
        with serving(whole(name)) as place:
            for number in range(first, first + count):
                place.served.body = damaged(name, number)
                begun = time.monotonic()
                said = shown(place, name) if place.served.body else "empty"
                print(name, number, f"{time.monotonic() - begun:.2f}", said.replace("\n", " "), sep="\t", flush=True)


if __name__ == "__main__":
    main()
