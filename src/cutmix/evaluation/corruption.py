"""Corruptions (Hendrycks and Dietterich, ICLR 2019): the error under noise, blur, weather and bad encoding.

Nineteen corruptions at five severities, generated from the test images or read from the published folders
(``corrupted_images.py``). The error of a corruption is the mean over its severities; the mean corruption error divides
it by that of a reference network, and is the mean over the fifteen corruptions that are not meant for tuning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from cutmix.data import TestBatches
from cutmix.data.batches import default_workers
from cutmix.data.places import default_root
from cutmix.errors import UsageError
from cutmix.evaluation.corrupted_images import (
    CORRUPTIONS,
    EXTRA,
    SEVERITIES,
    SMALLEST,
    Generated,
    Source,
    View,
    ViewedImages,
    folder_source,
    import_library,
)
from cutmix.evaluation.question import Question
from cutmix.evaluation.subject import Subject, likeliest, require_likeliest
from cutmix.evaluation.values import Cell, Curve, Missing, Note, Number, Table, Value
from cutmix.files import fingerprint_of_files

PUBLISHED = {"cifar10": "CIFAR-10-C", "cifar100": "CIFAR-100-C", "imagenet": "ImageNet-C"}
"""Data set -> the folder of its published corruptions, looked for where data sets lie."""

ALEXNET = {
    "gaussian_noise": 88.6428, "shot_noise": 89.4468, "impulse_noise": 92.2640,
    "defocus_blur": 81.9880, "glass_blur": 82.6268, "motion_blur": 78.5948, "zoom_blur": 79.8360,
    "snow": 86.6816, "frost": 82.6572, "fog": 81.9324, "brightness": 56.4592,
    "contrast": 85.3204, "elastic_transform": 64.6056, "pixelate": 71.7840, "jpeg_compression": 60.6500,
}  # fmt: skip
"""Errors in percent of AlexNet on ImageNet-C: hendrycks/robustness, as google-research/augmix quotes them."""


def relative_errors(errors: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float]:
    """Each corruption's error in percent of the reference's: 100 is as bad. Their mean is the mean corruption error.

    Args:
        errors: corruption -> error, the mean over its severities; any unit.
        reference: likewise, in the same unit.

    Raises:
        UsageError: the reference lacks one of them, or makes no error on it.
    """
    absent = [name for name in errors if not reference.get(name, 0) > 0]
    if absent:
        raise UsageError(f"the reference has no error above 0 for {', '.join(absent)}")
    return {name: 100 * error / reference[name] for name, error in errors.items()}


def read_reference(source: str) -> tuple[str, dict[str, float]]:
    """(name, corruption -> error in percent) of a reference network.

    Args:
        source: ``alexnet``, whose published errors on ImageNet-C are built in; the path of an ``evaluation.json`` that
            answers this question, with ``#NAME`` behind it if it holds several networks; or that of a JSON file
            ``{"gaussian_noise": 43.2, ...}``, errors in percent, means over the severities.

    Raises:
        UsageError: no such file, or it does not hold that.
    """
    if source.casefold() == "alexnet":
        return "AlexNet (published, ImageNet-C)", dict(ALEXNET)
    path, _, wanted = source.partition("#")
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the reference {path} ({error}); alexnet or a JSON file is accepted") from error
    networks = content.get("networks", []) if isinstance(content, dict) else []
    if networks:
        content = _network(networks, wanted, path)
    errors = _errors(content, f"{path} ") if isinstance(content, dict) else {}
    if not errors:
        raise UsageError(f"{source} holds no errors of corruptions, such as gaussian_noise")
    return wanted or Path(path).name, errors


def _network(networks: Sequence[Mapping[str, Any]], wanted: str, path: str) -> dict[str, Any]:
    """The values of one network of an ``evaluation.json``, under the corruptions' names."""
    names = [network["name"] for network in networks]
    chosen = [network for network in networks if network["name"] == wanted] if wanted else list(networks)
    if len(chosen) != 1:
        raise UsageError(f"{path} holds {', '.join(names)}; say which is the reference: {path}#{names[0]}")
    values = chosen[0]["values"]
    found = {name: values.get(f"corruption/{name}", {}) for name in (*CORRUPTIONS, *EXTRA)}
    return {name: value["value"] for name, value in found.items() if value.get("kind") == Number.kind}


