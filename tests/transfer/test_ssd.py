"""SSD's boxes, matching, coding and mining by hand, on a network of our own making; and the views of its pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cutmix.data import BoxSplit, make_boxes
from cutmix.errors import UsageError
from cutmix.transfer.ssd import SSD, L2Norm, SSDFeatures, _extra, default_boxes


class TwoClasses:
    classes = ("red", "blue")
    num_classes = 2


@pytest.fixture
def network(pretrained):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SSD(size=64).network(pretrained, TwoClasses)


def boxes_of_300() -> torch.Tensor:
    """SSD300's default boxes as (centre x, centre y, width, height) in shares of the picture."""
    generator = default_boxes(300, [38, 19, 10, 5, 3, 1])
    grid = [[side, side] for side in (38, 19, 10, 5, 3, 1)]
    return generator._grid_default_boxes(grid, [300, 300])


def test_the_8732_boxes_of_ssd300():
    """4 x 38^2 + 6 x 19^2 + 6 x 10^2 + 6 x 5^2 + 4 x 3^2 + 4."""
    boxes = boxes_of_300()
    assert boxes.shape == (8732, 4)
    assert float(boxes[:, 2:].max()) <= 1


def test_some_default_boxes_by_hand():
    """Upstream's: side 30 of 300 at the centre (4, 4); the geometric mean with 60; 2:1; and the next place 8 on."""
    pixels = 300 * boxes_of_300()
    expected = [
        [4, 4, 30, 30],
        [4, 4, math.sqrt(30 * 60), math.sqrt(30 * 60)],
        [4, 4, 30 * math.sqrt(2), 30 / math.sqrt(2)],
        [4, 4, 30 / math.sqrt(2), 30 * math.sqrt(2)],
        [12, 4, 30, 30],
    ]
    np.testing.assert_allclose(pixels[:5], expected, rtol=1e-5)
    np.testing.assert_allclose(pixels[4 * 38 * 38][:3], [8, 8, 60], rtol=1e-5)  # the second source: steps of 16
    np.testing.assert_allclose(pixels[-4][:3], [150, 150, 264], rtol=1e-5)  # the last one: a single place
    np.testing.assert_allclose(pixels[-8][:3], [250, 250, 213], rtol=1e-5)  # three places with steps of 100


def test_the_shapes_of_the_boxes_by_hand():
    """The second source has 3:1 beside 2:1, both lying and standing; the last one 2:1 alone, as wide as the picture."""
    pixels = 300 * boxes_of_300()
    two, three = math.sqrt(2), math.sqrt(3)
    wide, high = [[60 * two, 60 / two], [60 * three, 60 / three]], [[60 / two, 60 * two], [60 / three, 60 * three]]
    expected = [wide[0], high[0], wide[1], high[1]]
    np.testing.assert_allclose(pixels[4 * 38 * 38 :][2:6, 2:], expected, rtol=1e-5)
    np.testing.assert_allclose(pixels[-2:, 2:], [[300, 264 / two], [264 / two, 300]], rtol=1e-5)


def test_the_first_boxes_of_every_source_have_upstreams_sides():
    """A square of the smaller side, and one of the geometric mean with the next one's."""
    pixels = 300 * boxes_of_300()
    starts = np.cumsum([0, 4 * 38**2, 6 * 19**2, 6 * 10**2, 6 * 5**2, 4 * 3**2])
    smaller, larger = [30, 60, 111, 162, 213, 264], [60, 111, 162, 213, 264, 315]
    np.testing.assert_allclose(pixels[starts, 2], smaller, rtol=1e-5)
    np.testing.assert_allclose(pixels[starts + 1, 2], np.minimum(np.sqrt(np.multiply(smaller, larger)), 300), rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "sides"), [(300, [38, 19, 10, 5, 3, 1]), (192, [24, 12, 6, 3, 1, 1]), (64, [8, 4, 2, 1, 1, 1])]
)
def test_the_maps_have_the_sides_that_the_boxes_are_made_for(tiny_net, size, sides):
    features = SSDFeatures(tiny_net(), size)
    with torch.no_grad():
        maps = features.eval()(torch.zeros(1, 3, size, size))
    assert [map_BCHW.shape[-1] for map_BCHW in maps.values()] == features.sides == sides
    assert [map_BCHW.shape[1] for map_BCHW in maps.values()] == features.out_channels


