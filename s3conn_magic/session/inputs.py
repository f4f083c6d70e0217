"""What a session reads from and writes to its surroundings: variables, prompts, keyring, files of connections.

Also what was meant by a path, a bucket or a pattern that is not there.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import re
import shlex
import stat
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from s3conn_magic.errors import (
    BindError,
    BucketNotFoundError,
    ConnectionNotFoundError,
    ObjectNotFoundError,
    S3ConnError,
    pip_install,
)
from s3conn_magic.language import plans, statements
from s3conn_magic.language.binder import bind
from s3conn_magic.language.cautions import OBJECTS
from s3conn_magic.language.grammar import parse
from s3conn_magic.language.help import saved_statement
from s3conn_magic.language.options import BoundOptions, BoundValue
from s3conn_magic.language.plans import SANDBOX_SOURCE, is_sandbox
from s3conn_magic.language.rules import name_text
from s3conn_magic.language.session_settings import bytes_of
from s3conn_magic.language.source import BLANK, Source, masked
from s3conn_magic.language.words import (
    globs_near,
    listed,
    literal,
    looks_below,
    nearest,
    pattern_meant,
    query_note,
)
from s3conn_magic.locations import WILD, Location, visible
from s3conn_magic.results.cards import Message
from s3conn_magic.secrets import keyring_password

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sized

    from s3conn_magic.connections.connection import Connection
    from s3conn_magic.connections.registry import Registry
    from s3conn_magic.language.evaluation import Inputs
    from s3conn_magic.language.plans import Catalog
    from s3conn_magic.listing.request import Progress
    from s3conn_magic.secrets import Secret


class KernelInputs:
    """Values from the notebook or script that runs the statement, its user, and the keyring."""

    def __init__(self, namespace: Callable[[], Mapping[str, Any]]) -> None:
        self._namespace = namespace

    def variable(self, name: str) -> Any:
        """Return the value of a Python variable.

        Raises:
            LookupError: it is not defined.
        """
        namespace = self._namespace()
        if name not in namespace:
            raise LookupError(f"the Python variable {name} is not defined")
        return namespace[name]

    def prompt(self, text: str) -> str:
        """Ask the user for a text, without echo.

        Raises:
            LookupError: nobody can be asked, such as in a scheduled notebook.
        """
        try:
            return getpass.getpass(f"{text or 'Secret'}: ")
        except Exception as error:  # noqa: BLE001 - front ends refuse with exceptions of their own
            reason = f"nobody can be asked here ({type(error).__name__}); ENV or KEYRING works without a person"
        raise LookupError(reason)

    def keyring(self, service: str, user: str) -> str:
        """Return a password of the keyring.

        Raises:
            LookupError: the keyring package or the password is missing.
        """
        return keyring_password(service, user)


class AdminKeys(Protocol):
    """An access key pair."""

    @property
    def access_key_id(self) -> str:
        """The access key ID."""

    @property
    def secret_access_key(self) -> Secret:
        """The secret access key."""


class Server(Protocol):
    """The embedded S3 server, as the session needs it."""

    @property
    def endpoint(self) -> str:
        """Its URL."""

    @property
    def region(self) -> str:
        """Its region."""

    @property
    def admin(self) -> AdminKeys:
        """Keys without restrictions."""

    def stop(self) -> None:
        """Stop the server."""


class ProgressView(Protocol):
    """Shows the progress of a statement while it runs."""

    def __enter__(self) -> Callable[[Progress], None]:
        """Start, and return the function to call with the progress."""

    def __exit__(self, *_: object) -> bool | None:
        """End."""


def sandbox_options(server: Server) -> BoundOptions:
    """Return the options of the connection to the embedded S3."""
    values = {
        "AWS_ACCESS_KEY_ID": server.admin.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.admin.secret_access_key,
        "ENDPOINT": server.endpoint,
        "REGION": server.region,
        "COMMENT": "the embedded S3 with sample data",
    }
    return {name: BoundValue(value, SANDBOX_SOURCE) for name, value in values.items()}


_NAME = "connections.usql"
_MOST_BYTES = 10_000_000
_ROOT = 0
# A file that decides where requests go must not be writable by others.
_DISTRUSTED = "It is only loaded if you own it and nobody else may write it:"


def shrink_cache(size: int | str) -> None:
    """Shrink the block cache to a size."""
    from s3conn_magic.objects.scope import BLOCKS

    BLOCKS.shrink(bytes_of(size))


def check_installed(package: str, wanted: bool) -> None:
    """Refuse a setting whose package is not installed."""
    if wanted and importlib.util.find_spec(package) is None:
        raise BindError(f"this setting needs the package {package}", hint=pip_install(package))


def user_file() -> Path:
    """Return the user's connection file, below `$XDG_CONFIG_HOME` (by default `~/.config`)."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(folder if os.path.isabs(folder) else Path.home() / ".config", "s3conn-magic", _NAME)  # noqa: PTH117 - '' is none


