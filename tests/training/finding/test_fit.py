"""The run: it learns, is taken up where it was stopped, and names what is wrong."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_cytodino.common.errors import InputError
from napari_cytodino.models.finder_net import FinderNet
from napari_cytodino.training.commands.origin import train
from napari_cytodino.training.finding import fit
from napari_cytodino.training.finding.fit import Batches, losses, train_finder
from napari_cytodino.training.recipes.finder import FinderPlan, FinderRecipe


def recipe(steps=6, **words):
    return FinderRecipe("small", FinderPlan(steps, batch=2, width=4, keep=2, **words))


def test_losses_fall_on_a_batch_learned_by_heart(data):
    batch = Batches(recipe(), data, 0)[0]
    torch.manual_seed(0)
    net = FinderNet(8)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    seen = []
    for _ in range(25):
        total = sum(losses(net, batch).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        seen.append(float(total.detach()))
    assert seen[-1] < 0.75 * seen[0]


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    data, tmp_path, monkeypatch
):
    whole = load_file(train_finder(recipe(), data, tmp_path / "whole"))
    learn = fit._Fit.learn

    def stop(self, batch):
        if self.step == 3:
            raise KeyboardInterrupt
        return learn(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(fit._Fit, "learn", stop)
        with pytest.raises(KeyboardInterrupt):
            train_finder(recipe(), data, tmp_path / "again")
    again = load_file(train_finder(recipe(), data, tmp_path / "again"))
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert {v.dtype for v in whole.values()} == {torch.float16}


def test_a_batch_is_a_function_of_its_number(data):
    one, other = Batches(recipe(), data, 0)[3], Batches(recipe(), data, 2)[1]
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert len(Batches(recipe(), data, 2)) == 4


def test_another_recipe_or_no_data_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="--data"):
        train_finder(recipe(), None, tmp_path)
    train_finder(recipe(2), data, tmp_path)
    with pytest.raises(InputError, match="another recipe"):
        train_finder(recipe(3), data, tmp_path)


def test_the_command_trains_it(data, tmp_path):
    changes = ["finder.steps=2", "finder.batch=2", "finder.width=4"]
    assert train("finder", changes, data, tmp_path) == {}
    assert (tmp_path / "finder.safetensors").is_file()
