"""NIC, "show and tell" (Vinyals et al., CVPR 2015, 1411.4555): an LSTM tells a picture from a classifier's feature.

The pooled feature goes through a linear layer and batch norm, and is the LSTM's first input; its words follow, and each
output is judged by the next word. The paper (table 10, A1) says: NIC, encoder ResNet-50, batches of 20, learning rate
0.001, 100 epochs, a beam of 20, scores on COCO. It points to stevehuanghe/image_captioning, whose defaults these are;
what the paper leaves open is as there, but for the following.

- The encoder. Upstream has a switch to fine-tune it, but forgets its weights when it lists what is trained, and
  detaches its feature: it never is. Yet all of the network is in training mode, so that its batch norms work with the
  batch's statistics, and their running ones drift. That is ``NIC(norm='trained')``; the default keeps it as it was
  trained. ``fine_tune=True`` does what upstream's switch says.
- The loss. Upstream divides the sum over words by all positions, padding included: ``per='position'``. The default is
  the mean over words, which does not hang on the longest caption of the batch.
- Words are those that the scores count (``caption_words``): upstream learns NLTK's, with punctuation, which the scores
  leave out. Words seen less than ``min_count`` times are ``<unk>``, which is never said here.
- A beam's hypothesis that has ended stays as it is. Upstream goes on behind ``<end>`` and cuts off what follows, whose
  probability then counts.
- A test sees the middle of a picture; upstream's sees a random crop, mirrored or not.

Shapes: B pictures, K captions of one, N captions of the batch, T words of the longest with ``<end>``, V words known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cutmix.data import CaptionData, CaptionSplit, load_captions, read_photo
from cutmix.errors import UsageError
from cutmix.files import write_atomically
from cutmix.transfer.backbone import Pretrained
from cutmix.transfer.batches import Place, TestPictures, gathered
from cutmix.transfer.beam_search import Hypothesis, State, beam_search
from cutmix.transfer.caption_scores import caption_scores, leave_one_out
from cutmix.transfer.caption_words import END, PAD, START, UNKNOWN, Vocabulary, make_vocabulary, words
from cutmix.transfer.meteor import meteor
from cutmix.transfer.pooled import PooledFeature
from cutmix.transfer.task import PictureBatch, Progress, Sample, Target, Task, Tested

if TYPE_CHECKING:
    from accelerate import Accelerator

NEVER_SAID = (PAD, START, UNKNOWN)
GRID = 16
TRAIN_TEST_BATCH = 20


@dataclass(frozen=True, kw_only=True)
class NIC(Task):
    """Captions by an LSTM on a backbone's pooled feature; the defaults are upstream's where the paper is silent.

    Args:
        embedding, hidden: numbers of a word and of the LSTM's state.
        dropout: of the LSTM's output.
        momentum: of the batch norm behind the linear layer. With upstream's 0.01 it takes some 700 steps until the
            running statistics of a test are those of training (the variance begins at 1, and is a thousandth of that);
            short runs want 0.1.
        fine_tune: whether the encoder's weights are trained too.
        norm: ``"frozen"`` or ``"trained"``: the encoder's batch norms.
        captions: ``"each"``: a training step sees ``batch_size`` captions, each with its picture, as upstream has it;
            ``"all"``: it sees ``batch_size`` pictures with all their captions, which is as many times less work for
            the encoder.
        augment: a random crop, mirrored or not, of training pictures; without it they are seen as in a test.
        size: side of the network's input in pixels; pictures are brought to 256/224 of it, whatever their shape.
        per: ``"word"`` or ``"position"``: what the loss is a mean over.
        min_count: how often a word must occur in the training captions to be learned.
        beam: hypotheses of a caption that are followed; the paper has 20, upstream's own default is 1.
        max_length: words after which a caption is cut off.
        test_train: score so many of the training pictures too, after the last epoch.
    """

    embedding: int = 100
    hidden: int = 300
    dropout: float = 0.1
    momentum: float = 0.01
    fine_tune: bool = False
    norm: str = "frozen"
    captions: str = "each"
    augment: bool = True
    size: int = 224
    per: str = "word"
    min_count: int = 4
    beam: int = 20
    max_length: int = 20
    test_train: int = 0

    also = ("caption",)
    measure = "cider"
    losses = ("cross_entropy",)
    usual: ClassVar[dict[str, Any]] = {
        "epochs": 100,
        "batch_size": 20,
        "lr": 0.001,
        "optimizer": "Adam",
        "schedule": "Constant()",
        "nesterov": False,
        "weight_decay": 0.0,
    }

    def __post_init__(self) -> None:
        for name, known in (("captions", ("each", "all")), ("per", ("word", "position"))):
            if getattr(self, name) not in known:
                raise UsageError(f"NIC({name}=...) must be {known[0]!r} or {known[1]!r}, got {getattr(self, name)!r}")
        for name in ("embedding", "hidden", "size", "min_count", "beam", "max_length"):
            if getattr(self, name) < 1:
                raise UsageError(f"NIC({name}=...) must be at least 1, got {getattr(self, name)}")
        if not 0 < self.momentum <= 1:
            raise UsageError(f"NIC(momentum=...) must lie in (0, 1], got {self.momentum}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"NIC(dropout=...) must lie in [0, 1), got {self.dropout}")
        if self.test_train < 0:
            raise UsageError(f"NIC(test_train=...) must not be negative, got {self.test_train}")

    # Data

    def load(self, spec: str, progress: Progress | None = None) -> CaptionData:
        data = load_captions(spec, progress)
        vocabulary = make_vocabulary(
            (words(caption) for of_picture in data.train.captions for caption in of_picture), self.min_count
        )
        count = sum(map(len, data.train.captions))
        note = f"{data.note}; {count:,} captions of {len(data.train):,} pictures, {len(vocabulary):,} words"
        train = data.train.each() if self.captions == "each" else data.train
        return replace(
            data, train=CaptionedRows(train.paths, train.captions, vocabulary), note=note, classes=vocabulary.words
        )

    def train_view(self, split: CaptionedRows, row: int, rng: np.random.Generator) -> Sample:
        top, left, mirror = self._place(rng) if self.augment else self._middle
        return Sample(self._view(split.paths[row], top, left, mirror), {"words": split.target(row)})

    def test_view(self, split: CaptionSplit, row: int) -> Sample:
        return Sample(self._view(split.paths[row], *self._middle), {})

    @property
    def _side(self) -> int:
        """Pixels to which both sides of a picture are brought before it is cropped."""
        return round(self.size * 256 / 224)

    @property
    def _middle(self) -> tuple[int, int, bool]:
        margin = (self._side - self.size) // 2
        return margin, margin, False

    def _place(self, rng: np.random.Generator) -> tuple[int, int, bool]:
        top, left = rng.integers(0, self._side - self.size + 1, 2).tolist()
        return top, left, bool(rng.random() < 0.5)

    def _view(self, path: Path, top: int, left: int, mirror: bool) -> Tensor:
        from PIL import Image

        photo = read_photo(path).resize((self._side, self._side), Image.Resampling.BILINEAR)
        pixels_HWC = np.asarray(photo.crop((left, top, left + self.size, top + self.size)))
        return torch.from_numpy((pixels_HWC[:, ::-1] if mirror else pixels_HWC).copy()).permute(2, 0, 1)

    # Network

    def network(self, pretrained: Pretrained, data: Any) -> nn.Module:
        """Encoder and decoder; the new layers are drawn from torch's global generator.

        Raises:
            UsageError: the backbone does not end with a linear layer, or ``data.classes`` is no vocabulary.
        """
        Vocabulary(tuple(data.classes))
        encoder = PooledFeature(pretrained.network, fine_tune=self.fine_tune, norm=self.norm, side=self.size)
        return Captioner(encoder, pretrained, len(data.classes), self)

    # Test

    def test(
        self,
        network: nn.Module,
        batches: Iterable[PictureBatch],
        data: CaptionData,
        accelerator: Accelerator,
        *,
        final: bool,
    ) -> Tested:
        """Scores times 100 of the test's captions. After the last epoch also METEOR, the captions themselves, those of
        training pictures if asked for (``train_...``), and what people come to (``people_...``: each caption against
        the others of its picture, a mean)."""
        vocabulary = Vocabulary(data.classes)
        told = tell(network, batches, vocabulary, len(data.test), accelerator)
        true = references(data.test)
        measures = caption_scores([one.words for one in told], true)
        measures = {"cider": measures.pop("cider"), **measures}
        if not final:
            return Tested(measures)
        on_train = self._on_train(network, data, vocabulary, accelerator)
        if not accelerator.is_main_process:
            return Tested(measures)
        details = {"meteor": meteor([one.words for one in told], true), **on_train, **people(true)}
        return Tested(
            measures,
            details,
            {
                "captions.json": partial(_write_captions, told, data.test),
                "captions.png": partial(_draw_told, told, data.test),
            },
        )

    def _on_train(
        self, network: nn.Module, data: CaptionData, vocabulary: Vocabulary, accelerator: Accelerator
    ) -> dict[str, float]:
        assert isinstance(data.train, CaptionedRows)
        every = data.train.pictures()
        split = every.subset(range(min(self.test_train, len(every))))
        if not len(split):
            return {}
        place = Place(accelerator.device, accelerator.process_index, accelerator.num_processes, workers=0)
        batches = TestPictures(self, split, TRAIN_TEST_BATCH, place)
        told = tell(network, batches, vocabulary, len(split), accelerator)
        scores = caption_scores([one.words for one in told], references(split))
        return {"train_pictures": len(split), **{f"train_{name}": value for name, value in scores.items()}}

    def draw_batch(self, batch: PictureBatch, data: CaptionData, path: Path, title: str) -> None:
        from cutmix.transfer.caption_pictures import captions_picture

        vocabulary = Vocabulary(data.classes)
        captions = [
            "\n".join(" ".join(vocabulary.decode(row)) for row in target["words"].tolist()) for target in batch.targets
        ]
        captions_picture([_pixels(image) for image in batch.images[:GRID]], captions[:GRID], path, title=title)


@dataclass(frozen=True, eq=False, repr=False)
class CaptionedRows(CaptionSplit):
    """Training rows with their words as numbers: a caption each, or all captions of a picture each."""

    vocabulary: Vocabulary

    @cached_property
    def numbers(self) -> list[list[list[int]]]:
        """Of each row its captions' words, with ``<end>``."""
        return [[self.vocabulary.encode(words(caption)) for caption in of_row] for of_row in self.captions]

    def pictures(self) -> CaptionSplit:
        """A row a picture with all its captions."""
        every: dict[Path, list[str]] = {}
        for path, of_row in zip(self.paths, self.captions):
            every.setdefault(path, []).extend(of_row)
        return CaptionSplit(tuple(every), tuple(map(tuple, every.values())))

    def target(self, row: int) -> Tensor:
        """int64 (K, T): the words of a row's captions with ``<end>`` behind them, then ``<pad>``."""
        return _padded([torch.tensor(caption) for caption in self.numbers[row]])