def test_matching_by_hand(network):
    """An IoU of 0.5 matches; every object has its best box, even one that would be another's, and even a poor one."""
    iou_objects_boxes = torch.tensor([[0.60, 0.50, 0.10, 0.49], [0.00, 0.10, 0.30, 0.49], [0.00, 0.70, 0.0, 0.0]])
    assert network.proposal_matcher(iou_objects_boxes).tolist() == [0, 2, -1, 1]
    two = torch.tensor([[0.60, 0.50, 0.10, 0.20], [0.55, 0.10, 0.30, 0.49]])
    assert network.proposal_matcher(two).tolist() == [1, 0, -1, -1]  # the last object wins the box they share


def test_box_coding_by_hand(network):
    """Variances 0.1 and 0.2: a box 10 wide and 20 high, moved by (1, 3) and grown to (20, 30)."""
    default = torch.tensor([[10.0, 10.0, 20.0, 30.0]])
    true = torch.tensor([[16 - 10.0, 23 - 15.0, 16 + 10.0, 23 + 15.0]])
    coded = network.box_coder.encode_single(true, default)
    expected = [1 / 10 / 0.1, 3 / 20 / 0.1, math.log(20 / 10) / 0.2, math.log(30 / 20) / 0.2]
    np.testing.assert_allclose(coded[0], expected, rtol=1e-5)
    np.testing.assert_allclose(network.box_coder.decode_single(coded, default), true, rtol=1e-5)


def test_the_loss_takes_three_hard_negatives_for_each_positive(network):
    """Ten boxes, one of them matched: of the nine others the three that look least like background count."""
    logits = torch.zeros(1, 10, 3)
    logits[0, :, 1] = torch.tensor([0.3, 2.0, -1.0, 0.7, 1.5, -2.0, 0.1, 0.9, -0.5, 0.0])
    offsets = torch.zeros(1, 10, 4)
    offsets[0, 0] = torch.tensor([0.5, 0.0, 3.0, 0.0])
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(10, 1)
    targets = [{"boxes": boxes[:1], "labels": torch.tensor([2])}]
    matched = [torch.tensor([0, *[-1] * 9])]
    losses = network.compute_loss(targets, {"cls_logits": logits, "bbox_regression": offsets}, [boxes], matched)
    positive = F.cross_entropy(logits[0, :1], torch.tensor([2]))
    hardest = F.cross_entropy(logits[0, [1, 4, 7]], torch.zeros(3, dtype=torch.long), reduction="sum")
    assert float(losses["classification"]) == pytest.approx(float(positive + hardest), rel=1e-5)
    assert float(losses["bbox_regression"]) == pytest.approx(0.5 * 0.5**2 + (3 - 0.5), rel=1e-5)


def test_both_losses_are_over_the_number_of_positives_of_the_batch(network):
    """The same picture twice, and one without objects, which adds nothing: what one picture alone has."""
    logits, offsets = torch.randn(3, 10, 3), torch.randn(3, 10, 4)
    logits[1], offsets[1] = logits[0], offsets[0]
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(10, 1)
    with_objects = {"boxes": boxes[:1] + 1, "labels": torch.tensor([1])}
    matched = torch.tensor([0, 0, *[-1] * 8])
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    one = network.compute_loss(
        [with_objects], {"cls_logits": logits[:1], "bbox_regression": offsets[:1]}, [boxes], [matched]
    )
    three = network.compute_loss(
        [with_objects, with_objects, empty],
        {"cls_logits": logits, "bbox_regression": offsets},
        [boxes] * 3,
        [matched, matched, torch.full((10,), -1)],
    )
    for name in one:
        assert float(three[name]) == pytest.approx(float(one[name]), rel=1e-5), name


def test_the_l2_norm_by_hand():
    norm = L2Norm(2)
    np.testing.assert_allclose(norm(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)).flatten().detach(), [12, 16])
    assert [p.shape for p in norm.parameters()] == [(2,)]


