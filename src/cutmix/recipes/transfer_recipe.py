"""A transfer's recipe: the backbone, the task that it is put to, the data, and how it is trained, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from cutmix.recipes.recipe import WrittenSettings
from cutmix.training.settings import setting


@dataclass(frozen=True, kw_only=True)
class TransferRecipe(WrittenSettings):
    """What to fine-tune, for what, on what, and how. The task is a constructor call, as all parts of recipes are."""

    task: str = setting("SSD()", "the task, e.g. 'SSD(size=300)', \"FasterRCNN(form='c4')\", 'NIC(beam=20)'")
    data: str = setting("", "voc:PATH, coco:PATH; captions: coco:PATH, tsv:PATH")
    backbone: str = setting(
        "",
        "a run's folder, a checkpoint, a library's network such as torchvision.resnet50(weights='DEFAULT'), "
        "or a network without trained weights such as \"ResNet(depth=50, stem='imagenet')\"",
    )
    backbone_model: str = setting("", "the backbone's constructor call, where its file does not say it")
    optimizer: str = setting("SGD", "SGD or Adam")
