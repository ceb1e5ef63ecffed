"""Running a comparison: with a stand-in for training where only the bookkeeping counts, and once for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cutmix.cli import main
from cutmix.errors import CutmixError, UsageError
from cutmix.recipes import child, compare
from cutmix.recipes.compare import Circumstances, Job, Status, prepare, run_jobs
from cutmix.recipes.plan import Named, PlannedRun, parse_variation, plan
from cutmix.recipes.progress import Unseen
from cutmix.recipes.recipe import Recipe
from cutmix.training.interrupt import Interrupted

# Does what its run's name says, and notes the job that it was given and the threads that it may use.
STAND_IN = """
import json, os, signal, sys, time
from pathlib import Path
job = json.loads(sys.stdin.readline())
folder, word = Path(job["runs"]) / job["name"], job["name"].partition("-")[0]
def say(**message): print(json.dumps(message), flush=True)
def stop(signum, frame):
    say(stopped=signum)
    (folder / "stopped").touch()
    os._exit(128 + signum)
signal.signal(signal.SIGTERM, stop)
(folder / "recipe.json").write_text(json.dumps(job["recipe"]))
(folder / "job.json").write_text(json.dumps({**job, "threads": os.environ.get("OMP_NUM_THREADS")}))
say(position=0.5)
print("not JSON", flush=True)
if word == "wait":
    time.sleep(60)
if word == "fail":
    say(error="the disk is full")
    sys.exit(1)
if word == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if word == "quiet":
    sys.exit(3)
if word == "meet":  # only two at a time can meet
    (folder / "here").touch()
    others = [Path(job["runs"]) / name / "here" for name in ("meet-s0", "meet-s1")]
    while not all(other.exists() for other in others):
        time.sleep(0.01)
