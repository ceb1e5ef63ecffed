"""The arrows between folders, and what the source never does, both read from the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "cutmix"

# The ground imports nothing of ours but the errors; each folder of the row may import the ground and what is before it.
GROUND = ("results", "measures", "pictures", "mixing", "models")
ROW = ("data", "training", "evaluation", "transfer", "recipes")
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "files": {"errors"},
    **{place: {"errors", "files"} for place in GROUND},
    **{place: {"errors", "files", *GROUND, *ROW[:number]} for number, place in enumerate(ROW)},
    "charts": {"errors"},
    "runs": {"errors", "results", "measures"},
    "comparison": {"errors", "results", "measures", "runs"},
    "cautions": {"comparison", "measures", "runs"},
    "page": {"errors", "files"},
    "report": {"errors", "files", "results", "pictures", "page", "measures", "runs", "comparison", "cautions"},
    "evaluation_page": {"errors", "files", "results", "charts", "page", "runs", "cautions"},
    "cli": {"errors", "files", *GROUND, *ROW, "runs", "report", "evaluation_page"},
    "__init__": {"mixing"},
    "__main__": {"cli"},
}

RANK_NAMES = {"utils", "util", "core", "common", "helpers", "misc", "base"}
HEAVY = {"torchvision", "timm", "matplotlib", "sklearn", "accelerate", "PIL", "tensorboard", "tqdm"}
OWN_STREAM = {"Generator", "default_rng", "RandomState", "SeedSequence", "BitGenerator", "PCG64", "Philox", "MT19937",
              "Random", "SystemRandom"}  # fmt: skip
# The library that corrupts images draws from numpy's shared stream, which is therefore set, and put back, in one place.
BORROWED = {"evaluation/corrupted_images.py": {"numpy.random.get_state", "numpy.random.seed", "numpy.random.set_state"}}


# --------------------------------------------------------------------------------------------------- reading the source


def sources(root: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(root.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of everything imported, wherever it is: ``from .x import y`` gives ``package.x.y``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


def arrows(root: Path) -> Iterator[tuple[str, str, str]]:
    """(where, from place, to place) of every import of our own that leaves its folder."""
    for path, tree in sources(root):
        parts = path.relative_to(root).with_suffix("").parts
        package = ".".join(["cutmix", *parts[:-1]])
        for line, name in imported(tree, package):
            top, _, rest = name.partition(".")
            place = rest.partition(".")[0]
            if top == "cutmix" and place not in ("", "__version__", parts[0]):
                yield f"{path.relative_to(root)}:{line}", parts[0], place


def wrong_arrows(root: Path) -> list[str]:
    return [
        f"{where}: {start} must not import {end}"
        for where, start, end in arrows(root)
        if end not in MAY_IMPORT.get(start, set())
    ]


def unknown_places(root: Path) -> list[str]:
    """Folders and files that have no place in the row, or whose name says a rank and not what they hold."""
    places = {path.relative_to(root).with_suffix("").parts[0] for path in root.rglob("*.py")}
    named = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.stem in RANK_NAMES}
    return sorted((places - set(MAY_IMPORT)) | named)


def at_import(tree: ast.AST) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported: none in functions, none under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.stmt):
            yield node
        yield from at_import(node)


def heavy_imports(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{line}: {name}"
        for path, tree in sources(root)
        for statement in at_import(tree)
        if isinstance(statement, (ast.Import, ast.ImportFrom))
        for line, name in imported(ast.Module([statement], []), "cutmix")
        if name.partition(".")[0] in HEAVY
    ]


def full_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every attribute and imported name, with what ``import ... as`` renamed put back."""
    renamed = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            renamed.update({alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else
                            alias.name.partition(".")[0] for alias in node.names})  # fmt: skip
        elif isinstance(node, ast.ImportFrom) and not node.level:
            renamed.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in renamed and rest.replace(".", "").isidentifier():
                yield node.lineno, f"{renamed[first]}.{rest}"


def shared_chance(root: Path) -> list[str]:
    """Uses of the random streams that everything in a process shares: numpy's and the standard library's."""
    return [
        f"{path.relative_to(root)}:{line}: {name}"
        for path, tree in sources(root)
        for line, name in full_names(tree)
        for stream in ("numpy.random.", "random.")
        if name.startswith(stream) and name.removeprefix(stream).partition(".")[0] not in OWN_STREAM
        if name not in BORROWED.get(path.relative_to(root).as_posix(), ())
    ]


