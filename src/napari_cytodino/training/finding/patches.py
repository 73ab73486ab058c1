"""Pictures to learn finding from: real fields, and cells of others laid onto them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_cytodino.finding import MICRONS
from napari_cytodino.training.finding.cameras import seen_by_a_camera
from napari_cytodino.training.finding.scenes import MICRONS as FINE
from napari_cytodino.training.finding.scenes import WHITE, Boxed

if TYPE_CHECKING:
    from napari_cytodino.training.finding.cameras import Colours
    from napari_cytodino.training.finding.scenes import Field, SingleCell

SIDE = 96
"""Side of a training picture in pixels: 38 micrometres at the network's scale."""

NARROW = 0.6
"""Octaves around its scale within which the network is to find cells."""

WIDE = (-1.3, 1.3)
"""Octaves within which it is to tell the scale."""


@dataclass
class Scene:
    """What is drawn before a camera sees it, at any scale.

    Attributes
    ----------
    rgb : (h, w, 3) float array
    nucleus, cell : (h, w) float arrays
        Share of nucleus and of nucleated cell, 0 to 1.
    cells : list of Boxed
    background : (3,) array
    reds : bool
        Whether every red cell is boxed.
    """

    rgb: Colours
    nucleus: Colours
    cell: Colours
    cells: list[Boxed]
    background: Colours
    reds: bool


@dataclass(frozen=True)
class Patch:
    """One training picture with the answers that are right for it.

    Attributes
    ----------
    absorbance : (3, s, s) float array
    heat : (2, s, s) float array
        Centres of white and of red cells, 1 at their middle.
    nucleus, cell : (s, s) float arrays
    size : (2, s, s) float array
        log2 of the diameter in pixels around centres; 0 elsewhere.
    octaves : float
        log2 of a pixel's size over `MICRONS`.
    weights : (5,) float array
        Of white heat, red heat, nucleus, cell and scale.
    """

    absorbance: Colours
    heat: Colours
    nucleus: Colours
    cell: Colours
    size: Colours
    octaves: float
    weights: Colours


@dataclass(frozen=True)
class Sources:
    """What pictures are made from."""

    fields: list[Field]
    singles: list[SingleCell]
    strange: list[Colours] = field(default_factory=list)


def draw_patch(sources: Sources, chance: np.random.Generator) -> Patch:
    """Return a training picture.

    Four in ten are windows of real fields; most others are single cells of one
    laboratory, many or few and overlapping, on the background of a field or on plain
    light, as in thin and thick marrow; one in fourteen shows something else altogether.
    """
    narrow = chance.random() < 0.7
    octaves = chance.uniform(-NARROW, NARROW) if narrow else chance.uniform(*WIDE)
    side = round(SIDE * MICRONS * 2**octaves / FINE)
    kind = chance.random()
    if kind < 0.07 and sources.strange:
        scene = _strange(sources.strange, side, chance)
        octaves, narrow = 0.0, True
    elif kind < 0.45:
        scene = _window(sources.fields, side, chance, crowded=chance.random() < 0.75)
    else:
        scene = _composed(sources, side, chance)
        narrow = narrow and side / SIDE < 4
    known = 0.0 if scene.background is _UNKNOWN else 1.0
    weights = np.array(
        [narrow, narrow and scene.reds, narrow, narrow, known], np.float32
    )
    return _patch(scene, octaves, weights, chance)


_UNKNOWN = np.array([255.0, 255.0, 255.0])


def _patch(
    scene: Scene, octaves: float, weights: Colours, chance: np.random.Generator
) -> Patch:
    side = len(scene.rgb)
    turns, flipped = int(chance.integers(4)), chance.random() < 0.5

    def turned(plane: Colours) -> Colours:
        plane = np.rot90(plane, turns)
        return plane[:, ::-1] if flipped else plane

    rgb = np.stack([_resized(scene.rgb[..., c]) for c in range(3)], -1)
    nucleus, cell = _resized(scene.nucleus), _resized(scene.cell)
    heat, size = _centres(scene.cells, SIDE / side)
    absorbance = seen_by_a_camera(rgb, scene.background, cell, chance)
    return Patch(
        np.stack([turned(absorbance[..., c]) for c in range(3)]).astype(np.float32),
        np.stack([turned(plane) for plane in heat]),
        turned(nucleus),
        turned(cell),
        np.stack([turned(plane) for plane in size]),
        octaves,
        weights,
    )


