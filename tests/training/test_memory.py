import sys

import pytest

from cutmix.training.memory import keep_large_blocks


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is asked")
def test_the_c_library_takes_the_thresholds():
    assert keep_large_blocks() is True


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_large_blocks() is False
