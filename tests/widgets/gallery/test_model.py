"""What the gallery shows, before and after verdicts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL
from napari_cytodino.widgets.gallery._model import GalleryModel
from napari_cytodino.widgets.gallery._order import PENDING
from napari_cytodino.widgets.session.appearance import UNSETTLED


@pytest.fixture
def model(pictured: Any) -> GalleryModel:
    made = GalleryModel(pictured.session, pictured.review)
    pictured.session.verdicts_changed.connect(
        lambda rows: made.rebuild() if rows is None else made.patch(rows)
    )
    made.rebuild()
    return made


def rows_of(model: GalleryModel, key: str) -> list[int]:
    for section in model.order.sections:
        if section.kind.key == key:
            return model.order.rows[section.start : section.stop].tolist()
    return []


def same(one: Any, other: Any) -> bool:
    return one.sections == other.sections and np.array_equal(one.rows, other.rows)


def test_cells_by_class_least_sure_first(pictured: Any, model: GalleryModel) -> None:
    for place, code in enumerate(pictured.codes):
        assert rows_of(model, code) == list(range(place, 60, 4))
    assert model.count_of(model.kind_of(0)) == 15
    doubted = int((pictured.session.table["status"] != "auto").sum())
    assert 0 < doubted < 60
    assert (model.read, model.doubtful) == (0, doubted)


def test_verdicts_are_taken_as_if_all_were_read_anew(
    pictured: Any, model: GalleryModel
) -> None:
    a, b, *_ = pictured.codes
    pictured.review.set_class(b, [0, 4])
    assert rows_of(model, b)[:3] == [0, 1, 4]
    pictured.review.reject([8])
    assert rows_of(model, NOT_A_CELL) == [8]
    pictured.review.accept([12])
    pictured.review.undo()
    pictured.review.undo()
    assert rows_of(model, a) == list(range(8, 60, 4))
    assert model.read == 2
    fresh = GalleryModel(pictured.session, pictured.review)
    fresh.rebuild()
    assert same(model.order, fresh.order)
    assert (model.read, model.doubtful) == (fresh.read, fresh.doubtful)


def test_words_of_a_tile(pictured: Any, model: GalleryModel) -> None:
    a, b, *_ = pictured.codes
    first, last = model.tile(0), model.tile(56)
    assert (first.code, first.sign, first.note, first.read) == (a, "?", "40 %", False)
    assert (last.sign, last.note) == ("", "97 %")
    assert model.tile(59).note == ">99 %", "no answer is certain"
    pictured.review.set_class(b, [0])
    pictured.review.accept([56])
    corrected, accepted = model.tile(0), model.tile(56)
    assert (corrected.code, corrected.sign, corrected.read) == (b, "", True)
    assert corrected.note == f"was {a}"
    assert (accepted.note, accepted.read) == ("", True)
    pictured.review.reject([4])
    assert model.tile(4).code == ""
    assert model.tile(4).note == f"was {a}"


def test_words_of_a_cell(pictured: Any, model: GalleryModel) -> None:
    a, b, *_ = pictured.codes
    name = pictured.session.taxonomy.classes[pictured.session.taxonomy.index(a)].name
    words = model.words(0)
    assert words.startswith(f"Cell 1: {a}, {name}; model: {a}, 40 %; for an")
    assert words.endswith("; not read yet.")
    pictured.review.set_class(b, [0])
    assert model.words(0).startswith(f"Cell 1: {b}")
    assert model.words(0).endswith("; read.")


def test_a_blind_reader_learns_nothing_of_the_model(
    pictured: Any, model: GalleryModel
) -> None:
    code = pictured.codes[1]
    pictured.review.read_as("CD", blind=True)
    model.sort, model.like = "similarity", 3
    model.rebuild()
    centre, band = pictured.session.cells.centre, pictured.session.crop_side()
    wanted = sorted(range(60), key=lambda r: (centre[r, 0] // band, centre[r, 1]))
    assert rows_of(model, UNSETTLED) == wanted
    assert model.sorted_by == "position"
    assert model.doubtful == 0
    assert model.words(0) == "Cell 1: not yet read; not read yet."
    pictured.review.set_class(code, [7])
    assert rows_of(model, code) == [7]
    tile = model.tile(7)
    assert (tile.code, tile.sign, tile.note, tile.read) == (code, "", "", True)
    assert model.tile(0).code == model.tile(0).sign == model.tile(0).note == ""


def test_orders(pictured: Any, model: GalleryModel) -> None:
    code = pictured.codes[0]
    model.sort = "size"
    model.rebuild()
    assert rows_of(model, code)[:3] == [20, 48, 12], "20 px, 20 px, 19 px"
    model.sort = "similarity"
    model.rebuild()
    assert model.sorted_by == "confidence", "nothing to compare with"
    model.like = 40
    model.rebuild()
    assert rows_of(model, code)[:3] == [40, 44, 36]
    model.like = 999
    model.rebuild()
    assert model.like is None


def test_cells_that_are_not_classified(pictured: Any, model: GalleryModel) -> None:
    session = pictured.session
    done = np.arange(60) % 2 == 0
    session.predictions = replace(session.predictions, done=done)
    session.rebuild()
    model.rebuild()
    assert rows_of(model, PENDING) == list(range(1, 60, 2))
    assert model.tile(2).code == pictured.codes[2]
    assert model.tile(2).note == f"{100 * session.table['confidence'][1]:.0f} %"
    assert model.words(1) == "Cell 2: not classified yet; not read yet."
    with pytest.raises(InputError, match="not classified yet"):
        pictured.review.set_class(pictured.codes[3], [1])
    pictured.review.set_class(pictured.codes[3], [1, 2])
    assert 2 in rows_of(model, pictured.codes[3])
    assert model.tile(2).read
    assert not model.tile(1).read
    session.predictions = None
    session.rebuild()
    model.rebuild()
    assert len(rows_of(model, PENDING)) == 59


def test_no_cells(pictured: Any, model: GalleryModel) -> None:
    pictured.session.clear_cells()
    model.rebuild()
    assert len(model.order) == 0
    assert (model.read, model.doubtful) == (0, 0)


def test_where_to_go_on(pictured: Any, model: GalleryModel) -> None:
    last = rows_of(model, pictured.codes[0])[-1]
    assert model.after(8, [8]) == 12
    assert model.after(8, [8, 12, 16]) == 20
    assert model.after(last, [last]) == last - 4
    whole = rows_of(model, pictured.codes[0])
    section = model.order.section_of(int(model.order.place[8]))
    beyond = model.order.sections[section + 1 :]
    row = model.after(8, whole)
    if beyond:
        assert row == model.order.rows[beyond[0].start]
    else:
        assert row == model.order.rows[model.order.sections[section].start - 1]
    assert model.after(8, list(range(60))) is None
