"""Measure what verdicts teach, abroad and at home: ``teaching.py --data DIR``."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino import load_checkpoint
from napari_cytodino.batch.inputs import CropFolder
from napari_cytodino.cells.cells import cells_from_points
from napari_cytodino.cells.crops import iter_series
from napari_cytodino.inference.classifier import Classifier
from napari_cytodino.results.cell_table import build_table
from napari_cytodino.teaching.asking import TYPICAL, typical_cells, unsure_cells
from napari_cytodino.teaching.classes import with_classes
from napari_cytodino.teaching.head import fit_head
from napari_cytodino.teaching.lessons import Lessons, merge
from napari_cytodino.teaching.policy import taught_policy
from napari_cytodino.training.metrics.confusion_table import confusion, macro_f1
from napari_cytodino.uncertainty.predictions import Predictions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.checkpoints.checkpoint import Checkpoint
    from napari_cytodino.teaching.head import Taught

PROTOCOL = """\
Protocol
  Verdicts are the labels of the data. Half of a set may be asked about, the other half
  measures and is never asked about: of jhu-blood half of the patients, else half of the
  cells, drawn anew for each seed (0 to {last}); the mean over seeds is printed.
  random  verdicts on cells drawn at random from the first half.
  queue   as the dock asks: typical cells, then the least sure, five at a time.
  each 10 ten cells of each class, drawn at random.
  macro F1 over the classes of the set. jhu-blood: another hospital, 12 classes, noisy
          labels, KSC unknown to the starter. wbc-masks: another hospital, 5 classes,
          not expert labels. home: cells of the starter's test part.
