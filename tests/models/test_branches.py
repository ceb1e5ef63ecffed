"""Which modules end a residual branch, for every network that is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cutmix.errors import UsageError
from cutmix.models import PyramidNet, ResNet, ResNeXt, timm_model, torchvision_model
from cutmix.models.branches import residual_branches
from cutmix.models.residual import ResidualBlock

OURS = {
    "ResNet basic": lambda: ResNet(20, bottleneck=False),
    "ResNet bottleneck": lambda: ResNet(20),
    "ResNeXt": lambda: ResNeXt(50, groups=3, width_per_group=2, stem="cifar"),
    "PyramidNet basic": lambda: PyramidNet(20, 11, bottleneck=False),
    "PyramidNet bottleneck": lambda: PyramidNet(20, 11),
}
LIBRARIES = {
    "torchvision.resnet18": lambda: torchvision_model("resnet18"),
    "torchvision.resnet50": lambda: torchvision_model("resnet50"),
    "torchvision.resnext50_32x4d": lambda: torchvision_model("resnext50_32x4d"),
    "timm.resnet18": lambda: timm_model("resnet18"),
    "timm.resnext50_32x4d": lambda: timm_model("resnext50_32x4d"),
    "timm.resnet18 with more behind": lambda: timm_model(
        "resnet18", drop_path_rate=0.3, block_args={"attn_layer": "se"}
    ),
}


@pytest.mark.parametrize("name", OURS)
def test_the_end_gives_what_our_blocks_add(name):
    model = OURS[name]().eval()
    branches = residual_branches(model)
    assert len(branches) == sum(isinstance(module, ResidualBlock) for module in model.modules())
    for branch in branches:
        out = []
        handle = branch.end.register_forward_hook(lambda module, args, output, out=out: out.append(output))
        channels = next(child for child in branch.block.children() if hasattr(child, "weight")).weight.shape
        inputs = channels[0] if len(channels) == 1 else channels[1]
        with torch.no_grad():
            residual = branch.block.residual(torch.randn(1, inputs, 8, 8))
        handle.remove()
        assert out[0] is residual


@pytest.mark.parametrize("name", LIBRARIES)
def test_without_its_residual_a_library_block_is_its_shortcut(name):
    model = LIBRARIES[name]().eval()
    branches = residual_branches(model)
    assert len(branches) == (8 if "18" in name else 16)
    for branch in (branches[0], branches[1], branches[-1]):
        branch.end.register_forward_hook(lambda module, args, output: torch.zeros_like(output))
        x = torch.randn(1, branch.block.conv1.in_channels, 8, 8)
        with torch.no_grad():
            shortcut = x if branch.block.downsample is None else branch.block.downsample(x)
            assert torch.equal(branch.block(x.clone()), shortcut.relu())


def test_stages_and_what_follows_each_convolution():
    branches = residual_branches(PyramidNet(29, 11))
    assert [branch.stage for branch in branches] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    block = branches[4].block
    assert branches[4].convolutions == (block.bn2, block.bn3, block.bn4)  # bn1 comes before any convolution
    resnet = residual_branches(torchvision_model("resnet50"))
    assert [branch.stage for branch in resnet] == [1] * 3 + [2] * 4 + [3] * 6 + [4] * 3
    assert resnet[5].convolutions == (resnet[5].block.bn1, resnet[5].block.bn2, resnet[5].block.bn3)


def test_classes_derived_from_a_known_block_count():
    from torchvision.models.resnet import BasicBlock

    class Mine(BasicBlock):
        pass

    (branch,) = residual_branches(nn.Sequential(Mine(4, 4)))
    assert isinstance(branch.end, nn.BatchNorm2d)


def test_ends_that_are_named_are_taken_in_their_order():
    model = nn.ModuleDict({s: nn.ModuleDict({"0": nn.ModuleDict({"conv": nn.Identity()})}) for s in ("a", "b")})
    first, second = residual_branches(model, ["b.0.conv", "a.0.conv"])
    assert (first.end, first.block, first.stage) == (model["b"]["0"]["conv"], model["b"]["0"], 1)
    assert (second.convolutions, second.stage) == ((model["a"]["0"]["conv"],), 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, r"Sequential has no residual blocks that are known.*torchvision's and timm's.*ends="),
        (["0", "1x"], "no module '1x'"),
        (["0", "0"], "each residual once"),
        ([], "one at least"),
    ],
)
def test_a_network_without_branches_is_refused(given, said):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(UsageError, match=said):
        residual_branches(model, given)