def _centres(cells: list[Boxed], factor: float) -> tuple[Colours, Colours]:
    heat = np.zeros((2, SIDE, SIDE), np.float32)
    size = np.zeros((2, SIDE, SIDE), np.float32)
    for one in cells:
        y, x = np.floor(one.y * factor), np.floor(one.x * factor)
        diameter = one.diameter * factor
        if diameter < 2 or not (-8 < y < SIDE + 8 and -8 < x < SIDE + 8):
            continue
        wide = max(1.2, 0.12 * diameter)
        reach = int(4 * wide) + 1
        rows = np.arange(max(0, int(y) - reach), min(SIDE, int(y) + reach + 1))
        columns = np.arange(max(0, int(x) - reach), min(SIDE, int(x) + reach + 1))
        away = (rows[:, None] - y) ** 2 + (columns - x) ** 2
        peak = np.exp(-away / (2 * wide**2)).astype(np.float32)
        here = np.ix_(np.array([one.kind]), rows, columns)
        nearer = peak > heat[here][0]
        size[here] = np.where(nearer & (peak > 0.4), np.log2(diameter), size[here][0])
        heat[here] = np.maximum(heat[here][0], peak)
    return heat, size


def _window(
    fields: list[Field], side: int, chance: np.random.Generator, *, crowded: bool
) -> Scene:
    """Return a window of a field, mirrored at its edges where it is too small."""
    one = fields[chance.integers(len(fields))]
    height, width = one.rgb.shape[:2]
    whites = [c for c in one.cells if c.kind == WHITE]
    y, x = chance.uniform(0, height), chance.uniform(0, width)
    if crowded and whites:
        near = whites[chance.integers(len(whites))]
        y = near.y + chance.uniform(-0.4, 0.4) * side
        x = near.x + chance.uniform(-0.4, 0.4) * side
    top, rows, tall = _span(y, side, height)
    left, columns, broad = _span(x, side, width)
    cells = [
        Boxed(c.kind, yy - top, xx - left, c.height, c.width)
        for c in one.cells
        for yy in _mirrored(c.y, height, tall)
        for xx in _mirrored(c.x, width, broad)
        if abs(yy - top - side / 2) < 0.5 * (side + c.height)
        and abs(xx - left - side / 2) < 0.5 * (side + c.width)
    ]
    cell = np.zeros((side, side), np.float32)
    for c in cells:
        if c.kind == WHITE:
            _ellipse(cell, c)
    window = np.ix_(rows, columns)
    return Scene(
        one.rgb[window].astype(np.float32),
        one.nuclei[window].astype(np.float32),
        cell,
        cells,
        one.background,
        reds=True,
    )


def _span(middle: float, side: int, length: int) -> tuple[int, Colours, bool]:
    """Return where a window starts, and the index of each of its pixels, mirrored."""
    broad = side > length
    start = int(
        np.clip(
            middle - side / 2, *((length - side, 0) if broad else (0, length - side))
        )
    )
    index = np.abs(np.arange(start, start + side))
    period = 2 * (length - 1)
    index %= period
    return start, np.where(index < length, index, period - index), broad


def _mirrored(at: float, length: int, broad: bool) -> list[float]:
    if not broad:
        return [at]
    period = 2 * (length - 1)
    return [sign * at + k * period for sign in (1, -1) for k in (-1, 0, 1)]


def _ellipse(plane: Colours, c: Boxed) -> None:
    top, left = max(0, int(c.y - c.height / 2)), max(0, int(c.x - c.width / 2))
    bottom, right = int(c.y + c.height / 2) + 1, int(c.x + c.width / 2) + 1
    part = plane[top:bottom, left:right]
    if part.size:
        rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        inside = ((rows - c.y) / c.height) ** 2 + ((columns - c.x) / c.width) ** 2
        part[inside <= 0.25] = 1.0


def _composed(sources: Sources, side: int, chance: np.random.Generator) -> Scene:
    scene = _bare(sources, side, chance)
    origin = sources.singles[chance.integers(len(sources.singles))].origin
    area = (side / 192) ** 2
    many = max(1, round(area * chance.choice([0, 1, 2, 4, 7, 12, 18, 26, 34])))
    middle, tight = chance.uniform(0, side, 2), chance.random() < 0.5
    lap = chance.uniform(0.26, 0.5)
    for _ in range(min(many, 90)):
        one = sources.singles[chance.integers(len(sources.singles))]
        if one.origin != origin:
            continue
        if chance.random() < 0.6:
            one = _squeezed(one, chance)
        for _ in range(8):
            y, x = (
                chance.normal(middle, 0.22 * side)
                if tight
                else chance.uniform(0, side, 2)
            )
            if all(
                np.hypot(y - c.y, x - c.x) > lap * (c.diameter + 2 * one.radius)
                for c in scene.cells
                if c.kind == WHITE
            ):
                _lay(scene, one, y, x, chance)
                break
    return scene


