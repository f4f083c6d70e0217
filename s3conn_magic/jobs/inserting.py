"""Run INSERT INTO S3: a query, its file, and the object that it becomes, completely or not at all."""

from __future__ import annotations

import hashlib
import io
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fsspec import AbstractFileSystem

from s3conn_magic.connections.signing import etag_of
from s3conn_magic.errors import (
    AccessDeniedError,
    EndpointError,
    JobFailedError,
    ObjectNotFoundError,
    QueryError,
    S3ConnError,
)
from s3conn_magic.jobs import writing
from s3conn_magic.jobs.filling import NOTHING_LEFT, Window, has_window, marks_of, times, watermarks_text, window_of
from s3conn_magic.language.job_values import Content
from s3conn_magic.listing import Listing
from s3conn_magic.listing.request import Progress
from s3conn_magic.locations import Location, visible
from s3conn_magic.objects.deleting import ExactDeletion
from s3conn_magic.objects.formats import COMPRESSIONS, of_type
from s3conn_magic.objects.ranged import PinnedObject
from s3conn_magic.objects.requests import ask, head_answer
from s3conn_magic.objects.uploads import PART, Upload
from s3conn_magic.query.managing import ManagedTables
from s3conn_magic.query.sql import literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.jobs.job import Job, Outcome, Run
    from s3conn_magic.lakes.snapshots import Watermarks
    from s3conn_magic.objects.scope import QueryScope
    from s3conn_magic.query.engine import QueryEngine
    from s3conn_magic.query.tables import QueryResult

OWNER = "s3conn-job"
"""Metadata of every object that a job writes: the name of the job."""
_READ = "s3conn-read"
"""Metadata: commits up to which the job has read tables in S3."""
_TIME = "%Y%m%dT%H%M%S%fZ"
_TIME_FORM = r"\d{8}T\d{12}Z"


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """Format of the output.

    Attributes:
        content: type and settings.
        compression: NONE, GZIP, ZSTD or SNAPPY.
    """

    content: Content
    compression: str

    @classmethod
    def of(cls, job: Job) -> OutputFormat:
        """Return the format of a job."""
        content = job.option("FILE_FORMAT") or Content("PARQUET", {})
        said = job.option("COMPRESSION", "AUTO")
        usual = "SNAPPY" if content.type == "PARQUET" else "NONE"
        return cls(content, usual if said == "AUTO" else said)

    @property
    def suffix(self) -> str:
        """End of the key."""
        format_ = of_type(self.content.type)
        packed = COMPRESSIONS.get(self.compression.lower(), ("",)) if format_.type != "PARQUET" else ("",)
        return format_.endings[0] + packed[0]

    @property
    def media(self) -> str:
        """Content type of the object."""
        return of_type(self.content.type).media[0]

    def sql(self, *, as_lines: bool) -> str:
        """Return the options of DuckDB's COPY TO; `as_lines` if each row is a finished line."""
        compression = {"NONE": "uncompressed" if self.content.type == "PARQUET" else "none"}
        options = [f"COMPRESSION {compression.get(self.compression, self.compression.lower())}", "USE_TMP_FILE false"]
        if as_lines:
            return f"(FORMAT csv, HEADER false, DELIMITER '', QUOTE '', ESCAPE '', {', '.join(options)})"
        if self.content.type in {"PARQUET", "JSON"}:
            return f"(FORMAT {self.content.type.lower()}, {', '.join(options)})"
        delimiter = "\t" if self.content.type == "TSV" else self.content.get("DELIMITER", ",")
        options.append(f"DELIMITER {literal(delimiter)}")
        options.append(f"HEADER {str(self.content.get('HEADER', True)).lower()}")
        return f"(FORMAT csv, {', '.join(options)})"


