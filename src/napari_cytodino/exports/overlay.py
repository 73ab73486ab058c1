"""The picture of a result: cells outlined in class colour, doubts marked by shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import atomic_write
from napari_cytodino.results import NONE, class_colours, taxonomy_of

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pandas as pd
    from PIL.Image import Image

    from napari_cytodino.images import ImageSource


MAX_SIDE = 4096
"""Larger images are drawn at a smaller scale: the picture is for looking at."""


def draw_overlay(
    source: ImageSource, table: pd.DataFrame, boxes: npt.NDArray[Any]
) -> Image:
    """Draw the cells of a table over their image.

    Accepted cells get a solid frame in the colour of their class and its code; cells
    for an expert a dashed frame and a question mark, so that colour is not needed.

    Parameters
    ----------
    boxes : (N, 4)
        top, left, bottom, right in pixels, one for each row of the table.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, width = source.shape
    scale = min(1.0, MAX_SIDE / max(height, width))
    step = max(1, int(1 / scale))
    pixels = np.concatenate(
        [
            source.read(top, 0, min(top + 1024, height), width)[::step, ::step]
            for top in range(0, height, 1024 // step * step)
        ]
    )[: -(-height // step)]
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    side = np.median(boxes[:, 2] - boxes[:, 0]) / step if len(boxes) else 20
    letters = max(11.0, min(28.0, float(side) * 0.28))
    font = ImageFont.load_default(size=letters)
    colours = class_colours(taxonomy_of(table))
    for row, box in zip(table.to_dict("records"), boxes / step, strict=True):
        flagged = row["status"] != "auto"
        colour = colours.get(row["final_class"] or row["cell_class"], NONE)
        rgb = tuple(round(255 * part) for part in colour[:3])
        text = (row["final_class"] or row["cell_class"] or "-") + ("?" * flagged)
        _frame(pen, box, rgb, dashed=flagged)
        pen.text(
            (float(box[1]), float(box[0]) - 3),
            text,
            fill="black",
            font=font,
            anchor="lb" if box[0] > letters + 6 else "lt",
            stroke_width=3,
            stroke_fill="white",
        )
    return picture


def write_overlay(
    path: Path, source: ImageSource, table: pd.DataFrame, boxes: npt.NDArray[Any]
) -> None:
    """Write the picture of `draw_overlay` as PNG, its provenance in a text chunk."""
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    notes.add_itxt("provenance", json.dumps(table.attrs.get("provenance", {})))
    with atomic_write(path) as temporary:
        draw_overlay(source, table, boxes).save(temporary, format="PNG", pnginfo=notes)


def _frame(pen: Any, box: npt.NDArray[Any], colour: Any, *, dashed: bool) -> None:
    top, left, bottom, right = (float(side) for side in box)
    lines = [
        ((left, top), (right, top)),
        ((right, top), (right, bottom)),
        ((right, bottom), (left, bottom)),
        ((left, bottom), (left, top)),
    ]
    for (x0, y0), (x1, y1) in lines:
        parts = max(2, int((abs(x1 - x0) + abs(y1 - y0)) // 7)) if dashed else 1
        for part in range(0, parts, 2):
            start, end = part / parts, (part + 1) / parts
            ends = [
                (x0 + (x1 - x0) * start, y0 + (y1 - y0) * start),
                (x0 + (x1 - x0) * end, y0 + (y1 - y0) * end),
            ]
            # A black and a white halo keep any colour visible on stain and background.
            for ink, wide in (("black", 6), ("white", 4), (colour, 2)):
                pen.line(ends, fill=ink, width=wide)
