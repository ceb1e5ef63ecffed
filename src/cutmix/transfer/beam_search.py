"""Beam search: the likeliest sequences that a network which says the next word can be found to make, for many at once.

Shapes: B pictures, K hypotheses of each (the beam), N = B * K, V words, L words of a sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cutmix.errors import UsageError

State = tuple[Tensor, ...]
"""What the network remembers of a hypothesis: tensors whose first dimension is N."""
Advance = Callable[[Tensor, State], tuple[Tensor, State]]
"""From the last words (N,) and the state to the log-probabilities of the next ones (N, V) and the new state."""


@dataclass(frozen=True)
class Hypothesis:
    """A sequence of words by number, without ``<end>``, and the logarithm (base e) of its probability.

    The probability is that of these words with ``<end>`` behind them, or, where the longest length was reached
    (``ended`` is false), of these words as a beginning.
    """

    words: tuple[int, ...]
    log_probability: float
    ended: bool


@torch.no_grad()
def beam_search(
    advance: Advance, state: State, *, start: int, end: int, beam: int, max_length: int, banned: Sequence[int] = ()
) -> list[list[Hypothesis]]:
    """Up to ``beam`` hypotheses of each picture, the likeliest first.

    A hypothesis that has ended keeps its place and its probability while it is among the ``beam`` likeliest. There is
    no correction for length. With ``beam=1`` this is the greedy choice; with a beam as wide as there are sequences it
    is an exhaustive search.

    Args:
        advance: the network, one word on. Words of zero probability may be -inf.
        state: of each picture, first dimension B.
        start, end: the numbers of the words that begin and end a sequence.
        max_length: the words after which a sequence is cut off that has not ended.
        banned: words that are never said. The others' probabilities are not raised for it.

    Raises:
        UsageError: ``beam`` or ``max_length`` is not positive.
    """
    if beam < 1 or max_length < 1:
        raise UsageError(f"beam and max_length must be at least 1, got {beam} and {max_length}")
    pictures, device = len(state[0]), state[0].device
    offsets_B1 = torch.arange(pictures, device=device)[:, None]
    words_BKL = torch.empty(pictures, 1, 0, dtype=torch.long, device=device)
    scores_BK = torch.zeros(pictures, 1, device=device)
    ended_BK = torch.zeros(pictures, 1, dtype=torch.bool, device=device)
    last_N = torch.full((pictures,), start, device=device)
    for _ in range(max_length):
        next_NV, state = advance(last_N, state)
        next_BKV = _ways_on(next_NV.float().view(*ended_BK.shape, -1), ended_BK, end, banned)
        hypotheses, words = next_BKV.shape[1:]
        scores_BK, chosen_BK = (scores_BK[:, :, None] + next_BKV).flatten(1).topk(min(beam, hypotheses * words))
        parents_BK, words_BK = chosen_BK // words, chosen_BK % words
        words_BKL = torch.cat((words_BKL[offsets_B1, parents_BK], words_BK[:, :, None]), 2)
        ended_BK, last_N = words_BK == end, words_BK.flatten()
        rows_N = (parents_BK + offsets_B1 * hypotheses).flatten()
        state = tuple(part[rows_N] for part in state)
        if bool((ended_BK | scores_BK.isneginf()).all()):
            break
    return [_hypotheses(*of_picture, end) for of_picture in zip(words_BKL.tolist(), scores_BK.tolist())]


def _ways_on(next_BKV: Tensor, ended_BK: Tensor, end: int, banned: Sequence[int]) -> Tensor:
    """The log-probabilities of the next words; where a hypothesis has ended, it can only stay as it is."""
    next_BKV[:, :, list(banned)] = -math.inf
    stay_V = torch.full_like(next_BKV[0, 0], -math.inf)
    stay_V[end] = 0
    return torch.where(ended_BK[:, :, None], stay_V, next_BKV)


def _hypotheses(words_KL: list[list[int]], scores_K: list[float], end: int) -> list[Hypothesis]:
    found = []
    for words, score in zip(words_KL, scores_K):
        length = words.index(end) if end in words else len(words)
        if score > -math.inf:  # fewer sequences are possible than the beam is wide
            found.append(Hypothesis(tuple(words[:length]), score, length < len(words)))
    return found
