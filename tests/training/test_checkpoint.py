"""Writing that loses nothing, and reading that refuses what is not a checkpoint."""

import resource
import subprocess
import sys
import textwrap

import pytest
import torch

from cutmix.errors import CutmixError
from cutmix.training.checkpoint import load_checkpoint, save_checkpoint


def test_a_checkpoint_that_does_not_fit_on_the_disk_loses_no_earlier_one(tmp_path):
    """The kernel's file size limit stands for a full disk: torch's own writer runs into it half way."""
    path, previous = tmp_path / "last", tmp_path / "previous"
    save_checkpoint(path, {"cutmix": {"n": 1}}, previous=previous)
    program = f"""
        import resource, signal, torch
        from pathlib import Path
        from cutmix.errors import CutmixError
        from cutmix.training.checkpoint import save_checkpoint
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            too_large = {{"cutmix": {{}}, "w": torch.zeros(100_000)}}
            save_checkpoint(Path({str(path)!r}), too_large, previous=Path({str(previous)!r}))
        except CutmixError as error:
            print("refused:", error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"refused: cannot write {path}"), done.stdout + done.stderr
    assert load_checkpoint(path) == {"cutmix": {"n": 1}}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last", "previous"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


def test_the_one_before_is_kept(tmp_path):
    path, previous = tmp_path / "last", tmp_path / "previous"
    for n in (1, 2, 3):
        save_checkpoint(path, {"cutmix": {"n": n}}, previous=previous)
    assert load_checkpoint(path)["cutmix"]["n"] == 3
    assert load_checkpoint(previous)["cutmix"]["n"] == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint at all", b"<html>", b"PK\x03\x04" + bytes(100)],
    ids=["empty", "text", "html", "zip"],
)
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "last.pth.tar"
    path.write_bytes(content)
    with pytest.raises(CutmixError, match=r"last.pth.tar is damaged or not a checkpoint"):
        load_checkpoint(path)


def test_a_truncated_checkpoint_is_named(tmp_path):
    path = tmp_path / "last.pth.tar"
    save_checkpoint(path, {"cutmix": {}, "weights": torch.arange(1000.0)})
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(CutmixError, match="damaged"):
        load_checkpoint(path)


def test_weights_alone_are_no_run_to_resume(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": {"a": torch.zeros(2)}}, path)
    with pytest.raises(CutmixError, match="holds no training run to resume; give it to --init"):
        load_checkpoint(path)


def test_pickled_code_is_not_run(tmp_path):
    path = tmp_path / "evil.pt"
    torch.save({"cutmix": {}, "path": tmp_path}, path)  # a PosixPath is code, to a pickle
    with pytest.raises(CutmixError, match="damaged or not a checkpoint"):
        load_checkpoint(path)