"""

COUNTS = (0, 25, 50, 100, 200)
"""Verdicts after which is measured."""

STEP = 5
"""Cells that are asked about at a time."""

KINDS = {"1": "NGS", "2": "LYT", "3": "MON", "4": "EOS", "5": "BAS"}
"""Classes of wbc-masks."""


@dataclass(frozen=True)
class Set:
    """Labelled cells with what the checkpoint says of them."""

    name: str
    read: Predictions
    codes: NDArray[np.str_]
    groups: NDArray[np.str_]

    def halves(self, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows that may be asked about, shuffled, and those that measure."""
        chance = np.random.default_rng(seed)
        if self.groups[0]:
            names = chance.permutation(np.unique(self.groups))
            pool = np.isin(self.groups, names[: len(names) // 2])
        else:
            pool = chance.random(len(self.codes)) < 0.5
        return chance.permutation(np.flatnonzero(pool)), np.flatnonzero(~pool)

    def lessons(self, rows: NDArray[np.int64]) -> Lessons:
        """Return some cells as lessons, sorted as the plugin sorts them."""
        given = Lessons(
            self.read.features[rows],
            self.read.logits[rows],
            self.read.unfamiliarity[rows],
            tuple(self.codes[rows].tolist()),
            tuple(f"{row:08d}" for row in rows),
            ("",) * len(rows),
            np.zeros(len(rows), np.bool_),
        )
        return merge([given]).lessons


@dataclass(frozen=True)
class Learner:
    """A set and the checkpoint that is taught with it."""

    checkpoint: Checkpoint
    cells: Set

    def taught(self, rows: NDArray[np.int64]) -> tuple[Taught | None, tuple[str, ...]]:
        """Return a head of some verdicts, and its classes."""
        own = self.checkpoint.taxonomy
        lessons = self.cells.lessons(rows)
        codes = with_classes(own, sorted(set(lessons.codes))).codes
        if len(set(lessons.codes)) < 2:
            return None, own.codes
        heat = self.checkpoint.policy.temperature
        return fit_head(lessons, codes, own.codes, heat), codes

    def logits(self, taught: Taught | None, rows: NDArray[np.int64]) -> Any:
        """Return what is said of some cells."""
        own = self.cells.read.logits[rows]
        if taught is None:
            return own
        return taught.head.logits(self.cells.read.features[rows], own)

    def score(self, rows: NDArray[np.int64], test: NDArray[np.int64]) -> float:
        """Return macro F1 on the test cells after verdicts on some rows."""
        taught, codes = self.taught(rows) if len(rows) else (None, self._own)
        names = sorted({*codes, *self.cells.codes})
        place = {code: i for i, code in enumerate(names)}
        said = self.logits(taught, test).argmax(axis=1)
        guesses = np.array([place[codes[i]] for i in said], np.int64)
        targets = np.array([place[c] for c in self.cells.codes[test]], np.int64)
        return macro_f1(confusion(targets, guesses, len(names)))

    @property
    def _own(self) -> tuple[str, ...]:
        return self.checkpoint.taxonomy.codes

    def asked(self, pool: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        """Return the cells that the queue asks about, in their order."""
        features = self.cells.read.features
        found = typical_cells(features, pool, TYPICAL)
        while len(found) < min(most, len(pool)):
            taught, codes = self.taught(found)
            rest = np.setdiff1d(pool, found)
            p = np.zeros((len(features), len(codes)), np.float32)
            logits = self.logits(taught, rest)
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            p[rest] = odds / odds.sum(axis=1, keepdims=True)
            more = unsure_cells(features, p, rest, min(STEP, most - len(found)))
            found = np.concatenate([found, more])
        return found

    def each(self, pool: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Return so many cells of each class."""
        codes = self.cells.codes[pool]
        parts = [pool[codes == code][:count] for code in np.unique(codes)]
        return np.concatenate(parts)


def read(
    name: str,
    files: list[Path],
    codes: list[str],
    groups: list[str],
    classifier: Classifier,
    side: int,
) -> Set:
    """Return what the checkpoint says of single cells, kept beside for a next time."""
    kept = []
    crops = iter_series(CropFolder(files), side, classifier.batch_size)
    for batch in classifier.run(crops):
        kept.append(batch)
    found = Predictions.like(kept[0], len(files)).with_batches(kept)
    return Set(name, found, np.array(codes), np.array(groups))


def sets(data: Path, classifier: Classifier, most: int) -> list[Set]:
    """Return the sets: abroad, then home."""
    side = round(classifier.checkpoint.preprocessing.field_of_view)
    with (data / "jhu-blood" / "cells.csv").open(encoding="utf-8") as file:
        jhu = list(csv.DictReader(file))
    with (data / "wbc-masks" / "labels.csv").open(encoding="utf-8") as file:
        wbc = list(csv.DictReader(file))
    split = Path(__file__).resolve().parent.parent / (
        "src/napari_cytodino/training/recipes/starter-split.csv"
    )
    with split.open(encoding="utf-8") as file:
        home = [row["path"] for row in csv.DictReader(file) if row["part"] == "test"]
    chance = np.random.default_rng(0)
    if most:
        jhu = [jhu[i] for i in chance.permutation(len(jhu))[:most]]
        home = [home[i] for i in chance.permutation(len(home))[:most]]
    return [
        read(
            "jhu-blood",
            [data / "jhu-blood" / row["path"] for row in jhu],
            [row["code"] for row in jhu],
            [row["patient"] for row in jhu],
            classifier,
            side,
        ),
        read(
            "wbc-masks",
            [data / "wbc-masks" / "images" / row["file"] for row in wbc],
            [KINDS[row["class_id"]] for row in wbc],
            [""] * len(wbc),
            classifier,
            120,
        ),
        read(
            "home",
            [data / path for path in home],
            [path.split("/")[1] for path in home],
            [""] * len(home),
            classifier,
            side,
        ),
    ]


def learning(learner: Learner, seeds: int) -> None:
    """Print macro F1 by verdicts, at random and as the queue asks."""
    name = learner.cells.name
    rows: dict[str, list[list[float]]] = {"random": [], "queue": []}
    each, home = [], []
    for seed in range(seeds):
        pool, test = learner.cells.halves(seed)
        asked = learner.asked(pool, COUNTS[-1])
        for way, order in (("random", pool), ("queue", asked)):
            scores = [learner.score(order[:n], test) for n in COUNTS]
            rows[way].append(scores)
        each.append(learner.score(learner.each(pool, 10), test))
        home.append(learner.score(pool[:35], test) - rows["random"][-1][0])
    for way, found in rows.items():
        mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
        cells = "  ".join(
            f"{m:.3f} ±{s:.3f}" for m, s in zip(mean, spread, strict=True)
        )
        print(f"{name:10s} {way:7s} {cells}")
    print(f"{name:10s} each 10 {np.mean(each):.3f} ±{np.std(each):.3f}")
    print(f"{name:10s} change of macro F1 by 35 verdicts: {np.mean(home):+.3f}")


def speed(checkpoint: Checkpoint, cells: Set, count: int) -> None:
    """Print what a verdict costs with so many cells, in processor time."""
    chance = np.random.default_rng(0)
    many = chance.integers(len(cells.codes), size=count)
    read_all = Predictions(
        cells.read.logits[many],
        cells.read.embeddings[many],
        np.ones(count, np.bool_),
        np.ones(count, np.bool_),
        cells.read.unfamiliarity[many],
        cells.read.features[many],
        cells.read.keys[many],
    )
    places = cells_from_points(
        chance.uniform(50, 9950, (count, 2)), (10_000, 10_000), diameter=60
    )
    print(f"features of {count} cells: {read_all.features.nbytes / 1e6:.1f} MB")
    for verdicts in (25, 100, 200):
        rows = chance.permutation(len(cells.codes))[:verdicts]
        lessons = cells.lessons(rows)
        taxonomy = with_classes(checkpoint.taxonomy, sorted(set(lessons.codes)))
        own, heat = checkpoint.taxonomy.codes, checkpoint.policy.temperature
        spent = []
        for _ in range(5):
            start = time.process_time()
            taught = fit_head(lessons, taxonomy.codes, own, heat)
            fitted = time.process_time()
            logits = taught.head.logits(read_all.features, read_all.logits)
            answered = time.process_time()
            policy = taught_policy(checkpoint.policy, lessons, own)
            given = replace(read_all, logits=logits)
            build_table(places, given, taxonomy, policy)
            spent.append(
                (fitted - start, answered - fitted, time.process_time() - answered)
            )
        fit, answer, table = 1000 * np.median(spent, axis=0)
        print(
            f"{verdicts} verdicts, {count} cells: head {fit:.0f} ms, answers "
            f"{answer:.0f} ms, decisions and table {table:.0f} ms of processor"
        )


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--most", type=int, default=0, help="cells a set; 0: all")
    parser.add_argument("--cells", type=int, default=50_000, help="for the speed")
    given = parser.parse_args()
    checkpoint = load_checkpoint(given.checkpoint)
    classifier = Classifier(checkpoint, "cpu", dtype="float32")
    sys.stdout.write(PROTOCOL.format(last=given.seeds - 1))
    print(f"{'verdicts':18s} {'             '.join(map(str, COUNTS))}")
    every = sets(given.data, classifier, given.most)
    for cells in every:
        print(f"{cells.name}: {len(cells.codes)} cells")
        learning(Learner(checkpoint, cells), given.seeds)
    speed(checkpoint, every[0], given.cells)


if __name__ == "__main__":
    main()
