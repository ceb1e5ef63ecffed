"""Scores of out-of-distribution images: by hand, and against pytorch-ood and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cutmix.data.splits import ArraySplit
from cutmix.errors import UsageError
from cutmix.evaluation.ood_scores import (
    ClassGaussians,
    Energy,
    Mahalanobis,
    MaxLogit,
    MaxSoftmax,
    Neighbours,
    Odin,
    max_logit,
    max_softmax,
    nearest_neighbour,
    negative_energy,
    odin,
)
from cutmix.evaluation.subject import Outputs


@pytest.fixture
def logits():
    return 4 * torch.randn(50, 6, generator=torch.Generator().manual_seed(0))


def test_logit_scores_by_hand():
    logits = torch.tensor([[0.0, np.log(3.0)], [5.0, 5.0]])
    assert max_softmax(logits).tolist() == pytest.approx([0.75, 0.5])
    assert max_logit(logits).tolist() == pytest.approx([np.log(3.0), 5.0])
    assert negative_energy(logits).tolist() == pytest.approx([np.log(4.0), 5.0 + np.log(2.0)])
    assert negative_energy(logits, 2.0).tolist() == pytest.approx([2 * np.log(1 + 3**0.5), 5.0 + 2 * np.log(2.0)])


def test_logit_scores_are_those_of_pytorch_ood_with_their_sign_turned(logits):
    from pytorch_ood.detector import EnergyBased, MaxLogit, MaxSoftmax

    torch.testing.assert_close(max_softmax(logits).float(), -MaxSoftmax.score(logits))
    torch.testing.assert_close(max_logit(logits).float(), -MaxLogit.score(logits))
    torch.testing.assert_close(negative_energy(logits, 2.5).float(), -EnergyBased.score(logits, t=2.5))


def test_sure_networks_do_not_all_score_one():
    """In float32 both would be exactly 1 and could not be told apart."""
    one, other = max_softmax(torch.tensor([[20.0, 0.0], [25.0, 0.0]])).tolist()
    assert one < other < 1


def small_network():
    torch.manual_seed(3)
    layers = (nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    return nn.Sequential(*layers).eval()


def test_odin_is_that_of_pytorch_ood():
    from pytorch_ood.detector import ODIN

    network = small_network()
    pixels = torch.rand(9, 3, 6, 7, generator=torch.Generator().manual_seed(1))
    for temperature, eps in ((1000.0, 0.0014), (3.0, 0.1)):
        theirs = ODIN(network, eps=eps, temperature=temperature).predict(pixels)
        torch.testing.assert_close(odin(network, pixels, temperature, eps).float(), -theirs, rtol=1e-5, atol=1e-7)


def test_odin_steps_towards_a_larger_probability_and_leaves_no_gradients_behind():
    network = small_network()
    pixels = torch.rand(9, 3, 6, 7, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        still = odin(network, pixels, 10.0, 0.0)
        moved = odin(network, pixels, 10.0, 0.02)
    assert (moved > still).all()
    assert all(weight.grad is None for weight in network.parameters())


def features(seed=0, n=80, classes=3, width=5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    values = (
        rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + 2 * rng.normal(size=(classes, width))[labels]
    )
    return torch.tensor(values, dtype=torch.float32), torch.tensor(labels)


def test_mahalanobis_by_hand():
    # two classes with means (0, 0) and (10, 0), each spread by 2 along the first axis and by 1 along the second
    training = torch.tensor([[-2.0, 1.0], [2.0, 1.0], [-2.0, -1.0], [2.0, -1.0]])
    training, labels = torch.cat([training, training + torch.tensor([10.0, 0.0])]), torch.tensor([4] * 4 + [7] * 4)
    score = ClassGaussians.fit(training, labels).score(torch.tensor([[0.0, 3.0], [14.0, 0.0], [5.0, 0.0]]))
    assert score.tolist() == pytest.approx([-9.0, -4.0, -6.25])


def test_mahalanobis_is_that_of_scikit_learn_and_pytorch_ood():
    from pytorch_ood.detector import Mahalanobis
    from sklearn.covariance import EmpiricalCovariance

    training, labels = features()
    asked, _ = features(seed=1, n=20)
    ours = ClassGaussians.fit(training, labels).score(asked)
    means = np.stack([training[labels == k].double().mean(0) for k in range(3)])
    fitted = EmpiricalCovariance(assume_centered=True).fit(training.double().numpy() - means[labels])
    distances = [fitted.mahalanobis(asked.double().numpy() - mean) for mean in means]
    np.testing.assert_allclose(ours, -np.min(distances, axis=0), rtol=1e-8)
    theirs = Mahalanobis(None).to("cpu").fit_features(training, labels).predict_features(asked)
    assert np.corrcoef(ours, -theirs)[0, 1] == pytest.approx(1, abs=1e-6)  # it does not divide by the number of images


def test_mahalanobis_with_a_feature_that_never_varies():
    training, labels = features()
    dead = torch.cat([training, torch.zeros(80, 1)], dim=1)
    asked = torch.cat([features(seed=1)[0], torch.zeros(80, 1)], dim=1)
    with_dead = ClassGaussians.fit(dead, labels).score(asked)
    torch.testing.assert_close(with_dead, ClassGaussians.fit(training, labels).score(asked[:, :5]))


def test_neighbours_by_hand():
    training = torch.tensor([[1.0, 0.0], [0.0, 5.0], [-2.0, 0.0]])
    asked = torch.tensor([[3.0, 0.0]])  # at distances 0, sqrt 2 and 2 once all have length 1
    found = [float(nearest_neighbour(asked, training, k)) for k in (1, 2, 3)]
    assert found == pytest.approx([0.0, -(2**0.5), -2.0])


def test_neighbours_are_those_of_pytorch_ood(monkeypatch):
    from pytorch_ood.detector import KNN

    from cutmix.evaluation import ood_scores

    training, labels = features()
    asked, _ = features(seed=1, n=23)
    theirs = KNN(None, k=7).fit_features(training, labels).predict_features(asked)
    ours = nearest_neighbour(asked, training, 7)
    np.testing.assert_allclose(ours, -theirs, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(ood_scores, "ROWS", 5)  # in several parts, the last one smaller
    torch.testing.assert_close(nearest_neighbour(asked, training, 7), ours)


@pytest.mark.parametrize("k", [0, 4])
def test_more_neighbours_than_there_are_images_are_refused(k):
    with pytest.raises(UsageError, match="of 3 training images"):
        nearest_neighbour(torch.ones(2, 2), torch.ones(3, 2), k)


# ------------------------------------------------------------------------------------------------- as a question asks


def asked(score, outputs, train=None):
    return score.scorer(None, train)(None, outputs).tolist()


def test_a_question_gets_each_score_of_the_logits():
    said = Outputs(torch.tensor([[0.0, np.log(3.0)], [5.0, 5.0]]), torch.tensor([0, 1]))
    assert asked(MaxSoftmax(), said) == pytest.approx([0.75, 0.5])
    assert asked(MaxLogit(), said) == pytest.approx([np.log(3.0), 5.0])
    assert asked(Energy(), said) == pytest.approx([np.log(4.0), 5.0 + np.log(2.0)])
    assert asked(Energy(temperature=2.0), said) == pytest.approx([2 * np.log(1 + 3**0.5), 5.0 + 2 * np.log(2.0)])


def test_a_question_gets_distances_from_the_training_features():
    def outputs(features, labels):
        return Outputs(torch.zeros(len(labels), 2), torch.tensor(labels), torch.tensor(features))

    # Classes with means (0, 0) and (10, 0), each spread by 2 along the first axis and by 1 along the second. The label
    # of what is asked about does not count.
    corners = [[-2.0, 1.0], [2.0, 1.0], [-2.0, -1.0], [2.0, -1.0]]
    train = outputs([*corners, *([x + 10, y] for x, y in corners)], [0] * 4 + [1] * 4)
    assert asked(Mahalanobis(), outputs([[0.0, 3.0], [14.0, 0.0]], [1, 1]), train) == pytest.approx([-9.0, -4.0])
    # At distances 0, sqrt 2 and 2 once all have length 1.
    train = outputs([[1.0, 0.0], [0.0, 5.0], [-2.0, 0.0]], [0, 1, 0])
    assert asked(Neighbours(k=2), outputs([[3.0, 0.0]], [1]), train) == pytest.approx([-(2**0.5)])
    assert asked(Neighbours(k=3), outputs([[3.0, 0.0]], [1]), train) == pytest.approx([-2.0])


def test_a_question_gets_odin_of_the_images_in_pixels(colours, plain):
    # Logits are 20 times the mean colour. Of (153, 102, 51) / 255 = (0.6, 0.4, 0.2) red is the largest: the step of 0.1
    # makes it 0.7, and the others 0.3 and 0.1. At temperature 5 the logits are 2.8, 1.2 and 0.4. The colours of
    # (51, 51, 204) become 0.1, 0.1 and 0.9, and the logits 0.4, 0.4 and 3.6.
    subject = colours(plain((255, 255, 255)), [0], batch_size=1)
    out = ArraySplit(plain((153, 102, 51), (51, 51, 204)), np.zeros(2, np.int64))
    scores = Odin(temperature=5.0, eps=0.1).scorer(subject, None)(out, subject.outputs_of(out))
    expected = [1 / (1 + np.exp(-1.6) + np.exp(-2.4)), 1 / (1 + 2 * np.exp(-3.2))]
    assert scores.tolist() == pytest.approx(expected, rel=1e-5)
