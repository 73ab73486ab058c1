"""The protocols by which labelled cells are split."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data.crops import CellFile
from napari_cytodino.training.data.duplicates import ImageHashes
from napari_cytodino.training.data.splits import (
    load_or_make_split,
    make_split,
    read_split,
    split_sha256,
    write_split,
)
from napari_cytodino.training.recipes.distillation import load_recipe
from napari_cytodino.training.recipes.protocols import (
    BOTH,
    PARTS,
    PROTOCOLS,
    PUBLISHED,
    THREE_WAY,
)

if TYPE_CHECKING:
    from pathlib import Path

STARTER_SPLIT = "60f8396f4aabba35ac238144e586f38a3e20343d9a4bd5b09ccb0b7096075e57"
PUBLISHED_COUNTS = (
    "ABE 8 ART 19630 BAS 441 BLA 11973 EBO 27395 EOS 5883 FGC 47 HAC 409 KSC 42 LYI 65 "
    "LYT 26242 MMZ 3055 MON 4040 MYB 6557 NGB 9968 NGS 29424 NIF 3538 OTH 294 PEB 2740 "
    "PLM 7629 PMO 11994"
)
"""Of the MLL data set (domain reference, 1.3)."""

PUBLISHED_SUPPORTS = (
    "ABE 1 ART 3926 BAS 88 BLA 2394 EBO 5479 EOS 1176 FGC 9 HAC 81 KSC 8 LYI 13 "
    "LYT 5248 MMZ 611 MON 808 MYB 1311 NGB 1993 NGS 5884 NIF 707 OTH 58 PEB 548 "
    "PLM 1525 PMO 2398"
)
"""Of the published validation part, which are those of DinoBloom's list."""


def table(text: str) -> dict[str, int]:
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def cells(counts: dict[str, int], dataset: str = "lab") -> list[CellFile]:
    return [
        CellFile(f"{code}/{i:05d}.png", code, dataset=dataset)
        for code, n in counts.items()
        for i in range(n)
    ]


def by_class(files: list[CellFile], parts: dict[str, str]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for f in files:
        found.setdefault(f.code, Counter())[parts[f.key]] += 1
    return found


def test_the_published_split_has_the_published_sizes() -> None:
    files = cells(table(PUBLISHED_COUNTS))
    parts = make_split(files, prints={}, protocol=PUBLISHED)
    assert Counter(parts.values()) == {"train": 137_108, "validation": 34_266}
    supports = {c: n["validation"] for c, n in by_class(files, parts).items()}
    assert supports == table(PUBLISHED_SUPPORTS)


def test_figures_of_the_published_split_say_what_they_are() -> None:
    assert PUBLISHED.result == "validation, best epoch"
    assert PUBLISHED.selects_on == PUBLISHED.reports_on == "validation"
    assert THREE_WAY.selects_on != THREE_WAY.reports_on == "test"
    assert set(PROTOCOLS) == {"published", "three-way"}


def test_a_single_image_is_in_both_published_parts(tmp_path: Path) -> None:
    files = cells({"rare": 1, "often": 10})
    split = load_or_make_split(tmp_path / "s.csv", files, prints={}, protocol=PUBLISHED)
    assert split.parts["rare/00000.png"] == BOTH
    assert len(split.take(files, "train")) == 9
    assert len(split.take(files, "validation")) == 3
    assert len(split.take(files, "train", "validation")) == 11
    assert split.notes == ("Class rare has one image, which is in both parts.",)


def test_laboratories_are_dealt_alike() -> None:
    files = [
        CellFile(f"{lab}/{i}.png", "aa", dataset=lab)
        for lab, n in (("one", 50), ("two", 200))
        for i in range(n)
    ]
    parts = make_split(files, prints={})
    got = Counter((f.source, parts[f.key]) for f in files)
    for lab, n in (("one", 50), ("two", 200)):
        for part, share in PARTS.items():
            assert abs(got[lab, part] - share * n) <= 1


def test_groups_stay_whole_and_every_part_has_every_class() -> None:
    files = [
        CellFile(f"lab/{code}/{group}-{i}.png", code, str(group))
        for group in range(16)
        for code in ("aa", "bb")
        for i in range(3)
    ]
    parts = make_split(files, prints={}, seed=1)
    assert len({(f.group, parts[f.key]) for f in files}) == 16
    assert {(f.code, parts[f.key]) for f in files} == {
        (code, part) for code in ("aa", "bb") for part in PARTS
    }


world = st.lists(
    st.tuples(
        st.sampled_from(["aa", "bb", "cc"]),
        st.sampled_from([*[""] * 9, "p1", "p2", "p3"]),
        st.booleans(),
        st.sampled_from([*[0] * 9, 1, 2, 3]),
    ),
    min_size=60,
    max_size=120,
)
"""Class, group, whether its bytes are the last one's, shared looks (0 for its own)."""


@settings(max_examples=40, deadline=None)
@given(world, st.integers(0, 9), st.randoms(use_true_random=False))
def test_no_group_and_no_duplicate_crosses_parts(
    rows: list[tuple[str, str, bool, int]], seed: int, random: object
) -> None:
    files = [
        CellFile(f"lab{i % 2}/{i}.png", code, group)
        for i, (code, group, _, _) in enumerate(rows)
    ]
    prints, bytes_of_last = {}, ""
    for f, (_, _, twin, looks) in zip(files, rows, strict=True):
        bytes_of_last = bytes_of_last if twin else f.path
        prints[f.path] = ImageHashes(bytes_of_last, str(looks or f.path))
    files += cells({"lone": 8})
    parts = make_split(files, prints=prints, seed=seed)
    assert set(parts) == {f.key for f in files}
    assert set(parts.values()) == set(PARTS)
    for belongs in (
        lambda f: f.group or f.path,
        lambda f: prints[f.path].sha256 if f.path in prints else f.path,
        lambda f: prints[f.path].looks if f.path in prints else f.path,
    ):
        sides: dict[str, set[str]] = {}
        for f in files:
            sides.setdefault(belongs(f), set()).add(parts[f.key])
        assert all(len(own) == 1 for own in sides.values())
    random.shuffle(files)  # type: ignore[attr-defined]
    assert make_split(files, prints=prints, seed=seed) == parts


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.integers(0, 99))
def test_ungrouped_classes_are_in_every_part_near_their_share(
    sizes: list[int], seed: int
) -> None:
    files = cells({f"c{i}": n for i, n in enumerate([50, *sizes])})
    found = by_class(files, make_split(files, prints={}, seed=seed))
    for own in found.values():
        n = own.total()
        assert len(own) == min(n, len(PARTS))
        assert all(abs(own[p] - share * n) <= 2 for p, share in PARTS.items())


