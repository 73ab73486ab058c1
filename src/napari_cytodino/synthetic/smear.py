"""Synthetic stained smears and single-cell crops, drawn in code with exact labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.synthetic._cells import (
    RED_CELL_DIAMETER,
    draw_cell,
    draw_platelet,
    draw_red_cell,
    make_body,
)
from napari_cytodino.synthetic._morphology import morphologies
from napari_cytodino.synthetic._slide import Canvas, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_cytodino.synthetic._cells import Body
    from napari_cytodino.synthetic._morphology import Morphology


GAP = 3.0
"""Least distance between two nucleated cells, in pixels at scale 1."""

NEIGHBOURS = 0.9
"""Mean number of other nucleated cells that may reach into a crop."""

RED_CELL_SPACING = 8200.0
"""Area in square pixels at scale 1 in which one red cell is tried."""

SCALES = (0.1, 4.0)
"""Smallest and largest scale: below, nothing can be recognised."""


@dataclass(frozen=True)
class Smear:
    """A drawn smear: pixels, whole-cell labels, and the class of each label.

    Attributes
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        The picture.
    labels : ndarray of int32, shape (H, W)
        0 for the background, ``i + 1`` for the cell of class ``codes[i]``.
    codes : tuple of str
        Class code of each label.
    centres : ndarray of float64, shape (N, 2)
        Centre of mass of each label, row and column.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    codes: tuple[str, ...]
    centres: NDArray[np.float64]


def synthetic_smear(
    shape: tuple[int, int] = (1536, 2048),
    n_cells: int = 60,
    *,
    seed: int = 0,
    codes: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
    scale: float = 1.0,
) -> Smear:
    """Draw a stained smear with nucleated cells, red cells and platelets.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    n_cells : int
        Number of nucleated cells; all of them lie whole inside the picture.
    seed : int
        The same seed draws the same smear.
    codes : sequence of str, optional
        Classes to draw; all drawable ones by default.
    weights : sequence of float, optional
        How often each class is drawn; without it all are drawn equally often.
    scale : float
        Size of the cells; at 1 a red cell measures about 78 pixels, as in the
        250-pixel crops the checkpoints were trained on.

    Returns
    -------
    Smear
        Pixels, labels and classes.

    Raises
    ------
    InputError
        If the cells do not fit, or an argument cannot be used.
    """
    _check(shape, n_cells, seed, scale)
    rng = np.random.default_rng(seed)
    chosen = _choose(morphologies(codes), n_cells, weights, rng)
    bodies = [make_body(kind, rng) for kind in chosen]
    layout = Layout(shape, RED_CELL_DIAMETER * scale, max(1, round(3 * scale)))
    centres = _place(bodies, layout, shape, scale, rng)
    canvas = Canvas(shape, rng)
    _strew(canvas, layout, rng, scale)
    labels = np.zeros(shape, np.int32)
    for index, (kind, body, centre, source) in enumerate(
        zip(chosen, bodies, centres, rng.spawn(n_cells), strict=True)
    ):
        sprite = draw_cell(kind, body, source, scale)
        canvas.lay_over(sprite, centre)
        canvas.mark(labels, sprite, centre, index + 1)
    return Smear(
        canvas.render(rng),
        labels,
        tuple(kind.code for kind in chosen),
        _centres_of_mass(labels, n_cells),
    )


