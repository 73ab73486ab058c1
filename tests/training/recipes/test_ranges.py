"""Ranges: every number of every recipe has one, and what lies outside is told."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.models.config_bounds import _HEAD, _WHOLE
from napari_cytodino.training.recipes.distillation import load_recipe
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.ranges import (
    ELSEWHERE,
    FINETUNE,
    STUDENT,
    check_heads,
    check_ranges,
)
from napari_cytodino.training.recipes.reading import build, read_recipe

if TYPE_CHECKING:
    from collections.abc import Iterator


def numbers_of(plan: Any, table: str = "") -> Iterator[str]:
    """Name every field of a recipe that holds a number."""
    for item in fields(plan):
        value, key = getattr(plan, item.name), f"{table}{item.name}"
        if is_dataclass(value):
            yield from numbers_of(value, f"{key}.")
        first = value[0] if isinstance(value, tuple) and value else value
        if type(first) in (int, float):
            yield key


def test_every_number_has_a_range_and_every_range_a_number() -> None:
    ours = set(numbers_of(load_recipe("starter")))
    papers = set(numbers_of(build(FinetuneRecipe, *read_recipe("finetune-smoke"))))
    own = {k for k in ours & papers if k.split(".")[0] in ELSEWHERE}
    assert own
    assert set(STUDENT) == ours - own
    assert set(FINETUNE) == papers - own


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


@dataclass(frozen=True)
class Inner:
    span: tuple[float, float] = (1.0, 2.0)


@dataclass(frozen=True)
class Outer:
    count: int = 3
    name: str = "x"
    yes: bool = True
    inner: Inner = Inner()


KNOWN = {"count": (1, 5), "inner.span": (0, 4)}


def test_a_number_without_a_range_is_a_fault_of_ours() -> None:
    check_ranges(Outer(), KNOWN)
    with pytest.raises(KeyError, match="count"):
        check_ranges(Outer(), {"inner.span": (0, 4)})


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (Outer(count=6), "count is 6: use a value from 1 to 5."),
        (Outer(inner=Inner((1, 9))), "inner.span is [1, 9]: use a value from 0 to 4."),
        (
            Outer(inner=Inner((3, 2))),
            "inner.span is [3, 2]: put the lower first, both from 0 to 4.",
        ),
        (Outer(inner=Inner((float("nan"), 2))), "inner.span is [nan, 2]: use a value "),
    ],
)
def test_key_value_and_range_are_named(plan: Outer, sentence: str) -> None:
    with pytest.raises(InputError) as told:
        check_ranges(plan, KNOWN)
    assert str(told.value).startswith(sentence)


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
        ("model.turns=3", "model.turns is 3: use 1, 2 or 4."),
        ("model.layers=0", "model.layers is 0: use a value from 1 to 128."),
        ("fit.steps=0", "fit.steps is 0: use a value from 1 to"),
        ("fit.batch=0", "fit.batch is 0: use a value from 1 to"),
        ("fit.warmup=1", "fit.warmup is 1.0: use a value from 0 to 0.99."),
        ("std=[0, 1, 1]", "std is [0.0, 1.0, 1.0]: use a value from 0.001 to 1."),
        ("augmentation.noise=-1", "augmentation.noise is -1.0: use a value from 0"),
    ],
)
def test_recipes_from_scratch_are_checked_too(change: str, sentence: str) -> None:
    with pytest.raises(InputError) as told:
        load_recipe("smoke", [change])
    assert str(told.value).startswith(sentence)
