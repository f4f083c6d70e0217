"""An answer as it was read, before anything of it is believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

WANTED = frozenset({"Key", "LastModified", "ETag", "Size", "StorageClass", "VersionId", "IsLatest"})
"""The fields of a row that become columns."""


class UnreadableError(ValueError):
    """The body is not the list of keys that was asked for; the message says why, without quoting it."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The rows as texts, in the order of the answer: entities resolved, percent-encoding kept.

    `texts` has one string column per field name of the XML (`Key`, `Size`, …), null where a row lacks the field.
    `markers` is true at delete markers; None in a listing of objects. `begins` is where in the bytes each row begins,
    where the rows were read from the bytes as they came.
    """

    texts: Mapping[str, pa.StringArray]
    rows: int
    markers: pa.BooleanArray | None = None
    begins: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says: the fields of its envelope by name, its common prefixes, its rows."""

    columns: Columns
    fields: Mapping[str, str] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
