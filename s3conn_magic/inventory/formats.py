"""Data files of a report → batches in the columns of a listing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from s3conn_magic.inventory.schema import listing_names
from s3conn_magic.listing import OBJECTS, VERSIONS
from s3conn_magic.listing.decode import UndecodableError, checked_utf8, percent_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_BLOCK = 4 * 1024 * 1024
_ROWS = 131_072
_GZIP = b"\x1f\x8b"


class UnreadableFileError(ValueError):
    """A data file is not what its manifest says; the message says why and quotes nothing of it."""


def listing_batches(path: Path, file_format: str, names: Sequence[str], *, versions: bool) -> Iterator[pa.Table]:
    """The rows of a data file as they stand in it, in the columns of a listing; what the report lacks is null.

    Args:
        path: the file.
        file_format: CSV, ORC or Parquet.
        names: its fields, in order.
        versions: whether the version columns are part of it.

    Raises:
        UnreadableFileError: the file is damaged, or lacks fields that the manifest names.
    """
    schema = VERSIONS if versions else OBJECTS
    wanted = {ours: theirs for ours, theirs in listing_names(names).items() if ours in schema.names}
    try:
        for batch in _READERS[file_format](path, names, wanted):
            yield _in_columns(batch, schema, wanted, encoded=file_format == "CSV")
    except UnreadableFileError:
        raise
    except UndecodableError as error:
        reason = str(error)
    except (pa.ArrowException, ValueError, OSError) as error:
        reason = f"it cannot be read as {file_format} with the fields of the manifest ({type(error).__name__})"
    else:
        return
    raise UnreadableFileError(reason)


def _csv(path: Path, names: Sequence[str], wanted: dict[str, str]) -> Iterator[Any]:
    from pyarrow import csv

    with pa.OSFile(str(path)) as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        # A report of nothing has a data file of nothing, which the reader takes for an error.
        stream = pa.CompressedInputStream(file, "gzip") if packed else file
        if not stream.read(1):
            return
    with pa.OSFile(str(path)) as file:
        yield from csv.open_csv(
            pa.CompressedInputStream(file, "gzip") if packed else file,
            read_options=csv.ReadOptions(column_names=list(names), block_size=_BLOCK),
            convert_options=csv.ConvertOptions(
                include_columns=list(wanted.values()),
                column_types={theirs: _csv_type(ours) for ours, theirs in wanted.items()},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )


def _csv_type(name: str) -> pa.DataType:
    kind = VERSIONS.field(name).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _orc(path: Path, names: Sequence[str], wanted: dict[str, str]) -> Iterator[Any]:
    from pyarrow import orc

    del names
    file = orc.ORCFile(str(path))
    _check_fields(file.schema.names, wanted)
    for stripe in range(file.nstripes):
        yield file.read_stripe(stripe, columns=list(wanted.values()))


def _parquet(path: Path, names: Sequence[str], wanted: dict[str, str]) -> Iterator[Any]:
    from pyarrow import parquet

    del names
    with parquet.ParquetFile(str(path)) as file:
        _check_fields(file.schema_arrow.names, wanted)
        yield from file.iter_batches(_ROWS, columns=list(wanted.values()))


def _check_fields(there: Sequence[str], wanted: dict[str, str]) -> None:
    if missing := sorted(set(wanted.values()) - set(there)):
        raise UnreadableFileError(f"it has no field {missing[0]}, which the manifest names")


_READERS = {"CSV": _csv, "ORC": _orc, "Parquet": _parquet}


def _in_columns(batch: Any, schema: pa.Schema, wanted: dict[str, str], *, encoded: bool) -> pa.Table:
    found = {ours: batch.column(theirs) for ours, theirs in wanted.items()}
    if found["key"].null_count:
        raise UnreadableFileError("a row has no key")
    columns = [_column(found.get(one.name), one, len(batch), encoded=encoded) for one in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(values: Any, wanted: pa.Field, rows: int, *, encoded: bool) -> Any:
    if values is None:
        return pa.nulls(rows, wanted.type)
    if wanted.name == "key":
        return _keys(values, encoded=encoded)
    if wanted.name == "etag":
        import pyarrow.compute as pc

        return pc.utf8_trim(values.cast(pa.string()), '"')
    if pa.types.is_dictionary(wanted.type):
        return values.cast(pa.string()).dictionary_encode()
    # Times without a zone are UTC.
    return values.cast(wanted.type, safe=not pa.types.is_timestamp(wanted.type))


def _keys(values: Any, *, encoded: bool) -> Any:
    """Exact keys. Reports in CSV percent-encode them as forms do, a space as `+`."""
    keys = pa.concat_arrays([values.cast(pa.string())])
    return checked_utf8(percent_column(keys, plus=True) if encoded else keys)
