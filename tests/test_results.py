"""Records of results: what is written comes back, and means and deviations are those worked out by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError
from datetime import datetime
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import cutmix
from cutmix import results
from cutmix.errors import CutmixError, UsageError
from cutmix.results import Record, code_version, describe_machine, read_records, summarise, write_records


def a_record(value: float = 21.4, seed: int | None = 0, **changes) -> Record:
    usual = {"name": "test_error_top1_last", "n": 10_000, "recipe": {"mixing": "CutMix(alpha=1.0)", "lr": 0.1}}
    return Record(value=value, seed=seed, commit="0.1.0", device="cpu, 2 threads, a CPU", **{**usual, **changes})


def test_records_come_back_as_they_were(tmp_path):
    first, second, third = a_record(), a_record(14.47, 1, recipe="pyramidnet"), a_record(0.1 + 0.2, None, n=1)
    path = tmp_path / "new" / "results.jsonl"
    write_records(path, [first, second])
    write_records(str(path), [third])
    assert read_records(path) == [first, second, third]
    assert read_records([path, path]) == [first, second, third] * 2
    assert [json.loads(line)["value"] for line in path.read_text().splitlines()] == [21.4, 14.47, 0.1 + 0.2]


def test_a_record_knows_when_and_with_which_torch():
    record = a_record()
    assert record.torch == metadata.version("torch")
    age = datetime.now().astimezone() - datetime.fromisoformat(record.date)
    assert 0 <= age.total_seconds() < 100
    with pytest.raises(FrozenInstanceError):
        record.value = 0.0  # type: ignore[misc]


def test_numbers_of_other_libraries_are_written_as_numbers(tmp_path):
    write_records(tmp_path / "results.jsonl", [a_record(np.float32(0.5))])
    assert read_records(tmp_path / "results.jsonl")[0].value == 0.5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(value):
    with pytest.raises(UsageError, match=r"test_error_top1_last is (nan|inf): only finite"):
        a_record(value)


def test_a_result_over_nothing_is_refused():
    with pytest.raises(UsageError, match="n = 0"):
        a_record(n=0)


def test_a_line_that_was_never_finished_is_kept_apart_and_named(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text('{"name": "test_err')
    write_records(path, [a_record()])
    with pytest.raises(CutmixError, match=r"results.jsonl, line 1 is not a result record .*: mend or delete"):
        read_records(path)
    path.write_text(path.read_text().split("\n", 1)[1])
    assert len(read_records(path)) == 1


@pytest.mark.parametrize("line", ["[1]", '{"name": "x"}', '{"name": 1, "unknown": 2}', '{"value": null}', "nan"])
def test_lines_that_are_no_records_are_named(tmp_path, line):
    path = tmp_path / "results.jsonl"
    write_records(path, [a_record()])
    path.write_text(path.read_text() + "\n" + line + "\n")
    with pytest.raises(CutmixError, match=r"results\.jsonl, line 3 is not"):
        read_records(path)


def test_files_that_cannot_be_read_or_written_are_named(tmp_path):
    with pytest.raises(CutmixError, match=r"cannot read results from .*none.jsonl"):
        read_records(tmp_path / "none.jsonl")
    with pytest.raises(CutmixError, match="cannot write results to"):
        write_records(tmp_path, [a_record()])


def test_nothing_is_written_if_one_record_cannot_be(tmp_path):
    path = tmp_path / "results.jsonl"
    with pytest.raises(TypeError):
        write_records(path, [a_record(), a_record(recipe={"model": object()})])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_records(path, [a_record(), a_record(recipe={"lr": float("nan")})])
    assert not path.exists()


def test_processes_can_share_a_file(tmp_path):
    code = """
import sys
from cutmix.results import Record, write_records
for seed in range(int(sys.argv[2]), int(sys.argv[2]) + 50):
    record = Record(name="x", value=1, n=1, seed=seed, recipe="y" * 1000, commit="", device="")
    write_records(sys.argv[1], [record, record])
