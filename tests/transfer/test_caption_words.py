"""The tokenizer against what the standard one gives (Stanford PTBTokenizer 3.4.1, written down), and vocabularies."""

from __future__ import annotations

import shutil

import pytest

from cutmix.errors import UsageError
from cutmix.transfer.caption_words import END, PUNCTUATION, SPECIAL, UNKNOWN, Vocabulary, make_vocabulary, words

# The tokens of java edu.stanford.nlp.process.PTBTokenizer -preserveLines -lowerCase, before punctuation is left out.
STANDARD = {
    "A man's dog doesn't eat; it'll run.": "a man 's dog does n't eat ; it 'll run .",
    "I cannot, gonna wanna gotta gimme lemme": "i can not , gon na wan na got ta gim me lem me",
    "The 'STOP' sign says \"go\" (really) [x] {y}": "the ` stop ' sign says `` go '' -lrb- really -rrb- -lsb- x -rsb- "
    "-lcb- y -rcb-",
    "black/white photo and/or": "black/white photo and/or",
    "a well-known red-and-white bus - fast -- very...": "a well-known red-and-white bus - fast -- very ...",
    "It costs $5.50 & 10% off #3 @home a*b": "it costs $ 5.50 & 10 % off # 3 @home a * b",
    "St. John's Ave. in the U.S. at 5 p.m. today.": "st. john 's ave. in the u.s. at 5 p.m. today .",
    "1,000 people at 10:30 a.m. in 1970's 1970s": "1,000 people at 10:30 a.m. in 1970 's 1970s",
    "A woman's two dogs' bowls, o'clock rock'n'roll 'em 'til": "a woman 's two dogs ' bowls , o'clock rock 'n' roll "
    "'em 'til",
    "hello,world hello.World": "hello , world hello.world",
    "cat/dog 1/2 3/4 cup 5-year-old": "cat/dog 1/2 3/4 cup 5-year-old",
    "café “quoted” it’s – — …": "café `` quoted '' it 's -- -- ...",
    "what?! yes!!! no??": "what ?! yes !!! no ??",
    "t-shirt T.V. tv. TV's": "t-shirt t.v. tv . tv 's",
    "can't won't they're we've he'd I'm": "ca n't wo n't they 're we 've he 'd i 'm",
    "a 50's-style car, 6'2\" man": "a 50 's - style car , 6 ' 2 '' man",
    "it is 9am 7.5ft No. 5": "it is 9am 7.5 ft no. 5",
    "grey colour centre": "grey colour centre",
    " ...  ": "...",
}


@pytest.mark.parametrize(("caption", "tokens"), STANDARD.items())
def test_words_are_the_standard_ones(caption, tokens):
    assert words(caption) == [token for token in tokens.split() if token not in PUNCTUATION]


def test_what_is_written_down_is_what_the_standard_one_gives():
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer")
    if shutil.which("java") is None:
        pytest.skip("no Java")
    found = tokenizer.PTBTokenizer().tokenize({k: [{"caption": caption}] for k, caption in enumerate(STANDARD)})
    for (caption, tokens), (told,) in zip(STANDARD.items(), found.values()):
        assert told.split() == [token for token in tokens.split() if token not in PUNCTUATION], caption
    assert set(PUNCTUATION) == set(tokenizer.PUNCTUATIONS) - {"-LRB-", "-RRB-", "-LCB-", "-RCB-"}


def test_a_vocabulary_has_the_words_that_are_frequent_enough():
    captions = [["a", "red", "bus"], ["a", "bus"], ["a", "<end>", "<end>", "<end>"]]
    vocabulary = make_vocabulary(captions, 2)
    assert vocabulary.words == (*SPECIAL, "a", "bus")
    assert vocabulary.encode(["a", "red", "bus"]) == [4, UNKNOWN, 5, END]
    assert vocabulary.decode([4, 5, END, 4]) == ["a", "bus"]
    assert make_vocabulary(captions, 3).words == (*SPECIAL, "a")


def test_a_vocabulary_is_in_the_order_of_the_alphabet():
    """Whatever comes first or is more frequent."""
    assert make_vocabulary([["zoo", "bus", "zoo"], ["zoo", "bus"]], 2).words == (*SPECIAL, "bus", "zoo")


@pytest.mark.parametrize(("min_count", "said"), [(0, "at least 1"), (4, "none of 3 words occurs 4 times")])
def test_a_vocabulary_without_words_is_refused(min_count, said):
    with pytest.raises(UsageError, match=said):
        make_vocabulary([["a", "red", "bus"], ["a"]], min_count)


@pytest.mark.parametrize(("listed", "said"), [(("a", "b"), "begins with <pad>"), ((*SPECIAL, "a", "a"), "twice")])
def test_a_list_that_is_no_vocabulary(listed, said):
    with pytest.raises(UsageError, match=said):
        Vocabulary(listed)
