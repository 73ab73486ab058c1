"""Reading cells: the index, the decoded square, the packed array."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.batch.inputs import CropFolder
from napari_cytodino.cells.cells import cells_from_points
from napari_cytodino.cells.crops import iter_crops, iter_series
from napari_cytodino.common.errors import InputError
from napari_cytodino.images.source import read_image
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.data.crops import (
    CellFile,
    CellSet,
    cell_set,
    decode,
    drawn_cells,
    pack,
    read_crop,
    read_index,
    read_rows,
)

TAXONOMY = Taxonomy.load("mll21")
CODES = TAXONOMY.codes[:2]
DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = ["dataset,path,code,background_group"]
    for i in range(4):
        code = CODES[i % 2]
        path = tmp_path / "lab" / code / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((40, 40, 3), 10 * i, np.uint8)
        pixels[18:22, 18:22] = 200 + i
        Image.fromarray(pixels).save(path)
        rows.append(f"lab,{code}/{i}.png,{code},{'' if i else 7}")
    (tmp_path / "cells.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def test_index_gives_path_source_and_group(folder: Path) -> None:
    files = read_index(folder)
    assert files[0] == CellFile(f"lab/{CODES[0]}/0.png", CODES[0], "7")
    assert {f.source for f in files} == {"lab"}
    assert files[1].group == ""


def test_a_folder_without_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cells\.csv"):
        read_index(tmp_path)


def test_decode_takes_the_centre(folder: Path) -> None:
    crop = decode(folder / f"lab/{CODES[0]}/0.png", field=4, side=4)
    assert (crop == 200).all()


def test_decode_names_what_it_cannot_read(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="40 x 40 px but the recipe needs 41"):
        decode(folder / f"lab/{CODES[0]}/0.png", field=41, side=8)
    with pytest.raises(InputError, match=r"no image .*none\.png"):
        decode(tmp_path / "none.png", field=4, side=4)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    with pytest.raises(InputError, match=r"torn\.png"):
        decode(tmp_path / "torn.png", field=4, side=4)


def test_pack_keeps_order_and_uses_its_cache(folder: Path, tmp_path: Path) -> None:
    files, cache = read_index(folder), tmp_path / "cache"
    first = pack(folder, files, TAXONOMY, field=20, side=10, cache=cache)
    assert first.pixels.shape == (4, 10, 10, 3)
    assert list(first.targets) == [0, 1, 0, 1]
    for path in folder.glob("lab/*/*.png"):
        path.unlink()
    again = pack(folder, files, TAXONOMY, field=20, side=10, cache=cache)
    assert np.array_equal(first.pixels, again.pixels)
    with pytest.raises(InputError, match="no image"):
        pack(folder, files, TAXONOMY, field=20, side=9, cache=cache)
    assert len(list(cache.iterdir())) == 1


def test_take_selects_rows(folder: Path) -> None:
    crops = pack(folder, read_index(folder), TAXONOMY, field=20, side=10)
    two = crops.take(np.array([3, 0]))
    assert len(two) == 2
    assert two.paths == (crops.paths[3], crops.paths[0])
    assert list(two.targets) == [1, 0]
    assert np.array_equal(two.pixels[0], crops.pixels[3])


def test_an_index_without_a_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("dataset,path\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'code'"):
        read_index(tmp_path)


def test_rows_are_read_as_excel_saves_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeffpath,code\r\nä.png\r\n".encode())
    assert read_rows(tmp_path / "a.csv") == [{"path": "ä.png", "code": ""}]
    (tmp_path / "b.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_rows(tmp_path / "b.csv")


def noise(path: Path, height: int, width: int) -> Path:
    rng = np.random.default_rng(height)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("field", [16, 17, 40])
def test_a_crop_is_what_inference_cuts_from_a_single_cell(
    tmp_path: Path, field: int
) -> None:
    path = noise(tmp_path / "cell.png", 41, 40)
    crop = read_crop(CellFile("cell.png", "aa"), tmp_path, field)
    assert crop.shape == (field, field, 3)
    expected = next(iter_series(CropFolder([path]), field)).pixels[0]
    assert np.array_equal(crop, expected)


@pytest.mark.parametrize("place", [(30.0, 25.0), (2.4, 58.6), (0.0, 0.0)])
def test_a_crop_is_what_inference_cuts_from_a_field(
    tmp_path: Path, place: tuple[float, float]
) -> None:
    source = read_image(noise(tmp_path / "field.png", 50, 60))
    crop = read_crop(CellFile("field.png", "aa", place=place), tmp_path, 20)
    cells = cells_from_points(np.array([place]), source.shape, diameter=10)
    expected = next(iter_crops(source, cells, 20)).pixels[0]
    assert np.array_equal(crop, expected)


def test_a_field_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    cell = CellFile("field.png", "aa", place=(20.0, 20.0))
    path = noise(tmp_path / "field.png", 40, 40)
    before = read_crop(cell, tmp_path, 8)
    os.utime(noise(path, 41, 41), ns=(1, 1))
    assert not np.array_equal(read_crop(cell, tmp_path, 8), before)


def test_crops_that_cannot_be_cut_are_refused(folder: Path, tmp_path: Path) -> None:
    path = f"lab/{CODES[0]}/0.png"
    with pytest.raises(InputError, match="40 x 40 px but the recipe needs 41"):
        read_crop(CellFile(path, CODES[0]), folder, 41)
    with pytest.raises(InputError, match=r"lies outside .* of 40 x 40 px"):
        read_crop(CellFile(path, CODES[0], place=(50.0, 3.0)), folder, 8)
    with pytest.raises(InputError, match="no image"):
        read_crop(CellFile("gone.png", CODES[0], place=(5.0, 3.0)), tmp_path, 8)


def test_the_key_tells_cells_of_one_image_apart() -> None:
    cells = [CellFile("lab/a.png", "aa", place=(y, 2.0)) for y in (1.0, 30.25)]
    assert [c.key for c in cells] == ["lab/a.png#1.0,2.0", "lab/a.png#30.2,2.0"]
    assert CellFile("lab/a.png", "aa").key == "lab/a.png"


def test_the_source_is_the_data_set_where_it_is_given() -> None:
    assert CellFile("lab/a.png", "aa").source == "lab"
    assert CellFile("aa/1.png", "aa", dataset="clinic").source == "clinic"


def test_pack_cuts_the_cells_of_a_field(tmp_path: Path) -> None:
    noise(tmp_path / "field.png", 50, 60)
    files = [
        CellFile("field.png", CODES[0], place=(20.0, x)) for x in (10.0, 30.0, 59.0)
    ]
    crops = pack(tmp_path, files, TAXONOMY, field=16, side=16)
    for pixels, cell in zip(crops.pixels, files, strict=True):
        assert np.array_equal(pixels, read_crop(cell, tmp_path, 16))
    assert crops.paths == tuple(f.key for f in files)
    assert pack(tmp_path, files, TAXONOMY, field=16, side=8).pixels.shape[1:3] == (8, 8)


def test_a_cache_is_mapped_and_equals_what_is_packed_without(
    folder: Path, tmp_path: Path
) -> None:
    files, told = read_index(folder), []
    plain = pack(folder, files, TAXONOMY, field=20, side=10)
    mapped = pack(
        folder,
        files,
        TAXONOMY,
        field=20,
        side=10,
        cache=tmp_path / "c",
        progress=lambda done, total: told.append((done, total)),
    )
    assert isinstance(mapped.pixels, np.memmap)
    assert np.array_equal(plain.pixels, mapped.pixels)
    assert told == [(n, 4) for n in (1, 2, 3, 4)]


def test_a_damaged_cache_is_named(folder: Path, tmp_path: Path) -> None:
    files, cache = read_index(folder), tmp_path / "cache"
    pack(folder, files, TAXONOMY, field=20, side=10, cache=cache)
    stored = next(cache.iterdir())
    stored.write_bytes(stored.read_bytes()[:300])
    with pytest.raises(InputError, match=r"crops-\w+\.npy cannot be read"):
        pack(folder, files, TAXONOMY, field=20, side=10, cache=cache)


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to set there")
def test_a_full_disk_is_told_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    import resource

    files, cache = read_index(folder), tmp_path / "full"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system refuses to write further than this, as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, limits[1]))
    try:
        with pytest.raises(InputError, match=r"full.* cannot be written .*free space"):
            pack(folder, files, TAXONOMY, field=20, side=10, cache=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(cache.iterdir()) == []
    assert len(pack(folder, files, TAXONOMY, field=20, side=10, cache=cache)) == 4


def test_an_unknown_class_is_refused_before_anything_is_decoded(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="'zz' is not a class"):
        pack(tmp_path, [CellFile("gone.png", "zz")], TAXONOMY, field=8, side=8)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the real cells in {DATA}")
def test_real_cells_are_packed_as_they_are_read() -> None:
    files = read_index(DATA)[::4000]
    crops = pack(DATA, files, TAXONOMY, field=192, side=192)
    for pixels, cell in zip(crops.pixels, files, strict=True):
        assert np.array_equal(pixels, read_crop(cell, DATA, 192))
        assert pixels.std() > 10


def drawn(count: int = 6) -> CellSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    files = [CellFile(f"lab-{i % 2}/{i}", ("NGS", "BLA")[i % 2]) for i in range(count)]
    return cell_set(files, TAXONOMY, 8, pixels=pixels)


def test_targets_are_places_in_the_taxonomy() -> None:
    cells = drawn()
    assert len(cells) == 6
    wanted = [TAXONOMY.index(code) for code in ("NGS", "BLA")]
    assert cells.targets.tolist() == wanted * 3
    assert cells.sources.tolist() == ["lab-0", "lab-1"] * 3


def test_some_of_the_cells_keep_their_pixels() -> None:
    cells = drawn()
    some = cells.take(np.array([4, 1]))
    assert [f.path for f in some.files] == ["lab-0/4", "lab-1/1"]
    assert some.targets.tolist() == cells.targets[[4, 1]].tolist()
    assert np.array_equal(some.crop(1), cells.crop(1))


def test_the_middle_of_a_file_is_read_when_asked_for(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (12, 14, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    files = [CellFile("a.png", "NGS"), CellFile("gone.png", "NGS")]
    cells = cell_set(files, TAXONOMY, 8, folder=tmp_path)
    assert np.array_equal(cells.crop(0), pixels[2:10, 3:11])
    with pytest.raises(InputError, match=r"gone\.png"):
        cells.crop(1)
    lost = cell_set(files, TAXONOMY, 8)
    with pytest.raises(InputError, match="has no folder"):
        lost.crop(0)


def test_groups_count_only_where_every_cell_has_one() -> None:
    cells = drawn()
    assert cells.groups is None
    files = tuple(replace(file, group="p1") for file in cells.files)
    named = replace(cells, files=files)
    assert named.groups is not None
    mixed = replace(named, files=(*files[:-1], replace(files[-1], group="")))
    assert mixed.groups is None


def test_several_crops_are_read_in_their_order(tmp_path: Path) -> None:
    cells = drawn()
    files = tuple(replace(f, path=f"{i}.png") for i, f in enumerate(cells.files))
    for file, crop in zip(files, cells.pixels, strict=True):
        Image.fromarray(crop).save(tmp_path / file.path)
    stored = replace(cells, files=files, folder=tmp_path, pixels=None)
    rows = np.array([4, 1, 3])
    assert np.array_equal(stored.read(rows), cells.read(rows))


def test_drawn_cells_are_named_and_repeat() -> None:
    some = TAXONOMY.subset(("LYT", "NGS"))
    cells = drawn_cells(some, 2, 64, seed=3, place="test")
    assert cells.paths == tuple(f"synthetic/test/{i}" for i in range(4))
    assert np.bincount(cells.targets).tolist() == [2, 2]
    assert set(cells.sources) == {"synthetic"}
    again = drawn_cells(some, 2, 64, seed=3, place="test")
    assert np.array_equal(cells.pixels, again.pixels)