def test_the_first_source_alone_has_the_scaled_norm(tiny_net):
    """A length of 20 wherever anything is seen; the second source is the backbone's map itself."""
    features = SSDFeatures(tiny_net(), 64).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps, (first, second) = features(images), features.backbone(images).values()
    seen = first.norm(dim=1) > 0
    assert seen.sum() > 50
    np.testing.assert_allclose(maps["0"].norm(dim=1)[seen], 20, rtol=1e-5)
    assert torch.equal(maps["1"], second)


def test_the_last_source_teaches_every_layer_before_it(tiny_net):
    features = SSDFeatures(tiny_net(), 64)
    features(torch.rand(1, 3, 64, 64))["5"].sum().backward()
    layers = [features.backbone.network.conv1, features.backbone.network.layer3[0], *(e[0] for e in features.extras)]
    assert all(layer.weight.grad.abs().sum() > 0 for layer in layers)


@pytest.mark.parametrize("norm", ["frozen", "trained"])
def test_the_backbones_norms_are_trained_where_that_is_asked_for(pretrained, norm):
    network = SSD(size=64, norm=norm).network(pretrained, TwoClasses).train()
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert [module.training for module in norms] == [norm == "trained"] * 4
    assert {p.requires_grad for module in norms for p in module.parameters()} == {norm == "trained"}


def test_both_convolutions_of_an_extra_layer_end_in_a_relu():
    """Of a single pixel: 2 - x of the first one, 1 - 3 or 1 + 3 times that of the second."""
    layer, side = _extra(1, 1, 1, 1, halves=False)
    assert side == 1
    for factor, values in ((3.0, {5.0: 1, 1.5: 2.5}), (-3.0, {5.0: 1, 1.5: 0})):
        for convolution, weight, bias in ((layer[0], -1.0, 2.0), (layer[2], factor, 1.0)):
            torch.nn.init.constant_(convolution.weight, weight)
            torch.nn.init.constant_(convolution.bias, bias)
        with torch.no_grad():
            for value, expected in values.items():
                assert layer(torch.full((1, 1, 1, 1), value)).item() == pytest.approx(expected)


def test_extra_layers_begin_as_upstreams():
    """Xavier: uniform up to the root of 6 / (inputs + outputs), each of them counted for every cell of the kernel."""
    layer, _ = _extra(64, 32, 48, 5, halves=True)
    for convolution, bound in ((layer[0], math.sqrt(6 / (64 + 32))), (layer[2], math.sqrt(6 / (9 * 32 + 9 * 48)))):
        assert 0.98 * bound < float(convolution.weight.detach().abs().max()) <= bound
        assert not convolution.bias.any()


def test_pixels_are_normalised_as_the_backbone_was_trained(network):
    """(1 - mean) / std of the checkpoint, whatever ImageNet's are."""
    images, _ = network.transform([torch.ones(3, 64, 64)])
    np.testing.assert_allclose(images.tensors[0, :, 5, 5], [0.6 / 0.2, 0.5 / 0.25, 0.4 / 0.3], rtol=1e-5)


def test_the_background_is_a_class_of_its_own(network):
    """Scores of two classes and the background, and four edges, for each of 4 or 6 boxes a place."""
    scores, edges = ([layer.out_channels for layer in head.module_list]
                     for head in (network.head.classification_head, network.head.regression_head))  # fmt: skip
    assert scores == [12, 18, 18, 18, 12, 12]
    assert edges == [16, 24, 24, 24, 16, 16]


def test_tests_keep_what_upstream_keeps(network):
    kept = (network.score_thresh, network.nms_thresh, network.topk_candidates, network.detections_per_img)
    assert kept == (0.01, 0.45, 200, 200)


