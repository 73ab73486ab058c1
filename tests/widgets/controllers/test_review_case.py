"""Finding the record of an image, and opening it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.images.source import ImageSource
from napari_cytodino.review.location import SUFFIX
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.widgets.controllers._review_case import NO_CELLS, look_for

if TYPE_CHECKING:
    from pathlib import Path


def test_an_image_without_a_record(tmp_path: Path) -> None:
    image = ImageSource(np.full((90, 70, 3), 7, np.uint8))
    path = tmp_path / "smear.png"
    found = look_for(image, path)
    assert found.place.path == tmp_path / f"smear{SUFFIX}"
    assert found.readers == ()
    assert not found.place.path.exists(), "looking makes no file"


def test_an_earlier_record_is_found_by_its_pixels(tmp_path: Path, smear: Any) -> None:
    from napari_cytodino.cells.cells import cells_from_labels

    source, path = ImageSource(smear.image), tmp_path / "smear.png"
    first = look_for(source, path)
    with ReviewLog.open(first.place.path, image=first.image) as log:
        log.attach(cells_from_labels(smear.labels))
        log.record([0, 3], "BLA", reviewer="AM")
    found = look_for(source, path)
    assert (found.readers, found.verdicts) == (("AM",), 2)
    assert found.last.startswith("20")
    changed = smear.image.copy()
    changed[:60, :60] = 0
    assert look_for(ImageSource(changed), path).readers == ()


def test_what_is_missing_is_told(bench: Any, told: list[str]) -> None:
    bench.controller.case.open("AM")
    assert told[-1] == NO_CELLS
    bench.controller.case.open(" ")
    assert "need a name" in told[-1]
    assert bench.controller.case.offer == ""


def test_a_case_is_looked_for_once_cells_are_classified(
    chosen: Any, qtbot: Any
) -> None:
    heard: list[int] = []
    case = chosen.controller.case
    case.offered.connect(lambda: heard.append(1))
    chosen.classify()
    qtbot.waitUntil(lambda: bool(heard), timeout=10_000)
    case.open("AM", case="M-7")
    log = chosen.controller.review.log
    assert log.case == "M-7"
    assert "no file" in case.place_note
    chosen.controller.review.accept([0])
    chosen.controller.review.stop()
    chosen.classify()
    qtbot.waitUntil(lambda: "read before, by AM" in case.offer, timeout=10_000)
