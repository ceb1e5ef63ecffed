"""Backbones: the features are the classifier's own, nothing is lost or renamed, and what does not fit is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cutmix.errors import CutmixError, UsageError
from cutmix.models import ResNet, official_checkpoint, timm_model, torchvision_model
from cutmix.recipes.start_transfer import load_backbone, make_task
from cutmix.transfer.backbone import Backbone, Pretrained, Tail, check_maps, cut, find_stages, stages_at

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def watched(network: nn.Module, names, images) -> dict[str, torch.Tensor]:
    """What the whole classifier computes at these modules."""
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: seen.__setitem__(name, output.clone())
        )
        for name in names
    ]
    with torch.no_grad():
        network.eval()(images)
    for hook in hooks:
        hook.remove()
    return seen


NETWORKS = {
    "ours": lambda: ResNet(depth=18, stem="imagenet"),
    "torchvision": lambda: torchvision_model("shufflenet_v2_x0_5"),
    "timm": lambda: timm_model("tf_efficientnet_lite0"),
}


@pytest.mark.parametrize("library", NETWORKS)
def test_the_features_are_the_classifiers_own(library):
    network = NETWORKS[library]()
    classifier = copy.deepcopy(network)
    names = [stage.name for stage in stages_at(network, (8, 16), what="a test")]
    backbone = Backbone(network, names).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps = backbone(images)
    expected = watched(classifier, names, images)
    assert list(maps) == names
    for name in names:
        assert torch.equal(maps[name], expected[name]), name
    assert backbone.strides == (8, 16)
    assert [maps[name].shape[1] for name in names] == list(backbone.channels)
    left = backbone.network.state_dict()
    assert left.keys() < classifier.state_dict().keys()  # names as they were; what is not needed is gone
    assert not any(name.startswith(("fc", "classifier", "layer4")) for name in left)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """A file as the official repository's ResNet-50 checkpoints are, and the network in it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ResNet(depth=50, num_classes=10, stem="imagenet")
    path = tmp_path_factory.mktemp("official") / "model_best.pth.tar"
    content = official_checkpoint(
        network.state_dict(), epoch=299, arch="resnet", best_err1=21.4, best_err5=5.9, optimizer=None, extra={}
    )
    del content["cutmix"]
    torch.save(content, path)
    return path, network


def test_the_official_resnet50_goes_into_both_detectors_strictly(official):
    """Every name and shape; the detectors' maps are those that the classifier computes."""
    path, classifier = official
    images = torch.randn(1, 3, 64, 64)
    expected = watched(classifier, ["layer2", "layer3", "layer4"], images)
    pretrained = load_backbone(str(path))
    assert pretrained.mean == (0.485, 0.456, 0.406)

    ssd = make_task("SSD(size=64)").network(Pretrained(copy.deepcopy(pretrained.network), MEAN, STD, ""), TwoClasses)
    c4 = make_task("FasterRCNN(form='c4', size=64)").network(pretrained, TwoClasses)
    with torch.no_grad():
        maps = ssd.backbone.backbone.eval()(images)
        (trunk,) = c4.eval().backbone(images).values()
        end = c4.roi_heads.box_head.tail(trunk)
    assert torch.equal(maps["layer2"], expected["layer2"])
    assert torch.equal(maps["layer3"], expected["layer3"])
    assert torch.equal(trunk, expected["layer3"])
    assert torch.equal(end, expected["layer4"])
    assert ssd.backbone.out_channels == [512, 1024, 512, 256, 256, 256]
    assert not any(parameter.requires_grad for parameter in c4.backbone.backbone.network.layer1.parameters())
    assert c4.roi_heads.box_head.tail.layers[0][0].conv1.weight.requires_grad


def test_a_checkpoint_that_lacks_a_tensor_is_refused(official):
    path, _ = official
    content = torch.load(path, weights_only=True, mmap=True)
    hurt = path.with_name("hurt.pth.tar")
    torch.save(
        {"state_dict": {name: t for name, t in content["state_dict"].items() if "layer3.2.conv2" not in name}}, hurt
    )
    with pytest.raises(CutmixError, match=r"lacks 1 of the network's tensors \(layer3.2.conv2.weight\)"):
        load_backbone(str(hurt), "ResNet(depth=50, num_classes=10, stem='imagenet')")


class TwoClasses:
    classes = ("red", "blue")
    num_classes = 2


