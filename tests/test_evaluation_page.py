"""The page of an evaluation: what it says, that it needs nothing but itself, and that it works in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cutmix.errors import CutmixError
from cutmix.evaluation_page import write_evaluation_page


def number(value: float, unit: str = "%", n: int = 200, interval: Any = None) -> dict[str, Any]:
    return {"kind": "number", "value": value, "n": n, "unit": unit, "interval": interval}


def network(name: str, mixing: str | None, seed: int, top1: float, **values: dict[str, Any]) -> dict[str, Any]:
    recipe = None if mixing is None else {"mixing": mixing, "seed": seed, "lr": 0.1}
    curve = {
        "kind": "curve",
        "x": [10.0, 90.0],
        "y": [20.0, top1],
        "x_name": "confidence (%)",
        "y_name": "accuracy (%)",
    }
    rows = [["cat", 1000, 9.5], ["dog", 20, 80.25], ["<i>owl</i>", 3, None], ["ape", 100, 7.0]]
    table = {"kind": "table", "columns": ["class", "images", "recognised (%)"], "rows": rows}
    fixed = {
        "probe/top1": number(top1, interval=[top1 - 1, top1 + 1]),
        "probe/nll": number(1.23456, unit=""),
        "probe/fog": number(40.0),
        "probe/frost": number(60.0),
        "probe/curve": curve,
        "probe/table": table,
        "probe/gallery": {"kind": "picture", "caption": "Where it looked", "file": "pictures/cam.png"},
    }
    data = {"spec": "cifar10", "name": "cifar10", "note": "", "test_images": 200, "asked": 200, "classes": 3,
            "image_size": 32, "fingerprint": "ff"}  # fmt: skip
    return {
        "name": name, "source": f"runs/{name}", "checkpoint": f"runs/{name}/last.pth.tar", "model": "ResNet(depth=20)",
        "parameters": 272474, "key": name, "recipe": recipe, "data": data, "paper": {}, "seconds": {"probe": 12.34},
        "values": {**fixed, **values},
    }  # fmt: skip


SOMETHING = f"Something else, {'which takes some words to say ' * 6}and more."
PROBE = {
    "name": "probe",
    "call": "ProbeNetworks(bins=4)",
    "asks": "What is it?",
    "headline": ["probe/top1"],
    "bars": ["probe/f*"],
    "about": {
        "probe/top1": "Images that are right. More words.",
        "probe/*": SOMETHING,
    },
}


def write(folder: Path, *networks: dict[str, Any], **changes: Any) -> Path:
    settings = {"version": "0.1.0+gabc", "seed": 0, "limit": None, "data": None, "questions": ["ProbeNetworks(bins=4)"]}
    content = {
        "format": 1, "command": "cutmix evaluate runs/a </script>", "settings": settings, "machine": "cpu, 2 threads",
        "date": "2026-01-02T03:04:05+00:00", "questions": [PROBE], "networks": list(networks), **changes,
    }  # fmt: skip
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(folder / "pictures" / "cam.png")
    (folder / "evaluation.json").write_text(json.dumps(content))
    return write_evaluation_page(folder)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_one_network_shows_its_interval_and_the_first_sentence_of_the_definition(tmp_path):
    text = text_of(write(tmp_path, network("a-s0", "CutMix(alpha=1.0)", 0, 71.5)))
    assert "<h1>a-s0 on cifar10</h1>" in text
    assert ">71.50 % [70.50, 72.50]</td>" in text
    assert "<td>Images that are right.</td>" in text  # short; a longer one is marked as words
    assert "Images that are right. More words." in text
    assert ">1.235</td>" in text
    assert "<h2>Probe networks</h2>" in text
    assert "cutmix evaluate runs/a &lt;/script&gt;" in text


def test_seeds_of_a_recipe_are_one_column_with_mean_and_deviation(tmp_path):
    nets = [network(f"c-s{seed}", "CutMix(alpha=1.0)", seed, top1) for seed, top1 in enumerate((70.0, 73.0))]
    text = text_of(write(tmp_path, *nets, network("n-s0", "NoMixing()", 0, 60.0)))
    assert "<h1>CutMix, NoMixing on cifar10</h1>" in text
    assert ">71.50 ± 2.12 %</td>" in text
    assert ">60.00 % [59.00, 61.00]</td>" in text
    assert "Fewer than 3 seeds" in text
    assert "CutMix, seed 1" in text  # in the charts


def test_a_network_whose_training_is_not_known_stands_for_itself(tmp_path):
    text = text_of(write(tmp_path, network("a.pth", None, 0, 70.0), network("b.pth", None, 0, 73.0)))
    assert "<h1>a.pth, b.pth on cifar10</h1>" in text
    assert "±" not in text.partition("Mean ±")[0]


def test_the_papers_numbers_stand_beside_ours_where_there_are_any(tmp_path):
    net = network("a", "CutMix(alpha=1.0)", 0, 71.5)
    net["paper"] = {"probe/top1": {"value": 85.53, "table": "table 5"}}
    assert ">85.53 (table 5)</td>" in text_of(write(tmp_path, net))
    assert "the paper<" not in text_of(write(tmp_path / "none", network("a", "CutMix(alpha=1.0)", 0, 71.5)))


def test_what_is_missing_drawn_or_noted_is_told_first(tmp_path):
    net = network("a", "CutMix()", 0, 71.5, **{
        "probe/extra": {"kind": "missing", "reason": "install cutmix[attacks]"},
        "probe/shared": {"kind": "note", "text": "5 images are in both sets"},
    })  # fmt: skip
    net["data"] |= {"asked": 50, "note": "20 % of the pictures were drawn"}
    text = text_of(write(tmp_path, net))
    first = text.partition("Read this first")[2].partition("</ul>")[0]
    for told in (
        "Only 50 of the 200 test images",
        "Missing: probe/extra: install cutmix[attacks]",
        "5 images are in both sets",
        "20 % of the pictures were drawn",
        "An interval in brackets",
    ):
        assert told in first


def test_networks_that_were_not_asked_about_the_same_images_are_told(tmp_path):
    other = network("b", "Mixup()", 0, 60.0)
    other["data"]["fingerprint"] = "ee"
    text = text_of(write(tmp_path, network("a", "CutMix()", 0, 71.5), other))
    assert "not asked about the same images" in text


def test_a_number_that_one_network_lacks_is_that_of_the_others(tmp_path):
    """Its name may stand for why it is missing; charts keep a bar for what all of them have."""
    missing = {"kind": "missing", "reason": "not there"}
    first = network("c-s0", "CutMix()", 0, 70.0, **dict.fromkeys(("probe/top1", "probe/fog", "probe/curve"), missing))
    first["values"] |= {"probe/table": missing, "probe/gallery": missing}
    text = text_of(write(tmp_path, first, network("c-s1", "CutMix()", 1, 73.0), network("n", "NoMixing()", 0, 60.0)))
    assert ">73.00 % [72.00, 74.00] (n = 1 of 2)</td>" in text
    assert ">60.00 % [59.00, 61.00]</td>" in text
    assert "probe/f* (%)" not in text  # frost alone is no chart


def test_two_networks_of_one_seed_are_told_and_counted_once(tmp_path):
    nets = [
        network(name, "CutMix()", seed, top1) for name, seed, top1 in (("a", 0, 70.0), ("b", 0, 72.0), ("c", 1, 75.0))
    ]
    text = text_of(write(tmp_path, *nets))
    assert "2 networks of CutMix have seed 0: only the last of them counts." in text
    assert ">73.50 ± 2.12 % (n = 2 of 3)</td>" in text


def test_classes_that_were_compared_by_their_number_are_told(tmp_path):
    net = network("official.pth", None, 0, 70.0)
    net |= {"classes_compared_by": "number", "note": "Its library shows it larger photos."}
    text = text_of(write(tmp_path, net))
    assert "that they are those of cifar10, in the same order, is taken from their number, 3." in text
    assert "Its library shows it larger photos." in text
    net["classes_compared_by"] = "name"
    assert "is taken from their number" not in text_of(write(tmp_path, net))


def test_the_json_is_inside_and_nothing_is_outside(tmp_path):
    text = text_of(write(tmp_path, network("a", "CutMix()", 0, 71.5)))
    embedded = re.search(r'<script type="application/json" id="result">(.*?)</script>', text, re.DOTALL)[1]
    assert json.loads(embedded) == json.loads((tmp_path / "evaluation.json").read_text())
    outside = re.findall(r'(?:src|href)\s*=\s*"(?!data:|#)[^"]*"|url\(|@import|https?://', text)
    assert outside == []
    assert "<i>owl" not in text.replace(embedded, "")


def test_a_comment_in_the_json_does_not_keep_its_script_open(tmp_path):
    """After a comment's beginning and another script's, the end of this one would not count as its end."""
    command = "cutmix evaluate '<!--<script>' '<!--BODY-->'"
    text = text_of(write(tmp_path, network("a", "CutMix()", 0, 71.5), command=command))
    assert "<!--" not in text.replace("<!doctype", "")
    embedded = re.search(r'<script type="application/json" id="result">(.*?)</script>', text, re.DOTALL)[1]
    assert json.loads(embedded)["command"] == command


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(CutmixError, match=r"cannot read .*evaluation\.json"):
        write_evaluation_page(tmp_path)
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(CutmixError, match="is not the result of an evaluation"):
        write_evaluation_page(tmp_path)


# --------------------------------------------------------------------------------------------------- in a real browser


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    nets = [network(f"c-s{seed}", "CutMix(alpha=1.0)", seed, 70.0 + seed) for seed in range(2)]
    return write(tmp_path_factory.mktemp("page"), *nets, network("a-long-name-of-a-run-s0", "NoMixing()", 0, 60.0))


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking",
                 "disable-component-update", "no-first-run", "host-resolver-rules=MAP * ~NOTFOUND"):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    yield driver
    driver.quit()


def opened(browser, page: Path, width: int = 1100):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    return browser


def test_the_page_opens_without_errors_and_asks_for_nothing(browser, page):
    browser.get_log("performance")
    opened(browser, page)
    assert browser.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith("data:")} <= {page.as_uri()}


def test_a_click_on_a_columns_name_sorts(browser, page):
    opened(browser, page)
    browser.execute_script("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    tables = browser.find_elements("css selector", "table.sort")
    table = next(table for table in tables if "recognised" in table.text)
    head = {th.text: th.find_element("tag name", "button") for th in table.find_elements("tag name", "th")}

    def column(at: int) -> list[str]:
        return [row.find_elements("tag name", "td")[at].text for row in table.find_elements("css selector", "tbody tr")]

    head["images"].click()
    assert column(1) == ["3", "20", "100", "1,000"]  # as numbers, not as text
    head["images"].click()
    assert column(1) == ["1,000", "100", "20", "3"]
    head["recognised (%)"].click()
    assert column(2) == ["7", "9.5", "80.25", ""]
    head["recognised (%)"].click()
    assert column(2) == ["80.25", "9.5", "7", ""]  # what is not known stays last
    head["class"].click()
    assert column(0) == ["<i>owl</i>", "ape", "cat", "dog"]
    assert table.find_elements("tag name", "th")[0].get_attribute("aria-sort") == "ascending"


def test_a_click_enlarges_and_another_closes(browser, page):
    opened(browser, page)
    dialog = browser.find_element("id", "large")
    for kind in ("img", "svg"):
        small = browser.find_element("css selector", f"button.zoom > {kind}")
        before = small.rect["width"]
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", small)
        small.click()
        assert dialog.is_displayed()
        assert dialog.find_element("css selector", kind).rect["width"] > before
        dialog.click()
        assert not dialog.is_displayed()
    browser.find_element("css selector", "button.zoom").send_keys("\n")  # without a mouse
    assert dialog.is_displayed()
    browser.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert not dialog.is_displayed()


def test_a_phone_needs_no_sideways_scrolling(browser, page):
    opened(browser, page, width=375)
    browser.execute_script("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 375
    tall = browser.execute_script("return Math.max(...[...document.querySelectorAll('td')].map(e => e.offsetHeight))")
    assert tall < 200  # words do not become a thin column
    small = browser.execute_script(
        "return [...document.querySelectorAll('p, li, td, summary')].filter("
        "e => parseFloat(getComputedStyle(e).fontSize) < 12).length"
    )
    assert small == 0


def test_everything_is_open_on_paper(browser, page):
    opened(browser, page)
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    folds = browser.find_elements("tag name", "details")
    assert folds
    assert all(fold.get_attribute("open") for fold in folds)
    assert len(browser.print_page()) > 10_000  # a PDF comes out


def test_the_json_can_be_read_back_in_the_page(browser, page):
    opened(browser, page)
    script = "return JSON.parse(document.getElementById('result').textContent).networks.length"
    assert browser.execute_script(script) == 3
