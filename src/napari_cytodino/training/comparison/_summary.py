"""What a comparison found: mean and spread of each method, published figures beside."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import (
    RESEARCH_USE,
    InputError,
    atomic_write,
    versions,
    write_json,
)
from napari_cytodino.training.comparison._published import (
    NOT_RUN,
    UNKNOWN,
    as_markdown,
    mean_and_spread,
    published,
)
from napari_cytodino.training.metrics import (
    LEAST_SUPPORT,
    TABLE_SCORES,
    confusion,
    rates,
)
from napari_cytodino.training.recipes import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.training.comparison._published import PublishedResult
    from napari_cytodino.training.comparison.methods import Method
    from napari_cytodino.training.finetuning import Parts
    from napari_cytodino.training.recipes import FinetuneRecipe


RUNS, METRICS = "runs", "metrics.json"
"""Folder of a comparison with a folder for each method and seed; what each leaves."""

SCORES = {
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1, all classes",
    "macro_f1_supported": f"macro F1, at least {LEAST_SUPPORT} images",
    "balanced_accuracy": "balanced accuracy",
    "critical_error_rate": "critical-error rate",
}
"""Keys of `scores.TABLE_SCORES` and `lineage_metrics.rates`, and titles of columns."""


def scores_of(
    targets: NDArray[np.int64], guesses: NDArray[np.int64], taxonomy: Taxonomy
) -> dict[str, Any]:
    """Return the scores of one run, None where one is not defined, and its confusion.

    Parameters
    ----------
    targets, guesses : NDArray[np.int64]
        (N,) class indices of the judged cells.
    taxonomy : Taxonomy
        C classes; some may have no such cell.
    """
    table = confusion(targets, guesses, len(taxonomy))
    shares = {rate.key: rate.share(table) for rate in rates(taxonomy)}
    found = {
        key: shares[key] if key in shares else TABLE_SCORES[key][2](table)
        for key in SCORES
    }
    return {
        "n": len(targets),
        "scores": {k: v if math.isfinite(v) else None for k, v in found.items()},
        "codes": list(taxonomy.codes),
        "confusion": table.tolist(),
    }


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Return mean, sample standard deviation (n - 1) and number of the values.

    One value has no spread; where one is not defined, none is.
    """
    known = [v for v in values if v is not None]
    return {
        "mean": fmean(known) if known else None,
        "sd": stdev(known) if len(known) > 1 else None,
        "n": len(known),
        "values": list(values),
    }


def read_runs(out: Path, method: Method) -> list[dict[str, Any]]:
    """Return what each finished run of a method left, by seed.

    Raises
    ------
    InputError
        When one cannot be read.
    """
    found = []
    for path in (out / RUNS / method.name).glob(f"seed-*/{METRICS}"):
        try:
            found.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} cannot be read ({error}): remove it to have that run anew."
            ) from error
    return sorted(found, key=lambda run: run["seed"])


def protocol_of(recipe: FinetuneRecipe, parts: Parts) -> str:
    """Say on which cells all methods were scored."""
    protocol = PROTOCOLS[recipe.data.protocol]
    drawn = "SYNTHETIC cells; " if recipe.data.synthetic else ""
    return f"{drawn}{protocol.result}, n = {len(parts.judged):,}, one split for all"


def shared(recipe: FinetuneRecipe, parts: Parts) -> list[str]:
    """Say what all methods have in common."""
    counts = {"train": parts.train} | parts.kept_apart()
    plan, draws = recipe.run, recipe.sampling
    chosen = (
        "The best epoch is chosen by macro F1 on calibration-a; nothing is chosen on "
        "the test part."
        if parts.test is not None
        else "The best epoch is chosen by macro F1 on the very cells that are scored, "
        "as published: figures of methods that train are too high."
    )
    cells = ", ".join(f"{len(own):,} {name}" for name, own in counts.items())
    split = f" Split sha256 {parts.split_sha256}." if parts.split_sha256 else ""
    return [
        f"Cells: {cells}.{split}",
        chosen,
        f"Methods that train: at most {plan.epochs} epochs, {plan.patience} without a "
        f"better one; an epoch has {draws.multiplier} times the training part, every "
        f"cell once and more of rare classes (power {draws.power:g}), whatever the "
        "loss; the recipe's augmentations, schedule, weight decay and clipping.",
        f"All: {recipe.size} px, normalised with mean {recipe.mean} and standard "
        f"deviation {recipe.std}.",
        "After ± is the standard deviation over seeds (n - 1). Seeds change weights, "
        "order, augmentation and dropout, not the split: the spread says nothing of "
        "other cells.",
    ]