@dataclass(frozen=True, slots=True)
class Names:
    """Keys of the objects that a job writes, which a later run recognizes, in another kernel too."""

    job: Job
    suffix: str

    @property
    def _stem(self) -> str:
        return quote(self.job.name, safe=" ()[]!,;=+@&")

    def of(self, began: datetime, window: Window | None) -> Location:
        """Return the object of a run.

        Args:
            began: start of the run, which DATE_PATTERN formats, moved by OUTPUT_OFFSET.
            window: of the run; None for a query without one.
        """
        where, pattern = self.job.location, self.job.option("DATE_PATTERN")
        offset: timedelta = self.job.option("OUTPUT_OFFSET", timedelta())
        date = f"{pattern.of(began + offset).strip('/')}/" if pattern else ""
        span = f"-{window.start.strftime(_TIME)}-{window.end.strftime(_TIME)}" if window else ""
        folder = where.key if where.key.endswith("/") or not where.key else f"{where.key}/"
        return Location(where.bucket, f"{folder}{date}{self._stem}{span}{self.suffix}")

    def is_own(self, key: str) -> bool:
        """Return whether the job could have written a key."""
        return self._pattern().search(key) is not None

    def _pattern(self) -> re.Pattern[str]:
        date = self.job.option("DATE_PATTERN")
        folder = rf"(?:{date.expression}/)?" if date else ""
        span = rf"(?:-{_TIME_FORM}-(?P<end>{_TIME_FORM}))?"
        return re.compile(rf"^{re.escape(self.job.location.key)}/?{folder}{re.escape(self._stem)}{span}\.[a-z.]+$")

    def last(self) -> tuple[datetime, Location] | None:
        """Return the end of the last complete run and its object, by the existing objects, or None."""
        where, ends = self.job.location, list[tuple[datetime, str]]()
        with Listing(self.job.connection.target(where.bucket), where.key) as listing:
            for page in listing.pages(keep=False):
                for key in page.objects.column("key").to_pylist():
                    match = self._pattern().search(key)
                    if match and match["end"]:
                        ends.append((datetime.strptime(match["end"], _TIME).replace(tzinfo=UTC), key))
        end, key = max(ends, default=(None, ""))
        return (end, Location(where.bucket, key)) if end else None


def abort_leftovers(names: Names) -> int:
    """Abort uploads that a killed kernel left, and return how many.

    Raises:
        S3ConnError: they cannot be listed or aborted.
    """
    job, where = names.job, names.job.location
    aborted, after = 0, dict[str, str]()
    while True:
        answer = ask(job.connection, where, "list_multipart_uploads", Bucket=where.bucket, Prefix=where.key, **after)
        for upload in answer.get("Uploads", ()):
            if names.is_own(upload["Key"]):
                which = {"Bucket": where.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                ask(job.connection, where, "abort_multipart_upload", **which)
                aborted += 1
        if not answer.get("IsTruncated"):
            return aborted
        after = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}


def own_etag(connection: Connection, location: Location, job: str) -> str | None:
    """Return the ETag of the existing object of a job, or None.

    Raises:
        JobFailedError: the object was not written by the job, and must not be replaced.
    """
    try:
        answer = head_answer(connection, location, None)
    except (ObjectNotFoundError, AccessDeniedError):  # the upload cannot replace an object that is not visible
        return None
    if _owner(answer) == quote(job):
        return etag_of(answer)
    hint = "Nothing was replaced. Choose another LOCATION, or another name for the job."
    raise JobFailedError(f"an object that the job did not write is at {visible(location.uri)}", hint=hint)


def _owner(answer: Mapping[str, Any]) -> str:
    return _metadata_of(answer, OWNER)


def _metadata_of(answer: Mapping[str, Any], name: str) -> str:
    metadata: Mapping[str, str] = answer.get("Metadata", {})
    return {name.lower(): value for name, value in metadata.items()}.get(name, "")


_UNMARKED = (
    "The server keeps no metadata, so a job cannot recognize its own objects: a later run will not replace this"
    " one, and will say so."
)