def project_file() -> Path:
    """Return the project's connection file: in the working directory, never above it."""
    return Path(_NAME)


def read_script(path: str | Path) -> Source:
    """Return the text of a file.

    Raises:
        S3ConnError: the file does not exist, cannot be read, or is not UTF-8.
    """
    return _read(Path(path).expanduser())[0]


def read_stream(stream: BinaryIO, name: str) -> Source:
    """Return the text of a stream such as standard input, whose secrets are trusted.

    Raises:
        S3ConnError: it is too long or not UTF-8.
    """
    return Source(_text(stream.read(_MOST_BYTES + 1), name), name)


def connection_plans(path: Path, catalog: Catalog, inputs: Inputs) -> list[plans.Plan]:
    """Return the plans that create a file's connections: unprobed, and only for names not yet taken.

    Raises:
        S3ConnError: the file cannot be read, is not trusted, or has an error or another kind of statement.
    """
    source, status = _read(path)
    if distrust := _distrust(status):
        hint = f"{_DISTRUSTED} `chmod go-w {shlex.quote(source.file)}`"
        raise S3ConnError(f"the file {source.file} is not loaded: {distrust}", hint=hint)
    statements = [_loadable(statement, source) for statement in parse(source)]
    bound = bind(statements, source, catalog, inputs)
    return [replace(plan, validate=False) if isinstance(plan, plans.Create) else plan for plan in bound]


def _loadable(statement: statements.Statement, source: Source) -> statements.Statement:
    if not statement.loadable:
        token = source.token_at(statement.span.start)
        raise BindError(
            "a file of connections may only have CREATE S3 CONNECTION and USE CONNECTION",
            hint="%upsql --file runs a file of any statements.",
            place=source.place(token.span if token else statement.span),
        )
    return (
        replace(statement, if_not_exists=True)
        if isinstance(statement, statements.CreateConnection) and not statement.or_replace
        else statement
    )


def _read(path: Path) -> tuple[Source, os.stat_result]:
    shown = visible(str(path))
    try:
        content, status = _content(path)
    except FileNotFoundError:
        reason = f"there is no file {shown}"
    except (OSError, ValueError) as error:
        reason = f"the file {shown} cannot be read ({type(error).__name__})"
    else:
        if content is None:
            raise S3ConnError(f"{shown} is not a file", hint="Name a file of statements, such as connections.sql.")
        return Source(_text(content, f"the file {shown}"), shown, _exposed(status)), status
    raise S3ConnError(reason, hint="A path is relative to the working directory; ~ is the home folder.")


def _content(path: Path) -> tuple[bytes | None, os.stat_result]:
    """Return a file's bytes (None if it is not a regular file), and the status of that same open file."""
    opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            return None, status
        with os.fdopen(opened, "rb", closefd=False) as file:
            return file.read(_MOST_BYTES + 1), status
    finally:
        os.close(opened)


