"""Recipes that fine-tune a backbone: every field of the paper, and ours beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_cytodino.common import InputError, cores
from napari_cytodino.taxonomy import Taxonomy
from napari_cytodino.training.recipes.protocols import PROTOCOLS
from napari_cytodino.training.recipes.ranges import FINETUNE, check_heads, check_ranges
from napari_cytodino.uncertainty import CalibrationTargets

BORDERS = {"constant": "zeros", "reflection": "reflection"}
"""What comes in at the corners of a turned cell: black (published), or its mirror."""


@dataclass(frozen=True)
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

    flip: float = 0.5
    turn: float = 0.5
    degrees: float = 180.0
    border: str = "constant"
    colour: float = 0.5
    brightness: float = 0.1
    contrast: float = 0.1
    saturation: float = 0.15
    hue: float = 0.03
    shift: float = 15.0
    degrade: float = 0.3
    blur: tuple[float, float] = (0.5, 3.0)
    speckle: tuple[float, float] = (0.01, 0.05)
    grain: tuple[float, float] = (0.1, 0.5)
    quality: tuple[float, float] = (9.0, 100.0)
    equalise: float = 0.3
    limit: tuple[float, float] = (1.0, 2.0)

    def __post_init__(self) -> None:
        if self.border not in BORDERS:
            raise InputError(
                f"augmentation.border is '{self.border}': use one of "
                f"{', '.join(BORDERS)}."
            )
        check_ranges(self, FINETUNE, "augmentation.")


VARIANTS = ("published", "maturation", "cross-entropy")
"""Losses: the two hierarchical ones, and the plain one to compare them with."""

CLASS_WEIGHTS = ("none", "sqrt-balanced", "balanced")
"""Factors of the loss by class, from the training part's counts."""

SCHEDULES = ("epoch-cosine", "cosine")
"""The rate changes after each epoch (published), or after each step."""

PRECISIONS = ("auto", "float32")
"""bfloat16 autocast where the device has it, or float32 everywhere (published)."""


def _one_of(field_name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{field_name} is '{value}': use one of {', '.join(known)}.")


@dataclass(frozen=True)
class RandomBackbone:
    """Shape of a DINOv3 ViT with random weights, for tests and smoke runs.

    Attributes
    ----------
    width, layers, heads, feed_forward
        Of the transformer; ``feed_forward`` is the inner width.
    patch, registers
        Side of a patch in pixels; number of register tokens.
    """

    width: int = 24
    layers: int = 2
    heads: int = 2
    feed_forward: int = 48
    patch: int = 16
    registers: int = 1

    def __post_init__(self) -> None:
        check_ranges(self, FINETUNE, "backbone.random.")
        # positions turn pairs of values along two axes
        check_heads("backbone.random.heads", self.heads, self.width, parts=4)


@dataclass(frozen=True)
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
    pos_embed_rescale: float = 2.0
    activation_checkpointing: bool = False

    def __post_init__(self) -> None:
        if bool(self.source) == (self.random is not None):
            raise InputError(
                f"backbone has source = '{self.source}' and random = {self.random}: "
                "set exactly one of them."
            )
        check_ranges(self, FINETUNE, "backbone.")


@dataclass(frozen=True)
class LoraPlan:
    """Low-rank adapters on every projection of the backbone.

    Attributes
    ----------
    rank, alpha
        The product of the two factors is scaled by ``alpha / rank``.
    dropout : float
        Before the adapters, while training.
    """

    rank: int = 64
    alpha: int = 128
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_ranges(self, FINETUNE, "lora.")


@dataclass(frozen=True)
class HeadPlan:
    """The query-token decoder; fields as in `core.head.QueryDecoderHead`."""

    layers: int = 4
    heads: int = 4
    ff_ratio: int = 2
    dropout: float = 0.2

    def __post_init__(self) -> None:
        check_ranges(self, FINETUNE, "head.")


@dataclass(frozen=True)
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

    protocol: str = "three-way"
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    group_pattern: str = ""
    synthetic: int = 0

    def __post_init__(self) -> None:
        _one_of("data.protocol", self.protocol, tuple(PROTOCOLS))
        check_ranges(self, FINETUNE, "data.")


@dataclass(frozen=True)
class LossPlan:
    """The loss; fields as in `training.losses.HierarchicalFocalLoss`.

    Attributes
    ----------
    variant : str
        One of `VARIANTS`.
    class_weights : str
        One of `CLASS_WEIGHTS`.
    """

    variant: str = "published"
    smoothing: float = 0.1
    within_lineage_weight: float = 0.95
    sequential_bonus: float = 0.01
    critical_penalty: float = 3.0
    gamma: float = 2.0
    class_weights: str = "sqrt-balanced"

    def __post_init__(self) -> None:
        _one_of("loss.variant", self.variant, VARIANTS)
        _one_of("loss.class_weights", self.class_weights, CLASS_WEIGHTS)
        check_ranges(self, FINETUNE, "loss.")


@dataclass(frozen=True)
class SamplingPlan:
    """An epoch: every cell once, then as many again with rare classes oftener.

    Attributes
    ----------
    power : float
        A cell of a class with n cells is drawn with weight ``(n + 1) ** -power``.
    multiplier : int
        Length of the epoch in training parts; 1 is every cell once.
    """

    power: float = 0.7
    multiplier: int = 2

    def __post_init__(self) -> None:
        check_ranges(self, FINETUNE, "sampling.")


@dataclass(frozen=True)
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
        One of `SCHEDULES`.
    period : int
        Epochs of half a cosine, for ``epoch-cosine``.
    lr_end : float
        Where the cosine ends.
    warmup : float
        Share of the steps in which the rate rises, for ``cosine``.
    """

    lr: float = 3e-4
    weight_decay: float = 0.01
    clip: float = 1.0
    schedule: str = "epoch-cosine"
    period: int = 8
    lr_end: float = 1e-7
    warmup: float = 0.05

    def __post_init__(self) -> None:
        _one_of("optim.schedule", self.schedule, SCHEDULES)
        check_ranges(self, FINETUNE, "optim.")
        if self.lr_end > self.lr:
            raise InputError(
                f"optim.lr_end is {self.lr_end}: use a value from 0 to optim.lr = "
                f"{self.lr}."
            )


@dataclass(frozen=True)
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
        One of `PRECISIONS`.
    save_steps : int
        Optimiser steps between two sealed states within an epoch; 0 seals at the end
        of each epoch alone.
    log_steps : int
        Optimiser steps between two lines of the log.
    workers : int
        Processes that decode images; no more than there are processor cores.
    """

    epochs: int = 8
    patience: int = 5
    effective_batch: int = 4
    batch: int = 4
    eval_batch: int = 32
    precision: str = "auto"
    save_steps: int = 2000
    log_steps: int = 10
    workers: int = 4

    def __post_init__(self) -> None:
        _one_of("run.precision", self.precision, PRECISIONS)
        check_ranges(self, FINETUNE, "run.")

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


@dataclass(frozen=True)
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
    seed: int = 0
    size: int = 256
    field_of_view: int = 250
    mean: tuple[float, float, float] = (0.5631, 0.4959, 0.7355)
    std: tuple[float, float, float] = (0.2419, 0.2835, 0.1761)
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
        check_ranges(self, FINETUNE)
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