class Sink(io.RawIOBase):
    """The file that DuckDB writes. No object exists before `finish`, even after `close`.

    Attributes:
        failed: is called with an error, of which DuckDB would keep only the message.
        size: bytes written.
    """

    mode = "wb"

    def __init__(self, upload: Upload, wrote: Callable[[int], None]) -> None:
        super().__init__()
        self._upload, self._written_size = upload, wrote
        self._digest = hashlib.sha256()
        self._etag = ""
        self.failed: Callable[[S3ConnError], None] = lambda _: None
        self.size = 0

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self.size

    def write(self, data: Any, /) -> int:
        """Buffer bytes, and upload each full part.

        Raises:
            S3ConnError: the server refused; there will be no object.
        """
        with memoryview(data).cast("B") as view:
            piece = bytes(view)
        try:
            self._upload.write(piece)
        except S3ConnError as error:
            self.failed(error)
            raise
        self._digest.update(piece)
        self.size += len(piece)
        self._written_size(self.size)
        return len(piece)

    def close(self) -> None:
        """Do nothing: DuckDB also closes a file that it could not finish."""

    def finish(self) -> str:
        """Create the object; return a note for the user, or an empty text."""
        self._upload.finish()
        if not self._upload.lacking:
            return ""
        return f"The server refuses conditions of writes ({self._upload.lacking}): it was checked beforehand instead."

    def abort(self) -> None:
        """Abort the upload."""
        self._upload.abort()

    def remove(self, connection: Connection, location: Location) -> str:
        """Delete the object unless another has replaced it; return a sentence about the result.

        Raises:
            S3ConnError: the server refused.
        """
        deletion = ExactDeletion(connection, location.bucket)
        removed = deletion.delete(location.key, self._etag, self._upload.version)
        if removed == "changed":
            return "What is there now was written by someone else, and was kept."
        return "It was deleted." if removed == "deleted" else "It is gone."

    def verify(self, connection: Connection, location: Location, job: str) -> str:
        """Read the object back and compare every byte; return a note for the user, or an empty text.

        Raises:
            EndpointError: it differs.
        """
        answer = head_answer(connection, location, None)
        owner, size = _owner(answer), int(answer["ContentLength"])
        # Not the ETag of the upload's response: rclone returns that of the parts.
        etag = etag_of(answer)
        if owner == quote(job):
            self._etag = etag
        same = owner in {quote(job), ""} and size == self.size and self._has_content(connection, location, etag)
        if same:
            return "" if owner else _UNMARKED
        if owner != quote(job):
            message, hint = (
                "was replaced by someone else since it was written",
                "What they wrote stays; run the job again.",
            )
        else:
            message, hint = "differs in size or content from what was written", "Run the job again."
        raise EndpointError(f"{visible(location.uri)} {message}", hint=hint)

    def _has_content(self, connection: Connection, location: Location, etag: str) -> bool:
        pinned, digest = PinnedObject(connection, location, self.size, etag), hashlib.sha256()
        for start in range(0, self.size, PART):
            digest.update(pinned.get(start, min(start + PART, self.size), tries=4))
        return digest.digest() == self._digest.digest()


class OutputFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Filesystem by which DuckDB's COPY TO writes to a sink: `s3conn-job://out`, for one run at a time."""

    protocol = "s3conn-job"
    root_marker = ""
    cachable = False
    path = "s3conn-job://out"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sink: Sink | None = None

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        del options
        if self.sink is None or mode != "wb":
            raise FileNotFoundError(path)
        return self.sink

    def isfile(self, path: str) -> bool:
        """Return False: no file exists before."""
        del path
        return False

    isdir = isfile

    def exists(self, path: str, **options: Any) -> bool:
        """Return False, too."""
        del path, options
        return False


def run_insert(run: Run, engine: QueryEngine, outcome: Outcome) -> None:
    """Write the result of a job's query.

    Raises:
        ReadOnlyConnectionError: nothing was sent.
        QueryError: the query was refused, and nothing was sent, or it failed, and nothing was written.
        JobFailedError: an object of another origin is in the way, or the format cannot represent a value.
        EndpointError: the object could not be read back unchanged; it was deleted.
        StatementInterrupted: the user stopped it; nothing was written.
    """
    run.job.connection.refuse_if_read_only("INSERT INTO S3")
    engine.check(run.job.plan.text, local=run.local)
    _Inserting(run, engine, outcome).run()


