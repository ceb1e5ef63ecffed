"""NIC: its data, loss and network by hand; it learns, resumes to the last bit, and tells captions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cutmix.cli import main
from cutmix.errors import UsageError
from cutmix.recipes import start_transfer
from cutmix.recipes.start_transfer import load_transferred, transfer
from cutmix.recipes.transfer_recipe import TransferRecipe
from cutmix.training.checkpoint import load_checkpoint
from cutmix.training.interrupt import Interrupted
from cutmix.training.loop import make_accelerator
from cutmix.training.schedules import Cosine
from cutmix.transfer.backbone import Pretrained
from cutmix.transfer.batches import Place, TrainPictures
from cutmix.transfer.caption_words import END, PAD, START, UNKNOWN, Vocabulary
from cutmix.transfer.fit import fit_transfer
from cutmix.transfer.nic import NIC, Told, masked_cross_entropy, people

SETTINGS = {
    "epochs": 2, "batch_size": 4, "lr": 0.01, "optimizer": "Adam", "schedule": "Constant()", "nesterov": False,
    "weight_decay": 0.0,
}  # fmt: skip
TINY = "NIC(size=32, embedding=8, hidden=12, beam=3, min_count=1, max_length=8)"


@pytest.fixture(autouse=True)
def _no_java(monkeypatch):
    monkeypatch.setattr("cutmix.transfer.meteor.shutil.which", lambda name: None)


@pytest.fixture(autouse=True)
def _tiny_backbone(monkeypatch, pretrained, tiny_net):
    """The tiny network for every backbone that is asked for."""
    made = lambda *args: Pretrained(tiny_net(), pretrained.mean, pretrained.std, "tiny")  # noqa: E731
    monkeypatch.setattr(start_transfer, "load_backbone", made)


def recipe(data: Path, task: str = TINY, **changes) -> TransferRecipe:
    return TransferRecipe(task=task, data=f"tsv:{data}", backbone="tiny").but(**{**SETTINGS, **changes})


def made(task: NIC, folder: Path, pretrained):
    data = task.load(f"tsv:{folder}")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return data, task.network(pretrained, data)


# ---------------------------------------------------------------------------------------------------------------- data


def test_rows_are_captions_or_pictures(tiny_captions):
    each, every = (NIC(size=32, min_count=2, captions=rows).load(f"tsv:{tiny_captions}") for rows in ("each", "all"))
    assert (len(each.train), len(every.train), len(each.test)) == (12, 6, 2)
    assert each.classes[:7] == ("<pad>", "<start>", "<end>", "<unk>", "a", "above", "blue")
    assert "12 captions of 6 pictures, " in each.note
    of_picture = every.train.target(0)
    assert [each.train.target(0).tolist(), each.train.target(1).tolist()] == [
        of_picture[:1].tolist(), [of_picture[1, :6].tolist()]]  # fmt: skip
    assert of_picture[1].tolist()[5:] == [END, PAD, PAD]
    assert each.train.pictures().captions == every.train.captions


def test_rare_words_are_unknown(tiny_captions):
    data = NIC(size=32, min_count=5).load(f"tsv:{tiny_captions}")
    assert "green" not in data.classes  # below red and below blue, in two captions each
    assert "red" in data.classes
    assert UNKNOWN in data.train.target(3)


def test_views_are_functions_of_the_row(tiny_captions):
    task = NIC(size=32, min_count=1)
    data = task.load(f"tsv:{tiny_captions}")
    views = [task.train_view(data.train, 0, np.random.default_rng(seed)).image_CHW for seed in (0, 0, 1)]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2]) or views[0].shape == (3, 32, 32)
    plain = NIC(size=32, min_count=1, augment=False)
    assert torch.equal(
        plain.train_view(data.train, 0, np.random.default_rng(0)).image_CHW,
        task.test_view(data.train, 0).image_CHW,
    )


def test_crops_by_hand(tmp_path):
    """At a size of 28 pictures are brought to 32x32: the middle begins at 2, and a crop can be anywhere."""
    columns = np.broadcast_to(np.arange(32, dtype=np.uint8)[None, :, None] * 8, (32, 32, 3))
    Image.fromarray(np.ascontiguousarray(columns)).save(tmp_path / "a.png")
    (tmp_path / "all.tsv").write_text("a.png\ta\n")
    task = NIC(size=28)
    assert (task._view(tmp_path / "a.png", *task._middle)[0, 0, [0, 27]] // 8).tolist() == [2, 29]
    assert (task._view(tmp_path / "a.png", 0, 3, True)[0, 0, [0, 27]] // 8).tolist() == [30, 3]
    places = [task._place(np.random.default_rng(seed)) for seed in range(60)]
    assert {left for _, left, _ in places} == {top for top, _, _ in places} == set(range(5))
    assert 15 < sum(mirror for *_, mirror in places) < 45


# ----------------------------------------------------------------------------------------------------- loss and network


def test_the_loss_by_hand():
    """Two captions of 3 and 1 words in 6 positions; every word has the probability 1/5 but one, which has 1/2."""
    logits = torch.zeros(2, 3, 5)
    words = torch.tensor([[4, 4, END], [END, PAD, PAD]])
    logits[0, 0, 4] = np.log(4)  # 4 / (4 + 4)
    logits[1, 1:] = torch.tensor([9.0, 5, 1, -7, 3])  # never counted
    total = np.log(2) + 3 * np.log(5)
    assert masked_cross_entropy(logits, words, per="word").item() == pytest.approx(total / 4)
    assert masked_cross_entropy(logits, words, per="position").item() == pytest.approx(total / 6)


def test_training_and_telling_are_the_same_network(tiny_captions, pretrained):
    """The log-probability of what is told is that which training's logits give the same words, picture first."""
    task = NIC(size=32, embedding=8, hidden=12, beam=4, min_count=1, max_length=5, dropout=0)
    data, network = made(task, tiny_captions, pretrained)
    images = torch.stack([task.test_view(data.test, row).image_CHW / 255 for row in range(2)])
    with torch.no_grad():
        told = network.eval()(list(images))
        start = network.start(images)
        for row, hypotheses in enumerate(told):
            assert len(hypotheses) == 4
            for hypothesis in hypotheses:
                words = [*hypothesis.words, *[END] * hypothesis.ended]
                scores = network.logits(start[row : row + 1], torch.tensor([words])).log_softmax(-1)[0]
                total = sum(float(scores[place, word]) for place, word in enumerate(words))
                assert hypothesis.log_probability == pytest.approx(total, abs=1e-4)
                assert not {PAD, START, UNKNOWN} & set(words)