def _errors(content: Mapping[str, Any], where: str) -> dict[str, float]:
    found = {name: content[name] for name in (*CORRUPTIONS, *EXTRA) if name in content}
    wrong = [name for name, error in found.items() if not isinstance(error, int | float) or not 0 <= error <= 100]
    if wrong:
        raise UsageError(f"{where}has {found[wrong[0]]!r} as error of {wrong[0]}; percent from 0 to 100 are accepted")
    # Shares of 1 where percent are meant would pass as tiny errors, and every network as a hundred times worse.
    if found and max(found.values()) <= 1:
        raise UsageError(f"{where}has no error above 1 %: errors are given in percent, not as shares of 1")
    return {name: float(error) for name, error in found.items()}


@dataclass(frozen=True)
class Corruption(Question):
    """How does the error grow as images are corrupted?

    Args:
        folder: the folder of published corrupted images (CIFAR-10-C, CIFAR-100-C, ImageNet-C). None: the one of that
            name where data sets lie, if it is there; otherwise they are generated.
        extra: also the four corruptions that are meant for tuning. They are no part of the means.
        reference: what the mean corruption error is relative to: ``alexnet``, or a JSON file as
            :func:`read_reference` takes it. None: AlexNet for all of ImageNet-C; otherwise plain errors alone.
    """

    name: ClassVar[str] = "corruption"
    suites: ClassVar[frozenset[str]] = frozenset({"full"})
    headline: ClassVar[tuple[str, ...]] = ("corruption/mean_error", "corruption/mce")
    bars: ClassVar[tuple[str, ...]] = ("corruption/*",)
    folder: str | None = None
    extra: bool = True
    reference: str | None = None

    @property
    def about(self) -> Mapping[str, str]:
        mean = "the mean over severities 1 to 5"
        return {
            "corruption/mean_error": "The mean over the fifteen corruptions of the top-1 error in percent, itself "
            f"{mean}. It is relative to nothing; only numbers over images from the same source can be compared.",
            "corruption/mce": "Mean corruption error in percent: each corruption's error divided by that of the "
            "reference network named beside it, and the mean over the fifteen corruptions. 100 is as bad as it.",
            "corruption/extra/mean_error": "As corruption/mean_error, over the four corruptions meant for tuning.",
            "corruption/by_severity": "The mean over the fifteen corruptions of the top-1 error, for each severity.",
            "corruption/all": f"Top-1 errors in percent for each corruption and severity, and {mean}; where there is a "
            "reference network, its error, and ours in percent of it.",
            **{f"corruption/{name}": f"Top-1 error in percent under {_words(name)}, {mean}." for name in self._names},
        }

    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        try:
            source = self._source(subject)
        except ImportError:
            yield self.name, Missing(_what_to_do(subject))
            return
        yield "corruption/source", Note(_told(source.where))
        reference = self._reference(subject, source)
        errors: dict[str, list[float]] = {}
        for corruption in self._names:
            if corruption not in source.corruptions:
                yield f"corruption/{corruption}", Missing(f"{corruption} is not {source.where}")
                continue
            counts = [self._wrong(subject, source, corruption, severity) for severity in SEVERITIES]
            errors[corruption] = [100 * wrong / images for wrong, images in counts]
            images = sum(images for _, images in counts)
            yield f"corruption/{corruption}", Number(fmean(errors[corruption]), images, "%")
        yield from _summary(errors, reference, len(subject), _other_images(self.reference, source))

    def surroundings(self, subject: Subject) -> str:
        folder = self._folder(subject)
        # Down to the folders of the severities: there are millions of photos below them.
        images = f"{folder.name}:{fingerprint_of_files(folder, depth=3)}" if folder is not None else _library()
        reference = Path((self.reference or "").partition("#")[0])
        return f"{images} {fingerprint_of_files(reference) if reference.is_file() else ''}".strip()

    def passes(self, subject: Subject) -> float:
        return float(len(self._names) * len(SEVERITIES))

    @property
    def _names(self) -> tuple[str, ...]:
        return (*CORRUPTIONS, *EXTRA) if self.extra else CORRUPTIONS

    def _source(self, subject: Subject) -> Source:
        data, size, split = subject.data, subject.data.image_size, subject.split
        folder = self._folder(subject)
        if folder is not None:
            return folder_source(folder, data.test, size, data.classes, data.squared)
        if size < SMALLEST:
            raise UsageError(f"corruptions need images of at least {SMALLEST} pixels a side; these have {size}")
        import_library()

        def seeds(corruption: str, severity: int) -> NDArray[np.int64]:
            return subject.rng(self.name, corruption, severity).integers(2**32, size=len(split))

        return Generated(split, size, seeds, data.squared)

    def _folder(self, subject: Subject) -> Path | None:
        return Path(self.folder).expanduser() if self.folder else _published_folder(subject)

    def _reference(self, subject: Subject, source: Source) -> tuple[str, dict[str, float]] | None:
        if self.reference is not None:
            return read_reference(self.reference)
        whole = subject.data.name == "imagenet" and subject.num_classes == 1000
        return read_reference("alexnet") if whole and not isinstance(source, Generated) else None

    def _wrong(self, subject: Subject, source: Source, corruption: str, severity: int) -> tuple[int, int]:
        """(images that are not recognised, images) of one corruption and severity."""

        def count() -> list[int]:
            batches = _batches(subject, source, corruption, severity)
            return [_count_wrong(subject, batches), len(batches.labels_N)]

        wrong, images = subject.once(f"{source.where}: {corruption} {severity}", count)
        return wrong, images


