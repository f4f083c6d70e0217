"""Every error that a user of this package can get.

    S3ConnError
    ├─ StatementError                 a statement is wrong; says where
    │  ├─ StatementSyntaxError        it cannot be parsed
    │  └─ BindError                   it parses, but its names, types or options do not fit
    ├─ ConnectionNotFoundError        no connection of that name in the session
    ├─ ConnectionExistsError          the name is taken
    ├─ ConnectionInUseError           tables or jobs depend on it (`usages`)
    ├─ JobNotFoundError               no job of that name in the session
    ├─ JobExistsError                 the name is taken by a job
    ├─ JobFailedError                 a job wrote or loaded nothing, and says why
    ├─ ReadOnlyConnectionError        the connection is READ_ONLY and the request could write
    ├─ CredentialsError               missing, wrong or expired credentials
    ├─ AccessDeniedError              the identity lacks a permission (`action`, `resource`)
    ├─ BucketNotFoundError            the bucket does not exist
    ├─ ObjectNotFoundError            the object does not exist (`is_folder`)
    ├─ PathError                      a path names no place in S3; also a ValueError
    ├─ RegionError                    the bucket's region cannot be found or does not match
    ├─ EndpointError                  the server cannot be reached or does not speak S3
    │  └─ ObjectExistsError           the object already exists; also a FileExistsError
    ├─ ThrottledError                 the server kept asking to slow down until all tries were used (`attempts`)
    ├─ EncryptionError                an object was not encrypted as requested
    ├─ IncompleteListingError         a listing failed part way (`rows_so_far`, `reason`)
    ├─ ClusterError                   a cluster cannot be reached, or its workers fail
    ├─ InventoryError                 a report of S3 Inventory is damaged or is not one
    ├─ QueryError                     the query engine refused a query, or failed in it
    ├─ StatementInterrupted           the user stopped a statement
    │  └─ ListingInterrupted          a listing was stopped (`rows_so_far`)
    └─ InternalError                  anything unforeseen, shown without values

Most are also Python's own errors, for libraries that expect those: FileNotFoundError for a missing bucket or object,
PermissionError for READ_ONLY, credentials and access denied, OSError for other failures of a server or the network.

An error prints as one short block: what happened, where, and what to do. Notebooks show no traceback in any `%xmode`,
because a traceback of a cell magic repeats the cell, and the cell may hold a secret.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple, Self


class Place(NamedTuple):
    """A place in a cell or file: 1-based line and column, and the line with its literals masked.

    `excerpt` is empty when the text cannot be read safely; `marker` has the carets under the place; `file` is empty for
    a cell.
    """

    line: int
    column: int
    excerpt: str = ""
    marker: str = ""
    file: str = ""

    def lines(self) -> list[str]:
        """Return the place as lines of text."""
        where = f"  {self.file and f'{self.file}, '}line {self.line}, column {self.column}"
        return [where, f"    {self.excerpt}", f"    {self.marker}"] if self.excerpt else [where]


class S3ConnError(Exception):
    """Base class of every error of this package.

    Attributes:
        message: what went wrong, in one sentence without secrets.
        hint: what to do about it; empty if the message says it, or if the user stopped the statement.
        place: where in the cell, or None if the error did not come from a cell.
        notes: further lines, such as one for each location that could not be read.
        subject: what the message was prefixed with: a bucket, a role, a connection.
        cause: the underlying failure: operation and error code of the server, or class of a library's exception.
        filters: the display filters that caused it, as URIs.
    """

    subject = ""
    cause = ""
    filters: tuple[str, ...] = ()

    def __init__(self, message: str, *, hint: str, place: Place | None = None, notes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place
        self.notes = notes

    def at(self, place: Place) -> Self:
        """Set the place of the failed statement, unless a more exact one is set."""
        self.place = self.place or place
        return self

    def of(self, subject: str) -> Self:
        """Prefix the message with its subject, unless it already has one."""
        if subject and not self.subject:
            self.subject = subject
            self.message = self.message if subject in self.message else f"{subject}: {self.message}"
            self.args = (self.message,)
        return self

    def before_hint(self, kept: str) -> Self:
        """Say what was kept, ahead of what to do about the error."""
        hint = self.hint[:1].lower() + self.hint[1:] if self.hint[1:2].islower() else self.hint
        self.hint = f"{kept}; {hint}" if hint else f"{kept}."
        return self

    def block(self) -> str:
        """Return the short text that replaces a traceback."""
        lines = [f"{type(self).__name__}: {self.message}"]
        lines += self.place.lines() if self.place else []
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  {self.hint}"] if self.hint else []
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.block().partition(": ")[2]

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.__dict__))

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows instead of a traceback."""
        return self.block().splitlines()


