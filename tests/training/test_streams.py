import numpy as np
import torch

from cutmix.training.streams import Purpose, seed_layers, stream


def test_a_stream_follows_from_its_position_alone():
    assert (
        stream(3, Purpose.MIXING, 1, 2, 0).random(4).tolist() == stream(3, Purpose.MIXING, 1, 2, 0).random(4).tolist()
    )


def test_streams_at_other_positions_are_others():
    positions = [(s, p, e, k, r) for s in (0, 1) for p in Purpose for e in (0, 1) for k in (0, 1) for r in (0, 1)]
    firsts = {stream(*position).integers(2**62) for position in positions}
    assert len(firsts) == len(positions)


def test_neighbouring_streams_are_independent():
    """The first draws of 4,000 neighbouring steps are uniform: their mean lies within five standard errors of 1/2."""
    firsts = np.array([stream(0, Purpose.MIXING, 0, step, 0).random() for step in range(4000)])
    assert abs(firsts.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 4000)
    assert abs(np.corrcoef(firsts[:-1], firsts[1:])[0, 1]) < 5 / np.sqrt(4000)


def test_layer_noise_is_seeded_by_position():
    draws = []
    for position in ((1, 2), (1, 2), (1, 3)):
        seed_layers(0, Purpose.LAYERS, *position)
        draws.append(torch.rand(1).item())
    assert draws[0] == draws[1] != draws[2]
