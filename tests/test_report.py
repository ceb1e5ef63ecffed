"""The report: numbers worked out by hand, cautions that fire when they should, a page that needs nothing beside it."""

from __future__ import annotations

import base64
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
from cutmix.measures import TOP1
from cutmix.report import update_tables, write_comparison, write_report
from cutmix.runs import find_runs, grouped, read_runs, shared_measure

CUTMIX = "CutMix(alpha=1.0, prob=0.5)"


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


def test_the_table_by_hand(tmp_path, make_comparison):
    html, markdown = write_report(make_comparison(tmp_path / "runs"), tmp_path / "out")
    # 4, 5, 9: mean 6, squares 4 + 1 + 9 = 14 over 2 is 7; 1, 2, 4.5: mean 2.5, deviation 1.80; the best are one less
    plain = ["NoMixing", "3", "6.00 ± 2.65", "0: 4.00, 1: 5.00, 2: 9.00", "5.00 ± 2.65", "0: 3.00, 1: 4.00, 2: 8.00"]
    mixed = ["CutMix", "3", "2.50 ± 1.80", "0: 1.00, 1: 2.00, 2: 4.50", "1.50 ± 1.80", "0: 0.00, 1: 1.00, 2: 3.50"]
    page = Page(html.read_text())
    assert page.open == []
    assert page.rows[0][4] == "best epoch, chosen on the test set"
    assert page.rows[1:3] == [plain, mixed]
    assert "| " + " | ".join(mixed) + " |" in markdown.read_text()
    assert "2,000 images: one image is 0.05 percent" in page.text


def test_the_page_opens_offline_and_the_document_finds_its_pictures(tmp_path, make_comparison):
    html, markdown = write_report(make_comparison(tmp_path / "runs"), tmp_path / "out")
    sources = Page(html.read_text()).sources
    assert len(sources) == 5
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    linked = re.findall(r"!\[.*?\]\((.*?)\)", markdown.read_text())
    assert linked == ["learning_curves.png", "test_error_top1.png", "train_loss.png", "first_batch_1.png",
                      "first_batch_2.png"]  # fmt: skip
    files = sorted(file.name for file in html.parent.iterdir())
    assert files == sorted([*linked, "report.html", "report.md"])
    assert (html.parent / "first_batch_1.png").read_bytes() == (tmp_path / "runs/plain0/first_batch.png").read_bytes()


def test_settings_times_machine_and_commands_are_told(tmp_path, make_comparison):
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


def test_the_title_says_what_is_compared(tmp_path, make_comparison):
    html, markdown = write_report(make_comparison(tmp_path / "runs"), tmp_path / "out")
    assert "<title>digits: NoMixing, CutMix</title>" in html.read_text()
    assert markdown.read_text().startswith("# digits: NoMixing, CutMix\n")


def test_curves_show_one_line_a_run_up_to_where_methods_part(tmp_path, monkeypatch, make_comparison):
    calls = {}
    monkeypatch.setattr(
        report, "runs_picture", lambda runs, key, path, label, top=None: calls.update({key: (runs, top)})
    )
    list(report._curves(grouped(read_runs(make_comparison(tmp_path / "runs"))), TOP1, tmp_path))
    runs, top = calls["test_error_top1"]
    assert {name: [run[1]["test_error_top1"] for run in members] for name, members in runs.items()} == {
        "NoMixing": [4.0, 5.0, 9.0], "CutMix": [1.0, 2.0, 4.5]
    }  # fmt: skip
    assert top == 36  # four times the largest last error
    assert calls["train_loss"][1] is None


def test_words_of_the_user_are_never_taken_for_markup(tmp_path, make_run):
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


def test_a_run_that_has_not_ended_is_named_and_not_counted(tmp_path, make_run):
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


def test_a_report_of_runs_that_have_all_just_begun_can_be_written(tmp_path, make_run):
    run = make_run(tmp_path / "run")
    (run / "result.json").unlink()
    html, _ = write_report([run], tmp_path / "out")
    page = Page(html.read_text())
    assert "Not ended" in page.text
    assert "<pre>" not in html.read_text()


# ------------------------------------------------------------------------------------------------- folders and errors


