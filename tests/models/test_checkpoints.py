"""Weights read from files and written to them, and what is said about files that are neither."""

from __future__ import annotations

import argparse
import gzip
import io
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutmix.errors import CutmixError, UsageError
from cutmix.models import (
    PyramidNet,
    ResNet,
    Weights,
    load_weights,
    official_checkpoint,
    read_weights,
    write_safetensors,
)

State = dict[str, Tensor]


def _network(num_classes: int = 7, seed: int = 0) -> ResNet:
    torch.manual_seed(seed)
    network = ResNet(8, num_classes=num_classes, bottleneck=False)
    network(torch.randn(4, 3, 8, 8))  # so that the running statistics are not the initial ones
    return network


def _official(network: nn.Module) -> dict[str, Any]:
    """What the official train.py saves: the state dict of a DataParallel, and SGD's state."""
    wrapped = nn.DataParallel(network)
    optimizer = torch.optim.SGD(wrapped.parameters(), 0.25, momentum=0.9, nesterov=True)
    wrapped.module(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    return {
        "epoch": 299,
        "arch": "resnet",
        "state_dict": wrapped.state_dict(),
        "best_err1": 14.47,
        "best_err5": 2.97,
        "optimizer": optimizer.state_dict(),
    }


def _equal(first: State, second: State) -> bool:
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


# Reading


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "the format of 2019"])
def test_an_official_checkpoint_is_read_and_loaded(tmp_path: Path, zipped: bool) -> None:
    network = _network()
    path = tmp_path / "model_best.pth.tar"
    torch.save(_official(network), path, _use_new_zipfile_serialization=zipped)
    weights = read_weights(path)
    assert weights.info == {"epoch": 299, "arch": "resnet", "best_err1": 14.47, "best_err5": 2.97}
    assert weights.cutmix == {}
    assert _equal(weights.state_dict, network.state_dict())
    other = _network(seed=1)
    load_weights(other, weights, source=path)
    assert _equal(other.state_dict(), network.state_dict())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(other.eval()(images), network.eval()(images))


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.module."])
@pytest.mark.parametrize(
    "wrap", [lambda state: state, lambda state: {"state_dict": state}, lambda state: {"model": state}]
)
def test_plain_state_dicts_and_prefixes(tmp_path: Path, prefix: str, wrap: Any) -> None:
    state_dict = _network().state_dict()
    torch.save(wrap({f"{prefix}{name}": tensor for name, tensor in state_dict.items()}), tmp_path / "weights.pth")
    weights = read_weights(str(tmp_path / "weights.pth"))
    assert _equal(weights.state_dict, state_dict)
    assert weights.info == {}


def test_a_network_that_has_a_part_called_module_keeps_its_names(tmp_path: Path) -> None:
    state_dict = {"module.weight": torch.zeros(2), "head.weight": torch.ones(2)}
    torch.save(state_dict, tmp_path / "weights.pth")
    assert list(read_weights(tmp_path / "weights.pth").state_dict) == ["module.weight", "head.weight"]


def test_info_holds_plain_data_only(tmp_path: Path) -> None:
    content = {
        "state_dict": _network().state_dict(),
        "best_err1": torch.tensor(14.5),
        "names": ("a", None, True),
        "ema": {"decay": 0.5, "weights": torch.zeros(3)},
        "raw": b"bytes",
        "sums": [1, torch.zeros(2), 2.5],
    }
    torch.save(content, tmp_path / "weights.pth")
    info = read_weights(tmp_path / "weights.pth").info
    assert info == {"best_err1": 14.5, "names": ["a", None, True], "ema": {"decay": 0.5}, "sums": [1, 2.5]}
    assert type(info["best_err1"]) is float


