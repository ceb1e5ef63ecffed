"""What each picture file is: its size, a fingerprint, or why it cannot be used. Found once, then remembered.

A file is decoded whole, since a truncated one looks fine until its last rows. What was found about a good file is kept
in the user's cache under its path, byte count and time of change, so that the next look only lists the folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from cutmix.data.photos import PhotoError, read_photo
from cutmix.data.places import user_cache
from cutmix.errors import CutmixError
from cutmix.files import write_atomically

Progress = Callable[[int, int], None]
"""Called with (files done, files in all)."""

FORMAT = 1


class PhotoFact(NamedTuple):
    """One file: width and height in pixels once upright, a hash of its bytes, what is wrong ("" if nothing)."""

    width: int
    height: int
    digest: str
    problem: str


def photo_facts(paths: Sequence[Path], folder: Path, progress: Progress | None = None) -> list[PhotoFact]:
    """The facts about ``paths``, all of which lie in ``folder``; files that have not changed are not read again."""
    memory = _memory_file(folder)
    known = _recall(memory)
    stamps = [_stamp(path) for path in paths]
    facts = [_known_fact(known.get(str(path)), stamp) for path, stamp in zip(paths, stamps)]
    new = [row for row, fact in enumerate(facts) if fact is None]
    known_count = len(paths) - len(new)
    for done, (row, fact) in enumerate(zip(new, _read_all([paths[row] for row in new])), start=known_count + 1):
        facts[row] = fact
        if progress is not None:
            progress(done, len(paths))
    found = [fact for fact in facts if fact is not None]
    if new:
        good = [entry for entry in zip(paths, stamps, found) if not entry[2].problem]
        _remember(memory, {str(path): (*stamp, *fact) for path, stamp, fact in good})
    return found


def read_fact(path: Path) -> PhotoFact:
    """Decode one file."""
    try:
        image = read_photo(path)
        return PhotoFact(image.width, image.height, blake2b(path.read_bytes(), digest_size=16).hexdigest(), "")
    except PhotoError as error:
        return PhotoFact(0, 0, "", error.reason)


def _read_all(paths: list[Path]) -> Iterator[PhotoFact]:
    # Threads, not processes: Pillow decodes without holding the interpreter.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(read_fact, paths)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _known_fact(entry: list[int | str] | None, stamp: tuple[int, int]) -> PhotoFact | None:
    if entry is None or tuple(entry[:2]) != stamp:
        return None
    return PhotoFact(*entry[2:])  # type: ignore[arg-type]


def _memory_file(folder: Path) -> Path:
    return user_cache() / "checked" / f"{blake2b(os.fsencode(folder.resolve()), digest_size=8).hexdigest()}.json"


def _recall(memory: Path) -> dict[str, list[int | str]]:
    # A memory that is absent, damaged or of another format only costs time.
    with suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(memory.read_text(encoding="utf-8"))
        if content["format"] == FORMAT:
            return dict(content["files"])
    return {}


def _remember(memory: Path, files: dict[str, tuple[int | str, ...]]) -> None:
    with suppress(CutmixError, UnicodeError):
        content = json.dumps({"format": FORMAT, "files": files}).encode()
        write_atomically(memory, lambda file: file.write(content))
