"""A file to write that is an object when it is closed, and nothing when it is not."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from s3conn_magic.errors import EndpointError, S3ConnError

if TYPE_CHECKING:
    from types import TracebackType

    from s3conn_magic.objects.writing import Upload
    from s3conn_magic.query.reading import Reading


class WritableFile(io.RawIOBase):
    """A file over an upload.

    The object is there, whole, after `close`; in a transaction of the filesystem, after `commit`. A `with` block that
    ends by an error, a write that fails, and a file that is let go without `close` leave nothing.

    Args:
        upload: the upload.
        path: name of the file, without `s3://`.
        reading: notes the errors.
        autocommit: False to wait for `commit` after `close`.
    """

    mode = "wb"

    def __init__(self, upload: Upload, path: str, reading: Reading, *, autocommit: bool = True) -> None:
        super().__init__()
        self._upload = upload
        self._reading = reading
        self._autocommit = autocommit
        self._failed = False
        self._done = False
        self._at = 0
        self.path = path

    def writable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Bytes that were written."""
        return self._at

    def write(self, data: Any, /) -> int:
        """Take bytes; parts are sent as they fill up.

        Raises:
            S3ConnError: the server refused; nothing will be there.
        """
        if self._failed:
            raise EndpointError("the object cannot be written any more", hint="An earlier write failed.")
        with memoryview(data).cast("B") as view:
            size = len(view)
            self._try(lambda: self._upload.write(bytes(view)))
        self._at += size
        return size

    def close(self) -> None:
        """Make the object, unless a write has failed, or a transaction is to decide.

        Raises:
            S3ConnError: the server refused; nothing is there.
        """
        if self.closed:
            return
        super().close()
        if self._failed:
            self.discard()
        elif self._autocommit:
            self.commit()

    def commit(self) -> None:
        """Make the object now.

        Raises:
            S3ConnError: the server refused; nothing is there.
        """
        if not self._done and not self._failed:
            self._try(self._upload.finish)
            self._done = True

    def discard(self) -> None:
        """Leave nothing.

        Raises:
            S3ConnError: the server refused to drop the parts that it holds.
        """
        self._failed = True
        if not self._done:
            self._done = True
            self._upload.abort()
        super().close()

    def _try(self, step: Any) -> None:
        try:
            step()
        except S3ConnError as error:
            self._failed = True
            self._reading.failed(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        # The base class would close it, and so make an object of what there is by chance.
        if not self.closed or not self._done:
            self.discard()
