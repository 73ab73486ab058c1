"""How far doubt can be trusted: confidence, what is accepted, what goes to review."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.stats import share_of
from napari_cytodino.training.metrics.confidence import (
    AUGRC,
    AURC,
    BINS,
    BRIER,
    CLASSWISE_ECE,
    ECE,
    LOG_LOSS,
    calibration_figures,
    probabilities,
    risk_coverage,
)
from napari_cytodino.uncertainty import STATUSES, decisions_of, sources_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty import DecisionPolicy, LabelledPredictions


LEAST_BINNED = 10 * BINS
"""Cells below which bins hold too few to separate a calibration error from chance."""

USUAL_ERROR = 0.005
"""Coverage is given at this share of errors: 99.5 % accuracy, as the paper has it."""

Row = dict[str, Any]

_MEASURES = (
    ("ece", "Calibration error (ECE)", ECE),
    ("classwise_ece", "Classwise calibration error", CLASSWISE_ECE),
    ("log_loss", "Log loss (NLL)", LOG_LOSS),
    ("brier", "Brier score", BRIER),
    ("aurc", "AURC", AURC),
    ("augrc", "AUGRC", AUGRC),
)

_SHARES = (
    (
        "accepted",
        "Accepted without review",
        "cells whose class the checkpoint's policy accepts",
    ),
    (
        "accepted_error",
        "Wrong among the accepted",
        "accepted cells not called by their class: silent errors",
    ),
    (
        "lineage_only",
        "Lineage alone given",
        "cells whose stage the policy leaves open",
    ),
    (
        "critical_error",
        "Critical cells called safe",
        "cells of critical classes called by a safe class, accepted or not",
    ),
    (
        "critical_error_accepted",
        "Critical cells called safe, among the accepted",
        "the same, of the accepted cells of critical classes",
    ),
    (
        "critical_missed",
        "Critical cells called safe unseen",
        "cells of critical classes called by a safe class and accepted, of all cells "
        "of critical classes",
    ),
)

BINNED = ("ece", "classwise_ece")
"""Measures that need `LEAST_BINNED` cells."""


def doubt_rows(
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    status: NDArray[np.object_],
) -> list[Row]:
    """Return measures of confidence, and what the policy accepts, one row each.

    Each row has ``key``, ``title``, ``value``, ``low``, ``high``, ``n``,
    ``definition``, and for a share of cells ``k``; intervals are exact ones, 95 %.

    Parameters
    ----------
    cells
        That the measures are of.
    status : (N,)
        Theirs, as decided among all cells: a data set alone might be found foreign as
        a whole where it is not so among others.
    """
    return [*_confidence_rows(cells, policy), *_share_rows(cells, taxonomy, status)]


def _confidence_rows(
    cells: LabelledPredictions, policy: DecisionPolicy
) -> Iterator[Row]:
    chance = probabilities(cells.logits, policy.temperature)
    curve = risk_coverage(chance.max(axis=1), cells.guesses == cells.targets)
    found = calibration_figures(chance, cells.targets)
    found |= {"aurc": curve.aurc, "augrc": curve.augrc}
    none = {"low": None, "high": None}
    for key, title, definition in _MEASURES:
        few = key in BINNED and len(cells) < LEAST_BINNED
        value = None if few else round(found[key], 6)
        if few:
            definition = f"not told of fewer than {LEAST_BINNED} cells: {definition}"
        yield {
            "key": key,
            "title": title,
            "value": value,
            **none,
            "n": len(cells),
            "definition": definition,
        }
    naive = curve.accepted_at(USUAL_ERROR)
    yield {
        "key": "naive_coverage",
        "title": f"Coverage at {1 - USUAL_ERROR:.1%}, naive",
        "value": round(naive["coverage"], 6),
        **none,
        "n": len(cells),
        "k": naive["accepted"],
        "definition": f"most cells, the surest first, of which at most "
        f"{USUAL_ERROR:.1%} are wrong; read off these very cells, so that it promises "
        "nothing of others",
    }


def _share_rows(
    cells: LabelledPredictions, taxonomy: Taxonomy, status: NDArray[np.object_]
) -> Iterator[Row]:
    taken = status == "auto"
    critical = taxonomy.critical_mask[cells.targets]
    harmless = taxonomy.safe_mask[cells.guesses]
    every = np.ones(len(cells), np.bool_)
    parts = {
        "accepted": (taken, every),
        "accepted_error": (cells.guesses != cells.targets, taken),
        "lineage_only": (status == "lineage_only", every),
        "critical_error": (harmless, critical),
        "critical_error_accepted": (harmless, critical & taken),
        "critical_missed": (harmless & taken, critical),
    }
    for key, title, definition in _SHARES:
        found = share_of(*parts[key], cells.units)
        yield {"key": key, "title": title, **found, "definition": definition}


def review_reasons(
    cells: LabelledPredictions, taxonomy: Taxonomy, policy: DecisionPolicy
) -> list[Row]:
    """Return how many cells each rule decides, by status, the commonest first.

    A rule is named as in the cell table, without the numbers of the single cell. Rows
    have ``source`` ("all" or a data set), ``status``, ``reason`` (empty where it is
    accepted), ``n`` cells, of which ``wrong`` are not called by their class, and
    ``share`` of the ``of`` cells there.
    """
    made = decisions_of(cells, taxonomy, policy)
    wrong = cells.guesses != cells.targets
    rules = [
        (str(status), str(text).split(" (")[0])
        for status, text in zip(made.status, made.reason, strict=True)
    ]
    rows = []
    for source, own in sources_of(cells):
        places = np.flatnonzero(own)
        counts = Counter(rules[i] for i in places)
        missed = Counter(rules[i] for i in places if wrong[i])
        order = sorted(counts, key=lambda r: (STATUSES.index(r[0]), -counts[r], r[1]))
        rows += [
            {
                "source": source,
                "status": rule[0],
                "reason": rule[1],
                "n": counts[rule],
                "wrong": missed[rule],
                "of": len(places),
                "share": round(counts[rule] / len(places), 6),
            }
            for rule in order
        ]
    return rows
