"""What happens to an image before the network: random crops and flips, the fixed view for tests, normalisation.

Chance first, arithmetic after: each augmentation draws from a generator that is handed in and then moves bytes.
Shapes: B images of a batch, N of a split, H x W pixels, C = 3 channels. Images are uint8 with channels last until
``normalise``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor

from cutmix.data.boxes import Boxes, Geometry, move, require_boxes
from cutmix.data.photos import to_rgb
from cutmix.data.policy import SEEDS, Policy
from cutmix.data.splits import SMALL_SIDE, ArraySplit, Data, Split
from cutmix.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
GREY = (0.299, 0.587, 0.114)


class Crops(NamedTuple):
    """One drawn crop for each image: where it starts in the padded image, and whether it is mirrored afterwards."""

    top_N: np.ndarray
    left_N: np.ndarray
    mirror_N: np.ndarray


@dataclass(frozen=True)
class CropFlip:
    """Pad small images with black pixels, crop at a random place, mirror every second one: the CIFAR augmentation.

    ``padding`` pixels of value 0 are added on each side before normalisation, as the official code of the
    paper does (clovaai/CutMix-PyTorch: 4 pixels for images of 32). ``flip=False`` where mirroring changes the class.
    ``policy`` (AutoAugment, RandAugment, TrivialAugment) changes the image after that; the CutMix paper has none.
    """

    padding: int = 4
    flip: bool = True
    policy: Policy | None = None

    def __post_init__(self) -> None:
        _require_policy(self.policy)
        if self.padding < 0:
            raise UsageError(f"CropFlip padding is {self.padding}; at least 0 pixels are accepted.")

    def __repr__(self) -> str:
        return _as_call(self)

    def draw(self, count: int, rng: np.random.Generator) -> Crops:
        """Crops for ``count`` images: offsets uniform on 0..2*padding, mirrored with probability one half."""
        top_N, left_N = rng.integers(0, 2 * self.padding + 1, size=(2, count))
        mirror_N = rng.random(count) < 0.5
        return Crops(top_N, left_N, mirror_N & self.flip)

    def draw_policy(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """The seeds (count,) of what the policy does to each image."""
        return rng.integers(SEEDS, size=count)


@dataclass(frozen=True)
class NoAugment:
    """Every image as the test sees it."""


@dataclass(frozen=True)
class PhotoCrop:
    """A random part of a photo, resized to ``size``, mirrored with probability one half: the ImageNet augmentation.

    The part covers 8 % to 100 % of the area at an aspect ratio of 3/4 to 4/3 (torchvision's RandomResizedCrop), and is
    resized bilinearly with antialiasing.

    ``jitter`` and ``lighting`` are 0 in the paper; the official code (clovaai/CutMix-PyTorch) has 0.4 and 0.1, of which
    the paper says nothing. ``jitter``: brightness, contrast and saturation, in an order drawn for each image, each
    interpolating towards black, the mean grey or the grey image by an amount uniform on -jitter..jitter (negative: away
    from it). ``lighting``: a shift along the principal axes of ImageNet's colours by amounts drawn from N(0, lighting).
    Both happen on [0, 1] values before mean and std are applied. Values may leave [0, 1]; they are not clamped.

    ``policy`` (AutoAugment, RandAugment, TrivialAugment; the paper has none) changes the view before its colours.
    """

    size: int = 224
    flip: bool = True
    jitter: float = 0.0
    lighting: float = 0.0
    policy: Policy | None = None

    def __post_init__(self) -> None:
        _require_policy(self.policy)
        if self.size < 1:
            raise UsageError(f"PhotoCrop size is {self.size}; at least 1 pixel is accepted.")
        if self.jitter < 0 or self.lighting < 0:
            raise UsageError(f"PhotoCrop jitter is {self.jitter}, lighting {self.lighting}; at least 0 is accepted.")

    def __repr__(self) -> str:
        return _as_call(self)

    def view(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        """A random view of an RGB image: uint8 (size, size, 3)."""
        from PIL import Image

        top, left, height, width = draw_photo_box(image.height, image.width, rng)
        mirror = rng.random() < 0.5
        part = image.crop((left, top, left + width, top + height))
        pixels_HWC = np.asarray(part.resize((self.size, self.size), Image.Resampling.BILINEAR))
        if mirror and self.flip:
            pixels_HWC = pixels_HWC[:, ::-1]
        if self.policy is None:
            return pixels_HWC
        return np.asarray(self.policy.one(Image.fromarray(np.ascontiguousarray(pixels_HWC)), int(rng.integers(SEEDS))))

    @property
    def recolours(self) -> bool:
        """Whether the colours change at all."""
        return self.jitter > 0 or self.lighting > 0

    def colour(self, pixels_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the colour change of one view as float32 (3, 4): out = [:, :3] @ rgb + [:, 3], with rgb in [0, 1].

        Every step is affine in the colour, given the mean colour of the view, so the steps are composed here and
        applied to a whole batch by ``normalise``.
        """
        amounts = rng.uniform(-self.jitter, self.jitter, 3)
        order = rng.permutation(3)
        alphas = rng.normal(0.0, self.lighting, 3) if self.lighting > 0 else np.zeros(3)
        height, width, _ = pixels_HWC.shape
        # Rows of W*3 values are summed first: a sum over both axes at once has an inner loop of 3.
        sums_C = pixels_HWC.reshape(height, width * 3).sum(axis=0, dtype=np.int64).reshape(width, 3).sum(axis=0)
        mean_C = sums_C / (255 * height * width)
        return _colour_change(mean_C, amounts, order, alphas)


@dataclass(frozen=True)
class SquareCrop:
    """A photo resized to a square, its aspect ignored, cropped at a random place, mirrored with probability one half.

    The augmentation of the paper's localization networks (appendix B: 256 and 224; it does not mention the mirroring,
    which ADL and wsolevaluation add). Their tests resize to the same square and crop its middle: ``Data.squared``.
    """

    resize: int = 256
    size: int = 224
    flip: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.resize:
            raise UsageError(f"SquareCrop size is {self.size}; 1 to resize ({self.resize}) pixels are accepted.")

    def view(self, image: Image.Image, rng: np.random.Generator) -> np.ndarray:
        """A random view of an RGB image: uint8 (size, size, 3)."""
        from PIL import Image

        top, left = rng.integers(0, self.resize - self.size + 1, size=2)
        mirror = rng.random() < 0.5
        square = image.resize((self.resize, self.resize), Image.Resampling.BILINEAR)
        pixels_HWC = np.asarray(square)[top : top + self.size, left : left + self.size]
        return pixels_HWC[:, ::-1] if mirror and self.flip else pixels_HWC


Augment = CropFlip | PhotoCrop | SquareCrop | NoAugment
PHOTO_AUGMENTS = (PhotoCrop, SquareCrop)


def default_augment(data: Data) -> CropFlip | PhotoCrop:
    """The paper's augmentation for this kind of data: CropFlip by an eighth of the side, PhotoCrop for photos."""
    if isinstance(data.train, ArraySplit):
        return CropFlip(padding=data.image_size // 8, flip=data.flip)
    return PhotoCrop(size=data.image_size, flip=data.flip)


def _as_call(augment: CropFlip | PhotoCrop) -> str:
    """The call that makes it; without a policy as it was written before there were any, so that old runs resume."""
    values = {f.name: getattr(augment, f.name) for f in fields(augment)}
    given = [f"{name}={value!r}" for name, value in values.items() if (name, value) != ("policy", None)]
    return f"{type(augment).__name__}({', '.join(given)})"


def _require_policy(policy: object) -> None:
    if policy is not None and not isinstance(policy, Policy):
        raise UsageError(f"policy is {policy!r}; AutoAugment(), RandAugment(), TrivialAugment() or None is accepted.")


class Canvas:
    """Working memory for cropping batches of one size: black borders written once, the middle rewritten every time."""

    def __init__(self, images_NHWC: np.ndarray, batch: int, padding: int) -> None:
        count, height, width, channels = images_NHWC.shape
        self.rows_NHR = images_NHWC.reshape(count, height, width * channels)
        padded = np.zeros((batch, height + 2 * padding, (width + 2 * padding) * channels), dtype=np.uint8)
        self.middle = padded[:, padding : padding + height, padding * channels : (padding + width) * channels]
        image, row, byte = padded.strides
        # [b, y, x] is the crop of image b that starts at row y, column x: rows of contiguous bytes, nothing is copied.
        offsets = 2 * padding + 1
        self.windows = as_strided(
            padded,
            (batch, offsets, offsets, height, width * channels),
            (image, row, channels * byte, row, byte),
            writeable=False,
        )
        self.shape = (height, width, channels)

    def crop(self, index_B: np.ndarray, crops: Crops) -> np.ndarray:
        """The crops of the images at ``index_B``: a new uint8 (B, H, W, C). ``crops`` are those of the whole split."""
        batch = len(index_B)
        self.middle[:batch] = self.rows_NHR[index_B]
        out = self.windows[np.arange(batch), crops.top_N[index_B], crops.left_N[index_B]].reshape(batch, *self.shape)
        mirrored = np.flatnonzero(crops.mirror_N[index_B])
        out[mirrored] = _mirrored(out[mirrored])
        return out


def crop_on_device(
    images_NHWC: Tensor, index_B: Tensor, top_B: Tensor, left_B: Tensor, mirror_B: Tensor, padding: int
) -> Tensor:
    """What ``Canvas.crop`` does, as one gather on the tensors' device, which is never waited for."""
    _, height, width, _ = images_NHWC.shape
    padded = torch.nn.functional.pad(images_NHWC[index_B], (0, 0, padding, padding, padding, padding))
    rows = torch.arange(height, device=images_NHWC.device)
    columns = torch.arange(width, device=images_NHWC.device)
    columns_BW = torch.where(mirror_B[:, None], columns.flip(0), columns) + left_B[:, None]
    batch = torch.arange(len(index_B), device=images_NHWC.device)
    return padded[batch[:, None, None], (top_B[:, None] + rows)[:, :, None], columns_BW[:, None, :]]


def normalise(
    images_BHWC: Tensor, mean: Sequence[float], std: Sequence[float], colour_B34: Tensor | None = None
) -> Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W), (x / 255 - mean) / std, as a channels-last view (no layout copy).

    ``colour_B34`` is a colour change for each image (``PhotoCrop.colour``), made before mean and std are applied.
    """
    if colour_B34 is not None:
        return _recolour(images_BHWC, mean, std, colour_B34)
    batch, height, width, _ = images_BHWC.shape
    scale_R, shift_R = _row_constants(tuple(mean), tuple(std), width, images_BHWC.device)
    # A product and a sum, not a fused addcmul, whose rounding may depend on where in the tensor a value lies.
    rows = images_BHWC.reshape(batch, height, width * 3).to(torch.float32).mul_(scale_R).add_(shift_R)
    return rows.view(batch, height, width, 3).permute(0, 3, 1, 2)


def centre_view(image: Image.Image, size: int, squared: int = 0) -> np.ndarray:
    """The fixed view of tests: uint8 (size, size, 3).

    Photos (size > 64): the short side resized to size * 256/224, then the middle cropped, as the official code does.
    Small images (size <= 64): the short side resized to ``size``, so that an image of that size passes unchanged.
    With ``squared`` both sides are resized to it instead, as the paper does for localization.
    """
    from PIL import Image

    resized, (left, top) = _resized(image.width, image.height, size, squared)
    if image.size != resized:
        image = image.resize(resized, Image.Resampling.BILINEAR)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def short_side(size: int) -> int:
    """To what tests resize the short side of a picture before they crop the middle ``size`` x ``size``."""
    return round(size * 256 / 224) if size > SMALL_SIDE else size


def _resized(width: int, height: int, size: int, squared: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The (width, height) to which a test resizes a picture, and the (left, top) of the middle that it crops."""
    short = short_side(size)
    if squared:
        resized = (squared, squared)
    elif width <= height:
        resized = (short, int(short * height / width))
    else:
        resized = (int(short * width / height), short)
    return resized, (round((resized[0] - size) / 2), round((resized[1] - size) / 2))


def view_boxes(data: Data, split: Split | None = None) -> Boxes:
    """The boxes of ``data.test`` (or of ``split``) in the views that ``test_batches`` makes of its images.

    They go through the same resizing and cropping and are clipped to the view. Boxes of which nothing is left are
    dropped and counted.

    Raises ``UsageError`` if the split has no boxes.
    """
    chosen = data.test if split is None else split
    boxes = require_boxes(chosen.read_boxes() if chosen.read_boxes else None, data.name)
    in_memory = isinstance(chosen, ArraySplit)  # resized as a whole when they were read

    def geometry(width: int, height: int) -> Geometry:
        size = data.image_size
        (wide, high), corner = _resized(width, height, size, size if in_memory else data.squared)
        return Geometry((wide / width, high / height), corner, size)

    return move(boxes, geometry)


def prepare_photo(
    image: Image.Image | np.ndarray, size: int, mean: Sequence[float], std: Sequence[float], squared: int = 0
) -> Tensor:
    """One image of any size and mode as the network sees it in tests: float32 (1, 3, size, size), normalised."""
    from PIL import Image

    picture = to_rgb(Image.fromarray(image) if isinstance(image, np.ndarray) else image)
    return normalise(torch.from_numpy(centre_view(picture, size, squared).copy())[None], mean, std)


def draw_photo_box(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw the (top, left, height, width) of torchvision's RandomResizedCrop: scale 0.08..1, ratio 3/4..4/3.

    Ten attempts, then the largest centred box within the ratios.
    """
    for _ in range(10):
        area = height * width * rng.uniform(0.08, 1.0)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(rng.integers(0, height - box_height + 1))
            left = int(rng.integers(0, width - box_width + 1))
            return top, left, box_height, box_width
    box_width = min(width, round(height * 4 / 3))
    box_height = min(height, round(width / (3 / 4)))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


@lru_cache(maxsize=8)
def _row_constants(
    mean: tuple[float, ...], std: tuple[float, ...], width: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Scale and shift of one row of W*3 values: an inner loop of that length is vectorised, one of 3 is not.

    Kept, so that no batch waits for a copy to the device.
    """
    scale_C = torch.tensor([1 / (255 * s) for s in std], dtype=torch.float32)
    shift_C = torch.tensor([-m / s for m, s in zip(mean, std)], dtype=torch.float32)
    return scale_C.repeat(width).to(device), shift_C.repeat(width).to(device)


def _mirrored(images_BHWC: np.ndarray) -> np.ndarray:
    # torch.flip has a kernel for channels-last bytes; a reversed numpy view is copied byte by byte (4 times slower).
    return torch.from_numpy(images_BHWC).permute(0, 3, 1, 2).flip(3).permute(0, 2, 3, 1).numpy()


def _colour_change(mean_C: np.ndarray, amounts: np.ndarray, order: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    grey_C = np.array(GREY)
    change = np.eye(3, 4)
    for step in order.tolist():
        amount = amounts[step]
        change = change * (1 - amount) + amount * _reference(step, change, mean_C, grey_C)
    change[:, 3] += np.array(EIGENVECTORS) @ (alphas * EIGENVALUES)
    return change.astype(np.float32)


def _reference(step: int, change: np.ndarray, mean_C: np.ndarray, grey_C: np.ndarray) -> np.ndarray:
    """What brightness (0), contrast (1), saturation (2) interpolate towards: an affine map of the original colour."""
    reference = np.zeros((3, 4))
    if step == 1:
        reference[:, 3] = grey_C @ (change[:, :3] @ mean_C + change[:, 3])
    if step == 2:
        reference[:] = grey_C @ change
    return reference


def _recolour(images_BHWC: Tensor, mean: Sequence[float], std: Sequence[float], colour_B34: Tensor) -> Tensor:
    colour_B34 = colour_B34.to(images_BHWC.device, non_blocking=True)
    # Products and sums of whole planes, not a matrix product: its rounding may depend on the batch, TF32 or autocast.
    planes_CBHW = images_BHWC.permute(3, 0, 1, 2).contiguous().to(torch.float32)
    out_BHWC = torch.empty(images_BHWC.shape, dtype=torch.float32, device=images_BHWC.device)
    for channel in range(3):
        weights_4B11 = (colour_B34[:, channel] / std[channel]).T[:, :, None, None]
        plane_BHW = planes_CBHW[0] * (weights_4B11[0] / 255)
        for source in (1, 2):
            plane_BHW += planes_CBHW[source] * (weights_4B11[source] / 255)
        plane_BHW += weights_4B11[3] - mean[channel] / std[channel]
        out_BHWC[..., channel] = plane_BHW
    return out_BHWC.permute(0, 3, 1, 2)
