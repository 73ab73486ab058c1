"""Sizes of cells and pixels: typed, shown with a circle, of a layer, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_cytodino.finding.sizes import CELL, PixelSize
from napari_cytodino.widgets.canvas.cell_circle import CIRCLE
from napari_cytodino.widgets.canvas.result_layers import FOUND
from napari_cytodino.widgets.controllers.cell_sizes import REST_MS, UNKNOWN
from napari_cytodino.widgets.session.messages import RunState

PIXELS = np.zeros((200, 300, 3), np.uint8)


def add(bench: Any, scale: float = 1.0, units: str = "pixel", **more: Any) -> Any:
    image = bench.viewer.add_image(PIXELS, scale=[scale] * 2, units=units, **more)
    bench.session.choose(image=image)
    return image


def trained_at(bench: Any, microns: float | None) -> Any:
    """Have a model open whose crops had pixels of this size; returns its settings."""
    checkpoint = bench.session.opened
    own = replace(checkpoint.preprocessing, microns_per_pixel=microns)
    bench.session.open_checkpoint(replace(checkpoint, preprocessing=own))
    return own


def width(bench: Any) -> float:
    corners = np.asarray(bench.viewer.layers[CIRCLE].data[0])
    return float(np.ptp(corners[:, -1]))


def enlarge(bench: Any, factor: float) -> None:
    """Do to the circle what a drag of its handle does."""
    layer = bench.viewer.layers[CIRCLE]
    layer._data_view.scale(0, factor, center=np.asarray(layer.data[0]).mean(0)[-2:])
    layer.refresh()


def test_a_typed_size_moves_the_circle_and_the_circle_the_size(bench: Any) -> None:
    add(bench)
    sizes, session = bench.controller.sizes, bench.session
    sizes.show_circle(True)
    assert width(bench) == pytest.approx(UNKNOWN)
    assert session.cell_size is None, "showing the circle is no choice"
    sizes.set_diameter(60)
    assert width(bench) == pytest.approx(60)
    enlarge(bench, 1.5)
    assert session.cell_size == 90
    sizes.show_circle(False)
    assert session.cell_size == 90
    sizes.show_circle(True)
    assert width(bench) == pytest.approx(90)
    sizes.set_diameter(0)
    assert session.cell_size is None
    assert width(bench) == pytest.approx(UNKNOWN)
    enlarge(bench, 1e-3)
    assert session.cell_size == 1, "no cell has no size"


def test_the_size_is_for_the_next_search_and_results_stay(chosen: Any) -> None:
    chosen.classify()
    chosen.controller.sizes.set_diameter(80)
    chosen.controller.sizes.set_sensitivity(0.7)
    assert len(chosen.session.table) == 6
    assert not chosen.session.stale


@pytest.mark.parametrize(("scale", "units"), [(0.05, "um"), (50.0, "nm")])
def test_a_layer_in_micrometres_sets_the_scale_of_crops(
    bench: Any, scale: float, units: str
) -> None:
    model = trained_at(bench, 0.1)
    add(bench)
    assert bench.session.pixel_size is None
    assert bench.session.crop_side() == round(model.field_of_view)
    image = add(bench, scale, units)
    assert bench.session.pixel_size == PixelSize(0.05, 0.05, 0.05, "file")
    assert bench.session.crop_side() == round(2 * model.field_of_view)
    assert bench.controller.sizes.typical() == pytest.approx(CELL / 0.05)
    image.scale = [2 * scale] * 2
    assert bench.session.crop_side() == round(model.field_of_view)
    trained_at(bench, None)
    image.scale = [scale] * 2
    assert bench.session.crop_side() == round(model.field_of_view)


@pytest.mark.parametrize("scale", [25.0, 1e-4])
def test_no_pixel_of_a_cell_is_that_large(bench: Any, scale: float) -> None:
    add(bench, scale, "um")
    assert bench.session.pixel_size is None


def test_a_mirrored_layer_has_a_size_too(bench: Any) -> None:
    add(bench)
    image = bench.viewer.add_image(PIXELS, scale=(0.1, -0.1), units="um")
    bench.session.choose(image=image)
    assert bench.session.pixel_size.microns == pytest.approx(0.1)


def test_a_crop_too_small_to_be_cut_keeps_the_model_s(bench: Any) -> None:
    model = trained_at(bench, 0.02)
    add(bench, 2.0, "um")
    assert bench.session.crop_side() == round(model.field_of_view)


def test_all_is_forgotten_with_the_image(bench: Any) -> None:
    first = add(bench, 0.05, "um")
    bench.controller.sizes.show_circle(True)
    bench.controller.sizes.set_diameter(70)
    bench.session.learn_pixel_size(PixelSize(0.3, 0.2, 0.4, "estimated"))
    add(bench)
    assert CIRCLE not in bench.viewer.layers
    assert bench.session.pixel_size is None
    assert bench.session.cell_size is None
    bench.session.choose(image=first)
    bench.controller.sizes.show_circle(True)
    bench.viewer.layers.remove(first)
    assert CIRCLE not in bench.viewer.layers
    bench.controller.sizes.show_circle(True)
    assert CIRCLE not in bench.viewer.layers, "there is no image to draw it on"


def test_an_estimate_is_not_overruled_by_a_layer_without_units(bench: Any) -> None:
    image, known = add(bench), PixelSize(0.3, 0.2, 0.4, "estimated")
    bench.session.learn_pixel_size(known)
    image.scale = (2, 2)
    assert bench.session.pixel_size == known


def test_a_plane_that_is_not_there_is_said(bench: Any, told: list[str]) -> None:
    few = bench.viewer.add_image(np.stack([PIXELS] * 2))
    bench.viewer.add_image(np.stack([PIXELS] * 9))
    bench.session.choose(image=few)
    bench.viewer.dims.set_point(0, 7)
    bench.controller.sizes.show_circle(True)
    assert "no plane 7" in told[0]
    assert not bench.controller.sizes.circle.shown


@pytest.mark.parametrize(
    ("known", "own", "typed", "words"),
    [
        (None, 0.1, None, ""),
        (
            PixelSize(0.1, 0.1, 0.1, "file"),
            0.1,
            None,
            "0.1 µm a pixel, from the file. Cells are about 125 px wide.",
        ),
        (
            PixelSize(0.1, 0.1, 0.1, "file"),
            None,
            110.0,
            "0.1 µm a pixel, from the file. Cells are about 110 px wide.",
        ),
        (
            PixelSize(0.25, 0.24, 0.26, "estimated", 40),
            0.1,
            None,
            "About 0.25 µm a pixel, from 40 red cells (0.24 to 0.26). Cells are about "
            "50 px wide; the model expects 125 px: crops are scaled.",
        ),
        (
            PixelSize(0.125, 0.09, 0.17, "estimated"),
            0.1,
            None,
            "About 0.125 µm a pixel, from how it looks (0.09 to 0.17). Cells are about "
            "100 px wide. This is a guess: set the cell size.",
        ),
    ],
)
def test_what_is_known_is_a_sentence(
    bench: Any, known: Any, own: Any, typed: Any, words: str
) -> None:
    trained_at(bench, own)
    add(bench)
    bench.session.choose(cell_size=typed)
    bench.session.learn_pixel_size(known)
    assert bench.controller.sizes.in_words() == words


def test_a_field_of_view_of_the_user_s_own_scales_no_crops(bench: Any) -> None:
    trained_at(bench, 0.1)
    add(bench, 0.3, "um")
    assert "scaled" in bench.controller.sizes.in_words()
    bench.session.choose(field_of_view=100.0)
    assert "scaled" not in bench.controller.sizes.in_words()


@pytest.fixture
def found(bench: Any, smear: Any) -> Any:
    """Return a bench on which cells were found."""
    bench.session.choose(image=bench.viewer.add_image(smear.image, name="smear"))
    bench.controller.find()
    bench.wait()
    assert bench.session.cells_layer.name == FOUND
    return bench


def rest(bench: Any) -> None:
    bench.qtbot.wait(2 * REST_MS)
    bench.wait()


def test_cells_are_found_anew_as_they_were_found(found: Any) -> None:
    first = found.session.cells_layer
    found.messages.clear()
    found.controller.sizes.set_sensitivity(0.3)
    found.controller.sizes.set_sensitivity(0.4)
    rest(found)
    second = found.session.cells_layer
    assert second is not first
    assert [layer.name for layer in found.viewer.layers] == ["smear", FOUND]
    assert not [text for text in found.messages if "deleted" in text]
    assert "µm a pixel" in found.messages[-1]


def test_cells_that_were_mended_or_drawn_stay(found: Any, smear: Any) -> None:
    first = found.session.cells_layer
    place = np.argwhere(first.data)[0]
    first.data_setitem(tuple(place[:, None]), 0)
    found.controller.sizes.set_sensitivity(0.3)
    rest(found)
    assert found.session.cells_layer is first
    assert first.data[tuple(place)] == 0
    drawn = found.viewer.add_labels(smear.labels, name=f"{FOUND} by me")
    found.session.choose(cells_layer=drawn)
    found.controller.sizes.set_sensitivity(0.5)
    rest(found)
    assert found.session.cells_layer is drawn
    assert len(found.viewer.layers) == 3
    found.controller.find()
    found.wait()
    assert first in found.viewer.layers, "what was mended goes with a new search"


def test_a_change_during_a_search_is_searched_after_it(bench: Any) -> None:
    sizes, searched = bench.controller.sizes, []
    add(bench)
    labels = np.ones(PIXELS.shape[:2], np.int32)
    frame = bench.controller.canvas.image_frame(bench.controller.point())
    layer = bench.controller.canvas.result_layers.add_found(labels, frame)
    bench.session.choose(cells_layer=layer)
    bench.controller.find = lambda: searched.append(bench.session.sensitivity)
    bench.session.set_state(RunState.CLASSIFYING)
    sizes.set_sensitivity(0.3)
    bench.qtbot.wait(2 * REST_MS)
    bench.session.set_state(RunState.FINDING)
    bench.qtbot.wait(2 * REST_MS)
    assert searched == [], "a run is disturbed"
    sizes.set_sensitivity(0.4)
    bench.qtbot.wait(2 * REST_MS)
    bench.session.set_state(RunState.IDLE)
    bench.qtbot.waitUntil(lambda: searched == [0.4])