def test_what_no_caption_holds_is_never_said_however_likely(tiny_captions, pretrained):
    """Each of the three twenty times likelier than any word; and ``<end>`` so rare that captions are cut off at 5."""
    task = NIC(size=32, embedding=8, hidden=12, beam=6, min_count=1, max_length=5)
    _, network = made(task, tiny_captions, pretrained)
    network.output.bias.data[[PAD, START, UNKNOWN]] = float(np.log(20))
    network.output.bias.data[END] = -9.0
    (hypotheses,) = network.eval()([torch.rand(3, 32, 32)])
    assert [len(hypothesis.words) for hypothesis in hypotheses] == [5] * 6
    assert not {PAD, START, UNKNOWN, END} & {word for hypothesis in hypotheses for word in hypothesis.words}
    assert not any(hypothesis.ended for hypothesis in hypotheses)


def test_the_loss_of_a_batch_is_per_word_or_per_position(tiny_captions, pretrained, tiny_net):
    """Captions of 4 and 2 words: six of eight positions."""
    losses = {}
    for per in ("word", "position"):
        task = NIC(size=32, embedding=8, hidden=12, min_count=1, dropout=0, per=per)
        _, network = made(task, tiny_captions, Pretrained(tiny_net(), pretrained.mean, pretrained.std, "tiny"))
        targets = [{"words": torch.tensor([[5, 6, 7, END]])}, {"words": torch.tensor([[8, END]])}]
        images = list(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
        losses[per] = network.train()(images, targets)["cross_entropy"].item()
    assert losses["position"] == pytest.approx(losses["word"] * 6 / 8)


def test_new_layers_begin_as_upstreams(tiny_captions, pretrained):
    """The feature's layer with a standard deviation of 0.02; words and scores uniform up to 0.1."""
    _, network = made(NIC(size=32, min_count=1), tiny_captions, pretrained)
    weights = {name: p.detach() for name, p in network.named_parameters()}
    assert 0.019 < float(weights["linear.weight"].std()) < 0.021
    for name in ("embed", "output"):
        assert 0.098 < float(weights[f"{name}.weight"].abs().max()) <= 0.1
    assert not weights["linear.bias"].any()
    assert not weights["output.bias"].any()


def test_settings_reach_the_network(tiny_captions, pretrained):
    task = NIC(size=32, embedding=8, hidden=12, min_count=1, dropout=0.3, momentum=0.07, fine_tune=True, norm="trained")
    _, network = made(task, tiny_captions, pretrained)
    assert (network.dropout.p, network.norm.momentum) == (0.3, 0.07)
    assert (network.encoder.fine_tune, network.encoder.mode.norm) == (True, "trained")
    start, words = torch.randn(1, 8), torch.tensor([[5, 6, 7, END]])
    torch.manual_seed(0)
    with torch.no_grad():
        assert not torch.equal(network.train().logits(start, words), network.logits(start, words))  # dropout draws
        assert torch.equal(network.eval().logits(start, words), network.logits(start, words))


def test_each_word_hangs_on_the_picture_and_the_words_before_it_alone(tiny_captions, pretrained):
    _, network = made(NIC(size=32, embedding=8, hidden=12, min_count=1), tiny_captions, pretrained)
    network.eval()
    start = torch.randn(1, 8)
    words = torch.tensor([[5, 6, 7, END]])
    with torch.no_grad():
        before = network.logits(start, words)
        after = network.logits(start, torch.tensor([[5, 6, 8, END]]))
        other = network.logits(start + 1, words)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3], after[:, 3])
    assert not torch.equal(before[:, 0], other[:, 0])


