"""What of a torchvision is imported, and what is left out."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from napari_cytodino.models.torchvision_guard import leave_out_broken_torchvision

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to import from, as if nothing had been imported yet."""
    monkeypatch.setattr(
        sys,
        "modules",
        {k: v for k, v in sys.modules.items() if k.split(".")[0] != "torchvision"},
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "torchvision").mkdir()
    return tmp_path / "torchvision"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise RuntimeError('operator nms\\nand more')", "(operator nms)"),
        ("raise OSError", "(OSError)"),
        ("from torchvision import io", "cannot import name"),
        ("import torchvision.ops, no_such_module", "No module named"),
    ],
)
def test_what_cannot_be_imported_counts_as_absent(
    packages: Path, caplog: pytest.LogCaptureFixture, text: str, why: str
) -> None:
    (packages / "__init__.py").write_text(text, encoding="utf-8")
    (packages / "ops.py").write_text("", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        leave_out_broken_torchvision()
        leave_out_broken_torchvision()
    assert find_spec("torchvision") is None
    with pytest.raises(ImportError):
        __import__("torchvision")
    assert "torchvision.ops" not in sys.modules
    [said] = [r.getMessage() for r in caplog.records]
    assert why in said
    assert "pip install --upgrade torch torchvision" in said


def test_one_that_works_is_left_alone(
    packages: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (packages / "__init__.py").write_text("fits = True", encoding="utf-8")
    leave_out_broken_torchvision()
    assert __import__("torchvision").fits
    assert not caplog.records


def test_without_one_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_cytodino.models import torchvision_guard

    monkeypatch.setattr(torchvision_guard, "find_spec", lambda name: None)
    monkeypatch.setattr(torchvision_guard, "import_module", None)
    before = set(sys.modules)
    leave_out_broken_torchvision()
    assert set(sys.modules) == before
