"""One display for all runs of a comparison."""

import io

from cutmix.recipes import progress
from cutmix.recipes.progress import Progress

RESULT = {"test_error_top1_last": 12.345}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that the test sets."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_a_log_has_plain_lines_and_one_a_minute(monkeypatch):
    clock, log = Clock(monkeypatch), io.StringIO()
    shown = Progress(log)
    shown.begin({"a-s0": 4, "b-s0": 4}, 1)
    shown.started("a-s0")
    clock.now += 10
    shown.moved("a-s0", 0.5)  # within the first minute
    clock.now += 70
    shown.moved("a-s0", 2.0)  # 2 of 8 epochs in 80 s
    shown.ended("a-s0", RESULT)
    shown.started("b-s0")
    shown.failed("b-s0", "the disk is full")
    shown.close()
    assert log.getvalue().splitlines() == [
        "1 of 3 runs were done already",
        "starting a-s0  (1/3 runs)",
        "1/3 runs, about 04:00 left; epochs: a-s0 2.0/4",
        "done     a-s0: top-1 error 12.35 % after the last epoch  (2/3 runs, about 01:20 left)",
        "starting b-s0  (2/3 runs)",
        "FAILED   b-s0: the disk is full  (3/3 runs)",
    ]
    assert "\r" not in log.getvalue()


def test_what_was_there_before_does_not_count_as_fast(monkeypatch):
    """Six of ten epochs were there; the seventh took 50 s, so that three are left."""
    clock, log = Clock(monkeypatch), io.StringIO()
    shown = Progress(log)
    shown.begin({"a-s0": 10}, 0)
    shown.started("a-s0")
    shown.moved("a-s0", 6.1)
    clock.now += 100
    shown.moved("a-s0", 7.0)
    assert "about 05:00 left; epochs: a-s0 7.0/10" in log.getvalue()


def test_the_first_steps_say_nothing_of_the_time_left(monkeypatch):
    clock, log = Clock(monkeypatch), io.StringIO()
    shown = Progress(log)
    shown.begin({"a-s0": 4}, 0)
    shown.started("a-s0")
    clock.now += 70  # a slow start
    shown.moved("a-s0", 0.05)
    assert log.getvalue().splitlines()[-1] == "0/1 runs; epochs: a-s0 0.1/4"


def test_a_terminal_has_one_bar_for_all(monkeypatch):
    clock, terminal = Clock(monkeypatch), Terminal()
    shown = Progress(terminal)
    shown.begin({"a-s0": 4, "b-s0": 6}, 0)
    for name in ("a-s0", "b-s0"):
        shown.started(name)
    clock.now += 1
    shown.moved("a-s0", 1.0)
    clock.now += 1
    shown.moved("b-s0", 1.5)
    assert "0/2 runs  25%|" in terminal.getvalue()
    assert "a-s0 1.0/4, b-s0 1.5/6" in terminal.getvalue()
    shown.ended("a-s0", RESULT)
    assert terminal.getvalue().splitlines()[-1].startswith("done     a-s0: top-1 error 12.35 %")


def test_a_transfer_ends_with_its_own_measure():
    log = io.StringIO()
    shown = Progress(log)
    shown.begin({"a-s0": 1, "b-s0": 1}, 0)
    shown.ended("a-s0", {"measure": "mean_ap", "mean_ap_last": 64.875, "mean_ap_best": 70.0})
    shown.ended("b-s0", {"measure": "cider", "cider_last": 71.204, "cider_best": 90.0})
    assert "done     a-s0: mean AP 64.88 % after the last epoch" in log.getvalue()
    assert "done     b-s0: CIDEr 71.20 after the last epoch" in log.getvalue()
