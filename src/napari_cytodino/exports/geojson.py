"""The cells as GeoJSON, in the shape that QuPath 0.4 and later read."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_cytodino.exports.plain_text import in_decimals
from napari_cytodino.results import BOX_COLUMNS, NONE, class_colours, taxonomy_of
from napari_cytodino.taxonomy import NOT_A_CELL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from napari_cytodino.cells import Cells


Polygon = list[list[float]]
"""A closed ring of x, y in pixels, the first point repeated at the end.

The corner of the image is 0, 0, as in QuPath; in napari it is the centre of a pixel.
"""

IGNORED = "Ignore*"
"""QuPath's own class for what is not to be measured: names that end in an asterisk."""

_NAMELESS = ("index", "label", *BOX_COLUMNS)

_TEXTS = ("status", "reason", "lineage", "cell_class", "reviewed_class", "reviewer")

BAND = 1024
"""Rows of a lazy label image in which cells begin that are read together."""


def outlines(labels: Any, cells: Cells) -> dict[int, Polygon]:
    """Return the outline of each cell of a label image, by its label.

    Parameters
    ----------
    labels : (H, W) integers
        numpy, or dask, zarr and the like, which are read in bands of rows.
    cells
        With the boxes of the labels.
    """
    rings: dict[int, Polygon] = {}
    bands = cells.bbox[:, 0] // BAND
    for band in np.unique(bands):
        own = cells.take(np.flatnonzero(bands == band))
        top = int(own.bbox[:, 0].min())
        part = np.asarray(labels[top : int(own.bbox[:, 2].max())])
        rings |= _outlines(part, own, top)
    # in the order of the cells
    return {int(label): rings[int(label)] for label in cells.label if label in rings}


def _outlines(
    labels: npt.NDArray[Any], cells: Cells, offset: int
) -> dict[int, Polygon]:
    from skimage.measure import find_contours

    rings: dict[int, Polygon] = {}
    for label, (top, left, bottom, right) in zip(cells.label, cells.bbox, strict=True):
        window = labels[top - offset : bottom - offset, left:right]
        mask = np.pad(window == label, 1)
        found = find_contours(mask.astype(np.float32), 0.5)
        if found:
            # one pixel of padding; half a pixel from its centre to its corner
            ring = max(found, key=len)[:, ::-1] + (left - 0.5, top - 0.5)
            rings[int(label)] = ring.round(2).tolist()
    return rings


def write_geojson(
    table: pd.DataFrame,
    path: Path,
    notes: dict[str, Any],
    *,
    polygons: Mapping[int, Polygon],
) -> None:
    """Write one detection for each cell.

    A cell without a class has no ``classification``, which QuPath calls unclassified.
    One that a reader called no cell stays, as `IGNORED`: so the outlines are as many as
    the lines of the table and the verdict can be checked, and QuPath measures it not.

    Parameters
    ----------
    notes
        Provenance, as plain values.
    polygons
        Outline of each label; its bounding box where there is none.
    """
    classes: dict[str, Any] = {}
    if "taxonomy" in table.attrs:
        classes = class_colours(taxonomy_of(table))
    colours = {
        code: [round(255 * part) for part in colour[:3]]
        for code, colour in classes.items()
    }
    lines = in_decimals(table).to_dict("records")
    features = [_feature(line, colours, polygons) for line in lines]
    content = {
        "type": "FeatureCollection",
        "features": features,
        "provenance": notes,
    }
    path.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def _feature(
    row: dict[Any, Any],
    colours: dict[str, list[int]],
    polygons: Mapping[int, Polygon],
) -> dict[str, Any]:
    measured = {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        # JSON knows no NaN, and a label is the name of the object, not a measurement
        if name not in _NAMELESS and np.isfinite(value)
    }
    properties: dict[str, Any] = {
        "objectType": "detection",
        "name": str(row["label"]),
        "measurements": measured,
        "metadata": {name: str(row[name]) for name in _TEXTS},
    }
    code = IGNORED if row["reviewed_class"] == NOT_A_CELL else row["final_class"]
    if code:
        # QuPath refuses a name without a colour
        grey = [round(255 * part) for part in NONE[:3]]
        properties["classification"] = {"name": code, "color": colours.get(code, grey)}
    return {
        "type": "Feature",
        "id": _identity(f"{row.get('image')}:{row['label']}"),
        "geometry": {
            "type": "Polygon",
            "coordinates": [polygons.get(int(row["label"])) or _box(row)],
        },
        "properties": properties,
    }


def _identity(text: str) -> str:
    """Return the same id for the same cell, so that QuPath knows it again."""
    return str(uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4))


def _box(row: dict[Any, Any]) -> Polygon:
    if BOX_COLUMNS[0] in row:
        top, left, bottom, right = (float(row[name]) for name in BOX_COLUMNS)
    else:
        half = max(1.0, float(row["area"]) ** 0.5 / 2)
        top, left = row["y"] + 0.5 - half, row["x"] + 0.5 - half
        bottom, right = top + 2 * half, left + 2 * half
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
