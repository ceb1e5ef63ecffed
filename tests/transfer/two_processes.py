"""Run by test_distributed.py, alone and under torchrun: tests a detector or captioner, trains it, and writes both."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from cutmix.models import torchvision_model
from cutmix.training.loop import make_accelerator
from cutmix.training.schedules import Constant
from cutmix.training.settings import Settings
from cutmix.transfer import meteor
from cutmix.transfer.backbone import Pretrained
from cutmix.transfer.batches import Place, TestPictures
from cutmix.transfer.fit import fit_transfer
from cutmix.transfer.nic import NIC
from cutmix.transfer.ssd import SSD

TASKS = {"voc": SSD(size=64, expand=1.0), "tsv": NIC(size=32, embedding=8, hidden=12, beam=3, min_count=1)}


def main(spec: str, out: str) -> None:
    torch.set_num_threads(1)
    meteor.shutil.which = lambda name: None  # its program reads 60 MB, and is tested elsewhere
    torch.manual_seed(0)
    settings = Settings(epochs=1, batch_size=4, lr=1e-3, channels_last=False)
    accelerator = make_accelerator(settings, cpu=True)
    task = TASKS[spec.partition(":")[0]]
    data = task.load(spec)
    classifier = torchvision_model("shufflenet_v2_x0_5")
    network = task.network(Pretrained(classifier, (0.5,) * 3, (0.25,) * 3, "random"), data)
    place = Place(accelerator.device, accelerator.process_index, accelerator.num_processes, 0)
    tested = task.test(network.eval(), TestPictures(task, data.test, 2, place), data, accelerator, final=True)
    state = fit_transfer(
        network, task, data, schedule=Constant(), settings=settings, accelerator=accelerator, workers=0
    )
    weights = [float(p.detach().double().sum()) for p in state.model.parameters()]
    record = {k: v for k, v in state.history[-1].items() if "second" not in k}
    found = {"measures": tested.measures, "details": tested.details, "weights": weights, "record": record}
    found["processes"] = accelerator.num_processes
    Path(f"{out}.{accelerator.process_index}").write_text(json.dumps(found))
    if accelerator.num_processes > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
