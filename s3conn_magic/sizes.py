"""Sizes in text: always decimal, as S3's bills and a disk's label are; 1 kB is 1,000 bytes."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_STEP = 1000
# What would be written as 1000.
_FULL = 999.5


def size_text(size: float) -> str:
    """Bytes in the largest fitting unit, by three digits: `0 B`, `12.3 kB`, `4.56 GB`."""
    value = float(size)
    for unit in _UNITS:
        if value < _FULL or unit == _UNITS[-1]:
            break
        value /= _STEP
    return f"{value:.0f} {unit}" if unit == "B" or value >= _FULL else f"{value:.3g} {unit}"