def _rebuild(kind: type[S3ConnError], state: dict[str, Any]) -> S3ConnError:
    error = kind.__new__(kind)
    Exception.__init__(error, state["message"])
    error.__dict__.update(state)
    return error


class StatementError(S3ConnError):
    """A statement is wrong. Nothing in its cell was run."""


class StatementSyntaxError(StatementError):
    """The text is not a statement of the language."""


class BindError(StatementError):
    """A name, type, option or combination of options does not fit."""


class ConnectionNotFoundError(S3ConnError):
    """No connection of that name exists in the session."""


class ConnectionExistsError(S3ConnError):
    """A connection of that name already exists."""


class ConnectionInUseError(S3ConnError):
    """Tables or jobs depend on the connection; `usages` names them."""

    def __init__(self, message: str, *, usages: tuple[str, ...], **details: Any) -> None:
        super().__init__(message, **details)
        self.usages = usages


class JobNotFoundError(S3ConnError):
    """No job of that name exists in the session."""


class JobExistsError(S3ConnError):
    """A job of that name already exists."""


class JobFailedError(S3ConnError):
    """A job wrote or loaded nothing."""


class ReadOnlyConnectionError(S3ConnError, PermissionError):
    """The connection is READ_ONLY and the request could write or delete; nothing was sent."""


class CredentialsError(S3ConnError, PermissionError):
    """Credentials are missing, wrong, expired, or could not be obtained."""


