"""Faster R-CNN: both forms learn, what is frozen stays, and the settings are the protocol's."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from PIL import Image

from cutmix.data import BoxSplit, make_boxes
from cutmix.errors import UsageError
from cutmix.transfer.faster_rcnn import FasterRCNN


class TwoClasses:
    classes = ("red", "blue")
    num_classes = 2


def made(task: FasterRCNN, pretrained) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return task.network(pretrained, TwoClasses)


def batch():
    targets = [
        {"boxes": torch.tensor([[8.0, 4.0, 40.0, 30.0]]), "labels": torch.tensor([1])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)},  # nothing is there
    ]
    return [torch.rand(3, 48, 64), torch.rand(3, 64, 40)], targets


@pytest.mark.parametrize("form", ["c4", "fpn"])
def test_a_step_of_both_forms(pretrained, form):
    """All that is to learn gets a gradient; what is frozen, batch norms' statistics included, stays to the last bit."""
    task = FasterRCNN(form=form, size=64, max_size=96, proposals=(20, 10), roi_batch=8)
    network = made(task, pretrained).train()
    before = copy.deepcopy(network.state_dict())
    torch.manual_seed(0)
    losses = network(*batch())
    assert tuple(sorted(losses)) == tuple(sorted(task.losses))
    sum(losses.values()).backward()
    torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.1).step()
    after = network.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    for part in ("conv1", "bn1", "layer1"):
        assert all(name in same for name in before if f"network.{part}." in name), part
    assert all(name in same for name in before if "running_" in name)
    learned = [name for name, p in network.named_parameters() if p.requires_grad]
    assert learned
    assert not set(learned) & same - {"roi_heads.box_predictor.bbox_pred.bias"}
    network.eval()
    found = network(batch()[0])
    assert {"boxes", "labels", "scores"} <= set(found[0])


@pytest.mark.parametrize("form", ["c4", "fpn"])
def test_the_background_is_a_class_of_its_own(pretrained, form):
    predictor = made(FasterRCNN(form=form, size=64), pretrained).roi_heads.box_predictor
    assert (predictor.cls_score.out_features, predictor.bbox_pred.out_features) == (3, 12)


def test_c4_judges_regions_with_the_rest_of_the_network(pretrained):
    network = made(FasterRCNN(size=64, pool=7), pretrained)
    assert network.backbone.backbone.stages == ("layer3",)
    assert network.backbone.out_channels == 12
    assert network.roi_heads.box_head(torch.randn(5, 12, 7, 7)).shape == (5, 14)
    assert network.rpn.anchor_generator.sizes == ((128, 256, 512),)


def test_a_region_is_judged_by_the_mean_of_the_backbones_own_last_stage(pretrained, tiny_net):
    network = made(FasterRCNN(size=64), pretrained).eval()
    regions = torch.randn(2, 12, 7, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = tiny_net().layer4(regions).mean((2, 3))
        np.testing.assert_allclose(network.roi_heads.box_head(regions), expected, rtol=1e-5)


def test_the_pyramid_goes_from_the_largest_map_to_the_smallest(pretrained):
    """Strides 4 to 32, and one more."""
    network = made(FasterRCNN(form="fpn", size=64), pretrained).eval()
    with torch.no_grad():
        maps = network.backbone(torch.zeros(1, 3, 64, 64))
    assert [tuple(map_BCHW.shape[1:]) for map_BCHW in maps.values()] == [(256, side, side) for side in (16, 8, 4, 2, 1)]
    assert network.rpn.anchor_generator.sizes == ((32,), (64,), (128,), (256,), (512,))


def test_anchors_and_regions_of_ones_own(pretrained):
    network = made(FasterRCNN(anchors=(16, 40), pool=5), pretrained)
    c4 = network.rpn
    assert network.roi_heads.box_roi_pool.output_size == (5, 5)
    assert c4.anchor_generator.sizes == ((16, 40),)
    assert c4.head.cls_logits.out_channels == 6
    shapes = c4.anchor_generator.cell_anchors[0][:, 2:] - c4.anchor_generator.cell_anchors[0][:, :2]
    assert shapes[2].tolist() == [16, 16]
    assert shapes[0].tolist() == pytest.approx([22, 12], abs=2)  # half as high as wide, of the same area


def test_the_settings_are_those_of_the_protocol(pretrained):
    network = made(FasterRCNN(), pretrained)
    rpn, heads = network.rpn, network.roi_heads
    assert (network.transform.min_size, network.transform.max_size) == ((600,), 1000)
    assert rpn._pre_nms_top_n == {"training": 12000, "testing": 6000}
    assert rpn._post_nms_top_n == {"training": 2000, "testing": 300}
    assert (rpn.proposal_matcher.high_threshold, rpn.proposal_matcher.low_threshold, rpn.nms_thresh) == (0.7, 0.3, 0.7)
    assert (heads.nms_thresh, heads.score_thresh, heads.detections_per_img) == (0.3, 0.0, 100)
    sampler = heads.fg_bg_sampler
    assert (sampler.batch_size_per_image, sampler.positive_fraction) == (256, 0.25)
    assert (heads.proposal_matcher.high_threshold, heads.proposal_matcher.low_threshold) == (0.5, 0.5)
    sampler = rpn.fg_bg_sampler
    assert (sampler.batch_size_per_image, sampler.positive_fraction, rpn.score_thresh) == (256, 0.5, 0.0)
    assert (heads.box_roi_pool.output_size, heads.box_roi_pool.sampling_ratio) == ((7, 7), 2)


def test_box_coding_by_hand(pretrained):
    """A box 10 wide and 20 high, moved by (1, 3), grown to (20, 30): times 10 and 5 in the head, plain in the RPN."""
    network = made(FasterRCNN(size=64), pretrained)
    default, true = torch.tensor([[10.0, 10, 20, 30]]), torch.tensor([[6.0, 8, 26, 38]])
    plain = np.array([1 / 10, 3 / 20, math.log(20 / 10), math.log(30 / 20)])
    for coder, factors in ((network.roi_heads.box_coder, [10, 10, 5, 5]), (network.rpn.box_coder, [1, 1, 1, 1])):
        np.testing.assert_allclose(coder.encode_single(true, default)[0], plain * factors, rtol=1e-5)


def test_pixels_are_normalised_as_the_backbone_was_trained(pretrained):
    network = made(FasterRCNN(size=64), pretrained)
    assert (network.transform.image_mean, network.transform.image_std) == ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3])


