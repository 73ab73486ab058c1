"""Discs dropped at random keep clear of each other and of the edge."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.synthetic._slide import Layout


def fill(
    shape: tuple[int, int], radius: float, count: int, step: int, seed: int
) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    layout = Layout(shape, 0, step)
    placed = []
    for _ in range(count):
        place = layout.find(radius, rng, inside=radius)
        if place is None:
            break
        layout.block(place, radius, radius)
        placed.append(place)
    return placed


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(20, 200), st.integers(20, 200)),
    st.floats(2, 30),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_discs_never_overlap_nor_leave_the_field(
    shape: tuple[int, int], radius: float, step: int, seed: int
) -> None:
    placed = np.array(fill(shape, radius, 30, step, seed)).reshape(-1, 2)
    assert (placed >= radius).all()
    assert (placed <= np.array(shape) - 1 - radius).all()
    apart = np.hypot(*(placed[:, None] - placed[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    # The field stores its distances in single precision.
    assert (apart >= 2 * radius - 1e-3).all()


def test_every_place_is_looked_at_before_giving_up() -> None:
    # One free pixel in ten thousand: guessing alone would nearly always miss it.
    layout = Layout((100, 100), 0, 1)
    layout._clear[:] = 0
    layout._clear[71, 13] = 5
    rng = np.random.default_rng(0)
    assert layout.find(5, rng, inside=0) == (71, 13)
    assert layout.find(5, rng, inside=0, thorough=False) is None
    assert layout.find(5.1, rng, inside=0) is None


def test_a_disc_larger_than_the_field_has_no_place() -> None:
    layout = Layout((40, 400), 0, 2)
    assert layout.find(30, np.random.default_rng(0), inside=30) is None


def test_a_negative_inside_allows_places_outside_the_field() -> None:
    rng = np.random.default_rng(1)
    layout = Layout((50, 50), 20, 2)
    places = np.array([layout.find(1, rng, inside=-20) for _ in range(300)])
    assert places.min() < 0
    assert places.max() > 49
    assert places.min() >= -20
    assert places.max() <= 69


def test_a_blocked_disc_outside_the_field_changes_nothing() -> None:
    layout = Layout((50, 50), 0, 2)
    layout.block((500, -400), 10, 10)
    assert np.isinf(layout._clear).all()
