"""What networks look at: the paper's figure 1 (mixed images and their activation maps) and figure 4 (boxes)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutmix.errors import UsageError, nearest
from cutmix.recipes.build import make_mixing
from cutmix.recipes.trained import Trained, as_trained, load_trained, prepared

if TYPE_CHECKING:
    from torch import Tensor, nn


def mixed_maps(
    trained: Trained,
    images: Sequence[Path],
    out: Path,
    *,
    classes: Sequence[str] = (),
    share: float = 0.5,
    seed: int = 0,
    cpu: bool = False,
) -> tuple[str, str]:
    """Draw two pictures, and their Mixup, Cutout and CutMix, each under the maps of both classes.

    As figure 1 of the paper, whose network is torchvision's ResNet-50, trained without any of them.

    Args:
        out: the picture's file.
        classes: whose maps, two names or numbers; without: what the network takes each picture for.
        share: of the first picture in Mixup, and in CutMix before the box is clipped at the border.
        seed: places the boxes.

    Returns:
        The names of the two classes.

    Raises:
        UsageError: not two pictures or classes, an unknown class, or a network without activation maps.
        CutmixError: a picture that cannot be read.
    """
    if len(images) != 2 or len(classes) not in (0, 2):
        raise UsageError(f"two pictures, and two classes or none, are needed; got {len(images)} and {len(classes)}")
    if not 0 <= share <= 1:
        raise UsageError(f"share must lie in [0, 1], got {share}")
    import torch

    from cutmix.pictures import methods_picture

    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    model = trained.model.to(device).eval()
    names = trained.class_names
    images_2CHW = torch.cat([prepared(path, trained)[1] for path in images]).to(device)
    with torch.no_grad():
        labels = [class_number(text, names) for text in classes] or model(images_2CHW).argmax(1).tolist()
    mixed, titles = mixtures(images_2CHW, torch.tensor(labels, device=device), share, seed, names)
    methods_picture(_rows(model, torch.cat(mixed), titles, labels, names, trained), out)
    return names[labels[0]], names[labels[1]]


def mixtures(
    images_2CHW: Tensor, labels_2: Tensor, share: float, seed: int, names: Sequence[str]
) -> tuple[list[Tensor], list[str]]:
    """Both images, then the first one under Mixup, Cutout (half the side) and CutMix with the second; and captions."""
    import numpy as np

    from cutmix.pictures import share_captions

    swapped = {"lam": share, "partners": np.array([1, 0])}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("NoMixing", {}),
        ("MixUp", swapped),
        (f"Cutout(size={images_2CHW.shape[3] // 2})", {}),
        ("CutMix", swapped),
    ]
    mixed, titles = [], []
    for number, (text, given) in enumerate(asked):
        # Each has a generator of its own, so that what one draws does not move another's box.
        rng = np.random.default_rng([seed, number])
        out_2CHW, target = make_mixing(text)(images_2CHW, labels_2, rng, **given)
        captions = share_captions(target.labels, target.partner_labels, target.share, names)
        shown = slice(0, 2) if text == "NoMixing" else slice(0, 1)
        mixed.append(out_2CHW[shown])
        titles += [
            caption if text == "NoMixing" else f"{text.partition('(')[0]}: {caption}" for caption in captions[shown]
        ]
    return mixed, titles


def _rows(
    model: nn.Module, images_NCHW: Tensor, titles: list[str], labels: list[int], names: Sequence[str], trained: Trained
) -> list[tuple[str, Any, list[str]]]:
    """The images, then for each class the images under its maps, with what the network thinks of the class."""
    import numpy as np

    from cutmix.evaluation.cam import class_activation_maps, upsample_cams
    from cutmix.pictures import denormalise, under_cam

    shown_NHWC = denormalise(images_NCHW, *trained.normalisation)
    rows = [("input", shown_NHWC, titles)]
    for label in labels:
        cams, logits_NK = class_activation_maps(model, images_NCHW, [label] * len(images_NCHW))
        maps_NHW = upsample_cams(cams, (images_NCHW.shape[2], images_NCHW.shape[3])).cpu().numpy()
        covered = np.stack([under_cam(image, cam) for image, cam in zip(shown_NHWC, maps_NHW)])
        probabilities = logits_NK.float().softmax(1)[:, label].tolist()
        rows.append((names[label], covered, [f"probability {p:.2f}" for p in probabilities]))
    return rows


def class_number(text: str, names: Sequence[str]) -> int:
    """The number of the class that is called ``text``, or has it as its number."""
    folded = [name.casefold() for name in names]
    if text.casefold() in folded:
        return folded.index(text.casefold())
    if text.isdigit() and int(text) < len(names):
        return int(text)
    raise UsageError(f"no class is called {text!r}.{nearest(text, names)} Numbers 0 to {len(names) - 1} do as well.")


def boxes_of(
    checkpoints: Sequence[str],
    data: str,
    out: Path,
    *,
    data_root: Path | None = None,
    images: int = 8,
    threshold: float = 0.15,
    cam_class: str = "true",
    model: str = "",
    best: bool = False,
    cpu: bool = False,
) -> None:
    """Draw the same test images under the maps of each network, with the true boxes and the network's: a row a network.

    As figure 4 of the paper.

    Args:
        checkpoints: as :func:`~.trained.load_trained` takes them.
        data: a data set with boxes; empty for the one that the first network was trained on.
        images: how many, spread evenly over the test set.
        threshold, cam_class: as :class:`~cutmix.evaluation.localization.Localization` takes them. With ``"predicted"``
            the networks may have other classes than the data.

    Raises:
        UsageError: no data set, one without boxes, or networks that have no activation maps.
    """
    import numpy as np

    from cutmix.data import load_data, view_boxes
    from cutmix.evaluation.localization import Localization
    from cutmix.evaluation.subject import Subject
    from cutmix.pictures import methods_picture

    if images < 1:
        raise UsageError(f"at least 1 image is needed, got {images}")
    question = Localization(threshold=threshold, cam_class=cam_class, examples=images)  # type: ignore[arg-type]
    rows = []
    for source in checkpoints:
        trained = load_trained(source, model=model, best=best)
        spec = data or trained.data
        if not spec:
            raise UsageError(f"{source} does not say what it was trained on; name a data set with boxes: --data")
        loaded = load_data(spec, data_root, image_size=trained.image_size)
        loaded = as_trained(trained, loaded, other_classes=cam_class == "predicted")
        subject = Subject(trained.model, loaded, device="cpu" if cpu else None, batch_size=32)
        boxes = view_boxes(loaded)
        shown = np.flatnonzero(boxes.counts_N)
        if not len(shown):
            raise UsageError(f"no box of {loaded.name} lies in a view of its test images.")
        tiles, captions = question.examples_of(subject, boxes, shown)
        rows.append((Path(source).name if Path(source).exists() else source, tiles, captions))
    methods_picture(rows, out, title="true boxes in red, the network's in dashed green, and their IoU")