def test_frozen_norms_stay_as_they_were_in_training_mode(tiny_net):
    backbone = Backbone(tiny_net(), ["layer2", "layer3"], norm="frozen", frozen_until="layer1").train()
    before = copy.deepcopy(backbone.state_dict())
    first = backbone(torch.randn(2, 3, 64, 64))
    first["layer3"].sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    learned = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert learned == {"network.layer2.0.weight", "network.layer3.0.weight"}


def test_trained_norms_learn_but_not_within_frozen_stages(tiny_net):
    backbone = Backbone(tiny_net(), ["layer3"], norm="trained", frozen_until="layer1").train()
    before = copy.deepcopy(backbone.state_dict())
    backbone(torch.randn(2, 3, 64, 64))
    changed = {n for n, v in backbone.state_dict().items() if "running_mean" in n and not torch.equal(v, before[n])}
    assert changed == {"network.layer2.1.running_mean", "network.layer3.1.running_mean"}


@pytest.mark.parametrize("name", ["test_efficientnet", "test_convnext"])
def test_frozen_stages_of_timm_are_frozen_whole(name):
    """Their batch norms hold their activation as a child, and ConvNeXt's blocks a scale that is no layer's."""
    network = timm_model(name)
    first = stages_at(network, (4,), what="a test")[0].name
    backbone = Backbone(network, [stages_at(network, (16,), what="a test")[0].name], norm="trained", frozen_until=first)
    before = copy.deepcopy(backbone.train().state_dict())
    backbone(torch.randn(2, 3, 64, 64))
    moved = {n for n, v in backbone.state_dict().items() if not torch.equal(v, before[n])}
    learned = {n for n, p in backbone.named_parameters() if p.requires_grad}
    within = set(dict(backbone.network.get_submodule(first).named_parameters(prefix=f"network.{first}")))
    assert within
    assert learned
    assert not learned & within
    assert not any(name.startswith((f"network.{first}.", "network.stem", "network.conv_stem", "network.bn1"))
                   for name in moved | learned)  # fmt: skip


def test_a_copy_looks_at_its_own_weights(tiny_net):
    """A moving average copies the whole network."""
    backbone = Backbone(tiny_net(), ["layer3"]).eval()
    twin = copy.deepcopy(backbone)
    nn.init.zeros_(twin.network.conv1.weight)
    images = torch.randn(1, 3, 64, 64)
    assert not torch.equal(backbone(images)["layer3"], twin(images)["layer3"])


def test_the_rest_of_a_network_ends_where_the_network_does(tiny_net):
    network, images = tiny_net(), torch.randn(1, 3, 64, 64)
    expected = watched(network, ["layer3", "layer4"], images)
    tail = Tail(cut(network, "layer3", "layer4"), "frozen").eval()
    with torch.no_grad():
        assert torch.equal(tail(expected["layer3"]), expected["layer4"])


def test_a_network_for_small_images_is_refused_with_what_it_has():
    with pytest.raises(
        UsageError, match=r"SSD needs a feature map 8 times smaller.*layer3 \(stride 4\).*stem='imagenet'"
    ):
        stages_at(ResNet(depth=11, stem="cifar"), (8, 16), what="SSD")


def test_a_transformer_is_refused():
    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(x.flatten(2).mean(2))

    with pytest.raises(UsageError, match="makes no feature maps"):
        find_stages(Patches())


def test_pixels_up_to_255_are_refused(tiny_net):
    """Caffe's mean, as the upstream of Faster R-CNN has it for its own weights."""
    with pytest.raises(UsageError, match=r"BGR \(Caffe\)"):
        Pretrained(tiny_net(), (102.98, 115.95, 122.77), (1.0, 1.0, 1.0), "caffe.pth")


def test_a_stage_that_there_is_not(tiny_net):
    with pytest.raises(UsageError, match=r"no module 'layer9'; its stages are bn1|layer1 \(stride 4\)"):
        Backbone(tiny_net(), ["layer9"])


def test_a_stage_that_is_changed_in_place_is_refused(tiny_net):
    network = tiny_net()
    network.layer2 = nn.Sequential(nn.Conv2d(8, 10, 3, 2, 1), nn.BatchNorm2d(10), nn.ReLU(True))
    with pytest.raises(UsageError, match=r"layer2\.1 gives is changed in place"):
        Backbone(network, ["layer2.1", "layer3"])


def test_padding_that_does_not_fit_is_refused():
    maps = {"a": torch.zeros(1, 1, 37, 37)}
    with pytest.raises(UsageError, match="a map of 37 for images of 300 pixels; with its stride of 8 it should be 38"):
        check_maps(maps, {"a": 8}, 300)
    check_maps(maps, {"a": 8}, 296)
