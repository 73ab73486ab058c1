"""Classify the cells of one image, from pixels to the table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.cells import (
    Cells,
    CropBatch,
    CropSeries,
    cells_from_crops,
    cells_from_labels,
    iter_crops,
    iter_series,
)
from napari_cytodino.common import InputError, Provenance
from napari_cytodino.finding import as_pixel_size
from napari_cytodino.images import ImageSource, full_resolution
from napari_cytodino.inference.classifier import Classifier
from napari_cytodino.inference.scale import side_of_crops
from napari_cytodino.results import build_table, with_file_columns
from napari_cytodino.uncertainty import (
    PredictionBatch,
    Predictions,
    class_probabilities,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt
    import pandas as pd

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.uncertainty import DecisionPolicy


@dataclass(frozen=True)
class ClassifyOptions:
    """Everything that shapes a result, besides the pixels; frozen and comparable.

    Attributes
    ----------
    field_of_view, field_microns
        Side of a crop in image pixels, or in micrometres; with neither that of the
        checkpoint, at the image's scale where both are known.
    pixel_size
        Of the image, in micrometres; None where it is not known.
    cell_size
        Diameter of a typical nucleated cell in pixels, for finding cells.
    risk
        Largest share of errors among accepted cells (`calibration.RISKS`); None takes
        that of the checkpoint.
    dtype
        What the model computes in (`precision.DTYPES`).
    """

    field_of_view: float | None = None
    device: str = "auto"
    batch_size: int | None = None
    risk: float | None = None
    dtype: str = "auto"
    field_microns: float | None = None
    pixel_size: float | None = None
    cell_size: float | None = None


def classify(
    image: Any,
    cells: Cells | npt.NDArray[Any] | None,
    checkpoint: Checkpoint | str = "starter",
    *,
    job: ClassifyOptions | None = None,
    name: str = "image",
    classifier: Classifier | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Classify the cells of an image.

    Parameters
    ----------
    image
        An array, `ImageSource`, or a `CropSeries` of ready-made crops.
    cells
        `Cells`, or a label image (Y, X), which may be lazy; None for a `CropSeries`.
    checkpoint, classifier
        From `load_checkpoint`, or what that takes; or a classifier made of it before.
    job
        Field of view, device, batch size and risk.
    name
        What the column `image` says.
    progress
        Called with the number of cells done and of all.

    Returns
    -------
    DataFrame
        The cell table with the columns of files; ``attrs`` holds taxonomy, provenance,
        and ``unfamiliar``: cells unlike the training cells, and of how many.

    Raises
    ------
    CytoDinoError
        When image, cells or checkpoint cannot be used.
    """
    job = job or ClassifyOptions()
    classifier = classifier or _open(checkpoint, job)
    known = classifier.checkpoint  # with the thresholds for what it computes in
    policy = known.policy_at(job.risk)
    side = side_of_crops(
        known.preprocessing,
        as_pixel_size(job.pixel_size),
        field_of_view=job.field_of_view,
        field_microns=job.field_microns,
    )
    batches, found = _intake(image, cells, side, classifier.batch_size)
    predictions = collect(classifier.run(batches), len(found), known, progress)
    job = replace(job, field_of_view=float(side))
    return _cell_table(found, predictions, classifier, policy, job, name)


def _open(checkpoint: Checkpoint | str, job: ClassifyOptions) -> Classifier:
    from napari_cytodino.checkpoints import load_checkpoint

    if isinstance(checkpoint, str):
        checkpoint = load_checkpoint(checkpoint)
    return Classifier(checkpoint, job.device, job.batch_size, job.dtype)


def _cell_table(
    cells: Cells,
    predictions: Predictions,
    classifier: Classifier,
    policy: DecisionPolicy,
    job: ClassifyOptions,
    name: str,
) -> pd.DataFrame:
    """Return the table of the predictions, with its provenance."""
    checkpoint = classifier.checkpoint
    taxonomy = checkpoint.taxonomy
    evidence = class_probabilities(predictions, taxonomy, policy.temperature)
    table = build_table(cells, predictions, taxonomy, policy, evidence=evidence)
    table.attrs["unfamiliar"] = evidence.unfamiliar_count(policy.max_unfamiliarity)
    used = {"device": classifier.device.name, "dtype": classifier.dtype}
    notes = Provenance(
        name,
        checkpoint.name,
        checkpoint.sha256,
        checkpoint.synthetic,
        asdict(policy),
        asdict(job) | used,
    )
    table.attrs["provenance"] = notes.to_dict()
    return with_file_columns(
        table,
        cells,
        predictions,
        taxonomy,
        policy,
        image=name,
        checkpoint=f"{checkpoint.name}@{checkpoint.sha256[:12]}",
    )


def collect(
    batches: Iterable[PredictionBatch],
    count: int,
    checkpoint: Checkpoint,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predictions:
    """Gather batches into predictions for `count` cells."""
    kept, done = [], 0
    for batch in batches:
        kept.append(batch)
        done += len(batch.rows)
        progress(done, count)
    if not kept:
        return Predictions.empty(count, len(checkpoint.taxonomy), 0)
    return checkpoint.answer(Predictions.like(kept[0], count).with_batches(kept))


def _intake(
    image: Any, cells: Any, side: int, batch_size: int
) -> tuple[Iterator[CropBatch], Cells]:
    if isinstance(image, CropSeries):
        found = cells_from_crops(image.count, side)
        return iter_series(image, side, batch_size), found
    source = image if isinstance(image, ImageSource) else ImageSource(image)
    if cells is None:
        raise InputError(
            "No cells were given; pass a label image, or find_cells(image) first."
        )
    if not isinstance(cells, Cells):
        labels = full_resolution(cells)
        labels = labels if hasattr(labels, "shape") else np.asarray(labels)
        if tuple(labels.shape) != source.shape:
            raise InputError(
                f"Labels of shape {tuple(labels.shape)} do not fit an image of "
                f"{source.shape}; segment this image, or choose its own labels."
            )
        cells = cells_from_labels(labels)
    return iter_crops(source, cells, side, batch_size), cells
