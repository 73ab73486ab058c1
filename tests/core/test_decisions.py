"""Each decision rule fires on what it is for, in the order that is said."""

import numpy as np
import pytest

from napari_cytodino.core.decisions import STATUSES, DecisionPolicy, decide
from napari_cytodino.core.errors import InputError
from napari_cytodino.core.predictions import PredictionBatch, Predictions
from napari_cytodino.core.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")


def predictions(*cells):
    p = np.full((len(cells), 21), 1e-9)
    for row, cell in enumerate(cells):
        for code, share in cell.items():
            p[row, TAXONOMY.index(code)] = share
    logits = np.log(p).astype(np.float32)
    n = len(cells)
    batch = PredictionBatch(
        np.arange(n), logits, np.zeros((n, 1), np.float16), np.ones(n, bool)
    )
    return Predictions.empty(n, 21, 1).with_batch(batch)


def one(cell, policy=None, *, border=False):
    made = decide(
        predictions(cell), TAXONOMY, policy or DecisionPolicy(), np.array([border])
    )
    code = TAXONOMY.codes[made.class_index[0]]
    lineage = TAXONOMY.lineages[made.lineage_index[0]].name
    return made.status[0], code, lineage, made.reason[0]


def test_sure_is_accepted_without_a_reason():
    status, code, lineage, reason = one({"NGS": 0.97, "NGB": 0.03})
    assert (status, code, lineage, reason) == ("auto", "NGS", "granulocytic", "")


def test_critical_class_that_cannot_be_excluded():
    status, code, _, reason = one({"LYT": 0.93, "BLA": 0.07})
    assert (status, code) == ("review", "LYT")
    assert reason == "a critical class cannot be excluded (BLA; all 7%)"


def test_a_critical_class_called_surely_is_accepted():
    assert one({"BLA": 0.96, "PMO": 0.04})[0] == "auto"


def test_cut_by_the_border():
    status, _, _, reason = one({"NGS": 1.0}, border=True)
    assert (status, reason) == ("review", "cut by the border")


def test_stage_unclear_but_lineage_sure():
    status, _, lineage, reason = one({"MMZ": 0.5, "NGB": 0.49})
    assert (status, lineage) == ("lineage_only", "granulocytic")
    assert reason == "stage unclear, lineage sure (granulocytic)"


def test_close_second():
    status, _, _, reason = one({"MON": 0.5, "LYT": 0.45, "NGS": 0.05})
    assert (status, reason) == ("review", "close second (LYT 45%)")


def test_low_confidence():
    status, _, _, reason = one({"MON": 0.6, "LYT": 0.2, "EOS": 0.2})
    needed = f"{DecisionPolicy().min_confidence:.1%}"
    assert status == "review"
    assert reason == f"low confidence (MON 60.0%, accepted from {needed})"


def test_unreadable_is_rejected_and_has_no_class():
    bad = predictions({"MON": 1.0})
    bad.logits[:] = np.nan
    bad.readable[:] = False
    made = decide(bad, TAXONOMY, DecisionPolicy(), np.array([False]))
    assert made.status[0] == "rejected"
    assert made.class_index[0] == made.lineage_index[0] == -1
    assert np.isnan(made.confidence[0])
    assert made.reason[0] == "unreadable pixels"


def test_not_done_has_no_status():
    empty = Predictions.empty(2, 21, 1)
    made = decide(empty, TAXONOMY, DecisionPolicy(), np.zeros(2, bool))
    assert made.status.tolist() == ["", ""]
    assert made.class_index.tolist() == [-1, -1]


def test_every_flag_has_a_reason_and_no_acceptance_has():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, (500, 21)).astype(np.float32)
    batch = PredictionBatch(
        np.arange(500), logits, np.zeros((500, 1), np.float16), np.ones(500, bool)
    )
    made = decide(
        Predictions.empty(500, 21, 1).with_batch(batch),
        TAXONOMY,
        DecisionPolicy(min_confidence=0.6),
        rng.random(500) < 0.1,
    )
    assert set(made.status) == {"auto", "review", "lineage_only"}
    assert set(made.status) <= set(STATUSES)
    np.testing.assert_array_equal(made.status == "auto", made.reason == "")


def test_lower_threshold_never_accepts_fewer():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 4, (300, 21)).astype(np.float32)
    batch = PredictionBatch(
        np.arange(300), logits, np.zeros((300, 1), np.float16), np.ones(300, bool)
    )
    whole = Predictions.empty(300, 21, 1).with_batch(batch)
    accepted = [
        (
            decide(
                whole, TAXONOMY, DecisionPolicy(min_confidence=t), np.zeros(300, bool)
            ).status
            == "auto"
        ).sum()
        for t in (0.99, 0.9, 0.7, 0.5)
    ]
    assert accepted == sorted(accepted)
    assert accepted[0] < accepted[-1]


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", 0.0), ("min_confidence", 1.2), ("min_margin", float("nan"))],
)
def test_a_policy_names_its_bad_value(field, value):
    with pytest.raises(InputError, match=field):
        DecisionPolicy(**{field: value})


def test_policy_reads_only_its_own_fields():
    content = {"temperature": 1.5, "min_confidence": 0.8, "n": 12}
    policy = DecisionPolicy.from_dict(content)
    assert (policy.temperature, policy.min_confidence) == (1.5, 0.8)
