"""Which cells a fine-tuning run learns from, and which it keeps apart."""

from __future__ import annotations

import csv
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_cytodino.common import InputError, atomic_write
from napari_cytodino.taxonomy import Taxonomy
from napari_cytodino.training.data import (
    CellFile,
    cell_set,
    data_root,
    drawn_cells,
    inspect_files,
    load_or_make_split,
    read_cells,
    read_rows,
    some_of_each,
)
from napari_cytodino.training.evaluation import CellViews, Run, sheet_of
from napari_cytodino.training.finetuning.augmentation import augment
from napari_cytodino.training.finetuning.trainer import to_views
from napari_cytodino.training.recipes import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_cytodino.training.data import CellSet, ImageHashes
    from napari_cytodino.training.recipes import FinetuneRecipe


logger = logging.getLogger(__name__)

SHEET = 15
"""Augmented views on the sheet of a report."""

UNREADABLE = "unreadable.csv"
"""Lists the images of a run that were left out, and why."""


@dataclass(frozen=True)
class Parts:
    """The parts of one run.

    Attributes
    ----------
    train : CellSet
        Learnt from.
    watched : CellSet
        Chooses the best epoch, and fits the temperature.
    thresholds, test : CellSet or None
        Choose thresholds; are judged once, at the end. The published protocol has
        neither.
    split_sha256 : str
        Of the saved split; empty where the cells are drawn in code.
    """

    train: CellSet
    selection: CellSet
    calibration: CellSet | None
    test: CellSet | None
    split_sha256: str = ""

    @property
    def judged(self) -> CellSet:
        """The cells figures are of; with a test part nothing is chosen on them."""
        return self.selection if self.test is None else self.test

    def kept_apart(self) -> dict[str, CellSet]:
        """Return the parts that are not learnt from, by their names in reports."""
        if self.calibration is None or self.test is None:
            return {"validation": self.selection}
        return {
            "calibration-a": self.selection,
            "calibration-b": self.calibration,
            "test": self.test,
        }


def _drawn(recipe: FinetuneRecipe) -> Parts:
    """Draw synthetic crops; every part has its own seed."""
    taxonomy = recipe.classes_in_order

    def draw(number: int, share: float) -> CellSet:
        each = max(2, round(recipe.data.synthetic * share))
        seed = 1000 * recipe.seed + number
        field, place = recipe.field_of_view, str(number)
        return drawn_cells(taxonomy, each, field, seed=seed, place=place)

    train, watched = draw(0, 1.0), draw(1, 0.25)
    if recipe.data.protocol != "three-way":
        return Parts(train, watched, None, None)
    return Parts(train, watched, draw(2, 0.25), draw(3, 0.25))


def load_parts(
    recipe: FinetuneRecipe, data: Path | None, out: Path, *, saved: Path | None = None
) -> Parts:
    """Read or draw the cells of every part.

    Parameters
    ----------
    recipe : FinetuneRecipe
        Names classes, protocol and sizes.
    data : Path, optional
        Folder of the real cells; needed unless the recipe is synthetic.
    out : Path
        The run's folder, which keeps the split.
    saved : Path, optional
        Take this split instead, as far as its cells are there; nothing is written.

    Raises
    ------
    InputError
        When there is no folder, or its cells do not fit the recipe.
    """
    if recipe.data.synthetic:
        return _drawn(recipe)
    if data is None:
        raise InputError(f"Recipe '{recipe.name}' reads real cells: add --data DIR.")
    taxonomy, field = recipe.classes_in_order, recipe.field_of_view
    root = data_root(data)
    protocol = PROTOCOLS[recipe.data.protocol]
    if saved is None:
        files, prints = _readable(recipe, data, out)
    else:
        files, prints = read_files(recipe, data, complete=False), {}
    split = load_or_make_split(
        saved or out / "split.csv",
        files,
        prints=prints,
        seed=recipe.seed,
        protocol=protocol,
        allow_changes=saved is not None,
    )
    for note in split.notes:
        logger.warning("%s", note)

    def part(name: str) -> CellSet:
        return cell_set(split.take(files, name), taxonomy, field, folder=root)

    rest = [part(n) for n in ("calibration-b", "test") if n in protocol.parts]
    return Parts(
        part("train"),
        part(protocol.selects_on),
        rest[0] if rest else None,
        rest[1] if rest else None,
        split.sha256,
    )


def read_files(
    recipe: FinetuneRecipe, data: Path, *, complete: bool = True
) -> list[CellFile]:
    """Return the cells of a recipe's classes; its other classes are passed over.

    Parameters
    ----------
    complete : bool
        Refuse a folder that lacks one of the classes.
    """
    plan, taxonomy = recipe.data, recipe.classes_in_order
    others = set(Taxonomy.load(recipe.taxonomy).codes) - set(taxonomy.codes)
    return read_cells(
        data,
        taxonomy,
        complete=complete,
        left_out=(*plan.left_out, *sorted(others)),
        group_pattern=plan.group_pattern,
    )


def _readable(
    recipe: FinetuneRecipe, data: Path, out: Path
) -> tuple[list[CellFile], Mapping[str, ImageHashes]]:
    """Return the cells whose image can be read; each image is looked at once a run.

    What cannot be read is listed in the run's folder, so that a run that is taken up
    has the same cells without reading them all again.
    """
    files = read_files(recipe, data)
    stored = out / UNREADABLE
    if stored.is_file() and (out / "split.csv").is_file():
        lost = {row["path"] for row in read_rows(stored)}
        return [f for f in files if f.path not in lost], {}
    found = inspect_files(data_root(data), files)
    with (
        atomic_write(stored) as part,
        part.open("w", newline="", encoding="utf-8") as f,
    ):
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(("path", "why"))
        writer.writerows((lost.path, lost.why) for lost in found.unreadable)
    return list(found.files), found.prints


def run_of(recipe: FinetuneRecipe, parts: Parts) -> Run:
    """Return the run of a recipe, as its checkpoint is calibrated and judged."""
    kept, train = parts.kept_apart(), parts.train

    def references() -> CellSet:
        return train.take(some_of_each(train.targets, train.sources, recipe.seed))

    return Run(
        recipe.name,
        recipe.classes_in_order,
        recipe.calibration,
        {"split_sha256": parts.split_sha256},
        tuple(kept),
        kept.__getitem__,
        references,
        sheet=None if recipe.data.synthetic else partial(_sheet, recipe, parts.judged),
        every_class=lambda: parts.judged,
        batch=recipe.run.eval_batch,
    )


def _sheet(recipe: FinetuneRecipe, cells: CellSet, file: CellFile) -> CellViews:
    """Augment one cell as the recipe's training does."""
    crop = cells.read(np.array([cells.files.index(file)]))
    clean = to_views(torch.from_numpy(crop), recipe.size)
    keys = [[0, i] for i in range(SHEET)]
    many = clean.repeat(SHEET, 1, 1, 1)
    views = augment(many, keys, recipe.augmentation, recipe.seed)
    return sheet_of(clean, views, file)