def _published_folder(subject: Subject) -> Path | None:
    name = PUBLISHED.get(subject.data.name)
    folder = (subject.data_root or default_root()) / name if name else None
    return folder if folder is not None and folder.is_dir() else None


def _library() -> str:
    """The version of what generates corruptions; empty if it is not installed."""
    try:
        return version("imagecorruptions-imaug")
    except PackageNotFoundError:
        return ""


def _what_to_do(subject: Subject) -> str:
    name = PUBLISHED.get(subject.data.name)
    place = f", or put {name} into {subject.data_root or default_root()}" if name else ""
    return f"generating corruptions needs an extra: pip install 'cutmix[corruptions]'{place}"


def _batches(subject: Subject, source: Source, corruption: str, severity: int) -> TestBatches:
    view, labels_N = source.images(corruption, severity)
    if subject.limit is not None and subject.limit < len(labels_N):
        # The same images of every corruption and severity.
        rows_N = np.sort(subject.rng(Corruption.name, "limit").permutation(len(labels_N))[: subject.limit])
        view, labels_N = partial(_picked, view, rows_N), labels_N[rows_N]
    workers = (default_workers() if subject.workers is None else subject.workers) if source.costly else 0
    device = torch.device(subject.device or "cpu")
    images = ViewedImages(view, subject.data.image_size, subject.mean, subject.std, workers, device)
    return TestBatches(images, labels_N, device, subject.batch_size, subject.rank, subject.world_size)


def _picked(view: View, rows_N: NDArray[np.int64], row: int) -> NDArray[np.uint8]:
    return view(int(rows_N[row]))


