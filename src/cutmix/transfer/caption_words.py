"""A caption's words as coco-caption counts them, without Java: lower case, Penn Treebank's tokens, no punctuation.

The standard tokenizer is Stanford's PTBTokenizer 3.4.1 with ``-preserveLines -lowerCase``, whose tokens coco-caption
filters by a list (``PUNCTUATION``). Its rules are thousands; here are those that captions meet. Of the 795 captions
(8,399 words) of 159 COCO 2017 photos all are split into the same words as by the standard one: measured by ``python
benchmarks/caption_words.py captions_train2017.json captions_val2017.json``, which needs Java and pycocoevalcap.

Known to differ: web and mail addresses, rare abbreviations (``ft.``), ``'twas`` and ``y'all``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from cutmix.errors import UsageError

PUNCTUATION = frozenset(("''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"))
"""What coco-caption leaves out. It means to leave out brackets as well, but looks for ``-LRB-`` among lower-case
tokens: they stay, as ``-lrb-``."""

PLAIN = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "--", "—": "--", "…": "...", "\u00a0": " "})
BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
IN_TWO = re.compile(r"\b(?:(can)(not)|(gon)(na)|(got)(ta)|(wan)(na)|(gim)(me)|(lem)(me))\b")
CLITIC = re.compile(r"(?<=\w)(n't|'(?:s|re|ve|ll|d|m))(?![^\W\d_])")
ABBREVIATIONS = "st|mr|mrs|ms|dr|ave|blvd|rd|mt|jr|sr|vs|etc|inc|co|corp|dept|sgt|lt|capt|gen|col|rev|prof"
TOKEN = re.compile(
    rf"""
      n't | '(?:s|re|ve|ll|d|m)(?![^\W\d_])          # what CLITIC has split off
    | 'n' | '(?:em|til|n)(?![^\W\d_])
    | (?:[^\W\d_]\.){{2,}}                           # u.s.
    | (?:{ABBREVIATIONS})\.(?!\w) | no\.(?=\s*\d)
    | @\w+
    | \d+(?:[.,:/]\d+)+(?:-\w+)*                     # 5.50  1,000  10:30  1/2
    | \w+(?:[-/&.]\w+|'(?!n')[^\W\d_]+)*             # red-and-white  black/white  r&b  o'clock
    | \.{{3,}} | -{{2,}} | [?!]+ | ``|'' | \S
    """,
    re.VERBOSE,
)


def words(caption: str) -> list[str]:
    """The caption's words, in their order. A word may hold an apostrophe, a hyphen or a point: ``'s``, ``t-shirt``."""
    text = IN_TWO.sub(lambda match: " ".join(filter(None, match.groups())), caption.translate(PLAIN).lower())
    while CLITIC.search(text):
        text = CLITIC.sub(r" \1", text)
    tokens = (BRACKETS.get(token, token) for token in TOKEN.findall(text))
    return [token for token in tokens if token not in PUNCTUATION and token != '"']


PAD, START, END, UNKNOWN = range(4)
SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")


@dataclass(frozen=True)
class Vocabulary:
    """The words that a decoder knows, by number: the four of ``SPECIAL`` first.

    Raises:
        UsageError: the first four are others, or a word is there twice.
    """

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[: len(SPECIAL)] != SPECIAL:
            raise UsageError(f"a vocabulary begins with {', '.join(SPECIAL)}; this one with {self.words[:4]}")
        if len(self.numbers) != len(self.words):
            raise UsageError("a word is in the vocabulary twice")

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each word."""
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, caption: Sequence[str]) -> list[int]:
        """The numbers of a caption's words with ``<end>`` behind them; unknown words are ``<unk>``."""
        return [*(self.numbers.get(word, UNKNOWN) for word in caption), END]

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """The words up to ``<end>``."""
        found = []
        for number in numbers:
            if number == END:
                break
            found.append(self.words[number])
        return found


def make_vocabulary(captions: Iterable[Sequence[str]], min_count: int) -> Vocabulary:
    """The words that occur at least ``min_count`` times, in alphabetical order.

    Raises:
        UsageError: ``min_count`` is not positive, or no word occurs so often.
    """
    if min_count < 1:
        raise UsageError(f"min_count must be at least 1, got {min_count}")
    counts = Counter(word for caption in captions for word in caption)
    known = sorted(word for word, count in counts.items() if count >= min_count and word not in SPECIAL)
    if not known:
        raise UsageError(f"none of {len(counts)} words occurs {min_count} times (min_count) in the training captions")
    return Vocabulary((*SPECIAL, *known))
