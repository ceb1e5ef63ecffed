"""The report: numbers worked out by hand, cautions that fire when they should, a page that needs nothing beside it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutmix import report
from cutmix.errors import CutmixError, UsageError
from cutmix.report import cautions, differing, find_runs, grouped, read_run, write_report

RESULT = {"test_images": 2000, "version": "0.1.0+g123", "device": "cpu, 2 threads, A CPU", "best_epoch": 1}
CUTMIX = "CutMix(alpha=1.0, prob=0.5)"


def make_run(folder: Path, last: float = 5.0, seed: int = 0, result: dict | None = None, **settings) -> Path:
    """A run's folder as training leaves it, of two epochs."""
    folder.mkdir(parents=True)
    recipe = {"data": "digits", "mixing": "NoMixing()", "epochs": 2, "seed": seed, "init": "", **settings}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    epochs = [
        {"epoch": 1, "train_loss": 2.0, "test_error_top1": last - 1, "seconds": 3.0, "images_per_second": 1500.0},
        {"epoch": 2, "train_loss": 1.0, "test_error_top1": last, "seconds": 5.0, "images_per_second": 2501.0},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    numbers = {"test_error_top1_last": last, "test_error_top1_best": last - 1, "command": f"cutmix train --seed {seed}"}
    (folder / "result.json").write_text(json.dumps({**RESULT, **numbers, **(result or {})}))
    Image.fromarray(np.full((5, 7, 3), seed, np.uint8)).save(folder / "first_batch.png")
    return folder


def make_comparison(folder: Path) -> list[Path]:
    """Three seeds without mixing (4, 5, 9) and three with (1, 2, 3)."""
    plain = [make_run(folder / f"plain{s}", last, s) for s, last in enumerate([4.0, 5.0, 9.0])]
    return plain + [make_run(folder / f"mixed{s}", last, s, mixing=CUTMIX) for s, last in enumerate([1.0, 2.0, 3.0])]


def groups_of(*folders: Path) -> list[report.Group]:
    return grouped([read_run(folder) for folder in folders])


class Page(HTMLParser):
    """What a browser would find: balanced tags, the cells of each row, what is loaded from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


# ---------------------------------------------------------------------------------------------------------- the page


def test_the_table_by_hand(tmp_path):
    html, markdown = write_report(make_comparison(tmp_path / "runs"), tmp_path / "out")
    # 4, 5, 9: mean 6, squares 4 + 1 + 9 = 14 over 2 is 7; 1, 2, 3: mean 2, deviation 1; the best are one less
    plain = ["NoMixing", "3", "6.00 ± 2.65", "0: 4.00, 1: 5.00, 2: 9.00", "5.00 ± 2.65", "0: 3.00, 1: 4.00, 2: 8.00"]
    mixed = ["CutMix", "3", "2.00 ± 1.00", "0: 1.00, 1: 2.00, 2: 3.00", "1.00 ± 1.00", "0: 0.00, 1: 1.00, 2: 2.00"]
    page = Page(html.read_text())
    assert page.open == []
    assert page.rows[0][4] == "best epoch, chosen on the test set"
    assert page.rows[1:3] == [plain, mixed]
    assert "| " + " | ".join(mixed) + " |" in markdown.read_text()
    assert "2,000 images: one image is 0.05 percent" in page.text


def test_the_page_opens_offline_and_the_document_finds_its_pictures(tmp_path):
    html, markdown = write_report(make_comparison(tmp_path / "runs"), tmp_path / "out")
    sources = Page(html.read_text()).sources
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    linked = re.findall(r"!\[.*?\]\((.*?)\)", markdown.read_text())
    assert linked == ["test_error_top1.png", "train_loss.png", "first_batch_1.png", "first_batch_2.png"]
    files = sorted(file.name for file in html.parent.iterdir())
    assert files == sorted([*linked, "report.html", "report.md"])
    assert (html.parent / "first_batch_1.png").read_bytes() == (tmp_path / "runs/plain0/first_batch.png").read_bytes()


def test_settings_times_machine_and_commands_are_told(tmp_path):
    html, _ = write_report(make_comparison(tmp_path / "runs"), tmp_path / "out", "A title", ["make it"])
    page = Page(html.read_text())
    assert page.text.count("A title") == 2
    assert ["NoMixing", "NoMixing()"] in page.rows
    assert ["CutMix", CUTMIX] in page.rows
    assert ["epochs", "2"] in page.rows
    assert ["init", "(empty)"] in page.rows
    assert not any(row[0] in ("seed", "mixing") for row in page.rows)
    assert ["mixed1", "CutMix", "1", "2", "4", "2,000"] in page.rows  # medians of 3 and 5, and of 1,500 and 2,501
    assert "Machine: cpu, 2 threads, A CPU." in page.text
    assert "Code: 0.1.0+g123." in page.text
    assert page.text.count("--seed 1") == 1  # which two runs have noted
    assert "make it\ncutmix train --seed 0\ncutmix train --seed 1\ncutmix train --seed 2" in page.text


def test_the_title_says_what_is_compared(tmp_path):
    html, markdown = write_report(make_comparison(tmp_path / "runs"), tmp_path / "out")
    assert "<title>digits: NoMixing, CutMix</title>" in html.read_text()
    assert markdown.read_text().startswith("# digits: NoMixing, CutMix\n")


def test_curves_show_one_line_a_run_up_to_where_methods_part(tmp_path, monkeypatch):
    calls = {}
    monkeypatch.setattr(
        report, "runs_picture", lambda runs, key, path, label, top=None: calls.update({key: (runs, top)})
    )
    list(report._curves(groups_of(*make_comparison(tmp_path / "runs")), tmp_path))
    runs, top = calls["test_error_top1"]
    assert {name: [run[1]["test_error_top1"] for run in members] for name, members in runs.items()} == {
        "NoMixing": [4.0, 5.0, 9.0], "CutMix": [1.0, 2.0, 3.0]
    }  # fmt: skip
    assert top == 36  # four times the largest last error
    assert calls["train_loss"][1] is None


def test_words_of_the_user_are_never_taken_for_markup(tmp_path):
    sly = "X('<b>|a|</b>', c=*d*)"
    runs = [make_run(tmp_path / "a", mixing=sly, **{"<b>": 1}), make_run(tmp_path / "b", **{"<b>": 2})]
    html, markdown = write_report(runs, tmp_path / "out", title=sly)
    assert "<b>" not in html.read_text()
    page, document = Page(html.read_text()), markdown.read_text()
    assert page.text.count(sly) == 3  # title, heading, cell
    assert ["", "<b>", "mixing"] in page.rows
    safe = r"X('\<b>\|a\|\</b>', c=\*d\*)"
    assert document.startswith(f"# {safe}\n")
    assert rf"| \<b>=1, mixing=X | 1 | {safe} |" in document
    assert r"differ in 2 settings (\<b>, mixing)" in document


def test_a_run_that_has_not_ended_is_named_and_not_counted(tmp_path):
    running = make_run(tmp_path / "running", 70.0, seed=3)
    (running / "result.json").unlink()
    starting = make_run(tmp_path / "starting", seed=1, mixing="MixUp()")
    for name in ("result.json", "metrics.jsonl", "first_batch.png"):
        (starting / name).unlink()
    html, _ = write_report([make_run(tmp_path / "done"), running, starting], tmp_path / "out")
    page = Page(html.read_text())
    assert page.rows[1] == ["NoMixing", "1", "5.00", "0: 5.00", "4.00", "0: 4.00"]
    assert "Not ended, and not in the table: running, starting." in page.text
    assert ["starting", "MixUp", "1", "0", "", ""] in page.rows


def test_a_report_of_runs_that_have_all_just_begun_can_be_written(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "result.json").unlink()
    html, _ = write_report([run], tmp_path / "out")
    page = Page(html.read_text())
    assert "Not ended" in page.text
    assert "<pre>" not in html.read_text()


# ------------------------------------------------------------------------------------------------------------ groups


def test_groups_are_recipes_without_the_seed_named_by_what_differs(tmp_path):
    groups = groups_of(
        make_run(tmp_path / "a", seed=0), make_run(tmp_path / "b", mixing=CUTMIX), make_run(tmp_path / "c", seed=1)
    )
    assert [(group.name, [run.seed for run in group.runs]) for group in groups] == [
        ("NoMixing", [0, 1]),
        ("CutMix", [0]),
    ]
    assert "seed" not in groups[0].settings


def test_the_order_of_settings_does_not_matter(tmp_path):
    run = make_run(tmp_path / "a")
    other = make_run(tmp_path / "b", seed=1)
    settings = json.loads((other / "recipe.json").read_text())
    (other / "recipe.json").write_text(json.dumps(dict(reversed(settings.items()))))
    assert len(groups_of(run, other)) == 1


@pytest.mark.parametrize(
    ("recipes", "names"),
    [
        ([{"mixing": CUTMIX}], ["CutMix"]),
        ([{"mixing": CUTMIX}, {"mixing": "CutMix(alpha=0.3)"}], [CUTMIX, "CutMix(alpha=0.3)"]),
        ([{"mixing": "A()", "lr": 0.1}, {"mixing": "A()", "lr": 0.2}], ["0.1", "0.2"]),
        ([{"mixing": "A()", "lr": 0.1}, {"mixing": "B()", "lr": 0.2}], ["lr=0.1, mixing=A", "lr=0.2, mixing=B"]),
        ([{"mixing": "A()"}, {"mixing": "A()", "lr": 0.2}], ["None", "0.2"]),
    ],
)
def test_names_of_groups(recipes, names):
    assert report.setting_names(recipes) == names


def test_what_differs():
    assert differing([{"a": 1, "b": 2}, {"a": 1, "b": 2}]) == []
    assert differing([{"b": 2, "a": 1}, {"a": 1, "b": 3, "c": 0}, {"a": 1, "b": 2}]) == ["b", "c"]


# ---------------------------------------------------------------------------------------------------------- cautions


def told(groups: list[report.Group]) -> list[str]:
    """The cautions but for the last one, which is always there."""
    *others, always = cautions(groups)
    assert "lowest error on the test set itself" in always
    return others


def test_nothing_is_said_of_a_clean_comparison(tmp_path):
    assert told(groups_of(*make_comparison(tmp_path))) == []


def test_too_few_seeds(tmp_path):
    runs = make_comparison(tmp_path)
    (caution,) = [text for text in told(groups_of(*runs[:5])) if "Fewer" in text]
    assert "CutMix (n = 2)" in caution
    assert "NoMixing" not in caution


def test_a_seed_run_again_is_not_one_more_seed(tmp_path):
    runs = make_comparison(tmp_path)
    groups = groups_of(*runs[:5], make_run(tmp_path / "again", 2.0, seed=1, mixing=CUTMIX))
    assert any("CutMix (n = 2)" in text for text in told(groups))


def test_seeds_that_are_not_the_same(tmp_path):
    runs = make_comparison(tmp_path)
    other = make_run(tmp_path / "other", 2.0, seed=7, mixing=CUTMIX)
    assert told(groups_of(*runs[:5], other)) == [
        "The groups were not run with the same seeds (NoMixing: 0, 1, 2; CutMix: 0, 1, 7)."
    ]


def test_a_seed_run_twice_counts_once(tmp_path):
    runs = make_comparison(tmp_path)
    groups = groups_of(*runs, make_run(tmp_path / "again", 2.4, seed=1, mixing=CUTMIX))
    assert told(groups) == ["CutMix has more than one run with seed 1; only the last of them is counted."]
    assert groups[1].summary(report.LAST).values == (1.0, 2.4, 3.0)


def test_more_than_one_difference(tmp_path):
    runs = make_comparison(tmp_path)
    longer = [make_run(tmp_path / f"longer{s}", 2.0 + s, s, mixing=CUTMIX, epochs=9) for s in range(3)]
    (caution,) = told(groups_of(*runs[:3], *longer))
    assert caution.startswith("The groups differ in 2 settings (epochs, mixing), so a difference in error cannot")


def test_a_difference_within_the_spread(tmp_path):
    plain = [make_run(tmp_path / f"plain{s}", last, s) for s, last in enumerate([4.0, 5.0, 9.0])]
    mixed = [make_run(tmp_path / f"mixed{s}", last, s, mixing=CUTMIX) for s, last in enumerate([3.0, 3.5, 4.0])]
    (caution,) = told(groups_of(*plain, *mixed))  # means 6.0 and 3.5, deviations 2.65 and 0.5
    assert caution.startswith("NoMixing and CutMix differ by 2.50, less than")
    assert "(standard deviation 2.65)" in caution


def test_tests_versions_and_machines_that_differ(tmp_path):
    changes = [{"test_images": 100}, {"version": "0.1.0+g9.changed"}, {"device": "cuda, A GPU"}]
    runs = make_comparison(tmp_path)
    for run, change in zip(runs, changes):
        result = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(json.dumps({**result, **change}))
    assert told(groups_of(*runs)) == [
        "The runs were tested on different numbers of images, so their errors cannot be compared.",
        "The runs were made with different versions of the code: 0.1.0+g123, 0.1.0+g9.changed.",
        "Some runs were made with changes to the code that its commit does not hold.",
        "The runs were made on different machines, so their times cannot be compared.",
    ]


# ------------------------------------------------------------------------------------------------- folders and errors


def test_runs_are_found_in_folders_and_in_folders_of_folders(tmp_path):
    runs = [make_run(tmp_path / "runs" / name) for name in ("b", "a")]
    assert find_runs([tmp_path / "runs"]) == [runs[1], runs[0]]
    assert find_runs([runs[0], tmp_path / "runs"]) == runs
    with pytest.raises(UsageError, match="there is no run in .*: a run's folder holds a recipe.json"):
        find_runs([tmp_path])


def test_a_run_given_twice_is_refused(tmp_path):
    run = make_run(tmp_path / "run")
    with pytest.raises(UsageError, match="given twice"):
        write_report([run, tmp_path / "x" / ".." / "run"], tmp_path / "out")
    with pytest.raises(UsageError, match="at least one run folder"):
        write_report([], tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("recipe.json", None, "does not hold a run: it has no recipe.json"),
        ("recipe.json", "[1]", "cannot read .*recipe.json"),
        ("metrics.jsonl", '{"epoch": 1}\n{"epo', "cannot read .*metrics.jsonl"),
        (
            "result.json",
            '{"test_images": 3}',
            "result.json lacks test_error_top1_last, test_error_top1_best, version, dev",
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, words):
    run = make_run(tmp_path / "run")
    (run / name).unlink()
    if content is not None:
        (run / name).write_text(content)
    with pytest.raises(CutmixError, match=words):
        write_report([run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CutmixError, match="cannot write .*file"):
        write_report([make_run(tmp_path / "run")], tmp_path / "file")


def test_a_report_needs_no_torch(tmp_path):
    make_comparison(tmp_path / "runs")
    code = (
        "import sys; from pathlib import Path; from cutmix.report import find_runs, write_report\n"
        "write_report(find_runs([Path(sys.argv[1])]), Path(sys.argv[2]))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "runs", tmp_path / "out"], check=True)
    assert (tmp_path / "out" / "report.html").exists()
