"""Our own layers, for every kind of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_cytodino.results.colours import MODES
from napari_cytodino.widgets.canvas import result_layers
from napari_cytodino.widgets.canvas.layers import CROPS
from napari_cytodino.widgets.canvas.result_layers import (
    CLASSES,
    CLICKED,
    REVIEW,
    SELECTED,
    SPOTS,
)
from napari_cytodino.widgets.session.appearance import UNSETTLED, groups


def classes(viewer: Any) -> Any:
    return viewer.layers[CLASSES]


def test_the_class_layer_is_above_and_the_labels_untouched(
    chosen: Any, smear: Any
) -> None:
    labels = chosen.session.cells_layer
    colormap, opacity = labels.colormap, labels.opacity
    chosen.classify()
    layer = classes(chosen.viewer)
    assert layer.data.dtype == np.uint8
    assert not layer.editable
    assert len(layer.colormap.color_dict) <= 24
    np.testing.assert_array_equal(labels.data, smear.labels)
    assert labels.colormap is colormap
    assert labels.opacity == opacity
    assert ((layer.data > 0) == (smear.labels > 0)).all()


@pytest.mark.parametrize("mode", MODES)
def test_pixels_have_the_colour_of_their_cell(chosen: Any, mode: str) -> None:
    chosen.classify()
    chosen.session.show(mode=mode)
    layer, look = classes(chosen.viewer), chosen.controller.canvas.marks()
    for row, colour in zip(look.rows, look.colours, strict=True):
        mask = chosen.session.cells_layer.data == chosen.session.cells.label[row]
        values = np.unique(layer.data[mask])
        assert len(values) == 1
        shown = layer.colormap.map(values)[0]
        np.testing.assert_allclose(shown, colour, atol=0.01)


def test_recolouring_keeps_the_layer_and_no_undo(chosen: Any) -> None:
    chosen.classify()
    layer = classes(chosen.viewer)
    before = layer.data.copy()
    chosen.session.show(mode="status")
    assert classes(chosen.viewer) is layer
    assert (layer.data != before).any()
    layer.undo()
    assert (layer.data != before).any(), "nothing of ours is in the undo history"


def test_hidden_classes_vanish(chosen: Any) -> None:
    chosen.classify()
    look = chosen.controller.canvas.marks()
    name = chosen.session.table["final_class"][0]
    chosen.session.show(hidden=frozenset({name}))
    label = int(chosen.session.table["label"][0])
    mask = chosen.session.cells_layer.data == label
    assert (classes(chosen.viewer).data[mask] == 0).all()
    assert look.shown.all()


def test_flagged_cells_have_a_shape_and_a_sign(chosen: Any) -> None:
    chosen.classify()
    review = chosen.viewer.layers[REVIEW]
    table = chosen.session.table
    flagged = table[table["status"] != "auto"]
    assert 0 < len(flagged) < len(table)
    assert review.features["label"].tolist() == flagged["label"].tolist()
    assert set(review.features["sign"]) <= {"?", "~", "×"}
    assert "" not in review.features["reason"].tolist()
    shapes = {"review": "square", "lineage_only": "disc", "rejected": "diamond"}
    assert [str(s) for s in review.symbol] == [shapes[s] for s in flagged["status"]]


def test_badges_are_drawn_anew_only_where_they_change(chosen: Any) -> None:
    chosen.classify()
    review, session = chosen.viewer.layers[REVIEW], chosen.session
    drawn: list[int] = []
    review.events.data.connect(lambda event: drawn.append(len(review.data)))
    chosen.session.show(mode="lineage")
    assert drawn == []
    flagged = session.table.loc[session.table["status"] == "review", "final_class"]
    session.show(hidden=frozenset({flagged.iloc[0] or UNSETTLED}))
    assert len(review.data) < (session.table["status"] != "auto").sum()
    session.show(hidden=frozenset())
    assert len(review.data) == (session.table["status"] != "auto").sum()
    assert drawn
    # another reading of the cells is drawn even where it looks the same
    drawn.clear()
    chosen.classify()
    again = chosen.viewer.layers[REVIEW]
    assert again is not review or drawn


def test_many_badges_have_shapes_but_no_texts(
    chosen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_layers, "MOST_SIGNS", 1)
    chosen.classify()
    review, session = chosen.viewer.layers[REVIEW], chosen.session
    assert len(review.data) > 1
    assert not review.text.visible
    hidden = frozenset(groups(session.table).tolist())
    session.show(hidden=hidden)
    assert review.text.visible
    # the user may hide what we show
    review.text.visible = False
    monkeypatch.setattr(result_layers, "MOST_SIGNS", 1000)
    session.show(hidden=frozenset())
    assert len(review.data) > 1
    assert not review.text.visible


def test_a_deleted_layer_is_drawn_anew(chosen: Any) -> None:
    chosen.classify()
    chosen.viewer.layers.remove(CLASSES)
    chosen.viewer.layers.remove(REVIEW)
    chosen.session.show(mode="lineage")
    assert classes(chosen.viewer).data.any()
    assert REVIEW in chosen.viewer.layers


def test_the_active_layer_stays_active(chosen: Any) -> None:
    chosen.viewer.layers.selection.active = chosen.session.image
    chosen.classify()
    assert chosen.viewer.layers.selection.active is chosen.session.image


@pytest.mark.parametrize("kind", ["points", "shapes"])
def test_points_and_boxes_get_rings(bench: Any, smear: Any, kind: str) -> None:
    image = bench.viewer.add_image(smear.image, scale=(0.5, 0.5))
    spots = smear.centres / 2
    if kind == "points":
        cells = bench.viewer.add_points(spots)
    else:
        box = np.array([[-9, -9], [-9, 9], [9, 9], [9, -9]])
        cells = bench.viewer.add_shapes([spot + box for spot in spots])
    bench.choose(image, cells)
    bench.classify()
    rings = bench.viewer.layers[SPOTS]
    world = np.array([rings.data_to_world(spot) for spot in rings.data])
    np.testing.assert_allclose(world, spots, atol=0.3)
    look = bench.controller.canvas.marks()
    np.testing.assert_allclose(rings.border_color, look.colours, atol=0.01)
    assert CLASSES not in bench.viewer.layers
    assert (
        cells.features["final_class"].fillna("").tolist()
        == rings.features["final_class"].tolist()
    )


def test_crops_get_one_ring_each(bench: Any, smear: Any) -> None:
    image = bench.viewer.add_image(
        np.stack([smear.image[i : i + 64, :64] for i in range(4)])
    )
    bench.choose(image, CROPS)
    bench.classify()
    rings = bench.viewer.layers[SPOTS]
    assert rings.data[:, 0].tolist() == [0, 1, 2, 3]
    assert rings.features["label"].tolist() == [1, 2, 3, 4]


def test_a_layer_named_like_the_choice_of_crops(bench: Any, smear: Any) -> None:
    image = bench.viewer.add_image(np.stack([smear.image[:64, :64]] * 3), name=CROPS)
    bench.choose(image, CROPS)
    bench.classify()
    assert len(bench.session.table) == 3


def test_one_plane_of_a_stack_is_drawn_in_that_plane(bench: Any, smear: Any) -> None:
    image = bench.viewer.add_image(np.stack([smear.image] * 3), scale=(2, 1, 1))
    labels = bench.viewer.add_labels(np.stack([smear.labels] * 3), scale=(2, 1, 1))
    bench.choose(image, labels)
    bench.viewer.dims.set_point(0, 2)
    bench.classify()
    layer = classes(bench.viewer)
    assert layer.data.shape == (1, *smear.labels.shape)
    y, x = np.argwhere(smear.labels == 1)[0]
    for z, there in ((0, False), (2, True), (4, False)):
        bench.viewer.dims.set_point(0, z)
        assert bool(layer.get_value((z, y, x), world=True)) is there


def test_multiscale_labels(bench: Any, smear: Any) -> None:
    image = bench.viewer.add_image(
        [smear.image, smear.image[::2, ::2]], multiscale=True
    )
    pyramid = [smear.labels, smear.labels[::2, ::2]]
    bench.choose(image, bench.viewer.add_labels(pyramid, multiscale=True))
    bench.classify()
    layer = classes(bench.viewer)
    assert layer.multiscale
    for level, labels in zip(layer.data, pyramid, strict=True):
        assert ((np.asarray(level) > 0) == (labels > 0)).all()
    bench.session.show(hidden=frozenset(bench.session.table["final_class"]))
    assert (
        not np.asarray(layer.data[0]).any()
        or (bench.session.table["final_class"] == "").any()
    )


def test_the_selected_cell_has_a_ring(chosen: Any, smear: Any) -> None:
    chosen.classify()
    chosen.session.select(3)
    ring = chosen.viewer.layers[SELECTED]
    np.testing.assert_allclose(ring.data, chosen.session.cells.centre[[3]])
    chosen.session.select(0)
    assert chosen.viewer.layers[SELECTED] is ring
    np.testing.assert_allclose(ring.data, chosen.session.cells.centre[[0]])
    chosen.session.select(None)
    assert len(ring.data) == 0


def test_clicked_cells_have_a_layer_of_their_own(chosen: Any) -> None:
    chosen.classify()
    chosen.controller.clicks.cut_bare_spots = True
    chosen.controller.clicks.click((5.0, 5.0))
    chosen.wait()
    layer = chosen.viewer.layers[CLICKED]
    assert layer.features["label"].tolist() == [int(chosen.session.cells.label[-1])]


def test_regions_too_thick_to_count_are_marked(bench: Any) -> None:
    from napari_cytodino.widgets.canvas.result_layers import THICK

    image = bench.viewer.add_image(np.zeros((90, 120, 3), np.uint8), name="field")
    bench.session.choose(image=image)
    frame = bench.controller.canvas.image_frame(bench.controller.point())
    drawn = bench.controller.canvas.result_layers
    drawn.add_thick((), 12.0, frame)
    assert THICK not in bench.viewer.layers
    drawn.add_thick(((30.0, 40.0), (60.0, 80.0)), 12.0, frame)
    layer = bench.viewer.layers[THICK]
    np.testing.assert_allclose(layer.data, [[30, 40], [60, 80]])
    assert layer.features["note"].tolist() == [THICK, THICK]
    assert not layer.editable
    # of the next search there are none
    drawn.add_thick((), 12.0, frame)
    assert len(layer.data) == 0


def test_badges_stay_small_on_the_screen(judged: Any) -> None:
    from napari_cytodino.widgets.canvas.result_layers import BADGE_LIMITS, REVIEW

    assert judged.viewer.layers[REVIEW].canvas_size_limits == BADGE_LIMITS
