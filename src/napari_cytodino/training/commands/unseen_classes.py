"""Cells of classes a checkpoint never saw, and how many it accepts all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.checkpoints import load_checkpoint
from napari_cytodino.common import InputError, write_json
from napari_cytodino.stats import share_of
from napari_cytodino.training.commands.origin import run_of
from napari_cytodino.training.evaluation import device_of
from napari_cytodino.uncertainty import accepted_cells

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.uncertainty import LabelledPredictions


def judge_unknown(source: str, data: Path, out: Path, *, device: str = "cpu") -> str:
    """Count accepted cells of the classes that a recipe left out.

    Parameters
    ----------
    source : str
        A checkpoint trained on some classes of its split (`Recipe.classes`).
    data : Path
        The folder the split was made from.
    out : Path
        Gets ``unknown.json`` and ``unknown.md``.
    device : str
        One of `evaluation.DEVICES`.

    Returns
    -------
    str
        A table in Markdown: cells of the test part by their true class, accepted
        without the test of unfamiliarity and with it.

    Raises
    ------
    InputError
        When the checkpoint knows every class there is, or has no such split.
    """
    kind = device_of(device)
    checkpoint = load_checkpoint(source)
    run = run_of(checkpoint, data)
    if run.every_class is None or not run.split_sha256:
        raise InputError(f"Recipe '{run.name}' has no split of real cells.")
    cells = run.every_class()
    codes = np.array([file.code for file in cells.files])
    known = np.isin(codes, checkpoint.taxonomy.codes)
    if known.all():
        raise InputError(
            f"'{checkpoint.name}' knows every class of its test part: train one with "
            "--set classes=[...] that leaves some out."
        )
    rows = _rows(checkpoint, run.predict(checkpoint, cells, kind), codes, known)
    table = _table(rows)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "unknown.json", {"checkpoint": checkpoint.sha256, "rows": rows})
    (out / "unknown.md").write_text(table + "\n", encoding="utf-8")
    return table


def _rows(
    checkpoint: Checkpoint,
    found: LabelledPredictions,
    codes: NDArray[np.str_],
    known: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    logits, unlike = found.logits, found.unfamiliarity
    taxonomy, policy = checkpoint.taxonomy, checkpoint.policy
    blind = replace(policy, max_unfamiliarity=float(np.finfo(np.float32).max))
    before = accepted_cells(logits, taxonomy, blind, unlike)
    after = accepted_cells(logits, taxonomy, policy, unlike)
    called = np.array(taxonomy.codes)[found.guesses]
    groups = [
        (
            "never seen",
            code,
            source,
            ~known & (codes == code) & (found.sources == source),
        )
        for code in np.unique(codes[~known])
        for source in np.unique(found.sources)
    ]
    groups += [
        ("all never seen", "", "", ~known),
        ("all known", "", "", known),
        ("known and rightly called", "", "", known & (called == codes)),
    ]
    return [
        {
            "cells": title,
            "code": str(code),
            "source": str(source),
            "n": int(own.sum()),
            "before": _share(before, own),
            "after": _share(after, own),
        }
        for title, code, source, own in groups
        if own.any()
    ]


def _share(taken: NDArray[np.bool_], own: NDArray[np.bool_]) -> dict[str, float]:
    found = share_of(taken, own)
    names = {"accepted": "k", "share": "value", "low": "low", "high": "high"}
    return {name: found[key] for name, key in names.items()}


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| cells | class | source | n | accepted without the test of unfamiliarity | "
        "with it (95 % interval) |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        before, after = (
            f"{s['accepted']} = {s['share']:.1%} ({s['low']:.1%} to {s['high']:.1%})"
            for s in (row["before"], row["after"])
        )
        lines.append(
            f"| {row['cells']} | {row['code']} | {row['source']} | {row['n']} | "
            f"{before} | {after} |"
        )
    return "\n".join(lines)
