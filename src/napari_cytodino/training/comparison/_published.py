"""Published figures beside our own: mean and spread, or "not run here"."""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from statistics import mean, stdev
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from napari_cytodino.common import read_record, record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


SCORES = {
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
}
"""Keys, as in `scores.TABLE_SCORES`, and titles of the columns."""

NOT_RUN = "not run here"
"""Said of a work that has published figures only."""

UNKNOWN = "–"
"""Stands for a figure that was not published, or not measured."""


Percent = Annotated[float, Field(ge=0, le=100)]


@record
class PublishedResult:
    """What a paper says of itself; scores in per cent, None where none was found.

    Attributes
    ----------
    name, reference : str
        What it is called, and where it was published.
    protocol : str
        On which cells; figures under different protocols are not comparable.
    source : str
        Where the figures were read.
    approximate : tuple of str
        Scores that are given as "about".
    """

    name: str
    reference: str
    protocol: str
    source: str
    weighted_f1: Percent | None = None
    macro_f1: Percent | None = None
    accuracy: Percent | None = None
    balanced_accuracy: Percent | None = None
    approximate: tuple[str, ...] = ()

    def shown(self, score: str) -> str:
        """Return a score as printed, in per cent."""
        value = getattr(self, score)
        if value is None:
            return UNKNOWN
        return f"about {value:.0f}" if score in self.approximate else f"{value:.1f}"


@record
class _Works:
    schema: int
    works: tuple[PublishedResult, ...]


def published(path: Path | None = None) -> tuple[PublishedResult, ...]:
    """Return the published works, in order of time.

    Parameters
    ----------
    path : Path, optional
        A TOML file; None takes the one in the package.

    Raises
    ------
    InputError
        When a work lacks a field, has an unknown one, or a score is no percentage.
    """
    file = (
        path
        or resources.files("napari_cytodino.training.comparison") / "published.toml"
    )
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    return read_record(_Works, content, file.name).works


def mean_and_spread(values: Sequence[float | None]) -> str:
    """Return mean and standard deviation over seeds, shares as per cent.

    The spread is the sample's standard deviation (n - 1); with one seed there is none,
    and the text says so.
    """
    known = [100 * v for v in values if v is not None and math.isfinite(v)]
    if not known:
        return UNKNOWN
    if len(known) == 1:
        return f"{known[0]:.1f} (1 seed)"
    return f"{mean(known):.1f} ± {stdev(known):.1f} ({len(known)} seeds)"


def as_markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows as a Markdown table; a bar in a text is escaped."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head)]
    lines += [[row[name].replace("|", "\\|") for name in head] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
