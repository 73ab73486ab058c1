"""The classes of a label image: what is painted is what the ids say, lazy or not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.widgets.canvas import layers
from napari_cytodino.widgets.canvas._label_overlay import (
    LabelOverlay,
    PaintedLevel,
    coarse_plane,
)
from napari_cytodino.widgets.canvas.result_layers import CLASSES, SPOTS
from napari_cytodino.widgets.session.appearance import LabelPainter
from napari_cytodino.widgets.session.messages import CellsReading

IDS = np.array([3, 7, 70_000])
LABELS = np.zeros((60, 80), np.int64)
LABELS[5:20, 10:30] = 3
LABELS[30:50, 20:30] = 7
LABELS[40:55, 50:75] = 70_000
SOURCE: Any = None
FLAT = SimpleNamespace(plane=(), lift=lambda plane: plane)
VALUES = st.lists(st.integers(0, 255), min_size=3, max_size=3)


def wanted(labels: np.ndarray, values: list[int]) -> np.ndarray:
    """Return the same by the plainest way."""
    out = np.zeros(labels.shape, np.uint8)
    for label, value in zip(IDS, values, strict=True):
        out[labels == label] = value
    return out


def picture_of(data: list[Any]) -> tuple[LabelOverlay, CellsReading]:
    cells = cells_from_labels(LABELS)
    layer = SimpleNamespace(multiscale=len(data) > 1, data=data)
    reading = CellsReading(cells, SOURCE, data[0], cells.bbox)
    return LabelOverlay(layer, reading, FLAT), reading


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_any_row_of_paintings_shows_the_last(
    paintings: list[list[int]], lazy: bool, pyramid: bool
) -> None:
    data: list[Any] = [LABELS, LABELS[::2, ::2]][: 1 + pyramid]
    if lazy:
        data = [da.from_array(level, chunks=(16, 32)) for level in data]
    picture, reading = picture_of(data)
    assert picture.lazy is lazy
    for values in paintings:
        picture.paint(np.array(values, np.uint8), reading.label_boxes)
        assert picture.values.tolist() == values
        for level, source in zip(picture.data(), data, strict=True):
            want = wanted(np.asarray(source), values)
            np.testing.assert_array_equal(np.asarray(level), want)


def test_levels_that_napari_holds_follow_later_paintings() -> None:
    for data in ([LABELS.copy()], [da.from_array(LABELS), da.from_array(LABELS[::2])]):
        picture, reading = picture_of(data)
        picture.paint(np.array([1, 2, 3], np.uint8))
        held = picture.data()
        picture.paint(np.array([1, 9, 3], np.uint8), reading.label_boxes)
        assert np.asarray(held[0])[35, 25] == 9


def test_few_changes_are_painted_within_their_boxes() -> None:
    picture, reading = picture_of([LABELS])
    picture.paint(np.array([1, 2, 3], np.uint8))
    assert picture.quick
    [level] = picture.data()
    level[0, 0] = 99  # outside all boxes: a whole painting would mend it
    picture.paint(np.array([1, 9, 3], np.uint8), reading.label_boxes)
    assert level[35, 25] == 9
    assert level[0, 0] == 99
    picture.paint(np.array([1, 8, 3], np.uint8))
    assert level[0, 0] == 0


@pytest.mark.parametrize("place", [(35, 25), (35,), np.s_[::3, 4:60:2], ...])
def test_a_painted_level_is_indexed_as_arrays_are(place: Any) -> None:
    level = PaintedLevel(LABELS, LabelPainter(IDS), np.array([1, 2, 3], np.uint8))
    whole = wanted(LABELS, [1, 2, 3])
    assert (level.shape, level.ndim, level.size) == (LABELS.shape, 2, LABELS.size)
    part = level[place]
    assert part.dtype == level.dtype == np.uint8
    np.testing.assert_array_equal(part, whole[place])
    assert np.asarray(level, int).dtype == int


@pytest.fixture
def lazy_bench(bench: Any, smear: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give labels that are too large to hold, as a pyramid of dask arrays."""
    monkeypatch.setattr(layers, "HELD", smear.labels.size - 1)
    bench.pyramid = [
        da.from_array(smear.labels[::step, ::step], chunks=64) for step in (1, 2)
    ]
    return bench


def test_lazy_pyramids_are_painted_where_they_are_shown(
    lazy_bench: Any, smear: Any
) -> None:
    bench = lazy_bench
    image = bench.viewer.add_image(smear.image)
    bench.choose(image, bench.viewer.add_labels(bench.pyramid, multiscale=True))
    bench.classify()
    layer = bench.viewer.layers[CLASSES]
    assert [type(level) for level in layer.data] == [PaintedLevel] * 2
    assert ((np.asarray(layer.data[0]) > 0) == (smear.labels > 0)).all()
    assert layer.contour > 0
    y, x = np.argwhere(smear.labels == 1)[0]
    before = layer.get_value((y, x))
    assert before is not None
    bench.session.show(hidden=frozenset(bench.session.table["final_class"]))
    assert not np.asarray(layer.data[0])[smear.labels == 1].any()
    bench.session.show(hidden=frozenset())
    assert layer.get_value((y, x)) == before


def test_lazy_labels_without_coarser_levels_get_rings(
    lazy_bench: Any, smear: Any
) -> None:
    bench = lazy_bench
    image = bench.viewer.add_image(smear.image)
    bench.choose(image, bench.viewer.add_labels(bench.pyramid[0]))
    bench.classify()
    assert CLASSES not in bench.viewer.layers
    rings = bench.viewer.layers[SPOTS]
    assert len(rings.data) == len(bench.session.table) == smear.labels.max()
    y, x = np.argwhere(smear.labels == 2)[0]
    bench.controller.clicks.click((float(y), float(x)))
    assert bench.session.cells.label[bench.session.selected_rows].tolist() == [2]


def test_coarser_levels_may_have_fewer_planes() -> None:
    assert coarse_plane((), (40, 60), (20, 30)) == ()
    assert coarse_plane((3,), (4, 40, 60), (2, 20, 30)) == (1,)
    assert coarse_plane((3,), (4, 40, 60), (4, 20, 30)) == (3,)
    whole = np.stack([LABELS * 0, LABELS * 0, LABELS, LABELS])
    layer = SimpleNamespace(multiscale=True, data=[whole, whole[::2, ::2, ::2]])
    cells = cells_from_labels(LABELS)
    frame = SimpleNamespace(plane=(3,), lift=lambda plane: plane)
    picture = LabelOverlay(
        layer, CellsReading(cells, SOURCE, LABELS, cells.bbox), frame
    )
    picture.paint(np.array([1, 2, 3], np.uint8))
    np.testing.assert_array_equal(
        picture.data()[1], wanted(LABELS[::2, ::2], [1, 2, 3])
    )


def test_a_click_on_labels_that_cannot_be_read_is_one_sentence(
    lazy_bench: Any, smear: Any, told: list[str]
) -> None:
    bench = lazy_bench
    image = bench.viewer.add_image(smear.image)
    bench.choose(image, bench.viewer.add_labels(bench.pyramid, multiscale=True))
    bench.classify()

    def lost(block: Any) -> Any:
        raise OSError("chunk lost")

    reading = bench.session.reading
    broken = reading.labels.map_blocks(lost, dtype=int, meta=np.zeros(0, int))
    bench.session.reading = replace(reading, labels=broken)
    y, x = np.argwhere(smear.labels == 2)[0]
    bench.controller.clicks.click((float(y), float(x)))
    assert len(told) == 1
    assert "cannot be read" in told[0]
    assert "chunk lost" in told[0]