class _Inserting:
    def __init__(self, run: Run, engine: QueryEngine, outcome: Outcome) -> None:
        self._run, self._engine, self._outcome = run, engine, outcome
        self._job, self._connection = run.job, run.job.connection
        self._format = OutputFormat.of(run.job)
        self._names = Names(run.job, self._format.suffix)
        self._query = run.job.plan.text
        self._metadata = {OWNER: quote(run.job.name)}
        self._read: Mapping[str, datetime] = {}
        self._began = time.monotonic()

    def run(self) -> None:
        """Clean up after earlier runs, write, and verify."""
        self._clear_up()
        self._engine.alone(lambda: ManagedTables(self._engine).add_system_columns(self._query))
        window = self._window()
        if window and window.empty:
            self._outcome.notes.append(NOTHING_LEFT)
            return
        where = self._names.of(self._run.began, window)
        etag = own_etag(self._connection, where, self._job.name)
        sink = self._sink(where, replaces=etag)
        try:
            rows = self._write(sink, window)
            if window and not rows:
                sink.abort()
            else:
                self._finish(sink, where, rows)
        except BaseException:
            with suppress(S3ConnError):
                sink.abort()
            raise
        self._outcome.replaced += etag is not None
        self._outcome.window, self._outcome.read = window[:2] if window else None, self._read

    def _clear_up(self) -> None:
        try:
            aborted = abort_leftovers(self._names)
        except AccessDeniedError as error:
            self._outcome.notes.append(f"Whether a killed run left parts of an upload is not known: {error.action}.")
        except S3ConnError:  # a server that does not list uploads does not show them either
            return
        else:
            if aborted:
                self._outcome.notes.append(f"{aborted:,} unfinished uploads of killed runs were aborted.")

    def _window(self) -> Window | None:
        """Return the window of the run, or None for a query without one."""
        if not has_window(self._query):
            return None
        done, self._read = self._job.done_until, self._job.read
        last = self._names.last() if self._job.state != "ok" else None
        if last and (done is None or last[0] > done):  # run by another kernel, or stopped
            done, self._read = last[0], marks_of(_metadata_of(head_answer(self._connection, last[1], None), _READ))
        return window_of(self._job, done, self._run.began)

    def _sink(self, where: Location, *, replaces: str | None) -> Sink:
        upload = Upload(
            self._connection,
            where,
            None,
            content_type=self._format.media,
            replaces=replaces,
            metadata=self._metadata,
        )
        return Sink(upload, self._written_size)

    def _written_size(self, size: int) -> None:
        self._outcome.bytes = size

    def _report(self, scope: QueryScope) -> None:
        """Report progress: bytes written and requests for reading."""
        if self._run.report:
            elapsed = time.monotonic() - self._began
            self._run.report(Progress(0, self._outcome.bytes, scope.requests, elapsed, unit=""))

    def _write(self, sink: Sink, window: Window | None) -> int:
        """Have DuckDB write the result; return the number of rows.

        Raises:
            JobFailedError: the format cannot represent a column or a value; nothing was written.
        """
        files = OutputFileSystem()
        files.sink = sink

        def work() -> tuple[int, QueryResult]:
            sink.failed = self._engine.filesystem.scope.failed
            with _registered(self._engine, files), times(self._engine, window, self._read) as marks:
                return self._copied(files, marks)

        try:
            with self._engine.watched(self._report):
                rows, answer = self._engine.alone(work)
        except QueryError as error:
            failure = writing.refusal(error)
            if failure is None:
                raise
        else:
            self._outcome.connections.update(answer.connections)
            self._outcome.notes += answer.notes
            return rows
        raise failure

    def _copied(self, files: OutputFileSystem, marks: Watermarks) -> tuple[int, QueryResult]:
        """Execute DuckDB's COPY, with the columns in forms that are read back unchanged."""
        columns: list[tuple[list[str], list[Any]]] = []
        rows: list[int] = []
        engine, query, local = self._engine, self._query, self._run.local
        engine.run(query, "", lambda: columns.append(engine.columns(query, local=local)))
        if marks.pinned:
            self._read, self._metadata[_READ] = marks.after, watermarks_text(marks.after)
        select = writing.select(*columns[0], self._format.content.type)
        options = self._format.sql(as_lines=select.as_lines)
        before, after = f"COPY ({select.opening}", f"{select.closing}\n) TO '{files.path}' {options}"
        answer = engine.run(query, before, lambda: rows.append(engine.count(query, before, after, local=local)))
        return rows[0], answer

    def _finish(self, sink: Sink, where: Location, rows: int) -> None:
        if note := sink.finish():
            self._outcome.notes.append(note)
        self._outcome.objects, self._outcome.rows, self._outcome.written = 1, rows, where.uri
        try:
            if note := sink.verify(self._connection, where, self._job.name):
                self._outcome.notes.append(note)
        except AccessDeniedError as error:
            self._outcome.notes.append(f"It could not be read back to compare it: {error.action} is missing.")
        except EndpointError as error:
            self._remove(sink, where, error)
            self._outcome.objects, self._outcome.rows, self._outcome.written = 0, 0, ""
            raise

    def _remove(self, sink: Sink, where: Location, error: EndpointError) -> None:
        try:
            error.notes += (sink.remove(self._connection, where),)
        except S3ConnError as failure:
            error.notes += (f"It could not be deleted: {failure.message}.",)


@contextmanager
def _registered(engine: QueryEngine, files: OutputFileSystem) -> Iterator[None]:
    # After an interrupt it may still be registered: DuckDB refuses to unregister meanwhile.
    if files.protocol in engine.database.list_filesystems():
        engine.database.unregister_filesystem(files.protocol)
    engine.database.register_filesystem(files)
    try:
        yield
    finally:
        engine.database.unregister_filesystem(files.protocol)
