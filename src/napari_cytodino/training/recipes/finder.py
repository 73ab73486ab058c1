"""The recipe of the network that finds cells."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from napari_cytodino.common import record
from napari_cytodino.training.recipes.ranges import Count, Seed


@record
class FinderPlan:
    """How the network is trained.

    Attributes
    ----------
    steps : int
        Batches.
    batch : int
        Pictures in each.
    rate : float
        Largest learning rate, of one cycle (Smith & Topin 2019).
    average : float
        Decay of the running average of the weights, which is what is kept.
    width : int
        Channels of the network's first level.
    cells : int
        Most single cells of each class and set that pictures are composed from.
    keep : int
        Steps between two states from which a run that was stopped goes on.
    """

    steps: Count
    batch: Count = 12
    rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    average: Annotated[float, Field(ge=0, lt=1)] = 0.995
    width: Annotated[int, Field(ge=4, le=256)] = 16
    cells: Count = 260
    keep: Count = 250


@record
class FinderRecipe:
    """One training run of the network that finds cells.

    Attributes
    ----------
    name : str
    finder : FinderPlan
    seed : int
        Of weights and pictures.
    """

    name: str
    finder: FinderPlan
    seed: Seed = 0
