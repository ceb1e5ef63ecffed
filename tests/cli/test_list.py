"""The lists as a user asks for them."""

from __future__ import annotations

import json

from cutmix.cli import main


def test_recipes_are_listed_with_the_papers_numbers(capsys):
    assert main(["list", "recipes"]) == 0
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("cifar100.pyramidnet200_cutmix ")]
    assert line.split()[1:7] == ["5,", "8,", "fig3", "14.47", "/", "2.97"]


def test_a_table_is_chosen_and_implies_recipes(capsys):
    assert main(["list", "recipes", "--table", "7"]) == 0
    chosen = capsys.readouterr().out
    assert main(["list", "--table", "7"]) == 0
    assert capsys.readouterr().out == chosen
    assert chosen.count("cifar10.pyramidnet200") == 5
    assert "cifar100" not in chosen


def test_json_is_one_list_or_a_list_for_each(capsys, tmp_path):
    assert main(["list", "recipes", "--table", "5", "--filter", "mixup", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["paper"]["values"]["top1"] for row in found] == [15.78, 15.63, 16.14, 15.46, 15.09]
    assert main(["list", "--json", "--data-root", str(tmp_path)]) == 0
    lists = json.loads(capsys.readouterr().out)
    assert {"recipes", "methods", "models", "data"} <= set(lists)
    assert {"name": "PyramidNet", "about": "x"}.keys() == lists["models"][0].keys()


def test_a_table_is_asked_for_of_recipes_only(capsys):
    assert main(["list", "models", "--table", "5"]) == 2
    assert "cutmix list recipes --table 5" in capsys.readouterr().err
    assert main(["list", "recipes", "--table", "50"]) == 2
    out, err = capsys.readouterr()
    assert "no recipe stands in table '50'" in err
    assert not out


def test_a_terminal_gets_wrapped_lines(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["list", "recipes", "--table", "8"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 90