def _text(content: bytes, shown: str) -> str:
    if len(content) > _MOST_BYTES:
        raise S3ConnError(f"{shown} has more than {_MOST_BYTES:,} bytes", hint="Is it a file of statements?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    raise S3ConnError(f"{shown} is not text in UTF-8, from line {line} on", hint="Save it as UTF-8.")


def _exposed(status: os.stat_result) -> str:
    """Return why a secret in the file is not safe, or an empty text."""
    if not hasattr(os, "geteuid"):
        return "this system does not tell who may read it"
    if status.st_uid != os.geteuid():
        return "it belongs to another user"
    mode = stat.S_IMODE(status.st_mode)
    return f"others may read or write it, its mode is {mode:04o}" if mode & 0o077 else ""


def _distrust(status: os.stat_result) -> str:
    """Return why the file is not trusted, or an empty text."""
    if not hasattr(os, "geteuid"):
        return ""
    if status.st_uid not in {os.geteuid(), _ROOT}:
        return "it belongs to another user"
    return "anyone may write it" if status.st_mode & stat.S_IWOTH else ""


_HEAD = "-- S3 connections, saved by s3conn_magic. No secret is in here: PROMPT asks for those of no other source."
_SANDBOX = "-- The connection of the sandbox is left out; START SANDBOX rebuilds it."


def save_connections(connections: Registry, path: str, *, replace: bool) -> tuple[str, int]:
    """Save connections to a file of mode 0600, completely or not at all.

    Returns:
        The path in its visible form, and the number of connections saved.

    Raises:
        S3ConnError: the file exists and `replace` is false, or it cannot be written.
    """
    saved = [connection for connection in connections.known() if not is_sandbox(connection)]
    parts = [_HEAD, *(saved_statement(connection.name, connection.options) for connection in saved)]
    if len(saved) < len(connections.known()):
        parts.append(_SANDBOX)
    if connections.default and any(connection.name == connections.default for connection in saved):
        parts.append(f"USE CONNECTION {name_text(connections.default)};")
    target = Path(path).expanduser()
    _write(target, "\n\n".join(parts) + "\n", replace=replace)
    return visible(str(target)), len(saved)


def _write(target: Path, text: str, *, replace: bool) -> None:
    shown = visible(str(target))
    try:
        _write_atomically(target, text, replace=replace)
    except FileExistsError:
        reason, hint = f"the file {shown} is there already", "SAVE OR REPLACE CONNECTIONS TO … replaces it."
    except (OSError, ValueError) as error:
        reason, hint = f"the file {shown} cannot be written ({type(error).__name__})", "Does its folder exist?"
    else:
        return
    raise S3ConnError(reason, hint=hint)


def _write_atomically(target: Path, text: str, *, replace: bool) -> None:
    """Write a temporary file next to the target (`mkstemp` gives it mode 0600), and rename it."""
    opened, beside = tempfile.mkstemp(prefix=".connections-", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(opened, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            Path(beside).replace(target.resolve())
        else:
            _rename_if_free(Path(beside), target)
    finally:
        with suppress(FileNotFoundError):
            Path(beside).unlink()


def _rename_if_free(beside: Path, target: Path) -> None:
    """Give a file its final name, unless that exists; some file systems have no hard links."""
    try:
        target.hardlink_to(beside)
    except FileExistsError:
        raise
    except OSError:
        # Reserve the name with an empty file, so that nobody else can take it.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        beside.replace(target)


# What was meant


IN_PATHS = (ObjectNotFoundError, BucketNotFoundError, ConnectionNotFoundError)
"""Errors about the path of a query."""


def found_nothing(result: Any) -> bool:
    """Return whether a result is of no rows, or is one row of nothing but zeros and missing values."""
    if isinstance(result, Message):
        return result.text.startswith("0 rows went")
    if not hasattr(result, "columns") or len(result) > 1:
        return False
    return not len(result) or {str(value) for value in result.iloc[0]} <= {"0", "0.0", "nan", "None", "<NA>"}


def note_of_pattern(plan: plans.Plan, connections: Registry) -> str:
    """Return a hint for a statement that found nothing by a pattern of another kind, or by what is never true."""
    if isinstance(plan, statements.Querying) and plan.text:
        return masked(query_note(plan.text)) or _note_of_objects(plan.text, connections)
    if matching := getattr(plan, "matching", None):
        return _note_of_matching(plan, matching, connections)
    like = getattr(plan, "like", None)
    return pattern_meant("LIKE", "like", like) if like is not None else ""


def _note_of_objects(sql: str, connections: Registry) -> str:
    """Return a note on the location of `objects()` if nothing is there."""
    from s3conn_magic.objects.requests import note_if_nothing

    for written, rest in OBJECTS.findall(sql):
        name, place = written or connections.default or "", Location(*rest.partition("/")[::2])
        with suppress(S3ConnError):
            if (
                not WILD.search(rest)
                and name in connections
                and (note := note_if_nothing(connections.get(name), place, "{place}"))
            ):
                return note
    return ""


def _note_of_matching(statement: Any, glob: str, connections: Registry) -> str:
    place = getattr(statement, "location", None)
    folder = f"{place.key.rstrip('/').rpartition('/')[2]}/" if place and place.key else "/"
    if glob.startswith(folder) and len(glob) > len(folder):
        return f"MATCHING is of keys below the location: write MATCHING {literal(visible(glob[len(folder) :]))}."
    recursive = bool(getattr(statement, "recursive", True))
    note = pattern_meant("MATCHING", "glob", glob)
    if not note:
        keys = _some_keys(connections.get(statement.name), place) if hasattr(statement, "recursive") else []
        note = _glob_meant(glob, keys, recursive=recursive)
    return f"{note} Capitals and small letters differ in keys.".strip() if glob != glob.lower() else note


def _some_keys(connection: Connection, place: Location | None) -> list[str]:
    from s3conn_magic.connections.clients import first_page

    if place is None:
        return []
    with suppress(Exception):
        page = first_page(connection.internal_client(place.bucket), Bucket=place.bucket, Prefix=place.key)
        return [each["Key"].removeprefix(place.key) for each in page.get("Contents", [])]
    return []


_UNUSUAL = re.compile(r"[^\w./*?=-]")


def _glob_meant(glob: str, keys: list[str], *, recursive: bool) -> str:
    """Return a note on a glob that matches none of some keys: a glob near it that does, else a key if it is unusual."""
    from s3conn_magic.runtime.patterns import Glob

    near, below = "", list[str]()
    for form in globs_near(glob):
        with suppress(ValueError):
            if not near and any(wanted := Glob.compile(form).wants(keys)):
                near, below = form, [key for key, is_wanted in zip(keys, wanted, strict=True) if is_wanted]
    if near == f"**/{glob}" or not keys:
        return looks_below(glob, recursive=recursive)
    if near:
        deep = "RECURSIVE " * (not recursive and any("/" in key for key in below))
        return f"Nothing matches {literal(visible(glob))}: {deep}MATCHING {literal(visible(near))} does."
    first = next((key for key in keys if _UNUSUAL.search(glob) and key and not key.endswith("/")), "")
    return f"Nothing matches {literal(visible(glob))}; a key there is {literal(visible(first))}." if first else ""


def in_query(error: S3ConnError, sql: str, connections: Registry) -> int | None:
    """Return where the path that an error is about is in a query, and let its hint say which path was meant."""
    missing = re.search(r"s3://(\S+)|there is no (?:bucket|connection) (\S+)", error.message)
    name = re.escape(missing[1] or missing[2]) if missing else ""
    path = missing and re.search(rf"'s3://(?:{name}@(?P<rest>[^']*)|(?P<via>[\w-]+@)?(?P<path>{name}[^']*))'", sql)
    if not path:
        return None
    via = path["via"] or ""
    if path["rest"]:
        near = re.fullmatch(r"Did you mean (\w+)\?", error.hint)
        error.hint = f"Write 's3://{near[1]}@{path['rest']}' instead." if near else error.hint
        first, _, key = path["rest"].partition("/")
        if first in connections and key:
            error.hint = f"Write 's3://{first}@{missing[2]}/{key}' instead." if missing else error.hint
    elif isinstance(error, ObjectNotFoundError):
        folder = path[0].rstrip("'").rstrip("/")
        error.hint = f"Write {folder}/*' instead." if error.is_folder else error.hint
        error.hint = error.hint.replace("mean 's3://", f"mean 's3://{via}")
    else:
        bucket, _, key = path["path"].partition("/")
        say_bucket(error, Location(bucket, key), via.rstrip("@") or connections.default or "", connections)
        error.hint = error.hint.replace("'s3://", f"'s3://{via or f'{bucket}@' * (bucket in connections)}")
    return path.start()


def nothing_at(connections: Registry, plan: Any, rows: Sized, clause: str = "") -> str:
    """Return a note on what was meant by the location of a plan if nothing is there."""
    from s3conn_magic.objects.requests import note_of_nothing

    return "" if len(rows) else note_of_nothing(connections.get(plan.name), plan.location, clause)


def say_bucket(error: S3ConnError, location: Location | None, name: str, connections: Registry) -> None:
    """Let the hint of an error say which bucket was meant: the one behind a connection's name, or one that is near."""
    if location is None or not isinstance(error, BucketNotFoundError):
        return
    if location.bucket in connections and location.key:
        known = _buckets(connections, location.bucket)
        if location.key.partition("/")[0] in known or "/" in location.key.rstrip("/"):
            uri = literal(visible(f"s3://{location.key}"))
            error.hint = f"Write {uri} instead: {location.bucket} is a connection."
        else:
            uri = literal(visible(f"s3://{BLANK}/{location.key}"))
            seen = f", one of {listed(known)}" if known else ""
            error.hint = f"Write {uri} USING {location.bucket} with the bucket's name{seen}: that is a connection."
    elif name in connections and (near := nearest(location.bucket, _buckets(connections, name))):
        error.hint = f"Did you mean {literal(visible(f's3://{near}/{location.key}'))}?"


def _buckets(connections: Registry, name: str) -> list[str]:
    from s3conn_magic.results.listings import buckets_frame

    try:
        return [str(each) for each in buckets_frame(connections.get(name), None)["bucket"]]
    except S3ConnError:
        return []
