"""Fuzz the parsers for a while, guided by coverage (atheris), and say what came of it.

    python fuzz/run.py --seconds 60                  every target, a minute each
    python fuzz/run.py --seconds 600 --target table  one of them
    python fuzz/run.py --seconds 60 --write          and put the table into the docs
    python fuzz/run.py --again                       only what is kept in fuzz/corpus

Inputs that are worth it are kept in fuzz/corpus/TARGET; one that ends in anything but a
`CytoDinoError`, takes over 30 seconds or 2 GB is written to fuzz/found and counts as a
crash. atheris comes from PyPI for Linux and macOS.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS, FOUND = HERE / "corpus", HERE / "found"
PAGE = HERE.parent / "docs" / "reliability.md"
UNITS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
COVERAGE = re.compile(r"cov: (\d+)")
ALL = "all"
"""A target of its own: the first byte of an input says which parser gets the rest."""

BEGIN, END = "<!-- fuzz begin -->", "<!-- fuzz end -->"


def fuzz_one(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["napari_cytodino"]):
        from targets import any_of, guarded, targets
    warnings.simplefilter("ignore")
    target = any_of(targets()) if name == ALL else targets()[name]
    kept = [] if name == ALL else [str(CORPUS / name)]
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as fresh:
        options = [
            f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=30",
            "-rss_limit_mb=2048", "-max_len=4096", "-seed=1",
            f"-artifact_prefix={FOUND}/{name}-",
        ]  # fmt: skip
        atheris.Setup([name, *options, fresh, *kept], guarded(target))
        atheris.Fuzz()


def again(names: list[str]) -> int:
    """Try every kept input once, without atheris; returns how many there were."""
    from targets import guarded, targets

    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            for kept in sorted((CORPUS / name).iterdir()):
                guarded(targets()[name])(kept.read_bytes())
                count += 1
    return count


def fuzz(name: str, seconds: int) -> tuple[int, int, str]:
    """Fuzz one target in a process of its own: inputs, coverage, what went wrong."""
    command = [sys.executable, str(Path(__file__)), "--one", name]
    done = subprocess.run(  # noqa: S603
        [*command, "--seconds", str(seconds)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + 600,
        check=False,
    )
    said = done.stderr + done.stdout
    units = [int(n) for n in UNITS.findall(said)]
    seen = [int(n) for n in COVERAGE.findall(said)]
    wrong = "" if done.returncode == 0 else last_error(said)
    return sum(units), max(seen, default=0), wrong


def last_error(said: str) -> str:
    """Return the line of an output that says what was uncaught."""
    lines = [line for line in said.splitlines() if line.strip()]
    told = [
        line for line in lines if re.match(r"[\w.]+(Error|Exception|Warning)\b", line)
    ]
    told += [line for line in lines if "ERROR: libFuzzer" in line]
    return (told or lines or ["it said nothing"])[0][:200]


def main() -> int:
    """Fuzz, print a table, and return how many targets failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--target", action="append", help="only this one")
    parser.add_argument("--write", action="store_true", help="into the page too")
    parser.add_argument("--again", action="store_true", help="only what is kept")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        fuzz_one(asked.one, asked.seconds)
        return 0
    names = asked.target or sorted(p.name for p in CORPUS.iterdir())
    if asked.again:
        sys.stdout.write(f"{again(names)} kept inputs, no crash\n")
        return 0
    lines = ["| parser | inputs tried | edges reached | crashes |", "|---|---|---|---|"]
    crashes = 0
    for name in names:
        units, seen, wrong = fuzz(name, asked.seconds)
        crashes += bool(wrong)
        lines.append(f"| {name} | {units:,} | {seen:,} | {wrong or '0'} |")
        sys.stdout.write(f"{lines[-1]}\n")
        sys.stdout.flush()
    if asked.write:
        page = PAGE.read_text("utf-8")
        before, _, rest = page.partition(BEGIN)
        after = rest.partition(END)[2]
        table = "\n".join(lines)
        PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", "utf-8")
    return crashes


if __name__ == "__main__":
    sys.exit(main())
