"""Writing that loses nothing."""

import errno
import os

import pytest

from cutmix import files as module
from cutmix.errors import CutmixError
from cutmix.files import fingerprint_of_files, take_lock, write_atomically


def test_a_fingerprint_changes_with_what_lies_in_a_folder(tmp_path):
    folder = tmp_path / "pictures"
    assert fingerprint_of_files(folder) == ""
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.png").write_bytes(b"one")
    (folder / "deep" / "lost").symlink_to(tmp_path / "nowhere")
    before = fingerprint_of_files(folder), fingerprint_of_files(folder, depth=1)
    assert len(before[0]) == 16
    assert before == (fingerprint_of_files(folder), fingerprint_of_files(folder, depth=1))
    time = (folder / "deep").stat().st_mtime_ns
    (folder / "deep" / "a.png").write_bytes(b"other")
    os.utime(folder / "deep", ns=(time, time))
    assert fingerprint_of_files(folder) != before[0]
    assert fingerprint_of_files(folder, depth=1) == before[1]
    (folder / "b.png").write_bytes(b"two")
    assert fingerprint_of_files(folder, depth=1) != before[1]
    assert fingerprint_of_files(folder / "b.png") != fingerprint_of_files(folder / "deep" / "a.png")


def test_a_failed_write_leaves_what_was_there_and_no_litter(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def fail(file):
        file.write(b"half of the new con")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CutmixError, match="the disk is full"):
        write_atomically(path, fail)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_file_is_forced_to_the_disk_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(module.os, "fsync", lambda fd: (calls.append("sync"), sync(fd))[1])
    monkeypatch.setattr(module.os, "replace", lambda a, b: (calls.append("rename"), replace(a, b))[1])
    write_atomically(tmp_path / "file", lambda file: file.write(b"x"))
    assert calls == ["sync", "rename", "sync"]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(CutmixError, match=r"cannot write .*folder/file"):
        write_atomically(tmp_path / "folder" / "file", lambda file: file.write(b"x"))


def test_a_lock_keeps_other_processes_out_until_its_own_has_been_killed(tmp_path, elsewhere_locked):
    with elsewhere_locked(tmp_path / "lock") as other:
        with pytest.raises(BlockingIOError):
            take_lock(tmp_path / "lock")
        other.kill()
        other.wait()
        os.close(take_lock(tmp_path / "lock"))


def test_a_lock_that_is_let_go_of_can_be_taken(tmp_path, elsewhere_locked):
    os.close(take_lock(tmp_path / "lock"))
    with elsewhere_locked(tmp_path / "lock"), pytest.raises(BlockingIOError):  # which waits for it, and has it now
        take_lock(tmp_path / "lock")


def test_a_disk_without_locks_is_no_hindrance(tmp_path, monkeypatch):
    import fcntl

    def no_locks(descriptor, command):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    assert take_lock(tmp_path / "lock") is None
    with pytest.raises(FileNotFoundError):
        take_lock(tmp_path / "nowhere" / "lock")
