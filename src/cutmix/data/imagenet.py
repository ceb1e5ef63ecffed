"""ImageNet (ILSVRC 2012): photos of 1,000 classes, in one folder a class (its WordNet id) under ``train`` and ``val``.

Source: https://image-net.org, behind a registration, so nothing is downloaded. The validation archive is flat: its
files have to be moved into class folders first. A part of the classes works as well. The boxes of the validation photos
(ILSVRC2012_bbox_val_v3.tgz, an XML file a photo) are only needed to measure localization.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cutmix.data.boxes import Boxes, collect, read_voc
from cutmix.data.folder import IMAGENET_MEAN, IMAGENET_STD, Listing, list_parts
from cutmix.data.known import KnownSet, missing
from cutmix.data.splits import Data
from cutmix.errors import CutmixError, UsageError

NAME_FILES = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt")
"""Files of lines "n01440764 tench, Tinca tinca": with one beside ``train`` or in the root, classes get names."""
BOX_FOLDERS = ("bbox/val", "bbox", "Annotations/CLS-LOC/val", "Annotations/val", "../../Annotations/CLS-LOC/val")
"""Where the boxes of the validation photos may lie, from the folder of ``train`` and ``val``; the last is Kaggle's."""


def load_imagenet(root: Path, image_size: int | None = None) -> Data:
    """ImageNet under ``root``. Files are listed, not opened: one that is damaged is named when its turn comes."""
    listing = list_imagenet(root)
    if listing.empty:
        raise CutmixError(f"{listing.empty[0]} holds no picture ({len(listing.empty)} such class folders).")
    return Data(
        name="imagenet",
        classes=listing.classes,
        train=listing.train,
        test=listing.test,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        image_size=image_size or 224,
        flip=True,
        note=listing.note,
    )


def list_imagenet(root: Path) -> Listing:
    """The photos under ``root``, with readable class names where there is a file of them."""
    folder = next(filter(holds, places(root)), None)
    if folder is None:
        remedy = "Get it from https://image-net.org, or name the folder that has it in CUTMIX_DATA."
        raise missing("imagenet", places(root), remedy)
    listing = list_parts(folder, folder / "train", _validation(folder))
    strange = [name for name in listing.classes if not re.fullmatch(r"n\d{8}", name)]
    if strange:
        raise CutmixError(
            f"{folder / 'train' / strange[0]} is not named by a WordNet id such as n01440764; is this a folder:PATH?"
        )
    test = replace(listing.test, read_boxes=lambda: _boxes(folder, listing.test.paths))
    return replace(listing, classes=readable(listing.classes, [folder, root]), test=test)


def places(root: Path) -> list[Path]:
    """The folders that may hold ``train`` and ``val``; the last but one is Kaggle's layout."""
    return [root / "imagenet", root / "ILSVRC", root / "ILSVRC/Data/CLS-LOC", root]


def holds(folder: Path) -> bool:
    """Whether ``folder`` has a folder ``train``."""
    return (folder / "train").is_dir()


def readable(wnids: Sequence[str], folders: Sequence[Path]) -> tuple[str, ...]:
    """Names of the classes from the first name file in ``folders``; the ids themselves if there is none.

    A name that two classes share (crane, maillot) is followed by the id.
    """
    file = next(filter(Path.is_file, (folder / name for folder in folders for name in NAME_FILES)), None)
    if file is None:
        return tuple(wnids)
    lines = (line.split(None, 1) for line in file.read_text(encoding="utf-8").splitlines())
    words = {parts[0]: parts[1].split(",")[0].strip() for parts in lines if len(parts) == 2}
    names = [words.get(wnid, wnid) for wnid in wnids]
    count = Counter(names)
    return tuple(name if count[name] == 1 else f"{name} ({wnid})" for name, wnid in zip(names, wnids))


def _boxes(folder: Path, photos: Sequence[Path]) -> Boxes:
    looked = [folder / name for name in BOX_FOLDERS]
    held = next((place for place in looked if place.is_dir() and next(place.glob("*.xml"), None)), None)
    if held is None:
        raise UsageError(
            "the boxes of imagenet's validation photos (XML files) were not found. Unpack ILSVRC2012_bbox_val_v3.tgz "
            f"from https://image-net.org into {looked[0]}. Looked for: {', '.join(map(str, looked))}."
        )
    return collect(read_voc(held / f"{photo.stem}.xml", photo) for photo in photos)


def _validation(folder: Path) -> Path:
    val = folder / "val"
    if not val.is_dir():
        raise CutmixError(f"{val} is missing; the validation photos are needed, in one folder a class.")
    if not any(path.is_dir() for path in val.iterdir()):
        raise CutmixError(
            f"{val} holds no class folders; move its files into one folder a class (named by WordNet id)."
        )
    return val


SETS = (
    KnownSet(
        "imagenet", "ILSVRC 2012: 1.28 million photos of 1,000 classes", load_imagenet, places, holds, list_imagenet
    ),
)
