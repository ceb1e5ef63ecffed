"""PGD: by hand on a linear network, against foolbox on a curved one, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cutmix.errors import UsageError
from cutmix.evaluation.pgd import EPS, PGD, draw_start, loss_gradient, pgd
from cutmix.evaluation.subject import OnPixels

MEAN, STD = (0.3, 0.5, 0.4), (0.2, 0.25, 0.1)


def curved(classes: int = 5, seed: int = 1) -> nn.Module:
    """A network whose gradient changes sign from place to place."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers).eval()


def pixels(batch: int = 7, seed: int = 2) -> torch.Tensor:
    """Some of them 0 and 1, where clamping matters."""
    rng = torch.Generator().manual_seed(seed)
    return (torch.rand(batch, 3, 6, 8, generator=rng) * 1.4 - 0.2).clamp(0, 1)


class Linear(nn.Module):
    """Two classes: logits 0 and 3 * red - 2 * green + 0 * blue, of one pixel."""

    def forward(self, pixels_BCHW):
        red, green = pixels_BCHW[:, 0, 0, 0], pixels_BCHW[:, 1, 0, 0]
        return torch.stack([torch.zeros_like(red), 3 * red - 2 * green], dim=1)


def one_pixel(*colours: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(colours)[:, :, None, None]


def test_on_a_linear_network_by_hand():
    # Class 1 grows with red and shrinks with green: for label 1 the attack lowers red and raises green, for label 0 the
    # other way round. Blue has no gradient: its sign is 0. Three steps of 0.125 would be 0.375; eps stops them at 0.25.
    images = one_pixel((0.5, 0.5, 0.5), (0.5, 0.875, 0.25), (0.125, 0.5, 1.0))
    attacked = pgd(Linear(), images, torch.tensor([1, 1, 0]), eps=0.25, steps=3, step_size=0.125)
    assert attacked.flatten(1).tolist() == [[0.25, 0.75, 0.5], [0.25, 1.0, 0.25], [0.375, 0.25, 1.0]]
    two = pgd(Linear(), images, torch.tensor([1, 1, 0]), eps=0.375, steps=2, step_size=0.125)
    assert two.flatten(1).tolist() == [[0.25, 0.75, 0.5], [0.25, 1.0, 0.25], [0.375, 0.25, 1.0]]


def test_the_default_step_is_a_quarter_of_eps():
    images = one_pixel((0.5, 0.5, 0.5))
    attacked = pgd(Linear(), images, torch.tensor([1]), eps=0.25, steps=3)
    assert attacked.flatten().tolist() == [0.5 - 3 / 16, 0.5 + 3 / 16, 0.5]


def test_a_start_is_kept_within_eps_and_within_the_image():
    images = one_pixel((0.5, 0.0, 0.5), (0.5, 0.5, 1.0))
    start = one_pixel((0.25, -0.25, 0.125), (-0.125, 0.125, 0.25))
    attacked = pgd(Linear(), images, torch.tensor([0, 1]), eps=0.25, steps=1, step_size=0.0625, start_BCHW=start)
    # red and green: 0.75 + 0.0625 is beyond eps, 0 stays; 0.375 - 0.0625 and 0.625 + 0.0625
    assert attacked.flatten(1).tolist() == [[0.75, 0.0, 0.625], [0.3125, 0.6875, 1.0]]
    # A start beyond the image begins at its edge: from there red goes down and green up.
    edge, beyond = one_pixel((1.0, 0.0, 0.5)), one_pixel((0.25, -0.25, 0.0))
    attacked = pgd(Linear(), edge, torch.tensor([1]), eps=0.25, steps=1, step_size=0.0625, start_BCHW=beyond)
    assert attacked.flatten().tolist() == [0.9375, 0.0625, 0.5]


def test_normalisation_is_the_networks_first_layer_so_that_eps_counts_in_pixels():
    # std 0.1 of blue: a step in normalised values would be ten times as small in pixels.
    class Blue(nn.Module):
        def forward(self, images_BCHW):
            return torch.stack([images_BCHW[:, 2, 0, 0], -images_BCHW[:, 2, 0, 0]], dim=1)

    model = OnPixels(Blue(), MEAN, STD)
    assert model(one_pixel((0.0, 0.0, 0.5)))[0].tolist() == pytest.approx([1.0, -1.0])  # (0.5 - 0.4) / 0.1
    attacked = pgd(model, one_pixel((0.25, 0.25, 0.5)), torch.tensor([0]), eps=EPS, steps=1, step_size=EPS)
    assert attacked.flatten().tolist() == pytest.approx([0.25, 0.25, 0.5 - 8 / 255])


@pytest.mark.parametrize(("eps", "steps", "step_size"), [(8 / 255, 10, 2 / 255), (0.1, 3, 0.07), (4 / 255, 7, None)])
def test_against_foolbox(eps, steps, step_size):
    foolbox = pytest.importorskip("foolbox")
    images, labels = pixels(), torch.tensor([0, 1, 2, 3, 4, 0, 3])
    oracle = foolbox.PyTorchModel(
        curved(), bounds=(0, 1), preprocessing={"mean": list(MEAN), "std": list(STD), "axis": -3}, device="cpu"
    )
    attack = foolbox.attacks.LinfPGD(abs_stepsize=step_size or eps / 4, steps=steps, random_start=False)
    _, expected, _ = attack(oracle, images, labels, epsilons=eps)
    ours = pgd(OnPixels(curved(), MEAN, STD), images, labels, eps=eps, steps=steps, step_size=step_size)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)
    assert (ours - images).abs().max().item() == pytest.approx(eps, abs=1e-6)
    assert (ours - images).abs().gt(1e-4).float().mean() > 0.8


