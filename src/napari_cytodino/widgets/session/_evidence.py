"""What answers amount to, computed once for each set of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cytodino.taxonomy import review_costs
from napari_cytodino.uncertainty import class_probabilities

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.taxonomy import ReviewCosts
    from napari_cytodino.uncertainty import ClassProbabilities, Predictions


class Evidence:
    """Keeps the probabilities of the last answers, and what accepting them costs."""

    def __init__(self) -> None:
        self._weighed: tuple[Predictions, Checkpoint, ClassProbabilities] | None = None
        self._priced: (
            tuple[ClassProbabilities, ReviewCosts, npt.NDArray[np.float64]] | None
        ) = None

    def forget(self) -> None:
        """Let go of everything."""
        self._weighed = self._priced = None

    def probabilities(
        self, predictions: Predictions | None, opened: Checkpoint | None
    ) -> ClassProbabilities | None:
        """Return the probabilities; None where nothing is answered."""
        if predictions is None or opened is None:
            return None
        kept = self._weighed
        if kept is None or kept[0] is not predictions or kept[1] is not opened:
            heat = opened.policy.temperature
            found = class_probabilities(predictions, opened.taxonomy, heat)
            kept = self._weighed = (predictions, opened, found)
        return kept[2]

    def cost(
        self,
        evidence: ClassProbabilities | None,
        opened: Checkpoint | None,
        costs: ReviewCosts,
    ) -> npt.NDArray[np.float64] | None:
        """Return what accepting each cell unseen costs, (N,)."""
        if evidence is None or opened is None:
            return None
        kept = self._priced
        if kept is None or kept[0] is not evidence or kept[1] != costs:
            cost = evidence.expected_cost(review_costs(opened.taxonomy, costs))
            kept = self._priced = (evidence, costs, cost)
        return kept[2]
