"""The end of fine-tuning: the best model merged, calibrated, judged and described."""

from __future__ import annotations

import copy
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_cytodino.core.adapter import merge_lora
from napari_cytodino.core.backbone import describe_backbone
from napari_cytodino.core.checkpoint import (
    Preprocessing,
    load_checkpoint,
    save_checkpoint,
)
from napari_cytodino.core.checkpoint_files import write_json
from napari_cytodino.core.decisions import DecisionPolicy
from napari_cytodino.core.inference import preprocess
from napari_cytodino.training.calibration import choose_policy, fit_temperature
from napari_cytodino.training.card import BEGIN, END, figures_block
from napari_cytodino.training.evaluation import by_source
from napari_cytodino.training.finetune_data import CellDataset
from napari_cytodino.training.finetune_model import parameter_counts, trained_share

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from peft import PeftModel

    from napari_cytodino.core.checkpoint import Checkpoint
    from napari_cytodino.training.finetune_config import FinetuneRecipe
    from napari_cytodino.training.finetune_data import CellSet
    from napari_cytodino.training.finetune_parts import Parts

VALIDATION = "validation, best epoch"
"""What figures of the published protocol are: of the cells that chose the epoch."""

TEST = "test"
"""Figures of cells that nothing was chosen on."""

ADAPTER = "adapter"
"""Folder with adapter and head alone, to pass on where the base may not be."""

TUNED = "temperature on calibration-a, thresholds tuned on calibration-b"
UNTUNED = "temperature on the validation part; thresholds are defaults, not tuned"


def stored_logits(
    checkpoint: Checkpoint,
    cells: CellSet,
    device: str = "cpu",
    batch: int = 32,
    workers: int = 0,
) -> NDArray[np.float32]:
    """Return logits (N, C) of the stored weights in float32, read cell by cell.

    Parameters
    ----------
    checkpoint : Checkpoint
        Gives weights and preprocessing, as for inference.
    cells : CellSet
        Any number: only a batch is in memory at once.
    device : str
        Where to compute.
    batch, workers : int
        Cells at once; processes that decode.
    """
    model = checkpoint.model().to(device)
    loader = torch.utils.data.DataLoader(
        CellDataset(cells), batch_size=batch, num_workers=workers
    )
    answers = []
    with torch.inference_mode():
        for item in loader:
            pixels = preprocess(item["pixels"].numpy(), checkpoint, device)
            answers.append(model.embed(pixels)[0].cpu().numpy())
    return np.concatenate(answers)


def judge(
    checkpoint: Checkpoint, logits: NDArray[np.float32], cells: CellSet, name: str
) -> dict[str, Any]:
    """Return the figures of each source under the name of what was judged."""
    return {name: by_source(checkpoint, logits, cells.targets, cells.sources)}


def policy_of(
    recipe: FinetuneRecipe,
    watched: tuple[NDArray[np.float32], CellSet],
    thresholds: tuple[NDArray[np.float32], CellSet] | None,
) -> DecisionPolicy:
    """Fit the temperature on the watched part, choose thresholds on another.

    Where the protocol keeps no other part, the thresholds stay at their defaults.
    """
    temperature = fit_temperature(watched[0], watched[1].targets)
    if thresholds is None:
        return DecisionPolicy(temperature=temperature)
    logits, cells = thresholds
    return choose_policy(
        logits,
        cells.targets,
        cells.sources,
        recipe.classes_in_order,
        temperature=temperature,
        accepted_error=recipe.accepted_error,
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
    taxonomy = recipe.classes_in_order
    field = float(recipe.field_of_view)
    preprocessing = Preprocessing(recipe.size, field, recipe.mean, recipe.std)
    facts = {
        "recipe": recipe.name,
        "split_sha256": parts.split_sha256,
        "n": {name: len(cells) for name, cells in parts.kept_apart().items()},
        "method": TUNED if parts.thresholds is not None else UNTUNED,
    }
    folder = out / "checkpoint"

    def store(policy: DecisionPolicy, card: str) -> Checkpoint:
        save_checkpoint(
            folder, model, taxonomy, preprocessing, policy, card, facts=facts
        )
        return load_checkpoint(folder)

    def answers(checkpoint: Checkpoint, cells: CellSet) -> NDArray[np.float32]:
        plan = recipe.run
        return stored_logits(checkpoint, cells, device, plan.eval_batch, plan.workers)

    policy, results = _calibrated(recipe, parts, store, answers)
    card = card_of(recipe, policy, parts, results, trained_share(counts))
    store(policy, card)
    if kept is not None:
        save_checkpoint(
            out / ADAPTER,
            kept,
            taxonomy,
            preprocessing,
            policy,
            card,
            facts=facts,
            base=describe_backbone(base, recipe.backbone.revision or None),
        )
    write_json(out / "metrics.json", results)
    return results


def _calibrated(
    recipe: FinetuneRecipe,
    parts: Parts,
    store: Callable[[DecisionPolicy, str], Checkpoint],
    answers: Callable[[Checkpoint, CellSet], NDArray[np.float32]],
) -> tuple[DecisionPolicy, dict[str, Any]]:
    """Return policy and figures of the stored weights."""
    draft = store(DecisionPolicy(), f"# {recipe.title}\n")
    watched = answers(draft, parts.watched)
    thresholds = parts.thresholds
    policy = policy_of(
        recipe,
        (watched, parts.watched),
        None if thresholds is None else (answers(draft, thresholds), thresholds),
    )
    judged = parts.watched if parts.test is None else parts.test
    logits = watched if parts.test is None else answers(draft, judged)
    calibrated = store(policy, f"# {recipe.title}\n")
    name = VALIDATION if parts.test is None else TEST
    return policy, judge(calibrated, logits, judged, name)


def card_of(
    recipe: FinetuneRecipe,
    policy: DecisionPolicy,
    parts: Parts,
    results: dict[str, Any],
    learnt: str,
) -> str:
    """Return the model card of a fine-tuned checkpoint."""
    folder = resources.files("napari_cytodino.training")
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
        temperature=policy.temperature,
        min_confidence=policy.min_confidence,
        min_lineage=policy.min_lineage,
        method=TUNED if parts.thresholds is not None else UNTUNED,
        split=f"Split sha256 `{parts.split_sha256}`." if parts.split_sha256 else "",
        limits="\n".join(f"- {line}" for line in recipe.limits),
    )
