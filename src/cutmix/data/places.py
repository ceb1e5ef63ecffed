"""Where data sets lie, and where what is learned about them is kept."""

from __future__ import annotations

import os
from pathlib import Path


def default_root() -> Path:
    """The folder that holds data sets: CUTMIX_DATA, or cutmix/data in the user's cache (XDG_CACHE_HOME or ~/.cache)."""
    if chosen := os.environ.get("CUTMIX_DATA"):
        return Path(chosen).expanduser()
    return user_cache() / "data"


def user_cache() -> Path:
    """The folder cutmix in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cutmix"
