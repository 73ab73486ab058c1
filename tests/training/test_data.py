"""Reading cells: the index, the decoded square, the packed array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.core.errors import InputError
from napari_cytodino.core.taxonomy import Taxonomy
from napari_cytodino.training.data import CellFile, decode, pack, read_index

if TYPE_CHECKING:
    from pathlib import Path

TAXONOMY = Taxonomy.load("mll21")
CODES = TAXONOMY.codes[:2]


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
    with pytest.raises(InputError, match="cannot be read"):
        pack(folder, files, TAXONOMY, field=20, side=9, cache=cache)


def test_take_selects_rows(folder: Path) -> None:
    crops = pack(folder, read_index(folder), TAXONOMY, field=20, side=10)
    two = crops.take(np.array([3, 0]))
    assert len(two) == 2
    assert two.paths == (crops.paths[3], crops.paths[0])
    assert list(two.targets) == [1, 0]
    assert np.array_equal(two.pixels[0], crops.pixels[3])