def device_by_hand(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{node.lineno}: .cuda("
        for path, tree in sources(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cuda"
    ]


def windows(root: Path) -> list[str]:
    """Uses of matplotlib.pyplot, which keeps a global list of figures and may open windows."""
    return [
        f"{path.relative_to(root)}:{line}: {name}"
        for path, tree in sources(root)
        for line, name in imported(tree, "cutmix")
        if name.startswith("matplotlib.pyplot")
    ]


RULES = (wrong_arrows, unknown_places, heavy_imports, shared_chance, device_by_hand, windows)


# ----------------------------------------------------------------------------------------------------------- our source


@pytest.mark.parametrize("rule", RULES)
def test_our_source_keeps_the_rule(rule):
    assert rule(SOURCE) == []


def test_the_arrows_of_our_source_are_seen():
    seen = {(start, end) for _, start, end in arrows(SOURCE)}
    assert {("report", "results"), ("report", "pictures"), ("evaluation", "errors"), ("pictures", "errors")} <= seen
    assert ("__init__", "mixing") in seen  # one that only a string in a call says


def modules_loaded_by(*names: str) -> set[str]:
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "name",
    [
        "cutmix",
        "cutmix.cli",
        "cutmix.errors",
        "cutmix.results",
        "cutmix.pictures",
        "cutmix.measures",
        "cutmix.runs",
        "cutmix.comparison",
        "cutmix.cautions",
        "cutmix.report",
        "cutmix.evaluation_page",
    ],
)
def test_what_answers_without_torch(name):
    loaded = modules_loaded_by(name)
    assert name in loaded
    assert not {"torch", *HEAVY} & loaded


# ------------------------------------------------------------------------------------------------ a source that offends


OFFENDING = {
    "mixing/cutmix.py": """
from cutmix.models import ResNet
import numpy as np
x = np.random.rand(3)
""",
    "models/resnet.py": """
from ..errors import UsageError
from ..data.cifar import load
def f(net): return net.cuda()
""",
    "data/cifar.py": """
def load():
    from cutmix import training
    import torchvision
""",
    "data/chance.py": """
import random as r
from numpy.random import shuffle, default_rng
r.seed(0); r.Random(0)
""",
    "data/common.py": """
import numpy, torch
numpy.random.default_rng(0).random(3); numpy.random.seed(1)
from numpy import random as chance
chance.normal(0, 1); torch.random.fork_rng()
""",
    "training/loop.py": """
from cutmix.models import a
import importlib
importlib.import_module('cutmix.recipes')
""",
    "training/run.py": """
try:
    import accelerate
except ImportError: pass
from . import loop
from .loop import fit
""",
    "evaluation/cam.py": """
class A:
    from PIL import Image
if TYPE_CHECKING:
    import timm
    from cutmix.report import write_report
""",
    "recipes/small.py": """
import cutmix.cli
import cutmix
from cutmix import __version__, CutMix
""",
    "report.py": """
import cutmix.data
import matplotlib.pyplot as plt
""",
    "utils/things.py": "",
}


@pytest.fixture
def offending(tmp_path) -> Path:
    for name, text in OFFENDING.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (
            wrong_arrows,
            [
                "data/cifar.py:3: data must not import training",
                "evaluation/cam.py:6: evaluation must not import report",
                "mixing/cutmix.py:2: mixing must not import models",
                "models/resnet.py:3: models must not import data",
                "recipes/small.py:2: recipes must not import cli",
                "recipes/small.py:4: recipes must not import CutMix",
                "report.py:2: report must not import data",
                "training/loop.py:4: training must not import recipes",
            ],
        ),
        (unknown_places, ["data/common.py", "utils"]),
        (
            heavy_imports,
            ["evaluation/cam.py:3: PIL.Image", "report.py:3: matplotlib.pyplot", "training/run.py:3: accelerate"],
        ),
        (
            shared_chance,
            [
                "data/chance.py:3: numpy.random.shuffle",
                "data/chance.py:4: random.seed",
                "data/common.py:3: numpy.random.seed",
                "data/common.py:5: numpy.random.normal",
                "mixing/cutmix.py:4: numpy.random.rand",
            ],
        ),
        (device_by_hand, ["models/resnet.py:4: .cuda("]),
        (windows, ["report.py:3: matplotlib.pyplot"]),
    ],
)
def test_a_source_that_offends_is_caught(offending, rule, found):
    assert rule(offending) == found


def test_every_rule_is_tested_on_a_source_that_offends(offending):
    assert all(rule(offending) for rule in RULES)
