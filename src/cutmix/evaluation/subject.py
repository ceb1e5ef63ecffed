"""Who is asked: a trained network with the data it is tested on, and what several questions need of both, made once.

Shapes: N images of a split, B of this process's part of a batch, K classes, D features before the last layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from cutmix.data import ArraySplit, Batch, Data, PhotoSplit, Split, TestBatches, test_batches
from cutmix.data.batches import Images
from cutmix.data.chance import EVALUATION, generator
from cutmix.errors import CutmixError, UsageError


class Made(Protocol):
    """Images that are made when they are asked for, such as noise."""

    def __len__(self) -> int: ...

    @property
    def labels_N(self) -> np.ndarray: ...

    def images(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> Images: ...


Source: TypeAlias = Split | Made
"""What batches are made of."""


class Outputs(NamedTuple):
    """What a network says of a split, in the split's order, on the CPU, the same in every process."""

    logits_NK: Tensor
    """float32."""
    labels_N: Tensor
    """int64."""
    features_ND: Tensor | None = None
    """float32: the input of the last linear layer; None if it was not asked for, or the network does not end in one."""


@dataclass(eq=False)
class Subject:
    """The network under test and its data.

    Args:
        model: takes normalised images (B, 3, H, W) and gives logits (B, K). It is put into evaluation mode and onto
            ``device``, and left there.
        data: its test split is asked about, normalised with its ``mean`` and ``std``.
        device: where the network runs; the GPU if there is one, unless given.
        batch_size: images at a time, over all processes. No answer depends on it.
        limit: ask only about this many test images, drawn with ``seed`` (the same ones for every network).
        seed: all chance of the questions follows from it.
        workers: processes that decode photos.
        data_root: where other data sets lie that a question needs; ``default_root()`` unless given.
        wants_features: note the features in the same pass as the logits, because some question needs them.
        class_names: of the network's classes, in their order; None if they are not known, and only their number can be
            compared with the data's.
        watch: called with the share of a forward pass over the test split that was just done.
    """

    model: nn.Module
    data: Data
    device: torch.device | str | None = None
    batch_size: int = 128
    limit: int | None = None
    seed: int = 0
    workers: int | None = None
    data_root: Path | None = None
    rank: int = 0
    world_size: int = 1
    wants_features: bool = False
    watch: Callable[[float], None] | None = None
    class_names: Sequence[str] | None = None
    memory: MutableMapping[str, Any] = field(default_factory=dict)
    """What :meth:`once` remembers. An evaluation that is written to disk puts its journal here."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit is {self.limit}; at least 1 image must be asked about.")
        if self.batch_size < self.world_size:
            raise UsageError(f"batch_size is {self.batch_size}; each of {self.world_size} processes needs an image.")
        self.device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model.to(self.device).eval()

    # ------------------------------------------------------------------------------------------------------- the data

    @property
    def mean(self) -> tuple[float, float, float]:
        """Of a channel, where a pixel lies in [0, 1]."""
        return self.data.mean

    @property
    def std(self) -> tuple[float, float, float]:
        """Of a channel, where a pixel lies in [0, 1]."""
        return self.data.std

    @property
    def num_classes(self) -> int:
        return self.data.num_classes

    def tells_apart(self, classes: int) -> bool:
        """Whether the data's classes are those of the network, which gives ``classes`` logits."""
        if self.class_names is None:
            return classes == self.num_classes
        return tuple(self.class_names) == self.data.classes

    @cached_property
    def split(self) -> Split:
        """The test images that are asked about: all, or ``limit`` of them, in the test split's order."""
        return self.drawn(self.data.test, self.limit, "limit")

    def __len__(self) -> int:
        """How many test images are asked about, N."""
        return len(self.split)

    def drawn(self, split: Split, count: int | None, *position: str | int) -> Split:
        """``count`` images of ``split``, drawn without repetition, in the split's order; all if there are not more."""
        if count is None or count >= len(split):
            return split
        rows = self.rng("subset", *position).permutation(len(split))[:count]
        return split.subset(np.sort(rows))

    def rng(self, question: str, *position: str | int) -> np.random.Generator:
        """The generator that (seed, question, position) name: the same in every process and for every network."""
        name = "\0".join(map(str, (question, *position)))
        key = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
        return generator(self.seed, EVALUATION, key)

    def batches(self, split: Source | None = None, cost: float = 1.0) -> Iterator[Batch]:
        """This process's part of the normalised batches of ``split`` (the test images unless given), on the device.

        In one process these are all images once, in order. With several, put what is found out for each image together
        again by :meth:`together`.

        Args:
            cost: how many forward passes the caller makes of each batch, roughly (a backward pass counts as two); for
                the progress bar.
        """
        yield from self._watched(self._batches(self.data, split), cost)

    def pixel_batches(self, split: Source | None = None, cost: float = 1.0) -> Iterator[Batch]:
        """:meth:`batches` before normalisation: pixels float32 in [0, 1], as :attr:`pixel_model` takes them."""
        plain = replace(self.data, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        yield from self._watched(self._batches(plain, split), cost)

    def together(self, values_M: Tensor, split: Source | None = None) -> Tensor:
        """Values an image, from this process's part in the order of its batches to the whole split in its order.

        ``values_M`` has one row for each image that :meth:`batches` gave to this process, on any device. The result
        has N rows, on the CPU, and is the same in every process. Each image is counted once: nothing is padded.
        """
        if self.world_size == 1:
            return values_M.cpu()
        from torch import distributed

        parts: list[Any] = [None] * self.world_size
        distributed.all_gather_object(parts, values_M.cpu())
        batches = self._batches(self.data, split)
        steps = np.split(np.arange(len(batches.labels_N)), np.arange(1, batches.steps) * self.batch_size)
        order = [np.concatenate([step[rank :: self.world_size] for step in steps]) for rank in range(self.world_size)]
        stacked = torch.cat(parts)
        whole = torch.empty_like(stacked)
        whole[torch.from_numpy(np.concatenate(order))] = stacked
        return whole

    def _batches(self, data: Data, split: Source | None) -> TestBatches:
        device, chosen = torch.device(self.device or "cpu"), self.split if split is None else split
        if not isinstance(chosen, ArraySplit | PhotoSplit):
            images = chosen.images(data.mean, data.std, device)
            return TestBatches(images, chosen.labels_N, device, self.batch_size, self.rank, self.world_size)
        return test_batches(
            data,
            chosen,
            batch_size=self.batch_size,
            workers=self.workers,
            device=device,
            rank=self.rank,
            world_size=self.world_size,
        )

    def _watched(self, batches: TestBatches, cost: float) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            if self.watch is not None:
                self.watch(cost * batch.total / len(self))

    # ---------------------------------------------------------------------------------------------------- the network

    @cached_property
    def pixel_model(self) -> nn.Module:
        """The network on pixels in [0, 1]: normalisation is its first layer, so that gradients are those of pixels."""
        return OnPixels(self.model, self.mean, self.std).to(self.device).eval()

    def logits(self) -> tuple[Tensor, Tensor]:
        """(logits (N, K) float32, labels (N,)) of the test images, on the CPU. One pass serves all questions."""
        return self.outputs()[:2]

    def features(self) -> Tensor:
        """The input of the last linear layer for the test images, (N, D) float32 on the CPU.

        Raises:
            UsageError: the network does not end in a linear layer.
        """
        return require_features(self.outputs(features=True))

    def outputs(self, features: bool = False) -> Outputs:
        """:meth:`logits`, and :meth:`features` if asked for and there are any."""
        if features and not self.wants_features:
            self.wants_features = True
            self.__dict__.pop("_outputs", None)
        return self._outputs

    @cached_property
    def _outputs(self) -> Outputs:
        return self.outputs_of(self.split, features=self.wants_features)

    def logits_of(self, split: Source) -> Tensor:
        """Logits (N, K) float32 on the CPU of any images, prepared and normalised as the test images."""
        return self.outputs_of(split).logits_NK

    @torch.no_grad()
    def outputs_of(self, split: Source, features: bool = False) -> Outputs:
        """Logits, labels, and the features if asked for, of the images of any split.

        Raises:
            UsageError: the network does not give a logit for each class of the data.
            CutmixError: a logit is not finite.
        """
        logits: list[Tensor] = []
        labels: list[Tensor] = []
        seen: list[Tensor] = []
        with _HeadInput(self.model, features) as head:
            for images_BCHW, labels_B, _ in self.batches(split):
                logits_BK = self.model(images_BCHW)
                _require_logits(logits_BK, len(labels_B), self.num_classes)
                logits.append(logits_BK.float())
                labels.append(labels_B)
                if (features_BD := head.input_of(logits_BK)) is not None:
                    seen.append(features_BD)
        whole = [self.together(torch.cat(part), split) for part in (logits, labels, seen) if part]
        _require_finite(whole[0])
        return Outputs(*whole)

    # -------------------------------------------------------------------------------------------------------- memory

    def once(self, key: str, compute: Callable[[], Any]) -> Any:
        """``compute()``, or what it gave when an earlier, interrupted evaluation with the same settings came to it.

        For the steps of a long answer. The result is made of plain values for JSON; ``key`` is unique in the question.
        """
        if key not in self.memory:
            self.memory[key] = compute()
        return self.memory[key]


class OnPixels(nn.Module):
    """A network whose input is pixels in [0, 1]: (x - mean) / std is its first layer."""

    mean_C11: Tensor
    std_C11: Tensor

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean_C11", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std_C11", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        logits_BK: Tensor = self.model((pixels_BCHW - self.mean_C11) / self.std_C11)
        return logits_BK


class _HeadInput:
    """Notes the input of the linear layer that ran last, while it is entered."""

    def __init__(self, model: nn.Module, wanted: bool) -> None:
        self._model, self._wanted = model, wanted
        self._hooks: list[Any] = []
        self._last: tuple[Tensor, Tensor] | None = None

    def __enter__(self) -> _HeadInput:
        if self._wanted:
            layers = [module for module in self._model.modules() if isinstance(module, nn.Linear)]
            self._hooks = [layer.register_forward_hook(self._note) for layer in layers]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _note(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        self._last = inputs[0], output

    def input_of(self, logits_BK: Tensor) -> Tensor | None:
        """The vectors that the layer made these logits of, (B, D); None if it did not, or was not watched."""
        if self._last is None or self._last[0].ndim != 2 or self._last[1] is not logits_BK:
            return None
        return self._last[0].float()


def require_features(outputs: Outputs) -> Tensor:
    """The features (N, D) of ``outputs``; ``UsageError`` if there are none."""
    if outputs.features_ND is None:
        raise UsageError("the network does not end in a linear layer over one vector an image, so it has no features.")
    return outputs.features_ND


def likeliest(logits_BK: Tensor) -> Tensor:
    """The class of the largest logit, (B,); -1 where a logit is not finite, since argmax takes NaN for the largest."""
    return torch.where(logits_BK.isfinite().all(1), logits_BK.argmax(1), -1)


def require_likeliest(guesses: Tensor) -> Tensor:
    """``guesses`` of any shape, as :func:`likeliest` gives them; ``UsageError`` if one is none.

    It is asked once, of all images, so that no batch waits for the device.
    """
    wrong = int((guesses < 0).sum())
    if wrong:
        raise UsageError(f"the network gave logits that are not finite for {wrong} of {guesses.numel()} images")
    return guesses


def _require_logits(logits_BK: Any, images: int, classes: int) -> None:
    if not isinstance(logits_BK, Tensor) or logits_BK.shape != (images, classes):
        got = tuple(logits_BK.shape) if isinstance(logits_BK, Tensor) else type(logits_BK).__name__
        raise UsageError(
            f"the network gave {got} for {images} images; logits of shape ({images}, {classes}) are needed."
        )


def _require_finite(logits_NK: Tensor) -> None:
    wrong = int((~logits_NK.isfinite()).any(1).sum())
    if wrong:
        raise CutmixError(f"the network gave logits that are not finite for {wrong} of {len(logits_NK)} images.")
