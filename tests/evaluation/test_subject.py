"""The subject: one pass for all, the same images for all, the same answer whatever the batches and processes are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

from cutmix.data import ArraySplit, load_data
from cutmix.errors import CutmixError, UsageError
from cutmix.evaluation.accuracy import Accuracy
from cutmix.evaluation.calibration import Calibration
from cutmix.evaluation.ood import LOGIT_SCORES, OutOfDistribution
from cutmix.evaluation.out_sets import NOISE, Noise
from cutmix.evaluation.question import evaluate
from cutmix.evaluation.subject import Subject, likeliest, require_likeliest
from cutmix.models import ResNet


@pytest.fixture
def data(tiny_arrays):
    return load_data(f"arrays:{tiny_arrays}")


class Counting(nn.Module):
    """Counts the images that it has seen; its logits are the mean of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3, bias=False)
        self.head.weight.data = torch.eye(3)
        self.seen = 0

    def forward(self, images_BCHW):
        self.seen += len(images_BCHW)
        return self.head(images_BCHW.mean((2, 3)))


def test_one_pass_serves_all_that_needs_only_logits(data):
    model = Counting()
    questions = [Accuracy(), Calibration(held_out=0.3), OutOfDistribution(("uniform",), LOGIT_SCORES)]
    found = dict(evaluate(model, questions, data, batch_size=7, device="cpu"))
    assert found["accuracy/top1"] == 100.0
    assert model.seen == 18 + 18  # the test images, and as many of noise


def test_features_are_noted_in_the_same_pass(data):
    model = Counting()
    subject = Subject(model, data, "cpu", wants_features=True)
    logits, labels = subject.logits()
    torch.testing.assert_close(subject.features(), logits)  # the head is the identity
    assert (model.seen, labels.tolist()) == (18, data.test.labels_N.tolist())
    late = Subject(model, data, "cpu")
    late.logits()
    torch.testing.assert_close(late.features(), logits)  # asked for too late: another pass
    assert model.seen == 3 * 18


def test_a_network_without_a_linear_layer_at_its_end_keeps_its_logits(data):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    subject = Subject(model, data, "cpu", wants_features=True)
    assert subject.logits()[0].shape == (18, 3)
    with pytest.raises(UsageError, match="does not end in a linear layer"):
        subject.features()
    found = dict(evaluate(model, [OutOfDistribution(("uniform",), train_images=9)], data, device="cpu"))
    assert "no features" in found["ood/knn"].reason
    assert "ood/uniform/odin/auroc" in found


def test_pixels_are_the_images_before_normalisation(data):
    subject = Subject(Counting(), data, "cpu", batch_size=18)
    pixels, labels, _ = next(subject.pixel_batches())
    expected = torch.tensor(data.test.images_NHWC).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-7)
    with torch.no_grad():
        torch.testing.assert_close(subject.pixel_model(pixels), subject.logits()[0], rtol=1e-4, atol=1e-5)
    assert labels.tolist() == data.test.labels_N.tolist()


def test_a_limit_asks_all_networks_about_the_same_images(data):
    one, other = (Subject(Counting(), data, "cpu", limit=7, batch_size=size) for size in (2, 5))
    assert (len(one), one.logits()[0].shape) == (7, (7, 3))
    assert torch.equal(one.logits()[0], other.logits()[0])
    assert not torch.equal(one.logits()[0], Subject(Counting(), data, "cpu", limit=7, seed=1).logits()[0])
    assert len(Subject(Counting(), data, "cpu", limit=99)) == 18


def test_generators_follow_from_seed_question_and_position(data):
    subject = Subject(Counting(), data, "cpu", seed=3)
    draws = [subject.rng(*key).random() for key in (("a",), ("a", 1), ("a", "1", 2), ("b",))]
    assert len(set(draws)) == 4
    assert subject.rng("a", 1).random() == draws[1]


