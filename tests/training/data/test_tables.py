"""Tables: image lists, our index, reviewed exports; never out of the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.cells.cells import cells_from_crops, cells_from_points
from napari_cytodino.common.errors import InputError
from napari_cytodino.exports.tables import export
from napari_cytodino.results.cell_table import build_table, with_file_columns
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL, Taxonomy
from napari_cytodino.training.data._tables import DataFolder, images_below, read_table
from napari_cytodino.training.data.crops import CellFile, read_crop
from napari_cytodino.training.data.layouts import read_cells
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.predictions import PredictionBatch, Predictions

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from napari_cytodino.cells.cells import Cells

TAXONOMY = Taxonomy.load("mll21")
CODES = TAXONOMY.codes


def image(path: Path, height: int = 60, width: int = 80) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(height)
    Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return path


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def exported(
    cells: Cells, names: str | list[str], reviews: dict[int, tuple[str, str, str]]
) -> pd.DataFrame:
    """Make a table as the plugin does; the model's class is each cell's second."""
    logits = np.zeros((len(cells), len(CODES)), np.float32)
    logits[:, 1] = 20
    n = len(cells)
    batch = PredictionBatch(
        np.arange(n), logits, np.zeros((n, 2), np.float16), np.ones(n, bool)
    )
    labels = cells.label.tolist()
    said = {row: reviews[n] for row, n in enumerate(labels) if n in reviews}
    predictions = Predictions.empty(n, len(CODES), 2).with_batches([batch])
    policy = DecisionPolicy()
    table = build_table(cells, predictions, TAXONOMY, policy, said)
    frame = with_file_columns(
        table, cells, predictions, TAXONOMY, policy, image="", checkpoint="demo@0"
    )
    frame["image"] = names
    return frame


POINTS = np.array([[30.0, 40.0], [3.0, 10.5], [20.0, 70.0]])
REVIEWS = {
    1: (CODES[2], "A. Reader", "2026-01-02T03:04:05Z"),
    2: (CODES[3], "A. Reader", "2026-01-02T03:04:06Z"),
}


def field_table(names: str = "slide.png") -> pd.DataFrame:
    return exported(cells_from_points(POINTS, (60, 80), diameter=8), names, REVIEWS)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_reviewed_cells_of_a_field_come_back(tmp_path: Path, suffix: str) -> None:
    image(tmp_path / "slide.png")
    path = export(field_table(), tmp_path / f"slide.cells{suffix}")
    found = read_table(path)
    assert found == [
        CellFile("slide.png", CODES[2], "slide.png", tmp_path.name, (30.0, 40.0)),
        CellFile("slide.png", CODES[3], "slide.png", tmp_path.name, (3.0, 10.5)),
    ]
    assert read_crop(found[1], tmp_path, 16).shape == (16, 16, 3)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_a_reader_called_no_cell_is_left_out_and_told(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    image(tmp_path / "slide.png")
    cells = cells_from_points(POINTS, (60, 80), diameter=8)
    with ReviewLog.open(tmp_path / "case.review", image="0" * 64) as log:
        log.attach(cells)
        log.record([0, 1], [CODES[2], NOT_A_CELL], reviewer="A. Reader")
        said = {
            int(cells.label[row]): (verdict.cell_class, verdict.reviewer, verdict.at)
            for row, verdict in log.settled().items()
        }
    table = exported(cells, "slide.png", said)
    path = export(table, tmp_path / f"slide.cells{suffix}")
    assert [c.code for c in read_table(path)] == [CODES[2]]
    assert "1 judged to be no cell are left out" in caplog.text
    found = read_cells(path, TAXONOMY, complete=False)
    assert [(c.code, c.place) for c in found] == [(CODES[2], (30.0, 40.0))]
    both = [c.code for c in read_table(path, reviewed_only=False)]
    assert both == [CODES[2], CODES[1]]
    with pytest.raises(InputError, match=r"None of the 2 cells .* that is a class"):
        read_table(export(table.iloc[1:].copy(), tmp_path / f"b.cells{suffix}"))


def test_predicted_classes_count_only_when_asked_for(tmp_path: Path) -> None:
    image(tmp_path / "slide.png")
    path = export(field_table(), tmp_path / "slide.cells.csv")
    found = read_table(path, reviewed_only=False)
    assert [c.code for c in found] == [CODES[2], CODES[3], CODES[1]]


def test_a_table_nobody_reviewed_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "slide.png")
    cells = cells_from_points(POINTS, (60, 80), diameter=8)
    path = export(exported(cells, "slide.png", {}), tmp_path / "slide.cells.csv")
    with pytest.raises(InputError, match=r"None of the 3 cells .* reviewed_class"):
        read_table(path)


def test_reviewed_crop_files_are_read_from_their_middle(tmp_path: Path) -> None:
    names = ["crops/a/1.png", "crops/2.png", "crops/3.png"]
    for name in names:
        image(tmp_path / name, 50, 50)
    cells = cells_from_crops(3, 20)
    path = export(exported(cells, names, REVIEWS), tmp_path / "cells.csv")
    found = read_table(path)
    assert [(c.path, c.place, c.group) for c in found] == [
        ("crops/a/1.png", None, ""),
        ("crops/2.png", None, ""),
    ]


def test_a_cell_in_the_corner_of_a_field_is_no_crop_file(tmp_path: Path) -> None:
    image(tmp_path / "slide.png")
    cells = cells_from_points(np.array([[2.0, 2.0]]), (60, 80), diameter=8)
    assert cells.bbox[0, 0] == cells.bbox[0, 1] == 0
    path = export(exported(cells, "slide.png", REVIEWS), tmp_path / "slide.cells.csv")
    assert read_table(path)[0].place == (2.0, 2.0)


@pytest.mark.parametrize("name", ["slide", "slide.png", "day 1/slide.png"])
def test_images_are_found_by_path_name_or_layer(tmp_path: Path, name: str) -> None:
    image(tmp_path / "images" / "day 1" / "slide.png")
    path = export(field_table(name), tmp_path / "results" / "a.cells.csv")
    found = read_table(path, tmp_path / "images")
    assert {c.path for c in found} == {"day 1/slide.png"}


@pytest.mark.parametrize("name", ["=slide.png", "-1.png", "'quoted'.png", "a 'b'.png"])
def test_names_that_spreadsheets_take_for_formulas_come_back(
    tmp_path: Path, name: str
) -> None:
    image(tmp_path / name)
    path = export(field_table(name), tmp_path / "a.cells.csv")
    assert {c.path for c in read_table(path)} == {name}


def test_an_image_that_is_not_there_once_is_refused(tmp_path: Path) -> None:
    path = export(field_table(), tmp_path / "a.cells.csv")
    with pytest.raises(InputError, match=r"'slide\.png' .* is 0 times"):
        read_table(path)
    for folder in ("one", "two"):
        image(tmp_path / folder / "slide.png")
    with pytest.raises(InputError, match=r"'slide\.png' .* is 2 times"):
        read_table(path)
    image(tmp_path / "slide.png")
    assert {c.path for c in read_table(path)} == {"slide.png"}


def test_a_group_column_counts_before_the_image(tmp_path: Path) -> None:
    image(tmp_path / "slide.png")
    table = field_table()
    table["Patient ID"] = "P7"
    assert {c.group for c in read_table(export(table, tmp_path / "a.cells.csv"))} == {
        "P7"
    }


def test_a_table_without_places_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "slide.png")
    table = field_table().drop(columns=["bbox_top"])
    path = export(table, tmp_path / "a.cells.csv")
    with pytest.raises(InputError, match="bbox_top"):
        read_table(path)


def test_an_image_list_in_the_style_of_dinobloom(tmp_path: Path) -> None:
    data = tmp_path / "data"
    path = write(
        data / "lists" / "test.csv",
        "Image Path,Label,Patient",
        f"../{CODES[0]}/1.jpg, {CODES[0]} ,p1",
        f"{data / CODES[1] / '2.jpg'},{CODES[1]},p2",
        f"..\\{CODES[1]}\\3.jpg,{CODES[1]},",
    )
    assert read_table(path, data) == [
        CellFile(f"{CODES[0]}/1.jpg", CODES[0], "p1", "data"),
        CellFile(f"{CODES[1]}/2.jpg", CODES[1], "p2", "data"),
        CellFile(f"{CODES[1]}/3.jpg", CODES[1], "", "data"),
    ]


@pytest.mark.parametrize(
    "escape",
    ["../secret.png", "/etc/passwd", "a/../../x.png", "out/x.png", ".", "a\0b"],
)
def test_a_list_never_leads_out_of_the_folder(tmp_path: Path, escape: str) -> None:
    data = tmp_path / "data"
    image(tmp_path / "elsewhere" / "x.png")
    data.mkdir()
    (data / "out").symlink_to(tmp_path / "elsewhere")
    path = write(data / "list.csv", "Image Path,Label", f"{escape},{CODES[0]}")
    with pytest.raises(
        InputError, match=r"outside the data folder|is no path|as a table"
    ):
        read_table(path)


def test_our_index_keeps_its_groups_and_data_sets(tmp_path: Path) -> None:
    path = write(
        tmp_path / "cells.csv",
        "dataset,path,code,background_group",
        f"lab,{CODES[0]}/1.png,{CODES[0]},4",
        f"other,{CODES[0]}/1.png,{CODES[0]},",
    )
    found = read_table(path)
    assert found == [
        CellFile(f"lab/{CODES[0]}/1.png", CODES[0], "4", "lab"),
        CellFile(f"other/{CODES[0]}/1.png", CODES[0], "", "other"),
    ]
    path.write_text(f"dataset,path,code\n..,x.png,{CODES[0]}\n", encoding="utf-8")
    with pytest.raises(InputError, match="outside the data folder"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "Image Path;Label\nx;y\n", "has the columns Image Path;Label"),
        ("a.csv", "Image Path,Label\n", "holds no row"),
        ("a.csv", "", "holds no row"),
        ("a.geojson", "{}", r"export it as \.csv or \.parquet"),
        ("a.parquet", "no parquet", "cannot be read as Parquet"),
    ],
)
def test_tables_of_another_kind_are_refused(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read_table(
            write(tmp_path / name, content.rstrip("\n"))
            if content
            else _empty(tmp_path / name)
        )


def _empty(path: Path) -> Path:
    path.touch()
    return path


def test_only_visible_images_are_listed(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/1.jpg", ".hidden/2.png", "__MACOSX/3.png", "a/._4.png"):
        image(tmp_path / name)
    write(tmp_path / "Thumbs.db", "x")
    names = [p.relative_to(tmp_path).as_posix() for p in images_below(tmp_path)]
    assert names == ["a/1.jpg", "b.PNG"]


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    data, other = tmp_path / "data", image(tmp_path / "other" / "x.png")
    inside = image(data / "a" / "1.png")
    (data / "a" / "2.png").symlink_to(inside)
    assert len(images_below(data)) == 2
    link = data / "a" / "3.png"
    link.symlink_to(other)
    with pytest.raises(InputError, match=r"3\.png is a link to"):
        images_below(data)
    link.unlink()
    (data / "b").symlink_to(other.parent)
    with pytest.raises(InputError, match=r"b is a link to"):
        images_below(data)


def test_a_path_of_a_table_is_told_relative_to_the_folder(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert folder.inside(tmp_path / "x", "../a/./b.png", tmp_path) == "a/b.png"
