"""What the tests of the widgets share; whether a window can open is said one up."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.cells.cells import cells_from_labels
from napari_cytodino.images.source import ImageSource
from napari_cytodino.stats.fixed_sequence import SelectionCurve
from napari_cytodino.uncertainty.calibration import Calibration
from napari_cytodino.uncertainty.predictions import (
    PredictionBatch,
    Predictions,
    as_predictions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_cytodino.checkpoints.checkpoint import Checkpoint
    from napari_cytodino.synthetic.smear import Smear
    from napari_cytodino.widgets.controllers.controller import Controller
    from napari_cytodino.widgets.session.session import Session


NAPARIS_OWN = "ignore:Conversion from CIE-LAB:UserWarning"
"""napari draws the colours of new labels at random; some lie outside sRGB."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a warning of napari's own pass in the tests of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(NAPARIS_OWN))


def some_calibration(checkpoint: Checkpoint, **changes: Any) -> Calibration:
    """Return one of 4,000 cells that keeps every risk but 0.1 %.

    The stricter half of its thresholds accepts no error; below about 0.72 one in ten
    of the cells that come in is wrong.
    """
    steps = np.arange(1, 201)
    levels, accepted = np.linspace(0.999, 0.5, 200), 20 * steps
    plain: dict[str, Any] = {
        "temperature": 1.0,
        "risk": 0.005,
        "delta": 0.05,
        "classes": checkpoint.taxonomy.codes,
        "counts": dict.fromkeys(checkpoint.taxonomy.codes, 100),
        "curve": SelectionCurve(
            levels, accepted, 2 * np.maximum(0, steps - 110), np.ones(200), 4000
        ),
        # lineages are never sure, so that only the class decides
        "lineage_curve": SelectionCurve(levels, accepted, accepted, np.ones(200), 4000),
        "missed": None,
        "max_critical": 1.0,
        "rare": (),
        "set_level": 0.95,
        "set_limits": dict.fromkeys(
            (g.name for g in checkpoint.taxonomy.lineages), 0.9
        ),
        "familiar": 0.99,
        "patients": 120,
        "data": "marrow, part B",
        "date": "2026-11-22T08:00:00+00:00",
        "made_for": {},
    }
    return Calibration(**plain | changes)