print("a line for the log", file=sys.stderr)
(folder / "result.json").write_text("{}")
say(result={"test_error_top1_last": 12.5})
"""


class Seen(Unseen):
    """Writes down what is shown; calls ``when_moved`` at each position."""

    def __init__(self, when_moved: Callable[[str], None] = lambda name: None) -> None:
        self.story: list[tuple] = []
        self.when_moved = when_moved

    def begin(self, epochs, ended):
        self.story.append(("begin", dict(epochs), ended))

    def started(self, name):
        self.story.append(("started", name))

    def moved(self, name, position):
        self.story.append(("moved", name, position))
        self.when_moved(name)

    def ended(self, name, result):
        self.story.append(("ended", name, result["test_error_top1_last"]))

    def failed(self, name, error):
        self.story.append(("failed", name))


def job(name: str, status: Status = Status.MISSING, **settings) -> Job:
    recipe = Recipe(epochs=2).but(**settings)
    return Job(PlannedRun(name, name, recipe, ("small.digits", "--seed", str(recipe.seed))), status)


def go(jobs: list[Job], runs: Path, watcher: Seen | None = None, at_once: int = 1) -> tuple[list, Seen]:
    watcher = watcher or Seen()
    program = (sys.executable, "-S", "-c", STAND_IN)
    return run_jobs(jobs, Circumstances(runs), at_once=at_once, watcher=watcher, program=program), watcher


# --------------------------------------------------------------------------------------------------- with the stand-in


def test_what_is_done_is_skipped_what_was_killed_is_resumed_and_the_rest_is_run(tmp_path):
    jobs = [job("a-s0", Status.ENDED), job("b-s0", Status.STARTED), job("c-s0", seed=4, mixing="MixUp()")]
    failures, watcher = go(jobs, tmp_path)
    assert failures == []
    assert watcher.story == [
        ("begin", {"b-s0": 2, "c-s0": 2}, 1),
        ("started", "b-s0"), ("moved", "b-s0", 0.5), ("ended", "b-s0", 12.5),
        ("started", "c-s0"), ("moved", "c-s0", 0.5), ("ended", "c-s0", 12.5),
    ]  # fmt: skip
    told = {name: json.loads((tmp_path / name / "job.json").read_text()) for name in ("b-s0", "c-s0")}
    assert not (tmp_path / "a-s0").exists()
    assert (told["b-s0"]["resume"], told["c-s0"]["resume"]) == (True, False)
    assert Recipe().but(**told["c-s0"]["recipe"]) == jobs[2].run.recipe
    assert told["c-s0"]["command"] == f"cutmix train small.digits --seed 4 --name c-s0 --runs {tmp_path}"
    assert told["c-s0"]["runs_at_once"] == 1
    assert (tmp_path / "c-s0" / "compare.log").read_text() == "a line for the log\n"


def test_a_run_that_fails_does_not_stop_the_others(tmp_path):
    failures, watcher = go([job(f"{word}-s0") for word in ("fail", "die", "quiet", "fine")], tmp_path)
    assert [failure.name for failure in failures] == ["fail-s0", "die-s0", "quiet-s0"]
    assert failures[0].error == f"the disk is full (log: {tmp_path / 'fail-s0' / 'compare.log'})"
    assert "was ended by SIGKILL, perhaps because memory ran out" in failures[1].error
    assert "ended with exit code 3 and without a result" in failures[2].error
    assert watcher.story[-1] == ("ended", "fine-s0", 12.5)


def test_a_folder_that_cannot_be_made_is_a_failure_of_that_run_alone(tmp_path):
    (tmp_path / "a-s0").write_text("in the way")
    failures, watcher = go([job("a-s0"), job("b-s0")], tmp_path)
    assert [failure.name for failure in failures] == ["a-s0"]
    assert "could not be started: File exists" in failures[0].error
    assert watcher.story[-1] == ("ended", "b-s0", 12.5)


def test_several_at_a_time_share_the_threads(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(9)), raising=False)
    failures, _ = go([job("meet-s0"), job("meet-s1"), job("c-s0")], tmp_path, at_once=2)
    assert failures == []
    told = [json.loads((tmp_path / name / "job.json").read_text()) for name in ("meet-s0", "meet-s1", "c-s0")]
    assert [(one["threads"], one["runs_at_once"]) for one in told] == [("4", 2)] * 3
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert compare.child_environment(3)["OMP_NUM_THREADS"] == "7"  # who says how many is listened to
    with pytest.raises(UsageError, match="at least one run must go on at a time, got 0"):
        go([], tmp_path, at_once=0)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_runs_once_and_starts_no_other(tmp_path, signum):
    moved = []

    def when_moved(name):
        moved.append(name)
        if len(moved) == 2:
            os.kill(os.getpid(), signum)

    watcher = Seen(when_moved)
    with pytest.raises(Interrupted, match="Go on with the same command again") as stopped:
        go([job("wait-s0"), job("wait-s1"), job("c-s0")], tmp_path, watcher, at_once=2)
    assert stopped.value.signum == signum
    assert (tmp_path / "wait-s0" / "stopped").exists()
    assert (tmp_path / "wait-s1" / "stopped").exists()
    assert not (tmp_path / "c-s0").exists()
    assert not any(event[0] == "failed" for event in watcher.story)


def test_a_mistake_of_ours_leaves_no_run_behind(tmp_path):
    def when_moved(name):
        raise RuntimeError("a display that fails")

    before = threading.active_count()
    with pytest.raises(RuntimeError):
        go([job("wait-s0")], tmp_path, Seen(when_moved))
    assert threading.active_count() == before


# ----------------------------------------------------------------------------------------------------- before anything


def planned(data: Path, *mixings: str, seeds=(0,), vary=(), **settings) -> list[PlannedRun]:
    recipes = [
        Named(mixing.partition("(")[0], mixing, Recipe(data=f"arrays:{data}", model="ResNet(depth=8, bottleneck=False)",
              mixing=mixing, epochs=2, batch_size=16, lr=0.05))
        for mixing in mixings
    ]  # fmt: skip
    return plan(recipes, seeds=seeds, variations=[parse_variation(text) for text in vary], changes=settings)


def leave(run: PlannedRun, runs: Path, *files: str, without: str = "", **settings) -> None:
    """A folder as the run would leave it, with settings changed or taken out of its recipe."""
    folder = runs / run.name
    folder.mkdir(parents=True)
    kept = {name: value for name, value in {**run.recipe.as_dict(), **settings}.items() if name != without}
    (folder / "recipe.json").write_text(json.dumps(kept))
    for name in files:
        (folder / name).write_text("{}")


def test_what_there_is_of_each_run_is_seen(tiny_arrays, tmp_path):
    runs = tmp_path / "runs"
    asked = planned(tiny_arrays, "NoMixing", "CutMix(prob=0.3)", seeds=[0, 1])
    whole = [job.run for job in prepare(asked, runs)]
    assert whole[1].recipe.mixing == "CutMix(alpha=1.0, prob=0.3, scope='per_batch', geometry='paper')"
    assert whole[1].recipe.image_size == 12
    assert [run.recipe.seed for run in whole] == [0, 0, 1, 1]
    leave(whole[0], runs, "result.json", without="amp")  # an older recipe, which did not know of amp
    leave(whole[1], runs)
    jobs = prepare(asked, runs)
    assert [job.status for job in jobs] == [Status.ENDED, Status.STARTED, Status.MISSING, Status.MISSING]
    text = compare.describe(jobs, 2)
    assert text.splitlines()[0].split() == ["NoMixing-s0", "done"]
    assert text.endswith("4 runs: 1 done, 1 to go on with, 2 to run; 6 epochs at most, 2 run(s) at a time")


def test_a_folder_of_another_recipe_is_refused_with_the_difference(tiny_arrays, tmp_path):
    asked = planned(tiny_arrays, "NoMixing", "MixUp")
    whole = [job.run for job in prepare(asked, tmp_path)]
    leave(whole[0], tmp_path, lr=0.3)
    leave(whole[1], tmp_path, "result.json", epochs=9)
    with pytest.raises(UsageError) as refused:
        prepare(asked, tmp_path)
    assert f"{tmp_path / 'NoMixing-s0'}: lr: 0.3 -> 0.05" in str(refused.value)
    assert f"{tmp_path / 'MixUp-s0'}: epochs: 9 -> 2" in str(refused.value)
    assert "Choose another folder by --runs" in str(refused.value)


def test_a_run_on_other_images_is_refused(tiny_arrays, tmp_path):
    asked = planned(tiny_arrays, "NoMixing")
    (prepared,) = prepare(asked, tmp_path)
    leave(prepared.run, tmp_path)
    (tmp_path / "NoMixing-s0" / "result.json").write_text(json.dumps({"fingerprint": "0123456789abcdef"}))
    with pytest.raises(UsageError, match="the images and labels, by fingerprint: 0123456789abcdef -> "):
        prepare(asked, tmp_path)


def test_data_and_settings_are_looked_at_before_anything_starts(tiny_arrays, tmp_path):
    with pytest.raises(CutmixError, match="nowhere"):
        prepare(planned(tmp_path / "nowhere", "NoMixing"), tmp_path)
    with pytest.raises(UsageError, match="no argument|unexpected keyword|got an"):
        prepare(planned(tiny_arrays, "NoMixing", "MixUp(beta=3)"), tmp_path)
    assert not any(path.name.endswith("-s0") for path in tmp_path.iterdir())


def test_under_torchrun_a_comparison_is_refused(tiny_arrays, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="not by torchrun"):
        prepare(planned(tiny_arrays, "NoMixing"), tmp_path)


# ------------------------------------------------------------------------------------------------------------- for real


def ask(process: subprocess.Popen, run: PlannedRun, runs: Path, **changes) -> None:
    message = compare.job_message(Job(run, Status.MISSING), Circumstances(runs, cpu=True), 1)
    process.stdin.write(json.dumps({**message, **changes}) + "\n")
    process.stdin.flush()


def test_a_run_whose_starter_is_gone_stops_and_keeps_its_state(tiny_arrays, tmp_path):
    (run,) = planned(tiny_arrays, "CutMix", epochs=100_000)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(compare.CHILD, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes) as process:
        ask(process, run, tmp_path)
        assert json.loads(process.stdout.readline())["position"] > 0
        process.stdin.close()
        assert [json.loads(line) for line in process.stdout][-1] == {"stopped": signal.SIGTERM}
        assert process.wait() == 128 + signal.SIGTERM
    assert (tmp_path / run.name / "last.pth.tar").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)  # several processes, each of which imports torch
def test_a_comparison_that_was_killed_is_finished_by_the_same_command(
    tiny_arrays, tmp_path, capfd, monkeypatch, elsewhere_locked
):
    """Two recipes, one of which fails at its second step; SIGKILL in the middle of the first; then again."""
    monkeypatch.chdir(tmp_path)
    tiny = {
        "data": f"arrays:{tiny_arrays}",
        "model": "ResNet(depth=8, bottleneck=False)",
        "batch_size": 24,
        "epochs": 6,
    }
    for name, changes in {"cut": {"mixing": "CutMix(prob=0.5)", "lr": 0.05}, "wild": {"lr": 1e30}}.items():
        Path(f"{name}.json").write_text(json.dumps({**tiny, **changes}))
    words = ["compare", "cut.json", "wild.json", "--seeds", "1", "--cpu"]
    cut = Path("runs/cut-s0")
    with subprocess.Popen([sys.executable, "-m", "cutmix", *words], stdout=subprocess.DEVNULL) as process:
        while not (cut / "last.pth.tar").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    with elsewhere_locked(cut / ".lock"):  # which waits until the run has noticed, and has kept its state
        pass
    assert not Path("comparison").exists()
    assert not Path("runs/wild-s0").exists()
    ended = (cut / "result.json").read_bytes() if (cut / "result.json").exists() else b""  # where the kill came late
    assert main([*words, "--quiet"]) == 1
    out, error = capfd.readouterr()
    assert "wild-s0 failed" in error
    assert "Not ended, and not in the table: wild-s0." in out
    whole = json.loads(Path("comparison/compare.json").read_text())
    assert [row["name"] for row in whole["rows"]] == ["lr=0.05, mixing=CutMix"]
    epochs = [json.loads(line)["epoch"] for line in (cut / "metrics.jsonl").read_text().splitlines()]
    assert epochs == [1, 2, 3, 4, 5, 6]
    assert ended or "resuming" in (cut / "compare.log").read_text()
    assert (cut / "result.json").read_bytes() == ended or not ended


def test_a_job_is_done_in_this_process_as_it_is_in_its_own(tiny_arrays, tmp_path):
    (prepared,) = prepare(planned(tiny_arrays, "CutMix(prob=0.3)", seeds=[3], epochs=1), tmp_path)
    message = compare.job_message(prepared, Circumstances(tmp_path, cpu=True), 2)
    said = (tmp_path / "said").open("w+")
    with said, (tmp_path / "log").open("w+") as log:
        result = child.run_job(json.loads(json.dumps(message)), child.Reporter(said, log))
        said.seek(0)
        positions = [json.loads(line)["position"] for line in said]
    assert positions[0] == pytest.approx(1 / 3)
    assert positions[-1] == 1
    assert (result["runs_at_once"], result["processes"], len(result["fingerprint"])) == (2, 1, 16)
    assert result["command"].endswith(f"--name {prepared.run.name} --runs {tmp_path} --cpu")
    assert Recipe.read(tmp_path / prepared.run.name) == prepared.run.recipe
    assert "epoch 1/1" in (tmp_path / "log").read_text()
