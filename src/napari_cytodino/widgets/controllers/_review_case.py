"""Find and open the record of the image on the screen, without making it wait."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cytodino.common import CytoDinoError, InputError
from napari_cytodino.review import CasePlace, ReviewLog, case_place, fingerprint_pixels
from napari_cytodino.widgets.controls import notices
from napari_cytodino.widgets.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_cytodino.widgets.session import CellsReading, ReviewSession, Session


NO_CELLS = "Classify the cells first; a review is of classified cells."

OTHER_PIXELS = (
    "These cells are of other pixels than the case that was open; it was closed. Start "
    "their own review."
)


@dataclass(frozen=True)
class FoundCase:
    """Where the record of an image is, and what it holds already.

    Attributes
    ----------
    image
        Fingerprint of the pixels.
    readers
        Who gave verdicts; empty where there is no record yet.
    verdicts
        How many cells have one.
    last
        Time of the last verdict, UTC, ISO 8601.
    """

    image: str
    place: CasePlace
    readers: tuple[str, ...] = ()
    verdicts: int = 0
    last: str = ""


class CaseFinder:
    """Looks for the record of the cells that were read, and opens it."""

    offered = Signal()
    """It is known whether there is an earlier review."""

    def __init__(self, session: Session, reviewing: ReviewSession) -> None:
        self._session, self._reviewing = session, reviewing
        self._runner = Worker()
        self._reading: CellsReading | None = None
        self._found: FoundCase | None = None
        self._session.results.connect(self._look)

    @property
    def busy(self) -> bool:
        """True while the record is looked for."""
        return self._runner.busy

    @property
    def offer(self) -> str:
        """What an earlier review of this image holds, empty where there is none."""
        found = self._found
        if found is None or not found.readers:
            return ""
        return (
            f"This image was read before, by {' and '.join(found.readers)}: "
            f"{found.verdicts:,} verdicts, the last on {found.last[:10]}. Start the "
            "review under the same name to go on."
        )

    @property
    def place_note(self) -> str:
        """Why the record does not lie beside the image; empty where it does."""
        return self._found.place.why if self._found else ""

    def open(self, reader: str, *, case: str = "", blind: bool = False) -> None:
        """Open the record of this image, or begin one, and read under a name."""
        try:
            if not reader.strip():
                raise InputError("Verdicts need a name: write yours, or your initials.")
            # what was found belongs to cells that may be gone by now
            if self._found is None or self._reading is not self._session.reading:
                raise InputError(NO_CELLS)
            log = ReviewLog.open(
                self._found.place.path, image=self._found.image, case=case.strip()
            )
            self._reviewing.start(log, reader, blind=blind)
        except CytoDinoError as error:
            notices.error(error)
            return
        if log.read_only:
            notices.warning(f"This review can only be looked at: {log.why_read_only}")
        if self.place_note:
            notices.info(self.place_note)

    def close(self) -> None:
        """Stop looking."""
        self._runner.abandon()

    def _look(self) -> None:
        reading = self._session.reading
        if self._session.predictions is None or reading is self._reading:
            return
        self._reading, self._found = reading, None
        if reading is None:
            return
        path = self._path()
        self._runner.abandon()

        def steps(cancelled: Callable[[], bool]) -> Iterator[FoundCase]:
            yield look_for(reading.source, path)

        self._runner.start(
            steps, on_step=self._take, on_error=notices.error, on_end=self._ended
        )

    def _path(self) -> Path | None:
        """Return the file that the image came from, None where it has none."""
        source = getattr(self._session.image, "source", None)
        path = getattr(source, "path", None)
        return Path(path) if path else None

    def _take(self, found: FoundCase) -> None:
        self._found = found
        log = self._reviewing.log
        if log is None:
            return
        if log.image == found.image:
            self._reviewing.reattach()
        else:
            self._reviewing.stop()
            notices.warning(OTHER_PIXELS)

    def _ended(self, cancelled: bool) -> None:
        self.offered.emit()


def look_for(source: Any, path: Path | None) -> FoundCase:
    """Return where the record of these pixels is, and what it holds; reads pixels."""
    image = fingerprint_pixels(source)
    place = case_place(path, image)
    if not place.exists:
        return FoundCase(image, place)
    with ReviewLog.open(place.path, image=image, read_only=True) as log:
        events = log.events()
        cells = {event.cell for event in events if event.cell}
        last = events[-1].at if events else ""
        return FoundCase(image, place, log.readers, len(cells), last)