def test_runs_are_found_in_folders_and_in_folders_of_folders(tmp_path, make_run):
    runs = [make_run(tmp_path / "runs" / name) for name in ("b", "a")]
    assert find_runs([tmp_path / "runs"]) == [runs[1], runs[0]]
    assert find_runs([runs[0], tmp_path / "runs"]) == runs
    with pytest.raises(UsageError, match="there is no run in .*: a run's folder holds a recipe.json"):
        find_runs([tmp_path])


def test_a_run_given_twice_is_refused(tmp_path, make_run):
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
def test_what_cannot_be_read_is_named(tmp_path, name, content, words, make_run):
    run = make_run(tmp_path / "run")
    (run / name).unlink()
    if content is not None:
        (run / name).write_text(content)
    with pytest.raises(CutmixError, match=words):
        write_report([run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path, make_run):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CutmixError, match="cannot write .*file"):
        write_report([make_run(tmp_path / "run")], tmp_path / "file")


def test_a_report_needs_no_torch(tmp_path, make_comparison):
    make_comparison(tmp_path / "runs")
    code = (
        "import sys; from pathlib import Path\n"
        "from cutmix.report import write_report; from cutmix.runs import find_runs\n"
        "write_report(find_runs([Path(sys.argv[1])]), Path(sys.argv[2]))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "runs", tmp_path / "out"], check=True)
    assert (tmp_path / "out" / "report.html").exists()


# ------------------------------------------------------------------------------------------- the files of a comparison


def test_a_comparison_writes_everything_and_the_same_again(tmp_path, make_comparison):
    runs, out = make_comparison(tmp_path / "runs"), tmp_path / "out"
    text = write_comparison(runs, out)
    assert "CutMix    3      2.50 ± 1.80  -3.50 (-5.65 to -1.35)" in text
    assert (out / "compare.txt").read_text() == text
    document = (out / "compare.md").read_text()
    assert "| CutMix | 3 | 2.50 ± 1.80 | -3.50 (-5.65 to -1.35) |" in document
    assert "- The best epoch is the one with the lowest error on the test set itself" in document
    assert json.loads((out / "compare.json").read_text())["baseline"] == "NoMixing"
    assert len((out / "compare.csv").read_text().splitlines()) == 3
    assert len((out / "results.jsonl").read_text().splitlines()) == 6 * 3
    assert "Against NoMixing" in (out / "report.html").read_text()
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write_comparison(runs, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_baseline_of_a_comparison_can_be_chosen(tmp_path, make_comparison):
    write_comparison(make_comparison(tmp_path / "runs"), tmp_path / "out", baseline="CutMix")
    assert "| NoMixing | 3 | 6.00 ± 2.65 | +3.50 (+1.35 to +5.65) |" in (tmp_path / "out" / "compare.md").read_text()


def test_tables_are_made_again_from_records(tmp_path, make_comparison):
    write_comparison(make_comparison(tmp_path / "runs"), tmp_path / "out")
    end = "<!-- end of table -->\nAfter.\n"
    plain, other = "<!-- table: out/results.jsonl -->\n", "<!-- table: out/results.jsonl baseline: CutMix -->\n"
    document = tmp_path / "results.md"
    document.write_text(f"Before.\n{plain}old{end}{other}{end}")
    assert update_tables(document)
    text = document.read_text()
    table = (tmp_path / "out" / "compare.md").read_text().partition("\n\n- ")[0]
    assert text.startswith(f"Before.\n{plain}{table}\n{end}{other}")
    assert "| NoMixing | 3 | 6.00 ± 2.65 | +3.50 (+1.35 to +5.65) |" in text
    assert not update_tables(document)


@pytest.mark.parametrize("text", ["no mark", "<!-- table: a.jsonl -->\n and no end"])
def test_a_document_without_whole_marks_is_refused(tmp_path, text):
    (tmp_path / "a.md").write_text(text)
    with pytest.raises(UsageError, match="there must be one at least, and each must have its end"):
        update_tables(tmp_path / "a.md")


def test_records_that_are_not_there_are_named(tmp_path):
    (tmp_path / "a.md").write_text("<!-- table: gone.jsonl -->\n<!-- end of table -->")
    with pytest.raises(CutmixError, match="gone.jsonl"):
        update_tables(tmp_path / "a.md")


def test_the_tables_of_our_documents_are_those_of_their_records():
    results = Path(__file__).parents[1] / "docs" / "results" / "README.md"
    if "<!-- table:" in results.read_text():
        assert not update_tables(results)


# ---------------------------------------------------------------------------------------------------------- transfers


def test_a_page_of_transfers_by_hand(tmp_path, make_transfers):
    html, markdown = write_report(make_transfers(tmp_path / "runs"), tmp_path / "out")
    page, document = Page(html.read_text()), markdown.read_text()
    # 40, 44, 47: mean 43.67, squares 13.44 + 0.11 + 11.11 over 2 are 12.33; best 41, 44, 47: mean 44, 18 over 2 is 9
    plain = ["plain.pth.tar", "3", "43.67 ± 3.51", "0: 40.00, 1: 44.00, 2: 47.00", "44.00 ± 3.00",
             "0: 41.00, 1: 44.00, 2: 47.00"]  # fmt: skip
    assert page.rows[1] == plain
    assert ["cut.pth.tar", "+3.17 (-1.20 to +7.53)", "4.5", "+0.0 %"] in page.rows
    assert "Mean AP (VOC 2007, 11 points) on the test set" in page.text
    assert "last epoch's mean AP, taken seed by seed" in page.text
    assert "positive is better" in page.text
    assert "The test set has 72 images." in page.text
    assert not re.search("error|mixed labels", document, re.IGNORECASE)
    linked = re.findall(r"!\[.*?\]\((.*?)\)", document)
    assert linked == [
        "learning_curves.png", "mean_ap.png", "train_loss.png", "first_batch_1.png", "first_batch_2.png",
        "last_test_1_detections.png", "last_test_2_precision_recall.png",
        "last_test_3_detections.png", "last_test_4_precision_recall.png",
    ]  # fmt: skip
    assert "Precision recall: cut.pth.tar, seed 2" in page.text
    copied = (html.parent / "last_test_4_precision_recall.png").read_bytes()
    assert copied == (tmp_path / "runs/mixed2/precision_recall.png").read_bytes()


def test_a_picture_of_photos_is_copied_as_a_jpeg(tmp_path, make_transfers):
    runs = make_transfers(tmp_path / "runs")
    noise = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)  # 360,000 bytes, as PNG too
    Image.fromarray(noise).save(tmp_path / "runs/mixed2/detections.png")
    html, markdown = write_report(runs, tmp_path / "out")
    copied = html.parent / "last_test_3_detections.jpg"
    with Image.open(copied) as image:
        assert (image.format, image.size) == ("JPEG", (300, 400))
    assert copied.stat().st_size < (tmp_path / "runs/mixed2/detections.png").stat().st_size
    assert "(last_test_3_detections.jpg)" in markdown.read_text()
    assert base64.b64encode(copied.read_bytes()).decode() in html.read_text()
    assert html.read_text().count("data:image/jpeg;base64,") == 1
    assert not (html.parent / "last_test_3_detections.png").exists()


def test_scores_are_not_framed_from_above_and_have_their_axis(tmp_path, monkeypatch, make_transfers):
    calls = {}

    def noted(runs, key, path, label, top=None):
        calls[path.name] = (key, label, top)

    monkeypatch.setattr(report, "runs_picture", noted)
    monkeypatch.setattr(report, "bands_picture", noted)
    groups = grouped(read_runs(make_transfers(tmp_path / "runs")))
    list(report._curves(groups, shared_measure(groups), tmp_path))
    scores = ("mean_ap", "mean AP on the test set (%)", None)
    assert calls == {
        "learning_curves.png": scores, "mean_ap.png": scores, "train_loss.png": ("train_loss", "training loss", None)
    }  # fmt: skip


def test_scores_beside_the_main_one_have_a_table(tmp_path, make_transfer):
    runs = [
        make_transfer(tmp_path / f"{backbone}{seed}", (50.0, cider), seed, "cider",
                      {"bleu1": bleu, "train_bleu1": 99.0}, task="NIC()", backbone=backbone)
        for backbone, seed, cider, bleu in (("a", 0, 60.0, 61.5), ("a", 1, 66.0, 63.5), ("b", 0, 72.0, 64.25))
    ]  # fmt: skip
    page = Page(write_report(runs, tmp_path / "out")[0].read_text())
    place = page.rows.index(["", "BLEU-1 (× 100)"])
    assert page.rows[place + 1 : place + 3] == [["a", "62.50 ± 1.41"], ["b", "64.25"]]
    assert "CIDEr times 100" in page.text


def test_a_score_that_not_every_run_has_is_told_of_those_that_have_it(tmp_path, make_transfer):
    tests = {("a", 0): {"bleu1": 61.5, "meteor": "no library"}, ("a", 1): {"meteor": 23.25, "bleu1": float("nan")},
             ("a", 2): {"bleu1": 63.5}, ("b", 0): {"meteor": 25.0}}  # fmt: skip
    runs = [
        make_transfer(tmp_path / f"{backbone}{seed}", (50.0, 60.0), seed, "cider", test, task="NIC()",
                      backbone=backbone)
        for (backbone, seed), test in tests.items()
    ]  # fmt: skip
    page = Page(write_report(runs, tmp_path / "out")[0].read_text())
    place = page.rows.index(["", "BLEU-1 (× 100)", "METEOR (× 100)"])
    assert page.rows[place + 1 : place + 3] == [
        ["a", "62.50 ± 1.41 (n = 2)", "23.25 (n = 1)"],
        ["b", "", "25.00"],
    ]


def test_the_papers_scores_stand_beside_the_other_ones_too(tmp_path, make_transfer):
    def paper(recipe):
        return {"cider": 71.2, "bleu1": 61.4} if recipe["backbone"] == "a" else {}

    runs = [
        make_transfer(tmp_path / name, (50.0, 60.0), 0, "cider", {"bleu1": bleu, "bleu4": 2.5}, task="NIC()",
                      backbone=name)
        for name, bleu in (("a", 59.125), ("b", 64.25))
    ]  # fmt: skip
    page = Page(write_report(runs, tmp_path / "out", paper=paper)[0].read_text())
    place = page.rows.index(["", "BLEU-1 (× 100)", "BLEU-4 (× 100)"])
    assert page.rows[place + 1 : place + 3] == [["a", "59.12 (the paper: 61.40)", "2.50"], ["b", "64.25", "2.50"]]


def test_transfers_that_were_never_tested_have_a_page(tmp_path, make_transfers):
    runs = make_transfers(tmp_path / "runs")
    for run in runs:
        (run / "result.json").unlink()
        (run / "metrics.jsonl").unlink()
    html, markdown = write_report(runs, tmp_path / "out")
    assert "error" not in markdown.read_text()
    assert not (html.parent / "learning_curves.png").exists()


def test_runs_of_which_none_has_ended_are_not_called_better_when_large(tmp_path, make_run, make_transfers):
    run = make_run(tmp_path / "net")
    (run / "result.json").unlink()
    text = write_comparison([run], tmp_path / "out")
    assert "Top-1 error in percent" in text
    assert "negative is better" in text
    assert "best epoch is" not in text
    (run / "metrics.jsonl").unlink()
    text = write_comparison([run], tmp_path / "out")
    assert "No run has been tested yet" in text
    assert "is better" not in text


def test_a_comparison_of_transfers_is_made_again_from_its_records(tmp_path, make_transfers):
    def paper(recipe):
        return {"mean_ap": 76.7 if recipe["backbone"] == "plain.pth.tar" else 77.6}

    text = write_comparison(make_transfers(tmp_path / "runs"), tmp_path / "out", paper=paper)
    assert "77.60 (+0.90)" in text
    note = "with the difference to the paper's of plain.pth.tar; of which epoch, see the recipe."
    assert note in text
    assert note in Page((tmp_path / "out" / "report.html").read_text()).text
    document = tmp_path / "out" / "page.md"
    document.write_text("<!-- table: results.jsonl -->\n<!-- end of table -->\n")
    assert update_tables(document, paper)
    table = (tmp_path / "out" / "compare.md").read_text().partition("\n\n- ")[0]
    assert table in document.read_text()
    assert "| cut.pth.tar | 3 | 46.83 ± 4.65 | +3.17 (-1.20 to +7.53) | 47.33 ± 5.48 |" in table


def test_classifiers_and_transfers_have_no_page_together(tmp_path, make_run, make_transfer):
    runs = [make_run(tmp_path / "net"), make_transfer(tmp_path / "boxes")]
    with pytest.raises(UsageError, match="top-1 error: .*/net; mean AP .*compare each kind by itself"):
        write_comparison(runs, tmp_path / "out")
    assert not (tmp_path / "out").exists()
