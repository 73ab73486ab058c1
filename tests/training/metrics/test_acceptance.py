"""What is accepted and what goes to review: counted by hand, and told in full."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.stats.binomial import exact_interval
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.metrics.acceptance import (
    LEAST_BINNED,
    doubt_rows,
    review_reasons,
)
from napari_cytodino.uncertainty.decisions import (
    RULES,
    STATUSES,
    DecisionPolicy,
    accepted_cells,
)
from napari_cytodino.uncertainty.labelled import (
    LabelledPredictions,
    decisions_of,
    sources_of,
)

MLL = Taxonomy.load("mll21")
POLICY = DecisionPolicy(min_confidence=0.9, min_margin=0, max_critical=1)


def of_codes(*called: tuple[str, str, float], **more) -> LabelledPredictions:
    """Return cells: true class, class called, and how far its logit stands out."""
    targets = np.array([MLL.index(target) for target, _, _ in called])
    logits = np.zeros((len(called), len(MLL)), np.float32)
    for row, (_, guess, height) in enumerate(called):
        logits[row, MLL.index(guess)] = height
    sources = np.where(np.arange(len(called)) % 2, "east", "west")
    return LabelledPredictions(targets, logits, sources, **more)


CELLS = of_codes(
    ("BLA", "BLA", 9), ("BLA", "LYT", 9), ("BLA", "LYT", 1), ("LYT", "LYT", 9),
    ("NGS", "NGS", 9), ("NGS", "LYT", 2),
)  # fmt: skip


def rows_of(cells: LabelledPredictions) -> dict:
    status = decisions_of(cells, MLL, POLICY).status
    return {row["key"]: row for row in doubt_rows(cells, MLL, POLICY, status)}


def test_shares_by_hand() -> None:
    found = rows_of(CELLS)
    counts = {key: (r["k"], r["n"]) for key, r in found.items() if "k" in r}
    assert counts == {
        "naive_coverage": (0, 6),
        "accepted": (4, 6),
        "accepted_error": (1, 4),
        "lineage_only": (0, 6),
        "critical_error": (2, 3),
        "critical_error_accepted": (1, 2),
        "critical_missed": (1, 3),
    }
    row = found["critical_error"]
    assert (row["low"], row["high"]) == pytest.approx(exact_interval(2, 3), abs=1e-6)


def test_every_row_says_what_it_is_and_of_how_many() -> None:
    for row in rows_of(CELLS).values():
        assert {"key", "title", "value", "low", "high", "n", "definition"} <= set(row)
        assert len(row["definition"]) > 20
        assert 0 < row["n"] <= len(CELLS)


def test_few_cells_have_no_calibration_error() -> None:
    few = rows_of(CELLS)
    assert few["ece"]["value"] is few["classwise_ece"]["value"] is None
    assert f"fewer than {LEAST_BINNED}" in few["ece"]["definition"]
    assert few["log_loss"]["value"] > 0
    many = of_codes(*[("LYT", "LYT", 3.0)] * LEAST_BINNED)
    assert rows_of(many)["ece"]["value"] > 0.4


def test_an_unfamiliar_cell_is_not_accepted() -> None:
    unlike = np.float32([0.5, 2, 0.5, 2, np.nan, 0.5])
    cells = of_codes(
        ("BLA", "BLA", 9), ("BLA", "LYT", 9), ("BLA", "LYT", 1), ("LYT", "LYT", 9),
        ("NGS", "NGS", 9), ("NGS", "LYT", 2), unfamiliarity=unlike,
    )  # fmt: skip
    found = rows_of(cells)
    assert (found["accepted"]["k"], found["accepted_error"]["k"]) == (2, 0)
    same = accepted_cells(cells.logits, MLL, POLICY, unlike)
    made = decisions_of(cells, MLL, POLICY)
    assert np.array_equal(made.status == "auto", same)


def test_reasons_count_every_cell_once() -> None:
    rows = review_reasons(CELLS, MLL, POLICY)
    for source, own in sources_of(CELLS):
        mine = [r for r in rows if r["source"] == source]
        assert sum(r["n"] for r in mine) == own.sum() == mine[0]["of"]
        order = [STATUSES.index(r["status"]) for r in mine]
        assert order == sorted(order)
    whole = {r["reason"]: r for r in rows if r["source"] == "all"}
    assert (whole[""]["n"], whole[""]["wrong"], whole[""]["status"]) == (4, 1, "auto")
    assert sum(r["wrong"] for r in whole.values()) == 3
    # the numbers of single cells are left out, so that cells of a rule are together
    assert not any("%" in reason for reason in whole)


def test_every_rule_has_a_name_of_its_own() -> None:
    logits = np.zeros((6, len(MLL)), np.float32)
    index = MLL.index
    logits[0, index("LYT")] = 9  # sure
    logits[1, index("NGS")] = 9  # unlike
    logits[2, [index("LYT"), index("BLA")]] = 6, 5  # critical
    logits[3, [index("NGS"), index("NGB")]] = 9, 8.9  # lineage
    logits[4, [index("EOS"), index("LYT")]] = 9, 8.9  # close
    logits[5, index("NIF")] = 4  # unsure
    unlike = np.float32([0, 3, 0, 0, 0, 0])
    cells = LabelledPredictions(
        np.zeros(6, int), logits, np.full(6, "x"), unfamiliarity=unlike
    )
    policy = DecisionPolicy(min_confidence=0.95, max_critical=0.1)
    rows = review_reasons(cells, MLL, policy)
    assert len(rows) == 6
    assert {r["status"] for r in rows} <= {status for _, status in RULES}
    lost = DecisionPolicy(uncalibrated="other weights")
    (row,) = review_reasons(cells, MLL, lost)
    assert (row["status"], row["n"]) == ("review", 6)


def test_sources_are_told_apart_only_where_there_are_several() -> None:
    assert [name for name, _ in sources_of(CELLS)] == ["all", "east", "west"]
    assert [name for name, _ in sources_of(CELLS.take(CELLS.sources == "east"))] == [
        "all"
    ]
