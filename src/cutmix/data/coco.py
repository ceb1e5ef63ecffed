"""COCO detection data: ``annotations/instances_train2017.json`` and its ``val``, and a folder of pictures for each."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cutmix.data.objects import BoxListing, BoxSplit, make_boxes
from cutmix.errors import CutmixError


def list_coco(folder: Path) -> BoxListing:
    """List a COCO folder of one year. The classes are the file's categories, by their number; crowds are difficult.

    Raises:
        CutmixError: a file is missing, is not such JSON, or the two parts have other categories.
    """
    train_file = _find(folder, "train")
    test_file = _find(folder, "val")
    train, test = (_read(file) for file in (train_file, test_file))
    categories = _categories(train, train_file)
    if _categories(test, test_file) != categories:
        raise CutmixError(f"{train_file} and {test_file} have other categories.")
    wrong: list[tuple[Path, str]] = []
    sizes: dict[Path, tuple[int, int]] = {}
    train_split, test_split = (
        _split(content, file, folder / file.stem.removeprefix("instances_"), list(categories), wrong, sizes)
        for content, file in ((train, train_file), (test, test_file))
    )
    return BoxListing(
        folder.resolve().name,
        folder,
        tuple(categories.values()),
        train_split,
        test_split,
        problems=tuple(wrong),
        note=f"trained on {train_file.stem}, tested on {test_file.stem}",
        sizes=sizes,
    )


def _find(folder: Path, part: str) -> Path:
    found = sorted((folder / "annotations").glob(f"instances_{part}*.json"))
    if len(found) != 1:
        held = f"holds {len(found)} of them" if found else "holds none"
        raise CutmixError(f"{folder} is no COCO folder: annotations/instances_{part}YEAR.json is needed, it {held}.")
    return found[0]


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CutmixError(f"{file} cannot be read as JSON ({error}).") from error
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(content.get(key), list)]
    if missing:
        raise CutmixError(f"{file} lacks {', '.join(missing)}: it is no COCO instances file.")
    return dict(content)


def _categories(content: dict[str, Any], file: Path) -> dict[int, str]:
    try:
        return {int(entry["id"]): str(entry["name"]) for entry in sorted(content["categories"], key=lambda c: c["id"])}
    except (KeyError, TypeError, ValueError) as error:
        raise CutmixError(f"{file}: a category lacks its id or name ({error}).") from error


def _split(
    content: dict[str, Any],
    file: Path,
    pictures: Path,
    numbers: Sequence[int],
    wrong: list[tuple[Path, str]],
    sizes: dict[Path, tuple[int, int]],
) -> BoxSplit:
    objects: dict[int, list[tuple[list[float], int, bool]]] = defaultdict(list)
    images = {int(image["id"]): image for image in content["images"]}
    labels = {number: label for label, number in enumerate(numbers)}
    for annotation in content["annotations"]:
        what = f"annotation {annotation.get('id', '?')}"
        try:
            x, y, width, height = map(float, annotation["bbox"])
            label, image = labels[annotation["category_id"]], annotation["image_id"]
        except (KeyError, TypeError, ValueError) as error:
            wrong.append((file, f"{what} cannot be used ({type(error).__name__}: {error})"))
            continue
        if image not in images:
            wrong.append((file, f"{what} is of image {image}, which is not listed"))
            continue
        objects[image].append(([x, y, x + width, y + height], label, bool(annotation.get("iscrowd", 0))))
    paths, boxes = [], []
    for number, image in images.items():
        path = pictures / str(image["file_name"])
        paths.append(path)
        if image.get("width") and image.get("height"):
            sizes[path] = (int(image["width"]), int(image["height"]))
        of_image = objects[number]
        crowds = [crowd for _, _, crowd in of_image]
        boxes.append(make_boxes([edges for edges, _, _ in of_image], [label for _, label, _ in of_image], crowds))
    return BoxSplit(tuple(paths), tuple(boxes))
