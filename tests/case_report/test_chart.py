"""The chart's bars are as long as the shares they stand for, and are named."""

import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest

from napari_cytodino.case_report._chart import LEFT, WIDTH, lineage_chart
from napari_cytodino.common.html import render_html
from napari_cytodino.results.differential_count import count_cells
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")


def drawn(final, model=None):
    codes = [code for code, n in final.items() for _ in range(n)]
    frame = pd.DataFrame({"final_class": codes, "status": "auto"})
    frame["reviewed_class"] = ""
    frame["cell_class"] = (
        codes if model is None else [c for c, n in model.items() for _ in range(n)]
    )
    found = count_cells(frame, TAXONOMY)
    chart = lineage_chart(found)
    svg = render_html("case_report/chart.html", chart=chart) if chart else ""
    return found, ET.fromstring(svg) if svg else None  # noqa: S314


def texts(tree):
    return [node.text for node in tree.iter("text")]


def bars(tree, fill):
    return [float(r.get("width")) for r in tree.iter("rect") if r.get("fill") == fill]


def test_bars_are_true_to_scale():
    _, tree = drawn(
        {"BLA": 20, "NGS": 30, "EBO": 50}, {"BLA": 10, "NGS": 30, "EBO": 60}
    )
    end = max(int(t.split()[0]) for t in texts(tree) if re.fullmatch(r"\d+ %", t))
    unit = WIDTH / end
    colour = {c.code: c.colour for c in TAXONOMY.classes}
    for code, percent in (("BLA", 20), ("NGS", 30), ("EBO", 50)):
        assert bars(tree, colour[code]) == [pytest.approx(percent * unit, abs=0.1)]
    hatched = [w for w in bars(tree, "url(#hatch)") if w]
    assert hatched == pytest.approx([40 * unit, 60 * unit], abs=0.1)
    # blasts, then segmented, without a gap
    edges = [
        (float(r.get("x")), float(r.get("width")))
        for r in tree.iter("rect")
        if r.get("fill") in (colour["BLA"], colour["NGS"])
    ]
    assert edges[0][0] == LEFT
    assert edges[1][0] == pytest.approx(sum(edges[0]), abs=0.1)


def test_every_lineage_and_wide_class_is_named():
    found, tree = drawn({"BLA": 200, "NGS": 250, "EBO": 50, "BAS": 1})
    said = texts(tree)
    for line in found.lineages:
        assert (line.name in said) == line.counted
    assert {"BLA", "NGS"} <= set(said)
    assert "BAS" not in said
    assert f"{found.lineages[0].reviewed.percent:.1f} %" in said
    low, high = found.lineages[0].reviewed.interval
    assert f"{low:.1f} to {high:.1f}" in said
    assert "Granulocytic (neutrophil series) 89.8 %, model alone" in tree.get(
        "aria-label"
    )


def test_nothing_leaves_the_drawing():
    for cells in (
        {"NGS": 1},
        {"NGS": 3000, "BAS": 1},
        dict.fromkeys(TAXONOMY.codes, 1),
    ):
        _, tree = drawn(cells)
        _, _, width, height = map(float, tree.get("viewBox").split())
        for rect in tree.iter("rect"):
            x = float(rect.get("x") or 0)
            assert 0 <= x <= x + float(rect.get("width")) <= width
            assert float(rect.get("y") or 0) < height
        whiskers = [
            float(n)
            for p in tree.iter("path")
            for n in re.findall(r"H([\d.]+)", p.get("d"))
        ]
        assert max(whiskers) <= LEFT + WIDTH + 0.1


def test_a_code_stands_clear_of_the_whisker():
    found, tree = drawn({"LYT": 60, "PLM": 12, "NGS": 28})
    low = next(line for line in found.lineages if line.key == "lymphoid").reviewed
    unit = WIDTH / max(
        int(t.split()[0]) for t in texts(tree) if re.fullmatch(r"\d+ %", t)
    )
    start = LEFT + low.interval[0] * unit
    codes = {t.text: float(t.get("x")) for t in tree.iter("text") if t.text in TAXONOMY}
    assert codes["LYT"] < start - 10
    assert "PLM" not in codes


def test_no_chart_of_nothing():
    found, chart = drawn({"ART": 3})
    assert (found.total, chart) == (0, None)


def test_a_model_that_counts_nothing():
    _, tree = drawn({"NGS": 2}, {"ART": 2})
    assert bars(tree, "url(#hatch)") == []
    assert "model alone – %" in tree.get("aria-label")
