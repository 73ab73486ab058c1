"""Classify a folder: what, where to, how far it is, and what failed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QFileDialog,
    QGridLayout,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cytodino.common import RESEARCH_USE
from napari_cytodino.exports import SUFFIXES
from napari_cytodino.images import IMAGE_SUFFIXES
from napari_cytodino.widgets.controls import notices, ui
from napari_cytodino.widgets.panels.run_panel import duration
from napari_cytodino.widgets.session import RunState, accuracy, read_preferences
from napari_cytodino.widgets.workers import (
    FolderPlan,
    Worker,
    find_images,
    out_for,
    source_of,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QShowEvent

    from napari_cytodino.widgets.controllers import FolderRun
    from napari_cytodino.widgets.session import Session


TITLES = {"csv": "CSV", "xlsx": "Excel", "parquet": "Parquet", "geojson": "GeoJSON"}
"""What a format is called; others by their name."""

NEEDS = {"xlsx": "openpyxl", "parquet": "pyarrow", "h5ad": "anndata"}
"""Packages that a format needs and that may be missing."""

COLUMNS = 3
"""Formats side by side."""

NOTHING = "Choose a folder, or drop one here; its sub-folders are searched too."

RESULTS = (
    "Nucleated cells are found in each image; it gets a table, a differential and a "
    "picture. Images that have theirs already are left as they are, so a run that was "
    "stopped can go on."
)


class FolderDialog(QDialog):
    """Checkpoint, field of view and accuracy are those of the dock.

    Parameters
    ----------
    parent
        The dock; the dialogue goes with it.
    run
        Goes on when the dialogue is closed, and ends with the dock.
    """

    def __init__(
        self, parent: QWidget | None, session: Session, run: FolderRun
    ) -> None:
        super().__init__(parent)
        self._session, self._run, self._finder = session, run, Worker()
        self._paths: tuple[Path, ...] = ()
        self._images: tuple[Path, ...] = ()
        self.setWindowTitle("Classify a folder")
        self.setAcceptDrops(True)
        self.source, self.out = _path("Images"), _path("Folder of the results")
        self.folder, self.files = QPushButton("F&older…"), QPushButton("Fi&les…")
        self.place = QPushButton("Choos&e…")
        self.count, self.model = ui.hint(NOTHING), ui.hint()
        self.crops = QCheckBox("Each image is o&ne cell")
        self.crops.setToolTip("Ready-made crops: one table for all, sub-folders kept.")
        self.formats = {suffix[1:]: _format(suffix[1:]) for suffix in SUFFIXES}
        self.start, self.cancel = QPushButton("&Start"), QPushButton("C&ancel")
        self.cancel.setToolTip(
            "Stop after the cells under way; images that are done stay (Escape)."
        )
        self.open = QPushButton("O&pen folder")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Images done")
        self.status, self.guarantee = ui.hint(), ui.hint()
        self.failed_title = ui.heading("Left out")
        self.failed = QPlainTextEdit()
        self.failed.setAccessibleName("Images left out, and why")
        self.failed.setReadOnly(True)
        self.failed.setTabChangesFocus(True)
        self._lay_out()
        self._connect()
        self._show_model()
        self._on_run()

    def _lay_out(self) -> None:
        boxes = QGridLayout()
        for place, box in enumerate(self.formats.values()):
            boxes.addWidget(box, place // COLUMNS, place % COLUMNS)
        layout = QVBoxLayout(self)
        for part in (
            ui.heading("Images"),
            ui.row(self.source, self.folder, self.files),
            self.count,
            self.crops,
            ui.heading("Results"),
            ui.row(self.out, self.place),
            boxes,
            ui.hint(RESULTS),
            ui.heading("Model"),
            self.model,
            ui.row(self.start, self.cancel),
            self.bar,
            ui.row(self.status, self.open),
            self.guarantee,
            self.failed_title,
            self.failed,
        ):
            if isinstance(part, QWidget):
                layout.addWidget(part)
            else:
                layout.addLayout(part)
        layout.addStretch()
        layout.addWidget(ui.hint(RESEARCH_USE))
        self.ensurePolished()
        unit = ui.line_height(self)
        self.failed.setMinimumHeight(unit * 4)
        self.failed.setMaximumHeight(unit * 12)
        self.setMinimumWidth(unit * 32)
        self.start.setDefault(True)
        for button in (self.folder, self.files, self.place, self.cancel, self.open):
            button.setAutoDefault(False)

    def _connect(self) -> None:
        self.folder.clicked.connect(self._ask_folder)
        self.files.clicked.connect(self._ask_files)
        self.place.clicked.connect(self._ask_out)
        self.start.clicked.connect(self.begin)
        self.cancel.clicked.connect(self._run.cancel)
        self.open.clicked.connect(self._open_out)
        for box in (self.crops, *self.formats.values()):
            box.toggled.connect(lambda on: self._on_run())
        for signal in (self._session.chosen, self._session.decided):
            ui.listen(self, signal, self._show_model)
        ui.listen(self, self._run.changed, self._on_run)
        finder = self._finder
        self.destroyed.connect(lambda: finder.abandon())

    def look(self, paths: Sequence[Path]) -> None:
        """Take these folders and files, and count their images in a worker."""
        self._paths, self._images = tuple(paths), ()
        self.source.setText("; ".join(str(path) for path in paths))
        out = out_for(self._paths)
        self.out.setText(str(out))
        self.count.setText("Looking for images …")
        self._finder.abandon()
        self._finder.start(
            lambda cancelled: find_images(self._paths, out),
            on_step=self._found,
            on_error=lambda error: self.count.setText(str(error)),
            on_end=lambda cancelled: self._on_run(),
        )
        self._on_run()

    def _found(self, images: tuple[Path, ...]) -> None:
        self._images = images
        folders = len({image.parent for image in images})
        where = f" in {folders} folders" if folders > 1 else ""
        number = "1 image" if len(images) == 1 else f"{len(images):,} images"
        self.count.setText(f"{number} found{where}.")

    def begin(self) -> None:
        """Start the run with what is chosen."""
        session, preferences = self._session, read_preferences()
        self._run.start(
            FolderPlan(
                self._images,
                self._paths,
                source_of(session.checkpoint),
                Path(self.out.text()),
                self._chosen_formats(),
                self.crops.isChecked(),
                session.field_of_view,
                preferences.device,
                preferences.batch_size or None,
                session.risk,
            )
        )

    def showEvent(self, event: QShowEvent) -> None:
        """Show everything that there is to say."""
        super().showEvent(event)
        self._grow()

    def reject(self) -> None:
        """Let Escape stop the run; without one it closes the dialogue."""
        if self._run.busy:
            self._run.cancel()
        else:
            super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Close the window only: the run goes on, and the dock tells how far it is."""
        event.accept()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take folders and files."""
        if not self._run.busy and event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Look for images in what was dropped."""
        urls = event.mimeData().urls()
        self.look([Path(url.toLocalFile()) for url in urls if url.isLocalFile()])

    def _chosen_formats(self) -> tuple[str, ...]:
        return tuple(name for name, box in self.formats.items() if box.isChecked())

    def _show_model(self) -> None:
        self.model.setText(model_words(self._session))

    def _on_run(self) -> None:
        """Show how far the run is, and offer what can be done now."""
        run, busy = self._run, self._run.busy
        for widget in (self.folder, self.files, self.place, self.crops):
            widget.setEnabled(not busy)
        ready = bool(self._images and self._chosen_formats())
        self.start.setEnabled(ready and not busy and bool(self._session.checkpoint))
        self.cancel.setEnabled(busy and run.state is not RunState.STOPPING)
        self.bar.setVisible(busy)
        self.bar.setRange(0, run.progress.total)
        self.bar.setValue(run.progress.done)
        self.status.setText(status(run))
        self.guarantee.setText("" if busy else run.guarantee)
        self.guarantee.setVisible(bool(self.guarantee.text()))
        self.open.setVisible(not busy and run.plan is not None and not run.fault)
        self._show_failed()
        self._grow()
        if not busy and run.plan is not None and not self.isVisible():
            notices.info(f"Classify a folder: {self.status.text()}")

    def _grow(self) -> None:
        """Make room for what came; Qt would squeeze the rest instead."""
        layout = self.layout()
        layout.activate()
        width = max(self.width(), layout.totalMinimumSize().width())
        wanted = layout.totalHeightForWidth(width)
        if self.isVisible() and wanted > self.height():
            self.resize(width, wanted)

    def _show_failed(self) -> None:
        failed = self._run.tally.failed
        self.failed.setVisible(bool(failed))
        self.failed_title.setVisible(bool(failed))
        shown = self.failed.blockCount() if self.failed.toPlainText() else 0
        if len(failed) < shown:
            self.failed.clear()
            shown = 0
        for image, why in failed[shown:]:
            self.failed.appendPlainText(ui.visible(left_out(image, why)))

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of images")
        if folder:
            self.look([Path(folder)])

    def _ask_files(self) -> None:
        kinds = " ".join(f"*{suffix}" for suffix in IMAGE_SUFFIXES)
        names, _ = QFileDialog.getOpenFileNames(self, "Images", "", f"Images ({kinds})")
        if names:
            self.look([Path(name) for name in names])

    def _ask_out(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the results")
        if folder:
            self.out.setText(folder)

    def _open_out(self) -> None:
        if self._run.plan is not None:
            url = QUrl.fromLocalFile(str(self._run.plan.out))
            QDesktopServices.openUrl(url)


def status(run: FolderRun) -> str:
    """Return how far a run is, or what came of it."""
    progress = run.progress
    if run.state is RunState.STOPPING:
        return f"Stopping after the cells under way, {progress.done} images done …"
    if run.state is RunState.CLASSIFYING:
        left = progress.seconds_left
        tail = f", {duration(left)} left" if left is not None else ""
        return f"{progress.done:,} of {progress.total:,} images{tail}"
    if run.busy:
        return f"{run.state.value.capitalize()} …"
    if run.fault:
        return run.fault
    if run.plan is None:
        return ""
    outcome = words(run.plan, run.tally, stopped=run.stopped)
    return f"{outcome}\nThe results are in {run.plan.out}."


def left_out(image: Path, why: str) -> str:
    """Return one line that names an image and says why it has no result."""
    text = " ".join(why.split()).replace(str(image), image.name)
    return text if text.startswith(image.name) else f"{image.name}: {text}"


def model_words(session: Session) -> str:
    """Return the choices of the dock that a run takes over."""
    opened = session.opened
    name = opened.name if opened else str(session.checkpoint)
    if not name:
        return "Choose a checkpoint in the dock first."
    parts = [name]
    if opened is not None or session.field_of_view:
        parts.append(f"{session.crop_side()} px around each cell")
    if session.risk is not None:
        parts.append(f"accuracy wanted {accuracy(session.risk)}")
    text = f"{', '.join(parts)}: as chosen in the dock."
    if session.min_confidence:
        text += " The least confidence of the preferences counts in the dock only."
    if opened is not session.untaught:
        text += (
            " What verdicts taught here counts in the dock only: save a profile, and "
            "choose that."
        )
    return text


def _path(name: str) -> QLineEdit:
    line = QLineEdit()
    line.setAccessibleName(name)
    line.setReadOnly(True)
    return line


def _format(name: str) -> QCheckBox:
    box = QCheckBox(TITLES.get(name, "AnnData"))
    box.setChecked(name == "csv")
    package = NEEDS.get(name)
    if package is not None and find_spec(package) is None:
        box.setEnabled(False)
        box.setToolTip(f"Needs the package {package}, which is not installed.")
    return box
