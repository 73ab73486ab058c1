"""The session: choices, generations, late answers, partial results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_cytodino.cells.cells import cells_from_points
from napari_cytodino.checkpoints.calibration_file import no_thresholds
from napari_cytodino.common.errors import InputError
from napari_cytodino.finding.sizes import PixelSize
from napari_cytodino.images.source import ImageSource
from napari_cytodino.uncertainty.decisions import UNREACHABLE
from napari_cytodino.uncertainty.predictions import PredictionBatch
from napari_cytodino.uncertainty.probabilities import class_probabilities
from napari_cytodino.widgets.session.messages import CellsReading
from napari_cytodino.widgets.session.session import Session


@pytest.fixture
def session(demo: Any) -> Session:
    made = Session()
    made.open_checkpoint(demo)
    spots = np.array([[20.0, 20.0], [50.0, 50.0], [80.0, 20.0]])
    cells = cells_from_points(spots, (100, 100), diameter=10)
    source = ImageSource(np.zeros((100, 100, 3), np.uint8))
    made.set_cells(CellsReading(cells, source))
    return made


def batch(*rows: int) -> PredictionBatch:
    logits = np.zeros((len(rows), 21), np.float32)
    logits[:, 3] = 4
    return PredictionBatch(
        np.array(rows),
        logits,
        np.zeros((len(rows), 4), np.float16),
        np.ones(len(rows), bool),
    )


def test_answers_of_this_generation_fill_the_table(session: Session) -> None:
    heard: list[int] = []
    session.results.connect(lambda: heard.append(len(session.table)))
    assert session.add_predictions(session.generation, [batch(2, 0)])
    assert session.table["label"].tolist() == [1, 3]
    assert session.partial
    assert session.add_predictions(session.generation, [batch(1)])
    assert session.table["label"].tolist() == [1, 2, 3]
    assert not session.partial
    assert heard == [2, 3]


def test_late_answers_are_dropped(session: Session) -> None:
    asked = session.generation
    words: list[str] = []
    session.message.connect(words.append)
    session.invalidate("Layer 'cells' changed.")
    assert not session.add_predictions(asked, [batch(0)])
    assert len(session.table) == 0
    assert words == ["Layer 'cells' changed."]
    assert session.stale == "Layer 'cells' changed."


@pytest.mark.parametrize("name", ["image", "cells_layer", "channel_axis"])
def test_another_input_forgets_the_cells(session: Session, name: str) -> None:
    session.add_predictions(session.generation, [batch(0)])
    before = session.generation
    session.choose(**{name: 1})
    assert session.generation > before
    assert session.cells is None
    assert len(session.table) == 0


def test_wishes_for_the_next_search_change_nothing_yet(session: Session) -> None:
    session.add_predictions(session.generation, [batch(0)])
    before = session.generation
    session.choose(cell_size=80.0, sensitivity=0.3)
    assert session.generation == before
    assert len(session.table) == 1
    assert not session.stale


def test_another_image_has_sizes_of_its_own(session: Session) -> None:
    session.choose(cell_size=80.0, sensitivity=0.3)
    session.learn_pixel_size(PixelSize(0.1, 0.1, 0.1))
    session.choose(cells_layer=1)
    assert session.cell_size == 80
    session.choose(image=1)
    assert session.cell_size is None
    assert session.pixel_size is None
    assert session.sensitivity == 0.3


def test_crops_follow_the_size_of_a_pixel(session: Session, demo: Any) -> None:
    heard: list[int] = []
    session.chosen.connect(lambda: heard.append(session.crop_side()))
    own = replace(demo.preprocessing, field_of_view=200.0, microns_per_pixel=0.1)
    session.open_checkpoint(replace(demo, preprocessing=own))
    for microns in (0.05, 0.05, 0.2, 2.0e9):
        session.learn_pixel_size(PixelSize(microns, microns, microns))
    assert heard == [200, 400, 100, 200], "what cannot be cut is not shown"
    session.choose(field_of_view=90.0)
    assert heard[-1] == 90


def test_another_checkpoint_forgets_answers_but_not_cells(session: Session) -> None:
    session.add_predictions(session.generation, [batch(0)])
    session.choose(checkpoint="starter")
    assert session.predictions is None
    assert session.cells_count == 3


def test_another_field_of_view_makes_results_stale(session: Session) -> None:
    session.add_predictions(session.generation, [batch(0)])
    session.choose(field_of_view=90.0)
    assert "field of view" in session.stale
    assert session.crop_side() == 90


def test_unknown_choice_is_an_error(session: Session) -> None:
    with pytest.raises(TypeError, match="colour"):
        session.choose(colour="red")


def test_clicked_cells_follow_with_labels_of_their_own(session: Session) -> None:
    assert session.cells is not None
    session.add_predictions(session.generation, [batch(0, 1, 2)])
    row = session.add_cell(session.cells.take(np.array([0])))
    assert row == 3
    assert session.cells.label.tolist() == [1, 2, 3, 4]
    assert session.clicked is not None
    assert len(session.table) == 3
    session.add_predictions(session.generation, [batch(3)])
    assert session.table["label"].tolist() == [1, 2, 3, 4]
    assert session.reading is not None
    session.set_cells(session.reading)
    assert session.cells_count == 4, "a new run keeps what was clicked"


def test_own_threshold_replaces_the_policy_and_its_promise(session: Session) -> None:
    session.add_predictions(session.generation, [batch(0)])
    assert session.table["status"].tolist() == ["auto"]
    session.set_min_confidence(1.0)
    assert session.table["status"].tolist() != ["auto"]
    assert session.policy is not None
    assert session.policy.guarantee == ""


def test_another_risk_takes_other_thresholds(session: Session, calibrated: Any) -> None:
    assert session.opened is not None
    session.open_checkpoint(calibrated(session.opened))
    heard: list[str] = []
    session.decided.connect(lambda: heard.append("decided"))
    own = session.policy
    session.set_risk(0.05)
    assert session.policy.min_confidence < own.min_confidence
    assert "95" in session.policy.guarantee
    session.set_risk(0.001)
    assert session.policy.min_confidence == UNREACHABLE
    assert session.policy.guarantee == ""
    session.set_risk(None)
    assert session.policy == own
    assert heard == ["decided"] * 3
    with pytest.raises(InputError, match=r"risk is 0\.3, but must be one of 0\.001"):
        session.set_risk(0.3)


def test_moving_thresholds_weighs_nothing_anew(
    session: Session, calibrated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighed: list[int] = []

    def count(*args: Any) -> Any:
        weighed.append(1)
        return class_probabilities(*args)

    monkeypatch.setattr(
        "napari_cytodino.widgets.session._evidence.class_probabilities", count
    )
    session.open_checkpoint(calibrated(session.opened))
    assert session.probabilities is None
    session.add_predictions(session.generation, [batch(0, 1)])
    for risk in (0.1, 0.001, None):
        session.set_risk(risk)
    assert len(weighed) == 1
    session.add_predictions(session.generation, [batch(2)])
    assert session.probabilities.known.all()
    assert len(weighed) == 2, "other answers are other evidence"


def test_own_threshold_overrules_a_checkpoint_that_is_not_calibrated(
    session: Session,
) -> None:
    policy = no_thresholds(1.0, "it was calibrated for other classes")
    session.open_checkpoint(replace(session.opened, sha256="x", policy=policy))
    session.add_predictions(session.generation, [batch(0)])
    assert session.table["status"].tolist() == ["review"]
    session.set_min_confidence(0.5)
    assert session.table["status"].tolist() == ["auto"]
    assert session.policy.uncalibrated == ""
    session.set_min_confidence(0)
    assert session.table["status"].tolist() == ["review"]


def test_display_and_selection_are_announced(session: Session) -> None:
    heard: list[str] = []
    session.display.connect(lambda: heard.append(session.mode))
    session.selected.connect(lambda: heard.append(str(session.selected_row)))
    session.show(mode="lineage")
    session.select(1)
    assert heard == ["lineage", "1"]


def test_session_imports_no_qt() -> None:
    import subprocess
    import sys

    code = (
        "import sys, napari_cytodino.widgets.session.session;"
        "sys.exit(any(m in sys.modules for m in ('qtpy', 'PyQt6', 'napari', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
