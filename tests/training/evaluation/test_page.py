"""The page: complete, self-contained, and safe whatever the data are called."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cytodino.common.provenance import RESEARCH_USE
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.evaluation._page import KEY_FIGURES, render
from napari_cytodino.training.evaluation.report import About
from napari_cytodino.training.metrics.scores import all_scores
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.labelled import LabelledPredictions

MLL = Taxonomy.load("mll21")
VOID = {"meta", "img"}


class Page(HTMLParser):
    """Follows the tree, so that a tag left open is found."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


def results(groups: bool = False, title: str = "A try", lab: str = "west") -> Any:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 21, 120)
    logits = rng.standard_normal((120, 21)).astype(np.float32)
    logits[np.arange(120), targets] += 3
    cells = LabelledPredictions(
        targets,
        logits,
        np.where(np.arange(120) % 2, "east", lab),
        groups=np.array([f"p{i % 12}" for i in range(120)]) if groups else None,
    )
    about = About(title, "demo", "ab" * 32, "image-level split, test part", "cd" * 32)
    return {
        "notice": RESEARCH_USE,
        "about": {**asdict(about), "taxonomy": "mll21"},
        **all_scores(cells, MLL, DecisionPolicy()),
    }


@pytest.fixture(scope="module")
def found() -> Any:
    return results()


@pytest.fixture(scope="module")
def page(found: Any, tmp_path_factory: pytest.TempPathFactory) -> Page:
    path: Path = tmp_path_factory.mktemp("page") / "one.png"
    path.write_bytes(b"not looked at")
    return parse(render(found, MLL, [(path, "in words", "below")]))


def test_it_loads_and_runs_nothing(page: Page) -> None:
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "a", "base", "form"}
    for _, attrs in page.tags:
        assert not any(name.startswith("on") for name in attrs)
        for name in ("src", "href", "srcset"):
            assert (attrs.get(name) or "data:").startswith("data:")
    style = "".join(t for t in page.text if "--paper" in t)
    assert "url(" not in style
    assert "@import" not in style
    policies = [a for t, a in page.tags if a.get("http-equiv")]
    assert "default-src 'none'" in str(policies[0]["content"])


def test_it_is_readable_by_eye_and_by_ear(page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert dict(page.tags)["html"] == {"lang": "en"}
    assert tags.count("h1") == tags.count("main") == 1
    assert tags.count("table") == tags.count("caption") >= 6
    assert all(attrs.get("scope") for tag, attrs in page.tags if tag == "th")
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
    assert any("prefers-color-scheme: dark" in text for text in page.text)


def contrast(one: str, two: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((light(one), light(two)))
    return (high + 0.05) / (low + 0.05)


def test_both_colour_schemes_can_be_read(page: Page) -> None:
    style = "".join(t for t in page.text if "--paper" in t)
    schemes = re.findall(r":root \{([^}]*)\}", style)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for ink in ("ink", "faint"):
            # WCAG 2.2, 1.4.3: at least 4.5 for text of this size
            for paper in ("paper", "soft"):
                assert contrast(colours[ink], colours[paper]) >= 4.5


def test_it_says_what_where_and_what_for(page: Page, found: Any) -> None:
    text = "".join(page.text)
    assert text.count(RESEARCH_USE) == 2
    for wanted in (
        "image-level split",
        "ab" * 32,
        "cd" * 32,
        "mll21",
        "120 test cells",
    ):
        assert wanted in text
    for row in found["summary"]:
        assert row["title"] in text
        assert row["definition"] in text
    for row in found["per_class"]:
        assert f"{row['name']} ({row['code']})" in text
    keys = {row["key"]: row for row in found["summary"]}
    assert set(KEY_FIGURES) <= set(keys)
    assert f"{keys['weighted_f1']['value']:.3f}" in text


def test_critical_classes_have_a_table_of_their_own(page: Page) -> None:
    text = "".join(page.text)
    table = text[text.index("What must not be missed") :].split("Every class")[0]
    named = {c.code for c in MLL.classes if f"({c.code})" in table}
    assert named == {c.code for c in MLL.classes if c.risk == "critical"}


def test_names_from_data_are_no_markup() -> None:
    evil = '</title><script>alert("&")</script>'
    odd = replace(MLL.classes[0], name="Eosinophil & 'odd' \"one\"")
    taxonomy = replace(MLL, classes=(odd, *MLL.classes[1:]))
    found = results(title=evil, lab=evil)
    found["per_class"][0]["name"] = odd.name
    page = parse(render(found, taxonomy, []))
    assert "script" not in {tag for tag, _ in page.tags}
    text = "".join(page.text)
    assert text.count(evil) >= 3
    assert odd.name in text


def poisoned(value: Any, evil: str) -> Any:
    """Return a value of JSON whose texts are all evil, but those that are codes."""
    if isinstance(value, dict):
        codes = ("key", "code", "risk", "versions")
        return {
            name: one if name in codes else poisoned(one, evil)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [poisoned(one, evil) for one in value]
    return evil if isinstance(value, str) else value


def test_no_text_at_all_is_markup_or_hidden() -> None:
    evil = (
        "\"><script>alert(1)</script><img src=x onerror=alert(1)>'&\x00\ud800\u202e\r"
    )
    found = poisoned(results(groups=True), evil)
    found["about"] |= {"versions": {evil: evil}, "notes": [evil]}
    found["by_source"] = {evil * n: found["by_source"]["east"] for n in (1, 2)}
    found["stage_kappas"] = {evil: {"kappa": None, "n": 0}}
    html = render(found, MLL, [(Path(__file__), evil, evil)])
    page = parse(html)
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 1
    assert images[0]["alt"] == evil[:-4] + 4 * "\ufffd"
    assert "script" not in {tag for tag, _ in page.tags}
    assert "".join(page.text).count("<script>alert(1)</script>") >= 30
    html.encode("utf-8")
    kinds = {unicodedata.category(letter) for letter in set(html) - {"\n"}}
    assert not any(kind.startswith("C") for kind in kinds)


def test_the_units_of_the_intervals_are_told() -> None:
    alone = "".join(parse(render(results(), MLL, [])).text)
    assert "bootstrap samples of cells" in alone
    together = "".join(parse(render(results(groups=True), MLL, [])).text)
    assert "bootstrap samples of groups" in together
    assert re.search(r"Patients or groups\s*12\b", together)
