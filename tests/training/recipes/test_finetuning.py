"""Recipes of fine-tuning: the paper's values, and faults named by their field."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.finetuning.model import backbone_of, config_of
from napari_cytodino.training.recipes import finetuning
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe, RunPlan
from napari_cytodino.training.recipes.protocols import PUBLISHED
from napari_cytodino.training.recipes.reading import build, read_recipe, recipe_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = sorted(
    p.stem
    for p in recipe_folder().glob("*.toml")
    if "[backbone]" in p.read_text("utf-8")
)


def load(name: str, *changes: str) -> FinetuneRecipe:
    return build(FinetuneRecipe, *read_recipe(name, changes))


def plans(plan: Any) -> Iterator[Any]:
    """Give a dataclass and all in it."""
    yield plan
    for item in fields(plan):
        value = getattr(plan, item.name)
        if is_dataclass(value):
            yield from plans(value)


def keys(plan: Any, table: str = "") -> Iterator[str]:
    """Name every field that holds a number, as in ``--set``."""
    for item in fields(plan):
        value = getattr(plan, item.name)
        if is_dataclass(value):
            yield from keys(value, f"{table}{item.name}.")
        first = value[0] if isinstance(value, tuple) and value else value
        if type(first) in (int, float):
            yield f"{table}{item.name}"


def test_the_recipes_are_here() -> None:
    assert NAMES == ["finetune-smoke", "mll21-vitl16", "mll21-vits16"]


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_is_valid(name: str) -> None:
    recipe = load(name)
    assert recipe.name == name
    assert bool(recipe.data.synthetic) == ("SYNTHETIC" in recipe.title)
    assert recipe.run.accumulation(1) >= 1
    assert len(recipe.classes_in_order) == len(recipe.data.classes or [0] * 21)


def test_the_paper_is_reproduced_value_by_value() -> None:
    paper = load("mll21-vitl16")
    # domain.md 1.3, table "Exact hyper-parameters"
    assert paper.backbone.source == "facebook/dinov3-vitl16-pretrain-lvd1689m"
    assert paper.backbone.pos_embed_rescale == 2.0
    assert (paper.size, paper.field_of_view, paper.taxonomy) == (256, 250, "mll21")
    assert paper.mean == (0.5631, 0.4959, 0.7355)
    assert paper.std == (0.2419, 0.2835, 0.1761)
    assert (paper.lora.rank, paper.lora.alpha, paper.lora.dropout) == (64, 128, 0.1)
    head = paper.head
    assert (head.layers, head.heads, head.ff_ratio, head.dropout) == (4, 4, 2, 0.2)
    loss = paper.loss
    assert (loss.variant, loss.gamma, loss.smoothing) == ("published", 2.0, 0.1)
    assert (loss.within_lineage_weight, loss.sequential_bonus) == (0.95, 0.01)
    assert (loss.critical_penalty, loss.class_weights) == (3.0, "sqrt-balanced")
    assert (paper.sampling.power, paper.sampling.multiplier) == (0.7, 2)
    optim = paper.optim
    assert (optim.lr, optim.weight_decay, optim.clip) == (3e-4, 0.01, 1.0)
    assert (optim.schedule, optim.period, optim.lr_end) == ("epoch-cosine", 8, 1e-7)
    run = paper.run
    assert (run.epochs, run.patience, run.effective_batch) == (8, 5, 4)
    assert paper.data.protocol == PUBLISHED.name
    as_published = load("mll21-vitl16", "run.batch=1", "run.precision=float32")
    assert as_published.run.accumulation(1) == 4


def test_set_reaches_every_table() -> None:
    recipe = load(
        "mll21-vitl16", "optim.lr=1e-4", "lora.rank=32", "data.classes=['BLA', 'NGS']"
    )
    assert (recipe.optim.lr, recipe.lora.rank) == (1e-4, 32)
    assert recipe.classes_in_order.codes == ("BLA", "NGS")
    folder = load("mll21-vits16", "backbone.source=/data/vits")
    assert folder.backbone.source == "/data/vits"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("optim.rate=1", "'optim.rate' is an unknown field; known are lr"),
        ("optim.lr=fast", "lr is 'fast'"),
        ("optim.lr=-1", r"optim\.lr is -1, but must be 1e-07 or more"),
        ("optim.schedule=linear", "'linear', but must be 'epoch-cosine' or 'cosine'"),
        ("loss.variant=best", "loss.variant is 'best'"),
        ("loss.class_weights=some", "'some'"),
        ("data.protocol=kfold", "'kfold', but must be 'three-way' or 'published'"),
        ("data.synthetic=-1", "data.synthetic is -1"),
        ("run.precision=half", "'half'"),
        ("run.epochs=0", r"run\.epochs is 0"),
        ("run.epochs=1.5", r"epochs is 1\.5"),
        ("lora.rank=0", r"lora\.rank is 0"),
        ("lora.dropout=1", r"lora\.dropout is 1"),
        ("sampling.multiplier=0", r"sampling\.multiplier is 0"),
        ("backbone.source=x", "set exactly one of them"),
        ("backbone.pos_embed_rescale=0.5", "pos_embed_rescale is 0.5"),
        ("augmentation.flip=2", r"augmentation\.flip is 2"),
        ("size=4", "size is 4"),
        ("calibration.risk=2", "risk is 2"),
        ("head.heads=5", r"head\.heads is 5.* width of 24.* 1, 2, 3, 4, 6, 8, 12, 24"),
        ("head.layers=0", r"head\.layers is 0, but must be 1 or more"),
        ("backbone.random.heads=4", r"random\.heads is 4.* width of 24 in parts of 4"),
        ("backbone.random.width=7", r"a width of 7 .*change the width"),
        ("optim.weight_decay=-1", r"optim\.weight_decay is -1, but must be 0 or more"),
        ("optim.lr_end=0.1", r"lr_end is 0\.1: .* optim\.lr = 0\.003"),
        ("std=[0, 0.2, 0.2]", r"std\[0\] is 0, but must be 0\.001 or more"),
        (
            "augmentation.blur=[3, 0.5]",
            r"blur is \[3, 0\.5\], but must be two .* the lower first",
        ),
        ("size=40", "size is 40: use a multiple of backbone.random.patch = 16"),
        ("seed=-1", "seed is -1, but must be 0 or more"),
        (f"optim.lr=1{'0' * 400}", "lr is '1000.*, but must be a number"),
        (f"run.epochs=1{'0' * 5000}", "epochs is '1000"),
    ],
)
def test_faulty_changes_are_named(change: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        load("finetune-smoke", change)


KEYS = sorted(keys(load("finetune-smoke")))

JUNK: list[Any] = [None, True, "", "a\0b", [], [[]], {}, {"": 0}, 2**70, 10**400]
JUNK += [-1, 0, 0.5, 1, 3, 7, 1e9, 1e308, -1e-9, float("nan"), float("inf")]


def fault(content: dict[str, Any]) -> str:
    """Return how a recipe is refused; empty where it describes a model."""
    try:
        recipe = build(FinetuneRecipe, content, "x.toml")
        shape, _ = backbone_of(recipe.backbone, recipe.size)
        assert config_of(recipe, shape).head_heads == recipe.head.heads
    except InputError as error:
        return str(error)
    return ""


def table_of(content: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """Return the table that holds a key such as optim.lr, and the key's last part."""
    *tables, last = key.split(".")
    for name in tables:
        content = content[name]
    return content, last


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from(KEYS), junk=st.sampled_from(JUNK), dice=st.data())
def test_junk_is_refused_in_one_sentence_or_there_is_a_model(
    key: str, junk: Any, dice: st.DataObject
) -> None:
    content = json.loads(json.dumps(asdict(load("finetune-smoke"))))
    table, last = table_of(content, key)
    if isinstance(table[last], list) and dice.draw(st.booleans()):
        table[last][dice.draw(st.integers(0, len(table[last]) - 1))] = junk
    else:
        table[last] = junk
    told = fault(content)
    if told:
        assert told.endswith(".")
        assert "\n" not in told
        assert last in told


