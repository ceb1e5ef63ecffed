"""New layers: which they are, and that weights from elsewhere leave them as they start."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cutmix.errors import CutmixError, UsageError
from cutmix.models import ResNet, Weights, load_weights
from cutmix.models.head import new_layers, split_parameters, with_new_layers


class Listed(nn.Module):
    new_layers = ("conv", "fc")

    def __init__(self) -> None:
        super().__init__()
        self.features, self.conv, self.fc = nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 5)
        self.fcs = nn.Linear(1, 1)  # its name begins as that of a new layer


def test_the_last_linear_layer_is_new_unless_others_are_listed():
    assert new_layers(ResNet(depth=8, bottleneck=False)) == ("fc",)
    assert new_layers(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4), nn.ReLU())) == ("1",)
    assert new_layers(Listed()) == ("conv", "fc")
    with pytest.raises(UsageError, match="no linear layer"):
        new_layers(nn.Sequential(nn.ReLU()))


def test_every_trainable_parameter_is_on_one_side():
    network = Listed()
    network.features.bias.requires_grad_(False)
    old, new = split_parameters(network)
    assert [p is q for p, q in zip(old, [network.features.weight, network.fcs.weight, network.fcs.bias])] == [True] * 3
    assert len(old) == 3
    assert sorted(p.numel() for p in new) == [4, 5, 12, 20]


def test_weights_of_other_classes_leave_the_new_layer_alone():
    torch.manual_seed(0)
    trained, network = ResNet(depth=8, num_classes=7, bottleneck=False), ResNet(8, 3, bottleneck=False)
    before = network.fc.weight.clone()
    weights = Weights({**trained.state_dict(), "classifier.0.weight": torch.zeros(2)}, {"epoch": 3})
    given = with_new_layers(weights, network)
    load_weights(network, given, source="there")
    assert torch.equal(network.layer3[0].conv1.weight, trained.layer3[0].conv1.weight)
    assert torch.equal(network.fc.weight, before)
    assert given.info == {"epoch": 3}


def test_layers_that_are_not_new_must_be_there():
    network = ResNet(depth=8, bottleneck=False)
    lacking = {name: tensor for name, tensor in network.state_dict().items() if name != "conv1.weight"}
    with pytest.raises(CutmixError, match=r"conv1\.weight"):
        load_weights(network, with_new_layers(Weights(lacking), network), source="there")
