"""SAVE CONNECTIONS: the statements that make the session's connections again, in a file without a secret."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from s3conn_magic.errors import S3ConnError
from s3conn_magic.language.catalog import is_sandbox
from s3conn_magic.language.help import name_text, saved_statement
from s3conn_magic.locations import visible

if TYPE_CHECKING:
    from s3conn_magic.connections.registry import Registry

_HEAD = "-- S3 connections, saved by s3conn_magic. No secret is in here: PROMPT asks for those of no other source."
_SANDBOX = "-- The connection of the sandbox is left out; START SANDBOX makes it anew."


def save_connections(connections: Registry, path: str, *, replace: bool) -> tuple[str, int]:
    """Write them to a file of the mode 0600: whole, or not at all.

    Returns:
        The path as it may be shown, and how many connections are in the file.

    Raises:
        S3ConnError: the file is there and is not to be replaced, or it cannot be written.
    """
    kept = [one for one in connections.known() if not is_sandbox(one)]
    parts = [_HEAD, *(saved_statement(one.name, one.options) for one in kept)]
    if len(kept) < len(connections.known()):
        parts.append(_SANDBOX)
    if connections.default and any(one.name == connections.default for one in kept):
        parts.append(f"USE CONNECTION {name_text(connections.default)};")
    target = Path(path).expanduser()
    _write(target, "\n\n".join(parts) + "\n", replace=replace)
    return visible(str(target)), len(kept)


def _write(target: Path, text: str, *, replace: bool) -> None:
    shown = visible(str(target))
    try:
        _move_in(target, text, replace=replace)
    except FileExistsError:
        reason, hint = f"the file {shown} is there already", "SAVE OR REPLACE CONNECTIONS TO … replaces it."
    except (OSError, ValueError) as error:
        reason, hint = f"the file {shown} cannot be written ({type(error).__name__})", "Is its folder there?"
    else:
        return
    raise S3ConnError(reason, hint=hint)


def _move_in(target: Path, text: str, *, replace: bool) -> None:
    """Write a file beside the target, which `mkstemp` makes with the mode 0600, and give it the target's name."""
    opened, beside = tempfile.mkstemp(prefix=".connections-", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(opened, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            Path(beside).replace(target.resolve())
        else:
            _link(Path(beside), target)
    finally:
        with suppress(FileNotFoundError):
            Path(beside).unlink()


def _link(beside: Path, target: Path) -> None:
    """A link is refused where the target is there, and nothing can come in between; some file systems have none."""
    try:
        target.hardlink_to(beside)
    except FileExistsError:
        raise
    except OSError:
        # The name is taken by an empty file of our own, which nobody else can take then.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        beside.replace(target)
