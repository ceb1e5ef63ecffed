import pytest

from cutmix.errors import UsageError
from cutmix.models import DropBlock, PyramidNet, ShakeDrop, Together, regularize


def test_all_parts_are_put_in_the_first_one_first():
    model = regularize(PyramidNet(20, 11), Together(DropBlock(after="residuals", stages=(3,)), ShakeDrop()))
    last = model.layer3[1].bn4
    assert [type(child).__name__ for child in last.children()] == ["DropBlockLayer", "ShakeDropLayer"]
    assert [type(child).__name__ for child in model.layer1[1].bn4.children()] == ["ShakeDropLayer"]


def test_its_repr_is_the_call_that_makes_it():
    assert repr(Together(ShakeDrop(0.3))).startswith("Together(ShakeDrop(last=0.3, alpha=")
    assert Together(ShakeDrop(0.3)) == Together(ShakeDrop(0.3)) != Together(ShakeDrop(0.2))


def test_anything_else_is_refused():
    with pytest.raises(UsageError, match=r"not 0\.5"):
        Together(ShakeDrop(), 0.5)
