"""What was written before the rooms is written, read and taken up again as it was.

``make.py`` wrote ``files`` at the commit before the package moved into its rooms. It
runs again here, and each file it writes is held against the stored one: what is named
or counted exactly, what torch computed within `NEAR`, and hashes of bits where machine
and versions are those of then.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import subprocess
import sys
from html import unescape
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
FILES = HERE / "files"

NEAR = 1e-4
"""How far a number that torch computed may be off on another machine."""

LONG = "CYTODINO_LONG" in os.environ
"""The sections below need two minutes of two cores: set CYTODINO_LONG=1 for them."""

GROUPS: tuple[tuple[str, ...], ...] = (("public", "review", "exports", "reading"),)
"""Sections that one process writes; the groups run at the same time."""

if LONG:
    GROUPS += (("demo", "batch", "own"), ("student", "tuned"))

SECTIONS = [name for group in GROUPS for name in group]
ELSEWHERE = {"reading/review": "review", "reading/exports": "exports"}
"""What is read from old files is what is read from new ones."""

NUMBER = re.compile(r"(-?\d+\.\d+(?:e-?\d+)?)")


def near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=NEAR) or one == other


def texts_differ(one: str, other: str) -> bool:
    """Compare two texts, decimals in them within reach."""
    if one == other:
        return False
    parts, others = NUMBER.split(one), NUMBER.split(other)
    if len(parts) != len(others) or parts[::2] != others[::2]:
        return True
    pairs = zip(parts[1::2], others[1::2], strict=True)
    return not all(near(float(a), float(b)) for a, b in pairs)


def values_differ(one: Any, other: Any, at: str = "") -> str:
    """Return the first difference of two values of JSON, with its place."""
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            return f"{at}: {list(one)} was, {list(other)} is"
        found = (values_differ(one[k], other[k], f"{at}/{k}") for k in one)
        return next(filter(None, found), "")
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{at}: {len(one)} values were, {len(other)} are"
        pairs = enumerate(zip(one, other, strict=True))
        found = (values_differ(a, b, f"{at}/{i}") for i, (a, b) in pairs)
        return next(filter(None, found), "")
    if type(one) is type(other) is float:
        same = near(one, other)
    elif type(one) is type(other) is str:
        same = not texts_differ(one, other)
    else:
        same = type(one) is type(other) and one == other
    return "" if same else f"{at}: {one!r} was, {other!r} is"


def tables_differ(one: Path, other: Path) -> str:
    """Return the first cell in which two CSV differ."""
    with one.open(encoding="utf-8") as a, other.open(encoding="utf-8") as b:
        lines = list(zip_longest(csv.reader(a), csv.reader(b)))
    head = lines[0][0] if lines else []
    for number, (before, now) in enumerate(lines, 1):
        if before is None or now is None or len(before) != len(now):
            return f"line {number}: {before} was, {now} is"
        for place, (a, b) in enumerate(zip(before, now, strict=True)):
            if texts_differ(a, b):
                return f"line {number}, {head[place]}: {a!r} was, {b!r} is"
    return ""


def pieces(page: str) -> list[str]:
    """Return the tags and texts of a page, without the white space between."""
    found = (" ".join(piece.split()) for piece in re.split(r"(<[^>]*>)", page))
    return [unescape(piece) for piece in found if piece]


def differ(one: Path, other: Path) -> str:
    """Return the first difference of two files; empty where there is none."""
    if one.suffix == ".csv":
        return tables_differ(one, other)
    texts = [path.read_text(encoding="utf-8") for path in (one, other)]
    if one.suffix in (".json", ".geojson"):
        try:
            return values_differ(*map(json.loads, texts))
        except ValueError as error:
            return f"no JSON: {error}"
    split = pieces if one.suffix == ".html" else str.splitlines
    for number, pair in enumerate(zip_longest(*map(split, texts)), 1):
        if None in pair or texts_differ(*pair):
            return f"line {number}: {pair[0]!r} was, {pair[1]!r} is"
    return ""


def names_in(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def is_bits(name: str) -> bool:
    return name.endswith("bits.json")


def check(stored: Path, made: Path, names: set[str]) -> None:
    """Fail with the name of each file that differs, and its first difference."""
    told = []
    for name in sorted(names):
        if not (stored / name).is_file() or not (made / name).is_file():
            told.append(f"{name}: only {'made' if (made / name).is_file() else 'kept'}")
        elif found := differ(stored / name, made / name):
            told.append(f"{name}: {found}")
    if told:
        pytest.fail("\n".join([f"not as in {stored}:", *told]), pytrace=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Return what gives the folder of a section, written by the code of now."""
    out = tmp_path_factory.mktemp("golden")
    running = {}
    for group in GROUPS:
        line = [sys.executable, str(HERE / "make.py"), str(out / group[0]), *group]
        log = (out / f"{group[0]}.log").open("w", encoding="utf-8")
        running[group] = subprocess.Popen(line, stdout=log, stderr=log), log

    def folder(section: str) -> Path:
        group = next(group for group in GROUPS if section in group)
        process, log = running[group]
        if process.wait(timeout=600):
            said = Path(log.name).read_text(encoding="utf-8")
            pytest.fail(f"make.py {section} failed:\n{said[-3000:]}", pytrace=False)
        return out / group[0] / section

    yield folder
    for process, log in running.values():
        process.kill()
        process.wait()
        log.close()


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_all_is_written_as_before(section: str, made: Callable[[str], Path]) -> None:
    stored, now = FILES / section, made(section)
    names = {n for n in names_in(stored) | names_in(now) if not is_bits(n)}
    moved = tuple(f"{place.partition('/')[2]}/" for place in ELSEWHERE)
    if section == "reading":
        names = {n for n in names if not n.startswith(moved)}
    assert names
    check(stored, now, names)


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="set CYTODINO_LONG=1")
@pytest.mark.parametrize("section", ["batch", "demo", "own", "student", "tuned"])
def test_bits_are_as_before_on_the_same_machine(
    section: str, made: Callable[[str], Path]
) -> None:
    stored, now = FILES / section, made(section)
    machine = "machine.json"
    if found := differ(FILES / machine, now.parent / machine):
        pytest.skip(f"another machine or version: {found}")
    check(stored, now, {n for n in names_in(stored) | names_in(now) if is_bits(n)})


@pytest.mark.slow
@pytest.mark.parametrize("place", ELSEWHERE)
def test_an_old_file_says_what_a_new_one_does(
    place: str, made: Callable[[str], Path]
) -> None:
    stored = FILES / ELSEWHERE[place]
    now = made("reading") / place.partition("/")[2]
    assert names_in(now)
    check(stored, now, names_in(now))


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="set CYTODINO_LONG=1")
@pytest.mark.parametrize("section", ["student", "tuned"])
def test_a_stopped_run_ends_as_one_that_was_not(
    section: str, made: Callable[[str], Path]
) -> None:
    runs = json.loads((made(section) / "bits.json").read_text(encoding="utf-8"))
    if "resumed" not in runs:
        pytest.skip("no process can be stopped by SIGTERM here")
    assert runs["resumed"] == runs["whole"]


def test_the_stored_files_stay_small() -> None:
    sizes = {path: path.stat().st_size for path in FILES.rglob("*") if path.is_file()}
    assert max(sizes.values()) < 100_000
    assert sum(sizes.values()) < 700_000
