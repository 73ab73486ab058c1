"""Soft targets: how the mass of label smoothing is spread over the other classes."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from numbers import Real
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.taxonomy import Taxonomy, class_distances, neighbours

if TYPE_CHECKING:
    from numpy.typing import NDArray


Variant = Literal["published", "maturation"]
"""The loss as CytoDINO ran it, or repaired."""

VARIANTS: tuple[Variant, ...] = get_args(Variant)
"""All of them."""

TREE = "hematopoiesis21"
"""The taxonomy with the tree of blood formation (domain.md 5)."""

TAU = 1.0
"""Distance over which the mass falls to 1/e (domain.md 1.4)."""


def smoothing_matrix(
    taxonomy: Taxonomy,
    *,
    variant: Variant,
    smoothing: float,
    within_lineage_weight: float,
    sequential_bonus: float,
) -> NDArray[np.float64]:
    """Return the soft target of each class, true classes in rows, shape (C, C).

    ``"published"`` is written from a description of CytoDINO's loss (its code has no
    licence, none of it is used) and keeps what is wrong with it:

    - `sequential_bonus` is a share, not a bonus. At the published 0.01 a neighbouring
      stage gets 1 % of what its lineage gets, 25 to 66 times less than a distant stage.
    - A share that no class can take is lost. Two classes that are a whole
      sequential lineage have no distant stage: their rows sum to 0.90595 with
      the published values, where all others sum to 1.
    - Groups that are no lineage (pathological cells) share mass as if they were.

    ``"maturation"`` spreads the mass as ``exp(-distance)``, with distances of
    `lineage_tree.class_distances` (see `with_tree`); rows sum to 1, and a nearer class
    never gets less. `within_lineage_weight` and `sequential_bonus` have no part in it.

    Parameters
    ----------
    taxonomy : Taxonomy
        Classes in logit order.
    variant : {"published", "maturation"}
        Which of the two.
    smoothing : float
        Mass taken from the true class, 0 up to but not 1. Published: 0.1.
    within_lineage_weight : float
        Share of that mass for the true class's lineage, 0 to 1. Published: 0.95.
    sequential_bonus : float
        Share of the lineage's mass for neighbouring stages, 0 to 1. Published: 0.01.

    Raises
    ------
    InputError
        When the variant is unknown or a number out of its range.
    """
    check_variant(variant)
    shares = {
        "smoothing": smoothing,
        "within_lineage_weight": within_lineage_weight,
        "sequential_bonus": sequential_bonus,
    }
    for name, value in shares.items():
        if not (is_number(value) and 0 <= value <= 1):
            raise InputError(f"{name} is {value!r}; choose a share from 0 to 1.")
    if smoothing == 1:
        raise InputError(
            "smoothing is 1, which leaves the true class no mass; lower it."
        )
    if variant == "published":
        others = _published(taxonomy, within_lineage_weight, sequential_bonus)
    else:
        others = _by_distance(class_distances(with_tree(taxonomy)))
    matrix = smoothing * others
    np.fill_diagonal(matrix, 1 - smoothing)
    return matrix


def is_number(value: object) -> bool:
    """Say whether this is a finite number, which True and False are not."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and math.isfinite(float(value))  # type: ignore[arg-type]


def with_tree(taxonomy: Taxonomy) -> Taxonomy:
    """Return the taxonomy with the tree of blood formation, where that fits it.

    One without a tree, whose classes are all among those of `TREE`, gets its tree:
    they are the same cells, as the 21 of ``mll21`` are. Any other stays as it is.
    """
    known = _known()
    if taxonomy.tree or not all(code in known for code in taxonomy.codes):
        return taxonomy
    return replace(taxonomy, tree=known.tree)


@cache
def _known() -> Taxonomy:
    return Taxonomy.load(TREE)


def check_variant(variant: str) -> None:
    """Refuse a variant that does not exist.

    Raises
    ------
    InputError
        With those that do.
    """
    if variant not in VARIANTS:
        raise InputError(
            f"There is no variant '{variant}' of the loss; use {' or '.join(VARIANTS)}."
        )


def _published(taxonomy: Taxonomy, within: float, bonus: float) -> NDArray[np.float64]:
    """Return the share of each other class; a share nobody can take is lost."""
    place = taxonomy.lineage_index
    other = ~np.eye(len(taxonomy), dtype=bool)
    kin = (place[:, None] == place) & other
    near = neighbours(taxonomy)
    sequential = np.array([g.sequential for g in taxonomy.lineages])[place]
    # the neighbours' share exists in sequential lineages alone
    bonuses = np.where(sequential, bonus, 0.0)[:, None]
    shares = within * bonuses * _even(near)
    shares += within * (1 - bonuses) * _even(kin & ~near)
    shares += (1 - within) * _even(other & ~kin)
    alone = ~kin.any(axis=1)
    shares[alone] = _even(other)[alone]
    return shares


def _even(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share 1 out evenly in each row among the classes that are True there."""
    return mask / np.maximum(mask.sum(axis=1, keepdims=True), 1)


def _by_distance(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    apart = distances + np.diag(np.full(len(distances), math.inf))
    # from the nearest class on, so that far-off classes do not all become zero
    weights = np.exp(-(apart - apart.min(axis=1, keepdims=True)) / TAU)
    return weights / weights.sum(axis=1, keepdims=True)
