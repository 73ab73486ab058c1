"""The folder an evaluation leaves: JSON, CSV, PNG and one page that holds it all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cytodino.common import RESEARCH_USE, atomic_write, versions
from napari_cytodino.exports import formula_safe
from napari_cytodino.training.evaluation import _plots as figures
from napari_cytodino.training.evaluation import _plots_confidence as doubt_figures
from napari_cytodino.training.evaluation._page import render
from napari_cytodino.training.evaluation._plots import Heading
from napari_cytodino.training.metrics import (
    all_scores,
    map_embeddings,
    map_figures,
    probabilities,
    reliability,
    risk_coverage,
)
from napari_cytodino.uncertainty import LabelledPredictions, decisions_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.uncertainty import Calibration, DecisionPolicy, OodCells


SCHEMA = 1
"""Of ``report.json``; raised when a reader of older ones would go wrong."""


@dataclass(frozen=True)
class About:
    """What was judged, and how; printed on the page and on every figure.

    Attributes
    ----------
    title : str
        Of the page.
    checkpoint, checkpoint_sha256 : str
        The model; the hash is that of its manifest.
    protocol : str
        How the test cells were kept apart, such as "image-level split, test part".
    split_sha256, data : str
        The saved split, and where the cells came from; may be empty.
    notes : tuple of str
        Anything else a reader must know.
    """

    title: str
    checkpoint: str
    checkpoint_sha256: str
    protocol: str
    split_sha256: str = ""
    data: str = ""
    notes: tuple[str, ...] = ()
    created: str = field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds")
    )
    versions: dict[str, str] = field(default_factory=versions)


@dataclass(frozen=True)
class CellViews:
    """One cell as it is (H, W, 3), and augmented as in training (K, H, W, 3)."""

    original: NDArray[np.uint8]
    views: NDArray[np.uint8]
    note: str
    """Which augmentation, and of which cell."""


@dataclass(frozen=True)
class ReportPlot:
    """A figure with its file's name, words for who cannot see it, and a caption."""

    name: str
    figure: Figure
    alt: str
    caption: str