def test_what_is_drawn_is_drawn_once_and_stays_in_order(data):
    images = np.zeros((20, 2, 2, 3), np.uint8)
    images[:] = np.arange(20)[:, None, None, None]
    split = ArraySplit(images, np.zeros(20, np.int64))
    drawn = Subject(Counting(), data, "cpu").drawn(split, 15, "some").images_NHWC[:, 0, 0, 0].tolist()
    assert len(drawn) == 15
    assert drawn == sorted(set(drawn))


def test_once_remembers(data):
    subject = Subject(Counting(), data, "cpu")
    assert (subject.once("step", lambda: [1, 2]), subject.once("step", lambda: [3])) == ([1, 2], [1, 2])


@pytest.mark.parametrize("classes", [2, 4])
def test_another_number_of_classes_is_refused(data, classes):
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))
    found = dict(evaluate(model, [Accuracy()], data, device="cpu"))
    assert f"the network gave (18, {classes})" in found["accuracy"].reason


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_no_answer(data, wrong):
    class Broken(Counting):
        def forward(self, images_BCHW):
            logits = super().forward(images_BCHW)
            logits[0, 1] = wrong
            return logits

    with pytest.raises(CutmixError, match="not finite for 3 of 18 images"):
        dict(evaluate(Broken(), [Accuracy()], data, batch_size=6, device="cpu"))


def test_no_class_is_the_likeliest_of_logits_that_are_not_finite():
    logits = torch.tensor([[1.0, 2.0, 0.5], [float("nan"), 5.0, 0.0], [0.0, float("inf"), 1.0], [4.0, 2.0, 3.0]])
    guesses = likeliest(logits)
    assert guesses.tolist() == [1, -1, -1, 0]
    with pytest.raises(UsageError, match="not finite for 2 of 4 images"):
        require_likeliest(guesses)
    assert require_likeliest(guesses[[0, 3]]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("settings", "message"), [({"limit": 0}, "limit is 0"), ({"batch_size": 0}, "batch_size is 0")]
)
def test_bad_settings_are_refused(data, settings, message):
    with pytest.raises(UsageError, match=message):
        Subject(Counting(), data, "cpu", **settings)


def answers(data, batch_size, rank=0, world_size=1):
    torch.manual_seed(0)
    model = ResNet(depth=8, bottleneck=False, num_classes=3, stem="cifar")
    subject = Subject(model, data, "cpu", batch_size, seed=4, rank=rank, world_size=world_size)
    noise = Noise(NOISE["uniform"], 5, 12, lambda row: subject.rng("noise", row))
    questions = [Accuracy(), OutOfDistribution(("uniform", "gaussian"), train_images=12)]
    numbers = {name: value.as_json() for name, value in evaluate(subject, questions)}
    return subject.logits()[0], subject.logits_of(noise), numbers


def one_of_two(rank, folder, spec, batch_size):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(answers(load_data(spec), batch_size, rank, 2), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_the_answer_is_the_same_for_any_batch_size(data):
    whole, noise, numbers = answers(data, 18)
    for batch_size in (1, 5):
        again, noise_again, numbers_again = answers(data, batch_size)
        torch.testing.assert_close(again, whole, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(noise_again, noise, rtol=1e-4, atol=1e-5)
        assert numbers_again["accuracy/top1"] == numbers["accuracy/top1"]


def test_two_processes_count_each_image_once(data, tiny_arrays, tmp_path):
    batch_size = 5  # 18 images: batches of 5, 5, 5 and 3, of which the first process gets the larger half
    mp.start_processes(one_of_two, (str(tmp_path), f"arrays:{tiny_arrays}", batch_size), nprocs=2, start_method="fork")
    whole, noise, numbers = answers(data, batch_size)
    for rank in range(2):
        logits, noise_logits, found = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        torch.testing.assert_close(logits, whole, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(noise_logits, noise, rtol=1e-4, atol=1e-5)
        assert found["accuracy/confusion"] == numbers["accuracy/confusion"]
        for score in ("msp", "odin", "mahalanobis"):
            name = f"ood/uniform/{score}/auroc"
            assert found[name]["value"] == pytest.approx(numbers[name]["value"], abs=2)
            assert found[name]["n"] == numbers[name]["n"] == 36
