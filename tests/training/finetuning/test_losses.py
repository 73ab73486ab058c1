"""The loss: against a slow reference of the description, and in hard conditions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.finetuning._losses import HierarchicalFocalLoss
from napari_cytodino.training.finetuning._soft_targets import VARIANTS

MLL = Taxonomy.load("mll21")
TREE = Taxonomy.load("hematopoiesis21")
RUN: dict[str, Any] = {
    "smoothing": 0.1,
    "within_lineage_weight": 0.95,
    "sequential_bonus": 0.01,
    "critical_penalty": 3.0,
    "gamma": 2.0,
}
PLAIN: dict[str, Any] = {"smoothing": 0.0, "critical_penalty": 1.0, "gamma": 0.0}
CRITICAL = {"BLA", "MYB", "PMO", "FGC", "HAC", "KSC", "ABE", "LYI"}
SAFE = {"NGS", "NGB", "LYT", "MON", "EOS", "BAS", "PLM", "EBO"}
GROUPS = (
    (("BLA", "PMO", "MYB", "MMZ", "NGB", "NGS"), True),
    (("PEB", "EBO"), True),
    (("LYI", "LYT", "PLM"), False),
    (("MON",), False),
    (("EOS", "ABE"), False),
    (("BAS",), False),
    (("FGC", "HAC", "KSC"), False),
    (("ART", "NIF", "OTH"), False),
)


def make(
    taxonomy: Taxonomy = MLL, variant: str = "published", **values: Any
) -> HierarchicalFocalLoss:
    return HierarchicalFocalLoss(taxonomy, variant=variant, **{**RUN, **values})


def batch(
    n: int, classes: int = 21, seed: int = 0, scale: float = 3.0
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(n, classes, generator=rng, dtype=torch.float64)
    return logits, torch.randint(classes, (n,), generator=rng)


def soft_target(true: str, code: str) -> float:
    """Return one soft target of the published run, from the words of domain.md."""
    group, ordered = next(g for g in GROUPS if true in g[0])
    if code == true:
        return 0.9
    if len(group) == 1:
        return 0.1 / 20
    if code not in group:
        return 0.1 * 0.05 / (21 - len(group))
    if not ordered:
        return 0.1 * 0.95 / (len(group) - 1)
    place = group.index(true)
    near = {group[p] for p in (place - 1, place + 1) if 0 <= p < len(group)}
    if code in near:
        return 0.1 * 0.95 * 0.01 / len(near)
    return 0.1 * 0.95 * 0.99 / (len(group) - 1 - len(near))


def slow_published(logits: list[float], target: int, weight: float) -> float:
    """Return the loss of one cell, step by step in plain Python."""
    codes = sorted(code for group, _ in GROUPS for code in group)
    top = max(logits)
    exps = [math.exp(x - top) for x in logits]
    p = [e / sum(exps) for e in exps]
    true, guess = codes[target], codes[p.index(max(p))]
    entropy = -sum(
        soft_target(true, c) * math.log(q) for c, q in zip(codes, p, strict=True)
    )
    penalty = 1.0
    if true in CRITICAL and guess in SAFE:
        penalty = 3.0
    elif true in SAFE and guess in CRITICAL:
        penalty = 1.5
    return penalty * weight * (1 - p[target]) ** 2 * entropy


def test_published_is_the_description_cell_by_cell() -> None:
    logits, targets = batch(400)
    weights = np.random.default_rng(1).uniform(0.5, 32, 21).round(2)
    loss = make(class_weights=weights)
    expected = [
        slow_published(row, int(t), float(weights[t]))
        for row, t in zip(logits.tolist(), targets, strict=True)
    ]
    found = loss.per_cell(logits, targets)
    # the constants are float32
    np.testing.assert_allclose(found, expected, rtol=3e-7)
    assert float(loss(logits, targets)) == pytest.approx(np.mean(expected), rel=1e-6)
    # every kind of pair was met
    guesses = logits.argmax(dim=1)
    factors = loss.penalties[targets, guesses]
    assert set(factors.tolist()) == {1.0, 1.5, 3.0}


def test_the_weight_of_one_rare_error_is_that_of_the_review() -> None:
    # domain.md 1.1 #6: alpha 31.94 and the penalty make 95.8
    weights = np.ones(21)
    weights[MLL.index("ABE")] = 31.94
    logits = torch.zeros(1, 21, dtype=torch.float64)
    logits[0, MLL.index("EOS")] = 1.0
    target = torch.tensor([MLL.index("ABE")])
    weighed = make(class_weights=weights)(logits, target)
    bare = make(critical_penalty=1.0)(logits, target)
    assert float(weighed / bare) == pytest.approx(95.82, rel=1e-5)


def test_maturation_is_its_formula() -> None:
    logits, targets = batch(200, seed=2)
    loss = make(TREE, "maturation", gamma=1.5)
    log_p = logits.log_softmax(1)
    soft = loss.soft_targets.double()[targets]
    entropy = F.cross_entropy(logits, soft, reduction="none")
    rest = 1 - log_p.exp()[torch.arange(200), targets]
    factor = loss.penalties.double()[targets, logits.argmax(1)]
    torch.testing.assert_close(
        loss.per_cell(logits, targets), factor * rest**1.5 * entropy
    )


def test_blasts_thrown_away_cost_more_in_maturation_alone() -> None:
    logits = torch.zeros(1, 21, dtype=torch.float64)
    logits[0, MLL.index("ART")] = 4.0
    target = torch.tensor([MLL.index("BLA")])
    for variant, expected in (("published", 1.0), ("maturation", 3.0)):
        for taxonomy in (MLL, TREE):
            dear, cheap = (
                make(taxonomy, variant, critical_penalty=c)(logits, target)
                for c in (3.0, 1.0)
            )
            assert float(dear / cheap) == pytest.approx(expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_its_parts_it_is_cross_entropy(variant: str) -> None:
    logits, targets = batch(64)
    found = make(MLL, variant, **PLAIN)(logits, targets)
    torch.testing.assert_close(found, F.cross_entropy(logits, targets))


def test_weights_multiply_and_do_not_normalise() -> None:
    logits, targets = batch(32)
    weights = torch.linspace(0.5, 2.5, 21)
    ours = make(MLL, "maturation", **PLAIN, class_weights=weights)(logits, targets)
    summed = F.cross_entropy(logits, targets, weight=weights.double(), reduction="sum")
    torch.testing.assert_close(ours, summed / 32, rtol=1e-7, atol=0)
    # so that the mean over two halves is the whole
    loss = make(class_weights=weights)
    halves = [loss(logits[i::2], targets[i::2]) for i in (0, 1)]
    torch.testing.assert_close(sum(halves) / 2, loss(logits, targets))


def at(true: str, p_true: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits with that probability; the rest lies as the soft target has it."""
    place = MLL.index(true)
    soft = torch.tensor([soft_target(true, c) for c in MLL.codes], dtype=torch.float64)
    soft[place] = 0
    p = soft / soft.sum() * (1 - p_true)
    p[place] = p_true
    return p.log()[None], torch.tensor([place])


