"""What the tests of the widgets share; whether a window can open is said one up."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.core.checkpoint import Checkpoint, load_checkpoint
from napari_cytodino.core.predictions import PredictionBatch
from napari_cytodino.core.synthetic import Smear, synthetic_smear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_cytodino.widgets.controller import Controller
    from napari_cytodino.widgets.session import Session


NAPARIS_OWN = "ignore:Conversion from CIE-LAB:UserWarning"
"""napari draws the colours of new labels at random; some lie outside sRGB."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a warning of napari's own pass in the tests of this folder."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings(NAPARIS_OWN))


@pytest.fixture(scope="session")
def smear() -> Smear:
    return synthetic_smear((420, 560), 6, seed=3)


@pytest.fixture(scope="session")
def demo() -> Checkpoint:
    return load_checkpoint("demo")


@dataclass
class FakeClassifier:
    """Answers at once, or one batch for each `release` when it is held."""

    classes: int = 21
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
            logits[np.arange(count), best] = np.array([12.0, 2.0])[batch.rows % 2]
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
    from napari_cytodino.widgets import work

    fake = FakeClassifier()

    def stand_in(self: Any, checkpoint: Checkpoint, *args: Any) -> FakeClassifier:
        fake.classes = len(checkpoint.taxonomy)
        return fake

    monkeypatch.setattr(work.Models, "classifier", stand_in)
    return fake


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect what notifications would say."""
    from napari_cytodino.widgets import notices

    words: list[str] = []
    for name in ("tell", "say", "warn"):
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

    from napari_cytodino.widgets.controller import Controller
    from napari_cytodino.widgets.session import Session

    viewer, session = ViewerModel(), Session()
    session.open_checkpoint(demo)
    made = Bench(viewer, session, Controller(viewer, session), qtbot)
    session.message.connect(made.messages.append)
    yield made
    classifier.release(1000)
    made.controller.close()
    made.qtbot.waitUntil(lambda: not made.controller.runner.busy, timeout=10_000)


@pytest.fixture
def chosen(bench: Bench, smear: Smear) -> Bench:
    """Return a bench on which the smear and its labels are chosen."""
    image = bench.viewer.add_image(smear.image, name="smear")
    labels = bench.viewer.add_labels(smear.labels.copy(), name="cells")
    bench.choose(image, labels)
    return bench
