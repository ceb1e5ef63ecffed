"""Checkpoints: the whole state of a training run, written so that no crash loses an earlier one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import torch

from cutmix.errors import CutmixError
from cutmix.files import reason, write_atomically


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
        raise CutmixError(f"{path} is damaged or not a checkpoint ({reason(error)})") from error
    if not (isinstance(checkpoint, dict) and isinstance(checkpoint.get("cutmix"), dict)):
        raise CutmixError(f"{path} holds no training run to resume; give it to --init to start from its weights")
    return checkpoint
