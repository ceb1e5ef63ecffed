"""Data sets, batches and augmentations."""

from cutmix.data.batches import Batch, TestBatches, TrainBatches, default_workers, test_batches, train_batches
from cutmix.data.find import default_root, load_data
from cutmix.data.splits import ArraySplit, Data, PhotoSplit, Split
from cutmix.data.transforms import Augment, CropFlip, NoAugment, PhotoCrop, default_augment, prepare_photo

__all__ = [
    "ArraySplit",
    "Augment",
    "Batch",
    "CropFlip",
    "Data",
    "NoAugment",
    "PhotoCrop",
    "PhotoSplit",
    "Split",
    "TestBatches",
    "TrainBatches",
    "default_augment",
    "default_root",
    "default_workers",
    "load_data",
    "prepare_photo",
    "test_batches",
    "train_batches",
]