@pytest.mark.parametrize(
    ("code", "optimum"), [("BLA", 0.9), ("LYT", 0.9), ("MON", 0.9), ("EBO", 0.9934)]
)
def test_the_focal_factor_undoes_the_smoothing(code: str, optimum: float) -> None:
    # domain.md 1.1 #4 and #5
    steps = np.linspace(0.5, 0.9999, 251)
    curves = {
        gamma: [float(make(gamma=gamma)(*at(code, p))) for p in steps]
        for gamma in (0.0, 2.0)
    }
    best = steps[int(np.argmin(curves[0.0]))]
    assert best == pytest.approx(optimum, abs=0.003)
    assert (np.diff(curves[2.0]) < 0).all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_halves_are_computed_in_float32(variant: str, dtype: torch.dtype) -> None:
    logits, targets = batch(16)
    low = logits.to(dtype).requires_grad_()
    loss = make(TREE, variant)
    found = loss(low, targets)
    assert found.dtype == torch.float32
    exact = loss(low.detach().double(), targets)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-6)
    found.backward()
    assert low.grad is not None
    assert low.grad.dtype == dtype
    assert low.grad.isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(low, targets), found)


def test_double_stays_double_and_gradients_are_right() -> None:
    logits, targets = batch(6, scale=1.0)
    for variant in VARIANTS:
        for gamma in (0.0, 0.5, 1.0, 2.0):
            loss = make(TREE, variant, gamma=gamma, class_weights=np.arange(1.0, 22))
            assert loss(logits, targets).dtype == torch.float64
            assert torch.autograd.gradcheck(
                lambda x, loss=loss: loss(x, targets), logits.requires_grad_()
            )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("size", [1e2, 65504.0, 1e30])
