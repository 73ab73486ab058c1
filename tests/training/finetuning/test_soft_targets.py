"""Soft targets: the published matrix with its faults, the repaired one without."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.distances import class_distances, neighbours
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.finetuning._soft_targets import (
    VARIANTS,
    check_variant,
    smoothing_matrix,
    with_tree,
)

MLL = Taxonomy.load("mll21")
TREE = Taxonomy.load("hematopoiesis21")
RUN = {"smoothing": 0.1, "within_lineage_weight": 0.95, "sequential_bonus": 0.01}
CODE = {"smoothing": 0.1, "within_lineage_weight": 0.7, "sequential_bonus": 0.5}
SERIES = ["BLA", "PMO", "MYB", "MMZ", "NGB", "NGS"]
shares = st.fixed_dictionaries(
    {
        "smoothing": st.floats(0, 0.99),
        "within_lineage_weight": st.floats(0, 1),
        "sequential_bonus": st.floats(0, 1),
    }
)


def published(taxonomy: Taxonomy, **values: float) -> np.ndarray:
    return smoothing_matrix(taxonomy, variant="published", **{**RUN, **values})


def maturation(taxonomy: Taxonomy, **values: float) -> np.ndarray:
    return smoothing_matrix(taxonomy, variant="maturation", **{**RUN, **values})


def row(matrix: np.ndarray, taxonomy: Taxonomy, code: str) -> dict[str, float]:
    return dict(zip(taxonomy.codes, matrix[taxonomy.index(code)].tolist(), strict=True))


GROUPS = (
    # as domain.md 5.1 lists them; the first two in order of maturation
    (SERIES, True),
    (["PEB", "EBO"], True),
    (["LYI", "LYT", "PLM"], False),
    (["MON"], False),
    (["EOS", "ABE"], False),
    (["BAS"], False),
    (["FGC", "HAC", "KSC"], False),
    (["ART", "NIF", "OTH"], False),
)


def from_the_description(smoothing: float, within: float, bonus: float) -> np.ndarray:
    """Build the published matrix cell by cell from the words of domain.md alone."""
    codes = sorted(code for group, _ in GROUPS for code in group)
    out = np.zeros((21, 21))
    for i, true in enumerate(codes):
        group, ordered = next(g for g in GROUPS if true in g[0])
        near = []
        if ordered:
            place = group.index(true)
            near = [group[p] for p in (place - 1, place + 1) if 0 <= p < len(group)]
        far = [c for c in group if c != true and c not in near]
        for j, code in enumerate(codes):
            if code == true:
                out[i, j] = 1 - smoothing
            elif len(group) == 1:
                out[i, j] = smoothing / 20
            elif code in near:
                out[i, j] = smoothing * within * bonus / len(near)
            elif code in far:
                share = (1 - bonus) if ordered else 1
                out[i, j] = smoothing * within * share / len(far)
            else:
                out[i, j] = smoothing * (1 - within) / (21 - len(group))
    return out


@pytest.mark.parametrize("values", [RUN, CODE], ids=["run", "code defaults"])
def test_published_is_the_description(values: dict[str, float]) -> None:
    expected = from_the_description(*values.values())
    np.testing.assert_allclose(published(MLL, **values), expected, atol=1e-15)


@pytest.mark.parametrize(("values", "total"), [(RUN, 0.90595), (CODE, 0.965)])
def test_published_rows_of_the_erythroid_pair_lose_mass(
    values: dict[str, float], total: float
) -> None:
    sums = dict(zip(MLL.codes, published(MLL, **values).sum(axis=1), strict=True))
    pair = [sums.pop("PEB"), sums.pop("EBO")]
    assert pair == pytest.approx([total] * 2, abs=1e-12)
    assert len(sums) == 19
    assert list(sums.values()) == pytest.approx([1.0] * 19, abs=1e-12)


def test_published_rows_named_in_the_review() -> None:
    matrix = published(MLL)
    blast = row(matrix, MLL, "BLA")
    assert blast["PMO"] == pytest.approx(0.00095)
    assert [blast[c] for c in SERIES[2:]] == pytest.approx([0.0235125] * 4)
    promyelocyte = row(matrix, MLL, "PMO")
    assert [promyelocyte[c] for c in ("BLA", "MYB")] == pytest.approx([0.000475] * 2)
    assert [promyelocyte[c] for c in SERIES[3:]] == pytest.approx([0.03135] * 3)
    monocyte = row(matrix, MLL, "MON")
    assert monocyte.pop("MON") == pytest.approx(0.9)
    assert list(monocyte.values()) == pytest.approx([0.005] * 20)
    bundle = row(matrix, MLL, "FGC")
    assert bundle["HAC"] == bundle["KSC"] == pytest.approx(0.0475)
    # the inversion: 25 and 66 times more for the distant than for the next
    assert blast["NGS"] / blast["PMO"] == pytest.approx(24.75)
    assert promyelocyte["NGS"] / promyelocyte["BLA"] == pytest.approx(66)


@given(st.from_type(Taxonomy), shares)
@settings(deadline=None, max_examples=100)
def test_published_rows_lose_mass_only_where_nobody_takes_it(
    taxonomy: Taxonomy, values: dict[str, float]
) -> None:
    matrix = smoothing_matrix(taxonomy, variant="published", **values)
    within, bonus = values["within_lineage_weight"], values["sequential_bonus"]
    assert (matrix >= 0).all()
    assert np.diag(matrix) == pytest.approx(1 - values["smoothing"])
    near = neighbours(taxonomy)
    place = taxonomy.lineage_index
    for i, cell in enumerate(taxonomy.classes):
        kin = (place == place[i]).sum() - 1
        ordered = taxonomy.lineage_of(cell.code).sequential
        lost = 0.0
        if kin:
            lost += (1 - within) * (kin + 1 == len(taxonomy))
            if ordered:
                lost += within * bonus * (not near[i].any())
                lost += within * (1 - bonus) * (near[i].sum() == kin)
        assert matrix[i].sum() == pytest.approx(1 - values["smoothing"] * lost)


@given(st.from_type(Taxonomy), shares)
@settings(deadline=None, max_examples=100)
def test_maturation_rows_sum_to_one_and_fall_with_distance(
    taxonomy: Taxonomy, values: dict[str, float]
) -> None:
    matrix = smoothing_matrix(taxonomy, variant="maturation", **values)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(np.diag(matrix), 1 - values["smoothing"])
    distances = class_distances(taxonomy)
    if values["smoothing"] < 1e-6:
        return
    for i in range(len(taxonomy)):
        others = np.arange(len(taxonomy)) != i
        d, mass = distances[i, others], matrix[i, others]
        assert (mass > 0).all()
        nearer = d[:, None] < d
        assert (mass[:, None] > mass)[nearer].all()


@given(st.from_type(Taxonomy), shares, st.sampled_from(VARIANTS), st.randoms())
@settings(deadline=None, max_examples=60)
def test_the_order_of_classes_does_not_matter(
    taxonomy: Taxonomy, values: dict[str, float], variant: str, random: Any
) -> None:
    order = list(range(len(taxonomy)))
    random.shuffle(order)
    shuffled = replace(taxonomy, classes=tuple(taxonomy.classes[i] for i in order))
    whole = smoothing_matrix(taxonomy, variant=variant, **values)
    found = smoothing_matrix(shuffled, variant=variant, **values)
    np.testing.assert_allclose(found, whole[np.ix_(order, order)], atol=1e-15)


def test_maturation_on_the_tree_is_the_formula() -> None:
    # distances of a blast by hand, from domain.md 5.2
    away = {"PMO": 1, "FGC": 2, "PEB": 2, "LYI": 2, "MON": 2, "MYB": 2}
    away |= {"MMZ": 3, "EBO": 3, "LYT": 3, "NGB": 4, "EOS": 4, "ABE": 4, "BAS": 4}
    away |= {"HAC": 4, "NGS": 5, "PLM": 5, "OTH": 5, "KSC": 5, "ART": 6, "NIF": 6}
    total = sum(math.exp(-d) for d in away.values())
    found = row(maturation(TREE), TREE, "BLA")
    assert found.pop("BLA") == pytest.approx(0.9)
    assert found == pytest.approx(
        {c: 0.1 * math.exp(-d) / total for c, d in away.items()}
    )


@pytest.mark.parametrize("taxonomy", [MLL, TREE], ids=["mll21", "hematopoiesis21"])
def test_maturation_gives_the_next_stage_most(taxonomy: Taxonomy) -> None:
    matrix = maturation(taxonomy)
    for i, true in enumerate(SERIES):
        masses = row(matrix, taxonomy, true)
        up, down = SERIES[i + 1 :], SERIES[:i][::-1]
        for way in (up, down):
            values = [masses[c] for c in way]
            assert values == sorted(values, reverse=True)
            assert len(set(values)) == len(values)
    assert row(matrix, taxonomy, "EBO")["PEB"] > row(matrix, taxonomy, "EBO")["NGS"]


def test_maturation_ignores_the_published_shares() -> None:
    assert np.array_equal(maturation(TREE), maturation(TREE, **CODE))
    assert not np.array_equal(published(MLL), published(MLL, **CODE))


def test_far_off_classes_still_share_the_mass() -> None:
    far = tuple(replace(b, length=b.length * 150) for b in TREE.tree)
    matrix = maturation(replace(TREE, tree=far))
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    assert matrix[TREE.index("OTH"), TREE.index("NGS")] > 0


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("codes", [("MON", "BAS"), ("PEB", "EBO"), ("LYT", "PLM")])
def test_two_classes_are_enough(variant: str, codes: tuple[str, str]) -> None:
    matrix = smoothing_matrix(MLL.subset(codes), variant=variant, **RUN)
    other = 0.1
    if variant == "published" and codes != ("MON", "BAS"):
        # one lineage: what would leave it is lost; erythroid, the distant share too
        other = 0.1 * 0.95 * (0.01 if codes[0] == "PEB" else 1)
    np.testing.assert_allclose(matrix, [[0.9, other], [other, 0.9]])


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_smoothing_is_one_hot(variant: str) -> None:
    matrix = smoothing_matrix(MLL, variant=variant, **{**RUN, "smoothing": 0.0})
    assert np.array_equal(matrix, np.eye(21))
    assert matrix.dtype == np.float64


@pytest.mark.parametrize("name", list(RUN))
@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_shares_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}; choose a share"):
        published(MLL, **{name: value})


def test_all_the_mass_and_unknown_variants_are_refused() -> None:
    with pytest.raises(InputError, match="smoothing is 1"):
        maturation(MLL, smoothing=1.0)
    with pytest.raises(InputError, match=r"'paper'.*published or maturation"):
        smoothing_matrix(MLL, variant="paper", **RUN)
    with pytest.raises(InputError, match="no variant ''"):
        check_variant("")


@given(st.lists(st.sampled_from(MLL.codes), min_size=2, unique=True))
@settings(deadline=None, max_examples=40)
def test_the_papers_classes_have_the_tree_of_blood_formation(codes: list[str]) -> None:
    assert not MLL.tree
    plain, grown = MLL.subset(codes), TREE.subset(codes)
    order = [plain.index(code) for code in grown.codes]
    found = maturation(plain)[np.ix_(order, order)]
    np.testing.assert_allclose(found, maturation(grown))


def test_other_classes_keep_the_tree_of_their_lineages() -> None:
    one = replace(MLL.classes[0], code="XYZ")
    other = replace(MLL, classes=(one, *MLL.classes[1:]))
    assert with_tree(other) is other
    assert with_tree(TREE) is TREE
