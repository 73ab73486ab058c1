"""The range of every number in a recipe, in one table for each kind of recipe."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


Ranges = dict[str, tuple[float, float]]
"""Table and field, such as ``optim.lr`` -> lowest and highest value, both allowed."""

MANY = 10**9

COMMON: Ranges = {
    # numpy takes 32 bits, and every process adds its rank
    "seed": (0, 2**31 - 1),
    "size": (8, 4096),
    "field_of_view": (8, 4096),
    "mean": (0, 1),
    "std": (0.001, 1),
}

FINETUNE: Ranges = COMMON | {
    # of shapes as in models.config_bounds, which judges them where they are loaded
    "backbone.random.width": (4, 8192),
    "backbone.random.layers": (1, 128),
    "backbone.random.heads": (1, 256),
    "backbone.random.feed_forward": (1, 65536),
    "backbone.random.patch": (1, 256),
    "backbone.random.registers": (0, 256),
    "backbone.pos_embed_rescale": (1, 16),
    "lora.rank": (1, 4096),
    "lora.alpha": (1, 65536),
    "lora.dropout": (0, 0.95),
    "head.layers": (1, 64),
    "head.heads": (1, 256),
    "head.ff_ratio": (1, 16),
    "head.dropout": (0, 0.95),
    "data.synthetic": (0, 10**6),
    "loss.smoothing": (0, 0.95),
    "loss.within_lineage_weight": (0, 1),
    "loss.sequential_bonus": (0, 1),
    "loss.critical_penalty": (1, 1000),
    "loss.gamma": (0, 20),
    "sampling.power": (0, 2),
    "sampling.multiplier": (1, 100),
    "augmentation.flip": (0, 1),
    "augmentation.turn": (0, 1),
    "augmentation.degrees": (0, 180),
    "augmentation.colour": (0, 1),
    "augmentation.brightness": (0, 1),
    "augmentation.contrast": (0, 1),
    "augmentation.saturation": (0, 1),
    "augmentation.hue": (0, 0.5),
    "augmentation.shift": (0, 255),
    "augmentation.degrade": (0, 1),
    "augmentation.blur": (0.05, 100),
    "augmentation.speckle": (0, 1),
    "augmentation.grain": (0, 1),
    "augmentation.quality": (1, 100),
    "augmentation.equalise": (0, 1),
    "augmentation.limit": (1, 100),
    "optim.lr": (1e-7, 1),
    "optim.weight_decay": (0, 1),
    "optim.clip": (1e-6, 1e6),
    "optim.period": (1, 10**6),
    "optim.lr_end": (0, 1),
    "optim.warmup": (0, 0.9),
    "run.epochs": (1, MANY),
    "run.patience": (1, MANY),
    "run.effective_batch": (1, MANY),
    "run.batch": (1, MANY),
    "run.eval_batch": (1, MANY),
    "run.save_steps": (0, MANY),
    "run.log_steps": (1, MANY),
    "run.workers": (0, 1024),
}
"""Of `finetune_config.FinetuneRecipe`."""

_FIT: Ranges = {
    "fit.steps": (1, MANY),
    "fit.minutes": (0, 10**6),
    "fit.batch": (1, 10**6),
    "fit.learning_rate": (1e-15, 10),
    "fit.warmup": (0, 0.99),
    "fit.weight_decay": (0, 10),
    "fit.clip": (1e-6, 1e6),
    "fit.average": (0, 0.999999),
    "fit.smoothing": (0, 0.95),
    "fit.balance": (0, 1),
    "augmentation.scale": (0, 2),
    "augmentation.shift": (0, 1),
    "augmentation.stretch": (0, 2),
    "augmentation.gain": (0, 3),
    "augmentation.gamma": (0, 3),
    "augmentation.saturation": (0, 3),
    "augmentation.hue": (0, 3.2),
    "augmentation.relight": (0, 1),
    "augmentation.surround": (0, 1),
    "augmentation.soften": (0, 1),
    "augmentation.noise": (0, 1),
}

STUDENT: Ranges = (
    COMMON
    | _FIT
    | {f"teacher.{key}": value for key, value in _FIT.items()}
    | {
        "synthetic": (0, 10**6),
        "margin": (0, 4096),
        "start_share": (0, 1),
        "model.width": (4, 8192),
        "model.layers": (1, 128),
        "model.heads": (1, 256),
        "model.feed_forward": (1, 65536),
        "model.patch": (1, 256),
        "model.registers": (0, 256),
        "model.rescale": (1, 16),
        "model.drop_path": (0, 0.95),
        "model.head_layers": (1, 64),
        "model.head_heads": (1, 256),
        "model.head_dropout": (0, 0.95),
        "model.turns": (1, 4),
        "strange.share": (0, 1),
        "strange.mix": (0, 2),
        "strange.strength": (0, 3),
        "strange.light": (0, 3),
        "strange.blur": (1, 16),
        "strange.noise": (0, 1),
        "teacher.distill.soft": (0, 1000),
        "teacher.distill.dense": (0, 1000),
        "teacher.distill.temperature": (0.01, 100),
        "teacher.distill.reuse": (1, 8),
    }
)
"""Of `config.Recipe`."""

ELSEWHERE = ("calibration",)
"""Tables that check their numbers themselves."""


def check_ranges(plan: Any, ranges: Mapping[str, Any], table: str = "") -> None:
    """Refuse a number that is out of its range, in a recipe or in one of its tables.

    A tuple of two numbers is a range of its own, from the lower to the higher.

    Parameters
    ----------
    plan
        A dataclass; those in it are checked as well.
    ranges
        `FINETUNE` or `STUDENT`; it must know every number there is.
    table
        What the recipe calls the dataclass; empty for the recipe itself.

    Raises
    ------
    InputError
        With key, value and range.
    """
    for item in fields(plan):
        value, key = getattr(plan, item.name), f"{table}{item.name}"
        if key in ELSEWHERE:
            continue
        if is_dataclass(value):
            check_ranges(value, ranges, f"{key}.")
            continue
        several = value if isinstance(value, tuple) else (value,)
        numbers = [v for v in several if type(v) in (int, float)]
        if numbers:
            _check(key, numbers, *ranges[key])


def _check(key: str, numbers: list[float], low: float, high: float) -> None:
    shown = numbers[0] if len(numbers) == 1 else numbers
    if not all(low <= number <= high for number in numbers):
        raise InputError(f"{key} is {shown}: use a value from {low} to {high}.")
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        raise InputError(
            f"{key} is {shown}: put the lower first, both from {low} to {high}."
        )


def check_heads(key: str, heads: int, width: int, parts: int = 1) -> None:
    """Refuse attention heads that do not share the width out evenly.

    Parameters
    ----------
    key
        What the recipe calls the heads.
    heads, width
        Of the transformer.
    parts
        What each head's share must be a multiple of.

    Raises
    ------
    InputError
        With the heads that would do.
    """
    if width % (heads * parts):
        good = [n for n in range(1, width + 1) if width % (n * parts) == 0]
        do = f"use one of {', '.join(map(str, good))}" if good else "change the width"
        raise InputError(
            f"{key} is {heads}, which does not share out a width of {width}"
            f"{f' in parts of {parts}' if parts > 1 else ''}: {do}."
        )
