"""Whether a share differs from a threshold, and how many more cells would show it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cytodino.stats import Z

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_cytodino.results.differential_count import Differential, Share


MOST = 10_000
"""More cells than this are not asked for; no smear would hold them."""


@dataclass(frozen=True)
class GreyZone:
    """A threshold that the 95 % interval of a share straddles.

    Attributes
    ----------
    threshold : float
        Per cent.
    share : Share
        What was counted.
    more : int or None
        How many more cells would separate them if the share stayed as it is; None
        where that is no use: it is the threshold itself, or takes more than `MOST`.
    """

    threshold: float
    share: Share
    more: int | None


def grey_zones(share: Share, thresholds: Iterable[float]) -> tuple[GreyZone, ...]:
    """Return the thresholds, in per cent, that the interval of a share straddles."""
    if not (share.counted and share.total):
        return ()
    low, high = share.interval
    return tuple(
        GreyZone(limit, share, _more(share, limit))
        for limit in thresholds
        if low <= limit <= high
    )


def bounds(threshold: float, total: int) -> tuple[int, int]:
    """Return the fewest and the most of `total` cells that leave a threshold open.

    Wilson's interval holds a share t exactly where the observed share is within
    z sqrt(t (1 - t) / n) of t, as it inverts that test.

    Parameters
    ----------
    threshold
        Per cent, between 0 and 100.
    total
        Cells counted, at least 1.
    """
    t = threshold / 100
    reach = Z * math.sqrt(t * (1 - t) * total)
    return (
        max(0, math.ceil(t * total - reach)),
        min(total, math.floor(t * total + reach)),
    )


def cells_needed(percent: float, threshold: float) -> int | None:
    """Return from how many cells on a share differs from a threshold.

    Parameters
    ----------
    percent, threshold
        From 0 to 100.

    Returns
    -------
    int or None
        None when they are equal: no number of cells is enough.
    """
    t, gap = threshold / 100, (percent - threshold) / 100
    if math.isclose(gap, 0, abs_tol=1e-12):
        return None
    return math.floor(Z * Z * t * (1 - t) / (gap * gap)) + 1


def _more(share: Share, threshold: float) -> int | None:
    needed = cells_needed(share.percent, threshold)
    if needed is None or needed - share.total > MOST:
        return None
    return needed - share.total


def grey_zone_sentence(differential: Differential) -> str:
    """Name the thresholds that the blasts may lie on either side of; empty if none.

    The most useful sentence under a differential: 18 % of 500 cells may be 20 %.
    """
    if differential.blasts is None:
        return ""
    share = differential.blasts.reviewed
    zones = grey_zones(share, differential.counting.thresholds)
    if not zones:
        return ""
    low, high = share.interval
    limits = [f"{zone.threshold:g} %" for zone in zones]
    needed = [_needed(zone, alone=len(zones) == 1) for zone in zones]
    return (
        f"Blasts: {share.percent:.1f} % ({share.count:,} of {share.total:,}; 95 % "
        f"{low:.1f} to {high:.1f} %) cannot be told from {_listed(limits, 'or')}: "
        f"count more cells. At this share {_listed(needed, 'and')}."
    )


def _needed(zone: GreyZone, *, alone: bool) -> str:
    of = "" if alone else f" for {zone.threshold:g} %"
    if zone.more is None:
        return f"no sensible number of cells would tell{of}"
    return f"it takes about {zone.more:,} more{of}"


def _listed(words: list[str], last: str) -> str:
    """Join words as English does: a, b or c."""
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
