"""METEOR 1.5 through its own Java program, which pycocoevalcap brings; where either is missing, the reason instead."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from cutmix.errors import UsageError
from cutmix.transfer.caption_scores import Words

NO_PACKAGE = "skipped: needs pycocoevalcap (pip install 'cutmix[caption]')"
NO_JAVA = "skipped: needs Java (a command java, version 8 or newer)"


def meteor(found: Sequence[Words], references: Sequence[Sequence[Words]]) -> float | str:
    """METEOR of all captions times 100, or a sentence that says why it was not computed.

    Raises:
        UsageError: the numbers of captions and pictures differ.
    """
    if len(found) != len(references):
        raise UsageError(f"captions of {len(found)} pictures were given, and references of {len(references)}")
    if shutil.which("java") is None:
        return NO_JAVA
    try:
        from pycocoevalcap.meteor.meteor import Meteor
    except ImportError:
        return NO_PACKAGE
    said = {number: [" ".join(caption)] for number, caption in enumerate(found)}
    true = {number: [" ".join(one) for one in of_picture] for number, of_picture in enumerate(references)}
    scorer = Meteor()
    try:
        score, _ = scorer.compute_score(true, said)
        return 100 * float(score)
    except (OSError, ValueError) as error:  # it ended early, or said what is no number
        return f"skipped: METEOR's program failed ({error})"
    finally:
        for pipe in (scorer.meteor_p.stdout, scorer.meteor_p.stderr):
            pipe.close()
        if scorer.lock.locked():  # after an error; its destructor would wait for ever
            scorer.lock.release()
