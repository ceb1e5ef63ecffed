"""Writing files whole or not at all; keeping others from writing at the same time; telling whether files changed."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from cutmix.errors import CutmixError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name in its folder, force it to the disk, then rename it.

    The folder is made if need be.

    Raises:
        CutmixError: the disk is full or the folder is not writable. What stood at ``path`` before still stands there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # torch's zip writer turns a failed write into a RuntimeError, with the OSError as its context.
        raise CutmixError(f"cannot write {path}: {reason(error)}; what was there before is still good") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    _sync_folder(path.parent)


def fingerprint_of_files(path: Path, depth: int = 99) -> str:
    """16 hex digits that stand for a file, or for what lies in a folder: names, sizes, times of the last change.

    Args:
        depth: how many folders down. Of a folder that is not looked into, its own time tells of files that came or
            went, and not of others.

    Returns:
        Empty if there is nothing at ``path``.
    """
    if not path.exists():
        return ""
    digest = blake2b(digest_size=8)
    for name, size, changed in sorted(_entries(path, "", depth)):
        digest.update(os.fsencode(f"{name}\0{size}\0{changed}\0"))
    return digest.hexdigest()


def _entries(path: Path, name: str, depth: int) -> Iterator[tuple[str, int, int]]:
    about = path.stat()
    yield name, about.st_size, about.st_mtime_ns
    if depth > 0 and path.is_dir():
        for inside in path.iterdir():
            if inside.exists():  # not a link to nowhere
                yield from _entries(inside, f"{name}/{inside.name}", depth - 1)


def take_lock(path: Path) -> int | None:
    """Lock a file for this process, until the descriptor that is returned is closed or the process ends in any way.

    The file is made if need be, and stays. The lock is no hindrance within the process that holds it. None where the
    system or the disk knows no locks.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the file cannot be opened.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # Not flock: that one is inherited by the workers that decode photos, which live a little longer than a process
        # that was killed.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise BlockingIOError(error.errno, "another process holds the lock", str(path)) from error
        return None
    return descriptor


def reason(error: BaseException) -> str:
    """What the system said was wrong, in a few words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return "the disk is full" if cause.errno == errno.ENOSPC else (cause.strerror or str(cause))
        cause = cause.__cause__ or cause.__context__
    return (str(error).splitlines() or [type(error).__name__])[0]


def _sync_folder(folder: Path) -> None:
    """Make a rename durable. Not every system can open a folder: there the rename is as durable as it gets."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
