"""Any array as an image: the right pixels or a refusal in words; nothing changed."""

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

from napari_cytodino.cells.cells import cells_from_labels, cells_from_points
from napari_cytodino.cells.crops import iter_crops
from napari_cytodino.common.errors import CytoDinoError
from napari_cytodino.images.source import ImageSource
from napari_cytodino.widgets.session.cell_card import cell_card_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cytodino.synthetic.smear import Smear

# pytest imports test files by their path: their folder is on no path
sys.path.insert(0, str(Path(__file__).parent))
import benches
from layouts import locked, spread

bench = benches.bench
classifier = benches.classifier
told = benches.told
no_case_of_the_users = benches.no_case_of_the_users

pytestmark = pytest.mark.filterwarnings(benches.NAPARIS_OWN)

PIXELS = (
    some.unsigned_integer_dtypes()
    | some.integer_dtypes()
    | some.floating_dtypes()
    # 80 or 128 bits on most machines, 64 on some
    | st.just(np.dtype(np.longdouble))
)


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "Fortran": np.asfortranarray,
    "gaps": spread,
    "read-only": locked,
    "other bytes": lambda array: array.astype(array.dtype.newbyteorder()),
    "dask": lambda array: da.from_array(array, chunks=2),
    "pyramid": lambda array: [array, array[::2, ::2]],
}


def whole(source: ImageSource) -> np.ndarray:
    return source.read(0, 0, *source.shape)


@settings(deadline=None)
@given(
    array=some.arrays(
        PIXELS | st.just(np.dtype(bool)),
        some.array_shapes(min_dims=2, max_dims=2, max_side=7).flatmap(
            lambda shape: st.sampled_from([shape, (*shape, 3), (*shape, 4)])
        ),
    ),
    layout=st.sampled_from(list(LAYOUTS)),
)
def test_any_layout_gives_the_same_pixels_in_order_of_brightness(
    array: np.ndarray, layout: str
) -> None:
    before = array.tobytes()
    given_ = LAYOUTS[layout](array)
    try:
        source = ImageSource(array)
        pixels = whole(source)
    except CytoDinoError:
        assert array.dtype.kind == "f"
        assert not np.isfinite(array).all()
        with pytest.raises(CytoDinoError):
            whole(ImageSource(given_))
        return
    height, width = array.shape[:2]
    assert pixels.shape == (height, width, 3)
    assert pixels.dtype == np.uint8
    assert np.array_equal(whole(ImageSource(given_)), pixels)
    if array.ndim == 3:
        first = ImageSource(np.moveaxis(array, -1, 0), channel_axis=0)
        assert np.array_equal(whole(first), pixels)
    # nowhere does a brighter value become a darker one
    values = (array[..., :3] if array.ndim == 3 else array).reshape(height, width, -1)
    shown = pixels[..., : values.shape[-1]]
    order = np.argsort(values, axis=None, kind="stable")
    assert (np.diff(shown.ravel()[order].astype(int)) >= 0).all()
    assert array.tobytes() == before


@settings(deadline=None)
@given(
    array=some.arrays(
        some.scalar_dtypes(),
        some.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4),
    ),
    axis=st.none() | st.integers(-6, 6),
    plane=st.lists(st.integers(-5, 5), max_size=3).map(tuple),
)
def test_what_is_no_image_is_refused_in_words(
    array: np.ndarray, axis: int | None, plane: tuple[int, ...]
) -> None:
    before = array.tobytes()
    try:
        source = ImageSource(array, channel_axis=axis, plane=plane)
        pixels = whole(source)
    except CytoDinoError:
        pass
    else:
        assert pixels.shape == (*source.shape, 3)
        points = np.argwhere(np.ones(source.shape, bool))
        cells = cells_from_points(points, source.shape, diameter=4)
        for batch in iter_crops(source, cells, 8):
            assert batch.readable.all()
    assert array.tobytes() == before


class Torn:
    """An image of nine lazy blocks; the block of the third read is broken."""

    def __init__(self, pixels: np.ndarray, *, mends: bool) -> None:
        self.pixels, self.mends = pixels, mends
        self.reads: int | None = None
        self.broken: tuple[int, int] | None = None

    def block(self, block_info: Any = None) -> np.ndarray:
        place = tuple(block_info[None]["array-location"])
        corner = place[0][0], place[1][0]
        if self.reads is not None:
            self.reads += 1
            if self.reads == 3:
                self.broken = corner
            if corner == self.broken and (self.reads == 3 or not self.mends):
                raise OSError("checksum of the block")
        return self.pixels[tuple(slice(*edges) for edges in place)]

    def lazy(self) -> Any:
        height, width, _ = self.pixels.shape
        return da.map_blocks(
            self.block,
            chunks=((height // 3,) * 3, (width // 3,) * 3, (3,)),
            dtype=self.pixels.dtype,
            meta=np.empty((0, 0, 0), self.pixels.dtype),
        )


def smears(chosen: Any, smear: Smear, kind: str) -> np.ndarray:
    height, width = (n - n % 3 for n in smear.labels.shape)
    pixels = smear.image[:height, :width].astype(kind)
    return pixels * 16 if kind == "uint16" else pixels


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("mends", [True, False])
def test_a_block_that_fails_on_the_third_read_costs_only_its_cells(
    bench: Any, smear: Smear, told: list[str], kind: str, *, mends: bool
) -> None:
    import dask

    pixels = smears(bench, smear, kind)
    height, width, _ = pixels.shape
    torn, labels = Torn(pixels, mends=mends), smear.labels[:height, :width]
    with dask.config.set(scheduler="synchronous"):
        image = bench.viewer.add_image(torn.lazy(), rgb=True, contrast_limits=(0, 255))
        bench.choose(image, bench.viewer.add_labels(labels))
        torn.reads = 0  # napari has read it too
        bench.classify()
    table, cells = bench.session.table, bench.session.cells
    assert torn.broken is not None, told
    assert len(table) == len(cells) == len(cells_from_labels(labels))
    side = bench.session.crop_side()
    top, left = torn.broken
    corner = np.floor(cells.centre - (side - 1) / 2 + 0.5)
    low, high = corner, corner + side
    hit = (low < [top + height // 3, left + width // 3]).all(axis=1)
    hit &= (high > [top, left]).all(axis=1)
    rejected = (table["status"] == "rejected").to_numpy()
    assert not hit.all()
    if mends:
        assert not rejected.any()
        return
    assert hit.any()
    assert rejected.tolist() == hit.tolist()
    assert set(table["reason"][rejected]) == {"unreadable pixels"}
    card = cell_card_of(bench.session, int(np.flatnonzero(hit)[0]))
    assert card.status == "rejected"
    assert card.likeliest == ()
