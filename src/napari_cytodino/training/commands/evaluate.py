"""Judging a checkpoint on the cells its run kept apart: figures, card and report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_cytodino.checkpoints import load_checkpoint
from napari_cytodino.common import InputError, write_json
from napari_cytodino.training.commands.origin import recipe_of, same_split, split_of
from napari_cytodino.training.data import (
    cell_set,
    data_root,
    decode,
    read_crop,
    read_index,
    read_split,
)
from napari_cytodino.training.distillation import (
    augment,
    centre,
    read_part,
    shift_domain,
)
from napari_cytodino.training.evaluation import (
    TEST,
    VALIDATION,
    WHAT,
    About,
    CellViews,
    by_source,
    device_of,
    evaluate_crops,
    figures_block,
    figures_of,
    made_strangers,
    ood_fields,
    pixel_answers,
    predictions_of,
    unfamiliarity_of,
    write_report,
)
from napari_cytodino.training.finetuning import augment as paper_augment
from napari_cytodino.training.finetuning import load_parts, read_files, to_views
from napari_cytodino.training.recipes import FinetuneRecipe, Recipe, build
from napari_cytodino.uncertainty import OodCells

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.training.data import CellFile, CellSet


BATCH = 64
"""Crops of strangers at once."""

SHEET = 15
"""Augmented views on the sheet of a report."""

FINE_TUNED = {VALIDATION: ("validation",), TEST: ("test",)}
"""What figures of a fine-tuned checkpoint are called -> the parts they come from."""


@dataclass(frozen=True)
class HeldOutCells:
    """Cells that a run kept apart.

    Attributes
    ----------
    crops : CellSet
        At the checkpoint's field of view.
    protocol : str
        What figures of these cells are.
    split_sha256 : str
        Of the saved split; empty where cells are drawn in code.
    groups : NDArray[np.str_] or None
        (N,) slide or patient of each cell, itself where unknown.
    views : CellViews or None
        One of the cells, augmented as in training.
    """

    crops: CellSet
    protocol: str
    split_sha256: str
    groups: NDArray[np.str_] | None = None
    views: CellViews | None = None


def evaluate_checkpoint(
    source: str,
    data: Path | None,
    out: Path,
    split: Path | None = None,
    *,
    device: str = "cpu",
) -> str:
    """Judge the stored weights of a checkpoint, and write what was found.

    Parameters
    ----------
    source : str
        Bundled name, folder or Hub id.
    data : Path, optional
        The cells; needed unless the checkpoint was trained on drawn ones.
    out : Path
        Gets ``report.html`` and its parts, ``metrics.json`` and ``figures.md``.
    split : Path, optional
        The saved split of a fine-tuned checkpoint; found beside its folder if absent.
    device : str
        One of `evaluation.DEVICES`.

    Returns
    -------
    str
        The figures, and whether the model card says the same.

    Raises
    ------
    CytoDinoError
        When checkpoint, cells or split do not belong together.
    """
    kind = device_of(device)
    checkpoint = load_checkpoint(source)
    out.mkdir(parents=True, exist_ok=True)
    return _judged(checkpoint, data, out, split, kind)


def _judged(
    checkpoint: Checkpoint,
    data: Path | None,
    out: Path,
    split: Path | None,
    device: str,
) -> str:
    kept, fine_tuned = _kept(checkpoint, data, split)
    crops = kept.crops
    cells = predictions_of(checkpoint, crops, device)
    if fine_tuned:
        results = {kept.protocol: by_source(checkpoint, cells)}
    else:
        results = evaluate_crops(checkpoint, crops, cells, device)
    cells = replace(cells, groups=kept.groups)
    about = About(
        f"{checkpoint.name} on its {kept.protocol} part",
        checkpoint.name,
        checkpoint.sha256,
        _protocol(kept),
        kept.split_sha256,
        str(data or "drawn in code"),
        ("SYNTHETIC cells",) if checkpoint.synthetic else (),
    )
    write_report(
        out,
        cells,
        checkpoint.taxonomy,
        checkpoint.policy,
        about,
        views=kept.views,
        calibration=checkpoint.calibration,
        strangers=_strangers(checkpoint, crops, data, device),
    )
    block = figures_block(results)
    write_json(out / "metrics.json", results)
    (out / "figures.md").write_text(block + "\n", encoding="utf-8")
    same = "the same" if block == figures_of(checkpoint.card) else "something else"
    return f"{block}\n\nThe model card says {same}."


def _strangers(
    checkpoint: Checkpoint, crops: CellSet, data: Path | None, device: str
) -> dict[str, OodCells]:
    """Return answers on what is no known cell, none without training cells."""
    if checkpoint.familiarity() is None:
        return {}
    field = checkpoint.preprocessing.field_of_view
    kinds = made_strangers(crops)
    if data is not None:
        kinds |= ood_fields(data, field)
    found = {}
    for name, pixels in kinds.items():
        starts = range(0, len(pixels), BATCH)
        batches = (pixels[i : i + BATCH] for i in starts)
        logits, embeddings = pixel_answers(checkpoint, batches, device)
        unlike = unfamiliarity_of(checkpoint, embeddings)
        if unlike is not None:
            found[name] = OodCells(unlike, logits, what=WHAT[name])
    return found


def _protocol(kept: HeldOutCells) -> str:
    known = kept.groups is not None and len(set(kept.groups)) < len(kept.groups)
    level = "groups of slides" if known else "single images"
    return f"{kept.protocol} part, split by {level}"


def _kept(
    checkpoint: Checkpoint, data: Path | None, split: Path | None
) -> tuple[HeldOutCells, bool]:
    """Read the cells a checkpoint's run kept apart; say whether it fine-tuned."""
    run, digest = checkpoint.folder.parent, split_of(checkpoint)
    content, name = recipe_of(checkpoint)
    if "backbone" in content:
        plan = build(FinetuneRecipe, content, name)
        saved = split or run / "split.csv"
        if data is not None and not plan.data.synthetic:
            same_split(checkpoint, saved)
        return _fine_tuned(plan, data, run, saved, digest), True
    recipe = build(Recipe, content, name)
    if recipe.split:
        same_split(checkpoint, recipe.split_path)
    crops = read_part(recipe, data, ("test",), packed=False)
    if data is None:
        return HeldOutCells(crops, TEST, digest), False
    files = {f.path: f for f in read_index(data)}
    own = [files[path] for path in crops.paths]
    views = _views_of(recipe, data, own[0])
    return HeldOutCells(crops, TEST, digest, _groups(own), views), False