def test_recipes_are_frozen_and_every_field_is_documented() -> None:
    recipe = load("mll21-vitl16")
    with pytest.raises(FrozenInstanceError):
        recipe.seed = 1  # type: ignore[misc]
    shared = "fields as in"
    for plan in plans(load("finetune-smoke")):
        told = type(plan).__doc__ or ""
        lacking = [f.name for f in fields(plan) if f.name not in told]
        assert not lacking or shared in told, (type(plan).__name__, lacking)


@pytest.mark.parametrize(
    ("effective", "batch", "processes", "expected"),
    [(8, 2, 1, 4), (8, 8, 1, 1), (8, 2, 2, 2), (4, 1, 4, 1)],
)
def test_the_effective_batch_is_the_same_on_any_number_of_processes(
    effective: int, batch: int, processes: int, expected: int
) -> None:
    plan = RunPlan(effective_batch=effective, batch=batch)
    assert plan.accumulation(processes) == expected


@pytest.mark.parametrize(("cores", "wish", "got"), [(2, 4, 2), (8, 4, 4), (2, 0, 0)])
def test_no_more_decoders_than_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, wish: int, got: int
) -> None:
    monkeypatch.setattr(finetuning, "cores", lambda: cores)
    assert RunPlan(workers=wish).decoders == got


@pytest.mark.parametrize(("batch", "processes"), [(4, 2), (3, 1), (1, 3)])
def test_a_batch_that_cannot_be_dealt_out_is_refused(
    batch: int, processes: int
) -> None:
    with pytest.raises(
        InputError, match=rf"effective_batch = 4 .* {processes} process"
    ):
        RunPlan(effective_batch=4, batch=batch).accumulation(processes)
