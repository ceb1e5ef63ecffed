"""Two processes test a detector or captioner as one does, and train one network between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["voc", "tsv"])
def test_two_processes_are_one(kind, request, tmp_path):
    """Detection by SSD, and captions by NIC: three, or two, test pictures between two processes."""
    folder = request.getfixturevalue({"voc": "tiny_voc", "tsv": "tiny_captions"}[kind])
    script = str(Path(__file__).with_name("two_processes.py"))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for launch, name in (([], "one"), (torchrun, "two")):
        command = [sys.executable, *launch, script, f"{kind}:{folder}", str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=280)
        assert done.returncode == 0, done.stderr[-3000:]
    one, first, second = (json.loads((tmp_path / name).read_text()) for name in ("one.0", "two.0", "two.1"))
    assert (one["processes"], first["processes"]) == (1, 2)
    assert first["measures"] == second["measures"] == one["measures"]
    assert first["details"] == one["details"]  # the second process leaves them out
    assert first["weights"] == second["weights"]
    assert first["record"] == second["record"]
    assert first["record"]["train_loss"] == pytest.approx(one["record"]["train_loss"], rel=0.2)  # other normalisation
