"""A trained network, from a run's folder, a checkpoint (ours or official) or a library; and its use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cutmix.errors import CutmixError, UsageError
from cutmix.recipes.build import (
    LIBRARIES,
    make_model,
    make_regularizer,
    model_call,
    pretrained_input,
    without_pretrained,
)
from cutmix.recipes.calls import parse_call

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cutmix.data import Data
    from cutmix.models.checkpoints import Weights
    from cutmix.models.library import PhotoInput

Triple: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Trained:
    """A network with what is known of how it was trained; ``None`` where its file does not say."""

    model: nn.Module
    model_call: str
    source: str
    data: str | None = None
    classes: tuple[str, ...] | None = None
    mean: Triple | None = None
    std: Triple | None = None
    image_size: int | None = None
    squared: int = 0
    """The square to which its tests resize photos, aspect ignored; 0 keeps it (``Data.squared``)."""
    fingerprint: str | None = None
    """Of the data that it was trained on."""
    train_images: int = 0
    """How many of that data's training images it was trained on, if not on all."""
    regularizer: str = "none"
    """Layer noise that it was trained with: what is left of it scales layers in evaluation."""
    note: str = ""
    """What a reader of numbers about it should know."""

    @property
    def num_classes(self) -> int:
        """The number of classes that the network tells apart."""
        if self.classes is not None:
            return len(self.classes)
        from torch import nn

        heads = [module.out_features for module in self.model.modules() if isinstance(module, nn.Linear)]
        noted = heads[-1] if heads else getattr(self.model, "num_classes", None)  # SqueezeNet's head is a convolution
        if not isinstance(noted, int):
            raise UsageError(f"{self.source} does not say how many classes its network tells apart")
        return noted

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; "class 0" and so on where they are not known."""
        return self.classes or tuple(f"class {number}" for number in range(self.num_classes))

    @property
    def normalisation(self) -> tuple[Triple, Triple]:
        """Mean and standard deviation of the network's input; ImageNet's where they are not known."""
        from cutmix.data import IMAGENET_MEAN, IMAGENET_STD

        return self.mean or IMAGENET_MEAN, self.std or IMAGENET_STD


def load_trained(source: str, *, model: str = "", best: bool = False) -> Trained:
    """Load a trained network.

    Args:
        source: a run's folder, a checkpoint file, or a library's network such as
            ``torchvision.resnet50(weights='DEFAULT')``.
        model: the network's constructor call, for a file that does not say it and whose keys do not tell.
        best: of a run's folder, take the best epoch (chosen on the test set) rather than the last.

    Raises:
        UsageError: no such file or folder, or a network that is needed but not named.
        CutmixError: a file that is no checkpoint, or that fits another network.
    """
    path = Path(source)
    if not path.exists():
        if source.partition(".")[0] in LIBRARIES:
            return _pretrained(source)
        raise UsageError(f"there is no checkpoint or run folder {source}")
    from cutmix.models import regularize
    from cutmix.models.checkpoints import guess_model, load_weights, read_weights

    path, weights = read_run(path, best=best) if path.is_dir() else (path, read_weights(path))
    about = weights.cutmix
    if "task" in about:
        raise UsageError(
            f"{path} is a transfer ({about['task']}), no classifier: cutmix transfer {source} --predict IMAGE"
        )
    call = model or about.get("model") or guess_model(weights.state_dict)
    if not call:
        raise UsageError(f"{path} does not say what network it is for; name it with --model, e.g. 'ResNet(depth=50)'")
    if "classes" in about:
        call = str(model_call(call, num_classes=len(about["classes"]), image_size=about["image_size"]))
    network = make_model(without_pretrained(parse_call(call)))
    load_weights(network, weights, source=str(path))
    # Its layers are a part of what was trained: some scale the residuals in evaluation.
    regularizer = about.get("recipe", {}).get("regularizer", "none")
    regularize(network, make_regularizer(regularizer))
    network.eval()
    if "classes" not in about:
        return Trained(network, call, str(path), regularizer=regularizer, **_usual_input(network))
    return Trained(
        network,
        call,
        str(path),
        data=about.get("data"),
        classes=tuple(about["classes"]),
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        image_size=about["image_size"],
        squared=about.get("squared", 0),
        fingerprint=about.get("fingerprint"),
        train_images=about.get("recipe", {}).get("train_images", 0),
        regularizer=regularizer,
    )


def read_run(folder: Path, *, best: bool = False) -> tuple[Path, Weights]:
    """The run's newest checkpoint that can be read, or its best one (chosen on the test set).

    Raises:
        UsageError: there is none yet.
        CutmixError: none can be read.
    """
    from cutmix.models.checkpoints import read_weights
    from cutmix.training.run import BEST, LAST, PREVIOUS

    names = [BEST] if best else [LAST, PREVIOUS]
    found = [folder / name for name in names if (folder / name).exists()]
    if not found:
        raise UsageError(f"{folder} holds no checkpoint ({' or '.join(names)})")
    for path in found[:-1]:
        try:
            return path, read_weights(path)
        except CutmixError:  # the one before it will do
            continue
    return found[-1], read_weights(found[-1])


def _pretrained(source: str) -> Trained:
    call = parse_call(source)
    network = make_model(call).eval()
    usual = _usual_input(network)
    if expected := pretrained_input(call):
        usual["mean"], usual["std"] = expected.normalisation
        usual["image_size"], usual["note"] = expected.size, _other_view(expected)
    return Trained(network, source, source, data="imagenet", **usual)


def _other_view(view: PhotoInput) -> str:
    """How the photos that its own library shows to a network differ from ours; empty if they do not."""
    from cutmix.data.transforms import short_side

    ours = short_side(view.size)
    if (view.resized, view.interpolation) == (ours, "bilinear"):
        return ""
    return (
        f"Its library tests this network on photos of a short side of {view.resized} pixels ({view.interpolation}) "
        f"of which the middle {view.size}x{view.size} are cropped; here the short side is {ours} (bilinear). Its "
        "published accuracy may differ a little from the one here."
    )


def _usual_input(network: nn.Module) -> dict[str, Any]:
    """Size and constants of the input of a network whose file does not say them.

    Those of the official code for our networks, those that timm notes for its own, and ImageNet's for the rest.
    """
    from cutmix.data import IMAGENET_MEAN, IMAGENET_STD
    from cutmix.data.cifar import MEAN, STD

    if getattr(network, "stem", None) == "cifar":
        return {"mean": MEAN, "std": STD, "image_size": 32}
    noted: dict[str, Any] = getattr(network, "pretrained_cfg", None) or {}
    size = getattr(network, "image_size", 224)  # which torchvision's ViT notes
    return {
        "mean": tuple(noted.get("mean", IMAGENET_MEAN)),
        "std": tuple(noted.get("std", IMAGENET_STD)),
        "image_size": noted.get("input_size", (3, size, size))[-1],
    }


@dataclass(frozen=True)
class TestErrors:
    """The errors of a trained network on a test set, in percent."""

    data: str
    loss: float
    top1: float
    top5: float
    images: int


def test_trained(
    trained: Trained,
    data: str | None = None,
    data_root: Path | None = None,
    *,
    batch_size: int = 128,
    workers: int | None = None,
    cpu: bool = False,
    watch: Callable[[int, int, Tensor], None] | None = None,
) -> TestErrors:
    """The errors of a trained network on the test set of ``data`` (default: the one that it was trained on).

    Args:
        watch: called after each batch with its number, the number of batches, and its sums (loss, top-1 hits, top-5
            hits, images).

    Raises:
        UsageError: no data set is known, it has changed since the training, or its classes are not the network's.
    """
    from cutmix.data import test_batches
    from cutmix.training.loop import make_accelerator
    from cutmix.training.measure import test_errors
    from cutmix.training.settings import Settings

    spec, loaded = data_of(trained, data, data_root)
    accelerator = make_accelerator(Settings(), cpu=cpu)
    batches = test_batches(
        loaded,
        batch_size=batch_size,
        workers=workers,
        device=accelerator.device,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )

    def seen(step: int, sums_4: Tensor) -> None:
        if watch is not None:
            watch(step, batches.steps, sums_4)

    errors = test_errors(trained.model.to(accelerator.device), batches, accelerator, seen)
    return TestErrors(spec, errors.loss, errors.top1, errors.top5, errors.images)


def data_of(
    trained: Trained,
    data: str | None = None,
    data_root: Path | None = None,
    load: Callable[..., Data] | None = None,
    *,
    other_classes: bool = False,
) -> tuple[str, Data]:
    """What to test the network on, and its name: ``data``, or what it was trained on; normalised as it was trained.

    Args:
        load: stands for ``load_data``, for one who loads the same data for several networks.
        other_classes: take data with other classes, or in another order. Nothing may be made of the labels then.

    Raises:
        UsageError: no data set is known, it has changed since the training, or its classes are not the network's.
    """
    from cutmix.data import load_data

    spec = data or trained.data
    if spec is None:
        raise UsageError(f"{trained.source} does not say what it was trained on; name a data set with --data")
    raw = (load or load_data)(spec, data_root, image_size=trained.image_size)
    loaded = as_trained(trained, raw, other_classes=other_classes)
    if data is None and trained.train_images:
        loaded = loaded.with_train_images(trained.train_images)
    if data is None and trained.fingerprint not in (None, loaded.fingerprint):
        raise UsageError(
            f"{spec} is not what it was when {trained.source} was trained: images that are tests now may have been "
            f"trained on. To test on it all the same, name it: --data {spec}"
        )
    return spec, loaded


def as_trained(trained: Trained, data: Data, *, other_classes: bool = False) -> Data:
    """``data`` normalised as the network was trained, refused where its classes are not the network's.

    Args:
        other_classes: do not refuse them: nothing will be made of the labels.
    """
    difference = "" if other_classes else class_difference(trained, data)
    if difference:
        raise UsageError(
            f"{difference}. Where the network sees something can be asked all the same, if the data has boxes: "
            "cutmix evaluate --only 'localization(cam_class=\"predicted\")', or cutmix boxes --cam-class predicted"
        )
    data = replace(data, squared=trained.squared)
    if trained.mean is None or trained.std is None:
        return data
    return replace(data, mean=trained.mean, std=trained.std)


def class_difference(trained: Trained, data: Data) -> str:
    """In what the network's classes differ from the data's; empty if they do not.

    Of a network whose classes' names are not known, their number is all that can be compared.
    """
    if data.num_classes != trained.num_classes:
        return f"{trained.source} tells {trained.num_classes} classes apart, {data.name} has {data.num_classes}"
    if trained.classes is None or trained.classes == data.classes:
        return ""
    first = next(i for i, names in enumerate(zip(trained.classes, data.classes)) if names[0] != names[1])
    return (
        f"the classes of {data.name} are not those of {trained.source}: class {first} is "
        f"{data.classes[first]!r}, the network's is {trained.classes[first]!r}"
    )


@dataclass(frozen=True)
class Guess:
    """What a network makes of one picture: (class, probability), likeliest first; or why it could not be read."""

    path: Path
    classes: tuple[tuple[str, float], ...] = ()
    picture: Path | None = None
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "image": str(self.path),
            "classes": [{"class": name, "probability": p} for name, p in self.classes],
            "picture": str(self.picture) if self.picture else None,
            "problem": self.problem,
        }


def predict(
    trained: Trained, images: Iterable[Path], *, top: int = 5, cam_folder: Path | None = None, cpu: bool = False
) -> Iterator[Guess]:
    """The likeliest classes of picture files, or of all pictures in folders; one that cannot be read does not stop it.

    Args:
        top: how many classes.
        cam_folder: also draw a class activation map of the likeliest class for each picture into this folder.

    Raises:
        UsageError: there are no such files, ``top`` is not positive, or the network has no class activation maps.
    """
    import torch

    if top < 1:
        raise UsageError(f"top must be at least 1, got {top}")
    paths = list(picture_files(images))
    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    model = trained.model.to(device).eval()
    names = trained.class_names
    drawn: set[Path] = set()
    for path in paths:
        try:
            shown, image_1CHW = prepared(path, trained)
        except (CutmixError, OSError) as error:
            yield Guess(path, problem=str(error))
            continue
        picture = None
        with torch.no_grad():
            if cam_folder is None:
                logits = model(image_1CHW.to(device))
            else:
                logits, cam_HW = _look(model, image_1CHW.to(device), shown.shape[:2])
        probabilities, order = logits[0].float().softmax(0).topk(min(top, len(names)))
        classes = tuple((names[k], p) for k, p in zip(order.tolist(), probabilities.tolist()))
        if cam_folder is not None:
            from cutmix.pictures import cam_overlay

            picture = free_picture(cam_folder, f"{path.stem}-cam", drawn)
            cam_overlay(shown, cam_HW, picture, caption=f"{path.name}: {classes[0][0]}", probabilities=list(classes))
        yield Guess(path, classes, picture)


def free_picture(folder: Path, stem: str, taken: set[Path]) -> Path:
    """A file name of its own for each picture, also for pictures of the same name; added to ``taken``."""
    tries = (folder / f"{stem}{f'-{number}' if number > 1 else ''}.png" for number in count(1))
    path = next(path for path in tries if path not in taken)
    taken.add(path)
    return path


def picture_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and the picture files within the folders named."""
    from cutmix.data import PHOTO_SUFFIXES

    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in PHOTO_SUFFIXES)
            if not inside:
                raise UsageError(f"there are no pictures in {path}")
            yield from inside
        elif path.exists():
            yield path
        else:
            raise UsageError(f"there is no file {path}")


def prepared(path: Path, trained: Trained) -> tuple[Any, Tensor]:
    """The picture as the network sees it: uint8 HWC to show, and normalised 1CHW to feed."""
    from cutmix.data import prepare_photo, read_photo
    from cutmix.pictures import denormalise

    mean, std = trained.normalisation
    image_1CHW = prepare_photo(read_photo(path), trained.image_size or 224, mean, std, trained.squared)
    return denormalise(image_1CHW, mean, std)[0], image_1CHW


def _look(model: nn.Module, image_1CHW: Tensor, size: tuple[int, int]) -> tuple[Tensor, Any]:
    from cutmix.evaluation.cam import class_activation_maps, upsample_cams

    cams, logits = class_activation_maps(model, image_1CHW)
    return logits, upsample_cams(cams, size)[0].cpu().numpy()
