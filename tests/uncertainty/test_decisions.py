"""Each decision rule fires on what it is for, in the order that is said."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.stats import binomtest

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.uncertainty.decisions import (
    CLOSE,
    RULES,
    STATUSES,
    UNREACHABLE,
    DecisionPolicy,
    decide,
    with_user_threshold,
)
from napari_cytodino.uncertainty.predictions import PredictionBatch, Predictions
from napari_cytodino.uncertainty.probabilities import class_probabilities

TAXONOMY = Taxonomy.load("mll21")


def predictions(*cells, far=None):
    p = np.full((len(cells), 21), 1e-9)
    for row, cell in enumerate(cells):
        for code, share in cell.items():
            p[row, TAXONOMY.index(code)] = share
    logits = np.log(p).astype(np.float32)
    n = len(cells)
    batch = PredictionBatch(
        np.arange(n), logits, np.zeros((n, 1), np.float16), np.ones(n, bool), far
    )
    return Predictions.empty(n, 21, 1).with_batches([batch])


def one(cell, policy=None, *, border=False, far=np.nan):
    far = np.array([far], np.float32)
    made = decide(
        predictions(cell, far=far),
        TAXONOMY,
        policy or DecisionPolicy(),
        np.array([border]),
    )
    code = TAXONOMY.codes[made.class_index[0]]
    lineage = TAXONOMY.lineages[made.lineage_index[0]].name
    return made.status[0], code, lineage, made.reason[0]


def test_sure_is_accepted_without_a_reason():
    status, code, lineage, reason = one({"NGS": 0.97, "NGB": 0.03})
    assert (status, code, lineage, reason) == ("auto", "NGS", "granulocytic", "")


def test_the_lineage_is_the_likeliest_where_it_alone_is_sure_else_that_of_the_class():
    """The likeliest class may be of another lineage than the likeliest lineage."""
    cell = {"LYT": 0.37, "NGS": 0.21, "NGB": 0.21, "MMZ": 0.21}
    sure = DecisionPolicy(min_lineage=0.6, max_critical=1.0)
    assert one(cell, sure)[:3] == ("lineage_only", "LYT", "granulocytic")
    unsure = DecisionPolicy(min_lineage=0.7, max_critical=1.0)
    assert one(cell, unsure)[:3] == ("review", "LYT", "lymphoid")


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
        Predictions.empty(500, 21, 1).with_batches([batch]),
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
    whole = Predictions.empty(300, 21, 1).with_batches([batch])
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
    [
        ("temperature", 0.0),
        ("min_confidence", 2.1),
        ("min_margin", float("nan")),
        ("min_margin", 1.1),
        ("min_lineage", -0.1),
        ("max_critical", 1.1),
        ("max_critical", []),
        ("max_foreign", 1.1),
        ("min_margin", "0.1"),
        ("max_unfamiliarity", float("inf")),
    ],
)
def test_a_policy_names_its_bad_value(field, value):
    with pytest.raises(InputError, match=field):
        DecisionPolicy(**{field: value})


def test_policy_reads_only_its_own_fields():
    content = {"temperature": 1.5, "min_confidence": 0.8, "n": 12}
    policy = DecisionPolicy.from_dict(content)
    assert (policy.temperature, policy.min_confidence) == (1.5, 0.8)
    listed = DecisionPolicy.from_dict({"rare": ["ABE"], "set_limits": {"x": 0.5}})
    assert (listed.rare, listed.set_limits) == (("ABE",), {"x": 0.5})


def test_unlike_the_training_cells():
    status, code, _, reason = one({"NGS": 1.0}, far=1.31)
    assert (status, code) == ("review", "NGS")
    assert reason == "unlike the training cells (1.4 times the limit)"
    assert one({"NGS": 1.0}, far=1.0)[0] == "auto"
    assert one({"NGS": 1.0}, far=np.nan)[0] == "auto"
    assert one({"NGS": 1.0}, far=np.inf)[0] == "review"
    laxer = DecisionPolicy(max_unfamiliarity=1.5)
    assert one({"NGS": 1.0}, laxer, far=1.31)[0] == "auto"


def test_without_a_calibration_every_cell_goes_to_review():
    policy = DecisionPolicy(uncalibrated="it was calibrated for another model")
    for cell in ({"NGS": 1.0}, {"MMZ": 0.5, "NGB": 0.49}, {"LYT": 0.9, "BLA": 0.1}):
        status, _, _, reason = one(cell, policy)
        assert status == "review"
        assert reason == "no threshold is calibrated for these weights"


def test_a_class_too_rare_to_calibrate_goes_to_review():
    policy = DecisionPolicy(max_critical=1.0, rare=("ABE",))
    text = "a class too rare to calibrate is possible"
    # among the three likeliest, however small
    status, _, _, reason = one({"EOS": 0.98, "NGS": 0.015, "ABE": 0.005}, policy)
    assert (status, reason) == ("review", text)
    fourth = {"EOS": 0.95, "NGS": 0.02, "NGB": 0.02, "ABE": 0.01}
    assert one(fourth, policy)[0] == "auto"
    # possible by the limit of its lineage: from 1 - 0.992 on
    by_set = DecisionPolicy(
        max_critical=1.0, rare=("ABE",), set_limits={"eosinophil": 0.992}
    )
    assert one(fourth, by_set)[3] == text
    other = DecisionPolicy(
        max_critical=1.0, rare=("ABE",), set_limits={"lymphoid": 0.992}
    )
    assert one(fourth, other)[0] == "auto"
    assert one({"ABE": 1.0}, policy)[0] == "review"


def test_never_means_never():
    policy = DecisionPolicy(min_confidence=UNREACHABLE, min_lineage=UNREACHABLE)
    status, _, _, reason = one({"NGS": 1.0}, policy)
    assert status == "review"
    assert reason == "no confidence is enough for the accuracy asked for (NGS 100.0%)"


def test_a_confidence_at_the_threshold_is_accepted():
    # thresholds are confidences of calibration cells, read back from JSON
    whole = predictions({"NGS": 0.73, "NGB": 0.27})
    exact = float(class_probabilities(whole, TAXONOMY, 1.0).confidence[0])
    at = DecisionPolicy(min_confidence=exact, min_margin=0, min_lineage=UNREACHABLE)
    above = DecisionPolicy(
        min_confidence=float(np.nextafter(np.float32(exact), np.float32(1))),
        min_margin=0,
        min_lineage=UNREACHABLE,
    )
    inside = np.array([False])
    assert decide(whole, TAXONOMY, at, inside).status[0] == "auto"
    assert decide(whole, TAXONOMY, above, inside).status[0] == "review"


def mixed(n, seed):
    """Return predictions in which every rule has its cells, and who is at a border."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1, (n, 21)) * rng.uniform(0.5, 6, (n, 1))
    done = np.flatnonzero(rng.random(n) < 0.95)
    batch = PredictionBatch(
        done,
        logits[done].astype(np.float32),
        np.zeros((len(done), 1), np.float16),
        rng.random(len(done)) < 0.95,
        rng.uniform(0, 1.15, len(done)).astype(np.float32),
    )
    return Predictions.empty(n, 21, 1).with_batches([batch]), rng.random(n) < 0.1


