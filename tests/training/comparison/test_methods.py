"""The methods of a comparison: the losses they name, and nothing else changed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.comparison.methods import (
    CnnPlan,
    Method,
    choose,
    methods,
    read_comparison,
    read_seeds,
)
from napari_cytodino.training.finetuning._losses import HierarchicalFocalLoss
from napari_cytodino.training.finetuning.pipeline import loss_of

RECIPE, SMALL_CNN = read_comparison("finetune-smoke")
ARMS = {arm.name: arm for arm in methods(SMALL_CNN)}
RNG = np.random.default_rng(0)
TARGETS = RNG.choice(3, size=90, p=(0.7, 0.25, 0.05))
LOGITS = torch.from_numpy(3 * RNG.standard_normal((90, 3))).float()
ANSWERS = LOGITS, torch.from_numpy(TARGETS)


def flat(content: dict[str, Any], head: str = "") -> dict[str, Any]:
    """Return nested tables as dotted names."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        inner = isinstance(value, dict)
        found |= flat(value, f"{head}{key}.") if inner else {head + key: value}
    return found


def changed(name: str, seed: int = 0) -> dict[str, Any]:
    before = flat(asdict(RECIPE))
    after = flat(asdict(ARMS[name].recipe(RECIPE, seed)))
    return {key: after[key] for key in before if before[key] != after[key]}


def test_the_methods_of_the_issue_are_here() -> None:
    assert list(ARMS) == [
        "neighbours-1",
        "neighbours-20",
        "linear",
        "cnn",
        "vit-plain",
        "vit-balanced",
        "vit-published",
        "vit-maturation",
    ]
    by_chance = [name for name, arm in ARMS.items() if arm.by_chance]
    assert by_chance == list(ARMS)[3:]
    assert len({arm.title for arm in ARMS.values()}) == len(ARMS)


def test_an_arm_changes_what_it_is_about_and_nothing_else() -> None:
    plain = {"loss.variant": "cross-entropy", "loss.class_weights": "none"}
    assert changed("linear") == {}
    assert changed("vit-published") == {}
    assert changed("vit-published", 7) == {"seed": 7}
    assert changed("vit-maturation") == {"loss.variant": "maturation"}
    assert changed("vit-plain") == plain
    assert changed("vit-balanced") == plain | {"loss.class_weights": "balanced"}
    assert changed("cnn", 1) == plain | {"seed": 1, "run.batch": 4}
    big = {arm.name: arm for arm in methods(CnnPlan())}["cnn"].recipe(RECIPE, 0)
    assert (big.run.effective_batch, big.run.batch, big.optim.lr) == (32, 32, 3e-4)
    assert big.run.accumulation(1) == 1


def test_the_variants_do_not_depend_on_the_recipes_own() -> None:
    other = replace(RECIPE, loss=replace(RECIPE.loss, variant="cross-entropy"))
    for name in ("published", "maturation"):
        assert ARMS[f"vit-{name}"].recipe(other, 0).loss.variant == name


def test_what_differs_is_told_value_by_value() -> None:
    told = ARMS["vit-balanced"].differs(RECIPE)
    assert "loss.variant is 'cross-entropy' instead of 'published'" in told
    assert "loss.class_weights is 'balanced' instead of 'sqrt-balanced'" in told
    assert (
        ARMS["vit-published"]
        .differs(RECIPE)
        .endswith("No value of the recipe changes.")
    )
    # the smoke network's rate is the recipe's own, so it is no difference
    assert "optim.lr" not in ARMS["cnn"].differs(RECIPE)
    assert "run.batch is 4 instead of 2" in ARMS["cnn"].differs(RECIPE)


@pytest.mark.parametrize("name", ["vit-plain", "cnn"])
def test_plain_cross_entropy_is_that_of_torch(name: str) -> None:
    loss = loss_of(ARMS[name].recipe(RECIPE, 0), TARGETS)
    assert float(loss(*ANSWERS)) == pytest.approx(
        float(F.cross_entropy(*ANSWERS)), rel=1e-6
    )


