"""The end of fine-tuning: the best model merged, calibrated, judged and described."""

from __future__ import annotations

import copy
from functools import partial
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from napari_cytodino.checkpoints import (
    Preprocessing,
    describe_backbone,
    load_checkpoint,
    merge_lora,
    save_checkpoint,
)
from napari_cytodino.common import write_json
from napari_cytodino.inference import bfloat16_is_faster
from napari_cytodino.training.data import some_of_each
from napari_cytodino.training.evaluation import (
    BEGIN,
    END,
    TEST,
    VALIDATION,
    by_source,
    decisions_block,
    figures_block,
    predictions_of,
)
from napari_cytodino.training.finetuning.model import parameter_counts, trained_share
from napari_cytodino.uncertainty import (
    Calibration,
    DecisionPolicy,
    LabelledPredictions,
    fit_calibration,
    fit_temperature,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peft import PeftModel

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.training.data import CellSet
    from napari_cytodino.training.finetuning.parts import Parts
    from napari_cytodino.training.recipes import FinetuneRecipe
    from napari_cytodino.uncertainty import CalibrationTargets, NoveltyDetector


ADAPTER = "adapter"
"""Folder with adapter and head alone, to pass on where the base may not be."""

UNTUNED = (
    "Temperature {}, fitted on the validation part. Thresholds are defaults; nothing "
    "was kept apart to calibrate them on: no guarantee."
)
"""Said of the published protocol."""


def evaluate_predictions(
    checkpoint: Checkpoint, answers: LabelledPredictions, name: str
) -> dict[str, Any]:
    """Return the figures of each source under the name of what was judged."""
    compared = answers.compared_with(checkpoint.familiarity())
    return {name: by_source(checkpoint, compared)}


def calibrate(
    recipe: FinetuneRecipe,
    parts: Parts,
    answers: Callable[[CellSet], LabelledPredictions],
    aims: CalibrationTargets | None = None,
) -> tuple[Calibration, NoveltyDetector] | None:
    """Measure what a stored checkpoint may promise, if the protocol keeps cells for it.

    Parameters
    ----------
    answers
        What the checkpoint says of a set of cells.
    aims
        What to promise; the recipe's own when None.
    """
    if parts.calibration is None:
        return None
    train = parts.train
    rows = some_of_each(train.targets, train.sources, recipe.seed)
    return fit_calibration(
        answers(train.take(rows)),
        answers(parts.selection),
        answers(parts.calibration),
        recipe.classes_in_order,
        aims or recipe.calibration,
        run_facts(recipe, parts),
    )


def finish(
    recipe: FinetuneRecipe, adapted: PeftModel, parts: Parts, out: Path, device: str
) -> dict[str, Any]:
    """Merge, store, calibrate, judge and describe the best model of a run.

    Returns
    -------
    dict
        The figures, which are those of the card: of the test part, or of the published
        protocol's validation part, named so.
    """
    counts = parameter_counts(adapted)
    base = recipe.backbone.source
    kept = copy.deepcopy(adapted.cpu()) if base else None
    model = merge_lora(adapted.cpu())
    taxonomy, side = recipe.classes_in_order, float(recipe.field_of_view)
    preprocessing = Preprocessing(recipe.size, side, recipe.mean, recipe.std)
    folder, title = out / "checkpoint", f"# {recipe.title}\n"
    store = partial(
        save_checkpoint,
        taxonomy=taxonomy,
        preprocessing=preprocessing,
        facts=run_facts(recipe, parts),
    )
    store(folder, model, policy=DecisionPolicy(), card=title)
    draft = load_checkpoint(folder)

    def answers(cells: CellSet) -> LabelledPredictions:
        return predictions_of(draft, cells, device, batch=recipe.run.eval_batch)

    measured = calibrate(recipe, parts, answers)
    judged = answers(parts.selection if parts.test is None else parts.test)
    policy: DecisionPolicy | Calibration
    policy, known = measured or (_uncalibrated(judged), None)
    store(folder, model, policy=policy, card=title, familiarity=known)
    name = VALIDATION if parts.test is None else TEST
    results = evaluate_predictions(load_checkpoint(folder), judged, name)
    card = card_of(recipe, policy, parts, results, trained_share(counts))
    store(folder, model, policy=policy, card=card, familiarity=known)
    folders = [folder]
    if kept is not None:
        own = describe_backbone(base, recipe.backbone.revision or None)
        folders.append(out / ADAPTER)
        store(folders[1], kept, policy=policy, card=card, familiarity=known, base=own)
    if measured and bfloat16_is_faster(device):
        _calibrate_in_bfloat16(recipe, parts, folders, device)
    write_json(out / "metrics.json", results)
    return results


def _calibrate_in_bfloat16(
    recipe: FinetuneRecipe, parts: Parts, folders: list[Path], device: str
) -> None:
    """Add thresholds for bfloat16, without which the plugin is slower here.

    The first folder holds the merged weights; the others are calibrated as it is.
    """
    # it calibrates fine-tuned checkpoints too, by what stands above
    from napari_cytodino.training.evaluation import add_type

    dtype, plan = "bfloat16", recipe.run
    near = load_checkpoint(folders[0]).for_dtype(dtype)
    assert parts.calibration is not None
    said = (
        predictions_of(near, parts.selection, device, batch=plan.eval_batch),
        predictions_of(near, parts.calibration, device, batch=plan.eval_batch),
    )
    for folder in folders:
        add_type(load_checkpoint(folder), dtype, said, recipe.calibration, folder)


def _uncalibrated(watched: LabelledPredictions) -> DecisionPolicy:
    """Return default thresholds: the published protocol keeps no cells for others."""
    return DecisionPolicy(fit_temperature(watched.logits, watched.targets))


def run_facts(recipe: FinetuneRecipe, parts: Parts) -> dict[str, Any]:
    """Return what a checkpoint tells of its run."""
    return {
        "recipe": recipe.name,
        "split_sha256": parts.split_sha256,
        "n": {name: len(cells) for name, cells in parts.kept_apart().items()},
    }


def card_of(
    recipe: FinetuneRecipe,
    policy: DecisionPolicy | Calibration,
    parts: Parts,
    results: dict[str, Any],
    learnt: str,
) -> str:
    """Return the model card of a fine-tuned checkpoint."""
    folder = resources.files("napari_cytodino.training.evaluation")
    template = Template((folder / "finetune_card.md").read_text(encoding="utf-8"))
    cells = {"train": parts.train} | parts.kept_apart()
    source = recipe.backbone.source or "a backbone with RANDOM weights"
    return template.substitute(
        title=recipe.title,
        name=recipe.name,
        backbone=source,
        learnt=learnt,
        rank=recipe.lora.rank,
        alpha=recipe.lora.alpha,
        head_layers=recipe.head.layers,
        size=recipe.size,
        field=recipe.field_of_view,
        loss=recipe.loss.variant,
        protocol=recipe.data.protocol,
        counts=", ".join(f"{len(c)} {name}" for name, c in cells.items()),
        drawn="SYNTHETIC cells drawn in code. " if recipe.data.synthetic else "",
        figures=f"{BEGIN}\n\n{figures_block(results)}\n\n{END}",
        decisions=(
            decisions_block(policy)
            if isinstance(policy, Calibration)
            else UNTUNED.format(policy.temperature)
        ),
        split=f"Split sha256 `{parts.split_sha256}`." if parts.split_sha256 else "",
        limits="\n".join(f"- {line}" for line in recipe.limits),
    )
