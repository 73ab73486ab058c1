"""What the report of a case says, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.results import AlertRules, Differential, count_cells, find_alerts

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from napari_cytodino.common import Provenance
    from napari_cytodino.results import Alert, CountingRules
    from napari_cytodino.review import Agreement
    from napari_cytodino.taxonomy import Taxonomy


MOST_PICTURES = 56
"""Shown in one report, eight lines of seven in print."""


@dataclass(frozen=True, eq=False)
class CaseReport:
    """Everything that the report shows of a case.

    Attributes
    ----------
    case : str
        Its name; no patient data.
    table : DataFrame
        With the columns of `core.table`.
    taxonomy : Taxonomy
        That made the table.
    provenance : Provenance
        Image, checkpoint and hash, thresholds, settings, versions, time.
    rows : (lines,) integers, optional
        The row of each line of the table among the cells; None where they are the same.
    counting : Counting, optional
        What counts; None takes the taxonomy's own.
    rules : Rules, optional
        What to look for; None takes the package's.
    readers : mapping, optional
        Cells that each reader called; None takes the readers named in the table, which
        has no verdict where readers differ and nobody settled.
    agreements : tuple of Agreement
        Between readers, and between model and reader.
    unsettled : int
        Cells that two readers called differently and nobody settled.
    pictures : mapping
        (h, w, 3) uint8 by row; `rows_to_show` says of which cells.
    picture_note : str
        Such as "Each picture is 25 µm wide.".
    guarantee : str
        What is promised of the cells accepted unseen, or why nothing is; empty takes
        what the thresholds promise.
    image_hash : str
        Fingerprint of the pixels.
    revision : int
        1, 2, ... after each reopening.
    locked : bool
        Whether the case is closed.
    remark : str
        Free text of a reader.
    created : str
        UTC, ISO 8601.
    """

    case: str
    table: pd.DataFrame
    taxonomy: Taxonomy
    provenance: Provenance
    rows: NDArray[np.integer] | None = None
    counting: CountingRules | None = None
    rules: AlertRules | None = None
    readers: Mapping[str, int] | None = None
    agreements: tuple[Agreement, ...] = ()
    unsettled: int = 0
    pictures: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)
    picture_note: str = ""
    guarantee: str = ""
    image_hash: str = ""
    revision: int = 1
    locked: bool = False
    remark: str = ""
    created: str = field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds")
    )

    def __post_init__(self) -> None:
        if self.rows is not None and len(self.rows) != len(self.table):
            raise InputError(
                f"{len(self.rows)} rows do not fit a table of {len(self.table)} lines; "
                "give one row for each line."
            )
        for row, pixels in self.pictures.items():
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
                raise InputError(
                    f"The picture of row {row} has shape {pixels.shape} and type "
                    f"{pixels.dtype}; red, green and blue from 0 to 255 are needed."
                )

    @cached_property
    def differential(self) -> Differential:
        """The counts of the table."""
        return count_cells(self.table, self.taxonomy, self.counting)

    @cached_property
    def alerts(self) -> tuple[Alert, ...]:
        """What to look at."""
        return find_alerts(self.differential, self.taxonomy, self.rules)

    @property
    def cannot_count(self) -> str:
        """Which equivalents of blasts have no class; empty where all have one."""
        return (self.rules or AlertRules.load()).missing_classes(self.taxonomy)

    @cached_property
    def row_of_line(self) -> NDArray[np.integer]:
        """The row of each line of the table."""
        return np.arange(len(self.table)) if self.rows is None else self.rows

    @cached_property
    def picture_groups(self) -> dict[str, NDArray[np.intp]]:
        """Lines of the table worth a picture, by what for, each in one group.

        Cells that an urgent alert is about, cells that a reader corrected, and cells
        that the model flagged, the least sure first.
        """
        at_once = {c for a in self.alerts if a.level == "urgent" for c in a.codes}
        table, sure = self.table, self.table["confidence"].to_numpy(float)
        verdict = table["reviewed_class"].to_numpy(object)
        final, model = (
            table[name].to_numpy(object) for name in ("final_class", "cell_class")
        )
        # as in alerts: an open cell is of its likeliest class until someone reads it
        called = np.where((final == "") & (verdict == ""), model, final)
        masks = {
            "urgent": np.array([code in at_once for code in called], bool),
            "corrected": (verdict != "") & (verdict != model),
            "flagged": (table["status"] != "auto").to_numpy(bool),
        }
        groups, left = {}, np.ones(len(table), bool)
        for name, mask in masks.items():
            lines = np.flatnonzero(mask & left)
            groups[name] = lines[np.argsort(sure[lines], kind="stable")]
            left[lines] = False
        return groups


def rows_to_show(report: CaseReport, most: int = MOST_PICTURES) -> tuple[int, ...]:
    """Return the rows of the cells whose pictures the report should hold.

    Every cell of an urgent alert first, then corrected and flagged cells, of each
    about as many.
    """
    urgent, corrected, flagged = report.picture_groups.values()
    free = max(0, most - len(urgent))
    half = max(free // 2, free - len(flagged))
    chosen = [*urgent, *corrected[:half]]
    chosen = [*chosen, *flagged[: max(0, most - len(chosen))]][:most]
    return tuple(int(report.row_of_line[line]) for line in chosen)