def test_it_raises_the_loss_more_than_one_step_and_than_chance():
    model, images, labels = OnPixels(curved(), MEAN, STD), pixels(), torch.tensor([0, 1, 2, 3, 4, 0, 3])

    def loss(attacked):
        return nn.functional.cross_entropy(model(attacked), labels).item()

    rng = np.random.default_rng(0)
    random = (images + 0.1 * torch.from_numpy(rng.choice([-1.0, 1.0], images.shape)).float()).clamp(0, 1)
    one = pgd(model, images, labels, eps=0.1, steps=1, step_size=0.1)
    many = pgd(model, images, labels, eps=0.1, steps=20)
    assert loss(images) < loss(one) <= loss(many)
    assert loss(random) < loss(one)


def test_parameters_get_no_gradients_and_nothing_keeps_the_graph():
    model = OnPixels(curved(), MEAN, STD)
    images = pixels().requires_grad_()
    attacked = pgd(model, images, torch.zeros(7, dtype=torch.int64), steps=2)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert images.grad is None
    assert not attacked.requires_grad


def test_an_image_is_attacked_the_same_in_any_batch():
    model, images, labels = OnPixels(curved(), MEAN, STD), pixels(), torch.tensor([0, 1, 2, 3, 4, 0, 3])
    whole = pgd(model, images, labels, steps=3)
    alone = torch.cat([pgd(model, images[i : i + 1], labels[i : i + 1], steps=3) for i in range(7)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-6)


def test_the_gradient_is_that_of_each_images_own_loss():
    model = Linear()
    images = one_pixel((0.5, 0.5, 0.5), (1.0, 0.0, 0.0))
    gradient = loss_gradient(model, images, torch.tensor([1, 0]))
    # d/d logit of -log p is p - 1 for the label's, here of logits 0 and 0.5, and p of class 1 at logit 3
    p, q = 1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(-3.0))
    assert gradient.flatten(1).tolist() == [
        pytest.approx([3 * (p - 1), -2 * (p - 1), 0]),
        pytest.approx([3 * q, -2 * q, 0]),
    ]


def test_starts_fill_the_range_evenly_and_come_from_the_generator():
    start = draw_start((200, 3, 4, 5), 0.3, np.random.default_rng(4))
    assert torch.equal(start, draw_start((200, 3, 4, 5), 0.3, np.random.default_rng(4)))
    assert start.dtype == torch.float32
    assert start.abs().max() <= 0.3
    quarters = np.histogram(start, bins=[-0.3, -0.15, 0, 0.15, 0.3])[0] / start.numel()
    assert quarters.tolist() == pytest.approx([0.25] * 4, abs=0.02)


@pytest.mark.parametrize(
    ("eps", "hint"), [(8, "Is 8/255 meant?"), (1.5, "Is 1.5/255 meant?"), (-0.1, "between them"), (float("nan"), "nan")]
)
def test_eps_in_other_units_is_refused(eps, hint):
    with pytest.raises(UsageError) as refused:
        pgd(Linear(), pixels(), torch.zeros(7, dtype=torch.int64), eps=eps)
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    "images",
    [
        torch.randn(7, 3, 6, 8),  # normalised outside of the model
        pixels() * 255,
        (pixels() * 255).to(torch.uint8),
        pixels() * float("nan"),
    ],
)
def test_images_in_other_units_are_refused(images):
    with pytest.raises(UsageError, match=r"pixels in \[0, 1\] are accepted, and a model that normalises them itself"):
        pgd(Linear(), images, torch.zeros(7, dtype=torch.int64))


@pytest.mark.parametrize("settings", [{"steps": 0}, {"step_size": 2.0}, {"step_size": -0.1}])
def test_steps_that_there_are_not_are_refused(settings):
    with pytest.raises(UsageError, match="at least one is taken"):
        pgd(Linear(), pixels(), torch.zeros(7, dtype=torch.int64), **settings)


def test_networks_without_a_gradient_are_refused():
    class Detached(Linear):
        def forward(self, pixels_BCHW):
            return super().forward(pixels_BCHW.detach())

    class Elsewhere(nn.Linear):
        def forward(self, pixels_BCHW):
            return super().forward(torch.ones(len(pixels_BCHW), 2))

    for model in (Detached(), Elsewhere(2, 2)):
        with pytest.raises(UsageError, match="no gradient reaches the pixels"):
            pgd(model, one_pixel((0.5, 0.5, 0.5)), torch.tensor([0]))


