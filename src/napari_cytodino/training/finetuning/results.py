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
from napari_cytodino.training.evaluation import (
    BEGIN,
    END,
    add_type,
    decisions_block,
    figures_block,
    figures_with,
)
from napari_cytodino.training.finetuning.model import parameter_counts, trained_share
from napari_cytodino.training.finetuning.parts import run_of
from napari_cytodino.uncertainty import Calibration, DecisionPolicy, fit_temperature

if TYPE_CHECKING:
    from pathlib import Path

    from peft import PeftModel

    from napari_cytodino.training.evaluation import Run
    from napari_cytodino.training.finetuning.parts import Parts
    from napari_cytodino.training.recipes import FinetuneRecipe
    from napari_cytodino.uncertainty import LabelledPredictions, NoveltyDetector


ADAPTER = "adapter"
"""Folder with adapter and head alone, to pass on where the base may not be."""

UNTUNED = (
    "Temperature {}, fitted on the validation part. Thresholds are defaults; nothing "
    "was kept apart to calibrate them on: no guarantee."
)
"""Said of the published protocol."""


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
    run, side = run_of(recipe, parts), float(recipe.field_of_view)
    preprocessing = Preprocessing(recipe.size, side, recipe.mean, recipe.std)
    folder = out / "checkpoint"
    store = partial(
        save_checkpoint,
        taxonomy=run.taxonomy,
        preprocessing=preprocessing,
        facts=run.facts(),
    )
    store(folder, model, policy=DecisionPolicy(), card=f"# {recipe.title}\n")
    draft = load_checkpoint(folder)
    judged = run.judge(draft, device)
    policy: DecisionPolicy | Calibration
    known: NoveltyDetector | None
    if run.calibrates:
        policy, known = run.calibrate(draft, device)
    else:
        policy, known = _uncalibrated(judged[run.protocol]), None
    results = figures_with(draft, judged, policy, known)
    card = card_of(recipe, policy, parts, results, trained_share(counts))
    store(folder, model, policy=policy, card=card, familiarity=known)
    folders = [folder]
    if kept is not None:
        own = describe_backbone(base, recipe.backbone.revision or None)
        folders.append(out / ADAPTER)
        store(folders[1], kept, policy=policy, card=card, familiarity=known, base=own)
    if run.calibrates and bfloat16_is_faster(device):
        _calibrate_in_bfloat16(run, folders, device)
    write_json(out / "metrics.json", results)
    return results


def _calibrate_in_bfloat16(run: Run, folders: list[Path], device: str) -> None:
    """Add thresholds for bfloat16, without which the plugin is slower here.

    The first folder holds the merged weights; the others are calibrated as it is.
    """
    dtype = "bfloat16"
    near = load_checkpoint(folders[0]).for_dtype(dtype)
    answered = run.calibration_parts(near, device)
    for folder in folders:
        add_type(load_checkpoint(folder), dtype, answered, run.aims, folder)


def _uncalibrated(watched: LabelledPredictions) -> DecisionPolicy:
    """Return default thresholds: the published protocol keeps no cells for others."""
    return DecisionPolicy(fit_temperature(watched.logits, watched.targets))


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