def test_boxes_are_mirrored_with_their_pictures(tmp_path):
    """A white square at 4 to 10 of 40 pixels; mirrored it is at 30 to 36. About every second view is."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[5:15, 4:10] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    split = BoxSplit((tmp_path / "a.png",), (make_boxes([[4, 5, 10, 15]], [1]),))
    views = [FasterRCNN().train_view(split, 0, np.random.default_rng(seed)) for seed in range(12)]
    lefts = [int(target["boxes"][0, 0]) for _, target in views]
    assert set(lefts) == {4, 30}
    for (image, target), left in zip(views, lefts):
        assert target["boxes"].tolist() == [[left, 5, left + 6, 15]]
        assert image[:, 5:15, left : left + 6].min() == 255
        assert image.float().sum() == 255 * 3 * 10 * 6


@pytest.mark.parametrize(("frozen", "stages"), [(1, "1"), (2, "12"), (3, "123")])
def test_as_many_stages_are_frozen_as_are_asked_for(pretrained, frozen, stages):
    """The stem and the first so many stages, the one at stride 4 being the first."""
    network = made(FasterRCNN(size=64, frozen=frozen), pretrained).backbone.backbone.network
    still = {name.split(".")[0] for name, p in network.named_parameters() if not p.requires_grad and p.ndim == 4}
    assert still == {"conv1", *(f"layer{number}" for number in stages)}


@pytest.mark.parametrize("form", ["c4", "fpn"])
def test_nothing_frozen_where_nothing_is_asked_for(pretrained, form):
    network = made(FasterRCNN(form=form, size=64, frozen=0, norm="trained"), pretrained).train()
    assert all(p.requires_grad for p in network.parameters())
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 5
    assert all(module.training for module in norms)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"form": "c5"}, "'c4' or 'fpn', got 'c5'"), ({"size": 800, "max_size": 600}, "size <= max_size"),
     ({"frozen": 4}, "0 to 3"), ({"anchors": (16, 0)}, r"anchors=\.\.\.\) must be at least 1, got \(16, 0\)"),
     ({"proposals": (20, 0)}, "proposals"), ({"roi_batch": 0}, "roi_batch"), ({"pool": 0}, "pool"),
     ({"score": 1.0}, r"in \[0, 1\), got 1.0"),
     ({"norm": "none"}, "'frozen' or 'trained'"), ({"form": "fpn", "anchors": (16, 32)}, "takes 5 anchors")],
)  # fmt: skip
def test_settings_that_are_not_possible(changes, said, pretrained):
    with pytest.raises(UsageError, match=said):
        FasterRCNN(**changes).network(pretrained, TwoClasses)
