"""Drawn cells as laboratories hand them in, and the tiny checkpoint to teach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.images.source import read_image
from napari_cytodino.review.image_fingerprint import fingerprint_pixels
from napari_cytodino.review.location import SUFFIX
from napari_cytodino.review.log import ReviewLog
from napari_cytodino.synthetic.smear import synthetic_crops

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_cytodino.cells.cells import Cells
    from napari_cytodino.checkpoints.checkpoint import Checkpoint
    from napari_cytodino.synthetic.smear import Smear

FIELD = 80


@pytest.fixture(scope="session")
def tiny(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="session")
def drawn(tiny: Checkpoint) -> tuple[Any, list[str]]:
    """Return six cells of each of three classes, class after class."""
    return synthetic_crops(tiny.taxonomy.codes[3:6], 6, size=FIELD, seed=2)


@pytest.fixture
def class_folders(tmp_path: Path, drawn: tuple[Any, list[str]]) -> Path:
    """Return a folder with a folder of each class."""
    folder = tmp_path / "cells"
    for number, (pixels, code) in enumerate(zip(*drawn, strict=True)):
        (folder / code).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / code / f"{number:02d}.png")
    return folder


@pytest.fixture
def write_table(tmp_path: Path, drawn: tuple[Any, list[str]]) -> Callable[..., Path]:
    """Return what writes the cells beside a CSV of ``Image Path,Label``."""

    def write(codes: list[str] | None = None, **columns: list[str]) -> Path:
        given = codes or drawn[1]
        folder = tmp_path / "listed"
        folder.mkdir()
        lines = [",".join(["Image Path", "Label", *columns])]
        for number, code in enumerate(given):
            Image.fromarray(drawn[0][number]).save(folder / f"{number:02d}.png")
            more = [values[number] for values in columns.values()]
            lines.append(",".join([f"{number:02d}.png", code, *more]))
        (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder / "labels.csv"

    return write


@pytest.fixture
def write_record(smear: Smear) -> Callable[..., Path]:
    """Return what writes a field of cells, and beside it what readers said of them."""

    def write(
        folder: Path, cells: Cells, *said: dict[int, str], name: str = "field"
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / f"{name}.png"
        Image.fromarray(np.asarray(smear.image)).save(picture)
        image = fingerprint_pixels(read_image(picture))
        with ReviewLog.open(folder / f"{name}{SUFFIX}", image=image) as log:
            log.attach(cells)
            for number, verdicts in enumerate(said):
                reader = f"Reader {number}"
                log.record([*verdicts], [*verdicts.values()], reviewer=reader)
        return folder / f"{name}{SUFFIX}"

    return write
