"""The README says what is so: its tree is the tree, its lines run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cutmix import CutMix
from cutmix.models import ResNet

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def caption(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def tree() -> str:
    """Every source file with its caption, as the README prints it."""
    lines = []
    for path in sorted(
        (ROOT / "src" / "cutmix").rglob("*.py"), key=lambda p: (p.parent, p.name != "__init__.py", p.name)
    ):
        inside = path.relative_to(ROOT / "src" / "cutmix")
        indent = "  " * len(inside.parts)
        if path.name == "__init__.py":
            name = f"{'/'.join(inside.parts[:-1]) or 'src/cutmix'}/"
            lines.append(f"{'  ' * (len(inside.parts) - 1)}{name:<24}{caption(path)}")
        else:
            lines.append(f"{indent}{path.name:<{24 - len(indent) + 2}}{caption(path)}")
    return "\n".join(lines)


def code(number: int) -> str:
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]


def test_the_tree_is_the_tree():
    assert tree() in README, f"the README's tree should be:\n{tree()}"


def test_every_file_has_a_caption_of_one_sentence():
    for path in (ROOT / "src" / "cutmix").rglob("*.py"):
        assert 20 < len(caption(path)) < 130, (path, caption(path))


def test_the_three_lines_of_a_loop_run():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))
    names = {
        "model": model,
        "images": torch.randn(6, 3, 8, 8),
        "labels": torch.arange(6) % 5,
        "rng": np.random.default_rng(0),
    }
    exec(code(0), names)
    names["loss"].backward()
    assert model[1].weight.grad.abs().sum() > 0


def test_the_collate_function_runs():
    dataset = [(torch.randn(3, 8, 8), k % 10) for k in range(130)]
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10))
    source = code(1)
    setup, loss = source.rsplit("\n", 2)[0], source.rsplit("\n", 2)[1]
    names = {"dataset": dataset, "model": model, "torch": torch, "DataLoader": torch.utils.data.DataLoader}
    exec(setup, names)
    names["images"], names["target"] = next(iter(names["loader"]))
    exec(loss, names)
    assert names["target"].shape == (128, 10)
    assert torch.isfinite(names["loss"])


def test_mixing_in_hidden_layers_runs():
    model = ResNet(depth=8, num_classes=5, bottleneck=False)
    names = {
        "model": model,
        "images": torch.randn(6, 3, 8, 8),
        "labels": torch.arange(6) % 5,
        "rng": np.random.default_rng(0),
    }
    exec(code(2), names)
    assert model.conv1.weight.grad.abs().sum() > 0
    images, masks = torch.randn(2, 3, 8, 8), torch.arange(128).view(2, 8, 8)
    mixed, mixed_masks = CutMix().with_masks(images, masks, names["rng"])
    moved = mixed_masks != masks
    assert torch.equal(moved, (mixed != images).all(1))


def test_the_official_commands_are_in_it_word_for_word():
    one_line = " ".join(README.replace("\\\n", " ").split())
    for words in ("--net_type pyramidnet --dataset cifar100 --depth 200 --alpha 240 --batch_size 64 --lr 0.25",):
        assert words in one_line
