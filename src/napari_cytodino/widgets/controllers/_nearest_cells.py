"""Which training cells lie nearest to the selected cell, looked up in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cytodino.widgets.controls import notices
from napari_cytodino.widgets.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.uncertainty import NoveltyDetector
    from napari_cytodino.widgets.session import Session


class Nearest:
    """Follows the selection; the training cells of a checkpoint are read once."""

    found = Signal()
    """`codes` are those of the selected cell."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._runner = Worker()
        self._known: tuple[str, NoveltyDetector | None] = ("", None)
        self._of: tuple[str, bytes] | None = None
        self.codes: tuple[str, ...] = ()
        """Classes of the nearest training cells, nearest first; empty if unknown."""
        session.selected.connect(self.look)
        session.results.connect(self.look)

    def close(self) -> None:
        """Stop looking."""
        self._runner.abandon()

    def look(self) -> None:
        """Look up the neighbours of the selected cell, unless they are known."""
        checkpoint, embedding = self._session.opened, self._embedding()
        of = None
        if checkpoint is not None and embedding is not None:
            of = (checkpoint.sha256, embedding.tobytes())
        if of == self._of:
            return
        self._runner.abandon()
        self._of, self.codes = of, ()
        if checkpoint is None or embedding is None:
            return

        def steps(cancelled: Callable[[], bool]) -> Iterator[Any]:
            yield self._codes(checkpoint, embedding)

        self._runner.start(
            steps,
            on_step=self._take,
            on_error=notices.error,
            on_end=lambda cancelled: None,
        )

    def _embedding(self) -> npt.NDArray[np.float16] | None:
        predictions, row = self._session.predictions, self._session.selected_row
        if predictions is None or row is None or row >= len(predictions):
            return None
        if not (predictions.done[row] and predictions.readable[row]):
            return None
        return predictions.embeddings[row]

    def _codes(
        self, checkpoint: Checkpoint, embedding: npt.NDArray[Any]
    ) -> tuple[str, ...]:
        if self._known[0] != checkpoint.sha256:
            self._known = (checkpoint.sha256, None)
            self._known = (checkpoint.sha256, checkpoint.familiarity())
        familiarity = self._known[1]
        if familiarity is None or len(embedding) != familiarity.width:
            return ()
        classes, _ = familiarity.nearest(embedding)
        return tuple(checkpoint.taxonomy.codes[int(c)] for c in classes)

    def _take(self, codes: tuple[str, ...]) -> None:
        self.codes = codes
        self.found.emit()
