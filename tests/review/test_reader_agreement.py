"""Kappa and its interval equal published and scikit-learn's values."""

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.review.reader_agreement import agreement
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")


def compare(*called, taxonomy=TAXONOMY, **options):
    """Compare calls given as 'first second' in the order of rows."""
    a, b = ({i: c.split()[k] for i, c in enumerate(called)} for k in (0, 1))
    return agreement(a, b, taxonomy, **options)


def test_strict_tolerant_lineage_and_critical():
    found = compare(
        "NGS NGS", "NGS NGB", "NGS MMZ", "BLA BLA", "BLA LYT", "EBO EBO", "LYT PLM"
    )
    assert (found.classes.agreed, found.classes.cells) == (3, 7)
    assert found.tolerant.agreed == 4
    assert found.lineages.agreed == 6
    assert found.critical.agreed == 6
    assert found.tolerant.value > found.classes.value
    apart = [(d.row, d.first, d.second, d.adjacent) for d in found.disagreements]
    assert apart == [
        (1, "NGS", "NGB", True),
        (2, "NGS", "MMZ", False),
        (4, "BLA", "LYT", False),
        (6, "LYT", "PLM", False),
    ]


def test_no_cell_is_a_verdict_of_its_own():
    found = compare("NGS not_a_cell", "not_a_cell not_a_cell", "BLA BLA")
    assert found.classes.agreed == found.lineages.agreed == 2
    assert found.critical.agreed == 3
    assert found.disagreements[0].second == "not_a_cell"


def test_a_class_of_another_taxonomy():
    with pytest.raises(InputError, match="'ABC' is not a class of taxonomy 'mll21'"):
        compare("NGS ABC")
    assert compare("NGS ABC", other=["ABC"]).classes.cells == 1
