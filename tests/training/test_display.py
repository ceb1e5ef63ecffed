"""What a terminal and a log show."""

import io

import torch

from cutmix.training.display import BatchTested, Console, StepInfo

RECORD = {
    "epoch": 3,
    "lr": 0.1,
    "train_loss": 1.5,
    "train_error": 50.0,
    "test_error_top1": 41.257,
    "test_error_top5": 7.0,
    "images_per_second": 512.3,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def info(step: int = 4) -> StepInfo:
    return StepInfo(2, 30, step, 10, 128, 0.1, 1.234, 50.0, 10.0, step_seconds=0.25, data_seconds=0.01)


def test_a_log_has_a_plain_line_an_epoch_and_one_a_minute():
    log = io.StringIO()
    console = Console(log)
    assert not any(console.wants_step(step, 100) for step in range(50))  # within the first minute
    console.step(info())
    console.epoch(RECORD, RECORD, 30)
    first, second = log.getvalue().splitlines()
    assert first == "epoch 3/30 step 5/10  lr 0.1  loss 1.2340  512 images/s"
    assert second.startswith(
        "epoch  3/30  lr 0.1  train loss 1.5000 error 50.00 % (mixed labels)  test top-1 error 41.26 %"
    )
    assert "\r" not in log.getvalue()
    assert "\x1b" not in log.getvalue()


def test_a_terminal_has_a_bar_that_goes_away():
    terminal = Terminal()
    console = Console(terminal)
    console.step(info())
    assert "epoch 3/30" in terminal.getvalue()
    assert "5/10" in terminal.getvalue()
    console._looked -= 10
    console.test_step(BatchTested(2, 30, 0, 3, torch.zeros(4)))
    assert "test 3/30" in terminal.getvalue()
    console.looked_at(7, 7)
    assert "looking at the files" in terminal.getvalue()
    console.epoch(RECORD, RECORD, 30)
    assert console._bar is None
    assert terminal.getvalue().splitlines()[-1].startswith("epoch  3/30")


def test_an_epoch_that_was_not_tested_is_shown_without_an_error():
    stream = io.StringIO()
    record = {"epoch": 1, "lr": 0.1, "train_loss": 2.0, "train_error": 90.0, "images_per_second": 10.0}
    Console(stream).epoch(record, record, 3)
    assert "epoch 1/3" in stream.getvalue()
    assert "test top-1" not in stream.getvalue()
