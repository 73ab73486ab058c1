"""A way of counting follows the taxonomy, and a user's file where there is one."""

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.results.counting import TARGETS, CountingRules
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")

# domain.md 4.1 and 4.2
MYELOID = "BLA PMO FGC MYB MMZ NGB NGS EOS ABE BAS MON"
OTHERS = "LYI LYT HAC PLM"


def read(tmp_path, text, taxonomy=TAXONOMY):
    path = tmp_path / "counting.toml"
    path.write_text(text, encoding="utf-8")
    return CountingRules.read(path, taxonomy)


def test_the_default_is_what_icsh_counts():
    counting = CountingRules.of(TAXONOMY)
    counted = {*MYELOID.split(), *OTHERS.split(), "PEB", "EBO"}
    assert set(counting.counted) == counted
    assert set(counting.sides[0]) == set(MYELOID.split())
    assert set(counting.sides[1]) == {"PEB", "EBO"}
    assert counting.thresholds == (5, 10, 20)
    assert counting.target in TARGETS
    assert counting.counted_blasts == ("BLA",)


def test_a_users_file_changes_what_it_names_only(tmp_path):
    counting = read(tmp_path, 'target = 300\nblasts = ["BLA", "FGC"]\n')
    assert counting.target == 300
    assert counting.counted_blasts == ("BLA", "FGC")
    assert counting.counted == CountingRules.of(TAXONOMY).counted


def test_blasts_out_of_the_ratio(tmp_path):
    myeloid, erythroid = read(tmp_path, "blasts_in_me = false").sides
    assert "BLA" not in myeloid
    assert "PMO" in myeloid
    assert erythroid == CountingRules.of(TAXONOMY).sides[1]


def test_a_class_can_be_taken_out_and_put_in():
    counting = (
        CountingRules.of(TAXONOMY).with_class("BLA", False).with_class("KSC", True)
    )
    assert "KSC" in counting.counted
    assert counting.counted_blasts == ()
    assert "BLA" not in counting.sides[0]
    assert counting.with_class("KSC", True).counted.count("KSC") == 1


def test_one_file_serves_a_model_of_fewer_classes(tmp_path):
    small = TAXONOMY.subset(["BLA", "NGS", "EBO"])
    counting = read(tmp_path, 'counted = ["BLA", "NGS", "KSC"]', small)
    assert counting.counted == ("BLA", "NGS")
    assert counting.left_out == ("KSC",)


def test_a_taxonomy_without_blasts():
    counting = CountingRules.of(TAXONOMY.subset(["NGS", "EBO"]))
    assert counting.blasts == counting.counted_blasts == ()
    assert counting.left_out == ("BLA",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("target = 0", "target is 0, but"),
        ("target = 299.5", "target is 299.5, but"),
        ("target = true", "target is True, but"),
        ("thresholds = [20, 5]", "ascending"),
        ('thresholds = ["20"]', "'20', but must be a number"),
        ("thresholds = [120]", "120, but must be less than 100"),
        ("thresholds = 20", "must be a list"),
        ('counted = ["NGS", "NGS"]', "names no class twice"),
        ('erythroid = ["NGS"]', "NGS cannot be both"),
        ('blasts_in_me = "no"', "blasts_in_me is 'no'"),
        ("goal = 5", "'goal' is an unknown field"),
        ("target =", "cannot be read"),
    ],
)
def test_nonsense_is_refused_by_name(tmp_path, text, told):
    with pytest.raises(InputError, match=told):
        read(tmp_path, text)


def test_every_fault_is_told_at_once(tmp_path):
    with pytest.raises(InputError, match=r"target is -1, .*thresholds\[0\] is 0, "):
        read(tmp_path, "target = -1\nthresholds = [0]")


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.toml"):
        CountingRules.read(tmp_path / "nothing.toml", TAXONOMY)