class Captioner(nn.Module):
    """The encoder and the LSTM. In training mode a call gives the loss, in evaluation mode the hypotheses.

    Batch norm cannot learn from a lone picture: a batch of one is normalised by the running statistics.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: PooledFeature, pretrained: Pretrained, vocabulary_size: int, task: NIC) -> None:
        super().__init__()
        self.encoder, self.task = encoder, task
        for name, values in (("mean", pretrained.mean), ("std", pretrained.std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.linear = nn.Linear(encoder.channels, task.embedding)
        self.norm = nn.BatchNorm1d(task.embedding, momentum=task.momentum)
        self.embed = nn.Embedding(vocabulary_size, task.embedding)
        self.lstm = nn.LSTM(task.embedding, task.hidden, batch_first=True)
        self.dropout = nn.Dropout(task.dropout)
        self.output = nn.Linear(task.hidden, vocabulary_size)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        nn.init.uniform_(self.output.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)

    def forward(self, images: Sequence[Tensor], targets: Sequence[Target] | None = None) -> Any:
        """
        Args:
            images: B of (3, H, W) in [0, 1], of one size.
            targets: in training, each picture's ``words`` (K, T).

        Returns:
            ``{"cross_entropy": loss}``, or the hypotheses of each picture, the likeliest first.
        """
        start_BE = self.start(torch.stack(list(images)))
        if not self.training:
            return self.tell(start_BE)
        assert targets is not None
        captions = [target["words"] for target in targets]
        counts_B = torch.tensor([len(of_picture) for of_picture in captions], device=start_BE.device)
        words_NT = _padded([caption for of_picture in captions for caption in of_picture])
        logits_NTV = self.logits(start_BE.repeat_interleave(counts_B, 0), words_NT)
        return {"cross_entropy": masked_cross_entropy(logits_NTV, words_NT, per=self.task.per)}

    def start(self, images_BCHW: Tensor) -> Tensor:
        """The LSTM's first input (B, E)."""
        feature_BC = self.encoder((images_BCHW - self.mean) / self.std)
        start_BE: Tensor = self.linear(feature_BC.flatten(1))
        if self.training and len(start_BE) == 1:
            return F.batch_norm(
                start_BE, self.norm.running_mean, self.norm.running_var, self.norm.weight, self.norm.bias, False,
                eps=self.norm.eps,
            )  # fmt: skip
        normed: Tensor = self.norm(start_BE)
        return normed

    def logits(self, start_NE: Tensor, words_NT: Tensor) -> Tensor:
        """What each next word is taken to be (N, T, V), the words before it being known."""
        before_NT = torch.cat((torch.full_like(words_NT[:, :1], START), words_NT[:, :-1]), 1)
        inputs = torch.cat((start_NE[:, None], self.embed(before_NT)), 1)
        hidden, _ = self.lstm(inputs)
        logits: Tensor = self.output(self.dropout(hidden[:, 1:]))
        return logits

    def tell(self, start_BE: Tensor) -> list[list[Hypothesis]]:
        """The likeliest captions by beam search."""
        _, (hidden_1BH, cell_1BH) = self.lstm(start_BE[:, None])
        return beam_search(
            self.advance,
            (hidden_1BH[0], cell_1BH[0]),
            start=START,
            end=END,
            beam=self.task.beam,
            max_length=self.task.max_length,
            banned=NEVER_SAID,
        )

    def advance(self, last_N: Tensor, state: State) -> tuple[Tensor, State]:
        """One word on: log-probabilities (N, V) and the new state."""
        hidden_NH, cell_NH = state
        outputs, (hidden, cell) = self.lstm(self.embed(last_N)[:, None], (hidden_NH[None], cell_NH[None]))
        return self.output(outputs[:, 0]).float().log_softmax(-1), (hidden[0], cell[0])


