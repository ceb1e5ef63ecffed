"""Class activation maps: worked out by hand on a tiny network, and by their definition on real ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cutmix.errors import UsageError
from cutmix.evaluation.cam import class_activation_maps, upsample_cams
from cutmix.models import PyramidNet, ResNet


class Tiny(nn.Module):
    """Two feature maps that are the two input channels; what comes between the pooling and the head can be set."""

    def __init__(self, between: nn.Module | None = None, bias: bool = True) -> None:
        super().__init__()
        self.maps = nn.Identity()
        self.between = between or nn.Identity()
        self.head = nn.Linear(2, 3, bias=bias)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -2.0], [0.5, 3.0]]))
            if bias:
                self.head.bias.copy_(torch.tensor([10.0, 0.25, -1.0]))

    def forward(self, images):
        return self.head(self.between(self.maps(images).mean((2, 3))))


# one image, 2x3, two channels: means 2 and 1, so the logits are 2 + 10, -2 + 0.25 and 1 + 3 - 1
IMAGE = torch.tensor([[[[0.0, 1.0, 2.0], [3.0, 6.0, 0.0]], [[1.0, 0.0, 5.0], [0.0, 0.0, 0.0]]]])


def holds(model: nn.Module, images: torch.Tensor, classes: list[int] | None = None) -> tuple[int, ...]:
    """Check that each map's spatial mean and the bias add up to the logit; returns the shape of the maps."""
    cams, logits = class_activation_maps(model, images, classes)
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    chosen = logits.argmax(1) if classes is None else torch.tensor(classes)
    bias = 0 if head.bias is None else head.bias[chosen]
    with torch.no_grad():
        assert torch.equal(logits, model.eval()(images))
        expected = logits.gather(1, chosen[:, None])[:, 0]
    scale = logits.abs().max()
    assert cams.dtype == torch.float32
    assert cams.std((1, 2)).min() > 0  # a constant map would fulfil the definition as well
    torch.testing.assert_close(cams.mean((1, 2)) + bias, expected, rtol=1e-4, atol=1e-5 * float(scale))
    return tuple(cams.shape)


def test_maps_by_hand():
    cams, logits = class_activation_maps(Tiny(), IMAGE.repeat(3, 1, 1, 1), [0, 1, 2])
    assert logits.tolist() == [[12.0, -1.75, 3.0]] * 3
    assert cams.tolist() == [
        [[0.0, 1.0, 2.0], [3.0, 6.0, 0.0]],
        [[-2.0, 0.0, -10.0], [0.0, 0.0, 0.0]],
        [[3.0, 0.5, 16.0], [1.5, 3.0, 0.0]],
    ]


def test_without_classes_the_most_likely_one_is_mapped():
    images = torch.cat([IMAGE, IMAGE.flip(1) * torch.tensor([1.0, 9.0])[:, None, None]])
    cams, logits = class_activation_maps(Tiny(bias=False), images)
    assert logits.argmax(1).tolist() == [2, 2]
    assert torch.equal(cams, class_activation_maps(Tiny(bias=False), images, torch.tensor([2, 2]))[0])
    assert class_activation_maps(Tiny(), IMAGE)[0][0].tolist() == [[0.0, 1.0, 2.0], [3.0, 6.0, 0.0]]


@pytest.mark.parametrize("make", [lambda: ResNet(depth=11), lambda: PyramidNet(depth=11, alpha=9, num_classes=7)])
def test_own_networks_fulfil_the_definition(make):
    torch.manual_seed(5)
    images = torch.randn(2, 3, 16, 24)
    assert holds(make(), images) == (2, 4, 6)
    assert holds(make(), images, [6, 3]) == (2, 4, 6)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "densenet121", "mobilenet_v2"])
def test_torchvision_networks_fulfil_the_definition(name):
    from torchvision.models import get_model

    torch.manual_seed(5)
    assert holds(get_model(name), torch.randn(2, 3, 64, 96)) == (2, 2, 3)


