"""Temporary files: readable only by the user, removed with the process, or by a later one if it was killed.

A process has one folder, `s3conn-<process id>-<random>`, mode 0700, in the system's folder for temporary files. A file
`lock` in it is locked as long as the process lives; each database, report and so on has its own folder in it.
What must stay in memory goes to such a folder on a file system in memory, if the machine has one.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import stat
import struct
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

_NAME = re.compile(r"s3conn-\d+-[a-z0-9_]{8}")
_LOCK = "lock"
_GRACE_SECONDS = 60.0
# As `setfacl -d -m u::rwx,g::-,o::-` writes it: new files in the folder are closed to others, whatever the umask.
_OWNER_ONLY = struct.pack("<I" + "HHI" * 3, 2, 0x01, 7, 0xFFFFFFFF, 0x04, 0, 0xFFFFFFFF, 0x20, 0, 0xFFFFFFFF)


_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made in it


class _OwnFolder:
    """The folder of this process and its open lock file; `within` is the parent folder, None for the usual one."""

    def __init__(self, within: str | None = None) -> None:
        self.within = within
        self.guard = threading.Lock()
        self.path: Path | None = None
        self.lock = -1

    def folder(self) -> Path:
        """Return the folder; make it at first use, and again if somebody removed it."""
        with self.guard:
            if self.path is None or not self.path.is_dir():
                sweep()
                path = Path(tempfile.mkdtemp(prefix=f"s3conn-{os.getpid()}-", dir=self.within))
                if sys.platform == "linux":
                    with suppress(OSError):  # not every file system has it; the folder's own mode keeps others out
                        os.setxattr(path, "system.posix_acl_default", _OWNER_ONLY)
                self.lock = _open_locked(path / f"{_LOCK}.new")
                # Locked before it gets its name, so that no sweep finds it unlocked.
                (path / f"{_LOCK}.new").rename(path / _LOCK)
                self.path = path
            return self.path

    def remove(self) -> None:
        """Remove the folder, at the end of the process."""
        path, self.path = self.path, None
        if path is not None:
            os.close(self.lock)
            shutil.rmtree(path, ignore_errors=True)

    def leave(self) -> None:
        """Leave the folder to the parent, in a forked child."""
        if self.path is not None:
            os.close(self.lock)
        self.__init__(self.within)  # type: ignore[misc] # a lock that a thread of the parent held, too


_ours, _in_memory = _OwnFolder(), _OwnFolder(_MEMORY)
for _each in (_ours, _in_memory):
    atexit.register(_each.remove)
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_each.leave)


def new_folder(what_for: str, *, in_memory: bool = False) -> Path:
    """Return a new folder for temporary files, which the caller removes after use.

    Raises:
        OSError: it cannot be made.
    """
    return Path(tempfile.mkdtemp(prefix=f"{what_for}-", dir=(_in_memory if in_memory else _ours).folder()))


def memory_free() -> int:
    """Return the free bytes for folders in memory; 0 if the machine has none."""
    with suppress(OSError):
        if sys.platform == "linux":
            usage = os.statvfs(_MEMORY)
            return usage.f_bavail * usage.f_frsize
    return 0


def remove(folder: Path | None) -> None:
    """Remove a folder made by `new_folder`."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove the folders that killed processes of this user left behind."""
    for parent in (tempfile.gettempdir(), _MEMORY):
        with suppress(OSError), os.scandir(parent) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    with suppress(OSError):
                        _sweep(entry)


def _sweep(entry: os.DirEntry[str]) -> None:
    status = entry.stat(follow_symlinks=False)
    # Another user's folder, one open to others, or a link may be a trap.
    foreign = os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o77)
    if foreign or not stat.S_ISDIR(status.st_mode):
        return
    lock = Path(entry.path, _LOCK)
    if lock.is_file():
        os.close(_open_locked(lock))
    elif time.time() - status.st_mtime < _GRACE_SECONDS:
        return
    shutil.rmtree(entry.path)


def _open_locked(file: Path) -> int:
    """Return a file, opened and locked.

    Raises:
        OSError: another process has locked it, or files cannot be locked here.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


__all__ = ["memory_free", "new_folder", "remove", "sweep"]
