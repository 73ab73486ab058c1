"""Reasons: one sentence for each rule, with the numbers a person needs."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.uncertainty._reasons import TENTHS, WHOLE, percent, reasons
from napari_cytodino.uncertainty.decisions import RULES, UNREACHABLE
from napari_cytodino.uncertainty.probabilities import ClassProbabilities

TAXONOMY = Taxonomy.load("mll21")
NAMES = [name for name, _ in RULES]
LYT, MON, BLA = (TAXONOMY.index(code) for code in ("LYT", "MON", "BLA"))


def evidence(n, **changes):
    """Return n cells: lymphocyte 55 %, then monocyte 38.4 %, critical classes 7 %."""
    values = {
        "p": np.zeros((n, len(TAXONOMY)), np.float32),
        "known": np.ones(n, bool),
        "best": np.full(n, LYT),
        "second": np.full(n, MON),
        "confidence": np.full(n, 0.55, np.float32),
        "margin": np.full(n, 0.166, np.float32),
        "lineage": np.full(n, 0),
        "lineage_share": np.full(n, 0.9, np.float32),
        "critical": np.full(n, 0.07, np.float32),
        "worst": np.full(n, BLA),
        "unfamiliarity": np.full(n, 1.25, np.float32),
    }
    return ClassProbabilities(**values | changes)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("not done", ""),
        ("unreadable", "unreadable pixels"),
        ("uncalibrated", "no threshold is calibrated for these weights"),
        ("unfamiliar", "unlike the training cells (1.3 times the limit)"),
        ("critical", "a critical class cannot be excluded (BLA; all 7%)"),
        ("rare", "a class too rare to calibrate is possible"),
        ("border", "cut by the border"),
        ("sure", ""),
        ("lineage", "stage unclear, lineage sure ({lineage})"),
        ("close", "close second (MON 38%)"),
        ("unsure", "low confidence (LYT 55.0%, accepted from 97.5%)"),
    ],
)
def test_each_rule_has_its_sentence(rule, text):
    which = np.array([NAMES.index(rule)])
    made = reasons(NAMES, which, evidence(1), TAXONOMY, 0.975)
    assert made.tolist() == [text.format(lineage=TAXONOMY.lineages[0].name)]


def test_every_rule_is_covered_above_and_every_flag_has_a_reason():
    which = np.arange(len(RULES))
    made = reasons(NAMES, which, evidence(len(RULES)), TAXONOMY, 0.9)
    for (_, status), reason in zip(RULES, made, strict=True):
        assert bool(reason) == (status in ("review", "rejected", "lineage_only"))


def test_each_cell_has_its_own_numbers():
    which = np.full(2, NAMES.index("unsure"))
    two = evidence(
        2, best=np.array([MON, LYT]), confidence=np.array([0.5, 0.6], np.float32)
    )
    made = reasons(NAMES, which, two, TAXONOMY, 0.9)
    assert made.tolist() == [
        "low confidence (MON 50.0%, accepted from 90.0%)",
        "low confidence (LYT 60.0%, accepted from 90.0%)",
    ]


def test_where_no_confidence_would_do_none_is_named():
    which = np.array([NAMES.index("unsure")])
    made = reasons(NAMES, which, evidence(1), TAXONOMY, UNREACHABLE)
    assert made[0] == ("no confidence is enough for the accuracy asked for (LYT 55.0%)")


@pytest.mark.parametrize(
    ("distance", "times"),
    [(1.0001, "1.1"), (1.1, "1.1"), (2.34, "2.4"), (1e6, "100.0"), (np.inf, "100.0")],
)
def test_what_is_beyond_the_limit_never_reads_as_within(distance, times):
    which = np.array([NAMES.index("unfamiliar")])
    far = evidence(1, unfamiliarity=np.array([distance], np.float32))
    made = reasons(NAMES, which, far, TAXONOMY, 0.9)
    assert made[0] == f"unlike the training cells ({times} times the limit)"


def test_percentages():
    shares = np.array([0, 0.004, 0.0051, 0.5, 0.9951, 1, 1.2, -0.1])
    assert percent(shares, WHOLE).tolist() == [
        "0%", "0%", "1%", "50%", "100%", "100%", "100%", "0%",
    ]  # fmt: skip
    assert percent(np.array([0.1234, 0.9996]), TENTHS).tolist() == ["12.3%", "100.0%"]
    assert len(WHOLE) == 101
    assert len(TENTHS) == 1001


def test_no_cells():
    assert len(reasons(NAMES, np.zeros(0, int), evidence(0), TAXONOMY, 0.9)) == 0