def test_captions_of_several_pictures_are_led_by_their_own(tiny_captions, pretrained):
    """A batch of rows "all" has the loss of the same captions one by one, each with its picture."""
    task = NIC(size=32, embedding=8, hidden=12, min_count=1, dropout=0)
    data, network = made(task, tiny_captions, pretrained)
    network.train()
    network.norm.eval()  # the statistics of a batch hang on how often a picture is in it
    images = [view(task, data, row) for row in range(6)]
    tell_pictures_apart(network.encoder.network, torch.stack(images))
    network.linear.weight.data *= 50
    network.output.weight.data *= 20
    targets = [data.train.target(row) for row in range(6)]
    each = network(images, [{"words": words} for words in targets])["cross_entropy"]
    pairs = [{"words": torch.cat([torch.nn.functional.pad(w, (0, 9 - w.shape[1])) for w in targets[k : k + 2]])}
             for k in (0, 2, 4)]  # fmt: skip
    assert network(images[::2], pairs)["cross_entropy"].item() == pytest.approx(each.item(), rel=1e-5)


def test_a_lone_picture_is_normalised_by_the_running_statistics(tiny_captions, pretrained):
    data, network = made(NIC(size=32, embedding=8, hidden=12, min_count=1), tiny_captions, pretrained)
    image = torch.rand(1, 3, 32, 32)
    network.norm.running_mean.fill_(0.3)
    with torch.no_grad():
        assert torch.allclose(network.train().start(image), network.eval().start(image))
    loss = network.train()(list(image), [{"words": data.train.target(0)}])["cross_entropy"]
    assert loss.isfinite()


def test_pixels_are_normalised_as_the_backbone_was_trained(tiny_captions, pretrained, tiny_net):
    _, network = made(NIC(size=32, min_count=1), tiny_captions, pretrained)
    image = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(values)[:, None, None] for values in (pretrained.mean, pretrained.std))
    seen = {}
    network.encoder.register_forward_hook(lambda module, inputs, output: seen.update(feature=output))
    classifier = tiny_net()
    with torch.no_grad():
        network.eval().start(image)
        assert torch.equal(classifier.fc(seen["feature"]), classifier((image - mean) / std))