def test_extreme_logits_stay_finite(variant: str, gamma: float, size: float) -> None:
    logits = torch.zeros(42, 21)
    right = torch.arange(21)
    logits[right, right] = size
    logits[21 + right, (right + 1) % 21] = size
    logits[:, 0] -= size
    logits.requires_grad_()
    loss = make(MLL, variant, gamma=gamma).per_cell(logits, right.repeat(2))
    assert loss.isfinite().all()
    assert (loss >= 0).all()
    loss.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_not_hidden(bad: float) -> None:
    logits, targets = batch(4)
    logits[2, 5] = bad
    loss = make()
    assert loss(logits, targets).isnan()
    assert loss.per_cell(logits, targets).isfinite().tolist() == [
        True,
        True,
        False,
        True,
    ]


@given(
    st.lists(st.sampled_from(MLL.codes), min_size=2, unique=True),
    st.sampled_from(VARIANTS),
    st.floats(0, 5),
    st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=60)
def test_any_subset_works(
    codes: list[str], variant: str, gamma: float, seed: int
) -> None:
    for whole in (MLL, TREE):
        taxonomy = whole.subset(codes)
        loss = make(taxonomy, variant, gamma=gamma)
        logits, targets = batch(5, len(taxonomy), seed)
        logits.requires_grad_()
        value = loss(logits, targets)
        assert value.isfinite()
        assert value >= 0
        value.backward()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


@given(st.permutations(range(21)), st.sampled_from(VARIANTS))
@settings(deadline=None, max_examples=30)
def test_the_order_of_classes_does_not_matter(order: list[int], variant: str) -> None:
    shuffled = replace(MLL, classes=tuple(MLL.classes[i] for i in order))
    logits, targets = batch(12)
    back = torch.tensor(np.argsort(order))
    torch.testing.assert_close(
        make(shuffled, variant)(logits[:, order], back[targets]),
        make(MLL, variant)(logits, targets),
    )


def test_buffers_move_and_are_not_stored() -> None:
    loss = make(class_weights=[1.0] * 21)
    assert not loss.state_dict()
    assert not list(loss.parameters())
    names = {name for name, _ in loss.named_buffers()}
    assert names == {"soft_targets", "penalties", "class_weights"}
    moved = loss.to("meta")
    assert {value.device.type for value in moved.buffers()} == {"meta"}
    assert all(value.dtype == torch.float32 for value in moved.buffers())
    assert "published, classes=21, gamma=2.0" in repr(loss)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_the_cpu_gives() -> None:
    logits, targets = batch(64)
    loss = make(class_weights=np.arange(1.0, 22))
    here = loss(logits, targets)
    there = loss.cuda()(logits.cuda(), targets.cuda())
    torch.testing.assert_close(there.cpu(), here)