def _torch_bytes(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _legacy_bytes(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def _zip_bytes() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    return file.getvalue()


def _script_bytes() -> bytes:
    """The one member by which a TorchScript program is known."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", "")
        archive.writestr("net/constants.pkl", "")
    return file.getvalue()


def _tar_bytes() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights/a.bin"))
    return file.getvalue()


def _safetensors_bytes() -> bytes:
    from safetensors.torch import save

    return save({"weight": torch.zeros(50)})


BROKEN = {
    "empty": (b"", "an empty file"),
    "web page": (b"\n<!DOCTYPE html><html><head><title>Dropbox</title>", "a web page .a download link"),
    "web page, other case": (b"<HTML lang='en'>\xc3\xa9", "a web page"),
    "text": (b"epoch 1\tloss 2.5\r\nepoch 2\n", "a text file"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "a Git LFS pointer"),
    "gzip": (gzip.compress(b"abc"), "a gzip archive"),
    "tar": (_tar_bytes(), "a tar archive .*weights/a.bin"),
    "zip": (_zip_bytes(), "a zip archive that torch.save did not write"),
    "script": (_script_bytes(), "a TorchScript program"),
    "cut-off zip": (_torch_bytes({"a": torch.zeros(5000)})[:-3000], "cut off"),
    "cut-off legacy": (_legacy_bytes({"a": torch.zeros(5000)})[:-3000], "cut off, damaged, or no file of torch.save"),
    "noise": (bytes(range(256)), "cut off, damaged, or no file of torch.save"),
    "a class": (
        _torch_bytes({"state_dict": {}, "args": argparse.Namespace(a=1)}),
        "holds argparse.Namespace, which only",
    ),
    "a network": (_torch_bytes(nn.Linear(2, 3)), "holds torch.nn.modules.linear.Linear, which only"),
    "a list": (_torch_bytes([1, 2]), "holds a list, not a state dict"),
    "a tensor": (_torch_bytes(torch.zeros(2)), "holds a Tensor, not a state dict"),
    "no weights": (_torch_bytes({"state_dict": {}, "epoch": 3}), "holds no weights"),
    "other dict": (_torch_bytes({"lr": 0.1, "steps": 3}), "'lr' is a float, not a tensor .keys: lr, steps"),
    "numbered": (_torch_bytes({0: torch.zeros(1)}), "holds no state dict"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_a_file_seems_to_be_is_said(tmp_path: Path, kind: str) -> None:
    content, message = BROKEN[kind]
    path = tmp_path / "model_best.pth.tar"
    path.write_bytes(content)
    with pytest.raises(CutmixError, match=message) as caught:
        read_weights(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    torch.save({"state_dict": {"a": Evil()}}, tmp_path / "evil.pth")
    with pytest.raises(CutmixError, match=r"exec, which only running code"):
        read_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_no_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(CutmixError, match=r"there is no file .*nothing.pth"):
        read_weights(tmp_path / "nothing.pth")
    with pytest.raises(CutmixError, match=r"no checkpoint but a folder$"):
        read_weights(tmp_path)
    (tmp_path / "model_best.pth.tar").write_bytes(b"")
    with pytest.raises(CutmixError, match=r"a folder: give a file in it, model_best.pth.tar"):
        read_weights(tmp_path)


# Safetensors


def test_safetensors_round_trip(tmp_path: Path) -> None:
    network = _network().to(memory_format=torch.channels_last)
    path = tmp_path / "model_best.safetensors"
    info = {"classes": ["cat", "bird"], "mean": [0.5, 0.25, 0.125], "image_size": 32, "recipe": {"alpha": 1.0}}
    write_safetensors(path, {f"module.{name}": tensor for name, tensor in network.state_dict().items()}, info)
    weights = read_weights(path)
    assert weights.cutmix == info
    assert weights.info == {"cutmix": info}
    assert sorted(weights.state_dict) == sorted(network.state_dict())
    other = _network(seed=1)
    load_weights(other, weights, source=path)
    assert _equal(other.state_dict(), network.state_dict())


def test_tied_weights_are_written(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    write_safetensors(tmp_path / "tied.safetensors", {"a": shared, "b": shared.T}, {})
    state_dict = read_weights(tmp_path / "tied.safetensors").state_dict
    assert torch.equal(state_dict["a"], shared)
    assert torch.equal(state_dict["b"], shared.T)


def test_safetensors_of_others_have_no_info(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(_safetensors_bytes())
    weights = read_weights(tmp_path / "theirs")
    assert list(weights.state_dict) == ["weight"]
    assert weights.info == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_safetensors_bytes()[:-60], "cut off, damaged, or no safetensors file"),
        (_safetensors_bytes()[:20], "a damaged file"),
        (b"\x00\x01", "a damaged file"),
        (b"<html>", "a web page"),
    ],
)
def test_broken_safetensors(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(CutmixError, match=message):
        read_weights(path)


def test_safetensors_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"plain data.*Path"):
        write_safetensors(tmp_path / "a.safetensors", {"a": torch.zeros(1)}, {"where": tmp_path})
    (tmp_path / "no-folder").write_text("in the way")
    with pytest.raises(CutmixError, match=r"cannot write .*no-folder"):
        write_safetensors(tmp_path / "no-folder" / "a.safetensors", {"a": torch.zeros(1)}, {})


# Loading


def _message(network: nn.Module, state_dict: State) -> str:
    """The error of loading, after checking that it left the network as it was."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(CutmixError) as caught:
        load_weights(network, Weights(state_dict), source="runs/x.pth.tar")
    assert _equal(network.state_dict(), before), "half loaded"
    return str(caught.value)


def test_another_number_of_classes() -> None:
    message = _message(_network(num_classes=10), _network(num_classes=100, seed=1).state_dict())
    assert message == (
        "runs/x.pth.tar does not fit the network: 2 of another shape "
        "(fc.weight is 100x64 in the file and 10x64 in the network, "
        "fc.bias is 100 in the file and 10 in the network). "
        "The file's head has 100 classes, the network's 10. "
        "The file fits ResNet(depth=8, num_classes=100, bottleneck=False); "
        "the network is ResNet(depth=8, num_classes=10, bottleneck=False)."
    )


def test_another_network() -> None:
    with torch.device("meta"):
        state_dict = PyramidNet(200, 240, 100).state_dict()
    message = _message(_network(), state_dict)
    assert "the file lacks 10 of the network's tensors (layer2.0.downsample.0.weight, " in message
    assert "(bn_final" not in message
    assert "The file fits PyramidNet(depth=200, alpha=240, num_classes=100); the network is ResNet(depth=8," in message


def test_one_missing_and_one_more() -> None:
    network = _network()
    state_dict = dict(_network(seed=1).state_dict())
    state_dict["extra.weight"] = state_dict.pop("fc.bias")
    message = _message(network, state_dict)
    assert (
        "the file lacks 1 of the network's tensors (fc.bias); it has 1 that the network has not (extra.weight)"
        in message
    )
    assert "fits" not in message.replace("does not fit", "")


def test_a_network_of_another_library() -> None:
    message = _message(nn.Linear(2, 3), {"weight": torch.zeros(3, 4), "bias": torch.zeros(3)})
    assert message == (
        "runs/x.pth.tar does not fit the network: "
        "1 of another shape (weight is 3x4 in the file and 3x2 in the network)."
    )


def test_only_batch_counters_may_be_missing() -> None:
    network = _network()
    state_dict = _network(seed=1).state_dict()
    old = {name: tensor for name, tensor in state_dict.items() if not name.endswith("num_batches_tracked")}
    load_weights(network, Weights(old), source="old.pth.tar")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, old.get(name, torch.tensor(0))), name
    old.pop("bn1.running_var")
    assert "lacks 1 of the network's tensors (bn1.running_var)" in _message(network, old)


def test_weights_take_the_network_s_type() -> None:
    network = _network().double()
    load_weights(network, Weights(_network(seed=1).half().state_dict()), source="half.pth")
    assert network.fc.weight.dtype == torch.float64
    assert torch.equal(network.fc.weight.half(), _network(seed=1).half().fc.weight)


# Writing


def _ours(network: nn.Module, **changes: Any) -> dict[str, Any]:
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    arguments = {
        "epoch": 4,
        "arch": "resnet",
        "best_err1": 25.5,
        "best_err5": 5.25,
        "optimizer": optimizer.state_dict(),
        "extra": {"classes": ["a", "b"], "mean": (0.5, 0.4, 0.3), "run": {"step": 3, "sums": torch.ones(2)}},
        **changes,
    }
    return official_checkpoint(network.state_dict(), **arguments)


def test_our_checkpoint_is_read_by_the_official_test_py(tmp_path: Path) -> None:
    """The two statements by which it reads a checkpoint, and the network wrapped as it is there."""
    network, path = _network(), tmp_path / "checkpoint.pth.tar"
    torch.save(_ours(network), path)
    model = nn.DataParallel(_network(seed=1))
    checkpoint = torch.load(path, weights_only=True)
    model.load_state_dict(checkpoint["state_dict"])
    assert _equal(model.module.state_dict(), network.state_dict())
    assert set(checkpoint) == {"epoch", "arch", "state_dict", "best_err1", "best_err5", "optimizer", "cutmix"}


def test_our_checkpoint_comes_back(tmp_path: Path) -> None:
    network, path = _network(), tmp_path / "checkpoint.pth.tar"
    torch.save(_ours(network), path)
    weights = read_weights(path)
    assert _equal(weights.state_dict, network.state_dict())
    ours = {"classes": ["a", "b"], "mean": [0.5, 0.4, 0.3], "run": {"step": 3}}
    assert weights.info == {"epoch": 4, "arch": "resnet", "best_err1": 25.5, "best_err5": 5.25, "cutmix": ours}
    assert weights.cutmix == ours


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", ""])
def test_our_checkpoint_has_the_prefix_once(wrapper: str) -> None:
    state_dict = OrderedDict((f"{wrapper}{name}", tensor) for name, tensor in _network().state_dict().items())
    settings = {"epoch": 0, "arch": "x", "best_err1": 1, "best_err5": 0, "optimizer": None, "extra": {}}
    checkpoint = official_checkpoint(state_dict, **settings)
    assert list(checkpoint["state_dict"]) == [f"module.{name}" for name in _network().state_dict()]
    assert type(checkpoint["best_err1"]) is float


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"where": Path("a")}, r"\['cutmix'\]\['where'\] is a PosixPath"),
        ({"a": [{"b": {1.5: 2}}]}, r"1\.5 in \['cutmix'\]\['a'\]\[0\]\['b'\]"),
        ({"a": {1, 2}}, r"\['a'\] is a set"),
        ({"a": float}, "is a type"),
    ],
)
def test_what_could_not_be_read_back_is_refused(extra: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _ours(_network(), extra=extra)


def test_numpy_numbers_are_refused_or_made_plain(tmp_path: Path) -> None:
    import numpy as np

    assert type(_ours(_network(), best_err1=np.float64(3.5))["best_err1"]) is float
    with pytest.raises(UsageError, match=r"float64"):
        _ours(_network(), extra={"mean": [np.float64(0.5)]})
