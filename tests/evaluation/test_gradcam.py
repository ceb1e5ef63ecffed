"""pytorch-grad-cam through our question, and against our own maps."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from cutmix.errors import UsageError
from cutmix.evaluation.cam import class_activation_maps, upsample_cams
from cutmix.evaluation.gradcam import METHODS, last_spatial_layer, library_maps
from cutmix.models import ResNet


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(4)
    return ResNet(depth=8, num_classes=3, bottleneck=False).eval()


def test_grad_cam_of_such_a_network_is_its_activation_map(network):
    """The gradient of a logit by a map is the class's weight over the map's size: the maps differ by a factor.

    The library drops what is negative before it resizes, so the weights are made positive, as the maps are.
    """
    pytest.importorskip("pytorch_grad_cam")
    with torch.no_grad():
        network.fc.weight.abs_()
    images, classes = torch.randn(3, 3, 20, 28), torch.tensor([0, 2, 1])
    theirs, logits = library_maps(network, images, classes, "gradcam")
    cams, own_logits = class_activation_maps(network, images, classes)
    torch.testing.assert_close(logits, own_logits)
    torch.testing.assert_close(upsample_cams(theirs, (20, 28)), upsample_cams(cams, (20, 28)), rtol=0, atol=2e-4)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("method", ["hirescam", "layercam", "eigencam"])
def test_its_kin_give_maps_of_the_images_size(network, method):
    pytest.importorskip("pytorch_grad_cam")
    for parameter in network.parameters():
        parameter.requires_grad_(False)  # a frozen network has maps as well
    maps, logits = library_maps(network, torch.randn(2, 3, 16, 24), None, method)
    assert maps.shape == (2, 16, 24)
    assert logits.shape == (2, 3)
    assert 0 <= maps.min() < maps.max() <= 1


def test_the_layer_is_the_last_whose_output_is_an_image(network):
    assert last_spatial_layer(network, torch.randn(1, 3, 16, 16)) is network.layer3
    with pytest.raises(UsageError, match="no layer"):
        last_spatial_layer(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.randn(1, 3, 2, 2))


def test_unknown_methods_are_named(network):
    with pytest.raises(UsageError, match=f"Known: cam, {', '.join(METHODS)}"):
        library_maps(network, torch.randn(1, 3, 16, 16), None, "saliency")


def test_without_the_extra_it_is_named(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(UsageError, match=r"cutmix\[cam\]"):
        library_maps(network, torch.randn(1, 3, 16, 16), None, "gradcam")
