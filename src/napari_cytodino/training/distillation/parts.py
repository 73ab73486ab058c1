"""Which cells a run learns from, and which it keeps apart: read, or drawn in code."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_cytodino.common import InputError
from napari_cytodino.taxonomy import Taxonomy
from napari_cytodino.training.data import (
    CellFile,
    cell_set,
    decode,
    drawn_cells,
    pack,
    read_index,
    read_split,
    some_of_each,
    split_sha256,
)
from napari_cytodino.training.distillation.augmentation import (
    augment,
    centre,
    shift_domain,
)
from napari_cytodino.training.evaluation import VIEWS, CellViews, Run, sheet_of
from napari_cytodino.training.recipes import PARTS

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.training.data import CellSet
    from napari_cytodino.training.recipes import Recipe


SHEET = 15
"""Augmented views on the sheet of a report."""

DRAWN = {"calibration-a": 2, "calibration-b": 5}
"""Of cells drawn in code there may be more of these parts than a split would leave: of
120 a class, part A would else have 15, too few for any class to be calibrated."""


def read_part(
    recipe: Recipe,
    data: Path | None,
    part: str,
    *,
    packed: bool = False,
    cache: Path | None = None,
) -> CellSet:
    """Read or draw the cells of a part.

    Parameters
    ----------
    recipe : Recipe
        Names classes, split and sizes.
    data : Path, optional
        Folder of the real cells; needed unless the recipe is synthetic.
    part : str
        Of `PARTS`.
    packed : bool
        True for training crops with a margin at the input's scale, False for the
        field of view as it is.
    cache : Path, optional
        Where packed crops are kept.
    """
    if recipe.synthetic:
        return _drawn(recipe, part, packed=packed)
    if data is None:
        raise InputError(f"Recipe '{recipe.name}' reads real cells: add --data DIR.")
    files = _files(recipe, data, part)
    if not files:
        raise InputError(
            f"None of the split's cells is in {data}: give the folder the split was "
            "made from."
        )
    taxonomy, field = recipe.classes_in_order, recipe.field_of_view
    if not packed:
        return cell_set(files, taxonomy, field, folder=data)
    side = recipe.packed_side
    return pack(
        data, files, taxonomy, field=field + recipe.margin, side=side, cache=cache
    )


def _files(
    recipe: Recipe, data: Path, part: str, taxonomy: Taxonomy | None = None
) -> list[CellFile]:
    """Return the files of a part, classes that the recipe leaves out excepted."""
    part_of, classes = (
        read_split(recipe.split_path),
        taxonomy or recipe.classes_in_order,
    )
    return [
        file
        for file in read_index(data)
        if part_of.get(file.path) == part and file.code in classes
    ]


def _drawn(recipe: Recipe, part: str, *, packed: bool) -> CellSet:
    """Draw synthetic crops; every part has its own seed."""
    taxonomy = recipe.classes_in_order
    field = recipe.field_of_view + (recipe.margin if packed else 0)
    share = PARTS[part] / PARTS["train"] * DRAWN.get(part, 1)
    each = max(2, round(recipe.synthetic * share))
    seed = 1000 * recipe.seed + list(PARTS).index(part)
    cells = drawn_cells(taxonomy, each, field, seed=seed, place=part)
    if not packed or cells.pixels is None:
        return cells
    return replace(cells, pixels=_shrink(cells.pixels, recipe.packed_side))


def _shrink(pixels: np.ndarray[Any, Any], side: int) -> np.ndarray[Any, Any]:
    small = []
    for start in range(0, len(pixels), 64):
        values = torch.from_numpy(pixels[start : start + 64]).permute(0, 3, 1, 2)
        resized = torch.nn.functional.interpolate(
            values.float(), (side, side), mode="bilinear", antialias=True
        )
        small.append(resized.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(small)


def read_references(recipe: Recipe, data: Path | None) -> CellSet:
    """Read or draw some training cells of each class and source, as they are."""
    whole = read_part(recipe, data, "train")
    return whole.take(some_of_each(whole.targets, whole.sources, recipe.seed))


def count_cells(
    recipe: Recipe, data: Path | None, run: Run
) -> dict[str, dict[str, int]]:
    """Return the number of cells by source and part, training included."""
    learnt: Counter[str] = Counter()
    if not recipe.synthetic and data is not None:
        learnt = Counter(file.source for file in _files(recipe, data, "train"))
    drawn = recipe.synthetic * len(recipe.classes_in_order)
    sets = {part: run.read(part).sources for part in run.parts}
    return {
        str(source): {
            "train": learnt[str(source)] if learnt else drawn,
            **{part: int((found == source).sum()) for part, found in sets.items()},
        }
        for source in np.unique(sets[run.parts[-1]])
    }


def run_of(recipe: Recipe, data: Path | None) -> Run:
    """Return the run of a recipe, as its checkpoint is calibrated and judged."""
    real = data is not None and not recipe.synthetic
    return Run(
        recipe.name,
        recipe.classes_in_order,
        recipe.calibration,
        {"split_sha256": split_sha256(recipe.split_path) if recipe.split else ""},
        tuple(PARTS)[1:],
        cache(partial(read_part, recipe, data)),
        partial(read_references, recipe, data),
        VIEWS,
        partial(_sheet, recipe, data) if data is not None and real else None,
        partial(_every_class, recipe, data) if data is not None and real else None,
    )


def _every_class(recipe: Recipe, data: Path) -> CellSet:
    whole = Taxonomy.load(recipe.taxonomy)
    files = _files(recipe, data, "test", whole)
    return cell_set(files, whole, recipe.field_of_view, folder=data)


def _sheet(recipe: Recipe, data: Path, file: CellFile) -> CellViews:
    """Augment one cell as the student of a recipe would see it."""
    field = recipe.field_of_view + recipe.margin
    crop = decode(data / file.path, field, recipe.packed_side)
    many = torch.from_numpy(crop.copy())[None].repeat(SHEET, 1, 1, 1)
    chance = torch.Generator().manual_seed(recipe.seed)
    views = augment(many, recipe.size, recipe.augmentation, chance)
    views = shift_domain(views, recipe.strange, chance)
    return sheet_of(centre(many[:1], recipe.size), views, file)
