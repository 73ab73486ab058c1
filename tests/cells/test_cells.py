"""Cells measured in one pass equal what scikit-image measures one by one."""

import dask.array as da
import numpy as np
import pytest
from dask import delayed
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import regionprops_table

from napari_cytodino.cells.cells import (
    cells_from_boxes,
    cells_from_crops,
    cells_from_labels,
    cells_from_points,
)
from napari_cytodino.common.errors import InputError


@settings(deadline=None)
@given(
    hnp.arrays(
        np.int32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=20),
        elements=st.sampled_from([0, 1, 2, 7, 90_001]),
    )
)
def test_equal_to_regionprops(labels):
    if not labels.any():
        with pytest.raises(InputError, match="no cell"):
            cells_from_labels(labels)
        return
    cells = cells_from_labels(labels)
    want = regionprops_table(labels, properties=("label", "centroid", "bbox", "area"))
    np.testing.assert_array_equal(cells.label, want["label"])
    np.testing.assert_allclose(cells.centre[:, 0], want["centroid-0"])
    np.testing.assert_allclose(cells.centre[:, 1], want["centroid-1"])
    np.testing.assert_array_equal(
        cells.bbox, np.stack([want[f"bbox-{i}"] for i in range(4)], axis=1)
    )
    np.testing.assert_array_equal(cells.area, want["area"])


@pytest.mark.parametrize("big", [2**31, 2**40, 2**62])
def test_huge_sparse_ids_are_kept(big):
    labels = np.zeros((6, 6), np.int64)
    labels[1:3, 1:3], labels[4, 4] = big, 5
    cells = cells_from_labels(labels)
    assert cells.label.tolist() == [5, big]
    assert cells.area.tolist() == [1, 4]


def test_negative_and_too_large_ids_are_listed_never_dropped_silently():
    labels = np.zeros((4, 4), np.int64)
    labels[0, 0], labels[3, 3] = -4, 2
    cells = cells_from_labels(labels)
    assert cells.label.tolist() == [2]
    assert cells.left_out == ("label -4 left out: negative ids are no objects",)
    huge = np.zeros((4, 4), np.uint64)
    huge[0, 0], huge[2, 2] = 2**64 - 1, 3
    cells = cells_from_labels(huge)
    assert cells.label.tolist() == [3]
    assert "18446744073709551615" in cells.left_out[0]


def test_border():
    labels = np.zeros((10, 12), np.uint8)
    labels[0, 4], labels[5, 5], labels[9, 2], labels[4, 11] = 1, 2, 3, 4
    assert cells_from_labels(labels).at_border.tolist() == [True, False, True, True]


def test_lazy_and_multiscale_labels_measure_the_same():
    labels = np.kron(np.eye(4, dtype=np.uint16) * 7, np.ones((9, 5), np.uint16))
    want = cells_from_labels(labels)
    lazy = da.from_array(labels, chunks=(8, 7))
    for given_as in (lazy, [lazy, lazy[::2, ::2]], labels.tolist()):
        cells = cells_from_labels(given_as)
        assert cells.centre.tolist() == want.centre.tolist()
        assert cells.bbox.tolist() == want.bbox.tolist()
        assert cells.label.tolist() == [7]
        assert cells.label.dtype == np.int64


def test_lazy_labels_of_a_wrong_type_are_refused_unread():
    unread = da.from_delayed(delayed(int)("unreadable"), (5, 5), float)
    with pytest.raises(InputError, match="type float64 is not a label image"):
        cells_from_labels(unread)


def test_the_input_is_not_changed():
    labels = np.array([[0, 3], [3, 0]], np.int32)
    labels.flags.writeable = False
    assert len(cells_from_labels(labels)) == 1


@pytest.mark.parametrize(
    "labels",
    [np.zeros((4, 4), int), np.zeros((0, 4), int), np.zeros((2, 4, 4), int),
     np.ones((4, 4)), np.ones((4, 4), bool)],
    ids=["empty", "zero-size", "3-D", "float", "bool"],
)  # fmt: skip
def test_what_are_no_labels(labels):
    with pytest.raises(InputError):
        cells_from_labels(labels)


def test_points():
    cells = cells_from_points([[20, 30], [2, 2], [500, 2]], (100, 100), diameter=10)
    assert cells.label.tolist() == [1, 2]
    assert cells.centre.tolist() == [[20, 30], [2, 2]]
    assert cells.bbox[0].tolist() == [15, 25, 25, 35]
    assert cells.at_border.tolist() == [False, True]
    assert cells.left_out == ("point 3 left out: it is empty or outside the image",)
    assert cells.area[0] == pytest.approx(np.pi * 25)


def test_points_outside_or_without_size():
    with pytest.raises(InputError, match="None of the 1 points"):
        cells_from_points([[-5, -5]], (10, 10), diameter=4)
    with pytest.raises(InputError, match="diameter of 0"):
        cells_from_points([[5, 5]], (10, 10), diameter=0)
    with pytest.raises(InputError, match="None of the 1 points"):
        cells_from_points([[np.nan, 5]], (10, 10), diameter=4)


def test_boxes():
    cells = cells_from_boxes([[2, 3, 8.5, 9], [5, 5, 5, 5], [-4, 4, 6, 8]], (20, 20))
    assert cells.label.tolist() == [1, 3]
    assert cells.bbox.tolist() == [[2, 3, 9, 9], [0, 4, 6, 8]]
    assert cells.at_border.tolist() == [False, True]


def test_crops():
    cells = cells_from_crops(3, 250)
    assert cells.label.tolist() == [1, 2, 3]
    assert not cells.at_border.any()
    with pytest.raises(InputError, match="0 crops"):
        cells_from_crops(0, 250)


def test_take_keeps_the_fields_together():
    cells = cells_from_points([[5, 5], [9, 9], [15, 15]], (20, 20), diameter=4)
    taken = cells.take(np.array([2, 0]))
    assert taken.label.tolist() == [3, 1]
    assert taken.centre.tolist() == [[15, 15], [5, 5]]
