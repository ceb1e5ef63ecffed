"""Data sets, batches and augmentations."""

from cutmix.data.autoaugment import AutoAugment
from cutmix.data.batches import Batch, TestBatches, TrainBatches, default_workers, test_batches, train_batches
from cutmix.data.boxes import Boxes
from cutmix.data.captions import CaptionData, CaptionSplit, load_captions
from cutmix.data.check import Check, check_data
from cutmix.data.find import DataRow, list_data, load_data
from cutmix.data.folder import IMAGENET_MEAN, IMAGENET_STD
from cutmix.data.objects import BoxData, BoxSplit, Objects, load_boxes, make_boxes
from cutmix.data.photos import PHOTO_SUFFIXES, PhotoError, read_photo
from cutmix.data.places import default_root
from cutmix.data.policy import Policy
from cutmix.data.randaugment import RandAugment
from cutmix.data.splits import SMALL_SIDE, ArraySplit, Data, PhotoSplit, Split
from cutmix.data.transforms import (
    Augment,
    CropFlip,
    NoAugment,
    PhotoCrop,
    SquareCrop,
    default_augment,
    prepare_photo,
    view_boxes,
)
from cutmix.data.trivialaugment import TrivialAugment

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PHOTO_SUFFIXES",
    "SMALL_SIDE",
    "ArraySplit",
    "Augment",
    "AutoAugment",
    "Batch",
    "BoxData",
    "BoxSplit",
    "Boxes",
    "CaptionData",
    "CaptionSplit",
    "Check",
    "CropFlip",
    "Data",
    "DataRow",
    "NoAugment",
    "Objects",
    "PhotoCrop",
    "PhotoError",
    "PhotoSplit",
    "Policy",
    "RandAugment",
    "Split",
    "SquareCrop",
    "TestBatches",
    "TrainBatches",
    "TrivialAugment",
    "check_data",
    "default_augment",
    "default_root",
    "default_workers",
    "list_data",
    "load_boxes",
    "load_captions",
    "load_data",
    "make_boxes",
    "prepare_photo",
    "read_photo",
    "test_batches",
    "train_batches",
    "view_boxes",
]
