"""The report's folder: every file read back, and the same numbers in each."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score

from napari_cytodino.common.errors import InputError
from napari_cytodino.common.provenance import RESEARCH_USE
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.evaluation import _plots as plots
from napari_cytodino.training.evaluation import report
from napari_cytodino.training.evaluation.report import About, CellViews, write_report
from napari_cytodino.uncertainty.decisions import DecisionPolicy
from napari_cytodino.uncertainty.labelled import LabelledPredictions, OodCells

MLL = Taxonomy.load("mll21")
ABOUT = About("A try", "demo", "ab" * 32, "synthetic, test part", data="drawn in code")
POLICY = DecisionPolicy(
    temperature=1.2,
    min_confidence=0.7,
    set_limits={group.name: 0.9 for group in MLL.lineages},
)


def some_cells(n: int = 60) -> LabelledPredictions:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 21, n)
    logits = rng.standard_normal((n, 21)).astype(np.float32)
    logits[np.arange(n), targets] += 3
    paths = ("=cmd|' /C calc'!A0", *(f"east/{i}.png" for i in range(1, n)))
    sources = np.where(np.arange(n) % 2, "east", "west")
    unlike = rng.random(n).astype(np.float32) * 1.2
    return LabelledPredictions(
        targets, logits, sources, logits, paths=paths, unfamiliarity=unlike
    )


CELLS = some_cells()
OOD = {"red cells": OodCells(np.float32([0.5, 2, 3]), what="=1+1")}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("report") / "new" / "folder"
    pixels = np.random.default_rng(0).integers(0, 255, (4, 24, 24, 3), np.uint8)
    views = CellViews(pixels[0], pixels[1:], "synthetic cell, mild")
    found = write_report(folder, CELLS, MLL, POLICY, ABOUT, views=views, ood_cells=OOD)
    return Path(folder), found


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_folder_holds_what_it_says(written: tuple[Path, dict[str, Any]]) -> None:
    folder, found = written
    files = {path.name for path in folder.iterdir()}
    assert files == {*found["files"], "report.json"}
    pictures = {name for name in files if name.endswith(".png")}
    assert {p.removesuffix(".png") for p in pictures} == {
        "augmentations", "confusion", "confusion_counts", "embeddings", "lineages",
        "reliability", "risk_coverage", "sets", "unfamiliarity",
    }  # fmt: skip


def test_json_is_what_was_returned(written: tuple[Path, dict[str, Any]]) -> None:
    folder, found = written
    stored = json.loads((folder / "report.json").read_text("utf-8"))
    assert stored == found
    assert stored["notice"] == RESEARCH_USE
    assert stored["about"]["checkpoint_sha256"] == "ab" * 32
    assert stored["about"]["versions"]["python"].startswith("3.")
    assert stored["n"] == 60
    assert stored["embedding"]["purity_class"] > 2 * 0.05


def test_tables_have_the_numbers_of_the_json(
    written: tuple[Path, dict[str, Any]],
) -> None:
    folder, found = written
    for name, wanted in (
        ("summary", found["summary"]),
        ("per_class", found["per_class"]),
    ):
        rows = rows_of(folder / f"{name}.csv")
        assert len(rows) == len(wanted)
        for row, same in zip(rows, wanted, strict=True):
            for key, value in same.items():
                if isinstance(value, float | int):
                    assert float(row[key]) == pytest.approx(value)
                else:
                    assert row[key] == (value or "")
    for name, told in (
        ("doubt", [row for own in found["doubt"].values() for row in own]),
        ("reasons", found["reasons"]),
        ("sets", found["sets"]["rows"]),
        ("unfamiliar", found["unfamiliar"]["rows"]),
    ):
        stored = rows_of(folder / f"{name}.csv")
        assert [row["n"] for row in stored] == [str(row["n"]) for row in told]
    assert {r["source"] for r in rows_of(folder / "doubt.csv")} == {
        "all", "east", "west",
    }  # fmt: skip
    sources = rows_of(folder / "by_source.csv")
    assert {r["source"] for r in sources} == {"east", "west"}
    assert len(sources) == 2 * len(found["summary"])
    for name, key in (("confusion", "counts"), ("confusion_rows", "rows")):
        rows = rows_of(folder / f"{name}.csv")
        assert [r["true_class"] for r in rows] == list(MLL.codes)
        values = [[float(r[c]) for c in MLL.codes] for r in rows]
        assert values == pytest.approx(np.array(found["confusion"][key], float))


def test_figures_follow_from_the_cells_written(
    written: tuple[Path, dict[str, Any]],
) -> None:
    folder, found = written
    rows = rows_of(folder / "cells.csv")
    truth, called = [r["target"] for r in rows], [r["called"] for r in rows]
    summary = {r["key"]: r["value"] for r in found["summary"]}
    assert summary["accuracy"] == pytest.approx(accuracy_score(truth, called), abs=1e-6)
    weighted = f1_score(truth, called, average="weighted")
    assert summary["weighted_f1"] == pytest.approx(weighted, abs=1e-6)
    taken = [r["accepted"] == "True" for r in rows]
    assert sum(taken) == found["policy"]["accepted"]
    wrong = [t and a != b for t, a, b in zip(taken, truth, called, strict=True)]
    assert sum(wrong) == found["policy"]["wrong"]
    assert taken == [r["status"] == "auto" for r in rows]
    unlike = [float(r["unfamiliarity"]) for r in rows]
    assert not any(t and u > 1 for t, u in zip(taken, unlike, strict=True))
    for row in rows[:5]:
        chances = [float(row[f"p_{code}"]) for code in MLL.codes]
        assert sum(chances) == pytest.approx(1, abs=1e-4)
        assert max(chances) == float(row["confidence"])


def test_no_path_is_a_formula(written: tuple[Path, dict[str, Any]]) -> None:
    assert rows_of(written[0] / "cells.csv")[0]["path"].startswith("'=cmd")
    assert rows_of(written[0] / "unfamiliar.csv")[0]["what"] == "'=1+1"


def test_the_curve_ends_at_all_cells(written: tuple[Path, dict[str, Any]]) -> None:
    folder, found = written
    last = rows_of(folder / "risk_coverage.csv")[-1]
    summary = {r["key"]: r["value"] for r in found["summary"]}
    assert (last["accepted"], float(last["coverage"])) == ("60", 1)
    assert float(last["risk"]) == pytest.approx(1 - summary["accuracy"], abs=1e-6)
    assert float(last["risk_low"]) < float(last["risk"]) < float(last["risk_high"])


def test_pictures_are_pictures_and_on_the_page(
    written: tuple[Path, dict[str, Any]],
) -> None:
    folder, found = written
    page = (folder / "report.html").read_text("utf-8")
    names = [name for name in found["files"] if name.endswith(".png")]
    for name in names:
        with Image.open(folder / name) as image:
            image.verify()
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
            assert min(image.size) > 300
    assert page.count("<img ") == len(names)
    assert page.count("data:image/png;base64,") == len(names)


def test_without_embeddings_there_is_no_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # drawn elsewhere; here only what is asked for
    monkeypatch.setattr(plots, "save", lambda _, path: path.write_bytes(b"") or path)
    bare = replace(CELLS, embeddings=None, unfamiliarity=None)
    found = write_report(tmp_path, bare, MLL, DecisionPolicy(), ABOUT)
    assert found["embedding"] is found["unfamiliar"] is found["sets"] is None
    assert not (tmp_path / "unfamiliarity.png").exists()
    assert not (tmp_path / "sets.csv").exists()
    assert not (tmp_path / "guarantee.csv").exists()
    assert not (tmp_path / "embeddings.png").exists()
    assert not (tmp_path / "augmentations.png").exists()


def test_answers_that_cannot_be_judged_write_nothing(tmp_path: Path) -> None:
    broken = CELLS.logits.copy()
    broken[7] = np.inf
    with pytest.raises(InputError, match="not finite"):
        write_report(
            tmp_path / "new", replace(CELLS, logits=broken), MLL, POLICY, ABOUT
        )
    assert not (tmp_path / "new").exists()


def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "summary.csv"
    old.write_text("old")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plots, "save", lambda _, path: path.write_bytes(b"") or path)
    monkeypatch.setattr(report.pd.DataFrame, "to_csv", full)
    with pytest.raises(InputError, match="No space left"):
        write_report(tmp_path, replace(CELLS, embeddings=None), MLL, POLICY, ABOUT)
    assert old.read_text() == "old"
    assert not list(tmp_path.glob(".*"))