"""
    path = tmp_path / "results.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", code, path, start]) for start in ("0", "50")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert sorted(record.seed for record in read_records(path)) == sorted([*range(100), *range(100)])


# ------------------------------------------------------------------------------------------------------------ summaries


def test_summary_by_hand():
    # 2, 3, 7: mean 4, deviations -2, -1, 3, squares 14, over n - 1 = 2 is 7
    (summary,) = summarise([a_record(2, 0), a_record(3, 1), a_record(7, 4)])
    assert summary.mean == 4
    assert summary.sd == pytest.approx(7**0.5)
    assert (summary.n, summary.values, summary.seeds) == (3, (2.0, 3.0, 7.0), (0, 1, 4))
    assert summary.group == {"name": "test_error_top1_last", "recipe": {"mixing": "CutMix(alpha=1.0)", "lr": 0.1}}
    assert str(summary) == "4.00 ± 2.65 (n = 3)"


def test_a_single_run_has_no_deviation():
    (summary,) = summarise([a_record(2.5)])
    assert summary.sd is None
    assert str(summary) == "2.50 (n = 1)"


def test_groups_are_by_recipe_without_its_seed():
    records = [a_record(value, seed, recipe={"lr": lr, "seed": seed}) for value, seed, lr in
               [(1, 0, 0.1), (5, 0, 0.2), (3, 1, 0.1)]]  # fmt: skip
    first, second = summarise(records)
    assert (first.group["recipe"], first.values) == ({"lr": 0.1}, (1.0, 3.0))
    assert (second.group["recipe"], second.values) == ({"lr": 0.2}, (5.0,))


def test_groups_by_a_setting_and_by_a_field():
    records = [
        a_record(1, 0, recipe={"mixing": "A", "lr": 0.1}),
        a_record(3, 1, recipe={"mixing": "A", "lr": 0.2}),
        a_record(8, 2, recipe={"mixing": "B", "lr": 0.1}, name="other"),
        a_record(9, 3, recipe="named"),
    ]
    assert [(s.group, s.mean) for s in summarise(records, by=["recipe.mixing"])] == [
        ({"recipe.mixing": "A"}, 2), ({"recipe.mixing": "B"}, 8), ({"recipe.mixing": None}, 9)
    ]  # fmt: skip
    assert [s.group["name"] for s in summarise(records, by=["name"])] == ["test_error_top1_last", "other"]
    with pytest.raises(UsageError, match=r"no field 'recip.mixing'.* Did you mean 'recipe'"):
        summarise(records, by=["recip.mixing"])


def test_the_same_seed_measured_again_replaces_and_is_not_one_more_run():
    (summary,) = summarise([a_record(2, 0), a_record(4, 1), a_record(6, 0)])
    assert (summary.n, summary.values, summary.seeds) == (2, (6.0, 4.0), (0, 1))


def test_results_without_a_seed_are_all_kept():
    (summary,) = summarise([a_record(2, None), a_record(4, None)])
    assert (summary.n, summary.mean, summary.sd) == (2, 3, pytest.approx(2**0.5))


def test_settings_in_another_order_are_the_same_recipe():
    one, other = a_record(1, 0, recipe={"lr": 0.1, "ema": 0}), a_record(2, 1, recipe={"ema": 0, "lr": 0.1})
    assert [summary.n for summary in summarise([one, other])] == [2]
    assert summarise([one, a_record(3, 2, recipe={})], by=["recipe.ema"])[1].group == {"recipe.ema": None}


# ----------------------------------------------------------------------------------------------------- where it was run


class Cuda:
    @staticmethod
    def is_available():
        return True

    @staticmethod
    def get_device_name(device):
        return f"Big GPU at {device}"


class Torch:
    cuda = Cuda

    @staticmethod
    def get_num_threads():
        return 3


def test_the_machine_is_described(monkeypatch):
    monkeypatch.setattr(results, "_cpu_model", lambda: "A CPU")
    monkeypatch.setitem(sys.modules, "torch", Torch)
    assert describe_machine() == "cuda, Big GPU at cuda, 3 threads, A CPU"
    assert describe_machine("cuda:1") == "cuda:1, Big GPU at cuda:1, 3 threads, A CPU"
    assert describe_machine("cpu") == "cpu, 3 threads, A CPU"
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(results, "_usable_cpus", lambda: 1)
    assert describe_machine() == "cpu, 1 thread, A CPU"


def test_this_machine_has_a_name_without_torch():
    code = (
        "import sys, cutmix.results as r; print(r.describe_machine()); r.code_version()\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    device, threads, cpu = run.stdout.strip().split(", ", 2)
    assert device == "cpu"
    assert 1 <= int(threads.split()[0]) <= (os.cpu_count() or 1)
    assert cpu


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True)


def test_the_version_names_the_commit_of_the_package_and_of_nothing_else(tmp_path, monkeypatch):
    package = tmp_path / "src" / "cutmix"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(cutmix, "__file__", str(package / "__init__.py"))
    assert code_version() == cutmix.__version__  # no repository

    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "of another project")
    assert code_version() == cutmix.__version__  # a repository that does not hold the package

    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "of the package")
    commit = subprocess.run(["git", "-C", tmp_path, "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert code_version() == f"{cutmix.__version__}+g{commit[:12]}"

    (tmp_path / "notes.txt").write_text("outside of the package")
    assert not code_version().endswith(".changed")
    (package / "__init__.py").write_text("x = 1")
    assert code_version() == f"{cutmix.__version__}+g{commit[:12]}.changed"

    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_version() == cutmix.__version__  # git is not installed
