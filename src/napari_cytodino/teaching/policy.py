"""Thresholds for the answers of a taught head; they promise nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_cytodino.teaching.lessons import Lessons
    from napari_cytodino.uncertainty import DecisionPolicy

FEW = 20
"""Taught cells from which on cells as unlike the training cells as these are no longer
called out of distribution."""

EXAMPLES = 5
"""Cells with which a class is taught, before a cell may be accepted as one."""

LEAST, CRITICAL = 0.95, 0.05
"""Least confidence, and most probability of critical classes, where the checkpoint is
not calibrated and accepts nothing."""


def taught_policy(
    base: DecisionPolicy, lessons: Lessons, own_codes: tuple[str, ...]
) -> DecisionPolicy:
    """Return the checkpoint's thresholds, without its promise, for taught answers.

    Parameters
    ----------
    base : DecisionPolicy
        Of the checkpoint.
    lessons : Lessons
    own_codes : tuple of str
        Classes that the checkpoint knew without them.
    """
    counts = lessons.counts()
    thin = {code for code, n in counts.items() if n < EXAMPLES} - set(own_codes)
    rare = {code for code in base.rare if counts.get(code, 0) < EXAMPLES} | thin
    unlike = lessons.unfamiliarity[np.isfinite(lessons.unfamiliarity)]
    limit = base.max_unfamiliarity
    if len(unlike) >= FEW:
        limit = max(limit, float(np.quantile(unlike, 0.99, method="higher")))
    reachable = base.min_confidence <= 1
    return replace(
        base,
        temperature=1.0,
        min_confidence=base.min_confidence if reachable else LEAST,
        min_lineage=base.min_lineage if base.min_lineage <= 1 else LEAST,
        max_critical=CRITICAL if base.uncalibrated else base.max_critical,
        max_unfamiliarity=limit,
        rare=tuple(sorted(rare)),
        # calibrated on other answers
        set_limits={},
        guarantee="",
        uncalibrated="",
    )
