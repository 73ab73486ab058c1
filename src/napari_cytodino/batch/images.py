"""Many images, one set of result files each; one fault does not stop the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from napari_cytodino.batch.inputs import (
    OVERLAY_SUFFIX,
    CropFolder,
    ImageTask,
    read_labels,
    read_points,
    relative,
)
from napari_cytodino.cells import cells_from_labels, cells_from_points, find_cells
from napari_cytodino.common import atomic_write
from napari_cytodino.exports import Polygon, export, notes_path, outlines, write_overlay
from napari_cytodino.images import read_image
from napari_cytodino.inference import Classifier, ClassifyOptions, classify
from napari_cytodino.results import BOX_COLUMNS, differential

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


FORMATS = ("csv", "xlsx", "parquet", "geojson", "h5ad")
"""What `process_image` can write the cell table as."""

CROPS_STEM = "cells"
"""Stem of the result of many single-cell images."""


def process_image(
    task: ImageTask,
    classifier: Classifier,
    out: Path,
    *,
    stem: str,
    job: ClassifyOptions,
    formats: Sequence[str] = ("csv",),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Classify one image and write table, differential and overlay picture.

    Nothing is written unless all of it can be computed.

    Returns
    -------
    DataFrame
        The cell table, empty when the image holds no cell; ``attrs["files"]`` names the
        files written.
    """
    source = read_image(task.image)
    labels = None
    if task.points is not None:
        field = job.field_of_view or classifier.checkpoint.preprocessing.field_of_view
        points = read_points(task.points, task.image)
        cells = cells_from_points(points, source.shape, diameter=field / 2)
    else:
        labels = (
            read_labels(task.labels, source.shape)
            if task.labels is not None
            else find_cells(source)
        )
        if not labels.any() and task.labels is None:
            return pd.DataFrame()
        cells = cells_from_labels(labels)
    table = classify(
        source,
        cells,
        classifier.checkpoint,
        job=job,
        name=task.image.name,
        classifier=classifier,
        progress=progress,
    )
    found_by = str(task.labels or task.points or "find_cells")
    table.attrs["provenance"]["settings"]["cells"] = found_by
    polygons = {} if labels is None else outlines(labels, cells)
    names = f"{stem}.cells", f"{stem}.differential"
    written = _write_tables(table, out, names, formats, polygons)
    boxes = table[list(BOX_COLUMNS)].to_numpy(float)
    write_overlay(out / f"{stem}{OVERLAY_SUFFIX}", source, table, boxes)
    table.attrs["files"] = [*written, f"{stem}{OVERLAY_SUFFIX}"]
    return table


def _write_tables(
    table: pd.DataFrame,
    out: Path,
    names: tuple[str, str],
    formats: Sequence[str],
    polygons: Mapping[int, Polygon] | None = None,
) -> list[str]:
    """Write the cells in each format, and the differential; return all file names.

    Parameters
    ----------
    names
        Of the cells and of the differential, without suffix.
    """
    written = []
    for suffix in formats:
        path = export(table, out / f"{names[0]}.{suffix}", polygons=polygons)
        written.append(path.name)
        if suffix == "csv":
            written.append(notes_path(path).name)
    written.append(f"{names[1]}.csv")
    write_differential(table, out / written[-1])
    return written


def write_differential(table: pd.DataFrame, path: Path) -> None:
    """Write the differential of a table, with image, checkpoint and notice columns."""
    counts = differential(table)
    notes = table.attrs.get("provenance", {})
    counts["image"] = notes.get("image", "")
    counts["checkpoint"] = table["checkpoint"].iloc[0] if len(table) else ""
    counts["created"] = notes.get("created", "")
    counts["notice"] = notes.get("notice", "")
    with atomic_write(path) as temporary:
        counts.to_csv(temporary, index=False, lineterminator="\n")


def process_crops(
    files: Sequence[Path],
    classifier: Classifier,
    out: Path,
    *,
    job: ClassifyOptions,
    folders: Sequence[Path] = (),
    formats: Sequence[str] = ("csv",),
    stem: str = CROPS_STEM,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Classify single-cell images and write one table for all, and its differential.

    The column `image` holds the path relative to the one of `folders` it lies in.

    Parameters
    ----------
    stem
        Of the table, and, where it is another than `CROPS_STEM`, of the differential.
    """
    table = classify(
        CropFolder(files),
        None,
        classifier.checkpoint,
        job=job,
        name=", ".join(str(f) for f in folders or files),
        classifier=classifier,
        progress=progress,
    )
    table["image"] = [relative(file, folders) for file in files]
    names = stem, "differential" if stem == CROPS_STEM else f"{stem}.differential"
    table.attrs["files"] = _write_tables(table, out, names, formats)
    return table
