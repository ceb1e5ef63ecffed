"""FGSM: against foolbox, by hand, and that eps counts in pixels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cutmix.errors import UsageError
from cutmix.evaluation.fgsm import FGSM, fgsm
from cutmix.evaluation.subject import OnPixels

MEAN, STD = (0.3, 0.5, 0.4), (0.2, 0.25, 0.1)


def curved() -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("eps", [8 / 255, 0.2])
def test_against_foolbox(eps):
    foolbox = pytest.importorskip("foolbox")
    rng = torch.Generator().manual_seed(2)
    images = (torch.rand(7, 3, 6, 8, generator=rng) * 1.4 - 0.2).clamp(0, 1)
    labels = torch.tensor([0, 1, 2, 3, 4, 0, 3])
    oracle = foolbox.PyTorchModel(
        curved(), bounds=(0, 1), preprocessing={"mean": list(MEAN), "std": list(STD), "axis": -3}, device="cpu"
    )
    _, expected, _ = foolbox.attacks.FGSM()(oracle, images, labels, epsilons=eps)
    ours = fgsm(OnPixels(curved(), MEAN, STD), images, labels, eps=eps)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


def test_by_hand():
    class Difference(nn.Module):
        """Logits: red - blue of the one pixel, and 0. For label 0 red goes down and blue up; green has no gradient."""

        def forward(self, pixels_BCHW):
            red, _, blue = pixels_BCHW[:, :, 0, 0].T
            return torch.stack([red - blue, torch.zeros_like(red)], dim=1)

    images = torch.tensor([[0.5, 0.5, 0.25], [0.0625, 0.5, 1.0]])[:, :, None, None]
    attacked = fgsm(Difference(), images, torch.tensor([0, 1]), eps=0.125)
    assert attacked.flatten(1).tolist() == [[0.375, 0.5, 0.375], [0.1875, 0.5, 0.875]]
    assert fgsm(Difference(), images, torch.tensor([0, 0]), eps=0.125)[1].flatten().tolist() == [0.0, 0.5, 1.0]


def test_the_question_by_hand(colours, plain):
    # The own colour goes down by 8 levels and the others up by 8. Margins are 10, 15, 20 and 60.
    images = plain((110, 100, 100), (85, 100, 90 - 10), (60, 60, 80), (60, 0, 0))
    values = dict(FGSM().answer(colours(images, [0, 1, 2, 0])))
    assert values["fgsm/accuracy"] == 50
    assert values["fgsm/largest_change"] == pytest.approx(8, abs=1e-4)
    assert values["fgsm/mean_change"] == pytest.approx(8, abs=1e-4)
    assert set(FGSM().about) == set(values)
    # Were eps added to normalised values, it would be 8 * std levels, and nothing would be taken for another class.
    assert dict(FGSM(eps=2 / 255).answer(colours(images, [0, 1, 2, 0])))["fgsm/accuracy"] == 100


def test_an_image_that_is_not_recognised_is_moved_away_from_its_label(colours, plain):
    # Red is 10 below green: moved away from what it is taken for, it would be recognised.
    assert dict(FGSM().answer(colours(plain((100, 110, 60)), [0])))["fgsm/accuracy"] == 0


def test_other_batch_sizes_give_the_same(colours, plain):
    images, labels = plain((110, 100, 100), (85, 100, 80), (60, 60, 80), (60, 0, 0)), [0, 1, 2, 0]
    for batch_size in (1, 3):
        assert dict(FGSM().answer(colours(images, labels, batch_size=batch_size)))["fgsm/accuracy"] == 50


def test_eps_in_other_units_is_refused(colours, plain):
    with pytest.raises(UsageError, match="Is 8/255 meant"):
        list(FGSM(eps=8).answer(colours(plain((9, 0, 0)), [0])))