def view(task: NIC, data, row: int) -> torch.Tensor:
    return task.test_view(data.train, row).image_CHW / 255


def tell_pictures_apart(network: nn.Module, images: torch.Tensor) -> None:
    """Set the batch norms to what they see of these images: a network of random weights sees little difference."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            module.train()
    with torch.no_grad():
        network(images)
    network.eval()


# ---------------------------------------------------------------------------------------------------------- whole runs


def test_it_learns_a_handful_of_pictures_by_heart(tiny_captions, pretrained):
    """Near-perfect BLEU on the pictures that it was trained on, by an encoder that is not trained."""
    task = NIC(size=32, embedding=16, hidden=32, beam=3, min_count=1, max_length=10, captions="all", augment=False,
               dropout=0, momentum=0.3, test_train=6)  # fmt: skip
    data, network = made(task, tiny_captions, pretrained)
    tell_pictures_apart(network.encoder.network, torch.stack([view(task, data, row) for row in range(6)]))
    settings = recipe(tiny_captions, epochs=110, batch_size=6, lr=0.03, test_every=110)
    accelerator = make_accelerator(settings, cpu=True)
    found = {}

    class Keeper:
        resume = save = first_batch = lambda self, *args: None

        def tested(self, tested):
            found.update(tested.details)

    state = fit_transfer(
        network, task, data, schedule=Cosine(), settings=settings, optimizer="Adam", accelerator=accelerator,
        keeper=Keeper(), workers=0,
    )  # fmt: skip
    assert state.history[-1]["train_cross_entropy"] < 0.25
    assert found["train_bleu4"] > 95
    assert found["train_pictures"] == 6


def test_stopped_within_an_epoch_and_resumed_to_the_last_bit(tiny_captions, tmp_path, stop_at, assert_same):
    wanted = recipe(tiny_captions, "NIC(size=32, embedding=8, hidden=12, beam=2, min_count=1, dropout=0.5, "
                    "norm='trained', fine_tune=True)")  # fmt: skip
    transfer(wanted, name="whole", runs=tmp_path, cpu=True, workers=0)
    with pytest.raises(Interrupted):
        transfer(wanted, name="stopped", runs=tmp_path, cpu=True, workers=0, display=stop_at(1, 1))
    position = load_checkpoint(tmp_path / "stopped" / "last.pth.tar")["cutmix"]["run"]
    assert (position["epoch"], position["step"]) == (1, 2)
    transfer(wanted, name="stopped", runs=tmp_path, cpu=True, workers=0, resume=True)
    for name in ("last.pth.tar", "best.pth.tar"):
        assert_same(load_checkpoint(tmp_path / "whole" / name), load_checkpoint(tmp_path / "stopped" / name))


def test_what_a_run_leaves_and_its_use(tiny_captions, tmp_path, capsys):
    """The command line from end to end; then what it tells of a picture."""
    words = ["transfer", "caption", "--data", f"tsv:{tiny_captions}", "--backbone", "tiny", "--task", TINY]
    flags = ["--epochs", "2", "--batch-size", "5", "--runs", str(tmp_path), "--cpu", "-j", "0", "-q", "--name", "run"]
    assert main([*words, *flags]) == 0
    said = capsys.readouterr().out
    assert "cider after the last epoch (2)" in said
    assert "meteor: skipped: needs Java" in said
    folder = tmp_path / "run"
    left = {path.name for path in folder.iterdir()}
    assert {"captions.json", "captions.png", "first_batch.png", "curves.png", "test.json", "result.json"} <= left
    result = json.loads((folder / "result.json").read_text())
    assert (result["measure"], result["train_images"], result["test_images"]) == ("cider", 6, 2)
    assert {"bleu1", "bleu4", "rouge_l", "cider", "meteor", "people_cider"} <= set(result["test"])
    captions = json.loads((folder / "captions.json").read_text())
    assert [entry["image"] for entry in captions] == ["6.png", "7.png"]
    assert captions[0]["references"][1].startswith("it is ")
    asked = [str(tiny_captions / "6.png"), str(folder / "recipe.json")]
    asked.append(str(shutil.copy(tiny_captions / "7.png", tmp_path / "6.bmp")))
    assert main(["transfer", str(folder), "--predict", *asked, "--cpu", "--out", str(tmp_path / "told")]) == 1
    good, bad, other = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [Path(told["picture"]).name for told in (good, other)] == ["6-caption.png", "6-caption-2.png"]
    assert good["captions"][0]["caption"] == captions[0]["caption"]
    assert good["captions"][0]["log_probability"] == pytest.approx(captions[0]["log_probability"], abs=1e-3)
    assert len(good["captions"]) == 3
    assert Path(good["picture"]).exists()
    assert "not a picture" in bad["problem"]
    trained = load_transferred(folder)
    weights = load_checkpoint(folder / "last.pth.tar")["state_dict"]
    for name, value in trained.network.state_dict().items():
        assert torch.equal(value, weights[f"module.{name}"]), name


def test_the_first_batch_is_drawn_with_its_captions(tiny_captions, tmp_path, monkeypatch):
    task = NIC(size=32, min_count=2, captions="all")
    data = task.load(f"tsv:{tiny_captions}")
    seen = {}
    monkeypatch.setattr("cutmix.transfer.caption_pictures.captions_picture",
                        lambda images, captions, path, title: seen.update(captions=captions))  # fmt: skip
    batch = next(TrainPictures(task, data.train, 2, 0, Place(torch.device("cpu"), workers=0)).epoch(0))
    task.draw_batch(batch, data, tmp_path / "first.png", "title")
    assert len(seen["captions"]) == 2
    assert all(" part above a " in caption and "\nit is " in caption for caption in seen["captions"])


def test_training_pictures_are_scored_with_all_their_captions(tiny_captions, monkeypatch):
    """Also where a row is a caption: four pictures, two references each."""
    scored = []
    monkeypatch.setattr("cutmix.transfer.nic.tell", lambda *args: [Told(["a"], -1.0)] * args[3])
    monkeypatch.setattr("cutmix.transfer.nic.caption_scores", lambda *pair: scored.append(pair) or {"cider": 7.0})
    task = NIC(size=32, min_count=1, captions="each", test_train=4)
    data = task.load(f"tsv:{tiny_captions}")
    alone = SimpleNamespace(device=torch.device("cpu"), process_index=0, num_processes=1)
    details = task._on_train(nn.Identity(), data, Vocabulary(data.classes), alone)
    assert details == {"train_pictures": 4, "train_cider": 7.0}
    ((told, true),) = scored
    assert (told, [len(of_picture) for of_picture in true]) == ([["a"]] * 4, [2] * 4)


def test_people_need_two_captions():
    assert people([[["a"], ["a"]], [["b"]]]) == {}
    scores = people([[["a", "red", "bus"], ["a", "bus"]], [["a", "cat", "naps"], ["a", "cat", "naps"]]])
    assert 0 < scores["people_rouge_l"] < 100


def test_people_come_to_the_mean_over_their_rounds():
    """ "a red bus" against "a bus" and the other way round; of the second picture nothing is ever right."""
    scores = people([[["a", "red", "bus"], ["a", "bus"]], [["cat"], ["dog"]]])
    first, second = 2.44 * 2 / 3 / (1 + 1.44 * 2 / 3), 2.44 * 2 / 3 / (2 / 3 + 1.44)
    assert scores["people_rouge_l"] == pytest.approx(100 * (first + second) / 2 / 2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"captions": "one"}, "'each' or 'all'"), ({"per": "batch"}, "'word' or 'position'"), ({"beam": 0}, "at least 1"),
     ({"dropout": 1.0}, "in [0, 1)"), ({"momentum": 0.0}, "in (0, 1]"), ({"test_train": -1}, "negative")],
)  # fmt: skip
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(UsageError) as caught:
        NIC(**settings)
    assert said in str(caught.value)


def test_too_rare_words_are_an_error_before_training(tiny_captions, tmp_path):
    with pytest.raises(UsageError, match=r"occurs 99 times \(min_count\)"):
        transfer(recipe(tiny_captions, "NIC(min_count=99)"), name="run", runs=tmp_path, cpu=True, workers=0)
