"""Ask the C library to keep the memory of large tensors, rather than to return it to the system after every layer."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_NEVER = 2**31 - 1


def keep_large_blocks() -> bool:
    """Raise glibc's two thresholds, so that freed tensors are reused; True where the C library took it.

    By default every block above 32 MiB at most is mapped and unmapped anew, and each fresh page costs a fault:
    ``benchmarks/train_step.py`` times a training step with and without. The price is that
    the process keeps its peak memory until it ends. Does nothing on other systems.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _NEVER)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
