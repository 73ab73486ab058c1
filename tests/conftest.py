"""What every test shares: no network, settings of its own, a display or a clear word.

GUI tests draw real pixels. Where no window can open they are skipped with the name of
the missing package; with ``CI=true`` they fail instead.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from napari_cytodino.taxonomy.taxonomy import CellClass, Lineage, Taxonomy

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd

    from napari_cytodino.cells.cells import Cells
    from napari_cytodino.checkpoints.checkpoint import Checkpoint
    from napari_cytodino.models.cytodino import CytoDinoForImageClassification
    from napari_cytodino.synthetic.smear import Smear
    from napari_cytodino.uncertainty.calibration import Calibration
    from napari_cytodino.uncertainty.novelty import NoveltyDetector
    from napari_cytodino.uncertainty.predictions import Predictions

GUI_FIXTURES = {"qtbot", "qapp", "make_napari_viewer", "make_napari_viewer_proxy"}
GUI_MARKERS = ("render", "smoke")
LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}
OPEN_A_WINDOW = """
from qtpy.QtWidgets import QApplication
app = QApplication([])
raise SystemExit(app.platformName() in ("offscreen", "minimal"))
"""

if os.environ.get("CI") == "true":
    # CI tries the same examples each time: the second fifty find nothing new
    settings.register_profile("fifty", settings.default, max_examples=50)
    settings.load_profile("fifty")

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NAPARI_STRICT_QT"] = "1"
# napari reads this once, when it is first imported
os.environ["NAPARI_CONFIG"] = str(
    Path(tempfile.mkdtemp(prefix="napari-cytodino-")) / "settings.yaml"
)


@st.composite
def taxonomies(draw: st.DrawFn) -> Taxonomy:
    """Classes strewn over lineages, stages doubled and left out at will."""
    lineages = tuple(
        Lineage(f"line{i}", f"Line {i}", "#000000", draw(st.booleans()))
        for i in range(draw(st.integers(1, 4)))
    )
    classes = tuple(
        CellClass(
            code=f"c{i}",
            name=f"Class {i}",
            lineage=draw(st.sampled_from(lineages)).name,
            stage=draw(st.integers(0, 5)),
            risk="none",
            colour="#000000",
            counted=True,
        )
        for i in range(draw(st.integers(2, 9)))
    )
    return Taxonomy("random", "Random", classes, lineages)


# what `st.from_type(Taxonomy)` draws in every test
st.register_type_strategy(Taxonomy, taxonomies())


def missing_packages() -> list[str]:
    """Name the system packages that a window on a virtual display would need."""
    names = []
    if "DISPLAY" not in os.environ and shutil.which("Xvfb") is None:
        names.append("xvfb")
    for library, package in LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            names.append(package)
    return names


@cache
def no_window() -> str:
    """Say why no window can open here, in one sentence; empty where one can."""
    command = [sys.executable, "-c", OPEN_A_WINDOW]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "no window can open here: Qt did not answer within 60 seconds"
    if tried.returncode == 0:
        return ""
    if platform := os.environ.get("QT_QPA_PLATFORM"):
        return f"QT_QPA_PLATFORM={platform} draws no real pixels: unset it"
    if sys.platform.startswith("linux") and (names := missing_packages()):
        return f"no window can open here: install {' '.join(names)}"
    if sys.platform.startswith("linux") and "DISPLAY" not in os.environ:
        return "no window can open here: DISPLAY is not set and pytest-xvfb is off"
    words = tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"]
    return f"no window can open here: {words[-1]}"


def needs_window(item: pytest.Item) -> bool:
    """Tell whether a test opens a window."""
    if any(item.get_closest_marker(name) for name in GUI_MARKERS):
        return True
    return not GUI_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let the tests that need no window run where none can open."""
    if session.config.getoption("dist", "no") != "no":
        # it runs no test: the workers of pytest-xdist do, each on a display of its own
        return
    if sys.platform.startswith("linux") and no_window():
        # Qt aborts the whole process when it finds no platform
        os.environ["QT_QPA_PLATFORM"] = "offscreen"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a GUI test that cannot run; fail it with ``CI=true``."""
    if needs_window(item) and (why := no_window()):
        if os.environ.get("CI") == "true":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a checkpoint folder with a tiny random model of the real architecture."""
    import torch

    from napari_cytodino.checkpoints.folder import Preprocessing
    from napari_cytodino.checkpoints.saving import save_checkpoint
    from napari_cytodino.models.cytodino import (
        CytoDinoConfig,
        CytoDinoForImageClassification,
    )
    from napari_cytodino.uncertainty.decisions import DecisionPolicy

    torch.manual_seed(0)
    taxonomy = Taxonomy.load("mll21")
    backbone = {
        "model_type": "dinov3_vit",
        "patch_size": 16,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_register_tokens": 1,
        "image_size": 64,
    }
    config = CytoDinoConfig(
        backbone_config=backbone, taxonomy=taxonomy.to_dict(), synthetic=True
    )
    return save_checkpoint(
        tmp_path_factory.mktemp("checkpoints") / "tiny",
        CytoDinoForImageClassification(config),
        taxonomy,
        Preprocessing(64, 80.0, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        DecisionPolicy(),
        "# Tiny, random, SYNTHETIC\n",
    )


@pytest.fixture(scope="session")
def demo() -> Checkpoint:
    """Return the shipped checkpoint that was trained on drawn cells."""
    from napari_cytodino.checkpoints.checkpoint import load_checkpoint

    return load_checkpoint("demo")


@pytest.fixture(scope="session")
def smear() -> Smear:
    """Return a small drawn field of six cells."""
    from napari_cytodino.synthetic.smear import synthetic_smear

    return synthetic_smear((420, 560), 6, seed=3)


@pytest.fixture(scope="session")
def make_calibration() -> Callable[..., Calibration]:
    """Return what builds a small calibration of a taxonomy, with fields changed.

    Of 10,000 cells the surest 4,000 have no error, the next 2,000 have 1 % and the
    next 2,000 have 5 %; lineages are wrong half as often. 2,000 passed no check.
    """
    import numpy as np

    from napari_cytodino.stats.fixed_sequence import SelectionCurve
    from napari_cytodino.uncertainty.calibration import Calibration, MissedCritical

    accepted = np.array([1000, 2000, 4000, 5000, 6000, 7000, 8000])
    wrong = np.array([0, 0, 0, 10, 20, 70, 120])
    levels = np.array([0.99, 0.97, 0.95, 0.9, 0.8, 0.6, 0.4])
    effect = np.ones(len(levels))

    def make(taxonomy: Taxonomy, **changes: Any) -> Calibration:
        values: dict[str, Any] = {
            "temperature": 1.5,
            "risk": 0.005,
            "delta": 0.05,
            "classes": taxonomy.codes,
            "counts": dict.fromkeys(taxonomy.codes, 10_000 // len(taxonomy)),
            "curve": SelectionCurve(levels, accepted, wrong, effect, 10_000),
            "lineage_curve": SelectionCurve(
                levels, accepted, wrong // 2, effect, 10_000
            ),
            "missed": MissedCritical(500, 0, 0.01, 0.0082),
            "max_critical": 0.02,
            "rare": (),
            "set_level": 0.95,
            "set_limits": {group.name: 0.9 for group in taxonomy.lineages},
            "familiar": 0.99,
            "patients": None,
            "data": "10000 of lab",
            "date": "2026-11-22",
            "made_for": {},
            "facts": {"method": "made up"},
        }
        return Calibration(**values | changes)

    return make


@pytest.fixture(scope="session")
def make_familiarity() -> Callable[..., NoveltyDetector]:
    """Return what builds a few random training cells, of some width, to compare with.

    ``far`` puts them where no embedding of a tiny model lies.
    """
    import numpy as np

    from napari_cytodino.uncertainty.novelty import fit_novelty_detector

    def make(width: int, *, cells: int = 40, far: bool = False) -> NoveltyDetector:
        rng = np.random.default_rng(7)
        shift = 1e3 if far else 0.0
        own = rng.normal(size=(cells, width)) + shift
        other = rng.normal(size=(200, width)) + shift
        return fit_novelty_detector(own, np.arange(cells) % 4, other, quantile=0.9)

    return make


@pytest.fixture
def on_apple_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Return what makes a tensor say that it lies on an Apple GPU; none is here.

    It refuses what torch 2.6 lacks there, and to be mixed with tensors of the CPU.
    """
    import torch

    class OnAppleGpu(torch.Tensor):
        device = property(lambda self: torch.device("mps"))

        def cpu(self, *_: Any, **__: Any) -> torch.Tensor:
            with torch._C.DisableTorchFunctionSubclass():
                return self.as_subclass(torch.Tensor)

        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func.__name__ in ("interpolate", "index_copy", "poisson"):
                raise NotImplementedError(f"{func.__name__} on an Apple GPU")
            if any(type(value) is torch.Tensor and value.ndim for value in args):
                raise RuntimeError("Expected all tensors to be on the same device")
            plain: Any = super().__torch_function__
            return plain(func, types, args, kwargs or {})

    stock = torch.Tensor.to

    def to(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if any(isinstance(a, torch.device | str) and "mps" in str(a) for a in args):
            return self.as_subclass(OnAppleGpu)
        return stock(self, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", to)
    return lambda tensor: tensor.to("mps")


@pytest.fixture(scope="session")
def small_model() -> Callable[..., CytoDinoForImageClassification]:
    """Return what builds a model of 21 classes, width 24 and random weights."""
    import torch

    from napari_cytodino.models.cytodino import (
        CytoDinoConfig,
        CytoDinoForImageClassification,
    )

    backbone = {
        "model_type": "dinov3_vit",
        "image_size": 32,
        "patch_size": 16,
        "hidden_size": 24,
        "intermediate_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    taxonomy = Taxonomy.load("mll21").to_dict()

    def make(seed: int = 0) -> CytoDinoForImageClassification:
        torch.manual_seed(seed)
        config = CytoDinoConfig(
            backbone_config=backbone, taxonomy=taxonomy, head_layers=1, head_heads=2
        )
        return CytoDinoForImageClassification(config).eval()

    return make


@pytest.fixture
def folder(
    tmp_path: Path, small_model: Callable[..., CytoDinoForImageClassification]
) -> Path:
    """Return the folder of a checkpoint with thresholds set by hand."""
    from napari_cytodino.checkpoints.folder import Preprocessing
    from napari_cytodino.checkpoints.saving import save_checkpoint
    from napari_cytodino.uncertainty.decisions import DecisionPolicy

    return save_checkpoint(
        tmp_path / "mine",
        small_model(),
        Taxonomy.load("mll21"),
        Preprocessing(32, 192.0, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)),
        DecisionPolicy(temperature=1.2, min_confidence=0.7),
        "# Mine\n",
    )


@dataclass
class Field:
    """A label image, its cells and their table with the columns of files."""

    labels: np.ndarray
    cells: Cells
    predictions: Predictions
    table: pd.DataFrame


@pytest.fixture
def make_field() -> Callable[..., Field]:
    """Return what makes a field of cells of 10 x 12 pixels, with random answers."""
    import numpy as np

    from napari_cytodino.cells.cells import cells_from_labels
    from napari_cytodino.results.cell_table import build_table, with_file_columns
    from napari_cytodino.uncertainty.decisions import DecisionPolicy
    from napari_cytodino.uncertainty.predictions import PredictionBatch, Predictions

    def make(count: int = 6, *, reviews: dict | None = None, image: str = "a.png"):
        labels = np.zeros((20 * count, 40), np.int32)
        for number in range(count):
            # ids are not the rows: 7, 10, 13 ...
            labels[20 * number + 4 : 20 * number + 14, 9:21] = 7 + 3 * number
        taxonomy, cells = Taxonomy.load("mll21"), cells_from_labels(labels)
        logits = np.random.default_rng(3).normal(0, 6, (count, 21)).astype(np.float32)
        width = np.arange(3 * count, dtype=np.float16).reshape(count, 3) / 8
        every = np.ones(count, bool)
        batch = PredictionBatch(np.arange(count), logits, width, every)
        whole = Predictions.empty(count, 21, 3).with_batches([batch])
        policy = DecisionPolicy()
        rows, known = enumerate(cells.label.tolist()), reviews or {}
        said = {row: known[label] for row, label in rows if label in known}
        table = build_table(cells, whole, taxonomy, policy, said)
        table = with_file_columns(
            table, cells, whole, taxonomy, policy, image=image, checkpoint="demo@0"
        )
        return Field(labels, cells, whole, table)

    return make
