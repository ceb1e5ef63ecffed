"""The record that a run or an evaluation leaves: a number, and all that one must know to believe it. Imports no torch.

One record is one line of a JSON Lines file, so that files can be appended to, concatenated and compared.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import cutmix
from cutmix.errors import CutmixError, UsageError, nearest

__all__ = [
    "Record",
    "Summary",
    "code_version",
    "describe_machine",
    "read_records",
    "record_lines",
    "summarise",
    "write_records",
]


# -------------------------------------------------------------------------------------------------- what records hold


def _torch_version() -> str:
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One measured number.

    Raises:
        UsageError: ``value`` is not a finite number, or ``n`` is not positive.
    """

    name: str
    """What was measured, with its unit or choice in the name: ``test_error_top1_last``."""
    value: float
    n: int
    """Test images (or other things) that the value is taken over."""
    seed: int | None
    """The run's seed; None for what no seed takes part in."""
    recipe: str | Mapping[str, Any]
    """A recipe's settings or its name."""
    commit: str
    """The code that measured it, as :func:`code_version` gives it."""
    device: str
    """Where, as :func:`describe_machine` gives it."""
    torch: str = field(default_factory=_torch_version)
    date: str = field(default_factory=_now)
    """UTC, to the second, ISO 8601."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", float(self.value))  # numpy's and torch's numbers are not JSON
        if not math.isfinite(self.value):
            raise UsageError(f"the result {self.name} is {self.value}: only finite numbers are recorded.")
        if self.n < 1:
            raise UsageError(f"the result {self.name} is over n = {self.n}: it must be over at least 1.")

    def setting(self, key: str) -> Any:
        """The field ``key``, or for ``"recipe.lr"`` that setting of the recipe (None where it has none)."""
        part, _, name = key.partition(".")
        value = getattr(self, part)
        if not name:
            return value
        return value.get(name) if isinstance(value, Mapping) else None


# ---------------------------------------------------------------------------------------------------------- JSON Lines


def record_lines(records: Iterable[Record]) -> bytes:
    """``records`` as the content of a JSON Lines file."""
    return "".join(json.dumps(asdict(record), allow_nan=False) + "\n" for record in records).encode()


def write_records(path: Path | str, records: Iterable[Record]) -> None:
    """Append ``records`` to the file ``path``, a line each, all or none.

    The lines are written by one call in append mode, so that several processes can share a file. A last line that an
    earlier writer left unfinished stays a line of its own.
    """
    path = Path(path)
    lines = record_lines(records)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            file.seek(max(before - 1, 0))
            if file.read(1) not in (b"", b"\n"):
                lines = b"\n" + lines
            if file.write(lines) != len(lines):
                file.truncate(before)
                raise OSError(0, "the disk is full")
    except OSError as error:
        raise CutmixError(f"cannot write results to {path}: {error.strerror}.") from error


def read_records(paths: Path | str | Iterable[Path | str]) -> list[Record]:
    """All records of one or more files, in order.

    Raises:
        CutmixError: a file cannot be read, or a line of it is not a record; names the line.
    """
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    return [record for file in files for record in _records_of(Path(file))]


def _records_of(path: Path) -> list[Record]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CutmixError(f"cannot read results from {path}: {error}.") from error
    return [_record(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _record(line: str, where: str) -> Record:
    try:
        return Record(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise CutmixError(f"{where} is not a result record ({error}): mend or delete the line.") from error


# ------------------------------------------------------------------------------------------------------------ summaries


@dataclass(frozen=True)
class Summary:
    """One number over the seeds of a group."""

    group: dict[str, Any]
    """The fields that the group's records share."""
    mean: float
    sd: float | None
    """Standard deviation with n - 1 in the denominator; None for a single run."""
    n: int
    """Runs."""
    values: tuple[float, ...]
    seeds: tuple[int | None, ...]

    def __str__(self) -> str:
        spread = "" if self.sd is None else f" ± {self.sd:.2f}"
        return f"{self.mean:.2f}{spread} (n = {self.n})"


def summarise(records: Iterable[Record], by: Sequence[str] = ("name", "recipe")) -> list[Summary]:
    """Mean and standard deviation over seeds, a group for each combination of the fields ``by``, in order.

    ``by`` names fields of :class:`Record`, or settings such as ``"recipe.mixing"``. A recipe's own seed does not part
    groups. If a group holds a seed twice, the later record replaces the earlier one: the same run measured again is not
    one more run.
    """
    known = [field.name for field in fields(Record)]
    for key in by:
        if key.partition(".")[0] not in known:
            raise UsageError(f"records have no field {key!r}.{nearest(key, known)} They have: {', '.join(known)}.")
    groups: dict[str, dict[Any, Record]] = {}
    for number, record in enumerate(records):
        group = groups.setdefault(json.dumps(_group(record, by), sort_keys=True), {})
        group[("once", number) if record.seed is None else record.seed] = record
    return [_summary(list(group.values()), by) for group in groups.values()]


def _group(record: Record, by: Sequence[str]) -> dict[str, Any]:
    values = {key: record.setting(key) for key in by}
    if isinstance(values.get("recipe"), Mapping):
        values["recipe"] = {name: value for name, value in values["recipe"].items() if name != "seed"}
    return values


def _summary(records: Sequence[Record], by: Sequence[str]) -> Summary:
    values = tuple(record.value for record in records)
    return Summary(
        group=_group(records[0], by),
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if len(values) > 1 else None,
        n=len(values),
        values=values,
        seeds=tuple(record.seed for record in records),
    )


# ----------------------------------------------------------------------------------------------------- where it was run


def describe_machine(device: str = "") -> str:
    """``"cpu, 2 threads, Intel(R) Xeon(R) ..."`` or ``"cuda, NVIDIA H100 80GB HBM3, 2 threads, AMD EPYC ..."``.

    ``device`` is the name of the torch device that was used; empty for the GPU where torch is loaded and sees one,
    otherwise the CPU. Threads are those that torch uses, or that the process may use where torch is not loaded.
    """
    torch = sys.modules.get("torch")  # who measured on a GPU has loaded it
    cuda = torch.cuda if torch is not None and torch.cuda.is_available() else None
    device = device or ("cuda" if cuda else "cpu")
    gpu = [cuda.get_device_name(device)] if cuda and device.startswith("cuda") else []
    threads = torch.get_num_threads() if torch is not None else _usable_cpus()
    return ", ".join([device, *gpu, f"{threads} thread{'s' if threads != 1 else ''}", _cpu_model()])


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def code_version() -> str:
    """The package's version, with the git commit of its source where it runs from a checkout: ``0.1.0+g1a2b3c4d5e6f``.

    ``.changed`` follows if files of the package differ from that commit.
    """
    package = Path(cutmix.__file__).parent
    commit = _git(package, "rev-parse", "--short=12", "HEAD")
    if not commit or _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return cutmix.__version__  # installed; or installed into an environment inside of someone else's repository
    changed = ".changed" if _git(package, "status", "--porcelain", "--", ".") else ""
    return f"{cutmix.__version__}+g{commit}{changed}"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None if it fails or is not installed."""
    try:
        run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() if run.returncode == 0 else None
