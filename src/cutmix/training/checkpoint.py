"""Checkpoints: the whole state of a training run, written so that no crash loses an earlier one."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from cutmix.errors import CutmixError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name, force it to the disk, then rename it: it is there whole, or not at all.

    Raises:
        CutmixError: the disk is full or the folder is not writable. What stood at ``path`` before still stands there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        # torch's zip writer turns a failed write into a RuntimeError, with the OSError as its context.
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise CutmixError(
            f"could not write {path}: {_reason(error)}. What was there before is still good; --resume goes on from it."
        ) from error
    _sync_folder(path.parent)


def _reason(error: BaseException) -> str:
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


def save_checkpoint(path: Path, checkpoint: dict[str, Any], *, previous: Path | None = None) -> None:
    """Write ``checkpoint`` to ``path``; what stood there becomes ``previous``."""
    if previous is not None and path.exists():
        link = previous.with_name(f".{previous.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            link.unlink()
        try:
            os.link(path, link)
            os.replace(link, previous)
        except OSError:  # a file system without hard links: the rename below still loses nothing
            with contextlib.suppress(OSError):
                link.unlink()
    write_atomically(path, lambda file: torch.save(checkpoint, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of a training run; only tensors and plain values are accepted.

    Raises:
        CutmixError: the file is damaged, or is not a checkpoint of a run.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds of error for a damaged file
        raise CutmixError(f"{path} is damaged or not a checkpoint ({_reason(error)})") from error
    if not (isinstance(checkpoint, dict) and isinstance(checkpoint.get("cutmix"), dict)):
        raise CutmixError(f"{path} holds no training run to resume; give it to --init to start from its weights")
    return checkpoint
