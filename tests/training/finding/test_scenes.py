"""Fields and single cells come at one scale, with what is known of them."""

import numpy as np
import pytest

from napari_cytodino.training.finding.scenes import (
    MICRONS,
    RED,
    RED_CELL,
    WHITE,
    nucleus_in,
    read_fields,
    read_single_cells,
)


def test_fields_are_brought_to_one_scale_by_their_red_cells(data):
    fields = read_fields(data)
    assert len(fields) == 6
    for one in fields:
        reds = [c.diameter for c in one.cells if c.kind == RED]
        assert np.median(reds) * MICRONS == pytest.approx(RED_CELL, rel=0.01)
        assert one.rgb.shape[0] == pytest.approx(240 * 0.15 / MICRONS, abs=2)
        assert one.background == pytest.approx([235, 225, 210], abs=4)


def test_platelets_are_no_cells(data):
    assert {len(one.cells) for one in read_fields(data)} == {6}


def test_each_fifth_field_is_kept_apart(data):
    apart = read_fields(data, kept_apart=True)
    assert len(apart) == 3
    assert len(read_fields(data)) + len(apart) == 9


def test_the_nucleus_of_a_white_cell_is_marked_and_no_red_cell(data):
    for one in read_fields(data):
        (cell,) = (c for c in one.cells if c.kind == WHITE)
        rows, columns = np.nonzero(one.nuclei)
        assert np.hypot(rows - cell.y, columns - cell.x).max() < cell.diameter / 2
        radius = np.sqrt(len(rows) / np.pi) * MICRONS
        assert radius == pytest.approx(26 * 0.15, rel=0.1)


def test_single_cells_are_at_the_same_scale(data):
    cells = read_single_cells(data, 3, seed=0)
    assert len(cells) == 6
    assert {c.origin for c in cells} == {"mll-marrow", "pbc-blood"}
    for one in cells:
        assert one.radius * MICRONS == pytest.approx(26 * 0.15 * 1.35, rel=0.1)
        assert one.nucleus[tuple(n // 2 for n in one.nucleus.shape)]


def test_nothing_stained_has_no_nucleus():
    flat = np.full((40, 40, 3), 220, np.uint8)
    flat[::7, ::7] = 215
    assert nucleus_in(flat).mean() < 0.2
