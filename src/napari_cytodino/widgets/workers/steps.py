"""The slow work, step by step, as generators that run in a worker; no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.cells import CropStack, crops_of
from napari_cytodino.common import InputError
from napari_cytodino.inference import PredictionCache, side_of_crops

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from napari_cytodino.cells import Cells
    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.finding import PixelSize, Search
    from napari_cytodino.images import ImageSource
    from napari_cytodino.widgets.session import CellsReading, ClassifyRequest


@dataclass(frozen=True)
class Opened:
    """The checkpoint is open and the device is known."""

    checkpoint: Checkpoint
    device: str


class ClassifierCache:
    """Keeps the last classifier and its predictions, so that nothing is done twice."""

    def __init__(self) -> None:
        self._key: tuple[str, str, str, int | None] | None = None
        self._classifier: Any = None
        self._answers: PredictionCache | None = None

    def answers(
        self, checkpoint: Checkpoint, device: str, batch_size: int | None
    ) -> PredictionCache:
        """Return a classifier of this checkpoint that remembers its predictions."""
        classifier = self.classifier(checkpoint, device, batch_size)
        if self._answers is None or self._answers.classifier is not classifier:
            self._answers = PredictionCache(classifier)
        return self._answers

    def classifier(
        self, checkpoint: Checkpoint, device: str, batch_size: int | None
    ) -> Any:
        """Return a classifier of this checkpoint."""
        from napari_cytodino.inference import Classifier

        key = (checkpoint.sha256, checkpoint.dtype, device, batch_size)
        if self._key != key:
            self._classifier = Classifier(
                checkpoint,
                device=device,
                batch_size=batch_size,
                dtype=checkpoint.dtype,
            )
            self._key = key
        return self._classifier


def open_checkpoint(source: Checkpoint | str) -> Checkpoint:
    """Open a checkpoint unless it is open; verifies it, without torch."""
    from napari_cytodino.checkpoints import load_checkpoint

    return load_checkpoint(source) if isinstance(source, str) else source


def open_all(source: Checkpoint | str, device: str) -> Opened:
    """Open a checkpoint, choose device and number type; imports torch."""
    from napari_cytodino.inference import on_device

    checkpoint, found = on_device(open_checkpoint(source), device)
    name = f"{found.name}, {checkpoint.dtype}"
    text = f"{name}: {found.why}" if found.why else name
    return Opened(checkpoint, text)


def classify_steps(
    request: ClassifyRequest,
    models: ClassifierCache,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Any]:
    """Yield `Opened`, then `CellsReading` if cells are read, then batches."""
    opened = open_all(request.checkpoint, request.device)
    yield opened
    checkpoint = opened.checkpoint
    known = request.pixel_size

    def side() -> int:
        return side_of_crops(
            checkpoint.preprocessing, known, field_of_view=request.field_of_view
        )

    reading = request.reading
    if callable(reading):
        reading = reading(side())
        yield reading
    scaled = checkpoint.preprocessing.microns_per_pixel is not None
    if known is None and scaled and not isinstance(reading.source, CropStack):
        from napari_cytodino.finding import pixel_size_of

        known = pixel_size_of(reading.source)
        yield known
    if cancelled() or request.rows == ():
        return
    cells = request.cells_with_clicks(reading)
    rows = np.arange(len(cells))
    if request.rows is not None:
        rows = np.array(request.rows, np.int64)
    answers = models.answers(checkpoint, request.device, request.batch_size)
    size = answers.classifier.batch_size
    crops = crops_of(reading.source, cells, rows, side(), size)
    for batch in answers.run(crops, cancelled):
        yield replace(batch, rows=rows[batch.rows])


def crop_picture(
    reading: CellsReading, cells: Cells, row: int, side: int
) -> npt.NDArray[np.uint8] | None:
    """Return the picture of one cell, None where it cannot be read."""
    batch = next(crops_of(reading.source, cells, np.array([row]), side, 1))
    return batch.pixels[0] if batch.readable[0] else None


def find_steps(
    open_source: Callable[[], ImageSource | CropStack],
    cell_size: float | None = None,
    pixel_size: PixelSize | None = None,
    sensitivity: float | None = None,
) -> Iterator[Search]:
    """Yield how far the search for cells is, tile by tile.

    Raises
    ------
    InputError
        When the image is grey, or nothing is found.
    """
    from napari_cytodino.finding import SENSITIVITY, search

    source = open_source()
    if isinstance(source, CropStack):
        raise InputError("A stack of crops holds one cell each; there is none to find.")
    for step in search(
        source,
        diameter=cell_size,
        pixel_size=None if cell_size else pixel_size,
        sensitivity=sensitivity or SENSITIVITY,
    ):
        yield step
    if not step.cells:
        raise InputError(
            "No stained nucleated cell was found; check that this is a stained smear, "
            "set the cell size, or choose your own segmentation."
        )


def cut_cell(source: ImageSource, y: float, x: float, diameter: float) -> Cells:
    """Return the cell under a click on a spot without segmentation."""
    from napari_cytodino.cells import Cells
    from napari_cytodino.finding import cell_at

    found = cell_at(source, y, x, diameter=diameter)
    top, left, bottom, right = found.bbox
    ys, xs = np.nonzero(found.mask)
    height, width = source.shape
    border = top <= 0 or left <= 0 or bottom >= height or right >= width
    return Cells(
        np.array([1], np.int64),
        np.array([[top + ys.mean(), left + xs.mean()]]),
        np.array([found.bbox], np.int64),
        np.array([float(found.mask.sum())]),
        np.array([border]),
    )