def by_the_book(whole, row, policy, border):
    """Return the rule for one cell, as the issue has them, one after the other."""
    if not whole.done[row]:
        return "not done"
    if not whole.readable[row]:
        return "unreadable"
    if policy.uncalibrated:
        return "uncalibrated"
    if whole.unfamiliarity[row] > policy.max_unfamiliarity:
        return "unfamiliar"
    p = whole.probabilities(policy.temperature)[row]
    order = np.argsort(p)[::-1]
    best = TAXONOMY.classes[order[0]]
    critical = sum(p[i] for i, c in enumerate(TAXONOMY.classes) if c.risk == "critical")
    if best.risk == "safe" and critical > policy.max_critical:
        return "critical"
    top = {TAXONOMY.codes[i] for i in order[:3]}
    possible = {
        c.code
        for c, share in zip(TAXONOMY.classes, p, strict=True)
        if share >= 1 - policy.set_limits.get(c.lineage, -1)
    }
    if (top | possible) & set(policy.rare):
        return "rare"
    if border[row]:
        return "border"
    margin = p[order[0]] - p[order[1]]
    if p[order[0]] >= policy.min_confidence and margin >= policy.min_margin:
        return "sure"
    shares = [
        sum(p[i] for i, c in enumerate(TAXONOMY.classes) if c.lineage == g.name)
        for g in TAXONOMY.lineages
    ]
    if max(shares) >= policy.min_lineage:
        return "lineage"
    return "close" if margin < max(policy.min_margin, CLOSE) else "unsure"