def test_a_gradient_that_is_not_finite_is_refused():
    class Root(Linear):
        def forward(self, pixels_BCHW):
            return super().forward((pixels_BCHW - pixels_BCHW).sqrt())

    with pytest.raises(UsageError, match="not finite"):
        pgd(Root(), one_pixel((0.5, 0.5, 0.5)), torch.tensor([0]))


# ------------------------------------------------------------------------------------------------------- the question


@pytest.fixture
def margins(colours, plain):
    """Six images whose own colour is 10, 20, ... 60 grey levels above the others."""
    above = plain((110, 100, 100), (100, 120, 90), (70, 70, 100), (140, 100, 100), (50, 100, 50), (3, 0, 63))
    return lambda **settings: colours(above, [0, 1, 2, 0, 1, 2], **settings)


def test_the_question_by_hand(margins):
    # The own colour goes down by eps and the others up by eps. Margins of more than 2 * 16 stay: 40, 50 and 60.
    values = dict(PGD(eps=16 / 255, steps=4, random_start=False).answer(margins()))
    assert values["pgd/accuracy"] == 50
    assert values["pgd/accuracy"].n == 6
    assert values["pgd/largest_change"] == pytest.approx(16, abs=1e-4)
    assert 15 < values["pgd/mean_change"] <= 16.0001  # not every value can be lowered: some are 0 and 3
    # More than 2 * 24: 50 and 60. Eight steps of 6 lead from anywhere within eps to its border.
    assert dict(PGD(eps=24 / 255, steps=8).answer(margins()))["pgd/accuracy"] == pytest.approx(100 * 2 / 6)
    assert dict(PGD(eps=0.0).answer(margins()))["pgd/accuracy"] == 100


def test_the_questions_own_steps_are_taken(margins):
    values = dict(PGD(eps=24 / 255, steps=2, step_size=5 / 255, random_start=False).answer(margins()))
    assert values["pgd/largest_change"] == pytest.approx(10, abs=1e-4)


def test_each_image_starts_from_a_place_of_its_own(colours, plain):
    images = plain(*[(100, 120, 90)] * 3)
    subject, seen = colours(images, [1, 1, 1]), []
    subject.model.register_forward_pre_hook(lambda model, inputs: seen.append(inputs[0].detach()))
    list(PGD(eps=20 / 255, steps=1).answer(subject))
    std_C11, mean_C11 = (torch.tensor(values)[:, None, None] for values in (subject.std, subject.mean))
    levels_BCHW = 255 * (seen[0] * std_C11 + mean_C11) - torch.from_numpy(images).permute(0, 3, 1, 2)
    assert 19 < levels_BCHW.amax() < 20.001
    assert -20.001 < levels_BCHW.amin() < -19
    assert not torch.allclose(levels_BCHW[0], levels_BCHW[1])
    assert not torch.allclose(levels_BCHW[1], levels_BCHW[2])


def test_an_image_that_is_not_recognised_is_moved_away_from_its_label(colours, plain):
    # Red is 10 below green: moved away from what it is taken for, it would be recognised.
    subject = colours(plain((100, 110, 60)), [0])
    assert dict(PGD(random_start=False).answer(subject))["pgd/accuracy"] == 0


def test_the_answer_does_not_hang_on_the_batch_size(margins):
    def answer(**settings):
        return {name: float(value) for name, value in PGD(steps=2).answer(margins(**settings))}

    whole = answer()
    assert whole["pgd/mean_change"] < 8  # two steps from random places do not bring every pixel to the border
    for batch_size in (1, 4):
        assert answer(batch_size=batch_size) == pytest.approx(whole, abs=1e-4)
    assert answer(seed=1)["pgd/mean_change"] != pytest.approx(whole["pgd/mean_change"], abs=1e-4)
    assert answer(limit=2)["pgd/mean_change"] != pytest.approx(whole["pgd/mean_change"], abs=1e-4)


def test_an_attacked_image_that_gives_no_finite_logits_is_no_answer(margins, monkeypatch):
    subject = margins()
    forward = subject.model.forward

    def blind(images_BCHW):
        """What the attack is built on is finite, what is said of its result is not."""
        return forward(images_BCHW) if torch.is_grad_enabled() else forward(images_BCHW) + torch.nan

    monkeypatch.setattr(subject.model, "forward", blind)
    with pytest.raises(UsageError, match="not finite for 6 of 6 images"):
        list(PGD(steps=1).answer(subject))


def test_every_value_is_defined(margins):
    question = PGD()
    assert set(question.about) == {name for name, _ in question.answer(margins())}
    assert "up to 8/255" in question.about["pgd/accuracy"]
    assert "10 steps of 2/255" in question.about["pgd/accuracy"]


def test_the_network_is_left_as_it_was(margins):
    state = torch.random.get_rng_state(), np.random.get_state()[1].tolist()
    subject = margins()
    list(PGD(steps=2).answer(subject))
    assert subject.model.scale.grad is None
    assert torch.equal(torch.random.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]


def test_eps_in_grey_levels_is_refused_by_the_question(margins):
    with pytest.raises(UsageError, match="Is 8/255 meant"):
        list(PGD(eps=8).answer(margins()))
