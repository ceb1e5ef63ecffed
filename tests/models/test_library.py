"""torchvision's and timm's networks by name. Nothing is downloaded: weights are files that the tests write."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import nn

from cutmix.errors import CutmixError, UsageError
from cutmix.models import list_timm, list_torchvision, timm_model, torchvision_model
from cutmix.models.library import timm_input, torchvision_input, torchvision_kwargs


def test_neither_library_is_imported_before_it_is_used() -> None:
    code = "import sys, cutmix.models; print([name for name in ('torchvision', 'timm') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


# torchvision


def test_torchvision_lists_classification_networks_only() -> None:
    names = list_torchvision()
    assert {"resnet18", "vit_b_16", "inception_v3"} <= set(names)
    assert not [name for name in names if name.startswith(("fcn_", "ssd", "fasterrcnn", "quantized", "r3d"))]


def test_torchvision_network_with_its_own_and_with_other_classes() -> None:
    with torch.device("meta"):
        assert torchvision_model("resnet18").fc.out_features == 1000
        assert torchvision_model("resnet18", num_classes=9).fc.out_features == 9
        assert torchvision_model("resnet50", width_per_group=8).layer1[0].conv1.out_channels == 8


def test_torchvision_is_seeded_by_torch_s_generator() -> None:
    first, second = (torch.manual_seed(4) and torchvision_model("squeezenet1_1", 3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("name", "side"), [("googlenet", 33), ("inception_v3", 75)])
def test_auxiliary_heads_are_left_out(monkeypatch: pytest.MonkeyPatch, name: str, side: int) -> None:
    # torchvision's initialisation of these draws from a truncated normal, which takes seconds.
    monkeypatch.setattr(nn.init, "trunc_normal_", lambda tensor, **_: nn.init.normal_(tensor, std=0.05))
    model = torchvision_model(name, num_classes=4).train()
    assert model(torch.randn(2, 3, side, side)).shape == (2, 4)
    with pytest.raises(UsageError, match=r"several outputs"):
        torchvision_model(name, aux_logits=True)


def test_unknown_torchvision_names_and_arguments() -> None:
    with pytest.raises(UsageError, match=r"no classification network 'resnet19'. Did you mean 'resnet1(8|01)'"):
        torchvision_model("resnet19")
    with pytest.raises(UsageError, match=r"no classification network 'fcn_resnet50'"):
        torchvision_model("fcn_resnet50")
    with pytest.raises(UsageError, match=r"torchvision\.resnet18: .*colour"):
        torchvision_model("resnet18", colour=3)
    with pytest.raises(UsageError, match=r"has no weights 'IMAGENET'. It has: IMAGENET1K_V1"):
        torchvision_model("resnet18", weights="IMAGENET")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of downloaded weights, without a network."""

    def no_network(url: str, *args: Any, **kwargs: Any) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def _downloaded(hub: Path, name: str) -> nn.Module:
    """Write what a download of the network's weights would have left behind."""
    from torchvision.models import get_model, get_model_weights

    torch.manual_seed(8)
    model = get_model(name)
    torch.save(model.state_dict(), hub / get_model_weights(name)["DEFAULT"].url.rpartition("/")[2])
    return model


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small"])
def test_trained_weights_with_a_new_head(hub: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    trained = _downloaded(hub, name)
    whole = torchvision_model(name, weights="DEFAULT")
    assert not caplog.records
    assert all(torch.equal(whole.state_dict()[key], value) for key, value in trained.state_dict().items())
    with caplog.at_level(logging.WARNING):
        model = torchvision_model(name, num_classes=5, weights="DEFAULT").eval()
    assert caplog.messages == [f"torchvision.{name}: an untrained head for 5 classes replaces the trained one (1000)"]
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 5)
    changed = [key for key, value in model.state_dict().items() if value.shape != trained.state_dict()[key].shape]
    assert len(changed) == 2
    kept = [key for key in trained.state_dict() if key not in changed]
    assert all(torch.equal(model.state_dict()[key], trained.state_dict()[key]) for key in kept)


