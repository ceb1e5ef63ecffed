"""Pictures: what they show is checked pixel by pixel where it can be, and what they refuse by the error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cutmix import pictures
from cutmix.errors import CutmixError, UsageError

CLASSES = ["cat", "ship", "Bouvier des Flandres, a dog of the cattle herders"]


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def some_images(count: int, height: int = 32, width: int = 32, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, (count, height, width, channels), dtype=np.uint8)


def one_epoch(epoch: int, **numbers: float) -> dict[str, float]:
    usual = {"lr": 0.1, "train_loss": 2.0, "train_error": 70.0, "test_loss": 1.5, "test_error_top1": 60.0}
    return {"epoch": epoch, **usual, "test_error_top5": 20.0, **numbers}


# ---------------------------------------------------------------------------------------------------- pixels and words


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, lambda x: torch.tensor(x, requires_grad=True)])
def test_denormalise_by_hand(kind):
    # one image, two channels, 1x3: pixel = value * std + mean, in 255 levels, rounded and clipped
    images = kind(np.array([[[[0.0, 1.0, -1.0]], [[0.0, 2.0, 10.0]]]], dtype=np.float32))
    levels = pictures.denormalise(images, mean=[0.5, 0.1], std=[0.2, 0.3])
    assert levels.dtype == np.uint8
    # 0.5 * 255 = 127.5 -> 128 (even), 0.7 -> 178.5, 0.3 -> 76.5; 0.1 -> 25.5, 0.7 -> 178.5, clipped
    expected = np.array([[[[127.5, 25.5], [178.5, 178.5], [76.5, 255.0]]]])
    assert levels.shape == (1, 1, 3, 2)
    assert np.abs(levels - expected).max() <= 0.5
    assert levels[0, 0, 2, 1] == 255


def test_denormalise_gives_back_every_level():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
    normalised = torch.tensor(((levels / 255 - mean) / std).transpose(0, 3, 1, 2), dtype=torch.float32)
    assert (pictures.denormalise(normalised, mean, std) == levels).all()


def test_denormalise_takes_bfloat16_and_what_is_not_finite():
    images = torch.tensor([[[[float("nan"), float("inf"), -float("inf"), 0.5]]]], dtype=torch.bfloat16)
    assert pictures.denormalise(images, [0.0], [1.0]).tolist() == [[[[0], [255], [0], [128]]]]


def test_denormalise_refuses_the_wrong_number_of_channels():
    with pytest.raises(UsageError, match=r"\(2, 1, 4, 4\) with 3 means"):
        pictures.denormalise(np.zeros((2, 1, 4, 4)), [0.1, 0.2, 0.3], [1, 1, 1])


def test_share_captions_by_hand():
    captions = pictures.share_captions([0, 1, 0, 1, 0, 0], [1, 0, 1, 0, 1, 0], [0.72, 1, 0, 0.999, 0.003, 0.3], CLASSES)
    assert captions == [
        "cat 0.72 + ship 0.28",
        "ship",
        "ship",
        "ship >0.99 + cat <0.01",
        "cat <0.01 + ship >0.99",
        "cat 0.30 + cat 0.70",
    ]


def test_share_captions_takes_tensors_and_its_two_shares_sum_to_one():
    shares = torch.linspace(0.01, 0.98, 40)
    captions = pictures.share_captions(torch.zeros(40, dtype=torch.int64), torch.ones(40).long(), shares, CLASSES)
    parts = [[float(part.split()[-1]) for part in caption.split(" + ")] for caption in captions]
    assert all(sum(pair) == pytest.approx(1, abs=1e-9) for pair in parts)
    assert [pair[0] for pair in parts] == pytest.approx(shares.tolist(), abs=0.0051)


@pytest.mark.parametrize(
    ("labels", "partners", "shares"),
    [([0], [0, 1], [0.5, 0.5]), ([[0.2, 0.8]], [[1.0, 0.0]], [0.5]), ([0.0], [1.0], [1])],
)
def test_share_captions_refuses_other_shapes_and_soft_labels(labels, partners, shares):
    with pytest.raises(UsageError, match="three vectors of one length"):
        pictures.share_captions(labels, partners, shares, CLASSES)


# --------------------------------------------------------------------------------------------------------- image grids


def test_mixed_batch_shows_every_pixel_enlarged(tmp_path):
    images = some_images(5)
    pictures.mixed_batch_picture(images, ["cat"] * 5, tmp_path / "batch.png", columns=3)
    shown = read(tmp_path / "batch.png")
    pitch = 4 * 32 + 4 + pictures.LINE + pictures.GAP
    assert shown.shape == (pictures.GAP + 2 * pitch, pictures.GAP + 3 * (4 * 32 + pictures.GAP), 3)
    for number, image in enumerate(images):
        top, left = pictures.GAP + number // 3 * pitch, pictures.GAP + number % 3 * (4 * 32 + pictures.GAP)
        assert (shown[top : top + 128 : 4, left : left + 128 : 4] == image).all()
        assert (shown[top + 3 : top + 128 : 4, left + 3 : left + 128 : 4] == image).all()
        assert shown[top + 128 : top + 128 + 4 + pictures.LINE, left : left + 128].min() < 120  # the words
    last = pictures.GAP + 2 * (4 * 32 + pictures.GAP)
    assert (shown[pictures.GAP + pitch :, last:] == 255).all()  # the sixth place is empty


@pytest.mark.parametrize(
    ("height", "width", "tile"), [(8, 8, (128, 128)), (28, 28, (140, 140)), (224, 224, (160, 160)), (4, 6, (84, 126)),
                                  (300, 600, (80, 160)), (150, 150, (150, 150))]
)  # fmt: skip
def test_tiles_are_of_a_size_to_see(height, width, tile):
    assert pictures._tiles(some_images(2, height, width)).shape == (2, *tile, 3)


def test_grey_images_are_drawn_grey(tmp_path):
    grey = some_images(2, 8, 8, 1)
    pictures.mixed_batch_picture(grey, ["3", "7"], tmp_path / "digits.png")
    shown = read(tmp_path / "digits.png")[
        pictures.GAP : pictures.GAP + 128 : 16, pictures.GAP : pictures.GAP + 128 : 16
    ]
    assert (shown == grey[0]).all()


def test_a_large_batch_is_cut_to_the_limit(tmp_path):
    pictures.mixed_batch_picture(some_images(40), ["cat"] * 40, tmp_path / "all.png", columns=8, limit=12)
    pictures.mixed_batch_picture(some_images(40)[:12], ["cat"] * 12, tmp_path / "twelve.png", columns=8)
    assert (read(tmp_path / "all.png") == read(tmp_path / "twelve.png")).all()


def test_captions_break_at_the_plus_and_long_names_are_cut_before_the_share():
    ruler = pictures._Ruler(pictures.CAPTION)
    captions = ["cat", f"{CLASSES[2]} 0.72 + ship 0.28"]
    short, long = pictures._wrapped(captions, 134, ruler)
    assert short == ["cat"]
    assert long[1] == "+ ship 0.28"
    assert long[0].startswith("Bouvier")
    assert long[0].endswith("… 0.72")
    assert all(ruler.width(line) <= 134 for line in long)
    assert pictures._wrapped(["cat 0.7 + ship 0.3"], 134, ruler) == [["cat 0.7 + ship 0.3"]]
    assert ruler.shorten("Pneumonoultramicroscopic", 60).endswith("…")


def test_names_are_never_read_as_formulas(tmp_path):
    formula = r"a$\nothing$b"
    pictures.mixed_batch_picture(some_images(1), [formula], tmp_path / "odd.png", title=formula)
    pictures.methods_picture([(formula, some_images(1), ["cat"])], tmp_path / "odd.png")
    pictures.curves_picture([one_epoch(1)], tmp_path / "odd.png", formula)
    pictures.runs_picture({formula: [[one_epoch(1)]]}, "lr", tmp_path / "odd.png", "lr", formula)
    pictures.cam_overlay(some_images(1)[0], np.zeros((32, 32)), tmp_path / "odd.png", formula, [(formula, 0.7)])
    assert (tmp_path / "odd.png").stat().st_size > 1000


def test_names_in_other_scripts_do_not_warn(tmp_path):
    pictures.mixed_batch_picture(some_images(1), ["猫 0.7"], tmp_path / "script.png")
    assert (tmp_path / "script.png").exists()


def test_methods_picture_has_a_row_a_method(tmp_path):
    images = some_images(3)
    rows = [("Original", images, ["cat"] * 3), ("Cutout", 255 - images, ["ship"] * 3)]
    pictures.methods_picture(rows, tmp_path / "methods.png")
    shown = read(tmp_path / "methods.png")
    pitch = 4 * 32 + 4 + pictures.LINE + pictures.GAP
    right = shown.shape[1] - pictures.GAP - 128
    first, second = (
        shown[top : top + 128 : 4, right : right + 128 : 4] for top in (pictures.GAP, pictures.GAP + pitch)
    )
    assert (first == images[2]).all()
    assert (second == 255 - images[2]).all()
    name = shown[pictures.GAP : pictures.GAP + 128, : shown.shape[1] - 3 * 138 - pictures.GAP]
    assert name.min() < 120


def test_a_method_is_named_on_one_line_and_its_settings_below():
    assert pictures._name_lines("CutMix(alpha=1.0, prob=0.5)") == ["CutMix", "alpha=1.0", "prob=0.5"]
    assert pictures._name_lines("NoMixing()") == ["NoMixing"]
    assert pictures._name_lines("") == [""]


@pytest.mark.parametrize(
    ("images", "captions", "words"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), ["a", "b"], "float32"),
        (np.zeros((2, 3, 4, 4), np.uint8), ["a", "b"], "denormalise"),
        (np.zeros((0, 4, 4, 3), np.uint8), [], "one or more"),
        (np.zeros((2, 4, 4, 3), np.uint8), ["a"], "2 images and 1 captions"),
    ],
)
def test_a_grid_refuses_what_it_cannot_draw(tmp_path, images, captions, words):
    with pytest.raises(UsageError, match=words):
        pictures.mixed_batch_picture(images, captions, tmp_path / "batch.png")
    with pytest.raises(UsageError, match="no rows"):
        pictures.methods_picture([], tmp_path / "batch.png")
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------------------------------- curves


class Kept:
    """Stands in for the writing, so that a test can ask the figure what it would have shown."""

    def __call__(self, figure, path):
        self.figure = figure


@pytest.fixture
def kept(monkeypatch):
    keeper = Kept()
    monkeypatch.setattr(pictures, "_write_png", keeper)
    return keeper


def test_curves_show_every_number_and_mark_the_best_and_the_last(kept):
    errors = [60.0, 30.0, 35.0]
    records = [one_epoch(e + 1, test_error_top1=error, train_loss=3.0 - e) for e, error in enumerate(errors)]
    pictures.curves_picture(records, "curves.png", "three epochs")
    loss, error = kept.figure.axes[:2]
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in (*loss.lines, *error.lines)}
    assert lines["train, on mixed labels"] == ([1, 2, 3], [70.0, 70.0, 70.0])
    assert lines["test"] == ([1, 2, 3], [1.5, 1.5, 1.5])
    assert list(loss.lines[0].get_ydata()) == [3.0, 2.0, 1.0]
    assert lines["test, top-1"] == ([1, 2, 3], errors)
    assert lines["test, top-5"] == ([1, 2, 3], [20.0] * 3)
    assert lines["best on test set 30.00 (epoch 2)"] == ([2], [30.0])
    assert lines["last 35.00"] == ([3], [35.0])
    assert [list(axes.lines[0].get_ydata()) for axes in kept.figure.axes[2:]] == [[0.1] * 3] * 2


def test_curves_leave_out_what_is_missing_or_not_finite(kept):
    records = [one_epoch(1), one_epoch(2, train_loss=float("inf")), one_epoch(3)]
    del records[1]["test_error_top1"]
    records[2]["test_loss"] = None
    pictures.curves_picture(records, "curves.png")
    loss, error = kept.figure.axes[:2]
    assert list(loss.lines[0].get_xdata()) == [1, 3]
    assert list(loss.lines[1].get_xdata()) == [1, 2]
    assert list(error.lines[1].get_xdata()) == [1, 3]


def test_a_run_that_knows_only_its_loss_can_be_drawn(tmp_path):
    pictures.curves_picture([{"epoch": 1, "train_loss": float("inf")}], tmp_path / "curves.png")
    assert read(tmp_path / "curves.png").shape == (598, 1300, 3)
    with pytest.raises(UsageError, match="no records"):
        pictures.curves_picture([], tmp_path / "none.png")


def test_runs_of_a_group_share_a_colour_and_one_name(kept):
    groups = {"plain": [[one_epoch(1), one_epoch(2)], [one_epoch(1)]], "mixed": [[one_epoch(1), one_epoch(2)]]}
    pictures.runs_picture(groups, "test_error_top1", "runs.png", "error (%)", "two groups")
    (axes,) = kept.figure.axes
    first, second, third = axes.lines
    assert first.get_color() == second.get_color() != third.get_color()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["plain", "mixed"]
    assert axes.get_ylabel() == "error (%)"


def test_long_names_stand_below_the_curves_and_short_ones_among_them(kept):
    tall = {}
    for name in ("plain", "backbone=timm.tf_efficientnet_lite0, task=SSD"):
        groups = {name: [[one_epoch(1, x=1.0), one_epoch(2, x=3.0)]], "other": [[one_epoch(1, x=2.0)]]}
        pictures.bands_picture(groups, "x", "b.png", "mean AP (%)")
        (axes,) = kept.figure.axes
        kept.figure.canvas.draw()
        legend, frame = axes.get_legend().get_window_extent(), axes.get_window_extent()
        label = axes.xaxis.label.get_window_extent()
        tall[name] = (legend.y1 < label.y0, legend.y0 >= 0, round(frame.height))
    short, long = tall.values()
    assert short[:2] == (False, True)
    assert long[:2] == (True, True)
    assert short[2] == long[2]


def test_runs_above_the_top_lie_outside_of_the_frame(kept):
    groups = {"plain": [[one_epoch(1, test_loss=9.0), one_epoch(2, test_loss=2.0)]]}
    pictures.runs_picture(groups, "test_loss", "runs.png", "loss", top=4.0)
    assert kept.figure.axes[0].get_ylim()[1] == 4.0
    pictures.runs_picture(groups, "test_loss", "runs.png", "loss", top=40.0)
    assert 9.0 < kept.figure.axes[0].get_ylim()[1] < 10.0


def test_a_frame_below_the_first_epochs_does_not_reach_below_zero(kept):
    groups = {"plain": [[one_epoch(1, test_loss=90.0), one_epoch(2, test_loss=2.0)]]}
    pictures.runs_picture(groups, "test_loss", "runs.png", "loss", top=4.0)
    assert kept.figure.axes[0].get_ylim() == (0, 4.0)


def test_bands_are_the_mean_and_a_deviation_each_way_over_epochs_that_all_runs_tested(kept):
    plain = [[one_epoch(1, x=4.0), one_epoch(2), one_epoch(3, x=3.0)], [one_epoch(1, x=1.0), one_epoch(2, x=7.0),
             one_epoch(3, x=3.0)]]  # fmt: skip
    pictures.bands_picture({"plain": plain, "one": [[one_epoch(1, x=2.0)]], "none": []}, "x", "b.png", "error (%)")
    (axes,) = kept.figure.axes
    mean, single = axes.lines
    assert mean.get_xydata().tolist() == [[1, 2.5], [3, 3.0]]
    assert single.get_xydata().tolist() == [[1, 2.0]]
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    at_first = sorted({round(float(y), 3) for x, y in corners if x == 1})
    assert at_first == [0.379, 4.621]  # 2.5 and a deviation of 3 / sqrt(2) each way
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["plain (n = 2)", "one (n = 1)"]
    assert legend.get_title().get_text() == "mean over seeds ± standard deviation"


# -------------------------------------------------------------------------------------------- class activation overlay


def test_cam_overlay_draws_the_map_where_it_is_high(kept):
    image, cam = np.full((12, 16, 3), 90, np.uint8), np.zeros((12, 16), np.float32)
    cam[2:5, 9:14] = 1
    pictures.cam_overlay(image, cam, "cam.png", "cat", [("cat", 0.7), ("ship", 0.3)])
    original, overlay, bars = kept.figure.axes
    assert len(original.images) == 1
    assert (overlay.images[0].get_array() == image).all()
    assert (overlay.images[1].get_array() == cam).all()
    assert [patch.get_width() for patch in bars.patches] == [0.7, 0.3]
    assert [text.get_text() for text in bars.texts] == ["cat", "70.0%", "ship", "30.0%"]


def test_cam_overlay_shows_at_most_five_classes(kept):
    probabilities = [(f"class {number}", 0.2 / (number + 1)) for number in range(9)]
    pictures.cam_overlay(some_images(1)[0], np.full((32, 32), 0.3), "cam.png", "cat", probabilities)
    assert len(kept.figure.axes[2].patches) == 5


def test_cam_overlay_writes(tmp_path):
    pictures.cam_overlay(some_images(1)[0], np.full((32, 32), 0.3), tmp_path / "cam.png", "cat", [("cat", 1)])
    assert read(tmp_path / "cam.png").shape == (372, 1104, 3)


@pytest.mark.parametrize(
    "cam", [np.zeros((7, 7)), np.full((32, 32), 1.5), np.full((32, 32), np.nan), -np.ones((32, 32))]
)
def test_cam_overlay_refuses_a_map_that_does_not_fit(cam):
    with pytest.raises(UsageError, match="height and width"):
        pictures.cam_overlay(some_images(1)[0], cam, "cam.png", "cat", [])


# ------------------------------------------------------------------------------------------------------------- writing


def test_pictures_replace_and_leave_nothing_beside_them(tmp_path):
    path = tmp_path / "new" / "batch.png"
    for count in (3, 2):
        pictures.mixed_batch_picture(some_images(count), ["cat"] * count, str(path))
    assert read(path).shape[1] == pictures.GAP + 2 * 138
    assert [file.name for file in path.parent.iterdir()] == ["batch.png"]


def test_a_picture_that_fails_half_way_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "batch.png"
    path.write_bytes(b"old")

    def full_disk(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(CutmixError, match=r"cannot write .*batch.png: the disk is full"):
        pictures.mixed_batch_picture(some_images(1), ["cat"], path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["batch.png"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CutmixError, match=r"cannot write .*file.batch.png"):
        pictures.mixed_batch_picture(some_images(1), ["cat"], tmp_path / "file" / "batch.png")


def test_pictures_are_png():
    with pytest.raises(UsageError, match=r"'batch.jpg' does not end in .png"):
        pictures.mixed_batch_picture(some_images(1), ["cat"], "batch.jpg")


def test_no_window_no_global_list_of_figures_and_no_torch(tmp_path):
    code = (
        "import sys, numpy as np; from cutmix import pictures\n"
        "assert not {'matplotlib', 'PIL', 'torch'} & set(sys.modules)\n"
        "pictures.runs_picture({}, 'x', sys.argv[1], 'x')\n"
        "assert not {'matplotlib.pyplot', 'tkinter', 'torch'} & set(sys.modules)\n"
    )
    path = tmp_path / "runs.png"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.exists()


def test_boxes_are_drawn_on_their_own_pixels():
    images = np.full((1, 64, 80, 3), 100, np.uint8)  # shown twice as large
    found, true = np.array([[10, 20, 30, 50]]), np.array([[40, 5, 70, 60]])
    tiles = pictures.boxed(images, np.zeros((1, 64, 80)), [found], [true])
    assert tiles.shape == (1, 128, 160, 3)
    red, green = ((tiles[0] == colour).all(-1) for colour in ((225, 0, 0), (0, 235, 60)))
    for drawn, (left, top, right, bottom) in ((red, (80, 10, 140, 120)), (green, (20, 40, 60, 100))):
        rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
        assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == (left, top, right, bottom)
        assert not drawn[top + 2 : bottom - 2, left + 2 : right - 2].any()
    assert red.sum() == 2 * 2 * (60 + 110) - 16  # two pixels wide all around
    assert 0.5 < green.sum() / (2 * 2 * (40 + 60) - 16) < 0.7  # dashed


def test_under_a_map_the_image_is_covered_where_it_is_high():
    image = np.full((4, 6, 3), 200, np.uint8)
    cam = np.zeros((4, 6))
    cam[1, 2] = 1
    shown = pictures.under_cam(image, cam)
    assert np.unique(shown.reshape(-1, 3), axis=0).shape[0] == 2
    assert shown[0, 0].tolist() == [150, 150, 151]  # a quarter of the map's darkest colour
    with pytest.raises(UsageError, match="height and width"):
        pictures.under_cam(image, cam.T)


def test_grids_come_as_pixels_too(tmp_path):
    images = np.full((3, 32, 32, 3), 90, np.uint8)
    pictures.mixed_batch_picture(images, ["a", "b", "c"], tmp_path / "grid.png", columns=2)
    with Image.open(tmp_path / "grid.png") as written:
        assert np.array_equal(
            np.asarray(written.convert("RGB")), pictures.grid_pixels(images, ["a", "b", "c"], columns=2)
        )
