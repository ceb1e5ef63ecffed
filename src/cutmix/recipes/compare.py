"""Run a comparison: skip what is done, go on with what was killed, run what is missing, a process each."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import IO, Any, Protocol

from cutmix.errors import CutmixError, UsageError
from cutmix.measures import the_same
from cutmix.recipes import kinds
from cutmix.recipes.plan import PlannedRun
from cutmix.recipes.recipe import WrittenSettings
from cutmix.training.interrupt import Interrupted, StopSignals

CHILD = (sys.executable, "-m", "cutmix.recipes.child")
LOG = "compare.log"
POLL_SECONDS = 0.2


class Status(Enum):
    """What there is of a run already."""

    MISSING = "to run"
    STARTED = "to go on with"
    ENDED = "done"


@dataclass(frozen=True)
class Job:
    """A planned run whose recipe leaves nothing to choose, and what there is of it already."""

    run: PlannedRun
    status: Status


@dataclass(frozen=True)
class Circumstances:
    """What all runs of a comparison share and no recipe says; see :func:`cutmix.recipes.start.train`."""

    runs: Path = Path("runs")
    data_root: Path | None = None
    workers: int | None = None
    cpu: bool = False
    checkpoint_steps: int = 0


@dataclass(frozen=True)
class Failure:
    """A run that ended with an error."""

    name: str
    error: str


class Watcher(Protocol):
    """Shows how a comparison goes on. Positions are in epochs, counted from 0; names are those of runs."""

    def begin(self, epochs: Mapping[str, int], ended: int) -> None: ...

    def started(self, name: str) -> None: ...

    def moved(self, name: str, position: float) -> None: ...

    def ended(self, name: str, result: Mapping[str, Any]) -> None: ...

    def failed(self, name: str, error: str) -> None: ...

    def close(self) -> None: ...


# --------------------------------------------------------------------------------------------------- what is to be done


def prepare(
    planned: Sequence[PlannedRun],
    runs: Path,
    data_root: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Job]:
    """Look at the data, make each network once, and see what there is of the runs, before any of them starts.

    Args:
        runs: the folder that holds the runs' folders.
        data_root: where data sets lie; None for ``CUTMIX_DATA`` or the user's cache.
        progress: called with (done, all) while the files of a folder are looked at for the first time.

    Raises:
        UsageError: a setting that is not possible, recipes that are not measured alike, or folders that hold runs of
            another recipe or other data; the message shows what differs.
        CutmixError: data or weights that are missing or damaged.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("a comparison starts its runs itself: start it once, not by torchrun; see --jobs.")
    complete: dict[str, tuple[WrittenSettings, str]] = {}
    jobs, differences = [], []
    for run in planned:
        if run.group not in complete:
            parts = kinds.build(run.recipe, data_root, progress)
            complete[run.group] = parts.recipe, parts.data.fingerprint
        recipe, fingerprint = complete[run.group]
        whole = replace(run, recipe=recipe.but(seed=run.recipe.seed))
        differences += [f"  {runs / run.name}: {line}" for line in _differences(whole, runs, fingerprint)]
        jobs.append(Job(whole, status(runs / run.name)))
    the_same((kinds.measure(recipe), group) for group, (recipe, _) in complete.items())
    if differences:
        raise UsageError(
            "these folders hold other runs than the ones that are asked for (theirs -> asked for):\n"
            + "\n".join(differences)
            + "\nChoose another folder by --runs, or move them away."
        )
    return jobs


def status(folder: Path) -> Status:
    """What there is of the run in ``folder``."""
    if (folder / "result.json").exists():
        return Status.ENDED
    begun = any((folder / name).exists() for name in ("recipe.json", "last.pth.tar"))
    return Status.STARTED if begun else Status.MISSING