def _method(
    method: Method, runs: list[dict[str, Any]], recipe: FinetuneRecipe
) -> dict[str, Any]:
    return {
        "name": method.name,
        "title": method.title,
        "seeds": [run["seed"] for run in runs],
        "by_chance": method.by_chance,
        "starts_from": runs[0]["starts_from"] if runs else None,
        "differs": method.differs(recipe),
        "scores": {key: spread([run["scores"][key] for run in runs]) for key in SCORES},
    }


def gather(
    out: Path, known: Sequence[Method], recipe: FinetuneRecipe, parts: Parts
) -> dict[str, Any]:
    """Return all that a comparison found so far, as plain values.

    Own scores are shares from 0 to 1, published ones per cent as they were printed.
    """
    return {
        "schema": 1,
        "notice": RESEARCH_USE,
        "recipe": asdict(recipe),
        "versions": versions(),
        "split_sha256": parts.split_sha256,
        "protocol": protocol_of(recipe, parts),
        "shared": shared(recipe, parts),
        "methods": [
            _method(method, read_runs(out, method), recipe) for method in known
        ],
        "published": [asdict(w) | {"run": NOT_RUN} for w in published()],
    }


def _row(method: Mapping[str, Any], protocol: str) -> dict[str, str]:
    """Return a method's line of the table a person reads, in per cent."""
    ran = bool(method["seeds"])
    cells = {
        title: mean_and_spread(method["scores"][key]["values"])
        for key, title in SCORES.items()
    }
    return {
        "method": method["title"],
        **cells,
        "run": "here" if ran else NOT_RUN,
        "starts from": method["starts_from"] or UNKNOWN,
        "protocol": protocol if ran else UNKNOWN,
        "source": _seeds(method) if ran else UNKNOWN,
    }


def _seeds(method: Mapping[str, Any]) -> str:
    if not method["by_chance"]:
        return "once, nothing in it is by chance"
    return f"seeds {', '.join(map(str, method['seeds']))}"


def _published_row(work: PublishedResult) -> dict[str, str]:
    return {
        "method": f"{work.name} ({work.reference})",
        **{
            title: work.shown(key) if hasattr(work, key) else UNKNOWN
            for key, title in SCORES.items()
        },
        "run": NOT_RUN,
        "starts from": UNKNOWN,
        "protocol": work.protocol,
        "source": work.source,
    }


def as_page(found: Mapping[str, Any]) -> str:
    """Return the comparison as Markdown: table, what is shared, what differs.

    Parameters
    ----------
    found : mapping
        From `comparison.gather`.
    """
    rows = [_row(method, found["protocol"]) for method in found["methods"]]
    rows += [_published_row(work) for work in published()]
    notes = [f"- {note}" for note in found["shared"]]
    differ = [f"- {m['title']}: {m['differs']}" for m in found["methods"]]
    return "\n".join(
        [
            f"# Comparison, recipe {found['recipe']['name']}",
            "",
            "Scores in per cent. Figures under different protocols are not comparable.",
            "",
            as_markdown(rows),
            "",
            "The same for all methods run here:",
            "",
            *notes,
            "",
            "What differs:",
            "",
            *differ,
            "",
            found["notice"],
        ]
    )


def as_lines(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the comparison as rows of numbers from 0 to 1, one a method or work."""
    lines = []
    for method in found["methods"]:
        line: dict[str, Any] = {"method": method["title"], "name": method["name"]}
        for key in SCORES:
            score = method["scores"][key]
            line |= {key: score["mean"], f"{key}_sd": score["sd"]}
        ran = bool(method["seeds"])
        line |= {"seeds": len(method["seeds"]), "run": "here" if ran else NOT_RUN}
        line |= {"protocol": found["protocol"] if ran else ""}
        lines.append(line | {"source": "", "starts_from": method["starts_from"]})
    for work in published():
        line = {"method": f"{work.name} ({work.reference})", "name": ""}
        for key in SCORES:
            value = getattr(work, key, None)
            line |= {key: None if value is None else value / 100, f"{key}_sd": None}
        line |= {"seeds": None, "run": NOT_RUN, "protocol": work.protocol}
        lines.append(line | {"source": work.source, "starts_from": None})
    return lines


def write_tables(out: Path, found: Mapping[str, Any]) -> str:
    """Write ``comparison.json``, ``.csv`` and ``.md``; return the last.

    Parameters
    ----------
    out : Path
        Folder; files of these names are replaced, each whole.
    found : mapping
        From `comparison.gather`.
    """
    page, lines = as_page(found), as_lines(found)
    write_json(out / "comparison.json", found)
    with atomic_write(out / "comparison.md") as part:
        part.write_text(page + "\n", encoding="utf-8")
    with (
        atomic_write(out / "comparison.csv") as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return page
