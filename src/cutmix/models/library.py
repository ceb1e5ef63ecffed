"""Any classification network of torchvision and timm, by name. Both libraries are imported when they are first used."""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlparse

import torch
from torch import nn

from cutmix.errors import CutmixError, UsageError, nearest

logger = logging.getLogger(__name__)

_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")

Normalisation: TypeAlias = tuple[tuple[float, float, float], tuple[float, float, float]]


def list_torchvision() -> list[str]:
    """The names of torchvision's classification networks."""
    from torchvision import models

    return models.list_models(module=models)


def torchvision_model(
    name: str, num_classes: int | None = None, weights: str | None = None, **kwargs: Any
) -> nn.Module:
    """A classification network of torchvision: ``torchvision_model("resnet18", num_classes=10)``.

    It gives plain logits in training as well: the auxiliary heads of googlenet and inception_v3 are left out.

    Args:
        name: one of :func:`list_torchvision`.
        num_classes: number of logits; None for the library's own, 1000. Where it differs from that of ``weights``, the
            head is replaced by an untrained one, and a log message says so.
        weights: None (initialised from torch's global generator), ``"DEFAULT"`` (the library's best), or the name of a
            set such as ``"IMAGENET1K_V1"``, which is downloaded once.
        kwargs: passed on to torchvision.

    Raises:
        UsageError: a name, weights or argument that there is not.
        CutmixError: the weights cannot be downloaded or read.
    """
    known = list_torchvision()
    if name not in known:
        raise UsageError(
            f"torchvision has no classification network {name!r}.{nearest(name, known)} "
            f"It has {len(known)}: cutmix.models.library.list_torchvision() lists them."
        )
    if kwargs.pop("aux_logits", False):
        raise UsageError(f"{name} with aux_logits=True gives several outputs in training: leave it out")
    if weights is None:
        if num_classes is not None:
            kwargs["num_classes"] = num_classes
        if name in _WITH_AUXILIARY_HEADS:
            kwargs = {"aux_logits": False, "init_weights": True, **kwargs}
        return _built(name, None, kwargs)
    chosen = _torchvision_weights(name, weights)
    model = _built(name, chosen, kwargs)
    if name in _WITH_AUXILIARY_HEADS:
        _drop_auxiliary_heads(model)
    trained = len(chosen.meta["categories"])
    if num_classes not in (None, trained):
        _replace_head(model, trained, num_classes)
        _log_new_head(f"torchvision.{name}", trained, num_classes)
    return model


class PhotoInput(NamedTuple):
    """How a library's own tests show a photo to a network."""

    normalisation: Normalisation
    """Mean and standard deviation of each channel, in units where a pixel lies in [0, 1]."""
    size: int
    """Pixels a side of what the network is fed."""
    resized: int
    """Pixels of the short side before the middle is cropped."""
    interpolation: str


def torchvision_input(name: str, weights: str) -> PhotoInput:
    """How torchvision tests these weights: ViT's and EfficientNet's larger ones see more than 224 pixels."""
    preset = _torchvision_weights(name, weights).transforms()
    constants = tuple(preset.mean), tuple(preset.std)
    return PhotoInput(constants, preset.crop_size[0], preset.resize_size[0], preset.interpolation.value)


def torchvision_kwargs(name: str, weights: str) -> dict[str, Any]:
    """What ``weights`` change of torchvision's network: with these arguments it is the same without the weights."""
    if name in _WITH_AUXILIARY_HEADS:
        return {"transform_input": True}
    if name.startswith("vit_"):
        return {"image_size": _torchvision_weights(name, weights).meta["min_size"][0]}
    return {}


def _torchvision_weights(name: str, weights: str) -> Any:
    from torchvision import models

    sets = models.get_model_weights(name).__members__
    chosen = sets.get(str(weights).rpartition(".")[2])
    if chosen is None:
        accepted = ", ".join(sets) or "none: this network has no trained weights"
        raise UsageError(f"torchvision.{name} has no weights {weights!r}. It has: {accepted}.")
    return chosen


def _built(name: str, weights: Any, kwargs: dict[str, Any]) -> nn.Module:
    from torchvision import models

    try:
        model: nn.Module = models.get_model(name, weights=weights, **kwargs)
    except (TypeError, ValueError) as error:
        raise UsageError(f"torchvision.{name}: {error}") from error
    except Exception as error:  # the network, the disk and the unpickler each have their own
        if weights is None:
            raise
        file = Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(urlparse(weights.url).path).name
        raise CutmixError(
            f"the weights {weights.name} of torchvision.{name} could not be downloaded or read ({_first_line(error)}). "
            f"Download {weights.url} where there is a network, and put it at {file}"
        ) from error
    return model


