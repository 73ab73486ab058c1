"""Whether unfamiliarity separates OOD cells from test cells of known classes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata

from napari_cytodino.stats import Z, named_interval, share_of
from napari_cytodino.uncertainty import OodCells, as_predictions, decide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty import DecisionPolicy


KNOWN = 0.95
"""Share of test cells that still count as familiar where FPR95 is read off."""

AUROC = (
    "chance that a cell out of distribution is less familiar than a test cell, ties "
    "counted half; its interval is DeLong's (1988) on the logit scale"
)

FPR95 = (
    f"share of them that still count as familiar where {KNOWN:.0%} of the test "
    "cells do; exact interval at that fixed limit"
)

FAMILIAR = (
    "share of them within the checkpoint's own limit, exact interval. Accepted "
    "are those whose class it would take unseen: without any such limit, with that of "
    "single cells, and with the rule for cells that are strange as a whole as well"
)


def auroc(
    known: NDArray[np.floating[Any]], ood: NDArray[np.floating[Any]]
) -> tuple[float, float | None, float | None]:
    """Return the area under the ROC curve and its 95 % interval; see `AUROC`.

    The interval is None where there is no overlap, or fewer than two of either: the
    variance that it needs is not known then.

    Parameters
    ----------
    known, ood : (N,), (M,)
        Unfamiliarity; none of it NaN, at least one of either.
    """
    n, m = len(known), len(ood)
    both = rankdata(np.concatenate([known, ood]))
    # for each OOD cell the share of known cells below it, and the reverse
    below = (both[n:] - rankdata(ood)) / n
    above = 1 - (both[:n] - rankdata(known)) / m
    area = float(below.mean())
    if not 0 < area < 1 or min(n, m) < 2:
        return area, None, None
    spread = np.sqrt(below.var(ddof=1) / m + above.var(ddof=1) / n)
    half = Z * spread / (area * (1 - area))
    low, high = expit(logit(area) + np.array([-half, half]))
    return area, float(low), float(high)


def limit_for(known: NDArray[np.floating[Any]], share: float = KNOWN) -> float:
    """Return the least limit within which at least this share of known cells is."""
    place = int(np.ceil(share * len(known))) - 1
    return float(np.sort(known)[place])


def unfamiliar_figures(
    known: NDArray[np.float32] | None,
    ood_cells: Mapping[str, OodCells],
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
) -> dict[str, Any] | None:
    """Compare the unfamiliarity of OOD cells with that of test cells.

    Parameters
    ----------
    known : (N,) or None
        Of the test cells; NaN, where it is not known, is left out.
    ood_cells
        By their name.

    Returns
    -------
    dict or None
        ``rows``, one for each kind of OOD cell; how many test cells count as ``unlike``
        at the checkpoint's own limit; definitions. None where nothing is known.
    """
    if known is None or np.isnan(known).all():
        return None
    own = known[~np.isnan(known)]
    every = np.ones(len(own), np.bool_)
    rows = [
        {
            "name": name,
            "what": each.what,
            "n": len(each.unfamiliarity),
            **_separation(own, each.unfamiliarity, policy),
            **_accepted(each, taxonomy, policy),
        }
        for name, each in ood_cells.items()
    ]
    return {
        "n": len(own),
        "limit": policy.max_unfamiliarity,
        "unlike": share_of(own > policy.max_unfamiliarity, every),
        "auroc_definition": AUROC,
        "fpr95_definition": FPR95,
        "familiar_definition": FAMILIAR,
        "rows": rows,
    }


def _separation(
    known: NDArray[np.float32], ood: NDArray[np.float32], policy: DecisionPolicy
) -> dict[str, Any]:
    area, low, high = auroc(known, ood)
    every = np.ones(len(ood), np.bool_)
    out: dict[str, Any] = {
        "auroc": round(area, 6),
        "auroc_low": None if low is None else round(low, 6),
        "auroc_high": None if high is None else round(high, 6),
    }
    for key, limit in (
        ("fpr95", limit_for(known)),
        ("familiar", policy.max_unfamiliarity),
    ):
        found = share_of(ood <= limit, every)
        out |= {f"{key}_k": found["k"], **named_interval(key, found)}
    return out


def _accepted(
    cells: OodCells, taxonomy: Taxonomy, policy: DecisionPolicy
) -> dict[str, int | None]:
    """Return how many OOD cells are accepted: by all rules, then by fewer of them."""
    every = float(np.finfo(np.float32).max)
    policies = {
        "accepted": policy,
        "accepted_among_known": replace(policy, max_foreign=1.0),
        "accepted_without_limit": replace(policy, max_unfamiliarity=every),
    }
    if cells.logits is None:
        return dict.fromkeys(policies)
    predictions = as_predictions(cells.logits, cells.unfamiliarity)
    inside = np.zeros(len(predictions), np.bool_)
    return {
        key: int((decide(predictions, taxonomy, used, inside).status == "auto").sum())
        for key, used in policies.items()
    }