def masked_cross_entropy(logits_NTV: Tensor, words_NT: Tensor, *, per: str) -> Tensor:
    """The sum of the words' cross-entropies, ``<pad>`` left out, over the number of words or of all positions."""
    total = F.cross_entropy(logits_NTV.flatten(0, 1).float(), words_NT.flatten(), ignore_index=PAD, reduction="sum")
    return total / (words_NT.numel() if per == "position" else (words_NT != PAD).sum())


def _padded(captions: Sequence[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(captions), batch_first=True, padding_value=PAD)


# -------------------------------------------------------------------------------------------------------- what was told


class Told(NamedTuple):
    """The likeliest caption of a picture."""

    words: list[str]
    log_probability: float


def tell(
    network: nn.Module,
    batches: Iterable[PictureBatch],
    vocabulary: Vocabulary,
    count: int,
    accelerator: Accelerator,
) -> list[Told]:
    """The likeliest caption of each of ``count`` pictures, in their order, from all processes."""
    mine: list[tuple[int, Told]] = []
    with torch.no_grad():
        for batch in batches:
            for row, hypotheses in zip(batch.rows, network(batch.images)):
                best = hypotheses[0]
                mine.append((row, Told(vocabulary.decode(best.words), best.log_probability)))
    return gathered(mine, count, accelerator)


def references(split: CaptionSplit) -> list[list[list[str]]]:
    """The words of each picture's captions."""
    return [[words(caption) for caption in of_picture] for of_picture in split.captions]


def people(true: Sequence[Sequence[Sequence[str]]]) -> dict[str, float]:
    """What people come to, by ``people_`` and the score's name; empty if a picture has one caption only."""
    if min(map(len, true)) < 2:
        return {}
    rounds = [caption_scores(found, others) for found, others in leave_one_out(true)]
    return {f"people_{name}": sum(scores[name] for scores in rounds) / len(rounds) for name in rounds[0]}


def _write_captions(told: Sequence[Told], split: CaptionSplit, path: Path) -> None:
    entries = [
        {
            "image": photo.name,
            "caption": " ".join(one.words),
            "log_probability": round(one.log_probability, 4),
            "references": list(of_picture),
        }
        for photo, one, of_picture in zip(split.paths, told, split.captions)
    ]
    text = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def _draw_told(told: Sequence[Told], split: CaptionSplit, path: Path) -> None:
    from cutmix.transfer.caption_pictures import captions_picture

    images = [np.asarray(read_photo(photo)) for photo in split.paths[:GRID]]
    captions = [
        f"{' '.join(one.words)} ({one.log_probability:.1f})\n({of_picture[0]})"
        for one, of_picture in zip(told[:GRID], split.captions)
    ]
    captions_picture(images, captions, path, title="Likeliest captions with the log of their probability; (a person's)")


def _pixels(image_CHW: Tensor) -> np.ndarray:
    return (image_CHW.detach().cpu() * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
