"""COCO detection data: ``annotations/instances_train2017.json`` and its ``val``, and a folder of pictures for each."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cutmix.data.objects import BoxListing, BoxSplit, Objects, make_boxes
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
    keys = ("images", "annotations", "categories")
    missing = [key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if missing:
        raise CutmixError(f"{file} lacks {', '.join(missing)}: it is no COCO instances file.")
    return dict(content)


def _categories(content: dict[str, Any], file: Path) -> dict[int, str]:
    try:
        found = sorted((int(entry["id"]), str(entry["name"])) for entry in content["categories"])
    except (KeyError, TypeError, ValueError) as error:
        raise CutmixError(f"{file}: a category lacks its id or name ({error}).") from error
    for what, values in (("id", [number for number, _ in found]), ("name", [name for _, name in found])):
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            raise CutmixError(f"{file}: two categories have the {what} {twice[0]!r}.")
    return dict(found)


def pictures_by_id(content: dict[str, Any], file: Path, folder: Path) -> dict[int, Path]:
    """Where each picture of a COCO file lies, by its id, in the file's order.

    Raises:
        CutmixError: a picture lacks its id or file_name, or two have the same id.
    """
    try:
        found = [(int(image["id"]), folder / str(image["file_name"])) for image in content["images"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CutmixError(f"{file}: a picture lacks its id or file_name ({type(error).__name__}: {error}).") from error
    if twice := [number for number, count in Counter(number for number, _ in found).items() if count > 1]:
        raise CutmixError(f"{file}: {len(twice)} id(s) are of several pictures, the first is {twice[0]}.")
    return dict(found)


def _split(
    content: dict[str, Any],
    file: Path,
    pictures: Path,
    numbers: Sequence[int],
    wrong: list[tuple[Path, str]],
    sizes: dict[Path, tuple[int, int]],
) -> BoxSplit:
    objects: dict[int, list[tuple[list[float], int, bool]]] = defaultdict(list)
    paths = pictures_by_id(content, file, pictures)
    labels = {number: label for label, number in enumerate(numbers)}
    for annotation in content["annotations"]:
        what = f"annotation {annotation.get('id', '?')}" if isinstance(annotation, dict) else "an annotation"
        try:
            x, y, width, height = map(float, annotation["bbox"])
            label, image = labels[annotation["category_id"]], annotation["image_id"]
            listed = image in paths
        except (KeyError, TypeError, ValueError) as error:
            wrong.append((file, f"{what} cannot be used ({type(error).__name__}: {error})"))
            continue
        if not listed:
            wrong.append((file, f"{what} is of image {image!r}, which is not listed"))
            continue
        objects[image].append(([x, y, x + width, y + height], label, bool(annotation.get("iscrowd", 0))))
    for image, path in zip(content["images"], paths.values()):
        try:
            if image.get("width") and image.get("height"):
                sizes[path] = (int(image["width"]), int(image["height"]))
        except (TypeError, ValueError) as error:
            wrong.append((file, f"image {image['id']} has no number as its width or height ({error})"))
    boxes = [_boxes(objects[number]) for number in paths]
    return BoxSplit(tuple(paths.values()), tuple(boxes))


def _boxes(of_image: Sequence[tuple[list[float], int, bool]]) -> Objects:
    crowds = [crowd for _, _, crowd in of_image]
    return make_boxes([edges for edges, _, _ in of_image], [label for _, label, _ in of_image], crowds)
