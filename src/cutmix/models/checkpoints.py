"""Weights in files: published checkpoints of the official repository, plain state dicts, safetensors; and writing them.

Files are read with ``weights_only=True``: no code in them is ever run.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cutmix.errors import CutmixError, UsageError
from cutmix.files import write_atomically
from cutmix.models.guess import guess_model

__all__ = [
    "Weights",
    "guess_model",
    "load_weights",
    "official_checkpoint",
    "read_weights",
    "write_safetensors",
]

PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
STATE_DICT_KEYS = ("state_dict", "model")
DAMAGED = "a damaged file (cut off? download or copy it again)"
OURS = "cutmix"
"""The key that holds our own data, in the official dictionary and in the metadata of a safetensors file."""


@dataclass(frozen=True)
class Weights:
    """The weights of a network and what the file says about them."""

    state_dict: dict[str, Tensor]
    """On the CPU, under the network's own names (no ``module.``)."""

    info: dict[str, Any] = field(default_factory=dict)
    """The file's other plain data, for instance ``epoch``, ``arch``, ``best_err1`` and ours under ``cutmix``."""

    @property
    def cutmix(self) -> dict[str, Any]:
        """Our own data: recipe, classes, mean, std, image_size; empty where the file is not ours."""
        ours = self.info.get(OURS)
        return ours if isinstance(ours, dict) else {}


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Read an official ``.pth.tar``, a plain state dict or a ``.safetensors`` file.

    Raises:
        CutmixError: there is no such file, or it is not one of these; the message says what it seems to be.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == "safetensors":
        return _read_safetensors(path)
    if kind != "torch":
        raise CutmixError(f"{path} is no checkpoint but {kind}")
    return _weights_in(_load(path), path)


def _kind(path: Path) -> str:
    """``"torch"``, ``"safetensors"``, or what else the file seems to be."""
    if path.is_dir():
        files = sorted(file.name for pattern in ("*.pth.tar", "*.pth", "*.safetensors") for file in path.glob(pattern))
        return f"a folder{': give a file in it, ' + ' or '.join(files) if files else ''}"
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError as error:
        raise CutmixError(f"there is no file {path}") from error
    except OSError as error:
        raise CutmixError(f"{path} cannot be read: {error.strerror}") from error
    if not head:
        return "an empty file"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    return (
        _kind_of_text(head) or _kind_of_archive(path, head) or ("torch" if path.suffix != ".safetensors" else DAMAGED)
    )


def _kind_of_zip(path: Path) -> str:
    if not zipfile.is_zipfile(path):
        return DAMAGED
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        return "a TorchScript program"
    ours = any(name.endswith("/data.pkl") for name in names)
    return "torch" if ours else "a zip archive that torch.save did not write"


def _kind_of_text(head: bytes) -> str | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "a web page (a download link that gave its page instead of the file: download the file itself)"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (fetch the file itself with 'git lfs pull')"
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        return "a text file"
    return None


def _kind_of_archive(path: Path, head: bytes) -> str | None:
    if head.startswith(b"\x1f\x8b"):
        return "a gzip archive (unpack it first)"
    try:
        with tarfile.open(path, "r:") as archive:
            names = archive.getnames()
    except (tarfile.TarError, OSError):
        return None
    return None if "pickle" in names else f"a tar archive (unpack it first; it holds {', '.join(names[:3])})"


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds of error for a damaged file
        message = str(error)
        if code := re.search(r"GLOBAL ([\w.]+)", message):
            raise CutmixError(
                f"{path} holds {code[1]}, which only running code from the file could restore: not done. "
                "If you trust the file, save its state dict anew with torch.save"
            ) from error
        reason = (message.strip() or type(error).__name__).splitlines()[0]
        raise CutmixError(f"{path} is cut off, damaged, or no file of torch.save ({reason})") from error


def _weights_in(content: Any, path: Path) -> Weights:
    if not isinstance(content, Mapping):
        raise CutmixError(f"{path} holds a {type(content).__name__}, not a state dict or a checkpoint with one")
    key = next((key for key in STATE_DICT_KEYS if isinstance(content.get(key), Mapping)), None)
    state_dict = content if key is None else content[key]
    if not state_dict:
        raise CutmixError(f"{path} holds no weights")
    for name, value in state_dict.items():
        if not (isinstance(name, str) and isinstance(value, Tensor)):
            raise CutmixError(
                f"{path} holds no state dict: {name!r} is a {type(value).__name__}, not a tensor "
                f"(keys: {', '.join(map(str, list(content)[:6]))})"
            )
    others = {} if key is None else {name: value for name, value in content.items() if name not in (key, "optimizer")}
    return Weights(_without_prefix(state_dict), _plain(others))


