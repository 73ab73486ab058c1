"""Take a case elsewhere: its report, its crops by class; and bring verdicts back."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget
from superqt.utils import ensure_main_thread

from napari_cytodino.case_report import write_case_report
from napari_cytodino.common import CytoDinoError, InputError
from napari_cytodino.exports import (
    READABLE,
    CropsWritten,
    export_crops,
    read_table,
    verdicts_of,
    write_history,
)
from napari_cytodino.taxonomy import NOT_A_CELL
from napari_cytodino.widgets.controls import notices, ui, with_suffix
from napari_cytodino.widgets.review._case_material import (
    BLIND,
    pictures_for,
    report_of,
    rows_of,
)
from napari_cytodino.widgets.session import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_cytodino.exports import EarlierVerdict
    from napari_cytodino.widgets.controllers import Controller
    from napari_cytodino.widgets.review.differential_panel import DifferentialPanel


PAGE = "Web page (*.html)"

HISTORIES = "CSV (*.csv);;JSON lines (*.jsonl)"


class ReportPanel(QWidget):
    """Buttons for what a case leaves behind."""

    def __init__(self, controller: Controller, counts: DifferentialPanel) -> None:
        super().__init__()
        self._controller, self._counts = controller, counts
        self._session = controller.session
        self.report = QPushButton("Save rep&ort…")
        self.report.setToolTip(
            "One web page with counts, alerts, readers and pictures."
        )
        self.crops = QPushButton("Save &crops…")
        self.crops.setToolTip(
            "A picture of each reviewed cell, in a folder for each class, as "
            "`python -m napari_cytodino.training` reads them."
        )
        self.history = QPushButton("Save &history…")
        self.history.setToolTip("Every event of the record, as CSV or JSON lines.")
        self.load = QPushButton("Load &verdicts…")
        self.load.setToolTip(
            "From a table (CSV, Excel, Parquet) that was saved before."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(ui.heading("Report"))
        layout.addLayout(ui.row(self.report, self.crops))
        layout.addLayout(ui.row(self.history, self.load))
        self.report.clicked.connect(self._ask_report)
        self.crops.clicked.connect(self._ask_crops)
        self.history.clicked.connect(self._ask_history)
        self.load.clicked.connect(self._ask_load)
        for signal in (
            self._session.results,
            self._session.run,
            controller.review.state,
        ):
            ui.listen(self, signal, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Offer what there is."""
        there = len(self._session.table) > 0 and not self._session.busy
        open_ = self._controller.review.is_open
        self.report.setEnabled(there and not self._session.blind)
        self.crops.setEnabled(there and open_ and not self._session.blind)
        # each event holds the model's class
        self.history.setEnabled(open_ and not self._session.blind)
        self.load.setEnabled(there and self._controller.review.writable)

    def save_report(self, path: Path) -> None:
        """Write the report of the case, pictures included, in a worker."""
        session = self._session

        def start() -> None:
            plan = report_of(
                self._controller, self._counts.counting, self._counts.rules
            )
            # kept, as a layer may go meanwhile
            reading, cells, side = session.reading, session.cells, session.crop_side()
            assert reading is not None
            assert cells is not None

            def steps(cancelled: Callable[[], bool]) -> Iterator[Path]:
                pictures = pictures_for(reading, cells, side, plan)
                yield write_case_report(replace(plan, pictures=pictures), path)

            self._controller.save(steps, lambda done: f"The report is in {done}.")

        self._controller.attempt(start)

    def save_crops(self, folder: Path) -> None:
        """Write the crops of all reviewed cells, in a worker that can be cancelled."""
        session, log = self._session, self._controller.review.log
        reading, cells = session.reading, session.cells

        def start() -> None:
            if log is None or reading is None or cells is None:
                raise InputError("Start the review first; only read cells are written.")
            if session.blind:
                raise InputError(BLIND)
            table, side = session.table_of(log.settled()), session.crop_side()
            # two images of one case have files of their own in one folder
            case = f"{log.case or 'case'}-{log.image[:8]}"

            def steps(cancelled: Callable[[], bool]) -> Iterator[CropsWritten]:
                yield export_crops(
                    reading.source,
                    cells,
                    table,
                    folder,
                    side=side,
                    case=case,
                    progress=self._progress,
                    cancelled=cancelled,
                )

            self._controller.save(steps, lambda done: crops_words(done, folder))

        self._controller.attempt(start)

    def save_history(self, path: Path) -> None:
        """Write the whole record, event by event."""
        log = self._controller.review.log
        try:
            if log is None:
                raise InputError("Start the review first; its record is then saved.")
            write_history(log, path)
        except CytoDinoError as error:
            notices.error(error)
        else:
            self._session.message.emit(f"The history is in {path}.")

    def load_verdicts(self, path: Path) -> None:
        """Record the verdicts of a saved table, each under its reader's name.

        Later verdicts of the same reader stay.
        """
        reviewing = self._controller.review
        try:
            if not reviewing.writable:
                raise InputError("Start the review first; then load verdicts into it.")
            found = verdicts_of(read_table(path))
            self._check_image(found)
            fit = self._fitting(found)
            count = sum(self._record(name, rows, path) for name, rows in fit.items())
        except CytoDinoError as error:
            notices.error(error)
            return
        finally:
            if reviewing.is_open:
                reviewing.read_as(
                    reviewing.reader, blind=reviewing.blind, settling=reviewing.settling
                )
        left = len(found) - sum(map(len, fit.values()))
        tail = (
            f"; {left} are of cells or classes that are not here, or older than "
            "the same reader's later verdicts"
            if left
            else ""
        )
        self._session.message.emit(
            f"{count} verdicts were loaded from {path.name}{tail}."
        )

    def _check_image(self, found: tuple[EarlierVerdict, ...]) -> None:
        own = str(getattr(self._session.image, "name", ""))
        others = {verdict.image for verdict in found} - {"", own}
        if others:
            raise InputError(
                f"This table is of the image '{sorted(others)[0]}', not of '{own}'; "
                "open that image, or give this layer its name if it is the same."
            )

    def _fitting(
        self, found: tuple[EarlierVerdict, ...]
    ) -> dict[str, list[tuple[int, EarlierVerdict]]]:
        """Return the verdicts that can be recorded, with their rows, by reader."""
        session, reviewing = self._session, self._controller.review
        log, taxonomy = reviewing.log, session.taxonomy
        assert log is not None
        assert taxonomy is not None
        known = {*taxonomy.codes, NOT_A_CELL}
        by_reader: dict[str, list[tuple[int, EarlierVerdict]]] = defaultdict(list)
        for row, verdict in zip(rows_of(session, found), found, strict=True):
            name = verdict.reviewer or reviewing.reader
            own = log.verdicts(name).get(int(row))
            newer = own is None or own.at <= verdict.at or not verdict.at
            if row >= 0 and verdict.cell_class in known and newer:
                by_reader[name].append((int(row), verdict))
        return by_reader

    def _record(
        self, name: str, verdicts: list[tuple[int, EarlierVerdict]], path: Path
    ) -> int:
        log = self._controller.review.log
        assert log is not None
        changed = log.record(
            [row for row, _ in verdicts],
            [verdict.cell_class for _, verdict in verdicts],
            reviewer=name,
            model=[verdict.model for _, verdict in verdicts],
            why=f"loaded from {path.name}",
        )
        return len(changed)

    @ensure_main_thread
    def _progress(self, done: int, total: int) -> None:
        if self._session.busy:
            self._session.set_state(self._session.state, Progress(done, total))

    def _ask_report(self) -> None:
        log = self._controller.review.log
        name = (log.case if log is not None else "") or "report"
        path, _ = QFileDialog.getSaveFileName(self, "Save report", f"{name}.html", PAGE)
        if path:
            self.save_report(Path(path).with_suffix(".html"))

    def _ask_crops(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for crops by class")
        if folder:
            self.save_crops(Path(folder))

    def _ask_history(self) -> None:
        path, kind = QFileDialog.getSaveFileName(
            self, "Save history", "history.csv", HISTORIES
        )
        if path:
            self.save_history(with_suffix(path, kind))

    def _ask_load(self) -> None:
        kinds = " ".join(f"*{suffix}" for suffix in READABLE)
        path, _ = QFileDialog.getOpenFileName(
            self, "Load verdicts", "", f"Tables ({kinds})"
        )
        if path:
            self.load_verdicts(Path(path))


def crops_words(done: CropsWritten, folder: Path) -> str:
    """Return what came of an export of crops."""
    total = sum(done.counts.values())
    tail = "" if done.finished else " It was cancelled before the end."
    bad = f" {len(done.unreadable)} cells are unreadable." if done.unreadable else ""
    return f"{total} crops of {len(done.counts)} classes are in {folder}.{bad}{tail}"
