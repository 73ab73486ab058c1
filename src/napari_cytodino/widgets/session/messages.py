"""Frozen values that travel between the session and the worker; no Qt."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from napari_cytodino.cells import CropStack
    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.finding import PixelSize
    from napari_cytodino.images import ImageSource


class RunState(Enum):
    """What the worker is doing."""

    IDLE = "idle"
    FINDING = "finding cells"
    OPENING = "opening the checkpoint"
    CLASSIFYING = "classifying"
    SAVING = "saving"
    STOPPING = "stopping"


@dataclass(frozen=True)
class CellsReading:
    """The cells as read from a layer, with the pixels they lie on.

    Attributes
    ----------
    source
        The plane of the image, or the stack of crops.
    labels : (H, W)
        The label image that the cells came from, if any: numpy, or dask where it is
        too large to hold.
    label_boxes
        Bounding boxes in pixels of `labels`, which may have another scale.
    """

    cells: Cells
    source: ImageSource | CropStack
    labels: Any = None
    label_boxes: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class ClassifyRequest:
    """All that the worker needs; it never looks at a layer.

    Attributes
    ----------
    generation
        Of the session when the request was made; answers carry it back.
    reading
        The cells, or a function of the crop's side that reads them; reading is slow,
        so the worker does it.
    checkpoint
        Name, folder or Hub id, or a checkpoint that is open already.
    field_of_view
        Side of the crop in image pixels; None takes the checkpoint's.
    clicked
        Cells that were clicked by hand; they follow those of `reading`.
    batch_size
        Cells at a time; None takes what suits the device.
    rows
        Classify these rows of all cells only; None means all.
    pixel_size
        Of the image; None has it estimated where the checkpoint knows its own.
    """

    generation: int
    reading: CellsReading | Callable[[int], CellsReading]
    checkpoint: Checkpoint | str
    field_of_view: float | None
    device: str
    batch_size: int | None
    clicked: Cells | None = None
    rows: tuple[int, ...] | None = None
    pixel_size: PixelSize | None = None

    def cells_with_clicks(self, reading: CellsReading) -> Cells:
        """Return all cells: those of the layer, then those that were clicked."""
        return join(reading.cells, self.clicked)


@dataclass(frozen=True)
class Progress:
    """How far a run is; `seconds_left` is None while it is not known."""

    done: int = 0
    total: int = 0
    seconds_left: float | None = None


def join(cells: Cells, more: Cells | None) -> Cells:
    """Append cells; their labels continue after the largest there is."""
    if more is None or len(more) == 0:
        return cells
    arrays = {
        field.name: np.concatenate(
            [getattr(cells, field.name), getattr(more, field.name)]
        )
        for field in fields(Cells)
        if field.name != "left_out"
    }
    start = int(cells.label.max(initial=0)) + 1
    arrays["label"] = np.concatenate(
        [cells.label, np.arange(start, start + len(more), dtype=np.int64)]
    )
    return Cells(**arrays, left_out=cells.left_out)
