"""What a task is: data, a network on a backbone, views of pictures, a loss, a test. The loop knows no more of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from torch import Tensor, nn

from cutmix.transfer.backbone import Pretrained

if TYPE_CHECKING:
    import numpy as np
    from accelerate import Accelerator

Progress = Callable[[int, int], None]
Target = dict[str, Tensor]


class Sample(NamedTuple):
    """A picture as the network is to see it, uint8 (3, H, W), and what belongs to it."""

    image_CHW: Tensor
    target: Target


class PictureBatch(NamedTuple):
    """This process's part of one step's batch, on the device."""

    images: list[Tensor]
    """float32 (3, H, W) in [0, 1], RGB; each may have a size of its own."""
    targets: list[Target]
    rows: list[int]
    """Which pictures of the split they are."""
    total: int
    """The number of pictures of this step over all processes."""


class Split(Protocol):
    """A part of a task's data: picture files, and something for each."""

    @property
    def paths(self) -> tuple[Path, ...]: ...

    def __len__(self) -> int: ...


class TaskData(Protocol):
    """What every task's data says of itself."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def train(self) -> Any: ...

    @property
    def test(self) -> Any: ...

    @property
    def note(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...


@dataclass
class Tested:
    """What a test found: numbers for the record of the epoch, and all else that is worth keeping.

    ``details`` is plain data (it goes into ``test.json`` and the result). ``drawings`` are functions that write
    pictures and other files, by file name.
    """

    measures: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)
    drawings: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)


class Task(ABC):
    """Work that a backbone is put to. A subclass is a frozen dataclass whose fields are the task's own settings.

    All chance comes from the generators that are handed in, or from torch's global one, which the loop has seeded.
    """

    also: ClassVar[tuple[str, ...]] = ()
    """Other names of the task on the command line."""
    measure: ClassVar[str]
    """The number of :class:`Tested` by which epochs are compared; larger is better."""
    losses: ClassVar[tuple[str, ...]]
    """The names of the parts of the loss, in their order."""
    usual: ClassVar[dict[str, Any]]
    """The settings of training that belong to the task's protocol."""

    @abstractmethod
    def load(self, spec: str, progress: Progress | None = None) -> TaskData:
        """The data that ``spec`` names, looked over; ``CutmixError`` says what cannot be used."""

    @abstractmethod
    def network(self, pretrained: Pretrained, data: Any) -> nn.Module:
        """The network. In training, ``network(images, targets)`` gives the parts of the loss by name, each a mean."""

    @abstractmethod
    def train_view(self, split: Any, row: int, rng: np.random.Generator) -> Sample:
        """A training picture, changed by chance."""

    @abstractmethod
    def test_view(self, split: Any, row: int) -> Sample:
        """A test picture, as it is always seen."""

    @abstractmethod
    def test(
        self,
        network: nn.Module,
        batches: Iterable[PictureBatch],
        data: Any,
        accelerator: Accelerator,
        *,
        final: bool,
    ) -> Tested:
        """Test the network, which is in evaluation mode, on this process's part of the test pictures.

        Every process calls it and returns the same measures. ``final`` asks for details and drawings as well.
        """

    @abstractmethod
    def draw_batch(self, batch: PictureBatch, data: Any, path: Path, title: str) -> None:
        """Write a picture of a batch with what the network is to learn of it."""


def largest(records: Sequence[Mapping[str, Any]], measure: str) -> Mapping[str, Any] | None:
    """The record in which ``measure`` is largest; of equal ones the last; None where it was never measured."""
    tested = [record for record in reversed(records) if measure in record]
    return max(tested, key=lambda record: record[measure], default=None)
