"""Beam search against greedy and exhaustive search on a network of a few words, and by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from cutmix.errors import UsageError
from cutmix.transfer.beam_search import beam_search

START, END, WORDS, LENGTH = 0, 1, 4, 4


def tiny_network(seed: int):
    """The next word hangs on the last two, and on a number of the picture's own."""
    table = torch.randn(3, WORDS, WORDS, WORDS, generator=torch.Generator().manual_seed(seed))

    def advance(last_N, state):
        picture_N, before_N = state
        return table[picture_N, before_N, last_N].log_softmax(-1), (picture_N, last_N)

    return advance, (torch.arange(3), torch.zeros(3, dtype=torch.long))


def every_sequence(advance, state, row: int) -> dict[tuple[int, ...], float]:
    """All that can be said of one picture, with its log-probability."""
    found = {}
    for words in itertools.product(range(WORDS), repeat=LENGTH):
        total, last, now = 0.0, START, tuple(part[row : row + 1] for part in state)
        cut = words[: words.index(END) + 1] if END in words else words
        for word in cut:
            scores, now = advance(torch.tensor([last]), now)
            total, last = total + float(scores[0, word]), word
        found[cut] = total
    return found


def said(hypothesis) -> tuple[int, ...]:
    return (*hypothesis.words, END) if hypothesis.ended else hypothesis.words


@pytest.mark.parametrize("seed", range(3))
def test_a_beam_as_wide_as_there_are_sequences_is_an_exhaustive_search(seed):
    advance, state = tiny_network(seed)
    found = beam_search(advance, state, start=START, end=END, beam=WORDS**LENGTH, max_length=LENGTH)
    for row, hypotheses in enumerate(found):
        wanted = every_sequence(advance, state, row)
        scores = [hypothesis.log_probability for hypothesis in hypotheses]
        assert dict(zip(map(said, hypotheses), scores)) == pytest.approx(wanted, abs=1e-5)
        assert scores == sorted(scores, reverse=True)
        assert sum(math.exp(h.log_probability) for h in hypotheses) == pytest.approx(1)


def greedy(advance, state, row: int) -> tuple[int, ...]:
    words, last, now = [], START, tuple(part[row : row + 1] for part in state)
    while len(words) < LENGTH and last != END:
        scores, now = advance(torch.tensor([last]), now)
        last = int(scores.argmax())
        words.append(last)
    return tuple(words)


@pytest.mark.parametrize("seed", range(8))
def test_a_beam_of_one_is_greedy(seed):
    advance, state = tiny_network(seed)
    found = beam_search(advance, state, start=START, end=END, beam=1, max_length=LENGTH)
    assert [said(hypothesis) for (hypothesis,) in found] == [greedy(advance, state, row) for row in range(3)]


def test_a_wider_beam_finds_what_the_greedy_choice_misses():
    """Word 2 is likelier at first (0.6), but 3 leads to a surer end: 0.4 * 0.9 against 0.6 * 0.5."""
    table = torch.tensor([[0, 0, 0.6, 0.4], [0, 1, 0, 0], [0, 0.5, 0.2, 0.3], [0, 0.9, 0.1, 0]]).log()
    advance = lambda last, state: (table[last], state)  # noqa: E731
    state = (torch.zeros(1),)
    one, three = (beam_search(advance, state, start=0, end=1, beam=beam, max_length=5)[0] for beam in (1, 3))
    assert (one[0].words, one[0].ended) == ((2,), True)
    assert math.exp(one[0].log_probability) == pytest.approx(0.3)
    assert three[0].words == (3,)
    assert math.exp(three[0].log_probability) == pytest.approx(0.36)
    assert three[1].words == (2,)


def test_banned_words_are_not_said_and_what_is_impossible_is_not_told():
    advance, state = tiny_network(0)
    found = beam_search(advance, state, start=START, end=END, beam=99, max_length=2, banned=(START, 2))
    for hypotheses in found:
        assert sorted(said(h) for h in hypotheses) == [(1,), (3, 1), (3, 3)]


def test_what_is_not_banned_keeps_its_probability():
    table = torch.tensor([0, 0.3, 0.5, 0.2]).log()
    (found,) = beam_search(lambda last, state: (table.repeat(len(last), 1), state), (torch.zeros(1),), start=0, end=1,
                           beam=9, max_length=2, banned=(2,))  # fmt: skip
    assert [said(h) for h in found] == [(1,), (3, 1), (3, 3)]
    assert [math.exp(h.log_probability) for h in found] == pytest.approx([0.3, 0.2 * 0.3, 0.2 * 0.2])


def test_pictures_do_not_disturb_each_other():
    advance, state = tiny_network(5)
    together = beam_search(advance, state, start=START, end=END, beam=3, max_length=LENGTH)
    for row in range(3):
        alone = beam_search(advance, tuple(p[row : row + 1] for p in state), start=START, end=END, beam=3,
                            max_length=LENGTH)  # fmt: skip
        assert [h.words for h in alone[0]] == [h.words for h in together[row]]


@pytest.mark.parametrize(("beam", "max_length"), [(0, 3), (2, 0)])
def test_a_beam_of_nothing_is_refused(beam, max_length):
    with pytest.raises(UsageError, match="at least 1"):
        beam_search(
            lambda last, state: (last, state), (torch.zeros(1),), start=0, end=1, beam=beam, max_length=max_length
        )
