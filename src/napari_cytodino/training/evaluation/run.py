"""A training run as its checkpoint is judged, whichever engine made it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import InputError
from napari_cytodino.training.evaluation.answers import VIEWS, by_source, predictions_of
from napari_cytodino.training.evaluation.report import CellViews
from napari_cytodino.uncertainty import Calibration, fit_calibration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.training.data import CellFile, CellSet
    from napari_cytodino.uncertainty import (
        CalibrationTargets,
        DecisionPolicy,
        LabelledPredictions,
        NoveltyDetector,
    )


PART_A, PART_B = "calibration-a", "calibration-b"
"""The parts that a calibration needs."""

VALIDATION = "validation, best epoch"
"""What figures of the published protocol are: of the cells that chose the epoch."""

TEST = "test"
"""Figures of cells that nothing was chosen on."""


@dataclass(frozen=True)
class Run:
    """The cells of a run, and the facts about it.

    Attributes
    ----------
    name : str
        Of its recipe; empty where none is known.
    taxonomy : Taxonomy
    aims : CalibrationTargets
        What it wants to promise.
    origin : mapping
        Where its cells come from: the hash of the split, or a folder.
    parts : tuple of str
        Kept apart from training; the last is the one figures are of.
    read : callable
        Part -> its cells.
    references : callable or None
        Reads some training cells of each class and source, for others to be compared
        with; None where those of the checkpoint are kept.
    views : tuple of str
        Of `VIEWS`, those figures are of.
    sheet : callable or None
        A cell's file -> views of it, augmented as in training.
    every_class : callable or None
        Reads the test part with the classes that the recipe leaves out.
    batch : int
        Cells at once.
    """

    name: str
    taxonomy: Taxonomy
    aims: CalibrationTargets
    origin: Mapping[str, str]
    parts: tuple[str, ...]
    read: Callable[[str], CellSet]
    references: Callable[[], CellSet] | None = None
    views: tuple[str, ...] = VIEWS[:1]
    sheet: Callable[[CellFile], CellViews] | None = None
    every_class: Callable[[], CellSet] | None = None
    batch: int = 64

    @property
    def split_sha256(self) -> str:
        """The hash of its split; empty where cells are drawn in code."""
        return self.origin.get("split_sha256", "")

    @property
    def protocol(self) -> str:
        """What figures of the judged part are."""
        return TEST if self.parts[-1] == TEST else VALIDATION

    @property
    def calibrates(self) -> bool:
        """Whether there are cells to calibrate on."""
        return {PART_A, PART_B} <= set(self.parts)

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint records of its run."""
        counts = {part: len(self.read(part)) for part in self.parts}
        name = {"recipe": self.name} if self.name else {}
        return {**name, **self.origin, "n": counts}

    def predict(
        self,
        checkpoint: Checkpoint,
        cells: CellSet,
        device: str = "cpu",
        view: str = VIEWS[0],
    ) -> LabelledPredictions:
        """Return a checkpoint's predictions on cells."""
        return predictions_of(checkpoint, cells, device, view=view, batch=self.batch)

    def calibration_parts(
        self, checkpoint: Checkpoint, device: str = "cpu"
    ) -> tuple[LabelledPredictions, LabelledPredictions]:
        """Return a checkpoint's predictions on calibration parts A and B.

        Raises
        ------
        InputError
            When the run's protocol keeps none.
        """
        if not self.calibrates:
            raise InputError(
                f"The run of '{self.name}' kept no cells apart to calibrate on: give "
                "others with --own-cells."
            )
        part_a, part_b = (
            self.predict(checkpoint, self.read(part), device)
            for part in (PART_A, PART_B)
        )
        return part_a, part_b

    def calibrate(
        self,
        checkpoint: Checkpoint,
        device: str = "cpu",
        aims: CalibrationTargets | None = None,
    ) -> tuple[Calibration, NoveltyDetector]:
        """Measure what a stored checkpoint may promise.

        Parameters
        ----------
        checkpoint
            Its weights give the predictions.
        device
            As `device_of` gives it.
        aims
            What to promise; the recipe's own when None.

        Raises
        ------
        InputError
            When there are no cells for it, or no training cells to compare with.
        """
        known = (
            checkpoint.familiarity()
            if self.references is None
            else self.predict(checkpoint, self.references(), device)
        )
        if known is None:
            raise InputError(
                f"'{checkpoint.name}' keeps no training cells to compare with: "
                "calibrate it on its run's own cells first."
            )
        parts = self.calibration_parts(checkpoint, device)
        aimed = aims or self.aims
        return fit_calibration(known, *parts, self.taxonomy, aimed, self.facts())

    def judge(
        self, checkpoint: Checkpoint, device: str = "cpu"
    ) -> dict[str, LabelledPredictions]:
        """Return its predictions on the judged part, by the name of figures."""
        cells = self.read(self.parts[-1])
        several = len(self.views) > 1
        return {
            view if several else self.protocol: self.predict(
                checkpoint, cells, device, view
            )
            for view in self.views
        }


def figures_with(
    checkpoint: Checkpoint,
    judged: Mapping[str, LabelledPredictions],
    policy: DecisionPolicy | Calibration | None = None,
    familiarity: NoveltyDetector | None = None,
) -> dict[str, Any]:
    """Return the figures of each data set, by the name of what was judged.

    Parameters
    ----------
    checkpoint
        What gave the predictions.
    judged
        From `Run.judge`.
    policy, familiarity
        Decide by these, which are not stored yet, instead of the checkpoint's own.
    """
    if policy is not None:
        own = policy.policy() if isinstance(policy, Calibration) else policy
        checkpoint = replace(checkpoint, policy=own)
        judged = {name: p.compared_with(familiarity) for name, p in judged.items()}
    return {name: by_source(checkpoint, p) for name, p in judged.items()}


def sheet_of(original: Tensor, views: Tensor, file: CellFile) -> CellViews:
    """Return a cell, (1, 3, S, S) in 0..1, and augmented views of it for a report."""
    clean, *augmented = (
        np.ascontiguousarray(
            (part.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        )
        for part in (original, views)
    )
    note = f"the recipe's augmentation, cell {file.path}"
    return CellViews(clean[0], augmented[0], note)
