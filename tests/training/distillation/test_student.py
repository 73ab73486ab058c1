"""The student before its first step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.common.errors import InputError
from napari_cytodino.training.distillation._student import (
    LAST_LAYER,
    deepened,
    interpolate_with_start,
    new_model,
    start_from,
)
from napari_cytodino.training.recipes.distillation import load_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.training.recipes.distillation import Recipe


def test_the_seed_decides_the_first_weights(smoke_recipe: Recipe) -> None:
    first, again = new_model(smoke_recipe), new_model(smoke_recipe)
    other = new_model(replace(smoke_recipe, seed=5))
    query = "head.query"
    assert torch.equal(first.state_dict()[query], again.state_dict()[query])
    assert not torch.equal(first.state_dict()[query], other.state_dict()[query])


def test_rescale_of_one_turns_the_position_noise_off(smoke_recipe: Recipe) -> None:
    on = replace(smoke_recipe, model=replace(smoke_recipe.model, rescale=2.0))
    assert new_model(smoke_recipe).backbone.config.pos_embed_rescale is None
    assert new_model(on).backbone.config.pos_embed_rescale == 2.0


def test_a_start_gives_every_weight(smoke_run: Path, smoke_recipe: Recipe) -> None:
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    model = new_model(replace(smoke_recipe, seed=9))
    start_from(model, checkpoint)
    for name, value in checkpoint.model().state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


def test_other_classes_keep_their_own_last_layer(
    smoke_run: Path, smoke_recipe: Recipe
) -> None:
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    recipe = load_recipe("smoke", ['classes=["EOS", "MON"]'])
    model = new_model(recipe)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    start_from(model, checkpoint)
    for name, value in checkpoint.model().state_dict().items():
        if name.startswith(LAST_LAYER):
            assert torch.equal(model.state_dict()[name], before[name])
        else:
            assert torch.equal(model.state_dict()[name], value)
    assert model.state_dict()[f"{LAST_LAYER}weight"].shape[0] == 2


@pytest.mark.parametrize("change", ["model.width=48", "model.head_layers=2"])
def test_a_start_of_another_shape_is_refused(smoke_run: Path, change: str) -> None:
    model = new_model(load_recipe("smoke", [change]))
    with pytest.raises(InputError, match="is no start for this recipe"):
        start_from(model, load_checkpoint(smoke_run / "checkpoint"))


@pytest.mark.parametrize("layers", [2, 3, 5])
def test_a_deeper_model_starts_as_the_same_function(
    smoke_run: Path, layers: int
) -> None:
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    model = new_model(load_recipe("smoke", [f"model.layers={layers}", "seed=9"])).eval()
    size = model.backbone.config.image_size
    cells = torch.rand(3, 3, size, size)
    start_from(model, checkpoint)
    with torch.no_grad():
        before, after = checkpoint.model()(cells).logits, model(cells).logits
    assert torch.allclose(before, after, atol=1e-5)
    # the new layers learn from the first step on
    model(cells).logits.square().sum().backward()
    scales = [v for k, v in model.named_parameters() if k.endswith("lambda1")]
    assert len(scales) == 2 * layers
    assert all(scale.grad is not None and scale.grad.any() for scale in scales)


def test_new_layers_lie_between_the_old_ones() -> None:
    name = "backbone.model.layer.{}.layer_scale1.lambda1".format
    weights = {name(i): torch.tensor([i + 1.0]) for i in range(3)}
    grown = deepened(weights | {"head.query": torch.ones(1)}, 5)
    scales = [float(grown[name(i)]) for i in range(5)]
    assert scales == [1.0, 0.0, 2.0, 0.0, 3.0]
    assert len(grown) == 6


def test_a_run_can_start_from_a_checkpoint(
    smoke_run: Path, smoke_recipe: Recipe, tmp_path: Path
) -> None:
    from napari_cytodino.training.distillation.pipeline import train_recipe

    # so low a rate leaves the start as it was
    still = replace(smoke_recipe.fit, learning_rate=1e-12)
    recipe = replace(smoke_recipe, start=str(smoke_run / "checkpoint"), fit=still)
    train_recipe(recipe, None, tmp_path)
    first = load_checkpoint(smoke_run / "checkpoint").model().state_dict()
    again = load_checkpoint(tmp_path / "checkpoint").model().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_share_of_the_start_is_kept(smoke_run: Path, smoke_recipe: Recipe) -> None:
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    start = checkpoint.model().state_dict()
    for share in (0.0, 0.25, 1.0):
        model = new_model(replace(smoke_recipe, seed=9))
        before = {k: v.clone() for k, v in model.state_dict().items()}
        interpolate_with_start(model, checkpoint, share)
        for name, value in model.state_dict().items():
            wanted = share * start[name] + (1 - share) * before[name]
            assert torch.allclose(value, wanted, atol=1e-6), name


def test_the_average_leaves_other_classes_their_last_layer(smoke_run: Path) -> None:
    checkpoint = load_checkpoint(smoke_run / "checkpoint")
    model = new_model(load_recipe("smoke", ["classes=['NGS','BLA']", "seed=9"]))
    before = model.state_dict()[f"{LAST_LAYER}weight"].clone()
    interpolate_with_start(model, checkpoint, 1.0)
    assert torch.equal(model.state_dict()[f"{LAST_LAYER}weight"], before)
    query = "head.query"
    assert torch.equal(
        model.state_dict()[query], checkpoint.model().state_dict()[query]
    )


def test_a_share_without_a_start_is_refused(smoke_recipe: Recipe) -> None:
    for share, start in ((0.2, ""), (1.5, "demo"), (-0.1, "demo")):
        with pytest.raises(InputError, match="start_share"):
            replace(smoke_recipe, start=start, start_share=share)
