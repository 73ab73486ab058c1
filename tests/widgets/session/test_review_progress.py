"""How far a reader is."""

from __future__ import annotations

from typing import Any

from napari_cytodino.widgets.session.review_queue import Progress, progress, queue


def test_counts_of_flagged_cells_and_of_agreement(read_bench: Any) -> None:
    session, reviewing = read_bench.session, read_bench.controller.review
    wanted = queue(session)
    assert progress(session) == Progress(6, 0, len(wanted), len(wanted), 0, 0)
    reviewing.accept([int(wanted[0])])
    reviewing.set_class("BLA", [int(wanted[1])])
    reviewing.reject([next(r for r in range(6) if r not in wanted)])
    found = progress(session)
    assert (found.reviewed, found.left) == (3, len(wanted) - 2)
    assert (found.same, found.compared) == (1, 3)
    said = found.words()
    assert "3 of 6 cells have a verdict" in said
    assert "agreed with 1 of 3" in said
    # Wilson's interval of 1 in 3 begins at 6 %
    assert "6\N{NO-BREAK SPACE}% to" in said
    assert "agrees" not in found.words(blind=True)


def test_a_blind_reader_is_asked_for_all_cells(read_bench: Any) -> None:
    read_bench.controller.review.read_as("BK", blind=True)
    found = progress(read_bench.session)
    assert (found.asked, found.left, found.compared) == (6, 6, 0)


def test_who_settles_is_asked_for_disagreements(read_bench: Any) -> None:
    reviewing = read_bench.controller.review
    reviewing.set_class("BLA", [2])
    reviewing.read_as("BK")
    reviewing.set_class("MON", [2])
    reviewing.read_as("CL", settling=True)
    assert progress(read_bench.session).asked == 1
    reviewing.set_class("BLA", [2])
    assert progress(read_bench.session).left == 0
