"""Any array as labels: each id is a row or a listed reason, and nothing is changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.common.errors import CytoDinoError

if TYPE_CHECKING:
    from collections.abc import Callable

# pytest imports test files by their path: their folder is on no path
sys.path.insert(0, str(Path(__file__).parent))
from layouts import locked, spread

WIDTHS = "1248"
WHOLE = [order + kind + width for order in "<>" for kind in "iu" for width in WIDTHS]
LAST = 2**63 - 1


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "gaps": spread,
    "read-only": locked,
    "dask": lambda array: da.from_array(array, chunks=(3, 4)),
    "pyramid": lambda array: [array, array[::2, ::2]],
}


@st.composite
def label_images(draw: st.DrawFn) -> np.ndarray:
    """Draw a few ids, from the whole range of a type, and a picture of these."""
    kind = np.dtype(draw(st.sampled_from(WHOLE)))
    limits = np.iinfo(kind)
    edges = [0, 1, 2, -1, 2**31 - 1, 2**31, 2**40, LAST, limits.min, limits.max]
    ids = draw(
        st.lists(
            st.sampled_from([v for v in edges if limits.min <= v <= limits.max])
            | st.integers(int(limits.min), int(limits.max)),
            min_size=1,
            max_size=6,
        )
    )
    shape = draw(some.array_shapes(min_dims=2, max_dims=2, max_side=12))
    place = draw(some.arrays(np.intp, shape, elements=st.integers(0, len(ids) - 1)))
    return np.array(ids, kind)[place].astype(kind)


def by_hand(plain: np.ndarray) -> dict[int, list[tuple[int, int]]]:
    """Return the pixels of each id, found one by one."""
    found: dict[int, list[tuple[int, int]]] = {}
    for y, line in enumerate(plain.tolist()):
        for x, value in enumerate(line):
            if value:
                found.setdefault(value, []).append((y, x))
    return found


@settings(deadline=None)
@given(plain=label_images(), layout=st.sampled_from(list(LAYOUTS)))
def test_each_id_is_a_row_or_a_listed_reason(plain: np.ndarray, layout: str) -> None:
    labels, before = LAYOUTS[layout](plain), plain.tobytes()
    wanted = by_hand(plain)
    good = {value: at for value, at in wanted.items() if 0 < value <= LAST}
    if not good:
        with pytest.raises(CytoDinoError, match="holds no cell") as refused:
            cells_from_labels(labels)
        assert all(
            f"label {value} " in str(refused.value) for value in list(wanted)[:1]
        )
        return
    cells = cells_from_labels(labels)
    assert cells.label.tolist() == sorted(good)
    for row, value in enumerate(sorted(good)):
        at = np.array(good[value])
        assert cells.area[row] == len(at)
        assert np.allclose(cells.centre[row], at.mean(axis=0))
        assert cells.bbox[row].tolist() == [*at.min(axis=0), *(at.max(axis=0) + 1)]
    listed = sorted(int(text.split()[1]) for text in cells.left_out)
    assert listed == sorted(set(wanted) - set(good))
    again = labels[0] if isinstance(labels, list) else labels
    assert np.asarray(again).tobytes() == plain.tobytes() == before


@settings(deadline=None)
@given(
    array=some.arrays(
        some.scalar_dtypes() | some.nested_dtypes(),
        some.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
    )
)
def test_what_are_no_labels_is_refused_in_words(array: np.ndarray) -> None:
    before = array.tobytes()
    fits = array.ndim == 2 and array.dtype.kind in "iu" and array.size
    try:
        cells = cells_from_labels(array)
    except CytoDinoError:
        assert not (fits and (array > 0).any())
    else:
        assert fits
        assert len(cells) + len(cells.left_out) == len(np.unique(array[array != 0]))
    assert array.tobytes() == before
