"""Cells one by one, and an order that seed and epoch decide."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from torch.utils.data import DataLoader

from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.data.crops import CellFile, CellSet, cell_set
from napari_cytodino.training.data.datasets import CellDataset, EpochSampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAXONOMY = Taxonomy.load("mll21")


def drawn(count: int = 6) -> CellSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    files = [CellFile(f"lab-{i % 2}/{i}", ("NGS", "BLA")[i % 2]) for i in range(count)]
    return cell_set(files, TAXONOMY, 8, pixels=pixels)


def order(epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng(epoch).permutation(6)


def test_only_a_cell_asked_for_by_key_has_one() -> None:
    dataset = CellDataset(drawn())
    assert len(dataset) == 6
    watched, learnt = dataset[3], dataset[(3, 2, 17)]
    assert set(watched) == {"pixels", "targets"}
    assert np.array_equal(watched["pixels"], learnt["pixels"])
    assert learnt["keys"].tolist() == [2, 17]
    assert learnt["targets"] == TAXONOMY.index("BLA")


def test_an_epoch_has_its_own_order_again_and_again() -> None:
    sampler = EpochSampler(order)
    seen = []
    for epoch in (0, 3, 0):
        sampler.set_epoch(epoch)
        seen.append(list(sampler))
    assert seen[0] == seen[2]
    assert [key[0] for key in seen[1]] == order(3).tolist()
    assert [key[1:] for key in seen[1]] == [(3, place) for place in range(6)]
    assert len(sampler) == 6


def test_an_iteration_keeps_the_epoch_it_began_with() -> None:
    sampler = EpochSampler(order)
    begun = iter(sampler)
    next(begun)
    sampler.set_epoch(5)
    assert {key[1] for key in begun} == {0}


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_change_nothing(workers: int) -> None:
    loader = DataLoader(
        CellDataset(drawn()),
        batch_size=4,
        sampler=EpochSampler(order),
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
    )
    batches = list(loader)
    keys = np.concatenate([batch["keys"].numpy() for batch in batches])
    assert keys.tolist() == [[0, place] for place in range(6)]
    pixels = np.concatenate([batch["pixels"].numpy() for batch in batches])
    cells = drawn()
    assert np.array_equal(pixels, np.stack([cells.crop(i) for i in order(0)]))


def test_cells_can_be_sent_to_a_worker() -> None:
    dataset = pickle.loads(pickle.dumps(CellDataset(drawn())))
    assert np.array_equal(dataset[2]["pixels"], drawn().crop(2))
