"""The cell table as CSV, GeoJSON for QuPath, Parquet or AnnData."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_cytodino.core.colours import class_colours
from napari_cytodino.core.errors import InputError
from napari_cytodino.core.files import whole_file
from napari_cytodino.core.table import BOX_COLUMNS, taxonomy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pandas as pd

    from napari_cytodino.core.cells import Cells
    from napari_cytodino.core.provenance import Provenance

Polygon = list[list[float]]
"""A closed ring of x, y in pixels, the first point repeated at the end."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


def export(
    table: pd.DataFrame,
    path: Path | str,
    *,
    provenance: Provenance | None = None,
    polygons: Mapping[int, Polygon] | None = None,
) -> Path:
    """Write a cell table; the suffix of the path names the format.

    Parameters
    ----------
    path
        ``.csv``, ``.geojson`` (QuPath: File > Import objects), ``.parquet`` or
        ``.h5ad``. An existing file is replaced; a failure leaves it as it was.
    provenance
        Written into GeoJSON, Parquet and AnnData, and beside a CSV as
        ``<name>.provenance.json``. None takes what `classify` noted in the table.
    polygons
        Outline of each label, from `outlines`; the bounding box where there is none.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        When the format is unknown or needs a missing package, or the disk refuses.
    """
    from pathlib import Path

    path = Path(path)
    writers: dict[str, Callable[..., None]] = {
        ".csv": _write_csv,
        ".geojson": _write_geojson,
        ".parquet": _write_parquet,
        ".h5ad": _write_anndata,
    }
    if path.suffix not in writers:
        raise InputError(
            f"'{path.suffix}' is no export format; use one of {', '.join(writers)}."
        )
    notes = provenance.to_dict() if provenance else table.attrs.get("provenance", {})
    with whole_file(path) as temporary:
        writers[path.suffix](table, temporary, notes, polygons or {})
    if path.suffix == ".csv" and notes:
        with whole_file(path.with_suffix(".provenance.json")) as temporary:
            temporary.write_text(json.dumps(notes, indent=2), encoding="utf-8")
    return path


def formula_safe(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy whose texts no spreadsheet takes for a formula.

    A text that begins with ``= + - @``, tab or line break, also after spaces, gets a
    leading apostrophe (OWASP). Numbers stay numbers.
    """
    safe = table.copy()
    for name in safe.columns:
        if safe[name].dtype.kind in "biuf":
            continue
        safe[name] = [
            f"'{text}"
            if isinstance(text, str) and text.lstrip(" ").startswith(_FORMULA)
            else text
            for text in safe[name]
        ]
    return safe


def outlines(labels: npt.NDArray[Any], cells: Cells) -> dict[int, Polygon]:
    """Return the outline of each cell of a label image, in x, y pixels."""
    from skimage.measure import find_contours

    rings: dict[int, Polygon] = {}
    for label, (top, left, bottom, right) in zip(cells.label, cells.bbox, strict=True):
        mask = np.pad(labels[top:bottom, left:right] == label, 1)
        found = find_contours(mask.astype(np.float32), 0.5)
        if found:
            ring = max(found, key=len)[:, ::-1] + (left - 1, top - 1)
            rings[int(label)] = ring.round(2).tolist()
    return rings


def _write_csv(table: pd.DataFrame, path: Path, *_: Any) -> None:
    formula_safe(table).to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def _write_parquet(
    table: pd.DataFrame, path: Path, notes: dict[str, Any], _: Any
) -> None:
    plain = table.copy()
    plain.attrs["provenance"] = notes
    try:
        plain.to_parquet(path, index=False)
    except ImportError as error:
        raise _missing("Parquet", "pyarrow") from error


def _write_anndata(
    table: pd.DataFrame, path: Path, notes: dict[str, Any], _: Any
) -> None:
    try:
        import anndata
    except ImportError as error:
        raise _missing("AnnData", "anndata") from error
    shares = [c for c in table.columns if c.startswith("p_")]
    obs = table.drop(columns=shares).copy()
    obs.index = obs.index.astype(str)
    obs.attrs = {}
    data = anndata.AnnData(
        X=table[shares].to_numpy(np.float32),
        obs=obs.rename(columns={"index": "label_index"}),
        obsm={"spatial": table[["x", "y"]].to_numpy(float)},
    )
    data.var_names = [name[2:] for name in shares]
    data.uns["provenance"] = json.dumps(notes)
    data.write_h5ad(path)


def _missing(what: str, package: str) -> InputError:
    return InputError(
        f"{what} needs the package {package}, which is not installed; "
        "run: pip install 'napari-cytodino[export]'."
    )


def _write_geojson(
    table: pd.DataFrame,
    path: Path,
    notes: dict[str, Any],
    polygons: Mapping[int, Polygon],
) -> None:
    taxonomy = taxonomy_of(table)
    colours = {
        code: [round(255 * part) for part in colour[:3]]
        for code, colour in class_colours(taxonomy).items()
    }
    features = [_feature(row, colours, polygons) for row in table.to_dict("records")]
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
    code = row["final_class"] or "unclassified"
    measured = {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        # JSON knows no NaN, and a label is the name of the object, not a measurement
        if name not in ("index", "label", *BOX_COLUMNS) and np.isfinite(value)
    }
    texts = ("status", "reason", "lineage", "cell_class", "reviewed_class", "reviewer")
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{row.get('image')}:{row['label']}")),
        "geometry": {
            "type": "Polygon",
            "coordinates": [polygons.get(int(row["label"])) or _box(row)],
        },
        "properties": {
            "objectType": "detection",
            "name": str(row["label"]),
            "classification": {
                "name": code,
                "color": colours.get(code, [128, 128, 128]),
            },
            "measurements": measured,
            "metadata": {name: str(row[name]) for name in texts},
        },
    }


def _box(row: dict[Any, Any]) -> Polygon:
    if BOX_COLUMNS[0] in row:
        top, left, bottom, right = (float(row[name]) for name in BOX_COLUMNS)
    else:
        half = max(1.0, float(row["area"]) ** 0.5 / 2)
        top, left = row["y"] - half, row["x"] - half
        bottom, right = row["y"] + half, row["x"] + half
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
