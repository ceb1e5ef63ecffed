"""VGG-GAP: torchvision's VGG-16 up to its fifth pooling, and what the paper puts behind it."""

from __future__ import annotations

import pytest
import torch

from cutmix.errors import UsageError
from cutmix.evaluation.cam import class_activation_maps
from cutmix.models import VGGGAP


@pytest.fixture(scope="module")
def network() -> VGGGAP:
    torch.manual_seed(1)
    return VGGGAP(num_classes=5).eval()


def test_its_first_layers_are_torchvisions(network):
    from torchvision.models import vgg16

    with torch.device("meta"):
        theirs = vgg16().features.state_dict()
    assert {name: tensor.shape for name, tensor in network.features.state_dict().items()} == {
        name: tensor.shape for name, tensor in theirs.items()
    }


def test_they_compute_what_torchvisions_do(network):
    from torchvision.models import vgg16

    with torch.device("meta"):
        theirs = vgg16().features[:30]  # all but the fifth pooling
    theirs.load_state_dict(network.features.state_dict(), assign=True)
    images = torch.randn(1, 3, 33, 48)
    with torch.no_grad():
        torch.testing.assert_close(network.features(images), theirs(images))


def test_it_shrinks_images_16_times_and_has_activation_maps(network):
    cams, logits = class_activation_maps(network, torch.randn(2, 3, 32, 48), [4, 0])
    assert cams.shape == (2, 2, 3)
    assert logits.shape == (2, 5)
    expected = cams.mean((1, 2)) + network.fc.bias[[4, 0]]
    torch.testing.assert_close(logits[[0, 1], [4, 0]], expected.detach(), rtol=1e-4, atol=1e-5)


def test_its_size():
    with torch.device("meta"):
        parameters = sum(p.numel() for p in VGGGAP(num_classes=200).parameters())
    # torchvision's convolutions, the new one with its biases, and the linear layer
    assert parameters == 14_714_688 + (512 * 9 + 1) * 1024 + (1024 + 1) * 200


@pytest.mark.parametrize("shape", [(1, 3, 15, 32), (1, 1, 32, 32), (3, 32, 32)])
def test_other_images_are_refused(network, shape):
    with pytest.raises(UsageError, match="VGGGAP takes"):
        network(torch.zeros(shape))


def test_no_class_is_refused():
    with pytest.raises(UsageError, match="num_classes"):
        VGGGAP(num_classes=0)
