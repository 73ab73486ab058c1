"""Run the tests that faults.toml names and say what each fault came to.

python -m tests.faults.report             prints the table
python -m tests.faults.report --write     and puts it into docs/reliability.md
python -m tests.faults.report --only 10a  only this fault; others stay as they were
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

TESTS = Path(__file__).resolve().parent.parent
PAGE = TESTS.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- {} begin -->", "<!-- {} end -->"
EXAMPLES = re.compile(r"(\d+) passing, ")


@dataclass(frozen=True)
class Fault:
    """One fault: what is made, what must come of it, what shows it, what does not."""

    id: str
    made: str
    must: str
    tests: tuple[str, ...]
    gap: str = ""


def faults() -> list[Fault]:
    """Return the faults of the table, in its order."""
    content = tomllib.loads((TESTS / "faults" / "faults.toml").read_text("utf-8"))
    return [Fault(**f | {"tests": tuple(f["tests"])}) for f in content["fault"]]


class Tally:
    """A pytest plugin: outcomes and examples by test, parametrised ones together."""

    def __init__(self) -> None:
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.examples: Counter[str] = Counter()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        name = plain(item.nodeid)
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[name][report.outcome] += 1
        if report.when == "call":
            said: str = getattr(item, "hypothesis_statistics", "")
            self.examples[name] += sum(map(int, EXAMPLES.findall(said)))
        return report


def plain(node: str) -> str:
    """Return a node id as the table has it: below tests/, without its parameters."""
    file, _, name = node.removeprefix("tests/").partition("::")
    return f"{file}::{name.partition('[')[0].partition('::')[0]}"


def run(nodes: Iterable[str]) -> Tally:
    """Run these tests in this process."""
    tally = Tally()
    named = [str(TESTS / node) for node in dict.fromkeys(nodes)]
    pytest.main(["-q", "-n0", "-p", "no:cacheprovider", *named], plugins=[tally])
    return tally


def tried(fault: Fault, tally: Tally) -> tuple[int, str]:
    """Return how often a fault was tried, and with what result."""
    cases: Counter[str] = sum((tally.outcomes[t] for t in fault.tests), Counter())
    more = sum(max(tally.examples[t] - 1, 0) for t in fault.tests)
    if cases["failed"]:
        return cases.total() + more, f"**{cases['failed']} failed**"
    if cases["skipped"]:
        return cases["passed"] + more, f"as expected, {cases['skipped']} skipped"
    return cases["passed"] + more, "as expected" if cases else "not tried"


def rows(tally: Tally, wanted: list[Fault]) -> dict[str, str]:
    """Return the lines of the table in Markdown, by fault."""
    lines = {}
    for fault in wanted:
        times, result = tried(fault, tally)
        row = (fault.id, fault.made, fault.must, f"{times:,}", result, fault.gap)
        lines[fault.id] = f"| {' | '.join(row)} |"
    return lines


def table(lines: Mapping[str, str], page: str) -> str:
    """Return the whole table: these lines, and for other faults those of the page."""
    old = {line.split(" | ")[0].strip("| "): line for line in page.splitlines()}
    head = ["| # | fault | expected | tried | result | not shown |", "|" + "---|" * 6]
    whole = {**old, **lines}
    return "\n".join([*head, *(whole[f.id] for f in faults() if f.id in whole)])


def put(page: str, part: str, text: str) -> str:
    """Return a page with one of its generated parts replaced."""
    begin, end = BEGIN.format(part), END.format(part)
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{text}\n{end}{after}"


def main() -> int:
    """Run, print, and write when asked to; the exit code counts failed faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="into the page too")
    parser.add_argument("--only", action="append", help="the fault of this number")
    asked = parser.parse_args()
    wanted = [f for f in faults() if asked.only is None or f.id in asked.only]
    tally = run(node for fault in wanted for node in fault.tests)
    lines = rows(tally, wanted)
    sys.stdout.write("\n".join(["", *lines.values(), ""]))
    if asked.write:
        page = PAGE.read_text("utf-8")
        PAGE.write_text(put(page, "faults", table(lines, page)), "utf-8")
    return sum("failed" in tried(fault, tally)[1] for fault in wanted)


if __name__ == "__main__":
    sys.exit(main())
