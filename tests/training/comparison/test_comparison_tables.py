"""The tables of a comparison: every figure where it belongs, every origin named."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest

from napari_cytodino.training.comparison._published import published
from napari_cytodino.training.comparison._summary import (
    SCORES,
    as_lines,
    as_page,
    spread,
    write_tables,
)

if TYPE_CHECKING:
    from pathlib import Path


def method(name: str, *macro: float, by_chance: bool = True) -> dict[str, Any]:
    empty = [None] * len(macro)
    scores = {key: spread(empty) for key in SCORES}
    return {
        "name": name,
        "title": f"the {name}",
        "seeds": list(range(len(macro))),
        "by_chance": by_chance,
        "starts_from": "RANDOM weights" if macro else None,
        "differs": "In all.",
        "scores": scores | {"macro_f1": spread(macro)},
    }


FOUND: dict[str, Any] = {
    "schema": 1,
    "notice": "Research only.",
    "recipe": {"name": "small"},
    "protocol": "held-out test, n = 6",
    "shared": ["Cells: 24."],
    "methods": [
        method("vit", 0.7, 0.8, 0.75),
        method("probe", 0.5, by_chance=False),
        method("late"),
    ],
}


def rows(page: str) -> dict[str, dict[str, str]]:
    """Read the Markdown table again."""
    table = [line for line in page.splitlines() if line.startswith("|")]
    cells = [[c.strip() for c in line.strip("|").split(" | ")] for line in table]
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}


def test_a_person_reads_mean_spread_and_seeds() -> None:
    found = rows(as_page(FOUND))
    ours = found["the vit"]
    assert ours["macro F1, all classes"] == "75.0 ± 5.0 (3 seeds)"
    assert ours["weighted F1"] == "–"
    assert ours["run"] == "here"
    assert ours["starts from"] == "RANDOM weights"
    assert ours["protocol"] == "held-out test, n = 6"
    assert ours["source"] == "seeds 0, 1, 2"
    assert found["the probe"]["source"] == "once, nothing in it is by chance"
    assert found["the probe"]["macro F1, all classes"] == "50.0 (1 seed)"


def test_what_was_not_run_says_so() -> None:
    late = rows(as_page(FOUND))["the late"]
    assert late["run"] == "not run here"
    for column in ("macro F1, all classes", "starts from", "protocol", "source"):
        assert late[column] == "–"


def test_published_figures_stand_beside_ours_each_with_its_protocol() -> None:
    found = rows(as_page(FOUND))
    theirs = {name: row for name, row in found.items() if "the " not in name[:4]}
    assert len(theirs) == len(published()) >= 8
    for name, row in theirs.items():
        assert row["run"] == "not run here", name
        assert row["protocol"] not in ("", "–"), name
        assert "±" not in "".join(row.values()), name
        assert row["critical-error rate"] == "–", name
    paper = next(row for name, row in theirs.items() if name.startswith("CytoDINO"))
    assert paper["weighted F1"] == "88.2"
    assert paper["macro F1, all classes"] == "76.5"
    assert "validation, best epoch" in paper["protocol"]


def test_the_page_says_what_is_shared_and_what_differs() -> None:
    page = as_page(FOUND)
    assert page.startswith("# Comparison, recipe small\n")
    assert "- Cells: 24." in page
    assert "- the vit: In all." in page
    assert "Figures under different protocols are not comparable." in page
    assert page.endswith("Research only.")


def test_programs_read_shares_from_0_to_1() -> None:
    lines = {line["method"]: line for line in as_lines(FOUND)}
    ours = lines["the vit"]
    assert ours["macro_f1"] == pytest.approx(0.75)
    assert ours["macro_f1_sd"] == pytest.approx(0.05)
    assert ours["weighted_f1"] is None
    assert (ours["seeds"], ours["run"]) == (3, "here")
    assert lines["the late"]["run"] == "not run here"
    assert lines["the late"]["protocol"] == ""
    paper = next(line for name, line in lines.items() if name.startswith("CytoDINO"))
    assert paper["macro_f1"] == pytest.approx(0.765)
    assert paper["macro_f1_sd"] is None
    assert paper["run"] == "not run here"
    assert len({tuple(line) for line in lines.values()}) == 1


def test_the_files_hold_the_same(tmp_path: Path) -> None:
    (tmp_path / "comparison.md").write_text("old", "utf-8")
    page = write_tables(tmp_path, FOUND)
    assert page == as_page(FOUND)
    assert (tmp_path / "comparison.md").read_text("utf-8") == page + "\n"
    assert json.loads((tmp_path / "comparison.json").read_text("utf-8")) == FOUND
    with (tmp_path / "comparison.csv").open(newline="", encoding="utf-8") as file:
        stored = list(csv.DictReader(file))
    assert len(stored) == 3 + len(published())
    assert float(stored[0]["macro_f1_sd"]) == pytest.approx(0.05)
    assert stored[2]["macro_f1"] == ""
    assert len(list(tmp_path.iterdir())) == 3
