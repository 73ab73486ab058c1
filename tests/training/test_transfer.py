"""Transfer: another laboratory's cells, told by probes on frozen embeddings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from napari_cytodino.core.errors import CytoDinoError
from napari_cytodino.core.synthetic import synthetic_crops
from napari_cytodino.training.splits import read_split
from napari_cytodino.training.transfer import transfer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return class folders of drawn cells, one class of which the model lacks."""
    root = tmp_path_factory.mktemp("other")
    drawn, codes = synthetic_crops(("NGS", "LYT", "EOS"), 20, size=192, seed=5)
    for i, (crop, code) in enumerate(zip(drawn, codes, strict=True)):
        (root / code).mkdir(exist_ok=True)
        Image.fromarray(crop).save(root / code / f"{i:03d}.png")
    return root


def test_probes_are_judged_on_cells_they_did_not_learn(
    smoke_run: Path, cells: Path, tmp_path: Path
) -> None:
    page = transfer(str(smoke_run / "checkpoint"), cells, tmp_path)
    facts = json.loads((tmp_path / "transfer.json").read_text("utf-8"))
    parts = list(read_split(tmp_path / "split.csv").values())
    tested = parts.count("test")
    assert len(parts) == 60
    assert f"{60 - tested} cells outside the test part" in page
    assert f"judged on its {tested}." in page
    assert len(facts["results"]) == 3
    for found in facts["results"].values():
        # the checkpoint's own three classes are not these
        assert (found["n"], found["classes"]) == (tested, 3)
        assert found["macro_f1_low"] <= found["macro_f1"] <= found["macro_f1_high"]
    assert (tmp_path / "transfer.md").read_text("utf-8") == page + "\n"
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    again = transfer(str(smoke_run / "checkpoint"), cells, tmp_path)
    assert again == page


def test_cells_of_no_known_class_are_named(
    smoke_run: Path, tmp_path: Path, cells: Path
) -> None:
    odd = tmp_path / "odd"
    (odd / "XYZ").mkdir(parents=True)
    Image.new("RGB", (192, 192)).save(odd / "XYZ" / "1.png")
    with pytest.raises(CytoDinoError, match="XYZ"):
        transfer(str(smoke_run / "checkpoint"), odd, tmp_path / "out")
