"""The table of faults names tests that exist, and its report counts what they did."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

# pytest imports test files by their path: their folder is on no path
sys.path.insert(0, str(Path(__file__).parent))
import report

FAULTS = report.faults()


def names(file: Path) -> set[str]:
    """Name the tests of a file, without importing it."""
    found = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.add(name)
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_every_fault_says_what_shows_it_or_what_is_missing(
    fault: report.Fault,
) -> None:
    assert fault.tests or fault.gap
    assert "|" not in f"{fault.made}{fault.must}{fault.gap}"
    for test in fault.tests:
        file, _, name = test.partition("::")
        assert name in names(report.TESTS / file), test


def test_all_25_faults_and_those_of_strangers_are_there() -> None:
    numbers = {int(fault.id.rstrip("abcdef")) for fault in FAULTS}
    assert numbers >= set(range(1, 31))
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)


def test_the_page_has_every_fault() -> None:
    page = report.PAGE.read_text("utf-8")
    for fault in FAULTS:
        assert f"\n| {fault.id} | {fault.made} | {fault.must} |" in page, fault.id
        assert f"| {fault.gap} |\n" in page, f"{fault.id}: run report --write"


def test_cases_and_examples_are_counted_and_failures_seen() -> None:
    tally = report.Tally()
    fault = report.Fault("0", "a", "b", ("x.py::test_a", "x.py::test_b"))
    assert report.tried(fault, tally) == (0, "not tried")
    tally.outcomes["x.py::test_a"]["passed"] = 3
    tally.examples["x.py::test_b"] = 100
    tally.outcomes["x.py::test_b"]["passed"] = 1
    assert report.tried(fault, tally) == (103, "as expected")
    tally.outcomes["x.py::test_b"]["failed"] = 1
    assert "1 failed" in report.tried(fault, tally)[1]


def test_a_part_of_a_page_is_replaced() -> None:
    page = "a\n<!-- x begin -->\nold\n<!-- x end -->\nb\n"
    assert report.put(page, "x", "new") == page.replace("old", "new")


def test_faults_that_were_not_run_keep_their_lines() -> None:
    first, second = FAULTS[:2]
    page = "\n".join(report.rows(report.Tally(), FAULTS).values())
    told = report.table({first.id: f"| {first.id} | new |"}, page).splitlines()
    assert told[2] == f"| {first.id} | new |"
    assert told[3].startswith(f"| {second.id} | {second.made} |")
    assert len(told) == len(FAULTS) + 2