@pytest.mark.parametrize(
    "policy",
    [
        DecisionPolicy(min_confidence=0.6),
        DecisionPolicy(
            temperature=1.7,
            min_confidence=0.7,
            min_margin=0.0,
            min_lineage=0.8,
            max_critical=0.3,
            max_unfamiliarity=0.9,
            max_foreign=1.0,
            rare=("ABE", "KSC"),
            set_limits={"eosinophil": 0.95, "pathological": 0.9, "lymphoid": 0.5},
        ),
        DecisionPolicy(
            min_confidence=UNREACHABLE, min_lineage=UNREACHABLE, max_critical=1.0
        ),
        DecisionPolicy(uncalibrated="other weights"),
    ],
)
def test_rules_apply_in_the_order_that_is_said(policy):
    whole, border = mixed(600, 5)
    made = decide(whole, TAXONOMY, policy, border)
    given = dict(RULES)
    rules = [by_the_book(whole, row, policy, border) for row in range(600)]
    assert made.status.tolist() == [given[rule] for rule in rules]
    unsure = {"not done", "unreadable"}
    assert ((made.class_index < 0) == [rule in unsure for rule in rules]).all()
    assert not policy.rare or set(rules) == set(given) - {"uncalibrated", "foreign"}


def strange(n, unlike, known=True):
    """Return ``n`` sure cells of which some are unlike the training cells."""
    whole = predictions(*[{"EOS": 1.0}] * n)
    whole.unfamiliarity[:] = 0.5 if known else np.nan
    whole.unfamiliarity[:unlike] = 1.5
    return decide(whole, TAXONOMY, DecisionPolicy(), np.zeros(n, bool))


def test_where_too_many_cells_are_unlike_no_threshold_holds():
    # the bound is Clopper-Pearson's: 99.9 % sure of more than 10 %
    for n, unlike in ((300, 50), (300, 49), (4, 4), (2, 2), (40, 12), (40, 11)):
        told = binomtest(unlike, n, 0.1, alternative="greater").pvalue < 0.001
        made = strange(n, unlike)
        whole = ["as a whole are unlike" in reason for reason in made.reason]
        assert whole == [told] * n
        assert (made.status == "auto").sum() == (0 if told else n - unlike)


def test_cells_of_which_nothing_is_known_are_not_foreign():
    assert (strange(300, 0, known=False).status == "auto").all()


def test_evidence_at_hand_changes_nothing():
    whole, border = mixed(300, 6)
    policy = DecisionPolicy(temperature=1.3, min_confidence=0.6)
    plain = decide(whole, TAXONOMY, policy, border)
    fast = decide(
        whole, TAXONOMY, policy, border, class_probabilities(whole, TAXONOMY, 1.3)
    )
    for name in ("status", "reason", "class_index", "lineage_index", "confidence"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(fast, name))


def test_order_of_cells_changes_nothing():
    whole, border = mixed(300, 7)
    order = np.random.default_rng(0).permutation(300)
    names = [field.name for field in fields(Predictions)]
    turned = Predictions(*(getattr(whole, name)[order] for name in names))
    policy = DecisionPolicy(min_confidence=0.6, rare=("KSC",))
    one_, two = (
        decide(whole, TAXONOMY, policy, border),
        decide(turned, TAXONOMY, policy, border[order]),
    )
    for name in ("status", "reason", "class_index", "lineage_index"):
        np.testing.assert_array_equal(getattr(one_, name)[order], getattr(two, name))


