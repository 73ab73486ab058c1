"""Other locales and time zones, clocks, paths, and a torchvision that does not fit."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_cytodino.common.errors import CytoDinoError
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.exports.tables import SUFFIXES, export
from napari_cytodino.review import log as reviews
from napari_cytodino.review.log import ReviewLog

PACKAGES = {".xlsx": "openpyxl", ".parquet": "pyarrow", ".h5ad": "anndata"}

EXPORT = """
import hashlib, json, locale, pickle, re, sys, zipfile
from pathlib import Path
for name in ("", "de_DE.UTF-8", "tr_TR.UTF-8"):
    try:
        locale.setlocale(locale.LC_ALL, name)
        break
    except locale.Error:
        pass
from napari_cytodino.case_report.report import CaseReport
from napari_cytodino.case_report.page import case_report
from napari_cytodino.exports.tables import export
from napari_cytodino.common.provenance import Provenance
from napari_cytodino.taxonomy.taxonomy import Taxonomy
table = pickle.loads(Path(sys.argv[1]).read_bytes())
made = "2026-11-22T12:00:00+00:00"
notes = Provenance("a.png", "demo", "00", True, {"min": 0.9}, versions={}, created=made)
found = {}
for name in sys.argv[3:]:
    path = export(table, Path(sys.argv[2]) / f"cells{name}", provenance=notes)
    content = path.read_bytes()
    if name == ".xlsx":
        book = zipfile.ZipFile(path)
        dates = repr([part.date_time for part in book.infolist()]).encode()
        content = b"".join(book.read(part) for part in book.infolist())
        content = dates + re.sub(rb">....-..-..T..:..:..Z</dcterms:", b"", content)
    found[name] = hashlib.sha256(content).hexdigest()
report = CaseReport("1", table, Taxonomy.load("mll21"), notes, created=made)
text = case_report(report)
found["report"] = hashlib.sha256(text.encode()).hexdigest()
print(json.dumps([found, locale.localeconv()["decimal_point"]]))
"""
"""Tables and the report as bytes; Excel notes its own time of day, in UTC."""

PLACES = (
    {"LC_ALL": "C", "TZ": "UTC", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7"},
    {"LC_ALL": "tr_TR.UTF-8", "TZ": "America/St_Johns", "PYTHONUTF8": "1"},
)


def make_locales(folder: Path) -> bool:
    """Make locales with a decimal comma, where the system has their sources."""
    folder.mkdir()
    command = ["localedef", "-f", "UTF-8"]
    with suppress(OSError):
        return not any(
            subprocess.run(
                [*command, "-i", name, str(folder / f"{name}.UTF-8")],
                capture_output=True,
            ).returncode
            for name in ("de_DE", "tr_TR")
        )
    return False


def test_files_are_the_same_bytes_everywhere(tmp_path: Path, many_cells: Any) -> None:
    stored = tmp_path / "table.pickle"
    stored.write_bytes(pickle.dumps(many_cells.table))
    commas = make_locales(tmp_path / "locales")
    here = {"LOCPATH": str(tmp_path / "locales")} if commas else {}
    there = [s for s in SUFFIXES if s not in PACKAGES or find_spec(PACKAGES[s])]
    found = []
    for number, place in enumerate(PLACES):
        # anndata takes seconds to import
        wanted = [s for s in there if number < 2 or s != ".h5ad"]
        done = subprocess.run(
            [
                *(sys.executable, "-c", EXPORT),
                *(str(stored), str(tmp_path / str(number)), *wanted),
            ],
            env=os.environ | place | here,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        digests, point = json.loads(done.stdout)
        assert point == ("," if commas and number else point)
        found.append(digests)
    assert found[0] == found[1]
    assert found[0].items() >= found[2].items()
    assert len(found[2]) >= 3
    back = pd.read_csv(tmp_path / "1" / "cells.csv")
    np.testing.assert_allclose(
        back["confidence"], many_cells.table["confidence"], atol=1e-6
    )


def test_a_clock_that_goes_back_changes_no_order(
    tmp_path: Path, many_cells: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [f"2026-11-22T{hour:02}:00:00.000+00:00" for hour in (12, 15, 3, 2, 23, 1)]
    clock = iter(times)
    path = tmp_path / "a.cytodino.sqlite"
    with ReviewLog.open(path, image="pixels", case="17") as log:
        log.attach(many_cells.cells)
        monkeypatch.setattr(reviews, "_now", lambda: next(clock))
        for code in ("a", "b", "c", "d"):
            log.record([0], code, reviewer="Ann", model=["m"])
        log.undo("Ann")
    monkeypatch.undo()
    with ReviewLog.open(path, image="pixels", case="17") as again:
        again.attach(many_cells.cells)
        assert [event.at for event in again.events()] == times[:5]
        # what was said last counts, whatever the clock said
        assert again.verdicts("Ann")[0].cell_class == "c"
        again.undo("Ann")
        assert again.verdicts("Ann")[0].cell_class == "b"


def paths(folder: Path) -> dict[str, Path]:
    return {
        "non-ASCII": folder / "Ausstrich ß 血液 ДНК 🩸" / "Zellen é.csv",
        "decomposed": folder / "e\u0301.csv",
        "blank": folder / " a  b .csv",
        "long": folder / f"{'n' * 230}.csv",
        "deep": folder.joinpath(*["d" * 100] * 20) / "cells.csv",
        "leading dash": folder / "-rf.csv",
    }


@pytest.mark.parametrize("name", paths(Path()))
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_path_that_can_be(
    tmp_path: Path, many_cells: Any, name: str, suffix: str
) -> None:
    if suffix in PACKAGES:
        pytest.importorskip(PACKAGES[suffix], reason="extra 'export' is not installed")
    path = paths(tmp_path)[name].with_suffix(suffix)
    few = many_cells.table.iloc[:3]
    few.attrs = many_cells.table.attrs
    notes = Provenance("a.png", "demo", "00", True, {})
    for _ in range(2):
        assert export(few, path, provenance=notes) == path
    left = {p.name for p in path.parent.iterdir()}
    assert left <= {path.name, f"{path.stem}.provenance.json"}
    assert path.stat().st_size > 100


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_path_that_cannot_be(tmp_path: Path, many_cells: Any, suffix: str) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / f"folder{suffix}").mkdir()
    few = many_cells.table.iloc[:3]
    for place in (
        tmp_path / f"{'n' * 300}{suffix}",
        tmp_path / "file" / f"cells{suffix}",
        tmp_path / f"folder{suffix}",
        Path(f"/proc/cells{suffix}"),
        tmp_path / f"nul\0l{suffix}",
    ):
        with pytest.raises(CytoDinoError, match="cannot be written"):
            export(few, place)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", f"folder{suffix}"]


STUB = "raise RuntimeError('operator torchvision::nms does not exist')\n"
"""What a torchvision says that was built for another torch (pytorch/vision#9085)."""

USE = """
import sys
import numpy as np
from napari_cytodino.inference.classification import classify
pixels = np.random.default_rng(0).integers(0, 256, (180, 180, 3)).astype(np.uint8)
labels = np.kron(np.arange(1, 10).reshape(3, 3), np.ones((60, 60), int))
table = classify(pixels, labels, sys.argv[1])
print(table.drop(columns="crop", errors="ignore").to_csv(index=False))
"""


TRAIN = """
import sys
from pathlib import Path
from napari_cytodino.training.commands.app import app
app(["train", "finetune-smoke", "--out", sys.argv[1]])
"""

DOCK = """
import sys
import napari
from qtpy.QtWidgets import QApplication
from napari_cytodino.synthetic.smear import synthetic_smear
smear = synthetic_smear((420, 560), 3, seed=3)
viewer = napari.Viewer(show=True)
viewer.add_image(smear.image)
labels = viewer.add_labels(smear.labels)
dock = viewer.window.add_plugin_dock_widget("napari-cytodino", "CytoDINO")[1]
dock.checkpoint.choose("demo")
dock.session.choose(cells_layer=labels)
dock.run.classify.click()
while dock.session.busy or dock.session.predictions is None:
    QApplication.processEvents()
print(dock.session.table[["label", "cell_class", "confidence"]].to_csv(index=False))
viewer.close()
"""


@pytest.fixture
def bad_torchvision(tmp_path: Path) -> Path:
    """Return a folder to import from, with a torchvision that raises."""
    place = tmp_path / "packages"
    stub = place / "torchvision"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text(STUB, encoding="utf-8")
    info = place / "torchvision-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: torchvision\nVersion: 0.1.0\n", "utf-8")
    return place


