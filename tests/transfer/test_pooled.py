"""The pooled feature is the classifier's own, for any network that ends with a linear layer; what of it is trained."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cutmix.errors import UsageError
from cutmix.models import ResNet
from cutmix.models.checkpoints import load_weights, read_weights
from cutmix.recipes.build import make_model
from cutmix.recipes.calls import parse_call
from cutmix.transfer.pooled import PooledFeature

NETWORKS = [
    "ResNet(depth=20, bottleneck=False, num_classes=7)",
    "ResNet(depth=18, stem='imagenet', num_classes=7)",
    "PyramidNet(depth=20, alpha=12, bottleneck=False, num_classes=7)",
    "torchvision.mobilenet_v3_small",
    "timm.test_efficientnet",
]


@pytest.mark.parametrize("call", NETWORKS)
def test_the_feature_is_what_the_classifier_judges(call):
    torch.manual_seed(0)
    network = make_model(parse_call(call)).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        answers = network(images)
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        pooled = PooledFeature(network, fine_tune=False, norm="frozen", side=64).train()
        feature = pooled(images)
    assert feature.shape == (2, pooled.channels)
    assert torch.equal(last(feature), answers)


def test_the_official_resnet50_is_an_encoder(tmp_path):
    """The official checkpoint's keys, strictly; its features are the classifier's own."""
    torch.manual_seed(0)
    network = ResNet(depth=50, stem="imagenet", num_classes=1000)
    official = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"epoch": 300, "arch": "resnet", "state_dict": official, "best_err1": 21.4}, tmp_path / "model.pth.tar")
    loaded = ResNet(depth=50, stem="imagenet", num_classes=1000)
    load_weights(loaded, read_weights(tmp_path / "model.pth.tar"), source="official")
    last = loaded.fc
    pooled = PooledFeature(loaded, fine_tune=False, norm="frozen", side=64).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(last(pooled(images)), network.eval()(images))
    assert pooled.channels == 2048


@pytest.mark.parametrize(
    ("fine_tune", "norm", "weights", "statistics"),
    [(False, "frozen", False, False), (False, "trained", False, True), (True, "frozen", True, False),
     (True, "trained", True, True)],
)  # fmt: skip
def test_what_is_trained(tiny_net, fine_tune, norm, weights, statistics):
    """The weights move where they are fine-tuned, the statistics of batch norm where it is trained."""
    network = tiny_net()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pooled = PooledFeature(network, fine_tune=fine_tune, norm=norm, side=64).train()
    assert network.layer3[0].weight.requires_grad == weights
    head = nn.Linear(14, 1)
    moved = [p for p in [*pooled.parameters(), *head.parameters()] if p.requires_grad]
    optimizer = torch.optim.SGD(moved, lr=0.1)
    head(pooled(torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)))).sum().backward()
    optimizer.step()
    after = network.state_dict()
    assert torch.equal(after["layer3.0.weight"], before["layer3.0.weight"]) != weights
    assert torch.equal(after["bn1.running_mean"], before["bn1.running_mean"]) != statistics
    assert torch.equal(after["bn1.weight"], before["bn1.weight"]) != (weights and norm == "trained")
    assert pooled(torch.rand(2, 3, 64, 64).requires_grad_()).requires_grad == fine_tune  # not even for the images


def test_networks_without_a_pooled_feature():
    with pytest.raises(UsageError, match="does not end with a linear layer"):
        PooledFeature(make_model(parse_call("torchvision.squeezenet1_1")), fine_tune=False, norm="frozen")
    large_only = nn.Sequential(nn.Flatten(), nn.Linear(3 * 9 * 9, 2))
    with pytest.raises(UsageError, match="cannot be called with images of 8x8"):
        PooledFeature(large_only, fine_tune=False, norm="frozen", side=8)
    with pytest.raises(UsageError, match="'frozen' or 'trained'"):
        PooledFeature(ResNet(depth=20, bottleneck=False), fine_tune=False, norm="drifting")
