"""Save the table and the picture."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_cytodino.core.errors import InputError
from napari_cytodino.core.export import export, outlines
from napari_cytodino.core.provenance import Provenance
from napari_cytodino.core.table import file_table
from napari_cytodino.widgets import notices, ui
from napari_cytodino.widgets.standing import standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    import pandas as pd

    from napari_cytodino.widgets.controller import Controller
    from napari_cytodino.widgets.requests import CellsReading
    from napari_cytodino.widgets.session import Session

TABLES = (
    "CSV (*.csv);;Excel (*.xlsx);;GeoJSON for QuPath (*.geojson);;"
    "Parquet (*.parquet);;AnnData (*.h5ad)"
)
PICTURES = "PNG (*.png)"


class ExportPanel(QWidget):
    """Buttons that write what is on the screen."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.table = QPushButton("Save &table…")
        self.table.setToolTip("CSV, Excel, GeoJSON for QuPath, Parquet or AnnData.")
        self.picture = QPushButton("Save pictu&re…")
        self.picture.setToolTip("The canvas as it is, with the classes.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(ui.row(self.table, self.picture))
        self.table.clicked.connect(self._ask_table)
        self.picture.clicked.connect(self._ask_picture)
        controller.session.results.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Offer to save what there is."""
        there = len(self._controller.session.table) > 0
        self.table.setEnabled(there)
        self.picture.setEnabled(there)

    def save_table(self, path: Path) -> None:
        """Write the table; the suffix names the format."""
        session, reading = self._controller.session, self._controller.session.reading

        def start() -> None:
            frame, notes = whole_table(session), provenance(session)
            points = embeddings(session)
            held = own_labels(reading) if path.suffix == ".geojson" else None

            def steps(cancelled: Callable[[], bool]) -> Iterator[Path]:
                # Excel sheets and outlines of many cells take seconds
                yield export(
                    frame,
                    path,
                    provenance=notes,
                    polygons=rings(held),
                    embeddings=points,
                )

            self._controller.save(
                steps, lambda done: f"{len(frame)} cells were written to {done}."
            )

        self._controller.attempt(start)

    def save_picture(self, path: Path) -> None:
        """Write the canvas as PNG."""
        viewer = self._controller.viewer
        try:
            viewer.screenshot(path=str(path), canvas_only=True, flash=False)
        except OSError as error:
            notices.tell(InputError(f"{path} cannot be written: {error}."))
        else:
            self._controller.session.message.emit(f"The picture is in {path}.")

    def _ask_table(self) -> None:
        name, kind = QFileDialog.getSaveFileName(
            self, "Save table", "cells.csv", TABLES
        )
        if name:
            self.save_table(with_suffix(name, kind))

    def _ask_picture(self) -> None:
        name, kind = QFileDialog.getSaveFileName(
            self, "Save picture", "cells.png", PICTURES
        )
        if name:
            self.save_picture(with_suffix(name, kind))


def with_suffix(name: str, kind: str) -> Path:
    """Return the path with the suffix of the chosen kind, where it has none."""
    path = Path(name)
    if path.suffix:
        return path
    return path.with_name(path.name + kind.split("(*")[-1].rstrip(")"))


def whole_table(session: Session) -> pd.DataFrame:
    """Return the table on the screen with the columns of files.

    Raises
    ------
    InputError
        When nothing is classified, or a blind reading goes on: each file would tell
        what the model says.
    """
    if session.blind:
        raise InputError(
            "A blind reading goes on, and a file would tell what the model says; end "
            "the review first."
        )
    if (
        session.cells is None
        or session.predictions is None
        or session.opened is None
        or session.policy is None
    ):
        raise InputError("Nothing is classified yet; press Classify first.")
    checkpoint = session.opened
    return file_table(
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
        "promise": standing(session).text,
    }
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