def synthetic_crops(
    codes: Sequence[str] | None,
    per_class: int,
    *,
    size: int = 250,
    seed: int = 0,
    scale: float = 1.0,
) -> tuple[NDArray[np.uint8], list[str]]:
    """Draw single-cell crops, the labelled cell in the middle.

    Parameters
    ----------
    codes : sequence of str or None
        Classes to draw; None for all drawable ones.
    per_class : int
        Crops of each class.
    size : int
        Side of a crop in pixels.
    seed : int
        The same seed draws the same crops.
    scale : float
        Size of the cells, as in :func:`synthetic_smear`.

    Returns
    -------
    images : ndarray of uint8, shape (N, size, size, 3)
        The crops, class after class.
    codes : list of str
        Class code of each.

    Raises
    ------
    InputError
        If an argument cannot be used.
    """
    _check((size, size), per_class, seed, scale)
    kinds = morphologies(codes)
    images = np.empty((len(kinds) * per_class, size, size, 3), np.uint8)
    sources = np.random.default_rng(seed).spawn(len(images))
    for index, rng in enumerate(sources):
        kind = kinds[index // per_class]
        images[index] = _draw_crop(kind, kinds, (size, size), scale, rng)
    return images, [kind.code for kind in kinds for _ in range(per_class)]


def _check(shape: Sequence[int], count: int, seed: int, scale: float) -> None:
    if len(shape) != 2 or min(shape) < 16:
        raise InputError(f"A picture of {shape} is too small; use 16 x 16 or more.")
    if count < 0:
        raise InputError(f"{count} cells cannot be drawn; give 0 or more.")
    if seed < 0:
        raise InputError(f"seed is {seed}; give a whole number of 0 or more.")
    if not SCALES[0] <= scale <= SCALES[1]:
        raise InputError(
            f"scale is {scale}; give a number from {SCALES[0]} to {SCALES[1]}."
        )


def _choose(
    kinds: tuple[Morphology, ...],
    count: int,
    weights: Sequence[float] | None,
    rng: np.random.Generator,
) -> list[Morphology]:
    """Choose the class of each cell: by weight, or else each equally often."""
    if weights is None:
        turns = np.arange(count) % len(kinds)
        return [kinds[turn] for turn in rng.permutation(turns)]
    share = np.asarray(weights, np.float64)
    if share.shape != (len(kinds),) or not np.isfinite(share).all():
        raise InputError(
            f"{share.size} weights were given for {len(kinds)} classes; give one "
            "finite number for each."
        )
    if (share < 0).any() or share.sum() == 0:
        raise InputError(
            f"weights are {list(weights)}; give numbers of 0 or more, not all 0."
        )
    return [kinds[i] for i in rng.choice(len(kinds), count, p=share / share.sum())]


def _place(
    bodies: list[Body],
    layout: Layout,
    shape: tuple[int, int],
    scale: float,
    rng: np.random.Generator,
) -> list[tuple[int, int]]:
    """Find a place for each cell, the largest first since it is the hardest."""
    reaches = [body.reach * scale + 1 for body in bodies]
    # Two pixels stay free at any scale, so that labels never touch.
    gap = max(GAP * scale, 2.0)
    centres: list[tuple[int, int] | None] = [None] * len(bodies)
    red = RED_CELL_DIAMETER * scale
    for index in sorted(range(len(bodies)), key=lambda i: -reaches[i]):
        reach = reaches[index]
        place = layout.find(reach + gap, rng, inside=reach + 1)
        if place is not None:
            centres[index] = place
            layout.block(place, reach, max(reach + gap, red))
    placed = [place for place in centres if place is not None]
    if len(placed) < len(bodies):
        raise InputError(
            f"{len(bodies)} cells at scale {scale} do not fit into "
            f"{shape[0]} x {shape[1]} pixels, only {len(placed)} do; enlarge the "
            "shape, or lower n_cells or scale."
        )
    return placed


def _strew(
    canvas: Canvas, layout: Layout, rng: np.random.Generator, scale: float
) -> None:
    """Lay red cells and platelets between the nucleated cells and over the edges."""
    red = RED_CELL_DIAMETER / 2 * scale
    area = canvas.shape[0] * canvas.shape[1] / scale**2
    margin = 0.6 * red
    crowding = rng.uniform(0.7, 1.25)
    for _ in range(rng.poisson(crowding * area / RED_CELL_SPACING) + 1):
        # A small overlap is asked for: red cells lean on each other and on white ones.
        place = layout.find(red * 0.86, rng, inside=-margin, thorough=False)
        if place is not None:
            layout.block(place, red * 0.9, red)
            canvas.add(draw_red_cell(rng, scale), place)
    for _ in range(rng.poisson(area / 60000)):
        place = layout.find(10 * scale, rng, inside=0, thorough=False)
        if place is not None:
            canvas.add(draw_platelet(rng, scale), place)


def _draw_crop(
    kind: Morphology,
    kinds: tuple[Morphology, ...],
    shape: tuple[int, int],
    scale: float,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    largest = max(k.diameter[1] for k in kinds) * scale
    layout = Layout(shape, largest, max(1, round(4 * scale)))
    canvas = Canvas(shape, rng)
    body = make_body(kind, rng)
    centre = tuple(int(side // 2 + rng.normal(0, 2.5 * scale)) for side in shape)
    middle = (centre[0], centre[1])
    layout.block(middle, body.reach * scale, largest)
    neighbours = []
    for _ in range(rng.poisson(NEIGHBOURS)):
        other = kinds[rng.integers(len(kinds))]
        size = make_body(other, rng)
        reach = (size.reach + GAP) * scale
        place = layout.find(reach, rng, inside=-0.7 * reach, thorough=False)
        if place is not None:
            layout.block(place, reach, largest)
            neighbours.append((other, size, place))
    _strew(canvas, layout, rng, scale)
    for other, size, place in [*neighbours, (kind, body, middle)]:
        canvas.lay_over(draw_cell(other, size, rng, scale), place)
    return canvas.render(rng)


def _centres_of_mass(labels: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    rows, columns = np.nonzero(labels)
    ids = labels[rows, columns]
    area = np.bincount(ids, minlength=count + 1)[1:]
    sums = [
        np.bincount(ids, weights=line, minlength=count + 1)[1:]
        for line in (rows, columns)
    ]
    return np.stack(sums, axis=1) / area[:, None]
