"""Whether unfamiliarity tells strangers from test cells of known classes."""

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
    "chance that a stranger is less familiar than a test cell, ties counted half; its "
    "interval is DeLong's (1988) on the logit scale"
)

FPR95 = (
    f"share of strangers that still count as familiar where {KNOWN:.0%} of the test "
    "cells do; exact interval at that fixed limit"
)

FAMILIAR = (
    "share of strangers within the checkpoint's own limit, exact interval. Accepted "
    "are those whose class it would take unseen: without any such limit, with that of "
    "single cells, and with the rule for cells that are strange as a whole as well"
)


def auroc(
    known: NDArray[np.floating[Any]], strange: NDArray[np.floating[Any]]
) -> tuple[float, float | None, float | None]:
    """Return the area under the ROC curve and its 95 % interval; see `AUROC`.

    The interval is None where there is no overlap, or fewer than two of either: the
    variance that it needs is not known then.

    Parameters
    ----------
    known, strange : (N,), (M,)
        Unfamiliarity; none of it NaN, at least one of either.
    """
    n, m = len(known), len(strange)
    both = rankdata(np.concatenate([known, strange]))
    # for each stranger the share of known cells below it, and the reverse
    below = (both[n:] - rankdata(strange)) / n
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
    strangers: Mapping[str, OodCells],
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
) -> dict[str, Any] | None:
    """Compare the unfamiliarity of strangers with that of test cells.

    Parameters
    ----------
    known : (N,) or None
        Of the test cells; NaN, where it is not known, is left out.
    strangers
        By their name.

    Returns
    -------
    dict or None
        ``rows``, one for each kind of stranger; how many test cells count as ``unlike``
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
            **_told_apart(own, each.unfamiliarity, policy),
            **_accepted(each, taxonomy, policy),
        }
        for name, each in strangers.items()
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


def _told_apart(
    known: NDArray[np.float32], strange: NDArray[np.float32], policy: DecisionPolicy
) -> dict[str, Any]:
    area, low, high = auroc(known, strange)
    every = np.ones(len(strange), np.bool_)
    out: dict[str, Any] = {
        "auroc": round(area, 6),
        "auroc_low": None if low is None else round(low, 6),
        "auroc_high": None if high is None else round(high, 6),
    }
    for key, limit in (
        ("fpr95", limit_for(known)),
        ("familiar", policy.max_unfamiliarity),
    ):
        found = share_of(strange <= limit, every)
        out |= {f"{key}_k": found["k"], **named_interval(key, found)}
    return out


def _accepted(
    strangers: OodCells, taxonomy: Taxonomy, policy: DecisionPolicy
) -> dict[str, int | None]:
    """Return how many strangers are accepted: by all rules, then by fewer of them."""
    every = float(np.finfo(np.float32).max)
    policies = {
        "accepted": policy,
        "accepted_among_known": replace(policy, max_foreign=1.0),
        "accepted_without_limit": replace(policy, max_unfamiliarity=every),
    }
    if strangers.logits is None:
        return dict.fromkeys(policies)
    predictions = as_predictions(strangers.logits, strangers.unfamiliarity)
    inside = np.zeros(len(predictions), np.bool_)
    return {
        key: int((decide(predictions, taxonomy, used, inside).status == "auto").sum())
        for key, used in policies.items()
    }