def _differences(run: PlannedRun, runs: Path, fingerprint: str) -> list[str]:
    """How the run that a folder holds differs from the one that is asked for, a line each; none for no run."""
    from cutmix.training.run import differences

    kept, result = (_json(runs / run.name / name) for name in ("recipe.json", "result.json"))
    if kept is None:
        return []
    found = differences(kinds.completed(kept), json.loads(json.dumps(run.recipe.as_dict())))
    seen = (result or {}).get("fingerprint", fingerprint)
    return found if seen == fingerprint else [*found, f"the images and labels, by fingerprint: {seen} -> {fingerprint}"]


def _json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no JSON object")
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CutmixError(f"cannot read {path}: {error}") from error


def describe(jobs: Sequence[Job], at_once: int) -> str:
    """The plan as text: a line a run, and what all of it comes to."""
    width = max(len(job.run.name) for job in jobs)
    lines = [f"{job.run.name:<{width}}  {job.status.value}" for job in jobs]
    counts = [(sum(job.status is status for job in jobs), status.value) for status in reversed(Status)]
    epochs = sum(job.run.recipe.epochs for job in jobs if job.status is not Status.ENDED)
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    return "\n".join([*lines, f"{len(jobs)} runs: {said}; {epochs} epochs at most, {at_once} run(s) at a time"])


# -------------------------------------------------------------------------------------------------------------- running


def run_jobs(
    jobs: Sequence[Job],
    circumstances: Circumstances,
    *,
    at_once: int = 1,
    watcher: Watcher,
    program: Sequence[str] = CHILD,
) -> list[Failure]:
    """Do what the jobs leave to do, ``at_once`` of them at a time; returns the runs that failed.

    A run that fails does not stop the others. Each run is a process that has its share of the processor's threads,
    unless ``OMP_NUM_THREADS`` says how many, and writes what it has to say into its folder's ``compare.log``. If this
    process dies, the runs notice and stop, with their state kept.

    Args:
        program: what does a job; see ``child.py``.

    Raises:
        Interrupted: SIGINT or SIGTERM asked to stop; the runs at hand have kept their state.
    """
    if at_once < 1:
        raise UsageError(f"at least one run must go on at a time, got {at_once}.")
    waiting = [job for job in jobs if job.status is not Status.ENDED]
    watcher.begin({job.run.name: job.run.recipe.epochs for job in waiting}, len(jobs) - len(waiting))
    with StopSignals() as signals:
        try:
            return _Pool(waiting, circumstances, min(at_once, max(len(waiting), 1)), watcher, program).run(signals)
        finally:
            watcher.close()


