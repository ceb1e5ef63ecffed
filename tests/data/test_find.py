"""From a spec to a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutmix.data import default_root, list_data, load_data
from cutmix.data.find import parse_spec
from cutmix.errors import UsageError

from .conftest import make_arrays, make_cifar10


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "cifar-10",
            r"Unknown data 'cifar-10'\. Did you mean 'cifar10'\? Accepted: cifar10, .*folder:PATH, arrays:PATH",
        ),
        ("", "Unknown data ''"),
        ("folder:", "Unknown data 'folder:'"),
        ("cifar10:x", "Unknown data 'cifar10:x'"),
        ("zip:x", "Unknown data 'zip:x'"),
    ],
)
def test_a_spec_that_is_not_understood_lists_what_is(spec: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        load_data(spec, tmp_path)


def test_a_path_may_hold_colons_and_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert parse_spec("folder:a:b") == ("folder", Path("a:b"))
    assert parse_spec("arrays:~/mine") == ("arrays", Path("/home/someone/mine"))


def test_the_root_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUTMIX_DATA", str(tmp_path))
    make_cifar10(tmp_path)
    assert default_root() == tmp_path
    assert load_data("cifar10").name == "cifar10"
    assert next(row for row in list_data() if row.name == "cifar10").found == "found"


def test_without_it_the_root_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "cutmix" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_root() == Path("/home/someone/.cache/cutmix/data")


def test_a_side_of_no_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="image_size is 0"):
        load_data(make_arrays(tmp_path), image_size=0)