def said_with(path: object, script: str, *words: object) -> tuple[str, str]:
    """Run a script with this folder to import from; return what it wrote."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, done.stderr


def test_a_torchvision_that_does_not_fit_has_no_effect(
    bad_torchvision: Path, tiny_checkpoint: Path
) -> None:
    said = [said_with(path, USE, tiny_checkpoint)[0] for path in ("", bad_torchvision)]
    assert said[0] == said[1]
    assert len(said[0].splitlines()) == 11


def test_training_leaves_out_a_torchvision_that_does_not_fit(
    bad_torchvision: Path, tmp_path: Path
) -> None:
    _, told = said_with(bad_torchvision, TRAIN, tmp_path / "run")
    assert "does not fit torch (operator torchvision::nms does not exist)" in told
    assert "pip install --upgrade torch torchvision" in told
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").is_file()


@pytest.mark.parametrize("module", ["models.cytodino", "training.comparison.probes"])
def test_no_module_trips_over_a_torchvision_that_does_not_fit(
    bad_torchvision: Path, module: str
) -> None:
    said_with(bad_torchvision, f"import napari_cytodino.{module}")


@pytest.mark.render
def test_the_dock_works_beside_a_torchvision_that_does_not_fit(
    bad_torchvision: Path,
) -> None:
    said = [said_with(path, DOCK)[0] for path in ("", bad_torchvision)]
    assert said[0] == said[1]
    assert len(said[0].splitlines()) >= 3


READ_ONLY = """
import os, pickle, sys
from pathlib import Path
table, place = pickle.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2])
from napari_cytodino.common.errors import CytoDinoError
from napari_cytodino.exports.tables import SUFFIXES
from napari_cytodino.exports.tables import export
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for suffix in SUFFIXES:
    try:
        export(table, place / f"cells{suffix}")
    except CytoDinoError as error:
        print(suffix, error)
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="Windows has other permissions")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path, many_cells: Any) -> None:
    """As nobody where the tests run as root, who may write anywhere."""
    place = tmp_path / "of another"
    place.mkdir()
    stored = tmp_path / "table.pickle"
    few = many_cells.table.iloc[:3]
    few.attrs = many_cells.table.attrs
    stored.write_bytes(pickle.dumps(few))
    old = place / "cells.csv"
    old.write_text("as it was", encoding="utf-8")
    place.chmod(0o555)
    try:
        said = said_with("", READ_ONLY, stored, place)[0].splitlines()
        assert [line.split(" ")[0] for line in said] == list(SUFFIXES)
        for line in said:
            assert "cannot be written" in line or "pip install" in line, line
        assert [p.name for p in place.iterdir()] == ["cells.csv"]
        assert old.read_text(encoding="utf-8") == "as it was"
    finally:
        place.chmod(0o755)
