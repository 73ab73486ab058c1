"""The protocols by which labelled cells are split."""

from __future__ import annotations

from dataclasses import dataclass

PARTS = {"train": 0.62, "calibration-a": 0.08, "calibration-b": 0.12, "test": 0.18}
"""The parts of a three-way split and the share of the cells each should get."""

BOTH = "train+validation"
"""Where the published split puts the image of a class that has only one."""


@dataclass(frozen=True)
class Protocol:
    """How a split is made, and what a figure of it may be called.

    Attributes
    ----------
    name : str
        In recipes and reports.
    parts : tuple of str
        The names its saved split may hold.
    selects_on : str
        The part that chooses the epoch.
    reports_on : str
        The part the figures are of.
    result : str
        What the figures are to be labelled with.
    """

    name: str
    parts: tuple[str, ...]
    selects_on: str
    reports_on: str
    result: str


THREE_WAY = Protocol(
    "three-way", tuple(PARTS), "calibration-a", "test", "held-out test"
)
"""Training, two calibration parts and a test part that nothing was chosen on."""

PUBLISHED = Protocol(
    "published",
    ("train", "validation", BOTH),
    "validation",
    "validation",
    "validation, best epoch",
)
"""The published 80/20: by image, judged on the part that chose the epoch."""

PROTOCOLS = {p.name: p for p in (THREE_WAY, PUBLISHED)}
"""The protocols by name."""
