import torch
from torch import nn

from cutmix.training.state import State


def state_with(errors: list[float]) -> State:
    model = nn.Linear(2, 2)
    history = [{"epoch": n, "test_error_top1": error} for n, error in enumerate(errors, 1)]
    return State(model, torch.optim.SGD(model.parameters(), 0.1), None, history=history)


def test_of_equally_good_epochs_the_last_is_the_best_as_in_the_official_code():
    assert state_with([9.0, 3.5, 4.0, 3.5, 8.0]).best == {"epoch": 4, "test_error_top1": 3.5}


def test_nothing_is_the_best_of_nothing():
    assert state_with([]).best is None