def write_report(
    folder: Path,
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    about: About,
    *,
    views: CellViews | None = None,
    calibration: Calibration | None = None,
    ood_cells: Mapping[str, OodCells] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Write what a person reads and a paper cites; each file whole or not at all.

    ``report.html`` holds everything; ``report.json`` every number; ``summary.csv``,
    ``by_source.csv``, ``per_class.csv``, ``confusion.csv``, ``confusion_rows.csv``,
    ``doubt.csv``, ``reasons.csv``, ``risk_coverage.csv`` and ``cells.csv`` the tables,
    where there are such figures also ``guarantee.csv``, ``sets.csv`` and
    ``unfamiliar.csv``; PNG files the figures.

    Parameters
    ----------
    folder : Path
        Made where it is not there; files of the same names are replaced.
    cells : LabelledPredictions
        The predictions; with embeddings there is a map of them.
    taxonomy : Taxonomy
        In the order of the logits.
    policy : DecisionPolicy
        Temperature and thresholds of the checkpoint.
    about : About
        Written on the page and on the figures.
    views : CellViews, optional
        For the sheet of augmentations.
    calibration : Calibration, optional
        The checkpoint's; without one nothing is guaranteed.
    ood_cells : mapping, optional
        Predictions on cells out of distribution, by name; `cells` need unfamiliarity
        then.
    seed : int
        Of the bootstrap and of the map.

    Returns
    -------
    dict
        What is in ``report.json``.

    Raises
    ------
    InputError
        When the answers do not fit the taxonomy, are not finite, or the disk refuses.
    """
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "notice": RESEARCH_USE,
        "about": {**asdict(about), "notes": list(about.notes)},
        **all_scores(
            cells,
            taxonomy,
            policy,
            calibration=calibration,
            ood_cells=ood_cells,
            seed=seed,
        ),
    }
    found["about"]["taxonomy"] = taxonomy.name
    drawn = list(_drawings(found, cells, taxonomy, policy, about, seed))
    drawn += _doubt(found, cells, taxonomy, about, ood_cells or {})
    if views is not None:
        drawn.append(_sheet_of(views))
    for one in drawn:
        figures.save(one.figure, folder / f"{one.name}.png")
    frames = _frames(found, cells, taxonomy, policy)
    for name, frame in frames.items():
        with atomic_write(folder / f"{name}.csv") as temporary:
            formula_safe(frame).to_csv(temporary, index=False, lineterminator="\n")
    names = [*(f"{d.name}.png" for d in drawn), *(f"{name}.csv" for name in frames)]
    found["files"] = sorted([*names, "report.html"])
    # the numbers as a reader of the file will have them
    text = json.dumps(found, indent=2, allow_nan=False, ensure_ascii=False)
    with atomic_write(folder / "report.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    pictures = [(folder / f"{d.name}.png", d.alt, d.caption) for d in drawn]
    page = render(found, taxonomy, pictures)
    with atomic_write(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return found


def _frames(
    found: dict[str, Any],
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
) -> dict[str, pd.DataFrame]:
    """Return the tables by the name of their file."""
    chance = probabilities(cells.logits, policy.temperature)
    confidence, right = chance.max(axis=1), cells.guesses == cells.targets
    curve = risk_coverage(confidence, right)
    codes = np.array(taxonomy.codes)
    made, (low, high) = decisions_of(cells, taxonomy, policy), curve.band
    by_source = [
        {"source": source, **row}
        for source, rows in found["by_source"].items()
        for row in rows
    ]
    each = {
        "path": cells.paths or "",
        "source": cells.sources,
        "group": "" if cells.groups is None else cells.groups,
        "target": codes[cells.targets],
        "called": codes[cells.guesses],
        "confidence": confidence.round(6),
        "right": right,
        "status": made.status,
        "reason": made.reason,
        "accepted": made.status == "auto",
    }
    if cells.unfamiliarity is not None:
        each["unfamiliarity"] = cells.unfamiliarity.round(4)
    each |= {f"p_{c}": chance[:, i].round(6) for i, c in enumerate(taxonomy.codes)}
    names = ("thresholds", "accepted", "wrong", "coverage", "risk")
    risk = {name.removesuffix("s"): getattr(curve, name) for name in names}
    risk |= {"risk_low": low, "risk_high": high}
    matrix = found["confusion"]
    return {
        "summary": pd.DataFrame(found["summary"]),
        "by_source": pd.DataFrame(by_source),
        "per_class": pd.DataFrame(found["per_class"]),
        "confusion": _matrix(matrix["codes"], matrix["counts"]),
        "confusion_rows": _matrix(matrix["codes"], matrix["rows"]),
        "risk_coverage": pd.DataFrame(risk),
        "cells": pd.DataFrame(each),
        **_doubt_frames(found),
    }


def _doubt_frames(found: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the tables of doubt that are not empty."""
    tables = {
        "doubt": [
            {"source": source, **row}
            for source, rows in found["doubt"].items()
            for row in rows
        ],
        "reasons": found["reasons"],
        **{
            name: found[name]["rows"]
            for name in ("guarantee", "sets", "unfamiliar")
            if found[name] is not None
        },
    }
    return {name: pd.DataFrame(rows) for name, rows in tables.items() if rows}


def _matrix(codes: list[str], values: list[list[Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=codes)
    frame.insert(0, "true_class", codes)
    return frame


def _drawings(
    found: dict[str, Any],
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    policy: DecisionPolicy,
    about: About,
    seed: int,
) -> Iterator[ReportPlot]:
    """Draw what can be drawn of these cells, and add what is measured in doing so."""
    note = f"{about.checkpoint} · n = {len(cells):,} test cells · {about.protocol}"
    counts = np.array(found["confusion"]["counts"])
    yield ReportPlot(
        "lineages",
        figures.lineage_counts(
            counts.sum(axis=1), taxonomy, Heading("Test cells by lineage", note)
        ),
        "Bars: the test cells of every class, lineage by lineage; the table of every "
        "class has the same numbers as n.",
        "Test cells of each class, lineage by lineage, in the order of maturation.",
    )
    for name, in_cells in (("confusion", False), ("confusion_counts", True)):
        what = "in cells" if in_cells else "in per cent"
        title = f"What each class was called, {what}"
        head = Heading(title, note)
        yield ReportPlot(
            name,
            figures.confusion_figure(counts, taxonomy, head, counts=in_cells),
            f"Confusion matrix {what}: true classes in rows, calls in columns; "
            f"confusion.csv has the numbers.",
            f"{title}. Framed: critical cells called safe or not counted.",
        )
    yield from _confidence(found, cells, policy, note)
    found["embedding"] = None
    if cells.embeddings is not None and len(cells) >= 5:
        yield _map(found, cells, taxonomy, about, seed)


def _confidence(
    found: dict[str, Any], cells: LabelledPredictions, policy: DecisionPolicy, note: str
) -> Iterator[ReportPlot]:
    """Draw risk against coverage, and reliability."""
    chance = probabilities(cells.logits, policy.temperature)
    confidence, right = chance.max(axis=1), cells.guesses == cells.targets
    curve = risk_coverage(confidence, right)
    head = Heading("Fewer accepted, fewer wrong", note)
    points = found["selective"]["accepted_at"]
    guaranteed = (found["guarantee"] or {"rows": []})["rows"]
    promises = [row for row in guaranteed if row["source"] == "all"]
    reached = "; ".join(
        f"at most {100 * p['error']:g} % wrong: {100 * p['coverage']:.1f} % accepted"
        for p in points
    )
    yield ReportPlot(
        "risk_coverage",
        figures.risk_figure(curve, points, found["policy"], head, promises),
        f"Curve of errors among accepted cells against the share accepted. {reached}.",
        "Risk against coverage by confidence alone, with Clopper and Pearson's 95 % "
        "band at each point, as if cells were independent. Read off the test cells, it "
        "promises nothing for others; squares are thresholds that calibration cells "
        "gave.",
    )
    ece = found["calibration"]["ece"]
    head = Heading("Is the confidence true?", note)
    yield ReportPlot(
        "reliability",
        figures.reliability_figure(reliability(confidence, right), ece, head),
        f"Share right against confidence; calibration error {100 * ece:.1f} points.",
        "Reliability: how often cells of like confidence are right.",
    )


def _doubt(
    found: dict[str, Any],
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    about: About,
    ood_cells: Mapping[str, OodCells],
) -> Iterator[ReportPlot]:
    """Draw sets of possible classes, and unfamiliarity."""
    note = f"{about.checkpoint} · n = {len(cells):,} test cells · {about.protocol}"
    if found["sets"] is not None:
        head = Heading("Does the set hold the true class?", note)
        yield ReportPlot(
            "sets",
            doubt_figures.set_figure(found["sets"], taxonomy, head),
            "For every class, the share of its cells whose set of possible classes "
            "holds it; sets.csv has the numbers.",
            "Sets of possible classes: coverage with Clopper and Pearson's 95 % "
            "interval, cells of each class, and classes in a set on average.",
        )
    if found["unfamiliar"] is not None and cells.unfamiliarity is not None:
        others = {name: each.unfamiliarity for name, each in ood_cells.items()}
        areas = "; ".join(
            f"{r['name']}: AUROC {r['auroc']:.3f}" for r in found["unfamiliar"]["rows"]
        )
        limit, head = (
            found["unfamiliar"]["limit"],
            Heading("Familiar or out of distribution?", note),
        )
        yield ReportPlot(
            "unfamiliarity",
            doubt_figures.unfamiliarity_figure(
                cells.unfamiliarity, others, limit, head
            ),
            f"Share of cells against their distance to the training cells. {areas}",
            "How unlike the training cells test cells and others are.",
        )


def _map(
    found: dict[str, Any],
    cells: LabelledPredictions,
    taxonomy: Taxonomy,
    about: About,
    seed: int,
) -> ReportPlot:
    assert cells.embeddings is not None
    made = map_embeddings(cells.embeddings, seed=seed)
    pure = map_figures(made, cells.embeddings, cells.targets, taxonomy.lineage_index)
    found["embedding"] = pure
    size = f"n = {pure['n']:,} of {len(cells):,} test cells"
    note = f"{about.checkpoint} · {size} · {about.protocol}"
    head = Heading("Head embeddings, t-SNE", note)
    return ReportPlot(
        "embeddings",
        figures.map_figure(made, cells.targets, taxonomy, pure, head),
        "Map of cells by class and by lineage. Of the nearest cells in the embedding "
        f"{100 * pure['purity_class']:.1f} % are of the same class and "
        f"{100 * pure['purity_lineage']:.1f} % of the same lineage.",
        f"Distances between groups mean nothing. Purity: {pure['definition']}; {size}.",
    )


def _sheet_of(views: CellViews) -> ReportPlot:
    head = Heading("One cell as training sees it", views.note)
    return ReportPlot(
        "augmentations",
        figures.views_figure(views.original, views.views, head),
        f"One cell as it is and {len(views.views)} augmented views of it.",
        f"Augmentations: {views.note}",
    )
