"""Trained networks from wherever they come."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cutmix.data import IMAGENET_MEAN, IMAGENET_STD
from cutmix.data.cifar import MEAN, STD
from cutmix.errors import UsageError
from cutmix.models import ResNet
from cutmix.recipes import trained as module
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.start import train
from cutmix.recipes.trained import load_trained, picture_files, predict

test_trained = module.test_trained
test_trained.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture
def official(tmp_path):
    """A checkpoint as the official code leaves it: weights of a CIFAR network, and nothing about classes or pixels."""
    model = ResNet(depth=8, num_classes=7, bottleneck=False)
    path = tmp_path / "model_best.pth.tar"
    torch.save(
        {"epoch": 3, "arch": "resnet", "state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, path
    )
    return path


@pytest.fixture
def run(tiny_arrays, tmp_path):
    recipe = Recipe(data=f"arrays:{tiny_arrays}", model="ResNet(depth=8, bottleneck=False)", epochs=1, batch_size=16)
    train(recipe, name="run", runs=tmp_path, cpu=True)
    return tmp_path / "run"


def test_an_official_cifar_checkpoint_is_fed_as_it_was_trained(official, tmp_path):
    network = load_trained(str(official))
    assert network.num_classes == 7
    assert (network.image_size, network.mean, network.std) == (32, MEAN, STD)
    Image.new("RGB", (300, 200), (10, 200, 60)).save(tmp_path / "a.png")
    (guess,) = predict(network, [tmp_path / "a.png"], top=2, cpu=True)
    image = (torch.tensor([10, 200, 60]) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.no_grad():
        expected = network.model(image[None, :, None, None].expand(1, 3, 32, 32)).softmax(1)[0].topk(2)
    assert [name for name, _ in guess.classes] == [f"class {k}" for k in expected.indices.tolist()]
    assert [p for _, p in guess.classes] == pytest.approx(expected.values.tolist(), abs=1e-5)


def test_timm_notes_the_input_of_its_networks():
    network = load_trained("timm.vit_tiny_patch16_384")
    assert (network.image_size, network.mean) == (384, (0.5, 0.5, 0.5))


def test_pictures_of_the_same_name_are_drawn_beside_each_other(run, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (20, 20), (10, 200, 60)).save(tmp_path / folder / "1.png")
    guesses = list(
        predict(load_trained(str(run)), [tmp_path / "a", tmp_path / "b"], cam_folder=tmp_path / "cam", cpu=True)
    )
    assert sorted(guess.picture.name for guess in guesses) == ["1-cam-2.png", "1-cam.png"]
    assert all(guess.picture.exists() for guess in guesses)


def test_data_that_changed_since_the_training_is_not_tested_on_unasked(run, tiny_arrays):
    network = load_trained(str(run))
    before = test_trained(network, cpu=True)
    with np.load(tiny_arrays / "test.npz") as old:
        changed = {name: old[name].copy() for name in old.files}
    changed["images"][0] = 0
    np.savez(tiny_arrays / "test.npz", **changed)
    with pytest.raises(UsageError, match="is not what it was when .* was trained"):
        test_trained(network, cpu=True)
    assert test_trained(network, f"arrays:{tiny_arrays}", cpu=True).images == before.images


def test_a_damaged_last_checkpoint_of_a_run_is_passed_over(run):
    (run / "previous.pth.tar").write_bytes((run / "last.pth.tar").read_bytes())
    (run / "last.pth.tar").write_bytes(b"PK damaged")
    assert load_trained(str(run)).source.endswith("previous.pth.tar")


def test_a_folder_without_a_checkpoint_or_pictures_is_named(tmp_path):
    with pytest.raises(UsageError, match="holds no checkpoint"):
        load_trained(str(tmp_path))
    with pytest.raises(UsageError, match="there are no pictures in"):
        list(picture_files([tmp_path]))


def test_other_data_is_normalised_as_the_network_was_trained(run, tiny_arrays):
    from dataclasses import replace

    from cutmix.data import load_data
    from cutmix.recipes.trained import as_trained

    network = load_trained(str(run))
    other = replace(load_data(f"arrays:{tiny_arrays}"), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    adapted = as_trained(network, other)
    assert (adapted.mean, adapted.std) == (network.mean, network.std)
    assert adapted.mean != other.mean


def test_a_run_on_a_part_of_the_images_is_tested_on_the_data_it_knows(tiny_arrays, tmp_path):
    """The fingerprint is that of the part; the whole set that the part was drawn from is not other data."""
    recipe = Recipe(data=f"arrays:{tiny_arrays}", model="ResNet(depth=8, bottleneck=False)", epochs=1, batch_size=16)
    result = train(recipe.but(train_images=15), name="part", runs=tmp_path, cpu=True)
    assert result["train_images"] == 15
    trained = load_trained(str(tmp_path / "part"))
    assert test_trained(trained, cpu=True).top1 == pytest.approx(result["test_error_top1_last"])
    for count in (2, 49):
        with pytest.raises(UsageError, match="from 3 to 48 are accepted"):
            train(recipe.but(train_images=count), name=f"run{count}", runs=tmp_path, cpu=True)


def test_a_network_with_layer_noise_is_tested_with_its_expectation(tiny_arrays, tmp_path):
    recipe = Recipe(
        data=f"arrays:{tiny_arrays}",
        model="ResNet(depth=8, bottleneck=False)",
        regularizer="ShakeDrop(last=0.9)",
        epochs=1,
        batch_size=16,
    )
    result = train(recipe, name="shaken", runs=tmp_path, cpu=True)
    trained = load_trained(str(tmp_path / "shaken"))
    tested = test_trained(trained, cpu=True)
    assert (tested.top1, tested.top5) == (result["test_error_top1_last"], result["test_error_top5_last"])
    x = torch.randn(4, 3, 12, 12)
    weights = load_trained(str(tmp_path / "shaken" / "last.safetensors"))
    plain = ResNet(depth=8, num_classes=3, bottleneck=False).eval()
    plain.load_state_dict(trained.model.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(weights.model(x), trained.model(x))
        assert not torch.allclose(plain(x), trained.model(x))
    Image.new("RGB", (12, 12), (10, 200, 60)).save(tmp_path / "a.png")
    (guess,) = predict(trained, [tmp_path / "a.png"], cam_folder=tmp_path / "cam", cpu=True)
    assert guess.problem is None


def test_a_fine_tuned_run_is_loaded_without_a_download(tiny_arrays, tmp_path, monkeypatch):
    from torchvision.models import _api, get_model

    trained = get_model("mobilenet_v3_small").state_dict()
    monkeypatch.setattr(_api, "load_state_dict_from_url", lambda *_, **__: trained)
    text = "mobilenet_v3_small(weights='DEFAULT')"
    recipe = Recipe(data=f"arrays:{tiny_arrays}", model=text, epochs=1, batch_size=16, lr=0.01)
    result = train(recipe, name="tuned", runs=tmp_path, cpu=True)

    def no_network(*args, **kwargs):
        raise AssertionError("weights were asked for")

    monkeypatch.setattr(_api, "load_state_dict_from_url", no_network)
    network = load_trained(str(tmp_path / "tuned"))
    assert (network.mean, network.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert not torch.equal(network.model.features[0][0].weight, trained["features.0.0.weight"])
    tested = test_trained(network, cpu=True)
    assert (tested.top1, tested.top5) == (result["test_error_top1_last"], result["test_error_top5_last"])


def test_a_library_s_trained_network_is_fed_as_its_weights_say(monkeypatch):
    monkeypatch.setattr(module, "make_model", lambda call: torch.nn.Linear(2, 3))
    network = load_trained("torchvision.efficientnet_v2_l(weights='DEFAULT')")
    assert (network.mean, network.std, network.num_classes) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 3)
    assert load_trained("torchvision.efficientnet_v2_l").mean == IMAGENET_MEAN


@pytest.mark.parametrize(
    ("source", "size", "said"),
    [
        ("torchvision.efficientnet_v2_l(weights='DEFAULT')", 480, "short side of 480 pixels (bicubic)"),
        ("torchvision.vit_b_16(weights='IMAGENET1K_SWAG_E2E_V1')", 384, "here the short side is 439 (bilinear)"),
        ("torchvision.vit_b_16(weights='DEFAULT')", 224, ""),
        ("torchvision.inception_v3(weights='DEFAULT')", 299, ""),
        ("torchvision.resnet50(weights='IMAGENET1K_V2')", 224, "short side of 232 pixels (bilinear)"),
        ("torchvision.resnet50(weights='IMAGENET1K_V1')", 224, ""),
        ("timm.resnet50.a1_in1k(pretrained=True)", 288, "short side of 288 pixels (bicubic)"),
        ("timm.vit_tiny_patch16_384(pretrained=True)", 384, "short side of 384 pixels"),
    ],
)
def test_the_size_of_the_images_is_that_of_the_weights_transforms(source, size, said, monkeypatch):
    monkeypatch.setattr(module, "make_model", lambda call: torch.nn.Linear(2, 3))
    network = load_trained(source)
    assert network.image_size == size
    assert said in network.note
    assert bool(network.note) == bool(said)


def test_an_untrained_transformer_says_its_image_size():
    assert load_trained("torchvision.vit_b_32(image_size=64, num_classes=5)").image_size == 64


def test_a_network_whose_head_is_a_convolution_says_its_classes():
    assert load_trained("torchvision.squeezenet1_1(num_classes=7)").num_classes == 7
    with pytest.raises(UsageError, match="does not say how many classes"):
        _ = module.Trained(torch.nn.Conv2d(3, 4, 1), "", "some.pth").num_classes


def test_classes_are_compared_by_name_where_names_are_known(run, tiny_arrays):
    from dataclasses import replace

    from cutmix.data import load_data

    network, data = load_trained(str(run)), load_data(f"arrays:{tiny_arrays}")
    assert module.class_difference(network, data) == ""
    names = (data.classes[0], data.classes[2], data.classes[1])
    other = replace(data, classes=names)
    assert f"class 1 is {names[1]!r}" in module.class_difference(network, other)
    assert module.class_difference(replace(network, classes=None), other) == ""
    assert "tells 3 classes apart" in module.class_difference(network, replace(data, classes=(*names, "more")))
    with pytest.raises(UsageError, match=r"""localization\(cam_class="predicted"\)"""):
        module.as_trained(network, other)
    assert module.as_trained(network, other, other_classes=True).classes == names