def test_seeds_deal_otherwise() -> None:
    files = cells({"aa": 100})
    for protocol in (THREE_WAY, PUBLISHED):
        first = make_split(files, prints={}, seed=0, protocol=protocol)
        assert first == make_split(files, prints={}, seed=0, protocol=protocol)
        assert first != make_split(files, prints={}, seed=1, protocol=protocol)


@given(
    parts=st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=6),
        st.sampled_from(list(PARTS)),
        min_size=1,
        max_size=4,
    ),
    place=st.integers(0, 10_000),
    new=st.sampled_from(["", "z", ",", '"', "\n", "\r", " ", "\0", "é"]),
    instead=st.booleans(),
)
def test_a_split_with_one_wrong_character_is_refused_or_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    parts: dict[str, str],
    place: int,
    new: str,
    instead: bool,
) -> None:
    path = tmp_path_factory.mktemp("s") / "split.csv"
    files = [CellFile(key, "A") for key in parts]
    write_split(path, parts, files)
    assert read_split(path) == parts
    text = path.read_bytes().decode("utf-8")
    place %= len(text)
    changed = text[:place] + new + text[place + instead :]
    path.write_bytes(changed.encode("utf-8"))
    try:
        split = load_or_make_split(path, files, prints={})
    except InputError:
        return
    assert split.parts == parts


def test_changed_cells_are_refused_unless_told(tmp_path: Path) -> None:
    path, files = tmp_path / "split.csv", cells({"aa": 40})
    made = load_or_make_split(path, files, prints={})
    changed = [
        CellFile("aa/00001.png", "bb", dataset="lab"),
        *files[2:],
        *cells({"new": 2}),
    ]
    with pytest.raises(InputError) as told:
        load_or_make_split(path, changed, prints={})
    assert "1 is missing, such as aa/00000.png" in str(told.value)
    assert "2 are new, such as new/00000.png" in str(told.value)
    assert "1 is of another class, such as aa/00001.png" in str(told.value)
    borne = load_or_make_split(path, changed, prints={}, allow_changes=True)
    assert borne.parts == made.parts
    assert borne.sha256 == made.sha256
    assert "1 is missing, such as aa/00000.png" in borne.notes
    assert len(borne.take(changed, *PARTS)) == 39


def test_a_split_of_another_protocol_is_refused(tmp_path: Path) -> None:
    path, files = tmp_path / "split.csv", cells({"aa": 40})
    split = load_or_make_split(path, files, prints={}, protocol=PUBLISHED)
    with pytest.raises(InputError, match="holds no three-way split"):
        load_or_make_split(path, files, prints={})
    with pytest.raises(InputError, match="published split has no part 'test'"):
        split.take(files, "test")


def test_the_saved_split_has_every_class_of_the_starter_in_every_part() -> None:
    recipe = load_recipe("starter")
    assert split_sha256(recipe.split_path) == STARTER_SPLIT
    parts = read_split(recipe.split_path)
    found = {(path.split("/")[1], part) for path, part in parts.items()}
    assert found == {(c, p) for c in recipe.classes for p in PARTS}
    sources = Counter((path.split("/")[0], part) for path, part in parts.items())
    assert all(n > 300 for n in sources.values())
    assert len(parts) == 18_137
