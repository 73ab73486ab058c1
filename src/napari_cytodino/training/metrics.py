"""Figures of a classifier, with supports and intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.core.differential import wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REPEATS = 1000
"""Bootstrap samples behind an interval."""


def confusion(
    targets: NDArray[np.int64], guesses: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Return counts, one row a true class, one column a guess."""
    flat = np.bincount(targets * classes + guesses, minlength=classes * classes)
    return flat.reshape(classes, classes)


def f1_scores(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return F1 of each class; 0 where a class is neither present nor guessed."""
    hits = np.diag(table).astype(np.float64)
    total = table.sum(axis=0) + table.sum(axis=1)
    return np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)


def macro_f1(table: NDArray[np.int64]) -> float:
    """Return the mean F1 over the classes that are present.

    A guess of an absent class still costs the true class its recall.
    """
    return float(f1_scores(table)[table.sum(axis=1) > 0].mean())


def bootstrap_macro_f1(
    targets: NDArray[np.int64], guesses: NDArray[np.int64], classes: int, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of `macro_f1` over cells drawn with replacement."""
    rng = np.random.default_rng(seed)
    n = len(targets)
    values = []
    for _ in range(REPEATS):
        rows = rng.integers(0, n, n)
        values.append(macro_f1(confusion(targets[rows], guesses[rows], classes)))
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _share(part: float, whole: float) -> float:
    return round(float(part) / float(whole), 4) if whole else 0.0


def class_figures(
    table: NDArray[np.int64], codes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return precision, recall with its Wilson interval, F1 and support by class."""
    rows = []
    scores = f1_scores(table)
    for i, code in enumerate(codes):
        support, guessed, hits = table[i].sum(), table[:, i].sum(), table[i, i]
        if support == 0:
            continue
        low, high = wilson(int(hits), int(support))
        rows.append(
            {
                "code": code,
                "n": int(support),
                "precision": _share(hits, guessed),
                "recall": _share(hits, support),
                "recall_low": round(low, 4),
                "recall_high": round(high, 4),
                "f1": round(float(scores[i]), 4),
            }
        )
    return rows


def figures(
    targets: NDArray[np.int64],
    guesses: NDArray[np.int64],
    codes: Sequence[str],
    accepted: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """Return every figure of one set of cells.

    Parameters
    ----------
    targets, guesses : NDArray[np.int64]
        (N,) class indices.
    codes : sequence of str
        Class codes in logit order.
    accepted : NDArray[np.bool_], optional
        True where the policy would accept the cell without review.
    """
    table = confusion(targets, guesses, len(codes))
    support, scores = table.sum(axis=1), f1_scores(table)
    low, high = bootstrap_macro_f1(targets, guesses, len(codes))
    right = targets == guesses
    out: dict[str, Any] = {
        "n": len(targets),
        "classes": int((support > 0).sum()),
        "accuracy": _share(right.sum(), len(targets)),
        "macro_f1": round(macro_f1(table), 4),
        "macro_f1_low": round(low, 4),
        "macro_f1_high": round(high, 4),
        "weighted_f1": _share((scores * support).sum(), support.sum()),
        "per_class": class_figures(table, codes),
        "confusion": table.tolist(),
    }
    if accepted is not None:
        out["accepted"] = _share(accepted.sum(), len(targets))
        out["accepted_n"] = int(accepted.sum())
        out["accepted_wrong"] = int((accepted & ~right).sum())
    return out