def _without_prefix(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take away what wrappers put before every name, however deeply they are nested."""
    stripped = dict(state_dict)
    while stripped and (
        prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in stripped)), None)
    ):
        stripped = {name.removeprefix(prefix): value for name, value in stripped.items()}
    return stripped


def _plain(value: Any) -> Any:
    """The value without the tensors in it; a tensor of one number without dimensions becomes that number."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if _is_kept(item)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value if _is_kept(item)]
    return value.item() if isinstance(value, Tensor) else value


def _is_kept(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.ndim == 0
    return value is None or isinstance(value, str | int | float | list | tuple | Mapping)


def _read_safetensors(path: Path) -> Weights:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state_dict = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        info = {OURS: json.loads(metadata[OURS])} if OURS in metadata else {}
    except (SafetensorError, ValueError) as error:
        raise CutmixError(f"{path} is cut off, damaged, or no safetensors file ({error})") from error
    if not state_dict:
        raise CutmixError(f"{path} holds no weights")
    return Weights(_without_prefix(state_dict), info)


def load_weights(model: nn.Module, weights: Weights, *, source: str | os.PathLike[str]) -> None:
    """Copy the weights into the network: all of them, or none.

    Only the batch counters of batch norms (``num_batches_tracked``) may be missing, as in very old files: they are 0.

    Args:
        source: where the weights come from, for the message.

    Raises:
        CutmixError: a name or a shape differs; the message says which, and which networks the two seem to be.
    """
    wanted = model.state_dict()
    given = dict(weights.state_dict)
    for name, tensor in wanted.items():
        if name not in given and name.rpartition(".")[2] == "num_batches_tracked":
            given[name] = torch.zeros_like(tensor, device="cpu")
    differences = _differences(given, wanted)
    if differences:
        hints = _hints(given, wanted)
        raise CutmixError(f"{source} does not fit the network: {'; '.join(differences)}.{''.join(hints)}")
    model.load_state_dict(given, strict=True)


def _differences(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    shapes = [
        f"{name} is {_shape(given[name])} in the file and {_shape(wanted[name])} in the network"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    kinds = (
        ("the file lacks {} of the network's tensors ({})", missing),
        ("it has {} that the network has not ({})", unexpected),
        ("{} of another shape ({})", shapes),
    )
    return [text.format(len(names), _first(names)) for text, names in kinds if names]


def _first(names: list[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def _hints(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    hints = []
    heads = [given.get("fc.weight"), wanted.get("fc.weight")]
    rows = [head.shape[0] for head in heads if head is not None and head.ndim == 2]
    if len(rows) == 2 and rows[0] != rows[1]:
        hints.append(f" The file's head has {rows[0]} classes, the network's {rows[1]}.")
    if call := guess_model(given):
        hints.append(f" The file fits {call}{f'; the network is {own}' if (own := guess_model(wanted)) else ''}.")
    return hints


def official_checkpoint(
    state_dict: Mapping[str, Tensor],
    *,
    epoch: int,
    arch: str,
    best_err1: float,
    best_err5: float,
    optimizer: Mapping[str, Any] | None,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """The dictionary that the official ``train.py`` saves and ``test.py`` reads, with our own data under ``cutmix``.

    Args:
        state_dict: the network's; its names get the prefix ``module.``, which the official code's DataParallel expects.
        epoch: 0-based index of the epoch just finished.
        arch: the network's name; the official files have ``"pyramidnet"`` or ``"resnet"``.
        best_err1: the lowest top-1 error so far, in per cent.
        best_err5: the top-5 error of that epoch, in per cent.
        optimizer: the optimizer's state dict.
        extra: our own data: recipe, classes, mean, std, image_size and whatever a run needs to go on.

    Raises:
        UsageError: ``optimizer`` or ``extra`` holds anything but tensors, texts, numbers, lists and dicts, which
            ``torch.load(..., weights_only=True)`` could not read back.
    """
    checkpoint = {
        "epoch": int(epoch),
        "arch": str(arch),
        "state_dict": {f"module.{name}": tensor for name, tensor in _without_prefix(state_dict).items()},
        "best_err1": float(best_err1),
        "best_err5": float(best_err5),
        "optimizer": None if optimizer is None else dict(optimizer),
        OURS: dict(extra),
    }
    _check_plain(checkpoint, "")
    return checkpoint


def _check_plain(value: Any, where: str) -> None:
    """Raise unless the value is of the types that can be read back without running code."""
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():
            if type(key) not in (str, int):
                raise UsageError(f"a checkpoint's keys are texts or integers; got {key!r} in {where or 'it'}")
            _check_plain(item, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}[{index}]")
    elif not (value is None or isinstance(value, Tensor) or type(value) in (str, int, float, bool)):
        raise UsageError(
            f"a checkpoint holds tensors, texts, numbers, lists and dicts; {where} is a {type(value).__name__}"
        )


def write_safetensors(path: str | os.PathLike[str], state_dict: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Write the weights, and ``info`` as JSON under ``cutmix``: :func:`read_weights` gives it back as ``.cutmix``.

    Raises:
        UsageError: ``info`` cannot be written as JSON.
        CutmixError: the file cannot be written.
    """
    from safetensors.torch import save

    try:
        text = json.dumps(dict(info))
    except (TypeError, ValueError) as error:
        raise UsageError(f"what goes with the weights must be plain data: {error}") from error
    # Tensors that share memory (tied weights) are refused by safetensors, and channels-last ones are not contiguous.
    tensors = {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in _without_prefix(state_dict).items()
    }
    content = save(tensors, metadata={OURS: text, "format": "pt"})
    write_atomically(Path(path), lambda file: file.write(content))
