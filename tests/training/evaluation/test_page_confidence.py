"""The sections on doubt: every number there, and no promise where there is none."""

from __future__ import annotations

import copy
import re
from dataclasses import asdict
from html import unescape
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.stats.fixed_sequence import curve_of
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.evaluation._page import render
from napari_cytodino.training.evaluation.report import About
from napari_cytodino.training.metrics.scores import all_scores
from napari_cytodino.uncertainty.calibration import MissedCritical
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.labelled import LabelledPredictions, OodCells
from napari_cytodino.uncertainty.predictions import as_predictions
from napari_cytodino.uncertainty.probabilities import class_probabilities

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cytodino.uncertainty.calibration import Calibration

MLL = Taxonomy.load("mll21")
EVIL = "<script>red & blue</script>"


def some_cells(n: int = 300, sources: int = 2) -> LabelledPredictions:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 21, n)
    logits = rng.standard_normal((n, 21)).astype(np.float32)
    logits[np.arange(n), targets] += rng.uniform(1, 9, n)
    names = np.array(["east", "west"])[np.arange(n) % sources]
    unlike = rng.random(n).astype(np.float32) * 1.1
    return LabelledPredictions(targets, logits, names, unfamiliarity=unlike)


CELLS = some_cells()
OTHERS = {EVIL: OodCells(np.float32([0.5, 2.5]), CELLS.logits[:2], "seen from afar")}


@pytest.fixture(scope="module")
def made(make_calibration: Callable[..., Calibration]) -> Calibration:
    """Return a calibration on the cells that are judged, with a promise not kept."""
    e = class_probabilities(as_predictions(CELLS.logits), MLL, 1.0)
    lineage = MLL.lineage_index[CELLS.targets]
    return make_calibration(
        MLL,
        temperature=1.0,
        risk=0.1,
        curve=curve_of(e.confidence, e.best != CELLS.targets),
        lineage_curve=curve_of(e.lineage_share, e.lineage != lineage),
        missed=MissedCritical(90, 1, 0.01, 0.06),
        max_critical=1.0,
    )


@pytest.fixture(scope="module")
def found(made: Calibration) -> Any:
    return all_scores(CELLS, MLL, made.policy(), calibration=made, ood_cells=OTHERS)


def text_of(found: Any) -> str:
    """Return the text of the sections from "Confidence" to the figures."""
    about = {**asdict(About("A try", "demo", "ab" * 32, "by image")), "taxonomy": ""}
    html = render({"notice": "", "about": about, **found}, MLL, [])
    assert "<script" not in html
    html = html.partition("<h2>Confidence</h2>")[2].partition("<h2>Figures</h2>")[0]
    assert html
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


def test_every_measure_is_there_with_its_meaning(found: Any) -> None:
    text = text_of(found)
    for row in found["doubt"]["all"]:
        assert row["title"] in text
        assert row["definition"] in text
    for wanted in ("Clopper and Pearson", "east (n = 150)", "west (n = 150)"):
        assert wanted in text
    assert "the same by data set" in text.lower()


def test_promises_are_said_with_what_came_of_them(
    found: Any, made: Calibration
) -> None:
    text = text_of(found)
    assert made.guarantee(0.1) in text
    for row in found["guarantee"]["rows"]:
        if row["source"] == "all":
            assert row["statement"].split(" (")[0] in text
    assert "guarantees it for none" in text
    assert "1 of 90 calibration cells, so not kept at 1.0%" in text
    assert "contradict" not in text


def test_a_broken_promise_is_said_aloud(found: Any) -> None:
    broken = copy.deepcopy(found)
    broken["guarantee"]["rows"][-3]["contradicted"] = True
    assert "these cells contradict the promise" in text_of(broken)


def test_without_a_calibration_nothing_is_guaranteed() -> None:
    alone = all_scores(some_cells(60, 1), MLL, DecisionPolicy())
    text = text_of(alone)
    assert "Nothing is guaranteed." in text
    assert "The same by data set" not in text
    assert "Sets of possible classes" not in text
    lost = DecisionPolicy(uncalibrated="it was calibrated for another model")
    told = text_of(all_scores(some_cells(60, 1), MLL, lost))
    assert "Nothing is guaranteed: it was calibrated for another model." in told


def test_every_rule_is_counted(found: Any) -> None:
    text = text_of(found)
    for row in found["reasons"]:
        assert (row["reason"] or "accepted: sure enough") in text
    assert "unlike the training cells" in text


def test_sets_and_ood_cells_have_their_numbers(found: Any) -> None:
    text = text_of(found)
    assert "aimed at: 95%" in text
    whole = found["sets"]["rows"][0]
    assert f"{whole['k']} of {whole['n']}" in text
    assert EVIL in text
    assert "seen from afar" in text
    (row,) = found["unfamiliar"]["rows"]
    assert f"{row['auroc']:.3f}" in text
    assert "AUROC: chance that a cell out of distribution" in text


def test_without_unfamiliarity_nothing_is_said_of_it(made: Calibration) -> None:
    cells = some_cells(60)
    blind = LabelledPredictions(cells.targets, cells.logits, cells.sources)
    assert "Unlike the training" not in text_of(all_scores(blind, MLL, made.policy()))
    seen = text_of(all_scores(cells, MLL, made.policy()))
    assert "count as unlike the training cells" in seen
    assert "out of distribution against" not in seen
