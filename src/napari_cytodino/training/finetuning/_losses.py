"""The hierarchical focal loss: soft targets, focus, class weights, penalties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_cytodino.common import InputError
from napari_cytodino.taxonomy import FALSE_ALARM, MISSED, error_costs
from napari_cytodino.training.finetuning._soft_targets import (
    check_variant,
    is_number,
    smoothing_matrix,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.training.finetuning._soft_targets import Variant


class WeightedCrossEntropy(nn.Module):
    """Cross-entropy with class factors, averaged over cells and not over factors.

    The average over factors would make a batch's gradient depend on how it is cut.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights: Tensor
        self.register_buffer("weights", weights)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of logits (B, C) and targets (B,)."""
        loss = nn.functional.cross_entropy(logits, targets, reduction="none")
        return (loss * self.weights[targets]).mean()


class HierarchicalFocalLoss(nn.Module):
    """Cross-entropy that knows lineages, stages and what an error costs.

    For a cell of class t with probabilities p, of which the largest is p_k::

        loss = penalty[t, k] * weight[t] * (1 - p_t)**gamma * -sum_j soft[t, j] log p_j

    and the loss of a batch is the plain mean over its cells, so that batches of one
    size can be accumulated (domain.md 1.1, 1.3). Written from a description of
    CytoDINO's loss: its code has no licence, none of it is used. What ``"published"``
    keeps of its faults is described at `smoothing_matrix` and `penalty_matrix`. Both
    variants share these properties:

    - The focal factor undoes the smoothing where a cell is learned: the loss falls to 0
      as p_t rises to 1 and has no minimum before it. Probabilities are therefore
      not calibrated; fit a temperature afterwards.
    - The penalty looks at the predicted class alone. It weighs a cell that is mistaken
      and has no gradient of its own towards a less costly error.

    It has no parameters and nothing in its ``state_dict``: all follows from the recipe.

    Parameters
    ----------
    taxonomy : Taxonomy
        C classes in logit order.
    variant : {"published", "maturation"}
        As CytoDINO ran it, or repaired.
    smoothing, within_lineage_weight, sequential_bonus : float
        See `smoothing_matrix`. Published: 0.1, 0.95, 0.01.
    critical_penalty : float
        See `penalty_matrix`. Published: 3.
    gamma : float
        Focus on cells that are not yet learned, at least 0 (none). Published: 2.
    class_weights : sequence of float, optional
        (C,) factors by true class, finite and not negative; 1 each when left out.

    Raises
    ------
    InputError
        When an argument is out of its range.
    """

    soft_targets: Tensor
    penalties: Tensor
    class_weights: Tensor

    def __init__(
        self,
        taxonomy: Taxonomy,
        *,
        variant: Variant,
        smoothing: float,
        within_lineage_weight: float,
        sequential_bonus: float,
        critical_penalty: float,
        gamma: float,
        class_weights: Tensor | NDArray[Any] | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not (is_number(gamma) and gamma >= 0):
            raise InputError(f"gamma is {gamma!r}; choose 0 (no focus) or more.")
        soft = smoothing_matrix(
            taxonomy,
            variant=variant,
            smoothing=smoothing,
            within_lineage_weight=within_lineage_weight,
            sequential_bonus=sequential_bonus,
        )
        penalties = penalty_matrix(
            taxonomy, variant=variant, critical_penalty=critical_penalty
        )
        self.variant = variant
        self.gamma = float(gamma)
        # logits in float64 are for those who check numbers; Apple GPUs have no float64
        self._exact = {
            "soft_targets": torch.from_numpy(soft),
            "penalties": torch.from_numpy(penalties),
            "class_weights": _weights(class_weights, len(taxonomy)),
        }
        for name, value in self._exact.items():
            self.register_buffer(name, value.float(), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch, in float32 or float64.

        Parameters
        ----------
        logits : Tensor
            (B, C) of any floating type; halves are computed in float32, under autocast
            too. Logits that are not numbers make the loss not a number.
        targets : Tensor
            (B,) class indices.

        Raises
        ------
        InputError
            When shapes, type or range do not fit.
        """
        return self.per_cell(logits, targets).mean()

    def per_cell(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each cell, shape (B,); arguments as for `forward`."""
        self._check(logits, targets)
        targets = targets.long()
        with torch.autocast(logits.device.type, enabled=False):
            exact = logits if logits.dtype == torch.float64 else logits.float()
            log_p = exact.log_softmax(dim=1)
            soft = self._table("soft_targets", exact)[targets]
            # a class that the logits rule out costs nothing where it has no mass
            loss = -torch.where(soft > 0, soft * log_p, 0.0).sum(dim=1)
            if self.gamma:
                log_true = log_p.gather(1, targets[:, None])[:, 0]
                # the slope of x**gamma at 0 is infinite for gamma below 1
                rest = (-torch.expm1(log_true)).clamp(min=torch.finfo(log_p.dtype).tiny)
                loss = loss * rest**self.gamma
            factor = self._table("penalties", exact)[targets, exact.argmax(dim=1)]
            return loss * factor * self._table("class_weights", exact)[targets]

    def _table(self, name: str, exact: Tensor) -> Tensor:
        """Return a buffer in the number type of the logits."""
        if exact.dtype == torch.float64:
            return self._exact[name].to(exact.device)
        return self.get_buffer(name).to(exact.dtype)

    def extra_repr(self) -> str:
        """Say what sets this loss apart from others of its kind."""
        return f"{self.variant}, classes={len(self.class_weights)}, gamma={self.gamma}"

    def _check(self, logits: Tensor, targets: Tensor) -> None:
        classes = len(self.class_weights)
        for name, given in (("Logits", logits), ("Targets", targets)):
            if not isinstance(given, Tensor):
                raise InputError(f"{name} are a {type(given).__name__}; give a tensor.")
        if not logits.is_floating_point():
            raise InputError(f"Logits are {logits.dtype}; give floating numbers.")
        if logits.ndim != 2 or logits.shape[1] != classes or len(logits) == 0:
            raise InputError(
                f"Logits have the shape {tuple(logits.shape)}; the loss needs (cells, "
                f"{classes}) and at least one cell."
            )
        if targets.shape != logits.shape[:1]:
            raise InputError(
                f"Targets have the shape {tuple(targets.shape)} for {len(logits)} rows "
                "of logits; give one class index a cell."
            )
        if targets.is_floating_point() or targets.dtype == torch.bool:
            raise InputError(f"Targets are {targets.dtype}; give class indices.")
        if bool(((targets < 0) | (targets >= classes)).any()):
            low, high = int(targets.min()), int(targets.max())
            raise InputError(
                f"Targets run from {low} to {high}; the taxonomy has the class indices "
                f"0 to {classes - 1}."
            )


def _weights(
    values: Tensor | NDArray[Any] | Sequence[float] | None, classes: int
) -> Tensor:
    if values is None:
        return torch.ones(classes, dtype=torch.float64)
    try:
        weights = torch.as_tensor(values, dtype=torch.float64).detach().cpu().clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"class_weights are {values!r}; give one number for each of the {classes} "
            "classes."
        ) from error
    if weights.shape != (classes,):
        raise InputError(
            f"class_weights have the shape {tuple(weights.shape)}; give one for each "
            f"of the {classes} classes."
        )
    if not bool((weights.isfinite() & (weights >= 0)).all()):
        raise InputError(
            f"class_weights are {weights.tolist()}; each must be a number from 0 on."
        )
    return weights


def penalty_matrix(
    taxonomy: Taxonomy,
    *,
    variant: Variant,
    critical_penalty: float,
    false_alarm_penalty: float = FALSE_ALARM,
) -> NDArray[np.float64]:
    """Return the factor of each error, targets in rows, shape (C, C).

    ``"published"`` knows two kinds of error: a critical class called safe, and a safe
    class called critical. What it leaves out stays out: a blast thrown away as an
    artefact, and a leukaemic promyelocyte called a normal one, cost nothing extra.

    ``"maturation"`` takes `error_costs.error_costs`, which holds both. These are for a
    critical penalty of 3; their excess over 1 grows and shrinks with it.

    Parameters
    ----------
    taxonomy : Taxonomy
        Classes in logit order.
    variant : {"published", "maturation"}
        Which of the two.
    critical_penalty : float
        Factor of the worst error, at least 1. Published: 3.
    false_alarm_penalty : float
        Factor of a safe class called critical, in the published variant, at most
        `critical_penalty`, so that 1 there switches both off. The published
        code has 1.5 whatever the other is; the published run is the same.

    Raises
    ------
    InputError
        When the variant is unknown or a factor below 1.
    """
    check_variant(variant)
    factors = {
        "critical_penalty": critical_penalty,
        "false_alarm_penalty": false_alarm_penalty,
    }
    for name, value in factors.items():
        if not (is_number(value) and value >= 1):
            raise InputError(f"{name} is {value!r}; choose 1 (no penalty) or more.")
    if variant == "maturation":
        excess = error_costs(taxonomy) - 1
        return 1 + excess * (critical_penalty - 1) / (MISSED - 1)
    factor = np.ones((len(taxonomy), len(taxonomy)))
    factor[np.ix_(taxonomy.critical_mask, taxonomy.safe_mask)] = critical_penalty
    false_alarm = min(false_alarm_penalty, critical_penalty)
    factor[np.ix_(taxonomy.safe_mask, taxonomy.critical_mask)] = false_alarm
    return factor
