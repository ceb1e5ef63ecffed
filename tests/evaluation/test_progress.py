"""What an evaluation shows while it runs."""

from __future__ import annotations

import io

from cutmix.evaluation import progress as module
from cutmix.evaluation.progress import Progress


def clock(monkeypatch) -> list[float]:
    """The time in seconds, which a test sets."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_question_with_the_time_left(monkeypatch):
    now = clock(monkeypatch)
    stream = io.StringIO()
    progress = Progress(stream)
    progress.expect([("accuracy", 1.0), ("ood", 3.0)])
    progress.begin("accuracy", "net: accuracy", 1.0)
    progress.advance(0.4)
    now[0] = 30.0
    progress.end("net: accuracy", 30.0)
    assert stream.getvalue() == "net: accuracy: 30 s, about 90 s left\n"  # one of four passes took 30 s


def test_each_question_is_told_by_its_own_pace(monkeypatch):
    """Two networks; of the first, a pass takes 2 s for accuracy and 10 s for corruption."""
    now = clock(monkeypatch)
    progress = Progress(io.StringIO())
    progress.expect([("accuracy", 1.0), ("corruption", 20.0)] * 2)
    assert progress.seconds_left() == 0
    progress.begin("accuracy", "a", 1.0)
    now[0] = 2.0
    progress.end("a", 2.0)
    assert progress.seconds_left() == 2 * 41  # nothing else is known than this pace
    progress.begin("corruption", "a", 20.0)
    progress.advance(5.0)
    now[0] = 52.0
    assert progress.seconds_left() == 15 * 10 + 2 + 20 * 10
    now[0] = 202.0
    progress.end("a", 200.0)
    assert progress.seconds_left() == 2 + 20 * 10
    progress.begin("accuracy", "b", 1.0)
    now[0] = 206.0
    progress.end("b", 4.0)
    progress.begin("corruption", "b", 20.0)
    assert progress.seconds_left() == 200  # by the first network, before anything of it is done
    progress.advance(10.0)
    now[0] = 246.0  # 4 s a pass now: by all that was seen of it, 240 s for 30 passes
    assert progress.seconds_left() == 80


def test_a_question_that_takes_more_or_less_than_expected_ends_where_the_next_begins():
    progress = Progress(io.StringIO())
    progress.expect([("a", 3.0)])
    for done in (5.0, 0.1):
        progress.begin("a", "net: a", 1.0)
        progress.advance(done)
        progress.end("net: a", 1.0)
    assert progress._done == 2.0


def test_a_terminal_gets_a_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    progress = Progress(stream)
    progress.expect([("ood", 2.0)])
    progress.begin("ood", "net: ood", 2.0)
    progress.advance(1.0)
    progress.end("net: ood", 120.0)
    assert "net: ood:  50 %" in stream.getvalue() or "net: ood:   0 %" in stream.getvalue()
    assert stream.getvalue().endswith("net: ood: 2 min\n")


def test_the_other_processes_are_silent():
    stream = io.StringIO()
    progress = Progress(stream, silent=True)
    progress.expect([("a", 1.0)])
    progress.begin("a", "net: a", 1.0)
    progress.end("net: a", 5.0)
    assert stream.getvalue() == ""
