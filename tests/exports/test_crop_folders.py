"""Crops in class folders: what training reads again is what a reader said."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_cytodino.cells.crops import CropStack, iter_crops
from napari_cytodino.common.errors import InputError
from napari_cytodino.exports import crop_folders as module
from napari_cytodino.exports.crop_folders import _NAME, _quoted, export_crops
from napari_cytodino.images.source import ImageSource
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL, Taxonomy
from napari_cytodino.training.data.layouts import read_cells

TAXONOMY = Taxonomy.load("mll21")
A, B = TAXONOMY.codes[3], TAXONOMY.codes[8]
REVIEWS = {
    7: (A, "R", "t"),
    13: (B, "R", "t"),
    16: (NOT_A_CELL, "R", "t"),
    22: (A, "R", "t"),
}
SIDE = 16


@pytest.fixture
def field(make_field):
    return make_field(reviews=REVIEWS)


@pytest.fixture
def source(field):
    pixels = np.random.default_rng(0).integers(0, 256, (*field.labels.shape, 3))
    return ImageSource(pixels.astype(np.uint8))


def cell_of(name):
    found = _NAME.fullmatch(name)
    return unquote(found["case"], errors="surrogatepass"), int(found["label"])


def written(folder):
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*.png"))


def save(source, field, folder, **options):
    told = {"side": SIDE, "case": "case 1"} | options
    return export_crops(source, field.cells, field.table, folder, **told)


def test_training_reads_what_was_reviewed(tmp_path, field, source):
    done = save(source, field, tmp_path)
    assert done.counts == {A: 2, B: 1}
    assert done.finished
    assert done.unreadable == ()
    read = read_cells(tmp_path, TAXONOMY, complete=False, group_pattern="([^/]*)_cell")
    assert {cell_of(Path(c.path).name): c.code for c in read} == {
        ("case 1", 7): A,
        ("case 1", 13): B,
        ("case 1", 22): A,
    }
    assert {cell.group for cell in read} == {"case%201"}


def test_pixels_are_those_of_the_image(tmp_path, field, source):
    save(source, field, tmp_path, batch_size=1)
    for batch in iter_crops(source, field.cells, SIDE):
        for row, pixels in zip(batch.rows, batch.pixels, strict=True):
            found = list(tmp_path.glob(f"*/*_cell{field.cells.label[row]}_*.png"))
            assert len(found) == (field.cells.label[row] in (7, 13, 22))
            for path in found:
                np.testing.assert_array_equal(np.asarray(Image.open(path)), pixels)


def test_all_that_have_a_class_when_asked(tmp_path, field, source):
    save(source, field, tmp_path, reviewed_only=False)
    table = field.table[field.table["final_class"] != ""]
    wanted = {(c, n) for c, n in zip(table["final_class"], table["label"], strict=True)}
    found = {(Path(p).parent.name, cell_of(Path(p).name)[1]) for p in written(tmp_path)}
    assert found == wanted
    assert 16 not in table["label"].to_numpy()


def test_ready_made_crops_too(tmp_path, field):
    stack = np.random.default_rng(1).integers(0, 256, (6, SIDE, SIDE, 3), np.uint8)
    save(CropStack(stack), field, tmp_path)
    [path] = tmp_path.glob(f"{B}/*.png")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), stack[2])


def test_a_cell_that_changed_its_class_moves(tmp_path, field, source, make_field):
    save(source, field, tmp_path)
    save(source, field, tmp_path, case="case 1_cell7_y1_x1")
    other = [path for path in written(tmp_path) if "cell7_y1_x1" in path]
    (tmp_path / A / "mine.png").touch()
    changed = make_field(
        reviews=REVIEWS | {13: (A, "R", "t"), 7: (NOT_A_CELL, "R", "t")}
    )
    save(source, changed, tmp_path)
    left = [path for path in written(tmp_path) if path not in other]
    assert left == [
        f"{A}/case%201_cell{n}_y{y}_x14.png" for n, y in ((13, 48), (22, 108))
    ] + [f"{A}/mine.png"]
    assert len(other) == 3
    assert set(other) <= set(written(tmp_path))


def test_a_class_folder_left_empty_goes(tmp_path, field, source, make_field):
    save(source, field, tmp_path)
    save(source, make_field(reviews={7: (A, "R", "t")}), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [A]


def test_progress_and_cancel(tmp_path, field, source):
    seen = []
    done = save(
        source,
        field,
        tmp_path,
        batch_size=1,
        progress=lambda *told: seen.append(told),
        cancelled=lambda: len(seen) == 2,
    )
    assert seen == [(1, 3), (2, 3)]
    assert not done.finished
    assert len(written(tmp_path)) == sum(done.counts.values()) == 2


@pytest.mark.parametrize("how", ["cancelled", "full disk"])
def test_an_export_cut_short_loses_no_picture(
    tmp_path, field, source, make_field, how, monkeypatch
):
    save(source, field, tmp_path)
    changed = make_field(
        reviews={7: (B, "R", "t"), 13: (A, "R", "t"), 22: (NOT_A_CELL, "R", "t")}
    )
    asked = []
    if how == "full disk":
        write = module._write

        def full(pixels, path):
            if "cell13" in path.name:
                raise InputError("full")
            write(pixels, path)

        monkeypatch.setattr(module, "_write", full)
        with pytest.raises(InputError, match="full"):
            save(source, changed, tmp_path, batch_size=1)
    else:
        once = {"cancelled": lambda: len(asked) == 1 or asked.append(1)}
        assert not save(source, changed, tmp_path, batch_size=1, **once).finished
    found = {cell_of(Path(p).name)[1]: Path(p).parent.name for p in written(tmp_path)}
    assert found == {7: B, 13: B, 22: A}
    assert len(written(tmp_path)) == 3
    monkeypatch.undo()
    save(source, changed, tmp_path)
    found = {cell_of(Path(p).name)[1]: Path(p).parent.name for p in written(tmp_path)}
    assert found == {7: B, 13: A}


def test_cells_that_cannot_be_read_are_named(tmp_path, field):
    pixels = np.zeros(field.labels.shape, np.float32)
    pixels[44:54] = np.nan
    done = save(ImageSource(pixels, limits=(0, 1)), field, tmp_path)
    assert done.unreadable == (13,)
    assert done.counts == {A: 2}


def test_what_cannot_be_is_refused(tmp_path, field, source, make_field):
    with pytest.raises(InputError, match="without a name"):
        save(source, field, tmp_path, case="")
    with pytest.raises(InputError, match="None of the 6 cells has a reviewed class"):
        save(source, make_field(), tmp_path)
    nothing = replace(field, table=field.table.assign(final_class=""))
    with pytest.raises(InputError, match="6 cells has a class"):
        save(source, nothing, tmp_path, reviewed_only=False)
    (tmp_path / A).touch()
    with pytest.raises(InputError, match="cannot be written"):
        save(source, field, tmp_path)


@given(st.text(min_size=1))
def test_a_name_leads_back_and_is_no_path(case):
    name = f"{_quoted(case)}_cell12_y3_x-4.png"
    assert cell_of(name) == (case, 12)
    assert not name.startswith(".")
    assert not set(name) & set('/\\:*?"<>|\0')
