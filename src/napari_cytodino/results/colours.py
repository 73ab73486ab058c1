"""Colours of cells as pure values, by class, lineage, confidence or status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    import pandas as pd

    from napari_cytodino.taxonomy import Taxonomy


MODES = ("class", "lineage", "confidence", "status")
"""What the colour of a cell may show."""

STATUS_COLOURS = {
    "auto": "#56B4E9",
    "lineage_only": "#F0E442",
    "review": "#D55E00",
    "rejected": "#999999",
}
"""From the palette of Okabe and Ito, which colour-blind people can tell apart."""

CONFIDENCE_STEPS = 16
"""Confidence is shown in this many steps, so that few colours make up a class layer."""

_RAMP = np.array(
    # cividis at 0, 1/3, 2/3 and 1: even in lightness, also for colour-blind people
    [
        [0.0, 0.135, 0.305],
        [0.341, 0.361, 0.427],
        [0.651, 0.615, 0.459],
        [0.995, 0.91, 0.217],
    ]
)

NONE = (0.5, 0.5, 0.5, 1.0)
"""Colour of a cell without a class."""

Colour = tuple[float, float, float, float]


def rgba(colour: str) -> Colour:
    """Return #RRGGBB as red, green, blue, alpha from 0 to 1."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return (red, green, blue, 1.0)


def class_colours(taxonomy: Taxonomy) -> dict[str, Colour]:
    """Return the colour of each class code."""
    return {c.code: rgba(c.colour) for c in taxonomy.classes}


def lineage_colours(taxonomy: Taxonomy) -> dict[str, Colour]:
    """Return the colour of each lineage name."""
    return {g.name: rgba(g.colour) for g in taxonomy.lineages}


def palette(taxonomy: Taxonomy, mode: str) -> dict[str, Colour]:
    """Return the colour of every key that `colour_keys` can give in this mode.

    Raises
    ------
    InputError
        When the mode is none of `MODES`.
    """
    if mode == "class":
        return class_colours(taxonomy)
    if mode == "lineage":
        return lineage_colours(taxonomy)
    if mode == "status":
        return {status: rgba(colour) for status, colour in STATUS_COLOURS.items()}
    if mode == "confidence":
        steps = np.linspace(0, 1, CONFIDENCE_STEPS)
        ramp = np.stack([np.interp(steps, [0, 1 / 3, 2 / 3, 1], c) for c in _RAMP.T], 1)
        return {
            f"{step:.2f}": (float(r), float(g), float(b), 1.0)
            for step, (r, g, b) in zip(steps, ramp, strict=True)
        }
    raise InputError(f"'{mode}' is no colour mode; choose one of {', '.join(MODES)}.")


def colour_keys(
    table: pd.DataFrame, mode: str, taxonomy: Taxonomy
) -> npt.NDArray[np.object_]:
    """Return for each row the key of its colour; empty where it has none."""
    if mode == "class":
        return table["final_class"].to_numpy(object)
    if mode == "confidence":
        confidence = table["confidence"].to_numpy(float)
        last = CONFIDENCE_STEPS - 1
        text = np.array([f"{step / last:.2f}" for step in range(last + 1)], object)
        steps = np.rint(np.nan_to_num(confidence) * last).astype(np.int64)
        return np.where(np.isnan(confidence), "", text[steps])
    if mode == "lineage":
        return _lineages(table, taxonomy)
    if mode in MODES:
        return table[mode].to_numpy(object)
    raise InputError(f"'{mode}' is no colour mode; choose one of {', '.join(MODES)}.")


def _lineages(table: pd.DataFrame, taxonomy: Taxonomy) -> npt.NDArray[np.object_]:
    """Return the lineage of each row's final class, the model's while it is open."""
    reviewed = table["reviewed_class"].to_numpy(object)
    final = table["final_class"].to_numpy(object)
    names = table["lineage"].to_numpy(object, copy=True)
    of = {c.code: c.lineage for c in taxonomy.classes}
    for line in np.flatnonzero(reviewed != ""):
        names[line] = of.get(final[line], "")
    return names
