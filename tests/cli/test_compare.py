"""``cutmix compare`` as a user types it, where nothing has to be trained."""

from __future__ import annotations

import json

import pytest

from cutmix.cli import main


def test_existing_runs_are_compared(tmp_path, make_comparison, capsys):
    runs = [str(run) for run in make_comparison(tmp_path / "runs")]
    assert main(["compare", *runs, "--out", str(tmp_path / "out"), "--baseline", "mixed0"]) == 0
    out = capsys.readouterr().out
    assert "difference to CutMix (95 % interval)" in out
    assert "+3.50 (+1.35 to +5.65)" in out
    assert (tmp_path / "out" / "report.html").exists()


def test_tables_are_updated(tmp_path, make_comparison, capsys):
    assert main(["compare", str(tmp_path / "runs"), "--out", str(tmp_path)]) == 2  # a name that is no recipe
    make_comparison(tmp_path / "runs")
    assert main(["compare", str(tmp_path / "runs"), "--out", str(tmp_path)]) == 0
    document = tmp_path / "a.md"
    document.write_text("<!-- table: results.jsonl -->\n<!-- end of table -->\n")
    capsys.readouterr()
    for said in ("changed", "as it was"):
        assert main(["compare", "--update", str(document)]) == 0
        assert capsys.readouterr().out == f"{document}: {said}\n"
    assert "| CutMix | 3 |" in document.read_text()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([], "say what to compare"),
        (["RUNS", "small.digits"], "small.digits is no folder"),
        (["RUNS", "--seeds", "3"], "--seeds is for recipes that are to be run"),
        (["RUNS", "--lr", "0.1"], "--lr is for recipes that are to be run"),
        (["RUNS", "--backbone-model", "x"], "--backbone-model is for recipes that are to be run"),
        (["RUNS", "--baseline", "CutMx"], "no group of runs is called 'CutMx'. Did you mean 'CutMix'?"),
        (["--update", "x.md", "--seeds", "3"], "runs or compares nothing else"),
        (["small.digts"], "no recipe is called 'small.digts'"),
        (["small.digits", "--vary", "mixing.alhpa=1"], "Did you mean 'alpha'?"),
    ],
)
def test_misuse_is_answered(tmp_path, make_comparison, capsys, words, answer):
    make_comparison(tmp_path / "runs")
    words = [str(tmp_path / "runs") if word == "RUNS" else word for word in words]
    assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 2
    assert answer in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--baseline", "b"], "no group of runs is called 'b'. There are: NoMixing, CutMix."),
        (["--out", "file/there"], "cannot write to file/there: "),
    ],
)
def test_what_would_be_a_mistake_at_the_end_is_found_before_anything_runs(
    tiny_arrays, tmp_path, monkeypatch, capsys, words, answer
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for name, mixing in {"a": "NoMixing()", "c": "CutMix()"}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"data": f"arrays:{tiny_arrays}", "mixing": mixing}))
    assert main(["compare", "a.json", "c.json", "--quiet", *words]) == 2
    assert answer in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_transfers_that_have_ended_are_compared_and_reported_beside_the_papers_numbers(tmp_path, make_transfer, capsys):
    from cutmix.recipes.names import find_transfer

    for name, scores in {"ssd300": (70.0, 60.0), "ssd300_cutmix": (61.0, 63.25)}.items():
        settings = {**find_transfer(f"detection.{name}").as_dict(), "seed": 4}
        make_transfer(tmp_path / "runs" / name, scores, **settings)
    words = [str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main(["compare", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [lines[1].split()[-1], *lines[2].split()[-2:]] == ["76.70", "77.60", "(+0.90)"]
    assert "+3.25 (one pair: no interval)" in lines[2]
    assert main(["report", *words]) == 0
    assert "77.60 (+0.90)" in (tmp_path / "out" / "report.md").read_text()