def test_the_trained_number_of_classes_keeps_the_head(hub: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained = _downloaded(hub, "squeezenet1_1")
    model = torchvision_model("squeezenet1_1", 1000, weights="SqueezeNet1_1_Weights.IMAGENET1K_V1")
    assert torch.equal(model.classifier[1].weight, trained.classifier[1].weight)
    assert not caplog.records


@pytest.mark.filterwarnings("ignore:.*initialization.*:FutureWarning")
@pytest.mark.parametrize(("name", "side"), [("googlenet", 33), ("inception_v3", 75)])
def test_auxiliary_heads_of_trained_networks_are_left_out(
    monkeypatch: pytest.MonkeyPatch, name: str, side: int
) -> None:
    from torchvision.models import _api, get_model

    monkeypatch.setattr(nn.init, "trunc_normal_", lambda tensor, **_: nn.init.normal_(tensor, std=0.05))
    trained = get_model(name).state_dict()
    monkeypatch.setattr(_api, "load_state_dict_from_url", lambda *_, **__: trained)
    model = torchvision_model(name, num_classes=5, weights="DEFAULT").train()
    assert model(torch.randn(2, 3, side, side)).shape == (2, 5)
    assert not [key for key in model.state_dict() if key.lower().startswith("aux")]
    assert torch.equal(next(model.parameters()), next(iter(trained.values())))


def test_weights_that_cannot_be_downloaded(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CutmixError) as caught:
        torchvision_model("resnet18", weights="DEFAULT")
    message = str(caught.value)
    assert "IMAGENET1K_V1 of torchvision.resnet18" in message
    assert "no network" in message
    assert "Download https://download.pytorch.org/models/resnet18-f37072fd.pth where" in message
    assert message.endswith(f"put it at {hub / 'resnet18-f37072fd.pth'}")


def test_a_damaged_download(hub: Path) -> None:
    (hub / "resnet18-f37072fd.pth").write_bytes(b"<html>")
    with pytest.raises(CutmixError, match=r"could not be downloaded or read .*put it at .*resnet18-f37072fd.pth"):
        torchvision_model("resnet18", weights="DEFAULT")


IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALVES = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def test_torchvision_s_weights_say_how_their_images_were_normalised() -> None:
    assert torchvision_input("resnet50", "IMAGENET1K_V2").normalisation == IMAGENET
    assert torchvision_input("efficientnet_v2_l", "DEFAULT").normalisation == HALVES
    assert torchvision_input("efficientnet_v2_l", "EfficientNet_V2_L_Weights.IMAGENET1K_V1").normalisation == HALVES
    with pytest.raises(UsageError, match=r"has no weights 'V9'. It has: IMAGENET1K_V1"):
        torchvision_input("resnet18", "V9")


@pytest.mark.parametrize(
    ("name", "weights", "changed"),
    [
        ("resnet18", "DEFAULT", {}),
        ("vit_b_16", "IMAGENET1K_V1", {"image_size": 224}),
        ("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", {"image_size": 384}),
        ("googlenet", "DEFAULT", {"transform_input": True}),
        ("inception_v3", "DEFAULT", {"transform_input": True}),
    ],
)
def test_a_network_is_the_same_with_weights_and_without_them(
    monkeypatch: pytest.MonkeyPatch, name: str, weights: str, changed: dict[str, Any]
) -> None:
    from torchvision.models import _api

    assert torchvision_kwargs(name, weights) == changed
    monkeypatch.setattr(_api, "load_state_dict_from_url", lambda *_, **__: {})
    monkeypatch.setattr(nn.Module, "load_state_dict", lambda *_, **__: None)
    monkeypatch.setattr(nn.init, "trunc_normal_", lambda tensor, **_: tensor)
    with torch.device("meta"):
        trained = torchvision_model(name, num_classes=7, weights=weights)
        bare = torchvision_model(name, num_classes=7, **changed)
    shapes, same = ({key: value.shape for key, value in model.state_dict().items()} for model in (trained, bare))
    assert shapes == same
    settings = ("transform_input", "aux_logits", "image_size")
    assert [getattr(trained, key, None) for key in settings] == [getattr(bare, key, None) for key in settings]


# timm


def test_timm_s_weights_say_how_their_images_were_normalised() -> None:
    pytest.importorskip("timm")
    assert timm_input("resnet10t.c3_in1k").normalisation == IMAGENET
    assert timm_input("vit_tiny_patch16_224").normalisation == HALVES


def test_timm_network() -> None:
    pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm_model("resnet10t", num_classes=6)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 6)
    assert timm_model("resnet10t.c3_in1k", drop_rate=0.5).num_classes == 1000


def test_timm_lists_by_pattern() -> None:
    pytest.importorskip("timm")
    assert {"resnet10t", "resnet101"} <= set(list_timm("resnet10*"))
    assert set(list_timm("resnet10*")) < set(list_timm())


def test_unknown_timm_names_and_arguments() -> None:
    pytest.importorskip("timm")
    with pytest.raises(UsageError, match=r"no network 'resnet10tt'. Did you mean 'resnet10t'"):
        timm_model("resnet10tt")
    with pytest.raises(UsageError, match=r"timm.resnet10t has no weights 'c4_in1k'. Did you mean 'c3_in1k'"):
        timm_model("resnet10t.c4_in1k")
    with pytest.raises(UsageError, match=r"timm.resnet10t: .*colour"):
        timm_model("resnet10t", colour=1)
    with pytest.raises(UsageError, match=r"timm.botnet50ts_256 has no trained weights"):
        timm_model("botnet50ts_256", pretrained=True)


def test_timm_weights_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")

    def no_network(*args: Any, **kwargs: Any) -> None:
        raise OSError("no network\nmore lines")

    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(CutmixError) as caught:
        timm_model("resnet10t", num_classes=3, pretrained=True)
    message = str(caught.value)
    assert "timm.resnet10t could not be downloaded or read (no network)" in message
    assert "'hf download timm/resnet10t.c3_in1k'" in message
    assert "models--timm--resnet10t.c3_in1k of its cache into /" in message
    with pytest.raises(CutmixError, match=r"Download https://.*pth where .*put it at .*checkpoints/gcvit_"):
        timm_model("gcvit_xxtiny", pretrained=True)


def test_timm_new_head_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    timm = pytest.importorskip("timm")
    monkeypatch.setattr(timm, "create_model", lambda *args, **kwargs: nn.Linear(2, 3))
    timm_model("resnet10t", num_classes=1000, pretrained=True)
    timm_model("resnet10t", num_classes=3)
    assert not caplog.messages
    timm_model("resnet10t", num_classes=3, pretrained=True)
    assert caplog.messages == ["timm.resnet10t: an untrained head for 3 classes replaces the trained one (1000)"]


def test_without_timm_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    for use in (list_timm, lambda: timm_model("resnet10t", num_classes=3)):
        with pytest.raises(CutmixError, match=r"pip install 'cutmix\[timm\]'"):
            use()