def _squeezed(one: SingleCell, chance: np.random.Generator) -> SingleCell:
    """Return a cell that its neighbours press upon, or that is stained otherwise.

    Its area is kept; its absorbance is 0.5 to 1.15 of what it was.
    """
    height, width = one.nucleus.shape
    long = np.exp(chance.normal(0, 0.13))
    sides = (max(8, round(width * long)), max(8, round(height / long)))
    clear = one.rgb / np.maximum(one.background, 1)
    stained = 255 * np.clip(clear, 0, 1) ** chance.uniform(0.5, 1.15)
    rgb = np.asarray(Image.fromarray(stained.astype(np.uint8)).resize(sides))
    nucleus = np.asarray(Image.fromarray(one.nucleus).resize(sides))
    return replace(one, rgb=rgb, nucleus=nucleus, background=_UNKNOWN)


def _bare(sources: Sources, side: int, chance: np.random.Generator) -> Scene:
    """Return red cells of a field without white ones, or plain light."""
    if chance.random() < 0.6:
        for _ in range(6):
            scene = _window(sources.fields, side, chance, crowded=False)
            if not scene.cell.any():
                return scene
        # other cells are covered by the ones laid on; their own boxes stay
        return scene
    background = np.array([chance.uniform(200, 250)] * 3) * np.exp(
        chance.normal(0, 0.04, 3)
    )
    background = np.minimum(background, 253)
    rgb = np.broadcast_to(background, (side, side, 3)) + chance.normal(
        0, 1.5, (side, side, 1)
    )
    bare = np.zeros((side, side), np.float32)
    return Scene(rgb.astype(np.float32), bare, bare.copy(), [], background, reds=True)


def _lay(
    scene: Scene, one: SingleCell, y: float, x: float, chance: np.random.Generator
) -> None:
    """Lay a cell onto a scene, its light brought to the scene's."""
    turns = int(chance.integers(4))
    rgb, nucleus = np.rot90(one.rgb, turns), np.rot90(one.nucleus, turns)
    height, width = nucleus.shape
    # the disc's middle is that of the cut, which is the nucleus'
    rows, columns = np.ogrid[:height, :width]
    long = np.sqrt(height / width)
    away = np.hypot(
        (rows - (height - 1) / 2) / long, (columns - (width - 1) / 2) * long
    )
    disc = 1 / (1 + np.exp((away - one.radius) / 1.2))
    top, left = int(y - height / 2), int(x - width / 2)
    side = len(scene.cell)
    here = np.s_[
        max(0, top) : min(side, top + height), max(0, left) : min(side, left + width)
    ]
    there = np.s_[
        max(0, -top) : max(0, min(side, top + height) - top),
        max(0, -left) : max(0, min(side, left + width) - left),
    ]
    over = disc[there]
    if not over.size:
        return
    laid = rgb[there] * scene.background / np.maximum(one.background, 1)
    # where two cells lie over each other, light goes through both
    both = (chance.random() < 0.5) * chance.uniform(0.3, 0.8) * scene.cell[here]
    below = np.clip(scene.rgb[here] / np.maximum(scene.background, 1), 0.02, 1)
    laid = laid * below ** both[..., None]
    scene.rgb[here] += over[..., None] * (laid - scene.rgb[here])
    scene.nucleus[here] += over * (nucleus[there] - scene.nucleus[here])
    scene.cell[here] = np.maximum(scene.cell[here], over > 0.5)
    # what is covered by more than half is seen no longer
    gone = [
        c
        for c in scene.cells
        if np.hypot(c.y - y, c.x - x) < (0.5 if c.kind == WHITE else 0.8) * one.radius
    ]
    for c in gone:
        scene.cells.remove(c)
    tall, broad = 2 * one.radius * long, 2 * one.radius / long
    scene.cells.append(Boxed(WHITE, y, x, tall, broad))


def _strange(pictures: list[Colours], side: int, chance: np.random.Generator) -> Scene:
    """Return a window of a picture that shows no cells, at any scale."""
    one = pictures[chance.integers(len(pictures))]
    edge = int(min(chance.uniform(SIDE / 2, 4 * SIDE), *one.shape[:2]))
    top = int(chance.integers(one.shape[0] - edge + 1))
    left = int(chance.integers(one.shape[1] - edge + 1))
    part = one[top : top + edge, left : left + edge].astype(np.uint8)
    rgb = np.asarray(Image.fromarray(part).resize((side, side)), np.float32)
    bare = np.zeros((side, side), np.float32)
    return Scene(rgb, bare, bare, [], _UNKNOWN, reds=True)


def _resized(plane: Colours) -> Colours:
    image = Image.fromarray(np.asarray(plane, np.float32))
    small = Image.Resampling.BOX if len(plane) > SIDE else Image.Resampling.BILINEAR
    return np.asarray(image.resize((SIDE, SIDE), small))