def _groups(files: list[CellFile]) -> NDArray[np.str_]:
    return np.array([file.group or file.key for file in files], np.str_)


def _fine_tuned(
    recipe: FinetuneRecipe, data: Path | None, run: Path, split: Path, digest: str
) -> HeldOutCells:
    protocol = TEST if recipe.data.protocol == "three-way" else VALIDATION
    if recipe.data.synthetic:
        drawn = load_parts(recipe, None, run)
        chosen = drawn.test or drawn.selection
        return HeldOutCells(chosen, protocol, digest)
    if data is None:
        raise InputError(f"Recipe '{recipe.name}' reads real cells: add --data DIR.")
    parts, root = read_split(split), data_root(data)
    wanted = FINE_TUNED[protocol]
    taxonomy = recipe.classes_in_order
    cells = read_files(recipe, data, complete=False)
    own = [f for f in cells if set(parts.get(f.key, "").split("+")) & set(wanted)]
    side = recipe.field_of_view
    crops = cell_set(own, taxonomy, side, folder=root)
    crop = torch.from_numpy(read_crop(own[0], root, side).copy())[None]
    clean = to_views(crop, recipe.size)
    keys = [[0, i] for i in range(SHEET)]
    many = clean.repeat(SHEET, 1, 1, 1)
    views = paper_augment(many, keys, recipe.augmentation, recipe.seed)
    sheet = CellViews(_picture(clean)[0], _picture(views), _note(own[0]))
    return HeldOutCells(crops, protocol, digest, _groups(own), sheet)


def _views_of(recipe: Recipe, data: Path, file: CellFile) -> CellViews:
    """Augment one cell as the student of a recipe would see it."""
    field = recipe.field_of_view + recipe.margin
    crop = decode(data / file.path, field, recipe.packed_side)
    many = torch.from_numpy(crop.copy())[None].repeat(SHEET, 1, 1, 1)
    chance = torch.Generator().manual_seed(recipe.seed)
    views = augment(many, recipe.size, recipe.augmentation, chance)
    views = shift_domain(views, recipe.strange, chance)
    original = _picture(centre(many[:1], recipe.size))[0]
    return CellViews(original, _picture(views), _note(file))


def _note(file: CellFile) -> str:
    return f"the recipe's augmentation, cell {file.path}"


def _picture(views: Tensor) -> NDArray[np.uint8]:
    """Return (B, 3, S, S) in 0..1 as (B, S, S, 3) uint8."""
    values = (views.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    return np.ascontiguousarray(values.numpy())