@pytest.fixture
def split(tmp_path) -> BoxSplit:
    """A picture of 40x20, black with a white square; a small difficult object beside it."""
    from PIL import Image

    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[5:15, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    boxes = make_boxes([[10, 5, 20, 15], [30, 0, 32, 2]], [1, 0], [False, True])
    return BoxSplit((tmp_path / "a.png",), (boxes,))


@pytest.mark.parametrize("seed", range(8))
def test_boxes_follow_their_pixels_through_the_augmentation(split, seed):
    """Whatever was drawn, the mean inside of the box is bright."""
    task = SSD(size=64)
    image, target = task.train_view(split, 0, np.random.default_rng(seed))
    torch.manual_seed(1000 + seed)  # the view follows from the generator that is handed in, and from nothing else
    again, _ = task.train_view(split, 0, np.random.default_rng(seed))
    assert torch.equal(image, again)
    assert (image.shape, image.dtype) == ((3, 64, 64), torch.uint8)
    assert target["labels"].tolist() == [2]  # background is 0; the difficult one is left out
    x1, y1, x2, y2 = target["boxes"][0].round().int().tolist()
    inside = image[:, y1:y2, x1:x2].float().amax(0)
    assert float((inside > 60).float().mean()) > 0.8


def test_the_augmentation_is_upstreams(monkeypatch):
    from torchvision.transforms import v2

    made = []
    monkeypatch.setattr(v2, "Compose", made.append)
    for expand in (3.0, 1.0):
        SSD(expand=expand).augment()
    names = ["RandomPhotometricDistort", "RandomZoomOut", "RandomIoUCrop", "RandomHorizontalFlip"]
    assert [type(change).__name__ for change in made[0]] == names
    assert [type(change).__name__ for change in made[1]] == [names[0], *names[2:]]
    _, zoom, crop, mirror = made[0]
    assert (zoom.p, tuple(zoom.side_range), mirror.p) == (0.5, (1, 3), 0.5)
    assert crop.options == [0, 0.1, 0.3, 0.7, 0.9, 1]  # 0: anywhere; 1 and more: not at all


def test_a_picture_that_was_made_smaller_lies_on_imagenets_mean_colour(split):
    """Among views of a black and white picture, one in two has its corners on the canvas or cropped away."""
    views = [SSD(size=64).train_view(split, 0, np.random.default_rng(seed)).image_CHW for seed in range(12)]
    fill = torch.tensor([124, 116, 104], dtype=torch.uint8)[:, None, None]
    shares = [float((view == fill).all(0).float().mean()) for view in views]
    assert 2 <= sum(share > 0.3 for share in shares) <= 10


def test_the_callers_random_state_is_left_alone(split):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    SSD(size=64).train_view(split, 0, np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_test_view_says_the_size_of_the_photo(split):
    image, target = SSD(size=64, load_side=20).test_view(split, 0)
    assert image.shape == (3, 64, 64)
    assert target["size"].tolist() == [40, 20]


def test_a_small_photo_is_not_made_larger_on_loading(split):
    from cutmix.data import read_photo

    image, edges = SSD(load_side=80)._as_tensors(read_photo(split.paths[0]), split.boxes[0])
    assert image.shape == (3, 20, 40)
    np.testing.assert_allclose(edges[0], [10, 5, 20, 15])


def test_boxes_are_scaled_with_a_photo_that_is_shrunk_on_loading(split):
    from cutmix.data import read_photo

    image, edges = SSD(load_side=20)._as_tensors(read_photo(split.paths[0]), split.boxes[0])
    assert image.shape == (3, 10, 20)
    np.testing.assert_allclose(edges[0], [5, 2.5, 10, 7.5])


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"size": 32}, "at least 64 pixels, got 32"), ({"size": 96.5}, "whole number .*got 96.5"),
     ({"expand": 0.5}, "at least 1"),
     ({"metric": "coco"}, "'voc07' or 'voc'"),
     ({"load_side": -1}, "must not be negative")],
)  # fmt: skip
def test_settings_that_are_not_possible(changes, said):
    with pytest.raises(UsageError, match=said):
        SSD(**changes)


def test_a_size_that_does_not_fit_the_backbones_padding(tiny_net):
    network = tiny_net()
    network.layer2[0].padding = (0, 0)
    with pytest.raises(UsageError, match="needs a feature map 8 times smaller"):
        SSDFeatures(network, 64)
