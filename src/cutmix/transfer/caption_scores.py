"""BLEU-1 to 4, ROUGE-L and CIDEr as coco-caption computes them, on words; METEOR through its own program.

Equal to pycocoevalcap's on the same words. That package is the field's reference, but is 100 MB (Java programs that
only METEOR, SPICE and the tokenizer need), dates from 2020 and states no licence: it is asked for METEOR alone.
The words are those of :func:`cutmix.transfer.caption_words.words`.

Shapes: a found caption is a list of words; a picture's references are a list of such lists.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from cutmix.errors import UsageError

Words = Sequence[str]
Ngrams = Counter[tuple[str, ...]]

LONGEST = 4
"""Words of the longest n-gram that is counted."""
BETA = 1.2
"""How much more ROUGE-L weighs recall than precision."""
SIGMA = 6.0
"""Words of difference in length at which CIDEr-D gives exp(-1/2)."""


def caption_scores(found: Sequence[Words], references: Sequence[Sequence[Words]]) -> dict[str, float]:
    """``bleu1`` ... ``bleu4``, ``rouge_l``, ``cider``, times 100 as papers print them.

    Raises:
        UsageError: the numbers of captions and pictures differ, there is none, or a picture has no reference.
    """
    if len(found) != len(references):
        raise UsageError(f"captions of {len(found)} pictures were given, and references of {len(references)}")
    if not found or not all(references):
        raise UsageError("scores need at least one picture, and at least one reference for each")
    by_length = {f"bleu{n}": value for n, value in enumerate(bleu(found, references), 1)}
    return {
        name: 100 * value
        for name, value in {
            **by_length,
            "rouge_l": _mean([rouge_l(one, of_picture) for one, of_picture in zip(found, references)]),
            "cider": _mean(cider(found, references)),
        }.items()
    }


# ---------------------------------------------------------------------------------------------------------------- BLEU


def bleu(found: Sequence[Words], references: Sequence[Sequence[Words]]) -> tuple[float, ...]:
    """BLEU with n-grams of up to 1, 2, 3 and 4 words, of all captions together (Papineni et al., ACL 2002), in [0, 1].

    The length of a caption's reference is the one closest to its own, the shorter of two. coco-caption adds 1e-15 to
    what was right and 1e-9 to what was counted, so that nothing is divided by zero; few captions show it.
    """
    right, counted = [0] * LONGEST, [0] * LONGEST
    length = closest = 0
    for caption, of_picture in zip(found, references):
        length += len(caption)
        closest += min((abs(len(reference) - len(caption)), len(reference)) for reference in of_picture)[1]
        allowed: Ngrams = Counter()
        for reference in of_picture:
            allowed |= ngrams(reference)  # the larger count of each
        for ngram, count in (ngrams(caption) & allowed).items():
            right[len(ngram) - 1] += count
        for n in range(1, LONGEST + 1):
            counted[n - 1] += max(0, len(caption) - n + 1)
    ratio = (length + 1e-15) / (closest + 1e-9)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, []
    for n in range(1, LONGEST + 1):
        product *= (right[n - 1] + 1e-15) / (counted[n - 1] + 1e-9)
        scores.append(brevity * product ** (1 / n))
    return tuple(scores)


def ngrams(caption: Words) -> Ngrams:
    """How often each sequence of 1 to 4 words occurs."""
    starts = ((n, start) for n in range(1, LONGEST + 1) for start in range(len(caption) - n + 1))
    return Counter(tuple(caption[start : start + n]) for n, start in starts)


# -------------------------------------------------------------------------------------------------------------- ROUGE-L


def rouge_l(caption: Words, references: Sequence[Words]) -> float:
    """ROUGE-L (Lin, 2004) in [0, 1]: F of the longest common subsequence, recall weighing ``BETA`` squared.

    Precision and recall are each the best over the references, of two different ones perhaps, as coco-caption has it.
    """
    common = [longest_common(caption, reference) for reference in references]
    precision = max(common) / max(len(caption), 1)
    recall = max(shared / max(len(reference), 1) for shared, reference in zip(common, references))
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def longest_common(one: Words, other: Words) -> int:
    """The number of words of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        above = 0  # left and above
        for column, theirs in enumerate(other, 1):
            above, row[column] = row[column], above + 1 if word == theirs else max(row[column], row[column - 1])
    return row[-1]


# ---------------------------------------------------------------------------------------------------------------- CIDEr


def cider(found: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """CIDEr of each picture, in [0, 10], as papers mean it: CIDEr-D (Vedantam et al., CVPR 2015, 1411.5726).

    coco-caption's ``Cider`` is CIDEr-D with sigma 6: n-grams weighed by how few pictures' references have them, counts
    clipped to the reference's, and a Gaussian of the difference in length. With one picture alone it is 0.
    """
    pictures_with: Counter[tuple[str, ...]] = Counter()
    for of_picture in references:
        pictures_with.update({ngram for reference in of_picture for ngram in ngrams(reference)})
    pictures = math.log(len(references))
    rarity = {ngram: pictures - math.log(count) for ngram, count in pictures_with.items()}

    def weighed(caption: Words) -> _Weighed:
        return _Weighed(caption, rarity, pictures)

    return [
        10 * _mean([_likeness(weighed(caption), weighed(reference)) for reference in of_picture])
        for caption, of_picture in zip(found, references)
    ]


class _Weighed:
    """A caption's n-grams weighed by their rarity, with the length of this vector for each n."""

    def __init__(self, caption: Words, rarity: dict[tuple[str, ...], float], unseen: float) -> None:
        self.weights = {ngram: count * rarity.get(ngram, unseen) for ngram, count in ngrams(caption).items()}
        self.pairs = max(0, len(caption) - 1)  # by which coco-caption measures length
        squares = [0.0] * LONGEST
        for ngram, weight in self.weights.items():
            squares[len(ngram) - 1] += weight**2
        self.norms = [math.sqrt(square) for square in squares]


def _likeness(one: _Weighed, reference: _Weighed) -> float:
    """The clipped cosine of the two captions, a mean over n, in [0, 1]."""
    products = [0.0] * LONGEST
    for ngram, weight in one.weights.items():
        theirs = reference.weights.get(ngram, 0.0)
        products[len(ngram) - 1] += min(weight, theirs) * theirs
    cosines = [
        product / (ours * theirs) if ours and theirs else 0.0
        for product, ours, theirs in zip(products, one.norms, reference.norms)
    ]
    return _mean(cosines) * math.exp(-((one.pairs - reference.pairs) ** 2) / (2 * SIGMA**2))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# -------------------------------------------------------------------------------------------------------------- people


def leave_one_out(references: Sequence[Sequence[Words]]) -> Iterator[tuple[list[Words], list[list[Words]]]]:
    """What people come to: each reference in turn as the found caption, against the others of its picture.

    Yields (found, references) for the first captions, the second ones, and so on, as far as every picture has them.

    Raises:
        UsageError: a picture has less than two references.
    """
    rounds = min(map(len, references), default=0)
    if rounds < 2:
        raise UsageError("to score people against each other each picture needs two captions or more")
    for left in range(rounds):
        yield (
            [of_picture[left] for of_picture in references],
            [[other for k, other in enumerate(of_picture) if k != left] for of_picture in references],
        )
