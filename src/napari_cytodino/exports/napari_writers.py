"""File > Save of a labels or points layer that carries a cell table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cytodino.cells import cells_from_labels
from napari_cytodino.common import InputError
from napari_cytodino.exports.geojson import outlines
from napari_cytodino.exports.tables import export
from napari_cytodino.images import full_resolution
from napari_cytodino.results import COLUMNS
from napari_cytodino.taxonomy import NOT_A_CELL, Taxonomy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_cytodino.exports.geojson import Polygon


USUAL = "mll21"
"""The taxonomy that is taken where a layer does not say it and all classes fit."""

_WHOLE = ("index", "label")

_REAL = ("y", "x", "area", "confidence", "margin")


def write_labels(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write the cell table of a labels layer; the suffix names the format.

    Parameters
    ----------
    path
        One of `export.SUFFIXES`.
    data : (H, W) integers
        GeoJSON gets outlines of the labels that lie where the table has them.
    meta
        `features` as the plugin writes them, and `name`.

    Raises
    ------
    InputError
        When the layer has no cell table, or the file cannot be written.
    """
    table = layer_table(meta)
    rings = _rings(table, data) if Path(path).suffix.lower() == ".geojson" else {}
    return [str(export(table, path, polygons=rings))]


def write_points(path: str, data: Any, meta: Mapping[str, Any]) -> list[str]:
    """Write the cell table of a points layer; as `write_labels`, without outlines."""
    return [str(export(layer_table(meta), path))]


def layer_table(meta: Mapping[str, Any]) -> pd.DataFrame:
    """Return the cell table in the `features` of a layer, as `build_table` gave it.

    Columns of other plugins, and lines that are no classified cell, are left out.

    Raises
    ------
    InputError
        When there is none.
    """
    features = pd.DataFrame(meta.get("features", {}))
    if set(COLUMNS) <= set(features.columns):
        placed = features["y"].notna()
        features = features.loc[placed, list(COLUMNS)].reset_index(drop=True)
    if not set(COLUMNS) <= set(features.columns) or features.empty:
        raise InputError(
            f"Layer '{meta.get('name', '')}' has no table of classified cells; choose "
            "the layer whose cells were classified."
        )
    table = pd.DataFrame({name: _typed(name, features[name]) for name in COLUMNS})
    table.attrs = _usual(table)
    return table


def _usual(table: pd.DataFrame) -> dict[Any, Any]:
    """Return the attributes of a table of the usual classes, so that it has colours.

    The plugin writes nothing but `features` into a user's layer, and those hold codes
    only.
    """
    taxonomy = Taxonomy.load(USUAL)
    named = table[["cell_class", "reviewed_class"]].to_numpy(object)
    known = {*taxonomy.codes, NOT_A_CELL, ""}
    return {"taxonomy": taxonomy.to_dict()} if known.issuperset(named.flat) else {}


def _typed(name: str, values: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as a table has it; napari's empty places are None."""
    if name in _WHOLE:
        return values.astype(np.int64)
    if name in _REAL:
        return values.astype(np.float64)
    if name == "at_border":
        return values.fillna(False).astype(bool)
    return values.astype(object).where(values.notna(), "")


def _rings(table: pd.DataFrame, data: Any) -> dict[int, Polygon]:
    labels = full_resolution(data)
    if len(np.shape(labels)) != 2:
        return {}
    cells = cells_from_labels(labels)
    places = table.set_index("label")[["y", "x"]].reindex(cells.label).to_numpy()
    # Not where the label was painted over since, or the layer has another scale.
    near = (np.abs(places - cells.centre) <= 1).all(axis=1)
    return outlines(labels, cells.take(np.flatnonzero(near)))
