"""Temporary files: readable by the user alone, gone with the process, and swept away later where it was killed.

A process has one folder, `s3conn-<process id>-<random>`, of mode 0700, in the system's folder for temporary files.
A file `lock` in it is locked for as long as the process lives; each database, report and so on has a folder in it.
What is to be in memory alone is in such a folder of a file system that is, where the machine has one.
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
_BEGINNING = 60.0
# As `setfacl -d -m u::rwx,g::-,o::-` writes it: what is made in the folder gives nothing to others, whatever the umask.
_OWNER_ONLY = struct.pack("<I" + "HHI" * 3, 2, 0x01, 7, 0xFFFFFFFF, 0x04, 0, 0xFFFFFFFF, 0x20, 0, 0xFFFFFFFF)


_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made in it


class _Ours:
    """The folder of this process, and the open file whose lock says that it lives; `within` is None for the usual."""

    def __init__(self, within: str | None = None) -> None:
        self.within = within
        self.guard = threading.Lock()
        self.path: Path | None = None
        self.lock = -1

    def folder(self) -> Path:
        """Return the folder, made at first use and anew where somebody has removed it."""
        with self.guard:
            if self.path is None or not self.path.is_dir():
                sweep()
                path = Path(tempfile.mkdtemp(prefix=f"s3conn-{os.getpid()}-", dir=self.within))
                if sys.platform == "linux":
                    with suppress(OSError):  # not every file system has it; the folder's own mode keeps others out
                        os.setxattr(path, "system.posix_acl_default", _OWNER_ONLY)
                self.lock = _locked(path / f"{_LOCK}.new")
                # It gets its name when it is locked, so that no sweep finds it free.
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
        """Leave it to the parent, in a forked child."""
        if self.path is not None:
            os.close(self.lock)
        self.__init__(self.within)  # type: ignore[misc] # a lock that a thread of the parent held, too


_ours, _in_memory = _Ours(), _Ours(_MEMORY)
for _each in (_ours, _in_memory):
    atexit.register(_each.remove)
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_each.leave)


def new_folder(what_for: str, *, in_memory: bool = False) -> Path:
    """Return a new folder for temporary files, which the caller removes when they are not needed any more.

    Raises:
        OSError: it cannot be made.
    """
    return Path(tempfile.mkdtemp(prefix=f"{what_for}-", dir=(_in_memory if in_memory else _ours).folder()))


def memory_free() -> int:
    """Return how many bytes there is room for in a folder in memory; 0 where there can be none."""
    with suppress(OSError):
        if sys.platform == "linux":
            there = os.statvfs(_MEMORY)
            return there.f_bavail * there.f_frsize
    return 0


def remove(folder: Path | None) -> None:
    """Remove a folder that `new_folder` made."""
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove what processes of this user that were killed have left."""
    for where in (tempfile.gettempdir(), _MEMORY):
        with suppress(OSError), os.scandir(where) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    with suppress(OSError):
                        _sweep(entry)


def _sweep(entry: os.DirEntry[str]) -> None:
    there = entry.stat(follow_symlinks=False)
    # What is another user's, or open to others, or a link, may have been put there to mislead.
    foreign = os.name == "posix" and (there.st_uid != os.geteuid() or there.st_mode & 0o77)
    if foreign or not stat.S_ISDIR(there.st_mode):
        return
    lock = Path(entry.path, _LOCK)
    if lock.is_file():
        os.close(_locked(lock))
    elif time.time() - there.st_mtime < _BEGINNING:
        return
    shutil.rmtree(entry.path)


def _locked(file: Path) -> int:
    """Return an open file that is locked.

    Raises:
        OSError: another process has locked it, or files cannot be locked here.
    """
    opened = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(opened, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        raise
    return opened


__all__ = ["memory_free", "new_folder", "remove", "sweep"]
