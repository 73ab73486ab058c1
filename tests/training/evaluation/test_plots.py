"""Figures: what is drawn, read back from the drawing and from the file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.evaluation import _plots as plots
from napari_cytodino.training.evaluation._plots import Heading
from napari_cytodino.training.metrics.confidence import (
    reliability,
    risk_coverage,
    selective_figures,
)
from napari_cytodino.training.metrics.embedding_map import EmbeddingMap

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

MLL = Taxonomy.load("mll21")
HEAD = Heading("What it shows", "n = 9 cells · synthetic · image-level split")
COUNTS = np.arange(21) * 3
RNG = np.random.default_rng(0)


def words(figure: Figure) -> list[str]:
    own = [t.get_text() for t in figure.texts]
    return own + [t.get_text() for axes in figure.axes for t in axes.texts]


def confusion_of(*called: tuple[str, str, int]) -> np.ndarray:
    table = np.zeros((21, 21), np.int64)
    for target, guess, n in called:
        table[MLL.index(target), MLL.index(guess)] = n
    return table


def some_figures() -> list[Figure]:
    confidence = RNG.uniform(0.3, 1, 200)
    right = RNG.random(200) < confidence
    curve = risk_coverage(confidence, right)
    points = selective_figures(curve)["accepted_at"]
    policy = {"accepted": 50, "coverage": 0.25, "wrong": 1, "risk": 0.02}
    table = confusion_of(("BLA", "BLA", 5), ("BLA", "LYT", 2))
    views = RNG.integers(0, 255, (4, 16, 16, 3), np.uint8)
    made = EmbeddingMap(np.arange(8), RNG.random((8, 2)).astype(np.float32))
    keys = [f"purity_{n}{e}" for n in ("class", "lineage") for e in ENDS]
    return [
        plots.lineage_counts(COUNTS, MLL, HEAD),
        plots.confusion_figure(table, MLL, HEAD),
        plots.risk_figure(curve, points, policy, HEAD),
        plots.reliability_figure(reliability(confidence, right), 0.1, HEAD),
        plots.map_figure(made, np.arange(8), MLL, dict.fromkeys(keys, 0.5), HEAD),
        plots.views_figure(views[0], views, HEAD),
    ]


ENDS = ("", "_on_map", "_by_chance")


def test_every_figure_says_what_it_is_and_fits_its_sheet(tmp_path: Path) -> None:
    for i, figure in enumerate(some_figures()):
        assert {HEAD.title, HEAD.note, plots.FOOT} <= set(words(figure))
        path = plots.save(figure, tmp_path / f"{i}.png")
        with Image.open(path) as image:
            wanted = (figure.get_size_inches() * plots.DPI).round()
            assert image.size == pytest.approx(wanted.tolist(), abs=1)
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
            pixels = np.asarray(image.convert("L"))
        # nothing runs off the sheet: its edge is white
        edge = np.concatenate([pixels[:3].ravel(), pixels[-3:].ravel()])
        assert (edge == 255).all()
        assert (pixels[:, -3:] == 255).all()
        assert (pixels < 128).any()


def test_drawing_changes_no_global_state(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    for figure in some_figures():
        plots.save(figure, tmp_path / "one.png")
    assert dict(mpl.rcParams) == before
    if plot := sys.modules.get("matplotlib.pyplot"):
        assert plot.get_fignums() == []


def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    one, two = (
        plots.save(plots.lineage_counts(COUNTS, MLL, HEAD), tmp_path / name)
        for name in ("a.png", "b.png")
    )
    assert one.read_bytes() == two.read_bytes()


def test_classes_stand_by_lineage_and_stage() -> None:
    order = [MLL.codes[i] for i in plots.in_lineage_order(MLL)]
    assert order[:6] == ["BLA", "PMO", "MYB", "MMZ", "NGB", "NGS"]
    assert order[10:12] == ["PEB", "EBO"]
    assert sorted(order) == sorted(MLL.codes)


def test_bars_have_the_counts_and_colours_of_their_classes() -> None:
    axes = plots.lineage_counts(COUNTS, MLL, HEAD).axes[0]
    names = [t.get_text() for t in axes.get_yticklabels()]
    for name, bar in zip(names, axes.containers, strict=True):
        (patch,) = bar.patches
        cell = MLL.classes[MLL.index(name.split()[-1])]
        assert patch.get_width() == COUNTS[MLL.index(cell.code)]
        assert mpl.colors.to_hex(patch.get_facecolor()) == cell.colour.lower()
    blasts = COUNTS[[MLL.index(c.code) for c in MLL.classes_of("granulocytic")]].sum()
    assert f"Granulocytic (neutrophil series): {blasts}" in words(axes.figure)


def test_dangerous_errors_are_framed() -> None:
    table = confusion_of(
        ("BLA", "BLA", 6), ("BLA", "LYT", 1), ("BLA", "PMO", 1), ("PMO", "ART", 2),
        ("LYT", "BLA", 3),
    )  # fmt: skip
    axes = plots.confusion_figure(table, MLL, HEAD).axes[0]
    order = [MLL.codes[i] for i in plots.in_lineage_order(MLL)]
    framed = {
        (order[round(p.get_y() + 0.46)], order[round(p.get_x() + 0.46)])
        for p in axes.patches
        if isinstance(p, Rectangle)
    }
    assert framed == {("BLA", "LYT"), ("PMO", "ART")}


@pytest.mark.parametrize(("counts", "wanted"), [(False, "75"), (True, "6")])
def test_numbers_of_a_confusion_matrix(counts: bool, wanted: str) -> None:
    table = confusion_of(("BLA", "BLA", 6), ("BLA", "LYT", 2))
    axes = plots.confusion_figure(table, MLL, HEAD, counts=counts).axes[0]
    assert sorted(t.get_text() for t in axes.texts) == sorted(
        [wanted, "2" if counts else "25"]
    )
    assert axes.get_yticklabels()[0].get_text() == "BLA  8"
    shades = np.asarray(axes.images[0].get_array())
    assert (shades[0, 0], shades.sum()) == (0.75, 1.0)


def test_a_tiny_share_is_not_called_zero() -> None:
    table = confusion_of(("BLA", "BLA", 999), ("BLA", "LYT", 1))
    assert "<1" in words(plots.confusion_figure(table, MLL, HEAD))


def test_the_risk_curve_ends_at_all_cells() -> None:
    curve = risk_coverage(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 1, 0], bool))
    points = [curve.accepted_at(0.05)]
    policy = {"accepted": 0, "coverage": 0.0, "wrong": 0, "risk": None}
    axes = plots.risk_figure(curve, points, policy, HEAD).axes[0]
    line = axes.lines[0]
    assert line.get_xdata().tolist() == [25, 50, 75, 100]
    assert line.get_ydata().tolist() == [0, 0, 0, 25]
    assert "at most 5 % wrong: 75 % accepted" in words(axes.figure)
    assert axes.get_legend() is None


def test_promises_are_marked_where_they_were_made() -> None:
    curve = risk_coverage(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 1, 0], bool))
    policy = {"accepted": 2, "coverage": 0.5, "wrong": 0, "risk": 0.0}
    promises = [
        {"promised": True, "accepted": 3, "coverage": 0.75, "error": 0.01},
        {"promised": False, "accepted": 0, "coverage": 0.0, "error": None},
    ]
    axes = plots.risk_figure(curve, [], policy, HEAD, promises).axes[0]
    _, kept, own = axes.lines
    assert (kept.get_xdata().tolist(), kept.get_ydata().tolist()) == ([75], [1])
    assert (own.get_xdata().tolist(), own.get_ydata().tolist()) == ([50], [0])
    named = [t.get_text() for t in axes.get_legend().get_texts()]
    assert named == ["guaranteed thresholds", "the policy: 2 accepted, 0 wrong"]


def test_the_map_names_classes_and_lineages() -> None:
    made = EmbeddingMap(np.arange(8), RNG.random((8, 2)).astype(np.float32))
    targets = np.arange(8)
    purity = {
        f"purity_{n}{e}": v
        for n in ("class", "lineage")
        for e, v in zip(ENDS, (0.812, 0.9, 0.1), strict=True)
    }
    figure = plots.map_figure(made, targets, MLL, purity, HEAD)
    left, right = figure.axes
    assert {t.get_text().strip() for t in left.texts} == set(MLL.codes[:8])
    assert "81.2 % in the embedding" in left.get_title(loc="left")
    named = {t.get_text() for t in figure.legends[0].get_texts()}
    present = {MLL.lineages[i].title for i in MLL.lineage_index[targets]}
    assert named == present
    # each lineage has a marker of its own, for those who cannot go by colour
    shapes = {c.get_paths()[0].vertices.tobytes() for c in right.collections}
    assert len(shapes) == len(present)


def test_views_begin_with_the_cell_itself() -> None:
    views = RNG.integers(0, 255, (7, 8, 8, 3), np.uint8)
    axes = plots.views_figure(views[0], views[1:], HEAD).axes
    assert len(axes) == 7
    shown = [np.asarray(a.images[0].get_array()) for a in axes]
    assert np.array_equal(np.stack(shown), views)
    assert [a.get_title() for a in axes][:2] == ["as it is", "view 1"]
