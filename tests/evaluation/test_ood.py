"""The out-of-distribution question: which set is the positive one, what is noted, and what is named as missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cutmix.data.splits import PhotoSplit
from cutmix.data.transforms import centre_view
from cutmix.errors import UsageError
from cutmix.evaluation.ood import COLUMNS, LOGIT_SCORES, OutOfDistribution, roc_curve
from cutmix.evaluation.ood_scores import Energy, MaxSoftmax, Score
from cutmix.evaluation.question import ask
from cutmix.evaluation.values import Missing, Note

VIVID, GREY = [(250, 0, 0), (0, 240, 0), (0, 0, 230)], [(120, 120, 120), (90, 100, 90), (130, 120, 130), (60, 60, 50)]


@pytest.fixture
def saved(plain, tmp_path):
    """Writes images of one colour each into an .npz file; gives what ``out_sets`` takes."""

    def save(name: str, *rgb: tuple[int, int, int], size: int = 8) -> str:
        np.savez(tmp_path / f"{name}.npz", images=plain(*rgb, size=size))
        return str(tmp_path / f"{name}.npz")

    return save


def answer(subject, *out_sets: str, scores=LOGIT_SCORES):
    return dict(ask(OutOfDistribution(out_sets=out_sets, scores=scores), subject))


def test_the_in_set_is_the_positive_class_and_a_larger_score_is_more_like_it(colours, plain, saved):
    found = answer(colours(plain(*VIVID), [0, 1, 2]), saved("grey", *GREY))
    assert [float(found[f"ood/grey/msp/{column}"]) for column in COLUMNS] == [100, 100, 100, 0, 100, 100]
    assert found["ood/grey/msp/auroc"].n == 7
    curve = found["ood/grey/roc/msp"]
    assert (0, 100) in zip(curve.x, curve.y)  # all in-images and no out-image
    turned = answer(colours(plain(*GREY), [0, 1, 2, 2]), saved("vivid", *VIVID))
    assert [float(turned[f"ood/vivid/msp/{column}"]) for column in list(COLUMNS)[:4]] == [0, 0, 50, 100]
    # Everything of the out-set comes first: precisions at the four in-images are 1/4, 2/5, 3/6, 4/7; at the three
    # out-images, smallest scores first, 1/5, 2/6, 3/7.
    assert turned["ood/vivid/msp/aupr_in"] == pytest.approx(100 * (1 / 4 + 2 / 5 + 3 / 6 + 4 / 7) / 4)
    assert turned["ood/vivid/msp/aupr_out"] == pytest.approx(100 * (1 / 5 + 2 / 6 + 3 / 7) / 3)
    (row,) = [row for row in turned["ood/all"].rows if row[2] == "msp"]
    assert row[:8] == ["colours", "vivid", "msp", 4, 3, 0, 0, 50]


def test_the_mean_is_over_out_sets_and_not_over_images(colours, plain, saved):
    out_sets = saved("grey", *GREY), saved("vivid", VIVID[0], (255, 0, 0))
    found = answer(colours(plain(*VIVID), [0, 1, 2]), *out_sets, scores=(MaxSoftmax(),))
    one, other = (float(found[f"ood/{name}/msp/auroc"]) for name in ("grey", "vivid"))
    assert one != other
    assert found["ood/mean/msp/auroc"] == pytest.approx((one + other) / 2)
    assert found["ood/mean/msp/auroc"].n == 3 + 4 + 2
    assert "ood/mean/msp/auroc" not in answer(colours(plain(*VIVID), [0, 1, 2]), out_sets[0])


def test_images_that_are_in_both_sets_are_told(colours, plain, saved):
    found = answer(colours(plain(*VIVID), [0, 1, 2]), saved("both", VIVID[1], *GREY))
    assert "1 of the 5 images of the out-set both are also in the in-set colours" in found["ood/both/shared"].text
    assert "ood/grey/shared" not in answer(colours(plain(*VIVID), [0, 1, 2]), saved("grey", *GREY))


def test_photos_of_the_in_set_are_compared_as_the_data_resizes_them(colours, plain, saved, tmp_path):
    rgb = np.random.default_rng(4).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "photo.png")
    seen = centre_view(Image.fromarray(rgb), 8, 12)
    np.savez(tmp_path / "both.npz", images=np.stack([*plain(*GREY), seen]))
    subject = colours(plain(*VIVID), [0, 1, 2])
    photos = PhotoSplit((tmp_path / "photo.png",), np.array([2]))
    subject = replace(subject, data=replace(subject.data, test=photos, squared=12))
    shared = answer(subject, str(tmp_path / "both.npz"), scores=(Energy(),))["ood/both/shared"]
    assert "1 of the 5 images of the out-set both" in shared.text


def test_what_was_resized_is_told(colours, plain, saved):
    found = answer(colours(plain(*VIVID), [0, 1, 2]), saved("large", *GREY, size=20))
    assert isinstance(found["ood/large/fitted"], Note)
    assert "resized from 20x20" in found["ood/large/fitted"].text


class BlindToWhite(nn.Module):
    """A network whose logits are not finite for white images."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images_BCHW):
        logits_BK = self.model(images_BCHW)
        return torch.where(logits_BK.amin(1, keepdim=True) > 19.9, torch.nan, logits_BK)


