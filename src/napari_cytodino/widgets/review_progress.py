"""How far a reader is, and how often the model was right, as pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.core.differential import wilson
from napari_cytodino.widgets.review_queue import asked, queue
from napari_cytodino.widgets.standing import whole

if TYPE_CHECKING:
    from napari_cytodino.widgets.session import Session


@dataclass(frozen=True)
class Progress:
    """Counts of one reader.

    Attributes
    ----------
    cells : int
        All that are classified.
    reviewed : int
        With a verdict.
    asked, left : int
        In the queue at first, and now: flagged cells, or all of them when blind.
    same, compared : int
        Verdicts that name the model's own class, of those where it had one.
    """

    cells: int
    reviewed: int
    asked: int
    left: int
    same: int
    compared: int

    def words(self, *, blind: bool = False) -> str:
        """Return the counts as a sentence; blind readers hear nothing of the model."""
        said = f"{self.reviewed:,} of {self.cells:,} cells have a verdict."
        if blind or not self.compared:
            return said
        low, high = wilson(self.same, self.compared)
        return (
            f"{said} The model agrees with {self.same:,} of {self.compared:,}: "
            f"{whole(self.same / self.compared)} ({whole(low)} to {whole(high)})."
        )


def progress(session: Session) -> Progress:
    """Count the verdicts of the reader whose table is shown."""
    table = session.table
    said = table["reviewed_class"].to_numpy(object)
    seen = np.flatnonzero(said != "")
    model = table["cell_class"].to_numpy(object)[seen]
    compared = model != ""
    return Progress(
        len(table),
        len(seen),
        len(asked(session)),
        len(queue(session)),
        int((said[seen] == model)[compared].sum()),
        int(compared.sum()),
    )
