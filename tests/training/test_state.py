import torch
from torch import nn

from cutmix.training.loop import make_accelerator
from cutmix.training.settings import Settings
from cutmix.training.state import State


def state_with(errors: list[float]) -> State:
    model = nn.Linear(2, 2)
    history = [{"epoch": n, "test_error_top1": error} for n, error in enumerate(errors, 1)]
    return State(model, torch.optim.SGD(model.parameters(), 0.1), None, history=history)


def test_of_equally_good_epochs_the_last_is_the_best_as_in_the_official_code():
    assert state_with([9.0, 3.5, 4.0, 3.5, 8.0]).best == {"epoch": 4, "test_error_top1": 3.5}


def test_nothing_is_the_best_of_nothing():
    assert state_with([]).best is None


def test_the_gradient_scaler_of_fp16_is_kept():
    """fp16 needs a GPU; a scaler on the CPU stands for it."""
    accelerator = make_accelerator(Settings(), cpu=True)
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    accelerator.scaler.scale(torch.ones(1))
    state = state_with([])
    state.model, state.optimizer = accelerator.prepare(state.model, state.optimizer)
    checkpoint = state.to_checkpoint(accelerator, {"arch": "net"})
    accelerator.scaler.load_state_dict({**accelerator.scaler.state_dict(), "scale": 2.0})
    state.load_checkpoint(checkpoint, accelerator)
    assert accelerator.scaler.get_scale() == 8.0
