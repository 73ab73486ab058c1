"""Ranges: every number of every recipe has one, and what lies outside is told."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.models.config_bounds import _HEAD, _WHOLE
from napari_cytodino.training.recipes.distillation import Recipe, load_recipe
from napari_cytodino.training.recipes.finetuning import (
    BORDERS,
    DataPlan,
    FinetuneRecipe,
    PaperAugmentation,
)
from napari_cytodino.training.recipes.protocols import PROTOCOLS
from napari_cytodino.training.recipes.ranges import check_heads
from napari_cytodino.training.recipes.reading import build, read_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

Bounds = tuple[float, float]

UNBOUNDED = "emphasis"
"""How often a class is shown has no upper end."""


def bounds_of(hint: Any) -> Bounds | None:
    """Return the lowest and highest value that an annotation allows."""
    found = {
        name: getattr(limit, name)
        for part in getattr(hint, "__metadata__", ())
        for limit in getattr(part, "metadata", ())
        for name in ("ge", "le")
        if hasattr(limit, name)
    }
    if found:
        return found["ge"], found["le"]
    return next(filter(None, map(bounds_of, get_args(hint))), None)


def holds(hint: Any, kinds: tuple[type, ...]) -> bool:
    return hint in kinds or any(holds(part, kinds) for part in get_args(hint))


def numbers_of(kind: type, table: str = "") -> Iterator[tuple[str, Bounds | None]]:
    """Give every field of a recipe that holds a number, and its range."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        parts = (hint, *get_args(hint))
        inner = [h for h in parts if isinstance(h, type) and is_dataclass(h)]
        if inner and name != "calibration":
            yield from numbers_of(inner[0], f"{table}{name}.")
        elif holds(hint, (int, float)) and name != UNBOUNDED:
            yield f"{table}{name}", bounds_of(hint)


STUDENT = dict(numbers_of(Recipe))
FINETUNE = dict(numbers_of(FinetuneRecipe))


def test_every_number_has_a_range() -> None:
    assert len(STUDENT) > 60
    assert len(FINETUNE) > 40
    both = STUDENT | FINETUNE
    assert not [key for key, bounds in both.items() if bounds is None]
    assert all(low < high for low, high in both.values())


def test_choices_are_those_there_are() -> None:
    border = get_type_hints(PaperAugmentation)["border"]
    assert get_args(border) == tuple(BORDERS)
    assert get_args(get_type_hints(DataPlan)["protocol"]) == tuple(PROTOCOLS)


def test_what_is_trained_can_be_loaded_again() -> None:
    shapes = {
        "width": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "feed_forward": "intermediate_size",
        "patch": "patch_size",
        "registers": "num_register_tokens",
    }
    for ranges, table in ((FINETUNE, "backbone.random"), (STUDENT, "model")):
        for name, field in shapes.items():
            low, high = ranges[f"{table}.{name}"]
            assert _WHOLE[field][0] <= low < high <= _WHOLE[field][1]
    for ranges, table in ((FINETUNE, "head."), (STUDENT, "model.head_")):
        for name in ("layers", "heads", "dropout"):
            low, high = ranges[f"{table}{name}"]
            assert _HEAD[f"head_{name}"][0] <= low < high <= _HEAD[f"head_{name}"][1]


def fault(content: dict[str, Any]) -> str:
    """Return how a recipe is refused; empty where it is taken."""
    try:
        build(FinetuneRecipe, content, "x.toml")
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("key", sorted(FINETUNE))
def test_the_ends_of_a_range_are_taken_and_what_lies_beyond_is_not(key: str) -> None:
    recipe = build(FinetuneRecipe, *read_recipe("finetune-smoke"))
    content = json.loads(json.dumps(asdict(recipe)))
    *tables, last = key.split(".")
    table = content
    for name in tables:
        table = table[name]
    before = table[last]
    low, high = FINETUNE[key]
    step = 1 if type(before) is int else (high - low) / 1000

    def told_of(value: float) -> str:
        several = isinstance(before, list)
        table[last] = [float(value)] * len(before) if several else type(before)(value)
        return fault(content)

    for value in (low, high):
        # what hangs on another value may still be wrong
        assert re.search(r"^$|width of|multiple of|optim\.lr =", told_of(value))
    for value, end in ((low - step, f"{low:.12g} or more"), (high + step, " or less")):
        told = told_of(value)
        assert told.startswith(f"x.toml: {key}")
        assert f"{end}" in told
        assert (
            f"is {table[last][0] if isinstance(before, list) else table[last]}" in told
        )


@pytest.mark.parametrize(
    ("heads", "width", "parts"), [(1, 7, 1), (3, 24, 4), (16, 1024, 4)]
)
def test_heads_that_share_the_width_out(heads: int, width: int, parts: int) -> None:
    check_heads("heads", heads, width, parts)


@pytest.mark.parametrize(
    ("heads", "width", "parts", "remedy"),
    [
        (5, 24, 1, "of 24: use one of 1, 2, 3, 4, 6, 8, 12, 24."),
        (4, 24, 4, "of 24 in parts of 4: use one of 1, 2, 3, 6."),
        (1, 6, 4, "of 6 in parts of 4: change the width."),
    ],
)
def test_other_heads_are_told_what_would_do(
    heads: int, width: int, parts: int, remedy: str
) -> None:
    with pytest.raises(InputError) as told:
        check_heads("heads", heads, width, parts)
    assert str(told.value).endswith(remedy)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("model.heads=5", "model.heads is 5, which does not share out"),
        ("model.head_heads=5", "model.head_heads is 5, which does not share out"),
        ("model.turns=3", "smoke.toml: model.turns is 3, but must be 1, 2 or 4."),
        ("model.layers=0", "smoke.toml: model.layers is 0, but must be 1 or more."),
        ("fit.steps=0", "smoke.toml: fit.steps is 0, but must be 1 or more."),
        ("fit.batch=0", "smoke.toml: fit.batch is 0, but must be 1 or more."),
        ("fit.warmup=1", "smoke.toml: fit.warmup is 1, but must be 0.99 or less."),
        ("std=[0, 1, 1]", "smoke.toml: std[0] is 0, but must be 0.001 or more."),
        ("augmentation.noise=-1", "smoke.toml: augmentation.noise is -1, but must be "),
    ],
)
def test_recipes_from_scratch_are_checked_too(change: str, sentence: str) -> None:
    with pytest.raises(InputError) as told:
        load_recipe("smoke", [change])
    assert str(told.value).startswith(sentence)