@torch.no_grad()
def _count_wrong(subject: Subject, batches: TestBatches) -> int:
    guesses, wrong = [], torch.zeros((), dtype=torch.int64, device=batches.device)
    for images_BCHW, labels_B, total in batches:
        guesses.append(likeliest(subject.model(images_BCHW)))
        wrong += (guesses[-1] != labels_B).sum()
        if subject.watch is not None:
            subject.watch(total / len(batches.labels_N))
    here = int(wrong), torch.cat(guesses).cpu()
    if subject.world_size == 1:
        parts: list[Any] = [here]
    else:
        from torch import distributed

        parts = [None] * subject.world_size
        distributed.all_gather_object(parts, here)
    require_likeliest(torch.cat([guesses_N for _, guesses_N in parts]))
    return sum(count for count, _ in parts)


def _summary(
    errors: Mapping[str, Sequence[float]], reference: tuple[str, dict[str, float]] | None, images: int, other: str
) -> Iterator[tuple[str, Value]]:
    """What is over several corruptions. ``other`` says that the reference was asked about other images, if it was."""
    means = {name: fmean(values) for name, values in errors.items()}
    fifteen = {name: means[name] for name in CORRUPTIONS if name in means}
    absent = len(CORRUPTIONS) - len(fifteen)
    if absent:
        yield "corruption/mean_error", Missing(f"{absent} of the fifteen corruptions are not there")
    else:
        yield "corruption/mean_error", Number(fmean(fifteen.values()), images, "%")
        by_severity = [fmean(errors[name][place] for name in CORRUPTIONS) for place in range(len(SEVERITIES))]
        yield "corruption/by_severity", Curve(SEVERITIES, by_severity, "severity", "mean error over corruptions (%)")
    four = [means[name] for name in EXTRA if name in means]
    if len(four) == len(EXTRA):
        yield "corruption/extra/mean_error", Number(fmean(four), images, "%")
    if reference is None:
        yield "corruption/all", _table(errors)
        return
    name, of_reference = reference
    if not absent:
        try:
            yield "corruption/mce", Number(fmean(relative_errors(fifteen, of_reference).values()), images, "%")
        except UsageError as error:
            yield "corruption/mce", Missing(str(error))
    yield "corruption/mce/reference", Note(f"Mean corruption error relative to {name}{other}.")
    yield "corruption/all", _table(errors, name, of_reference)


def _told(where: str) -> str:
    return f"Corrupted images: {where}."


def _other_images(reference: str | None, source: Source) -> str:
    """A clause that says that the reference's errors are over images from elsewhere; empty if they are not, or may be.

    AlexNet's are over ImageNet-C; an ``evaluation.json`` says what its own are over.
    """
    if reference is None:
        return ""
    if reference.casefold() == "alexnet":
        theirs = _told("read from ImageNet-C")
    else:
        path, _, wanted = reference.partition("#")
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        networks = content.get("networks", [])
        chosen = [network for network in networks if network["name"] == wanted or not wanted]
        theirs = chosen[0]["values"].get("corruption/source", {}).get("text", "") if chosen else ""
    if not theirs or theirs == _told(source.where):
        return ""
    return f", whose images were others ({theirs.removeprefix('Corrupted images: ').rstrip('.')}): not to be compared"


def _table(
    errors: Mapping[str, Sequence[float]], name: str = "", reference: Mapping[str, float] | None = None
) -> Table:
    columns = ["corruption", *(f"severity {severity}" for severity in SEVERITIES), "mean"]
    rows: list[list[Cell]] = []
    for corruption, values in errors.items():
        mean = fmean(values)
        row: list[Cell] = [_words(corruption), *(round(value, 2) for value in values), round(mean, 2)]
        if reference is not None:
            theirs = reference.get(corruption)
            row += [theirs, round(100 * mean / theirs, 2) if theirs else None]
        rows.append(row)
    return Table([*columns, *([name, "in percent of it"] if reference is not None else [])], rows)


def _words(corruption: str) -> str:
    return corruption.replace("_", " ").replace("jpeg", "JPEG")
