"""A new method is one file: the command line, recipes and the contract tests find it by looking."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

import cutmix.mixing
from cutmix.cli import main
from cutmix.data import load_data
from cutmix.recipes import names
from cutmix.recipes.build import make_mixing
from cutmix.training.loop import fit
from cutmix.training.schedules import Constant
from cutmix.training.settings import Settings

FILE = '''"""Swaps the upper half of each image for its partner's."""

from dataclasses import dataclass

from cutmix.mixing.boxes import Box
from cutmix.mixing.draws import Draws
from cutmix.mixing.method import Mixing
from cutmix.mixing.plans import Paste


@dataclass(frozen=True)
class UpperHalf(Mixing):
    """Swaps upper halves."""

    def draw(self, shape, rng):
        return Paste(Box(0, 0, shape[2] // 2, shape[3]), Draws(rng).partners(shape[0]), tuple(shape[2:]))
'''


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch):
    (tmp_path / "upper_half.py").write_text(FILE)
    monkeypatch.setattr(cutmix.mixing, "__path__", [*cutmix.mixing.__path__, str(tmp_path)])
    yield
    sys.modules.pop("cutmix.mixing.upper_half", None)
    vars(cutmix.mixing).pop("upper_half", None)


def test_one_file_is_enough(made_up, capsys, tiny_arrays) -> None:
    assert "UpperHalf" in names.mixings()
    assert repr(make_mixing("Until(mixing=UpperHalf(), until=0.3)")).startswith("Until(mixing=UpperHalf()")
    spec = spec_from_file_location("contracts", Path(__file__).with_name("test_contracts.py"))
    contracts = module_from_spec(spec)
    spec.loader.exec_module(contracts)
    found = next(method for method in contracts.methods() if method.__name__ == "UpperHalf")
    assert cutmix.mixing.UpperHalf is found
    _, target = found()(torch.randn(4, 3, 6, 6), torch.arange(4), torch.Generator().manual_seed(0))
    assert target.share.tolist() == [0.5] * 4
    assert main(["list", "methods"]) == 0
    assert "UpperHalf" in capsys.readouterr().out
    data = load_data(f"arrays:{tiny_arrays}")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(432, 3))
    settings = Settings(epochs=1, batch_size=16, lr=0.1)
    state = fit(model, data, mixing=make_mixing("UpperHalf"), schedule=Constant(), settings=settings)
    assert state.epoch == 1
