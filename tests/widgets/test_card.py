"""What a card says of a cell."""

from __future__ import annotations

from typing import Any

import pytest

from napari_cytodino.widgets.card import describe


def test_before_it_is_classified(chosen: Any) -> None:
    chosen.controller.read_cells(lambda: None)
    chosen.wait()
    card = describe(chosen.session, 2)
    assert card.title == "Cell 3"
    assert card.likeliest == ()
    assert card.status == ""


def test_five_likeliest_in_order(chosen: Any) -> None:
    chosen.classify()
    session = chosen.session
    card = describe(session, 1)
    entry = session.table.iloc[1]
    p = [likely.probability for likely in card.likeliest]
    assert len(p) == 5
    assert p == sorted(p, reverse=True)
    assert card.likeliest[0].code == entry["cell_class"]
    assert card.status == entry["status"]
    assert card.reason == entry["reason"] != ""
    assert p[0] == pytest.approx(entry["confidence"], abs=1e-5)
