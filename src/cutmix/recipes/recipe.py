"""A recipe: every setting of a run, as plain values that can be written down and read back."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from cutmix.errors import UsageError, nearest
from cutmix.training.settings import Settings, setting

AUTO = ""


@dataclass(frozen=True, kw_only=True)
class WrittenSettings(Settings):
    """Settings that can be changed by name, written down and read back. Every one has a default."""

    def but(self, **changes: Any) -> Self:
        """The same recipe with other values; unknown names and values of another kind are refused."""
        return replace(self, **{name: _checked(type(self), name, value) for name, value in changes.items()})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a recipe from the JSON file that a run leaves, or from a run's folder.

        Raises:
            UsageError: the file is not there, is not JSON, or has settings that a recipe does not have.
        """
        return cls().but(**_json_object(path / "recipe.json" if path.is_dir() else path))


@dataclass(frozen=True, kw_only=True)
class Recipe(WrittenSettings):
    """What to train, on what, and how. Parts are constructor calls; an empty one is chosen to fit the data.

    Recipes know no objects: ``recipes.build`` makes them.
    """

    data: str = setting("digits", "cifar10, cifar100, imagenet, fashion_mnist, digits, folder:PATH, arrays:PATH")
    model: str = setting(
        AUTO, "network, e.g. 'ResNet(depth=20, bottleneck=False)', torchvision.resnet18, timm.resnet50"
    )
    mixing: str = setting("NoMixing()", "mixing, e.g. 'CutMix(alpha=1.0, prob=0.5)', MixUp, Cutout, NoMixing")
    regularizer: str = setting(
        "NoRegularizer()", "layer noise, e.g. 'ShakeDrop(last=0.5)', DropBlock, StochasticDepth, NoRegularizer"
    )
    augment: str = setting(
        AUTO,
        "augmentation, e.g. 'CropFlip(padding=4)', 'PhotoCrop(size=224, policy=RandAugment())', NoAugment; "
        "policies: AutoAugment(policy='imagenet'), RandAugment(num_ops=2, magnitude=9), TrivialAugment()",
    )
    image_size: int = setting(0, "side of the network's input in pixels; 0 = the data's own")
    train_images: int = setting(0, "train on so many images, drawn evenly over the classes; 0 = all")
    init: str = setting(AUTO, "weights to start from: a checkpoint, or e.g. torchvision.vgg16(weights='DEFAULT')")
    new_head: bool = setting(False, "init gives all but the last layer (for VGGGAP its new layers), which start anew")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.new_head and self.init == AUTO:
            raise UsageError("new_head says which of the weights of init are left out, and there is no init")
        for name in ("image_size", "train_images"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative, got {getattr(self, name)}")


def _json_object(file: Path) -> dict[str, Any]:
    try:
        settings = json.loads(file.read_text())
    except OSError as error:
        raise UsageError(f"cannot read the recipe {file}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{file} is not a recipe: {error}") from error
    if not isinstance(settings, dict):
        raise UsageError(f"{file} is not a recipe: a JSON object was expected, this is a {type(settings).__name__}")
    return settings


def _checked(recipe: type[WrittenSettings], name: str, value: Any) -> Any:
    """``value`` as the kind that the setting has (an int may stand for a float)."""
    known = {f.name: f.default for f in fields(recipe)}
    if name not in known:
        raise UsageError(f"a recipe has no setting {name!r}.{nearest(name, known)}")
    kind = type(known[name])
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UsageError(f"{name} must be a {kind.__name__}, got {value!r}")
    return value