def test_timm_networks_fulfil_the_definition():
    timm = pytest.importorskip("timm")
    torch.manual_seed(5)
    assert holds(timm.create_model("resnet18", num_classes=4), torch.randn(2, 3, 64, 96), [0, 3]) == (2, 2, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_give_float32_maps(dtype):
    cams, logits = class_activation_maps(Tiny().to(dtype), IMAGE.to(dtype))
    assert (cams.dtype, logits.dtype) == (torch.float32, dtype)
    assert cams[0].tolist() == [[0.0, 1.0, 2.0], [3.0, 6.0, 0.0]]


def test_the_rounding_of_coarse_types_is_allowed_for():
    class PooledFinely(Tiny):
        def forward(self, images):
            return self.head(self.maps(images.bfloat16()).float().mean((2, 3)))

    torch.manual_seed(5)
    images = torch.rand(2, 2, 9, 7)
    cams, _ = class_activation_maps(PooledFinely(), images, [0, 1])
    torch.testing.assert_close(cams, images.bfloat16().float()[[0, 1], [0, 1]] * torch.tensor([1, -2])[:, None, None])


def test_maps_that_the_network_changes_in_place_are_those_it_pools():
    class InPlace(Tiny):
        def forward(self, images):
            features = self.maps(images - 1.5)
            return self.head(features.relu_().mean((2, 3)))

    cams, _ = class_activation_maps(InPlace(), IMAGE)
    assert cams[0].tolist() == [[0.0, 0.0, 0.5], [1.5, 4.5, 0.0]]


class Twice(Tiny):
    def forward(self, images):
        return super().forward(images) / 2


class Spread(nn.Module):
    """A convolutional classifier: no linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1)

    def forward(self, images):
        return self.conv(images).mean((2, 3))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Twice(), "its output is not that of its last linear layer"),
        (nn.Sequential(Tiny(), nn.Softmax(1)), "its output is not that"),
        (Tiny(between=nn.LayerNorm(2)), "does not read the spatial mean"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Softplus(), nn.Flatten(), nn.Linear(2, 3)), "has one pixel"),
        (nn.Sequential(nn.Identity(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(2, 3)), "has one pixel"),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), "does not read the spatial mean"),
        (nn.Sequential(nn.Flatten(2), nn.Linear(6, 3)), "no linear layer over one vector"),
        (Spread(), "no linear layer over one vector"),
    ],
)
def test_networks_without_maps_are_refused(model, reason):
    with pytest.raises(UsageError, match=f"has no class activation maps: .*{reason}"):
        class_activation_maps(model, IMAGE)


@pytest.mark.parametrize("name", ["vgg11", "convnext_tiny"])
def test_real_networks_without_maps_are_refused(name):
    from torchvision.models import get_model

    kwargs = {"init_weights": False} if name == "vgg11" else {}
    with pytest.raises(UsageError, match="no class activation maps"):
        class_activation_maps(get_model(name, **kwargs), torch.randn(1, 3, 64, 64))


def test_dropout_does_no_harm_and_every_module_keeps_its_mode():
    model = Tiny(between=nn.Dropout(0.9)).train()
    model.maps.eval()
    cams, _ = class_activation_maps(model, IMAGE)
    assert cams[0].tolist() == [[0.0, 1.0, 2.0], [3.0, 6.0, 0.0]]
    assert [module.training for module in (model, model.maps, model.between, model.head)] == [True, False, True, True]


def test_hooks_and_mode_are_put_back_after_a_failure():
    class Fails(Tiny):
        def forward(self, images):
            self.maps(images)
            raise RuntimeError("out of memory")

    for model, error in ((Fails().train(), RuntimeError), (Twice().train(), UsageError), (Tiny().train(), None)):
        if error is None:
            class_activation_maps(model, IMAGE)
        else:
            with pytest.raises(error):
                class_activation_maps(model, IMAGE)
        assert model.training
        assert not any(module._forward_hooks for module in model.modules())


def test_no_gradient_is_kept():
    cams, logits = class_activation_maps(Tiny(), IMAGE.clone().requires_grad_())
    assert not cams.requires_grad
    assert not logits.requires_grad


@pytest.mark.parametrize("classes", [[3], [-1], [0, 1], [0.5], 0])
def test_classes_that_there_are_not_are_refused(classes):
    with pytest.raises(UsageError, match="1 integers from 0 to 2"):
        class_activation_maps(Tiny(), IMAGE, classes)


def test_logits_that_are_not_finite_have_no_maps():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    images = torch.rand(3, 3, 6, 8)
    images[1, 0, 2, 3] = torch.nan
    with pytest.raises(UsageError, match="not finite for 1 of 3 images"):
        class_activation_maps(network, images)


def test_upsampling_by_hand():
    # [2, 4] at twice the size, by bilinear interpolation: 2, 2.5, 3.5, 4, which spans 0 to 1 as 0, 1/4, 3/4, 1
    upsampled = upsample_cams(torch.tensor([[[2.0, 4.0]], [[0.0, -8.0]]]), (3, 4))
    assert upsampled.tolist() == [[[0.0, 0.25, 0.75, 1.0]] * 3, [[1.0, 0.75, 0.25, 0.0]] * 3]


def test_each_map_is_stretched_by_itself_and_a_flat_one_is_zero():
    cams = torch.tensor([[[1.0, 3.0], [2.0, 1.0]], [[7.0, 7.0], [7.0, 7.0]]])
    assert upsample_cams(cams, 2).tolist() == [[[0.0, 1.0], [0.5, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_every_mode_spans_zero_to_one(mode):
    torch.manual_seed(2)
    upsampled = upsample_cams(torch.randn(4, 7, 5), (50, 31), mode)
    assert upsampled.shape == (4, 50, 31)
    assert upsampled.amin((1, 2)).tolist() == [0.0] * 4
    assert upsampled.amax((1, 2)).tolist() == [1.0] * 4