class _Pool:
    """The processes of :func:`run_jobs`: as many at a time as there may be, until no job is left."""

    def __init__(
        self,
        waiting: list[Job],
        circumstances: Circumstances,
        at_once: int,
        watcher: Watcher,
        program: Sequence[str],
    ) -> None:
        self.waiting, self.at_once, self.watcher = list(waiting), at_once, watcher
        self.circumstances, self.program = circumstances, program
        self.live: dict[str, subprocess.Popen[str]] = {}
        self.readers: dict[str, threading.Thread] = {}
        self.said: dict[str, dict[str, Any]] = {}
        self.messages: queue.Queue[tuple[str, dict[str, Any] | None]] = queue.Queue()
        self.failures: list[Failure] = []
        self.stopping = False

    def run(self, signals: StopSignals) -> list[Failure]:
        try:
            while self.live or (self.waiting and not self.stopping):
                while self.waiting and len(self.live) < self.at_once and not signals.received:
                    self.start(self.waiting.pop(0))
                if signals.received and not self.stopping:
                    self.stopping = True
                    for process in self.live.values():
                        process.terminate()
                self.listen()
        finally:
            for name, process in self.live.items():  # if something went wrong here, or there was a second Ctrl-C
                process.kill()
                self.close(name, process)
        if signals.received:
            raise Interrupted(
                "stopped; each run at hand has kept its state. Go on with the same command again.", signals.received
            )
        return self.failures

    def start(self, job: Job) -> None:
        name, folder = job.run.name, self.circumstances.runs / job.run.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(folder / LOG, "a", encoding="utf-8") as log:
                process = subprocess.Popen(
                    self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                    encoding="utf-8", env=child_environment(self.at_once),
                    start_new_session=True,  # Ctrl-C is for this process, which hands it on once
                )  # fmt: skip
        except OSError as error:
            self.fail(name, f"it could not be started: {error.strerror}")
            return
        self.live[name], self.said[name] = process, {}
        assert process.stdin is not None
        assert process.stdout is not None
        self.readers[name] = threading.Thread(target=self.read, args=(name, process.stdout), daemon=True)
        self.readers[name].start()
        self.watcher.started(name)
        with contextlib.suppress(OSError):  # if it died at once, that is said when its output ends
            process.stdin.write(json.dumps(job_message(job, self.circumstances, self.at_once)) + "\n")
            process.stdin.flush()

    def read(self, name: str, lines: IO[str]) -> None:
        """Hand on what a process says, in a thread of its own."""
        with lines:
            for line in lines:
                with contextlib.suppress(ValueError, TypeError):  # a line that a kill has cut off
                    self.messages.put((name, dict(json.loads(line))))
        self.messages.put((name, None))

    def listen(self) -> None:
        """Wait a moment for a message, and act on it."""
        try:
            name, message = self.messages.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return
        if message is None:
            self.finish(name)
        elif "position" in message:
            self.watcher.moved(name, float(message["position"]))
        else:
            self.said[name] = message

    def finish(self, name: str) -> None:
        process, last = self.live.pop(name), self.said.pop(name)
        code = self.close(name, process)
        if "result" in last:
            self.watcher.ended(name, last["result"])
        elif "error" in last:
            self.fail(name, last["error"])
        elif "stopped" not in last and not self.stopping:
            self.fail(name, _death(code))

    def close(self, name: str, process: subprocess.Popen[str]) -> int:
        """Wait for the end of a process, and let go of its pipes; returns its exit code."""
        code = process.wait()
        self.readers.pop(name).join()
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # what was not yet written cannot be any more
            process.stdin.close()
        return code

    def fail(self, name: str, error: str) -> None:
        text = f"{error} (log: {self.circumstances.runs / name / LOG})"
        self.failures.append(Failure(name, text))
        self.watcher.failed(name, text)


def _death(code: int) -> str:
    """What is known of a process that ended without a word."""
    if code >= 0:
        return f"the process ended with exit code {code} and without a result"
    name = signal.Signals(-code).name
    memory = ", perhaps because memory ran out" if name == "SIGKILL" else ""
    return f"the process was ended by {name}{memory}"


def job_message(job: Job, circumstances: Circumstances, at_once: int) -> dict[str, Any]:
    """What ``child.py`` is told of a job, as plain values."""
    return {
        "recipe": job.run.recipe.as_dict(),
        "name": job.run.name,
        "runs": str(circumstances.runs),
        "resume": job.status is Status.STARTED,
        "workers": circumstances.workers,
        "cpu": circumstances.cpu,
        "checkpoint_steps": circumstances.checkpoint_steps,
        "command": command(job.run, circumstances),
        "runs_at_once": at_once,
        **({} if circumstances.data_root is None else {"data_root": str(circumstances.data_root)}),
    }


def command(run: PlannedRun, circumstances: Circumstances) -> str:
    """The ``cutmix train`` or ``cutmix transfer`` that makes the same run."""
    words = ["cutmix", kinds.verb(run.recipe), *run.words, "--name", run.name]
    if circumstances.runs != Circumstances.runs:
        words += ["--runs", str(circumstances.runs)]
    if circumstances.data_root is not None:
        words += ["--data-root", str(circumstances.data_root)]
    return shlex.join([*words, *(["--cpu"] if circumstances.cpu else [])])


def child_environment(at_once: int) -> dict[str, str]:
    """This process's environment, with an equal share of the processor's threads for each run."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = {"OMP_NUM_THREADS": str(max(1, cpus // at_once))} if at_once > 1 else {}
    return {**share, **os.environ}
