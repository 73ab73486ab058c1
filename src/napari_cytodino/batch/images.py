"""Many images, one set of result files each; one fault does not stop the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_cytodino.batch.inputs import (
    OVERLAY_SUFFIX,
    CropFolder,
    ImageTask,
    read_labels,
    read_points,
    relative,
)
from napari_cytodino.cells import cells_from_labels, cells_from_points
from napari_cytodino.common import atomic_write
from napari_cytodino.exports import Polygon, export, notes_path, outlines, write_overlay
from napari_cytodino.finding import as_pixel_size, in_file, pixel_size_of, search
from napari_cytodino.images import read_image
from napari_cytodino.inference import (
    Classifier,
    ClassifyOptions,
    classify,
    side_of_crops,
)
from napari_cytodino.results import BOX_COLUMNS, differential

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_cytodino.cells import Cells
    from napari_cytodino.finding import PixelSize
    from napari_cytodino.images import ImageSource


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
    cells, labels, pixel_size = _cells_of(task, source, job, classifier)
    if cells is None:
        return pd.DataFrame()
    side = side_of_crops(
        classifier.checkpoint.preprocessing,
        pixel_size,
        field_of_view=job.field_of_view,
        field_microns=job.field_microns,
    )
    table = classify(
        source,
        cells,
        classifier.checkpoint,
        job=replace(job, field_of_view=float(side)),
        name=task.image.name,
        classifier=classifier,
        progress=progress,
    )
    found_by = str(task.labels or task.points or "find_cells")
    scale = str(pixel_size or "")
    table.attrs["provenance"]["settings"] |= {"cells": found_by, "scale": scale}
    table.attrs["scale"] = scale
    polygons = {} if labels is None else outlines(labels, cells)
    names = f"{stem}.cells", f"{stem}.differential"
    written = _write_tables(table, out, names, formats, polygons)
    boxes = table[list(BOX_COLUMNS)].to_numpy(float)
    write_overlay(out / f"{stem}{OVERLAY_SUFFIX}", source, table, boxes)
    table.attrs["files"] = [*written, f"{stem}{OVERLAY_SUFFIX}"]
    return table


def _cells_of(
    task: ImageTask, source: ImageSource, job: ClassifyOptions, classifier: Classifier
) -> tuple[Cells | None, NDArray[Any] | None, PixelSize | None]:
    """Return cells, their label image if any, and the size of a pixel if it counts."""
    known = as_pixel_size(job.pixel_size, job.cell_size) or in_file(source)
    if task.labels is None and task.points is None:
        for step in search(source, diameter=job.cell_size, pixel_size=known):
            labels, known = step.labels, step.pixel_size
        return (cells_from_labels(labels) if labels.any() else None), labels, known
    preprocessing = classifier.checkpoint.preprocessing
    if preprocessing.microns_per_pixel is not None or job.field_microns is not None:
        known = known or pixel_size_of(source)
    if task.labels is not None:
        labels = read_labels(task.labels, source.shape)
        return cells_from_labels(labels), labels, known
    side = side_of_crops(
        preprocessing,
        known,
        field_of_view=job.field_of_view,
        field_microns=job.field_microns,
    )
    points = read_points(Path(str(task.points)), task.image)
    return cells_from_points(points, source.shape, diameter=side / 2), None, known


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
