"""Strange views: seeded, bounded, a share of them, and still the same cell."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_cytodino.common.errors import InputError
from napari_cytodino.synthetic.smear import synthetic_crops
from napari_cytodino.training.distillation.augmentation import (
    coarsen,
    restain,
    shift_domain,
)
from napari_cytodino.training.recipes.distillation import DomainShift

ALL = DomainShift(share=1.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def cells() -> Tensor:
    drawn, _ = synthetic_crops(("NGS", "LYT"), 8, size=64, seed=0)
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255


def test_the_same_seed_gives_the_same_views(cells: Tensor) -> None:
    first, again = (
        shift_domain(cells, ALL, seeded()),
        shift_domain(cells, ALL, seeded()),
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, shift_domain(cells, ALL, seeded(1)))


def test_views_stay_images_and_the_input_stays_as_it_is(cells: Tensor) -> None:
    before = cells.clone()
    views = shift_domain(cells, ALL, seeded())
    assert views.shape == cells.shape
    assert float(views.min()) >= 0
    assert float(views.max()) <= 1
    assert torch.equal(cells, before)


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0, 0, 0), (0.5, 30, 70), (1, 100, 100)]
)
def test_the_share_is_kept(share: float, low: int, high: int) -> None:
    grey = torch.full((100, 3, 8, 8), 0.5)
    views = shift_domain(grey, DomainShift(share=share), seeded())
    changed = (views != grey).flatten(1).any(dim=1).sum()
    assert low <= int(changed) <= high


def test_nothing_to_vary_changes_nothing(cells: Tensor) -> None:
    still = DomainShift(share=1, mix=0, strength=0, light=0, blur=1, noise=0)
    assert (shift_domain(cells, still, seeded()) - cells).abs().max() < 0.005


def test_clear_glass_stays_clear_without_a_tinted_lamp() -> None:
    # optical density 0 is no dye, whatever its colour and strength
    glass = torch.ones(20, 3, 4, 4)
    views = restain(glass, DomainShift(share=1, light=0), seeded())
    assert (views - 1).abs().max() < 1e-6
    tinted = restain(glass, DomainShift(share=1, light=0.3), seeded())
    assert float(tinted.min()) >= 0.74  # exp(-0.3)
    assert float(tinted.max()) < 1
    assert (tinted.amax(dim=1) - tinted.amin(dim=1)).max() > 0.02


def test_stronger_dye_is_darker() -> None:
    grey = torch.full((200, 3, 2, 2), 0.6)
    views = restain(grey, DomainShift(share=1, mix=0, light=0), seeded())
    factor = views[:, :, 0, 0].log() / torch.tensor(0.6).log()
    spread = torch.tensor(0.6)  # of the log: the common half-width and the channel's
    assert float(factor.max()) <= float(spread.exp()) + 1e-4
    assert float(factor.min()) >= float((-spread).exp()) - 1e-4
    assert float(factor.max()) > 1.3
    assert float(factor.min()) < 0.75


def test_nuclei_stay_darker_than_the_background(cells: Tensor) -> None:
    views = restain(cells, ALL, seeded())
    for before, after in zip(cells.mean(dim=1), views.mean(dim=1), strict=True):
        dark, bright = before < before.quantile(0.1), before > before.quantile(0.9)
        assert after[dark].mean() < after[bright].mean()


def test_coarser_sampling_removes_detail_and_keeps_the_mean() -> None:
    noisy = torch.rand(40, 3, 32, 32, generator=seeded(2))
    views = coarsen(noisy, DomainShift(share=1, blur=3), seeded(0))
    changed = (views != noisy).flatten(1).any(dim=1)
    assert 8 <= int(changed.sum()) <= 32
    assert (views.mean(dim=(1, 2, 3)) - noisy.mean(dim=(1, 2, 3))).abs().max() < 0.02
    assert views[changed].std() < 0.7 * noisy[changed].std()


@pytest.mark.parametrize(
    ("field", "value"), [("share", 1.5), ("share", -0.1), ("blur", 0.5)]
)
def test_what_makes_no_sense_is_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match=str(value)):
        DomainShift(**{field: value})