class AccessDeniedError(S3ConnError, PermissionError):
    """The identity lacks a permission: `action` is the IAM action, `resource` what it was needed for."""

    def __init__(self, message: str, *, action: str, resource: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.action = action
        self.resource = resource


class BucketNotFoundError(S3ConnError, FileNotFoundError):
    """The bucket does not exist at this endpoint."""


class ObjectNotFoundError(S3ConnError, FileNotFoundError):
    """The object does not exist; `is_folder` tells whether other objects lie below its key."""

    def __init__(self, message: str, *, is_folder: bool = False, **details: Any) -> None:
        super().__init__(message, **details)
        self.is_folder = is_folder


class PathError(S3ConnError, ValueError):
    """A path names no place in S3."""


class RegionError(S3ConnError, OSError):
    """The region of a bucket cannot be found, or the request was signed for another."""


class EndpointError(S3ConnError, OSError):
    """The server cannot be reached, or what answers does not speak S3."""


class ObjectExistsError(EndpointError, FileExistsError):
    """An object of this name already exists, or was written meanwhile; nothing was replaced."""


class ThrottledError(S3ConnError, OSError):
    """The server kept asking to slow down; `attempts` is the number of tries."""

    def __init__(self, message: str, *, attempts: int, **details: Any) -> None:
        super().__init__(message, **details)
        self.attempts = attempts


class EncryptionError(S3ConnError, OSError):
    """The server did not confirm that it encrypted an object as requested."""


class IncompleteListingError(S3ConnError, OSError):
    """A listing failed part way; `rows_so_far` has the rows received, `reason` says why the rest is missing."""

    def __init__(self, message: str, *, rows_so_far: Any, reason: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.rows_so_far = rows_so_far
        self.reason = reason


class ClusterError(S3ConnError):
    """The scheduler cannot be reached, or its workers fail."""


class InventoryError(S3ConnError):
    """A report of S3 Inventory is damaged, incomplete, or not one."""


class QueryError(S3ConnError):
    """The query engine refused a query, or failed in it; its own message, with the query's literals masked.

    `offset` is the position in the query that it points at, or None.
    """

    offset: int | None = None


class StatementInterrupted(S3ConnError):  # noqa: N818 - named by what happened, as KeyboardInterrupt is
    """The user stopped a statement."""

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message, hint=hint, **details)


class ListingInterrupted(StatementInterrupted):
    """The user stopped a listing; `rows_so_far` has the rows received."""

    def __init__(self, message: str, *, rows_so_far: Any, **details: Any) -> None:
        super().__init__(message, **details)
        self.rows_so_far = rows_so_far


_UNBLOCKED = (
    "Under moto's mock_aws(), disable_socket(allow_unix_socket=True) or --allow-unix-socket is enough; for a server, "
    "socket_allow_hosts(['127.0.0.1'], allow_unix_socket=True)."
)


class InternalError(S3ConnError):
    """Something unforeseen. Shows its class and the line of code, never its values."""

    @classmethod
    def from_exception(cls, error: BaseException) -> S3ConnError:
        """Return the error for an unforeseen exception, with its class and innermost line, and nothing of its message.

        What a library or the operating system raised is reported as their failure, not as a defect of this package.
        """
        trace, module, where = error.__traceback__, "", ""
        while trace is not None:
            name = str(trace.tb_frame.f_globals.get("__name__", "?"))
            if name.partition(".")[0] not in sys.stdlib_module_names:
                module, where = name.partition(".")[0], f"{name}:{trace.tb_lineno}"
            trace = trace.tb_next
        kind = type(error).__name__
        if isinstance(error, MemoryError):
            return S3ConnError(
                "there is not enough memory for this", hint="Read less at once: use LIMIT, or fewer files."
            )
        if isinstance(error, OSError) and error.errno is not None:
            text = os.strerror(error.errno)
            return S3ConnError(f"the operating system refused ({text})", hint="Fix that, and run the statement again.")
        if module not in {"", "?", __package__}:
            if module == "__main__":
                return S3ConnError(f"your own code failed with {kind} at {where}", hint="Check it there.")
            if module == "pytest_socket":
                return S3ConnError("pytest-socket blocks sockets in this process", hint=_UNBLOCKED)
            hint = f"Run the statement again; if it keeps failing, try another version of {module}."
            return S3ConnError(f"the library {module} failed with {kind} at {where}", hint=hint)
        return cls(
            f"unexpected {kind} at {where or 'an unknown place'}",
            hint="This is a defect of s3conn_magic: please report these two lines.",
        )


def without_frames(error: BaseException) -> S3ConnError:
    """Return the package's error for any exception that ended a statement. Raise it outside the `except` block.

    The traceback, cause and context are removed: their frames hold the statement's text, which debuggers show. Before
    raising it, the caller must delete its own variables that do.
    """
    if isinstance(error, S3ConnError):
        failure = error
    # Called in the main thread, DuckDB turns a KeyboardInterrupt into this RuntimeError.
    elif isinstance(error, KeyboardInterrupt) or (type(error) is RuntimeError and str(error) == "Query interrupted"):
        failure = StatementInterrupted("the statement was interrupted")
    else:
        failure = InternalError.from_exception(error)
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)


def rest_of_cell(index: int, count: int) -> str:
    """Return what became of the statements before and after the one that failed (`index` counts from 1)."""
    before = "" if index == 1 else "the one before it is done" if index == 2 else "those before it are done"  # noqa: PLR2004
    after = (
        "" if index == count else "the one after it did not run" if index + 1 == count else "those after it did not run"
    )
    return ", ".join(part for part in (before, after) if part)


EXTRAS = {
    "aside": ("sidecar",),
    "avro": ("cramjam", "fastavro"),
    "dask": ("distributed",),
    "excel": ("openpyxl",),
    "grid": ("itables",),
    "keyring": ("keyring",),
    "lab": ("jupyterlab", "matplotlib"),
    "obstore": ("obstore",),
    "sandbox": ("moto[s3,server,sts,iam]",),
    "tables": ("pyiceberg[pyiceberg-core]",),
}
"""Extra → its packages as in pyproject.toml without versions, for hints of statements and commands that need them."""


def pip_install(extra: str, *, here: bool = True) -> str:
    """Return the command that installs the packages of an extra, or a single package.

    Args:
        extra: the name of the extra or package.
        here: whether to install for this process: in a notebook the `%pip` magic, as `pip` may be another Python's.
    """
    import shlex

    command = shlex.join(["pip", "install", *EXTRAS.get(extra, (extra,))])
    return f"%{command}" if here and _in_ipython() else command


def _in_ipython() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
