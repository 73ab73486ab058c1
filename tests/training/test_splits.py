"""Splits: nothing on two sides that belongs together; made once, then only read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cytodino.core.errors import InputError
from napari_cytodino.training.config import load_recipe
from napari_cytodino.training.data import CellFile
from napari_cytodino.training.duplicates import Fingerprint
from napari_cytodino.training.splits import (
    BOTH,
    PARTS,
    PROTOCOLS,
    PUBLISHED,
    THREE_WAY,
    load_or_make_split,
    make_split,
    read_split,
    split_sha256,
    validation_count,
    write_split,
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


@pytest.mark.parametrize(
    ("images", "held"), [(1, 1), (2, 1), (5, 1), (9, 1), (10, 2), (19, 3), (20, 4)]
)
def test_small_classes_validate_as_published(images: int, held: int) -> None:
    assert validation_count(images) == held


def test_a_single_image_is_in_both_published_parts(tmp_path: Path) -> None:
    files = cells({"rare": 1, "often": 10})
    split = load_or_make_split(tmp_path / "s.csv", files, prints={}, protocol=PUBLISHED)
    assert split.parts["rare/00000.png"] == BOTH
    assert len(split.take(files, "train")) == 9
    assert len(split.take(files, "validation")) == 3
    assert len(split.take(files, "train", "validation")) == 11
    assert split.notes == ("Class rare has one image, which is in both parts.",)


def test_the_three_ways_get_their_shares_of_every_class() -> None:
    files = cells({"aa": 1000, "bb": 100})
    found = by_class(files, make_split(files, prints={}))
    assert found["aa"] == {
        "train": 620, "calibration-a": 80, "calibration-b": 120, "test": 180
    }  # fmt: skip
    assert found["bb"] == {
        "train": 62, "calibration-a": 8, "calibration-b": 12, "test": 18
    }  # fmt: skip


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


def test_too_few_groups_are_refused() -> None:
    files = [CellFile(f"{g}-{i}", "aa", str(g)) for g in range(3) for i in range(9)]
    with pytest.raises(InputError, match="3 groups"):
        make_split(files, prints={})


def test_cells_of_one_image_stay_together() -> None:
    files = [
        CellFile(f"field{n}.png", "aa", place=(float(y), 5.0))
        for n in range(12)
        for y in range(0, 50, 10)
    ]
    parts = make_split(files, prints={})
    assert len(parts) == 60
    assert len({(f.path, parts[f.key]) for f in files}) == 12


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
        prints[f.path] = Fingerprint(bytes_of_last, str(looks or f.path))
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


def test_hash_randomisation_changes_nothing() -> None:
    code = (
        "from napari_cytodino.training.data import CellFile\n"
        "from napari_cytodino.training.splits import *\n"
        "files = [CellFile(f'l/{i}', 'ab'[i % 2], str(i % 9)) for i in range(90)]\n"
        "print(make_split(files, prints={}), make_split(files, prints={}, "
        "protocol=PUBLISHED))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_seeds_deal_otherwise() -> None:
    files = cells({"aa": 100})
    for protocol in (THREE_WAY, PUBLISHED):
        first = make_split(files, prints={}, seed=0, protocol=protocol)
        assert first == make_split(files, prints={}, seed=0, protocol=protocol)
        assert first != make_split(files, prints={}, seed=1, protocol=protocol)


def test_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    write_split(path, {"b": "test", "a": "train"})
    assert path.read_text("utf-8") == "path,part\na,train\nb,test\n"
    assert read_split(path) == {"a": "train", "b": "test"}
    before = split_sha256(path)
    write_split(path, {"b": "train", "a": "train"})
    assert split_sha256(path) != before


@given(
    parts=st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=6),
        st.sampled_from(list(PARTS)),
        min_size=1,
        max_size=4,
    ),
    place=st.integers(0, 10_000),
    new=st.sampled_from(["", "a", ",", '"', "\n", "\r", " ", "\0", "é"]),
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


def test_classes_and_hashes_are_written_where_known(tmp_path: Path) -> None:
    path, files = tmp_path / "split.csv", [CellFile("a", "aa"), CellFile("b", "bb")]
    parts = {"a": "train", "b": "test"}
    write_split(path, parts, files)
    assert path.read_text("utf-8") == "path,target,part\na,aa,train\nb,bb,test\n"
    write_split(path, parts, files, {"a": Fingerprint("123", "4")})
    assert path.read_text("utf-8").splitlines()[1:] == ["a,aa,train,123", "b,bb,test,"]
    assert read_split(path) == parts


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("path,part\na,trian\n", "'trian': use train, calibration-a"),
        ("path,part\na,train\nb,validation\nc,test\n", "names the part"),
        ("path,part\na,train\na,test\n", "names a twice"),
        ("path,where\na,train\n", "columns path and part"),
        ("", "columns path and part"),
    ],
)
def test_faulty_splits_are_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_split(tmp_path / "x.csv")


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No split"):
        read_split(tmp_path / "none.csv")


def test_a_saved_split_is_never_made_again(tmp_path: Path) -> None:
    path, files = tmp_path / "runs" / "split.csv", cells({"aa": 40, "bb": 3})
    made = load_or_make_split(path, files, prints={}, seed=1)
    content = path.read_bytes()
    again = load_or_make_split(path, files[::-1], prints={}, seed=2)
    assert again == made
    assert path.read_bytes() == content
    assert made.sha256 == split_sha256(path)
    assert made.notes == ("Class bb has 3 cells, none in calibration-a.",)
    train = made.take(files, "train")
    assert {made.parts[f.key] for f in train} == {"train"}
    assert len(train) == Counter(made.parts.values())["train"]


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
