"""Figures of a confusion table, with supports and bootstrap intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from napari_cytodino.common import InputError
from napari_cytodino.stats import counted_share, named_interval, wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


LEVELS = (2.5, 97.5)
"""Percentiles of a 95 % interval."""

REPEATS = 1000
"""Bootstrap samples behind an interval."""


def resampled_tables(
    targets: NDArray[np.int64],
    guesses: NDArray[np.int64],
    classes: int,
    *,
    groups: NDArray[np.str_] | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Iterator[NDArray[np.int64]]:
    """Yield confusion tables of cells, or of whole groups, drawn with replacement.

    Cells of one patient are alike: where there are groups, groups are drawn (cluster
    bootstrap; Field & Welsh 2007, doi
    10.1111/j.1467-9868.2007.00593.x) and the intervals are wider.

    Parameters
    ----------
    targets, guesses : NDArray[np.int64]
        (N,) class indices.
    classes : int
        Number of classes C; tables are (C, C).
    groups : NDArray[np.str_], optional
        (N,) patient or other unit of each cell.
    repeats, seed : int
        How many tables, and which.

    Raises
    ------
    InputError
        When there is only one group: one patient shows nothing of others.
    """
    rng = np.random.default_rng(seed)
    flat = targets * classes + guesses
    if groups is None:
        for _ in range(repeats):
            drawn = flat[rng.integers(0, len(flat), len(flat))]
            table = np.bincount(drawn, minlength=classes**2)
            yield table.reshape(classes, classes)
        return
    names, member = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise InputError(
            f"All {len(flat)} cells are of the one group '{names[0]}': give the groups "
            "of at least two patients, or none."
        )
    ones = np.ones(len(flat), np.int64)
    shape = (len(names), classes**2)
    counts = csr_array((ones, (member, flat)), shape=shape).T.tocsr()
    equal = np.full(len(names), 1 / len(names))
    for _ in range(repeats):
        drawn = rng.multinomial(len(names), equal)
        yield np.asarray(counts @ drawn, np.int64).reshape(classes, classes)


def intervals(
    scores: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    targets: NDArray[np.int64],
    guesses: NDArray[np.int64],
    classes: int,
    *,
    groups: NDArray[np.str_] | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return value and 95 % percentile interval of each score.

    Parameters
    ----------
    scores : callable
        From a confusion table to K numbers; NaN where one is not defined.
    targets, guesses, classes, groups, repeats, seed
        As for `resampled_tables`.

    Returns
    -------
    NDArray[np.float64]
        (K, 3): value, low, high. Draws in which a score is not defined are left out.
    """
    value = scores(confusion(targets, guesses, classes))
    drawn = np.stack(
        [
            scores(table)
            for table in resampled_tables(
                targets, guesses, classes, groups=groups, repeats=repeats, seed=seed
            )
        ]
    )
    low, high = (np.full(len(value), np.nan) for _ in LEVELS)
    for i, column in enumerate(drawn.T):
        known = column[~np.isnan(column)]
        if len(known) and not np.isnan(value[i]):
            low[i], high[i] = np.percentile(known, LEVELS)
    return np.stack([value, low, high], axis=1)


LEAST_SUPPORT = 50
"""Test images below which figures mean little; DinoBloom has 17 of 21 classes above."""


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


def macro_f1_of(table: NDArray[np.int64], least: int = 0) -> float:
    """Return the mean F1 over all classes with at least ``least`` test images.

    With ``least`` 0 every class of the taxonomy counts, one that is absent as zero:
    scikit-learn's ``f1_score(labels=range(C), average="macro", zero_division=0)``.
    NaN where no class has so many.
    """
    kept = table.sum(axis=1) >= least
    return float(f1_scores(table)[kept].mean()) if kept.any() else float("nan")


def weighted_f1(table: NDArray[np.int64]) -> float:
    """Return the mean F1 with each class weighted by its test images."""
    support = table.sum(axis=1)
    return float((f1_scores(table) * support).sum() / support.sum())


def row_shares(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row of a confusion table as shares; zeros where a row is empty."""
    total = table.sum(axis=1, keepdims=True)
    return np.divide(table, total, out=np.zeros(table.shape), where=total > 0)


def balanced_accuracy(table: NDArray[np.int64]) -> float:
    """Return the mean recall over the classes that are present."""
    present = table.sum(axis=1) > 0
    return float(np.diag(row_shares(table))[present].mean())


def class_rows(
    table: NDArray[np.int64], codes: Sequence[str], digits: int = 6
) -> Iterator[dict[str, Any]]:
    """Yield code, support and F1 of each class, precision and recall with intervals.

    Intervals are Wilson's. F1 is 0, as in the macro mean, where the class is absent and
    never called.
    """
    scores = f1_scores(table)
    for i, code in enumerate(codes):
        n, called, hits = int(table[i].sum()), int(table[:, i].sum()), int(table[i, i])
        row = {"code": code, "n": n, "called": called, "hits": hits}
        for key, whole in (("precision", called), ("recall", n)):
            row |= named_interval(
                key, counted_share(hits, whole, wilson, digits=digits)
            )
        yield row | {"f1": round(float(scores[i]), digits)}


IN_CARDS = ("code", "n", "precision", "recall", "recall_low", "recall_high", "f1")
"""What of `class_rows` a card shows, in its order."""


def classification_report(
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
    support, right, n = table.sum(axis=1), targets == guesses, len(targets)
    (macro,) = intervals(
        lambda drawn: np.array([macro_f1(drawn)]), targets, guesses, len(codes)
    )
    keys = ("macro_f1", "macro_f1_low", "macro_f1_high")
    rows = [row for row in class_rows(table, codes, 4) if row["n"]]
    out: dict[str, Any] = {
        "n": n,
        "classes": int((support > 0).sum()),
        "accuracy": counted_share(int(right.sum()), n, digits=4)["value"],
        **{key: round(float(x), 4) for key, x in zip(keys, macro, strict=True)},
        "weighted_f1": round(weighted_f1(table), 4),
        "per_class": [{key: row[key] or 0.0 for key in IN_CARDS} for row in rows],
        "confusion": table.tolist(),
    }
    if accepted is not None:
        out["accepted"] = counted_share(int(accepted.sum()), n, digits=4)["value"]
        out["accepted_n"] = int(accepted.sum())
        out["accepted_wrong"] = int((accepted & ~right).sum())
    return out