def test_weights_are_copied() -> None:
    weights = torch.ones(21)
    loss = make(class_weights=weights)
    weights += 1
    assert loss.class_weights.eq(1).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_any_integer_is_a_target(dtype: torch.dtype) -> None:
    logits, targets = batch(30)
    loss = make()
    assert torch.equal(loss(logits, targets.to(dtype)), loss(logits, targets))


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"gamma": -1.0}, "gamma is -1.0; choose 0"),
        ({"gamma": math.nan}, "gamma is nan"),
        ({"gamma": math.inf}, "gamma is inf"),
        ({"smoothing": 1.5}, "smoothing is 1.5"),
        ({"within_lineage_weight": -0.1}, "within_lineage_weight is -0.1"),
        ({"sequential_bonus": 2.0}, "sequential_bonus is 2.0"),
        ({"critical_penalty": 0.5}, "critical_penalty is 0.5"),
        ({"variant": "paper"}, "no variant 'paper'"),
        ({"class_weights": [1.0] * 20}, r"shape \(20,\); give one for each of the 21"),
        ({"class_weights": np.ones((21, 1))}, r"shape \(21, 1\)"),
        ({"class_weights": 2.0}, r"shape \(\)"),
        ({"class_weights": [-1.0] * 21}, "a number from 0 on"),
        ({"class_weights": [math.nan] * 21}, "class_weights are .nan"),
        ({"class_weights": [math.inf] * 21}, "class_weights are .inf"),
    ],
)
def test_bad_arguments_are_refused(values: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        HierarchicalFocalLoss(MLL, **{**RUN, "variant": "published", **values})


@pytest.mark.parametrize(
    ("logits", "targets", "word"),
    [
        ((4, 21), [0, 1, 2, 21], "run from 0 to 21; the taxonomy has .* 0 to 20"),
        ((4, 21), [0, 1, 2, -100], "run from -100 to 2"),
        ((4, 21), [0, 1, 2], r"shape \(3,\) for 4 rows"),
        ((4, 21), [[0, 1, 2, 3]], r"shape \(1, 4\)"),
        ((4, 21), [0.0, 1.0, 2.0, 3.0], "torch.float32; give class indices"),
        ((4, 21), [True] * 4, "torch.bool; give class indices"),
        ((4, 20), [0, 1, 2, 3], r"shape \(4, 20\); the loss needs \(cells, 21\)"),
        ((21,), [0], r"shape \(21,\)"),
        ((0, 21), [], "at least one cell"),
    ],
)
def test_bad_batches_are_refused(
    logits: tuple[int, ...], targets: list[Any], word: str
) -> None:
    with pytest.raises(InputError, match=word):
        make()(torch.zeros(logits), torch.tensor(targets))


@pytest.mark.parametrize("variant", VARIANTS)
def test_classes_that_are_ruled_out_leave_the_loss_finite(variant: str) -> None:
    loss = make(variant=variant, smoothing=0.0)
    logits, targets = batch(8)
    ruled_out = next(i for i in range(21) if i not in targets.tolist())
    logits[:, ruled_out] = -math.inf
    low = logits.clone()
    low[:, ruled_out] = -1e4
    torch.testing.assert_close(loss(logits, targets), loss(low, targets))


def test_double_is_exact_to_its_last_digits() -> None:
    weights = [1 / (3 + i) for i in range(21)]
    loss = make(class_weights=weights)
    logits, targets = batch(5)
    logits = logits.double()
    want = [
        slow_published(row.tolist(), int(target), weights[int(target)])
        for row, target in zip(logits, targets, strict=True)
    ]
    found = loss.per_cell(logits, targets)
    assert found.tolist() == pytest.approx(want, rel=1e-13)


@pytest.mark.parametrize(
    "values",
    [
        {"gamma": None},
        {"gamma": "2"},
        {"gamma": True},
        {"smoothing": "a"},
        {"sequential_bonus": None},
        {"critical_penalty": "3"},
        {"class_weights": {}},
        {"class_weights": [None] * 21},
        {"class_weights": "abc"},
    ],
)
def test_arguments_of_another_kind_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        make(**values)


def test_batches_of_another_kind_are_refused() -> None:
    logits, targets = batch(3)
    for given_ in ((logits.tolist(), targets), (logits.long(), targets)):
        with pytest.raises(InputError, match="Logits are"):
            make()(*given_)
    with pytest.raises(InputError, match="Targets are a list"):
        make()(logits, targets.tolist())
