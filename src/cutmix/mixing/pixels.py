"""How the pixels of a plan are moved: on any device, in any layout, with as few copies as will do.

Nothing here waits for a device. A loop over the images is made only in the host's memory, where it is the fastest way
to move boxes that differ (``benchmarks/mixing.py``); it, and the masks that other devices use, give the same bits.

Legend: B = images of a batch, H = height, W = width. Between B and H there may be any dimensions, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.mixing.boxes import Box

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_BAND = 2**20  # elements: few enough that their copy stays in the cache, and many enough to share among threads
_GRAIN = 2**15  # elements from which on torch gives a copy to several threads

_Mix = Callable[[Tensor, NDArray[np.int64]], Tensor]  # of images, and their partners


def on_device(array: NDArray, device: torch.device) -> Tensor:
    """A small array of the host as a tensor on ``device``, without waiting for it."""
    return torch.from_numpy(array).to(device, non_blocking=True)


def paste(images: Tensor, box: Box, partners: NDArray[np.int64], *, inplace: bool) -> Tensor:
    """Each image with the box taken from its partner."""
    if not box.shared:
        return (_paste_by_views if _in_host_memory(images) else _paste_by_mask)(images, box, partners, inplace)
    return _alike(images, partners, partial(_paste_shared, box=box, inplace=inplace))


def _paste_shared(images: Tensor, partners: NDArray[np.int64], *, box: Box, inplace: bool) -> Tensor:
    mixed = images if inplace else images.clone()
    order = on_device(partners, images.device)
    for old, new in zip(_bands(_shared_window(images, box)), _bands(_shared_window(mixed, box))):
        new.copy_(_take(old, order))
    return mixed


def paste_cells(
    images: Tensor,
    box: Box,
    partners: NDArray[np.int64],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    *,
    inplace: bool,
) -> Tensor:
    """Each image with the box taken from chosen rows and columns of its partner.

    For each row of the image ``rows`` says which one of the partner it shows, (H,) for all or (B, H); so ``columns``.
    """
    order, rows_H, columns_W = (on_device(index, images.device) for index in (partners, rows, columns))
    if box.shared:
        mixed = images if inplace else images.clone()
        found = images.index_select(-2, rows_H[box.top : box.bottom])
        found = found.index_select(-1, columns_W[box.left : box.right])
        _shared_window(mixed, box).copy_(found.index_select(0, order))
        return mixed
    planes = images.reshape(len(images), -1, *images.shape[-2:])
    others = planes[order[:, None, None], :, rows_H[:, :, None], columns_W[:, None, :]].movedim(-1, 1)
    return _select(~_inside(box, images), images, others.reshape(images.shape), inplace)


def through(images: Tensor, keep: NDArray[np.bool_], partners: NDArray[np.int64], *, inplace: bool) -> Tensor:
    """Each image where ``keep``, (H, W) or (B, H, W), is true, and its partner elsewhere."""
    if keep.ndim == 2:
        return _alike(images, partners, partial(_through, keep=keep, inplace=inplace))
    keep = keep.reshape(len(keep), *[1] * (images.ndim - 3), *keep.shape[1:])
    return _through(images, partners, keep=keep, inplace=inplace)


def _through(images: Tensor, partners: NDArray[np.int64], *, keep: NDArray[np.bool_], inplace: bool) -> Tensor:
    mask = on_device(keep, images.device)
    return _select(mask, images, _take(images, on_device(partners, images.device)), inplace)


def _select(keep: Tensor, images: Tensor, others: Tensor, inplace: bool) -> Tensor:
    if inplace:
        return images.copy_(torch.where(keep, images, others))
    mixed = torch.where(keep, images, others)
    if images.is_contiguous() or images.ndim != 4:
        return mixed.contiguous()
    return mixed.contiguous(memory_format=torch.channels_last)


def erase(images: Tensor, box: Box, fill: float, *, inplace: bool) -> Tensor:
    """Each image with the box filled."""
    mixed = images if inplace else images.clone()
    if box.shared:
        _shared_window(mixed, box).fill_(fill)
    elif _in_host_memory(mixed):
        value = _bits(torch.tensor(fill, dtype=mixed.dtype))
        for image, window in zip(_bits(mixed), _windows(box)):
            image[window] = value
    else:
        mixed.masked_fill_(_inside(box, mixed), fill)
    return mixed


def blend(images: Tensor, share: float | NDArray[np.float64], partners: NDArray[np.int64], *, inplace: bool) -> Tensor:
    """``share`` of each image plus the rest of its partner; one share for all, or (B,)."""
    if not images.is_floating_point() and images.dtype != torch.uint8:
        raise UsageError(f"Images of {images.dtype} cannot be blended: convert them to a floating type or to uint8.")
    if not isinstance(share, np.ndarray):
        return _alike(images, partners, partial(_blend_bands, weight=share, inplace=inplace))
    weight = _per_image(on_device(share, images.device), images.ndim)
    return _blend_bands(images, partners, weight=weight, inplace=inplace)


def _blend_bands(images: Tensor, partners: NDArray[np.int64], *, weight: float | Tensor, inplace: bool) -> Tensor:
    order = on_device(partners, images.device)
    if not inplace:
        return _blend(images, weight, order)
    for band in _bands(images):
        _blend(band, weight, order, out=band)
    return images


def _blend(images: Tensor, weight: float | Tensor, order: Tensor, out: Tensor | None = None) -> Tensor:
    # Narrow types are computed in float32 and rounded once: half precision could not even hold the weight.
    wide = images.dtype if images.dtype in (torch.float32, torch.float64) else torch.float32
    weight = weight.to(wide) if isinstance(weight, Tensor) else weight
    theirs = _take(images, order)
    if images.dtype == wide:
        return theirs.lerp_(images, weight) if out is None else torch.lerp(theirs, images, weight, out=out)
    mixed = theirs.to(wide).lerp_(images.to(wide), weight)
    if images.dtype == torch.uint8:
        mixed.round_()
    return mixed.to(images.dtype) if out is None else out.copy_(mixed)


def _alike(images: Tensor, partners: NDArray[np.int64], mix: _Mix) -> Tensor:
    """``mix``, which does the same to all images, with a cheaper way back for gradients where there is one."""
    if images.requires_grad and np.array_equal(np.sort(partners), np.arange(len(partners))):
        mixed: Tensor = _Alike.apply(images, partners, mix)
        return mixed
    return mix(images, partners)


class _Alike(torch.autograd.Function):
    """A mix that is the same for all images, whose partners are a permutation.

    Its gradient is mixed as the images are, with the permutation's inverse. What autograd does with a copy of a window
    or with ``index_select`` comes to the same, in several times as many passes over the map.
    """

    @staticmethod
    def forward(images: Tensor, partners: NDArray[np.int64], mix: _Mix) -> Tensor:
        return mix(images, partners)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, NDArray[np.int64], _Mix], output: Tensor) -> None:
        _, ctx.partners, ctx.mix = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _alike(gradient, np.argsort(ctx.partners), ctx.mix), None, None


def _take(images: Tensor, order: Tensor) -> Tensor:
    """``images[order]`` in the layout of ``images``."""
    if images.numel() >= _GRAIN * len(images):
        return images[order]
    # Twice as fast for small images, if they are taken in the order of the memory. Large ones it takes one at a time,
    # and would start the threads anew for each.
    if images.ndim == 4 and images.stride(1) == 1:
        return images.permute(0, 2, 3, 1).index_select(0, order).permute(0, 3, 1, 2)
    return images.index_select(0, order)


def _paste_by_views(images: Tensor, box: Box, partners: NDArray[np.int64], inplace: bool) -> Tensor:
    order, windows, old = partners.tolist(), _windows(box), list(_bits(images))
    if not inplace:
        mixed = images.clone()
        for new, partner, window in zip(_bits(mixed), order, windows):
            new[window] = old[partner][window]
        return mixed
    free, cycles = _reading_order(order)
    for image in free:
        old[image][windows[image]] = old[order[image]][windows[image]]
    for cycle in cycles:
        last = cycle[-1]  # whose partner is the first, by then overwritten
        kept = old[cycle[0]][windows[last]].copy("K")
        for image in cycle[:-1]:
            old[image][windows[image]] = old[order[image]][windows[image]]
        old[last][windows[last]] = kept
    return images


def _reading_order(partners: list[int]) -> tuple[list[int], list[list[int]]]:
    """In which order images can be overwritten once all that take from them have done so.

    First those that nobody (any longer) takes from; what then remains are cycles, each in the order of the partners.
    An image that is its own partner need not be touched, and is left out.
    """
    readers = [0] * len(partners)
    for partner in partners:
        readers[partner] += 1
    free = [image for image, count in enumerate(readers) if not count]
    for image in free:  # grows while it is gone through
        partner = partners[image]
        readers[partner] -= 1
        if not readers[partner]:
            free.append(partner)
    cycles = []
    for start in range(len(partners)):
        cycle = []
        while readers[start]:
            readers[start] = 0
            cycle.append(start)
            start = partners[start]
        if len(cycle) > 1:
            cycles.append(cycle)
    return free, cycles


def _paste_by_mask(images: Tensor, box: Box, partners: NDArray[np.int64], inplace: bool) -> Tensor:
    theirs = _take(images, on_device(partners, images.device))
    return torch.where(_inside(box, images), theirs, images, out=images if inplace else None)


def _in_host_memory(images: Tensor) -> bool:
    return images.device.type == "cpu" and not images.requires_grad and images.itemsize in _BITS


def _bits(images: Tensor) -> NDArray:
    """The memory of ``images`` as whole numbers, since numpy knows no bfloat16."""
    return images.view(_BITS[images.itemsize]).numpy()


def _windows(box: Box) -> list[Any]:
    """For each image, the index of its box."""
    edges = zip(*(edge.tolist() for edge in box))
    return [(..., slice(top, bottom), slice(left, right)) for top, left, bottom, right in edges]


def _shared_window(images: Tensor, box: Box) -> Tensor:
    return images[..., box.top : box.bottom, box.left : box.right]


def _inside(box: Box, images: Tensor) -> Tensor:
    """Whether a pixel lies in its image's box: (B, 1, ..., H, W)."""
    edges = on_device(np.stack(box), images.device)
    top, left, bottom, right = (_per_image(edge, images.ndim) for edge in edges)
    rows = torch.arange(images.shape[-2], device=images.device)[:, None]
    columns = torch.arange(images.shape[-1], device=images.device)
    return (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)


def _per_image(values_B: Tensor, ndim: int) -> Tensor:
    return values_B.view(-1, *[1] * (ndim - 1))


def _bands(images: Tensor) -> Iterator[Tensor]:
    """The images as bands of rows, so that what is read before it is overwritten stays in the processor's cache.

    Other devices have their own ways with memory, and take one band: fewer kernels.
    """
    if images.device.type != "cpu" or images.numel() <= _BAND or images.ndim < 3:
        yield images
        return
    height = images.shape[-2]
    step = max(1, _BAND * height // images.numel())
    for top in range(0, height, step):
        yield images[..., top : top + step, :]