def test_balanced_cross_entropy_is_that_of_torch_with_the_weights_of_scikit() -> None:
    weights = compute_class_weight("balanced", classes=np.arange(3), y=TARGETS)
    stock = F.cross_entropy(
        *ANSWERS, weight=torch.from_numpy(weights).float(), reduction="sum"
    )
    loss = loss_of(ARMS["vit-balanced"].recipe(RECIPE, 0), TARGETS)
    # a mean over cells: over weights, gradients would depend on how a batch is cut
    assert float(loss(*ANSWERS)) == pytest.approx(float(stock) / 90, rel=1e-6)


@pytest.mark.parametrize("variant", ["published", "maturation"])
def test_the_hierarchical_loss_with_all_of_it_off_is_plain_cross_entropy(
    variant: Any,
) -> None:
    taxonomy = Taxonomy.load("mll21")
    off = HierarchicalFocalLoss(
        taxonomy,
        variant=variant,
        smoothing=0.0,
        within_lineage_weight=0.95,
        sequential_bonus=0.01,
        critical_penalty=1.0,
        gamma=0.0,
    )
    logits = torch.from_numpy(RNG.standard_normal((50, 21)))
    targets = torch.from_numpy(RNG.integers(0, 21, 50))
    assert float(off(logits, targets)) == pytest.approx(
        float(F.cross_entropy(logits, targets)), rel=1e-9
    )


def test_methods_are_chosen_by_name_in_their_own_order() -> None:
    known = tuple(ARMS.values())
    assert choose(known, ()) == known
    assert [a.name for a in choose(known, ("vit-plain", "linear"))] == [
        "linear",
        "vit-plain",
    ]
    with pytest.raises(InputError, match="no method 'resnet': use neighbours-1, "):
        choose(known, ("cnn", "resnet"))


def test_an_arm_cannot_be_altered() -> None:
    arm = Method("a", "b", "vit", "c")
    with pytest.raises(FrozenInstanceError):
        arm.name = "d"  # type: ignore[misc]


def test_a_recipe_of_random_weights_gets_a_small_network() -> None:
    assert SMALL_CNN.source == ""
    assert SMALL_CNN.hidden_sizes == (8, 16)
    own = read_comparison("finetune-smoke", ("cnn.depths=[2, 1]", "run.epochs=1"))
    assert own[1] == replace(SMALL_CNN, depths=(2, 1))
    assert own[0] == replace(RECIPE, run=replace(RECIPE.run, epochs=1))


def test_other_recipes_get_resnet_50() -> None:
    recipe, cnn = read_comparison("mll21-vitl16", ("cnn.lr=1e-3",))
    assert recipe.name == "mll21-vitl16"
    assert cnn == CnnPlan(lr=1e-3)
    assert cnn.source == "microsoft/resnet-50"
    assert cnn.depths == (3, 4, 6, 3)


@pytest.mark.parametrize(
    ("source", "change", "word"),
    [
        ("starter", "run.epochs=1", "fine-tunes no backbone"),
        (
            "finetune-smoke",
            "cnn.width=3",
            "cnn: 'width' is an unknown field; known are source",
        ),
        ("finetune-smoke", "cnn=3", "must be a table"),
        ("finetune-smoke", "cnn.depths=[1]", "give one of each for each stage"),
        ("finetune-smoke", "cnn.batch=0", "cnn: batch is 0, but must be 1 or more"),
        ("finetune-smoke", "cnn.layer_type=wide", "must be 'basic' or 'bottleneck'"),
    ],
)
def test_a_wrong_comparison_is_refused(source: str, change: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        read_comparison(source, (change,))


def test_seeds_are_read_as_people_write_them() -> None:
    for words in (["0 1 12"], ["0,1,12"], ["0", "1", "12"], ["0, 1", " 12 "]):
        assert read_seeds(words) == (0, 1, 12)
    assert read_seeds([]) == ()
    for wrong in ("0,x", "1.5"):
        with pytest.raises(InputError, match=f"Seeds are '{wrong}'"):
            read_seeds([wrong])
