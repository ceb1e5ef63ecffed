"""What an evaluation shows while it runs."""

from __future__ import annotations

import io

from cutmix.evaluation import progress as module
from cutmix.evaluation.progress import Progress


def test_a_log_gets_a_line_a_question_with_the_time_left(monkeypatch):
    now = iter([0.0, 100.0, 130.0])  # made, told what to expect, at the end of the question
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    progress = Progress(stream)
    progress.expect(4.0)
    progress.begin("net: accuracy", 1.0)
    progress.advance(0.4)
    progress.end("net: accuracy", 30.0)
    assert stream.getvalue() == "net: accuracy: 30 s, about 90 s left\n"  # one of four passes took 30 s


def test_a_question_that_takes_more_or_less_than_expected_ends_where_the_next_begins():
    progress = Progress(io.StringIO())
    progress.expect(3.0)
    for done in (5.0, 0.1):
        progress.begin("a", 1.0)
        progress.advance(done)
        progress.end("a", 1.0)
    assert progress._done == 2.0


def test_a_terminal_gets_a_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    progress = Progress(stream)
    progress.expect(2.0)
    progress.begin("net: ood", 2.0)
    progress.advance(1.0)
    progress.end("net: ood", 120.0)
    assert "net: ood:  50 %" in stream.getvalue() or "net: ood:   0 %" in stream.getvalue()
    assert stream.getvalue().endswith("net: ood: 2 min\n")


def test_the_other_processes_are_silent():
    stream = io.StringIO()
    progress = Progress(stream, silent=True)
    progress.expect(1.0)
    progress.begin("a", 1.0)
    progress.end("a", 5.0)
    assert stream.getvalue() == ""
