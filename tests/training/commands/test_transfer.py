"""Transfer: another laboratory's cells, told by probes on frozen embeddings."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.saving import save_checkpoint
from napari_cytodino.common.errors import CytoDinoError, InputError
from napari_cytodino.synthetic.smear import synthetic_crops
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.commands.transfer import TRUSTED, UNSEEN, _seen, transfer
from napari_cytodino.training.data.inspection import inspect_files
from napari_cytodino.training.data.layouts import read_cells
from napari_cytodino.training.data.splits import (
    load_or_make_split,
    read_split,
    split_sha256,
)
from napari_cytodino.uncertainty.decisions import DecisionPolicy

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
    smoke_run: Path,
    cells: Path,
    tmp_path: Path,
    pretended_gpu: list[tuple[str, str]],
) -> None:
    page = transfer(str(smoke_run / "checkpoint"), cells, tmp_path, device="cuda")
    assert set(pretended_gpu) == {("model", "cuda"), ("pixels", "cuda")}
    assert TRUSTED in page
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


def test_cells_of_the_run_are_refused_whatever_their_names(
    smoke_run: Path, cells: Path, tmp_path: Path
) -> None:
    source, run = load_checkpoint(smoke_run / "checkpoint"), tmp_path / "run"
    taxonomy = Taxonomy.load("mll21")
    found = inspect_files(cells, read_cells(cells, taxonomy, complete=False))
    own = [f for f in found.files if f.code == "NGS"]
    run.mkdir()
    load_or_make_split(run / "split.csv", own, prints=found.prints)
    save_checkpoint(
        run / "checkpoint",
        source.model(),
        source.taxonomy,
        source.preprocessing,
        DecisionPolicy(),
        "# Some\n",
        facts={"split_sha256": split_sha256(run / "split.csv")},
    )
    other = tmp_path / "other" / "NGS"
    other.mkdir(parents=True)
    shutil.copy(cells / own[0].path, other / "renamed.png")
    shutil.copytree(cells / "LYT", other.parent / "LYT")
    with pytest.raises(InputError, match=r"1 of 21 images, such as NGS/renamed\.png"):
        transfer(str(run / "checkpoint"), other.parent, tmp_path / "out")
    shutil.rmtree(other)
    left = read_cells(other.parent, taxonomy, complete=False)
    rest = inspect_files(other.parent, left)
    checkpoint = load_checkpoint(run / "checkpoint")
    assert _seen(checkpoint, rest.prints) == UNSEEN
    # another split than the run's own says nothing
    (run / "split.csv").write_text("path,part,sha256\na,train,00\n", encoding="utf-8")
    assert _seen(checkpoint, found.prints) == TRUSTED
