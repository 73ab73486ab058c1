"""Published figures: as they were looked up, and never mixed up with our own."""

from __future__ import annotations

from statistics import stdev
from typing import TYPE_CHECKING

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.comparison._published import (
    SCORES,
    UNKNOWN,
    as_markdown,
    mean_and_spread,
    published,
)
from napari_cytodino.training.metrics.scores import TABLE_SCORES

if TYPE_CHECKING:
    from pathlib import Path

WORKS = {work.name: work for work in published()}
SEEDS = [
    {"weighted_f1": 0.80, "macro_f1": 0.60, "accuracy": 0.81},
    {"weighted_f1": 0.82, "macro_f1": 0.64, "accuracy": 0.83},
    {"weighted_f1": 0.84, "macro_f1": 0.59, "accuracy": 0.82},
]


@pytest.mark.parametrize(
    ("name", "weighted", "macro", "accuracy", "balanced"),
    [
        # the table of the reference notes (domain.md 2 and 3.1), read by a person
        ("ResNeXt-50", None, 59.0, None, None),
        ("Siamese network", 81.0, None, 84.0, None),
        ("HematoNet", 86.0, None, None, None),
        ("DAGDNet", 87.8, 71.5, 88.1, None),
        ("DinoBloom-L", 84.9, None, 85.0, 64.4),
        ("DinoBloom-G", None, None, None, 69.3),
        ("ESRT", 76.1, None, 75.6, None),
        ("CytoDINO", 88.2, 76.5, 88.2, None),
    ],
)
def test_figures_are_those_looked_up(
    name: str,
    weighted: float | None,
    macro: float | None,
    accuracy: float | None,
    balanced: float | None,
) -> None:
    work = WORKS[name]
    found = (
        work.weighted_f1, work.macro_f1, work.accuracy, work.balanced_accuracy,
    )  # fmt: skip
    assert found == (weighted, macro, accuracy, balanced)


def test_every_work_tells_its_protocol_and_source() -> None:
    assert len(WORKS) == 8
    for work in WORKS.values():
        assert work.protocol
        assert work.source
        assert any(getattr(work, key) for key in SCORES)
        assert set(work.approximate) <= {k for k in SCORES if getattr(work, k)}
    assert "validation" in WORKS["CytoDINO"].protocol
    assert "best epoch" in WORKS["CytoDINO"].protocol
    assert "17 of the 21" in WORKS["HematoNet"].protocol


def test_columns_are_scores_of_an_evaluation() -> None:
    assert set(SCORES) <= {*TABLE_SCORES, "accuracy"}


def test_about_is_said_where_the_source_says_it() -> None:
    assert WORKS["Siamese network"].shown("weighted_f1") == "about 81"
    assert WORKS["Siamese network"].shown("accuracy") == "84.0"
    assert WORKS["Siamese network"].shown("macro_f1") == UNKNOWN


def test_mean_and_spread_over_seeds() -> None:
    values = [0.80, 0.82, 0.84]
    spread = 100 * stdev(values)
    assert mean_and_spread(values) == f"82.0 ± {spread:.1f} (3 seeds)"
    assert mean_and_spread(values) == "82.0 ± 2.0 (3 seeds)"
    assert mean_and_spread([0.5]) == "50.0 (1 seed)"
    assert mean_and_spread([]) == UNKNOWN
    assert mean_and_spread([0.5, float("nan"), None]) == "50.0 (1 seed)"


def test_the_table_in_markdown() -> None:
    rows = [{"method": "a|b", "F1": "82.0"}, {"method": "c", "F1": UNKNOWN}]
    head, rule, first, second = as_markdown(rows).splitlines()
    assert head == "| method | F1 |"
    assert rule == "| --- | --- |"
    assert first == "| a\\|b | 82.0 |"
    assert second == f"| c | {UNKNOWN} |"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("accuracy = 0.8\nf1 = 3", r"'works\[0\]\.f1' is an unknown"),
        ("accuracy = 101.0", r"accuracy is 101\.0, but must be 100 or less"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "works.toml"
    head = 'schema = 1\n[[works]]\nname = "a"\n'
    head += 'reference = "b"\nprotocol = "c"\nsource = "d"\n'
    path.write_text(head + line)
    with pytest.raises(InputError, match=message):
        published(path)


def test_a_work_without_a_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "works.toml"
    path.write_text(
        'schema = 1\n[[works]]\nname = "a"\nreference = "b"\nprotocol = "c"\n'
    )
    with pytest.raises(InputError, match=r"'works\[0\]\.source' is missing"):
        published(path)
