"""What the session knows, as files want it: table, provenance, embeddings, rings."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.common import InputError, Provenance
from napari_cytodino.exports import outlines
from napari_cytodino.results import with_file_columns
from napari_cytodino.widgets.session.guarantee import guarantee_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from napari_cytodino.widgets.session.messages import CellsReading
    from napari_cytodino.widgets.session.session import Session


def whole_table(session: Session) -> pd.DataFrame:
    """Return the table on the screen with the columns of files.

    Raises
    ------
    InputError
        When nothing is classified, or a blind reading goes on: each file would show
        the model's predictions.
    """
    if session.blind:
        raise InputError(
            "A blind reading goes on, and a file would show the model's predictions; "
            "end the review first."
        )
    if (
        session.cells is None
        or session.predictions is None
        or session.opened is None
        or session.policy is None
    ):
        raise InputError("Nothing is classified yet; press Classify first.")
    checkpoint = session.opened
    return with_file_columns(
        session.table,
        session.cells,
        session.predictions,
        checkpoint.taxonomy,
        session.policy,
        image=str(getattr(session.image, "name", "")),
        checkpoint=f"{checkpoint.name}@{checkpoint.sha256[:12]}",
    )


def provenance(session: Session) -> Provenance:
    """Return what made the table."""
    assert session.opened is not None
    assert session.policy is not None
    cells = session.cells_layer
    settings = {
        "field_of_view": session.crop_side(),
        "device": session.device_text,
        "cells": cells if isinstance(cells, str) else str(getattr(cells, "name", "")),
        "partial": session.partial,
        "stale": session.stale,
        "promise": guarantee_of(session).text,
    }
    taught = session.opened.taught
    if taught is not None:
        settings["taught"] = taught.summary
    return Provenance(
        str(getattr(session.image, "name", "")),
        session.opened.name,
        session.opened.sha256,
        session.opened.synthetic,
        asdict(session.policy),
        settings,
    )


def embeddings(session: Session) -> npt.NDArray[np.float16]:
    """Return the embedding of each line of the table."""
    assert session.predictions is not None
    return session.predictions.embeddings[session.predictions.done]


def own_labels(reading: CellsReading | None) -> CellsReading | None:
    """Return the reading with labels that painting in the layer does not change."""
    if reading is None or not isinstance(reading.labels, np.ndarray):
        return reading
    return replace(reading, labels=reading.labels.copy())


def rings(reading: CellsReading | None) -> dict[int, list[list[float]]]:
    """Return the outlines of cells whose label image shares the image's pixels."""
    if reading is None or reading.labels is None or reading.label_boxes is None:
        return {}
    if (reading.label_boxes != reading.cells.bbox).any():
        return {}
    return outlines(reading.labels, reading.cells)
