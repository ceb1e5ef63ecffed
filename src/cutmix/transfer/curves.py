"""Learning curves of a transfer: the parts of the loss, the measure that epochs are compared by, the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cutmix.pictures import COLOURS, FAINT, INK, _draw, _figure, _ticks_at_epochs, _tidy, _write_png
from cutmix.transfer.task import largest


def transfer_curves_picture(
    records: Sequence[Mapping[str, Any]], path: Path, *, losses: Sequence[str], measure: str, title: str
) -> None:
    """Write the curves of one run, a record an epoch, to the PNG ``path``.

    Args:
        losses: the parts of the loss; a record holds them as ``train_NAME``, and their sum as ``train_loss``.
        measure: what the test found, as the record holds it; larger is better.
    """
    figure = _figure(10, 4.2, 130)
    figure.suptitle(title, x=0.07, y=0.975, ha="left", fontsize=11, color=INK, parse_math=False)
    grid = figure.add_gridspec(1, 3, left=0.06, right=0.985, top=0.88, bottom=0.13, wspace=0.28)
    loss, tested, rate = (figure.add_subplot(grid[0, column]) for column in range(3))
    _draw(loss, records, "train_loss", "sum", COLOURS[0])
    for number, name in enumerate(losses):
        _draw(loss, records, f"train_{name}", name, COLOURS[1 + number % (len(COLOURS) - 1)], thin=True)
    _draw(tested, records, measure, "test", COLOURS[0])
    best = largest(records, measure)
    if best is not None:
        tested.plot(best["epoch"], best[measure], "o", markersize=6, markerfacecolor="white",
                    markeredgecolor=COLOURS[1], linestyle="none",
                    label=f"best on test set {best[measure]:.2f} (epoch {best['epoch']})")  # fmt: skip
    _draw(rate, records, "lr", None, FAINT)
    for axes, name in ((loss, "training loss"), (tested, measure), (rate, "learning rate")):
        _tidy(axes, name)
        _ticks_at_epochs(axes)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("epoch", fontsize=9, color=INK)
        if axes is not rate and axes.lines:
            axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    _write_png(figure, path)