def test_an_own_threshold_promises_nothing_and_overrules_a_missing_calibration():
    made = DecisionPolicy(min_confidence=0.9, max_critical=0.01, guarantee="99 %")
    assert with_user_threshold(made, 0.0) is made
    own = with_user_threshold(made, 0.4)
    assert own == replace(made, min_confidence=0.4, guarantee="")
    refused = DecisionPolicy(uncalibrated="other weights", max_critical=0.0)
    own = with_user_threshold(refused, 0.4)
    usual = DecisionPolicy().max_critical
    assert (own.uncalibrated, own.max_critical, own.min_confidence) == ("", usual, 0.4)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 3.0])
def test_a_temperature_may_sharpen_too(temperature):
    assert DecisionPolicy(temperature=temperature).temperature == temperature


@pytest.mark.parametrize(
    ("field", "attribute", "cell", "at", "beyond"),
    [
        ("min_margin", "margin", {"NGS": 0.6, "NGB": 0.4}, "auto", "review"),
        ("min_lineage", "lineage_share", {"NGS": 0.5, "LYT": 0.5}, "lineage_only", ""),
        ("max_critical", "critical", {"LYT": 0.93, "BLA": 0.07}, "auto", "review"),
    ],
)
def test_a_value_at_its_threshold_is_good_enough(field, attribute, cell, at, beyond):
    whole = predictions(cell)
    exact = np.float32(getattr(class_probabilities(whole, TAXONOMY, 1.0), attribute)[0])
    stricter = np.nextafter(exact, np.float32(0 if field == "max_critical" else 2))
    never = {"min_confidence": UNREACHABLE} if field == "min_lineage" else {}
    free = {"min_confidence": 0, "min_margin": 0, "min_lineage": UNREACHABLE} | never
    for value, status in ((exact, at), (stricter, beyond or "review")):
        policy = DecisionPolicy(**free | {"max_critical": 1.0, field: float(value)})
        assert one(cell, policy)[0] == status


def test_a_margin_that_would_do_is_no_close_second():
    cell = {"MON": 0.7, "LYT": 0.3}
    margin = class_probabilities(predictions(cell), TAXONOMY, 1.0).margin[0]
    free = {
        "min_confidence": UNREACHABLE,
        "min_lineage": UNREACHABLE,
        "max_critical": 1.0,
    }
    above = float(np.nextafter(margin, np.float32(1)))
    at = one(cell, DecisionPolicy(min_margin=float(margin), **free))
    assert at[3].startswith("no confidence is enough")
    assert one(cell, DecisionPolicy(min_margin=above, **free))[3].startswith("close")


def test_as_many_foreign_cells_as_are_allowed_are_no_fault():
    whole = predictions(*[{"NGS": 0.99, "NGB": 0.01}] * 40)
    whole.unfamiliarity[:] = np.where(np.arange(40) < 20, 1.5, 0.5)
    share = class_probabilities(whole, TAXONOMY, 1.0).unfamiliar_share_bound(1.0)
    for limit, foreign in ((share, False), (np.nextafter(share, 0), True)):
        policy = DecisionPolicy(max_foreign=float(limit))
        made = decide(whole, TAXONOMY, policy, np.zeros(40, bool))
        assert ("as a whole are unlike" in made.reason[-1]) is foreign


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("temperature", -1.0, "above 0"),
        ("max_unfamiliarity", -1.0, "above 0"),
        ("min_confidence", 3.0, "from 0 to 2"),
        ("min_margin", 2.0, "from 0 to 1"),
    ],
)
def test_a_policy_says_what_it_wants(field, value, wanted):
    with pytest.raises(InputError, match=rf"a number {wanted}\.$"):
        DecisionPolicy(**{field: value})