def with_calibration(checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    """Return the checkpoint as if it had been calibrated like this."""
    found = some_calibration(checkpoint, **changes)
    name = repr(sorted(changes.items()))
    return replace(
        checkpoint, calibration=found, policy=found.policy(), sha256=f"calibrated{name}"
    )


@pytest.fixture
def calibrated() -> Callable[..., Checkpoint]:
    """Return a function that gives a checkpoint a calibration."""
    return with_calibration


CONFIDENCES = (0.9995, 0.95, 0.8, 0.7, 0.55, 0.4)
"""Of the six answers of `judged`: 3 are accepted at 99.5 %, 4 at 98 %, 5 at 90 %."""


def answers(confidences: Any) -> Predictions:
    """Return answers of these confidences, of class 0, 1, 2 ..."""
    confidence = np.asarray(confidences, np.float64)
    count = len(confidence)
    logits = np.zeros((count, 21), np.float32)
    best = np.arange(count) % 21
    logits[np.arange(count), best] = np.log(20 * confidence / (1 - confidence))
    unlike = np.where(confidence == CONFIDENCES[-1], 1.25, 0.7).astype(np.float32)
    return as_predictions(logits, unlike, np.ones((count, 4), np.float16))


@dataclass
class FakeClassifier:
    """Answers at once, or one batch for each `release` when it is held."""

    classes: int = 21
    batch_size: int = 8
    held: bool = False
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    calls: int = 0
    seen: int = 0

    def release(self, batches: int = 1) -> None:
        self.gate.release(batches)

    def run(
        self, crops: Any, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[PredictionBatch]:
        self.calls += 1
        for batch in crops:
            if self.held:
                self.gate.acquire(timeout=20)
            if cancelled():
                return
            count = len(batch.rows)
            logits = np.zeros((count, self.classes), np.float32)
            best = batch.pixels.reshape(count, -1).astype(int).sum(1) % self.classes
            # sure, close, and unsure answers take turns
            logits[np.arange(count), best] = np.array([12.0, 1.0])[batch.rows % 2]
            self.seen += count
            yield PredictionBatch(
                batch.rows,
                logits,
                np.zeros((count, 4), np.float16),
                batch.readable,
            )


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> FakeClassifier:
    """Stand in for the model, so that the widgets alone are tested."""
    from napari_cytodino.widgets.workers import steps as work

    fake = FakeClassifier()

    def stand_in(self: Any, checkpoint: Checkpoint, *args: Any) -> FakeClassifier:
        fake.classes = len(checkpoint.taxonomy)
        fake.batch_size = args[1] or 8
        return fake

    monkeypatch.setattr(work.ClassifierCache, "classifier", stand_in)
    return fake


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what notifications would say."""
    from napari_cytodino.widgets.controls import notices

    words: list[str] = []
    for name in ("error", "info", "warning"):
        monkeypatch.setattr(notices, name, lambda what: words.append(str(what)))
    return words


@dataclass
class Bench:
    """A controller over a viewer without a window."""

    viewer: Any
    session: Session
    controller: Controller
    qtbot: Any
    messages: list[str] = field(default_factory=list)

    def wait(self) -> None:
        """Let the worker end."""
        self.qtbot.waitUntil(lambda: not self.session.busy, timeout=30_000)

    def choose(self, image: Any, cells: Any) -> None:
        self.session.choose(image=image, cells_layer=cells)

    def classify(self) -> None:
        self.controller.classify()
        self.wait()


@pytest.fixture
def bench(
    qtbot: Any, demo: Checkpoint, classifier: FakeClassifier, told: list[str]
) -> Iterator[Bench]:
    from napari.components import ViewerModel

    from napari_cytodino.widgets.controllers.controller import Controller
    from napari_cytodino.widgets.session.session import Session

    viewer, session = ViewerModel(), Session()
    session.open_checkpoint(demo)
    made = Bench(viewer, session, Controller(viewer, session), qtbot)
    session.message.connect(made.messages.append)
    yield made
    classifier.release(1000)
    made.controller.close()
    made.qtbot.waitUntil(lambda: not made.controller.worker.busy, timeout=10_000)


@pytest.fixture
def chosen(bench: Bench, smear: Smear) -> Bench:
    """Return a bench on which the smear and its labels are chosen."""
    image = bench.viewer.add_image(smear.image, name="smear")
    labels = bench.viewer.add_labels(smear.labels.copy(), name="cells")
    bench.choose(image, labels)
    return bench


@pytest.fixture
def six_answers() -> Predictions:
    return answers(CONFIDENCES)


@pytest.fixture
def judged(
    chosen: Bench, smear: Smear, demo: Checkpoint, six_answers: Predictions
) -> Bench:
    """Return a bench on which six cells have answers, by a calibrated checkpoint."""
    from napari_cytodino.widgets.session.messages import CellsReading

    session, cells = chosen.session, cells_from_labels(smear.labels)
    session.open_checkpoint(with_calibration(demo))
    chosen.controller.canvas.place(chosen.controller.point())
    session.set_cells(
        CellsReading(cells, ImageSource(smear.image), smear.labels, cells.bbox)
    )
    session.predictions = six_answers
    session.rebuild()
    chosen.controller.run.redraw()
    return chosen


@dataclass
class Pictured:
    """A session of 60 cells of four classes on real pixels, read by AB.

    Row r is a square of the colour `colour(r)`, 14 + r % 7 px wide. Classes take turns,
    the last of them demands a look; the later the row, the surer the model.
    """

    session: Any
    review: Any
    codes: tuple[str, ...]
    went: list[int] = field(default_factory=list)

    @property
    def canvas(self) -> Pictured:
        return self

    def fly_to_selected(self) -> None:
        self.went.append(self.session.selected_row)

    @staticmethod
    def colour(row: int) -> tuple[int, int, int]:
        return (4 * row, 255 - 4 * row, 90)


@pytest.fixture
def pictured(demo: Checkpoint, tmp_path: Path) -> Iterator[Pictured]:
    from napari_cytodino.review.log import ReviewLog
    from napari_cytodino.widgets.session.messages import CellsReading
    from napari_cytodino.widgets.session.review_session import ReviewSession
    from napari_cytodino.widgets.session.session import Session

    image = np.full((300, 500, 3), 200, np.uint8)
    labels = np.zeros(image.shape[:2], np.int32)
    for row in range(60):
        y, x, side = 25 + 45 * (row // 10), 25 + 45 * (row % 10), 14 + row % 7
        labels[y : y + side, x : x + side] = row + 1
        image[y : y + side, x : x + side] = Pictured.colour(row)
    cells, session = cells_from_labels(labels), Session()
    session.open_checkpoint(with_calibration(demo))
    classes = demo.taxonomy.classes
    harmless = [c.code for c in classes if c.risk != "critical" and c.counted][:3]
    codes = (*harmless, next(c.code for c in classes if c.risk == "critical"))
    session.set_cells(CellsReading(cells, ImageSource(image), labels, cells.bbox))
    said = answers(np.linspace(0.4, 0.9995, 60))
    for row in range(60):
        best = demo.taxonomy.index(codes[row % 4])
        said.logits[row] = np.roll(said.logits[row], best - row % 21)
    said.unfamiliarity[:] = 0.7
    said.embeddings[:] = np.arange(60)[:, None] + np.array([1, 0, 9, 30])
    session.predictions = said
    session.rebuild()
    reviewing = ReviewSession(session)
    reviewing.start(ReviewLog.open(tmp_path / "case.sqlite", image="pixels"), "AB")
    yield Pictured(session, reviewing, codes)
    reviewing.stop()


@dataclass
class Taught:
    """Cells of four kinds by their features, of which the model knows nothing.

    The model calls all of them class 0; `codes` are their true classes, the last of
    them one that the checkpoint lacks.
    """

    session: Any
    review: Any
    teaching: Any
    truth: list[str]
    codes: tuple[str, ...]
    place: Path

    def say(self, rows: Any, codes: list[str] | None = None) -> None:
        """Give true verdicts, or others, one by one."""
        for at, row in enumerate(rows):
            code = codes[at] if codes else self.truth[int(row)]
            self.review.set_class(code, [int(row)])

    @property
    def right(self) -> float:
        """The share of cells whose class is the true one."""
        called = self.session.probabilities.best
        codes = self.session.taxonomy.codes
        return float(
            np.mean([codes[c] == t for c, t in zip(called, self.truth, strict=True)])
        )


CELLS = 120


def features_of(kinds: Any) -> Any:
    """Return features in which kinds are clusters."""
    rng = np.random.default_rng(0)
    middles = rng.normal(0, 1, (8, 24))
    return (middles[kinds] + rng.normal(0, 0.5, (len(kinds), 24))).astype(np.float16)


@pytest.fixture
def teachable(tmp_path: Path) -> Iterator[Taught]:
    from napari_cytodino import load_checkpoint
    from napari_cytodino.cells.cells import cells_from_points
    from napari_cytodino.review.log import ReviewLog
    from napari_cytodino.widgets.session.messages import CellsReading
    from napari_cytodino.widgets.session.review_session import ReviewSession
    from napari_cytodino.widgets.session.session import Session
    from napari_cytodino.widgets.session.teaching import Teaching

    checkpoint, session = load_checkpoint("starter"), Session()
    session.open_checkpoint(checkpoint)
    kinds = np.arange(CELLS) % 4
    codes = (*checkpoint.taxonomy.codes[1:4], "KSC")
    spots = np.array([(20 + 15 * (r // 12), 20 + 15 * (r % 12)) for r in range(CELLS)])
    image = np.full((220, 220, 3), 200, np.uint8)
    cells = cells_from_points(spots, (220, 220), diameter=10)
    session.set_cells(CellsReading(cells, ImageSource(image)))
    logits = np.zeros((CELLS, len(checkpoint.taxonomy)), np.float32)
    logits[:, 0] = 4
    session.own = replace(
        as_predictions(logits, np.full(CELLS, 0.7, np.float32)),
        features=features_of(kinds),
        keys=np.random.default_rng(1).integers(0, 256, (CELLS, 16), dtype=np.uint8),
    )
    session.predictions = session.own
    session.rebuild()
    review = ReviewSession(session)
    teaching = Teaching(session, review)
    place = tmp_path / "taught.sqlite"
    review.start(ReviewLog.open(place, image="pixels"), "AB")
    yield Taught(session, review, teaching, [codes[k] for k in kinds], codes, place)
    review.stop()


@pytest.fixture(autouse=True)
def no_case_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep records of reviews out of the user's own folder."""
    from napari_cytodino.review import location

    monkeypatch.setattr(location, "own_folder", lambda: tmp_path / "cases")


@pytest.fixture
def read_bench(judged: Bench, tmp_path: Path) -> Bench:
    """Return the bench of six answers, in a case that AM reads."""
    from napari_cytodino.review.image_fingerprint import fingerprint_pixels
    from napari_cytodino.review.log import ReviewLog

    image = fingerprint_pixels(judged.session.reading.source)
    log = ReviewLog.open(tmp_path / "case.sqlite", image=image, case="M-1")
    judged.controller.review.start(log, "AM")
    return judged
