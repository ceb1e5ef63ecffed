"""The errors that a user can act on. The command line prints them in one or two lines, without a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class CutmixError(Exception):
    """Something failed: a file, a data set, a loss. Exit code 1."""


class UsageError(CutmixError, ValueError):
    """Something was asked for that is not possible: a flag, a value, a name. Exit code 2."""


def nearest(name: str, names: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` for the known name that is nearest to ``name``, or an empty string."""
    known = list(names)
    folded = {known_name.casefold(): known_name for known_name in known}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""
