"""Recipes that fine-tune a backbone: every field of the paper, and ours beside it."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from napari_cytodino.common import InputError, cores, record
from napari_cytodino.taxonomy import Taxonomy
from napari_cytodino.training.recipes.ranges import (
    MANY,
    Count,
    Deviation,
    Dropout,
    Range,
    Seed,
    Share,
    Side,
    check_heads,
)
from napari_cytodino.uncertainty import CalibrationTargets

BORDERS = {"constant": "zeros", "reflection": "reflection"}
"""What comes in at the corners of a turned cell: black (published), or its mirror."""


@record
class PaperAugmentation:
    """How training views are changed; the defaults are the published values.

    Flips, a turn, then one of two colour changes, one of three degradations, and local
    equalisation, each with its own chance (domain.md 1.3, from the published settings).

    Attributes
    ----------
    flip, turn, colour, degrade, equalise : float
        Chances, 0 to 1; ``flip`` of each axis.
    degrees : float
        Largest turn to either side.
    border : str
        One of `BORDERS`. The published one paints black corners that no cell at
        inference has.
    brightness, contrast, saturation : float
        Largest relative change, in a random order with the hue.
    hue : float
        Largest change, in turns of the colour circle.
    shift : float
        Largest change of a channel, in steps of 255; the alternative to the above.
    blur : tuple of float
        Range of the standard deviation in pixels; the kernel has 3 or 5 pixels.
    speckle : tuple of float
        Range of the hue noise of a camera at high sensitivity, in turns.
    grain : tuple of float
        Range of its strength.
    quality : tuple of float
        Range of the JPEG quality. The published lower end, 9, is destructive.
    limit : tuple of float
        Range of the clip limit of the local equalisation, on 8 x 8 tiles.
    """

    flip: Share = 0.5
    turn: Share = 0.5
    degrees: Annotated[float, Field(ge=0, le=180)] = 180.0
    border: Literal["constant", "reflection"] = "constant"
    colour: Share = 0.5
    brightness: Share = 0.1
    contrast: Share = 0.1
    saturation: Share = 0.15
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.03
    shift: Annotated[float, Field(ge=0, le=255)] = 15.0
    degrade: Share = 0.3
    blur: Range[Annotated[float, Field(ge=0.05, le=100)]] = (0.5, 3.0)
    speckle: Range[Share] = (0.01, 0.05)
    grain: Range[Share] = (0.1, 0.5)
    quality: Range[Annotated[float, Field(ge=1, le=100)]] = (9.0, 100.0)
    equalise: Share = 0.3
    limit: Range[Annotated[float, Field(ge=1, le=100)]] = (1.0, 2.0)


@record
class RandomBackbone:
    """Shape of a DINOv3 ViT with random weights, for tests and smoke runs.

    Attributes
    ----------
    width, layers, heads, feed_forward
        Of the transformer; ``feed_forward`` is the inner width.
    patch, registers
        Side of a patch in pixels; number of register tokens.
    """

    # of shapes as in models.config_bounds, which judges them where they are loaded
    width: Annotated[int, Field(ge=4, le=8192)] = 24
    layers: Annotated[int, Field(ge=1, le=128)] = 2
    heads: Annotated[int, Field(ge=1, le=256)] = 2
    feed_forward: Annotated[int, Field(ge=1, le=65536)] = 48
    patch: Annotated[int, Field(ge=1, le=256)] = 16
    registers: Annotated[int, Field(ge=0, le=256)] = 1

    def __post_init__(self) -> None:
        # positions turn pairs of values along two axes
        check_heads("backbone.random.heads", self.heads, self.width, parts=4)


@record
class BackbonePlan:
    """The frozen transformer that the adapters sit on.

    Attributes
    ----------
    source : str
        Hub id or local folder; empty with ``random``.
    revision : str
        Commit of the Hub repository; empty for the newest.
    random : RandomBackbone, optional
        A shape with random weights, where there is no source.
    pos_embed_rescale : float
        DINOv3 scales its positions in training by a log-uniform factor up to this one,
        drawn once a batch; an augmentation the paper does not mention. 1 turns it off.
    activation_checkpointing : bool
        Compute activations again in the backward pass: less memory, about a third more
        time, the same gradients.
    """

    source: str = ""
    revision: str = ""
    random: RandomBackbone | None = None
    pos_embed_rescale: Annotated[float, Field(ge=1, le=16)] = 2.0
    activation_checkpointing: bool = False

    def __post_init__(self) -> None:
        if bool(self.source) == (self.random is not None):
            raise InputError(
                f"backbone has source = '{self.source}' and random = {self.random}: "
                "set exactly one of them."
            )


@record
class LoraPlan:
    """Low-rank adapters on every projection of the backbone.

    Attributes
    ----------
    rank, alpha
        The product of the two factors is scaled by ``alpha / rank``.
    dropout : float
        Before the adapters, while training.
    """

    rank: Annotated[int, Field(ge=1, le=4096)] = 64
    alpha: Annotated[int, Field(ge=1, le=65536)] = 128
    dropout: Dropout = 0.1


@record
class HeadPlan:
    """The query-token decoder; fields as in `core.head.QueryDecoderHead`."""

    layers: Annotated[int, Field(ge=1, le=64)] = 4
    heads: Annotated[int, Field(ge=1, le=256)] = 4
    ff_ratio: Annotated[int, Field(ge=1, le=16)] = 2
    dropout: Dropout = 0.2


@record
class DataPlan:
    """Which cells are learnt from, and which are kept apart.

    Attributes
    ----------
    protocol : str
        ``three-way``: training, two calibration parts and a test part; ``published``:
        80 : 20 by image, the best epoch chosen on the 20, as in the paper.
    classes : tuple of str
        The classes to learn; empty for all of the taxonomy.
    left_out : tuple of str
        Classes of the data that are not to be learned; those of the taxonomy that are
        not in ``classes`` are left out anyway.
    group_pattern : str
        Regular expression for the patient or slide in a cell's path, where the data do
        not name it otherwise; a group is never parted.
    synthetic : int
        Crops drawn in code for each class of the training part; 0 reads real cells.
    """

    protocol: Literal["three-way", "published"] = "three-way"
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    group_pattern: str = ""
    synthetic: Annotated[int, Field(ge=0, le=10**6)] = 0


@record
class LossPlan:
    """The loss; fields as in `training.losses.HierarchicalFocalLoss`.

    Attributes
    ----------
    variant : str
        ``published`` and ``maturation`` are hierarchical; ``cross-entropy`` is the
        plain one to compare them with.
    class_weights : str
        Factors of the loss by class, from the training part's counts.
    """

    variant: Literal["published", "maturation", "cross-entropy"] = "published"
    smoothing: Dropout = 0.1
    within_lineage_weight: Share = 0.95
    sequential_bonus: Share = 0.01
    critical_penalty: Annotated[float, Field(ge=1, le=1000)] = 3.0
    gamma: Annotated[float, Field(ge=0, le=20)] = 2.0
    class_weights: Literal["none", "sqrt-balanced", "balanced"] = "sqrt-balanced"


@record
class SamplingPlan:
    """An epoch: every cell once, then as many again with rare classes oftener.

    Attributes
    ----------
    power : float
        A cell of a class with n cells is drawn with weight ``(n + 1) ** -power``.
    multiplier : int
        Length of the epoch in training parts; 1 is every cell once.
    """

    power: Annotated[float, Field(ge=0, le=2)] = 0.7
    multiplier: Annotated[int, Field(ge=1, le=100)] = 2


@record
class OptimPlan:
    """AdamW with weight decay on every trained weight, and its schedule.

    Attributes
    ----------
    lr : float
        Highest learning rate.
    weight_decay : float
        On everything that learns: biases, norms and the query too, as published.
    clip : float
        Largest norm of the gradient.
    schedule : str
        The rate changes after each epoch (published), or after each step.
    period : int
        Epochs of half a cosine, for ``epoch-cosine``.
    lr_end : float
        Where the cosine ends.
    warmup : float
        Share of the steps in which the rate rises, for ``cosine``.
    """

    lr: Annotated[float, Field(ge=1e-7, le=1)] = 3e-4
    weight_decay: Share = 0.01
    clip: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    schedule: Literal["epoch-cosine", "cosine"] = "epoch-cosine"
    period: Annotated[int, Field(ge=1, le=10**6)] = 8
    lr_end: Share = 1e-7
    warmup: Annotated[float, Field(ge=0, le=0.9)] = 0.05

    def __post_init__(self) -> None:
        if self.lr_end > self.lr:
            raise InputError(
                f"optim.lr_end is {self.lr_end}: use a value from 0 to optim.lr = "
                f"{self.lr}."
            )


@record
class RunPlan:
    """Length of the run, and how it is dealt to devices.

    Attributes
    ----------
    epochs : int
        At most this many.
    patience : int
        Epochs without a better macro F1 on the validation part before it stops.
    effective_batch : int
        Cells behind one step of the optimiser, over all processes.
    batch : int
        Cells a device takes at once; accumulation makes up the rest.
    eval_batch : int
        Cells at once where no gradient is needed.
    precision : str
        bfloat16 autocast where the device has it, or float32 everywhere (published).
    save_steps : int
        Optimiser steps between two sealed states within an epoch; 0 seals at the end
        of each epoch alone.
    log_steps : int
        Optimiser steps between two lines of the log.
    workers : int
        Processes that decode images; no more than there are processor cores.
    """

    epochs: Count = 8
    patience: Count = 5
    effective_batch: Count = 4
    batch: Count = 4
    eval_batch: Count = 32
    precision: Literal["auto", "float32"] = "auto"
    save_steps: Annotated[int, Field(ge=0, le=MANY)] = 2000
    log_steps: Count = 10
    workers: Annotated[int, Field(ge=0, le=1024)] = 4

    @property
    def decoders(self) -> int:
        """Processes that decode images here: `workers`, or a core each."""
        return min(self.workers, cores())

    def accumulation(self, processes: int) -> int:
        """Return the batches behind one step, on one of some processes.

        Raises
        ------
        InputError
            When the effective batch cannot be dealt out evenly.
        """
        together = self.batch * processes
        if self.effective_batch < together or self.effective_batch % together:
            raise InputError(
                f"run.effective_batch = {self.effective_batch} is no multiple of "
                f"run.batch = {self.batch} on {processes} process(es): change one."
            )
        return self.effective_batch // together


@record
class FinetuneRecipe:
    """Fine-tuning from a backbone and cells to a checkpoint.

    Attributes
    ----------
    name, title : str
        Of the checkpoint; the title heads its model card.
    taxonomy : str
        Name or path of a taxonomy.
    seed : int
        Of fresh weights, split, order, augmentation and dropout.
    size : int
        Side of the model's input in pixels.
    field_of_view : int
        Side of the crop in image pixels.
    mean, std : tuple of float
        Normalisation of the channels, for values in 0..1.
    calibration : Aims
        What thresholds are to promise.
    limits : tuple of str
        What the model card warns of, beside what is true of every checkpoint.
    backbone, lora, head, data, loss, sampling, augmentation, optim, run
        The parts' own settings.
    """

    name: str
    title: str
    backbone: BackbonePlan
    taxonomy: str = "mll21"
    seed: Seed = 0
    size: Side = 256
    field_of_view: Side = 250
    mean: tuple[Share, Share, Share] = (0.5631, 0.4959, 0.7355)
    std: tuple[Deviation, Deviation, Deviation] = (0.2419, 0.2835, 0.1761)
    calibration: CalibrationTargets = field(default_factory=CalibrationTargets)
    limits: tuple[str, ...] = ()
    lora: LoraPlan = field(default_factory=LoraPlan)
    head: HeadPlan = field(default_factory=HeadPlan)
    data: DataPlan = field(default_factory=DataPlan)
    loss: LossPlan = field(default_factory=LossPlan)
    sampling: SamplingPlan = field(default_factory=SamplingPlan)
    augmentation: PaperAugmentation = field(default_factory=PaperAugmentation)
    optim: OptimPlan = field(default_factory=OptimPlan)
    run: RunPlan = field(default_factory=RunPlan)

    def __post_init__(self) -> None:
        shape = self.backbone.random
        if shape is None:
            return
        check_heads("head.heads", self.head.heads, shape.width)
        if self.size % shape.patch:
            raise InputError(
                f"size is {self.size}: use a multiple of backbone.random.patch = "
                f"{shape.patch}."
            )

    @property
    def classes_in_order(self) -> Taxonomy:
        """The taxonomy of the classes to learn."""
        whole = Taxonomy.load(self.taxonomy)
        return whole.subset(self.data.classes) if self.data.classes else whole
