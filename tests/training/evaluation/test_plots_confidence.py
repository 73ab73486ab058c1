"""Figures of doubt: what is drawn, read back from the drawing and from the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.evaluation import _plots as plots
from napari_cytodino.training.evaluation._plots import Heading
from napari_cytodino.training.evaluation._plots_confidence import (
    SHADES,
    STROKES,
    set_figure,
    unfamiliarity_figure,
)

if TYPE_CHECKING:
    from pathlib import Path

MLL = Taxonomy.load("mll21")
HEAD = Heading("What it shows", "n = 9 cells · synthetic")
KNOWN = np.float32([0.2, 0.4, 0.6, 1.2, np.nan])
OTHERS = {
    "red cells": np.float32([2, 4]),
    "blank": np.float32([0.5, 30, 40]),
    "white cells of another laboratory": np.float32([0.9]),
}


def sets(level: float | None = 0.95) -> dict:
    rows = [
        {
            "kind": "class",
            "name": code,
            "n": 0 if i == 4 else 10 + i,
            "value": 0.9,
            "low": 0.7,
            "high": 0.98,
            "mean_size": 1 + i / 4,
        }
        for i, code in enumerate(MLL.codes)
    ]
    return {"level": level, "rows": [{"kind": "all", "name": "all cells"}, *rows]}


def test_curves_are_shares_of_cells_at_most_so_unfamiliar() -> None:
    axes = unfamiliarity_figure(KNOWN, OTHERS, 1.0, HEAD).axes[0]
    known, red, *_ = axes.lines
    x, y = known.get_xdata(), known.get_ydata()
    assert x[1:-1] == pytest.approx([0.2, 0.4, 0.6, 1.2])
    assert y.tolist() == [0, 25, 50, 75, 100, 100]
    assert red.get_ydata().tolist() == [0, 50, 100, 100]
    limit = axes.lines[-1]
    assert list(limit.get_xdata()) == [1, 1]
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named[:2] == ["test cells (n = 4)", "red cells (n = 2)"]
    # told apart without colour
    strokes = {str(line._dash_pattern) for line in axes.lines[: len(named)]}
    assert len(strokes) == len(named)
    assert len(set(map(str, STROKES))) == len(set(SHADES)) >= 8


def test_without_ood_cells_the_test_cells_are_drawn_alone() -> None:
    axes = unfamiliarity_figure(KNOWN, {}, 1.0, HEAD).axes[0]
    assert len(axes.get_legend().get_texts()) == 1


def test_every_class_with_cells_has_its_interval_and_size() -> None:
    figure = set_figure(sets(), MLL, HEAD)
    axes = figure.axes[0]
    ticks = [t.get_text() for t in axes.get_yticklabels()]
    order = [MLL.codes[i] for i in plots.in_lineage_order(MLL)]
    assert [t.split()[0] for t in ticks] == [c for c in order if c != MLL.codes[4]]
    first = MLL.index(order[0])
    assert ticks[0] == f"{order[0]}  {10 + first}"
    words = [t.get_text() for t in axes.texts]
    assert f"{1 + first / 4:.2f}" in words
    assert "aimed at: 95 %" in words
    (bars,) = axes.containers
    ends = bars.lines[2][0].get_segments()[0]
    assert ends[:, 0] == pytest.approx([70, 98])


def test_without_a_level_none_is_drawn() -> None:
    words = [t.get_text() for t in set_figure(sets(None), MLL, HEAD).axes[0].texts]
    assert not any("aimed" in word for word in words)


def test_figures_fit_their_sheet(tmp_path: Path) -> None:
    drawn = (
        unfamiliarity_figure(KNOWN, OTHERS, 1.0, HEAD),
        set_figure(sets(), MLL, HEAD),
    )
    for i, figure in enumerate(drawn):
        words = {t.get_text() for t in figure.texts}
        assert {HEAD.title, HEAD.note, plots.FOOT} <= words
        with Image.open(plots.save(figure, tmp_path / f"{i}.png")) as image:
            pixels = np.asarray(image.convert("L"))
        edge = np.concatenate([pixels[:3].ravel(), pixels[-3:].ravel()])
        assert (edge == 255).all()
        assert (pixels[:, :3] == 255).all()
        assert (pixels[:, -3:] == 255).all()
