"""Layouts: each kind of folder gives the same list; faults in one sentence."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.common.errors import InputError
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.data.crops import CellFile, read_index
from napari_cytodino.training.data.layouts import data_root, read_cells

WHOLE = Taxonomy.load("mll21")
CODES = WHOLE.codes[:3]
TAXONOMY = WHOLE.subset(CODES)
DATA = Path(__file__).parents[4] / "shared" / "data"


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def mll(tmp_path: Path) -> Path:
    """Return a folder laid out as the MLL data set is after its download."""
    root = tmp_path / "BM_cytomorphology_data"
    for code in CODES:
        image(root / code / "0001-1000" / f"{code}_00001.jpg")
        image(root / code / "1001-2000" / f"{code}_01001.jpg")
    return root


def expected(prefix: str = "") -> list[CellFile]:
    return [
        CellFile(
            f"{prefix}{code}/{batch}/{code}_{number}.jpg",
            code,
            dataset="BM_cytomorphology_data",
        )
        for code in sorted(CODES)
        for batch, number in (("0001-1000", "00001"), ("1001-2000", "01001"))
    ]


def test_the_mll_layout_is_read(mll: Path) -> None:
    assert read_cells(mll, TAXONOMY) == expected()


def test_the_folder_above_data_sets_is_read_too(mll: Path) -> None:
    for code in CODES:
        image(mll.parent / "other" / code / "1.png")
    found = read_cells(mll.parent, TAXONOMY)
    assert found[: len(expected())] == expected("BM_cytomorphology_data/")
    assert Counter(c.source for c in found) == {
        "BM_cytomorphology_data": 6,
        "other": 3,
    }


def test_an_unknown_class_folder_is_named(mll: Path) -> None:
    image(mll / "blasts" / "1.jpg")
    with pytest.raises(InputError, match="blasts is no class of taxonomy 'mll21'"):
        read_cells(mll, TAXONOMY)


def test_only_unknown_class_folders_are_named_too(tmp_path: Path) -> None:
    image(tmp_path / "blasts" / "0001-1000" / "1.jpg")
    with pytest.raises(InputError, match="blasts is no class"):
        read_cells(tmp_path, TAXONOMY)


def test_classes_left_out_on_purpose_are_borne(mll: Path) -> None:
    image(mll / "blasts" / "1.jpg")
    assert read_cells(mll, TAXONOMY, left_out=["blasts"]) == expected()


def test_an_empty_class_folder_is_named(mll: Path) -> None:
    for path in (mll / CODES[1]).rglob("*.jpg"):
        path.unlink()
    with pytest.raises(InputError, match=f"{CODES[1]} holds no image"):
        read_cells(mll, TAXONOMY, complete=False)


def test_a_class_without_images_is_named_unless_told(mll: Path) -> None:
    with pytest.raises(InputError) as told:
        read_cells(mll, WHOLE)
    assert f"holds no image of {', '.join(WHOLE.codes[3:])}: add" in str(told.value)
    assert read_cells(mll, WHOLE, complete=False) == expected()


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no labelled cell"):
        read_cells(tmp_path, TAXONOMY)
    with pytest.raises(InputError, match="no data folder or table"):
        read_cells(tmp_path / "gone", TAXONOMY)


def test_an_image_beside_the_class_folders_is_named(mll: Path) -> None:
    image(mll / "montage.png")
    with pytest.raises(InputError, match=r"montage\.png lies in no class folder"):
        read_cells(mll, TAXONOMY)


def test_a_list_and_a_folder_give_the_same_cells(mll: Path, tmp_path: Path) -> None:
    lines = [f"{mll / c.path},{c.code}" for c in reversed(expected())]
    table = tmp_path / "all.csv"
    table.write_text("\n".join(["Image Path,Label", *lines]), encoding="utf-8")
    assert read_cells(table, TAXONOMY, root=mll) == expected()
    assert data_root(table) == tmp_path
    assert data_root(mll) == mll


def test_a_wrong_code_in_a_list_is_named(tmp_path: Path) -> None:
    table = tmp_path / "all.csv"
    table.write_text("Image Path,Label\na.png,zz\nb.png,zz\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"'zz', the class of 2 cells such as a\.png"):
        read_cells(table, TAXONOMY)


def test_a_cell_of_two_classes_is_named_and_a_repeated_one_is_one(
    tmp_path: Path,
) -> None:
    table, lines = tmp_path / "all.csv", ["Image Path,Label"]
    lines += [f"{code}.png,{code}" for code in CODES] * 2
    table.write_text("\n".join(lines), encoding="utf-8")
    assert len(read_cells(table, TAXONOMY)) == 3
    table.write_text("\n".join([*lines, f"{CODES[0]}.png,{CODES[1]}"]), "utf-8")
    with pytest.raises(InputError, match=f"classes {CODES[0]} and {CODES[1]}"):
        read_cells(table, TAXONOMY)


def test_exported_tables_in_a_folder_are_read(tmp_path: Path) -> None:
    head = "image,y,x,at_border,reviewed_class,final_class,bbox_top,bbox_left"
    for i, code in enumerate(CODES):
        image(tmp_path / f"slide{i}.png")
        row = f"slide{i}.png,4,5,False,{code},{code},2,2"
        (tmp_path / f"slide{i}.cells.csv").write_text(f"{head}\n{row}\n", "utf-8")
    found = read_cells(tmp_path, TAXONOMY)
    assert [(c.code, c.place) for c in found] == [(code, (4.0, 5.0)) for code in CODES]


def test_an_index_goes_before_class_folders(mll: Path) -> None:
    (mll / "cells.csv").write_text(
        "dataset,path,code\n"
        + "".join(f"{c},0001-1000/{c}_00001.jpg,{c}\n" for c in CODES),
        encoding="utf-8",
    )
    assert len(read_cells(mll, TAXONOMY)) == 3


def test_groups_are_read_from_paths(mll: Path) -> None:
    found = read_cells(mll, TAXONOMY, group_pattern=r"/(\d+)-\d+/")
    assert [c.group for c in found] == ["0001", "1001"] * 3
    found = read_cells(mll, TAXONOMY, group_pattern=r"\d+-\d+")
    assert {c.group for c in found} == {"0001-1000", "1001-2000"}
    with pytest.raises(InputError, match=r"finds no group in \w+/0001-1000"):
        read_cells(mll, TAXONOMY, group_pattern="patient-([0-9]+)")
    with pytest.raises(InputError, match="no regular expression"):
        read_cells(mll, TAXONOMY, group_pattern="(")


def test_groups_that_are_given_are_kept(mll: Path) -> None:
    table, lines = mll / "all.csv", ["Image Path,Label,Group"]
    lines += [
        f"{c.path},{c.code},{'given' * (i % 2)}" for i, c in enumerate(expected())
    ]
    table.write_text("\n".join(lines), encoding="utf-8")
    found = read_cells(table, TAXONOMY, group_pattern=r"\d+-\d+")
    assert [c.group for c in found] == ["0001-1000", "given"] * 3


@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the real cells in {DATA}")
def test_real_folders_hold_what_their_index_says() -> None:
    index = read_index(DATA)
    marrow = [f for f in index if f.source == "mll-marrow"]
    taxonomy = WHOLE.subset([f.code for f in marrow])
    found = read_cells(DATA / "mll-marrow", taxonomy)
    assert [(f"mll-marrow/{c.path}", c.code, c.source) for c in found] == sorted(
        (f.path, f.code, f.source) for f in marrow
    )
    whole = read_cells(DATA, WHOLE.subset([f.code for f in index]))
    assert {(c.path, c.code, c.group, c.source) for c in whole} == {
        (f.path, f.code, f.group, f.source) for f in index
    }
