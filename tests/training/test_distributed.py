"""Two processes train as one, and count each test image once."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cutmix.training.checkpoint import load_checkpoint

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}


def torchrun(*words: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_are_one(tiny_arrays, tmp_path):
    script = Path(__file__).with_name("two_processes.py")
    torchrun(str(script), str(tiny_arrays), str(tmp_path / "two.pt"), str(tmp_path / "runs"))
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    spec = importlib.util.spec_from_file_location("two_processes", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    one = module.train(tiny_arrays)
    assert (one["processes"], two["processes"]) == (1, 2)
    for name, tensor in one["weights"].items():
        torch.testing.assert_close(two["weights"][name], tensor, rtol=1e-4, atol=1e-6, msg=name)
    assert two["record"] == pytest.approx(one["record"], rel=1e-4)

    whole, stopped = (load_checkpoint(tmp_path / "runs" / name / "last.pth.tar") for name in ("whole", "stopped"))
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, stopped["state_dict"][name]), name
    for records in zip(whole["cutmix"]["run"]["history"], stopped["cutmix"]["run"]["history"]):
        first, second = ({k: v for k, v in r.items() if "second" not in k} for r in records)
        assert first == second
    assert whole["cutmix"]["processes"] == 2


@pytest.mark.slow
def test_the_command_line_under_torchrun(tiny_arrays, tmp_path):
    flags = ["--data", f"arrays:{tiny_arrays}", "--model", "ResNet(depth=8, bottleneck=False)", "--batch-size", "10"]
    train = ["-m", "cutmix", "train", *flags, "--runs", str(tmp_path), "--name", "run", "--cpu", "--epochs", "2"]
    torchrun(*train)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["test_images"] == 18
    thirds = result["test_error_top1_last"] / 100 * 18
    assert thirds == pytest.approx(round(thirds), abs=1e-3)  # whole images, none counted twice
    torchrun(*train, "--resume")
