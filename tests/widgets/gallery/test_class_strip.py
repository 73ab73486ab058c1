"""The codes above the cells: counts, jumps, targets."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt

from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL
from napari_cytodino.widgets.gallery._class_strip import ClassStrip
from napari_cytodino.widgets.gallery._model import GalleryModel
from napari_cytodino.widgets.gallery._order import PENDING
from napari_cytodino.widgets.session.appearance import UNSETTLED


@pytest.fixture
def model(pictured: Any) -> GalleryModel:
    made = GalleryModel(pictured.session, pictured.review)
    made.rebuild()
    return made


@pytest.fixture
def strip(model: GalleryModel, qtbot: Any) -> ClassStrip:
    made = ClassStrip()
    qtbot.addWidget(made)
    made.resize(500, 200)
    made.refresh(model)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_a_chip_for_each_class_in_order_empty_ones_too(
    pictured: Any, strip: ClassStrip
) -> None:
    taxonomy = pictured.session.taxonomy
    shown = [key for key, chip in strip.chips.items() if chip.isVisible()]
    ordered = [c.code for g in taxonomy.lineages for c in taxonomy.classes_of(g.name)]
    assert shown == [*ordered, NOT_A_CELL], "what takes no drop shows with cells only"
    chip = strip.chips[pictured.codes[0]]
    assert chip.text() == f"{pictured.codes[0]} 15"
    assert chip.accessibleName().endswith(": 15 cells")
    assert chip.toolTip() == taxonomy.classes[taxonomy.index(chip.kind.code)].name


def test_counts_follow(pictured: Any, model: GalleryModel, strip: ClassStrip) -> None:
    a, b, *_ = pictured.codes
    chips = dict(strip.chips)
    pictured.review.set_class(b, [0, 4])
    model.rebuild()
    strip.refresh(model)
    assert (strip.chips[a].count, strip.chips[b].count) == (13, 17)
    assert strip.chips == chips, "the chips stay"
    pictured.session.predictions = None
    pictured.session.rebuild()
    model.rebuild()
    strip.refresh(model)
    assert strip.chips[PENDING].isVisible()


def test_another_taxonomy_or_way_of_reading_has_other_chips(
    pictured: Any, model: GalleryModel, strip: ClassStrip, qtbot: Any
) -> None:
    pictured.review.read_as("CD", blind=True)
    model.rebuild()
    strip.refresh(model)
    assert next(iter(strip.chips)) == UNSETTLED
    assert strip.chips[UNSETTLED].text() == "not yet read 60"
    pictured.session.clear_cells()
    model.rebuild()
    strip.refresh(model)
    assert not strip.isVisible()


def test_a_press_names_the_class(pictured: Any, strip: ClassStrip, qtbot: Any) -> None:
    pressed: list[Any] = []
    strip.pressed.connect(pressed.append)
    chip = strip.chips[pictured.codes[2]]
    qtbot.mouseClick(chip, Qt.MouseButton.LeftButton)
    assert pressed == [chip.kind]


def test_targets(pictured: Any, strip: ClassStrip) -> None:
    chip = strip.chips[pictured.codes[1]]
    at = chip.mapToGlobal(chip.rect().center())
    assert strip.kind_at(at) == chip.kind
    assert strip.kind_at(strip.mapToGlobal(QPoint(-30, -30))) is None
    before = chip.grab().toImage()
    strip.aim(chip.kind)
    assert chip.grab().toImage() != before
    strip.aim(None)
    assert chip.grab().toImage() == before


def test_a_chip_shows_code_colour_and_count(pictured: Any, strip: ClassStrip) -> None:
    chip = strip.chips[pictured.codes[0]]
    full = chip.grab().toImage()
    assert full.pixelColor(3, 4).getRgbF()[:3] == pytest.approx(
        chip.kind.colour[:3], abs=0.02
    )
    assert chip.width() >= chip.minimumSizeHint().width()
    width = chip.sizeHint().width()
    chip.set_count(12_345)
    assert chip.sizeHint().width() > width
    chip.set_count(0)
    assert chip.grab().toImage() != full


def test_lines_wrap_where_there_is_no_room(strip: ClassStrip, qtbot: Any) -> None:
    strip.resize(200, 400)
    rows = {chip.y() for chip in strip.chips.values() if chip.isVisible()}
    qtbot.waitUntil(
        lambda: (
            len({c.y() for c in strip.chips.values() if c.isVisible()}) >= len(rows) > 2
        )
    )