def test_an_out_set_that_gives_no_finite_logits_is_named_and_the_others_are_answered(colours, plain, saved):
    subject = colours(plain(*VIVID), [0, 1, 2])
    subject.model = BlindToWhite(subject.model)
    found = answer(subject, saved("white", (255, 255, 255), GREY[0]), saved("grey", *GREY))
    assert isinstance(found["ood/white"], Missing)
    assert "not finite for 1 of 2 images" in found["ood/white"].reason
    assert found["ood/grey/msp/auroc"] == 100
    assert {row[1] for row in found["ood/all"].rows} == {"grey"}


def test_what_the_network_cannot_give_is_named(colours, plain, saved):
    found = dict(ask(OutOfDistribution(out_sets=(saved("grey", *GREY),)), colours(plain(*VIVID), [0, 1, 2])))
    for score in ("mahalanobis", "knn"):
        assert "does not end in a linear layer" in found[f"ood/{score}"].reason
    assert {"ood/grey/msp/auroc", "ood/grey/odin/auroc"} <= set(found)


@dataclass(frozen=True)
class Seen(Score):
    """Notes the labels of the images that it was shown to learn from."""

    name: ClassVar[str] = "seen"
    wants_features: ClassVar[bool] = True
    wants_training: ClassVar[bool] = True
    labels: ClassVar[list[int]] = []
    about: ClassVar[str] = "nothing"

    def scorer(self, subject, train):
        self.labels[:] = train.labels_N.tolist()
        return lambda source, outputs: outputs.logits_NK[:, 0].numpy()


def test_scores_learn_from_training_images_and_not_from_those_that_are_tested(colours, plain, saved):
    answer(colours(plain(*VIVID), [2, 2, 2]), saved("grey", *GREY), scores=(Seen(),))
    assert Seen.labels == [0, 1, 2]


def test_as_many_training_images_as_were_asked_for(colours, plain, saved):
    question = OutOfDistribution(out_sets=(saved("grey", *GREY),), scores=(Seen(),), train_images=2)
    dict(ask(question, colours(plain(*VIVID), [2, 2, 2])))
    assert len(set(Seen.labels)) == 2


@pytest.mark.parametrize("name", ["mean", "all", "", "a/b"])
def test_names_that_other_numbers_have_are_refused(name):
    with pytest.raises(UsageError, match="an out-set cannot be called"):
        OutOfDistribution(out_sets=(f"{name}=uniform",))


def test_noise_of_another_name_is_other_noise(colours, plain):
    subject, question = colours(plain(*VIVID), [0, 1, 2]), OutOfDistribution()
    one, other, again = (question._load(f"{name}=uniform", subject).images for name in ("a", "b", "a"))
    assert one.rng(2).random() == again.rng(2).random() != other.rng(2).random()


def test_a_limit_takes_as_many_out_images(colours, plain, saved):
    found = answer(colours(plain(*VIVID), [0, 1, 2], limit=2), saved("grey", *GREY), scores=(Energy(),))
    assert found["ood/grey/energy/auroc"].n == 2 + 2


def test_the_curve_is_thinned_but_keeps_its_ends():
    rng = np.random.default_rng(0)
    curve = roc_curve(rng.normal(1, 1, 500), rng.normal(0, 1, 400))
    assert len(curve.x) <= 200
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 100, 100)
    assert np.mean(np.array(curve.y) >= np.array(curve.x)) > 0.9
