"""Parts of a run: drawn or read, apart from each other, the same after a resume."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data import inspection
from napari_cytodino.training.finetuning import parts as finetune_parts
from napari_cytodino.training.finetuning.parts import UNREADABLE, load_parts
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.training.finetuning.parts import Parts

CODES = ("NGS", "LYT", "BLA")


def recipe_with(*changes: str) -> FinetuneRecipe:
    return build(FinetuneRecipe, *read_recipe("finetune-smoke", changes))


def class_folders(root: Path, each: int = 20) -> Path:
    """Write cells that all differ, in class folders nested as the MLL data set has."""
    rng = np.random.default_rng(0)
    for code in (*CODES, "MON"):
        folder = root / code / "0001-1000"
        folder.mkdir(parents=True)
        for i in range(each):
            pixels = rng.integers(0, 256, (80, 80, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{code}_{i:05}.png")
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("cells"))


def names(parts: Parts) -> list[set[str]]:
    kept = parts.kept_apart().values()
    return [{f.key for f in cells.files} for cells in (parts.train, *kept)]


def test_drawn_parts_share_no_image(tmp_path: Path) -> None:
    parts = load_parts(recipe_with(), None, tmp_path)
    assert [len(names) for names in names(parts)] == [24, 6, 6, 6]
    seen = [
        {crop.tobytes() for crop in cells.pixels}
        for cells in (parts.train, *parts.kept_apart().values())
        if cells.pixels is not None
    ]
    assert len(set.union(*seen)) == 24 + 18
    assert not any(tmp_path.iterdir())


def test_the_published_protocol_has_no_test(tmp_path: Path) -> None:
    parts = load_parts(recipe_with("data.protocol=published"), None, tmp_path)
    assert list(parts.kept_apart()) == ["validation"]
    assert parts.test is parts.calibration is None


def test_real_cells_are_dealt_once_and_for_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_with("data.synthetic=0")
    parts = load_parts(recipe, folder, tmp_path)
    sets = names(parts)
    assert sum(len(s) for s in sets) == len(set.union(*sets)) == 60
    assert all(sets)
    assert set(parts.train.targets.tolist()) == {0, 1, 2}
    assert parts.train.crop(0).shape == (64, 64, 3)
    assert len(parts.split_sha256) == 64

    def looked_again(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(finetune_parts, "inspect_files", looked_again)
    again = load_parts(recipe, folder, tmp_path)
    assert names(again) == sets
    assert again.split_sha256 == parts.split_sha256


def test_the_published_split_keeps_a_fifth(folder: Path, tmp_path: Path) -> None:
    recipe = recipe_with("data.synthetic=0", "data.protocol=published")
    parts = load_parts(recipe, folder, tmp_path)
    assert [len(s) for s in names(parts)] == [48, 12]


def test_unreadable_images_are_listed_and_stay_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = class_folders(tmp_path / "cells", each=8)
    broken = data / "BLA" / "0001-1000" / "BLA_00003.png"
    broken.write_bytes(broken.read_bytes()[:400])
    recipe = recipe_with("data.synthetic=0")
    out = tmp_path / "run"
    out.mkdir()
    with pytest.raises(InputError, match=r"1 of 24 images cannot be read.*BLA_00003"):
        load_parts(recipe, data, out)
    assert not any(out.iterdir())
    stock = inspection.inspect_files
    monkeypatch.setattr(
        finetune_parts, "inspect_files", lambda *a: stock(*a, limit=0.5)
    )
    for _ in ("first", "resumed"):
        parts = load_parts(recipe, data, out)
        assert sum(len(s) for s in names(parts)) == 23
    assert "BLA/0001-1000/BLA_00003.png" in (out / UNREADABLE).read_text("utf-8")


def test_a_cell_that_came_later_is_no_part_of_the_run(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "cells", each=8)
    recipe = recipe_with("data.synthetic=0")
    load_parts(recipe, data, tmp_path)
    more = data / "BLA" / "0001-1000" / "BLA_00003.png"
    more.rename(more.with_name("BLA_00099.png"))
    with pytest.raises(InputError, match="missing"):
        load_parts(recipe, data, tmp_path)


def test_real_cells_need_a_folder_and_known_classes(
    folder: Path, tmp_path: Path
) -> None:
    recipe = recipe_with("data.synthetic=0")
    with pytest.raises(InputError, match="--data"):
        load_parts(recipe, None, tmp_path)
    with pytest.raises(InputError, match="no data folder"):
        load_parts(recipe, tmp_path / "nothing", tmp_path)
    others = replace(recipe, data=replace(recipe.data, classes=("NGS", "EOS")))
    with pytest.raises(InputError, match="EOS"):
        load_parts(others, folder, tmp_path)