def _drop_auxiliary_heads(model: nn.Module) -> None:
    model.aux_logits = False  # type: ignore[assignment]
    for head in ("aux1", "aux2", "AuxLogits"):
        if hasattr(model, head):
            setattr(model, head, None)


def _replace_head(model: nn.Module, old_classes: int, num_classes: int) -> None:
    """Put a new layer in the place of the last one that gives ``old_classes`` outputs."""
    for name, layer in reversed(list(model.named_modules())):
        if isinstance(layer, nn.Linear) and layer.out_features == old_classes:
            head: nn.Module = nn.Linear(layer.in_features, num_classes, bias=layer.bias is not None)
        elif isinstance(layer, nn.Conv2d) and layer.out_channels == old_classes:
            head = nn.Conv2d(layer.in_channels, num_classes, layer.kernel_size, bias=layer.bias is not None)  # type: ignore[arg-type]
        else:
            continue
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, head.to(layer.weight.device, layer.weight.dtype))
        return
    raise CutmixError(f"found no layer with {old_classes} outputs to replace in {type(model).__name__}")


def _log_new_head(network: str, trained: int, num_classes: int | None) -> None:
    logger.warning("%s: an untrained head for %s classes replaces the trained one (%s)", network, num_classes, trained)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise CutmixError(f"timm's networks need timm ({error}): pip install 'cutmix[timm]'") from error
    module: ModuleType = timm
    return module


def list_timm(pattern: str = "") -> list[str]:
    """The names of timm's networks that match a shell pattern such as ``"*resnet*"``; all of them without one.

    Raises:
        CutmixError: timm is not installed.
    """
    names: list[str] = _timm().list_models(pattern)
    return names


def timm_model(name: str, num_classes: int | None = None, pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """A network of timm: ``timm_model("resnet50", num_classes=10)``.

    Args:
        name: one of :func:`list_timm`, where wanted with the tag of its weights: ``"resnet50.a1_in1k"``.
        num_classes: number of logits; None for the network's own. Where it differs from that of the trained weights,
            the head is replaced by an untrained one, and a log message says so.
        pretrained: load trained weights, which are downloaded once; else initialised from torch's global generator.
        kwargs: passed on to timm.

    Raises:
        UsageError: a name, tag or argument that there is not, or no trained weights.
        CutmixError: timm is not installed, or the weights cannot be downloaded or read.
    """
    timm = _timm()
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise UsageError(
            f"timm has no network {architecture!r}.{nearest(architecture, timm.list_models())} "
            "cutmix.models.library.list_timm('*resnet*') lists those that match a pattern."
        )
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UsageError(f"timm.{architecture} has no weights {tag!r}.{nearest(tag, tags)} It has: {', '.join(tags)}.")
    if pretrained and not timm.get_pretrained_cfg(name).has_weights:
        raise UsageError(f"timm.{name} has no trained weights: leave out pretrained=True")
    model = _made_by_timm(name, num_classes, pretrained, kwargs)
    trained = timm.get_pretrained_cfg(name).num_classes
    if pretrained and num_classes not in (None, trained):
        _log_new_head(f"timm.{name}", trained, num_classes)
    return model


def timm_input(name: str) -> PhotoInput:
    """How timm tests a network's trained weights."""
    noted = _timm().get_pretrained_cfg(name)
    size = (noted.test_input_size or noted.input_size)[-1]
    constants = tuple(noted.mean), tuple(noted.std)
    return PhotoInput(constants, size, int(size / (noted.test_crop_pct or noted.crop_pct)), noted.interpolation)


def _made_by_timm(name: str, num_classes: int | None, pretrained: bool, kwargs: dict[str, Any]) -> nn.Module:
    timm = _timm()
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=num_classes, **kwargs)
    except (TypeError, ValueError) as error:
        raise UsageError(f"timm.{name}: {error}") from error
    except Exception as error:  # the network, the disk and Hugging Face's client each have their own
        if not pretrained:
            raise
        raise CutmixError(_timm_download_message(name, error)) from error
    return model


def _timm_download_message(name: str, error: BaseException) -> str:
    config = _timm().get_pretrained_cfg(name)
    failed = f"the weights of timm.{name} could not be downloaded or read ({_first_line(error)})."
    if config.hf_hub_id:
        from huggingface_hub import constants

        return (
            f"{failed} Run 'hf download {config.hf_hub_id}' where there is a network, and copy the folder "
            f"models--{config.hf_hub_id.replace('/', '--')} of its cache into {constants.HF_HUB_CACHE}"
        )
    file = Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(urlparse(config.url).path).name
    return f"{failed} Download {config.url} where there is a network, and put it at {file}"
