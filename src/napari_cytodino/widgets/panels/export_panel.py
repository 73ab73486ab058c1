"""Save the table and the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_cytodino.common import InputError
from napari_cytodino.exports import export
from napari_cytodino.widgets.controls import notices, ui, with_suffix
from napari_cytodino.widgets.session import (
    embeddings,
    own_labels,
    provenance,
    rings,
    whole_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_cytodino.widgets.controllers import Controller


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
            labels = own_labels(reading) if path.suffix == ".geojson" else None

            def steps(cancelled: Callable[[], bool]) -> Iterator[Path]:
                # Excel sheets and outlines of many cells take seconds
                yield export(
                    frame,
                    path,
                    provenance=notes,
                    polygons=rings(labels),
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
            notices.error(InputError(f"{path} cannot be written: {error}."))
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
