"""Our caption tokenizer beside the standard one (Java): which captions of COCO files are split into other words.

python benchmarks/caption_words.py captions_train2017.json captions_val2017.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cutmix.transfer.caption_words import words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="CAPTIONS.json")
    captions = [
        annotation["caption"]
        for file in parser.parse_args().files
        for annotation in json.loads(file.read_text())["annotations"]
    ]
    standard = standard_words(captions)
    other = [
        (caption, ours, theirs) for caption, theirs in zip(captions, standard) if (ours := words(caption)) != theirs
    ]
    for caption, ours, theirs in other:
        print(f"{caption!r}\n  ours      {' '.join(ours)}\n  standard  {' '.join(theirs)}")
    tokens = sum(map(len, standard))
    print(f"{len(captions):,} captions, {tokens:,} words: {len(other)} captions are split into other words")


def standard_words(captions: list[str]) -> list[list[str]]:
    """The words by pycocoevalcap's PTBTokenizer."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    asked = {number: [{"caption": caption}] for number, caption in enumerate(captions)}
    return [found[0].split() for found in PTBTokenizer().tokenize(asked).values()]


if __name__ == "__main__":
    main()
