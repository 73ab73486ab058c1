"""The whole picture: an empty view says what to do, a filled one shows its cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QRectF

from napari_cytodino.widgets.gallery import _paint as paint
from napari_cytodino.widgets.gallery import _scene as scene
from napari_cytodino.widgets.gallery.panel import GalleryPanel


@pytest.fixture
def panel(pictured: Any, qtbot: Any) -> GalleryPanel:
    made = GalleryPanel(pictured)
    qtbot.addWidget(made)
    made.resize(600, 400)
    made.show()
    qtbot.waitExposed(made)
    qtbot.waitUntil(lambda: len(made.thumbnails) > 5 and not made.thumbnails.busy)
    return made


def shot(panel: GalleryPanel) -> Any:
    return panel.view.viewport().grab().toImage()


def test_tiles_of_the_cells_in_view_and_no_others(
    panel: GalleryPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(paint, "draw_tile", lambda *given: drawn.append(given[4].code))
    shot(panel)
    seen = panel.view.port.rows_in_view().tolist()
    assert drawn == [panel.model.tile(row).code for row in seen]
    assert 0 < len(drawn) < 60


def test_headers_of_sections_in_view_the_held_one_last(
    panel: GalleryPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, int]] = []
    monkeypatch.setattr(
        paint,
        "draw_header",
        lambda *given, aim: drawn.append((given[3].kind.key, given[2].top())),
    )
    keys = [section.kind.key for section in panel.model.order.sections]
    panel.view.port.scroll_by(panel.view.port.plan.section_span(0)[1] - 20)
    shot(panel)
    assert drawn[-1][0] == keys[0]
    assert drawn[-1][1] == 20 - panel.view.port.plan.header, (
        "pushed out by the next one"
    )
    panel.view.verticalScrollBar().setValue(5)
    shot(panel)
    assert drawn[-1] == (keys[0], 0)


def test_selection_band_and_burden_are_drawn(panel: GalleryPanel) -> None:
    shots = [shot(panel)]
    panel.selection.one(int(panel.model.order.rows[0]))
    shots.append(shot(panel))
    panel.view.gestures.band = QRectF(5, 40, 200, 60)
    shots.append(shot(panel))
    panel.view.gestures.band = None
    panel.view.gestures.carried = np.array([1, 2])
    panel.view.gestures.at = QPoint(60, 60)
    shots.append(shot(panel))
    panel.view.gestures.aim = panel.model.order.sections[0].kind
    shots.append(shot(panel))
    assert all(a != b for i, a in enumerate(shots) for b in shots[i + 1 :])


def test_an_empty_gallery_says_what_to_do(pictured: Any, panel: GalleryPanel) -> None:
    pictured.session.clear_cells()
    empty = shot(panel)
    assert panel.view.port.plan.counts == ()
    paper = empty.pixelColor(1, 1)
    inked = sum(
        empty.pixelColor(x, y) != paper
        for x in range(0, empty.width(), 2)
        for y in range(0, empty.height(), 2)
    )
    assert inked > 50, "words are drawn"
    assert "Classify" in scene.NOTHING
