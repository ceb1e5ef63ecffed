"""Every file is decoded once, and remembered until it changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cutmix.data import photo_facts as module
from cutmix.data.photo_facts import PhotoFact, photo_facts
from cutmix.data.places import user_cache

from .conftest import write_picture


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [write_picture(tmp_path / f"{n}.png", 20 + n, 9, seed=n) for n in range(4)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which files were decoded."""
    found: list[Path] = []
    read_fact = module.read_fact

    def watched(path: Path) -> PhotoFact:
        found.append(path)
        return read_fact(path)

    monkeypatch.setattr(module, "read_fact", watched)
    return found


def test_facts_are_size_and_fingerprint(paths: list[Path], tmp_path: Path) -> None:
    paths[3].write_bytes(paths[2].read_bytes())
    facts = photo_facts(paths, tmp_path)
    assert [(fact.width, fact.height) for fact in facts] == [(20, 9), (21, 9), (22, 9), (22, 9)]
    assert len({fact.digest for fact in facts}) == 3
    assert facts[2] == facts[3]
    assert not any(fact.problem for fact in facts)


def test_the_second_look_decodes_nothing(paths: list[Path], tmp_path: Path, opened: list[Path]) -> None:
    first = photo_facts(paths, tmp_path)
    assert sorted(opened) == paths
    opened.clear()
    assert photo_facts(paths, tmp_path) == first
    assert opened == []


def test_what_changed_or_is_new_is_decoded_again(paths: list[Path], tmp_path: Path, opened: list[Path]) -> None:
    photo_facts(paths[:3], tmp_path)
    opened.clear()
    write_picture(paths[0], 50, 40)
    stamp = paths[1].stat()
    os.utime(paths[1], ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    facts = photo_facts(paths, tmp_path)
    assert sorted(opened) == [paths[0], paths[1], paths[3]]
    assert (facts[0].width, facts[0].height) == (50, 40)


def test_what_is_wrong_is_not_remembered(paths: list[Path], tmp_path: Path, opened: list[Path]) -> None:
    paths[1].write_bytes(b"text")
    for _ in range(2):
        opened.clear()
        facts = photo_facts(paths, tmp_path)
        assert facts[1] == PhotoFact(0, 0, "", "is not a picture that can be decoded")
    assert opened == [paths[1]]


def test_progress_counts_to_all_files(paths: list[Path], tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    photo_facts(paths[:1], tmp_path)
    photo_facts(paths, tmp_path, lambda done, total: calls.append((done, total)))
    assert calls == [(2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b'{"format": 0, "files": {}}'])
def test_a_damaged_memory_only_costs_time(paths: list[Path], tmp_path: Path, content: bytes) -> None:
    expected = photo_facts(paths, tmp_path)
    (memory,) = (user_cache() / "checked").iterdir()
    memory.write_bytes(content)
    assert photo_facts(paths, tmp_path) == expected


def test_a_cache_that_cannot_be_written_only_costs_time(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(photo_facts(paths, tmp_path)) == 4


def test_two_folders_have_two_memories(paths: list[Path], tmp_path: Path) -> None:
    other = write_picture(tmp_path / "other" / "a.png", 30, 30)
    photo_facts(paths, tmp_path)
    photo_facts([other], other.parent)
    assert len(list((user_cache() / "checked").iterdir())) == 2
