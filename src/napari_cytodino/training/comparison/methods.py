"""The methods of a comparison: each a name, and what it changes in the recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from napari_cytodino.common import InputError, record
from napari_cytodino.training.comparison.probes import NEIGHBOURS
from napari_cytodino.training.recipes import Count, FinetuneRecipe, build, read_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence


Kind = Literal["neighbours", "linear", "cnn", "vit"]
"""What is done with the cells; `compare` has a function for each."""

Changes = dict[str, dict[str, Any]]
"""Table of a recipe -> field -> value."""


@record
class CnnPlan:
    """The convolutional network of a comparison, a ResNet-50 by default.

    Its values are customary ones. No search was made for it, nor for the recipe's own.

    Attributes
    ----------
    source : str
        Hub id or local folder of pretrained weights. Empty, or where the Hub cannot be
        reached, the weights are random, and every table says so.
    revision : str
        Commit of the Hub repository; empty for the newest.
    embedding_size, hidden_sizes, depths, layer_type
        Shape where the weights are random, as in transformers' ``ResNetConfig``. The
        defaults are ResNet-50 (He et al. 2016, arXiv 1512.03385, table 1).
    batch : int
        Cells behind one step, all at once: batch normalisation needs more of them
        than the four of the paper.
    lr : float
        Highest learning rate; schedule and decay are those of the recipe.
    """

    source: str = "microsoft/resnet-50"
    revision: str = ""
    embedding_size: Count = 64
    hidden_sizes: tuple[Count, ...] = (256, 512, 1024, 2048)
    depths: tuple[Count, ...] = (3, 4, 6, 3)
    layer_type: Literal["basic", "bottleneck"] = "bottleneck"
    batch: Count = 32
    lr: float = 3e-4

    def __post_init__(self) -> None:
        if len(self.hidden_sizes) != len(self.depths):
            raise InputError(
                f"cnn.hidden_sizes = {self.hidden_sizes} and cnn.depths = "
                f"{self.depths} are no network: give one of each for each stage."
            )


SMALL: dict[str, Any] = {
    "source": "",
    "embedding_size": 8,
    "hidden_sizes": (8, 16),
    "depths": (1, 1),
    "layer_type": "basic",
    "batch": 4,
    "lr": 3e-3,
}
"""The network beside a backbone of random weights, which is a test of seconds."""


@dataclass(frozen=True)
class Method:
    """One method of a comparison.

    Attributes
    ----------
    name : str
        Of its folder, and after ``--only``.
    title : str
        In the table.
    method : str
        One of `Method`.
    note : str
        What sets it apart beside `changes`.
    changes : dict
        What it replaces in the recipe; all else is as in every other method.
    neighbours : int
        k, for the method of that name.
    """

    name: str
    title: str
    method: Kind
    note: str
    changes: Changes = field(default_factory=dict)
    neighbours: int = 0

    @property
    def by_chance(self) -> bool:
        """Whether the seed matters; a probe gives the same figures each time."""
        return self.method in ("cnn", "vit")

    def recipe(self, base: FinetuneRecipe, seed: int) -> FinetuneRecipe:
        """Return what this method runs; the seed is no matter of the split."""
        tables = {
            table: replace(getattr(base, table), **values)
            for table, values in self.changes.items()
        }
        return replace(base, seed=seed, **tables)

    def differs(self, base: FinetuneRecipe) -> str:
        """Say what this method has otherwise than the recipe, value by value."""
        changes = [
            f"{table}.{name} is {value!r} instead of {before!r}"
            for table, values in self.changes.items()
            for name, value in values.items()
            if (before := getattr(getattr(base, table), name)) != value
        ]
        return f"{self.note} {'; '.join(changes) or 'No value of the recipe changes'}."


def _loss(variant: str, **more: str) -> Changes:
    return {"loss": {"variant": variant, **more}}


def methods(cnn: CnnPlan) -> tuple[Method, ...]:
    """Return every method, from the plainest on."""
    frozen = (
        "The frozen backbone's class token, each training cell once, no augmentation, "
        "nothing by chance; as DinoBloom's probes (arXiv 2404.05022)."
    )
    unused = "Smoothing, focus and penalty have no part in it."
    plain = _loss("cross-entropy", class_weights="none")
    network: Changes = {
        "run": {"effective_batch": cnn.batch, "batch": cnn.batch},
        "optim": {"lr": cnn.lr},
    }
    title = "{}-NN, frozen backbone"
    probes = [
        Method(f"neighbours-{k}", title.format(k), "neighbours", frozen, {}, k)
        for k in NEIGHBOURS
    ]
    return (
        *probes,
        Method("linear", "linear probe, frozen backbone", "linear", frozen),
        Method(
            "cnn",
            "CNN, cross-entropy",
            "cnn",
            f"A ResNet of transformers instead of the ViT; all its weights learn. "
            f"{unused}",
            plain | network,
        ),
        Method("vit-plain", "ViT, cross-entropy", "vit", unused, plain),
        Method(
            "vit-balanced",
            "ViT, balanced cross-entropy",
            "vit",
            f"Weights are N / (classes x n of the class). {unused}",
            _loss("cross-entropy", class_weights="balanced"),
        ),
        Method(
            "vit-published",
            "ViT, hierarchical loss as published",
            "vit",
            "Class weights as in the recipe.",
            _loss("published"),
        ),
        Method(
            "vit-maturation",
            "ViT, hierarchical loss repaired",
            "vit",
            "Class weights as in the recipe.",
            _loss("maturation"),
        ),
    )


def choose(known: Sequence[Method], names: Sequence[str]) -> tuple[Method, ...]:
    """Return the methods of these names, all without a name, in their own order.

    Raises
    ------
    InputError
        When there is no such method.
    """
    names_known = [method.name for method in known]
    unknown = [name for name in names if name not in names_known]
    if unknown:
        raise InputError(
            f"There is no method '{unknown[0]}': use {', '.join(names_known)}."
        )
    return tuple(method for method in known if not names or method.name in names)


def read_comparison(
    source: str, changes: Sequence[str] = ()
) -> tuple[FinetuneRecipe, CnnPlan]:
    """Read a recipe of fine-tuning and, from its table ``cnn``, the other network.

    Parameters
    ----------
    source : str
        A name such as ``mll21-vitl16``, or the path of a TOML file.
    changes : sequence of str
        Values that replace the file's, such as ``run.epochs=2`` or ``cnn.lr=1e-3``.

    Raises
    ------
    InputError
        When it is no recipe of fine-tuning, or a field is wrong.
    """
    content, name = read_recipe(source, changes)
    if "backbone" not in content:
        raise InputError(
            f"{name} fine-tunes no backbone, which a comparison needs: give "
            "finetune-smoke, mll21-vits16, mll21-vitl16 or a file like them."
        )
    own = content.pop("cnn", {})
    recipe = build(FinetuneRecipe, content, name)
    start = asdict(CnnPlan()) | (SMALL if recipe.backbone.random else {})
    own = start | own if isinstance(own, dict) else own
    return recipe, build(CnnPlan, own, f"{name}: cnn")


def read_seeds(words: Sequence[str]) -> tuple[int, ...]:
    """Read seeds from a command line: "0 1 2", "0,1,2", or one at a time.

    Raises
    ------
    InputError
        When a word is no number.
    """
    try:
        return tuple(int(n) for word in words for n in word.replace(",", " ").split())
    except ValueError as error:
        raise InputError(
            f"Seeds are '{' '.join(words)}': give whole numbers, such as 0,1,2."
        ) from error
