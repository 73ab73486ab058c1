"""Geometry against plain rectangles that are laid out one by one."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_cytodino.widgets.gallery._layout import Layout

PLANS = st.builds(
    Layout,
    st.lists(st.integers(1, 23), min_size=1, max_size=5).map(tuple),
    st.integers(20, 200),
    st.integers(5, 40),
    st.integers(5, 50),
    st.integers(1, 9),
    st.integers(1, 20),
)


def boxes(plan: Layout) -> list[tuple[int, int, int, int]]:
    """Return left, top, right, bottom of each tile, by going through them."""
    found, y = [], 0
    for count in plan.counts:
        y += plan.header + plan.gap
        x = plan.gap
        for number in range(count):
            if number and number % plan.columns == 0:
                y += plan.tile_height + plan.gap
                x = plan.gap
            found.append((x, y, x + plan.tile_width, y + plan.tile_height))
            x += plan.tile_width + plan.gap
        y += plan.tile_height + plan.gap
    assert y == plan.height
    return found


def touching(plan: Layout, a: float, b: float, c: float, d: float) -> list[int]:
    return [
        place
        for place, (left, top, right, bottom) in enumerate(boxes(plan))
        if left < c and a < right and top < d and b < bottom
    ]


@given(PLANS)
def test_tiles_lie_where_walking_through_them_leads(plan: Layout) -> None:
    walked = boxes(plan)
    assert len(plan) == len(walked)
    assert [plan.corner(place) for place in range(len(plan))] == [
        box[:2] for box in walked
    ]
    assert (
        plan.columns == 1
        or walked[plan.columns - 1 :][:1] == []
        or (plan.gap + plan.columns * (plan.tile_width + plan.gap) <= plan.width)
    )


@given(PLANS, st.integers(-20, 220), st.integers(-20, 900))
def test_a_point_finds_the_tile_around_it(plan: Layout, x: int, y: int) -> None:
    found = touching(plan, x, y, x + 1, y + 1) if 0 <= x < plan.width else []
    assert plan.place_at(x, y) == (found[0] if found else None)


@given(PLANS, st.data())
def test_a_rectangle_finds_all_tiles_it_touches(
    plan: Layout, data: st.DataObject
) -> None:
    xs = sorted(data.draw(st.tuples(*[st.integers(-9, 250)] * 2)))
    ys = sorted(data.draw(st.tuples(*[st.integers(-9, plan.height + 50)] * 2)))
    assume(xs[0] < xs[1])
    assume(ys[0] < ys[1])
    found = plan.within(xs[0], ys[0], xs[1], ys[1]).tolist()
    assert found == touching(plan, xs[0], ys[0], xs[1], ys[1])


@given(PLANS, st.integers(0, 600), st.integers(1, 300))
def test_what_is_painted_is_what_is_in_view(plan: Layout, top: int, room: int) -> None:
    top = min(top, plan.height - 1)
    shown = list(plan.visible(top, top + room))
    tiles = [place for _, first, stop in shown for place in range(first, stop)]
    assert tiles == touching(plan, 0, top, 10**6, top + room)
    sections = [number for number, _, _ in shown]
    wanted = [
        number
        for number in range(len(plan.counts))
        for low, high in [plan.section_span(number)]
        if low < top + room and top < high
    ]
    assert sections == wanted


@given(PLANS, st.integers(-30, 30), st.data())
def test_lines_up_and_down(plan: Layout, lines: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(plan) - 1))
    walked = boxes(plan)
    tops = sorted({top for _, top, _, _ in walked})
    line = tops.index(walked[place][1]) + lines
    goal = tops[min(max(line, 0), len(tops) - 1)]
    there = plan.moved(place, lines)
    assert walked[there][1] == goal
    on_line = [p for p, box in enumerate(walked) if box[1] == goal]
    same = [p for p in on_line if walked[p][0] == walked[place][0]]
    assert there == (same[0] if same else on_line[-1])


def test_sections_from_heights() -> None:
    plan = Layout((3, 1), 100, 40, 50, 4, 10)
    assert plan.columns == 2
    assert [plan.section_span(number) for number in (0, 1)] == [(0, 122), (122, 190)]
    assert [plan.section_at(y) for y in (-5, 0, 121, 122, 999)] == [0, 0, 0, 1, 1]
    assert [plan.section_of(place) for place in range(4)] == [0, 0, 0, 1]


@pytest.mark.parametrize("width", [0, 3, 44])
def test_there_is_always_one_column(width: int) -> None:
    plan = Layout((2,), width, 40, 50, 4, 10)
    assert plan.columns == 1
    assert plan.corner(1) == (4, 68)


def test_nothing_to_show() -> None:
    plan = Layout((), 100, 40, 50, 4, 10)
    assert (len(plan), plan.height, list(plan.visible(0, 99))) == (0, 0, [])
    assert plan.place_at(5, 5) is None
    assert not len(plan.within(0, 0, 99, 99))
