"""One object: its description, ranged reads, uploads, deletion, and files over it.

Large objects are never read completely without need; see `preview` for the bounds.
"""

from __future__ import annotations

import io


class SeekableFile(io.RawIOBase):
    """A file to read, of known size; subclasses read from `at` on."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.at = size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position; nothing is read.

        Raises:
            io.UnsupportedOperation: it is before the beginning, or `whence` is none that files have.
        """
        self.at = position_after(self.at, offset, whence, self.size)
        return self.at


def position_after(at: int, offset: int, whence: int, size: int) -> int:
    """Return the position after a seek; raise `io.UnsupportedOperation` as `SeekableFile.seek` does."""
    base = {io.SEEK_SET: 0, io.SEEK_CUR: at, io.SEEK_END: size}.get(whence)
    if base is None or base + offset < 0:
        # Of both classes that files raise: zipfile expects an OSError, others a ValueError.
        raise io.UnsupportedOperation(f"a position of {offset} (whence {whence}) is not in a file")
    return base + offset
