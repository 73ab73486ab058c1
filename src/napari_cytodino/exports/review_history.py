"""The history of a case as a table, and as a file for those who audit it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from napari_cytodino.common import InputError, atomic_write
from napari_cytodino.exports.plain_text import formula_safe
from napari_cytodino.review import Event

if TYPE_CHECKING:
    from napari_cytodino.review import ReviewLog


def history_table(log: ReviewLog) -> pd.DataFrame:
    """Return one line for each event, oldest first, with the fields of `Event`."""
    return pd.DataFrame(log.events(), columns=list(Event._fields))


def write_history(log: ReviewLog, path: Path | str) -> Path:
    """Write the whole history of a case.

    Parameters
    ----------
    path
        ``.csv``, or ``.jsonl`` with one JSON object a line. An existing file is
        replaced; a failure leaves it as it was.

    Raises
    ------
    InputError
        When the format is unknown or the disk refuses.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".jsonl"):
        raise InputError(
            f"'{path.suffix}' is no format for a history; use .csv or .jsonl."
        )
    with atomic_write(path) as temporary:
        if path.suffix == ".csv":
            table = formula_safe(history_table(log))
            table.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")
        else:
            with temporary.open("w", encoding="utf-8", newline="\n") as lines:
                for event in log.events():
                    lines.write(json.dumps(event._asdict(), ensure_ascii=False) + "\n")
    return path
