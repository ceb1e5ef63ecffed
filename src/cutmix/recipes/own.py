"""What ``cutmix train --data folder:PATH`` does with somebody's own pictures, unless flags say otherwise."""

from __future__ import annotations

from cutmix.recipes.recipe import Recipe


def photos() -> Recipe:
    """Own photos, from scratch: ResNet-18 at 224 px (ResNet-20 for small images), CutMix in half of the batches.

    Settings are ours: small batches and a cosine with a warm-up, since such folders are small. It needs no download;
    with few photos trained weights are the better start: ``strong.photos_finetune`` and its neighbours.
    """
    return Recipe(
        data="folder:photos",
        mixing="CutMix(alpha=1.0, prob=0.5)",
        schedule="Cosine(warmup=2)",
        epochs=30,
        batch_size=32,
        lr=0.05,
    )
